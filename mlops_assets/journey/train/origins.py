"""In: the dates of labelled rows. Out: from which moments a training looks ahead, what was known then, who is asked.

The method is evaluation on a rolling forecasting origin: Tashman (2000), 'Out-of-sample tests of forecasting accuracy'.
What is known at the beginning of a month are the labels that are older than `training.label_delay`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mlops_assets.use_case import Training

CHOOSES, TESTS = "chooses", "tests"
"""What the rows of a round are for: candidates are ranked by the one part, the published figure is of the other."""

HELD_OUT = "held out"
"""Name of the only round that tests, where months do not."""

BEGUN = 0.5
"""A last month with less than this share of the rows of the one before has only begun, and counts as part of that."""


NO_ROWS = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Origin:
    """A moment from which a model looks ahead.

    Attributes
    ----------
    name
        The months that it is asked of.
    first, until
        The first date of these, and the first one after them; empty for no end.
    known
        The first date whose labels were not known then.
    part
        `CHOOSES` or `TESTS`.
    """

    name: str
    first: str
    until: str
    known: str
    part: str


@dataclass(frozen=True)
class Round:
    """One fit and who it is asked of.

    Attributes
    ----------
    name
        Of the months, or the number of the fold.
    learned, tested
        Positions of rows.
    part
        `CHOOSES` or `TESTS`.
    fresh
        Positions of rows that come after those that were learned and before those that are asked: their labels were not
        known. With `CHOOSES` none of them tests.
    known
        The first date whose labels were not known; empty where folds are asked.
    """

    name: str
    learned: np.ndarray
    tested: np.ndarray
    part: str
    fresh: np.ndarray
    known: str = ""


def find_origins(order: np.ndarray, training: Training) -> tuple[Origin, ...]:
    """The origins of a replay, the earliest first; none where rows have too few months for one.

    Parameters
    ----------
    order
        Of each row its date, as ISO has it; empty where it has none.
    training
        How many months test, and how late labels are known.
    """
    if training.split.by != "time" or training.split.starts is not None:
        return ()
    periods = list(_periods(order))
    months = periods[-2 * training.replay :]
    origins = []
    for number, (name, first, until) in enumerate(months):
        part = TESTS if number >= len(months) - training.replay else CHOOSES
        known = (dt.date.fromisoformat(first) - dt.timedelta(days=training.label_delay)).isoformat()
        origins.append(Origin(name, first, until, known, part))
    # a model that learned fewer rows than it is asked of tells nothing of one that will learn all of them
    enough = [one for one in origins if (order < one.known).sum() >= _between(order, one).sum()]
    parts = [one.part for one in enough]
    return tuple(enough) if parts.count(TESTS) == training.replay and CHOOSES in parts else ()


def _periods(order: np.ndarray) -> Iterator[tuple[str, str, str]]:
    """The months that have rows, with their first date and that of the next; a last one that has only begun joins."""
    months, counts = np.unique(np.array([date[:7] for date in order if date]), return_counts=True)
    if not len(months) or not all(re.fullmatch(r"\d{4}-\d{2}", month) for month in months):
        return
    names = months.tolist()
    starts = [f"{month}-01" for month in names]
    if len(months) > 1 and counts[-1] < BEGUN * counts[-2]:
        names[-2:], starts[-1:] = [f"{names[-2]} and {names[-1]}"], []
    yield from zip(names, starts, [*starts[1:], ""], strict=True)


def _between(order: np.ndarray, origin: Origin) -> np.ndarray:
    inside: np.ndarray = order >= origin.first
    return inside & (order < origin.until) if origin.until else inside


def rounds(origins: Sequence[Origin], rows: pa.Table, training: Training) -> list[Round]:
    """What is fitted to choose and to test, in the order of time: those that choose come first.

    Parameters
    ----------
    origins
        Of the training set; none where folds choose and one held-out part tests.
    rows
        All rows of the training set.
    training
        Number of folds, and what the split keeps apart.
    """
    held_out = rows["_held_out"].to_numpy(zero_copy_only=False)
    if not origins:
        return [*_folds(rows["_fold"].to_numpy(), training), _round(HELD_OUT, ~held_out, held_out, TESTS)]
    order = order_of(rows)
    found = []
    for one in origins:
        # what people corrected without a label of its own is learned from, and never asked
        mine = held_out if one.part == TESTS else ~held_out
        fresh = (order >= one.known) & (order < one.first) & mine
        found.append(_round(one.name, order < one.known, _between(order, one) & mine, one.part, fresh, one.known))
    return found


def first_test(origins: Sequence[Origin], rows: pa.Table) -> np.ndarray:
    """Which rows the judged models learn: those that were known as the first test began."""
    known = next((one.known for one in origins if one.part == TESTS), None)
    mask: np.ndarray = ~rows["_held_out"].to_numpy(zero_copy_only=False) if known is None else order_of(rows) < known
    return mask


def order_of(rows: pa.Table) -> np.ndarray:
    """The date of each row; empty where it has none."""
    order: np.ndarray = rows["_order"].fill_null("").to_numpy().astype(str)
    return order


def fold_indices(fold: np.ndarray, folds: int, by: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test rows of every fold; with a split by time, a fold is tested on what came before it.

    Parameters
    ----------
    fold
        Fold of every row, -1 for held-out ones.
    folds
        Number of folds.
    by
        What the split keeps apart.
    """
    inside = fold >= 0
    if by == "time":
        masks = [(inside & (fold <= number), fold == number + 1) for number in range(folds)]
    else:
        masks = [(inside & (fold != number), fold == number) for number in range(folds)]
    pairs = [(np.flatnonzero(train), np.flatnonzero(test)) for train, test in masks]
    return [(train, test) for train, test in pairs if len(train) and len(test)]


def _folds(fold: np.ndarray, training: Training) -> Iterator[Round]:
    for number, (learned, tested) in enumerate(fold_indices(fold, training.folds, training.split.by), 1):
        yield Round(f"fold {number}", learned, tested, CHOOSES, NO_ROWS)


def _round(
    name: str, learned: np.ndarray, tested: np.ndarray, part: str, fresh: np.ndarray | None = None, known: str = ""
) -> Round:
    late = NO_ROWS if fresh is None else np.flatnonzero(fresh)
    return Round(name, np.flatnonzero(learned), np.flatnonzero(tested), part, late, known)
