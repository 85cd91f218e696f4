"""In: what somebody wrote in a notebook. Out: the use case, the day and the shards that are meant, or what to do."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Sequence
from typing import Any

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.storage.tables import Table
from mlops_assets.workspace import Stores, Workspace

MOST_ROWS = 2_000_000
"""Rows that are read into memory without being asked twice."""


def find(use_case: str) -> Stores:
    """What there is of a use case, in the home that the environment names.

    Raises
    ------
    UsageError
        If there is none of that name, or the home is a version by itself.
    """
    workspace = Workspace.from_environment()
    if workspace.settings.alone:
        raise UsageError(f"{workspace.settings.home} is a version by itself, without days; MLOPS_HOME names a home.")
    return workspace.find(use_case)


def find_day(stores: Stores, table: Table[Any], day: str | dt.date | None) -> str:
    """The key of a published day; of the newest one if none is named.

    Raises
    ------
    UsageError
        If the use case has no such day.
    MlopsError
        If it is not published; it says so where there is no champion, without which nothing is predicted.
    """
    name, published = stores.use_case.name, list(table.days())
    key = published[-1] if day is None and published else None
    if day is not None:
        try:
            key = stores.use_case.partitions.read(_written(day, stores.use_case.partitions.every))
        except ValueError as error:
            raise UsageError(f"{name}: {error}.") from None
    if key in published:
        return str(key)
    if table.name == stores.lake.predictions.name and stores.lake.rows.days() and stores.champion() is None:
        raise MlopsError(f"{name}: nothing is predicted: {stores.why_no_champion()}")
    ways = f"`mlops-assets run {name}` makes days, `mlops-assets status {name}` shows them"
    where = f"published in {stores.settings.lake}"
    if not published:
        raise MlopsError(f"{name}: no {table.name} are {where} yet. {ways}; MLOPS_HOME names another home.")
    have = f"{published[0]} to {published[-1]} ({len(published)}) are"
    raise MlopsError(f"{name}: the {table.name} of {key} are not {where}: {have}. {ways}.")


def _written(day: str | dt.date, every: str) -> str:
    """A day as people write it; pandas has no dates without a time, so that midnight stands for its day, too."""
    if not isinstance(day, dt.datetime):
        return str(day)
    return day.strftime("%Y-%m-%dT%H") if every == "hour" or day.time() != dt.time() else str(day.date())


def whole(name: str, value: object) -> int:
    """A whole number that somebody wrote, of Python or of NumPy.

    Parameters
    ----------
    name
        What it is called, for the message.
    value
        What was written.

    Raises
    ------
    UsageError
        If it is none.
    """
    try:
        return operator.index(value)  # type: ignore[arg-type]  # that is what is asked
    except TypeError:
        raise UsageError(f"{name}={value!r}: expected a whole number.") from None


def choose_shards(use_case: str, day: str, rows: int, numbers: Sequence[int], shards: int | None) -> set[int]:
    """Which shards of a day are read: all, or so many, evenly spread; a shard holds files by the hash of their path.

    Parameters
    ----------
    use_case, day
        Whose they are.
    rows
        Rows of the day.
    numbers
        Those of its shards.
    shards
        How many are asked for; None for all.

    Raises
    ------
    UsageError
        If less than one is asked for, or the day is too large to be read by accident.
    """
    if shards is not None and whole("shards", shards) < 1:
        raise UsageError(f"shards={shards}: at least one is read.")
    every = sorted(numbers)
    if shards is None and rows > MOST_ROWS:
        some = max(1, len(every) * MOST_ROWS // rows)
        raise UsageError(
            f"{use_case}: {day} has {rows:,} rows in {len(every)} shards. shards={some} reads as many of them as are "
            f"looked at with ease, drawn by the hash of the files' paths; shards={len(every)} all."
        )
    number = min(shards or len(every), len(every))
    return {every[at * len(every) // number] for at in range(number)}
