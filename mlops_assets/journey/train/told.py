"""In: how a candidate was chosen and tested. Out: what a card tells of it, as plain values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.train.choice import Choice
from mlops_assets.journey.train.origins import CHOOSES, TESTS, Round, order_of, rounds
from mlops_assets.journey.train.scores import Score
from mlops_assets.journey.train.training_set import TrainingSet
from mlops_assets.use_case import Training, UseCase


def judging(use_case: UseCase, data: TrainingSet, score: Score, choice: Choice | None) -> dict[str, Any]:
    """What is told of how a candidate was judged; see `About.judging`.

    Parameters
    ----------
    use_case
        The use case.
    data
        Its rows, and which of them choose and test.
    score
        Of the candidate.
    choice
        How it came to be chosen; None of a model from elsewhere.
    """
    training, tested = use_case.training, score.tested
    if tested is None:  # an earlier release scored it
        return {}
    told: dict[str, Any] = {
        "metric": training.metric,
        "how": _how(training, data),
        "parts": list(_parts(training, data, elsewhere=choice is None)),
        "intervals": {name: [one.low, one.high] for name, one in tested.intervals.items() if math.isfinite(one.low)},
        "rounds": [dict(one) for one in tested.rounds],
        "ages": [dict(one) for one in tested.ages],
        "seeds": list(tested.seeds),
        "unseen": dict(tested.unseen),
    }
    if choice is not None:
        told |= {
            "validation": dict(score.validation),
            "choice": choice.why,
            "tied": [name for name in choice.tied if name != score.name] if score.name in choice.tied else [],
            "half_life": training.halves_in,
            "unweighted": list(score.unweighted),
        }
    return told


def _how(training: Training, data: TrainingSet) -> str:
    """By which protocol rows choose and test, in a sentence."""
    if data.origins:
        tests = sum(one.part == TESTS for one in data.origins)
        return (
            f"A replay: each of the last {tests} months tests a model of what was known as it began, labels being "
            f"known after {training.label_delay} days; the months before them choose in the same way."
        )
    if training.split.by == "account":
        return "Folds of whole accounts choose; the accounts that test are in none of them."
    if training.split.by == "random":
        return "Folds of rows choose; the rows that test are in none of them."
    if training.split.starts is not None:
        return f"Folds one after the other choose; the rows from {training.split.starts} on test (`split.from`)."
    return (
        "Folds one after the other choose, the last rows test, and labels are known at once. There are too few months "
        f"for a replay: {training.replay} test (`training.replay`), one or more choose, and of what is older by "
        f"{training.label_delay} days (`training.label_delay`) there are as many rows as each month has."
    )


def _parts(training: Training, data: TrainingSet, *, elsewhere: bool) -> Iterator[dict[str, Any]]:
    """Which rows were learned, chose and tested."""
    rows = data.load()
    found, order = rounds(data.origins, rows, training), order_of(rows)
    choosing = [one for one in found if one.part == CHOOSES]
    testing = [one for one in found if one.part == TESTS]
    if not elsewhere:
        learned = np.unique(np.concatenate([one.learned for one in choosing or testing]))
        yield {"part": "learned to choose", **_some(rows, order, learned)}
        yield {"part": "chose", **_asked(rows, order, choosing)}
        learned = np.unique(np.concatenate([one.learned for one in testing]))
        yield {"part": "learned to test", **_some(rows, order, learned)}
    yield {"part": "tested", **_asked(rows, order, testing)}


def _asked(rows: pa.Table, order: np.ndarray, asked: Sequence[Round]) -> dict[str, Any]:
    places = np.concatenate([one.tested for one in asked]) if asked else np.zeros(0, np.int64)
    return {**_some(rows, order, places), "by": ", ".join(one.name for one in asked)}


def _some(rows: pa.Table, order: np.ndarray, places: np.ndarray) -> dict[str, Any]:
    accounts = pc.count_distinct(rows["_account"].take(pa.array(places)), mode="all").as_py()
    dated = [date for date in order[places].tolist() if date]
    return {"rows": len(places), "accounts": accounts, "from": min(dated, default=""), "to": max(dated, default="")}
