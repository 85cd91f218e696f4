"""In: what is known of the days of a use case. Out: a record of each: how it stands, its numbers, and why it is red."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mlops_assets.journey.deliver.delivery import Deliveries
from mlops_assets.journey.score.checks import DayCheck, check_current, check_rows_of_day
from mlops_assets.monitoring.kept import Judged, verdict_of
from mlops_assets.storage.accounting import ListingAccounting, PredictionsAccounting, ReadingAccounting
from mlops_assets.storage.tables import Published
from mlops_assets.views.brought import deliveries_of
from mlops_assets.views.status import NUMBERS, are_current, time_of
from mlops_assets.workspace import Stores

STATES = {
    "done": "its predictions are published, and nothing of it is red",
    "red": "a check or a lamp of it is red, whether or not it was published all the same",
    "late": "it is not published, and its deadline is over",
    "missing": "it is not published, though it has raw files or had some",
}
"""How a day stands, in words."""

MEANS = {
    "accounting_adds_up": "its files and lines do not add up",
    "day_is_not_empty": "none of its files has a good row",
    "reject_rate": "more of its lines were refused than is allowed",
    "quarantine_rate": "more of its files were refused than is allowed",
    "noticed": "more of its files are odd than is allowed",
    "rows_are_current": "its files changed after they were read",
}
"""What it means that a check of a day is red, for people who know no name of a check."""

WINDOW = 7
"""Days back for which a day without any file can be late, as in what people are told."""


@dataclass(frozen=True)
class Known:
    """What there is of the days of a use case at one moment; its tables are asked once.

    Attributes
    ----------
    stores
        Of the use case.
    raw, rows, predictions
        The published days of these tables.
    delivered
        The days that have raw files.
    late
        The days that are not published and whose deadline is over.
    """

    stores: Stores
    raw: Mapping[str, Published[ListingAccounting]]
    rows: Mapping[str, Published[ReadingAccounting]]
    predictions: Mapping[str, Published[PredictionsAccounting]]
    delivered: frozenset[str]
    late: frozenset[str]

    @classmethod
    def of(cls, stores: Stores, now: dt.datetime | None = None) -> Known:
        """Look at a use case."""
        lake, predictions = stores.lake, stores.lake.predictions.days()
        delivered = frozenset(stores.source.days())
        known = {*delivered, *lake.rows.days(), *predictions}
        late = _late(stores, known - predictions.keys(), predictions, now or dt.datetime.now(dt.UTC))
        return cls(stores, lake.raw_files.days(), lake.rows.days(), predictions, delivered, late)

    def days(self, first: str = "", last: str = "") -> list[str]:
        """The days that there is something to say of, the newest first."""
        every = {*self.delivered, *self.rows, *self.predictions, *self.late}
        # of hours, a calendar day has all of them
        return sorted(
            (day for day in every if first <= day and (not last or day <= last or day[:10] == last)), reverse=True
        )


def _late(stores: Stores, missing: set[str], published: Mapping[str, object], now: dt.datetime) -> frozenset[str]:
    """The days whose deadline is over; without a champion nothing is predicted, and nothing is late."""
    use_case = stores.use_case
    deadline = use_case.due
    if deadline is None or stores.history.champion() is None:
        return frozenset()
    partitions = use_case.partitions
    first = max(use_case.first_day, partitions.days_ago(now, WINDOW))
    expected = {*partitions.between(first, partitions.over(now))} - published.keys()
    return frozenset(day for day in missing | expected if deadline.of(day) < now)


def short_record(known: Known, day: str) -> dict[str, Any]:
    """A day in a list: `day`, `state`, `why`, its numbers, `model_version`, `publication`, `published`."""
    return _short(known, day, _reasons(_checks(known, day), _verdict(known, day)))


def _short(known: Known, day: str, reasons: list[str]) -> dict[str, Any]:
    rows, predictions = known.rows.get(day), known.predictions.get(day)
    read = rows.accounting.to_json() if rows else {}
    return {
        "day": day,
        "state": _state(known, day, reasons),
        "why": reasons,
        **{name: read.get(name) for name in NUMBERS},
        "predictions": predictions.accounting.predictions if predictions else None,
        "without_prediction": (predictions.accounting.sql_rejected or 0) if predictions else None,
        "model_version": predictions.accounting.model_version if predictions else None,
        "publication": predictions.version if predictions else None,
        "published": time_of(predictions.time) if predictions else None,
    }


def record(known: Known, day: str) -> dict[str, Any]:
    """All that is known of a day: as in a list, and its checks, lamps, rejects by rule, and what was brought where."""
    rows, predictions = known.rows.get(day), known.predictions.get(day)
    checks, judged, stores = _checks(known, day), _verdict(known, day), known.stores
    targets = {name: Deliveries(stores.use_case, stores.lake, name) for name in stores.use_case.targets}
    return {
        **_short(known, day, _reasons(checks, judged)),
        "current": are_current(rows, predictions),
        "run": predictions.run if predictions else None,
        "checks": [asdict(check) for check in checks],
        "drift": _drift(judged),
        "rejected_by_rule": dict(rows.accounting.rules) if rows else {},
        "read": rows.accounting.to_json() if rows else None,
        "accounting": predictions.accounting.to_json() if predictions else None,
        "deliveries": deliveries_of(targets, day),
    }


def _checks(known: Known, day: str) -> list[DayCheck]:
    """The conditions of the rows of a day; none where it was never read."""
    rows, raw = known.rows.get(day), known.raw.get(day)
    if rows is None:
        return []
    checks = check_rows_of_day(known.stores.use_case.checks, rows.accounting, "the folder of its raw files")
    return [*checks, check_current(rows, raw)]


def _verdict(known: Known, day: str) -> Judged | None:
    published = known.predictions.get(day)
    return verdict_of(known.stores.use_case, known.stores.lake, day, published.version if published else None)


def _reasons(checks: Sequence[DayCheck], judged: Judged | None) -> list[str]:
    """Why a day is red, in sentences; none if it is not."""
    failed = [f"{one.name}: {one.found}; {one.advice}" for one in checks if not (one.passed or one.warns)]
    return [*failed, *([judged.sentence] if judged and judged.verdict.red else [])]


def _state(known: Known, day: str, reasons: Sequence[str]) -> str:
    """One of `STATES`."""
    if reasons:
        return "red"
    if day in known.predictions:
        return "done"
    return "late" if day in known.late else "missing"


def _drift(judged: Judged | None) -> dict[str, Any] | None:
    """What was said of a day beside what its model learned from; the red lamps with what to do."""
    if judged is None:
        return None
    verdict = judged.verdict
    red = [{"name": one.name, "sentence": one.sentence, "advice": one.advice} for one in verdict.red_lamps]
    lamps = {one.name: one.state for one in verdict.lamps}
    told = {"sentence": judged.sentence, "red": verdict.red, "against": verdict.against, "doubt": judged.doubt}
    return {**told, "red_lamps": red, "lamps": lamps}
