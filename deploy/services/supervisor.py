"""Watches services: starts one again that died or hangs, says so in a line, and gives up where that does not help."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from deploy.services.process import PATIENCE, NotHealthy, Process


@dataclass(frozen=True)
class Limits:
    """How patient a supervisor is.

    Attributes
    ----------
    patience
        Seconds that a service may take to be healthy.
    pauses
        Seconds before the first restart of a service, the second, and so on; after the last it is given up.
    steady
        Seconds for which a service must have been well to have all its restarts again.
    look
        Seconds between two looks at what a service waits for.
    """

    patience: float = PATIENCE
    pauses: tuple[float, ...] = (0, 1, 2, 4, 8)
    steady: float = 60.0
    look: float = 0.2


class GaveUp(RuntimeError):
    """A service does not stay, however often it is started."""


class Supervisor:
    """Keeps services running, each watched by a thread of its own: none waits for the revival of another.

    Parameters
    ----------
    processes
        The services, each after those that it needs; what runs already is taken over.
    tell
        Is told in a line of each that died, and of each that is well again.
    limits
        How patient it is.
    """

    def __init__(self, processes: Sequence[Process], tell: Callable[[str], Any], limits: Limits | None = None) -> None:
        self._processes = {process.name: process for process in processes}
        self._tell_one = tell
        self._limits = limits or Limits()
        self._well = {name: threading.Event() for name in self._processes}
        self._ending = threading.Event()
        self._news = threading.Event()
        self._gave_up = ""
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=partial(self._guarded, process), name=process.name, daemon=True)
            for process in processes
        ]

    def start(self) -> None:
        """Start what does not run yet, each once those that it needs are well, and begin to watch."""
        for thread in self._threads:
            thread.start()

    def until_well(self, seconds: float | None = None) -> None:
        """Wait until all services are well.

        Parameters
        ----------
        seconds
            How long; until one is given up by default.

        Raises
        ------
        GaveUp
            If a service was given up.
        TimeoutError
            If it takes longer.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while bad := [name for name, well in self._well.items() if not well.is_set()]:
            if self.gave_up_within(self._limits.look):
                raise GaveUp(self._gave_up)
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"not well after {seconds:.0f} seconds: {', '.join(bad)}")

    def gave_up_within(self, seconds: float) -> bool:
        """Whether a service was given up, or is in some seconds."""
        return self._news.wait(seconds)

    def watch(self) -> None:
        """Watch until a service is given up.

        Raises
        ------
        GaveUp
            With what became of it.
        """
        while not self.gave_up_within(3600):
            continue
        raise GaveUp(self._gave_up)

    def stop(self) -> None:
        """End all services, those that need others first."""
        with self._lock:
            self._ending.set()
        for process in self._processes.values():
            if process.needs:  # all at once; those that others need, such as the database, go after them
                process.ask_to_end()
        for process in reversed(self._processes.values()):
            process.stop()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    # -- what the thread of one service does ------------------------------------------------------------------------

    def _guarded(self, process: Process) -> None:
        """Keep it running; nothing goes on unwatched because its thread met what it did not expect."""
        try:
            self._keep(process)
        except Exception as error:
            self._give_up(process, f"cannot be watched: {error!r}")
            raise

    def _keep(self, process: Process) -> None:
        """Start it again and again, until it is given up or all ends."""
        restarts = 0
        while not self._ending.is_set():
            well_at, why = self._life(process, restarts)
            if self._ending.is_set():
                return
            if well_at is not None and time.monotonic() - well_at > self._limits.steady:
                restarts = 0
            if restarts == len(self._limits.pauses):
                self._give_up(process, f"{why}. It was started again {restarts} times and does not stay")
                return
            self._tell(f"{process.name} {why}; is started again. Log: {process.log}")
            process.kill()
            self._ending.wait(self._limits.pauses[restarts])
            restarts += 1

    def _life(self, process: Process, restarts: int) -> tuple[float | None, str]:
        """One life of it, from its start: since when it was well, if ever, and how it ended."""
        well, since = self._well[process.name], time.monotonic()
        try:
            if not self._begin(process):
                return None, ""
            process.wait(self._limits.patience)
        except NotHealthy as error:
            return None, str(error)
        well_at = time.monotonic()
        well.set()
        if restarts:
            self._tell(f"{process.name} is well again after {well_at - since:.1f} s")
        why = self._until_bad(process)
        well.clear()
        return well_at, why

    def _begin(self, process: Process) -> bool:
        """Start it once those that it needs are well; not if all ends."""
        while not self._needs_are_well(process):
            if self._ending.wait(self._limits.look):
                return False
        with self._lock:
            if self._ending.is_set():
                return False
            if not process.is_running:
                process.start()
            return True

    def _until_bad(self, process: Process) -> str:
        """Wait until it has ended, or hangs; says which."""
        red, asked = 0, time.monotonic()
        while red < process.health.retries:
            if process.ended_within(self._limits.look):
                return process.how_it_ended
            if time.monotonic() - asked < process.health.interval:
                continue
            is_red = not process.is_healthy()
            asked = time.monotonic()
            # what it cannot do without those that it needs is no fault of its own
            red = red + 1 if is_red and self._needs_are_well(process) else 0
        return f"hangs: its health check was red {red} times in a row"

    def _needs_are_well(self, process: Process) -> bool:
        return all(self._well[name].is_set() for name in process.needs if name in self._well)

    def _give_up(self, process: Process, why: str) -> None:
        self._gave_up = f"{process.name} {why}: it is given up.\nThe end of its log, {process.log}:\n{process.tail()}"
        self._news.set()

    def _tell(self, line: str) -> None:
        with self._lock:
            if not self._ending.is_set():
                self._tell_one(f"{time.strftime('%H:%M:%S')} {line}")
