"""In: what a model says of rows that it has not learned. Out: its figures, with what is true of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pyarrow as pa

from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.calibration import Calibration
from mlops_assets.journey.train.conformal import by_size
from mlops_assets.journey.train.folds import Said, ask
from mlops_assets.journey.train.intervals import Interval
from mlops_assets.journey.train.metrics import NO_METRICS, load_metrics, measure, steps
from mlops_assets.journey.train.speed import speed
from mlops_assets.plugins.metrics import MetricFunction
from mlops_assets.use_case import Training


@dataclass(frozen=True)
class Tested:
    """What else is known of a figure on the rows that test.

    Attributes
    ----------
    intervals
        Of each metric that decides something: the figure and its bounds; see `intervals`.
    rounds
        Of each month: rows, what was learned, and the ranking metric.
    ages
        The ranking metric by how long before a row the model learned last: whole months, rows. Empty without a replay.
    seeds
        The ranking metric of the same candidate from other seeds; empty where it has none.
    unseen
        Rows of accounts that the model of their round has not learned, and the ranking metric of these.
    """

    intervals: Mapping[str, Interval] = field(default_factory=dict)
    rounds: tuple[Mapping[str, Any], ...] = ()
    ages: tuple[Mapping[str, Any], ...] = ()
    seeds: tuple[float, ...] = ()
    unseen: Mapping[str, float | None] = field(default_factory=dict)

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what a training wrote of it."""
        intervals = {name: Interval(**one) for name, one in written["intervals"].items()}
        lists = {name: tuple(written[name]) for name in ("rounds", "ages", "seeds")}
        return cls(**{**written, **lists, "intervals": intervals})


@dataclass(frozen=True)
class Score:
    """How one candidate did.

    Attributes
    ----------
    name
        Name of the candidate.
    metrics
        On the rows that test: accuracy, macro_f1, weighted_f1, log_loss and roc_auc (one against the rest, weighted;
        missing where these rows have one class only), of numbers mae, rmse, r2, median_error, mape and coverage; and
        those of `training.metrics`. Empty where it was not asked of them, for another candidate was chosen.
    folds
        The ranking metric in each round that chooses.
    rows_per_second
        Rows that are scored in a CPU second of one core, from the matrix to the label; see `speed`.
    classes
        Precision, recall, F1 and number of rows of every class.
    confusion
        Rows by true class (down) and predicted class (across), in the order of the classes.
    calibration
        Rows by the probability of the answer, in ten equal steps: mean probability, share that was right, rows. Of
        numbers there are no classes, and here is how predictions of different sizes fare; see `by_size`.
    failed
        The error with which it could not be fitted or asked, and so has no metrics; empty if it could.
    calibrated
        How its probabilities were made true; None of a model from elsewhere, and where an earlier release scored.
    validation
        The metrics on the rows that choose, of what it says as it says it; empty where an earlier release scored.
    unweighted
        Parts that learn from labels and take no weights, so that old rows count for them as new ones do.
    tested
        What else is known of `metrics`; None where it was not asked, and where an earlier release scored.
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
    validation: Mapping[str, float] = field(default_factory=dict)
    unweighted: tuple[str, ...] = ()
    tested: Tested | None = None

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what a training wrote of it."""
        calibrated, tested = written.get("calibrated"), written.get("tested")
        values = {
            "folds": tuple(written["folds"]),
            "confusion": tuple(map(tuple, written["confusion"])),
            "calibration": tuple(written["calibration"]),
            "calibrated": calibrated and Calibration.from_json(calibrated),
            "unweighted": tuple(written.get("unweighted", ())),
            "tested": tested and Tested.from_json(tested),
        }
        return cls(**{**written, **values})


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
    labels, truth, probabilities, predicted = ask(model, held_out)
    found = score_answers(name, labels, truth, probabilities, predicted, own)
    return Score(name, found.metrics, folds, round(speed(model, model.matrix(held_out))), *_tables(found))


def _tables(found: Score) -> tuple[Any, Any, Any]:
    return found.classes, found.confusion, found.calibration


def score_answers(
    name: str,
    labels: tuple[str, ...],
    truth: np.ndarray,
    probabilities: np.ndarray,
    predicted: np.ndarray,
    own: Mapping[str, MetricFunction] = NO_METRICS,
) -> Score:
    """Score answers to labelled rows.

    Parameters
    ----------
    name, own
        As for `score`.
    labels
        By class number.
    truth, probabilities, predicted
        As for `measure`.
    """
    if not labels:
        metrics = measure(truth, probabilities, predicted, (), own)
        return Score(name, metrics, (), 0.0, calibration=by_size(truth, probabilities))
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    numbers = np.arange(len(labels))
    per_class = precision_recall_fscore_support(truth, predicted, labels=numbers, zero_division=0)
    table = {
        label: {"precision": float(p), "recall": float(r), "f1": float(f), "rows": int(n)}
        for label, p, r, f, n in zip(labels, *per_class, strict=True)
    }
    confusion = confusion_matrix(truth, predicted, labels=numbers)
    cells = tuple(tuple(int(cell) for cell in row) for row in confusion)
    metrics = measure(truth, probabilities, predicted, labels, own)
    return Score(name, metrics, (), 0.0, table, cells, calibrate(truth, probabilities, predicted))


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


def figures(training: Training, classes: tuple[str, ...], said: Said, *names: str) -> dict[str, float]:
    """The metrics of what a model says; all of them if none is named.

    Parameters
    ----------
    training
        Its metrics, and the threshold by which one of two classes is said.
    classes
        By class number.
    said
        What it says.
    names
        The metrics that are wanted.
    """
    own, predicted = load_metrics(training), decided(training, said.probabilities)
    return measure(said.truth, said.probabilities, predicted, classes, own, names or None)


def decided(training: Training, probabilities: np.ndarray) -> np.ndarray:
    """The class number that is said for each row, or the number, as `Model.decide` does."""
    if training.says_numbers:
        return np.asarray(probabilities[:, 0])
    if training.threshold is not None and probabilities.shape[1] == 2:
        return np.asarray(probabilities[:, 1] >= training.threshold, np.int64)
    return np.asarray(probabilities.argmax(axis=1), np.int64)
