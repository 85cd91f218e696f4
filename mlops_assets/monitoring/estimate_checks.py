"""In: estimates, and audits of the same days. Out: how far the estimates were off, which is shown beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_assets.journey.feedback.audited import EVERYTHING
from mlops_assets.monitoring.estimate import Estimate
from mlops_assets.monitoring.words import percent

FEW_DAYS = 5
"""Days with an audit below which a mean says little, which the sentence then says."""


@dataclass(frozen=True)
class CheckedDay:
    """An estimate beside the audit of its day.

    Attributes
    ----------
    day, version
        Which answers.
    estimate, low, high
        What was estimated, and its interval.
    audited, accuracy
        Audited rows of the day, drawn at random, and the share of them that was right.
    inside
        Whether they agree: whether the difference is within both intervals together.
    """

    day: str
    version: int
    estimate: float
    low: float
    high: float
    audited: int
    accuracy: float
    inside: bool


@dataclass(frozen=True)
class Checked:
    """How the estimates of a use case did.

    Attributes
    ----------
    days
        Each audited day that has an estimate, in order.
    audited
        Audited rows of all of them.
    error
        Mean of estimate less audited accuracy, by audited rows: above 0 the estimates are too high.
    size
        Mean of its absolute value by day, likewise weighed; it contains what chance does to audits of few rows.
    inside
        Share of the days on which estimate and audit agree; 0.95 is meant.
    """

    days: tuple[CheckedDay, ...]
    audited: int
    error: float
    size: float
    inside: float

    @property
    def sentence(self) -> str:
        """It in words."""
        days = f"{len(self.days)} audited {'day' if len(self.days) == 1 else 'days'}"
        sign = "above" if self.error > 0 else "below"
        told = f"On {days} ({self.audited:,} rows) the estimate was on average {abs(self.error):.3f} {sign} "
        told += (
            f"what audits found, {self.size:.3f} away from it a day; on {percent(self.inside)} of the days both agree."
        )
        return told + (" These are too few days to trust that." if len(self.days) < FEW_DAYS else "")


def compare_with_audits(
    estimates: Mapping[tuple[str, int], Estimate], records: Iterable[Mapping[str, Any]]
) -> Checked | None:
    """Put estimates beside what audits found of the same answers.

    Parameters
    ----------
    estimates
        By day and version.
    records
        Of `live_metrics`; only audited rows of the slice of all rows count, which were drawn at random.

    Returns
    -------
    Checked
        None where no day has both.
    """
    days = tuple(
        _checked(record, estimates[record["day"], record["model_version"]])
        for record in sorted(records, key=lambda record: (record["day"], record["model_version"]))
        if record["slice"] == EVERYTHING and record["audited"] and (record["day"], record["model_version"]) in estimates
    )
    if not days:
        return None
    audited = sum(day.audited for day in days)
    error = sum(day.audited * (day.estimate - day.accuracy) for day in days) / audited
    size = sum(day.audited * abs(day.estimate - day.accuracy) for day in days) / audited
    return Checked(days, audited, error, size, sum(day.inside for day in days) / len(days))


def _checked(record: Mapping[str, Any], estimate: Estimate) -> CheckedDay:
    accuracy, guess = record["accuracy"], estimate.accuracy
    if guess > accuracy:
        ours, theirs = guess - estimate.low, record["high"] - accuracy
    else:
        ours, theirs = estimate.high - guess, accuracy - record["low"]
    inside = abs(guess - accuracy) <= math.hypot(ours, theirs)
    key = record["day"], record["model_version"]
    return CheckedDay(*key, guess, estimate.low, estimate.high, record["audited"], accuracy, inside)
