"""In: audited predictions, and how the versions did in evaluation. Out: how well they do by now, and whether they fell.

Only rows that were drawn at random are looked at. Of days that a version learned from it knows too much: they have a
line of their own, and decide nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from mlops_assets.journey.feedback.audited import EVERYTHING, Counted, Z, shares_right, together, wilson
from mlops_assets.journey.model.about import Summary
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.partitions import date_of

ERRORS = [pa.field(name, pa.float64()) for name in ("mean_error", "error_low", "error_high")]
"""Further columns where numbers are predicted."""

WINDOWS = (7, 28, 90)
"""Days that are looked at together, up to the newest published one."""

AGES = (
    (None, 0, "days it learned from"),
    (1, 7, "1 to 7 days"),
    (8, 28, "8 to 28 days"),
    (29, 90, "29 to 90 days"),
    (91, None, "91 days and more"),
)
"""Ages of a model in days that are looked at together: first, last, name."""

Z_RED = 3.0
"""Standard deviations by which a fall is red.

Each night looks again: within 90 quiet days, 95 % intervals would be left in 21 to 44 % of cases, these in 2 to 6 %.
"""

SCHEMA = pa.schema(
    {
        "by": pa.string(),
        "part": pa.string(),
        "model_version": pa.int32(),
        "days": pa.int32(),
        "audited": pa.int64(),
        "right_audited": pa.int64(),
        "accuracy": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "value_accuracy": pa.float64(),
        "value_low": pa.float64(),
        "value_high": pa.float64(),
    }
)
"""`by` is `window`, `version`, `age` or `slice`; `model_version` is null over all versions; `days` are those
with audited rows."""


@dataclass(frozen=True)
class Fall:
    """How a version does beside its evaluation.

    Attributes
    ----------
    sentence
        What was found, in words.
    red, yellow
        Whether it does worse by more than chance explains: red at 99.7 %, yellow at 95 %.
    numbers
        What was compared: `model_version`, `window` in days, `audited`, `accuracy`, `evaluated`, `fall` and
        `threshold`, the fall from which on it is red. Empty where there was too little to compare.
    """

    sentence: str
    red: bool = False
    yellow: bool = False
    numbers: Mapping[str, float] = field(default_factory=dict)


def age_of(counted: Counted, known: Mapping[int, Summary]) -> int | None:
    """Days from the last one that a version learned from to the day that it scored; None where that is not known."""
    summary = known.get(counted.version)
    if summary is None or not summary.days:
        return None
    return (date_of(counted.day) - date_of(summary.days[-1])).days


def levels(
    use_case: UseCase, lake: Lake, counted: Sequence[Counted], known: Mapping[int, Summary], last: str = ""
) -> pa.Table:
    """Audited accuracy by window, by version, by age of the model and by slice.

    Parameters
    ----------
    use_case
        The use case.
    lake
        Its tables: a window ends with the newest published day.
    counted
        What people say; see `audited.count_rows`.
    known
        What is known of the versions, by number.
    last
        The day with which windows end; the newest published one by default.

    Returns
    -------
    pa.Table
        In `SCHEMA`, of numbers with `ERRORS`. Windows and versions are of days that the version did not learn from;
        ages are of all versions; slices are of the longest window and of all versions, those with most rows first.
    """
    overall = [one for one in counted if one.part == EVERYTHING]
    fresh = [one for one in counted if _is_fresh(one, known)]
    newest = last or _newest(lake)
    lines = []
    for version in sorted({one.version for one in overall}):
        for days in WINDOWS:
            chosen = _in_window([one for one in fresh if one.part == EVERYTHING], version, newest, days)
            lines.append(_level(use_case, "window", f"last {days} days", chosen, version))
    for version in sorted({one.version for one in overall}):
        chosen = [one for one in fresh if one.part == EVERYTHING and one.version == version]
        lines.append(_level(use_case, "version", f"version {version}", chosen, version))
    for youngest, oldest, name in AGES:
        chosen = [one for one in overall if _is_between(age_of(one, known), youngest, oldest)]
        lines.append(_level(use_case, "age", name, chosen))
    recent = [one for one in fresh if one.part != EVERYTHING and 0 <= _days_back(one.day, newest) < WINDOWS[-1]]
    slices = [
        _level(use_case, "slice", part, [one for one in recent if one.part == part])
        for part in sorted({one.part for one in recent})
    ]
    lines += sorted(slices, key=lambda line: -line["audited"])
    schema = pa.schema([*SCHEMA, *ERRORS]) if use_case.training.says_numbers else SCHEMA
    return pa.Table.from_pylist([line for line in lines if line["audited"]], schema)


def find_fall(use_case: UseCase, lake: Lake, counted: Sequence[Counted], known: Mapping[int, Summary]) -> Fall:
    """Whether the version that scored the newest day does worse than in its evaluation, by more than chance explains.

    Method: interval of the difference of two shares, Newcombe (1998), 'Interval estimation for the difference between
    independent proportions', method 10, with the bounds by accounts of the evaluation where these are known; in the
    shortest window that has `retraining.least_audited` rows.

    Parameters
    ----------
    use_case, lake, counted, known
        See `levels`.
    """
    published, least = lake.predictions.days(), use_case.retraining.least_audited
    if not published:
        return Fall("Nothing is published yet.")
    newest = max(published)
    version = published[newest].accounting.model_version or 0
    summary = known.get(version, Summary())
    words = "in their intervals" if use_case.training.says_numbers else "right"
    evaluated = summary.metrics.get(use_case.training.right)
    if evaluated is None:
        return Fall(f"What version {version} had in evaluation is not known, so nothing is compared.")
    fresh = [one for one in counted if one.part == EVERYTHING and _is_fresh(one, known)]
    windows = {days: together(_in_window(fresh, version, newest, days)) for days in WINDOWS}
    enough = next((days for days in WINDOWS if windows[days]["audited"] >= least), None)
    if enough is None:
        return Fall(
            f"Version {version} has {windows[WINDOWS[-1]]['audited']} audited rows of the {least} that are needed, on "
            f"days of the last {WINDOWS[-1]} that it did not learn from. Have more labelled: `mlops-assets audit "
            f"{use_case.name} --day {newest} -o FILE`."
        )
    fall = _compare(version, enough, windows[enough], _evaluated(summary, use_case.training.right), words)
    errors = shares_right(windows[enough], valued=False)
    if "mean_error" not in errors or "mae" not in summary.metrics:
        return fall
    told = f"{errors['mean_error']:,.5g} (95 %: {errors['error_low']:,.5g} to {errors['error_high']:,.5g})"
    said = f"{fall.sentence} Their mean absolute error is {told}; in evaluation it was {summary.metrics['mae']:,.5g}."
    return replace(fall, sentence=said)


@dataclass(frozen=True)
class _Evaluated:
    """A share in evaluation, of how many rows, and its lower bound at 95 % by accounts, where it was told."""

    share: float
    rows: int
    low: float | None

    def low_at(self, z: float) -> float:
        """Its lower bound at so many standard deviations; of no number of rows, it is exact."""
        if self.low is not None:
            # rows of an account stand or fall together, of which Wilson's interval knows nothing
            return self.share - (self.share - self.low) * z / Z
        return wilson(self.share * self.rows, self.rows, z)[0] if self.rows else self.share


def _evaluated(summary: Summary, metric: str) -> _Evaluated:
    return _Evaluated(summary.metrics[metric], summary.held_out, summary.bounds.get(metric, (None,))[0])


def _compare(version: int, days: int, count: Mapping[str, int], known: _Evaluated, words: str = "right") -> Fall:
    evaluated, held_out = known.share, known.rows
    audited = count["audited"]
    accuracy = count["right audited"] / audited
    low, high = wilson(count["right audited"], audited)
    fall = evaluated - accuracy
    threshold = _explained(accuracy, audited, known, Z_RED)
    red, yellow = fall > threshold, fall > _explained(accuracy, audited, known, Z)
    on = f" on {held_out:,} rows" if held_out else ""
    sentence = (
        f"Version {version} has {accuracy:.3f} of {audited:,} audited rows of the last {days} days {words} (95 %: "
        f"{low:.3f} to {high:.3f}); in evaluation it had {evaluated:.3f}{on}. "
    )
    if red:
        sentence += f"That is lower by {fall:.3f}, and chance explains {threshold:.3f}: train again, or roll back."
    elif yellow:
        sentence += f"That is lower by {fall:.3f}; it is red from {threshold:.3f} on: have more rows labelled."
    else:
        sentence += "Chance explains the difference." if fall > 0 else "It does not do worse."
    numbers = {"model_version": version, "window": days, "audited": audited, "accuracy": accuracy}
    return Fall(sentence, red, yellow, {**numbers, "evaluated": evaluated, "fall": fall, "threshold": threshold})


def _explained(accuracy: float, audited: int, known: _Evaluated, z: float) -> float:
    """The fall from the share in evaluation that chance explains."""
    _, high = wilson(accuracy * audited, audited, z)
    return math.hypot(known.share - known.low_at(z), high - accuracy)


def _newest(lake: Lake) -> str:
    return max(lake.predictions.days(), default="")


def _is_fresh(one: Counted, known: Mapping[int, Summary]) -> bool:
    age = age_of(one, known)
    return age is None or age > 0


def _in_window(counted: Sequence[Counted], version: int, newest: str, days: int) -> list[Counted]:
    return [one for one in counted if one.version == version and 0 <= _days_back(one.day, newest) < days]


def _days_back(day: str, newest: str) -> int:
    return (date_of(newest) - date_of(day)).days


def _is_between(age: int | None, first: int | None, last: int | None) -> bool:
    return age is not None and (first is None or age >= first) and (last is None or age <= last)


def _level(
    use_case: UseCase, by: str, part: str, counted: Sequence[Counted], version: int | None = None
) -> dict[str, Any]:
    shares = shares_right(together(counted), valued=use_case.value is not None)
    days = len({one.day for one in counted if one.count["audited"]})
    return {"by": by, "part": part, "model_version": version, "days": days, **shares}
