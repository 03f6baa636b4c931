"""Runs the examples of docs/consume.md, as they stand there, over ./lake, and checks its table of types.

Usage: consume.py DOCUMENT STATEMENTS CSV...   (the statements of `ddl` for `clientes`, as a list in JSON; the CSV files of `clientes`, of the runs of
01:00, 02:00 and 03:00)
"""

import csv
import json
import pathlib
import sys

import duckdb
import polars as pl
import pyarrow as pa

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
from consume import blocks, check_types  # noqa: E402

KEY = "idCliente"


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


def by_ddl(statements):
    """The newest state by the view for Athena, whose dialect DuckDB understands, over the log in the place it names."""
    _, log, view = json.loads(pathlib.Path(statements).read_text(encoding="utf-8"))
    folder = log.rsplit("LOCATION ", 1)[1].strip("'").removeprefix("file://")
    duckdb.sql("CREATE SCHEMA raw")
    duckdb.sql(f"""CREATE VIEW raw.clientes_cdc AS SELECT * RENAME (filename AS "$path")
        FROM read_parquet('{folder}*.parquet', union_by_name = true, filename = true)""")
    duckdb.sql(view)
    found = duckdb.sql("FROM raw.clientes_current").to_arrow_table()
    names = {name.lower(): name for name in duckdb.sql("FROM raw.clientes_cdc").columns}
    return found.rename_columns([names[name.lower()] for name in found.column_names])


def check_queries(document, statements, files):
    current_sql, as_of_sql = blocks(document, "DuckDB", "sql")
    polars_current, polars_as_of = run_python(document, "Polars")
    pandas_current, pandas_as_of = run_python(document, "pandas")
    to_arrow = lambda frame: pa.Table.from_pandas(frame, preserve_index=False)
    currents = [duckdb.sql(current_sql).to_arrow_table(), polars_current.to_arrow(), to_arrow(pandas_current)]
    whole_log = "\n".join(line for line in as_of_sql.splitlines() if not line.startswith("WHERE"))
    assert rows(by_ddl(statements)) == rows(duckdb.sql(whole_log).to_arrow_table()), "the view is not the state by the log"
    as_ofs = [duckdb.sql(as_of_sql).to_arrow_table(), polars_as_of.to_arrow(), to_arrow(pandas_as_of)]
    for what, tables, file in (("current", currents, files[-1]), ("as of 02:00", as_ofs, files[1])):
        first, *others = [rows(table) for table in tables]
        assert all(first == other for other in others), f"{what}: the readers do not agree"
        assert set(first) == keys(file), f"{what}: not the keys of {file}"
        print(f"{what}: {len(first)} rows by three readers")


def newest(document, table):
    """The newest state of a table with the key `id`, by the log, as each of the readers is told to find it."""
    for heading, language in (("DuckDB", "sql"), ("Polars", "python"), ("pandas", "python")):
        text = "\n".join(blocks(document, heading, language))
        text = text.replace("clientes", table).replace("20261120_020000", "20261120_990000").replace(KEY, "id")
        if language == "sql":
            yield heading, duckdb.sql(text.split(";")[1]).to_arrow_table().to_pylist()
        else:
            names = {}
            exec(text, names)
            found = names["as_of"]
            yield heading, found.to_dicts() if isinstance(found, pl.DataFrame) else found.to_dict("records")


def check_widened_key(document):
    """The same queries over a table whose key was a number until one was none."""
    for heading, found in newest(document, "keyed"):
        found = sorted((str(row["id"]), row["v"]) for row in found)
        assert found == [("1", "a1"), ("4", "d"), ("A3", "c")], f"{heading}: {found}"
    print(f"a widened key: {len(found)} rows by three readers")


def check_drift(document):
    """The same queries over a table whose columns were added and widened between the runs."""
    for heading, found in newest(document, "kinds"):
        texts = sorted((row["id"], str(row["grows"]), row["late"]) for row in found)
        assert texts == [(1, "x1", "new"), (2, "2", "new")], f"{heading}: {texts}"


def main():
    document = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
    check_queries(document, sys.argv[2], sys.argv[3:])
    check_drift(document)
    check_widened_key(document)
    check_types(document, 0, "lake/full-load/kinds/kinds.parquet")
    for heading in ("Spark", "Databricks: Auto Loader and MERGE"):
        for block in blocks(document, heading, "python"):
            compile(block, f"docs/consume.md, {heading}", "exec")


main()
