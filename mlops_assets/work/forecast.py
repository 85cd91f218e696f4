"""In: what the shards of published days cost. Out: how long the steps of another day will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_report
from mlops_assets.storage.tables import Table

STEPS = (Lake.rows.name, Lake.features.name, Lake.predictions.name)
"""The tables whose making takes time, in the order of the data."""

SAMPLE = 16
"""Shards that are looked at."""


@dataclass(frozen=True)
class Pace:
    """What making one table cost, measured on the newest published day.

    Attributes
    ----------
    seconds_a_row
        Seconds of one worker a row.
    stored_a_row
        Bytes on disk a row.
    rows_a_byte
        Rows a byte of raw file; 0 for tables that are not made of raw files.
    day
        The day that it was measured on; empty where it was tried on a few files.
    """

    seconds_a_row: float
    stored_a_row: float
    rows_a_byte: float
    day: str = ""


def measured(lake: Lake, but: str = "") -> dict[str, Pace]:
    """The pace of every step that was ever measured.

    Parameters
    ----------
    lake
        The tables of a use case.
    but
        A day that tells nothing.
    """
    paces = {table.name: _pace(table, but) for table in (lake.rows, lake.features, lake.predictions)}
    return {step: pace for step, pace in paces.items() if pace is not None}


def _pace(table: Table[Any], but: str) -> Pace | None:
    # the newest day may have no rows, or lie in files that are damaged
    days = (day for day in reversed(table.days()) if day != but)
    return next(filter(None, (_pace_of_day(table, day) for day in days)), None)


def _pace_of_day(table: Table[Any], day: str) -> Pace | None:
    paths, written = sorted(table.parts(day)), table.written(day)
    # what a killed run had done tells no time
    timed = [part for path in paths if (part := written.get(path)) is not None and part.seconds]
    # from all over the day, not its first shards
    chosen = timed[:: max(1, len(timed) // SAMPLE)]
    reports = [(part, report) for part in chosen if (report := read_report(table.folder / part.path)) is not None]
    rows = sum(report["counts"].get("rows", 0) for _, report in reports)
    if not rows:
        return None
    seconds = sum(part.seconds for part, _ in reports)
    stored = sum(part.size for part, _ in reports)
    read = sum(report["counts"].get("bytes", 0) for _, report in reports)
    return Pace(seconds / rows, stored / rows, rows / read if read else 0.0, day)


def expect(paces: dict[str, Pace], steps: Sequence[str], rows: float, workers: int) -> float | None:
    """Seconds that some steps will take.

    Parameters
    ----------
    paces
        What `measured` found.
    steps
        Names out of `STEPS`.
    rows
        Rows to be done.
    workers
        Processes that will do it.

    Returns
    -------
    float or None
        None if one of the steps was never measured.
    """
    if any(step not in paces for step in steps):
        return None
    return sum(paces[step].seconds_a_row for step in steps) * rows / workers
