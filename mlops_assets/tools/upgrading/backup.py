"""A backup of what an upgrade is about to change: whole under its name, or not there."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.settings import Settings
from mlops_assets.storage.database import DATABASE_VARIABLE, database_url
from mlops_assets.storage.files import write_json
from mlops_assets.storage.form import mark_of_today
from mlops_assets.storage.integrity import read_json
from mlops_assets.tools.upgrading.stores import Store

DUMP = "postgres.dump"

PENDING = "pending.json"
"""Lies in a backup until its upgrade is done."""


def find_pending(folder: Path, settings: Settings) -> Path | None:
    """The backup in a folder of backups whose upgrade was killed, if there is one."""
    return next((path for path in sorted(folder.glob("*")) if is_pending(path, settings)), None)


def is_pending(folder: Path, settings: Settings) -> bool:
    """Whether a folder is a backup of these stores whose upgrade is not done."""
    file = folder / PENDING
    return file.is_file() and read_json(file) == _of(settings)


def _of(settings: Settings) -> dict[str, Any]:
    """Whose backup it is, and before which upgrade: that of a later release begins with a backup of its own."""
    return {"home": str(settings.home), "lake": str(settings.lake), "to": asdict(mark_of_today())}


def see_place(folder: Path) -> None:
    """See that a backup can be made there.

    Raises
    ------
    UsageError
        If it is no folder of this machine, or something is there already.
    """
    if ":/" in str(folder):
        raise UsageError(f"{folder}: the backup is a folder of this machine; copy it elsewhere when it is made.")
    if folder.exists():
        raise UsageError(f"{folder} is there already: name a folder that is not, for no backup is overwritten.")


def see_dump(stores: Iterable[Store], *, is_done: bool) -> None:
    """See that PostgreSQL can be backed up here, or that somebody did.

    Raises
    ------
    UsageError
        If neither; with what to do.
    """
    if is_done or not any(store.schema for store in stores) or shutil.which("pg_dump"):
        return
    raise UsageError(
        "pg_dump is not installed here, so PostgreSQL cannot be backed up. Where it is, run `pg_dump --format=custom "
        f'--file={DUMP} "${DATABASE_VARIABLE}"` (without +psycopg2 in the URL), then `mlops-assets upgrade '
        "--database-backed-up` here."
    )


def back_up(
    folder: Path, settings: Settings, stores: Iterable[Store], documents: Iterable[tuple[str, bytes]], *, dump: bool
) -> None:
    """Copy stores and documents into a folder.

    Parameters
    ----------
    folder
        Where to; what is left of a backup that was killed is made anew.
    settings
        Where all of it lies.
    stores
        Stores of SQL.
    documents
        Files of ours: where each lies, and its content.
    dump
        Whether PostgreSQL is copied, too.

    Raises
    ------
    MlopsError
        If one cannot be copied.
    """
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        _copy(unfinished, settings, stores, documents, dump=dump)
        write_json(unfinished / PENDING, _of(settings))
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _copy(
    unfinished: Path, settings: Settings, stores: Iterable[Store], documents: Iterable[tuple[str, bytes]], *, dump: bool
) -> None:
    for store in stores:
        for file in store.files:
            _copy_sqlite(file, unfinished / store.library / _name(str(file), settings))
    if dump:
        _dump(unfinished / DUMP)
    for place, content in documents:
        copy = unfinished / "documents" / _name(place, settings)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)


def _name(text: str, settings: Settings) -> str:
    """The path of a file below the home or the lake."""
    for root in (settings.dagster_home, settings.home, settings.lake):
        if text.startswith(f"{root}/"):
            return text.removeprefix(f"{root}/")
    return text.rpartition("://")[2].lstrip("/")


def _copy_sqlite(file: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)  # whole, whatever is written meanwhile
    except sqlite3.Error as error:
        raise MlopsError(f"{file}: cannot be copied to {copy.parent}: {error}. Nothing was changed.") from None


def _dump(file: Path) -> None:
    url = database_url(DATABASE_VARIABLE)
    told = {"PGHOST": url.host or str(url.query.get("host", "")), "PGPORT": str(url.port or "")}
    told |= {"PGUSER": url.username or "", "PGPASSWORD": str(url.password or ""), "PGDATABASE": url.database or ""}
    environment = {**os.environ, **{name: value for name, value in told.items() if value}}
    # by the environment: arguments can be read by everybody on the machine
    done = subprocess.run(
        ["pg_dump", "--format=custom", f"--file={file}"], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise MlopsError(f"pg_dump failed, and nothing was changed: {said[0] if said else done.returncode}")
