"""In: what was said of days. Out: lamps and days as plain values for a page: tables, a grid, one over time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_assets.journey.score.profile.counts import SOURCES
from mlops_assets.monitoring.days import TRAILING
from mlops_assets.monitoring.kept import Judged, read_verdict
from mlops_assets.monitoring.lamp import DayVerdict, Lamp
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase, back, date_of
from mlops_assets.views.drift import example_cell, shown_columns

FIGURES: Mapping[str, str] = {
    "nulls": "empty",
    "unseen": "new values",
    "shift": "moved",
    "mean": "mean",
    "psi": "spread",
    "class_mix": "classes",
    "confidence": "sureness",
    "volume": "how much came",
    "rejects": "refused",
}
"""The figures of lamps, in the order in which they are said, and what they look at, in short."""

OF_COLUMNS = ("nulls", "unseen", "shift", "mean", "psi")
"""Those that each column has; its lamp names one."""


def lamp_lines(lamps: Iterable[Lamp], *, stops: bool) -> list[dict[str, Any]]:
    """Lamps as lines of a table.

    Parameters
    ----------
    lamps
        The lamps.
    stops
        Whether a red one keeps its day from being published.

    Returns
    -------
    list
        Of each `name`, `figure` in words, `value`, `threshold` and `band` (null where they are infinite or nothing was
        judged), `since`, `severity`, `state`, and what it `says`.
    """
    return [
        {
            "name": lamp.name,
            "figure": FIGURES.get(lamp.what, lamp.what),
            "value": _judged(lamp, lamp.effect),
            "threshold": _judged(lamp, lamp.threshold),
            "band": _judged(lamp, lamp.band),
            "since": lamp.since,
            "severity": severity(lamp, stops=stops),
            "state": lamp.state,
            "says": lamp.sentence,
        }
        for lamp in lamps
    ]


def severity(lamp: Lamp, *, stops: bool) -> str | None:
    """What a red lamp brings about; None of any other."""
    if not lamp.red:
        return None
    told = "keeps the day back" if stops else "warning"
    return f"{told}, follows from {lamp.cause}" if lamp.cause else told


def _judged(lamp: Lamp, value: float) -> float | None:
    return value if lamp.state != "grey" and math.isfinite(value) else None


@dataclass(frozen=True)
class ToldDay:
    """A calendar day, and what was said of it.

    Attributes
    ----------
    day
        The day.
    published
        Whether it is.
    judged
        What was said of it; None where nothing was, or it holds no longer.
    """

    day: str
    published: bool
    judged: Judged | None

    @property
    def state(self) -> str:
        """How it stands: `red`, `green`, `grey` where nothing is said of it, `missing` where it is not published."""
        if self.judged is None:
            return "grey" if self.published else "missing"
        if self.judged.verdict.red:
            return "red"
        return "green" if any(lamp.state == "green" for lamp in self.judged.verdict.lamps) else "grey"


HOURS_OF = 2
"""Days of which each hour is shown; of more there would be hundreds of columns."""


def told_days(use_case: UseCase, lake: Lake, day: str, number: int | None = None) -> list[ToldDay]:
    """What was said of a day and the calendar days before it, the oldest first.

    Parameters
    ----------
    use_case, lake
        The use case and its tables.
    day
        The last day.
    number
        How many days; by default as many as a day is compared with, of hours those of `HOURS_OF`.
    """
    published, partitions = lake.predictions.days(), use_case.partitions
    number = number or (HOURS_OF if partitions.every == "hour" else TRAILING)
    names = partitions.between(partitions.of_date(date_of(back(day, number - 1))), day)
    return [ToldDay(name, name in published, read_verdict(use_case, lake, name)) for name in names]


def grid(days: Sequence[ToldDay]) -> list[dict[str, Any]]:
    """Days by figures, the oldest first: of each `day`, `state`, `sentence`, and `cells` by the names of `FIGURES`.

    A cell has a `state`, and the `number` of lamps of that figure that are red.
    """
    shown = []
    for one in days:
        sentence = one.judged.sentence if one.judged else "not judged" if one.published else "not published"
        cells = _cells(one.judged.verdict) if one.judged else {what: _cell("grey") for what in FIGURES}
        shown.append({"day": one.day, "state": one.state, "sentence": sentence, "cells": cells})
    return shown


def _cells(verdict: DayVerdict) -> dict[str, dict[str, Any]]:
    """What is said by figure."""
    red = Counter(lamp.what for lamp in verdict.red_lamps)
    judged = [lamp for lamp in verdict.lamps if lamp.state != "grey"]
    known = {lamp.what for lamp in judged}
    if any(lamp.source in SOURCES for lamp in judged):
        known.update(OF_COLUMNS)  # a column has a lamp that names one of its figures, and is judged by all
    return {
        what: _cell("red", red[what]) if red[what] else _cell("green" if what in known else "grey") for what in FIGURES
    }


def _cell(state: str, number: int = 0) -> dict[str, Any]:
    return {"state": state, "number": number}


def over_time(days: Sequence[ToldDay], name: str) -> list[dict[str, Any]]:
    """A lamp on each day: its `state`, its `figure`, and `times`, how many times its threshold it was out.

    Parameters
    ----------
    days
        Of `told_days`.
    name
        Name of the lamp.
    """
    shown = []
    for one in days:
        lamps = one.judged.verdict.lamps if one.judged else ()
        lamp = next((lamp for lamp in lamps if lamp.name == name), None)
        known = lamp is not None and lamp.state != "grey"
        shown.append(
            {
                "day": one.day,
                "state": lamp.state if lamp else one.state if one.state == "missing" else "grey",
                "figure": FIGURES.get(lamp.what, lamp.what) if lamp and known else None,
                "times": lamp.excess if lamp and known and math.isfinite(lamp.excess) else None,
            }
        )
    return shown


def example_table(examples: Sequence[Mapping[str, Any]], column: str) -> tuple[list[str], list[list[str]]]:
    """Example rows as a table of texts: its heads, and its lines; the column of the lamp is among them."""
    if not examples:
        return [], []
    names = shown_columns([*examples[0]], column)
    return names, [[example_cell(row[name]) for name in names] for row in examples]
