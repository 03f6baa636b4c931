#!/usr/bin/env python3
"""Writes the sample dataset: three versions of four tables, and expected.json with the true changes between them.

The tables have the shape of a loyalty system; every value is invented, and there are no people in it, only ids.
The changes are counted where they are made, so expected.json knows nothing of the program that is tested with it.
The same seed gives the same bytes: running this again changes nothing.
"""

from __future__ import annotations

import csv
import io
import json
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

HERE = Path(__file__).parent
SEED = 20250110
START = datetime(2025, 1, 10, 14, 3, 22, 123000)
Row = dict[str, str]

ORIGINS = ["twitch", "loja física", "cupom", "promoção de verão", ""]
CATEGORIES = ["chapéus", "canecas", "edição especial", "acessórios", ""]
PRODUCTS = ["Chapéu de São João", "Caneca Edição Única", "Camiseta Açaí", "Adesivo; conjunto com 3", 'Pôster "Maçã"']


@dataclass
class Changes:
    """What one version changed in one table, as the report of a run counts it."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    silent_changes: int = 0


@dataclass
class Table:
    """A table as it grows from version to version."""

    name: str
    key: str
    make: Callable[[], Row]
    encoding: str = "utf-8"
    line_end: str = "\n"
    rows: list[Row] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)

    def insert(self, count: int) -> list[Row]:
        """Adds `count` new rows."""
        added = [self.make() for _ in range(count)]
        self.rows += added
        self.changes.inserted += count
        return added

    def delete(self, rows: list[Row]) -> None:
        """Takes out `rows`."""
        gone = {row[self.key] for row in rows}
        self.rows = [row for row in self.rows if row[self.key] not in gone]
        self.changes.deleted += len(gone)

    def update(self, rows: list[Row], edit: Callable[[Row], None]) -> None:
        """Edits `rows` so that a diff must call them updated."""
        _edit(rows, edit)
        self.changes.updated += len(rows)

    def edit_silently(self, rows: list[Row], edit: Callable[[Row], None]) -> None:
        """Edits `rows` without moving their date on."""
        _edit(rows, edit)
        self.changes.silent_changes += len(rows)

    def write(self, folder: Path) -> dict[str, int]:
        """Writes the CSV file and returns the true counts of this version, beginning the next one."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.rows[0].keys(), delimiter=";", lineterminator=self.line_end)
        writer.writeheader()
        writer.writerows(self.rows)
        (folder / f"{self.name}.csv").write_bytes(text.getvalue().encode(self.encoding))
        counts = {"rows": len(self.rows), **vars(self.changes)}
        self.changes = Changes()
        return counts


def _edit(rows: list[Row], edit: Callable[[Row], None]) -> None:
    for row in rows:
        before = dict(row)
        edit(row)
        assert row != before, "an edit must change something"


class Loyalty:
    """The four tables and the story of their three versions."""

    def __init__(self) -> None:
        self.dice = random.Random(SEED)
        self.now = START
        self.customers = Table("clientes", "idCliente", self._customer)
        self.products = Table("produtos", "idProduto", self._product, encoding="latin-1")
        self.sales = Table("transacoes", "IdTransacao", self._sale)
        self.items = Table("transacao_produto", "idTransacaoProduto", self._item, encoding="utf-8-sig", line_end="\r\n")
        self.tables = [self.customers, self.products, self.sales, self.items]

    def first(self) -> None:
        """Version 1: everything is new."""
        self.customers.insert(400)
        self.products.insert(40)
        self.sales.insert(600)
        self.items.insert(800)

    def second(self) -> None:
        """Version 2: all kinds of change, rows in another order; `produtos` stays as it is."""
        self.now += timedelta(days=30)
        self.customers.delete(self._pick(self.customers, 3))
        dated = [row for row in self.customers.rows if row["DtAtualizacao"]]
        self.customers.update(dated[:9], self._earn_points)
        self.customers.edit_silently(dated[9:11], self._correct_points)
        self.customers.insert(12)
        gone = self._pick(self.sales, 4)
        self._delete_sales(gone)
        self.sales.edit_silently(self._pick(self.sales, 1), _negate_points)
        self.sales.insert(25)
        self.items.update(self._pick(self.items, 5), self._reprice)
        self.items.insert(30)
        self.dice.shuffle(self.customers.rows)

    def third(self) -> None:
        """Version 3: dates that were empty or went back, cheaper products, and a table that only grew."""
        self.now += timedelta(days=30)
        undated = [row for row in self.customers.rows if not row["DtAtualizacao"]]
        self.customers.update(undated[:2], self._earn_points)
        dated = [row for row in self.customers.rows if row["DtAtualizacao"]]
        self.customers.update(dated[20:24], self._earn_points)
        self.customers.edit_silently(dated[30:31], _set_date_back)
        self.customers.insert(5)
        self.products.update(self.products.rows[3:6], _make_cheaper)
        self.products.delete(self.products.rows[10:11])
        self.products.insert(2)
        self.sales.insert(10)
        self.items.update(self._pick(self.items, 1), self._reprice)
        self.items.delete(self._pick(self.items, 2))
        self.items.insert(12)

    def _delete_sales(self, sales: list[Row]) -> None:
        ids = {row["IdTransacao"] for row in sales}
        self.sales.delete(sales)
        self.items.delete([row for row in self.items.rows if row["IdTransacao"] in ids])

    def _pick(self, table: Table, count: int) -> list[Row]:
        return self.dice.sample(table.rows, count)

    def _id(self) -> str:
        return str(uuid.UUID(int=self.dice.getrandbits(128), version=4))

    def _moment(self) -> datetime:
        return self.now - timedelta(milliseconds=self.dice.randrange(20 * 86_400_000))

    def _customer(self) -> Row:
        created = self._moment()
        channels = ["flEmail", "flTwitch", "flYouTube", "flBlueSky", "flInstagram"]
        return {
            "idCliente": self._id(),
            **{channel: str(int(self.dice.random() < 0.4)) for channel in channels},
            "qtdePontos": str(self.dice.randrange(5000)),
            "DtCriacao": _text(created) if self.dice.random() < 0.9 else "",
            "DtAtualizacao": _text(created + timedelta(hours=1)) if self.dice.random() < 0.95 else "",
        }

    def _product(self) -> Row:
        number = len(self.products.rows) + 1 + self.dice.randrange(1000) * 100
        name = self.dice.choice(PRODUCTS)
        details = self.dice.choice(["Edição limitada; não acompanha João", "Feito à mão.\nLavar à parte.", ""])
        return {
            "idProduto": str(number),
            "DescNomeProduto": f"{name} nº {number}",
            "DescDescricaoProduto": details,
            "DescCategoriaProduto": self.dice.choice(CATEGORIES),
            "VlProduto": f"{self.dice.randrange(100, 20000) / 100:.2f}",
        }

    def _sale(self) -> Row:
        return {
            "IdTransacao": self._id(),
            "IdCliente": self.dice.choice(self.customers.rows)["idCliente"],
            "DtCriacao": _text(self._moment()),
            "QtdePontos": str(self.dice.randrange(1, 200)),
            "DescSistemaOrigem": self.dice.choice(ORIGINS),
        }

    def _item(self) -> Row:
        product = self.dice.choice(self.products.rows)
        return {
            "idTransacaoProduto": self._id(),
            "IdTransacao": self.dice.choice(self.sales.rows)["IdTransacao"],
            "IdProduto": product["idProduto"],
            "QtdeProduto": str(self.dice.randrange(1, 4)),
            "vlProduto": product["VlProduto"] if self.dice.random() < 0.9 else "",
        }

    def _earn_points(self, row: Row) -> None:
        row["qtdePontos"] = str(int(row["qtdePontos"]) + self.dice.randrange(1, 100))
        row["DtAtualizacao"] = _text(self.now + timedelta(milliseconds=self.dice.randrange(1, 86_400_000)))

    def _correct_points(self, row: Row) -> None:
        row["qtdePontos"] = str(int(row["qtdePontos"]) + 7)

    def _reprice(self, row: Row) -> None:
        row["vlProduto"] = f"{float(row['vlProduto'] or 0) + 1.5:.2f}"


def _negate_points(row: Row) -> None:
    row["QtdePontos"] = str(-int(row["QtdePontos"]))


def _set_date_back(row: Row) -> None:
    row["DtAtualizacao"] = _text(START - timedelta(days=400))


def _make_cheaper(row: Row) -> None:
    row["VlProduto"] = f"{float(row['VlProduto']) / 2:.2f}"


def _text(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="milliseconds")


def main() -> None:
    story = Loyalty()
    expected = {}
    for version, happen in enumerate([story.first, story.second, story.third], start=1):
        happen()
        folder = HERE / f"v{version}"
        folder.mkdir(exist_ok=True)
        expected[str(version)] = {table.name: table.write(folder) for table in story.tables}
    (HERE / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")


if __name__ == "__main__":
    main()
