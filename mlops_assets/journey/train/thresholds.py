"""In: a model of two classes and the rows that test. Out: what saying the second class earlier or later would bring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.candidates import calm_fitting, class_numbers

STEPS = tuple(round(number / 10, 1) for number in range(1, 10))
"""Probabilities from which on the second class could be said."""


def try_thresholds(model: Model, rows: pa.Table) -> list[dict[str, float]]:
    """Precision, recall and F1 of the second class by the probability from which it is said.

    Parameters
    ----------
    model
        The model that is judged.
    rows
        Labelled rows that it has not learned.

    Returns
    -------
    list of dict
        A line a threshold: `threshold`, `said` (share of the rows), `precision`, `recall` and `f1`; none unless there
        are two classes.
    """
    if len(model.classes) != 2 or not len(rows):
        return []
    with calm_fitting():
        second = model.probabilities(model.matrix(rows))[:, 1]
    truth = class_numbers(rows, model.classes) == 1
    return [_line(threshold, truth, second >= threshold) for threshold in STEPS]


def _line(threshold: float, truth: np.ndarray, said: np.ndarray) -> dict[str, float]:
    right, all_said, all_true = int((truth & said).sum()), int(said.sum()), int(truth.sum())
    values = {
        "said": all_said / len(truth),
        "precision": right / max(1, all_said),
        "recall": right / max(1, all_true),
        "f1": 2 * right / max(1, all_said + all_true),
    }
    return {"threshold": threshold, **{name: round(value, 4) for name, value in values.items()}}


def best(lines: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The line with the largest F1, of equal ones the one nearest to a half."""
    return max(lines, key=lambda line: (line["f1"], -abs(line["threshold"] - 0.5)))
