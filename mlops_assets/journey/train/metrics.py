"""In: the truth and what a model said. Out: metrics, those of every evaluation and those of a use case's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.errors import MlopsError
from mlops_assets.plugins import load_plugin
from mlops_assets.plugins.metrics import MetricFunction
from mlops_assets.use_case import Training

if TYPE_CHECKING:
    from mlops_assets.journey.model.model import Model

HIGHER_IS_BETTER = {
    "accuracy": True,
    "macro_f1": True,
    "weighted_f1": True,
    "log_loss": False,
    "roc_auc": True,
    "mae": False,
    "rmse": False,
    "r2": True,
    "median_error": False,
    "mape": False,
    "coverage": True,
}
"""The metrics of every evaluation, and which way is better."""

SCORERS = {
    "log_loss": "neg_log_loss",
    "macro_f1": "f1_macro",
    "weighted_f1": "f1_weighted",
    "roc_auc": "roc_auc_ovr",
    "accuracy": "accuracy",
    "mae": "neg_mean_absolute_error",
    "rmse": "neg_root_mean_squared_error",
    "r2": "r2",
    "median_error": "neg_median_absolute_error",
    "mape": "neg_mean_absolute_percentage_error",
}
"""What scikit-learn calls them, for a search over folds."""

STEPS = 10
"""Steps of probability in which answers are compared with the truth."""

NO_METRICS: Mapping[str, MetricFunction] = MappingProxyType({})
UNSURE: Mapping[str, np.ndarray] = MappingProxyType({})

DIGITS = 6
"""Digits of a metric of numbers, which may be of any size."""


def higher_is_better(metric: str) -> bool:
    """Which way a metric is better; one of a use case's own is better the larger it is."""
    return HIGHER_IS_BETTER.get(metric, True)


def load_metrics(training: Training) -> dict[str, MetricFunction]:
    """The metrics that a use case brings, by name."""
    return {name: load_plugin(path, MetricFunction) for name, path in training.metrics.items()}


def scorer(training: Training, model: Model) -> str | Callable[[Any, np.ndarray, np.ndarray], float]:
    """The metric that ranks, as scikit-learn's searches ask for it; `model` knows columns and classes."""
    function = load_metrics(training).get(training.metric)
    if function is None:
        return SCORERS[training.metric]

    def score(estimator: Any, matrix: np.ndarray, truth: np.ndarray) -> float:
        # scikit-learn fits copies of the estimator; columns and classes stay those of the model
        probabilities = replace(model, estimator=estimator).probabilities(matrix)
        return _ask(training.metric, function, truth, probabilities, model.classes)

    return score


def measure(
    truth: np.ndarray,
    probabilities: np.ndarray,
    predicted: np.ndarray,
    classes: Sequence[str] = (),
    own: Mapping[str, MetricFunction] = NO_METRICS,
    names: Collection[str] | None = None,
    sure: Mapping[str, np.ndarray] = UNSURE,
) -> dict[str, float]:
    """The metrics of predictions; one that has no value for these rows is absent.

    Parameters
    ----------
    truth, predicted
        Class numbers, or floats where what is predicted is a number.
    probabilities
        What was said: one column a class, or one with the numbers.
    classes, own
        Labels by class number, none of numbers; and the metrics of the use case, which ask for them.
    names
        The metrics that are wanted; all by default, which takes many times as long as one.
    sure
        Of numbers, the ends of their intervals; see `Task.sure`.

    Raises
    ------
    MlopsError
        If a metric of the use case fails, or gives no number.
    """
    is_number = truth.dtype.kind == "f"
    of_every_evaluation = (
        _of_numbers(truth, predicted, sure) if is_number else _of_classes(truth, probabilities, predicted)
    )
    of_the_use_case = {
        name: partial(_ask, name, function, truth, probabilities, classes) for name, function in own.items()
    }
    asked: dict[str, Callable[[], float]] = {**of_every_evaluation, **of_the_use_case}
    values = {name: float(ask()) for name, ask in asked.items() if names is None or name in names}
    shorter = _significant if is_number else partial(round, ndigits=4)
    return {name: shorter(value) for name, value in values.items() if not math.isnan(value)}


def _significant(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _of_classes(truth: np.ndarray, probabilities: np.ndarray, predicted: np.ndarray) -> dict[str, Callable[[], float]]:
    from sklearn.metrics import accuracy_score, f1_score, log_loss

    return {
        "accuracy": lambda: accuracy_score(truth, predicted),
        "macro_f1": lambda: f1_score(truth, predicted, average="macro", zero_division=0),
        "weighted_f1": lambda: f1_score(truth, predicted, average="weighted", zero_division=0),
        "log_loss": lambda: log_loss(truth, _clipped(probabilities), labels=np.arange(probabilities.shape[1])),
        "roc_auc": lambda: _roc_auc(truth, probabilities),
    }


def _of_numbers(
    truth: np.ndarray, predicted: np.ndarray, sure: Mapping[str, np.ndarray]
) -> dict[str, Callable[[], float]]:
    """Errors of numbers; the relative one where no true number is 0, r2 where they are not all the same."""
    errors = np.abs(predicted - truth)
    spread = float(((truth - truth.mean()) ** 2).sum())
    return {
        "mae": lambda: float(errors.mean()),
        "rmse": lambda: float(np.sqrt((errors**2).mean())),
        "r2": lambda: 1 - float((errors**2).sum()) / spread if spread else math.nan,
        "median_error": lambda: float(np.median(errors)),
        "mape": lambda: float((errors / np.abs(truth)).mean()) if truth.all() else math.nan,
        "coverage": lambda: _coverage(truth, sure),
    }


def _coverage(truth: np.ndarray, sure: Mapping[str, np.ndarray]) -> float:
    """Share of the true numbers that lie in their intervals; NaN where there are none."""
    if not sure or np.isnan(sure["low"]).any():
        return math.nan
    return float(within(truth, sure["low"], sure["high"]).mean())


def within(truth: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Which true numbers lie in their intervals, the ends among them."""
    inside: np.ndarray = (low <= truth) & (truth <= high)
    return inside


def steps(sure: np.ndarray) -> np.ndarray:
    """To which of ten equal steps the probability of an answer belongs; exactly 1 belongs to the last."""
    number: np.ndarray = np.minimum((sure * STEPS).astype(int), STEPS - 1)
    return number


def expected_error(right: np.ndarray, sure: np.ndarray) -> float:
    """How far the probability of an answer is from the share of such answers that are right, in the mean of all rows.

    Expected calibration error (ECE), Naeini, Cooper, Hauskrecht (2015), 'Obtaining well calibrated probabilities using
    Bayesian binning', of the answer alone and with steps of equal width, as Guo et al. (2017), 'On calibration of
    modern neural networks', have it: over ten steps of probability, the distance between mean probability and share
    that is right, weighted by rows.

    Parameters
    ----------
    right
        Whether each answer is right.
    sure
        Probability of that answer.

    Returns
    -------
    float
        From 0 to 1; above 0 by chance alone, see `chance_error`.
    """
    return float(np.abs(np.bincount(steps(sure), sure - right)).sum() / len(sure))


def chance_error(sure: np.ndarray) -> float:
    """The error that is expected of so many answers if their probabilities are true: 0.03 of 1,000, 0.09 of 100.

    The distance in a step is then about normal around 0, whose mean size is sqrt(2 / pi) of its deviation.

    Parameters
    ----------
    sure
        As for `expected_error`.
    """
    deviations = np.sqrt(np.bincount(steps(sure), sure * (1 - sure)))
    return float(math.sqrt(2 / math.pi) * deviations.sum() / len(sure))


def _clipped(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities without zeros, so that one impossible row does not make the log loss infinite."""
    clipped = np.clip(probabilities, 1e-6, None)
    normal: np.ndarray = clipped / clipped.sum(axis=1, keepdims=True)
    return normal


def _roc_auc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Area under the ROC curve, one class against the rest, weighted by the rows of the class; NaN if there is none."""
    from sklearn.metrics import roc_auc_score

    if probabilities.shape[1] == 2 and len(np.unique(truth)) == 2:
        return float(roc_auc_score(truth, probabilities[:, 1]))
    # a class that all rows belong to, or none, has no area
    present = [number for number in np.unique(truth) if 0 < (truth == number).sum() < len(truth)]
    if not present:
        return math.nan
    weights = [(truth == number).sum() for number in present]
    areas = [roc_auc_score(truth == number, probabilities[:, number]) for number in present]
    return float(np.average(areas, weights=weights))


def _ask(
    name: str, function: MetricFunction, truth: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> float:
    """What a metric of the use case says."""
    try:
        labels = np.array(classes, object)[truth] if classes else truth
        value = function(labels, probabilities, tuple(classes))
    except Exception as error:  # the user's own code: whatever it raises is told
        raise MlopsError(f"training.metrics.{name} failed: {type(error).__name__}: {error}") from error
    if not isinstance(value, Real):
        raise MlopsError(f"training.metrics.{name} gives a {type(value).__name__}, expected a number")
    return float(value)
