"""How far apart two spreads are: numbers in, numbers out, over all columns at once.

A spread is what share of the rows lies in each bin, the last axis of an array. Those before it, such as columns or
days, are compared one by one, and of either side what is missing is broadcast.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

HALF = 0.5
"""What each bin of a reference is given before shares are taken, so that none is zero: the prior of Krichevsky and
Trofimov (1981), which is Jeffreys'."""


def ratio(part: np.ndarray, whole: np.ndarray, otherwise: float = 0.0) -> np.ndarray:
    """One divided by the other; something else where that one is nothing."""
    shape = np.broadcast_shapes(np.shape(part), np.shape(whole))
    found: np.ndarray = np.divide(part, whole, out=np.full(shape, otherwise), where=np.asarray(whole) > 0)
    return found


def shares(counts: np.ndarray) -> np.ndarray:
    """The share of each bin; zeros where nothing was counted."""
    counts = np.asarray(counts, float)
    return ratio(counts, counts.sum(-1, keepdims=True))


def smoothed(counts: np.ndarray, used: np.ndarray) -> np.ndarray:
    """The shares of a reference, none of them zero in a bin that is used.

    Parameters
    ----------
    counts
        Rows by bin, `(..., bins)`.
    used
        Which bins a column has, `(..., bins)`; the others only fill up the array.
    """
    return shares((counts + HALF) * used)


def towards(counts: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The shares of a day, with one row more that is spread as the reference is.

    An empty bin costs the more the more rows a day has, not infinitely much; and a day without rows is no day that
    differs. Half a row a bin would draw small days towards equal shares, and call that a difference.

    Parameters
    ----------
    counts
        Rows by bin, `(..., bins)`.
    reference
        Shares of the reference, as `smoothed` gives them.
    """
    return shares(counts + reference)


def psi(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Population stability index: sum of (q - p) ln(q / p) over the bins, that is Jeffreys' divergence.

    0 for equal shares, the same both ways, without an upper end. Of two samples of M and N independent rows over B bins
    it is about (1/M + 1/N) times a chi square of B - 1 degrees: Yurdakul and Naranjo, Journal of Risk Model Validation
    14(4), 2020. That 0.1 is worth a look and 0.25 a shift is custom: Siddiqi, Credit Risk Scorecards, 2006.
    A bin in which either has nothing counts as nothing: smooth both before.
    """
    times = ratio(other, one, 1.0)
    found: np.ndarray = ((other - one) * np.log(times, out=np.zeros_like(times), where=times > 0)).sum(-1)
    return found


def jensen_shannon(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Jensen-Shannon distance to base 2: 0 for equal shares, 1 for spreads that share no bin, the same both ways.

    The root of the divergence of Lin (IEEE Transactions on Information Theory 37, 1991), which is a metric: Endres and
    Schindelin (the same, 49, 2003).
    """
    middle = (one + other) / 2
    divergence = (_relative(one, middle) + _relative(other, middle)) / 2
    found: np.ndarray = np.sqrt(divergence.clip(0, 1))
    return found


def total_variation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Half the sum of the differences: the share of rows that would have to lie in another bin; between 0 and 1."""
    found: np.ndarray = np.abs(one - other).sum(-1) / 2
    return found


def wasserstein(one: np.ndarray, other: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Wasserstein-1 between numbers of which is known in what bin they lie: how far a value moves on average.

    The area between the two cumulative shares (Vallender, Theory of Probability and its Applications 18, 1974). Where
    all move the same way it is the difference of the means.

    Parameters
    ----------
    one, other
        Shares by bin.
    positions
        Where the values of a bin are taken to lie, rising, in the unit in which the answer is wanted.
    """
    apart = np.abs(np.cumsum(one - other, -1))[..., :-1]
    found: np.ndarray = (apart * np.diff(positions, axis=-1)).sum(-1)
    return found


def positions(edges: tuple[float, ...]) -> np.ndarray:
    """Where the values of each bin of a number are taken to lie, of shape `(len(edges) + 1,)`.

    In the middle of the bin. The smallest and the largest value that training saw are edges, and one value far out must
    not decide how far apart two days are: beyond the second edge of either side, values lie at most an eighth of the
    inner range farther out (a normal distribution that is cut at 5 and 95 % has the mean of its ends there), and those
    beyond all that training saw at a quarter.
    """
    if len(edges) < 4:
        middles = [(one + other) / 2 for one, other in pairwise(edges)]
        return np.array([*edges[:1], *middles, *edges[-1:]] if edges else [0.0])
    inner = np.asarray(edges[1:-1], float)
    reach = max((inner[-1] - inner[0]) / 8, (edges[-1] - edges[0]) / 100)
    below, above = min((inner[0] - edges[0]) / 2, reach), min((edges[-1] - inner[-1]) / 2, reach)
    middles = (inner[1:] + inner[:-1]) / 2
    ends = [inner[0] - 2 * reach, inner[0] - below], [inner[-1] + above, inner[-1] + 2 * reach]
    return np.concatenate([ends[0], middles, ends[1]])


def deviation(spread: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Standard deviation of values that lie at these positions with these shares."""
    mean = (spread * where).sum(-1, keepdims=True)
    found: np.ndarray = np.sqrt((spread * (where - mean) ** 2).sum(-1))
    return found


def _relative(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Kullback and Leibler's divergence in bits; what has no share adds nothing."""
    times = ratio(one, other, 1.0)
    found: np.ndarray = (one * np.log2(times, out=np.zeros_like(times), where=times > 0)).sum(-1)
    return found
