"""Evaluation: the metrics are scikit-learn's, and the gate says why a candidate may serve or may not."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sk
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.training_runs import TrainingRuns
from mlops_assets.journey.train.candidates import fit_candidates
from mlops_assets.journey.train.choice import Choice
from mlops_assets.journey.train.contest import Contest
from mlops_assets.journey.train.evaluation import evaluate
from mlops_assets.journey.train.gate import Verdict, decide
from mlops_assets.journey.train.intervals import Interval
from mlops_assets.journey.train.metrics import HIGHER_IS_BETTER, measure
from mlops_assets.journey.train.records import Evaluation
from mlops_assets.journey.train.scores import Score, score
from mlops_assets.journey.train.speed import speed
from mlops_assets.journey.train.training_set import TrainingSet
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import Scale
from mlops_assets_tests.helpers.toy import built, purchases, toy

TRUTH = np.array([0, 0, 1, 1, 2, 2, 2, 0])
PROBABILITIES = np.array(
    [
        [0.7, 0.2, 0.1],
        [0.4, 0.5, 0.1],
        [0.1, 0.8, 0.1],
        [0.5, 0.3, 0.2],
        [0.2, 0.2, 0.6],
        [0.1, 0.3, 0.6],
        [0.6, 0.3, 0.1],
        [0.5, 0.1, 0.4],
    ]
)
SAID = PROBABILITIES.argmax(axis=1)
A_SET = TrainingSet("a1", "a1.parquet", 60, 12, 0, ("2026-01-01", "2026-01-02"), ("a", "b"), {"amount": False}, None)

# -- metrics ----------------------------------------------------------------------------------------------------------

EXPECTED = {
    "accuracy": sk.accuracy_score(TRUTH, SAID),
    "macro_f1": sk.f1_score(TRUTH, SAID, average="macro"),
    "weighted_f1": sk.f1_score(TRUTH, SAID, average="weighted"),
    "log_loss": sk.log_loss(TRUTH, PROBABILITIES),
    "roc_auc": sk.roc_auc_score(TRUTH, PROBABILITIES, multi_class="ovr", average="weighted"),
}


@pytest.mark.parametrize("metric", EXPECTED)
def test_a_metric_is_that_of_scikit_learn(metric: str) -> None:
    assert measure(TRUTH, PROBABILITIES, SAID)[metric] == pytest.approx(EXPECTED[metric], abs=5e-5)


def test_with_two_classes_the_area_is_that_of_the_second() -> None:
    truth, second = np.array([0, 1, 1, 0]), np.array([0.2, 0.8, 0.4, 0.5])
    found = measure(truth, np.column_stack([1 - second, second]), (second > 0.5).astype(int))
    assert found["roc_auc"] == sk.roc_auc_score(truth, second) == 0.75


def test_rows_of_one_class_have_no_area() -> None:
    assert "roc_auc" not in measure(np.zeros(3, int), np.array([[0.9, 0.1]] * 3), np.zeros(3, int))


def test_a_class_without_rows_does_not_spoil_the_area() -> None:
    wider = np.column_stack([PROBABILITIES, np.zeros(len(TRUTH))])
    assert measure(TRUTH, wider, SAID)["roc_auc"] == pytest.approx(EXPECTED["roc_auc"], abs=5e-5)


def test_one_row_said_to_be_impossible_leaves_the_log_loss_finite() -> None:
    found = measure(np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 0]))
    assert found["log_loss"] == pytest.approx(-math.log(1e-6) / 2, rel=1e-3)


# -- the score of a model ---------------------------------------------------------------------------------------------


def by_amount(*classes: str) -> Model:
    """A model that tells classes apart by the amount: class k lies around k."""
    numbers = np.repeat(np.arange(len(classes)), 10)
    amounts = numbers + np.tile(np.linspace(-0.1, 0.1, 10), len(classes))
    return Model(LogisticRegression(C=1e4).fit(amounts[:, None], numbers), {"amount": None}, classes, "")


def labelled(**rows: list[float]) -> pa.Table:
    labels = [label for label, amounts in rows.items() for _ in amounts]
    return pa.table({"_label": labels, "amount": [amount for amounts in rows.values() for amount in amounts]})


def test_a_score_tells_each_class_and_who_was_taken_for_whom() -> None:
    found = score(by_amount("a", "b"), labelled(a=[0.0, 0.0, 1.0], b=[1.0]), "linear", (0.5,))
    assert (found.name, found.folds, found.metrics["accuracy"]) == ("linear", (0.5,), 0.75)
    assert found.confusion == ((2, 1), (0, 1))
    assert found.classes["a"] == {"precision": 1.0, "recall": pytest.approx(2 / 3), "f1": pytest.approx(0.8), "rows": 3}
    assert found.rows_per_second > 0


def test_rows_with_a_label_that_a_champion_does_not_know_are_rows_it_gets_wrong() -> None:
    found = score(by_amount("a", "b"), labelled(a=[0.0, 0.0], b=[1.0], new=[1.0]), "champion")
    assert found.metrics["accuracy"] == 0.75
    assert all(np.isfinite(value) for value in found.metrics.values())


def test_the_speed_of_no_rows_is_zero() -> None:
    assert speed(by_amount("a", "b"), np.zeros((0, 1))) == 0


def test_candidates_are_scored_on_the_held_out_rows_and_ranked(tmp_path: Path) -> None:
    rows = [{**row, "kind": "FUEL" if (row["amount"] or 0) % 3 < 2 else "FOOD"} for row in purchases(120)]
    use_case = toy(folds=2)
    training_set = built(Lake(tmp_path, "toy"), use_case, rows)
    scores = evaluate(use_case, training_set, fit_candidates(use_case, training_set, tmp_path / "candidates")).scores
    assert [one.name for one in scores] == ["linear", "majority"]
    for one in scores:
        assert sum(known["rows"] for known in one.classes.values()) == training_set.held_out
        assert len(one.folds) == 2


def test_a_fold_that_learns_from_one_label_alone_has_no_score_and_does_not_stop_the_others(tmp_path: Path) -> None:
    rows = [{**row, "kind": "FOOD"} if row["date"].day < 11 else row for row in purchases(120)]
    training_set = built(Lake(tmp_path, "toy"), toy(), rows)
    scores = evaluate(toy(), training_set, fit_candidates(toy(), training_set, tmp_path / "candidates")).scores
    folds = next(one.folds for one in scores if one.name == "linear")
    assert [math.isnan(value) for value in folds] == [True, False, False]


# -- the gate ---------------------------------------------------------------------------------------------------------


def a_score(name: str, accuracy: float = 0.5, rows_per_second: float = 1e6, **metrics: float) -> Score:
    figures = {"accuracy": accuracy, **metrics}
    return Score(name, figures, (), rows_per_second, validation=figures)


def ranked(scores: Sequence[Score], metric: str = "accuracy") -> Choice:
    """The order in which candidates of different figures come."""
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    able = [one for one in scores if np.isfinite(one.validation.get(metric, math.nan))]
    return Choice(tuple(one.name for one in sorted(able, key=lambda one: -sign * one.validation[metric])))


BASE = a_score("majority", 0.4, log_loss=1.0)
EASY = Scale(rows_a_day=1)


def ask(
    *scores: Score,
    metric: str = "accuracy",
    champion: Contest | None = None,
    base: Score = BASE,
    scale: Scale = EASY,
    choice: Choice | None = None,
    elsewhere: bool = False,
    **gate: Any,
) -> Verdict:
    choice = choice or ranked(scores, metric)
    training = toy(metric=metric, gate=gate).training
    return decide(training, scale, [base, *scores], choice, champion, elsewhere=elsewhere)


def beside(one: Score, **champion: float) -> Contest:
    """A champion beside a candidate, on rows that neither has learned."""
    return Contest(7, 1_200, champion, {one.name: one.metrics})


def failed(verdict: Verdict, name: str) -> list[str]:
    return [condition.name for condition in verdict.conditions[name] if not condition.passed]


def test_the_best_candidate_that_meets_every_condition_wins() -> None:
    verdict = ask(a_score("linear", 0.5), a_score("forest", 0.6), floors={"accuracy": 0.45}, margin={"accuracy": 0.1})
    assert verdict.winner == "forest"
    assert verdict.reason == "forest passes: accuracy 0.600, baseline 0.400"
    assert list(verdict.conditions) == ["forest"]


def test_the_next_best_wins_when_the_best_fails() -> None:
    verdict = ask(a_score("forest", 0.6, rows_per_second=10), a_score("linear", 0.5), rows_per_second=1000)
    assert verdict.winner == "linear"
    assert failed(verdict, "forest") == ["rows a CPU second of one core"]


CASES: dict[str, tuple[Score, dict[str, Any], bool]] = {
    "at the floor": (a_score("one", 0.5), {"floors": {"accuracy": 0.5}}, True),
    "under the floor": (a_score("one", 0.499), {"floors": {"accuracy": 0.5}}, False),
    "at the margin": (a_score("one", 0.5), {"margin": {"accuracy": 0.1}}, True),
    "under the margin": (a_score("one", 0.49), {"margin": {"accuracy": 0.1}}, False),
    "a log loss at its floor": (a_score("one", log_loss=0.8), {"floors": {"log_loss": 0.8}}, True),
    "a log loss over its floor": (a_score("one", log_loss=0.81), {"floors": {"log_loss": 0.8}}, False),
    "a log loss better by the margin": (a_score("one", log_loss=0.75), {"margin": {"log_loss": 0.25}}, True),
    "a log loss better by less": (a_score("one", log_loss=0.8), {"margin": {"log_loss": 0.25}}, False),
    "fast enough": (a_score("one", rows_per_second=1000), {"rows_per_second": 1000}, True),
    "too slow": (a_score("one", rows_per_second=999), {"rows_per_second": 1000}, False),
    "NaN": (a_score("one", weighted_f1=math.nan), {"floors": {"weighted_f1": 0.0}}, False),
    "a metric that is missing": (a_score("one"), {"floors": {"roc_auc": 0.0}}, False),
    "one condition of two": (a_score("one", 0.6), {"floors": {"accuracy": 0.5}, "margin": {"accuracy": 0.3}}, False),
}


@pytest.mark.parametrize("case", CASES)
def test_a_candidate_wins_when_it_meets_the_conditions(case: str) -> None:
    one, gate, passes = CASES[case]
    assert ask(one, **gate).winner == ("one" if passes else None)


@pytest.mark.parametrize(("accuracy", "passes"), [(0.625, True), (0.5, True), (0.45, False)])
def test_a_candidate_may_lose_the_tolerance_against_the_champion_and_no_more(accuracy: float, passes: bool) -> None:
    one = a_score("one", accuracy)
    verdict = ask(one, champion=beside(one, accuracy=0.625), tolerance={"accuracy": 0.125})
    assert (verdict.winner == "one") is passes


@pytest.mark.parametrize(("log_loss", "passes"), [(0.5, True), (0.75, True), (0.8, False)])
def test_the_tolerance_of_a_log_loss_points_up(log_loss: float, passes: bool) -> None:
    one = a_score("one", log_loss=log_loss)
    verdict = ask(one, champion=beside(one, log_loss=0.5), tolerance={"log_loss": 0.25})
    assert (verdict.winner == "one") is passes


@pytest.mark.parametrize(
    ("rows_per_second", "workers", "passes"), [(1000, 1, True), (999, 1, False), (500, 2, True), (0, 2, False)]
)
def test_a_candidate_must_make_the_planned_day_in_time(rows_per_second: float, workers: int, passes: bool) -> None:
    scale = Scale(rows_a_day=60_000, minutes=1, workers=workers)
    verdict = ask(a_score("one", rows_per_second=rows_per_second), scale=scale)
    assert (verdict.winner == "one") is passes
    assert failed(verdict, "one") == ([] if passes else [f"minutes to score 60,000 rows on {workers} cores"])


def test_the_reason_names_the_champion_that_is_replaced_and_its_figure_on_the_same_rows() -> None:
    one = a_score("one", 0.785)
    contest = replace(beside(one, accuracy=0.674), candidates={"one": {"accuracy": 0.779}}, unjudged=("b", "c"))
    assert ask(one, champion=contest, tolerance={"accuracy": 0.02}).reason == (
        "one passes: accuracy 0.785, baseline 0.400; on 1,200 rows that neither has learned, of which none is b or c: "
        "0.779, champion 7 0.674"
    )


def test_where_there_is_nothing_to_compare_on_a_person_decides() -> None:
    contest = Contest(7, problem="3 of 60 held-out rows are known to neither, 60 are asked")
    verdict = ask(a_score("one", 0.5), champion=contest, tolerance={"accuracy": 0.02})
    assert verdict.winner == "one"
    assert verdict.waits == (
        "it could not be compared with champion 7: 3 of 60 held-out rows are known to neither, 60 are asked"
    )
    assert verdict.reason == f"one passes all else: accuracy 0.500, baseline 0.400; {verdict.waits}"


def test_a_model_from_elsewhere_replaces_no_champion_that_it_was_not_compared_with_or_is_worse_than() -> None:
    unknown = Contest(7, problem="nobody knows what it has learned")
    apart = {"one": {"accuracy": Interval(-0.4, -0.5, -0.3)}}
    worse = replace(beside(a_score("one", 0.5), accuracy=0.9), differences=apart)
    told = [ask(a_score("one", 0.5), champion=contest, elsewhere=True).waits for contest in (unknown, worse)]
    assert told == [
        "it could not be compared with champion 7: nobody knows what it has learned",
        "champion 7 is better in accuracy by more than noise",
    ]
    noise = replace(worse, differences={"one": {"accuracy": Interval(-0.1, -0.3, 0.1)}})
    for contest in (None, noise, Contest(7, problem="it is gone", lost=True)):
        assert ask(a_score("one", 0.5), champion=contest, elsewhere=True).waits == ""


@pytest.mark.parametrize(
    ("lost", "gate"), [(True, {"tolerance": {"accuracy": 0.02}}), (False, {})], ids=["it is lost", "no tolerance"]
)
def test_a_champion_that_is_lost_or_that_nothing_is_asked_beside_keeps_nobody_waiting(
    lost: bool, gate: dict[str, Any]
) -> None:
    verdict = ask(a_score("one", 0.5), champion=Contest(7, problem="it is gone", lost=lost), **gate)
    assert (verdict.winner, verdict.waits) == ("one", "")
    assert verdict.reason.endswith("; it was not compared with champion 7: it is gone")


def test_the_reason_names_every_better_candidate_that_was_refused_and_why() -> None:
    slow = [a_score("vote", 0.8, rows_per_second=10), a_score("forest", 0.7, rows_per_second=999)]
    failed = Score("boosting", {}, (), 0.0, failed="ValueError: one row of a class")
    verdict = ask(a_score("linear", 0.6), a_score("worse", 0.5), *slow, failed, rows_per_second=1000)
    assert verdict.reason == (
        "linear passes: accuracy 0.600, baseline 0.400; "
        "better, but refused: vote with 0.800 fails rows a CPU second of one core: found 10, asked at least 1,000; "
        "better, but refused: forest with 0.700 fails rows a CPU second of one core: found 999, asked at least 1,000; "
        "boosting fails (ValueError: one row of a class)"
    )


def test_without_a_champion_the_tolerance_does_not_matter() -> None:
    assert ask(a_score("one", 0.41), tolerance={"accuracy": 0.0}).winner == "one"


def test_by_log_loss_the_smallest_ranks_first() -> None:
    verdict = ask(a_score("one", log_loss=0.9), a_score("two", log_loss=0.3), metric="log_loss")
    assert verdict.winner == "two"


def test_the_baseline_never_wins() -> None:
    assert ask(a_score("linear", 0.1), base=a_score("majority", 0.9)).winner == "linear"
    assert ask(base=a_score("majority", 0.9)).winner is None


def test_without_a_candidate_beside_the_baseline_there_is_no_winner() -> None:
    verdict = ask()
    assert (verdict.winner, verdict.reason) == (None, "refused: there is no candidate beside the baseline")


@pytest.mark.parametrize("metrics", [{"roc_auc": math.nan}, {}], ids=["NaN", "missing"])
def test_a_candidate_without_a_value_of_the_ranking_metric_never_wins(metrics: dict[str, float]) -> None:
    base = a_score("majority", roc_auc=0.5)
    assert ask(a_score("one", **metrics), metric="roc_auc", base=base).winner is None


def test_a_refusal_says_what_the_best_candidate_lacks() -> None:
    gate: dict[str, Any] = {"floors": {"accuracy": 0.9}, "rows_per_second": 1000}
    verdict = ask(a_score("one", 0.5), a_score("two", 0.6), **gate)
    assert verdict.reason == (
        "refused: the best candidate, two, fails floor of accuracy, on rows that choose: found 0.600, asked at least 0.900"
    )
    assert list(verdict.conditions) == ["two", "one"]


def test_a_refusal_by_log_loss_asks_for_at_most() -> None:
    assert "asked at most 0.500" in ask(a_score("one", log_loss=0.9), floors={"log_loss": 0.5}).reason


# -- what is remembered -----------------------------------------------------------------------------------------------


def test_scores_and_verdict_can_be_read_back() -> None:
    model = Model(DummyClassifier().fit([[0], [1]], [0, 1]), {"amount": None}, ("a", "b"), "")
    scores = [score(model, labelled(a=[0.0], b=[1.0]), "majority", (0.5, 0.25)), a_score("linear", 0.75)]
    verdict = ask(*scores[1:], floors={"accuracy": 0.5})
    record = Evaluation(A_SET, (), tuple(scores), verdict, beside(scores[0], accuracy=0.5), seen=3)
    assert Evaluation.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_an_evaluation_names_the_candidate_that_becomes_a_version() -> None:
    won = ask(a_score("best", 0.9), a_score("good", 0.8))
    lost = ask(a_score("best", 0.9), a_score("good", 0.8), floors={"accuracy": 0.99})
    scores = (a_score("majority", 0.5), a_score("best", 0.9), a_score("good", 0.8))
    assert [Evaluation(A_SET, (), scores, verdict, None, None).best for verdict in (won, lost)] == ["best", "best"]
    assert Evaluation(A_SET, (), scores[:1], Verdict(None, {}, "refused"), None, None).best is None


@pytest.mark.parametrize("text", ["{}", '{"a":', "[]", '{"training_set": 3}'])
def test_a_record_of_a_training_that_is_damaged_is_told_with_its_path(tmp_path: Path, text: str) -> None:
    record = tmp_path / "toy" / "training" / "run" / "evaluation.json"
    record.parent.mkdir(parents=True)
    record.write_text(text)
    with pytest.raises(MlopsError, match=r"evaluation\.json.* [Dd]elete it, or train again"):
        TrainingRuns(tmp_path, "toy").newest(Evaluation)
