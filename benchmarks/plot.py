"""The plot of the page: CPU seconds over number of files, both on a logarithmic scale, a line a way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.records import Record
from benchmarks.ways import WAYS

STYLES = {
    "ours": ("#c2410c", "o"),
    "pandas": ("#7c3aed", "^"),
    "batch": ("#be185d", "v"),
    "duckdb": ("#a16207", "s"),
    "polars": ("#0369a1", "D"),
    "spark": ("#15803d", "*"),
    "floor": ("#6b7280", "."),
}
"""Colour and marker of each way."""


def draw(records: Sequence[Record], path: Path) -> None:
    """Draw the runs with a warm cache as SVG; the same records give the same file.

    Parameters
    ----------
    records
        Medians, one for each way, number of files and cache.
    path
        The file to write.
    """
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    with plt.rc_context({"svg.hashsalt": "benchmarks", "font.size": 10}):
        figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
        for way, about in WAYS.items():
            line = [(record.files, record.cpu) for record in records if record.way == way and record.cache == "warm"]
            if line:
                colour, marker = STYLES[way]
                strong = 2.6 if way == "ours" else 1.5
                axes.plot(*zip(*line, strict=True), color=colour, marker=marker, linewidth=strong, label=about.title)
        _finish(axes)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None, "Creator": None}, facecolor="white")
        plt.close(figure)


def _finish(axes: Any) -> None:
    """Scales, a grid, and the names of the ways, the slowest first."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("files (50 rows each)")
    axes.set_ylabel("CPU seconds, the whole command")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.minorticks_off()
    axes.set_xticks(sorted({size for line in axes.lines for size in line.get_xdata()}))
    axes.tick_params(axis="x", rotation=30)
    axes.grid(color="#e5e7eb")
    axes.spines[["top", "right"]].set_visible(False)
    lines = sorted(axes.lines, key=lambda line: line.get_ydata()[-1] / line.get_xdata()[-1], reverse=True)
    axes.figure.legend(handles=lines, loc="outside right upper", frameon=False)
