"""What a source replies is looked at: only what is of the right form is believed, and what is not is counted."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.enrich.lookups import NoAnswer
from mlops_assets.journey.enrich.lookups.records import query

LONGEST_TEXT = 10_000
"""Longest text in an answer; a longer one is refused."""


def believe(
    reply: pa.Table | Sequence[dict[str, Any]], keys: pa.Table, schema: pa.Schema
) -> tuple[pa.Table, dict[str, int]]:
    """The answers of the right form, and how many others there were, by what is wrong with them.

    Parameters
    ----------
    reply
        A table, or a list of objects.
    keys
        The keys that were asked for.
    schema
        Keys and columns of an answer.

    Raises
    ------
    NoAnswer
        If it is neither.
    """
    wrong: Counter[str] = Counter()
    answers = _as_table(reply, schema, wrong)
    listed = ", ".join(f'"{name}"' for name in keys.column_names)
    whole = " AND ".join(f'"{name}" IS NOT NULL' for name in keys.column_names)
    keyed = query(f"FROM answers WHERE {whole}", answers=answers)
    asked = query(f"FROM keyed SEMI JOIN keys USING ({listed})", keyed=keyed, keys=keys)
    # of two answers for a key, nobody can say which is right: neither is taken
    once = query(f"FROM asked QUALIFY count(*) OVER (PARTITION BY {listed}) = 1", asked=asked)
    wrong["key missing"] += len(answers) - len(keyed)
    wrong["key that was not asked for"] += len(keyed) - len(asked)
    wrong["key answered twice"] += len(asked) - len(once)
    return once.cast(schema), dict(+wrong)


def _as_table(reply: Any, schema: pa.Schema, wrong: Counter[str]) -> pa.Table:
    """What was answered, in the schema; objects of another form are counted."""
    if isinstance(reply, pa.Table):
        typed = _typed(reply, schema)  # as a whole, without a Python object for every value
        if typed is not None:
            return typed
        reply = reply.to_pylist()  # row by row, some may be of the right form
    if not isinstance(reply, (list, tuple)):
        raise NoAnswer(f"answer is neither a table nor a list of objects but {type(reply).__name__}")
    return pa.Table.from_pylist(_of_the_right_form(reply, schema, wrong), schema)


def _typed(table: pa.Table, schema: pa.Schema) -> pa.Table | None:
    """A table in the schema, or None where some value is of another type."""
    try:
        columns = [_plain(table[field.name]).cast(field.type) for field in schema]
    except (KeyError, pa.ArrowException):
        return None
    return pa.table(columns, schema=schema) if all(map(_within_bounds, columns)) else None


def _within_bounds(column: pa.ChunkedArray) -> bool:
    """Whether no text is too long and no number infinite."""
    if pa.types.is_string(column.type):
        longest = pc.max(pc.utf8_length(column)).as_py()
        return longest is None or longest <= LONGEST_TEXT
    return not pa.types.is_floating(column.type) or pc.all(pc.is_finite(column)).as_py() is not False


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _of_the_right_form(reply: Sequence[Any], schema: pa.Schema, wrong: Counter[str]) -> list[dict[str, Any]]:
    records = []
    for answer in reply:
        try:
            records.append(_record(answer, schema))
        except ValueError as error:
            wrong[str(error)] += 1
    return records


def _record(answer: Any, schema: pa.Schema) -> dict[str, Any]:
    """One answer in the types of the schema; the error names what is wrong, and no value."""
    if not isinstance(answer, dict):
        raise ValueError("no object")
    missing = [name for name in schema.names if name not in answer]
    if missing:
        raise ValueError(f"{missing[0]} missing")
    return {field.name: _value(answer[field.name], field) for field in schema}


def _value(value: Any, field: pa.Field) -> Any:
    """A value of JSON or Python in the type of a column."""
    if value is None:
        return None
    convert = next(convert for is_kind, convert in _CONVERT if is_kind(field.type))
    try:
        return convert(value)
    except ValueError:
        raise ValueError(f"{field.name} is no {field.type}") from None


def _checked(value: Any, fits: bool) -> Any:
    if not fits:
        raise ValueError
    return value


def _text(value: Any) -> Any:
    # half a pair of JSON's, such as "\ud800", is a text for Python and for nobody else: to encode it is a `ValueError`
    return _checked(value, isinstance(value, str) and len(value) <= LONGEST_TEXT and value.encode() is not None)


def _boolean(value: Any) -> Any:
    return _checked(value, isinstance(value, bool))


def _integer(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():  # JSON of some writers has 5.0
        value = int(value)
    return _checked(value, _is_number(value, int) and -(2**63) <= value < 2**63)


def _number(value: Any) -> Any:
    return _checked(value, _is_number(value, (int, float)) and _finite(value))


def _is_number(value: Any, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)  # Python counts booleans among the integers


def _finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _date(value: Any) -> Any:
    if isinstance(value, str):
        return dt.date.fromisoformat(value)
    return _checked(value, isinstance(value, dt.date) and not isinstance(value, dt.datetime))


def _timestamp(value: Any) -> Any:
    if isinstance(value, str):
        moment = dt.datetime.fromisoformat(value)
        return _checked(moment, moment.tzinfo is None)
    return _checked(value, isinstance(value, dt.datetime))


_CONVERT: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any], Any]], ...] = (
    (pa.types.is_string, _text),
    (pa.types.is_boolean, _boolean),
    (pa.types.is_integer, _integer),
    (pa.types.is_floating, _number),
    (pa.types.is_date, _date),
    (pa.types.is_timestamp, _timestamp),
)
"""How a value becomes one of a type; a `ValueError` says that it is none."""
