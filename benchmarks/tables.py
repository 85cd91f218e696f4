"""Markdown tables of records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.records import Record
from benchmarks.ways import WAYS

HEAD = (
    *("way", "files", "runs", "CPU s per 1M rows", "times the CPU of ours"),
    *("CPU s", "s", "files/s", "rows/s", "peak MiB", "times slower than ours"),
)


def table(records: Sequence[Record], middle: Sequence[Record], best: float | None = None) -> str:
    """The lines of some records; with the CPU seconds a row of ours, their ratio to each as a further column."""
    order = list(WAYS)
    rows = []
    for record in sorted(records, key=lambda record: order.index(record.way)):
        row = line(record, middle)
        if best is not None:
            row.append("" if record.way == "ours" else short(a_row(record) / best))
        rows.append(row)
    return markdown(HEAD if best is None else (*HEAD, "times the CPU, each at its most files"), rows)


def line(record: Record, middle: Sequence[Record]) -> list[str]:
    """One record as the cells under `HEAD`."""
    nearest, at = _ours(record, middle)
    cpu = short(a_row(record) / a_row(nearest)) + at if nearest else ""
    slower = short(record.seconds / record.files / (nearest.seconds / nearest.files)) + at if nearest else ""
    rates = f"{record.files / record.seconds:,.0f}", f"{record.rows / record.seconds:,.0f}"
    took = f"{record.cpu:,.1f}", f"{record.seconds:,.1f}", *rates, mib(record.peak)
    head = WAYS[record.way].title, f"{record.files:,}", f"{record.runs}", f"{a_row(record) * 1e6:,.2f}"
    return [*head, cpu, *took, slower]


def a_row(record: Record) -> float:
    """CPU seconds that a row of the day takes."""
    return record.cpu / record.rows


def _ours(record: Record, middle: Sequence[Record]) -> tuple[Record | None, str]:
    """What is compared with: ours at the same number of files or the nearest, and which that is where it differs."""
    ours = [other for other in middle if other.way == "ours" and other.cache == record.cache]
    if not ours or record.way == "ours":
        return None, ""
    nearest = min(ours, key=lambda other: abs(other.files - record.files))
    return nearest, "" if nearest.files == record.files else f" (ours at {nearest.files:,})"


def short(ratio: float) -> str:
    """A positive number with two digits or as a whole."""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.1f}" if ratio >= 1 else f"{ratio:.2g}"


def mib(size: float) -> str:
    """Bytes as MiB."""
    return f"{size / 2**20:,.0f}"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    rule = ["---" if place == 0 else "--:" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *rows))
