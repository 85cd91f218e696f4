"""In: some typed rows and their contract. Out: how each column is spread, what it tells of the label, what is odd.

Counted by the same code as the profile of a day, so that a figure here and one of a lamp mean the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.score.profile.bins import (
    BEYOND_ASCII,
    as_numbers,
    by_frequency,
    count_columns,
    count_numbers,
    is_text,
    make_bins,
    value_counts,
    whole,
)
from mlops_assets.journey.score.profile.counts import Bins, Counts
from mlops_assets.monitoring.association import Told, cramers_v, tell_label, too_few
from mlops_assets.monitoring.suspicions import Suspicion, identifier, leaks, names_rows
from mlops_assets.use_case import UseCase

MOST_ROWS, MOST_BYTES = 100_000, 32 << 20
"""Rows that are looked at, and bytes of them in memory; of a larger day every so manieth row is taken."""

CLASSES = 50
"""Classes of the label that are told apart; rows of all others count as one class."""

LISTED = 50
"""Distinct values up to which those of a text are listed; one with more may name people."""

STEPS = 24
"""Bars of a histogram."""

TAIL = 0.005
"""Share of the values at either end that a histogram leaves out where they would take half of its width."""

EXAMPLES = 3
"""Values of a column that are shown as examples."""


@dataclass(frozen=True)
class Seen:
    """How the values of a column are spread.

    Attributes
    ----------
    kind
        `number`, `date` (counted as days before the day), `text` (by its length in signs) or `category`.
    bins, counts
        How it was counted for a picture, and the counts: bars of equal width, or value by value.
    distinct
        Number of its values in these rows.
    hidden
        Whether its values may name people or rows: they are not listed, and examples are masked.
    examples
        A few values.
    training
        Shares of the bins in what the champion learned from, beside those of `counts.spread` without unseen and missing
        ones; None where it is not known.
    training_missing
        Share of missing values there.
    association
        Cramer's V with the label; None of the label itself and where there is none.
    told
        How well it alone tells the label of rows that it was not fitted on; None where there are too few.
    """

    kind: Literal["number", "date", "text", "category"]
    bins: Bins
    counts: Counts
    distinct: int
    hidden: bool
    examples: tuple[str, ...]
    training: np.ndarray | None = None
    training_missing: float | None = None
    association: float | None = None
    told: Told | None = None

    @property
    def missing(self) -> float:
        """Share of rows without a value."""
        return self.counts.nulls / max(1, self.counts.rows)

    @property
    def mean(self) -> float | None:
        """Mean of the values; None of a category, and where there are none."""
        rows = self.counts.rows - self.counts.nulls
        return None if self.kind == "category" or not rows else self.counts.total * self.bins.unit / rows


@dataclass(frozen=True)
class Overview:
    """What there is to see in some rows.

    Attributes
    ----------
    day
        The day before which dates are counted.
    rows
        Rows that were looked at.
    columns
        By name, in the order of the contract.
    classes
        Rows by class of the label, the most frequent first, where it is a number by its fifth; empty where there is
        none.
    unlabelled
        Rows without a label.
    suspicions
        What is odd.
    """

    day: str
    rows: int
    columns: Mapping[str, Seen]
    classes: Mapping[str, int]
    unlabelled: int
    suspicions: tuple[Suspicion, ...]


def thin(
    batches: Iterable[pa.RecordBatch], most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES
) -> tuple[pa.Table | None, int]:
    """Every so manieth row, so that what is kept stays within bounds.

    Parameters
    ----------
    batches
        The rows, read once and one batch at a time.
    most_rows, most_bytes
        How many rows may be kept, and how many bytes of them.

    Returns
    -------
    tuple
        What was kept, None where there was no batch; and how far apart these rows lie, 1 for all of them.
    """
    step, passed, kept = 1, 0, list[pa.RecordBatch]()
    for batch in batches:
        kept.append(_every(batch, step, -passed % step))
        passed += len(batch)
        # a single row is kept whatever its size
        while (rows := sum(map(len, kept))) > 1 and (rows > most_rows or sum(b.nbytes for b in kept) > most_bytes):
            # twice as far apart: of what is kept every second one, in the order of the whole
            table = pa.Table.from_batches(kept)
            kept = table.take(pa.array(np.arange(0, len(table), 2))).to_batches()
            step *= 2
    return (pa.Table.from_batches(kept) if kept else None), step


def _every(batch: pa.RecordBatch, step: int, first: int) -> pa.RecordBatch:
    # copied even where all is taken: a slice would hold the whole batch
    return batch if step == 1 else batch.take(pa.array(np.arange(first, len(batch), step)))


def look(
    use_case: UseCase,
    rows: pa.Table,
    day: str,
    label: str | None = None,
    training: Mapping[str, tuple[Bins, Counts]] | None = None,
) -> Overview:
    """See how the columns of some rows are spread.

    Parameters
    ----------
    use_case
        Its contract names the columns.
    rows
        The rows, typed by it.
    day
        Their day; dates are counted as days before it.
    label
        The column that is predicted; None where nobody said so.
    training
        How the rows that the champion learned from were counted, by column.
    """
    texts = use_case.training.texts
    there = {*rows.column_names}
    known = {name: _as_counted(whole(rows[name])) for name in use_case.columns if name in there}
    table = pa.table(known)
    bins = make_bins(table, day, texts)
    against = table
    if label in known and use_case.training.says_numbers:
        against = table.set_column(table.column_names.index(label), label, fifths(known[label]))
    classes, halves = _against_label(against, label, bins, day) if label in known else ({}, {})
    columns, suspicions = {}, list[Suspicion]()
    for name, values in known.items():
        counted = halves.get(name)
        distinct = len(values.drop_null().unique())
        unique = names_rows(values, distinct)
        hidden = name != label and (name == use_case.account or unique or _many(values, distinct))
        told = (cramers_v(counted.sum(axis=0)), tell_label(counted)) if counted is not None else (None, None)
        kind, shown, counts = _spread(values, bins["rows", name], day)
        trained = (training or {}).get(name)
        columns[name] = Seen(
            kind,
            shown,
            counts,
            distinct,
            hidden,
            _examples(values, hidden=hidden),
            trained and _shares(trained, shown),
            trained and trained[1].nulls / max(1, trained[1].rows),
            *told,
        )
        if counted is not None and label:
            suspicions += leaks(name, label, told[1], counted)
        if unique and name not in (use_case.account, label):
            suspicions.append(identifier(name, distinct, counts.rows - counts.nulls))
    labelled = sum(classes.values())
    return Overview(day, len(rows), columns, classes, len(rows) - labelled if label in known else 0, tuple(suspicions))


def fifths(numbers: pa.Array) -> pa.Array:
    """Numbers in five groups of about as many, each by its ends, so that what tells of a number is told as of a class.

    Examples
    --------
    >>> fifths(pa.array([1.0, 2.0, 3.0, 4.0, None, 5.0])).to_pylist()
    ['1 to 1', '2 to 2', '3 to 3', '4 to 4', None, '5 to 5']
    """
    values = numbers.cast(pa.float64()).to_numpy(zero_copy_only=False)
    known = ~np.isnan(values)
    if not known.any():
        return pa.nulls(len(values), pa.string())
    inner = np.unique(np.quantile(values[known], (0.2, 0.4, 0.6, 0.8)))
    group = np.searchsorted(inner, values[known], side="left")
    names = {
        number: f"{values[known][group == number].min():.6g} to {values[known][group == number].max():.6g}"
        for number in np.unique(group).tolist()
    }
    texts = np.full(len(values), None, object)
    texts[known] = [names[number] for number in group.tolist()]
    return pa.array(texts, pa.string())


def _as_counted(column: pa.Array) -> pa.Array:
    """A column with truth values as texts, for two words say more than two numbers, and texts as dictionaries."""
    texts = column.cast(pa.string()) if pa.types.is_boolean(column.type) else column
    return texts.dictionary_encode() if is_text(texts.type) and not pa.types.is_dictionary(texts.type) else texts


def _against_label(
    table: pa.Table, label: str | None, bins: Mapping[tuple[str, str], Bins], day: str
) -> tuple[dict[str, int], dict[str, np.ndarray]]:
    """Rows by class; and of each column rows by half, bin and class, `(2, bins, classes)`, if there are enough."""
    column = table[label].combine_chunks()
    texts = column if is_text(column.type) else column.cast(pa.string())
    distinct, counts = value_counts(texts)
    classes = by_frequency(distinct, counts)
    number_of = dict(zip(distinct.to_pylist(), counts.tolist(), strict=True))
    by_class = {value: number_of[value] for value in classes}
    if too_few(counts):
        return by_class, {}
    codes = pc.index_in(texts.cast(pa.string()), value_set=pa.array(classes, pa.string())).fill_null(-1).to_numpy()
    told_apart = min(len(classes), CLASSES)
    # by chance, for rows of a file lie together, and yet the same whenever it is done again
    half = np.random.default_rng(0).permutation(len(table)) % 2
    others = {name: how for name, how in bins.items() if name[1] != label and not name[1].endswith(BEYOND_ASCII)}
    halves = {name: np.zeros((2, how.number + 1, told_apart), np.int64) for (_, name), how in others.items()}
    group = np.where(codes < 0, -1, np.minimum(codes, told_apart - 1) * 2 + half)
    order = np.argsort(group, kind="stable")
    ends = np.searchsorted(group[order], np.arange(2 * told_apart + 1))
    sorted_rows = table.take(pa.array(order))
    for place in range(2 * told_apart):
        some = sorted_rows.slice(ends[place], ends[place + 1] - ends[place])
        for (_, name), counted in count_columns(some, others, day).items():
            halves[name][place % 2, :, place // 2] = np.append(counted.bins, counted.nulls)
    return by_class, halves


def _spread(
    values: pa.Array, how: Bins, day: str
) -> tuple[Literal["number", "date", "text", "category"], Bins, Counts]:
    """What a column is, and how it is counted for a picture."""
    if how.kind == "category":
        return "category", how, count_columns(pa.table({"x": values}), {("rows", "x"): how}, day)["rows", "x"]
    if how.kind == "text":
        lengths = _lengths(values)
        bins = _bars(lengths, how)
        return "text", bins, count_numbers(lengths, bins)
    numbers = as_numbers(values, day)
    bins = _bars(numbers, how)
    is_date = pa.types.is_date(values.type) or pa.types.is_timestamp(values.type)
    return "date" if is_date else "number", bins, count_numbers(numbers, bins)


def _lengths(values: pa.Array) -> np.ndarray:
    lengths: np.ndarray = pc.utf8_length(values.cast(pa.string())).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return lengths


def _bars(numbers: np.ndarray, how: Bins) -> Bins:
    """Bins of equal width, for a picture: those by which a column is counted hold as many rows each."""
    present = numbers[np.isfinite(numbers)]
    if not len(present):
        return Bins(how.kind, (), unit=how.unit)
    least, low, high, most = np.quantile(present, [0, TAIL, 1 - TAIL, 1])
    # in halves and quarters: the largest float less the smallest is none
    if high > low and most / 4 - least / 4 > high / 2 - low / 2:
        least, most = low, high
    inner = 2 * np.linspace(least / 2, most / 2, STEPS + 1)[:-1]
    edges = np.unique(np.append(inner, np.nextafter(most, np.inf)))
    return Bins(how.kind, tuple(edges[np.isfinite(edges)].tolist()), unit=how.unit)


def _shares(training: tuple[Bins, Counts], bins: Bins) -> np.ndarray | None:
    """What shares of the training rows our bins have; between two edges of theirs as if all were spread evenly."""
    how, counts = training
    if how.kind != bins.kind:
        return None
    if how.kind == "category":
        listed = dict(zip(how.values, counts.bins, strict=False))
        found = np.array([listed.get(value, 0) for value in bins.values[: bins.number - 1]])
        return np.append(found, counts.bins.sum() - found.sum()) / max(1, counts.rows)
    if not how.edges or not bins.edges:
        return None
    below = np.cumsum(counts.bins)[:-1]
    ours = np.interp(bins.edges, how.edges, below, left=0, right=counts.bins.sum())
    shares: np.ndarray = np.diff(ours, prepend=0, append=counts.bins.sum()) / max(1, counts.rows)
    return shares


def _examples(values: pa.Array, *, hidden: bool) -> tuple[str, ...]:
    some = values.drop_null().slice(0, 1_000).unique().slice(0, EXAMPLES)
    # 5.708, and not 5.707999999999999
    texts = [f"{value:.15g}" if isinstance(value, float) else str(value) for value in some.to_pylist()]
    return tuple(dict.fromkeys(map(mask, texts))) if hidden else tuple(texts)


def mask(text: str) -> str:
    """A text of which only the form is left: every letter an `a` or `A`, every digit a 9.

    Parameters
    ----------
    text
        The text.

    Examples
    --------
    >>> mask("Ana Silva, +55 11")
    'Aaa Aaaaa, +99 99'
    """
    return re.sub(r"[^\W\d_]", lambda sign: "A" if sign[0].isupper() else "a", re.sub(r"\d", "9", text))


def _many(values: pa.Array, distinct: int) -> bool:
    """Whether a text has so many values that some may name people."""
    return is_text(values.type) and distinct > min(LISTED, max(1, (len(values) - values.null_count) / 2))
