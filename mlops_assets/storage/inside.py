"""Files that other people put into a folder: which of them lie there, and which are links to somewhere else.

A hard link cannot be told from any other file: whoever may make one could read the file himself.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

OPENED = "/proc/self/fd"
"""Where Linux says which file was opened."""

QUIETLY = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
"""How files of others are opened: a pipe that nobody writes into does not keep one waiting."""

NOTHING = frozenset({errno.ELOOP, errno.ENOENT})
"""What opening says of links that lead nowhere."""


def lies_inside(path: str, folder: str) -> bool:
    """Whether a path lies in a folder, or is it, once every link in it is followed.

    Parameters
    ----------
    path
        The path; nothing need be there.
    folder
        The folder, its own links followed: what `os.path.realpath` makes of it.
    """
    real = os.path.realpath(path)
    return real == folder or real.startswith(f"{folder}/")


def was_inside(handle: int, path: str, folder: str) -> bool:
    """Whether a file that was opened lies in a folder, whatever has become of the links in its path meanwhile.

    Parameters
    ----------
    handle
        What was opened.
    path
        By which path.
    folder
        The folder, as for `lies_inside`.
    """
    try:
        # 4 microseconds; to follow the path once more takes several times that, and another link may be there by now
        return os.readlink(f"{OPENED}/{handle}").startswith(f"{folder}/")  # noqa: PTH115 - a Path takes as long again
    except OSError:  # no Linux
        return lies_inside(path, folder)


@contextmanager
def open_regular(path: Path, folder: str | None = None, flags: int = 0) -> Iterator[BinaryIO]:
    """Open a file, which may be anything that others have made of it; what was opened is looked at, not its name.

    Parameters
    ----------
    path
        The file.
    folder
        The folder in which it must lie, as for `lies_inside`; None if it may be anywhere.
    flags
        Further flags of `os.open`.

    Raises
    ------
    LeadsOut
        If it lies elsewhere.
    NoFile
        If it is no regular file.
    OSError
        If it cannot be opened.
    """

    def opener(name: str, mode: int) -> int:
        try:
            handle = os.open(name, mode | QUIETLY | flags)
        except OSError as error:  # a socket has no such device
            raise NoFile(error.errno, error.strerror) if error.errno == errno.ENXIO else error from None
        try:
            if folder is not None and not was_inside(handle, name, folder):
                raise LeadsOut(errno.EPERM, "a link that leads out of its folder")
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise NoFile(errno.EINVAL, "not a regular file")
        except OSError:
            os.close(handle)
            raise
        return handle

    with open(str(path), "rb", opener=opener) as file:
        yield file


def read_regular(path: Path, folder: str | None, largest: int) -> bytes:
    """The bytes of a file, which may be anything that others have made of it.

    Parameters
    ----------
    path
        The file.
    folder
        The folder in which it must lie, as for `lies_inside`; None if it may be anywhere.
    largest
        The bytes that it may have.

    Raises
    ------
    LeadsOut
        If it lies elsewhere.
    NoFile
        If it is no regular file, or larger.
    OSError
        If it cannot be read.
    """
    try:
        with open_regular(path, folder) as file:
            content = file.read(largest + 1)  # not by its size: some files of a system say that they are empty
    except OSError as error:
        raise NoFile(error.errno, error.strerror) if error.errno in NOTHING else error from None
    if len(content) > largest:
        raise NoFile(errno.EFBIG, f"larger than {largest >> 20} MiB")
    return content


class LeadsOut(PermissionError):
    """A file is a link to somewhere else."""


class NoFile(OSError):
    """What lies there is no file that anybody should read."""
