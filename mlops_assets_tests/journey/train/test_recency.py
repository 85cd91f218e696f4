"""Old rows count less: by half for each half-life, in every part that can be told, and the others are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.pipeline import Pipeline

from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.candidates import class_numbers, fit, unfitted
from mlops_assets.journey.train.recency import fit_weighted, recency, unweighted
from mlops_assets.journey.train.training_set import TrainingSet
from mlops_assets.journey.train.weighted import WeightedPipeline
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import Candidate, Training, UseCase
from mlops_assets_tests.helpers.toy import CANDIDATES, IMPUTER, built, purchases, toy


def test_a_row_counts_half_as_much_for_each_half_life_and_one_in_the_mean() -> None:
    found = recency(np.array(["2026-01-01", "2026-01-31", "2026-03-02 10:30:00"]), 30)
    assert found is not None
    assert found.mean() == pytest.approx(1)
    assert (found / found[-1]).tolist() == pytest.approx([0.25, 0.5, 1])


def test_a_row_without_a_date_counts_as_the_oldest() -> None:
    found = recency(np.array(["", "2026-01-01", "2026-01-31"]), 30)
    assert found is not None
    assert found[0] == found[1] == found[2] / 2


@pytest.mark.parametrize(("order", "half_life"), [(["2026-01-01"], None), (["", ""], 30)])
def test_without_dates_or_a_half_life_all_rows_count_the_same(order: list[str], half_life: float | None) -> None:
    assert recency(np.array(order), half_life) is None


@pytest.mark.parametrize(
    ("said", "split", "days"),
    [
        (None, "time", 90),
        (None, "account", None),
        (30, "time", 30),
        (30, "random", 30),
        ("off", "time", None),
        (False, "time", None),  # what YAML makes of `off`
    ],
)
def test_the_half_life_is_90_days_with_a_split_by_time_unless_it_is_said(said: Any, split: str, days: Any) -> None:
    assert toy(half_life=said, split={"by": split}).training.halves_in == days


@pytest.mark.parametrize("wrong", [0, -1, "never", True, 1e9])
def test_a_half_life_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError, match="half_life"):
        toy(half_life=wrong)


# -- who learns by it -------------------------------------------------------------------------------------------------

LINEAR = CANDIDATES["linear"]
TREE = {"use": "sklearn.tree.DecisionTreeClassifier", "parameters": {"max_depth": 3, "random_state": 0}}
NEIGHBOURS = {"use": "sklearn.neighbors.KNeighborsClassifier", "then": [IMPUTER]}
BAYES = {"use": "sklearn.naive_bayes.GaussianNB"}
ENCODED = {
    **TREE,
    "prepare": [{"use": "mlops_assets.encoders.TargetEncoder", "columns": ["city"], "parameters": {"cv": 3}}],
    "then": [IMPUTER],
}
VOTE = {"use": "sklearn.ensemble.VotingClassifier", "parameters": {"voting": "soft"}}
PARTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "linear": (LINEAR, ()),
    "neighbours": (NEIGHBOURS, ("KNeighborsClassifier",)),
    "encoded": (ENCODED, ("TargetEncoder",)),
    "vote": ({**VOTE, "members": ["linear", "encoded"]}, ("encoded: TargetEncoder",)),
    "mixed": ({**VOTE, "members": ["linear", "neighbours"]}, ("neighbours: KNeighborsClassifier",)),
    "stacked": (
        {"use": "sklearn.ensemble.StackingClassifier", "members": ["linear", "encoded"]},
        ("encoded: TargetEncoder",),
    ),
    "calibrated": (
        {"use": "sklearn.calibration.CalibratedClassifierCV", "parameters": {"estimator": BAYES}, "then": [IMPUTER]},
        (),
    ),
    "bagged": (
        {
            "use": "sklearn.ensemble.BaggingClassifier",
            "parameters": {"estimator": {"use": NEIGHBOURS["use"]}, "n_estimators": 2, "random_state": 0},
            "then": [IMPUTER],
        },
        ("BaggingClassifier of KNeighborsClassifier",),
    ),
}


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    return toy(candidates={"majority": CANDIDATES["majority"], **{name: part for name, (part, _) in PARTS.items()}})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, use_case: UseCase) -> TrainingSet:
    """Rows whose two kinds change places in the last month."""
    rows = [
        {**row, "amount": float(one % 7), "kind": ("FOOD", "FUEL")[(one % 7 > 3) != (one >= 240)]}
        for one, row in enumerate(purchases(300))
    ]
    return built(Lake(tmp_path_factory.mktemp("lake"), "toy"), use_case, rows)


def answers(model: Model, data: TrainingSet) -> np.ndarray:
    return model.probabilities(model.matrix(data.load()))


@pytest.mark.parametrize("name", PARTS)
def test_who_cannot_be_told_is_named_and_who_can_learns_by_it(name: str, use_case: UseCase, data: TrainingSet) -> None:
    _, untold = PARTS[name]
    candidate = use_case.training.candidates[name]
    assert unweighted(unfitted(use_case, candidate, data)) == untold
    told = fit(use_case, candidate, data, data.load())
    plain = fit(with_half_life(use_case, "off"), candidate, data, data.load())
    learns = name not in ("neighbours", "bagged")
    assert bool((answers(told, data) != answers(plain, data)).any()) is learns


@pytest.mark.parametrize("name", ["linear", "vote", "stacked"])
def test_a_short_half_life_learns_what_holds_now(name: str, use_case: UseCase, data: TrainingSet) -> None:
    short = fit(with_half_life(use_case, 4.0), use_case.training.candidates[name], data, data.load())
    late = np.arange(300) >= 250
    order = np.argsort(data.load()["_order"].to_numpy())
    right = answers(short, data).argmax(axis=1) == class_numbers(data.load(), data.classes)
    assert right[order][late].mean() > 0.8


@pytest.mark.parametrize("name", ["vote", "stacked"])
def test_what_is_stored_keeps_no_trace_of_the_weights(name: str, use_case: UseCase, data: TrainingSet) -> None:
    model = fit(use_case, use_case.training.candidates[name], data, data.load())
    members = model.estimator[-1].estimators_
    assert {type(member) for member in members} == {Pipeline}
    assert not any(type(member) is WeightedPipeline for _, member in model.estimator[-1].estimators)


def test_a_class_of_ones_own_that_takes_no_weights_is_fitted_without_and_named() -> None:
    class Own:
        def fit(self, matrix: np.ndarray, truth: np.ndarray) -> Own:  # noqa: ARG002
            self.fitted = True
            return self

        def predict_proba(self, matrix: np.ndarray) -> np.ndarray:
            return np.full((len(matrix), 2), 0.5)

    pipeline = Pipeline([("model", Own())])
    assert unweighted(pipeline) == ("Own",)
    fit_weighted(pipeline, np.zeros((4, 1)), np.array([0, 1, 0, 1]), np.ones(4))
    assert pipeline[-1].fitted


def test_corrections_weigh_beside_it(data: TrainingSet) -> None:
    """A corrected row comes several times, each time as old as it is."""
    prior = Candidate(use="sklearn.dummy.DummyClassifier", parameters={"strategy": "prior"})
    rows = data.load()
    weights = rows["_weight"].to_numpy().copy()
    weights[-1] = 10
    heavy = rows.set_column(rows.column_names.index("_weight"), "_weight", [weights])
    model = fit(toy(), prior, data, heavy)
    counts = recency(np.repeat(rows["_order"].to_numpy().astype(str), weights), 90)
    assert counts is not None
    truth = np.repeat(class_numbers(rows, data.classes), weights)
    assert answers(model, data)[0][1] == pytest.approx(counts[truth == 1].sum() / counts.sum())


def with_half_life(use_case: UseCase, days: float | str) -> UseCase:
    training: Training = use_case.training.model_copy(update={"half_life": days})
    return use_case.model_copy(update={"training": training})
