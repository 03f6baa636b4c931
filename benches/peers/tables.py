"""What all peers share: the tables of `generate.py`, and the job's arguments, `JOB.py ARCHIVE LAKE MODE THREADS`.

The job: the zip of CSVs `ARCHIVE` and the previous full load in the folder `LAKE` come in, the new full load and the changes
go out, named as `cdc-to-s3` names them. Where there is no previous full load, only a new one is written. `MODE` is `date`
(an update is a row whose date moved on, in the table that has a date) or `content` (any other column differs).
"""

from __future__ import annotations

import argparse
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Literal

Kind = Literal["text", "integer", "number", "time"]
Mode = Literal["date", "content"]

DELIMITER = ";"
ZSTD_LEVEL = 1  # what cdc-to-s3 writes with
STAMP = "99991231_235959"  # later than any run of cdc-to-s3


@dataclass(frozen=True)
class Table:
    """A table, with its columns in the order of the file."""

    name: str
    key: str
    date_field: str | None
    columns: dict[str, Kind]

    def date_in(self, mode: Mode) -> str | None:
        """The column whose increase marks an update; `None`: any column's difference does."""
        return self.date_field if mode == "date" else None

    @property
    def others(self) -> list[str]:
        """All columns but the key."""
        return [column for column in self.columns if column != self.key]


TABLES = [
    Table("vendas", "idVenda", "dtAtualizacao", {
        "idVenda": "text", "idCliente": "text", "dtCriacao": "time", "dtAtualizacao": "time", "qtItens": "integer",
        "vlTotal": "number", "descLoja": "text", "descObservacao": "text", "flAtivo": "integer",
    }),
    Table("produtos", "idProduto", None, {
        "idProduto": "integer", "descNome": "text", "descCategoria": "text", "vlProduto": "number",
    }),
]


@dataclass(frozen=True)
class Job:
    """What one run has to do."""

    archive: Path
    lake: Path
    mode: Mode
    threads: int

    def full_load(self, table: Table) -> Path:
        """The previous full load, and where the new one belongs."""
        return self._file("full-load", table, table.name)

    def new_full_load(self, table: Table) -> Path:
        """Where the new full load is written while the previous one is still needed."""
        return self._file("full-load", table, "new")

    def cdc(self, table: Table) -> Path:
        """Where the changes are written."""
        return self._file("cdc", table, f"{table.name}_{STAMP}")

    def _file(self, folder: str, table: Table, name: str) -> Path:
        path = self.lake / folder / table.name / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def job_from_arguments() -> Job:
    """The job that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("archive", type=Path)
    parser.add_argument("lake", type=Path)
    parser.add_argument("mode", choices=["date", "content"])
    parser.add_argument("threads", type=int)
    return Job(**vars(parser.parse_args()))


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """A folder with the archive's files. Of the ways that need no more than Python (larger buffers, bytes in memory instead
    of files, its own loop around zlib) and `unzip`, this one is the fastest, or as fast as the fastest and smaller."""
    with tempfile.TemporaryDirectory(prefix="peer-") as folder:
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder)
        yield Path(folder)
