"""Markdown tables of records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.records import Record
from benchmarks.ways import WAYS

HEAD = ("way", "files", "s", "files/s", "rows/s", "CPU s per 1M rows", "peak MiB", "times slower than ours")


def table(records: Sequence[Record], middle: Sequence[Record], rate: float | None = None) -> str:
    """The lines of some records; with the rate of ours, its ratio to each as a further column."""
    order = list(WAYS)
    rows = []
    for record in sorted(records, key=lambda record: order.index(record.way)):
        row = line(record, middle)
        if rate is not None:
            row.append("" if record.way == "ours" else short(rate * record.seconds / record.files))
        rows.append(row)
    return markdown(HEAD if rate is None else (*HEAD, "the same, each at its most files"), rows)


def line(record: Record, middle: Sequence[Record]) -> list[str]:
    """One record as the cells under `HEAD`."""
    rate = f"{record.rows / record.seconds:,.0f}" if record.rows else ""
    cpu = f"{record.cpu / record.rows * 1e6:,.1f}" if record.rows else ""
    seconds, files = f"{record.seconds:,.1f}", f"{record.files / record.seconds:,.0f}"
    title = WAYS[record.way].title
    return [title, f"{record.files:,}", seconds, files, rate, cpu, mib(record.peak), _ratio(record, middle)]


def _ratio(record: Record, middle: Sequence[Record]) -> str:
    ours = [other for other in middle if other.way == "ours" and other.cache == record.cache]
    if not ours or record.way == "ours":
        return ""
    nearest = min(ours, key=lambda other: abs(other.files - record.files))
    ratio = (record.seconds / record.files) / (nearest.seconds / nearest.files)
    at = "" if nearest.files == record.files else f" (ours at {nearest.files:,})"
    return short(ratio) + at


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
