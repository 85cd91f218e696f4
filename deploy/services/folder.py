"""The folder of a stack: taken by one at a time, and emptied only where it is known to be a stack's."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "stack.lock"
"""Marks a folder as that of a stack; locked while anything of the stack is left."""


class FolderTaken(RuntimeError):
    """The folder is used by another stack, or holds what is not a stack's."""


@contextmanager
def taken(folder: Path) -> Iterator[int]:
    """Take a folder, and empty it; nothing in it is touched before it is ours.

    Parameters
    ----------
    folder
        The folder; made if it is missing.

    Yields
    ------
    int
        The file of the lock. A process that has it open holds the folder, too.

    Raises
    ------
    FolderTaken
        If a stack runs in it, or it has files but was never a stack's.
    """
    if folder.exists() and not _may_be_emptied(folder):
        raise FolderTaken(
            f"{folder} is to be emptied, and holds what no stack of this version made. "
            "Name a new folder (for `make services`: MLOPS_HOME), or remove it"
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(lock, folder)
        for entry in folder.iterdir():
            if entry.name != LOCK:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        yield lock
    finally:
        os.close(lock)


def _may_be_emptied(folder: Path) -> bool:
    """Whether a folder has the mark of a stack, or nothing at all."""
    if not folder.is_dir():
        return False
    mark = folder / LOCK
    return (mark.is_file() and not mark.is_symlink()) or not any(folder.iterdir())


def _lock(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 100, 0).decode(errors="replace").strip()
        raise FolderTaken(
            f"a stack runs in {folder}: process {holder}. End that one with Ctrl-C or `kill {holder}`, "
            "or name another folder (for `make services`: MLOPS_HOME). If it was killed, try again in some seconds"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
