"""Shards on one machine: a pool of processes, each library in them at one thread.

Importing libraries takes seconds of a core. A server process does it once; the workers are its forks.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import connection, forkserver
from types import TracebackType
from typing import TypeVar

from mlops_assets.errors import MlopsError, ShardFailed
from mlops_assets.errors.redaction import redact_logs
from mlops_assets.work.shards import Report

Task = TypeVar("Task")
Item = TypeVar("Item")
Result = TypeVar("Result")

# on a busy machine, OpenMP brought a model from 78,000 rows a second down to 3,000
ONE_THREAD = dict.fromkeys(
    (
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_IO_THREADS", "TOKIO_WORKER_THREADS"),
        "MALLOC_ARENA_MAX",
    ),
    "1",
)
"""With a process a core, more threads only get in each other's way; those of the client of S3 (tokio) wake each other
for each object, which is a third of what it costs. And one pool of memory: threads that read files side by side kept
100 MB in pools of their own."""


HEAVY = ["mlops_assets.journey.read.rows", "mlops_assets.journey.score.day"]
"""What the server imports as it starts, with luck while files are still being listed."""

ESTIMATORS = ["skops.io", "mlops_assets.encoders"]
"""What it imports before, for models that have no scorer; skops first, see `running`."""


def start_server(*, estimators: bool = False) -> None:
    """Start the server whose forks the workers are, unless it runs.

    Parameters
    ----------
    estimators
        Whether it imports what loads estimators: seconds of a core, once for all workers.
    """
    multiprocessing.set_forkserver_preload([*ESTIMATORS, *HEAVY] if estimators else HEAVY)
    # forked without threads: its libraries are at one thread each, and Ctrl-C is left to the driver
    with _environment(ONE_THREAD), _interrupts_held():
        forkserver.ensure_running()


class LocalEngine:
    """Runs shards in `workers` processes; a single shard runs in this one.

    Parameters
    ----------
    workers
        Number of processes.
    """

    elsewhere = False

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            # after an error nobody waits for shards that nobody will publish
            self._pool.shutdown(wait=kind is None, cancel_futures=True)
            self._pool = None

    def start(self, *, estimators: bool = False) -> None:
        """Let the imports begin, without waiting for them; `map` does so too, but then there is work to wait.

        Parameters
        ----------
        estimators
            As of `start_server`.
        """
        if self._workers > 1:
            start_server(estimators=estimators)

    def map(self, function: Callable[[Task], Report], tasks: Sequence[Task]) -> Iterator[Report]:
        """Reports in the order in which the shards finish.

        Raises
        ------
        ShardFailed
            If a worker process died; what other shards finished is kept.
        """
        # one shard is done before a pool has started
        if len(tasks) <= 1 or self._workers == 1:
            yield from map(function, tasks)
            return
        pool = self._open()
        waiting = iter(tasks)
        pending: set[Future[Report]] = set()
        try:
            # a few shards ahead are enough: a day of many shards is not queued whole
            pending = {pool.submit(function, task) for task in islice(waiting, 2 * self._workers)}
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield _result_of(future)
                    pending |= {pool.submit(function, task) for task in islice(waiting, 1)}
        except BrokenProcessPool:
            raise self._died() from None
        finally:
            for future in pending:  # the caller gave up: what has not begun shall not begin
                future.cancel()

    def spread(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """What a function makes of items, in any order: by this process, and beside it by the workers that are there.

        Raises
        ------
        ShardFailed
            If a worker process died.
        """
        if len(items) <= 1 or self._workers == 1:
            yield from map(function, items)
            return
        pool, left = self._open(), iter(items)
        pending: set[Future[Result]] = set()
        try:
            # this process begins at once, for the others may still have to import; it is one of the workers
            for item in left:
                pending |= {pool.submit(function, one) for one in islice(left, 2 * self._workers - 2 - len(pending))}
                yield function(item)
                done = {future for future in pending if future.done()}
                pending -= done
                yield from map(_result_of, done)
            yield from map(_result_of, pending)
        except BrokenProcessPool:
            raise self._died() from None
        finally:
            for future in pending:
                future.cancel()

    def _died(self) -> ShardFailed:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
        return ShardFailed(
            "A worker process died; the kernel may have ended it for want of memory. Finished shards are "
            "kept: run again, with fewer processes (MLOPS_WORKERS) or a smaller scale.files_a_shard."
        )

    def _open(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self.start()
            context = multiprocessing.get_context("forkserver")
            # not fork: libraries of this process run threads, whose locks a fork would copy as they are held
            self._pool = ProcessPoolExecutor(self._workers, mp_context=context, initializer=_settle)
        return self._pool


def _result_of(future: Future[Result]) -> Result:
    try:
        return future.result()
    except MlopsError as error:
        raise error from None  # meant for people: the worker's traceback would hide it


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables for processes that start inside; libraries read them when they are loaded."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C is the driver's business: a process that starts inside never sees it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _settle() -> None:
    """Prepare a worker: one thread in Arrow, no secret in its log, and no life without a driver."""
    import pyarrow as pa

    pa.set_cpu_count(1)
    redact_logs()
    threading.Thread(target=_end_with_the_driver, name="driver-watch", daemon=True).start()


def _end_with_the_driver() -> None:
    """A driver that was killed cannot tell its workers, which would wait for tasks for ever."""
    driver = multiprocessing.parent_process()
    if driver is not None:
        connection.wait([driver.sentinel])
        # at once: an exception would end this thread alone
        os._exit(1)
