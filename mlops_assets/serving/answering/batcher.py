"""Waiting files are answered together: one call of reading, features and model for all that came meanwhile.

The event loop takes requests, and one thread of the process computes: what it calls is mostly numpy, Arrow and DuckDB,
which let others run. While a call is under way what comes is gathered, by use case, version and day. A call costs some
milliseconds whatever is in it, so where several clients ask, one waits for the others, a little and no longer.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from mlops_assets.errors import MlopsError
from mlops_assets.errors.redaction import redacted
from mlops_assets.journey.score.online import Answered, Loaded, Sent, answer_files
from mlops_assets.serving.answering.waiting import Asked, Waiting, rows_of

log = logging.getLogger("mlops_assets.serving")

MOST_ROWS = 20_000
"""Rows of a call beyond which no further request joins it: about 100 ms of work, which is what others then wait."""

MOST_FILES = 400
"""The same in files."""

MOST_WAITING = 250_000
"""Rows that wait at most: by `waiting.BYTES_A_ROW` about 64 MB, and some seconds of work."""

PATIENCE = 0.004
"""Seconds that a call waits for others; see `Batcher._gather`."""

LONGEST_PATIENCE = 5
"""How many times as long it waits at most, where one comes after the other."""

JUST_NOW = 25
"""How many times as long ago a call may have ended whose clients are waited for."""

LONGEST_RETRY = 60
"""Seconds after which somebody is told to ask again, at most."""

Answer = Callable[[Loaded, Sequence[Sent], str], list[Answered]]
"""What a call does: as `answer_files`, in the thread that computes."""


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


class Late(Exception):
    """Files were not answered within `serving.limits.seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Not answered within {seconds:g} s (`serving.limits.seconds`); send less, or later.")
        self.seconds = seconds


class Failed(Exception):
    """Files were not answered for a mistake of the program, which was logged."""

    def __init__(self) -> None:
        super().__init__(
            "These files could not be answered, for a mistake of the program or of a plugin; its log tells."
        )


@dataclass(frozen=True)
class Call:
    """Numbers of one call.

    Attributes
    ----------
    use_case
        Name of the use case.
    requests, files, rows
        What was in it; rows as they were estimated.
    waited
        Seconds that each request waited before.
    seconds
        That it took.
    failed
        Whether it failed, so that each request was then answered alone; `seconds` has all of it.
    waiting
        Rows that wait when it ends.
    """

    use_case: str
    requests: int
    files: int
    rows: int
    waited: tuple[float, ...]
    seconds: float
    failed: bool
    waiting: int = 0


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
        What a call does.
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
        self._answer = answer
        self._most_rows, self._most_files, self._patience = most_rows, most_files, patience
        self._waiting = Waiting()
        # the use case of the last call, how many of its clients asked of late, and when the call ended
        self._name, self._clients, self._ended = "", 1, 0.0
        self._came: asyncio.Event | None = None
        self._runner: asyncio.Task[None] | None = None
        self._stopping = False
        self._thread = ThreadPoolExecutor(1, "answering")

    @property
    def rows_waiting(self) -> int:
        """Rows that wait now."""
        return self._waiting.rows

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
        self._put(asked)
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
            self._waiting.leave(asked)

    async def drain(self) -> None:
        """Answer what waits, and take nothing more."""
        self._stopping = True
        if self._came is not None:
            self._came.set()
        while self._runner is not None and not self._runner.done():
            await asyncio.wait([self._runner])
        self._thread.shutdown(wait=False)

    # -- what waits ----------------------------------------------------------------------------------------------------

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

    def _put(self, asked: Asked) -> None:
        self._waiting.add(asked)
        if self._came is not None:
            self._came.set()
        if self._runner is None or self._runner.done():
            # a task for as long as something waits: an idle batcher has none, and belongs to no event loop
            self._runner = asyncio.get_running_loop().create_task(self._run())

    # -- calls ---------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while self._waiting:
            await self._gather()
            taken = self._waiting.take(self._most_rows, self._most_files)
            if taken:
                await self._call(taken)

    async def _gather(self) -> None:
        """Wait for those who were just answered and will soon ask again; a single client waits for nobody.

        Else clients would fall apart into halves, each of which waits for the call of the other, and a call costs
        nearly the same for all of them.
        """
        if time.perf_counter() - self._ended > JUST_NOW * self._patience or not self._may_more_come():
            return
        self._came, time_of = asyncio.Event(), asyncio.get_running_loop().time
        longest = time_of() + LONGEST_PATIENCE * self._patience
        try:
            async with asyncio.timeout(self._patience) as patience:
                while self._may_more_come():
                    await self._came.wait()
                    self._came.clear()
                    # from the last that came: to read each of them takes a while, too
                    patience.reschedule(min(longest, time_of() + self._patience))
        except TimeoutError:
            pass
        finally:
            self._came = None

    def _may_more_come(self) -> bool:
        """Whether fewer wait than have asked of late, and no other use case needs the thread."""
        is_alone = self._waiting.names == [self._name]
        return self._waiting.requests < self._clients and is_alone and not self._stopping

    async def _call(self, taken: list[Asked]) -> None:
        began = time.perf_counter()
        outcomes, failed = await asyncio.get_running_loop().run_in_executor(self._thread, self._answer_all, taken)
        self._ended = time.perf_counter()
        # those who are answered now, and those who came meanwhile; as many as go together, for no more are waited for
        self._name = taken[0].loaded.use_case.name
        self._clients = min(len(taken) + self._waiting.requests, self._most_files)
        for asked, outcome in zip(taken, outcomes, strict=True):
            if asked.is_over:
                continue
            if isinstance(outcome, Exception):
                asked.answer.set_exception(outcome)
            else:
                asked.answer.set_result(outcome)
        self._tell(taken, began, failed)

    def _tell(self, taken: Sequence[Asked], began: float, failed: bool) -> None:
        """Note the numbers of a call."""
        rows, files = sum(asked.rows for asked in taken), sum(len(asked.files) for asked in taken)
        seconds = self._ended - began
        pace = rows / max(seconds, 1e-6)
        self.pace = pace if not self.pace else 0.8 * self.pace + 0.2 * pace
        waited = tuple(began - asked.since for asked in taken)
        name = taken[0].loaded.use_case.name
        try:
            self.watch.called(Call(name, len(taken), files, rows, waited, seconds, failed, self.rows_waiting))
        except Exception:  # who counts must not hold up who answers
            log.exception("the numbers of a call were not noted")

    # -- in the thread that computes -----------------------------------------------------------------------------------

    def _answer_all(self, taken: Sequence[Asked]) -> tuple[list[list[Answered] | Exception], bool]:
        """The outcome of each request, and whether they failed together."""
        if len(taken) == 1:
            return [self._answer_one(taken[0])], False
        files = [file for asked in taken for file in asked.files]
        try:
            answered = self._answer(taken[0].loaded, files, taken[0].day)
            return [*_shared_out(answered, taken)], False
        except Exception as error:  # one of them may be to blame, and the others are not to suffer for it
            log.warning("%d requests failed together and are answered alone: %s", len(taken), type(error).__name__)
        return [Late(0.0) if asked.is_over else self._answer_one(asked) for asked in taken], True

    def _answer_one(self, asked: Asked) -> list[Answered] | Exception:
        try:
            return _shared_out(self._answer(asked.loaded, asked.files, asked.day), [asked])[0]
        except MlopsError as error:
            return error
        except Exception:
            name, trace = asked.loaded.use_case.name, redacted(traceback.format_exc())
            log.error("%s: version %d did not answer: %s", name, asked.loaded.version, trace)
            return Failed()


def _shared_out(answered: Sequence[Answered], taken: Sequence[Asked]) -> list[list[Answered]]:
    """The answers of each request."""
    if len(answered) != sum(len(asked.files) for asked in taken):
        raise RuntimeError(f"{len(answered)} answers to {sum(len(asked.files) for asked in taken)} files")
    every = iter(answered)
    return [[next(every) for _ in asked.files] for asked in taken]
