"""In: when the tables of a day were published, and what its shards cost. Out: how long it took, by its deadline."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.tables import Published
from mlops_assets.use_case.told import Deadline
from mlops_assets.views.days import Known
from mlops_assets.views.status import time_of

MOST_TIMES = 2
"""A day that is much later is drawn as so many times the deadline."""


@dataclass(frozen=True)
class Pace:
    """How long days took, in minutes.

    Attributes
    ----------
    days
        The days, in order.
    minutes
        Of each; None where nobody knows.
    limit
        The deadline, in minutes after the end of the day; None where there is none, and `minutes` is the work of all
        processes together.
    over
        How many days were not published by then.
    """

    days: Sequence[str]
    minutes: Sequence[float | None]
    limit: float | None = None
    over: int = 0

    @property
    def drawn(self) -> list[float | None]:
        """The minutes of each day, those of a day that is much later cut: else nobody would see the others."""
        most = math.inf if self.limit is None else max(MOST_TIMES * self.limit, 60.0)
        return [None if one is None else min(one, most) for one in self.minutes]

    @property
    def last(self) -> str:
        """Minutes of the last day that is known, in words; empty if none is."""
        known = [value for value in self.minutes if value is not None]
        if not known:
            return ""
        return f"{known[-1]:,.0f}" if known[-1] >= 1 else "less than 1"

    @property
    def words(self) -> str:
        """The same for who sees no line."""
        last, number = self.last, len(self.days)
        if not last:
            return "no times are known yet"
        if self.limit is None:
            return f"minutes of work on each of {number} days, all processes together: {last} on the last one"
        said = f"minutes from the end of each of {number} days until it was published: {last} on the last one"
        return f"{said}, {self.limit:,.0f} are allowed; {self.over} of them were late"

    @property
    def short(self) -> str:
        """The same beside the line."""
        if self.limit is None:
            return f"{self.last} {'minute' if self.last in ('1', 'less than 1') else 'minutes'} of work, no deadline"
        late = f"; {self.over} of the last {len(self.days)} days were late" if self.over else ""
        return f"{self.last}, allowed are {self.limit:,.0f}{late}"


def pace(known: Known, days: Sequence[str], now: dt.datetime) -> Pace:
    """How long days took: until they were published where a deadline is set, else the work that was put into them.

    Parameters
    ----------
    known
        What is known of them.
    days
        The days, in order.
    now
        The moment; a day that is due and not published has taken until then.
    """
    stores = known.stores
    deadline = stores.use_case.due
    if deadline is None:
        seconds = [sum(work(stores.lake, day).values()) for day in days]
        return Pace(days, [one / 60 if one else None for one in seconds])
    publications = stores.lake.predictions.publications()
    limit = allowed(deadline)
    found = [_until(deadline, limit, day, publications.get(day), now) for day in days]
    return Pace(days, found, limit, sum(one is not None and one > limit for one in found))


def allowed(deadline: Deadline) -> float:
    """Minutes from the end of a day to its deadline."""
    return deadline.time.hour * 60 + deadline.time.minute


def _until(
    deadline: Deadline, limit: float, day: str, published: Sequence[Published[Any]] | None, now: dt.datetime
) -> float | None:
    """Minutes from the end of a day until it was published first; None if it is not due yet."""
    due = deadline.of(day)
    # who runs a day again later is not late with it
    done = dt.datetime.fromtimestamp(published[0].time / 1000, dt.UTC) if published else now
    if not published and now < due:
        return None
    return max(0.0, limit + (done - due).total_seconds() / 60)


def work(lake: Lake, day: str) -> dict[str, float]:
    """Seconds that processes have worked on a day, runs that were made again included, by table."""
    tables = (lake.rows, lake.features, lake.predictions)
    found = {table.name: sum(part.seconds for part in table.written(day).values()) for table in tables}
    return {name: seconds for name, seconds in found.items() if seconds}


def times(known: Known, day: str) -> dict[str, Any]:
    """When a day came to be.

    Returns
    -------
    dict
        `listed`, `read`, `published`: when its files were listed first, its rows read last, and its predictions
        published first and (`again`) last, None where that was not; `due`, its deadline, or None; `early`, minutes by
        which it was published before that, below 0 if after it; `work`, seconds by table.
    """
    lake, use_case = known.stores.lake, known.stores.use_case
    listed, published = (_moments(table.publications(), day) for table in (lake.raw_files, lake.predictions))
    due = use_case.due.of(day) if use_case.due else None
    first = published[0] if published else None
    early = (due - dt.datetime.fromisoformat(first)).total_seconds() / 60 if due and first else None
    return {
        "listed": listed[0] if listed else None,
        "read": time_of(known.rows[day].time) if day in known.rows else None,
        "published": first,
        "again": published[-1] if len(published) > 1 else None,
        "publications": len(published),
        "due": due.isoformat(timespec="seconds") if due else None,
        "early": early,
        "work": work(lake, day),
    }


def _moments(publications: Mapping[str, Sequence[Published[Any]]], day: str) -> list[str]:
    return [time_of(one.time) for one in publications.get(day, ())]
