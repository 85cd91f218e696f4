"""In: fitted candidates. Out: their scores on the same held-out rows, and the verdict of the gate with its reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.about import Condition
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.calibration import Calibration, find_calibration
from mlops_assets.journey.train.candidates import Fitted, as_fitted, in_short, see_that_some_work
from mlops_assets.journey.train.contest import Contest, ask
from mlops_assets.journey.train.folds import Said, ask_folds, ask_for
from mlops_assets.journey.train.intervals import by_size
from mlops_assets.journey.train.metrics import NO_METRICS, higher_is_better, load_metrics, measure, steps
from mlops_assets.journey.train.speed import speed
from mlops_assets.journey.train.training_set import TrainingSet
from mlops_assets.plugins.metrics import MetricFunction
from mlops_assets.storage.places import parse_place
from mlops_assets.use_case import Gate, Scale, Training, UseCase


@dataclass(frozen=True)
class Score:
    """How one model did on the held-out rows.

    Attributes
    ----------
    name
        Name of the candidate.
    metrics
        accuracy, macro_f1, weighted_f1, log_loss and roc_auc (one against the rest, weighted; missing where the
        held-out rows have one class only), and those of `training.metrics`.
    folds
        The ranking metric on each fold of the training part.
    rows_per_second
        Rows that are scored in a CPU second of one core, from the matrix to the label; see `speed`.
    classes
        Precision, recall, F1 and number of rows of every class.
    confusion
        Rows by true class (down) and predicted class (across), in the order of the classes.
    calibration
        Rows by the probability of the answer, in ten equal steps: mean probability, share that was right, rows.
    failed
        The error with which it could not be fitted or asked, and so has no metrics; empty if it could.
    calibrated
        How its probabilities were made true; None of a model from elsewhere, and where an earlier release scored.
    """

    name: str
    metrics: dict[str, float]
    folds: tuple[float, ...]
    rows_per_second: float
    classes: dict[str, dict[str, float]] = field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] = ()
    calibration: tuple[dict[str, float], ...] = ()
    failed: str = ""
    calibrated: Calibration | None = None

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what a training wrote of it."""
        confusion, calibrated = tuple(map(tuple, written["confusion"])), written.get("calibrated")
        lists = {"folds": tuple(written["folds"]), "confusion": confusion, "calibration": tuple(written["calibration"])}
        return cls(**{**written, **lists, "calibrated": calibrated and Calibration.from_json(calibrated)})


@dataclass(frozen=True)
class Verdict:
    """What the gate decided.

    Attributes
    ----------
    winner
        The candidate that may become champion, or None.
    conditions
        The conditions of every candidate that was looked at, the best ranked first.
    reason
        One sentence for people.
    waits
        Why a person must decide about the winner, though it meets all conditions that could be looked at; empty if none
        need.
    baseline
        Metrics of the baseline on the same held-out rows.
    """

    winner: str | None
    conditions: dict[str, tuple[Condition, ...]]
    reason: str
    waits: str = ""
    baseline: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what a training wrote of it."""
        conditions = {
            name: tuple(Condition(**condition) for condition in some) for name, some in written["conditions"].items()
        }
        return cls(
            written["winner"], conditions, written["reason"], written.get("waits", ""), written.get("baseline", {})
        )


def evaluate(use_case: UseCase, training_set: TrainingSet, fitted: Sequence[Fitted]) -> list[Score]:
    """Score every candidate on the held-out rows, and on the folds of the training part; the best first.

    Raises
    ------
    CandidatesFailed
        If the baseline fails on them, or everything beside it.
    """
    rows = training_set.load()
    held_out, train = rows.filter(rows["_held_out"]), rows.filter(pc.invert(rows["_held_out"]))
    scores = [_score_candidate(use_case, training_set, candidate, train, held_out) for candidate in fitted]
    see_that_some_work(use_case, {score.name: score.failed for score in scores})
    return sorted(scores, key=lambda scored: _rank(scored, use_case.training.metric))


def _score_candidate(
    use_case: UseCase, training_set: TrainingSet, candidate: Fitted, train: pa.Table, held_out: pa.Table
) -> Score:
    if candidate.failed:
        return Score(candidate.name, {}, (), 0.0, failed=candidate.failed)
    model, training = load_candidate(use_case, candidate), use_case.training
    try:
        chosen = as_fitted(use_case, candidate.name, candidate.parameters, f"{use_case.name}: the stored training")
        folds = ask_folds(use_case, training_set, candidate.name, chosen, train)
        calibration = find_calibration(training, model, folds, ask_for(model, held_out))
        model = replace(model, calibrator=calibration.judged)
        values = tuple(_score_fold(training, model, fold[-1]) for fold in folds)
        scored = score(model, held_out, candidate.name, values, load_metrics(training))
        return replace(scored, calibrated=calibration)
    except MlopsError:  # a metric of the use case's own is wrong, whatever the candidate
        raise
    except Exception as error:  # a class of anybody's may fail in any way on these rows
        return Score(candidate.name, {}, (), 0.0, failed=in_short(error))


def _score_fold(training: Training, model: Model, fold: Said | None) -> float:
    """The ranking metric of what a candidate says of a fold, as it is: what calibrates has learned from these rows."""
    if fold is None:
        return float("nan")
    own, predicted = load_metrics(training), model.decide(fold.probabilities)
    metrics = measure(fold.truth, fold.probabilities, predicted, model.classes, own, {training.metric})
    return metrics.get(training.metric, float("nan"))


def load_candidate(use_case: UseCase, candidate: Fitted, score: Score | None = None) -> Model:
    """The model of a candidate that was fitted; with its score, as it was scored, which is calibrated."""
    model = Model.load(parse_place(candidate.folder), candidate.sha256, use_case.training.trusted)
    return replace(model, calibrator=score.calibrated.judged) if score and score.calibrated else model


def score(
    model: Model,
    held_out: pa.Table,
    name: str,
    folds: tuple[float, ...] = (),
    own: Mapping[str, MetricFunction] = NO_METRICS,
) -> Score:
    """Score one model on labelled rows that it never saw.

    Parameters
    ----------
    model
        The model.
    held_out
        Rows of a training set.
    name, folds
        As in `Score`.
    own
        The metrics of the use case; see `load_metrics`.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels, truth, probabilities, predicted = ask(model, held_out)
    if not labels:
        sure = model.task.sure(probabilities, predicted)
        metrics = measure(truth, probabilities, predicted, (), own, sure=sure)
        sizes = by_size(truth, predicted, **sure)
        return Score(name, metrics, folds, round(speed(model, model.matrix(held_out))), calibration=sizes)
    numbers = np.arange(len(labels))
    per_class = precision_recall_fscore_support(truth, predicted, labels=numbers, zero_division=0)
    table = {
        label: {"precision": float(p), "recall": float(r), "f1": float(f), "rows": int(n)}
        for label, p, r, f, n in zip(labels, *per_class, strict=True)
    }
    confusion = confusion_matrix(truth, predicted, labels=numbers)
    metrics = measure(truth, probabilities, predicted, labels, own)
    cells = tuple(tuple(int(cell) for cell in row) for row in confusion)
    calibration = calibrate(truth, probabilities, predicted)
    return Score(name, metrics, folds, round(speed(model, model.matrix(held_out))), table, cells, calibration)


def calibrate(truth: np.ndarray, probabilities: np.ndarray, predicted: np.ndarray) -> tuple[dict[str, float], ...]:
    """How often answers of about the same probability are right; see `Score.calibration` and `measure`."""
    sure = probabilities[np.arange(len(predicted)), predicted]
    step = steps(sure)
    return tuple(
        {
            "probability": round(float(sure[step == number].mean()), 4),
            "right": round(float((truth == predicted)[step == number].mean()), 4),
            "rows": int((step == number).sum()),
        }
        for number in np.unique(step)
    )


def _rank(score: Score, metric: str) -> float:
    value = score.metrics.get(metric, float("nan"))
    if np.isnan(value):
        return np.inf
    return -value if higher_is_better(metric) else value


def decide(training: Training, scale: Scale, scores: Sequence[Score], contest: Contest | None) -> Verdict:
    """Ask the gate: the best candidate that meets every condition wins.

    Parameters
    ----------
    training
        Has the gate's conditions, the metric that ranks, and the name of the baseline, which never wins itself.
    scale
        The planned volume and its deadline.
    scores
        All candidates on the same held-out rows.
    contest
        The candidates beside the present champion, on rows that none of them has learned, if there is one.
    """
    metric = training.metric
    base = next(score for score in scores if score.name == training.baseline)
    others = [score for score in scores if score.name != training.baseline]
    ranked = sorted((score for score in others if np.isfinite(_rank(score, metric))), key=lambda s: _rank(s, metric))
    looked_at: dict[str, tuple[Condition, ...]] = {score.name: (_failure(score),) for score in others if score.failed}
    failed = [f"{score.name} fails ({score.failed})" for score in others if score.failed]
    better: list[str] = []
    # one that fails a condition does not keep out the next best
    for candidate in ranked:
        conditions = (*_conditions(training.gate, candidate, base, contest), _deadline(scale, candidate))
        looked_at[candidate.name] = conditions
        refused = _refused(conditions)
        if not refused:
            waits = _waits(training.gate, contest)
            values = f"{metric} {candidate.metrics[metric]:.3f}, baseline {base.metrics[metric]:.3f}"
            said = f"{candidate.name} passes{' all else' if waits else ''}: {values}"
            reason = "; ".join([said, *_beside(metric, candidate.name, contest, waits), *better, *failed])
            return Verdict(candidate.name, looked_at, reason, waits, base.metrics)
        better.append(f"better, but refused: {candidate.name} with {candidate.metrics[metric]:.3f} fails {refused}")
    if not ranked:
        reason = "refused: there is no candidate beside the baseline"
    else:
        best = ranked[0].name
        reason = f"refused: the best candidate, {best}, fails {_refused(looked_at[best])}"
    return Verdict(None, looked_at, "; ".join([reason, *failed]), baseline=base.metrics)


def _failure(score: Score) -> Condition:
    return Condition("can be fitted and asked", "no error", score.failed, passed=False)


def _refused(conditions: Sequence[Condition]) -> str:
    """The conditions that do not hold, in words; empty if all do."""
    return ", ".join(f"{c.name}: found {c.found}, asked {c.asked}" for c in conditions if not c.passed)


def _waits(gate: Gate, contest: Contest | None) -> str:
    """Why a person must decide: what the gate asks beside the champion could not be looked at."""
    if contest is None or not contest.problem or contest.lost or not gate.tolerance:
        return ""
    return f"it could not be compared with champion {contest.version}: {contest.problem}"


def _beside(metric: str, name: str, contest: Contest | None, waits: str) -> Iterator[str]:
    """How the winner does beside the champion that it replaces, in words."""
    if contest is None:
        return
    if contest.problem:
        yield waits or f"it was not compared with champion {contest.version}: {contest.problem}"
        return
    mine, theirs = contest.candidates[name], contest.champion
    values = f"{_shown(mine, metric)}, champion {contest.version} {_shown(theirs, metric)}"
    lacking = f", of which none is {' or '.join(contest.unjudged)}" if contest.unjudged else ""
    yield f"on {contest.rows:,} rows that neither has learned{lacking}: {values}"


def _shown(metrics: Mapping[str, float], metric: str) -> str:
    return f"{metrics[metric]:.3f}" if metric in metrics else "without a value"


def _conditions(gate: Gate, candidate: Score, base: Score, contest: Contest | None) -> tuple[Condition, ...]:
    mine = candidate.metrics
    conditions = [_compare(f"floor of {name}", mine, name, least) for name, least in gate.floors.items()]
    for name, margin in gate.margin.items():
        bound = _of(base.metrics, name) + _better_by(margin, name)
        conditions.append(_compare(f"baseline and margin in {name}", mine, name, bound))
    if contest is not None and not contest.problem:
        where = f"on {contest.rows:,} rows that neither has learned"
        for name, loss in gate.tolerance.items():
            bound = _of(contest.champion, name) - _better_by(loss, name)
            what = f"champion {contest.version} less tolerance in {name} {where}"
            conditions.append(_compare(what, contest.candidates[candidate.name], name, bound))
    if gate.rows_per_second:
        passed = candidate.rows_per_second >= gate.rows_per_second
        asked, found = f"at least {gate.rows_per_second:,.0f}", f"{candidate.rows_per_second:,.0f}"
        conditions.append(Condition("rows a CPU second of one core", asked, found, passed))
    return tuple(conditions)


def _better_by(amount: float, metric: str) -> float:
    """An improvement of a metric by an amount, as what is added to its value."""
    return amount if higher_is_better(metric) else -amount


def _deadline(scale: Scale, candidate: Score) -> Condition:
    """Whether the model alone makes the planned day in time; reading and features come on top."""
    minutes = scale.rows_a_day / max(1e-9, candidate.rows_per_second * scale.workers) / 60
    asked = f"at most {scale.minutes:g}"
    found = f"{minutes:.1f} at {candidate.rows_per_second:,.0f} rows a CPU second"
    what = f"minutes to score {scale.rows_a_day:,} rows on {scale.workers} cores"
    return Condition(what, asked, found, minutes <= scale.minutes)


def _compare(what: str, metrics: Mapping[str, float], metric: str, bound: float) -> Condition:
    value = _of(metrics, metric)
    up = higher_is_better(metric)
    passed = bool(value >= bound if up else value <= bound)  # NaN passes nothing
    return Condition(what, f"at {'least' if up else 'most'} {bound:.3f}", f"{value:.3f}", passed)


def _of(metrics: Mapping[str, float], metric: str) -> float:
    return metrics.get(metric, float("nan"))
