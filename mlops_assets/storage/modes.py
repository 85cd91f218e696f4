"""Who may read what is written: state is for the user of the process alone, what a person asks for has their umask.

A umask belongs to a process, and to those that it starts: set at the beginning, it reaches what Delta's library,
MLflow, Dagster and SQLite write as well.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PRIVATE = 0o077
"""The umask of folders with mode 700 and files with mode 600."""

VARIABLE = "MLOPS_UMASK"
"""Where processes that we start find the umask of the person; it is set by us."""

_changing = threading.RLock()
# of two threads that change it at once, the later would bring back what the earlier had set, for good


def keep_private() -> int:
    """Write for the user of this process alone from now on; the umask that there was."""
    before = os.umask(PRIVATE)
    os.environ.setdefault(VARIABLE, f"{before:03o}")
    return before


@contextmanager
def private() -> Iterator[None]:
    """Write for the user of this process alone, as long as the context lasts."""
    named = VARIABLE in os.environ
    before = keep_private()
    try:
        yield
    finally:
        os.umask(before)
        if not named:
            del os.environ[VARIABLE]


@contextmanager
def for_others(place: object = None, home: Path | None = None) -> Iterator[None]:
    """Write with the umask of the person: what they asked for, or what others are to read.

    Parameters
    ----------
    place
        Where it is written, if that may be a place in the home.
    home
        The folder of all state: what lies in it stays private.
    """
    is_state = home is not None and isinstance(place, Path) and place.resolve().is_relative_to(home.resolve())
    with _changing:
        before = os.umask(PRIVATE if is_state else _of_the_person())
        try:
            yield
        finally:
            os.umask(before)


def _of_the_person() -> int:
    """The umask that the first of our processes was started with; this one's own where none of them set it."""
    named = os.environ.get(VARIABLE, "")
    if named:
        return int(named, 8)
    current = os.umask(PRIVATE)  # it can only be read by setting it
    os.umask(current)
    return current


def close_home(home: Path) -> str:
    """Make a folder of state that others may look into one for its owner alone; what was done, empty if nothing was."""
    try:
        mode = home.stat().st_mode
    except FileNotFoundError:  # it will be made so
        return ""
    if not mode & PRIVATE:
        return ""
    shown = f"{home} can be reached by other users (mode {stat.S_IMODE(mode):o})"
    if mode & stat.S_ISVTX:
        return f"{shown}, and many keep things there: name a folder of your own, MLOPS_HOME."
    try:
        home.chmod(0o700)
    except OSError as error:
        return f"{shown}, and cannot be closed to them: {error.strerror}. Its owner can: chmod 700 {home}"
    elsewhere = "Raw files that others deliver or read belong elsewhere, MLOPS_RAW"
    return f"{shown}; from now on it is for its owner alone (700). {elsewhere}."
