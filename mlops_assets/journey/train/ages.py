"""In: what a candidate says of the rows that test. Out: its figure by month, by age of the model, of new accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from mlops_assets.journey.train.folds import Asked, Said, joined
from mlops_assets.journey.train.intervals import rounded
from mlops_assets.journey.train.origins import order_of

MONTH = 30.44
"""Days of a mean month."""

OLDEST = 3
"""Whole months from which on a model counts as being of that age; what is older is not told."""

Figure = Callable[[Said], float]


def by_round(asked: Sequence[Asked], base: Sequence[Asked], rows: pa.Table, figure: Figure) -> Iterator[dict[str, Any]]:
    """Of each round that tests: rows, how many were learned and up to when, and the figure beside the baseline's.

    Parameters
    ----------
    asked, base
        What the candidate and the baseline say.
    rows
        All rows of the training set.
    figure
        The ranking metric.
    """
    order = order_of(rows)
    others = {one.round.name: one.own for one in base}
    for one in asked:
        if one.own is None:
            continue
        learned = order[one.round.learned].tolist()
        yield {
            "tested": one.round.name,
            "rows": len(one.own.truth),
            "learned": len(learned),
            "up to": max(learned, default=""),
            "figure": _round(figure(one.own)),
            "baseline": _of(others.get(one.round.name), figure),
        }


def by_age(asked: Sequence[Asked], base: Sequence[Asked], rows: pa.Table, figure: Figure) -> Iterator[dict[str, Any]]:
    """The figure by how many whole months before a row its model had learned last, beside the baseline's.

    Parameters
    ----------
    asked, base, rows, figure
        As for `by_round`.
    """
    if not any(one.round.known for one in asked):
        return
    parts, others = _aged(asked, rows), _aged(base, rows)
    for age in sorted(parts):
        if age <= OLDEST:
            together = joined(parts[age])
            beside = joined(others[age]) if age in others else None
            figures = {"figure": _round(figure(together)), "baseline": _of(beside, figure)}
            yield {"months old": age, "rows": len(together.truth), **figures}


def _aged(asked: Sequence[Asked], rows: pa.Table) -> dict[int, list[Said]]:
    """What each model says of the rows after those that it learned, by their distance in whole months."""
    dates = np.array([date[:10] if date else "NaT" for date in order_of(rows)], "datetime64[D]")
    parts: dict[int, list[Said]] = {}
    known = [one.round.known for one in asked]
    for one in asked:
        pairs = [(known[number], said) for number, said in enumerate(one.said)]
        pairs.append((one.round.known, one.fresh))
        for moment, said in pairs:
            if said is None:
                continue
            days = (dates[said.rows] - np.datetime64(moment, "D")).astype(float)
            ages = np.floor(days / MONTH).astype(int)
            for age in np.unique(ages):
                parts.setdefault(int(age), []).append(said.some(np.flatnonzero(ages == age)))
    return parts


def of_unseen_accounts(asked: Sequence[Asked], rows: pa.Table, figure: Figure) -> Mapping[str, float | None]:
    """How many rows are of accounts that the model of their round has not learned, and the figure of these.

    Parameters
    ----------
    asked, rows, figure
        As for `by_round`.
    """
    accounts = rows["_account"].fill_null("").to_numpy().astype(str)
    parts = []
    for one in asked:
        if one.own is not None:
            new = ~np.isin(accounts[one.own.rows], np.unique(accounts[one.round.learned]))
            parts.append(one.own.some(np.flatnonzero(new)))
    together = joined(parts)
    number = len(together.truth)
    return {"rows": number, "figure": _round(figure(together))} if number else {"rows": 0}


def _of(said: Said | None, figure: Figure) -> float | None:
    return None if said is None else _round(figure(said))


def _round(value: float) -> float | None:
    return rounded(value) if np.isfinite(value) else None
