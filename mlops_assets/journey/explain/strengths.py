"""In: a row as its model sees it. Out: how much of its answer hangs on each feature, and on each word of a text."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from mlops_assets.journey.features.matrix import TEXT
from mlops_assets.journey.model.model import Model

WORDS = 500
"""Most different words of a text that are taken out one by one."""


@dataclass(frozen=True)
class Word:
    """A word of a text column and its strength; see `word_strengths`."""

    column: str
    word: str
    strength: float


def occlusion(model: Model, row: np.ndarray, others: np.ndarray, predicted: int) -> np.ndarray:
    """Strength of every feature by occlusion: what the answer loses when that feature alone is not known.

    It is the mean fall of the probability of the class, or of the number, when the feature is replaced by its values in
    other rows: the probability that the estimator says, before it is calibrated, for what calibrates knows no features.
    It is below 0 where the feature speaks against the answer, or makes the number smaller. What two features tell both
    is found in neither.

    Parameters
    ----------
    model
        The model.
    row
        The row as the estimator sees it.
    others
        Other rows, as many as wanted; without any, all strengths are 0.
    predicted
        The class; 0 where the model says numbers.

    Returns
    -------
    np.ndarray
        float64, one number a feature: from -1 to 1, or in the unit of the number.
    """
    width, count = len(row), len(others)
    if not count:
        return np.zeros(width)
    # one call for all features: a forest costs nearly as much for one row as for a thousand
    changed = np.repeat(row[None], width * count + 1, axis=0)  # the row itself comes last
    for position in range(width):
        changed[position * count : (position + 1) * count, position] = others[:, position]
    probabilities = model.uncalibrated(changed)[:, predicted]
    strengths: np.ndarray = probabilities[-1] - probabilities[:-1].reshape(width, count).mean(axis=1)
    return strengths


def word_strengths(model: Model, row: np.ndarray, predicted: int) -> list[Word]:
    """What the answer loses when one word is taken out of a text, wherever it stands in it; the strongest first.

    It loses probability as the estimator says it, before that is calibrated; or its number becomes smaller.

    Parameters
    ----------
    model
        The model.
    row
        The row as the estimator sees it.
    predicted
        The class; 0 where the model says numbers.
    """
    taken: list[tuple[str, str]] = []
    changed = [row]
    for position, (name, vocabulary) in enumerate(model.columns.items()):
        if vocabulary != TEXT:
            continue
        for word in _words(row[position]):
            without = row.copy()
            without[position] = re.sub(rf"\b{re.escape(word)}\b", " ", row[position], flags=re.IGNORECASE)
            taken.append((name, word))
            changed.append(without)
    if not taken:
        return []
    # one call for all of them: a vectorizer's work is mostly the same for one row as for hundreds
    probabilities = model.uncalibrated(np.stack(changed))[:, predicted]
    losses = (probabilities[0] - probabilities[1:]).tolist()
    strengths = [Word(column, word, loss) for (column, word), loss in zip(taken, losses, strict=True)]
    return sorted(strengths, key=lambda word: -word.strength)


def _words(text: str) -> list[str]:
    """The different words of a text in the order in which they come, whatever their case."""
    words = dict.fromkeys(word.lower() for word in re.findall(r"\w+", text))
    return list(words)[:WORDS]
