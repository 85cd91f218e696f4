"""Asks for keys in batches, patiently within bounds, and believes only what is of the right form."""

from __future__ import annotations

import datetime as dt
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.enrich.lookups import EnrichmentError, Fetcher, NoAnswer
from mlops_assets.journey.enrich.lookups.records import query
from mlops_assets.use_case import Enrichment

BATCH = 1_000
"""Keys in one request where the configuration does not say."""

LONGEST_TEXT = 10_000
"""Longest text in an answer; a longer one is refused."""

LONGEST_PAUSE = 60.0
"""Most seconds between two tries."""

Keep = Callable[[pa.Table, pa.Table], None]


class Asking:
    """Asks one source for one day: its rate, its failures in a row and its time are those of the whole day.

    Parameters
    ----------
    enrichment
        The configuration.
    fetcher
        Who is asked.
    schema
        Keys and columns of an answer.
    day
        The day.

    Attributes
    ----------
    counts
        `requests`, those of them that were a `retry` or `failed`; keys `not_asked`; and objects `refused` in answers.
    problems
        What went wrong, with how often.
    """

    def __init__(self, enrichment: Enrichment, fetcher: Fetcher, schema: pa.Schema, day: str) -> None:
        self._enrichment = enrichment
        self._fetcher = fetcher
        self._schema = schema
        self._day = day
        self._lock = threading.Lock()
        self._ends = time.monotonic() + 60 * enrichment.minutes
        self._next = 0.0
        self._failures = 0
        self._cooled = False
        self._given_up = False
        self.counts: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()

    def ask(self, keys: pa.Table, keep: Keep = lambda _keys, _answers: None) -> pa.Table:
        """What is answered for distinct keys, each at most once.

        Parameters
        ----------
        keys
            The keys.
        keep
            Is given each batch of keys with its answers as they come.

        Returns
        -------
        pyarrow.Table
            Answers in the schema, for some of the keys.

        Raises
        ------
        EnrichmentError
            If there is no use in asking.
        """
        self._given_up = False
        with ThreadPoolExecutor(self._enrichment.at_once) as pool:
            futures = [pool.submit(self._ask, batch, keep) for batch in batches(self._enrichment, keys)]
            try:
                answers = [future.result() for future in futures]
            finally:
                self._given_up = True  # an error, or Ctrl-C: the others need not go on
        return pa.concat_tables([self._schema.empty_table(), *answers])

    def _ask(self, keys: pa.Table, keep: Keep) -> pa.Table:
        nothing = self._schema.empty_table()
        for attempt in range(self._enrichment.retries + 1):
            if not self._wait():
                # a batch whose first try failed was asked
                self._count(not_asked=0 if attempt else len(keys))
                return nothing
            self._count(requests=1, retries=int(attempt > 0))
            try:
                answers, refused = believe(self._fetcher.fetch(keys, self._day), keys, self._schema)
            # the question itself is wrong, and would be for every batch
            except EnrichmentError:
                raise
            except Exception as error:
                if not self._failed(error):
                    return nothing
                if attempt < self._enrichment.retries:
                    # a service that says when to come back is not asked before
                    self._pause(attempt, getattr(error, "after", 0.0))
                continue
            self._answered(refused)
            if len(answers):
                keep(keys, answers)
            return answers
        return nothing

    def _count(self, **numbers: int) -> None:
        with self._lock:
            self.counts.update(numbers)

    def _answered(self, refused: dict[str, int]) -> None:
        """Take note of an answer: failures are counted in a row."""
        with self._lock:
            self._failures, self._cooled = 0, False
            self.counts["refused"] += sum(refused.values())
            self.problems.update(refused)

    def _failed(self, error: Exception) -> bool:
        """Take note of a failure; whether asking again may help."""
        reason = error.reason if isinstance(error, NoAnswer) else f"{type(error).__name__}: {str(error)[:200]}"
        with self._lock:
            self.counts["failed"] += 1
            self.problems[reason] += 1
            self._failures += 1
        # an error of any other kind says nothing about the next try
        return not isinstance(error, NoAnswer) or error.again

    def _wait(self) -> bool:
        """Wait for the turn of the next request; False if nothing more is to be asked."""
        with self._lock:  # while one waits, the others do: the rate and the rest are those of all
            if self._given_up:
                return False
            if self._cool_down() and self._take_turn() and time.monotonic() < self._ends:
                return True
            self._given_up = True
            return False

    def _cool_down(self) -> bool:
        """Leave a source alone for a while that failed too often in a row; False if it was, and failed again."""
        if self._failures < self._enrichment.give_up_after:
            return True
        if self._cooled or not self._sleep(self._enrichment.cool_down):
            return False
        self._cooled = True
        self._failures = self._enrichment.give_up_after - 1  # one more failure, and no more is asked
        return True

    def _take_turn(self) -> bool:
        """Keep to the most requests a second."""
        if not self._enrichment.a_second:
            return True
        now = time.monotonic()
        if not self._sleep(self._next - now):
            return False
        self._next = max(now, self._next) + 1 / self._enrichment.a_second
        return True

    def _sleep(self, seconds: float) -> bool:
        """Sleep; False, at once, if the day's time would be over before."""
        if seconds > 0:
            if time.monotonic() + seconds > self._ends:
                return False
            time.sleep(seconds)
        return True

    def _pause(self, attempt: int, after: float) -> None:
        """Wait before a retry: twice as long each time, drawn at random so that not all come back at once."""
        longest = min(self._enrichment.pause * 2**attempt, LONGEST_PAUSE)
        self._sleep(max(after, random.uniform(longest / 2, longest)))  # noqa: S311 - no secret


def batches(enrichment: Enrichment, keys: pa.Table) -> list[pa.Table]:
    """The keys in pieces of one request, always the same for the same keys."""
    # a file of records is looked up in one go: to open a database takes longer than the query
    size = enrichment.batch or (BATCH if enrichment.use != "table" else max(1, len(keys)))
    return [keys.slice(start, size) for start in range(0, len(keys), size)]


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
    return _checked(value, isinstance(value, str) and len(value) <= LONGEST_TEXT)


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
