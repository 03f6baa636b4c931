"""Runs what docs/consume.md says of SQL Server, and the statements of `ddl`, over ./lake; ./task.json has what should be found.

Usage: consume_captured.py DOCUMENT
"""

import json
import pathlib
import sys

import duckdb
import polars as pl

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
from consume import blocks, check_types  # noqa: E402


def by_ddl(statements):
    """The newest state by the view for Athena, whose dialect DuckDB understands, over tables in the places it names."""
    duckdb.sql("CREATE SCHEMA raw")
    for name, statement in (("t", statements[0]), ("t_cdc", statements[1])):
        folder = statement.rsplit("LOCATION ", 1)[1].strip("'").removeprefix("file:///")
        assert f"`raw`.`{name}` (" in statement, statement
        duckdb.sql(f"CREATE VIEW raw.{name} AS FROM read_parquet('{folder}*.parquet', union_by_name = true)")
        told = [line.split("`")[1] for line in statement.splitlines() if line.startswith("  `")]
        assert told == [column.lower() for column in duckdb.sql(f"FROM raw.{name}").columns], told
    duckdb.sql(statements[2])
    return duckdb.sql("FROM raw.t_current")


def by_document(document):
    (sql,) = blocks(document, "SQL Server", "sql")
    yield duckdb.sql(sql)
    for time, expected_all in (("9999-01-01", True), ("1999-01-01", False)):
        clause = f"WHERE coalesce(_commit_time <= TIMESTAMPTZ '{time} 00:00:00+00', true)"
        assert clause.split("'")[0] in document
        found = duckdb.sql(sql.replace("QUALIFY", f"{clause}\nQUALIFY"))
        if expected_all:
            yield found
        else:
            assert {row["a"] for row in found.to_arrow_table().to_pylist()} == {"first"}
    names = {}
    (code,) = blocks(document, "SQL Server", "python")
    exec(compile(code, "docs/consume.md, SQL Server", "exec"), names)
    yield names["current"]


def main():
    document = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
    task = json.loads(pathlib.Path("task.json").read_text(encoding="utf-8"))
    found = [by_ddl(task["statements"]), *(by_document(document) if task["readable"] else [])]
    for table in found:
        table = table.to_arrow() if isinstance(table, pl.DataFrame) else table.to_arrow_table()
        rows = sorted(table.to_pylist(), key=lambda row: row["id"])
        assert rows == task["rows"], rows
    print(f"{len(task['rows'])} rows by {len(found)} queries")
    check_types(document, 1, "kinds.parquet")


main()
