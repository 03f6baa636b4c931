"""Runs the examples of docs/consume.md, as they stand there, over ./lake, and checks its table of types.

Usage: consume.py DOCUMENT CSV...   (the CSV files of `clientes`, of the runs of 01:00, 02:00 and 03:00)
"""

import csv
import pathlib
import re
import sys

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

KEY = "idCliente"


def blocks(document, heading, language):
    """The code of a section, block by block."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", document, re.M | re.S).group(1)
    found = re.findall(rf"^```{language}\n(.*?)^```", section, re.M | re.S)
    assert found, f"{heading} has no {language}"
    return found


def run_python(document, heading):
    names = {}
    for block in blocks(document, heading, "python"):
        exec(compile(block, f"docs/consume.md, {heading}", "exec"), names)
    return names["current"], names["as_of"]


def rows(table):
    """The rows of a table of Arrow by their key."""
    table = table.select(sorted(table.column_names))
    found = {row[KEY]: row for row in table.to_pylist()}
    assert len(found) == table.num_rows, "a key occurs twice"
    return found


def keys(file):
    with open(file, newline="", encoding="utf-8") as content:
        return {row[KEY] for row in csv.DictReader(content, delimiter=";")}


def check_queries(document, files):
    current_sql, as_of_sql = blocks(document, "DuckDB", "sql")
    polars_current, polars_as_of = run_python(document, "Polars")
    pandas_current, pandas_as_of = run_python(document, "pandas")
    to_arrow = lambda frame: pa.Table.from_pandas(frame, preserve_index=False)
    currents = [duckdb.sql(current_sql).to_arrow_table(), polars_current.to_arrow(), to_arrow(pandas_current)]
    as_ofs = [duckdb.sql(as_of_sql).to_arrow_table(), polars_as_of.to_arrow(), to_arrow(pandas_as_of)]
    for what, tables, file in (("current", currents, files[-1]), ("as of 02:00", as_ofs, files[1])):
        first, *others = [rows(table) for table in tables]
        assert all(first == other for other in others), f"{what}: the readers do not agree"
        assert set(first) == keys(file), f"{what}: not the keys of {file}"
        print(f"{what}: {len(first)} rows by three readers")


def check_drift(document):
    """The same queries over a table whose columns were added and widened between the runs."""
    for heading, language in (("DuckDB", "sql"), ("Polars", "python"), ("pandas", "python")):
        text = "\n".join(blocks(document, heading, language))
        text = text.replace("clientes", "kinds").replace("20261120_020000", "20261120_990000").replace(KEY, "id")
        if language == "sql":
            found = duckdb.sql(text.split(";")[1]).to_arrow_table().to_pylist()
        else:
            names = {}
            exec(text, names)
            found = names["as_of"]
            found = found.to_dicts() if isinstance(found, pl.DataFrame) else found.to_dict("records")
        texts = sorted((row["id"], str(row["grows"]), row["late"]) for row in found)
        assert texts == [(1, "x1", "new"), (2, "2", "new")], f"{heading}: {texts}"


def check_types(document):
    """Each line of the table against the column of that type in the table `kinds`."""
    path = "lake/full-load/kinds/kinds.parquet"
    file = pq.ParquetFile(path)
    arrow = {str(field.type) for field in file.schema_arrow}
    duck = {row[1] for row in duckdb.sql(f"DESCRIBE SELECT * FROM '{path}'").fetchall()}
    polars = pl.read_parquet_schema(path).values()
    parquet = {parquet_type(column) for column in map(file.schema.column, range(len(file.schema)))}
    lines = [line.split(" | ") for line in document.split("| --- | --- | --- |")[-1].splitlines() if " | " in line]
    assert len(lines) == 8, lines
    for line in lines:
        in_parquet, in_arrow, in_duck, in_polars = [cell.strip("`| ") for cell in line[2:6]]
        assert in_parquet in parquet, f"{in_parquet} is not in {parquet}"
        assert in_arrow in arrow, f"{in_arrow} is not in {arrow}"
        assert in_duck in duck, f"{in_duck} is not in {duck}"
        assert eval(f"pl.{in_polars}") in polars, f"{in_polars} is not in {polars}"
    print(f"types: {len(lines)} by three readers")


def parquet_type(column):
    logical = str(column.logical_type).upper()
    if logical.startswith("TIMESTAMP"):
        logical = f"TIMESTAMP(MICROS, {'true' if 'ISADJUSTEDTOUTC=TRUE' in logical else 'false'})"
        assert "MICRO" in str(column.logical_type).upper()
    elif logical.startswith("DECIMAL"):
        logical = f"DECIMAL({column.precision},{column.scale})"
    return f"{column.physical_type} {logical}".removesuffix(" NONE")


def main():
    document = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
    check_queries(document, sys.argv[2:])
    check_drift(document)
    check_types(document)
    for heading in ("Spark", "Databricks: Auto Loader and MERGE"):
        for block in blocks(document, heading, "python"):
            compile(block, f"docs/consume.md, {heading}", "exec")


main()
