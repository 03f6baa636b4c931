"""What a contender found, from the files it wrote: `python benches/peers/findings.py LAKE` prints JSON.

For each table the rows of the full load, the number of changes of each kind, and a hash of all changes (key and `op`) that
does not depend on their order; beside it the sizes of the files. Two contenders that agree on `tables` found the same.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tables import TABLES, Table


def newest_cdc(lake: Path, table: Table) -> Path:
    """The changes of the last run: names sort in the order of the runs."""
    return max((lake / "cdc" / table.name).glob("*.parquet"))


def findings(lake: Path, table: Table) -> dict[str, Any]:
    changes = pq.read_table(newest_cdc(lake, table), columns=[table.key, "op"])
    keys, ops = (changes[name].cast(pa.string()).to_pylist() for name in (table.key, "op"))
    total = sum(int.from_bytes(hashlib.blake2b(f"{op}{key}".encode(), digest_size=16).digest()) for key, op in zip(keys, ops))
    rows = pq.read_metadata(full_load(lake, table)).num_rows
    return {"full_load_rows": rows, "changes": dict(sorted(Counter(ops).items())), "hash": f"{total % 2**128:032x}"}


def full_load(lake: Path, table: Table) -> Path:
    return lake / "full-load" / table.name / f"{table.name}.parquet"


def main() -> None:
    lake = Path(sys.argv[1])
    tables = {table.name: findings(lake, table) for table in TABLES}
    full_load_bytes = sum(full_load(lake, table).stat().st_size for table in TABLES)
    cdc_bytes = sum(newest_cdc(lake, table).stat().st_size for table in TABLES)
    print(json.dumps({"tables": tables, "full_load_bytes": full_load_bytes, "cdc_bytes": cdc_bytes}))


if __name__ == "__main__":
    main()
