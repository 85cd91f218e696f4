"""Rows of every kind, on which a scorer and its estimator are compared."""

from __future__ import annotations

import numpy as np

from mlops_assets.journey.model.scorer.steps import Scorer

ODD_ROWS = 256
"""Rows that a scorer and its estimator are compared on."""

ODD_NUMBERS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, -3.4e38, 3.4e38, 2.0**53)


def odd_rows(scorer: Scorer) -> np.ndarray:
    """Rows of every kind, always the same: known values and others, numbers of every size, missing ones.

    Parameters
    ----------
    scorer
        What it looks up is among them.
    """
    draw = np.random.default_rng(0)
    shape = (ODD_ROWS, scorer.width)
    rows = draw.normal(size=shape) * 10.0 ** draw.integers(-3, 6, size=shape)
    for lookup in scorer.lookups:
        known = draw.random(ODD_ROWS) < 0.8
        rows[known, lookup.column] = draw.choice(lookup.known, ODD_ROWS)[known]
    kind = draw.random(shape)
    rows[kind > 0.95] = draw.choice(ODD_NUMBERS, int((kind > 0.95).sum()))
    rows[kind < 0.05] = np.nan
    return rows
