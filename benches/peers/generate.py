"""Makes the benchmark's data: two versions of two tables, as zips of CSVs, the same for the same number of rows.

`vendas` has N rows and a date field, `produtos` N/20 rows and none. From the first version to the second 3 % of the rows
are updated (their date moves on), 1 % change silently, 2 % are deleted, 4 % inserted, and all rows are shuffled. In
`produtos`, which has no date, the 4 % are plain updates.

    python benches/peers/generate.py FOLDER ROWS

A cell is a function of its row's number and its column alone: any row can be made at any time, so that a shuffled
version needs no more memory than its order, and the versions are made side by side.
"""

from __future__ import annotations

import sys
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SEED = 20261120
ROWS_AT_ONCE = 50_000
DELETED, UPDATED, SILENT = 2, 5, 6  # upper bounds of a row's fate, in percent
WORDS = "café pão açúcar chá maçã limão feijão arroz leite queijo presunto coração edição São João avó atenção".split()

Numbers = np.ndarray  # of uint64
Columns = Callable[[Numbers, Numbers], list[pa.Array]]  # the cells of these rows; whether each is changed


def draw(rows: Numbers, column: int, below: int) -> Numbers:
    """A number from 0 for each row: the finaliser of SplitMix64 over the row's number."""
    return noise(rows, column) % np.uint64(below)


def noise(rows: Numbers, column: int) -> Numbers:
    """64 bits for each row that look random."""
    mixed = rows * np.uint64(0x9E3779B97F4A7C15) + np.uint64((SEED + column) * 0xD1342543DE82EF95 % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def pick(texts: pa.Array, places: Numbers) -> pa.Array:
    """For each row one of `texts`."""
    return texts.take(pa.array(places.astype(np.int64)))


def joined(separator: str, *parts: pa.Array | str) -> pa.Array:
    """The parts of each row in one text; a part that is null is left out."""
    return pc.binary_join_element_wise(*parts, separator, null_handling="skip")


MONEY = pa.array([f"{cents / 100:.2f}" for cents in range(100_000)])
SMALL = pa.array([str(number) for number in range(300)])
CLIENTS = pa.array([f"C{number:08}" for number in range(70_000)])
SHOPS = pa.array([f"Loja {number}" for number in range(1, 301)] + ["Loja fechada"])
DAYS = pa.array([f"-{month:02}-{day:02} " for month in range(1, 13) for day in range(1, 29)])
TIMES = pa.array([f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" for s in range(86_400)])
MILLIS = pa.array([f".{number:03}" for number in range(1000)])
VOCABULARY = pa.array(WORDS + [None])


def hexadecimal(rows: Numbers, column: int) -> pa.Array:
    """An id of 32 hexadecimal digits."""
    halves = np.stack([noise(rows, column), noise(rows, column + 1)], axis=1)
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(len(rows), pa.py_buffer(offsets), pa.py_buffer(halves.tobytes().hex().encode()))


def moment(rows: Numbers, column: int, year: pa.Array | str) -> pa.Array:
    """A time of that year, to the millisecond."""
    parts = [pick(texts, draw(rows, column + place, len(texts))) for place, texts in enumerate([DAYS, TIMES, MILLIS])]
    return joined("", year, *parts)


def remark(rows: Numbers, column: int) -> pa.Array:
    """Four to eleven words; one in twelve has a delimiter and quotes in it, one in five is empty."""
    count, kind = draw(rows, column, 8) + np.uint64(4), draw(rows, column + 1, 100)
    last = np.uint64(len(WORDS))
    drawn = (draw(rows, column + 10 + place, len(WORDS)) for place in range(11))
    text = joined(" ", *(pick(VOCABULARY, np.where(place < count, word, last)) for place, word in enumerate(drawn)))
    quoted = joined("", '"', text, '; ""promoção"" ', pick(SMALL, draw(rows, column + 2, 99) + np.uint64(1)), '"')
    return pc.if_else(pa.array(kind < 20), "", pc.if_else(pa.array(kind < 28), quoted, text))


def sales(rows: Numbers, fate: Numbers) -> list[pa.Array]:
    """The cells of `vendas`, as of the second version where `fate` says so."""
    updated, silent = (fate >= DELETED) & (fate < UPDATED), (fate >= UPDATED) & (fate < SILENT)
    pieces = draw(rows, 20, 20) + np.where(updated, np.uint64(21), np.uint64(1))
    return [
        hexadecimal(rows, 1),
        pick(CLIENTS, rows % np.uint64(len(CLIENTS))),
        moment(rows, 3, "2024"),
        moment(rows, 6, pc.if_else(pa.array(updated), "2026", "2025")),
        pick(SMALL, pieces),
        pick(MONEY, draw(rows, 21, 99_900) + np.uint64(100)),
        pick(SHOPS, np.where(silent, np.uint64(300), draw(rows, 22, 300))),
        remark(rows, 30),
        pick(SMALL, draw(rows, 23, 2)),
    ]


def products(rows: Numbers, fate: Numbers) -> list[pa.Array]:
    """The cells of `produtos`, dearer where `fate` says that they changed."""
    changed = (fate >= DELETED) & (fate < SILENT)
    words = [pick(VOCABULARY, draw(rows, column, len(WORDS))) for column in (61, 62)]
    name = joined(" ", *words, pick(SMALL, rows % np.uint64(97)))
    price = np.where(changed, draw(rows, 65, 89_999) + np.uint64(10_000), draw(rows, 64, 9_900) + np.uint64(100))
    return [pc.cast(pa.array(rows), pa.string()), name, pick(VOCABULARY, draw(rows, 63, len(WORDS))), pick(MONEY, price)]


SALES_HEADER = "idVenda;idCliente;dtCriacao;dtAtualizacao;qtItens;vlTotal;descLoja;descObservacao;flAtivo\n"
PRODUCTS_HEADER = "idProduto;descNome;descCategoria;vlProduto\n"
NEVER = np.uint64(99)


def fates(rows: Numbers, first_count: int) -> Numbers:
    """What becomes of each row in the second version, as a percentile; a row that is new there just is."""
    return np.where(rows < np.uint64(first_count), draw(rows, 99, 100), NEVER)


def lines(cells: Columns, version: int, count: int) -> Iterator[bytes]:
    """The rows of a version, some at a time: the first in order, the second shuffled."""
    order = np.arange(count + (count // 25 if version == 2 else 0), dtype=np.uint64)
    if version == 2:
        order = order[fates(order, count) >= np.uint64(DELETED)]
        np.random.default_rng(SEED).shuffle(order)
    for start in range(0, len(order), ROWS_AT_ONCE):
        rows = order[start : start + ROWS_AT_ONCE]
        fate = fates(rows, count) if version == 2 else np.full(len(rows), NEVER)
        text = joined("", joined(";", *cells(rows, fate)), "\n")
        yield text.buffers()[2].slice(0, pc.sum(pc.binary_length(text)).as_py()).to_pybytes()


def write(folder: Path, version: int, count: int) -> None:
    """Writes `v{version}.zip`."""
    tables = [("vendas", SALES_HEADER, sales, count), ("produtos", PRODUCTS_HEADER, products, count // 20)]
    with zipfile.ZipFile(folder / f"v{version}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, header, cells, rows in tables:
            with archive.open(f"{name}.csv", "w", force_zip64=True) as member:
                member.write(header.encode())
                for text in lines(cells, version, rows):
                    member.write(text)


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(2) as workers:
        for written in [workers.submit(write, folder, version, count) for version in (1, 2)]:
            written.result()


if __name__ == "__main__":
    main()
