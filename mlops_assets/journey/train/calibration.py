"""In: what a candidate says of rows that it has not learned. Out: what makes its probabilities true, where that helps.

It is chosen on the last round that chooses, learned from those before it. With folds by time these are rows one, two
and more folds later than what a model learned (`folds`), for so are the rows that it will be asked of. The probability
of the answer is what counts, for that is what people see; isotonic regression of one class against the rest, class by
class, was found to worsen the log loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from mlops_assets.journey.model.calibrator import (
    LEAST_TEMPERATURE,
    MOST_TEMPERATURE,
    Calibrator,
    Isotonic,
    Temperature,
    read_calibrator,
)
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train import conformal
from mlops_assets.journey.train.conformal import learn_interval
from mlops_assets.journey.train.folds import Asked, Said
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
        For what is tested, learned from the rows that choose; and for the model that learned all rows, from these and
        those that test. None where they are taken as they are.
    rows
        Number of rows that choose.
    before, after
        Expected calibration error on the rows that test, without and with `judged`; see `expected_error`. Of numbers
        the share of true ones that an interval is asked to hold, and that it holds of the rows that test.
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
        kind: str = self.judged.kind if self.judged else "off"
        if (self.judged is None) != (self.serving is None):
            kind += f"; what serves: {self.serving.kind if self.serving else 'off'}"
        return {"kind": kind, **numbers, "why": self.why}


def calibration_of(
    training: Training, model: Model, chose: Sequence[Asked], tested: Sequence[Asked], held_out: Said
) -> Calibration:
    """Find what makes the probabilities of a candidate true, by what it says in each round; as `find_calibration`.

    In a replay each model is asked of the months for which it would serve until the next one comes: the one whose
    labels are late, and the one before it. Else, of all folds that are later than what it learned.
    """
    by_round = [_served(one) for one in chose], [_served(one) for one in tested]
    if training.says_numbers or not (chose and chose[-1].round.known):
        return find_calibration(training, model, *by_round, held_out)
    # months differ: a curve that helps on one alone may have luck, so each is tried by a curve of the others
    kind, why = _choose_across(training, model, chose)
    serving_kind, serving_why = _choose_across(training, model, [*chose, *tested])
    parts = [[[said for said in one if said is not None] for one in some] for some in by_round]
    judged = _learn(kind, _joined(*parts[0])) if kind else None
    serving = _learn(serving_kind, _joined(*parts[0], *parts[1])) if serving_kind else None
    calibrated = replace(model, calibrator=judged)
    errors = _error(model, held_out), _error(calibrated, held_out)
    chance = round(chance_error(_answers(calibrated, held_out)[1]), 4)
    known = [part for part in parts[0] if part]
    return Calibration(judged, serving, _rows(known), *errors, chance, f"{why}; of what serves: {serving_why}")


def _served(asked: Asked) -> Sequence[Said | None]:
    return [asked.fresh, asked.own] if asked.round.known else asked.said


def _choose_across(training: Training, model: Model, asked: Sequence[Asked]) -> tuple[str | None, str]:
    """The kind, if it helps where each round is tried by a curve of the others, and why; None for no calibration."""
    if training.calibration == "off":
        return None, "training.calibration is off"
    kind = "temperature" if training.threshold is not None else "isotonic"
    pairs = list(_each_by_the_others(asked))
    if len(pairs) < 2 or min(len(learned.truth) for learned, _ in pairs) < LEAST:
        return None, f"there are fewer than {LEAST} rows of other rounds to learn it from"
    before = [_answers(model, tried) for _, tried in pairs]
    after = [_answers(replace(model, calibrator=_learn(kind, learned)), tried) for learned, tried in pairs]
    errors = [_errors_of(*map(np.concatenate, zip(*found, strict=True))) for found in (before, after)]
    said = f"error on {len(pairs)} rounds, each by the others: as it is {errors[0][0]:.3f}, {kind} {errors[1][0]:.3f}"
    if errors[1][0] < errors[0][0] and errors[1][1] < errors[0][1]:
        return kind, said
    return None, f"{said}; no gain in it and in the squared error"


def _each_by_the_others(asked: Sequence[Asked]) -> Iterator[tuple[Said, Said]]:
    """What is said of the rows of each round, behind what is said in the others of other rows."""
    for number, one in enumerate(asked):
        others = [said for other in (*asked[:number], *asked[number + 1 :]) for said in _served(other) if said]
        if one.own is None or not others:
            continue
        apart = [said.some(np.flatnonzero(~np.isin(said.rows, one.own.rows))) for said in others]
        yield _joined(apart), one.own


def find_calibration(
    training: Training,
    model: Model,
    folds: Sequence[Sequence[Said | None]],
    tests: Sequence[Sequence[Said | None]],
    held_out: Said,
) -> Calibration:
    """Find what makes the probabilities of a model true.

    Parameters
    ----------
    training
        Whether it is asked for.
    model
        The model that learned the training rows, not calibrated.
    folds
        What the same candidate says of each round that chooses, the model that learned most the last; see `ask_rounds`.
    tests
        The same of each round that tests; the serving model has learned these rows as well, so its calibration may.
    held_out
        What is said of the rows that test, of each once.
    """
    known = [[said for said in fold if said is not None] for fold in folds if any(fold)]
    later = [[said for said in test if said is not None] for test in tests]
    if training.says_numbers:
        return _interval(training, known, later, held_out)
    kind, why = _choose(training, model, known[:-1], known[-1] if known else ())
    judged = _learn(kind, _joined(*known)) if kind else None
    serving = _learn(kind, _joined(*known, *later)) if kind else None
    calibrated = replace(model, calibrator=judged)
    chance = round(chance_error(_answers(calibrated, held_out)[1]), 4)
    return Calibration(
        judged, serving, _rows(known), _error(model, held_out), _error(calibrated, held_out), chance, why
    )


def _interval(
    training: Training, chose: Sequence[Sequence[Said]], tested: Sequence[Sequence[Said]], held_out: Said
) -> Calibration:
    """The interval around numbers: `before` is the share of true ones that it is to hold, `after` what it holds."""
    coverage = training.interval or INTERVAL
    off = Calibration(None, None, _rows(chose), coverage, 0.0, 0.0, "training.calibration is off")
    if training.calibration == "off":
        return off
    # of each round what its own model says
    judged = learn_interval([fold[-1] for fold in chose], coverage)
    if judged is None:
        return replace(off, why=f"there are fewer than {conformal.LEAST} out-of-fold rows to learn an interval from")
    held = float(within(held_out.truth, judged.apply(held_out.probabilities)).mean())
    why = f"{held:.1%} of the rows that test lie in their interval, {coverage:.1%} are asked"
    serving = learn_interval([fold[-1] for fold in (*chose, *tested) if fold], coverage)
    return Calibration(judged, serving, _rows(chose), coverage, round(held, 4), 0.0, why)


def _choose(
    training: Training, model: Model, earlier: Sequence[Sequence[Said]], last: Sequence[Said]
) -> tuple[str | None, str]:
    """The kind, if it helps on the last fold, learned from those before it, and why; None for no calibration."""
    if training.calibration == "off":
        return None, "training.calibration is off"
    if not earlier or not last or min(_rows([last]), _rows(earlier)) < LEAST:
        return None, f"there are fewer than {LEAST} out-of-fold rows to learn it from, or to try it on"
    learned, tried = _joined(*earlier), _joined(last)
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
    return _errors_of(*_answers(model, said))


def _errors_of(right: np.ndarray, sure: np.ndarray) -> tuple[float, float]:
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
