"""The SQL Server job on this machine, in one go: `make local-sqlserver`.

Deploys template.yaml onto a local emulation of AWS, with a stand-in for a SQL Server database beside it, and lets the
schedule come round at each moment of the database's history: the first load, changes, nothing new, and changes whose
first run is killed.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys

import pyarrow.parquet

import stack as local
from demo import heading, print_crash, print_rows, print_table, run_verify, say, show_tree, timed
from killer import PowerCut, run_into
from stack import Database, Emulation, Programs, Stack

COLUMNS = ["name", "status", "rows", "inserted", "updated", "deleted", "position"]
HEADINGS = ["table", "status", "rows", "I", "U", "D", "position"]
CONFIG = local.SHOP / "config.json"


def main() -> int:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    local.exit_on_sigterm()
    programs = timed("built the function and the stand-in for SQL Server", local.build)
    with local.emulation() as aws, local.database(programs.database) as database:
        say(f"AWS is played on {aws.endpoint} (IAM enforced), SQL Server on {database.host}:{database.port}")
        failed = show(programs, aws, database)
    say("stopped everything that was started")
    return 1 if failed else 0


def show(programs: Programs, aws: Emulation, database: Database) -> bool:
    """The story; whether any of its steps failed."""
    parameters = {**local.shop_parameters(local.keep_login(aws, database)), "Prefix": "shop"}
    stack = timed("deployed template.yaml", lambda: local.deploy(aws, "shop", programs.binary, parameters))
    stack.accept_plain_http()
    say("lifted the bucket's TLS-only policy (there is no TLS on loopback); the login is in a secret in the format of RDS")
    first = local.shop_history()["moments"][0]["time"]
    failed = run(stack, "The first load of Orders, and the captured changes of Payments from the earliest on", first)
    failed |= run(stack, "Five minutes later", database.move_on())
    failed |= idle(stack, database.move_on())
    failed |= crash(programs, aws, stack, last := database.move_on())
    failed |= run(stack, "The event itself: it finishes what the killed run began", last)
    show_tree(stack)
    show_changes(stack, "Orders")
    heading("cdc-to-s3 verify: do the CDC files form a chain, from the first load to the position, without gap or overlap?")
    return run_verify(programs, aws, stack, CONFIG) or failed


def run(stack: Stack, title: str, moment: str) -> bool:
    """One invocation and its report; whether it failed."""
    answer = stack.invoke(local.scheduled_event(moment))
    heading(f"{title} (event of {moment})")
    report = answer.payload
    if answer.failed:
        print(f"  FAILED  {report.get('errorType')}: {report.get('errorMessage')}")
        return True
    print(f"  {report['status']}, the log was read up to {report['source']['position']}, {answer.elapsed_s:.2f} s\n")
    print_table(HEADINGS, [[table[column] for column in COLUMNS] for table in report["tables"]])
    for table in report["tables"]:
        for warning in table.get("warnings", []):
            print(f"  note, {table['name']}: {warning}")
    return False


def idle(stack: Stack, moment: str) -> bool:
    """Nothing was changed: only the positions may move."""
    before = stack.objects()
    failed = run(stack, "Nothing has been changed meanwhile", moment)
    written = sorted(key for key, value in stack.objects().items() if before.get(key) != value)
    print(f"  objects written: {', '.join(written) or 'none'}")
    return failed or any("/_state/" not in key for key in written)


def crash(programs: Programs, aws: Emulation, stack: Stack, moment: str) -> bool:
    """The same program, started for the coming event, loses its power when it has published the changes of Orders, before it
    can note that; whether it failed to be killed there."""
    heading(f"A crash: a run of the event of {moment} is killed after it published the changes of Orders")
    before = stack.objects()
    cut = PowerCut(cdc_key("Orders", moment), after=True)
    command = [str(programs.binary), "run", "--config", str(CONFIG), "--lake", stack.lake, "--run-at", moment]
    print_crash(stack, before, run_into(cut, command, aws.environment()))
    return not cut.struck.is_set()


def show_changes(stack: Stack, table: str) -> None:
    """The rows of a table's CDC files, in order."""
    heading(f"The changes of {table}")
    keys = sorted(key for key in stack.objects() if f"/{table}/cdc/" in key)
    rows = [row for key in keys for row in pyarrow.parquet.read_table(io.BytesIO(stack.read(key))).to_pylist()]
    hidden = {"_seq", "_operation", "_unavailable", "_overlap"}
    print_rows([name for name in rows[0] if name not in hidden] if rows else [], rows)


def cdc_key(table: str, moment: str) -> str:
    """The end of the key of a CDC object."""
    stamp = moment.translate(str.maketrans("T", "_", "-:Z"))
    return f"/{table}/cdc/{table}_cdc_{stamp}.parquet"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]} {error.cmd[1]} failed with exit code {error.returncode}")
