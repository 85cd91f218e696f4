"""Models that say numbers: stored, checked, tried and asked as classifiers are, and forged ones are refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from sklearn import linear_model
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    BaggingRegressor,
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mlops_assets.encoders import NumbersOnFrame, TargetEncoder, as_frame
from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.calibrator import Interval
from mlops_assets.journey.model.files import MEANING_FILE, hash_folder
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.scorer.compiled import compiled
from mlops_assets.journey.model.structure.check import check_structure
from mlops_assets.journey.model.structure.parts import Malformed
from mlops_assets.journey.model.trial import answer_smoke

RANDOM = np.random.default_rng(5)
MATRIX = np.column_stack([RANDOM.integers(-1, 3, 80), RANDOM.normal(50, 20, (80, 2))]).astype(float)
TRUTH = MATRIX[:, 1] * 3 + MATRIX[:, 0] + RANDOM.normal(0, 1, 80)
COLUMNS: dict[str, Any] = {"city": ("A", "B", "C"), "area": None, "rooms": None}
INTERVAL = Interval((150.0,), (-5.0, -20.0), (6.0, 30.0), 0.9)


def trees(kind: Any, **more: Any) -> Any:
    return kind(n_estimators=3, max_depth=3, random_state=0, **more)


def histograms_of(**more: Any) -> Any:
    return HistGradientBoostingRegressor(max_iter=3, random_state=0, **more)


def from_elsewhere() -> NumbersOnFrame:
    inner = linear_model.Ridge().fit(as_frame(MATRIX, [*COLUMNS], ()), TRUTH)
    return NumbersOnFrame(inner, tuple(COLUMNS), ())


REGRESSORS: dict[str, Any] = {
    "median": lambda: DummyRegressor(strategy="median"),
    "least squares": linear_model.LinearRegression,
    "ridge": linear_model.RidgeCV,
    "lasso": lambda: linear_model.Lasso(alpha=0.1),
    "elastic net": linear_model.ElasticNetCV,
    "huber": linear_model.HuberRegressor,
    "quantile": lambda: linear_model.QuantileRegressor(alpha=0.0),
    "gradient descent": lambda: make_pipeline(StandardScaler(), linear_model.SGDRegressor(random_state=0)),
    "poisson": lambda: make_pipeline(StandardScaler(), linear_model.PoissonRegressor()),
    "tree": lambda: DecisionTreeRegressor(max_depth=3, random_state=0),
    "forest": lambda: trees(RandomForestRegressor),
    "extra trees": lambda: trees(ExtraTreesRegressor),
    "boosting": lambda: trees(GradientBoostingRegressor, loss="huber"),
    "histograms": histograms_of,
    "histograms of quantiles": lambda: histograms_of(loss="quantile", quantile=0.5),
    "bagging": lambda: BaggingRegressor(DecisionTreeRegressor(max_depth=2), n_estimators=2, random_state=0),
    "means": lambda: make_pipeline(TargetEncoder(cv=2, shuffle=True, random_state=0), linear_model.Ridge()),
    "vote": lambda: VotingRegressor([("a", linear_model.Ridge()), ("b", trees(ExtraTreesRegressor))], weights=[2, 1]),
    "stack": lambda: StackingRegressor([("a", linear_model.Ridge()), ("b", DummyRegressor())], cv=2),
    "scaled target": lambda: TransformedTargetRegressor(linear_model.Ridge(), transformer=StandardScaler()),
    "from elsewhere": from_elsewhere,
}


def fitted(make: Any, truth: np.ndarray = TRUTH) -> Any:
    one = make()
    if not isinstance(one, NumbersOnFrame):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a few steps do not suffice
            one.fit(MATRIX, np.abs(truth))
    return one


def model_of(estimator: Any, **more: Any) -> Model:
    return Model(estimator, COLUMNS, (), "-- sql", **more)


@pytest.mark.parametrize("make", REGRESSORS.values(), ids=REGRESSORS)
def test_a_regressor_is_the_same_bytes_comes_back_and_passes_its_trial(make: Any, tmp_path: Path) -> None:
    model = model_of(fitted(make), calibrator=INTERVAL)
    sha256 = model.save(tmp_path)
    again = Model.load(tmp_path, sha256)
    assert np.array_equal(again.probabilities(MATRIX), model.probabilities(MATRIX))
    assert np.array_equal(again.decide(again.probabilities(MATRIX)), np.asarray(model.estimator.predict(MATRIX)))
    assert model_of(fitted(make), calibrator=INTERVAL).save(tmp_path / "again") == sha256
    assert answer_smoke(str(tmp_path), sha256, [])["answered"] > 2


@pytest.mark.parametrize("name", ["least squares", "forest", "extra trees", "vote", "means"])
def test_the_short_way_gives_the_bits_of_scikit_learn(name: str) -> None:
    estimator = fitted(REGRESSORS[name])
    scorer = compiled(estimator, "predict")
    assert scorer is not None
    for rows in (1, 7, 80):
        assert np.array_equal(scorer.ask(MATRIX[:rows]), estimator.predict(MATRIX[:rows]))


@given(some.lists(some.floats(-1e6, 1e6), min_size=1, max_size=50), some.integers(0, 49))
def test_a_number_lies_in_its_interval_which_is_the_same_in_any_company(numbers: list[float], alone: int) -> None:
    said = np.array(numbers)[:, None]
    whole = INTERVAL.apply(said)
    assert (whole[:, 1] <= whole[:, 0]).all()
    assert (whole[:, 0] <= whole[:, 2]).all()
    place = alone % len(numbers)
    assert np.array_equal(INTERVAL.apply(said[place : place + 1])[0], whole[place])


def test_without_an_interval_its_ends_are_not_known() -> None:
    model = model_of(fitted(REGRESSORS["ridge"]))
    said = model.probabilities(MATRIX)
    ends = model.task.sure(said, model.decide(said))
    assert np.isnan(ends["low"]).all()
    assert np.isnan(ends["high"]).all()


class Endless(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Says infinity of large numbers."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Endless:  # noqa: ARG002, N803
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        with np.errstate(over="ignore"):
            return np.exp(X[:, 1])


def test_a_number_without_end_is_no_answer_for_that_row_alone() -> None:
    model = model_of(Endless())
    assert model.probabilities(np.ones((2, 3))).shape == (2, 1)
    with pytest.raises(ValueError, match="no finite number"):
        model.probabilities(np.full((1, 3), 1e6))


def forge(folder: Path, **meaning: Any) -> str:
    path = folder / MEANING_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **meaning}))
    return hash_folder(folder)


FORGED = {
    "classes of a regressor": ({"classes": ["a", "b"]}, "no classifier that gives probabilities"),
    "a threshold": ({"threshold": 0.5}, "it has a threshold, and no classes"),
    "a calibration of classes": (
        {"calibrator": {"kind": "temperature", "temperature": 2.0}},
        "for classes, and it has none",
    ),
    "an end on the wrong side": (
        {"calibrator": {"kind": "interval", "edges": [], "below": [1.0], "above": [2.0], "coverage": 0.9}},
        "less than or equal to 0",
    ),
    "groups without ends": (
        {"calibrator": {"kind": "interval", "edges": [1.0], "below": [-1.0], "above": [2.0], "coverage": 0.9}},
        "no ends for each group",
    ),
}


@pytest.mark.parametrize(("meaning", "said"), FORGED.values(), ids=FORGED)
def test_a_forged_meaning_is_refused(meaning: dict[str, Any], said: str, tmp_path: Path) -> None:
    model_of(fitted(REGRESSORS["ridge"])).save(tmp_path)
    with pytest.raises(ModelRefused, match=said):
        Model.load(tmp_path, forge(tmp_path, **meaning))


def test_a_classifier_says_no_numbers_and_no_class_has_an_interval(tmp_path: Path) -> None:
    classifier = DecisionTreeClassifier(max_depth=2).fit(MATRIX, MATRIX[:, 1] > 50)
    sha256 = model_of(classifier).save(tmp_path / "numbers")
    with pytest.raises(ModelRefused, match="it says classes, its model has numbers"):
        Model.load(tmp_path / "numbers", sha256)
    Model(classifier, COLUMNS, ("no", "yes"), "").save(tmp_path / "classes")
    interval = {"kind": "interval", "edges": [], "below": [-1.0], "above": [2.0], "coverage": 0.9}
    with pytest.raises(ModelRefused, match="the other way round"):
        Model.load(tmp_path / "classes", forge(tmp_path / "classes", calibrator=interval))


def set_to(path: str, value: Any) -> Any:
    def damage(estimator: Any) -> None:
        *way, last = path.split(".")
        for name in way:
            estimator = estimator[int(name)] if name.isdigit() else getattr(estimator, name)
        setattr(estimator, last, value)

    return damage


DAMAGED = {
    "coefficients of other columns": ("ridge", set_to("coef_", np.ones(7)), "coef_ has the shape"),
    "a coefficient that is none": ("ridge", set_to("coef_", np.array([1.0, np.nan, 1.0])), "no finite number"),
    "a tree of other columns": ("forest", set_to("estimators_.0.n_features_in_", 9), "takes 9 columns"),
    "a tree that is none": ("forest", set_to("estimators_", [DummyRegressor()]), "is a sklearn.dummy"),
    "several outputs": ("forest", set_to("n_outputs_", 2), "n_outputs_ is 2"),
    "stages of several trees": ("histograms", set_to("n_trees_per_iteration_", 2), "n_trees_per_iteration_"),
    "a loss of classes": ("histograms", set_to("_loss", object()), "_loss is a object"),
    "a constant of text": ("median", set_to("constant_", np.array([["x"]])), "constant_ is <U1"),
    "a method of classes": ("stack", set_to("stack_method_", ["predict_proba"]), "names what is no method"),
}


@pytest.mark.parametrize(("name", "damage", "said"), DAMAGED.values(), ids=DAMAGED)
def test_a_regressor_that_is_built_otherwise_is_refused(name: str, damage: Any, said: str) -> None:
    estimator = fitted(REGRESSORS[name])
    check_structure(estimator, (), 3)
    damage(estimator)
    with pytest.raises(Malformed, match=said):
        check_structure(estimator, (), 3)
