"""Memory that was used and is free again: Arrow and the C library keep it for their process, unless they are told."""

from __future__ import annotations

import ctypes

import pyarrow as pa

ARENA_MAX = -8
"""What the C library calls the number of its pools: with one for each thread, of some forty, each keeps a little."""


def keep_one_pool() -> None:
    """Have all threads take memory of the C library from one pool; to be called before there are any."""
    _of_c("mallopt", ARENA_MAX, 1)


def give_back() -> None:
    """Give memory that is free back to the machine; a few milliseconds, in which others run."""
    pa.default_memory_pool().release_unused()
    _of_c("malloc_trim", 0)


def _of_c(name: str, *arguments: int) -> None:
    """Call a function of the C library that most of Linux has, and others have not."""
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function(*arguments)
