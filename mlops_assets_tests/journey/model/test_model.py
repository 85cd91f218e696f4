"""A model on disk: the same predictions after a round trip, and refused when anything about it is not as registered."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from mlops_assets.errors import ConfigError, ModelRefused
from mlops_assets.journey.model.files import ESTIMATOR_FILE, MEANING_FILE, SQL_FILE, hash_folder
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.pipeline import build_pipeline
from mlops_assets.use_case import Candidate
from mlops_assets_tests.helpers.models import COLUMNS, Custom, Trap, fitted

LINEAR = Candidate(use="sklearn.linear_model.LogisticRegression")
BATCH = pa.table({"city": ["OSASCO", "SÃO PAULO", "NEW", None], "amount": [1.0, 2.0, 3.0, 4.0]})


@pytest.fixture(scope="module")
def model() -> Model:
    return fitted(build_pipeline(LINEAR, COLUMNS))


# -- on disk ----------------------------------------------------------------------------------------------------------


def test_a_loaded_model_means_and_says_the_same(model: Model, tmp_path: Path) -> None:
    loaded = Model.load(tmp_path, model.save(tmp_path))
    meaning = (loaded.columns, loaded.classes, loaded.sql, loaded.threshold)
    assert meaning == (model.columns, model.classes, model.sql, model.threshold)
    np.testing.assert_array_equal(loaded.matrix(BATCH), model.matrix(BATCH))
    matrix = model.matrix(BATCH)
    np.testing.assert_array_equal(loaded.probabilities(matrix), model.probabilities(matrix))


@pytest.mark.parametrize(
    "use",
    [
        "sklearn.dummy.DummyClassifier",
        "sklearn.linear_model.LogisticRegression",
        "sklearn.tree.DecisionTreeClassifier",
        "sklearn.ensemble.ExtraTreesClassifier",
        "sklearn.ensemble.HistGradientBoostingClassifier",
    ],
)
def test_the_usual_classifiers_need_no_further_trust(use: str, tmp_path: Path) -> None:
    model = fitted(build_pipeline(Candidate(use=use), COLUMNS))
    loaded = Model.load(tmp_path, model.save(tmp_path))
    matrix = model.matrix(BATCH)
    np.testing.assert_array_equal(loaded.probabilities(matrix), model.probabilities(matrix))


@pytest.mark.parametrize("name", [ESTIMATOR_FILE, MEANING_FILE, SQL_FILE])
def test_a_model_with_one_changed_byte_is_refused(model: Model, tmp_path: Path, name: str) -> None:
    sha256 = model.save(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelRefused, match="not the one that was registered"):
        Model.load(tmp_path, sha256)


@pytest.mark.parametrize("name", [ESTIMATOR_FILE, MEANING_FILE, SQL_FILE])
def test_a_model_without_one_of_its_files_is_refused(model: Model, tmp_path: Path, name: str) -> None:
    sha256 = model.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ModelRefused, match=f"{name}: cannot be read"):
        Model.load(tmp_path, sha256)


def test_a_model_is_refused_under_the_hash_of_another_one(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path / "one")
    other = fitted(LogisticRegression(C=0.01)).save(tmp_path / "other")
    with pytest.raises(ModelRefused, match="another SHA-256"):
        Model.load(tmp_path / "one", other)


def test_content_moved_from_one_file_to_another_changes_the_hash(model: Model, tmp_path: Path) -> None:
    before = model.save(tmp_path)
    one, other = ((tmp_path / name).read_bytes() for name in (MEANING_FILE, SQL_FILE))
    (tmp_path / MEANING_FILE).write_bytes(one[:-1])
    (tmp_path / SQL_FILE).write_bytes(one[-1:] + other)
    assert hash_folder(tmp_path) != before


# -- the allow-list: what is inside must be trusted even when the hash is right ---------------------------------------


def double(matrix: np.ndarray) -> np.ndarray:
    """A harmless function, which is still no business of a stored model."""
    return matrix * 2


@pytest.fixture
def stored(model: Model, tmp_path: Path) -> Callable[[Any], str]:
    """Put an object in the place of the estimator; the hash of the folder is then right."""

    def store(thing: Any) -> str:
        model.save(tmp_path)
        skops.io.dump(thing, tmp_path / ESTIMATOR_FILE)
        return hash_folder(tmp_path)

    return store


@pytest.mark.parametrize(
    "thing",
    [FunctionTransformer(double), FunctionTransformer(os.system), Custom(), LogisticRegression(C=Custom())],
    ids=["a function of ours", "os.system", "a class", "a class among the arguments"],
)
def test_a_type_outside_the_allow_list_is_refused(stored: Callable[[Any], str], tmp_path: Path, thing: Any) -> None:
    with pytest.raises(ModelRefused, match=r"training\.trusted"):
        Model.load(tmp_path, stored(thing))


def test_a_type_named_in_the_configuration_is_trusted(tmp_path: Path) -> None:
    model = fitted(make_pipeline(Custom(), LogisticRegression()))
    sha256 = model.save(tmp_path)
    trusted = [f"{Custom.__module__}.Custom"]
    matrix = model.matrix(BATCH)
    loaded = Model.load(tmp_path, sha256, trusted)
    np.testing.assert_array_equal(loaded.probabilities(matrix), model.probabilities(matrix))


@pytest.mark.parametrize("name", [ESTIMATOR_FILE, MEANING_FILE])
def test_a_pickle_in_the_place_of_a_file_is_refused_and_not_run(model: Model, tmp_path: Path, name: str) -> None:
    model.save(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(ModelRefused, match=name):
        Model.load(tmp_path, hash_folder(tmp_path))
    assert not (tmp_path / "sprung").exists()


# -- what it says -----------------------------------------------------------------------------------------------------


def test_the_likelier_class_is_said_without_a_threshold() -> None:
    model = Model(None, {}, ("no", "yes"), "")
    assert model.decide(np.array([[0.6, 0.4], [0.4, 0.6]])).tolist() == [0, 1]


def test_with_two_classes_the_threshold_decides() -> None:
    model = Model(None, {}, ("no", "yes"), "", threshold=0.25)
    assert model.decide(np.array([[0.76, 0.24], [0.75, 0.25], [0.1, 0.9]])).tolist() == [0, 1, 1]


def test_with_more_classes_the_threshold_does_not_matter() -> None:
    model = Model(None, {}, ("a", "b", "c"), "", threshold=0.1)
    assert model.decide(np.array([[0.5, 0.3, 0.2]])).tolist() == [0]


def test_a_class_that_the_estimator_never_saw_has_probability_zero() -> None:
    estimator = LogisticRegression().fit([[0.0], [1.0], [0.1], [0.9]], [0, 2, 0, 2])
    found = Model(estimator, {}, ("a", "b", "c"), "").probabilities(np.array([[0.0], [1.0]]))
    assert found[:, 1].tolist() == [0, 0]
    np.testing.assert_array_equal(found[:, [0, 2]], estimator.predict_proba([[0.0], [1.0]]))


def test_unseen_values_are_counted_in_categories_alone_and_empty_ones_do_not_count(model: Model) -> None:
    batch = pa.table({"city": ["OSASCO", "NEW", None], "amount": [-1.0, -1.0, -1.0]})
    assert model.unseen(batch, model.matrix(batch)) == {"city": 1}


# -- building a pipeline ----------------------------------------------------------------------------------------------


def candidate(**changes: Any) -> Candidate:
    return Candidate.model_validate({"use": LINEAR.use, **changes})


def preparing(**changes: Any) -> Candidate:
    step = {"use": "sklearn.preprocessing.OneHotEncoder", "columns": ["city"], **changes}
    return candidate(prepare=[step])


VOTE = "sklearn.ensemble.VotingClassifier"
MISTAKES: dict[str, tuple[Candidate, str]] = {
    "a module that does not exist": (candidate(use="sklearn.no.Such"), "'sklearn.no.Such' cannot be imported"),
    "a class that does not exist": (candidate(use="sklearn.dummy.Such"), "'sklearn.dummy.Such' cannot be imported"),
    "no import path": (candidate(use="Dummy"), "'Dummy' cannot be imported"),
    "a module instead of a class": (candidate(use="sklearn.linear_model"), "sklearn.linear_model: "),
    "an unknown argument": (candidate(parameters={"colour": 1}), "LogisticRegression: .*'colour'"),
    "an unknown argument of an argument": (
        candidate(parameters={"C": {"use": "sklearn.model_selection.StratifiedKFold", "parameters": {"x": 1}}}),
        "StratifiedKFold: .*'x'",
    ),
    "a preparation that does not exist": (preparing(use="sklearn.preprocessing.Such"), "cannot be imported"),
    "an unknown column": (preparing(columns=["city", "town"]), "makes no column 'town'; it makes city, amount"),
    "a later step that does not exist": (candidate(then=[{"use": "sklearn.impute.Such"}]), "cannot be imported"),
    "an unknown member": (candidate(use=VOTE, members=["linear", "nobody"]), "'nobody'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_candidate_is_a_configuration_error_that_says_which(mistake: str) -> None:
    wrong, message = MISTAKES[mistake]
    with pytest.raises(ConfigError, match=message):
        build_pipeline(wrong, COLUMNS, {"linear": LINEAR})


def seen_by_the_model(prepare: list[dict[str, Any]], **changes: Any) -> list[list[float]]:
    """What the classifier of a candidate gets of one row: the city's code 1 and the amount 5."""
    pipeline = build_pipeline(candidate(prepare=prepare, **changes), COLUMNS)
    return pipeline[:-1].fit_transform(np.array([[1.0, 5.0]])).tolist()


SCALE = {"use": "sklearn.preprocessing.MaxAbsScaler"}


@pytest.mark.parametrize(
    ("columns", "seen"), [("categories", [1, 5]), ("numbers", [1, 1]), ("all", [1, 1]), (["amount"], [1, 1])]
)
def test_a_preparation_is_applied_to_the_columns_it_names(columns: str | list[str], seen: list[float]) -> None:
    assert sorted(seen_by_the_model([{**SCALE, "columns": columns}])[0]) == seen


def test_columns_can_be_dropped_by_name() -> None:
    assert seen_by_the_model([{"use": "drop", "columns": ["city"]}]) == [[5]]


def test_columns_that_no_preparation_names_can_be_dropped() -> None:
    assert seen_by_the_model([{**SCALE, "columns": ["city"]}], others="drop") == [[1]]


def test_a_prepared_column_can_be_kept_as_it_is_beside() -> None:
    assert sorted(seen_by_the_model([{**SCALE, "columns": ["amount"], "keep": True}])[0]) == [1, 1, 5]


def test_an_ensemble_is_made_of_its_members() -> None:
    pipeline = build_pipeline(candidate(use=VOTE, members=["linear"]), COLUMNS, {"linear": LINEAR})
    ((name, member),) = pipeline[-1].estimators
    assert (name, type(member[-1])) == ("linear", LogisticRegression)
