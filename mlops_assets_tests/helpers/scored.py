"""Estimators of parts that a scorer knows, fitted, and rows of every kind for them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlops_assets.encoders import OneHotEncoder, TargetEncoder


def matrix(rows: int, *, missing: bool = True) -> np.ndarray:
    """Codes of categories in the first three columns; numbers of every size, 0 of both signs, and none."""
    generator = np.random.default_rng(7)
    numbers = generator.normal(size=(rows, 8)) * 10.0 ** generator.integers(-3, 6, size=(rows, 8))
    numbers[:, :3] = generator.integers(-1, 40, size=(rows, 3))
    kind = generator.random((rows, 8))
    numbers[kind < 0.01] = -0.0
    if missing:
        numbers[:, 3:][kind[:, 3:] > 0.97] = np.nan
        numbers[:, 3:][kind[:, 3:] < 0.02] = 3.4e38
    return np.asfortranarray(numbers)


def forest(**parameters: Any) -> ExtraTreesClassifier:
    return ExtraTreesClassifier(n_estimators=5, max_depth=6, random_state=0, **parameters)


def linear() -> LogisticRegression:
    return LogisticRegression(max_iter=5)


def encoded(final: Any, *more: Any) -> Any:
    parts = [("one", make_pipeline(*more), [0, 1, 2]), ("not", "drop", [7]), ("as_they_are", "passthrough", [])]
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return make_pipeline(ColumnTransformer([*parts, ("numbers", numbers, [5, 3, 4])], remainder="drop"), final)


KNOWN = {
    "forest": forest,
    "random forest": lambda: RandomForestClassifier(n_estimators=5, max_depth=6, random_state=0),
    "means": lambda: encoded(forest(), TargetEncoder(cv=3, random_state=0, shuffle=True)),
    "one-hot": lambda: encoded(linear(), OneHotEncoder(min_frequency=2)),
    "linear": lambda: make_pipeline(SimpleImputer(), StandardScaler(), linear()),
    "vote": lambda: VotingClassifier(
        [("forest", forest()), ("linear", encoded(linear(), OneHotEncoder()))], voting="soft", weights=[2, 1]
    ),
}


def fitted(make: Any, classes: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # five steps do not suffice
        return make().fit(matrix(400, missing=False), np.arange(400) % classes)
