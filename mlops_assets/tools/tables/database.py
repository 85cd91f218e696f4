"""In: a database, and a table or query of it. Out: some of its rows as a table, and the source that brings a day's."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import UsageError
from mlops_assets.journey.read.sources.sql import plain_text
from mlops_assets.storage.database import DatabaseError, open_database
from mlops_assets.tools.tables.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection

    from mlops_assets.tools.drafting.writing import Plan

ROWS = 20_000
"""Rows that are looked at."""

FIRST, LAST = "1900-01-01", "2199-12-31"
"""Days between which rows are looked for."""

SECONDS = 60
"""How long the server may take."""


@dataclass(frozen=True)
class Asked:
    """What a person says of a database.

    Attributes
    ----------
    variable
        Environment variable with its URL.
    table
        Name of a table or view, with its schema or without; empty where a query is given.
    day_column
        Column of the table that says of which day a row is.
    query
        The rows of the day `:day`; empty where a table is given.
    day
        The day whose rows are looked at by the query.
    """

    variable: str
    table: str = ""
    day_column: str = ""
    query: str = ""
    day: dt.date | None = None

    def check(self) -> None:
        """See that enough is said, and nothing that would be passed over.

        Raises
        ------
        UsageError
            If not.
        """
        if bool(self.table) == bool(self.query):
            raise UsageError("--from postgres: say --table and --day-column, or --query and --day.")
        if self.table and (not self.day_column or self.day):
            raise UsageError("--table: say with --day-column which column has the day of a row, and no --day.")
        if self.query and (self.day is None or self.day_column):
            raise UsageError("--query: say with --day whose rows are looked at, and no --day-column.")
        if self.query and ":day" not in self.query:
            raise UsageError("--query: it has no :day; say for which day it brings rows, as in WHERE bought_on = :day.")


@dataclass(frozen=True)
class Found:
    """Some rows of a database.

    Attributes
    ----------
    sample
        The rows as a CSV file.
    first, last
        The first and last day that there are rows of; of a query, the day that was looked at.
    broken
        The columns with texts of several lines.
    """

    sample: Sample
    first: dt.date
    last: dt.date
    broken: tuple[str, ...] = ()


def look_at_database(asked: Asked) -> Found:
    """Look at some rows.

    Parameters
    ----------
    asked
        The database, and what of it.

    Raises
    ------
    UsageError
        If too little is said, it cannot be reached, refuses to answer, or has no rows.
    """
    asked.check()
    try:
        with open_database(asked.variable) as engine, engine.connect() as connection, _reading(connection):
            return _look(connection, asked)
    except DatabaseError as error:
        raise UsageError(f"--from postgres: {error}") from None


@contextmanager
def _reading(connection: Connection) -> Iterator[None]:
    from sqlalchemy import text

    if connection.dialect.name != "postgresql":
        raise UsageError(f"--from postgres: the variable has the URL of {connection.dialect.name}.")
    connection.exec_driver_sql("SET TRANSACTION READ ONLY")
    connection.execute(text("SELECT set_config('statement_timeout', :limit, true)"), {"limit": str(SECONDS * 1000)})
    yield


def _look(connection: Connection, asked: Asked) -> Found:
    from sqlalchemy import Date, bindparam, text

    if asked.table:
        table, day = _table(connection, asked.table), _quoted(connection, asked.day_column)
        day = f"CAST({day} AS date)"
        # what stands for no day, such as the 31st of December 9999 or infinity, is none to begin or end with
        span = f"SELECT min({day}), max({day}) FROM {table} WHERE {day} BETWEEN '{FIRST}' AND '{LAST}'"
        first, last = connection.exec_driver_sql(span).one()
        if first is None:
            raise UsageError(
                f"--table {asked.table}: there is no row with a day from {FIRST} to {LAST} in {asked.day_column!r}."
            )
        found = connection.exec_driver_sql(f"SELECT * FROM {table} LIMIT {ROWS + 1}")
    else:
        first = last = asked.day
        query = text(f"SELECT * FROM ({asked.query.rstrip().rstrip(';')}\n) AS rows LIMIT {ROWS + 1}")
        found = connection.execute(query.bindparams(bindparam("day", type_=Date())), {"day": asked.day})
    names, rows = [*found.keys()], found.fetchall()
    if not rows:
        raise UsageError(f"--query: it brings no row of {asked.day}; name another --day.")
    data = _csv(names, rows[:ROWS])
    path = Path(asked.table or "query")
    remarks = [f"{ROWS:,} rows were looked at, in the order in which the server gave them"] * (len(rows) > ROWS)
    broken = _broken(names, rows)
    if broken:
        what = "the query of the use case has a blank for each" if asked.table else "replace them in the query"
        remarks.append(f"{', '.join(broken)} has line ends, which no line of a file can hold: {what}")
    sample = Sample(path, [data], [path], len(rows) <= ROWS, len(data), {"suffix": ".csv"}, None, remarks)
    return Found(sample, first, last, broken)


def _quoted(connection: Connection, name: str) -> str:
    return str(connection.dialect.identifier_preparer.quote_identifier(name))


def _table(connection: Connection, name: str) -> str:
    return ".".join(_quoted(connection, part) for part in name.split("."))


def _csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_text(value) for value in row] for row in rows)
    return text.getvalue().encode(errors="replace")


def _text(value: Any) -> str:
    """A value as `SqlSource` lands it; moments to the second, as a contract has them unless it says otherwise."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, Decimal):
        return format(value, "f")
    # a line of a landed file holds no line end
    return _one_line(repr(value) if isinstance(value, float) else plain_text(value))


def _one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")


def _broken(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[str, ...]:
    """The columns with a text of several lines."""
    texts = zip(names, zip(*rows, strict=True), strict=True)
    several = ((name, (one for one in values if isinstance(one, str))) for name, values in texts)
    return tuple(name for name, values in several if any(_one_line(one) != one for one in values))


def source_of(asked: Asked, broken: Sequence[str], plan: Plan) -> dict[str, Any]:
    """What `source` of a use case says, so that it brings the rows of each day.

    Parameters
    ----------
    asked
        The database, and what of it.
    broken
        Columns with texts of several lines, which become one.
    plan
        What was guessed of its columns.

    Raises
    ------
    UsageError
        If the columns of a query have names that the use case cannot have.
    """
    sources = {name: guess.source or name for name, guess in plan.columns.items()}
    query = asked.query.strip().rstrip(";")
    if asked.table:
        columns = ", ".join(_selected(source, name, source in broken) for name, source in sources.items())
        table = ".".join(map(_named, asked.table.split(".")))
        query = f"SELECT {columns} FROM {table} WHERE CAST({_named(asked.day_column)} AS date) = :day"
    else:
        odd, renamed = next(((source, name) for name, source in sources.items() if source != name), ("", ""))
        if odd:
            raise UsageError(f"--query: the column {odd!r} needs another name, such as {renamed}; use AS.")
    return {"use": "sql", "parameters": {"url_variable": asked.variable, "query": query}}


def _selected(source: str, name: str, broken: bool) -> str:
    if broken:
        return f"translate({_named(source)}, chr(13) || chr(10), '  ') AS {name}"
    return _named(source) if source == name else f"{_named(source)} AS {name}"


def _named(name: str) -> str:
    """A name in a query; a colon in it begins no parameter."""
    return '"' + name.replace('"', '""').replace(":", "\\:") + '"'
