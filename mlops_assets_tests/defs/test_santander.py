"""Santander: drawn rows are as hard as the published ones, missing values are filled in, probabilities can be trusted."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline

from mlops_assets.defs.santander.sample import MISSING, SPREAD, _curves, draw
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.train.pipeline import build_pipeline
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import UseCase, load_use_case
from mlops_assets.views.predictions import Wanted, read_predictions
from mlops_assets_tests.helpers.paths import REAL_DATA
from mlops_assets_tests.helpers.reading import read
from mlops_assets_tests.helpers.stage import Stage

PUBLIC_LINEAR, PUBLIC_BAYES = 0.8588, 0.888
"""AUC on the published rows: logistic regression and Gaussian naive Bayes, learned from up to 200,000 rows."""
REAL_ROWS = REAL_DATA / "santander" / "unlabelled_250_rows.csv"
VARS = [f"var_{place}" for place in range(200)]
HISTORY, BAD, SCORED, REAL = "2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"
SCORED_ROWS = 1_500


def drawn(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Values with gaps, and whether a row is positive."""
    frame = draw(np.random.default_rng(seed), np.random.default_rng(0), dt.date(2026, 1, 1), 1, rows)
    return frame[VARS].to_numpy(), (frame["target"] == "1").to_numpy()


def area(model: Pipeline, rows: int) -> float:
    """AUC on 20,000 rows of a model that learned from some others."""
    seen, unseen = drawn(rows, seed=1), drawn(20_000, seed=2)
    return float(roc_auc_score(unseen[1], model.fit(*seen).predict_proba(unseen[0])[:, 1]))


def candidate(santander: UseCase, name: str) -> Pipeline:
    """A candidate of the configuration, unfitted."""
    candidates = santander.training.candidates
    return build_pipeline(candidates[name], dict.fromkeys(VARS), candidates)


# -- the drawn rows -----------------------------------------------------------------------------------------------------


def test_the_best_possible_models_separate_drawn_rows_as_well_as_public_ones_do_the_published() -> None:
    values, positive = drawn(100_000, seed=3)
    centre, deviation, shift = _curves()
    spread = 1 + np.abs(shift) * SPREAD
    values = np.nan_to_num((values - centre) / deviation)
    linear = values @ shift
    bayes = (values**2 / 2 - ((values - shift) / spread) ** 2 / 2).sum(axis=1)
    assert roc_auc_score(positive, linear) == pytest.approx(PUBLIC_LINEAR, abs=0.01)
    assert roc_auc_score(positive, bayes) == pytest.approx(PUBLIC_BAYES, abs=0.01)


def test_models_learned_from_a_tenth_of_the_rows_come_near_the_public_results(santander: UseCase) -> None:
    linear, bayes = candidate(santander, "linear"), candidate(santander, "linear").set_params(model=GaussianNB())
    assert isinstance(linear.named_steps["model"], LogisticRegression)
    found = area(linear, 20_000), area(bayes, 20_000)
    assert found[0] == pytest.approx(PUBLIC_LINEAR, abs=0.02)
    assert found[1] == pytest.approx(PUBLIC_BAYES, abs=0.02)
    assert found[1] > found[0] + 0.02, "deviations differ between the classes, too, which a linear model cannot see"


def test_one_drawn_row_in_ten_is_positive() -> None:
    assert drawn(50_000, seed=4)[1].mean() == pytest.approx(0.1, abs=0.005)


def test_some_values_are_missing_in_every_column() -> None:
    gaps = np.isnan(drawn(20_000, seed=5)[0]).mean(axis=0)
    assert gaps.mean() == pytest.approx(MISSING, abs=0.001)
    assert gaps.min() > 0


def test_the_classes_differ_in_the_same_way_on_every_day_and_in_every_file() -> None:
    frames = [
        draw(np.random.default_rng(seed), np.random.default_rng(seed), dt.date(2026, 1, 1 + seed), 1, 20_000)
        for seed in (1, 2)
    ]
    first, second = (frame.groupby("target")[VARS].mean() for frame in frames)
    shifts = [(means.loc["1"] - means.loc["0"]) / _curves()[1] for means in (first, second)]
    assert np.corrcoef(shifts)[0, 1] > 0.9


# -- files --------------------------------------------------------------------------------------------------------------


def line(**fields: str) -> str:
    """A line of a file to be scored, as the published one: the name, then the numbers."""
    return ",".join({"ID_code": "test_0", **dict.fromkeys(VARS, "1.25"), **fields}.values())


HEADER = ",".join(["ID_code", *VARS])


def test_a_file_to_be_scored_has_no_target(santander: UseCase) -> None:
    (row,), refusals, _ = read(santander, f"{HEADER}\n{line(var_7='5.707999999999999', var_9='')}\n".encode())
    assert refusals == []
    assert (row["id_code"], row["target"], row["var_7"], row["var_9"]) == ("test_0", None, 5.707999999999999, None)


def test_history_has_its_target_in_the_second_column(santander: UseCase) -> None:
    head, rest = HEADER.split(",", 1)
    name, numbers = line().split(",", 1)
    (row,), refusals, _ = read(santander, f"{head},target,{rest}\n{name},1,{numbers}\n".encode())
    assert (row["target"], refusals) == ("1", [])


@pytest.mark.parametrize(
    ("fields", "rule", "message"),
    [
        ({"var_3": "high"}, "type", "'var_3'"),
        ({"var_199": "1e9"}, "range", "'var_199'"),
        ({"ID_code": ""}, "required", "'ID_code' is empty, but required"),
    ],
    ids=["no number", "far out", "no name"],
)
def test_a_bad_row_is_rejected_with_its_reason(
    santander: UseCase, fields: dict[str, str], rule: str, message: str
) -> None:
    rows, (refusal,), _ = read(santander, "\n".join([HEADER, line(), line(**fields), ""]).encode())
    assert len(rows) == 1
    assert (refusal.line, refusal.rule) == (2, rule)
    assert message in refusal.message


# -- the champion and its days ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A champion learned from one file; then a day with a bad row, one to be scored, and the real rows."""
    with Stage.of(load_use_case(OWN_USE_CASES / "santander"), tmp_path_factory.mktemp("santander") / "home") as stage:
        stage.sample(HISTORY, files=1, rows=10_000)  # of 3,000, noise hides which candidate is better
        stage.sample(SCORED, files=1, rows=SCORED_ROWS, labelled=False)
        stage.folder(BAD).mkdir(parents=True)
        lines = [HEADER, *(line(ID_code=f"test_{one}") for one in range(9)), line(var_0="?"), ""]
        (stage.folder(BAD) / "day.csv").write_text("\n".join(lines))
        stage.run(HISTORY, SCORED, train=True)
        yield stage


@pytest.fixture(scope="module")
def champion(stage: Stage) -> Version:
    with stage.settings() as settings:
        found = Registry(settings).champion("santander")
    assert found is not None
    return found


def positive(prediction: dict[str, Any]) -> float:
    """The probability of class 1; a prediction tells that of the class that is said."""
    sure: float = prediction["probability"]
    return sure if prediction["prediction"] == "1" else 1 - sure


def truth(use_case: UseCase, folder: Path) -> dict[str, int]:
    """Name and target of every row of the day to be scored: the same bytes are drawn once more, with their targets."""
    for _ in write_sample(use_case, folder, dt.date.fromisoformat(SCORED), 1, SCORED_ROWS, 0.0, 7):
        pass
    (path,) = folder.rglob("*.csv")
    frame = pd.read_csv(path)
    return dict(zip(frame["ID_code"], frame["target"], strict=True))


def test_the_champion_is_naive_bayes_and_beats_the_linear_model(champion: Version) -> None:
    about = champion.about
    assert about.candidate == "bayes"
    assert re.match(r"bayes passes: roc_auc 0\.8\d\d \(0\.8\d\d to 0\.[89]\d\d\), baseline 0\.500$", about.reason)


def test_the_held_out_rows_find_the_champion_calibrated(champion: Version) -> None:
    table = champion.details().calibration
    rows = np.array([step["rows"] for step in table])
    apart = np.array([abs(step["probability"] - step["right"]) for step in table])
    assert np.average(apart, weights=rows) < 0.05


def test_the_stored_model_fills_in_what_is_missing(stage: Stage, santander: UseCase, champion: Version) -> None:
    model = champion.serving(santander.training.trusted)
    gaps = np.full((1, 200), np.nan)
    filled = model.estimator.named_steps["then_0"].transform(gaps)[0]
    centre, deviation = (dict(zip(VARS, numbers, strict=True)) for numbers in _curves()[:2])
    apart = [abs(value - centre[name]) / deviation[name] for name, value in zip(model.columns, filled, strict=True)]
    assert max(apart) < 0.2, "the median of the history"
    assert 0 <= model.probabilities(gaps)[0, 1] < 0.25
    holes = sum(row[name] is None for row in stage.published("rows", SCORED) for name in VARS)
    assert holes == pytest.approx(SCORED_ROWS * 200 * MISSING, rel=0.1)


def test_every_row_of_a_day_has_a_probability_and_the_answer_follows_the_threshold(stage: Stage) -> None:
    said = stage.published("predictions", SCORED)
    assert len(said) == SCORED_ROWS
    assert all(0 <= one["probability"] <= 1 for one in said)
    assert {one["prediction"] for one in said} == {"0", "1"}
    assert all((one["prediction"] == "1") == (positive(one) >= 0.25) for one in said)
    assert any(one["prediction"] == "1" and one["probability"] < 0.5 for one in said), "the likelier class was no"


def test_a_bad_row_is_rejected_and_the_others_are_predicted(stage: Stage) -> None:
    (reject,) = stage.published("rejects", BAD)
    assert (reject["line"], reject["rule"]) == (10, "type")
    assert len(stage.published("predictions", BAD)) == 9


def test_on_an_unseen_day_the_probabilities_are_right_as_often_as_they_say(
    stage: Stage, santander: UseCase, tmp_path: Path
) -> None:
    known = truth(santander, tmp_path)
    said = stage.published("predictions", SCORED)
    chance = np.array([positive(one) for one in said])
    target = np.array([known[one["account_id"]] for one in said])
    assert roc_auc_score(target, chance) > 0.8
    assert brier_score_loss(target, chance) < 0.85 * brier_score_loss(target, np.full(len(target), target.mean()))
    step = np.digitize(chance, [0.05, 0.1, 0.25, 0.5])
    for number in np.unique(step):
        chosen = step == number
        noise = 3 * np.sqrt(chance[chosen].mean() * (1 - chance[chosen].mean()) / chosen.sum())
        assert target[chosen].mean() == pytest.approx(chance[chosen].mean(), abs=0.03 + noise)


def test_those_said_to_be_positive_are_worth_looking_at(stage: Stage, santander: UseCase, tmp_path: Path) -> None:
    known = truth(santander, tmp_path)
    said = stage.published("predictions", SCORED)
    found = [known[one["account_id"]] for one in said if one["prediction"] == "1"]
    assert np.mean(found) > 0.35, "of those that are said to be positive, four in ten are; of all, one in ten"
    assert sum(found) > 0.35 * sum(known.values())


@pytest.mark.skipif(not REAL_ROWS.is_file(), reason="the real data are not beside this checkout")
def test_every_real_row_is_read_and_predicted(stage: Stage, tmp_path: Path) -> None:
    with stage.copy(tmp_path / "home") as copy:
        copy.folder(REAL).mkdir(parents=True)
        (copy.folder(REAL) / REAL_ROWS.name).write_bytes(REAL_ROWS.read_bytes())
        copy.run(REAL)
        assert copy.published("rejects", REAL) == []
        assert len(copy.published("predictions", REAL)) == 250
        table, competition = copy.table("predictions"), Wanted(chosen=("ID_code=account_id", "target=probability_1"))
        found = read_predictions("santander", table, {REAL: table.days()[REAL]}, competition).read_all()
        assert found.schema.names == ["ID_code", "target"]
        assert sorted(found["ID_code"].to_pylist()) == sorted(f"test_{number}" for number in range(250))
        assert found["target"].null_count == 0
