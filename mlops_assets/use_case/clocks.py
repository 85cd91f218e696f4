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
def odd_change(timezone: str, year: int) -> str | None:
    """The first day from a year on when the clock is not put on or back by one hour, at a whole hour; None if none."""
    zone = ZoneInfo(timezone)
    moment, day = dt.datetime(max(2, year), 1, 1, tzinfo=dt.UTC), dt.timedelta(days=1)
    until = dt.datetime(min(9990, year + LOOKED_AHEAD), 1, 1, tzinfo=dt.UTC)
    while moment < until:
        if moment.astimezone(zone).utcoffset() != (moment + day).astimezone(zone).utcoffset():
            change = _change_between(zone, moment, moment + day)
            before, after = ((change - one).astimezone(zone) for one in (dt.timedelta(seconds=1), dt.timedelta()))
            by = (after.utcoffset() or dt.timedelta()) - (before.utcoffset() or dt.timedelta())
            if abs(by) != dt.timedelta(hours=1) or after.minute or after.second:
                return before.date().isoformat()
        moment += day
    return None


def _change_between(zone: ZoneInfo, low: dt.datetime, high: dt.datetime) -> dt.datetime:
    """The first second of the offset that holds at the end of a day on which it changes."""
    new = high.astimezone(zone).utcoffset()
    while high - low > dt.timedelta(seconds=1):
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        low, high = (low, middle) if middle.astimezone(zone).utcoffset() == new else (middle, high)
    return high
