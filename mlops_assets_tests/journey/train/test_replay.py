"""A replay: what chooses and what tests are apart, a model knows what was known then, and the same recipe repeats."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.journey.train.candidates import fit_candidates
from mlops_assets.journey.train.choice import Recipe
from mlops_assets.journey.train.evaluation import Judged, evaluate
from mlops_assets.journey.train.gate import decide
from mlops_assets.journey.train.origins import CHOOSES, TESTS, find_origins, first_test, order_of, rounds
from mlops_assets.journey.train.scores import Score
from mlops_assets.journey.train.told import judging
from mlops_assets.journey.train.training_set import TrainingSet
from mlops_assets.journey.train.versions import make_version, rebuild
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import write_table
from mlops_assets.use_case import UseCase
from mlops_assets.views.judging import judged
from mlops_assets_tests.helpers.toy import CANDIDATES, IMPUTER, built, purchases, toy
from mlops_assets_tests.helpers.versions import as_version

FOREST: dict[str, Any] = {
    "use": "sklearn.ensemble.ExtraTreesClassifier",
    "parameters": {"n_estimators": 5, "max_depth": 4},
    "then": [IMPUTER],
}
TRAINING = toy().training


# -- which months choose and test -------------------------------------------------------------------------------------


def dates(*days: str, each: int = 1) -> np.ndarray:
    return np.array([day for day in days for _ in range(each)])


def months(*names: str, each: int = 10) -> np.ndarray:
    return dates(*(f"{name}-15" for name in names), each=each)


YEAR = tuple(f"2026-{number:02d}" for number in range(1, 11))


def test_the_last_three_months_test_and_those_before_choose_each_knowing_what_was_older_than_the_delay() -> None:
    found = find_origins(months(*YEAR), TRAINING)
    assert [(one.name, one.known, one.part) for one in found] == [
        ("2026-05", "2026-03-31", CHOOSES),
        ("2026-06", "2026-05-01", CHOOSES),
        ("2026-07", "2026-05-31", CHOOSES),
        ("2026-08", "2026-07-01", TESTS),
        ("2026-09", "2026-08-01", TESTS),
        ("2026-10", "2026-08-31", TESTS),
    ]


def test_labels_that_come_at_once_leave_no_gap() -> None:
    found = find_origins(months(*YEAR), toy(label_delay=0).training)
    assert all(one.known == one.first for one in found)


def test_a_month_that_has_only_begun_counts_to_the_one_before() -> None:
    order = np.concatenate([months(*YEAR), dates("2026-11-01", each=4)])
    assert find_origins(order, TRAINING)[-1].name == "2026-10 and 2026-11"
    assert find_origins(np.concatenate([order, months("2026-11", each=4)]), TRAINING)[-1].name == "2026-11"


@pytest.mark.parametrize(
    ("order", "training"),
    [
        (months(*YEAR[:4]), TRAINING),
        (months(*YEAR[:3], each=1), TRAINING),
        (dates(*(f"2026-01-{day:02d}" for day in range(1, 29)), each=50), TRAINING),
        (np.concatenate([months(*YEAR[:9], each=1), months(*YEAR[9:], each=500)]), TRAINING),
        (months(*YEAR), toy(split={"by": "time", "column": "date", "from": "2026-08-01"}).training),
        (months(*YEAR), toy(split={"by": "account"}).training),
        (np.array(["", "", ""]), TRAINING),
    ],
    ids=["four months", "three", "days of one month", "one great month", "split.from", "by account", "no dates"],
)
def test_without_enough_months_there_is_no_replay(order: np.ndarray, training: Any) -> None:
    assert find_origins(order, training) == ()


@given(
    st.lists(st.dates(dt.date(2025, 1, 1), dt.date(2026, 6, 30)).map(str), min_size=30, max_size=200),
    st.integers(0, 70),
)
def test_nothing_is_asked_of_what_it_learned_and_nothing_tests_that_chose(days: list[str], delay: int) -> None:
    training = toy(label_delay=delay).training
    order = np.array(sorted(days))
    origins = find_origins(order, training)
    tested_from = min((one.first for one in origins if one.part == TESTS), default="2026")
    rows = pa.table({"_order": order, "_held_out": order >= tested_from, "_fold": np.zeros(len(order), np.int8)})
    if not origins:
        return
    found = rounds(origins, rows, training)
    for one in found:
        asked = [*one.tested, *one.fresh]
        assert not set(one.learned) & set(asked)
        assert max(order[one.learned]) < one.known <= min(order[one.tested])
    chose = {place for one in found if one.part == CHOOSES for place in one.tested}
    tested = [place for one in found if one.part == TESTS for place in one.tested]
    assert not chose & set(tested)
    assert sorted(tested) == np.flatnonzero(order >= tested_from).tolist()
    assert first_test(origins, rows).sum() == len(next(one for one in found if one.part == TESTS).learned)


# -- a training over eight months -------------------------------------------------------------------------------------


def learnable(number: int) -> list[dict[str, Any]]:
    """Rows of 40 accounts whose kind is told by the amount in four of five."""
    random = np.random.default_rng(0)
    rows = zip(purchases(number, accounts=40), random.integers(0, 100, number), random.random(number), strict=True)
    return [
        {**row, "amount": float(amount) + one / 1e4, "kind": ("FOOD", "FUEL")[int((amount >= 50) != (luck < 0.2))]}
        for one, (row, amount, luck) in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    return toy(candidates={**CANDIDATES, "forest": FOREST})


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(tmp_path_factory.mktemp("lake"), "toy")


@pytest.fixture(scope="module")
def data(use_case: UseCase, lake: Lake) -> TrainingSet:
    return built(lake, use_case, learnable(720))


@pytest.fixture(scope="module")
def trained(use_case: UseCase, data: TrainingSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Judged, Path]:
    folder = tmp_path_factory.mktemp("candidates")
    return evaluate(use_case, data, fit_candidates(use_case, data, folder)), folder


def test_the_held_out_rows_are_those_of_the_months_that_test(data: TrainingSet) -> None:
    rows = data.load()
    assert data.boundary == "2026-06-01"
    assert (rows["_held_out"].to_numpy() == (order_of(rows) >= "2026-06-01")).all()
    assert [one.part for one in data.origins] == [CHOOSES, CHOOSES, TESTS, TESTS, TESTS]


def test_the_chosen_one_and_the_baseline_alone_are_tested(trained: tuple[Judged, Path], data: TrainingSet) -> None:
    chosen, *others = trained[0].scores
    assert {score.name for score in others if score.metrics} == {"majority"}
    assert all(score.validation for score in [chosen, *others])
    assert list(trained[0].tested) == [chosen.name]
    assert sum(known["rows"] for known in chosen.classes.values()) == data.held_out
    assert chosen.tested is not None
    assert sum(one["rows"] for one in chosen.tested.rounds) == data.held_out


def test_the_card_tells_which_rows_were_which_and_the_figure_by_month_and_age(
    trained: tuple[Judged, Path], data: TrainingSet, use_case: UseCase
) -> None:
    score, base = trained[0].scores[0], trained[0].scores[-1]
    told = json.loads(json.dumps(judging(use_case, data, score, trained[0].choice)))
    parts = {one["part"]: one for one in told["parts"]}
    assert parts["chose"]["to"] < parts["tested"]["from"]
    assert parts["tested"]["rows"] == data.held_out
    shown = "\n\n".join(judged(told, score.metrics, base.metrics, data.held_out).as_markdown())
    assert (
        f"accuracy {score.metrics['accuracy']:.3f} on {data.held_out} rows that chose nothing, 95 % sure between"
        in shown
    )
    assert "A replay: each of the last 3 months tests a model of what was known as it began" in shown
    assert "| months old | rows | accuracy | baseline |" in shown
    assert [one["months old"] for one in told["ages"]] == [0, 1, 2, 3]
    low, high = told["intervals"]["accuracy"]
    assert low < score.metrics["accuracy"] < high


def test_where_months_are_too_few_the_card_says_so(tmp_path: Path) -> None:
    use_case = toy()
    small = built(Lake(tmp_path, "toy"), use_case, purchases(120))
    found = evaluate(use_case, small, fit_candidates(use_case, small, tmp_path / "candidates"))
    told = judging(use_case, small, found.scores[0], found.choice)
    assert "There are too few months for a replay: 3 test (`training.replay`)" in told["how"]
    assert told["parts"][-1]["by"] == "held out"


def test_a_version_is_rebuilt_byte_by_byte(
    trained: tuple[Judged, Path], data: TrainingSet, use_case: UseCase, lake: Lake, tmp_path: Path
) -> None:
    best = trained[0].scores[0]
    fitted = next(one for one in fit_candidates(use_case, data, tmp_path / "again") if one.name == best.name)
    verdict = decide(use_case.training, use_case.scale, trained[0].scores, trained[0].choice, None)
    about = make_version(use_case, data, fitted, best, verdict, tmp_path / "version", choice=trained[0].choice)
    assert about.judging["how"].startswith("A replay")
    assert rebuild(as_version(about, tmp_path / "version"), lake, tmp_path / "rebuilt", use_case).equal


def test_a_score_is_read_as_it_was_written(trained: tuple[Judged, Path]) -> None:
    score = trained[0].scores[0]
    assert Score.from_json(json.loads(json.dumps(asdict(score)))) == score


def shuffled(data: TrainingSet, seed: int, folder: Path) -> TrainingSet:
    """The same rows in another order."""
    rows = data.load()
    write_table(folder / f"{seed}.parquet", rows.take(pa.array(np.random.default_rng(seed).permutation(len(rows)))))
    return replace(data, path=str(folder / f"{seed}.parquet"))


@pytest.mark.parametrize("times", [2, pytest.param(8, marks=pytest.mark.long)])
def test_the_same_recipe_makes_the_same_champion_whatever_seed_or_order_of_rows(
    trained: tuple[Judged, Path], data: TrainingSet, tmp_path: Path, times: int
) -> None:
    first = trained[0].scores[0].name
    for number in range(1, times):
        forest = {**FOREST, "parameters": {**FOREST["parameters"], "random_state": number}}
        other = toy(candidates={**CANDIDATES, "forest": forest})
        rows = shuffled(data, number, tmp_path)
        again = evaluate(other, rows, fit_candidates(other, rows, tmp_path / str(number)), Recipe(first, 1))
        assert again.scores[0].name == first, again.choice
        assert decide(other.training, other.scale, again.scores, again.choice, None).winner == first
