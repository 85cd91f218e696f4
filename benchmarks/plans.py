"""Which runs are made, in which order, and how long they will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.ways import WAYS


@dataclass(frozen=True)
class Plan:
    """One run to be made."""

    way: str
    files: int
    cache: str


def plan(sizes: Sequence[int], ways: Sequence[str], repeat: int, cold: int) -> list[Plan]:
    """The runs to be made: at every size each way once, then each again, so that a slow minute hits all alike.

    Parameters
    ----------
    sizes
        Numbers of files; a way that cannot do as many is run at the most that it can.
    ways
        Names in `WAYS`.
    repeat
        Runs at a size.
    cold
        The largest number of files for a run with a cold cache, which comes last; 0 for none.
    """
    own = {way: {min(size, WAYS[way].most) for size in sizes} for way in ways}
    plans: list[Plan] = []
    for files in sorted(set().union(*own.values())):
        able = [way for way in ways if files in own[way]]
        plans += repeat * [Plan(way, files, "warm") for way in able]
        plans += [Plan(way, files, "cold") for way in able if cold and files == _cold(own[way], cold)]
    return plans


def _cold(sizes: set[int], cold: int) -> int:
    return max((size for size in sizes if size <= cold), default=min(sizes))


def expected(plan: Plan, rate: float | None = None) -> float:
    """Seconds that a run will take, by the rate of an earlier one or a guess."""
    way = WAYS[plan.way]
    return way.start + plan.files / (rate or way.rate)
