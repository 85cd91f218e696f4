"""In: the truth and what a model said. Out: metrics, those of every evaluation and those of a use case's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from numbers import Real
from types import MappingProxyType

import numpy as np

from mlops_assets.errors import MlopsError
from mlops_assets.plugins import load_plugin
from mlops_assets.plugins.metrics import MetricFunction
from mlops_assets.use_case import Training
from mlops_assets.use_case.strict import Task

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
"""The metrics of every evaluation, and which way is better: first those of classes, then those of numbers."""

SHARE, ERROR = (0.0, 1.0), (0.0, math.inf)

POSSIBLE: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        **dict.fromkeys(("accuracy", "macro_f1", "weighted_f1", "roc_auc", "coverage"), SHARE),
        **dict.fromkeys(("log_loss", "mae", "rmse", "median_error", "mape"), ERROR),
        "r2": (-math.inf, 1.0),
    }
)
"""Between which values each of them lies, whatever the rows; nothing is known of a metric of a use case's own."""

PROPER: Mapping[Task, str] = MappingProxyType({"classification": "log_loss", "regression": "rmse"})
"""What decides between candidates that the ranking metric cannot tell apart: a proper score of all that they say."""

DIGITS = 6
"""Digits of a metric of numbers, which may be of any size."""

STEPS = 10
"""Steps of probability in which answers are compared with the truth."""

NO_METRICS: Mapping[str, MetricFunction] = MappingProxyType({})


def higher_is_better(metric: str) -> bool:
    """Which way a metric is better; one of a use case's own is better the larger it is."""
    return HIGHER_IS_BETTER.get(metric, True)


def deciding_metrics(training: Training) -> tuple[str, ...]:
    """The metrics whose bounds are worth their computation: that which ranks, the gate's, the share that is right."""
    gate = training.gate
    return tuple(dict.fromkeys([training.metric, training.right, *gate.floors, *gate.margin, *gate.tolerance]))


def load_metrics(training: Training) -> dict[str, MetricFunction]:
    """The metrics that a use case brings, by name."""
    return {name: load_plugin(path, MetricFunction) for name, path in training.metrics.items()}


def measure(
    truth: np.ndarray,
    probabilities: np.ndarray,
    predicted: np.ndarray,
    classes: Sequence[str] = (),
    own: Mapping[str, MetricFunction] = NO_METRICS,
    names: Collection[str] | None = None,
) -> dict[str, float]:
    """The metrics of predictions; one that has no value for these rows is absent.

    Parameters
    ----------
    truth, predicted
        Class numbers; floats where what is predicted is a number.
    probabilities
        What was said: one column a class; or the numbers, with the ends of their intervals.
    classes, own
        Labels by class number, none of numbers; and the metrics of the use case, which ask for them.
    names
        The metrics that are wanted; all by default, which takes many times as long as one.

    Raises
    ------
    MlopsError
        If a metric of the use case fails, or gives no number.
    """
    if truth.dtype.kind == "f":
        of_every_evaluation, shorter = _of_numbers(truth, probabilities, predicted), significant
    else:
        of_every_evaluation, shorter = _of_classes(truth, probabilities, predicted), partial(round, ndigits=4)
    of_the_use_case = {
        name: partial(_ask, name, function, truth, probabilities, classes) for name, function in own.items()
    }
    asked: dict[str, Callable[[], float]] = {**of_every_evaluation, **of_the_use_case}
    with np.errstate(over="ignore"):  # of numbers near the largest there is, an error may have no end
        values = {name: float(ask()) for name, ask in asked.items() if names is None or name in names}
    return {name: shorter(value) for name, value in values.items() if math.isfinite(value)}


def significant(value: float) -> float:
    """A number of any size with as many digits as are kept of it."""
    return float(f"{value:.{DIGITS}g}")


def shown(value: float) -> str:
    """A metric in a sentence: three digits behind the point, more of what is so small that these would be zeros.

    Examples
    --------
    >>> shown(0.45678), shown(42.43), shown(0.00001234), shown(1234567.8)
    ('0.457', '42.430', '1.234e-05', '1.235e+06')
    """
    return f"{value:.3f}" if value == 0 or 0.001 <= abs(value) < 1e6 or math.isnan(value) else f"{value:.4g}"


def _of_classes(truth: np.ndarray, probabilities: np.ndarray, predicted: np.ndarray) -> dict[str, Callable[[], float]]:
    from sklearn.metrics import accuracy_score, f1_score, log_loss

    return {
        "accuracy": lambda: accuracy_score(truth, predicted),
        "macro_f1": lambda: f1_score(truth, predicted, average="macro", zero_division=0),
        "weighted_f1": lambda: f1_score(truth, predicted, average="weighted", zero_division=0),
        "log_loss": lambda: log_loss(truth, _clipped(probabilities), labels=np.arange(probabilities.shape[1])),
        "roc_auc": lambda: _roc_auc(truth, probabilities),
    }


def _of_numbers(truth: np.ndarray, said: np.ndarray, predicted: np.ndarray) -> dict[str, Callable[[], float]]:
    """Errors of numbers; the relative one where no true number is 0, r2 where they are not all the same."""
    errors = np.abs(predicted - truth)

    def explained() -> float:
        spread = float(((truth - truth.mean()) ** 2).sum())
        return 1 - float((errors**2).sum()) / spread if spread else math.nan

    return {
        "mae": lambda: float(errors.mean()),
        "rmse": lambda: float(np.sqrt((errors**2).mean())),
        "r2": explained,
        "median_error": lambda: float(np.median(errors)),
        "mape": lambda: float((errors / np.abs(truth)).mean()) if truth.all() else math.nan,
        "coverage": lambda: float(within(truth, said).mean()) if said.shape[1] > 1 else math.nan,
    }


def within(truth: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Which true numbers lie in the intervals that were said, the ends among them; none without intervals."""
    if said.shape[1] < 2:
        return np.zeros(len(truth), bool)
    inside: np.ndarray = (said[:, 1] <= truth) & (truth <= said[:, 2])
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
