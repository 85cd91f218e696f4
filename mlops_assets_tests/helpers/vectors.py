"""A toy day whose predictions keep the probabilities of every class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.score.day import ScoredDay, Scorers, score_day
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import Checks, Scoring, UseCase
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets_tests.helpers.days import ignore
from mlops_assets_tests.helpers.toy import DAY, toy

AMOUNTS = "CREATE VIEW model_input AS SELECT file, line, amount FROM rows"
HOSTILE = ("probability", "=cmd|' /C calc'!A0", "a,b;=1+1", 'line\nbreak "x"', "ação", "")
"""Names of classes that somebody's labels may have."""


def keeping(probabilities: Any, **changes: Any) -> UseCase:
    """The toy use case, which keeps these probabilities."""
    scoring = Scoring.model_validate({"probabilities": probabilities})
    return toy().model_copy(update={"scoring": scoring, "checks": Checks(sql_rejects=0.5), **changes})


def says(classes: Sequence[str], seen: int | None = None, sql: str = AMOUNTS) -> Model:
    """A model of these classes, of which training saw the first ones alone; it says something else for most amounts."""
    generator = np.random.default_rng(0)
    amounts = generator.uniform(0, 60, (300, 1))
    estimator = DecisionTreeClassifier(max_depth=4, random_state=0)
    estimator.fit(amounts, generator.integers(0, seen or len(classes), 300))
    return Model(estimator, {"amount": None}, tuple(classes), sql)


def score(use_case: UseCase, lake: Lake, version: Version, challenger: Version | None = None) -> ScoredDay:
    scorers = Scorers(version, challenger=challenger)
    return score_day(use_case, lake, DAY, scorers, LocalEngine(1), ignore, "the folder of the day")
