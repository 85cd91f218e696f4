"""A range of the shards of a day: what a run is told that does it, and the engine by which it does no more than that.

What is handed on is where the range begins and ends, and fingerprints of what decides its content. So a range that is
done twice, or not at all, changes nothing; see `runs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from mlops_assets.errors import ShardFailed
from mlops_assets.storage.places import Place, side_by_side
from mlops_assets.work.shards import DayTask, Engine, Report, fingerprint

Task = TypeVar("Task")


@dataclass(frozen=True)
class Range:
    """What a run is told of the shards that it is to do.

    Attributes
    ----------
    step, day
        The table and the day.
    first, last
        Their positions among the shards of the day.
    code, inputs
        Fingerprints of the code that does them, and of all that decides what they are.
    models
        The numbers of the versions that score.
    """

    step: str
    day: str
    first: int
    last: int
    code: str
    inputs: str
    models: tuple[int, ...] = ()

    @classmethod
    def of(cls, tasks: Sequence[DayTask], places: Sequence[Place], first: int, last: int) -> Range:
        """The range of some shards of a day, of which all are given."""
        one = tasks[first]
        return cls(one.step, one.day, first, last, one.code(), inputs_of(places[first : last + 1]), one.models())

    def mine(self, tasks: Sequence[Any]) -> Sequence[DayTask]:
        """Those of the shards of the day that are meant, if they are here what they are there.

        Raises
        ------
        ShardFailed
            If code or inputs are other ones.
        """
        mine = [task for task in tasks[self.first : self.last + 1] if isinstance(task, DayTask)]
        what = f"{self.step} of {self.day}, shards {self.first} to {self.last}"
        code = mine[0].code() if mine else "none"
        if code != self.code:
            raise ShardFailed(
                f"{what}: this worker has other code than the run of the day, {code} here and {self.code} there. Give "
                "both the same image or package. Nothing was done."
            )
        inputs = inputs_of(places_of(mine))
        if inputs != self.inputs:
            raise ShardFailed(
                f"{what}: the files, the use case, its answers or models are not what the run of the day has, {inputs} "
                f"here and {self.inputs} there. Nothing was done."
            )
        return mine


class Run(Protocol):
    """A run that was asked for."""

    @property
    def name(self) -> str:
        """Its id."""
        ...

    def done(self) -> Mapping[int, float]:
        """The shards that it says it has done, by number, and the seconds that each took."""
        ...

    def state(self) -> State:
        """How it stands."""
        ...

    def stop(self) -> None:
        """End it, if it has not ended."""
        ...


@dataclass(frozen=True)
class State:
    """How a run stands.

    Attributes
    ----------
    begun, ended
        Whether it has left the queue, and whether it is over.
    lost
        Whether its process is gone, or it was ended, without a word.
    said
        Why it failed.
    """

    begun: bool = False
    ended: bool = False
    lost: bool = False
    said: str = ""


class Alone(Exception):
    """No run can be asked for, so shards are done by the day's run itself; the text says why."""


Asking = Callable[[Range], Run]
"""Asks Dagster for a run that does a range; raises `Alone` where there is none to be had."""


class RangeDone(Exception):
    """A range is done, and what follows in its step is the business of the day's run."""


class RangeEngine:
    """Does one range of a step, and ends the step before anything is published.

    Parameters
    ----------
    engine
        Does the shards.
    wanted
        Which.
    tell
        Is told of each that is done.
    """

    elsewhere = False

    def __init__(self, engine: Engine, wanted: Range, tell: Callable[[Report], None]) -> None:
        self._engine = engine
        self._wanted = wanted
        self._tell = tell

    def start(self) -> None:
        """Get ready, as the engine behind it does."""
        self._engine.start()

    def map(self, function: Callable[[Task], Report], tasks: Sequence[Task]) -> Iterator[Report]:
        """Nothing: the range is done, and then the step ends.

        Raises
        ------
        RangeDone
            When it is done.
        ShardFailed
            If what is here is not what the range was asked for.
        """
        mine: Sequence[Any] = self._wanted.mine(tasks)
        for report in self._engine.map(function, mine):
            self._tell(report)
        raise RangeDone
        yield  # a generator, as every `map` is


def places_of(tasks: Sequence[DayTask]) -> list[Place]:
    """Where shards are kept; on S3 side by side, for each looks into the manifest."""
    return [*side_by_side(tasks[0].lake, lambda task: task.place(), tasks)] if tasks else []


def inputs_of(places: Sequence[Place]) -> str:
    """Fingerprint of the names of files, which are made of the fingerprints of all that decides their content."""
    return fingerprint(*(place.name for place in places))
