"""Which process of this machine does a run: one that does holds a file, and loses it however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 1000
"""Of such a file; ours has some fifty."""


@dataclass(frozen=True)
class Presence:
    """What is known of the process of a run.

    Attributes
    ----------
    alive
        Whether it is there.
    process
        Its number, if it is there and of this machine; else 0.
    """

    alive: bool
    process: int = 0

    def interrupt(self) -> bool:
        """Have it stop as by Ctrl-C; whether it could be told."""
        if not self.process:
            return False
        try:
            os.kill(self.process, signal.SIGINT)
        except OSError:  # it ended just now, or is of another user
            return False
        return True


@contextmanager
def present(folder: Path, run: str) -> Iterator[None]:
    """Be seen as the process that does a run.

    Parameters
    ----------
    folder
        Where such files lie.
    run
        Dagster's id of the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / run
    with file.open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        json.dump({"host": socket.gethostname(), "process": os.getpid()}, handle)
        handle.flush()
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def find(folder: Path, run: str) -> Presence | None:
    """The process of a run, if it was ever seen here.

    Parameters
    ----------
    folder, run
        See `present`.
    """
    try:
        # Dagster's ids are of hexadecimal digits and hyphens; a name with a `/` in it would lead elsewhere
        handle = (folder / Path(run).name).open(encoding="utf-8")
    except OSError:
        return None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return Presence(alive=True, process=_number(handle.read(MOST_BYTES)))
    return Presence(alive=False)


def forget(folder: Path, run: str) -> None:
    """Remove what a process left that is gone.

    Parameters
    ----------
    folder, run
        See `present`.
    """
    with suppress(OSError):
        (folder / Path(run).name).unlink()


def _number(said: str) -> int:
    """The number of a process of this machine; containers have names and numbers of their own."""
    with suppress(ValueError, KeyError, TypeError):
        known = json.loads(said)
        if known["host"] == socket.gethostname() and isinstance(known["process"], int) and known["process"] > 1:
            return known["process"]
    return 0
