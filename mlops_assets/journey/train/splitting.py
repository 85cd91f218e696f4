"""In: labelled rows. Out: which of them are held out to test, and in which fold each of the others is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from mlops_assets.errors import MlopsError
from mlops_assets.journey.train.origins import TESTS, Origin, order_of
from mlops_assets.use_case import Split, Training


class TooLittleData(MlopsError):
    """There are not enough labelled rows to train and to judge a model."""


def hold_out(rows: pa.Table, split: Split, name: str, origins: Sequence[Origin]) -> tuple[np.ndarray, str | None]:
    """Which rows are held out to test, and with a split by time the first held-out date.

    Parameters
    ----------
    rows
        With `KEYS`.
    split
        What keeps both sides apart.
    name
        Of the use case.
    origins
        See `find_origins`.

    Raises
    ------
    TooLittleData
        If all rows would lie on one side.
    """
    if split.by != "time":
        chosen = unit_of(rows, split.by) < split.held_out
        if _is_one_sided(chosen):
            raise TooLittleData(f"{name}: the rows cannot be split by {split.by}: all lie on one side. Add more.")
        return chosen, None
    order = order_of(rows)
    ordered = np.sort(order)
    months = [one.first for one in origins if one.part == TESTS]
    given = split.starts.isoformat() if split.starts else min(months, default="")
    boundary = given or str(ordered[int(len(ordered) * (1 - split.held_out))])
    held_out: np.ndarray = order >= boundary
    if _is_one_sided(held_out):
        raise TooLittleData(
            f"{name}: the rows cannot be split by time at {boundary}: they run from {ordered[0]} to {ordered[-1]}. "
            "Train on more days, or split by account."
        )
    return held_out, boundary


def _is_one_sided(mask: np.ndarray) -> bool:
    return bool(mask.all() or not mask.any())


def number_folds(rows: pa.Table, training: Training, held_out: np.ndarray, origins: Sequence[Origin]) -> np.ndarray:
    """Fold of every training row, -1 for held-out ones; with a split by time, folds follow each other.

    Parameters
    ----------
    rows
        With `KEYS`.
    training
        Number of folds, and what the split keeps apart.
    held_out
        Which of them are held out.
    origins
        See `find_origins`.
    """
    fold = np.full(len(rows), -1, np.int8)
    kept = ~held_out
    if origins:  # the months that choose, from 1 on
        starts = [one.first for one in origins if one.part != TESTS]
        fold[kept] = np.searchsorted(starts, order_of(rows)[kept], side="right")
    elif training.split.by == "time":
        order = order_of(rows)[kept]
        rank = np.searchsorted(np.sort(order), order, side="right") / len(order)
        fold[kept] = np.ceil(rank * (training.folds + 1)).astype(np.int8) - 1
    else:
        fold[kept] = (unit_of(rows, training.split.by)[kept] * 1e6).astype(np.int64) % training.folds
    return fold


def unit_of(rows: pa.Table, by: str) -> np.ndarray:
    """A number in [0, 1) for each row that depends on its account, or on the row alone.

    Parameters
    ----------
    rows
        With `KEYS`.
    by
        `account`, or anything else for the row.
    """
    import pandas as pd

    if by == "account":
        hashes = pd.util.hash_array(rows["_account"].fill_null("").to_numpy().astype(object))
    else:
        hashes = rows["_hash"].to_numpy()
    return hashes.astype(np.float64) / 2.0**64
