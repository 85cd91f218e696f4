"""What is said of days beside what their model learned from: as text, as plain values, and as panels of a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from mlops_assets.journey.score.profile.counts import Bins, Column, Counts, Profile, Said
from mlops_assets.journey.score.profile.reference import Reference
from mlops_assets.monitoring.distances import shares
from mlops_assets.monitoring.lamp import DayVerdict, Lamp
from mlops_assets.monitoring.rows import Evidence
from mlops_assets.monitoring.verdicts import Explained, plain
from mlops_assets.monitoring.words import name_of
from mlops_assets.views.estimating import checked_record, estimate_record, estimate_text
from mlops_assets.views.multiples import Panel
from mlops_assets.views.output import text_table
from mlops_assets.work.printable import LONGEST, cut, printable

MOST_PANELS = 11
"""Columns of which a picture of a day is drawn: those that moved most; the answers have the twelfth panel."""

EXAMPLE = 24
"""Signs of a value of an example row."""

MOST_COLUMNS = 16
"""Columns of an example row."""

MOST_BARS = 8
"""Values of a category that have bars of their own."""


def first_line(days: Sequence[Explained]) -> str:
    """What is red, in words: of one day its sentence, of several which of them."""
    if len(days) == 1:
        return f"{days[0].verdict.day}: {days[0].sentence}"
    red = [one.verdict.day for one in days if one.red]
    dark = sum(not one.judged for one in days)
    told = f"None of {len(days)} days is red"
    if red:
        told = f"{len(red)} of {len(days)} days {'is' if len(red) == 1 else 'are'} red: {', '.join(red)}"
    return told + (f"; {dark} cannot be judged." if dark else ".")


def text(days: Sequence[Explained]) -> str:
    """Days as text for a terminal: what is red first, then the lamps of each day and the rows behind them.

    Parameters
    ----------
    days
        In order.
    """
    parts = [first_line(days)]
    if len(days) > 1:
        parts.append("\n".join(f"{one.verdict.day}: {one.sentence}" for one in days))
    parts += [_day(one) for one in days if len(days) == 1 or one.red]
    return "\n\n".join(parts)


def _day(day: Explained) -> str:
    """The red lamps of a day in words with their rows, and a table of all."""
    verdict = day.verdict
    judged = [lamp for lamp in verdict.lamps if lamp.state != "grey"]
    lines = [["lamp", "state", "figure", "effect", "threshold", "since"]]
    lines += [
        [lamp.name, lamp.state, lamp.what, f"{lamp.effect:.3f}", f"{lamp.threshold:.3f}", lamp.since or ""]
        for lamp in judged
    ]
    told = [_red(one) for one in day.evidence]
    if more := len(verdict.red_lamps) - len(told):
        told.append(f"{more} more red lamps are in the table, without their rows.")
    grey = [f"{printable(lamp.name)}: {lamp.sentence}" for lamp in verdict.lamps if lamp.state == "grey"]
    title = f"{verdict.day} against {verdict.against}"
    table = text_table(lines, LONGEST).rstrip() if judged else ""
    guess = estimate_text(day.estimate, day.checked, day.doubt) if day.estimate else ""
    title = "\n".join([title, *([day.today.came] if day.today else [])])
    return "\n\n".join(filter(None, (title, day.proposal, *told, table, "\n".join(grey), guess)))


def _red(evidence: Evidence) -> str:
    """A red lamp: what it says, whose rows those are, three of them, and what to do."""
    lamp = evidence.lamp
    follows = f" It likely follows from {printable(lamp.cause)}." if lamp.cause else ""
    lines = [f"RED {printable(lamp.name)}: {evidence.sentence}{follows}"]
    ranked = {"files": evidence.most_files, "accounts": evidence.most_accounts, "values": evidence.most_values}
    lines += [f"  {what}: {_listed(most)}" for what, most in ranked.items() if most]
    if evidence.examples:
        names = shown_columns([*evidence.examples[0]], lamp.column)
        cells = [names, *([example_cell(row[name]) for name in names] for row in evidence.examples)]
        lines += [f"  {line}" for line in text_table(cells, EXAMPLE).rstrip().splitlines()]
    return "\n".join([*lines, f"  {lamp.advice}"])


def shown_columns(names: Sequence[str], column: str) -> list[str]:
    """The first columns of an example row, that of the lamp among them; JSON has all."""
    first = [*names[:MOST_COLUMNS]]
    return first if column in first or column not in names else [*first[:-1], column]


def _listed(most: Mapping[str, int]) -> str:
    return ", ".join(f"{printable(cut(name, LONGEST))} {number:,}" for name, number in most.items())


def example_cell(value: object) -> str:
    """A value of an example row, with as many digits as somebody reads."""
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def as_json(use_case: str, days: Sequence[Explained]) -> dict[str, Any]:
    """Days as plain values.

    Returns
    -------
    dict
        `use_case`; `sentence`, the first line; `red`, whether a lamp of any day is, that of its
        estimate among them; `days`, each with `day`,
        `sentence`, `red`, `against`, `proposal`, `lamps`, and `arrivals`, which files and accounts came, null of a day
        that was kept back. A lamp has the fields of `Lamp`, its `threshold`, and
        of the first red ones `evidence`: `rows`, `files`, `most_files`, `most_accounts`, `most_values`, `examples`. A
        day has `estimate` and `audits` besides, each null where there is none; see `views.estimating`; and `doubt`,
        what is said where the model is less sure than it was.
    """
    shown = []
    for one in days:
        behind = {each.lamp.name: _plain(each) for each in one.evidence}
        told = {**plain(one.verdict), "sentence": one.sentence, "red": one.red}
        lamps = [{**lamp, "evidence": behind.get(lamp["name"])} for lamp in told.pop("lamps")]
        guess = {
            "estimate": estimate_record(one.estimate) if one.estimate else None,
            "doubt": one.doubt,
            "audits": checked_record(one.checked) if one.checked else None,
        }
        arrivals = one.today.arrivals if one.today else None
        shown.append({**told, "proposal": one.proposal, "arrivals": arrivals, "lamps": lamps, **guess})
    red = any(one.red for one in days)
    return {"use_case": use_case, "sentence": first_line(days), "red": red, "days": shown}


def _plain(evidence: Evidence) -> dict[str, Any]:
    return {name: value for name, value in vars(evidence).items() if name != "lamp"}


def records(lamps: Sequence[Lamp]) -> list[dict[str, Any]]:
    """Lamps as lines of a table, what they say first."""
    return [
        {
            "lamp": lamp.name,
            "state": lamp.state,
            "says": lamp.sentence,
            "figure": lamp.what,
            # of what cannot be judged nothing was measured: a 0 would read as if it had been
            "effect": "" if lamp.state == "grey" else lamp.effect,
            "threshold": "" if lamp.state == "grey" else lamp.threshold,
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
    drawn = [*islice(column_panels(verdict, today, reference.profile, reference), MOST_PANELS)]
    return drawn + answer_panels(verdict, today, reference.profile, reference)


def column_panels(verdict: DayVerdict, today: Profile, usual: Profile, reference: Reference) -> Iterator[Panel]:
    """Every column of a day beside what is usual, red ones first, then those that moved most.

    Parameters
    ----------
    verdict, today
        As in `panels`.
    usual
        What was counted of what it is compared with.
    reference
        By whose bins both were counted.
    """
    for lamp in verdict.lamps:
        column = (lamp.source, lamp.column)
        if column in reference.bins and column in today.columns and column in usual.columns:
            counts = today.columns[column], usual.columns[column]
            yield _panel(column, lamp, reference.bins[column], *counts)


def answer_panels(verdict: DayVerdict, today: Profile, usual: Profile, reference: Reference) -> list[Panel]:
    """What the model says beside what it said of what is usual; none where either is not known."""
    if today.said is None or usual.said is None:
        return []
    red = any(lamp.red for lamp in verdict.lamps if lamp.what == "class_mix")
    return [_answers(reference.classes, today.said, usual.said, red=red)]


def _panel(column: Column, lamp: Lamp, bins: Bins, today: Counts, usual: Counts) -> Panel:
    now, then = shares(today.spread), shares(usual.spread)
    shown = np.arange(len(now))
    if bins.kind == "category":
        # the rest, what is new and what is empty have the last three bins
        own = shown[: len(now) - 3]
        most = own[np.argsort(-np.maximum(now, then)[own], kind="stable")][:MOST_BARS]
        shown = np.append(np.sort(most), shown[len(own) :])
    elif not now[bins.number] and not then[bins.number]:
        shown = np.delete(shown, bins.number)  # a number is never new
    names = [name_of(bins, int(position)).strip("`") for position in shown]
    source, name = column
    title = printable(name) + {"rows": "", "answers": " (answer)"}.get(source, " (input)")
    return Panel(title, names, then[shown].tolist(), now[shown].tolist(), lamp.red, lamp.name)


def _answers(classes: Sequence[str], today: Said, usual: Said, *, red: bool) -> Panel:
    now, then = shares(today.rows), shares(usual.rows)
    shown = np.sort(np.argsort(-np.maximum(now, then), kind="stable")[: MOST_BARS + 3])
    named = [classes[n] for n in shown]
    return Panel("what the model says", named, then[shown].tolist(), now[shown].tolist(), red, "class_mix")


def class_shares(classes: Sequence[str], said: Said | None) -> dict[str, float]:
    """Share of the rows by the class that was said, the most frequent first."""
    if said is None or not said.rows.sum():
        return {}
    each = shares(said.rows)
    return {classes[n]: float(each[n]) for n in np.argsort(-each, kind="stable") if each[n]}
