"""The calendar of the flagship: holidays by date and state, and days since salaries were due."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.defs.transactions.calendar import BrazilianCalendar, days_since_pay, easter, holidays, pay_days

EASTERS = (
    "1961-04-02",
    "2000-04-23",
    "2008-03-23",
    "2011-04-24",
    "2019-04-21",
    "2020-04-12",
    "2024-03-31",
    "2038-04-25",
)


@pytest.mark.parametrize("sunday", EASTERS)
def test_easter_is_when_it_was(sunday: str) -> None:
    assert easter(int(sunday[:4])).isoformat() == sunday


@pytest.mark.parametrize(
    ("date", "state", "expected"),
    [
        ("2019-03-05", "SP", True),  # carnival's Tuesday
        ("2019-04-19", "RS", True),  # Good Friday
        ("2019-06-20", "RS", True),  # Corpus Christi
        ("2019-07-09", "SP", True),
        ("2019-07-09", "RJ", False),
        ("2019-11-20", "RJ", True),
        ("2019-11-20", "RS", False),
        ("2024-11-20", "RS", True),
        ("2019-12-25", "", True),
        ("2019-12-25", "OH", True),  # no state of Brazil has the nation's
        ("2019-12-26", "SP", False),
    ],
)
def test_a_holiday_is_one_by_date_and_state(date: str, state: str, expected: bool) -> None:
    keys = pa.table({"home_state": [state], "date": [dt.date.fromisoformat(date)]})
    assert BrazilianCalendar().fetch(keys, "2026-01-01")["holiday"].to_pylist() == [expected]


@pytest.mark.parametrize(
    ("year", "month", "days"),
    [
        (2019, 6, ["2019-06-06"]),  # from a Saturday on
        (2019, 3, ["2019-03-08"]),  # carnival
        (2019, 12, ["2019-12-06", "2019-12-20"]),
        (2025, 11, ["2025-11-06", "2025-11-29"]),  # from a Saturday on; the 30th is a Sunday
    ],
)
def test_salaries_are_due_on_the_fifth_working_day(year: int, month: int, days: list[str]) -> None:
    assert [date.isoformat() for date in pay_days(year, month)] == days


@given(st.dates(dt.date(1950, 1, 1), dt.date(2150, 1, 1)))
def test_every_date_has_its_days_since_salaries_were_due(date: dt.date) -> None:
    since = days_since_pay(date)
    assert 0 <= since < 40
    paid = date - dt.timedelta(days=since)
    assert paid in pay_days(paid.year, paid.month)
    assert easter(date.year).isoweekday() == 7
    assert holidays(date.year) <= holidays(date.year, "SP")
