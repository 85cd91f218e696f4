"""The SQL stores of Dagster and MLflow: which revision each has, and how it is migrated by its owner's own code."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from mlops_assets.errors import MlopsError
from mlops_assets.settings import Settings
from mlops_assets.storage.database import DATABASE_VARIABLE, MLFLOW_SCHEMA, open_database

SCRIPTS = {"dagster": "_core/storage/alembic", "mlflow": "store/db_migrations"}
"""Where a library keeps the migrations of its tables, below its folder."""

OF_DAGSTER = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
"""Its files of SQLite that have a revision; those of single runs are migrated before the index."""


@dataclass(frozen=True)
class Store:
    """A store of a library.

    Attributes
    ----------
    library
        `dagster` or `mlflow`.
    revisions
        The revisions that its parts have.
    files
        Its files, if it is of SQLite.
    schema
        Its schema, if it lies in the PostgreSQL of the settings.
    """

    library: str
    revisions: frozenset[str]
    files: tuple[Path, ...] = ()
    schema: str = ""

    @property
    def is_new(self) -> bool:
        """Whether it is of a later version of the library than the one that is installed."""
        return bool(self.revisions - self._known)

    @property
    def is_old(self) -> bool:
        """Whether it must be migrated."""
        return not self.is_new and bool(self.revisions - {self.head})

    @property
    def head(self) -> str:
        """The revision that the installed library works with."""
        return str(self._scripts.get_current_head())

    @property
    def _known(self) -> set[str]:
        return {script.revision for script in self._scripts.walk_revisions()}

    @cached_property
    def _scripts(self):  # type: ignore[no-untyped-def]  # alembic's, whose import only this command needs
        from alembic.script import ScriptDirectory

        return ScriptDirectory(str(resources.files(self.library).joinpath(SCRIPTS[self.library])))


def find_stores(settings: Settings) -> list[Store]:
    """The stores that are there; one of a server of MLflow is that server's own business.

    Raises
    ------
    MlopsError
        If one cannot be read.
    """
    found = [*_in_database(settings)] if settings.database else [_of_dagster(settings.dagster_home)]
    if settings.sqlite_file is not None and settings.sqlite_file.exists():
        found.append(_of_sqlite("mlflow", [settings.sqlite_file], [settings.sqlite_file]))
    return [store for store in found if store.revisions]


def _of_dagster(home: Path) -> Store:
    every = [*sorted(home.glob("history/**/*.db")), *sorted(home.glob("schedules/*.db"))]
    return _of_sqlite("dagster", [home / name for name in OF_DAGSTER if (home / name).exists()], every)


def _of_sqlite(library: str, asked: list[Path], files: list[Path]) -> Store:
    revisions: set[str] = set()
    for file in asked:
        try:
            with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as connection:
                if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
                    revisions.update(row[0] for row in connection.execute("SELECT version_num FROM alembic_version"))
        except sqlite3.Error as error:
            raise MlopsError(f"{file}: cannot be read: {error}. Bring it back from a backup.") from None
    return Store(library, frozenset(revisions), tuple(files))


def _in_database(settings: Settings) -> Iterator[Store]:
    from sqlalchemy import inspect, text

    with open_database(DATABASE_VARIABLE) as engine, engine.connect() as connection:
        default = str(connection.scalar(text("SELECT current_schema()")))
        schemas = {"dagster": default, **({"mlflow": MLFLOW_SCHEMA} if settings.tracks_in_database else {})}
        for library, schema in schemas.items():
            if inspect(connection).has_table("alembic_version", schema):
                query = text(f'SELECT version_num FROM "{schema}".alembic_version')  # noqa: S608 - names of ours
                yield Store(library, frozenset(connection.scalars(query)), schema=schema)


def migrate(store: Store, settings: Settings) -> None:
    """Bring a store to the revision of the installed library; killed in between, it is done again."""
    with _quiet():
        _migrate_mlflow(settings) if store.library == "mlflow" else _migrate_dagster(settings)


def _migrate_mlflow(settings: Settings) -> None:
    from mlflow import db

    # in this process: one of its own would show the URL's password to everybody on the machine
    db.commands.main(["upgrade", settings.tracking_uri], standalone_mode=False)


def _migrate_dagster(settings: Settings) -> None:
    from mlops_assets.running import dagster_instance

    with dagster_instance(settings) as instance:
        instance.upgrade()


@contextmanager
def _quiet() -> Iterator[None]:
    """What libraries print of each table is for nobody."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield
