"""In: columns as Arrow has them. Out: how they are to be counted, by what training saw; and the counts.

A date is counted as the days that it lies before the day of its row: by themselves dates move on every day.
A text with more than `MOST_VALUES` values, or one that reaches a model as text, is counted by its length in signs, and
beside it by its share of signs beyond ASCII, where broken encodings show.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.score.profile.counts import MOST_NEW, TOP, Bins, Column, Counts

MOST_VALUES = 10_000
"""Most distinct values of a text that is counted value by value."""

MOST_BINS = 20
"""Bins between the smallest and the largest value that training saw, where no value takes one for itself."""

SAMPLE = 100_000
"""Most rows by which the bins of a number are made."""

BEYOND_ASCII = " (signs beyond ASCII)"
"""What the name of a second count of a text ends with: by their per cent of all bytes, of 0 to 100."""

LARGEST_TOTAL: Final = 2.0**35
"""Largest value in units that is added up, for one beyond counts as this: 2**28 rows of it are less than 2**63."""

DAY_MICROSECONDS = 86_400_000_000

Days = str | np.ndarray
"""The day of all rows, or of each as `datetime64[D]`."""


def make_bins(
    rows: pa.Table, day: Days, texts: Collection[str] = (), without: Iterable[str] = (), source: str = "rows"
) -> dict[Column, Bins]:
    """How the columns of a table are to be counted, by the rows that training saw.

    Parameters
    ----------
    rows
        The rows; texts may be dictionaries.
    day
        Their day, or that of each.
    texts
        Columns of text that are counted by their length whatever number of values they have.
    without
        Columns that are not counted.
    source
        Where the columns stand, for their names.

    Returns
    -------
    dict
        Bins by column, in the order of the columns.
    """
    left_out, bins = {*without}, dict[Column, Bins]()
    for name in rows.column_names:
        if name in left_out:
            continue
        column = whole(rows[name])
        if not is_text(column.type):
            bins[source, name] = number_bins(as_numbers(column, day))
            continue
        distinct, counts = value_counts(column)
        if name not in texts and len(distinct) <= MOST_VALUES:
            bins[source, name] = Bins("category", values=by_frequency(distinct, counts))
        else:
            bins |= text_bins((source, name), column)
    return bins


def text_bins(column: Column, values: pa.Array) -> dict[Column, Bins]:
    """How a text is counted: by its length, and by its share of signs beyond ASCII.

    Parameters
    ----------
    column
        Where it stands.
    values
        The texts that training saw.
    """
    source, name = column
    lengths, shares = text_numbers(values)
    edges = number_bins(lengths).edges
    return {column: Bins("text", edges), (source, name + BEYOND_ASCII): number_bins(shares)}


@np.errstate(over="ignore")  # behind the largest number there is, an edge is infinite, and left out
def number_bins(values: np.ndarray) -> Bins:
    """How a number is counted: bins of equal frequency, and one for itself for every value that fills more than that.

    Two more bins are for what is smaller, or larger, than all that training saw.

    Parameters
    ----------
    values
        What training saw, of shape `(rows,)`; NaN where there is none.
    """
    present = values[np.isfinite(values)]
    if not len(present):
        return Bins("number")
    # every so manieth and no random ones: the same rows must give the same bins
    some = np.sort(present[:: -(-len(present) // SAMPLE)])
    distinct, times = np.unique(some, return_counts=True)
    if len(distinct) <= MOST_BINS:
        inner = (distinct[:-1] + distinct[1:]) / 2 if len(distinct) > 1 else distinct[:0]
        if not np.isfinite(inner).all():  # halfway between two that are near the largest there is
            inner = distinct[1:]
    else:
        frequent = distinct[times >= len(some) / MOST_BINS]
        ranks = np.arange(1, MOST_BINS) * len(some) // MOST_BINS
        inner = np.concatenate([some[ranks], frequent, np.nextafter(frequent, np.inf)])
    ends = [present.min(), np.nextafter(present.max(), np.inf)]
    edges = np.unique(np.concatenate([inner, ends]))
    return Bins("number", tuple(edges[np.isfinite(edges)].tolist()), unit=_unit(np.abs(some)))


def _unit(sizes: np.ndarray) -> float:
    """A power of ten: a millionth of what nearly all values stay below, so that few are beyond `LARGEST_TOTAL`."""
    # not of the largest: one value that is wrong by many digits would make all others nothing
    most = float(np.quantile(sizes, 0.99)) or float(sizes.max())
    return float(f"1e{min(300, max(-300, math.ceil(math.log10(most)) - 6))}") if most else 1.0


def by_frequency(distinct: pa.Array, counts: np.ndarray) -> tuple[str, ...]:
    """Values, those that come most often first; of those that come as often, in the order of the alphabet."""
    named = zip(distinct.to_pylist(), counts.tolist(), strict=True)
    return tuple(value for value, count in sorted(named, key=lambda item: (-item[1], item[0])) if count)


def count_columns(table: pa.Table, bins: Mapping[Column, Bins], day: Days) -> dict[Column, Counts]:
    """Count the columns of a table.

    Parameters
    ----------
    table
        The rows; fast where texts are dictionaries, of which each value is looked at once.
    bins
        How its columns are counted; those that it lacks are counted as empty.
    day
        The day of the rows, or that of each.
    """
    # once: Arrow makes the list anew whenever it is asked, and there may be thousands of columns
    counts, there = {}, {*table.column_names}
    for (source, name), how in bins.items():
        column = name.removesuffix(BEYOND_ASCII)
        values = whole(table[column]) if column in there else pa.nulls(len(table), pa.string())
        if how.kind == "category":
            counts[source, name] = count_values(values, how)
        elif how.kind == "text" or column != name:
            lengths, shares = text_numbers(values)
            counts[source, name] = count_numbers(lengths if column == name else shares, how)
        else:
            counts[source, name] = count_numbers(as_numbers(values, day), how)
    return counts


def count_numbers(values: np.ndarray, bins: Bins) -> Counts:
    """Count numbers.

    Parameters
    ----------
    values
        float64, of shape `(rows,)`; NaN where there is none.
    bins
        How.
    """
    missing = np.isnan(values)
    nulls = int(np.count_nonzero(missing))
    present = values[~missing] if nulls else values
    if not len(present):
        return Counts(np.zeros(bins.number, np.int64), nulls)
    # one comparison of all values an edge is six times as fast as a search for the bin of each value
    is_beyond = np.empty(len(present), bool)
    counts = (np.count_nonzero(np.greater_equal(present, edge, out=is_beyond)) for edge in bins.edges)
    beyond = [len(present), *counts, 0]
    lowest, highest = float(present.min()), float(present.max())
    total = _total(present, bins.unit, max(-lowest, highest))
    return Counts(-np.diff(np.array(beyond, np.int64)), nulls, 0, total, lowest, highest)


def _total(values: np.ndarray, unit: float, largest: float) -> int:
    """The sum of numbers, each as a whole number of units and no larger than `LARGEST_TOTAL` of them."""
    if largest > LARGEST_TOTAL * unit:  # else the division could leave what a float holds
        values = np.clip(values, -LARGEST_TOTAL * unit, LARGEST_TOTAL * unit)
    units = values / unit
    np.rint(units, out=units)
    # floats that are whole numbers are added up exactly as long as no sum reaches 2**53
    exact = min(largest / unit, LARGEST_TOTAL) * len(units) < 2**52
    return int(units.sum()) if exact else int(units.astype(np.int64).sum())


def count_values(values: pa.Array, bins: Bins) -> Counts:
    """Count the values of a category.

    Parameters
    ----------
    values
        Texts, or a dictionary of them.
    bins
        How.
    """
    distinct, counts = value_counts(values)
    known = pa.array(bins.values, pa.string())
    codes = pc.index_in(distinct, value_set=known).fill_null(-1).to_numpy()
    seen = codes >= 0
    return Counts(
        tally(np.minimum(codes[seen], TOP), bins.number, counts[seen]),
        nulls=len(values) - int(counts.sum()),
        unseen=int(counts[~seen].sum()),
        new=_most_frequent(distinct.filter(pa.array(~seen)), counts[~seen]),
    )


def tally(places: np.ndarray, bins: int, times: np.ndarray) -> np.ndarray:
    """How often each bin comes, int64 of shape `(bins,)`, where each place comes so many times."""
    # weights are floats: exact up to 2**53
    return np.bincount(places, weights=times, minlength=bins).astype(np.int64)


def _most_frequent(values: pa.Array, counts: np.ndarray) -> dict[str, int]:
    """At most `MOST_NEW` values, those that come most often first; of those that come as often, by the alphabet."""
    # none that comes less often than as many others need be sorted
    least = np.partition(counts, -MOST_NEW)[-MOST_NEW] if len(counts) > MOST_NEW else 0
    few = counts >= max(1, least)
    told = zip(values.filter(pa.array(few)).to_pylist(), counts[few].tolist(), strict=True)
    return dict(sorted(told, key=lambda item: (-item[1], item[0]))[:MOST_NEW])


def value_counts(values: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """The values of a text, and how often each comes: 0 of those that only a dictionary has; nothing is told of none.

    Returns
    -------
    tuple
        The values as plain texts, and int64 of shape `(values,)`.
    """
    coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    indices = coded.indices.drop_null() if coded.indices.null_count else coded.indices
    counts = np.bincount(indices.to_numpy(), minlength=len(coded.dictionary)).astype(np.int64, copy=False)
    distinct = coded.dictionary.cast(pa.string())
    if distinct.null_count:
        kept = distinct.is_valid()
        return distinct.filter(kept), counts[kept.to_numpy(zero_copy_only=False)]
    return distinct, counts


def text_numbers(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Length of each text in signs, and its per cent of signs beyond ASCII; NaN where there is none."""
    coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    texts = coded.dictionary.cast(pa.string())
    signs, size = (_plain(measure(texts)) for measure in (pc.utf8_length, pc.binary_length))
    # of each such sign the bytes beyond one
    shares = 100 * (size - signs) / np.maximum(size, 1)
    places = coded.indices.fill_null(len(texts)).to_numpy()
    return np.append(signs, np.nan)[places], np.append(shares, np.nan)[places]


def as_numbers(column: pa.Array, day: Days) -> np.ndarray:
    """A column that is no text as float64 of shape `(rows,)`; NaN where there is no value.

    A date is the days that it lies before the day of its row, a timestamp the days and parts of one before its
    beginning; negative where it lies behind that. A column that the contract has made a text since is without numbers.
    """
    if is_text(column.type):
        return np.full(len(column), np.nan)
    if pa.types.is_date32(column.type):
        return _number_of_day(day) - _plain(column.cast(pa.int32()))
    if pa.types.is_timestamp(column.type):
        moment = _plain(column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()))
        return (_number_of_day(day) * DAY_MICROSECONDS - moment) / DAY_MICROSECONDS
    return _plain(column)


def _number_of_day(day: Days) -> np.ndarray | float:
    """Days since 1970."""
    if isinstance(day, str):
        return float(np.datetime64(day[:10], "D").astype(np.int64))
    # of a key its calendar day
    return np.asarray(day.astype("U10").astype("datetime64[D]").astype(np.int64), np.float64)


def _plain(column: pa.Array) -> np.ndarray:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    numbers: np.ndarray = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def whole(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array, of one dictionary if it has any."""
    return column.unify_dictionaries().combine_chunks()


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds texts, whatever way."""
    return any(is_it(kind) for is_it in (pa.types.is_dictionary, pa.types.is_string, pa.types.is_large_string))
