"""The files that wait to be answered: whose turn it is, what is answered together, and how much it is."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from mlops_assets.journey.score.online import Answered, Loaded, Sent

BYTES_A_ROW = 256
"""Bytes that a row has at most; a longer one counts as several, and a picture: it costs as much, and lies in memory."""


@dataclass(eq=False)
class Asked:
    """A request that waits or is answered.

    Attributes
    ----------
    loaded, files, day
        What was asked.
    rows
        Its rows, as estimated.
    answer
        Gets the answer.
    since
        When it came.
    waits
        Whether it still waits for its turn.
    """

    loaded: Loaded
    files: Sequence[Sent]
    day: str
    rows: int
    answer: asyncio.Future[list[Answered]]
    since: float = field(default_factory=time.perf_counter)
    waits: bool = True

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.answer.done()


Group = tuple[int, str]
"""What may be answered together within a use case: the identity of a loaded model, and a day."""


def rows_of(files: Sequence[Sent]) -> int:
    """How many rows files may have, by line feeds and bytes: exact enough to weigh them, and nearly for nothing.

    Examples
    --------
    >>> rows_of([Sent("a.csv", b"head" + bytes([10]) + b"row" + bytes([10])), Sent("b.csv", b"")])
    3
    >>> rows_of([Sent("ring.json", b"{}", {"ring.png": bytes(2560)})])
    10
    """
    return sum(max(1, file.data.count(b"\n"), _bytes_of(file) // BYTES_A_ROW) for file in files)


def _bytes_of(file: Sent) -> int:
    return len(file.data) + sum(map(len, file.attached.values()))


class Waiting:
    """What waits, by use case, and by what may be answered together.

    Attributes
    ----------
    rows, requests
        How much it is.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.requests = 0
        # the order of the use cases is that of their turns, and so is that of the groups of each
        self._groups: dict[str, dict[Group, deque[Asked]]] = {}

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._groups)

    @property
    def names(self) -> list[str]:
        """The use cases that wait, in the order of their turns."""
        return [*self._groups]

    def add(self, asked: Asked) -> None:
        """Put a request to the end of its line."""
        groups = self._groups.setdefault(asked.loaded.use_case.name, {})
        groups.setdefault((id(asked.loaded), asked.day), deque()).append(asked)
        self.rows += asked.rows
        self.requests += 1

    def leave(self, asked: Asked) -> None:
        """Forget a request that still waits, if it does, for whoever asked has left; its files are let go at once."""
        if asked.waits:
            self._count_out(asked)
            asked.files = ()

    def take(self, most_rows: int, most_files: int) -> list[Asked]:
        """What is answered next: of the use case whose turn it is, the oldest that go together, and one at least.

        Parameters
        ----------
        most_rows, most_files
            How much goes together. A request is never parted.
        """
        name = next(iter(self._groups))
        groups = self._groups.pop(name)
        group = next(iter(groups))
        waiting = groups.pop(group)
        taken: list[Asked] = []
        rows = files = 0
        while waiting:
            asked = waiting[0]
            if asked.waits:
                rows, files = rows + asked.rows, files + len(asked.files)
                if taken and (rows > most_rows or files > most_files):
                    break
                self._count_out(asked)
                taken.append(asked)
            waiting.popleft()
        # to the end of the line, so that nobody starves: no use case, and none of its versions and days
        if waiting:
            groups[group] = waiting
        if groups:
            self._groups[name] = groups
        return taken

    def _count_out(self, asked: Asked) -> None:
        asked.waits = False
        self.rows -= asked.rows
        self.requests -= 1
