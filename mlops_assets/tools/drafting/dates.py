"""In: the date columns of a table. Out: what a model gets of them: days from one to another, and ages.

A date itself says little of rows to come, for none of them has it again; how long ago it was says as much tomorrow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

from mlops_assets.tools.drafting.columns import Guess

BIRTH = re.compile("birth|born|dob|nasc|geb")
"""Words in the name of a date that says nothing of when a row came to be."""

MOST_GAPS = 6
"""Most gaps between two dates of a row."""

MINUTES_A_DAY = 1440


def gaps(dates: Sequence[Guess], row_date: str | None, name: Callable[[str], str]) -> Iterator[str]:
    """The fields of a `SELECT` of rows `r`, in days.

    With a date by which rows are ordered, each other date is told by how long before it lies. Without one each pair is,
    and a birthday by the age on the day of the file.

    Parameters
    ----------
    dates
        The columns of dates and moments, in their order.
    row_date
        The one by which rows are ordered, if there is one.
    name
        Makes a name that is not taken yet of one that may be.
    """
    if row_date is not None:
        when = next(date for date in dates if date.name == row_date)
        pairs = [(date, when) for date in dates if date is not when]
    else:
        pairs = [*combinations((date for date in dates if not BIRTH.search(date.name)), 2)]
        for date in dates:
            if BIRTH.search(date.name):
                yield f"{_days(date.role, f'r.{date.name}', 'r.day')} AS {name(f'{date.name}_age')}"
    for first, second in pairs[:MOST_GAPS]:
        both = "timestamp" if first.role == second.role == "timestamp" else "date"
        days = _days(both, f"r.{first.name}", f"r.{second.name}")
        yield f"{days} AS {name(f'{first.name}_to_{second.name}')}"


def _days(role: str, first: str, second: str) -> str:
    """Days from one date to another; of two moments, parts of days too."""
    if role == "timestamp" and second != "r.day":
        return f"date_diff('minute', {first}, {second}) / {MINUTES_A_DAY}.0"
    return f"date_diff('day', CAST({first} AS DATE), CAST({second} AS DATE))"
