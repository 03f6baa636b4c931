"""The whole job against DuckDB, Polars and pandas: `make bench`.

A zip of CSVs and the previous full load in, the new full load and the changes out, on a local folder. All contenders work
on the same files in turn, round by round, each run in a process of its own, and must find the same changes. The tables
go to stdout and to target/bench/results.md, all figures to results.json beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import results
from cold_start import cold_starts
from contenders import MODES, NAMES, OURS, Contender, Run, Stage, check_agreement, contender, write_config
from measure import Failed, bare_environment, machine, run
from results import Series
from unchanged import unchanged_runs

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "target" / "bench"
LEAST_FREE_BYTES_PER_ROW = 1_200  # both zips, the CSVs unpacked, and a lake for each contender and mode


def main() -> None:
    arguments = parsed()
    PLACE.mkdir(parents=True, exist_ok=True)
    binary = built()
    environment = bare_environment(PLACE / "scratch")
    configs = {mode: write_config(PLACE / f"{mode}.json", mode) for mode in MODES}
    fighters = [contender(name, binary, configs.__getitem__) for name in arguments.contenders]
    series = []
    for rows in arguments.rows:
        stage = Stage(data(rows), PLACE / "lakes", environment)
        series += compared(stage, rows, fighters, arguments.modes, arguments.rounds)
    figures = small_figures(binary, configs["date"], data(min(arguments.rows)), environment)
    publish(arguments.name, machine(binary), series, figures)


def parsed() -> argparse.Namespace:
    """The arguments; the environment gives their defaults."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for flag, kind, default, meaning in [
        ("rows", listed(int), "1000000", "of the larger table; several by commas"),
        ("rounds", int, "5", "each contender runs once a round and mode"),
        ("contenders", listed(NAMES), ",".join(NAMES), "by commas"),
        ("modes", listed(MODES), ",".join(MODES), "by commas"),
    ]:
        variable = f"BENCH_{flag.upper()}"
        given = os.environ.get(variable) or default
        parser.add_argument(f"--{flag}", type=kind, default=given, help=f"{meaning}; also {variable}")
    parser.add_argument("--name", default="results", help="of the files written")
    return parser.parse_args()


def listed(kind: Any) -> Any:
    """Parses values set apart by commas: of a type, or out of a list of words."""
    def parse(text: str) -> list[Any]:
        if isinstance(kind, list) and (unknown := set(text.split(",")) - set(kind)):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not among {', '.join(kind)}")
        return [value if isinstance(kind, list) else kind(value) for value in text.split(",")]
    return parse


def built() -> Path:
    """The release binary: that of `CDC_BENCH_BINARY`, or built here."""
    if named := os.environ.get("CDC_BENCH_BINARY"):
        return Path(named).resolve()
    subprocess.run(["cargo", "build", "--locked", "--release", "--bin", OURS], cwd=ROOT, check=True)
    metadata = subprocess.run(
        ["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"], cwd=ROOT, check=True, capture_output=True,
    )
    return Path(json.loads(metadata.stdout)["target_directory"]) / "release" / OURS


def data(rows: int) -> Path:
    """The folder with both versions, made unless this generator has made it before."""
    generator = ROOT / "benches" / "peers" / "generate.py"
    folder = PLACE / f"data-{rows}-{zlib.crc32(generator.read_bytes()):08x}"
    if not (folder / ".ready").exists():
        if shutil.disk_usage(PLACE).free < rows * LEAST_FREE_BYTES_PER_ROW:
            sys.exit(f"{rows:,} rows need {rows * LEAST_FREE_BYTES_PER_ROW / 1e9:.0f} GB of disk")
        say(f"making {rows:,} + {rows // 20:,} rows, twice")
        subprocess.run([sys.executable, generator, folder, str(rows)], check=True)
        (folder / ".ready").touch()
    return folder


def compared(stage: Stage, rows: int, fighters: list[Contender], modes: list[str], rounds: int) -> list[Series]:
    """All rounds on one number of rows. Who begins, changes from round to round."""
    for mode in modes:
        for one in fighters:
            say(f"{rows:,} rows, {mode} mode: {one.name} reads the first version")
            stage.prepared(one, mode)
    runs: dict[tuple[str, str], list[Run]] = {(one.name, mode): [] for mode in modes for one in fighters}
    for number in range(rounds):
        for mode in modes:
            first = number % len(fighters)
            for one in fighters[first:] + fighters[:first]:
                measured = stage.measured(one, mode)
                runs[one.name, mode].append(measured)
                say(f"round {number + 1} of {rounds}, {mode} mode: {one.name} {measured.cost}")
            check_agreement(mode, {one.name: runs[one.name, mode][-1] for one in fighters})
    shutil.rmtree(stage.lakes)
    return [summed(name, mode, rows, stage.data / "v2.zip", own) for (name, mode), own in runs.items()]


def summed(name: str, mode: str, rows: int, archive: Path, runs: list[Run]) -> Series:
    """One contender's figures in one mode, a figure for each round."""
    with zipfile.ZipFile(archive) as opened:
        csv_bytes = sum(member.file_size for member in opened.infolist())
    costs, found = [one.cost for one in runs], runs[-1].found
    return {
        "contender": name, "mode": mode, "rows": rows, "csv_bytes": csv_bytes, "zip_bytes": archive.stat().st_size,
        "wall_s": [cost.wall_s for cost in costs], "cpu_s": [cost.cpu_s for cost in costs],
        "peak_bytes": [cost.peak_bytes for cost in costs], **found,
    }


def small_figures(binary: Path, config: Path, versions: Path, environment: dict[str, str]) -> dict[str, dict[str, float]]:
    """The start of the program, and a run that finds nothing new."""
    figures = {}
    if Path("/proc/self/status").exists():
        say("cold starts")
        times, resident = cold_starts(binary)
        figures["process start to first poll"] = results.small_figure(times, [mib * 2**20 / 1e6 for mib in resident])
    say("runs on an unchanged version")
    lake = PLACE / "lakes" / "unchanged"
    costs = unchanged_runs(binary, config, lake, versions / "v1.zip", environment)
    shutil.rmtree(lake.parent)
    times, resident = [one.wall_s * 1000 for one in costs], [one.peak_bytes / 1e6 for one in costs]
    figures["unchanged version, whole run"] = results.small_figure(times, resident)
    return figures


def publish(name: str, facts: dict[str, Any], series: list[Series], figures: dict[str, dict[str, float]]) -> None:
    text = results.page(facts, series, figures)
    (PLACE / f"{name}.md").write_text(text)
    (PLACE / f"{name}.json").write_text(json.dumps({"machine": facts, "series": series, "small": figures}, indent=1))
    print(text)
    say(f"written to {(PLACE / name).relative_to(ROOT)}.md and .json")


def say(text: str) -> None:
    print(f"• {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(str(error))
