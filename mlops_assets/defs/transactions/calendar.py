"""Brazilian holidays and pay days, computed: nothing is asked over a network, and no year is missing.

National holidays: laws 662/1949, 6.802/1980, 10.607/2002 and 14.759/2023 (20 November, since 2024); Good Friday by
custom (law 9.093/1995); carnival's Monday and Tuesday and Corpus Christi, on which banks are closed (CMN resolution
4.880/2020). Of the states, the one date that law 9.093/1995 gives each of them, and 20 November where it was a holiday
before 2024. Salaries are due on the fifth working day (CLT, article 459, where Saturday counts), the two halves of the
thirteenth one on 30 November and 20 December (law 4.749/1965), or on the working day before. Towns have holidays, too;
they are not here.
"""

from __future__ import annotations

import datetime as dt
from functools import cache

import pyarrow as pa

NATIONAL = ((1, 1), (4, 21), (5, 1), (9, 7), (10, 12), (11, 2), (11, 15), (12, 25))
FROM_EASTER = (-48, -47, -2, 60)
"""Days from Easter: carnival's Monday and Tuesday, Good Friday, Corpus Christi."""

OF_STATES = {
    "AC": (6, 15), "AL": (9, 16), "AM": (9, 5), "AP": (9, 13), "BA": (7, 2), "CE": (3, 25), "MA": (7, 28),
    "MS": (10, 11), "PA": (8, 15), "PB": (8, 5), "PE": (3, 6), "PI": (10, 19), "PR": (12, 19), "RJ": (4, 23),
    "RN": (10, 3), "RO": (1, 4), "RR": (10, 5), "RS": (9, 20), "SC": (8, 11), "SE": (7, 8), "SP": (7, 9), "TO": (10, 5),
}  # fmt: skip
BLACK_AWARENESS = (11, 20)
BLACK_AWARENESS_NATIONAL = 2024
BLACK_AWARENESS_IN = {"AL": 1995, "RJ": 2002, "MT": 2002, "AP": 2007, "AM": 2010, "SP": 2023}
"""State: first year in which 20 November was a holiday there."""

THIRTEENTH = ((11, 30), (12, 20))
WORKING_DAYS = 5


class BrazilianCalendar:
    """Answers `holiday` and `days_since_pay` for the letters of a state and a date; any other has the nation's."""

    def fetch(self, keys: pa.Table, day: str) -> pa.Table:  # noqa: ARG002 - a calendar is known long before
        """The calendar for the keys `home_state` and `date`."""
        pairs = list(zip(keys["home_state"].to_pylist(), keys["date"].to_pylist(), strict=True))
        holiday = pa.array([date in holidays(date.year, state) for state, date in pairs], pa.bool_())
        since = pa.array([days_since_pay(date) for _, date in pairs], pa.int64())
        return keys.append_column("holiday", holiday).append_column("days_since_pay", since)


@cache
def holidays(year: int, state: str = "") -> frozenset[dt.date]:
    """The holidays of a year in a state, or those of the nation."""
    dates = {dt.date(year, *date) for date in NATIONAL}
    dates |= {easter(year) + dt.timedelta(days=days) for days in FROM_EASTER}
    if year >= BLACK_AWARENESS_IN.get(state, BLACK_AWARENESS_NATIONAL):
        dates.add(dt.date(year, *BLACK_AWARENESS))
    if state in OF_STATES:
        dates.add(dt.date(year, *OF_STATES[state]))
    return frozenset(dates)


@cache
def pay_days(year: int, month: int) -> tuple[dt.date, ...]:
    """The days of a month on which salaries are due, in order."""
    working = [date for date in _days(year, month) if _works(date)]
    due = [dt.date(year, *date) for date in THIRTEENTH if date[0] == month]
    return (working[WORKING_DAYS - 1], *(max(day for day in working if day <= date) for date in due))


def days_since_pay(date: dt.date) -> int:
    """Days since the last day on which salaries were due; 0 on such a day."""
    # early in a month, the last pay day lies in the month before
    before = date.replace(day=1) - dt.timedelta(days=1)
    days = (*pay_days(before.year, before.month), *pay_days(date.year, date.month))
    return min((date - day).days for day in days if day <= date)


def easter(year: int) -> dt.date:
    """Easter Sunday; method: Meeus, 'Astronomical Algorithms' (1991), chapter 8, after Butcher's Almanac of 1876."""
    golden, century, rest = year % 19, year // 100, year % 100
    moon = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (rest // 4) - moon - rest % 4) % 7
    late = (golden + 11 * moon + 22 * weekday) // 451
    month, day = divmod(moon + weekday - 7 * late + 114, 31)
    return dt.date(year, month, day + 1)


def _days(year: int, month: int) -> list[dt.date]:
    first = dt.date(year, month, 1)
    days = (first + dt.timedelta(days=number) for number in range(31))
    return [date for date in days if date.month == month]


def _works(date: dt.date) -> bool:
    return date.isoweekday() < 7 and date not in holidays(date.year)
