"""Dagster's event log in SQLite, whose connections are kept: an event is written in a quarter of the time.

Dagster makes an engine and opens a file for every event, and the last connection that is closed moves what was written
from SQLite's write-ahead log into the file and waits for the disk. A day has dozens of events.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import dagster as dg
from sqlalchemy import Connection, Engine, create_engine

from mlops_assets.components.private import ConfigurableClassData
from mlops_assets.components.private_sqlite import (
    SQLITE_BUSY_TIMEOUT_SECONDS,
    DagsterSqliteStorage,
    SqliteEventLogStorage,
)

KEPT = 2
"""Files whose connections are kept: the index of all runs, and the run that writes or is looked at."""


class KeptEventLog(SqliteEventLogStorage):
    """The event log, with the connections of the files that were used last.

    Parameters
    ----------
    base_dir
        Where a file a run lies, and the index of all.
    inst_data
        Of Dagster's configuration.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._kept: OrderedDict[str, Engine] = OrderedDict()
        self._files: dict[str, tuple[int, int] | None] = {}
        self._process = os.getpid()
        super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                self._files.setdefault(shard, _file(self.path_for_shard(shard)))
                yield connection

    def _engine(self, shard: str) -> Engine:
        """The engine of a file; those that were not used for longest are closed."""
        if self._process != os.getpid():  # a connection of SQLite must not be used beyond a fork
            for engine in self._kept.values():
                engine.dispose(close=False)
            self._kept.clear()
            self._files.clear()
            self._process = os.getpid()
        self._leave_if_removed(shard)
        if shard not in self._kept:
            patience = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            self._kept[shard] = create_engine(self.conn_string_for_shard(shard), connect_args=patience)
        self._kept.move_to_end(shard)
        while len(self._kept) > KEPT:
            self._leave(next(iter(self._kept)))
        return self._kept[shard]

    def _leave_if_removed(self, shard: str) -> None:
        """Begin anew where another process has removed the file: nobody would see what is written into that one."""
        there = _file(self.path_for_shard(shard))
        if there is None:
            self._initialized_dbs.discard(shard)
        if shard in self._kept and there != self._files.get(shard):
            self._initialized_dbs.discard(shard)
            self._leave(shard)

    def _leave(self, shard: str) -> None:
        self._files.pop(shard, None)
        self._kept.pop(shard).dispose()

    def store_event(self, event: dg.EventLogEntry) -> None:
        """Write an event.

        Parameters
        ----------
        event
            The event.
        """
        super().store_event(event)
        with suppress(FileNotFoundError):  # removed a moment ago, with the run
            # the page of a run waits for a change of this file, and the event lies in the write-ahead log beside it
            os.utime(self.path_for_shard(event.run_id))

    def _close(self) -> None:
        with self._db_lock:
            for shard in [*self._kept]:
                self._leave(shard)

    def wipe(self) -> None:
        """Remove all events, with the files that hold them."""
        self._close()
        super().wipe()

    def dispose(self) -> None:
        """Close what is open."""
        super().dispose()
        self._close()


def _file(path: str) -> tuple[int, int] | None:
    """Which file lies there now."""
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class KeptStorage(DagsterSqliteStorage):
    """Dagster's storage in SQLite, with that event log.

    Parameters
    ----------
    base_dir
        Dagster's home.
    inst_data
        Of Dagster's configuration.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage.dispose()
        self._event_log_storage = KeptEventLog(str(Path(base_dir, "history", "runs")))

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> Self:
        """Make it of `dagster.yaml`."""
        return cls.from_local(inst_data=inst_data, **config_value)
