"""In: what a candidate says of rows that it has not learned. Out: what makes its probabilities true, where that helps.

It is chosen on the last fold, learned from the folds before it. With a split by time these are rows one, two and more
folds later than what a model learned (`folds`), for so are the rows that it will be asked of. The probability of the
answer is what counts, for that is what people see; isotonic regression of one class against the rest, class by class,
was found to worsen the log loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from mlops_assets.journey.model.calibrator import (
    LEAST_TEMPERATURE,
    MOST_TEMPERATURE,
    Calibrator,
    Interval,
    Isotonic,
    Temperature,
    read_calibrator,
)
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.folds import Said
from mlops_assets.journey.train.intervals import learn_interval
from mlops_assets.journey.train.metrics import chance_error, expected_error, within
from mlops_assets.use_case import Training
from mlops_assets.use_case.training import INTERVAL

LEAST = 100
"""Rows to learn from, and rows of the last fold; what fewer say is luck."""

MOST = 50_000
"""Rows that are learned from, of as many as there are; more change nothing that can be seen."""

GROUP, GROUPS = 50, 100
"""Least rows that make a point of the curve, and most points."""


@dataclass(frozen=True)
class Calibration:
    """How the probabilities of a candidate are made true, and how true they are.

    Attributes
    ----------
    judged, serving
        For the model that learned the training rows alone, from its out-of-fold rows; and for the one that learned all
        rows, from these and the held-out ones. None where they are taken as they are.
    rows
        Number of out-of-fold rows.
    before, after
        Expected calibration error on the held-out rows, without and with `judged`; see `expected_error`.
    chance
        What it would be if the probabilities were true.
    why
        Why it is so, in a sentence.
    """

    judged: Calibrator | None
    serving: Calibrator | None
    rows: int
    before: float
    after: float
    chance: float
    why: str

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what a training wrote of it."""
        both = {name: written[name] and read_calibrator(written[name]) for name in ("judged", "serving")}
        return cls(**{**written, **both})

    def told(self) -> dict[str, str | int | float]:
        """What a card tells of it."""
        numbers = {"rows": self.rows, "before": self.before, "after": self.after, "chance": self.chance}
        return {"kind": self.judged.kind if self.judged else "off", **numbers, "why": self.why}


def find_calibration(
    training: Training, model: Model, folds: Sequence[Sequence[Said | None]], held_out: Said
) -> Calibration:
    """Find what makes the probabilities of a model true.

    Parameters
    ----------
    training
        Whether it is asked for.
    model
        The model that learned the training rows, not calibrated.
    folds
        What the same candidate says of each fold of the training rows, the one that learned most the last; see
        `ask_folds`.
    held_out
        What the model says of the held-out rows.
    """
    known = [[said for said in fold if said is not None] for fold in folds if any(fold)]
    if not model.classes:
        return _interval(training, known, held_out)
    kind, why = _choose(training, model, known)
    judged = _learn(kind, _joined(*known)) if kind else None
    serving = _learn(kind, _joined(*known, [held_out])) if kind else None
    calibrated = replace(model, calibrator=judged)
    chance = round(chance_error(_answers(calibrated, held_out)[1]), 4)
    return Calibration(
        judged, serving, _rows(known), _error(model, held_out), _error(calibrated, held_out), chance, why
    )


def _interval(training: Training, folds: Sequence[Sequence[Said]], held_out: Said) -> Calibration:
    """The interval of a model that says numbers: `before` is the share that it is to hold, `after` what it holds."""
    coverage = training.interval or INTERVAL
    if training.calibration == "off":
        return Calibration(None, None, _rows(folds), coverage, 0.0, 0.0, "training.calibration is off")
    learned = [said for fold in folds for said in fold[-1:]]
    judged = _learn_interval(learned, coverage)
    if judged is None:
        why = f"there are fewer than {LEAST} out-of-fold rows to learn an interval from"
        return Calibration(None, None, _rows(folds), coverage, 0.0, 0.0, why)
    ends = judged.around(held_out.probabilities[:, 0])
    held = float(within(held_out.truth, *ends).mean())
    why = f"{held:.1%} of the held-out rows lie in their interval, {coverage:.1%} are asked"
    serving = _learn_interval([*learned, held_out], coverage)
    return Calibration(judged, serving, _rows(folds), coverage, round(held, 4), 0.0, why)


def _learn_interval(said: Sequence[Said], coverage: float) -> Interval | None:
    if not said:
        return None
    truth, numbers = (
        np.concatenate(each) for each in ([one.truth for one in said], [one.probabilities[:, 0] for one in said])
    )
    return learn_interval(truth, numbers, coverage)


def _choose(training: Training, model: Model, folds: Sequence[Sequence[Said]]) -> tuple[str | None, str]:
    """The kind, if it helps on the last fold, learned from those before it, and why; None for no calibration."""
    if training.calibration == "off":
        return None, "training.calibration is off"
    if len(folds) < 2 or min(_rows(folds[-1:]), _rows(folds[:-1])) < LEAST:
        return None, f"there are fewer than {LEAST} out-of-fold rows to learn it from, or to try it on"
    learned, tried = _joined(*folds[:-1]), _joined(folds[-1])
    # with a threshold, rows are said by one side alone: a curve of the likelier one would bend where nothing is decided
    kind = "temperature" if training.threshold is not None else "isotonic"
    before, after = _errors(model, tried), _errors(replace(model, calibrator=_learn(kind, learned)), tried)
    said = f"error on the last fold: as it is {before[0]:.3f}, {kind} {after[0]:.3f}"
    if after[0] < before[0] and after[1] < before[1]:
        return kind, said
    return None, f"{said}; no gain in it and in the squared error"


def _errors(model: Model, said: Said) -> tuple[float, float]:
    """Expected calibration error, and the squared error of the probability of the answer (Brier, 1950).

    The first one falls by chance; where both do, true probabilities are seldom spoiled.
    """
    right, sure = _answers(model, said)
    return expected_error(right, sure), float(((sure - right) ** 2).mean())


def _rows(folds: Sequence[Sequence[Said]]) -> int:
    """Number of rows, of which several models may have said something."""
    return sum(len(fold[-1].truth) for fold in folds)


def _error(model: Model, said: Said) -> float:
    return round(expected_error(*_answers(model, said)), 4)


def _answers(model: Model, said: Said) -> tuple[np.ndarray, np.ndarray]:
    """Of each row, whether its answer is right, and the probability of it."""
    probabilities = model.calibrated(said.probabilities)
    answers = model.decide(probabilities)
    return said.truth == answers, probabilities[np.arange(len(answers)), answers]


def _joined(*folds: Sequence[Said]) -> Said:
    """All that was said as one, at equal distances where that is more than `MOST` rows."""
    parts = [said for fold in folds for said in fold]
    step = -(-sum(len(said.truth) for said in parts) // MOST)
    truth, probabilities = (
        np.concatenate([getattr(said, name) for said in parts]) for name in ("truth", "probabilities")
    )
    return Said(truth[::step], probabilities[::step])


def _learn(kind: str, said: Said) -> Calibrator:
    return _isotonic(said) if kind == "isotonic" else _temperature(said)


def _temperature(said: Said) -> Temperature:
    """The temperature at which the log loss is least."""
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(said.truth))

    def loss(logarithm: float) -> float:
        right = Temperature(float(np.exp(logarithm))).apply(said.probabilities)[rows, said.truth]
        return -float(np.log(np.clip(right, 1e-6, None)).mean())

    bounds = np.log([10 * LEAST_TEMPERATURE, MOST_TEMPERATURE / 10])
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return Temperature(round(float(np.exp(found.x)), 4))


def _isotonic(said: Said) -> Isotonic:
    """The rising curve that fits best what share of the answers of about a probability is right."""
    from sklearn.isotonic import IsotonicRegression

    sure = said.probabilities.max(axis=1)
    right = said.truth == said.probabilities.argmax(axis=1)
    order = np.argsort(sure, kind="stable")
    number = int(np.clip(len(order) // GROUP, 1, GROUPS))
    groups = np.array_split(order, number)
    rows = np.array([len(group) for group in groups])
    x = np.array([sure[group].mean() for group in groups])
    # as by one further row that is right and one that is not: a few rows make nothing sure or impossible (Laplace)
    y = np.array([(right[group].sum() + 1) / (len(group) + 2) for group in groups])
    risen = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(x, y, sample_weight=rows).predict(x)
    _, step = np.unique(risen, return_inverse=True)  # its steps, of which each has a middle
    weight = np.bincount(step, rows)
    middle, level = np.bincount(step, rows * x) / weight, np.bincount(step, rows * risen) / weight
    last = level[-1] + (1 - level[-1]) * 0.01
    x, y = np.array([0, *middle, 1]), np.array([0, *level, last])
    x, first = np.unique(x.round(6), return_index=True)
    return Isotonic(tuple(x.tolist()), tuple(y[first].round(6).tolist()))
