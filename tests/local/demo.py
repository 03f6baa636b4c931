"""The whole product on this machine, in one go: `make local`.

Deploys template.yaml onto a local emulation of AWS, then lets the schedule come round for three versions of the sample
dataset, once twice with the same event, and shows what is in the lake. With --keep the servers stay up until Ctrl-C.
"""

from __future__ import annotations

import argparse
import io
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

import pyarrow.parquet

import stack as local
from killer import PowerCut, run_into
from stack import Emulation, Invocation, Programs, Stack, StandIn

TIMES = {1: "2026-11-20T09:00:00Z", 2: "2026-11-20T15:00:00Z", 3: "2026-11-20T21:00:00Z"}
COLUMNS = ["name", "status", "rows", "inserted", "updated", "deleted", "silent_changes"]
HEADINGS = ["table", "status", "rows", "I", "U", "D", "silent"]
PREFIX = "loyalty"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="leave the servers up until Ctrl-C")
    keep = parser.parse_args().keep
    local.exit_on_sigterm()
    programs = timed("built the function and the Kaggle stand-in", local.build)
    with local.emulation() as aws, local.stand_in(programs.stand_in, local.SAMPLE) as kaggle:
        say(f"AWS is played on {aws.endpoint} (IAM enforced), Kaggle on {kaggle.url}")
        failed = show(programs, aws, kaggle)
        if keep:
            stay(aws)
    say("stopped everything that was started")
    return 1 if failed else 0


def show(programs: Programs, aws: Emulation, kaggle: StandIn) -> bool:
    """The story; whether any of its steps failed."""
    parameters = {**local.sample_parameters(kaggle), "Prefix": PREFIX}
    stack = timed("deployed template.yaml", lambda: local.deploy(aws, "demo", programs.binary, parameters))
    stack.accept_plain_http()
    stack.fill_secret()
    say("lifted the bucket's TLS-only policy (there is no TLS on loopback), put the Kaggle key into the stack's secret")
    failed = False
    for version, moment in TIMES.items():
        kaggle.publish(version)
        if version == 3:
            failed |= crash(programs, aws, stack, kaggle, moment)
        failed |= run(stack, f"Version {version} of the dataset, event of {moment}", moment)
        if version == 2:
            failed |= redeliver(stack, moment)
    show_tree(stack)
    show_changes(stack, "clientes", TIMES[2])
    return verify(programs, aws, stack) or failed


def run(stack: Stack, title: str, moment: str) -> bool:
    """One invocation and its report; whether it failed."""
    answer = stack.invoke(local.scheduled_event(moment))
    heading(title)
    if answer.failed:
        print(f"  FAILED  {answer.payload.get('errorType')}: {answer.payload.get('errorMessage')}")
    else:
        print_report(answer)
    return answer.failed


def redeliver(stack: Stack, moment: str) -> bool:
    """The same event once more: it must not write anything."""
    before = stack.objects()
    failed = run(stack, "The same event, delivered a second time", moment)
    changed = sum(before.get(key) != value for key, value in stack.objects().items())
    print(f"  objects written: {changed}")
    return failed or changed > 0


def crash(programs: Programs, aws: Emulation, stack: Stack, kaggle: StandIn, moment: str) -> bool:
    """The same program, started for the coming event, loses its power between the changes of clientes and their full
    load; whether it failed to be killed there."""
    heading(f"A crash: a run of the event of {moment} is killed after it published the changes of clientes")
    before = stack.objects()
    cut = PowerCut("full-load/clientes/clientes.parquet")
    config = str(local.SAMPLE / "config.json")
    command = [str(programs.binary), "run", "--config", config, "--lake", stack.lake, "--run-at", moment]
    account = {"KAGGLE_USERNAME": local.KAGGLE_USER, "KAGGLE_KEY": local.KAGGLE_KEY, "KAGGLE_API_ENDPOINT": kaggle.url}
    code = run_into(cut, command, {**aws.environment(), **account})
    print_crash(stack, before, code)
    print("  the full load of clientes is behind its changes now; the event itself still comes:")
    return not cut.struck.is_set()


def print_crash(stack: Stack, before: dict[str, tuple[str, int]], code: int) -> None:
    """How the program ended, and what it has written."""
    print(f"  killed by signal {-code}" if code < 0 else f"  ended with exit code {code}")
    for key, value in sorted(stack.objects().items()):
        if before.get(key) != value:
            print(f"  left behind: {key}")


def print_report(answer: Invocation) -> None:
    report = answer.payload
    version = report["source"]["position"]
    print(f"  {report['status']}, source version {version}, {answer.elapsed_s:.2f} s\n")
    print_table(HEADINGS, [[table[column] for column in COLUMNS] for table in report["tables"]])
    for table in report["tables"]:
        for warning in table.get("warnings", []):
            print(f"  note, {table['name']}: {warning}")


def show_tree(stack: Stack) -> None:
    """Every object of the lake, as a tree."""
    heading(f"The lake, {stack.lake}")
    shown: list[str] = []
    for key, (_, size) in sorted(stack.objects().items()):
        *folders, name = key.split("/")
        for depth, folder in enumerate(folders):
            if shown[: depth + 1] != folders[: depth + 1]:
                print(f"  {'  ' * depth}{folder}/")
                shown = folders[: depth + 1]
        shown = folders
        print(f"  {'  ' * len(folders)}{name:<48} {size:>8,} bytes")


def show_changes(stack: Stack, table: str, moment: str) -> None:
    """The rows of one CDC file, some of each kind of change."""
    key = cdc_key(stack.prefix, table, moment)
    heading(f"Some rows of {key}")
    if key not in stack.objects():
        print("  it does not exist")
        return
    rows = pyarrow.parquet.read_table(io.BytesIO(stack.read(key))).to_pylist()
    some = [row for op in "IUD" for row in [row for row in rows if row["op"] == op][:2]]
    columns = [name for name in rows[0] if name == "op" or not name.startswith("fl")]
    print_rows(columns, some)


def print_rows(columns: list[str], rows: list[dict[str, Any]]) -> None:
    print_table(columns, [[brief(row[column]) for column in columns] for row in rows])


def verify(programs: Programs, aws: Emulation, stack: Stack) -> bool:
    """Lets the command line replay the CDC files and compare; whether it found a difference."""
    heading("cdc-to-s3 verify: do the CDC files, replayed in order, give the full-load?")
    return run_verify(programs, aws, stack, local.SAMPLE / "config.json")


def run_verify(programs: Programs, aws: Emulation, stack: Stack, config: Path) -> bool:
    """Prints what `verify` says; whether it found a difference."""
    command = [str(programs.binary), "verify", "--config", str(config), "--lake", stack.lake]
    with tempfile.TemporaryDirectory() as home:
        environment = {**aws.environment(), "HOME": home}
        code = subprocess.run(command, cwd=home, env=environment, check=False).returncode
    print(f"  exit code {code}\n")
    return code != 0


def stay(aws: Emulation) -> None:
    """Waits for Ctrl-C."""
    heading("Still up; Ctrl-C ends it. In another terminal:")
    for name, value in aws.environment().items():
        if name.startswith("AWS_"):
            print(f"  export {name}={value}")
    print(f"  cargo run -- verify --config {local.SAMPLE / 'config.json'} --lake <the lake above>", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print()


def cdc_key(prefix: str, table: str, moment: str) -> str:
    """The name that DESIGN gives to a CDC object."""
    stamp = moment.replace("-", "").replace(":", "").replace("T", "_").removesuffix("Z")
    return "/".join(filter(None, [prefix, "cdc", table, f"{table}_{stamp}.parquet"]))


def print_table(headings: list[str], rows: list[list[Any]]) -> None:
    cells = [[str(cell) for cell in row] for row in [headings, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells)]
    right = [bool(rows) and all(isinstance(row[place], int) for row in rows) for place in range(len(headings))]
    for row in cells:
        padded = [cell.rjust(width) if numbers else cell.ljust(width) for cell, width, numbers in zip(row, widths, right)]
        print("  " + "  ".join(padded).rstrip())


def brief(cell: Any) -> str:
    text = "" if cell is None else str(cell)
    return text if len(text) <= 26 else text[:8] + "…"


def heading(text: str) -> None:
    print(f"\n{text}", flush=True)


def say(text: str) -> None:
    print(f"• {text}", flush=True)


def timed(text: str, action: Callable[[], Any]) -> Any:
    begun = time.monotonic()
    result = action()
    say(f"{text} ({time.monotonic() - begun:.1f} s)")
    return result


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]} {error.cmd[1]} failed with exit code {error.returncode}")
