"""Runs a command and measures its whole process tree: wall time, CPU seconds, peak memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY, SHARE = 0.2, 0.02
"""Seconds between two looks at the process tree, and the share of the time that looking may take: the kernel walks the
whole memory of a process for it, and while it does, the process waits for new memory."""

SET_CHILD_SUBREAPER = 36
"""Of `prctl(2)`."""


@dataclass(frozen=True)
class Measured:
    """What a command took.

    Attributes
    ----------
    seconds
        Wall time.
    cpu
        CPU seconds of all processes of the tree, user and system.
    peak
        Largest sum of the memory of all processes, in bytes; shared pages count once where the system can tell (PSS).
    code
        Exit code.
    """

    seconds: float
    cpu: float
    peak: int
    code: int


class _Watch(threading.Thread):
    """Looks at a process tree now and then."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self._root = psutil.Process(root)
        self._ended = threading.Event()
        self._cpu: dict[tuple[int, float], float] = {}
        self.peak = 0

    def run(self) -> None:
        """Look until the end."""
        try:
            while True:
                began = time.monotonic()
                tree = [self._root, *self._root.children(recursive=True)]
                self.peak = max(self.peak, sum(map(self._look, tree)))
                if self._ended.wait(max(EVERY, (time.monotonic() - began) / SHARE)):
                    return
        except psutil.NoSuchProcess:
            return

    def _look(self, process: psutil.Process) -> int:
        """Note the CPU time of a process; its memory."""
        try:
            times = process.cpu_times()
            self._cpu[process.pid, process.create_time()] = times.user + times.system
            try:
                return int(process.memory_full_info().pss)
            except (psutil.AccessDenied, AttributeError):
                return int(process.memory_info().rss)
        except psutil.Error:
            return 0

    def stop(self) -> float:
        """End; the CPU seconds that were seen."""
        self._ended.set()
        self.join()
        return sum(self._cpu.values())


def run(command: Sequence[str], environment: dict[str, str], cores: Sequence[int], log: Path) -> Measured:
    """Run a command on some cores and measure it.

    CPU seconds are the larger of two sums: what the kernel charges for children that were waited for (exact, but blind
    to a process that left the command's group, such as Spark's JVM), and what was seen of every process while it lived.
    A process whose parent ended first, as the server that forks workers does, is waited for here.

    Parameters
    ----------
    command, environment
        What to run.
    cores
        Numbers of the cores it may use.
    log
        File for its output.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    with _orphans_come_here(), log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509 - it runs before our threads begin
        )
        watch = _Watch(process.pid)
        watch.start()
        try:
            _wait(process.pid)
            code = process.wait()
            seconds = time.monotonic() - began
        finally:
            _end(process)
            seen = watch.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    waited = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(seconds, max(waited, seen), watch.peak, code)


def _wait(process: int) -> None:
    """Wait for a process; unlike waitpid, this ends at Ctrl-C whatever a library has done to the signals."""
    handle = os.pidfd_open(process)
    try:
        select.select([handle], [], [])
    finally:
        os.close(handle)


@contextlib.contextmanager
def _orphans_come_here() -> Iterator[None]:
    """Be the one who waits for processes of a command whose parents ended: the kernel then charges their time here."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Make sure that nothing of the command goes on: all its processes are in one session of their own."""
    deadline = time.monotonic() + (10 if process.poll() is not None else 0)
    while _alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    if _alive(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _reap(process.pid, 0)  # what is left was killed


def _reap(group: int, options: int) -> None:
    """Wait for the processes of a group that came here; with `WNOHANG`, for those that have ended."""
    with contextlib.suppress(ChildProcessError):  # there is none any more
        while os.waitpid(-group, options)[0]:
            pass


def _alive(group: int) -> bool:
    _reap(group, os.WNOHANG)  # an orphan that ended is of the group until somebody waits for it
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
