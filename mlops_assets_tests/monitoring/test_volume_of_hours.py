"""What an hour is measured by: the same hour, of its weekday as soon as there are enough of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from mlops_assets.monitoring.volume import _same_weekday
from mlops_assets.use_case import Partitions

HOURS = Partitions(every="hour", timezone="Europe/Berlin")


def watched(*days: str) -> list[Any]:
    return [SimpleNamespace(day=day) for day in days]


def compared(first: str, hour: str) -> list[str]:
    """The hours that one is measured by, of all from a day on."""
    (of,) = watched(hour)
    return [one.day for one in _same_weekday(watched(*HOURS.between(HOURS.first_of(first), HOURS.before(hour))), of)]


def test_an_hour_is_measured_by_the_same_hour_of_its_weekday() -> None:
    assert compared("2025-10-01", "2025-10-26T05") == ["2025-10-05T05", "2025-10-12T05", "2025-10-19T05"]


def test_while_these_are_too_few_by_the_same_hour_of_all_days() -> None:
    assert compared("2025-10-22", "2025-10-26T05") == [f"2025-10-{day}T05" for day in (22, 23, 24, 25)]
    assert compared("2025-10-24", "2025-10-26T05") == []


def test_an_hour_that_comes_again_is_measured_by_those_of_its_name() -> None:
    again = "2025-10-26T02+0100"
    assert compared("2025-10-22", again) == [f"2025-10-{day}T02" for day in (22, 23, 24, 25, 26)]
