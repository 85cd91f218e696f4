"""In: how often each bin of a column meets each class of the label. Out: how much the column tells of the label.

All of it is arithmetic on tables of counts, so that numbers, dates, categories and texts are measured alike, a missing
value is a bin as any other, and a relation need not be a straight line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEAST = 20
"""Rows outside of the largest class, and in each half rows with and without a value, from which on anything is said."""

DETERMINES = 0.98
"""Share of held-out rows, or area under the curve, from which on a column is said to determine the label."""

GAIN = 0.9
"""Share of the errors of the largest class that a column must take away besides: where 99 of 100 rows are of one class,
0.98 is nothing."""

MISSING_TELLS = 0.3
"""Cramer's V of 'has a value' and the label, in both halves of the rows, from which on it is told."""


@dataclass(frozen=True)
class Told:
    """How well the bins of one column alone tell the label of rows that they were not fitted on.

    Attributes
    ----------
    accuracy
        Share of rows whose class is said right.
    majority
        The same of always saying the largest class.
    auc
        Area under the ROC curve; None where there are not two classes.
    """

    accuracy: float
    majority: float
    auc: float | None

    @property
    def determines(self) -> bool:
        """Whether hardly a row is told wrongly."""
        gain = (self.accuracy - self.majority) / max(1e-12, 1 - self.majority)
        return (self.accuracy >= DETERMINES and gain >= GAIN) or (self.auc or 0) >= DETERMINES


def too_few(classes: np.ndarray) -> bool:
    """Whether rows by class are so few that all that is found may be an accident."""
    return bool(classes.sum() - classes.max(initial=0) < LEAST)


def cramers_v(counts: np.ndarray) -> float | None:
    """Cramer's V, corrected for its bias in few rows: 0 for what has nothing to do with each other, 1 for the same.

    After W. Bergsma, "A bias-correction for Cramer's V and Tschuprow's T", Journal of the Korean Statistical Society
    42 (2013), formulas (2) and (4): with phi2 = chi2 / n, of r bins and c classes that occur,

        phi2~ = max(0, phi2 - (r - 1)(c - 1) / (n - 1)),  r~ = r - (r - 1)**2 / (n - 1),  c~ likewise,
        V~ = sqrt(phi2~ / min(r~ - 1, c~ - 1)).

    Parameters
    ----------
    counts
        Rows by bin, down, and class, across: `(bins, classes)`.

    Returns
    -------
    float or None
        None where fewer than two bins or two classes occur: nothing can be said.
    """
    table = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0].astype(np.float64)
    rows = table.sum()
    r, c = table.shape
    if min(r, c) < 2:
        return None
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / rows
    phi2 = ((table - expected) ** 2 / expected).sum() / rows
    corrected = max(0.0, phi2 - (r - 1) * (c - 1) / (rows - 1))
    width = min(size - (size - 1) ** 2 / (rows - 1) for size in (r, c)) - 1
    # as many bins as rows: nothing is left that could be more than chance
    return min(1.0, float(np.sqrt(corrected / width))) if width > 0 else 0.0


def tell_label(halves: np.ndarray) -> Told | None:
    """How well a column tells the label: each half of the rows by what is most frequent in the other one.

    A value that only one half has says nothing of the other, so a column of names that never come twice tells no more
    than the largest class does, however few rows there are.

    Parameters
    ----------
    halves
        Rows by half, bin and class: `(2, bins, classes)`.

    Returns
    -------
    Told or None
        None where fewer than `LEAST` rows are outside of the largest class, or a half has none.
    """
    if too_few(halves.sum(axis=(0, 1))) or not halves.sum(axis=(1, 2)).all():
        return None
    right = constant = 0
    areas = []
    for fitted, judged in (halves, halves[::-1]):
        usual = int(fitted.sum(axis=0).argmax())
        best = np.where(fitted.any(axis=1), fitted.argmax(axis=1), usual)
        right += int(judged[np.arange(len(judged)), best].sum())
        constant += int(judged[:, usual].sum())
        areas.append(_area(fitted, judged))
    rows = int(halves.sum())
    known = [area for area in areas if area is not None]
    return Told(right / rows, constant / rows, sum(known) / len(known) if known else None)


def _area(fitted: np.ndarray, judged: np.ndarray) -> float | None:
    """Area under the ROC curve of `judged`, whose bins are ordered by the share of the second class in `fitted`."""
    present = np.flatnonzero(fitted.sum(axis=0) + judged.sum(axis=0))
    if len(present) != 2:
        return None
    first, second = present
    negative, positive = judged[:, first].astype(float), judged[:, second].astype(float)
    if not negative.sum() or not positive.sum():
        return None
    overall = fitted[:, second].sum() / fitted.sum()
    # a bin of few rows is drawn to the share of all, and one of none has that
    score = (fitted[:, second] + overall) / (fitted[:, first] + fitted[:, second] + 1)
    pairs = 0.0
    below = 0.0
    # Mann and Whitney's U over values that are equal: pairs in the right order, and half of those that are alike
    for value in np.unique(score):
        same = score == value
        pairs += positive[same].sum() * (below + negative[same].sum() / 2)
        below += negative[same].sum()
    return float(pairs / (negative.sum() * positive.sum()))


def missing_tells(halves: np.ndarray) -> float | None:
    """Cramer's V of 'there is a value' and the label, if it is more than chance; else None.

    Parameters
    ----------
    halves
        Rows by half, bin and class, the last bin being that of no value: `(2, bins, classes)`.
    """
    split = np.stack([halves[:, :-1].sum(axis=1), halves[:, -1]], axis=1)
    if (split.sum(axis=2) < LEAST).any():
        return None
    found = [cramers_v(half) or 0.0 for half in split]
    return cramers_v(split.sum(axis=0)) if min(found) >= MISSING_TELLS else None
