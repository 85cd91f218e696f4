"""Clocks of time zones: whether there is such a zone, and whether its hours can be told apart."""

from __future__ import annotations

import datetime as dt
from difflib import get_close_matches
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

LOOKED_AHEAD = 12
"""Years in which changes of the clock are looked at."""


def check_zone(name: str) -> None:
    """See that there is a time zone.

    Raises
    ------
    ValueError
        If not, with those that are spelled alike.
    """
    if name not in _zones():
        near = get_close_matches(name, _zones(), 3)
        raise ValueError(f"there is no time zone {name!r}" + (f"; is it {' or '.join(near)}?" if near else ""))


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())  # which looks at some hundred files


@lru_cache(maxsize=256)
def odd_change(timezone: str, start: dt.date) -> str | None:
    """The first day from a day on when the clock is not put on or back by one hour, at a whole hour; None if none."""
    zone = ZoneInfo(timezone)
    day, first = dt.timedelta(days=1), start if start.year > 1 else dt.date(2, 1, 1)
    moment = dt.datetime.combine(first, dt.time(), zone).astimezone(dt.UTC)
    until = dt.datetime(min(9990, first.year + LOOKED_AHEAD), 1, 1, tzinfo=dt.UTC)
    while moment < until:
        if moment.astimezone(zone).utcoffset() != (moment + day).astimezone(zone).utcoffset():
            change = _change_between(zone, moment, moment + day)
            before, after = ((change - one).astimezone(zone) for one in (dt.timedelta(seconds=1), dt.timedelta()))
            by = (after.utcoffset() or dt.timedelta()) - (before.utcoffset() or dt.timedelta())
            if abs(by) != dt.timedelta(hours=1) or after.minute or after.second:
                return before.date().isoformat()
        moment += day
    return None


def missing_day(timezone: str, first: dt.date, last: dt.date) -> dt.date | None:
    """The calendar day between two others that a zone does not have, as it went over the date line; None if none."""
    zone, day = ZoneInfo(timezone), dt.timedelta(days=1)
    offsets = [dt.datetime.combine(date, dt.time(12), zone).utcoffset() or dt.timedelta() for date in (first, last)]
    if abs(offsets[1] - offsets[0]) < day / 2:
        return None  # most zones: no day needs to be looked at
    while first <= last:
        noon = dt.datetime.combine(first, dt.time(12), zone)
        if noon.astimezone(dt.UTC).astimezone(zone).date() != first:
            return first
        first += day
    return None


def _change_between(zone: ZoneInfo, low: dt.datetime, high: dt.datetime) -> dt.datetime:
    """The first second of the offset that holds at the end of a day on which it changes."""
    new = high.astimezone(zone).utcoffset()
    while high - low > dt.timedelta(seconds=1):
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        low, high = (low, middle) if middle.astimezone(zone).utcoffset() == new else (middle, high)
    return high
