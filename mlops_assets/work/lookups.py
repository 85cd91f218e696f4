"""Where a value stands among known ones: what encoders of categories, and scorers of models, look up by."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

DENSE = 1 << 20
"""Whole numbers below this are looked up in a table."""


class Positions:
    """Position of a value among known ones, -1 where it is none of them; NaN is a value like any other.

    Parameters
    ----------
    known
        The values.
    """

    def __init__(self, known: np.ndarray) -> None:
        self._table: np.ndarray | None = None
        if np.isfinite(known).all() and np.abs(known).max(initial=0) < DENSE and (known % 1 == 0).all():
            codes = known.astype(np.int64)
            self._low, self._high = codes.min(initial=0), codes.max(initial=0)
            # the last entry is for what is none of them
            self._table = np.full(self._high - self._low + 2, -1, np.int32)
            self._table[codes - self._low] = np.arange(len(codes))
        else:
            self._known = pa.array(np.asarray(known, np.float64) + 0.0)  # -0.0 has another hash than 0.0

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The position of each value, in an array that may be written to."""
        if self._table is not None:
            return self._of_codes(values, self._table)
        column = pa.array(np.ascontiguousarray(values, np.float64) + 0.0)
        codes: np.ndarray = pc.index_in(column, value_set=self._known).fill_null(-1).to_numpy()
        return codes.copy() if not codes.flags.writeable else codes

    def _of_codes(self, values: np.ndarray, table: np.ndarray) -> np.ndarray:
        """The same where all known values are small whole numbers, such as the codes of texts: by a table."""
        with np.errstate(invalid="ignore"):  # NaN becomes some number, which is not equal to it
            near = np.clip(values, self._low, self._high).astype(np.int64)
        return table[np.where(near == values, near - self._low, len(table) - 1)]
