"""Looks keys up among records that hold, and were known, on a date."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from mlops_assets.journey.enrich.lookups import EnrichmentError
from mlops_assets.storage.locked import open_locked
from mlops_assets.use_case import Validity
from mlops_assets.use_case.partitions import date_of

log = logging.getLogger("mlops_assets.enrichment")


@contextmanager
def database(**tables: pa.Table) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database of its own that has some tables; to open one takes as long as a query over a million rows."""
    opened = open_locked()  # names of the configuration are part of the SQL
    try:
        for name, table in tables.items():
            opened.register(name, table)
        yield opened
    finally:
        opened.close()


_idle: deque[duckdb.DuckDBPyConnection] = deque(maxlen=4)
"""Databases that hold nothing now: whoever asks for the keys of a request queries five times for a few rows."""


def query(sql: str, **tables: pa.Table) -> pa.Table:
    """Run SQL over some tables, in a database that nobody else uses meanwhile."""
    try:
        opened = _idle.popleft()
    except IndexError:
        opened = open_locked()
    try:
        for name, table in tables.items():
            opened.register(name, table)
        found = opened.sql(sql).to_arrow_table()
        for name in tables:
            opened.unregister(name)
    except BaseException:  # nobody knows what it holds then
        opened.close()
        raise
    _idle.append(opened)
    return found


def record_schema(schema: pa.Schema, validity: Validity) -> pa.Schema:
    """The columns that records must have: those of the answer, without `at`, and the dates of validity."""
    dates = (validity.valid_from, validity.valid_to, validity.known_from)
    fields = [field for field in schema if field.name != validity.at]
    return pa.schema([*fields, *(pa.field(name, pa.date32()) for name in dates if name)])


def typed_records(columns: Sequence[Sequence[Any]], schema: pa.Schema, source: str) -> pa.Table:
    """Records in the types of a schema; one with a value of no such type is left out, and costs its own key alone.

    Parameters
    ----------
    columns
        The values of each column of the schema: dates may come as texts, numbers as decimals.
    schema
        What `record_schema` asks for.
    source
        What the log calls the place that they come from.

    Raises
    ------
    EnrichmentError
        If that is so of every record.
    """
    typed = [_typed(values, field.type) for values, field in zip(columns, schema, strict=True)]
    table = pa.table([array for array, _ in typed], schema=schema)
    wrong = {
        at: f"the column {field.name!r} is no {field.type}: {values[at]!r}"
        for values, field, (_, bad) in zip(columns, schema, typed, strict=True)
        for at in bad
    }
    if not wrong:
        return table
    first = min(wrong)
    if len(wrong) == len(table):
        raise EnrichmentError(wrong[first])
    log.warning("%s: %d records are left out, such as record %d: %s", source, len(wrong), first + 1, wrong[first])
    good = np.ones(len(table), bool)
    good[list(wrong)] = False
    return table.filter(pa.array(good))


def _typed(values: Sequence[Any], kind: pa.DataType) -> tuple[pa.Array, list[int]]:
    """Values in a type, null where they are of none, and which these are."""
    try:
        return _cast(values, kind), []
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        pass
    one_by_one: list[Any] = []
    bad = []
    for at, value in enumerate(values):
        try:
            one_by_one.append(_cast([value], kind)[0].as_py())
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            one_by_one.append(None)
            bad.append(at)
    return pa.array(one_by_one, kind), bad


def _cast(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    array = pa.array(values)
    return pa.nulls(len(values), kind) if pa.types.is_null(array.type) else array.cast(kind)


def look_up(
    keys: pa.Table, day: str, records: pa.Table, names: Sequence[str], schema: pa.Schema, validity: Validity
) -> pa.Table:
    """The answers for keys: of several records that hold, the one that was known last, then the one that began last.

    Parameters
    ----------
    keys
        Distinct keys.
    day
        The date on which a record must hold and be known, where no key holds it.
    records
        Records in `record_schema`.
    names
        The keys.
    schema
        Keys and columns of an answer.
    validity
        Which columns say when a record holds.

    Raises
    ------
    EnrichmentError
        If two records say different things with the same right.
    """
    chosen = ", ".join(f'keys."{name}"' if name in names else f'records."{name}"' for name in schema.names)
    listed = ", ".join(f'keys."{name}"' for name in names)
    latest = [f'records."{name}" DESC' for name in (validity.known_from, validity.valid_from) if name]
    order = f"ORDER BY {', '.join(latest)}" if latest else ""
    # by rank, not by row_number: of two records that hold at once both must be seen, and refused below
    holding = query(
        f"SELECT DISTINCT {chosen} FROM keys JOIN records ON {_holds(day, names, validity)} "
        f"QUALIFY rank() OVER (PARTITION BY {listed} {order}) = 1",
        keys=keys,
        records=records,
    )
    answers = holding.cast(schema)
    several = query(f"SELECT {listed} FROM keys GROUP BY ALL HAVING count(*) > 1", keys=answers)
    if len(several):
        raise EnrichmentError(
            f"{len(several)} keys have two records that hold at once, such as {several.to_pylist()[0]}; remove one of "
            "them, or part them by `valid_from`, `valid_to` or `known_from`"
        )
    return answers


def _holds(day: str, names: Sequence[str], validity: Validity) -> str:
    """The condition by which a record is one of a key, in SQL."""
    date = f'keys."{validity.at}"::DATE' if validity.at else f"DATE '{date_of(day)}'"
    conditions = [f'keys."{name}" = records."{name}"' for name in names if name != validity.at]
    conditions += [f'records."{name}" <= {date}' for name in (validity.valid_from, validity.known_from) if name]
    if validity.valid_to:
        # without an end, a record holds for ever
        conditions.append(f'coalesce(records."{validity.valid_to}" >= {date}, true)')
    return " AND ".join(conditions) or "true"
