"""SQL databases: their URLs, connections that give up in time, and errors that tell the cause and no password."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.errors.redaction import without
from mlops_assets.plugins.loading import what_brings

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

DATABASE_VARIABLE = "MLOPS_DATABASE_URL"
"""Names the PostgreSQL that holds Dagster's storage and MLflow's tables."""

MLFLOW_SCHEMA = "mlflow"
"""Where MLflow's tables lie in that database; Dagster's lie in the default schema, and both have a table `runs`."""

CONNECT_SECONDS = 10
"""How long a server may take to answer a new connection."""


class DatabaseError(MlopsError):
    """A database refused what was asked of it; asking again will not help."""


class DatabaseDown(DatabaseError):
    """A database cannot be reached, or broke off; asking again later may help."""


def with_driver(url: str) -> str:
    """The URL of a database with the driver that is installed: SQLAlchemy 2.1 takes another one if none is named."""
    return "postgresql+psycopg2://" + url.removeprefix("postgresql://") if url.startswith("postgresql://") else url


def database_url(variable: str) -> URL:
    """The URL that an environment variable holds.

    Raises
    ------
    UsageError
        If the variable is not set or holds none; the message does not show what it holds.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    text = os.environ.get(variable, "")
    if not text:
        raise UsageError(f"{variable} is not set: give it the URL of the database, {EXAMPLE}.")
    try:
        url = make_url(with_driver(text))
    except (ArgumentError, ValueError):
        raise UsageError(f"{variable} holds no URL of a database; it must look like {EXAMPLE}.") from None
    # a password with a bare @ is cut there, and its rest would be shown as the host
    if "@" in (url.host or ""):
        raise UsageError(f"{variable}: write a sign like @ or / in the password as %40 or %2F.")
    return url


EXAMPLE = "postgresql://user:password@host/database"


@contextmanager
def open_database(variable: str) -> Iterator[Engine]:
    """An engine for the database whose URL a variable holds; its errors become `DatabaseError`.

    Parameters
    ----------
    variable
        Name of the environment variable.

    Raises
    ------
    UsageError
        If the variable holds no URL.
    DatabaseDown
        If the database cannot be reached, or broke off.
    DatabaseError
        If it refuses what is asked of it.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.exc import NoSuchModuleError
    from sqlalchemy.pool import NullPool

    url = database_url(variable)
    arguments = _arguments(url) if url.get_backend_name() == "postgresql" else {}
    # hide_parameters: an error must not quote the values of rows
    try:
        engine = create_engine(url, connect_args=arguments, poolclass=NullPool, hide_parameters=True)
    except NoSuchModuleError as error:
        raise UsageError(f"{variable}: {url.drivername} is not installed here: {error}.") from None
    except ModuleNotFoundError as error:
        hint = what_brings(error)
        raise UsageError(f"{variable}: {url.drivername} is not installed here: {hint or error}.") from None
    with tell(variable, url):
        yield engine


def _arguments(url: URL) -> dict[str, Any]:
    """How PostgreSQL is spoken to."""
    # keepalives: a server that went away without a word is noticed
    patience: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "keepalives_idle": 30, "keepalives_interval": 10}
    # else texts have the encoding of the database or of PGCLIENTENCODING, and where that is SQL_ASCII, none
    return patience if "client_encoding" in url.query else {**patience, "client_encoding": "UTF8"}


@contextmanager
def tell(variable: str, url: URL) -> Iterator[None]:
    """Turn the errors of a database into ours: which database, what it said, and nothing of its password."""
    from sqlalchemy.exc import SQLAlchemyError

    where = f"the database of {variable} ({_shown(url)})"
    try:
        yield
    except Exception as error:
        cause = getattr(error, "orig", None) or error
        # by name: every driver has its own classes of the same names, and none of them is imported here
        names = {kind.__name__ for kind in type(cause).__mro__}
        if not isinstance(error, SQLAlchemyError) and "DatabaseError" not in names and "InterfaceError" not in names:
            raise
        # told by us already
        if isinstance(cause, MlopsError):
            raise
        reason = without(" ".join(str(cause).split()), [str(url.password or "")])
        if _lasts(cause, names):
            advice = OF_NO_ENCODING if getattr(cause, "pgcode", None) == "22021" else ""
            raise DatabaseError(f"{where} refused: {reason}{advice}") from None
        raise DatabaseDown(f"{where} cannot be reached, or broke off: {reason}") from None


OF_NO_ENCODING = (
    ". A database of SQL_ASCII does not know what its texts are written in: say it in the URL, such as "
    "?client_encoding=LATIN1."
)
"""What to do about bytes of a database that are not UTF-8."""

PASSING = ("08", "40", "53", "55", "57", "58", "XX")
"""Classes of SQLSTATE that pass: connection, deadlock, no room, lock, shutdown, input and output, broken."""

PASSING_SQLITE = {"BUSY", "LOCKED", "FULL", "IOERR", "NOMEM", "PROTOCOL"}
"""Kinds of SQLite's errors that pass."""

LASTING = {"ProgrammingError", "DataError", "IntegrityError", "NotSupportedError"}
"""What drivers call errors of what was asked."""

NOT_LET_IN = re.compile(
    r"(database|role|user) \S+ does not exist|authentication failed|no password supplied|permission denied"
    r"|not permitted to log in|is not currently accepting connections|pg_hba\.conf|configuration parameter"
    r"|invalid \S+ value|invalid value for parameter|invalid connection option|does not support SSL"
    r"|access denied|unknown database|login failed",
    re.IGNORECASE,
)
"""Answers to a connection: there PostgreSQL's driver gives no SQLSTATE. The last ones are those of other servers."""


def _lasts(cause: BaseException, names: set[str]) -> bool:
    """Whether an error comes from what was asked, so that asking again will not help."""
    if (state := getattr(cause, "pgcode", None)) is not None:
        return not str(state).startswith(PASSING)
    if (kind := getattr(cause, "sqlite_errorname", None)) is not None:
        return str(kind).split("_")[1] not in PASSING_SQLITE
    # SQLAlchemy's own, such as of a name that is too long, come before the database is asked
    of_driver = "DatabaseError" in names or "InterfaceError" in names
    return not of_driver or bool(names & LASTING) or NOT_LET_IN.search(str(cause)) is not None


def _shown(url: URL) -> str:
    """Where a database is, for people: no user, no password, no options."""
    host = url.host or str(url.query.get("host", ""))
    address = f"{host}:{url.port}" if url.port else host
    if not address:  # a file, or a socket
        return f"{url.get_backend_name()} {url.database}"
    return f"{url.get_backend_name()} {address}/{url.database or ''}"


@cache
def prepare_database(url: str, *, for_mlflow: bool) -> None:
    """See that the database of all state can be reached, and make the schema that MLflow's tables lie in.

    It is done once a process.

    Parameters
    ----------
    url
        What `MLOPS_DATABASE_URL` says; nothing is done where it is empty.
    for_mlflow
        Whether MLflow's tables lie in it, too.

    Raises
    ------
    DatabaseDown
        If it cannot be reached.
    DatabaseError
        If the schema is missing and may not be made; the message says what to grant.
    """
    if not url:
        return
    from sqlalchemy import text

    # what Dagster and MLflow write goes over connections of their own
    os.environ["PGCLIENTENCODING"] = "UTF8"
    with open_database(DATABASE_VARIABLE) as engine, engine.connect() as connection:
        user, name = connection.execute(text("SELECT current_user, current_database()")).one()
        if not connection.scalar(text("SELECT has_schema_privilege(current_schema(), 'CREATE')")):
            raise DatabaseError(
                f"{DATABASE_VARIABLE}: {user} may make no tables for Dagster in the database {name}. "
                f'Let its owner run: GRANT CREATE ON SCHEMA public TO "{user}"'
            )
        query = text("SELECT count(*) FROM pg_namespace WHERE nspname = :schema")
        if for_mlflow and not connection.scalar(query, {"schema": MLFLOW_SCHEMA}):
            _make_schema(connection, user, name)


def _make_schema(connection: Connection, user: str, name: str) -> None:
    from sqlalchemy import text
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    try:
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {MLFLOW_SCHEMA}"))
        connection.commit()
    except IntegrityError:  # another process made it at the same moment
        connection.rollback()
    except ProgrammingError:
        raise DatabaseError(
            f"{DATABASE_VARIABLE}: {user} may make no schema for MLflow in the database {name}. Let its owner run: "
            f'GRANT CREATE ON DATABASE "{name}" TO "{user}", '
            f'or CREATE SCHEMA {MLFLOW_SCHEMA} AUTHORIZATION "{user}"'
        ) from None
