"""In: the sums of a linear model. Out: what it says, to the bit as scikit-learn makes it of them."""

from __future__ import annotations

from collections.abc import Iterator

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
    # these are added up as a row is: in which order, their last bits hang on
    columns /= np.ascontiguousarray(columns.T).sum(axis=1)
    return columns.T


def blocks(rows: int) -> Iterator[slice]:
    """Some rows at a time."""
    for start in range(0, rows, BLOCK):
        yield slice(start, min(start + BLOCK, rows))
