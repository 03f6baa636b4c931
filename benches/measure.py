"""What one run of a contender costs, and on which machine.

Only the standard library is used here: the peak memory that the kernel reports for a child is at least that of the parent
it was forked from (about 25 MB here), so the parent must stay far below every contender.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes
PACKAGES = ["duckdb", "polars", "pandas", "pyarrow"]


@dataclass(frozen=True)
class Cost:
    """One process from its start to its end: seconds, seconds of all its threads in user and kernel mode, bytes."""

    wall_s: float
    cpu_s: float
    peak_bytes: int

    def __str__(self) -> str:
        return f"{self.wall_s:.2f} s, {self.cpu_s:.2f} CPU s, {self.peak_bytes / 1e6:.0f} MB"


class Failed(Exception):
    """A contender failed, or found something else than the others."""


def run(command: list[str | Path], environment: dict[str, str]) -> tuple[Cost, str]:
    """Runs a command to its end; its cost, and what it printed."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as messages:
        begun = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=messages)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        messages.seek(0)
        if process.returncode != 0:
            last_words = (messages.read() + output.read()).decode(errors="replace")[-2000:]
            raise Failed(f"{' '.join(map(str, command))} ended with exit code {process.returncode}:\n{last_words}")
        return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * MAXRSS_UNIT), output.read().decode()


def bare_environment(scratch: Path) -> dict[str, str]:
    """What any program needs, and none of the caller's credentials, proxies or settings."""
    scratch.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {**kept, "HOME": str(scratch), "TMPDIR": str(scratch)}


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine(binary: Path) -> dict[str, Any]:
    """What the figures depend on; no name of the machine."""
    version = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True).stdout.split()[-1]
    return {
        "cores": cores(),
        "processor": processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {
            "cdc-to-s3": version,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
    }


def processor() -> str:
    """The processor's name, where the kernel tells it."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
