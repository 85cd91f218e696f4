"""Files of requests are answered together, within limits; a large request keeps no small one waiting.

The event loop takes requests, and two threads of the process compute, one of which is for large requests: what they
call is mostly numpy, Arrow and DuckDB, which let others run.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from mlops_assets.journey.score.online import Answered, Loaded, Sent, answer_files
from mlops_assets.serving.answering.lane import PATIENCE, Answer, Call, Lane, Late
from mlops_assets.serving.answering.waiting import Asked, rows_of

log = logging.getLogger("mlops_assets.serving")

MOST_ROWS = 20_000
"""Rows of a call beyond which no further request joins it: about 100 ms of work, which is what others then wait. A
request that has more by itself is a large one."""

MOST_FILES = 400
"""The same in files."""

MOST_WAITING = 250_000
"""Rows that wait at most: by `waiting.BYTES_A_ROW` about 64 MB, and some seconds of work."""

LONGEST_RETRY = 60
"""Seconds after which somebody is told to ask again, at most."""


class Busy(Exception):
    """Files are not taken now.

    Parameters
    ----------
    seconds
        How long to wait before asking again.
    reason
        Why, and what to do.
    """

    def __init__(self, seconds: int, reason: str = "") -> None:
        super().__init__(reason or f"Too many rows wait; ask again in {seconds} s.")
        self.seconds = seconds


class Stopping(Busy):
    """Nothing more is taken, for the process is about to end."""

    def __init__(self) -> None:
        super().__init__(1, "This process is about to end; ask again in 1 s, another one may answer.")


class Watch(Protocol):
    """Is told what a batcher does, in the thread of the event loop; it must not take long."""

    def called(self, call: Call) -> None:
        """A call has ended."""
        ...

    def refused(self, use_case: str, why: str) -> None:
        """Files were not taken, or not answered in time: `busy`, `stopping`, `late`, `gone`."""
        ...


class Nobody:
    """Watches nothing."""

    def called(self, call: Call) -> None:
        """Nothing."""

    def refused(self, use_case: str, why: str) -> None:
        """Nothing."""


class Batcher:
    """Answers files of one process.

    Parameters
    ----------
    most_waiting
        Most rows (lines of files) that wait; beyond them `ask` raises Busy.
    answer
        What a call does; two of them may be under way, a large request in one of them.
    watch
        Is told what is done.
    most_rows, most_files
        How much one call takes together; the files of one request stay together, however many.
    patience
        Seconds that a call waits for others where there are others.

    Attributes
    ----------
    pace
        Rows answered a second, of late; 0 before the first call.
    """

    def __init__(
        self,
        most_waiting: int = MOST_WAITING,
        *,
        answer: Answer = answer_files,
        watch: Watch | None = None,
        most_rows: int = MOST_ROWS,
        most_files: int = MOST_FILES,
        patience: float = PATIENCE,
    ) -> None:
        self.most_waiting = most_waiting
        self.watch: Watch = watch or Nobody()
        self.pace = 0.0
        self._most_rows = most_rows
        self._stopping = False
        self._usual, self._large = (
            Lane(answer, self._tell, most_rows=most_rows, most_files=most_files, patience=patience) for _ in range(2)
        )

    @property
    def rows_waiting(self) -> int:
        """Rows that wait now."""
        return self._usual.waiting.rows + self._large.waiting.rows

    async def ask(self, loaded: Loaded, files: Sequence[Sent], day: str) -> list[Answered]:
        """What the model says of some files, one item a file; answered together with what else waits for it.

        Raises
        ------
        Busy
            If too many rows wait.
        Late
            If the time of a request is over.
        MlopsError
            If these files cannot be answered.
        Failed
            If the program has a mistake.
        """
        name, seconds = loaded.use_case.name, loaded.use_case.serving.limits.seconds
        asked = Asked(loaded, files, day, rows_of(files), asyncio.get_running_loop().create_future())
        self._see_room(asked)
        lane = self._large if asked.rows > self._most_rows else self._usual
        lane.put(asked)
        try:
            async with asyncio.timeout(seconds):
                return await asked.answer
        except TimeoutError:
            self.watch.refused(name, "late")
            raise Late(seconds) from None
        except asyncio.CancelledError:
            self.watch.refused(name, "gone")
            raise
        finally:
            lane.waiting.leave(asked)

    async def drain(self) -> None:
        """Answer what waits, and take nothing more."""
        self._stopping = True
        await asyncio.gather(self._usual.drain(), self._large.drain())

    def _see_room(self, asked: Asked) -> None:
        name = asked.loaded.use_case.name
        if self._stopping:
            self.watch.refused(name, "stopping")
            raise Stopping
        if self.rows_waiting + asked.rows <= self.most_waiting:
            return
        self.watch.refused(name, "busy")
        if asked.rows > self.most_waiting:
            reason = (
                f"These are about {asked.rows:,} rows, and {self.most_waiting:,} may wait at all: send them in parts."
            )
            raise Busy(self._retry(), reason)
        raise Busy(self._retry())

    def _retry(self) -> int:
        """Seconds after which there is room, by the pace of late; half of what waits is done by then."""
        seconds = self.rows_waiting / 2 / self.pace if self.pace else 1.0
        return min(LONGEST_RETRY, max(1, math.ceil(seconds)))

    def _tell(self, call: Call) -> None:
        """Note the numbers of a call that has ended."""
        pace = call.rows / max(call.seconds, 1e-6)
        self.pace = pace if not self.pace else 0.8 * self.pace + 0.2 * pace
        try:
            self.watch.called(replace(call, waiting=self.rows_waiting))
        except Exception:  # who counts must not hold up who answers
            log.exception("the numbers of a call were not noted")
