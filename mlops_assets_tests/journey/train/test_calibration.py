"""Calibration is learned from rows that were in no fit, is taken where it helps, and is made again byte by byte."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from mlops_assets.journey.model.about import About
from mlops_assets.journey.model.calibrator import Isotonic, Temperature
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.train.calibration import LEAST, Calibration, find_calibration
from mlops_assets.journey.train.candidates import Fitted, fit_candidates
from mlops_assets.journey.train.evaluation import evaluate, load_candidate
from mlops_assets.journey.train.folds import Said, ask_rounds
from mlops_assets.journey.train.gate import Verdict
from mlops_assets.journey.train.metrics import chance_error, expected_error
from mlops_assets.journey.train.origins import CHOOSES, rounds
from mlops_assets.journey.train.scores import Score
from mlops_assets.journey.train.training_set import TrainingSet
from mlops_assets.journey.train.versions import make_version, rebuild
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.views import card
from mlops_assets_tests.helpers.toy import CANDIDATES, built, purchases, toy
from mlops_assets_tests.helpers.versions import as_version

# -- the error --------------------------------------------------------------------------------------------------------


def test_the_error_is_the_mean_distance_between_probability_and_share_that_is_right() -> None:
    sure = np.array([0.62, 0.64, 0.91, 0.99, 1.0, 0.95])
    right = np.array([True, False, True, True, True, False])
    expected = (2 * abs(0.63 - 0.5) + 4 * abs(0.9625 - 0.75)) / 6
    assert expected_error(right, sure) == pytest.approx(expected)


def test_by_chance_the_error_is_as_foretold() -> None:
    random = np.random.default_rng(0)
    sure = random.uniform(0.3, 1, 1000)
    found = [expected_error(random.uniform(size=1000) < sure, sure) for _ in range(200)]
    assert chance_error(sure) == pytest.approx(np.mean(found), rel=0.1)
    assert chance_error(sure) == pytest.approx(0.03, abs=0.005)


# -- what is chosen ---------------------------------------------------------------------------------------------------

LABELS = ("a", "b", "c")


def said(rows: int, seed: int, spoil: float = 1.0, classes: int = 3) -> Said:
    """Answers of true probabilities that were then raised to a power: above 1, they say more than they know."""
    random = np.random.default_rng(seed)
    true = random.dirichlet(np.ones(classes), rows)
    truth = (random.uniform(size=(rows, 1)) > true.cumsum(axis=1)).sum(axis=1)
    told = true**spoil
    return Said(truth, told / told.sum(axis=1, keepdims=True))


def find(*folds: Said | None, **arguments: Any) -> Calibration:
    """What is found where one model a fold was asked."""
    return find_of([(fold,) for fold in folds], **arguments)


def find_of(
    folds: Sequence[Sequence[Said | None]], classes: int = 3, held_out: Said | None = None, **training: Any
) -> Calibration:
    use_case = toy(**training)
    model = Model(None, {}, LABELS[:classes], "", use_case.training.threshold)
    tested = held_out or said(2000, 9, 2.0, classes)
    return find_calibration(use_case.training, model, folds, [[tested]], tested)


def test_what_says_more_than_it_knows_is_mended() -> None:
    found = find(*(said(1000, seed, 2.0) for seed in range(3)))
    assert isinstance(found.judged, Isotonic)
    assert found.before > 0.14
    assert found.after < found.chance + 0.015
    assert found.rows == 3000


def test_what_says_too_much_only_of_rows_long_after_is_mended_for_those() -> None:
    """A model serves for months: that the next fold is told truly is no proof."""
    fresh, old = [said(1000, seed) for seed in range(3)], [said(1000, seed + 3, 3.0) for seed in range(3)]
    assert find(*fresh).judged is None
    found = find_of([(fresh[0],), (old[0], fresh[1]), (old[1], old[2], fresh[2])], held_out=said(2000, 9, 3.0))
    assert found.judged is not None
    assert found.after < found.before - 0.05
    assert found.rows == 3000


def test_answers_that_are_all_alike_get_the_share_that_is_right() -> None:
    def sure(rows: int, seed: int) -> Said:
        told = said(rows, seed).probabilities
        return Said(said(rows, seed).truth, np.eye(3)[told.argmax(axis=1)] * 0.998 + 0.002 / 3)

    found = find(*(sure(500, seed) for seed in range(3)), held_out=sure(2000, 9))
    assert isinstance(found.judged, Isotonic | Temperature)
    assert found.before > 0.3
    assert found.after < 0.05


def test_the_curve_rises_everywhere_so_that_rows_keep_their_order() -> None:
    steep = [
        Said(one.truth, np.clip(one.probabilities, 0.05, 0.9)) for one in (said(2000, seed, 3.0) for seed in range(3))
    ]
    normal = [Said(one.truth, one.probabilities / one.probabilities.sum(axis=1, keepdims=True)) for one in steep]
    found = find(*normal, held_out=normal[0])
    assert isinstance(found.judged, Isotonic)
    assert (np.diff(found.judged.x) > 0).all()
    assert (np.diff(found.judged.y) > 0).all()
    assert len(found.judged.x) <= 102


def test_true_probabilities_stay_as_they_are() -> None:
    found = find(*(said(1000, seed) for seed in range(3)), held_out=said(2000, 9))
    assert (found.judged, found.serving, found.before) == (None, None, found.after)
    assert "no gain" in found.why


def test_the_serving_model_is_calibrated_by_the_held_out_rows_too() -> None:
    folds, held_out = [said(500, seed, 2.0) for seed in range(3)], said(3000, 9, 4.0)
    found = find(*folds, held_out=held_out)
    assert found.judged is not None
    assert found.serving is not None
    assert found.judged == find(*folds).judged
    assert found.serving != found.judged


@pytest.mark.parametrize(
    ("folds", "why"),
    [
        ([], "fewer than"),
        ([None, None, said(1000, 1, 2.0)], "fewer than"),
        ([said(LEAST - 1, 0, 2.0), said(1000, 1, 2.0)], "fewer than"),
        ([said(1000, 0, 2.0), said(LEAST - 1, 1, 2.0)], "fewer than"),
    ],
    ids=["no fold", "one fold", "few rows to learn from", "few rows to try it on"],
)
def test_too_few_rows_calibrate_nothing(folds: list[Said | None], why: str) -> None:
    found = find(*folds)
    assert found.judged is None
    assert why in found.why


def test_it_can_be_switched_off() -> None:
    found = find(*(said(1000, seed, 2.0) for seed in range(3)), calibration="off")
    assert (found.judged, found.why) == (None, "training.calibration is off")


def test_with_a_threshold_there_is_a_temperature_or_nothing() -> None:
    folds = [said(1000, seed, 2.0, classes=2) for seed in range(3)]
    found = find(*folds, classes=2, threshold=0.25)
    assert isinstance(found.judged, Temperature)
    assert found.judged.temperature == pytest.approx(2, rel=0.1)
    assert "isotonic" not in found.why


def test_a_calibration_is_read_as_it_was_written() -> None:
    found = find(*(said(1000, seed, 2.0) for seed in range(3)))
    assert Calibration.from_json(json.loads(json.dumps(asdict(found)))) == found


# -- who is asked of which fold ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("split", "asked"), [({"by": "time", "column": "date"}, [1, 2, 3]), ({"by": "account"}, [1, 1, 1])]
)
def test_with_a_split_by_time_models_are_asked_of_all_later_folds(
    lake: Lake, split: dict[str, Any], asked: list[int]
) -> None:
    use_case = toy(split=split)
    data = built(lake, use_case, purchases(120))
    rows = data.load()
    choosing = [one for one in rounds(data.origins, rows, use_case.training) if one.part == CHOOSES]
    folds = ask_rounds(use_case, data, "linear", use_case.training.candidates["linear"], rows, choosing)
    assert [len(fold.said) for fold in folds] == asked
    for number, fold in enumerate(folds):
        of_fold = rows.filter(pc.equal(rows["_fold"], number + (split["by"] == "time")))
        assert {len(one.truth) for one in fold.said if one} == {len(of_fold)}
    if len(folds[-1].said) > 1:
        first, *_, last = folds[-1].said
        assert first is not None
        assert last is not None
        assert (first.truth == last.truth).all()
        assert not (first.probabilities == last.probabilities).all()


# -- in a training ----------------------------------------------------------------------------------------------------

TREE = {
    "use": "sklearn.tree.DecisionTreeClassifier",
    "parameters": {"random_state": 0},
    "then": CANDIDATES["linear"]["then"],
}
"""Sure of every answer, right or wrong."""


def noise(number: int) -> list[dict[str, Any]]:
    """Rows of whose kinds two in three are told by the amount."""
    random = np.random.default_rng(0)
    kinds = [("FOOD", "FUEL")[int((one * 7 % 100 < 50) != (random.uniform() < 0.33))] for one in range(number)]
    rows = zip(purchases(number), kinds, strict=True)
    return [{**row, "amount": float(one * 7 % 100) + one / 1e4, "kind": kind} for one, (row, kind) in enumerate(rows)]


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    return toy(candidates={"majority": CANDIDATES["majority"], "tree": TREE}, split={"by": "random"})


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(tmp_path_factory.mktemp("lake"), "toy")


@pytest.fixture(scope="module")
def trained(
    use_case: UseCase, lake: Lake, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainingSet, Fitted, Score]:
    data = built(lake, use_case, noise(1200))
    fitted = fit_candidates(use_case, data, tmp_path_factory.mktemp("candidates"))
    scores = evaluate(use_case, data, fitted).scores
    tree = next(score for score in scores if score.name == "tree")
    return (
        data,
        next(one for one in fitted if one.name == "tree"),
        Score.from_json(json.loads(json.dumps(asdict(tree)))),
    )


def made(use_case: UseCase, trained: tuple[TrainingSet, Fitted, Score], folder: Path) -> tuple[Version, About]:
    """A version of the tree."""
    data, fitted, score = trained
    about = make_version(use_case, data, fitted, score, Verdict("tree", {}, "it passes"), folder)
    return as_version(about, folder), about


def test_a_score_is_that_of_calibrated_probabilities(
    use_case: UseCase, trained: tuple[TrainingSet, Fitted, Score]
) -> None:
    data, fitted, score = trained
    assert score.calibrated is not None
    assert score.calibrated.before > 0.2
    assert score.calibrated.after < 0.1
    rows = data.load()
    held_out = rows.filter(rows["_held_out"])
    model = load_candidate(use_case, fitted, score)
    probabilities = model.probabilities(model.matrix(held_out))
    np.testing.assert_array_equal(
        probabilities.argmax(axis=1), model.uncalibrated(model.matrix(held_out)).argmax(axis=1)
    )
    assert probabilities.max() < 0.9
    assert score.metrics["log_loss"] < 0.8


def test_both_models_of_a_version_are_calibrated_and_the_card_says_how(
    use_case: UseCase, trained: tuple[TrainingSet, Fitted, Score], tmp_path: Path
) -> None:
    version, about = made(use_case, trained, tmp_path / "version")
    calibration = trained[2].calibrated
    assert calibration is not None
    assert (version.judged().calibrator, version.serving().calibrator) == (calibration.judged, calibration.serving)
    assert calibration.serving is not None
    shown = card.render(about)
    assert f"| {calibration.before} | {calibration.after} |" in shown
    assert "calibrated by" in shown


def test_it_is_rebuilt_byte_by_byte(
    use_case: UseCase, lake: Lake, trained: tuple[TrainingSet, Fitted, Score], tmp_path: Path
) -> None:
    version, _ = made(use_case, trained, tmp_path / "version")
    assert rebuild(version, lake, tmp_path / "again", use_case).equal


def test_a_version_from_before_there_was_a_calibration_is_rebuilt_without_one(
    use_case: UseCase, lake: Lake, trained: tuple[TrainingSet, Fitted, Score], tmp_path: Path
) -> None:
    data, fitted, score = trained
    _, about = made(use_case, (data, fitted, replace(score, calibrated=None)), tmp_path / "version")
    training = {name: value for name, value in about.recipe["training"].items() if name != "calibration"}
    earlier = replace(about, recipe={**about.recipe, "training": training})
    assert "calibrated" not in json.loads(earlier.to_json())
    assert "calibrated by" not in card.render(earlier)
    version = as_version(earlier, tmp_path / "version")
    assert version.serving().calibrator is None
    assert rebuild(version, lake, tmp_path / "again", use_case).equal
