"""How often a day's answers are right, estimated without labels; an alarm that is never called accuracy.

A calibrated model says itself how often it is right: by the mean probability of the classes that it says. Of rows that
nobody labelled yet it is taken to be off by as much as on the rows it was judged by, whose labels are known; so that
difference is taken away. The method is Guillory et al. (2021), 'Predicting with Confidence on Unseen Distributions'
(difference of confidences); the mean alone is the 'average confidence' of Garg et al. (2022), 'Leveraging Unlabeled
Data to Predict Out-of-Distribution Performance'.

It sees that rows got harder, for then the model doubts. It does not see that what the model believes became wrong:
audits do. So its lamp warns, and stops no day.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.journey.feedback.audited import Z
from mlops_assets.journey.score.profile.counts import MILLION, Said
from mlops_assets.monitoring.words import percent

if TYPE_CHECKING:
    from mlops_assets.journey.model.about import Summary
    from mlops_assets.journey.score.profile.reference import Reference
    from mlops_assets.monitoring.days import WatchedDay
    from mlops_assets.monitoring.lamp import DayVerdict

FALL = 0.05
"""How far the confidence may lie below the reference's before the lamp is red; it must also be beyond its error."""

LEAST_ROWS = 100
"""Of fewer rows there is no warning."""

CONFIDENCE = "confidence"
"""The lamp that judges the same figure by chance and by the days before."""

CHANGE = 0.05
"""Standard deviation of what calibration itself changes from month to month, measured; see `docs/monitoring.md`."""


@dataclass(frozen=True)
class Share:
    """A class among a day's answers.

    Attributes
    ----------
    said
        Share of the rows for which it was said.
    expected
        Share of the rows that are of it, by the sums of its probabilities.
    reference
        The same share among the rows that the version was judged by.
    """

    said: float
    expected: float
    reference: float


@dataclass(frozen=True)
class Estimate:
    """What a day's answers tell of themselves.

    Attributes
    ----------
    rows
        Rows with an answer.
    confidence, reference_confidence
        Mean probability of the class that was said: of the day, and of the rows that the version was judged by.
    error
        Standard error of the difference of the two, by how much whole files or accounts differ.
    accuracy
        The estimate: expected share of right answers.
    low, high
        Its 95 % interval.
    baseline
        The estimate for always saying the class that the reference expects most often.
    class_mix
        By class.
    allowed
        How far the confidence may fall: by what is configured, and by its error.
    red
        Whether the confidence fell by more than is allowed, and by more than its error.
    sentence
        All that for people.
    """

    rows: int
    confidence: float
    reference_confidence: float
    error: float
    accuracy: float
    low: float
    high: float
    baseline: float
    class_mix: Mapping[str, Share]
    allowed: float
    red: bool
    sentence: str

    @property
    def fell(self) -> float:
        """How far the confidence fell; negative where it rose."""
        return self.reference_confidence - self.confidence


def say_doubt(guess: Estimate | None, verdict: DayVerdict) -> str:
    """What is to be said where a model is less sure than it was; empty where it is not.

    One figure, the mean confidence, has two limits. Beyond `floors.confidence` and its standard error it is a warning;
    beyond what chance and the days before explain, too, the lamp `confidence` is red, which may stop a day. So a lamp
    that is red for a fall is always a doubt, and a doubt without one says how far the lamp is from it.

    Parameters
    ----------
    guess
        The estimate of a day; None where there is none.
    verdict
        What is said of the day.
    """
    if guess is None:
        return ""
    lamp = next((lamp for lamp in verdict.lamps if lamp.name == CONFIDENCE), None)
    if lamp is not None and lamp.red and lamp.figures["now"] < lamp.figures["then"]:
        return guess.sentence
    if not guess.red:
        return ""
    if lamp is None or lamp.state != "green":
        return guess.sentence
    return f"{guess.sentence} It is a warning: the lamp `{CONFIDENCE}` is green up to {lamp.threshold:.3f}."


def estimate(reference: Reference, today: WatchedDay, about: Summary, fall: float = FALL) -> Estimate | None:
    """What the answers of a day tell of their own accuracy.

    Parameters
    ----------
    reference
        Of the version that answered: what it said of the rows it was judged by.
    today
        The day.
    about
        What is known of that version; its accuracy on the rows it was judged by corrects its confidence. Without one,
        the confidence itself is the estimate.
    fall
        By how much the confidence may fall before it is red.

    Returns
    -------
    Estimate
        None where there are no answers, on one side or the other.
    """
    groups = [group.said for group in reference.groups if group.said is not None and group.said.rows.sum()]
    said = today.profile.said
    if said is None or not said.rows.sum() or not groups:
        return None
    return estimate_said(said, groups, reference.classes, about.metrics.get("accuracy"), fall)


def estimate_said(
    said: Said, groups: Sequence[Said], classes: Sequence[str], accuracy: float | None, fall: float = FALL
) -> Estimate:
    """The same, of what was counted of answers.

    Parameters
    ----------
    said
        Of the day.
    groups
        Of random groups of the rows that the model was judged by; each has rows.
    classes
        The model's classes, K of them.
    accuracy
        Its accuracy on these rows; None where it is not known.
    fall
        As of `estimate`.
    """
    learned = reduce(add, groups)
    day, judged = _Spread.of(said), _Spread.of(learned)
    corrected = day.mean + (0.0 if accuracy is None else accuracy - judged.mean)
    # whether an answer is right is a coin of its probability; the difference was found with the coins of the reference
    coins = day.coin / day.rows + (0.0 if accuracy is None else judged.coin / judged.rows)
    half = Z * math.sqrt(coins + CHANGE**2)
    low, middle, high = (min(1.0, max(0.0, value)) for value in (corrected - half, corrected, corrected + half))
    mix = _class_mix(said, learned, classes)
    error = math.sqrt(_design_effect(groups, judged) * (day.variance / day.rows + judged.variance / judged.rows))
    allowed = max(fall, error)
    red = day.rows >= LEAST_ROWS and judged.mean - day.mean > allowed
    constant = max(mix.values(), key=lambda share: share.reference).expected
    numbers = (day.rows, day.mean, judged.mean, error, middle, low, high, constant)
    return Estimate(*numbers, mix, allowed, red, _sentence(*numbers, red=red))


@dataclass(frozen=True)
class _Spread:
    """Of the probabilities of said classes: their number, mean and variance, and the mean variance of their coins."""

    rows: int
    mean: float
    variance: float
    coin: float

    @classmethod
    def of(cls, said: Said) -> _Spread:
        rows = int(said.rows.sum())
        mean = float(np.trace(said.probabilities)) / MILLION / rows
        squares = float(said.squares.sum()) / MILLION / rows
        return cls(rows, mean, max(0.0, squares - mean**2), max(0.0, mean - squares))


def _design_effect(groups: Sequence[Said], all_of_them: _Spread) -> float:
    """How many times as far means of whole files or accounts spread as those of single rows, which differ freely.

    Method: Kish (1965), 'Survey Sampling', by the spread between random groups; at least 1.
    """
    if len(groups) < 2 or not all_of_them.variance:
        return 1.0
    spreads = [_Spread.of(group) for group in groups]
    between = sum(one.rows * (one.mean - all_of_them.mean) ** 2 for one in spreads) / (len(groups) - 1)
    return max(1.0, between / all_of_them.variance)


def _class_mix(said: Said, reference: Said, classes: Sequence[str]) -> dict[str, Share]:
    shares = (
        said.rows / said.rows.sum(),
        said.probabilities.sum(axis=0) / MILLION / said.rows.sum(),
        reference.probabilities.sum(axis=0) / MILLION / reference.rows.sum(),
    )
    return {name: Share(*map(float, three)) for name, *three in zip(classes, *shares, strict=True)}


def _sentence(
    rows: int,
    confidence: float,
    reference: float,
    error: float,
    accuracy: float,
    low: float,
    high: float,
    baseline: float,
    *,
    red: bool,
) -> str:
    told = f"Estimate without labels: {percent(accuracy)} of {rows:,} answers are right "
    told += f"({percent(low)} to {percent(high)}); one class for all rows: {percent(baseline)}. "
    against = f"{confidence:.3f} against {reference:.3f} on the rows it was judged by (error {error:.3f})"
    if red:
        return told + f"The model is less sure than it was: {against}. Rows got harder: label the audit, look at drift."
    few = f"; of fewer than {LEAST_ROWS} rows there is no warning" if rows < LEAST_ROWS else ""
    return told + f"Mean confidence {against}{few}."
