"""Shards by other Dagster runs: each does a range of them and publishes nothing, and the day's run finds them done.

The day's run does `function(task)` for every shard, as with any engine: what a range has done is found by its
fingerprint, and what no range did is done here.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from mlops_assets.storage.places import Place
from mlops_assets.work.engines.ranges import Alone, Asking, Range, Run, State, places_of
from mlops_assets.work.shards import DayTask, Engine, Report, shard_number

Task = TypeVar("Task")

log = logging.getLogger("mlops_assets.daily")

LOOK = 2.0
"""Seconds between two looks at what the ranges have done."""

QUEUED, SILENT = 120.0, 900.0
"""Seconds that a range may wait in the queue, and be without a finished shard, before its shards are done here.

So no limit of Dagster's queue can make a day and its ranges wait for each other."""

NO_QUEUE = "this is no run that Dagster's daemon took from its queue, such as `mlops-assets run`"
"""Why a process that is no such run is alone."""


@dataclass
class _Asked:
    """A range that was asked for, and the positions of its shards that are not done yet."""

    run: Run
    left: set[int]
    again: bool = False
    since: float = field(default_factory=time.monotonic)


class _FanOut:
    """The ranges of a step that are at work.

    Parameters
    ----------
    tasks, places
        The shards of the day, and where they are kept.
    asking
        Asks for a run.
    """

    def __init__(self, tasks: Sequence[DayTask], places: Sequence[Place], asking: Asking) -> None:
        self.what = f"{tasks[0].use_case.name} {tasks[0].step} {tasks[0].day}"
        self.at_work: list[_Asked] = []
        self._tasks = tasks
        self._places = places
        self._asking = asking
        self._alone = False
        self._positions = {shard_number(place.name): position for position, place in enumerate(places)}

    def ask(self, positions: Sequence[int], *, again: bool = False) -> bool:
        """Have a run do some shards, and those between them; whether there is one."""
        wanted = Range.of(self._tasks, self._places, positions[0], positions[-1])
        try:
            run = self._asking(wanted)
        except Alone as why:
            if not self._alone:
                log.warning("%s: no run can be asked for: %s", self.what, why)
            self._alone = True
            return False
        self.at_work.append(_Asked(run, {*positions}, again))
        return True

    def news(self) -> Iterator[tuple[int, float]]:
        """The shards that were done since, and the seconds that each took."""
        for asked in self.at_work:
            told = {self._positions[number]: seconds for number, seconds in asked.run.done().items()}
            new = sorted(asked.left & told.keys())
            if new:
                asked.left -= {*new}
                asked.since = time.monotonic()
            yield from ((position, told[position]) for position in new)

    def given_up(self, states: Sequence[State], queued: float, silent: float) -> list[int]:
        """Part with the runs that are over, or of which nothing comes; the shards that nobody does now.

        Parameters
        ----------
        states
            How the runs stood before their news were looked at.
        queued, silent
            See `QUEUED`, `SILENT`.
        """
        nobody: list[int] = []
        for asked, state in [*zip(self.at_work, states, strict=True)]:
            quiet = time.monotonic() - asked.since
            if asked.left and not state.ended and quiet < (silent if state.begun else queued):
                continue
            self.at_work.remove(asked)
            if not asked.left:
                continue
            log.warning("%s: %s", self.what, _why(asked, state, quiet))
            left = sorted(asked.left)
            if state.lost and not asked.again and self.ask(left, again=True):
                log.info("%s: one more run does the rest: %s", self.what, self.at_work[-1].run.name)
                continue
            asked.run.stop()
            nobody += left
        return nobody

    def stop(self) -> None:
        """End all runs that are at work."""
        for asked in self.at_work:
            asked.run.stop()


class RunsEngine:
    """Has the shards of a step of a day done by Dagster runs, and other work here.

    Parameters
    ----------
    here
        Does what this run does itself.
    ranges
        Into how many ranges the shards are cut.
    asking
        Asks for a run; None where this process is no run of Dagster's queue.
    look, queued, silent
        See `LOOK`, and `QUEUED`, `SILENT`.
    """

    elsewhere = False  # a range reads versions by their numbers itself

    def __init__(
        self,
        here: Engine,
        ranges: int,
        asking: Asking | None,
        *,
        look: float = LOOK,
        queued: float = QUEUED,
        silent: float = SILENT,
    ) -> None:
        self._here = here
        self._ranges = ranges
        self._asking = asking or _nobody
        self._look = look
        self._queued = queued
        self._silent = silent

    def start(self) -> None:
        """Nothing: runs are asked for when there is work."""

    def map(self, function: Callable[[Task], Report], tasks: Sequence[Task]) -> Iterator[Report]:
        """Reports as shards are found done; those that ranges of this step did count as done now."""
        of_day = [task for task in tasks if isinstance(task, DayTask)]
        # a comparison is no step of a day, and one shard is done before a run began
        if len(of_day) < max(2, len(tasks)):
            yield from self._here.map(function, tasks)
            return
        places = places_of(of_day)
        known = {place.name for place in places[0].parent.glob("*.parquet")}
        missing = [position for position, place in enumerate(places) if place.name not in known]
        if len(missing) < 2:
            yield from self._here.map(function, tasks)
            return
        found = (tasks[position] for position, place in enumerate(places) if place.name in known)
        yield from map(function, found)
        yield from self._by_ranges(function, tasks, missing, _FanOut(of_day, places, self._asking))

    def _by_ranges(
        self, function: Callable[[Task], Report], tasks: Sequence[Task], missing: Sequence[int], fan: _FanOut
    ) -> Iterator[Report]:
        """Have the missing shards done by ranges; those that remain are done here."""
        try:
            nobody = [position for part in _cut(missing, self._ranges) if not fan.ask(part) for position in part]
            if fan.at_work:
                names = ", ".join(asked.run.name for asked in fan.at_work)
                log.info("%s: %d shards by %d runs: %s", fan.what, len(missing), len(fan.at_work), names)
            while nobody or fan.at_work:
                if nobody:
                    log.warning("%s: %d shards are done by the run of the day itself", fan.what, len(nobody))
                    yield from map(_done_now, self._here.map(function, [tasks[position] for position in nobody]))
                states = [asked.run.state() for asked in fan.at_work]
                for position, seconds in fan.news():
                    yield _done_now(function(tasks[position]), seconds)
                nobody = fan.given_up(states, self._queued, self._silent)
                if fan.at_work and not nobody:
                    time.sleep(self._look)
        finally:
            fan.stop()


def _nobody(_: Range) -> Run:
    raise Alone(NO_QUEUE)


def _cut(items: Sequence[int], parts: int) -> list[Sequence[int]]:
    """Items as at most so many parts that follow one another, none of them empty."""
    parts = min(parts, len(items))
    ends = [len(items) * part // parts for part in range(parts + 1)]
    return [items[first:last] for first, last in itertools.pairwise(ends)]


def _done_now(report: Report, seconds: float = 0.0) -> Report:
    """What a range of this day did is not reused; the seconds that it took are known to the range alone."""
    if not report.reused:
        return report
    own, *others = report.parts
    return replace(report, reused=False, parts=(replace(own, seconds=seconds), *others))


def _why(asked: _Asked, state: State, quiet: float) -> str:
    """What is wrong with a run that has shards left."""
    left = f"{len(asked.left)} of its shards are not done"
    if state.said:
        return f"run {asked.run.name} failed, {left}: {state.said}"
    if state.ended:
        return f"run {asked.run.name} ended without a word, {left}"
    if state.begun:
        return f"run {asked.run.name} has finished no shard for {quiet:.0f} s, {left}"
    return (
        f"run {asked.run.name} has waited {quiet:.0f} s in the queue, {left}: is Dagster's daemon running, and is "
        "there room beside the run of the day (concurrency.runs.max_concurrent_runs of dagster.yaml)?"
    )
