"""Who does the whole job: what is started for it, and the lake that it starts from."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from measure import Cost, Failed, cores, run

PEERS = Path(__file__).resolve().parent / "peers"
OURS = "cdc-to-s3"
NAMES = [OURS, "duckdb", "polars", "pandas"]
MODES = ["date", "content"]

Command = Callable[[Path, Path, str], list[str | Path]]  # for this archive, this lake and this mode


@dataclass(frozen=True)
class Contender:
    """One of `NAMES`."""

    name: str
    command: Command


def contender(name: str, binary: Path, config: Callable[[str], Path]) -> Contender:
    """The contender of that name; `config` says where the configuration of a mode is."""
    if name == OURS:
        flags = ["run", "--once", "--json"]
        return Contender(name, lambda archive, lake, mode: [
            binary, *flags, "--skip-download", archive, "--config", config(mode), "--lake", lake,
        ])
    job = PEERS / f"{name}_job.py"
    return Contender(name, lambda archive, lake, mode: [sys.executable, job, archive, lake, mode, str(cores())])


def write_config(path: Path, mode: str) -> Path:
    """The configuration of cdc-to-s3 for the tables of `generate.py`."""
    tables = [
        {"name": "vendas", "sep": ";", "pk": "idVenda", "date_field": "dtAtualizacao", "update_detection": mode},
        {"name": "produtos", "sep": ";", "pk": "idProduto"},
    ]
    path.write_text(json.dumps({"dataset_name": "bench/whole-job", "tables": tables}))
    return path


@dataclass(frozen=True)
class Run:
    """One measured run: its cost, and what it found (see `peers/findings.py`)."""

    cost: Cost
    found: dict[str, Any]


class Stage:
    """The files of one number of rows, and the lakes that the contenders made of the first version."""

    def __init__(self, data: Path, lakes: Path, environment: dict[str, str]) -> None:
        self.data, self.lakes, self.environment = data, lakes, environment
        shutil.rmtree(lakes, ignore_errors=True)

    def prepared(self, one: Contender, mode: str) -> Path:
        """The lake after the first version, made on demand."""
        lake = self.lakes / f"{one.name}-{mode}"
        if not lake.exists():
            lake.mkdir(parents=True)
            run(one.command(self.data / "v1.zip", lake, mode), self.environment)
        return lake

    def measured(self, one: Contender, mode: str) -> Run:
        """One run on the second version, in a copy of the prepared lake that is thrown away afterwards."""
        prepared, lake = self.prepared(one, mode), self.lakes / "measured"
        shutil.copytree(prepared, lake)
        try:
            cost, _ = run(one.command(self.data / "v2.zip", lake, mode), self.environment)
            _, found = run([sys.executable, PEERS / "findings.py", lake], self.environment)
        finally:
            shutil.rmtree(lake)
        return Run(cost, json.loads(found))


def check_agreement(mode: str, runs: dict[str, Run]) -> None:
    """Refuses to compare contenders that did not find the same."""
    tables = {name: one.found["tables"] for name, one in runs.items()}
    if len({json.dumps(found, sort_keys=True) for found in tables.values()}) > 1:
        listed = "\n".join(f"  {name}: {json.dumps(found)}" for name, found in tables.items())
        raise Failed(f"the contenders do not agree on the changes in {mode} mode:\n{listed}")
