"""What is said of days beside what their model learned from: as text, as plain values, and as panels of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlops_assets.journey.score.profile.counts import Bins, Column, Counts, Profile, Said
from mlops_assets.journey.score.profile.reference import Reference
from mlops_assets.monitoring.lamp import DayVerdict, Lamp
from mlops_assets.monitoring.verdicts import plain
from mlops_assets.monitoring.words import name_of
from mlops_assets.views.output import text_table
from mlops_assets.views.pictures import Panel
from mlops_assets.work.printable import printable

MOST_PANELS = 12
"""Columns of which a picture of a day is drawn: those that moved most."""

MOST_BARS = 8
"""Values of a category that have bars of their own."""


def first_line(verdicts: Sequence[DayVerdict]) -> str:
    """What is red, in words: of one day its sentence, of several which of them."""
    if len(verdicts) == 1:
        return f"{verdicts[0].day}: {verdicts[0].sentence}"
    red = [verdict.day for verdict in verdicts if verdict.red]
    if not red:
        return f"None of {len(verdicts)} days is red."
    return f"{len(red)} of {len(verdicts)} days {'is' if len(red) == 1 else 'are'} red: {', '.join(red)}."


def text(verdicts: Sequence[DayVerdict]) -> str:
    """Days as text for a terminal: what is red first, then the lamps of each day.

    Parameters
    ----------
    verdicts
        Of the days, in order.
    """
    parts = [first_line(verdicts)]
    if len(verdicts) > 1:
        parts.append("\n".join(f"{verdict.day}: {verdict.sentence}" for verdict in verdicts))
    parts += [_lamps(verdict) for verdict in verdicts if len(verdicts) == 1 or verdict.red]
    return "\n\n".join(parts)


def _lamps(verdict: DayVerdict) -> str:
    """The red lamps in words, and a table of all."""
    told = [f"RED  {lamp.sentence}\n     Since {lamp.since}. {lamp.advice}" for lamp in verdict.red_lamps]
    lines = [["lamp", "", "figure", "effect", "threshold", "since"]]
    lines += [
        [lamp.name, lamp.state, lamp.what, f"{lamp.effect:.3f}", f"{lamp.threshold:.3f}", lamp.since or ""]
        for lamp in verdict.lamps
        if lamp.state != "grey"
    ]
    grey = [f"{lamp.name}: {lamp.sentence}" for lamp in verdict.lamps if lamp.state == "grey"]
    title = f"{verdict.day} against {verdict.against}"
    table = text_table(lines).rstrip() if len(lines) > 1 else ""
    return "\n\n".join(filter(None, (title, "\n".join(told), table, "\n".join(grey))))


def as_json(use_case: str, verdicts: Sequence[DayVerdict]) -> dict[str, Any]:
    """Days as plain values.

    Returns
    -------
    dict
        `use_case`; `sentence`, the first line; `red`, whether a lamp of any day is; `days`, each with `day`, `sentence`,
        `red`, `against` and `lamps`, whose fields are those of `Lamp` and `threshold`.
    """
    days = [plain(verdict) for verdict in verdicts]
    red = any(verdict.red for verdict in verdicts)
    return {"use_case": use_case, "sentence": first_line(verdicts), "red": red, "days": days}


def records(lamps: Sequence[Lamp]) -> list[dict[str, Any]]:
    """Lamps as lines of a table, what they say first."""
    return [
        {
            "lamp": lamp.name,
            "state": lamp.state,
            "says": lamp.sentence,
            "figure": lamp.what,
            "effect": lamp.effect,
            "threshold": lamp.threshold,
            "since": lamp.since or "",
            "do": lamp.advice,
        }
        for lamp in lamps
    ]


def panels(verdict: DayVerdict, today: Profile, reference: Reference) -> list[Panel]:
    """The columns of a day that moved most beside what the version learned from, red ones first, and its answers.

    Parameters
    ----------
    verdict
        Says how far each moved.
    today
        What was counted of the day.
    reference
        What the version learned from.
    """
    drawn = []
    for lamp in verdict.lamps:
        column = (lamp.source, lamp.column)
        if column in reference.bins and column in today.columns and len(drawn) < MOST_PANELS:
            counts = today.columns[column], reference.profile.columns[column]
            drawn.append(_panel(column, lamp.red, reference.bins[column], *counts))
    answers = any(lamp.red for lamp in verdict.lamps if lamp.what == "class_mix")
    if today.said is not None and reference.profile.said is not None:
        drawn.append(_answers(reference.classes, today.said, reference.profile.said, red=answers))
    return drawn


def _panel(column: Column, red: bool, bins: Bins, today: Counts, usual: Counts) -> Panel:
    now, then = _shares(today.spread), _shares(usual.spread)
    shown = np.arange(len(now))
    if bins.kind == "category":
        # the rest, what is new and what is empty have the last three bins
        own = shown[: len(now) - 3]
        most = own[np.argsort(-np.maximum(now, then)[own], kind="stable")][:MOST_BARS]
        shown = np.append(np.sort(most), shown[len(own) :])
    names = [name_of(bins, int(position)).strip("`") for position in shown]
    source, name = column
    title = printable(name) if source == "rows" else f"{printable(name)} (input)"
    return Panel(title, names, then[shown].tolist(), now[shown].tolist(), red)


def _answers(classes: Sequence[str], today: Said, usual: Said, *, red: bool) -> Panel:
    now, then = _shares(today.rows), _shares(usual.rows)
    shown = np.sort(np.argsort(-np.maximum(now, then), kind="stable")[: MOST_BARS + 3])
    return Panel("what the model says", [classes[n] for n in shown], then[shown].tolist(), now[shown].tolist(), red)


def class_shares(classes: Sequence[str], said: Said | None) -> dict[str, float]:
    """Share of the rows by the class that was said, the most frequent first."""
    if said is None or not said.rows.sum():
        return {}
    shares = _shares(said.rows)
    return {classes[n]: float(shares[n]) for n in np.argsort(-shares, kind="stable") if shares[n]}


def _shares(counts: np.ndarray) -> np.ndarray:
    shares: np.ndarray = counts / max(1, int(counts.sum()))
    return shares
