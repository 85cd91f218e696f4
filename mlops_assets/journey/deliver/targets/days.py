"""A day as databases have it: a date, of hours the text of the key, which no date could tell apart."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlalchemy as sa


def is_hour(day: str) -> bool:
    """Whether a key is that of an hour."""
    return len(day) > len("2026-01-31")


def kind_of(day: str) -> sa.Date | sa.Text:
    """The type of a column of such days."""
    import sqlalchemy as sa

    return sa.Text() if is_hour(day) else sa.Date()


def of_hours(table: str, day: str) -> str:
    """The name of a table that several use cases share: those of hours have one of their own."""
    return f"{table}_hours" if is_hour(day) else table


def value_of(day: str) -> dt.date | str:
    """A day as a value of that column."""
    return day if is_hour(day) else dt.date.fromisoformat(day)
