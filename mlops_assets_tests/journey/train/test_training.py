"""Training: the same labelled rows, without duplicates, in the same split, for every candidate."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.dummy import DummyClassifier

from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.candidates import (
    CandidatesFailed,
    as_fitted,
    choose,
    class_numbers,
    fit,
    fit_candidates,
    vocabularies,
)
from mlops_assets.journey.train.evaluation import evaluate
from mlops_assets.journey.train.gate import decide
from mlops_assets.journey.train.origins import fold_indices
from mlops_assets.journey.train.records import FittedCandidates
from mlops_assets.journey.train.splitting import TooLittleData
from mlops_assets.journey.train.training_set import TrainingSet, build_training_set
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets_tests.helpers.days import draw_day
from mlops_assets_tests.helpers.toy import CANDIDATES, DAY, IMPUTER, built, purchases, put, toy


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path, "toy")


# -- which rows -------------------------------------------------------------------------------------------------------


def test_the_training_set_tells_its_rows_days_classes_and_features(lake: Lake) -> None:
    found = built(lake, toy(), purchases(60))
    assert (found.rows, found.duplicates, found.days, found.classes) == (60, 0, (DAY, DAY), ("FOOD", "FUEL"))
    assert found.features == {"amount": False, "city": True}
    assert found.load().num_rows == 60


def test_each_row_keeps_its_own_label_and_features(lake: Lake) -> None:
    rows = purchases(60)
    found = built(lake, toy(), rows).load()
    by_key = {(row["file"], row["line"]): row for row in rows}
    for one in found.to_pylist():
        row = by_key[one["_file"], one["_line"]]
        assert (one["_label"], one["_account"], one["amount"], one["city"]) == (
            row["kind"],
            row["account"],
            row["amount"],
            row["city"],
        )


def test_rows_without_a_label_are_left_out(lake: Lake) -> None:
    unlabelled = [{**row, "kind": None} for row in purchases(30, first=60)]
    assert built(lake, toy(), purchases(60) + unlabelled).rows == 60


def test_exact_copies_are_dropped_wherever_they_lie(lake: Lake) -> None:
    rows = purchases(60)
    put(lake, toy(), [*rows, *({**row, "file": "copy.csv", "line": n} for n, row in enumerate(rows[:5], 1))])
    put(lake, toy(), [{**row, "file": "again.csv", "line": n} for n, row in enumerate(rows[:3], 1)], "2026-02-01")
    found = build_training_set(toy(), lake)
    assert (found.rows, found.duplicates) == (60, 8)
    assert not {"copy.csv", "again.csv"} & set(found.load()["_file"].to_pylist())


def test_rows_that_differ_in_the_label_alone_are_no_copies(lake: Lake) -> None:
    rows = purchases(60)
    other = {**rows[0], "file": "other.csv", "line": 1, "kind": "FUEL"}
    assert built(lake, toy(), [*rows, other]).duplicates == 0


def test_days_before_the_window_are_not_learned_from(lake: Lake) -> None:
    put(lake, toy(), purchases(30), "2026-01-01")
    put(lake, toy(), purchases(30, first=30), "2026-01-10")
    put(lake, toy(), purchases(30, first=60), "2026-01-11")
    assert build_training_set(toy(window_days=10), lake).days == ("2026-01-10", "2026-01-11")


def test_days_that_break_their_conditions_are_not_learned_from_unless_the_configuration_says_so(lake: Lake) -> None:
    put(lake, toy(), purchases(60))
    for day, first in (("2026-02-01", 60), ("2026-02-03", 90)):
        put(lake, toy(), purchases(30, first=first), day, rejected=20)
    found = build_training_set(toy(), lake)
    assert (found.rows, found.days) == (60, (DAY, DAY))
    assert found.left_out == (
        "Left out: 2026-02-01, 2026-02-03: reject_rate does not hold (40.00% of lines rejected, allowed 20.00%)."
    )
    found = build_training_set(toy(refused_days=True), lake)
    assert (found.rows, found.left_out) == (120, "")


def test_where_every_day_breaks_its_conditions_the_error_says_so(lake: Lake) -> None:
    put(lake, toy(), purchases(60), rejected=90)
    with pytest.raises(TooLittleData, match=f"nothing to learn from. Left out: {DAY}: reject_rate does not hold"):
        build_training_set(toy(), lake)


def test_above_the_most_rows_whole_files_are_sampled(lake: Lake) -> None:
    rows = purchases(300, accounts=30)
    found = built(lake, toy(most_rows=100), rows).load()
    sizes = {file: found["_file"].to_pylist().count(file) for file in set(found["_file"].to_pylist())}
    assert 0 < len(sizes) < 20
    assert set(sizes.values()) == {10}


def test_files_of_one_name_on_many_days_are_not_all_taken_or_all_left_out(lake: Lake) -> None:
    for day in range(1, 21):
        rows = purchases(30, accounts=1, first=30 * day)
        put(lake, toy(), [{**row, "file": "export.csv"} for row in rows], f"2026-01-{day:02d}")
    found = build_training_set(toy(most_rows=200), lake)
    assert 0 < found.rows < 20 * 30


# -- the split --------------------------------------------------------------------------------------------------------


def sides(rows: pa.Table) -> tuple[pa.Array, pa.Array]:
    """Masks of the rows that are learned from and of those held out."""
    return pc.invert(rows["_held_out"]), rows["_held_out"]


def held_out_by_row(training_set: TrainingSet) -> dict[tuple[str, str, int], bool]:
    rows = training_set.load().to_pylist()
    return {(row["_day"], row["_file"], row["_line"]): row["_held_out"] for row in rows}


def test_split_by_time_every_held_out_date_is_later(lake: Lake) -> None:
    found = built(lake, toy(), purchases(100))
    rows = found.load()
    learned, held_out = (rows.filter(mask)["_order"].to_pylist() for mask in sides(rows))
    assert max(learned) < min(held_out) == found.boundary
    assert found.held_out == len(held_out) == pytest.approx(20, abs=3)


def test_split_by_time_the_first_held_out_date_can_be_given(lake: Lake) -> None:
    use_case = toy(split={"by": "time", "column": "date", "from": "2026-01-11"})
    rows = built(lake, use_case, purchases(60)).load()
    assert set(rows.filter(rows["_held_out"])["_order"].to_pylist()) == {f"2026-01-{day}" for day in range(11, 21)}


def test_split_by_account_no_account_is_on_both_sides(lake: Lake) -> None:
    rows = built(lake, toy(split={"by": "account", "held_out": 0.3}), purchases(200, accounts=40)).load()
    learned, held_out = (set(rows.filter(mask)["_account"].to_pylist()) for mask in sides(rows))
    assert learned
    assert held_out
    assert not learned & held_out


def test_split_at_random_a_row_stays_on_its_side_when_more_rows_come(lake: Lake) -> None:
    use_case = toy(split={"by": "random", "held_out": 0.3})
    put(lake, use_case, purchases(100), "2026-01-30")
    before = held_out_by_row(build_training_set(use_case, lake))
    put(lake, use_case, purchases(100, first=100), "2026-01-31")
    after = held_out_by_row(build_training_set(use_case, lake))
    assert {key: after[key] for key in before} == before
    assert 40 <= sum(after.values()) <= 80


# -- the fingerprint --------------------------------------------------------------------------------------------------


def fingerprint_of(folder: Path, rows: Sequence[dict[str, Any]], parts: int = 1) -> str:
    lake = Lake(folder, "toy")
    put(lake, toy(), rows, parts=parts)
    return build_training_set(toy(), lake).fingerprint


def test_the_same_rows_have_the_same_fingerprint_however_they_lie_in_parts(tmp_path: Path) -> None:
    one, other = fingerprint_of(tmp_path / "1", purchases(60)), fingerprint_of(tmp_path / "3", purchases(60), parts=3)
    assert one == other


@pytest.mark.parametrize(
    "change", [{"amount": 0.5}, {"amount": None}, {"city": "NEW"}, {"kind": "FUEL"}, {"account": "B"}], ids=str
)
def test_another_row_gives_another_fingerprint(tmp_path: Path, change: dict[str, Any]) -> None:
    rows = purchases(60)
    changed = [*rows[:2], {**rows[2], **change}, *rows[3:]]
    assert fingerprint_of(tmp_path / "before", rows) != fingerprint_of(tmp_path / "after", changed)


def test_another_split_gives_another_fingerprint(lake: Lake) -> None:
    before = built(lake, toy(), purchases(60)).fingerprint
    assert build_training_set(toy(split={"by": "random"}), lake).fingerprint != before


# -- too little data --------------------------------------------------------------------------------------------------


def test_without_any_rows_there_is_nothing_to_learn_from(lake: Lake) -> None:
    with pytest.raises(TooLittleData, match="toy: no day has rows with the label 'kind'"):
        build_training_set(toy(), lake)


def test_without_labels_there_is_nothing_to_learn_from(lake: Lake) -> None:
    with pytest.raises(TooLittleData, match="no day has rows with the label 'kind'"):
        built(lake, toy(), [{**row, "kind": None} for row in purchases(60)])


def test_a_few_labelled_rows_are_too_few(lake: Lake) -> None:
    with pytest.raises(TooLittleData, match="19 labelled rows with 2 labels; training needs at least 20 rows"):
        built(lake, toy(), purchases(19))


def test_one_label_is_too_few(lake: Lake) -> None:
    with pytest.raises(TooLittleData, match=r"60 labelled rows with 1 labels; training needs .* 2 labels"):
        built(lake, toy(), [{**row, "kind": "FOOD"} for row in purchases(60)])


def test_one_label_among_the_rows_to_learn_from_is_too_few(lake: Lake) -> None:
    with pytest.raises(TooLittleData, match="2 labels"):
        built(lake, toy(), [{**row, "kind": "FOOD" if row["date"].day < 15 else "FUEL"} for row in purchases(50)])


def test_rows_of_one_date_cannot_be_split_by_time(lake: Lake) -> None:
    with pytest.raises(TooLittleData, match=r"cannot be split by time at 2026-01-01.*split by account"):
        built(lake, toy(), [{**row, "date": dt.date(2026, 1, 1)} for row in purchases(60)])


def test_rows_of_one_account_cannot_be_split_by_account(lake: Lake) -> None:
    with pytest.raises(TooLittleData, match="cannot be split by account"):
        built(lake, toy(split={"by": "account"}), purchases(60, accounts=1))


# -- folds ------------------------------------------------------------------------------------------------------------


def folds_of(lake: Lake, split: dict[str, Any]) -> tuple[pa.Table, list[tuple[np.ndarray, np.ndarray]]]:
    rows = built(lake, toy(split=split), purchases(240, accounts=40)).load()
    train = rows.filter(sides(rows)[0])
    return train, fold_indices(train["_fold"].to_numpy(), 3, split["by"])


def test_folds_by_time_are_tested_only_on_later_dates(lake: Lake) -> None:
    train, folds = folds_of(lake, {"by": "time", "column": "date"})
    dates = train["_order"]
    assert len(folds) == 3
    for learned, tested in folds:
        assert pc.max(dates.take(learned)).as_py() < pc.min(dates.take(tested)).as_py()


def test_each_fold_by_time_learns_from_all_that_came_before(lake: Lake) -> None:
    _, folds = folds_of(lake, {"by": "time", "column": "date"})
    for (learned, tested), (next_learned, _) in pairwise(folds):
        assert set(next_learned) == {*learned, *tested}


@pytest.mark.parametrize("by", ["account", "random"])
def test_other_folds_test_every_training_row_once(lake: Lake, by: str) -> None:
    train, folds = folds_of(lake, {"by": by})
    assert sorted(np.concatenate([tested for _, tested in folds])) == list(range(len(train)))
    for learned, tested in folds:
        assert sorted([*learned, *tested]) == list(range(len(train)))


def test_folds_by_account_keep_accounts_apart(lake: Lake) -> None:
    train, folds = folds_of(lake, {"by": "account"})
    accounts = train["_account"].to_numpy()
    for learned, tested in folds:
        assert not set(accounts[learned]) & set(accounts[tested])


def test_held_out_rows_are_in_no_fold(lake: Lake) -> None:
    rows = built(lake, toy(), purchases(60)).load()
    learned, held_out = (rows.filter(mask)["_fold"].to_pylist() for mask in sides(rows))
    assert set(held_out) == {-1}
    assert set(learned) == {0, 1, 2, 3}


# -- fitting ----------------------------------------------------------------------------------------------------------


def test_a_vocabulary_has_values_by_falling_frequency_and_none_that_is_missing() -> None:
    rows = pa.table({"city": ["B", "A", "C", "A", None, "C"], "amount": [1.0] * 6})
    assert vocabularies(rows, {"city": True, "amount": False}) == {"city": ("A", "C", "B"), "amount": None}


def test_vocabularies_come_from_training_rows_alone(lake: Lake, tmp_path: Path) -> None:
    rows = [{**row, "city": "LATE"} if row["date"] >= dt.date(2026, 1, 17) else row for row in purchases(60)]
    training_set = built(lake, toy(), rows)
    assert "LATE" in training_set.load()["city"].to_pylist()
    for one in fit_candidates(toy(), training_set, tmp_path / "candidates"):
        assert set(Model.load(Path(one.folder), one.sha256).columns["city"] or ()) == {"C0", "C1", "C2", "C3"}


def test_every_candidate_is_fitted_and_stored_with_its_hash(lake: Lake, tmp_path: Path) -> None:
    told: list[str] = []
    training_set = built(lake, toy(), purchases(60))
    fitted = fit_candidates(toy(), training_set, tmp_path / "candidates", told.append)
    assert [one.name for one in fitted] == ["majority", "linear"]
    assert told[1].startswith("fitting linear (2 of 2) on ")
    for one in fitted:
        model = Model.load(Path(one.folder), one.sha256)
        assert (model.classes, model.sql) == (("FOOD", "FUEL"), toy().features_sql)
        assert one.size == sum(path.stat().st_size for path in Path(one.folder).iterdir())


def hurried(use_case: UseCase) -> UseCase:
    """The same candidates with two rounds or trees each."""
    few = {"max_iter": 2, "n_estimators": 2, "iterations": 2}
    candidates = {
        name: one.model_copy(update={"parameters": {n: few.get(n, v) for n, v in one.parameters.items()}, "search": {}})
        for name, one in use_case.training.candidates.items()
    }
    return use_case.model_copy(update={"training": use_case.training.model_copy(update={"candidates": candidates})})


@pytest.mark.parametrize("name", ["transactions", "loan_approval", "santander"])
def test_the_candidates_that_come_with_the_package_can_be_stored(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    use_case = hurried(request.getfixturevalue(name))
    training_set = build_training_set(use_case, draw_day(use_case, tmp_path, files=10, rows=20))
    fitted = fit_candidates(use_case, training_set, tmp_path / "candidates")
    models = [Model.load(Path(one.folder), one.sha256, use_case.training.trusted) for one in fitted]
    rows = training_set.load()
    shape = (len(rows), len(training_set.classes))
    assert {model.probabilities(model.matrix(rows)).shape for model in models} == {shape}
    assert [one.name for one in fitted] == list(use_case.training.candidates)


FAILING = {"use": "mlops_assets_tests.journey.train.test_training.Fussy"}


class Fussy(DummyClassifier):
    """Cannot be fitted, as some classes cannot where a class has one row."""

    def fit(self, matrix: Any, target: Any, sample_weight: Any = None) -> Fussy:  # noqa: ARG002 - as scikit-learn asks
        raise ValueError("The least populated class\nhas only 1 member")


def test_a_candidate_that_cannot_be_fitted_is_refused_by_name_and_the_others_go_on(lake: Lake, tmp_path: Path) -> None:
    use_case = toy(candidates={**CANDIDATES, "fussy": FAILING})
    training_set = built(lake, use_case, purchases(60))
    told: list[str] = []
    fitted = fit_candidates(use_case, training_set, tmp_path / "candidates", told.append)
    why = "ValueError: The least populated class has only 1 member"
    assert {one.name: one.failed for one in fitted} == {"majority": "", "linear": "", "fussy": why}
    assert told[-1] == f"fussy cannot be fitted: {why}"
    judged = evaluate(use_case, training_set, fitted)
    assert [one.name for one in judged.scores][-1] == "fussy"
    verdict = decide(use_case.training, use_case.scale, judged.scores, judged.choice, None)
    assert verdict.winner == "linear"
    assert verdict.reason.endswith(f"; fussy fails ({why})")
    assert [condition.found for condition in verdict.conditions["fussy"]] == [why]


@pytest.mark.parametrize(
    ("failing", "message"),
    [
        (
            ("linear",),
            r"toy: every candidate beside the baseline fails \(linear: ValueError: The least .*\)\. Mend one",
        ),
        (("majority",), r"toy: the baseline, majority, .* fails \(majority: ValueError: The least populated class "),
        (("majority", "linear"), r"toy: the baseline, majority, .* fails \(majority: .*; linear: ValueError"),
    ],
)
def test_without_the_baseline_or_anything_beside_it_there_is_no_training(
    lake: Lake, tmp_path: Path, failing: tuple[str, ...], message: str
) -> None:
    use_case = toy(candidates={**CANDIDATES, **dict.fromkeys(failing, FAILING)})
    training_set = built(lake, use_case, purchases(60))
    with pytest.raises(CandidatesFailed, match=message):
        fit_candidates(use_case, training_set, tmp_path / "candidates")


def test_a_candidate_whose_class_asks_for_chance_is_the_same_each_time(lake: Lake, tmp_path: Path) -> None:
    chance = {"use": "sklearn.ensemble.RandomForestClassifier", "parameters": {"n_estimators": 3}, "then": [IMPUTER]}
    use_case = toy(candidates={**CANDIDATES, "chance": chance})
    training_set = built(lake, use_case, purchases(60))
    hashes = [
        [one.sha256 for one in fit_candidates(use_case, training_set, tmp_path / again)] for again in ("once", "twice")
    ]
    assert hashes[0] == hashes[1]


def test_a_search_takes_the_argument_that_did_best_over_the_folds(lake: Lake) -> None:
    tree = {"use": "sklearn.tree.DecisionTreeClassifier", "search": {"max_depth": [1, 6]}}
    use_case = toy(candidates={**CANDIDATES, "tree": tree}, split={"by": "random"})
    rows = [{**row, "kind": ("FOOD", "FUEL")[row["city"] in ("C1", "C2")]} for row in purchases(200)]
    training_set = built(lake, use_case, rows)
    found = choose(use_case, use_case.training.candidates["tree"], training_set, training_set.load())
    assert found.parameters == {"max_depth": 6}


def test_a_search_takes_an_argument_of_an_argument(lake: Lake) -> None:
    tree = {"use": "sklearn.tree.DecisionTreeClassifier", "parameters": {"random_state": 0}}
    bagging = {
        "use": "sklearn.ensemble.BaggingClassifier",
        "parameters": {"estimator": tree, "n_estimators": 2, "random_state": 0},
        "search": {"estimator__max_depth": [1, 6]},
    }
    use_case = toy(candidates={**CANDIDATES, "bagging": bagging}, split={"by": "random"})
    rows = [{**row, "kind": ("FOOD", "FUEL")[row["city"] in ("C1", "C2")]} for row in purchases(200)]
    training_set = built(lake, use_case, rows)
    found = choose(use_case, use_case.training.candidates["bagging"], training_set, training_set.load())
    assert found.parameters["estimator__max_depth"] == 6
    # as the second fit, on all rows, gets it
    again = as_fitted(use_case, "bagging", found.parameters, "the card")
    model = fit(use_case, again, training_set, training_set.load())
    assert model.estimator[-1].get_params()["estimator__max_depth"] == 6


def test_a_candidate_without_a_search_stays_as_it_is(lake: Lake) -> None:
    training_set = built(lake, toy(), purchases(60))
    linear = toy().training.candidates["linear"]
    assert choose(toy(), linear, training_set, training_set.load()) is linear


def test_the_threshold_of_the_configuration_is_the_models(lake: Lake) -> None:
    use_case = toy(threshold=0.9)
    training_set = built(lake, use_case, purchases(60))
    model = fit(use_case, use_case.training.candidates["linear"], training_set, training_set.load())
    assert model.threshold == 0.9


def test_labels_become_the_numbers_of_their_classes() -> None:
    rows = pa.table({"_label": ["FUEL", "FOOD", "FUEL"]})
    assert class_numbers(rows, ("FOOD", "FUEL")).tolist() == [1, 0, 1]


def test_what_a_training_run_remembers_can_be_read_back(lake: Lake, tmp_path: Path) -> None:
    training_set = built(lake, toy(), purchases(60))
    fitted = fit_candidates(toy(), training_set, tmp_path / "candidates")
    record = FittedCandidates(training_set, tuple(fitted))
    assert FittedCandidates.from_json(json.loads(json.dumps(record.to_json()))) == record
