"""The whole job by the algorithm of the pandas program that cdc-to-s3 replaces.

Its steps are kept, as they are where its time goes: membership of keys for inserts and deletes; for updates an inner join
of whole tables whose dates are compared after a forced conversion, or, without a date, one Python `hash` of each row of both
tables. It is spared what is only overhead: the previous snapshot comes from typed Parquet instead of CSV, the new CSV is
read once instead of twice, and no column is added to the full load.
"""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from tables import DELIMITER, TABLES, ZSTD_LEVEL, Job, job_from_arguments, unpacked


def run(job: Job) -> None:
    pa.set_cpu_count(job.threads)
    with unpacked(job.archive) as folder:
        for table in TABLES:
            full, new = job.full_load(table), job.new_full_load(table)
            actual = pd.read_csv(folder / f"{table.name}.csv", sep=DELIMITER)
            actual.to_parquet(new, index=False, compression="zstd", compression_level=ZSTD_LEVEL)
            if full.exists():
                found = changes(pd.read_parquet(full), actual, table.key, table.date_in(job.mode))
                found.to_parquet(job.cdc(table), index=False, compression="zstd", compression_level=ZSTD_LEVEL)
            new.replace(full)


def changes(last: pd.DataFrame, actual: pd.DataFrame, key: str, date: str | None) -> pd.DataFrame:
    """The rows that came, changed or went, with their `op`."""
    inserted = actual[~actual[key].isin(last[key])].copy()
    inserted["op"] = "I"
    keys = keys_with_later_date(last, actual, key, date) if date else keys_with_other_hash(last, actual, key)
    updated = actual[actual[key].isin(keys)].copy()
    updated["op"] = "U"
    deleted = last[~last[key].isin(actual[key])].copy()
    deleted["op"] = "D"
    return pd.concat([inserted, updated, deleted], ignore_index=True)


def keys_with_later_date(last: pd.DataFrame, actual: pd.DataFrame, key: str, date: str) -> list:
    both = last.merge(actual, how="inner", on=key, suffixes=("_last", "_actual"))
    before = pd.to_datetime(both[f"{date}_last"], errors="coerce")
    after = pd.to_datetime(both[f"{date}_actual"], errors="coerce")
    return both[after > before][key].tolist()


def keys_with_other_hash(last: pd.DataFrame, actual: pd.DataFrame, key: str) -> list:
    others = [column for column in last.columns if column != key]
    hashed = []
    for rows in (last, actual):
        rows = rows.copy()
        rows["_hash"] = rows[others].apply(lambda row: hash(tuple(row)), axis=1)
        hashed.append(rows[[key, "_hash"]])
    both = hashed[0].merge(hashed[1], how="inner", on=key, suffixes=("_last", "_actual"))
    return both[both["_hash_last"] != both["_hash_actual"]][key].tolist()


if __name__ == "__main__":
    run(job_from_arguments())
