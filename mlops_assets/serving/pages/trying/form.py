"""The form of rows: its fields, out of the contract of a use case; its examples; and the rows that it brings."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlops_assets.journey.explain.sent import columns_of
from mlops_assets.journey.score.online import Sent
from mlops_assets.journey.score.written import RowsWrong, file_of_rows
from mlops_assets.plugins import import_object
from mlops_assets.serving.schema import column_schema, example_row, takes_rows
from mlops_assets.use_case import Column, UseCase
from mlops_assets.use_case.partitions import date_of

MOST_ROWS = 20
"""Rows of a form; whoever has more has a file."""
CELL = re.compile(r"(\d{1,3})\.(\w+)")
"""The name of a field: number of the row, and column."""
NUMBER = re.compile(r"[+-]?\d{1,400}(?P<part>\.\d{1,400})?(?P<power>[eE][+-]?\d{1,3})?", re.ASCII)
"""A number as browsers send it, whatever the language of the reader."""
SEED = 7
"""That of `mlops-assets sample`: its accounts are known to models that learned from sample days."""

Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Field:
    """A column as a field of a form.

    Attributes
    ----------
    name
        The column.
    kind
        `select`, `textarea`, or a type of `input`.
    help
        What it means and may hold.
    options
        What may be chosen.
    least, most
        Bounds, as the field has them; None where there are none.
    step
        Of numbers: `1` or `any`; of moments, seconds.
    required
        Whether there must be a value.
    """

    name: str
    kind: str
    help: str
    options: tuple[str, ...]
    least: str | None
    most: str | None
    step: str | None
    required: bool


def fields_of(use_case: UseCase) -> list[Field]:
    """The columns that a row may have; none if rows of this use case come in files of its own alone.

    Parameters
    ----------
    use_case
        Its label is left out, which is what is asked for.
    """
    if not takes_rows(use_case):
        return []
    names = [*example_row(use_case)] if use_case.files.reader else [*use_case.columns]
    return [_field(use_case, name) for name in names if name != use_case.label]


def takes_several(use_case: UseCase) -> bool:
    """Whether a file holds more than one row."""
    try:
        file_of_rows(use_case, "a", [example_row(use_case)] * 2)
    except RowsWrong:
        return False
    return True


def _field(use_case: UseCase, name: str) -> Field:
    column = use_case.columns[name]
    bounds = [None if bound is None else _bound(bound) for bound in column.bounds]
    kind, step = _kind(column)
    if name in use_case.training.texts:
        kind = "textarea"
    has_bounds = kind in ("number", "date")
    return Field(
        name,
        kind,
        str(column_schema(column)["description"]),
        ("true", "false") if column.type == "boolean" else column.allowed,
        bounds[0] if has_bounds else None,
        bounds[1] if has_bounds else None,
        step,
        column.required,
    )


def _kind(column: Column) -> tuple[str, str | None]:
    if column.allowed or column.type == "boolean":
        return "select", None
    match column.type:
        case "integer" | "number":
            return "number", "1" if column.type == "integer" else "any"
        case "date":
            return "date", None
        case "timestamp" if "%z" not in column.strptime:
            return "datetime-local", "1"
    return "text", None


def _bound(bound: float | dt.date) -> str:
    return bound.isoformat() if isinstance(bound, dt.date) else f"{bound:.15g}"


def with_example(use_case: UseCase, rows: Rows, day: str) -> list[Mapping[str, str]]:
    """Rows, and an example after them: of the sample of the use case if it has one, else one that its contract allows.

    Parameters
    ----------
    use_case
        What is the same in all rows of its files is taken from the row before.
    rows
        The rows that there are.
    day
        The day of the rows.
    """
    drawn: Mapping[str, Any] = {}
    with suppress(Exception):  # the user's own code; a page has its form all the same
        drawn = _drawn(use_case, max(use_case.start, date_of(day)), len(rows))
    found = {**example_row(use_case), **{name: value for name, value in drawn.items() if not _is_nothing(value)}}
    row = {field.name: _text(found.get(field.name), use_case.columns[field.name]) for field in fields_of(use_case)}
    for name in row:
        if rows and use_case.columns[name].constant:
            row[name] = rows[-1].get(name, "")
    return [*rows, row]


def example_files(use_case: UseCase, day: str) -> list[tuple[str, bytes]]:
    """A file to begin with, and what its records refer to; none if the use case has no sample that draws files."""
    if not (use_case.files.reader and use_case.sample):
        return []
    on = max(use_case.start, date_of(day))
    draw = import_object(use_case.sample)
    return [*draw(np.random.default_rng([SEED, on.toordinal()]), on, 1, 2, 0.0, False)]


def _drawn(use_case: UseCase, day: dt.date, number: int) -> Mapping[str, Any]:
    """A row of a sample file, by its number in it."""
    if use_case.files.reader:
        *_, (name, data) = example_files(use_case, day.isoformat())
        return columns_of(use_case, Sent(name, data))
    if use_case.sample is None:
        return {}
    generators = np.random.default_rng([SEED, day.toordinal()]), np.random.default_rng([SEED, 0])
    frame = import_object(use_case.sample)(*generators, day, 1, MOST_ROWS)
    row: Mapping[str, Any] = frame.iloc[number % len(frame)].to_dict()
    return row


def _is_nothing(value: object) -> bool:
    return value is None or value != value  # noqa: PLR0124  # NaN, and what pandas has for no date


def _text(value: Any, column: Column) -> str:
    """A value as its field has it."""
    if value is None:
        return ""
    if column.type == "boolean":
        return "true" if value in (True, "true") else "false"
    if isinstance(value, dt.date):
        return (value.date() if isinstance(value, dt.datetime) and column.type == "date" else value).isoformat()
    if column.type == "integer":
        return str(int(value))
    return f"{float(value):.10g}" if column.type == "number" else str(value)


def rows_of(fields: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """The rows that the fields of a form hold, in their order."""
    rows: dict[int, dict[str, str]] = {}
    for name, text in fields:
        if found := CELL.fullmatch(name):
            # browsers send the ends of lines of a text in their own way
            rows.setdefault(int(found[1]), {})[found[2]] = text.replace("\r\n", "\n")
    return [rows[number] for number in sorted(rows)]


def as_values(use_case: UseCase, rows: Rows) -> list[dict[str, Any]]:
    """Rows with the values that JSON would have for them: a number is one, whatever decimal sign files have."""
    return [{name: _value(text, use_case.columns.get(name)) for name, text in row.items()} for row in rows]


def _value(text: str, column: Column | None) -> Any:
    if not text:
        return None
    if column is None or column.type not in ("integer", "number") or not (found := NUMBER.fullmatch(text)):
        return text
    if not (found["part"] or found["power"]):
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else text
