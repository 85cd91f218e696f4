"""A table of counts between names, shaded by how large they are: a confusion matrix, or who changes to what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Name = TypeVar("Name", str, int)

CLASSES = 40
"""Classes that such a table shows at most: a larger one could not be read."""

STEPS = 5
"""Shades of a cell, from nothing to all."""


@dataclass(frozen=True)
class Cell:
    """A cell: what stands in it, how dark it is (0 to `STEPS`), and what it says to who looks closer."""

    shown: str
    step: int
    said: str


@dataclass(frozen=True)
class Grid:
    """A table of counts.

    Attributes
    ----------
    names
        Of the columns.
    rows
        Name of each row, the sum of its counts, and its cells.
    left_out
        How many names are not shown.
    """

    names: Sequence[str]
    rows: Sequence[tuple[str, int, Sequence[Cell]]]
    left_out: int = 0


def confusion(names: Sequence[str], counts: Sequence[Sequence[int]]) -> Grid:
    """True classes down, predicted ones across, in percent of the rows of the true class; the most frequent classes.

    Parameters
    ----------
    names
        The classes, in order.
    counts
        Rows by true and by predicted class.
    """
    sums = [sum(row) for row in counts]
    kept = _most({number: float(total) for number, total in enumerate(sums)})
    rows = [
        (names[down], sums[down], [_share(names, counts[down][across], sums[down], down, across) for across in kept])
        for down in kept
    ]
    return Grid([names[number] for number in kept], rows, len(names) - len(kept))


def _share(names: Sequence[str], count: int, total: int, down: int, across: int) -> Cell:
    share = count / max(1, total)
    said = f"{count:,} of {total:,} rows of {names[down]} were said to be {names[across]}"
    # of a thousand rows a single one is not nothing
    shown = "" if not count else f"{100 * share:.0f}" if share >= 0.005 else "<1"
    return Cell(shown, _step(share), said)


def transitions(counts: Mapping[tuple[str, str], int]) -> Grid:
    """Old answers down, new ones across: rows that change, of the names that change most.

    Parameters
    ----------
    counts
        Rows by old and new answer.
    """
    weights: dict[str, float] = {}
    for pair, rows in counts.items():
        for name in pair:
            weights[name] = weights.get(name, 0) + rows
    names = _most(weights)
    most = max(counts.values(), default=0) or 1
    table = []
    for before in names:
        found = [(after, counts.get((before, after), 0)) for after in names]
        cells = [
            Cell(f"{rows:,}" if rows else "", _step(rows / most), f"{rows:,} rows from {before} to {after}")
            for after, rows in found
        ]
        table.append((before, sum(rows for _, rows in found), cells))
    return Grid(names, table, len(weights) - len(names))


def _most(weights: Mapping[Name, float]) -> list[Name]:
    return sorted(sorted(weights, key=lambda name: -weights[name])[:CLASSES])


def _step(share: float) -> int:
    return math.ceil(STEPS * min(1.0, share))
