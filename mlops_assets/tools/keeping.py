"""Processes that are kept: what ends is started again, unless it ends again and again, until a signal ends all."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from mlops_assets.errors import MlopsError
from mlops_assets.tools.processes import Process

SLICE = 0.1
"""Seconds between two looks at them."""
ENDS, PERIOD = 3, 120.0
"""So many ends of one process in so many seconds are no accident: then all is ended."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(MlopsError):
    """A process ended again and again."""


@dataclass
class Service:
    """One of the processes.

    Attributes
    ----------
    name
        What people are told of it by.
    process
        The process.
    ends
        When it ended, in seconds of the monotonic clock.
    """

    name: str
    process: Process
    ends: list[float] = field(default_factory=list)


@contextmanager
def ended_by_signals() -> Iterator[list[int]]:
    """The signals by which somebody ends this process, as they come."""
    told: list[int] = []
    before = {number: signal.signal(number, lambda got, _: told.append(got)) for number in SIGNALS}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def look_after(service: Service, tell: Callable[[str], None]) -> bool:
    """Start a process again that ended.

    Parameters
    ----------
    service
        The process.
    tell
        Is told of it.

    Returns
    -------
    bool
        Whether it had ended.

    Raises
    ------
    Ended
        If it ended again and again.
    """
    code = service.process.code
    if code is None:
        return False
    now = time.monotonic()
    service.ends = [*(end for end in service.ends if now - end < PERIOD), now]
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    if code == 2 or len(service.ends) == ENDS:  # wrong usage, such as a port that was taken just now, stays wrong
        raise Ended(f"{service.name} {how}; what it said stands above.")
    tell(f"{service.name} {how}, and is started again.")
    service.process.start()
    return True


def end_all(services: Sequence[Service]) -> None:
    """End all processes, and wait until they are gone."""
    for service in services:
        service.process.tell()  # all at once: each has as long as the slowest
    for service in services:
        service.process.stop()
