"""`training.task: regression` is plain to write, and what does not go with a number is told by file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.errors import ConfigError
from mlops_assets.use_case import load_use_case
from mlops_assets_tests.helpers.rents import RENTS, place_rents
from mlops_assets_tests.helpers.visits import VISITS, place_visits

WRONG = {
    "a text as label": (
        "label: rent",
        "label: city",
        "label: string 'city' is no number, which `training.task: regression` learns; there are: area, rent",
    ),
    "a classifier": (
        "use: sklearn.linear_model.Ridge",
        "use: sklearn.linear_model.LogisticRegression",
        "training.candidates.linear.use: sklearn.linear_model.LogisticRegression: it is a classifier",
    ),
    "a classifier as baseline": (
        "{use: sklearn.dummy.DummyRegressor, parameters: {strategy: median}}",
        "{use: sklearn.dummy.DummyClassifier}",
        "training.candidates.median.use: sklearn.dummy.DummyClassifier: it is a classifier",
    ),
    "a metric of classes": ("folds: 2", "metric: accuracy", "training.metric: Input should be 'mae', 'rmse', 'r2'"),
    "a rank by coverage": ("folds: 2", "metric: coverage", "training.metric: every model covers as much as"),
    "a floor in a metric of classes": (
        "{margin: {mae: 100}}",
        "{floors: {roc_auc: 0.6}}",
        "training.gate.floors.roc_auc: Input should be 'mae'",
    ),
    "a threshold": ("folds: 2", "threshold: 0.5", "training.threshold: a number has no second class"),
    "an interval that holds all": (
        "folds: 2",
        "interval: 1.0",
        "training.interval: Input should be less than or equal",
    ),
    "probabilities": (
        "value: area",
        "scoring: {probabilities: all}",
        "scoring.probabilities: a number has no probabilities",
    ),
    "labels that may be new": (
        "{slices: [city]}",
        "{labels: [high]}",
        "feedback.labels: a number is no label that a model must know first",
    ),
}


@pytest.mark.parametrize(("right", "wrong", "said"), WRONG.values(), ids=WRONG)
def test_what_does_not_go_with_a_number_is_told_by_line_and_key(
    right: str, wrong: str, said: str, tmp_path: Path
) -> None:
    text = RENTS.replace(right, wrong)
    assert text != RENTS
    folder = place_rents(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load_use_case(folder)
    line = 1 + next(number for number, one in enumerate(text.splitlines()) if wrong in one)
    assert str(error.value).startswith(f"{folder / 'defs.yaml'}:{line}: {said}")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("use: sklearn.linear_model.LogisticRegression", "use: sklearn.linear_model.Ridge", "it is a regressor"),
        ("folds: 2", "interval: 0.8", "training.interval: a class has no interval"),
        ("folds: 2", "metric: mae", "training.metric: Input should be 'accuracy'"),
        ("folds: 2", "task: numbers", "training.task: Input should be 'classification' or 'regression'"),
    ],
)
def test_what_does_not_go_with_classes_is_told_too(right: str, wrong: str, said: str, tmp_path: Path) -> None:
    place_visits(tmp_path, VISITS.replace(right, wrong, 1))
    with pytest.raises(ConfigError, match=said):
        load_use_case(tmp_path / "visits")


def test_numbers_have_defaults_of_their_own_and_classes_keep_theirs(tmp_path: Path) -> None:
    numbers = load_use_case(place_rents(tmp_path)).training
    assert (numbers.metric, numbers.interval, numbers.right) == ("mae", 0.9, "coverage")
    place_visits(tmp_path)
    classes = load_use_case(tmp_path / "visits").training
    assert (classes.task, classes.metric, classes.interval, classes.right) == (
        "classification",
        "accuracy",
        None,
        "accuracy",
    )
