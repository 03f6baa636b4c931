"""The figures of all rounds as Markdown tables."""

from __future__ import annotations

import statistics
from typing import Any, Iterable

from contenders import OURS

MEGABYTE = 1e6
HEADINGS = [
    "contender", "mode", "wall s: median (least to most)", "CPU s", "peak MB", "wall against ours", "peak against ours",
    "full load MB", "CDC MB",
]

# One contender in one mode on one number of rows: contender, mode, rows, wall_s, cpu_s, peak_bytes (a figure for each
# round), full_load_bytes, cdc_bytes.
Series = dict[str, Any]


def page(machine: dict[str, Any], series: list[Series], small: dict[str, dict[str, float]]) -> str:
    """All of it."""
    parts = [facts(machine)]
    for rows in sizes(series):
        parts.append(comparison(rows, [one for one in series if one["rows"] == rows]))
    if len(sizes(series)) > 1:
        parts.append(growth(series))
    parts.append(small_figures(small))
    return "\n".join(filter(None, parts))


def facts(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB, {machine['system']}; {versions}\n"


def comparison(rows: int, series: list[Series]) -> str:
    """All contenders on one number of rows. Ratios are medians over the rounds, each of two runs of the same round."""
    lines = [[
        one["contender"], one["mode"], spread(one["wall_s"]), f"{median(one['cpu_s']):.2f}",
        megabytes(median(one["peak_bytes"])), against_ours(one, series, "wall_s"), against_ours(one, series, "peak_bytes"),
        megabytes(one["full_load_bytes"]), megabytes(one["cdc_bytes"], 1),
    ] for one in sorted(series, key=lambda one: one["mode"], reverse=True)]
    first = series[0]
    title = f"## {rows:,} + {rows // 20:,} rows, rounds: {len(first['wall_s'])}"
    volume = f"{megabytes(first['csv_bytes'])} MB of CSV, zipped to {megabytes(first['zip_bytes'])} MB."
    return f"{title}\n\n{volume}\n\n{table(HEADINGS, lines)}"


def growth(series: list[Series]) -> str:
    """From the smallest number of rows to the largest: time as a ratio, memory as bytes for each row more."""
    least, most = min(sizes(series)), max(sizes(series))
    walls = [f"wall s at {rows:,}" for rows in (least, most)]
    headings = ["contender", "mode", *walls, "ratio", "peak MB before", "after", "bytes for each row more"]
    lines = []
    for small in (one for one in series if one["rows"] == least):
        large = next((one for one in series if one["rows"] == most and same(one, small)), None)
        if large:
            walls, peaks = [[median(one[name]) for one in (small, large)] for name in ("wall_s", "peak_bytes")]
            ends = [f"{walls[0]:.2f}", f"{walls[1]:.2f}", f"{walls[1] / walls[0]:.1f}", megabytes(peaks[0]), megabytes(peaks[1])]
            lines.append([small["contender"], small["mode"], *ends, f"{(peaks[1] - peaks[0]) / (most - least):.0f}"])
    return f"## Growth from {least:,} to {most:,} rows\n\n{table(headings, lines)}"


def small_figures(figures: dict[str, dict[str, float]]) -> str:
    """The start and the unchanged version, in milliseconds and MB."""
    headings = ["cdc-to-s3", "ms: median (least to most)", "resident MB", "runs"]
    lines = []
    for name, one in figures.items():
        times = f"{one['median_ms']:.1f} ({one['least_ms']:.1f} to {one['most_ms']:.1f})"
        lines.append([name, times, f"{one['resident_mb']:.0f}", f"{one['runs']:.0f}"])
    return f"## Start, and an unchanged version\n\n{table(headings, lines)}" if figures else ""


def small_figure(times_ms: list[float], resident_mb: list[float]) -> dict[str, float]:
    """What `small_figures` shows of one measurement."""
    ends = {"median_ms": median(times_ms), "least_ms": min(times_ms), "most_ms": max(times_ms)}
    return {**ends, "resident_mb": median(resident_mb), "runs": len(times_ms)}


def against_ours(one: Series, series: list[Series], name: str) -> str:
    ours = next((other for other in series if other["contender"] == OURS and other["mode"] == one["mode"]), None)
    return f"{median(theirs / own for theirs, own in zip(one[name], ours[name])):.1f} ×" if ours else ""


def same(one: Series, other: Series) -> bool:
    return (one["contender"], one["mode"]) == (other["contender"], other["mode"])


def sizes(series: list[Series]) -> list[int]:
    return sorted({one["rows"] for one in series})


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def spread(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def megabytes(count: float, digits: int = 0) -> str:
    return f"{count / MEGABYTE:.{digits}f}"


def table(headings: list[str], lines: list[list[str]]) -> str:
    rows = [headings, ["---"] * len(headings), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
