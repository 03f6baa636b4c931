"""Holds documents against the JSON Schema: those that the program accepts conform, those with such a fault do not."""

import copy
import json
import pathlib
import sys

import jsonschema

KAGGLE = {"dataset_name": "o/s", "aws": {"bucket": "lake"}, "tables": [{"name": "t", "pk": "id"}]}
SQL_SERVER = {"source": {"type": "sqlserver", "host": "h", "database": "d", "secret_id": "s"}, "aws": {"bucket": "lake"}}

VALID = [
    KAGGLE,
    SQL_SERVER,
    {**SQL_SERVER, "tables": [{"name": "dbo.t", "start": "now"}]},
    {**KAGGLE, "tables": [{"name": "t", "pk": "id", "encoding": "windows-1251"}]},
    {**KAGGLE, "$schema": "./config.schema.json", "source": {"type": "kaggle"}, "timer": None, "limits": None},
    {**KAGGLE, "tables": [{"name": "t", "pk": ["a", "b"], "date_field": "", "columns": {"c": "decimal(10, 2)"}}]},
]

INVALID = [
    {**KAGGLE, "dataset": "o/s"},
    {key: value for key, value in KAGGLE.items() if key != "dataset_name"},
    {key: value for key, value in KAGGLE.items() if key != "tables"},
    {**KAGGLE, "tables": []},
    {**KAGGLE, "tables": [{"name": "t"}]},
    {**KAGGLE, "tables": [{"name": "t", "pk": "id", "date_feild": "d"}]},
    {**KAGGLE, "tables": [{"name": "t", "pk": "id", "update_detection": "either"}]},
    {**KAGGLE, "tables": [{"name": "t", "pk": "id", "columns": {"c": "intt"}}]},
    {**KAGGLE, "tables": [{"name": "t", "pk": "id", "max_deleted_fraction": 2}]},
    {**KAGGLE, "timer": {"unit": "hours"}},
    {**KAGGLE, "source": {"type": "kaggle", "host": "h"}},
    {**SQL_SERVER, "tables": [{"name": "dbo.t", "pk": "id"}]},
]


def main():
    schema = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    files = [json.loads(pathlib.Path(path).read_text(encoding="utf-8")) for path in sys.argv[2:]]
    for document in VALID + files:
        faults = [error.message for error in validator.iter_errors(document)]
        assert not faults, f"{document}: {faults}"
    for document in INVALID:
        assert not validator.is_valid(copy.deepcopy(document)), f"conforms: {document}"
    print(f"{len(VALID) + len(files)} conform, {len(INVALID)} do not")


main()
