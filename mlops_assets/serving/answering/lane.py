"""Files that wait for the same thread: it answers in one call of reading, features and model all that came meanwhile.

While a call is under way what comes is gathered, by use case, version and day. A call costs some milliseconds whatever
is in it, so where several clients ask, one waits for the others, a little and no longer.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mlops_assets.errors import MlopsError
from mlops_assets.errors.redaction import redacted
from mlops_assets.journey.score.online import Answered, Loaded, Sent
from mlops_assets.serving.answering.waiting import Asked, Waiting

log = logging.getLogger("mlops_assets.serving")

PATIENCE = 0.004
"""Seconds that a call waits for others; see `Lane._gather`."""

LONGEST_PATIENCE = 5
"""How many times as long it waits at most, where one comes after the other."""

JUST_NOW = 25
"""How many times as long ago a call may have ended whose clients are waited for."""

Answer = Callable[[Loaded, Sequence[Sent], str], list[Answered]]
"""What a call does: as `answer_files`, in the thread that computes."""


class Failed(Exception):
    """Files were not answered for a mistake of the program, which was logged."""

    def __init__(self) -> None:
        super().__init__(
            "These files could not be answered, for a mistake of the program or of a plugin; its log tells."
        )


class Late(Exception):
    """Files were not answered within `serving.limits.seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Not answered within {seconds:g} s (`serving.limits.seconds`); send less, or later.")
        self.seconds = seconds


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
        Rows that wait in the process when it ends.
    """

    use_case: str
    requests: int
    files: int
    rows: int
    waited: tuple[float, ...]
    seconds: float
    failed: bool
    waiting: int = 0


class Lane:
    """Answers what waits in it, call after call, in a thread of its own.

    Parameters
    ----------
    answer
        What a call does.
    tell
        Is told each call when it has ended, in the thread of the event loop.
    most_rows, most_files
        How much one call takes together; the files of one request stay together, however many.
    patience
        Seconds that a call waits for others where there are others.

    Attributes
    ----------
    waiting
        What waits.
    """

    def __init__(
        self, answer: Answer, tell: Callable[[Call], None], *, most_rows: int, most_files: int, patience: float
    ) -> None:
        self.waiting = Waiting()
        self._answer, self._tell = answer, tell
        self._most_rows, self._most_files, self._patience = most_rows, most_files, patience
        # the use case of the last call, how many of its clients asked of late, and when the call ended
        self._name, self._clients, self._ended = "", 1, 0.0
        self._came: asyncio.Event | None = None
        self._runner: asyncio.Task[None] | None = None
        self._stopping = False
        # it starts with its first call: who is sent nothing large has one thread
        self._pool = ThreadPoolExecutor(1, "answering")

    def put(self, asked: Asked) -> None:
        """Have a request answered when it is its turn."""
        self.waiting.add(asked)
        if self._came is not None:
            self._came.set()
        if self._runner is None or self._runner.done():
            # a task for as long as something waits: an idle one has none, and belongs to no event loop
            self._runner = asyncio.get_running_loop().create_task(self._run())

    async def drain(self) -> None:
        """Answer what waits; nothing more is put."""
        self._stopping = True
        if self._came is not None:
            self._came.set()
        while self._runner is not None and not self._runner.done():
            await asyncio.wait([self._runner])
        self._pool.shutdown(wait=False)

    # -- calls ---------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while self.waiting:
            await self._gather()
            taken = self.waiting.take(self._most_rows, self._most_files)
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
        is_alone = self.waiting.names == [self._name]
        return self.waiting.requests < self._clients and is_alone and not self._stopping

    async def _call(self, taken: list[Asked]) -> None:
        began = time.perf_counter()
        outcomes, failed = await asyncio.get_running_loop().run_in_executor(self._pool, self._answer_all, taken)
        self._ended = time.perf_counter()
        # those who are answered now, and those who came meanwhile; as many as go together, for no more are waited for
        self._name = taken[0].loaded.use_case.name
        self._clients = min(len(taken) + self.waiting.requests, self._most_files)
        for asked, outcome in zip(taken, outcomes, strict=True):
            if asked.is_over:
                continue
            if isinstance(outcome, Exception):
                asked.answer.set_exception(outcome)
            else:
                asked.answer.set_result(outcome)
        self._tell(self._numbers(taken, began, failed))

    def _numbers(self, taken: Sequence[Asked], began: float, failed: bool) -> Call:
        """The numbers of a call."""
        rows, files = sum(asked.rows for asked in taken), sum(len(asked.files) for asked in taken)
        waited = tuple(began - asked.since for asked in taken)
        name = taken[0].loaded.use_case.name
        return Call(name, len(taken), files, rows, waited, self._ended - began, failed)

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
