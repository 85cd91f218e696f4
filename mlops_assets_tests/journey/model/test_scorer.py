"""Probabilities without scikit-learn's checks: the same bits, in whatever company a row is asked for."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from mlops_assets.encoders import OneHotEncoder, TargetEncoder
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.scorer.compiled import compiled
from mlops_assets.journey.model.scorer.links import sums_of_rows
from mlops_assets_tests.helpers.scored import KNOWN, fitted, forest, linear, matrix

ROWS = 3_000


OTHERS = {
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=3, random_state=0),
    "bayes": lambda: make_pipeline(SimpleImputer(), GaussianNB()),
    "scaled": lambda: make_pipeline(SimpleImputer(), MinMaxScaler(), linear()),
}


@pytest.mark.parametrize("classes", [2, 3, 11])
@pytest.mark.parametrize("name", KNOWN)
def test_known_parts_give_the_bits_of_scikit_learn(name: str, classes: int) -> None:
    estimator = fitted(KNOWN[name], classes)
    scorer = compiled(estimator, "predict_proba")
    assert scorer is not None
    for rows in (1, 2, 50, ROWS):
        asked = matrix(rows)
        assert scorer.ask(asked).tobytes() == estimator.predict_proba(asked).tobytes()


@pytest.mark.parametrize("name", OTHERS)
def test_an_estimator_with_a_part_that_is_not_known_is_asked_itself(name: str) -> None:
    estimator = fitted(OTHERS[name], 3)
    assert compiled(estimator, "predict_proba") is None
    # in any order they may be added up, and the last bits hang on it
    threads = fitted(lambda: forest(n_jobs=2), 3)
    assert compiled(threads, "predict_proba") is None


@pytest.mark.parametrize("classes", [2, 3, 11])
@pytest.mark.parametrize("name", [*KNOWN, *OTHERS])
def test_a_row_has_the_same_bits_alone_and_in_any_company(name: str, classes: int) -> None:
    model = Model(fitted((KNOWN | OTHERS)[name], classes), {}, tuple(map(str, range(classes))), "")
    asked = matrix(ROWS)
    together = model.uncalibrated(asked)
    for rows in (1, 2, 3, 5, 50, 77, 1_000):
        for begin in range(0, min(ROWS, 20 * rows), rows):
            some = slice(begin, begin + rows)
            assert model.uncalibrated(np.asfortranarray(asked[some])).tobytes() == together[some].tobytes()


def test_what_scikit_learn_refuses_it_refuses_in_its_own_words() -> None:
    asked = matrix(50)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        Model(fitted(linear, 3), {}, ("a", "b", "c"), "").uncalibrated(asked)
    asked[np.isnan(asked)] = np.inf
    for make in (forest, KNOWN["linear"]):
        with pytest.raises(ValueError, match="infinity"):
            Model(fitted(make, 3), {}, ("a", "b", "c"), "").uncalibrated(asked)


NUMBERS = st.lists(st.sampled_from([SimpleImputer(strategy="median"), StandardScaler(), SimpleImputer()]), max_size=2)
CODES = st.sampled_from([OneHotEncoder(), OneHotEncoder(min_frequency=3), TargetEncoder(cv=2, random_state=0)])
LAST = st.sampled_from(
    [
        LogisticRegression(max_iter=3),
        ExtraTreesClassifier(n_estimators=2, max_depth=12, random_state=0),
        RandomForestClassifier(n_estimators=2, random_state=0),
    ]
)
VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.0, -1.0, 39.0, 40.0, 0.5, 1e-300, 1e30, 3.4e38, -3.4e38, float("nan")])


@settings(max_examples=8, deadline=None)
@given(CODES, NUMBERS, NUMBERS, LAST, st.integers(2, 9), st.lists(VALUES, min_size=8, max_size=160))
def test_any_pipeline_of_known_parts_gives_the_bits_of_scikit_learn_or_is_asked_itself(
    codes: Any, numbers: list[Any], then: list[Any], last: Any, classes: int, values: list[float]
) -> None:
    columns = [("codes", clone(codes), [1, 0]), ("numbers", make_pipeline(*map(clone, numbers), "passthrough"), [3, 6])]
    try:
        estimator = fitted(lambda: make_pipeline(ColumnTransformer(columns), *map(clone, then), clone(last)), classes)
    except ValueError:  # not every step takes sparse rows
        reject()
    model = Model(estimator, {}, tuple(map(str, range(classes))), "")
    rows = np.asfortranarray(np.array(values[: len(values) // 8 * 8]).reshape(-1, 8))
    try:
        expected = estimator.predict_proba(rows)
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error)[:40])):
            model.uncalibrated(rows)
        return
    if len(rows) % 8 == 0:  # what is left over of eight, a product of matrices adds up in another order
        assert model.uncalibrated(rows).tobytes() == expected.tobytes()
    assert np.allclose(model.uncalibrated(rows), expected)


@pytest.mark.parametrize("width", [1, 2, 7, 8, 9, 10, 16, 22, 41, 128, 129])
def test_rows_that_lie_as_columns_are_added_up_as_numpy_adds_rows(width: int) -> None:
    generator = np.random.default_rng(width)
    rows = generator.random((1_000, width)) * 10.0 ** generator.integers(-9, 3, size=(1_000, width))
    assert sums_of_rows(np.ascontiguousarray(rows.T)).tobytes() == rows.sum(axis=1).tobytes()
