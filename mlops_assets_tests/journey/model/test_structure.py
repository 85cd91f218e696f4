"""What scikit-learn writes is loaded and answers the same bits, whatever the family; a type without a rule is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.gaussian_process import GaussianProcessClassifier

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.model import Model
from mlops_assets_tests.helpers.estimators import (
    LABELS,
    MANY,
    MATRIX,
    NUMBERS,
    OF_TEXTS,
    TARGET,
    fitted,
    rows_of,
    to_trust,
)


class Holder(ClassifierMixin, BaseEstimator):
    """Hands on what the classifier that it holds says."""

    def __init__(self, inner: Any = None) -> None:
        self.inner = inner
        self.classes_ = inner.classes_ if inner is not None else None

    def predict_proba(self, matrix: np.ndarray) -> np.ndarray:
        probabilities: np.ndarray = self.inner.predict_proba(matrix)
        return probabilities


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", [*MANY, *OF_TEXTS])
def test_what_scikit_learn_writes_answers_the_same_bits(name: str, classes: int, tmp_path: Path) -> None:
    model = fitted(name, classes)
    sha256 = model.save(tmp_path)
    loaded = Model.load(tmp_path, sha256, to_trust(model.estimator))
    rows = rows_of(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(loaded.probabilities(rows), model.probabilities(rows))


def test_a_type_without_a_rule_is_refused_unless_it_is_named(tmp_path: Path) -> None:
    estimator = GaussianProcessClassifier().fit(MATRIX, TARGET)
    sha256 = Model(estimator, NUMBERS, LABELS, "-- SQL").save(tmp_path)
    # those that skops asks for, and not the classifier itself, which skops trusts
    trusted = to_trust(estimator)
    with pytest.raises(ModelRefused, match=r"GaussianProcessClassifier is not known here.*training\.trusted"):
        Model.load(tmp_path, sha256, trusted)
    path = "sklearn.gaussian_process._gpc.GaussianProcessClassifier"
    loaded = Model.load(tmp_path, sha256, [*trusted, path])
    np.testing.assert_array_equal(loaded.estimator.predict(MATRIX), estimator.predict(MATRIX))


def test_an_estimator_inside_of_a_trusted_type_keeps_its_rule(tmp_path: Path) -> None:
    """Whoever wrote a type answers for its code; the trees that it holds may be forged all the same."""
    model = fitted("tree")
    holder = Holder(model.estimator)
    trusted = [f"{Holder.__module__}.Holder"]
    sha256 = Model(holder, NUMBERS, LABELS, "-- SQL").save(tmp_path / "whole")
    assert Model.load(tmp_path / "whole", sha256, trusted)
    model.estimator.tree_.__getstate__()["nodes"]["left_child"][0] = 2**40
    sha256 = Model(holder, NUMBERS, LABELS, "-- SQL").save(tmp_path / "forged")
    with pytest.raises(ModelRefused, match=r"Holder\.inner: tree_: node 0 of .* has the child 1099511627776"):
        Model.load(tmp_path / "forged", sha256, trusted)
