"""In: the rows of a table by the contract that was written for it. Out: what they tell of the label, by number."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

import pyarrow as pa

from mlops_assets.monitoring.overview import Overview, look
from mlops_assets.use_case import UseCase

NAMED = 5
"""Most classes that are named with their share."""

RARE = 0.05
"""Share of the smaller of two classes below which saying the other one is right nearly always."""

FEW = 20
"""Rows of a class of which hardly one would be held out."""


def tell_of_label(use_case: UseCase, rows: pa.Table) -> list[str]:
    """How the classes are spread, and which columns may have been filled in with the label.

    Parameters
    ----------
    use_case
        The use case as it was written.
    rows
        The rows that its contract takes.
    """
    if not len(rows):
        return []
    overview = look(use_case, rows, dt.datetime.now(dt.UTC).date().isoformat(), use_case.label)
    balance = [] if use_case.training.says_numbers else [*_balance(use_case.label, overview.classes)]
    return [*balance, *_leaks(overview)]


def _leaks(overview: Overview) -> Iterator[str]:
    for suspicion in overview.suspicions:
        if suspicion.kind != "identifier":  # ids are left out of features.sql, and said there
            yield f"{suspicion.sentence} If not known before, take it out of features.sql"


def _balance(label: str, classes: Mapping[str, int]) -> Iterator[str]:
    rows = sum(classes.values())
    if not rows:
        return
    shares = ", ".join(f"{name!r} {count / rows:.1%}" for name, count in [*classes.items()][:NAMED])
    more = f" and {len(classes) - NAMED} more" if len(classes) > NAMED else ""
    yield f"the classes of {label} in {rows:,} rows: {shares}{more}"
    rarest, least = min(classes.items(), key=lambda item: item[1])
    if len(classes) == 2 and least < RARE * rows:
        yield (
            f"{rarest!r} is rare: accuracy says nothing here, which is why roc_auc ranks; choose the probability from "
            "which it is said (training.threshold) by what a missed one costs"
        )
    few = [name for name, count in classes.items() if count < FEW]
    if few and len(classes) > 2:
        shown = ", ".join(map(repr, few[:NAMED])) + (" and others" if len(few) > NAMED else "")
        yield f"classes with fewer than {FEW} rows are hardly learned: {shown}; join them, or find more rows"
