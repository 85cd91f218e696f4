"""Answers from a query, on any database that SQLAlchemy knows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mlops_assets.errors import UsageError
from mlops_assets.journey.enrich.lookups import EnrichmentError, NoAnswer
from mlops_assets.journey.enrich.lookups.records import look_up, record_schema, typed_records
from mlops_assets.storage.database import DatabaseDown, DatabaseError, open_database
from mlops_assets.use_case import SqlParameters

if TYPE_CHECKING:
    from sqlalchemy import TextClause


FRESH = 60.0
"""Seconds for which records are used again by a process that goes on."""


class SqlLookup:
    """A query; where it names no key, it is run once a day and not once for each batch of keys.

    Parameters
    ----------
    place
        The query, the database, and when records hold.
    keys
        Names of the keys.
    schema
        Keys and columns of an answer.
    """

    def __init__(self, parameters: SqlParameters, keys: Sequence[str], schema: pa.Schema) -> None:
        self._parameters = parameters
        self._keys = keys
        self._schema = schema
        self._records: dict[str, pa.Table] = {}
        self._asked_at = 0.0

    def is_stale(self) -> bool:
        """Whether what is known of a day was asked so long ago that it may be otherwise now."""
        return bool(self._records) and time.monotonic() > self._asked_at + FRESH

    def fetch(self, keys: pa.Table, day: str) -> pa.Table:
        """The records of some keys that held on a day; see `records.look_up`."""
        records = self._records.get(day)
        if records is None:
            records, whole = self._query(keys, day)
            if whole:  # the next batch of the day need not ask again
                self._records, self._asked_at = {day: records}, time.monotonic()
        return look_up(keys, day, records, self._keys, self._schema, self._parameters)

    def _query(self, keys: pa.Table, day: str) -> tuple[pa.Table, bool]:
        """The records, and whether they are those of all keys."""
        import sqlalchemy

        query = sqlalchemy.text(self._parameters.query)
        named = query.compile().params
        lists = [name for name in self._keys if name in named]
        query = query.bindparams(*(sqlalchemy.bindparam(name, expanding=True) for name in lists))
        given: dict[str, Any] = {name: keys[name].unique().to_pylist() for name in lists}
        if "day" in named:
            given["day"] = day
        columns, rows = self._run(query, given)
        if len(rows) > self._parameters.most_rows:
            raise EnrichmentError(f"the query finds more than {self._parameters.most_rows:,} records (`most_rows`)")
        return self._table(columns, rows), not lists

    def _run(self, query: TextClause, given: dict[str, Any]) -> tuple[list[str], Sequence[Any]]:
        """Columns and rows, no more of them than one too many."""
        try:
            with open_database(self._parameters.url_variable) as engine, engine.connect() as connection:
                result = connection.execution_options(stream_results=True).execute(query, given)
                # one more than allowed tells that there are too many
                return list(result.keys()), result.fetchmany(self._parameters.most_rows + 1)
        except DatabaseDown as error:
            raise NoAnswer(str(error)) from None
        except (DatabaseError, UsageError) as error:
            raise EnrichmentError(str(error)) from None

    def _table(self, columns: Sequence[str], rows: Sequence[Any]) -> pa.Table:
        schema = record_schema(self._schema, self._parameters)
        missing = [name for name in schema.names if name not in columns]
        if missing:
            raise EnrichmentError(f"the query finds no column {missing[0]!r}; it finds: {', '.join(columns)}")
        positions = [columns.index(name) for name in schema.names]
        found = [[row[at] for row in rows] for at in positions]
        return typed_records(found, schema, f"the query of {self._parameters.url_variable}")
