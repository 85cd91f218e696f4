"""In: what was counted of a column. Out: why it may not be what a model should learn from, by number and in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.score.profile.bins import is_text
from mlops_assets.monitoring.association import LEAST, Told, missing_tells

NAMES_ROWS = 0.98
"""Distinct values a row from which on a column names rows."""

PROSE = 4
"""Words from which on average a text is no name."""


@dataclass(frozen=True)
class Suspicion:
    """Why a column may not be what a model should learn from.

    Attributes
    ----------
    column
        Its name.
    kind
        `determines` the label, is an `identifier` of rows, or `missing` values tell the label.
    number
        Share or area, distinct values a row, or Cramer's V.
    sentence
        It in words.
    """

    column: str
    kind: Literal["determines", "identifier", "missing"]
    number: float
    sentence: str


def names_rows(values: pa.Array, distinct: int) -> bool:
    """Whether every row has a value of its own: a text that is no prose, or numbers without gaps.

    Parameters
    ----------
    values
        A value a row.
    distinct
        How many different ones there are.
    """
    present = values.drop_null()
    if len(present) < LEAST or distinct < NAMES_ROWS * len(present):
        return False
    if is_text(values.type):
        words = pc.list_value_length(pc.utf8_split_whitespace(present.slice(0, 10_000).cast(pa.string())))
        return bool(pc.mean(words).as_py() < PROSE)
    if not pa.types.is_integer(values.type):
        return False
    least, most = pc.min_max(present).as_py().values()
    # an income may be another one in every row, too; numbers of rows leave hardly one out
    return bool(most - least < len(present) / NAMES_ROWS)


def leaks(name: str, label: str, told: Told | None, halves: np.ndarray) -> Iterator[Suspicion]:
    """Why a column may know the label because it was filled in with it.

    Parameters
    ----------
    name, label
        The column and the label.
    told
        How well the column alone tells the label.
    halves
        Rows by half, bin and class; see `missing_tells`.
    """
    if told is not None and told.determines:
        number = max(told.accuracy, told.auc or 0)
        area = f", area under the curve {told.auc:.3f}" if told.auc is not None else ""
        yield Suspicion(
            name,
            "determines",
            number,
            f"{name} alone tells {label} right in {told.accuracy:.1%} of rows that it was not fitted on{area} (the "
            f"largest class: {told.majority:.1%}). Is it known when a row is scored, or filled in with the label?",
        )
    missing = missing_tells(halves)
    if missing is not None:
        yield Suspicion(
            name,
            "missing",
            missing,
            f"Whether {name} has a value tells {label}: Cramer's V {missing:.2f}. Is it filled in before the label is "
            "known?",
        )


def identifier(name: str, distinct: int, rows: int) -> Suspicion:
    """That a column with so many values in so many rows names rows."""
    return Suspicion(
        name,
        "identifier",
        distinct / rows,
        f"{name} has {distinct:,} values in {rows:,} rows: it names rows, and what a model learns of it holds of "
        "no other row.",
    )


def suspected(suspicions: Sequence[Suspicion], column: str) -> list[Suspicion]:
    """Those of one column."""
    return [suspicion for suspicion in suspicions if suspicion.column == column]
