"""In: the sums of a linear model. Out: what it says, to the bit as scikit-learn makes it of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

BLOCK = 2048
"""Rows that tables are added up for at a time, so that the sums stay near."""

SOFTMAX, SIGMOID, IDENTITY = "softmax", "sigmoid", "identity"
LINKS = (SOFTMAX, SIGMOID, IDENTITY)


def linked(link: str, sums: np.ndarray) -> np.ndarray:
    """What follows from sums: probabilities, or the numbers themselves; the sums are written over."""
    if link == SOFTMAX:
        for part in blocks(len(sums)):
            sums[part] = softmax(sums[part])
        return sums
    if link == SIGMOID:
        from scipy.special import expit

        second = sums.reshape(-1)
        expit(second, out=second)
        return np.stack([1 - second, second], axis=1)
    return sums


def softmax(sums: np.ndarray) -> np.ndarray:
    """The same as scikit-learn's, a column at a time: NumPy takes several times as long for rows of a few numbers."""
    columns = np.array(sums.T, order="C")
    columns -= columns.max(axis=0)
    np.exp(columns, out=columns)
    columns /= sums_of_rows(columns)
    return columns.T


def sums_of_rows(columns: np.ndarray) -> np.ndarray:
    """The sums of rows that lie as columns, to the bit as NumPy adds up rows that lie one after the other.

    Parameters
    ----------
    columns
        A row a column of the matrix.
    """
    if _are_added_in_eights(len(columns)):
        return _added_in_eights(columns)
    sums: np.ndarray = np.ascontiguousarray(columns.T).sum(axis=1)
    return sums


def _added_in_eights(columns: np.ndarray) -> np.ndarray:
    """Each eighth number to one of eight sums, these in pairs, and then what is left: a sixth of the time."""
    whole = len(columns) - len(columns) % 8
    eight = columns[:8] if whole == 8 else columns[:whole].reshape(-1, 8, columns.shape[1]).cumsum(axis=0)[-1]
    pairs = eight[::2] + eight[1::2]
    sums: np.ndarray = (pairs[0] + pairs[1]) + (pairs[2] + pairs[3])
    for column in columns[whole:]:
        sums += column
    return sums


@cache
def _are_added_in_eights(width: int) -> bool:
    """Whether this NumPy adds up so many numbers in that way; tried, for nothing promises it."""
    if not 8 <= width <= 128:
        return False
    drawn = np.random.default_rng(7).random((256, width))
    return bool((_added_in_eights(np.ascontiguousarray(drawn.T)) == drawn.sum(axis=1)).all())


def blocks(rows: int) -> Iterator[slice]:
    """Some rows at a time."""
    for start in range(0, rows, BLOCK):
        yield slice(start, min(start + BLOCK, rows))
