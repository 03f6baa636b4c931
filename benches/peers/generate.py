"""Makes the benchmark's data: two versions of two tables, as zips of CSVs, deterministic.

`vendas` has N rows and a date field, `produtos` N/20 rows and none. From the first version to the second 3 % of the rows
are updated (their date moves on), 1 % change silently, 2 % are deleted, 4 % inserted, and all rows are shuffled.
"""

from __future__ import annotations

import random
import sys
import zipfile
from pathlib import Path

WORDS = "café pão açúcar chá maçã limão feijão arroz leite queijo presunto coração edição São João avó atenção".split()
HEADER = "idVenda;idCliente;dtCriacao;dtAtualizacao;qtItens;vlTotal;descLoja;descObservacao;flAtivo\n"
PRODUCT_HEADER = "idProduto;descNome;descCategoria;vlProduto\n"


def moment(rng: random.Random, year: int) -> str:
    return f"{year}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02} {rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}.{rng.randint(0, 999):03}"


def sale(rng: random.Random, number: int) -> list[str]:
    text = " ".join(rng.choices(WORDS, k=rng.randint(2, 7)))
    if rng.random() < 0.1:
        text = f'"{text}; ""promoção"" {rng.randint(1, 99)}"'
    return [
        f"{rng.getrandbits(128):032x}", f"C{number % 70_000:08}", moment(rng, 2024), moment(rng, 2025), str(rng.randint(1, 20)),
        f"{rng.randint(100, 99_999) / 100:.2f}", f"Loja {rng.randint(1, 300)}", "" if rng.random() < 0.2 else text, rng.choice("01"),
    ]


def product(rng: random.Random, number: int) -> list[str]:
    return [str(number), f"{rng.choice(WORDS)} {rng.choice(WORDS)} {number % 97}", rng.choice(WORDS), f"{rng.randint(100, 9_999) / 100:.2f}"]


def next_version(rng: random.Random, rows: list[list[str]], new, update, silent) -> list[list[str]]:
    after = []
    for row in rows:
        luck = rng.random()
        if luck < 0.02:
            continue
        if luck < 0.05:
            row = update(list(row))
        elif luck < 0.06:
            row = silent(list(row))
        after.append(row)
    after.extend(new(len(rows) + number) for number in range(len(rows) // 25))
    rng.shuffle(after)
    return after


def write(path: Path, sales: list[list[str]], products: list[list[str]]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, header, rows in [("vendas", HEADER, sales), ("produtos", PRODUCT_HEADER, products)]:
            with archive.open(f"{name}.csv", "w", force_zip64=True) as member:
                member.write(header.encode())
                for start in range(0, len(rows), 10_000):
                    member.write("".join(";".join(row) + "\n" for row in rows[start : start + 10_000]).encode())


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(20261120)
    sales = [sale(rng, number) for number in range(count)]
    products = [product(rng, number) for number in range(count // 20)]
    write(folder / "v1.zip", sales, products)

    def later(row: list[str]) -> list[str]:
        row[3], row[4] = moment(rng, 2026), str(rng.randint(21, 40))
        return row

    def quietly(row: list[str]) -> list[str]:
        row[6] = "Loja fechada"
        return row

    def dearer(row: list[str]) -> list[str]:
        row[3] = f"{rng.randint(10_000, 99_999) / 100:.2f}"
        return row

    sales = next_version(rng, sales, lambda number: sale(rng, number), later, quietly)
    products = next_version(rng, products, lambda number: product(rng, number), dearer, dearer)
    write(folder / "v2.zip", sales, products)


if __name__ == "__main__":
    main()
