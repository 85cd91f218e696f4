"""Databases in memory for SQL that people write, or whose names they choose: they hold what they are given, no more."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

import duckdb

SETTINGS: Mapping[str, str | bool | int | float | list[str]] = {
    "threads": 1,  # shards run side by side, a process each
    "async_threads": 1,  # they wait for disks, and by default are eight; what is in memory needs none of them
    # SQL is code, that of a stored model too: it gets its tables, and no way to files, the network or our variables
    "enable_external_access": False,
    "python_enable_replacements": False,
    # what it may call comes with DuckDB: nothing is fetched, or looked for in the folder of a person
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


def open_locked(**settings: str) -> duckdb.DuckDBPyConnection:
    """A database in memory that cannot leave it, and of which no setting can be changed any more.

    Parameters
    ----------
    settings
        What else is set.
    """
    # DuckDB lets SQL read the folder that it spills to, by default one in the working folder that all processes share
    spill = Path(tempfile.gettempdir(), f"mlops-assets-{uuid.uuid4().hex}")
    database = duckdb.connect(":memory:", config={**SETTINGS, **settings, "temp_directory": str(spill)})
    # else what a text with a time says would hang on the machine
    database.execute("SET TimeZone = 'UTC'")
    database.execute("SET lock_configuration = true")
    return database
