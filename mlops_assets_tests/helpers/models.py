"""Small models, and versions of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.tree import DecisionTreeClassifier

from mlops_assets.journey.model.about import About, Summary
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.model.version import Version
from mlops_assets.use_case import Candidate

TREE = Candidate(use="sklearn.tree.DecisionTreeClassifier", parameters={"max_depth": 8, "random_state": 0})
COLUMNS: dict[str, tuple[str, ...] | None] = {"city": ("OSASCO", "SÃO PAULO"), "amount": None}
MATRIX = np.arange(20.0)[:, None]
ABOUT_FILE = Path(__file__).parents[1] / "journey" / "model" / "data" / "about.json"
"""As the release before `About` wrote it for a version of `topics`; its hash would be in the registry."""

ABOUT = replace(
    About.from_json(ABOUT_FILE.read_bytes()),
    candidate="tree",
    metrics={"accuracy": 0.75},
    reason="tree passes",
    rows=20,
)


def as_version(model: Model, folder: Path, number: int = 1) -> Version:
    sha256 = model.save(folder / "serving")
    return Version("transactions", number, folder, sha256, sha256, "", Summary(), proven=True)


def fitted(estimator: Any, classes: tuple[str, ...] = ("FOOD", "FUEL")) -> Model:
    generator = np.random.default_rng(0)
    matrix = np.column_stack([generator.integers(-1, 2, 60), generator.uniform(0, 5, 60)])
    estimator.fit(matrix, (matrix[:, 1] + generator.normal(0, 1, 60) > 2).astype(int))
    return Model(estimator, COLUMNS, classes, "-- SQL: ação", threshold=0.3)


class Custom(TransformerMixin, BaseEstimator):
    """A harmless class, which is still no business of a stored model."""

    def fit(self, matrix: np.ndarray, target: np.ndarray) -> Custom:
        self.shape_ = (*matrix.shape, len(target))
        return self

    def transform(self, matrix: np.ndarray) -> np.ndarray:
        return matrix


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def a_model(boundary: float) -> Model:
    estimator = DecisionTreeClassifier(max_depth=1).fit(MATRIX, (MATRIX[:, 0] > boundary).astype(int))
    return Model(estimator, {"amount": None}, ("no", "yes"), "-- features")


def register(registry: Registry, name: str, folder: Path, boundary: float = 9, judged: float | None = None) -> Version:
    """A registered version that is champion at once."""
    a_model(boundary if judged is None else judged).save(folder / "judged")
    a_model(boundary).save(folder / "serving")
    run = registry.client().create_run(registry.experiment(name)).info.run_id
    version = registry.register(name, run, folder, ABOUT)
    registry.promote(version, "somebody", "a test")
    return version
