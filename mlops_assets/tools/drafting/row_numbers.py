"""In: the numbers of a column. Out: whether they number the rows, and so are no feature."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

RUNNING = "Numbers the rows."
LEAST_RUNNING, LEAST_WITH_GAPS = 10, 100
"""Rows from which on numbers without a gap are those of the rows, and no quantity; and whole numbers of which each is
there once and half of those between them, too: some rows were taken out. No quantity of so many rows is so by chance.
"""


def number_rows(numbers: pa.Array) -> bool:
    """Whether numbers are 1, 2, 3 and so on, from anywhere and in any order, each once; of many, some may be gone."""
    if len(numbers) < LEAST_RUNNING or numbers.null_count:
        return False
    ordered = np.sort(numbers.to_numpy())
    steps = np.diff(ordered)
    if ordered[0] != np.floor(ordered[0]) or np.any(steps < 1) or np.any(steps != np.floor(steps)):
        return False
    without_gap = bool(np.all(steps == 1))
    return without_gap or bool(len(ordered) >= LEAST_WITH_GAPS and ordered[-1] - ordered[0] < 2 * len(ordered))
