"""In: files of a folder as they were listed. Out: the bytes of those that still are what was listed, at once.

For most files of most days a third of what reading them costs is Python between five calls of the system, and several
threads that wait for a disk hand its lock to one another at each. `listed.c` makes these calls for some files in a row.
What is not plainly as it was listed is left to `FolderSource.read`, which says what it is.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.work.compiled import find_function, library_of

SHA256 = "5a9f099454323975139d2e66320354a29d8923d1ae0020edbedc9bd57a79a319"
"""Of `listed.c`; changed by hand with it."""

LIBRARY = library_of(__file__, SHA256)

SMALL = 1 << 20
"""Bytes of a file that is read with others: of a larger one nobody counts microseconds, and room is made for all."""


@cache
def compiled() -> Any | None:
    """The function of `listed.c`; None where it was not compiled for this machine."""
    array, number = ctypes.c_void_p, ctypes.c_int64
    settings = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, number]
    return find_function(LIBRARY, "read_as_listed", [*settings, *8 * [array]])


def read_as_listed(
    function: Any, root: str, folder: str, entries: pa.Table, *, inside: bool, largest: int
) -> list[bytes | None]:
    """The bytes of files, None for each that cannot be read so, or is not what was listed.

    Parameters
    ----------
    function
        What `compiled` found.
    root
        The folder that they must lie in, its own links followed.
    folder
        The folder of the day in it.
    entries
        The files, with the columns of an `Entry`; such as have a problem are not opened.
    inside
        Whether no link on the way may lead out of the root.
    largest
        Bytes of a file that is opened.
    """
    if not len(entries):
        return []
    plain = pc.and_(pc.equal(entries["problem"], ""), pc.less_equal(entries["size"], min(SMALL, largest)))
    sizes = np.where(plain.to_numpy(), entries["size"].to_numpy(), -1)
    modified, paths, etags = (entries[name].combine_chunks() for name in ("modified", "path", "etag"))
    times = np.ascontiguousarray(modified.to_numpy())
    content, read = np.empty(int((sizes + 1).sum()), np.uint8), np.zeros(len(sizes), np.uint8)
    try:
        handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # gone, or of others by now
        return [None] * len(entries)
    try:
        function(
            *(handle, f"{folder}/".encode(), inside, len(sizes), *_text(paths), sizes.ctypes.data, times.ctypes.data),
            *(*_text(etags), content.ctypes.data, read.ctypes.data),
        )
    finally:
        os.close(handle)
    firsts, whole = accumulate((sizes + 1).tolist(), initial=0), content.data
    return [
        bytes(whole[first : first + size]) if good else None
        for first, size, good in zip(firsts, sizes.tolist(), read.tolist(), strict=False)  # one more: the end
    ]


def _text(column: pa.Array) -> tuple[int, int]:
    """Where the ends of the texts of a column lie in memory, and where the texts."""
    _, ends, texts = column.buffers()
    # of none at all Arrow has no memory, and C may copy nothing from nowhere: any other place does
    return ends.address + 4 * column.offset, (texts or ends).address
