"""Reads a lake with pyarrow, knowing nothing of the program that wrote it, and compares it with the CSV files.

Usage: second_reader.py LAKE CONFIG SNAPSHOT...   (the folders of the snapshots, oldest first)
"""

import csv
import io
import json
import pathlib
import re
import sys
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq

METADATA = """format_version kind table key_columns run_at owner position previous_run_at rows inserted updated deleted
silent_changes row_set_hash schema provenance""".split()


def text(content):
    """The text of a file: UTF-8 with or without a mark, else Windows-1252."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")


def source_rows(folder, table):
    """The rows of a table's CSV file by their keys: texts, with None for an empty cell."""
    file = next(folder.rglob(f"{table['name']}.csv"))
    reader = csv.DictReader(io.StringIO(text(file.read_bytes()), newline=""), delimiter=table.get("sep", ","))
    rows = [{name: cell or None for name, cell in row.items()} for row in reader]
    return reader.fieldnames, {key(row, table): row for row in rows}


def key_columns(table):
    return [table["pk"]] if isinstance(table["pk"], str) else table["pk"]


def key(row, table):
    return tuple(str(row[name]) for name in key_columns(table))


def same(value, cell):
    """Whether a value of the lake is what the cell of the CSV says."""
    if value is None or cell is None:
        return value is None and cell is None
    if isinstance(value, datetime):
        return value == datetime.fromisoformat(cell)
    if isinstance(value, (int, float)):
        return value == float(cell)
    return value == cell


def differing(row, source):
    return [name for name in source if not same(row[name], source[name])]


def check_types(path, file):
    for place, column in enumerate(file.schema):
        kind = file.schema_arrow.field(place).type
        assert column.physical_type != "INT96", f"{path}: {column.name} is INT96"
        if pa.types.is_timestamp(kind):
            assert (column.physical_type, kind.unit) == ("INT64", "us"), f"{path}: {column.name} is {kind}"
        allowed = (pa.types.is_int64, pa.types.is_float64, pa.types.is_string, pa.types.is_timestamp)
        assert any(is_it(kind) for is_it in allowed), f"{path}: {column.name} is {kind}"


def check_metadata(path, file, kind, table):
    entries = file.schema_arrow.metadata or {}
    entries = {**file.metadata.metadata, **entries}
    ours = {name.decode()[10:]: value.decode() for name, value in entries.items() if name.startswith(b"cdc_to_s3.")}
    optional = {"has_silent_rows"} if kind == "full-load" else set()
    assert set(ours) - optional == set(METADATA), f"{path}: {sorted(ours)}"
    assert (ours["format_version"], ours["kind"], ours["table"]) == ("1", kind, table["name"]), f"{path}: {ours}"
    assert json.loads(ours["key_columns"]) == key_columns(table), f"{path}: {ours}"
    assert datetime.fromisoformat(ours["run_at"]).utcoffset().total_seconds() == 0
    return ours


def check_changes(path, state, table, snapshot):
    """Lets the changes of a file take effect on `state`, and compares each of them with the snapshot."""
    file = pq.ParquetFile(path)
    check_types(path, file)
    ours = check_metadata(path, file, "cdc", table)
    names = file.schema_arrow.names
    assert names[-1] == "op" and names.count("op") == 1, f"{path}: {names}"
    counts = {"I": 0, "U": 0, "D": 0}
    for row in file.read().to_pylist():
        operation = row.pop("op")
        counts[operation] += 1
        place = key(row, table)
        assert (place in state) == (operation != "I"), f"{path}: {operation} of {place}"
        if operation == "D":
            assert place not in snapshot, f"{path}: {place} is deleted, but it is in the source"
            del state[place]
        else:
            assert not differing(row, snapshot[place]), f"{path}: {place}: {differing(row, snapshot[place])}"
            state[place] = row
    found = {"I": ours["inserted"], "U": ours["updated"], "D": ours["deleted"]}
    assert {letter: str(count) for letter, count in counts.items()} == found, f"{path}: {counts} and {found}"
    return file.schema_arrow


def check_full_load(lake, table, header, snapshot, silent):
    path = lake / "full-load" / table["name"] / f"{table['name']}.parquet"
    file = pq.ParquetFile(path)
    check_types(path, file)
    ours = check_metadata(path, file, "full-load", table)
    rows = file.read().to_pylist()
    assert file.schema_arrow.names == header, f"{path}: {file.schema_arrow.names}"
    assert int(ours["rows"]) == len(rows) == len(snapshot), f"{path}: {len(rows)} rows"
    for row in rows:
        place = key(row, table)
        assert not differing(row, snapshot[place]), f"{path}: {place}: {differing(row, snapshot[place])}"
        stale = silent[place] != row
        assert not stale or table.get("date_field"), f"{path}: {place} differs from the replayed log"
    return file.schema_arrow


def main():
    lake, config, *folders = map(pathlib.Path, sys.argv[1:])
    for table in json.loads(config.read_text())["tables"]:
        name, state, schemas = table["name"], {}, []
        log = sorted((lake / "cdc" / name).iterdir())
        assert log, f"{name} has no changes"
        for path in log:
            assert re.fullmatch(rf"{name}_\d{{8}}_\d{{6}}\.parquet", path.name), path
            # The hour of a run, as the test starts it, is the number of its snapshot.
            folder = folders[int(path.stem[-6:-4]) - 1]
            schemas.append(check_changes(path, state, table, source_rows(folder, table)[1]))
        header, snapshot = source_rows(folders[-1], table)
        full = check_full_load(lake, table, header, snapshot, state)
        for schema in schemas:
            assert schema.remove(schema.get_field_index("op")).equals(full), f"{name}: {schema} and {full}"
        print(f"{name}: {len(log)} objects, {len(snapshot)} rows, {', '.join(map(str, full.types))}")


main()
