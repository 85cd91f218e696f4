"""Shards on one machine: a pool of spawned processes, each library in them at one thread."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from types import TracebackType
from typing import TypeVar

from mlops_assets.errors import ShardFailed
from mlops_assets.journey.shards import Report

Task = TypeVar("Task")

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_IO_THREADS"), "1")
"""With a process a core, more threads only get in each other's way."""


HEAVY = ("mlops_assets.journey.rows", "mlops_assets.journey.scoring", "mlops_assets.encoders", "skops.io")
"""What a process imports as it starts, which takes seconds: with luck while files are still being listed."""


class LocalEngine:
    """Runs shards in `workers` processes; a single shard runs in this one.

    Parameters
    ----------
    workers
        Number of processes.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=kind is None, cancel_futures=True)
            self._pool = None

    def start(self) -> None:
        """Start the processes, without waiting for them; `map` does so too, but then there is work to wait."""
        if self._workers > 1:
            self._open()

    def map(self, function: Callable[[Task], Report], tasks: Sequence[Task]) -> Iterator[Report]:
        """Reports in the order in which the shards finish.

        Raises
        ------
        ShardFailed
            If a worker process died; what other shards finished is kept.
        """
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
                    yield future.result()
                    pending |= {pool.submit(function, task) for task in islice(waiting, 1)}
        except BrokenProcessPool:
            pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
            raise ShardFailed(
                "A worker process died; the kernel may have ended it for want of memory. Finished shards are "
                "kept: run again, with fewer processes (MLOPS_WORKERS) or a smaller scale.files_a_shard."
            ) from None
        finally:
            for future in pending:  # the caller gave up: what has not begun shall not begin
                future.cancel()

    def _open(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, mp_context=context, initializer=_settle)
            with _environment(ONE_THREAD):
                for _ in range(self._workers):  # each starts a process, for none is ready yet
                    self._pool.submit(os.getpid)
        return self._pool


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


def _settle() -> None:
    """Prepare a worker: one thread in Arrow, and Ctrl-C is the driver's business."""
    import importlib
    import signal

    import pyarrow as pa

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_cpu_count(1)
    for module in HEAVY:
        importlib.import_module(module)
