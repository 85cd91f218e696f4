"""A short look at MLflow's store: whether it answers, and whether it has a version. MLflow itself is not imported.

MLflow's own client tries for minutes to reach a store that is not there, and takes seconds to import.
"""

from __future__ import annotations

import json
import os
import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, build_opener

from mlops_assets.errors import MlopsError, ModelRefused, redaction
from mlops_assets.settings import Settings
from mlops_assets.storage.database import DATABASE_VARIABLE, MLFLOW_SCHEMA, DatabaseError, open_database

SECONDS = 5
"""How long a server may take to answer."""

DELETED = "Deleted_Internal"
"""The stage in which MLflow keeps the row of a version that was deleted."""

ASKED = "SELECT current_stage FROM {table} WHERE name = :name AND version = :version"


class StoreDown(MlopsError):
    """MLflow's store cannot be reached or read; what the lake has copies of can be had all the same."""


class VersionGone(ModelRefused):
    """The champion is not in MLflow any more, or its files are not where they were."""


def shown(settings: Settings) -> str:
    """MLflow's store for people; the URL of a database or server may hold a password."""
    if settings.tracks_in_database:
        return DATABASE_VARIABLE
    return redaction.shown(settings.tracking_uri)


def look(settings: Settings) -> None:
    """See that the store answers.

    Raises
    ------
    StoreDown
        If it does not.
    """
    if (file := settings.sqlite_file) is not None:
        if file.exists():
            _ask_sqlite(settings, "PRAGMA schema_version", {})
    elif settings.tracking_uri.startswith(("http://", "https://")):
        _get(settings, "/health")
    elif (variable := _variable(settings)) is not None:
        with _told(), open_database(variable) as engine, engine.connect():
            pass


def has(settings: Settings, use_case: str, number: int) -> bool:
    """Whether the store has a version, as far as it can be told.

    Raises
    ------
    StoreDown
        If it does not answer.
    """
    values = {"name": use_case, "version": number}
    if (file := settings.sqlite_file) is not None:
        if not file.exists():
            raise StoreDown(f"MLflow's store {shown(settings)} is gone.")
        return _stage(_ask_sqlite(settings, ASKED.format(table="model_versions"), values))
    if settings.tracking_uri.startswith(("http://", "https://")):
        return _get(settings, f"/api/2.0/mlflow/model-versions/get?{urlencode(values)}") != "RESOURCE_DOES_NOT_EXIST"
    if (variable := _variable(settings)) is None:
        return True
    from sqlalchemy import text

    table = f"{MLFLOW_SCHEMA}.model_versions" if settings.tracks_in_database else "model_versions"
    with _told(), open_database(variable) as engine, engine.connect() as connection:
        return _stage([tuple(row) for row in connection.execute(text(ASKED.format(table=table)), values)])


def _stage(rows: list[tuple[str]]) -> bool:
    return bool(rows) and rows[0][0] != DELETED


def _variable(settings: Settings) -> str | None:
    """The environment variable that holds the URL of a database with MLflow's tables, if they lie in one."""
    if settings.tracks_in_database:
        return DATABASE_VARIABLE
    named = os.environ.get("MLFLOW_TRACKING_URI") == settings.tracking_uri
    return (
        "MLFLOW_TRACKING_URI" if named and settings.tracking_uri.startswith(("postgresql", "mysql", "mssql")) else None
    )


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        raise StoreDown(f"MLflow's store: {error}") from None


def _ask_sqlite(settings: Settings, query: str, values: dict[str, object]) -> list[tuple[str]]:
    address = f"file:{quote(str(settings.sqlite_file))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=SECONDS)) as connection:
            return connection.execute(query, values).fetchall()
    except sqlite3.Error as error:
        raise StoreDown(f"MLflow's store {shown(settings)} cannot be read: {error}.") from None


def _get(settings: Settings, path: str) -> str:
    """The code of the error that a server answers with; empty where it answers without one that it knows."""
    try:
        return _error_code(shown(settings).rstrip("/") + path)
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLError):  # MLflow may know another certificate
            return ""
        raise StoreDown(f"MLflow's server {shown(settings)} cannot be reached: {reason}.") from None


def _error_code(url: str) -> str:
    try:
        # the proxies are those of now: Python keeps those of its first request
        with build_opener().open(Request(url), timeout=SECONDS):  # noqa: S310 - http or https, the caller saw to it
            return ""
    except HTTPError as error:  # it answers; whether it lets us in, its client finds out
        try:
            return str(json.loads(error.read()).get("error_code", ""))
        except (ValueError, AttributeError):
            return ""
