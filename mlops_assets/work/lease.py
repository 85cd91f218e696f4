"""A day is done by one job at a time: who does it says so in the lake, gives signs of life, and is gone without them.

Each job that takes a day writes the document of the next number, which only one can take. Two that came together did no
harm beyond their cost: shards have their fingerprints, and of two that publish a day one is refused.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mlops_assets.errors import MlopsError
from mlops_assets.storage import places
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import told_of_room, write_json
from mlops_assets.storage.integrity import document, read_json
from mlops_assets.storage.places import create

log = logging.getLogger("mlops_assets.job")

BEAT = 15.0
"""Seconds between two signs of life."""

PATIENCE = 120.0
"""Seconds after which a job without a sign of life is taken for gone; clocks of machines differ by less.

A sign that is as far in the future tells as little: its clock was wrong, and who waited for that time would wait long.
"""

KEPT = 3
"""Documents of a day that are kept, for people who look."""


class DayHeld(MlopsError):
    """Another job is at work on the day."""


@dataclass(frozen=True)
class Holder:
    """A job that does a day.

    Attributes
    ----------
    run
        The run that it belongs to.
    machine, process
        Where it works.
    since, seen
        When it began, and its last sign of life, in seconds since 1970.
    ended
        Whether it said that it is done.
    id
        Names it.
    """

    run: str
    machine: str
    process: int
    since: float
    seen: float
    ended: bool = False
    id: str = ""

    def is_alive(self, now: float) -> bool:
        """Whether it must be taken for being at work."""
        if self.ended or abs(now - self.seen) > PATIENCE:
            return False
        return self.machine != _machine() or _runs(self.process)

    def __str__(self) -> str:
        since = dt.datetime.fromtimestamp(self.since, dt.UTC).isoformat(timespec="seconds")
        return f"the job of run {self.run} on {self.machine.split()[0]} (process {self.process}), since {since}"


@contextmanager
def hold_day(lake: Lake, day: str, run: str, lost: Callable[[], None], beat: float = BEAT) -> Iterator[None]:
    """Hold a day while the context lasts, with a sign of life every now and then.

    Parameters
    ----------
    lake
        The tables and documents of the use case.
    day
        The day.
    run
        Who wants it.
    lost
        Is called if another job took the day, because this one could give no sign of life for too long.
    beat
        Seconds between two signs.

    Raises
    ------
    DayHeld
        If another job holds it; the message says who, and since when.
    """
    number, holder = _take(lake, day, run)
    stop = threading.Event()
    beating = threading.Thread(
        target=_beat, args=(lake, day, number, holder, stop, lost, beat), name="lease", daemon=True
    )
    beating.start()
    try:
        yield
    finally:
        stop.set()
        beating.join()
        with suppress(MlopsError, OSError):  # what went wrong before shall be told, and without it the lease runs out
            _end(lake, day, number, holder)


def _take(lake: Lake, day: str, run: str) -> tuple[int, Holder]:
    number, now = _newest(lake, day), time.time()
    if number and (before := _read(lake, day, number)) is not None and before.is_alive(now):
        raise _held(day, before)
    holder = Holder(run, _machine(), os.getpid(), now, now, id=uuid.uuid4().hex)
    path = lake.job(day, number + 1)
    try:
        with told_of_room(path):
            create(path, document(asdict(holder)))
    except FileExistsError:
        raise _held(day, _read(lake, day, number + 1)) from None
    return number + 1, holder


def _held(day: str, holder: Holder | None) -> DayHeld:
    return DayHeld(
        f"{day} is being done by {holder or 'another job'}. Wait for its end, or end it; one that gives no sign of "
        f"life for {PATIENCE:.0f} seconds holds the day no longer. Then run the day again."
    )


def _newest(lake: Lake, day: str) -> int:
    return max((int(name[:6]) for name in places.sizes(lake.jobs(day)) if name[:6].isdigit()), default=0)


def _read(lake: Lake, day: str, number: int) -> Holder | None:
    """What a job says of itself; None where that cannot be read, for then it cannot hold anything."""
    try:
        written: Mapping[str, object] = read_json(lake.job(day, number))
        return Holder(**written)  # type: ignore[arg-type]
    except (MlopsError, FileNotFoundError, TypeError):
        return None


def _beat(
    lake: Lake,
    day: str,
    number: int,
    holder: Holder,
    stop: threading.Event,
    lost: Callable[[], None],
    beat: float,
) -> None:
    while not stop.wait(beat):
        try:
            if _newest(lake, day) > number:
                log.error("%s: another job took the day, as this one gave no sign of life; it ends.", day)
                lost()
                return
            write_json(lake.job(day, number), asdict(replace(holder, seen=time.time())))
        except Exception as error:  # the next one may do better; without any, the day may be taken
            log.warning("%s: no sign of life could be given: %s", day, error)


def _end(lake: Lake, day: str, number: int, holder: Holder) -> None:
    write_json(lake.job(day, number), asdict(replace(holder, seen=time.time(), ended=True)))
    if number > KEPT:
        places.remove(lake.jobs(day), [lake.job(day, number - KEPT).name])


def _machine() -> str:
    """Names this machine, and which of the machine's lists of processes it is: numbers of another tell nothing."""
    processes = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()} {processes.readlink() if processes.is_symlink() else ''}".strip()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's
        return True
    return True
