"""The page cache: a day's files are brought into it, or taken out of it, before a run."""

from __future__ import annotations

import os
from pathlib import Path

DROP = Path("/proc/sys/vm/drop_caches")


def warm(folder: Path) -> None:
    """Bring the files of a folder into the page cache, as far as they fit."""
    for path in _files(folder):
        path.read_bytes()


def cool(folder: Path) -> str:
    """Take the files of a folder out of the page cache; how that was done."""
    os.sync()
    try:
        DROP.write_text("3", encoding="ascii")
    except OSError:
        for path in _files(folder):
            file = os.open(path, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)
        return "file contents dropped by posix_fadvise, folders stayed in memory"
    return "page cache, folders and inodes dropped by /proc/sys/vm/drop_caches"


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
