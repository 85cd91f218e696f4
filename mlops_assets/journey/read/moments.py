"""In: the text of a date or timestamp. Out: the moment that it is, by the format of its column; or none."""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache

from mlops_assets.use_case import Column

WIDTHS = {"Y": 4, "y": 2, "m": 2, "d": 2, "H": 2, "I": 2, "M": 2, "S": 2, "j": 3}
"""Directives of strptime that are digits, and how many they are when written in full."""


MOST_KNOWN, LONGEST_KNOWN = 2_000, 40
"""Texts whose moments are remembered, and how long they may be: the dates of one file are those of the next."""


class Moments:
    """Reads texts by `strptime`, so that 31.02. is none, without what it passes over.

    Parameters
    ----------
    column
        Its `format` says how they are written, its `zone` what becomes of an offset.
    """

    def __init__(self, column: Column) -> None:
        self._form = column.strptime
        self._is_date = column.type == "date"
        self._as_written = column.zone == "as written"
        self._runs = _joined_runs(self._form)
        self._remembered = lru_cache(maxsize=MOST_KNOWN)(self._read)

    def __call__(self, text: str | None) -> dt.date | None:
        """The date of a text, or for timestamps its moment; None where it is not of the format."""
        if text is None:
            return None
        return self._remembered(text) if len(text) <= LONGEST_KNOWN else self._read(text)

    def _read(self, text: str) -> dt.date | None:
        if not self._is_written_in_full(text):
            return None
        try:
            moment = dt.datetime.strptime(text, self._form)
            if self._is_date:
                return moment.date()
            if moment.tzinfo and not self._as_written:
                moment = moment.astimezone(dt.UTC)
        except (ValueError, OverflowError):  # the first or last hours of the calendar lie beyond it in UTC
            return None
        return moment.replace(tzinfo=None)

    def _is_written_in_full(self, text: str) -> bool:
        """Whether digits are those of ASCII, and as many as there must be where two fields join: 1122023 is no date."""
        if not text.isascii() and any(sign.isdecimal() and not sign.isascii() for sign in text):
            return False
        if not any(self._runs):
            return True
        written = [len(run) for run in re.findall(r"\d+", text)]
        return len(written) >= len(self._runs) and all(
            digits == run for digits, run in zip(written, self._runs, strict=False) if run
        )


def _joined_runs(form: str) -> list[int]:
    """Of each run of digits in a format: how many they are if it joins several fields, else 0."""
    runs = re.findall(r"(?:%[YymdHIMSjf]|\d)+", form)
    fields = [re.findall(r"%([a-zA-Z])", run) for run in runs]
    return [sum(WIDTHS.get(field, 0) for field in some) if len(some) > 1 and "f" not in some else 0 for some in fields]
