"""In: fitted candidates. Out: their scores on the same held-out rows, and the verdict of the gate with its reasons."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.features.sql import BATCH
from mlops_assets.journey.model.about import Condition
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.candidates import Fitted, calm_fitting, class_numbers, fit
from mlops_assets.journey.train.metrics import NO_METRICS, higher_is_better, load_metrics, measure
from mlops_assets.journey.train.training_set import TrainingSet, fold_indices
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
        Rows that one core scores in a second, from the matrix to the label.
    classes
        Precision, recall, F1 and number of rows of every class.
    confusion
        Rows by true class (down) and predicted class (across), in the order of the classes.
    calibration
        Rows by the probability of the answer, in ten equal steps: mean probability, share that was right, rows.
    """

    name: str
    metrics: dict[str, float]
    folds: tuple[float, ...]
    rows_per_second: float
    classes: dict[str, dict[str, float]] = field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] = ()
    calibration: tuple[dict[str, float], ...] = ()

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what a training wrote of it."""
        confusion = tuple(map(tuple, written["confusion"]))
        lists = {"folds": tuple(written["folds"]), "confusion": confusion, "calibration": tuple(written["calibration"])}
        return cls(**{**written, **lists})


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
    """

    winner: str | None
    conditions: dict[str, tuple[Condition, ...]]
    reason: str

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what a training wrote of it."""
        conditions = {
            name: tuple(Condition(**condition) for condition in some) for name, some in written["conditions"].items()
        }
        return cls(written["winner"], conditions, written["reason"])


def evaluate(use_case: UseCase, training_set: TrainingSet, fitted: Sequence[Fitted]) -> list[Score]:
    """Score every candidate on the held-out rows, and on the folds of the training part; the best first."""
    rows = training_set.load()
    held_out, train = rows.filter(rows["_held_out"]), rows.filter(pc.invert(rows["_held_out"]))
    own = load_metrics(use_case.training)
    scores = []
    for candidate in fitted:
        model = Model.load(parse_place(candidate.folder), candidate.sha256, use_case.training.trusted)
        folds = _score_folds(use_case, training_set, candidate, train)
        scores.append(score(model, held_out, candidate.name, folds, own))
    return sorted(scores, key=lambda scored: _rank(scored, use_case.training.metric))


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

    # a champion may not know a label that came later: it is a class of its own, which this model never says
    labels = (*model.classes, *sorted(set(pc.unique(held_out["_label"]).to_pylist()) - set(model.classes)))
    truth = class_numbers(held_out, labels)
    matrix = model.matrix(held_out)
    narrow = model.probabilities(matrix)
    predicted = model.decide(narrow)
    probabilities = np.pad(narrow, ((0, 0), (0, len(labels) - narrow.shape[1])))
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
    return Score(name, metrics, folds, round(speed(model, matrix)), table, cells, calibration)


def calibrate(truth: np.ndarray, probabilities: np.ndarray, predicted: np.ndarray) -> tuple[dict[str, float], ...]:
    """How often answers of about the same probability are right; see `Score.calibration` and `measure`."""
    sure = probabilities[np.arange(len(predicted)), predicted]
    # a probability of exactly 1 belongs to the last tenth
    step = np.minimum((sure * 10).astype(int), 9)
    return tuple(
        {
            "probability": round(float(sure[step == number].mean()), 4),
            "right": round(float((truth == predicted)[step == number].mean()), 4),
            "rows": int((step == number).sum()),
        }
        for number in np.unique(step)
    )


def speed(model: Model, matrix: np.ndarray, seconds: float = 0.3) -> float:
    """Rows a second that one core scores: matrix in, class and probability out."""
    if not len(matrix):
        return 0.0
    texts = matrix.dtype == object  # which are read at thousands a second, so that fewer are enough
    batch = np.resize(matrix, (BATCH // 20 if texts else BATCH, matrix.shape[1]))
    rows = 0
    with calm_fitting():
        # once beforehand: a first call pays for what is made only once
        model.decide(model.probabilities(batch[:100]))
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            model.decide(model.probabilities(batch))
            rows += len(batch)
        return rows / (time.perf_counter() - began)


def _score_folds(use_case: UseCase, training_set: TrainingSet, fitted: Fitted, train: pa.Table) -> tuple[float, ...]:
    candidate = use_case.training.candidates[fitted.name].model_copy(update={"parameters": fitted.parameters})
    values = []
    split, own = use_case.training.split.by, load_metrics(use_case.training)
    for before, after in fold_indices(train["_fold"].to_numpy(), use_case.training.folds, split):
        learned, tested = train.take(pa.array(before)), train.take(pa.array(after))
        if len(pc.unique(learned["_label"])) < 2:
            # there is nothing to tell apart
            values.append(float("nan"))
            continue
        with calm_fitting():
            model = fit(use_case, candidate, training_set, learned)
            probabilities = model.probabilities(model.matrix(tested))
        truth = class_numbers(tested, training_set.classes)
        metrics = measure(truth, probabilities, model.decide(probabilities), training_set.classes, own)
        values.append(metrics.get(use_case.training.metric, float("nan")))
    return tuple(values)


def _rank(score: Score, metric: str) -> float:
    value = score.metrics.get(metric, float("nan"))
    if np.isnan(value):
        return np.inf
    return -value if higher_is_better(metric) else value


def decide(training: Training, scale: Scale, scores: Sequence[Score], champion: Score | None) -> Verdict:
    """Ask the gate: the best candidate that meets every condition wins.

    Parameters
    ----------
    training
        Has the gate's conditions, the metric that ranks, and the name of the baseline, which never wins itself.
    scale
        The planned volume and its deadline.
    scores
        All candidates on the same held-out rows.
    champion
        The present champion on the same rows, if there is one.
    """
    metric = training.metric
    base = next(score for score in scores if score.name == training.baseline)
    others = [score for score in scores if score.name != training.baseline]
    ranked = sorted((score for score in others if np.isfinite(_rank(score, metric))), key=lambda s: _rank(s, metric))
    looked_at: dict[str, tuple[Condition, ...]] = {}
    # one that fails a condition does not keep out the next best
    for candidate in ranked:
        conditions = (*_conditions(training.gate, candidate, base, champion), _deadline(scale, candidate))
        looked_at[candidate.name] = conditions
        if all(condition.passed for condition in conditions):
            value = candidate.metrics[metric]
            reason = f"{candidate.name} passes: {metric} {value:.3f}, baseline {base.metrics[metric]:.3f}"
            return Verdict(candidate.name, looked_at, reason)
    if not ranked:
        return Verdict(None, looked_at, "refused: there is no candidate beside the baseline")
    return Verdict(None, looked_at, _refusal(ranked[0].name, looked_at[ranked[0].name]))


def _refusal(best: str, conditions: Sequence[Condition]) -> str:
    failed = "; ".join(f"{c.name}: found {c.found}, asked {c.asked}" for c in conditions if not c.passed)
    return f"refused: the best candidate, {best}, fails {failed}"


def _conditions(gate: Gate, candidate: Score, base: Score, champion: Score | None) -> tuple[Condition, ...]:
    conditions = [_compare(f"floor of {name}", candidate, name, least) for name, least in gate.floors.items()]
    for name, margin in gate.margin.items():
        bound = _of(base, name) + _better_by(margin, name)
        conditions.append(_compare(f"baseline and margin in {name}", candidate, name, bound))
    if champion is not None:
        for name, loss in gate.tolerance.items():
            bound = _of(champion, name) - _better_by(loss, name)
            conditions.append(_compare(f"champion less tolerance in {name}", candidate, name, bound))
    if gate.rows_per_second:
        passed = candidate.rows_per_second >= gate.rows_per_second
        asked, found = f"at least {gate.rows_per_second:,.0f}", f"{candidate.rows_per_second:,.0f}"
        conditions.append(Condition("rows a second on one core", asked, found, passed))
    return tuple(conditions)


def _better_by(amount: float, metric: str) -> float:
    """An improvement of a metric by an amount, as what is added to its value."""
    return amount if higher_is_better(metric) else -amount


def _deadline(scale: Scale, candidate: Score) -> Condition:
    """Whether the model alone makes the planned day in time; reading and features come on top."""
    minutes = scale.rows_a_day / max(1e-9, candidate.rows_per_second * scale.workers) / 60
    asked = f"at most {scale.minutes:g}"
    found = f"{minutes:.1f} at {candidate.rows_per_second:,.0f} rows a second"
    what = f"minutes to score {scale.rows_a_day:,} rows on {scale.workers} cores"
    return Condition(what, asked, found, minutes <= scale.minutes)


def _compare(what: str, candidate: Score, metric: str, bound: float) -> Condition:
    value = _of(candidate, metric)
    up = higher_is_better(metric)
    passed = bool(value >= bound if up else value <= bound)  # NaN passes nothing
    return Condition(what, f"at {'least' if up else 'most'} {bound:.3f}", f"{value:.3f}", passed)


def _of(score: Score, metric: str) -> float:
    return score.metrics.get(metric, float("nan"))
