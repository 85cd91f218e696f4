"""A PostgreSQL server of the tests' own, or the one that `MLOPS_TEST_DATABASE_URL` names; a database for each test."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import URL, make_url

from deploy.services.postgres import Postgres

PASSWORD = "pa55-in-the-url/@"
"""Looks like nothing else, so that it is found wherever it leaks to; embedded servers let anybody in with any."""
FORMS = (PASSWORD, "pa55-in-the-url%2F%40", "pa55-in-the-url")
"""How it may be written."""


class Server:
    """A server that makes databases, and may be killed and started again."""

    def __init__(self) -> None:
        self._server: Postgres | None = None
        given = os.environ.get("MLOPS_TEST_DATABASE_URL")
        if given:
            self._url = make_url(given).set(drivername="postgresql")
        else:
            # not in pytest's folder: the server runs as a user of its own, whom every pytest that starts locks out there
            self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
            self._server = Postgres(self._folder / "data", PASSWORD, self._folder / "log")
            self._url = make_url(self._server.url()).set(drivername="postgresql", database="postgres")

    def url(self, database: str) -> str:
        return self._url.set(database=database).render_as_string(hide_password=False)

    def execute(self, sql: str, database: str | None = None, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of one statement, committed."""
        connection = psycopg2.connect(self.url(database or str(self._url.database)))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, values or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    @contextmanager
    def database(self, encoding: str = "UTF8") -> Iterator[str]:
        """The URL of a new, empty database; it is dropped afterwards, whoever still uses it."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        template = "TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"  # which goes with every encoding
        self.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' {template}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def kill(self) -> None:
        """End it as a crash does; what was not committed is lost."""
        assert self._server
        self._server.process.kill()

    def start(self) -> None:
        """Start it again, at the same place."""
        assert self._server
        self._server.process.start()
        self._server.process.wait()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            shutil.rmtree(self._folder, ignore_errors=True)


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a statement on a database of a test."""
    connection = psycopg2.connect(url, client_encoding="UTF8")
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def as_user(url: str, user: str) -> str:
    """The same database for another user."""
    parsed: URL = make_url(url)
    return parsed.set(username=user).render_as_string(hide_password=False)


def leaks(folder: Path) -> list[Path]:
    """Files in which a form of the password stands."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if any(form.encode() in path.read_bytes() for form in FORMS)]
