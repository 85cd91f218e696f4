"""Where a value stands among known ones: what encoders of categories, and scorers of models, look up by."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

DENSE = 1 << 20
"""Whole numbers below this, and hundredths, are looked up in a table."""

SCALES = 1, 100
"""Whole numbers, such as the codes of texts; amounts of money."""


class Positions:
    """Position of a value among known ones; NaN is a value like any other.

    Parameters
    ----------
    known
        The values, each once.
    unknown
        What stands for a value that is none of them.
    """

    def __init__(self, known: np.ndarray, unknown: int = -1) -> None:
        self._unknown = unknown
        self._missing = unknown
        self._table: np.ndarray | None = None
        known = np.asarray(known, np.float64) + 0.0  # -0.0 has another hash than 0.0
        for self._scale in SCALES:
            if (table := _table(known, self._scale, unknown)) is not None:
                self._before, self._table = table
                # of what is not known NaN, to which nothing is equal
                self._values = np.append(known, np.nan)
                for place in np.flatnonzero(np.isnan(known)):
                    self._missing = int(place)
                return
        self._known = pa.array(known)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The position of each value, int64 in an array that may be written to."""
        if self._table is not None:
            return self._by_table(values, self._table)
        column = pa.array(np.ascontiguousarray(values, np.float64) + 0.0)
        codes = pc.index_in(column, value_set=self._known).fill_null(self._unknown)
        found: np.ndarray = codes.to_numpy().astype(np.int64)
        return found

    def _by_table(self, values: np.ndarray, table: np.ndarray) -> np.ndarray:
        """The same by a table; what stands in it is compared, so any other value may come to the same place."""
        with np.errstate(over="ignore", invalid="ignore"):  # NaN and what is too large become some number
            whole = values if self._scale == 1 else np.rint(values * self._scale)
            codes = whole.astype(np.int32)
        codes -= self._before
        places: np.ndarray = table.take(codes, mode="clip")
        others = self._values.take(places) != values
        if others.any():
            places[others] = np.where(np.isnan(values[others]), self._missing, self._unknown)
        return places


def _table(known: np.ndarray, scale: int, unknown: int) -> tuple[np.int32, np.ndarray] | None:
    """The code before the first one, and the position of each from there; None if these are no such numbers.

    The first and the last entry are for what is none of them.
    """
    with np.errstate(over="ignore"):
        numbers = known[~np.isnan(known)] * scale
    if not (np.abs(numbers) < DENSE).all():
        return None
    codes = np.rint(numbers).astype(np.int32)
    if len(np.unique(codes)) < len(codes) or (scale == 1 and (codes != numbers).any()):
        return None
    before = codes.min(initial=0) - np.int32(1)
    table = np.full(codes.max(initial=0) - before + 2, unknown, np.int64)
    table[codes - before] = np.flatnonzero(~np.isnan(known))
    return before, table
