"""What was measured, one record a line, so that an interrupted benchmark loses nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Record:
    """One measured run, or what was found out about the session it belongs to.

    Attributes
    ----------
    session
        When the program was started; runs of one session were made side by side.
    kind
        `run`, `check` (agreement of the predictions) or `session` (machine, model, data).
    way
        Name in `WAYS`.
    files, rows
        Files of the day, and rows that were predicted.
    cache
        `warm`, `cold`, or `as it was`.
    seconds, cpu, peak
        See `benchmarks.measure.Measured`.
    journey
        Ours only: seconds from the start of raw_files to the published predictions.
    runs
        Of how many runs the numbers are the medians.
    error
        Why the run has no result.
    about
        Further facts.
    """

    session: str
    kind: str = "run"
    way: str = ""
    files: int = 0
    rows: int = 0
    cache: str = ""
    seconds: float = 0.0
    cpu: float = 0.0
    peak: int = 0
    journey: float = 0.0
    runs: int = 1
    error: str = ""
    about: dict[str, Any] = field(default_factory=dict)


def append(path: Path, record: Record) -> None:
    """Add a record to the file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(record), ensure_ascii=False) + "\n")


def read(path: Path) -> list[Record]:
    """All records, the oldest first."""
    if not path.exists():
        return []
    return [Record(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def newest(records: Sequence[Record], kind: str) -> list[Record]:
    """For each way, number of files and cache the records of the last session that has any."""
    chosen = [record for record in records if record.kind == kind]
    last: dict[tuple[str, int, str], str] = {}
    for record in chosen:
        last[record.way, record.files, record.cache] = record.session
    return [record for record in chosen if last[record.way, record.files, record.cache] == record.session]


def medians(records: Sequence[Record]) -> list[Record]:
    """One record for each way, number of files and cache: the medians of its good runs; by files and way."""
    groups: dict[tuple[int, str, str], list[Record]] = {}
    for record in newest(records, "run"):
        if not record.error:
            groups.setdefault((record.files, record.way, record.cache), []).append(record)
    return [_median(group) for _, group in sorted(groups.items())]


def _median(group: Sequence[Record]) -> Record:
    measured = ("seconds", "cpu", "peak", "journey")
    middle = {name: median(getattr(record, name) for record in group) for name in measured}
    return Record(**{**asdict(group[-1]), **middle, "runs": len(group)})


def with_rows(middle: Sequence[Record]) -> list[Record]:
    """The same, where the floor, which predicts nothing, has the rows of its day too; without any it is left out."""
    rows = {record.files: record.rows for record in middle if record.rows}
    return [replace(record, rows=rows[record.files]) for record in middle if record.files in rows]
