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
        for attempt in range(self._enrichment.retries + 1):
            if not self._wait():
                with self._lock:
                    self.counts["not_asked"] += 0 if attempt else len(keys)
                break
            try:
                with self._lock:
                    self.counts.update(requests=1, retries=attempt > 0)
                answers, refused = believe(self._fetcher.fetch(keys, self._day), keys, self._schema)
            except EnrichmentError:
                raise
            except Exception as error:
                if not self._failed(error):
                    break
                if attempt < self._enrichment.retries:
                    self._pause(attempt, getattr(error, "after", 0.0))
                continue
            with self._lock:
                self._failures, self._cooled = 0, False
                self.counts["refused"] += sum(refused.values())
                self.problems.update(refused)
            if len(answers):
                keep(keys, answers)
            return answers
        return self._schema.empty_table()

    def _failed(self, error: Exception) -> bool:
        """Take note of a failure; whether asking again may help."""
        reason = error.reason if isinstance(error, NoAnswer) else f"{type(error).__name__}: {str(error)[:200]}"
        with self._lock:
            self.counts["failed"] += 1
            self.problems[reason] += 1
            self._failures += 1
        return not isinstance(error, NoAnswer) or error.again

    def _wait(self) -> bool:
        """Wait for the turn of the next request; False if nothing more is to be asked."""
        with self._lock:  # while one waits, the others do: the rate and the rest are those of all
            if self._given_up:
                return False
            if self._failures >= self._enrichment.give_up_after:
                if self._cooled or not self._sleep(self._enrichment.cool_down):
                    return self._stop()
                self._cooled = True
                self._failures = self._enrichment.give_up_after - 1  # one more failure, and no more is asked
            if self._enrichment.a_second:
                now = time.monotonic()
                if not self._sleep(self._next - now):
                    return self._stop()
                self._next = max(now, self._next) + 1 / self._enrichment.a_second
            return time.monotonic() < self._ends or self._stop()

    def _stop(self) -> bool:
        self._given_up = True
        return False

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
    size = enrichment.batch or (BATCH if enrichment.use != "table" else max(1, len(keys)))
    return [keys.slice(start, size) for start in range(0, len(keys), size)]


def believe(
    said: pa.Table | Sequence[dict[str, Any]], keys: pa.Table, schema: pa.Schema
) -> tuple[pa.Table, dict[str, int]]:
    """The answers of the right form, and how many others there were, by what is wrong with them.

    Parameters
    ----------
    said
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
    if not isinstance(said, (pa.Table, list, tuple)):
        raise NoAnswer(f"answer is neither a table nor a list of objects but {type(said).__name__}")
    wrong: Counter[str] = Counter()
    answers: pa.Table | None = None
    if isinstance(said, pa.Table):
        answers = _typed(said, schema)
        said = said.to_pylist() if answers is None else []
    if answers is None:
        answers = pa.Table.from_pylist(_of_the_right_form(said, schema, wrong), schema)
    names = keys.column_names
    listed = ", ".join(f'"{name}"' for name in names)
    whole = " AND ".join(f'"{name}" IS NOT NULL' for name in names)
    known = query(f"FROM answers WHERE {whole}", answers=answers)
    asked = query(f"FROM known SEMI JOIN keys USING ({listed})", known=known, keys=keys)
    once = query(f"FROM asked QUALIFY count(*) OVER (PARTITION BY {listed}) = 1", asked=asked)
    wrong["key missing"] += len(answers) - len(known)
    wrong["key that was not asked for"] += len(known) - len(asked)
    wrong["key answered twice"] += len(asked) - len(once)
    return once.cast(schema), dict(+wrong)


def _typed(table: pa.Table, schema: pa.Schema) -> pa.Table | None:
    """A table in the schema, or None where some value is of another type."""
    try:
        columns = [_plain(table[field.name]).cast(field.type) for field in schema]
    except (KeyError, pa.ArrowException):
        return None
    longest = [pc.max(pc.utf8_length(c)).as_py() or 0 for c in columns if pa.types.is_string(c.type)]
    finite = all(pc.all(pc.is_finite(c)).as_py() is not False for c in columns if pa.types.is_floating(c.type))
    return pa.table(columns, schema=schema) if finite and max(longest, default=0) <= LONGEST_TEXT else None


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _of_the_right_form(said: Sequence[Any], schema: pa.Schema, wrong: Counter[str]) -> list[dict[str, Any]]:
    found = []
    for one in said:
        if not isinstance(one, dict):
            wrong["no object"] += 1
            continue
        missing = [name for name in schema.names if name not in one]
        if missing:
            wrong[f"{missing[0]} missing"] += 1
            continue
        try:
            found.append({field.name: _value(one[field.name], field) for field in schema})
        except ValueError as error:
            wrong[str(error)] += 1
    return found


def _value(value: Any, field: pa.Field) -> Any:
    """A value of JSON or Python in the type of a column; the error names the column, not the value."""
    kind, fits = field.type, False
    if value is None:
        return None
    if pa.types.is_string(kind):
        fits = isinstance(value, str) and len(value) <= LONGEST_TEXT
    elif pa.types.is_boolean(kind):
        fits = isinstance(value, bool)
    elif pa.types.is_integer(kind):
        whole = isinstance(value, float) and value.is_integer()
        value = int(value) if whole else value
        fits = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    elif pa.types.is_floating(kind):
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and _finite(value)
    elif isinstance(value, str):
        parse = dt.date.fromisoformat if pa.types.is_date(kind) else dt.datetime.fromisoformat
        try:
            value = parse(value)
            fits = getattr(value, "tzinfo", None) is None
        except ValueError:
            fits = False
    else:
        fits = isinstance(value, dt.date) and isinstance(value, dt.datetime) == pa.types.is_timestamp(kind)
    if not fits:
        raise ValueError(f"{field.name} is no {kind}")
    return value


def _finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False
