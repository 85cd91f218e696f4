"""Draws customers like those of the public table: 200 independent bell curves, each a little shifted for one in ten."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

COLUMNS = 200
POSITIVE = 0.1
"""Share of the rows of class 1."""
MISSING = 0.01
"""Share of values that are missing. The published table has none; the imputation needs some."""
SHIFT = 0.19
"""The largest distance between the means of the two classes, in deviations. The distances lie evenly from 0 to here:
that separates the classes as the published table does, where a linear model reaches an AUC of 0.859."""
SPREAD = 0.38
"""How much wider class 1 is, per deviation of distance. Naive Bayes sees this, too, and reaches 0.888 there."""


def draw(
    generator: np.random.Generator, _lasting: np.random.Generator, _day: dt.date, files: int, rows: int
) -> pd.DataFrame:
    """Draw the rows of some tables of customers.

    Parameters
    ----------
    generator
        Source of randomness; the day does not matter here.
    files, rows
        Number of files, and of rows in each.
    """
    count = files * rows
    centre, deviation, shift = _curves()
    positive = generator.random(count) < POSITIVE
    values = generator.standard_normal((count, COLUMNS))
    values[positive] = values[positive] * (1 + SPREAD * np.abs(shift)) + shift
    values = centre + deviation * values
    values[generator.random(values.shape) < MISSING] = np.nan
    first = int(generator.integers(10**9))
    columns = {
        "file": np.repeat(np.arange(files), rows),
        "id_code": [f"train_{number}" for number in range(first, first + count)],
        "target": np.where(positive, "1", "0"),
    }
    return pd.DataFrame({**columns, **{f"var_{number}": values[:, number] for number in range(COLUMNS)}})


def _curves() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and deviation of every column, and the shift of class 1 in deviations.

    The seed is fixed, for the classes must differ in the same way on every day and in every sample. Deviations are not
    as small as some published ones (0.01), for sample files have two decimals.
    """
    fixed = np.random.default_rng(COLUMNS)
    centre = fixed.normal(7, 8, COLUMNS).round(1)
    deviation = np.exp(fixed.uniform(np.log(0.5), np.log(15), COLUMNS)).round(1)
    shift = SHIFT * (fixed.permutation(COLUMNS) + 0.5) / COLUMNS
    return centre, deviation, shift * fixed.choice([-1, 1], COLUMNS)
