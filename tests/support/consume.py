"""What the tests of docs/consume.md share: its code, and its tables of types held against a file."""

import re

import duckdb
import polars as pl
import pyarrow.parquet as pq


def blocks(document, heading, language):
    """The code of a section, block by block."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", document, re.M | re.S).group(1)
    found = re.findall(rf"^```{language}\n(.*?)^```", section, re.M | re.S)
    assert found, f"{heading} has no {language}"
    return found


def check_types(document, number, path):
    """Each line of the table of types of that number against the columns of a file, which has all these types."""
    file = pq.ParquetFile(path)
    # What the elements of a list are called is no part of its type.
    arrow = {re.sub(r"list<\w+: ", "list<", str(field.type)) for field in file.schema_arrow}
    duck = {row[1] for row in duckdb.sql(f"DESCRIBE SELECT * FROM '{path}'").fetchall()}
    polars = pl.read_parquet_schema(path).values()
    parquet = {parquet_type(file.schema.column(place)) for place in range(len(file.schema))}
    table = re.findall(r"^\| (?:CSV \| )?type \|.*\n\| ---.*\n((?:\|.*\n?)+)", document, re.M)[number]
    lines = [line.split(" | ") for line in table.splitlines()]
    for line in lines:
        in_parquet, in_arrow, in_duck, in_polars = [cell.strip("`| ") for cell in line[-5:-1]]
        assert in_parquet in parquet, f"{in_parquet} is not in {parquet}"
        assert in_arrow in arrow, f"{in_arrow} is not in {arrow}"
        assert in_duck in duck, f"{in_duck} is not in {duck}"
        assert eval(f"pl.{in_polars}") in polars, f"{in_polars} is not in {polars}"
    print(f"{len(lines)} types by three readers")


def parquet_type(column):
    logical = str(column.logical_type).upper()
    if logical.startswith(("TIMESTAMP", "TIME")):
        assert "MICRO" in logical, logical
        kind = "TIMESTAMP" if logical.startswith("TIMESTAMP") else "TIME"
        logical = f"{kind}(MICROS, {'true' if 'ISADJUSTEDTOUTC=TRUE' in logical else 'false'})"
    elif logical.startswith("DECIMAL"):
        logical = f"DECIMAL({column.precision},{column.scale})"
    elif logical.startswith("INT("):
        logical = "INT(16, true)" if "BITWIDTH=16" in logical and "ISSIGNED=TRUE" in logical else logical
    return f"{column.physical_type} {logical}".removesuffix(" NONE")
