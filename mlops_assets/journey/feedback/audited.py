"""In: published predictions, and what people say of them. Out: counts by day, version and slice, and shares of them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mlops_assets.journey.feedback.audit import drawn_rows
from mlops_assets.journey.feedback.corrections import corrections, read_accepted
from mlops_assets.journey.feedback.published import Row, look_up
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase

EVERYTHING = "all"
"""The slice of all rows."""

Z = 1.959964
"""Standard deviations on each side of a 95 % interval."""


def wilson(right: float, number: float, z: float = Z) -> tuple[float, float]:
    """The interval of a share, of 95 % by default, for few cases too.

    Method: Wilson (1927), 'Probable inference, the law of succession, and statistical inference'.

    Examples
    --------
    >>> [round(end, 3) for end in wilson(8, 10)]
    [0.49, 0.943]
    """
    if not number:
        return 0.0, 1.0
    share, spread = right / number, z * z / number
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / number + spread / (4 * number)) / (1 + spread)
    # rounding must not put the share outside
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


@dataclass(frozen=True)
class Counted:
    """What is counted of the rows of a day that were drawn or corrected.

    Attributes
    ----------
    day, version, part
        The day; the version that is published of it; the slice, such as `city=RECIFE`, or `EVERYTHING`.
    count
        Rows that were `drawn`; of these `audited` and `right audited`; the other `corrections` and `right corrections`.
        A number is right where it lies in the interval of its prediction; rows whose prediction had none are
        `unjudged`, and of all labelled ones the `errors` and `squared errors` are added up.
        Where the use case names a value, of the audited rows the sum of the value, of its squares, and of that which is
        right, in cents: whole numbers, so that sums are exact.
    """

    day: str
    version: int
    part: str
    count: Counter[str]


def count_rows(use_case: UseCase, lake: Lake, accepted: pa.Table | None = None) -> list[Counted]:
    """What people say of published predictions, counted.

    Parameters
    ----------
    use_case
        The use case; `feedback.slices` names the columns of the slices, `value` that of what a row is worth.
    lake
        Its tables.
    accepted
        What people say, in `feedback.ACCEPTED`; by default all that was accepted last.

    Returns
    -------
    list of Counted
        By day, and within a day by version and slice, that of all rows first; those of which people say anything.
    """
    said = corrections(read_accepted(lake) if accepted is None else accepted)
    return [
        Counted(day, version, part, count)
        for day, labels in sorted(said.items())
        for (version, part), count in sorted(_count_day(use_case, lake, day, labels).items(), key=_by_version)
        if count["audited"] + count["corrections"]
    ]


def _count_day(
    use_case: UseCase, lake: Lake, day: str, labels: Mapping[Row, str]
) -> dict[tuple[int, str], Counter[str]]:
    drawn = drawn_rows(lake, day)
    rows = labels.keys() | drawn
    names, value = use_case.feedback.slices, use_case.value
    predicted = look_up(lake, lake.predictions, day, rows, ("prediction", "model_version", "low", "high"))
    further = [*names, *([value] if value else [])]
    features = look_up(lake, lake.rows, day, rows, further) if further else {}
    counts: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    for row, answer in predicted.items():
        tally: Mapping[str, float]
        known = features.get(row, {})
        worth = known.get(value) if value else None
        if use_case.training.says_numbers:
            tally = _tally_number(answer, labels.get(row), drawn=row in drawn, value=worth)
        else:
            right = answer["prediction"] == labels[row] if row in labels else None
            tally = _tally(drawn=row in drawn, right=right, value=worth)
        slices = [f"{name}={known.get(name)}" for name in names if row in features]
        for part in (EVERYTHING, *slices):
            counts[answer["model_version"], part].update(tally)
    return counts


def _tally_number(
    answer: Mapping[str, Any], label: str | None, *, drawn: bool, value: float | None
) -> dict[str, float]:
    """The same where numbers are predicted."""
    if label is None:
        return dict(_tally(drawn=drawn, right=None, value=value))
    truth, low, high = float(label), answer["low"], answer["high"]
    right = low is not None and low <= truth <= high
    tally: dict[str, float] = dict(_tally(drawn=drawn, right=right, value=None if low is None else value))
    if drawn:
        error = abs(answer["prediction"] - truth)
        tally |= {"unjudged": int(low is None), "errors": error, "squared errors": error * error}
    return tally


def _tally(*, drawn: bool, right: bool | None, value: float | None) -> dict[str, int]:
    """What one row adds: what was drawn at random and what people chose are never mixed."""
    kind = "audited" if drawn else "corrections"
    tally = {"drawn": int(drawn), kind: int(right is not None), f"right {kind}": int(right is True)}
    if drawn and right is not None and value is not None and math.isfinite(value):
        cents = round(abs(value) * 100)
        tally |= {"cents": cents, "squared cents": cents * cents, "right cents": cents * right}
    return tally


def _by_version(item: tuple[tuple[int, str], Counter[str]]) -> tuple[int, bool, str]:
    """Orders slices by version and name, after that of all rows."""
    (version, part), _ = item
    return version, part != EVERYTHING, part


def together(counted: Iterable[Counted]) -> Counter[str]:
    """The sum of counts."""
    total: Counter[str] = Counter()
    for one in counted:
        total.update(one.count)
    return total


def shares_right(count: Counter[str], *, valued: bool) -> dict[str, Any]:
    """The shares of the audited rows, and of their value, that are right.

    Parameters
    ----------
    count
        As in `Counted`.
    valued
        Whether the use case says what a row is worth.

    Returns
    -------
    dict
        `audited`, `right_audited`; `accuracy` with `low` and `high`, its 95 % interval; where `valued`,
        `value_accuracy` with `value_low` and `value_high`. None where nothing was audited. That of the value counts as
        many rows as they would be if all were worth the same (Kish 1965, 'Survey Sampling', effective sample size):
        a few dear rows make it wide. Of numbers, `accuracy` is the share of the true ones in their intervals, and there
        are `mean_error`, the mean absolute error, with `error_low` and `error_high`, its 95 % interval by the normal
        distribution.
    """
    audited, right = count["audited"], count["right audited"]
    judged = audited - count["unjudged"]
    low, high = wilson(right, judged) if judged else (None, None)
    shares = {
        "audited": audited,
        "right_audited": right,
        "accuracy": share(right, judged),
        "low": low,
        "high": high,
        **(_mean_error(count) if "errors" in count else {}),
    }
    if not valued:
        return shares
    cents, right_cents = count["cents"], count["right cents"]
    low = high = None
    if cents:
        alike = cents * cents / count["squared cents"]
        low, high = wilson(right_cents / cents * alike, alike)
    return {**shares, "value_accuracy": share(right_cents, cents), "value_low": low, "value_high": high}


def _mean_error(count: Mapping[str, float]) -> dict[str, float]:
    """The mean absolute error of audited numbers, and between which ends chance may have moved it."""
    rows = count["audited"]
    mean = count["errors"] / rows
    half = Z * math.sqrt(max(0.0, count["squared errors"] / rows - mean * mean) / max(1, rows - 1))
    return {"mean_error": mean, "error_low": max(0.0, mean - half), "error_high": mean + half}


def share(part: int, whole: int) -> float | None:
    """A share, or None of nothing."""
    return part / whole if whole else None
