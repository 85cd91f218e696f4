"""What is counted of rows and answers: whole numbers alone, so that sums are exact, in whatever order they are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.storage.catalog import PROFILES

Column = tuple[str, str]
"""Where a column stands, one of `SOURCES`, and its name."""

TOP = 50
"""Values of a category that have a bin of their own; all others that training knows share the last bin."""

MOST_NEW = 20
"""Values that training never saw of which a shard tells how often they come."""

STEPS = 20
"""Equal steps by which answers are counted by their probability."""

FILE_SIZES = 32
"""Powers of two by which files are counted by their number of rows."""

SOURCES = ("rows", "model_input", "answers")
"""Where columns stand. What a model says is a column if it is a number; classes are counted as `Said`."""

ANSWER: Column = ("answers", "prediction")
"""The column of what a model says, where that is a number."""

Entry = tuple[str, int, float]
"""Key, number and value of a row of `profiles`."""

MILLION = 1_000_000
"""Probabilities are added up in millionths: sums of floats would depend on their order."""


@dataclass(frozen=True)
class Bins:
    """How the values of a column are counted, fixed by the rows that a version learned from.

    Attributes
    ----------
    kind
        `number`, also of dates (as days before the day of the row), `category`, or `text` (by its length in signs).
    edges
        Of a number or a text: where a bin ends and the next begins, rising. There is one bin more than edges; a value
        that is an edge belongs to the bin above it.
    values
        Of a category: all values that training knows, those that come most often first. The first `TOP` have a bin
        each, the others share the bin after them.
    unit
        Of a number: what sums are counted in.
    """

    kind: Literal["number", "category", "text"]
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    unit: float = 1.0

    @property
    def number(self) -> int:
        """How many bins there are, beside those for nothing and for what training never saw."""
        return min(TOP, len(self.values)) + 1 if self.kind == "category" else len(self.edges) + 1


@dataclass(frozen=True)
class Counts:
    """What is counted of one column.

    Attributes
    ----------
    bins
        Rows by bin, of shape `(Bins.number,)`.
    nulls
        Rows without a value.
    unseen
        Rows with a value of a category that training never saw.
    total
        Sum of the values in units of the bins.
    lowest, highest
        Smallest and largest value; None of no number.
    new
        Values that training never saw, and at least how often they came: each shard tells its most frequent alone.
    """

    bins: np.ndarray
    nulls: int = 0
    unseen: int = 0
    total: int = 0
    lowest: float | None = None
    highest: float | None = None
    new: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """All rows."""
        return int(self.bins.sum()) + self.nulls + self.unseen

    @property
    def spread(self) -> np.ndarray:
        """Rows by bin, then those with unseen values, then those with none: every row once."""
        return np.append(self.bins, [self.unseen, self.nulls])

    def __add__(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(
            self.bins + other.bins,
            self.nulls + other.nulls,
            self.unseen + other.unseen,
            self.total + other.total,
            _either(min, self.lowest, other.lowest),
            _either(max, self.highest, other.highest),
            _added(self.new, other.new),
        )


@dataclass(frozen=True)
class Said:
    """What is counted of a model's answers; K is the number of its classes.

    Attributes
    ----------
    rows
        Rows by the class that was said, `(K,)`.
    probabilities
        Sums of the probabilities in millionths by the class that was said, down, and by every class, across: `(K, K)`.
    squares
        Sums of the squared probabilities of the class that was said, in millionths, `(K,)`: how sure a mean is.
    confidence
        Rows by the class that was said, down, and by the step of its probability, across: `(K, STEPS)`.
    """

    rows: np.ndarray
    probabilities: np.ndarray
    squares: np.ndarray
    confidence: np.ndarray

    def __add__(self, other: Said) -> Said:
        """Both together."""
        return Said(
            self.rows + other.rows,
            self.probabilities + other.probabilities,
            self.squares + other.squares,
            self.confidence + other.confidence,
        )


@dataclass(frozen=True)
class Profile:
    """What is counted of rows: of a shard, a day, or of what a version learned from.

    Attributes
    ----------
    columns
        Counts by column.
    said
        Of the answers; None where none were asked for, and where they are numbers, which are the column `ANSWER`.
    rows_a_file
        Files by their number of rows: at `n` those with at least 2**n and less than 2**(n + 1), `(32,)`.
    """

    columns: Mapping[Column, Counts]
    said: Said | None
    rows_a_file: np.ndarray

    def __add__(self, other: Profile) -> Profile:
        """Both together; their columns and classes are the same."""
        columns = {name: counts + other.columns[name] for name, counts in self.columns.items()}
        said = None if self.said is None or other.said is None else self.said + other.said
        return Profile(columns, said, self.rows_a_file + other.rows_a_file)

    def to_table(self) -> pa.Table:
        """It in the form of the table `profiles`."""
        entries = [entry for (source, name), counts in self.columns.items() for entry in _told(source, name, counts)]
        if self.said is not None:
            entries.append(("predictions", "", "size", str(len(self.said.rows)), 1, None))
            for what, numbers in vars(self.said).items():
                entries += [("predictions", what, "cell", *cell) for cell in _cells(numbers)]
        entries += [("files", "rows_a_file", "cell", *cell) for cell in _cells(self.rows_a_file)]
        columns = list(zip(*entries, strict=True)) or [()] * len(PROFILES)
        arrays = [pa.array(values, kind.type) for values, kind in zip(columns, PROFILES, strict=True)]
        return pa.table(arrays, schema=PROFILES)

    @classmethod
    def from_table(
        cls, table: pa.Table, bins: Mapping[Column, Bins] | None = None, classes: int | None = None
    ) -> Profile:
        """What `to_table` told, of one profile or of several to be added up.

        Parameters
        ----------
        table
            In the schema `PROFILES`; entries of sources that are no part of a profile are passed over.
        bins
            The bins by which it was counted; by default it tells itself which columns there are, and how many bins.
        classes
            Number of classes of the model, 0 where no answers were counted; by default it tells itself.
        """
        in_bin = pc.and_(pc.equal(table["what"], "cell"), pc.is_in(table["source"], pa.array(SOURCES)))
        told: dict[Column, dict[str, list[Entry]]] = {}
        names = ("source", "column", "what", "key", "number", "value")
        others = table.filter(pc.invert(in_bin))
        for source, column, what, key, number, value in zip(*(others[name].to_pylist() for name in names), strict=True):
            told.setdefault((source, column), {}).setdefault(what, []).append((key, number, value))
        if bins is None:
            sizes = {name: _size(parts) for name, parts in told.items() if name[0] in SOURCES}
        else:
            sizes = {name: each.number for name, each in bins.items()}
        filled = _fill_bins(table.filter(in_bin), sizes)
        columns = {name: _counts(told.get(name, {}), filled[name]) for name in sizes}
        k = _size(told.get(("predictions", ""), {})) if classes is None else classes
        shapes = {"rows": (k,), "probabilities": (k, k), "squares": (k,), "confidence": (k, STEPS)}
        parts = {
            name: _array(told.get(("predictions", name), {}).get("cell", []), shape) for name, shape in shapes.items()
        }
        rows_a_file = _array(told.get(("files", "rows_a_file"), {}).get("cell", []), (FILE_SIZES,))
        return cls(columns, Said(**parts) if k else None, rows_a_file)


def add_up(table: pa.Table) -> pa.Table:
    """The entries of several profiles with the same bins as those of one: their sum, made without Python's numbers."""
    keys = ["source", "column", "what", "key"]
    summed = table.group_by(keys, use_threads=False).aggregate([("number", "sum"), ("value", "min"), ("value", "max")])
    value = pc.if_else(pc.equal(summed["what"], "highest"), summed["value_max"], summed["value_min"])
    return pa.table([*(summed[key] for key in keys), summed["number_sum"], value], schema=PROFILES)


def _either(best: Callable[[float, float], float], one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return best(one, other)


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {value: one.get(value, 0) + other.get(value, 0) for value in {**one, **other}}


def _told(source: str, column: str, counts: Counts) -> list[tuple[Any, ...]]:
    """The entries of a column; what is nothing is left out."""
    entries: list[tuple[str, str, int | None, float | None]] = [("size", str(len(counts.bins)), 1, None)]
    entries += [("cell", *cell) for cell in _cells(counts.bins)]
    sums = {"nulls": counts.nulls, "unseen": counts.unseen, "total": counts.total}
    entries += [(what, "", int(number), None) for what, number in sums.items() if number]
    ends = {"lowest": counts.lowest, "highest": counts.highest}
    entries += [(what, "", None, float(value)) for what, value in ends.items() if value is not None]
    entries += [("new", value, number, None) for value, number in counts.new.items()]
    return [(source, column, *entry) for entry in entries]


def _fill_bins(cells: pa.Table, sizes: Mapping[Column, int]) -> dict[Column, np.ndarray]:
    """The bins of all columns, filled at once: 800 columns on 29 days have half a million that are not empty."""
    ends = np.cumsum([0, *sizes.values()])
    every = np.zeros(ends[-1], np.int64)
    places = {name: place for place, name in enumerate(sizes)}
    sources, columns = (
        cells[name].cast(pa.string()).combine_chunks().dictionary_encode() for name in ("source", "column")
    )
    known = product(sources.dictionary.to_pylist(), columns.dictionary.to_pylist())
    numbers = np.array([places.get(name, -1) for name in known], np.int64)
    at = numbers.reshape(len(sources.dictionary), len(columns.dictionary))[sources.indices, columns.indices]
    counted = at >= 0
    at, bins, rows = (
        each[counted] for each in (at, cells["key"].cast(pa.int64()).to_numpy(), cells["number"].to_numpy())
    )
    if ((bins < 0) | (bins >= np.diff(ends)[at])).any():
        raise ValueError("a cell is of a bin that its column has not")
    np.add.at(every, ends[at] + bins, rows)
    return {name: every[ends[place] : ends[place + 1]] for name, place in places.items()}


def _counts(told: Mapping[str, list[Entry]], bins: np.ndarray) -> Counts:
    nulls, unseen, total = (sum(number for _, number, _ in told.get(what, [])) for what in ("nulls", "unseen", "total"))
    lowest = min((value for _, _, value in told.get("lowest", [])), default=None)
    highest = max((value for _, _, value in told.get("highest", [])), default=None)
    new: dict[str, int] = {}
    for value, number, _ in told.get("new", []):
        new[value] = new.get(value, 0) + number
    return Counts(bins, nulls, unseen, total, lowest, highest, new)


def _size(told: Mapping[str, list[Entry]]) -> int:
    """How many bins, or classes, there are; 0 where that is not told."""
    return max((int(key) for key, _, _ in told.get("size", [])), default=0)


def _cells(numbers: np.ndarray) -> list[tuple[str, int, None]]:
    """The cells that are not zero, by their place, and what they hold."""
    places = np.argwhere(numbers)
    keys = (",".join(map(str, place)) for place in places.tolist())
    return [(key, number, None) for key, number in zip(keys, numbers[tuple(places.T)].tolist(), strict=True)]


def _array(cells: list[Entry], shape: tuple[int, ...]) -> np.ndarray:
    numbers = np.zeros(shape, np.int64)
    for key, number, _ in cells:
        numbers[tuple(map(int, key.split(",")))] += number
    return numbers
