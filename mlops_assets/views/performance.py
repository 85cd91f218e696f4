"""In: what people say of predictions, and what answers tell of themselves. Out: how well they do, as plain values.

What was audited and what is estimated stand beside each other, and are never added up.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.journey.feedback.audited import EVERYTHING, Counted, count_rows, shares_right, together
from mlops_assets.journey.feedback.degradation import find_fall, levels
from mlops_assets.journey.model.about import Summary
from mlops_assets.monitoring.days import TRAILING, WatchedDay, day_profile
from mlops_assets.monitoring.estimate import Estimate
from mlops_assets.monitoring.verdicts import Watcher
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase, back, date_of
from mlops_assets.views.estimating import checked_record, class_mix
from mlops_assets.workspace import Stores

MOST_DAYS = 366
"""Days that are looked at together."""

MOST_OF_HOURS = 62
"""The same, where each has 24 hours whose profiles are read: 1 to 4 ms each."""

STEPS = ((31, 1, "day"), (183, 7, "7 days"), (MOST_DAYS, 28, "28 days"))
"""Up to how many days there is a point for every so many of them, and how these are called."""

BY = ("window", "version", "age", "slice")


def performance(
    stores: Stores, first: str | None = None, last: str | None = None, part: str = EVERYTHING
) -> dict[str, Any]:
    """How well the answers of some days are, by audits and by the estimate.

    Parameters
    ----------
    stores
        Of the use case.
    first, last
        The days; by default those of the 28 up to the newest published one from the first published one on.
    part
        The slice whose audits are shown, such as `city=RECIFE`; of all rows by default.

    Returns
    -------
    dict
        `first`, `last` and `published` (first and last published day); `fall`, the sentence of how the version that
        predicts does beside its evaluation, and its `fall_state`; `points` over time, each with `day`, `audited`,
        `accuracy`, `low`, `high`, and of the estimate `estimate`, `estimate_low`, `estimate_high`, `baseline`, `rows`;
        `step` in words; `by` window, version, age and slice, as `degradation.levels`; `valued`; `of_numbers`, whether
        an answer is a number, and right where it lies in its interval; `slices`, their names;
        `newest`, the estimate of the newest day that has one; `checked`, how estimates did where audits came.

    Raises
    ------
    UsageError
        If these are no days, or more than `MOST_DAYS`, of hours `MOST_OF_HOURS`.
    """
    use_case, lake = stores.use_case, stores.lake
    published = sorted(lake.predictions.days())
    now = dt.datetime.now(dt.UTC)
    # days in any case: of hours there are too few answers that people looked at
    last = (last or (published[-1] if published else use_case.partitions.key(now)))[:10]
    first = (first or max(_back(last, TRAILING - 1), min([*published[:1], last])))[:10]
    most = MOST_OF_HOURS if use_case.partitions.every == "hour" else MOST_DAYS
    if not 1 <= days_between(first, last) <= most:
        raise UsageError(f"From {first} to {last}: say from 1 to {most} days, the first one first.")
    counted, known = count_rows(use_case, lake), _known(stores)
    watcher = Watcher(stores)
    chosen = [one for one in counted if first <= one.day[:10] <= last]
    asked = [replace(one, part=EVERYTHING) for one in chosen if one.part == part]
    days = [
        one for one in (day_profile(lake, day) for day in published if first <= day[:10] <= last) if one is not None
    ]
    fall = find_fall(use_case, lake, counted, known)
    size, step = next((size, words) for most, size, words in STEPS if days_between(first, last) <= most)
    estimated = days if part == EVERYTHING else []
    newest = next(((day.day, guess) for day in reversed(days) if (guess := watcher.estimate(day)) is not None), None)
    return {
        "first": first,
        "last": last,
        "published": (published[0], published[-1]) if published else None,
        "fall": fall.sentence,
        "fall_state": "red" if fall.red else "amber" if fall.yellow else "green" if fall.numbers else "grey",
        "step": step,
        "points": [_point(use_case, watcher, asked, estimated, span) for span in _spans(first, last, size)],
        "by": _by(use_case, lake, chosen, asked, known, last),
        "valued": use_case.value is not None,
        "of_numbers": use_case.training.says_numbers,
        "slices": sorted({one.part for one in counted if one.part != EVERYTHING}),
        "newest": _newest(*newest) if newest else None,
        "checked": checked_record(watcher.checked) if watcher.checked else None,
    }


def days_between(first: str, last: str) -> int:
    """How many days there are from one to another, with both."""
    return (date_of(last) - date_of(first)).days + 1


def _known(stores: Stores) -> Mapping[int, Summary]:
    """What is known of the versions; nothing where MLflow cannot tell: what people say is shown all the same."""
    try:
        return stores.registry.known(stores.use_case.name)
    except MlopsError:
        return {}


def _back(day: str, days: int) -> str:
    return back(day, days)


def _spans(first: str, last: str, size: int) -> list[tuple[str, str]]:
    """The days in spans of a size, the oldest first; the last one ends with the last day."""
    ends = [_back(last, back) for back in range(0, days_between(first, last), size)]
    return [(max(first, _back(end, size - 1)), end) for end in reversed(ends)]


def _point(
    use_case: UseCase, watcher: Watcher, counted: Iterable[Counted], days: Iterable[WatchedDay], span: tuple[str, str]
) -> dict[str, Any]:
    """What is known of the days of a span."""
    first, last = span
    said = together(one for one in counted if first <= one.day[:10] <= last)
    audited = shares_right(said, valued=use_case.value is not None)
    return {"day": first, **audited, **_estimated(watcher, [one for one in days if first <= one.day[:10] <= last])}


def _estimated(watcher: Watcher, days: Sequence[WatchedDay]) -> dict[str, Any]:
    """The estimate of some days: of each version all its answers together, and of several as many as each gave."""
    guesses = [guess for guess in map(watcher.estimate, _by_version(days)) if guess is not None]
    rows = sum(guess.rows for guess in guesses)

    def mean(name: str) -> float | None:
        return sum(guess.rows * getattr(guess, name) for guess in guesses) / rows if rows else None

    names = {"estimate": "accuracy", "estimate_low": "low", "estimate_high": "high", "baseline": "baseline"}
    return {**{shown: mean(name) for shown, name in names.items()}, "rows": rows}


def _by_version(days: Sequence[WatchedDay]) -> list[WatchedDay]:
    """The days of each version and its reference as one, by their answers."""
    found = []
    for key in dict.fromkeys((day.version, day.reference) for day in days):
        own = [day for day in days if (day.version, day.reference) == key and day.profile.said is not None]
        if own:
            said = reduce(add, (day.profile.said for day in own))
            found.append(replace(own[-1], profile=replace(own[-1].profile, said=said)))
    return found


def _by(
    use_case: UseCase,
    lake: Lake,
    chosen: Sequence[Counted],
    asked: Sequence[Counted],
    known: Mapping[int, Summary],
    last: str,
) -> dict[str, list[dict[str, Any]]]:
    """The lines of `levels` by what they are of; slices are of all rows, whatever slice is asked for."""
    lines = levels(use_case, lake, asked, known, last).to_pylist()
    slices = levels(use_case, lake, chosen, known, last).to_pylist()
    return {by: [line for line in (slices if by == "slice" else lines) if line["by"] == by] for by in BY}


def _newest(day: str, guess: Estimate) -> dict[str, Any]:
    return {"day": day, "sentence": guess.sentence, "red": guess.red, "class_mix": class_mix(guess)}
