"""In: days with how they stand. Out: months as people hang them on a wall, the newest first."""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_assets.use_case.partitions import date_of


@dataclass(frozen=True)
class Month:
    """A month.

    Attributes
    ----------
    name
        Such as `January 2026`.
    weeks
        From Monday to Sunday, each a list of days, `YYYY-MM-DD`; None for those of other months.
    """

    name: str
    weeks: Sequence[Sequence[str | None]]


def months(days: Sequence[str]) -> list[Month]:
    """The months of some days, the newest first.

    Examples
    --------
    >>> [month.name for month in months(["2026-01-31", "2026-03-01"])]
    ['March 2026', 'January 2026']
    >>> months(["2026-02-01"])[0].weeks[0]
    [None, None, None, None, None, None, '2026-02-01']
    """
    return [_month(name) for name in sorted({day[:7] for day in days}, reverse=True)]


def _month(name: str) -> Month:
    year, number = map(int, name.split("-"))
    weeks = calendar.Calendar().monthdatescalendar(year, number)
    shown = [[day.isoformat() if day.month == number else None for day in week] for week in weeks]
    return Month(f"{calendar.month_name[number]} {year}", shown)


def newest_months(days: Sequence[str], number: int, signs: int = 7) -> tuple[list[str], str | None]:
    """The days of the newest months, and the last of those before them; None if these are all.

    Parameters
    ----------
    days
        The newest first.
    number
        How many months that have a day.
    signs
        By how many signs a key tells its month; by 10 it tells its calendar day, of which there are so many then.

    Examples
    --------
    >>> newest_months(["2026-03-01", "2026-01-31", "2025-12-24"], 2)
    (['2026-03-01', '2026-01-31'], '2025-12-24')
    """
    chosen = sorted({day[:signs] for day in days}, reverse=True)[:number]
    shown = [day for day in days if day[:signs] in chosen]
    return shown, days[len(shown)] if len(shown) < len(days) else None


def in_words(day: str) -> str:
    """A day as people say it.

    Examples
    --------
    >>> in_words("2026-01-31"), in_words("2026-10-25T02+0100")
    ('Saturday, 31 January 2026', 'Sunday, 25 October 2026, from 02:00 on (UTC+01:00)')
    """
    date, hour, offset = date_of(day), day[11:13], day[13:]
    said = f"{calendar.day_name[date.weekday()]}, {date.day} {calendar.month_name[date.month]} {date.year}"
    if hour:
        said += f", from {hour}:00 on"
    return f"{said} (UTC{offset[:3]}:{offset[3:]})" if offset else said


def by_day(days: Sequence[str]) -> dict[str, list[str]]:
    """Hours by their calendar day, as the days come.

    Examples
    --------
    >>> by_day(["2026-03-01T01", "2026-03-01T00", "2026-02-28T23"])
    {'2026-03-01': ['2026-03-01T01', '2026-03-01T00'], '2026-02-28': ['2026-02-28T23']}
    """
    found: dict[str, list[str]] = {}
    for day in days:
        found.setdefault(day[:10], []).append(day)
    return found


def counted(told: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """How many days stand how."""
    found: dict[str, int] = {}
    for one in told.values():
        found[one["state"]] = found.get(one["state"], 0) + 1
    return found
