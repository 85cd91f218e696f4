"""Draws loan applications like those of the public table: plausible columns, and a label that is a toss of a coin."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

MISSING = {"age": 0.05, "annual_income": 0.03, "credit_score": 0.04, "loan_amount": 0.02, "open_accounts": 0.01}
"""Column: share of its values that are missing, as in the real table."""


def draw(
    generator: np.random.Generator, _lasting: np.random.Generator, _day: dt.date, files: int, rows: int
) -> pd.DataFrame:
    """Draw the rows of some tables of applications.

    Parameters
    ----------
    generator
        Source of randomness; neither the day nor the customer matters here.
    files, rows
        Number of files, and of rows in each.
    """
    count = files * rows
    frame = pd.DataFrame(
        {
            "file": np.repeat(np.arange(files), rows),
            "application_id": np.tile(np.arange(rows), files).astype(str),
            "age": generator.integers(18, 75, count).astype(float),
            "annual_income": generator.integers(20_000, 150_000, count).astype(float),
            "credit_score": generator.integers(300, 850, count).astype(float),
            "loan_amount": generator.integers(1_000, 50_000, count).astype(float),
            "loan_years": generator.integers(1, 31, count),
            "open_accounts": generator.integers(0, 15, count).astype(float),
            "had_default": generator.integers(0, 2, count),
            "approved": generator.choice(["0", "1"], count),
        }
    )
    for name, share in MISSING.items():
        frame.loc[generator.random(count) < share, name] = np.nan
    return frame
