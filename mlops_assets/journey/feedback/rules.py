"""In: the entries of all files. Out: those that count, and those that do not, each with the first rule it breaks."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from mlops_assets.journey.feedback.audit import drawn_rows
from mlops_assets.journey.feedback.files import Entry, Reject
from mlops_assets.journey.feedback.published import Row, look_up
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import Column, Feedback

PLAIN_NUMBER = re.compile(r"[+-]?\d{1,300}(\.\d{1,300})?([eE][+-]?\d{1,3})?", re.ASCII)
"""How people write a number here, whatever the raw files do."""

RULES = {
    "link": "the file is a link that leads out of the folder of the raw files; none of its entries was looked at",
    "not_a_file": "what has that name is no regular file, or is too large; none of its entries was looked at",
    "malformed": "a field is missing or cannot be read, the header lacks or repeats a column, or the text is not UTF-8",
    "duplicate": "exactly this entry was sent before",
    "in_the_future": "its `when` is later than now",
    "flood": "its source sent more than `feedback.most_a_day` entries on that date; none of them counts",
    "unknown_label": "no model knows the label, and `feedback.labels` does not name it; or it is no number in bounds",
    "unknown_row": "no such row is published",
    "superseded": "the same person said something later about that row",
    "withdrawn": "it has no label, and takes back what the same person said of that row before",
    "contradiction": "people disagree about that row; none of them counts until they agree",
}
"""Why an entry does not count, in the order in which it is asked."""


def apply_rules(
    entries: list[Entry],
    feedback: Feedback,
    lake: Lake,
    labels: Iterable[str],
    now: dt.datetime,
    number: Column | None = None,
) -> tuple[list[Entry], list[Reject]]:
    """Part entries into those that count and those that do not.

    Parameters
    ----------
    entries
        The entries of all files.
    feedback
        Says what is too much, and which labels may be new.
    lake
        The tables of the use case; entries must be about published rows.
    labels
        Labels that are known.
    now
        The time; entries that are later do not count.
    number
        Where numbers are predicted, the column of the label: a label is then a number within its bounds.
    """
    if number is not None:
        entries = [replace(entry, label=written(entry.label)) for entry in entries]
    known_labels = frozenset((*labels, *feedback.labels))
    rules: dict[str, Callable[[list[Entry]], dict[Entry, str]]] = {
        "duplicate": _duplicates,  # first: whoever sends a file twice floods nobody
        "in_the_future": partial(_in_the_future, now=now),
        "flood": partial(_floods, most=feedback.most_a_day, drawn=partial(drawn_rows, lake)),
        "unknown_label": partial(_no_numbers, column=number)
        if number is not None
        else partial(_unknown_labels, labels=known_labels),
        "unknown_row": partial(_unknown_rows, lake=lake),
        "superseded": _superseded,
        "withdrawn": _withdrawn,
        "contradiction": _contradictions,
    }
    rejects: list[Reject] = []
    for rule, find in rules.items():
        # what breaks a rule is gone before the next one looks: a flood cannot contradict anybody
        bad = find(entries)
        rejects += [
            Reject(entry.source_file, entry.source_line, rule, why, entry.raw, entry) for entry, why in bad.items()
        ]
        entries = [entry for entry in entries if entry not in bad]
    return entries, rejects


def write_time(when: dt.datetime) -> str:
    """A time as tables and messages have it."""
    return when.isoformat(timespec="milliseconds")


def _duplicates(entries: list[Entry]) -> dict[Entry, str]:
    first: dict[tuple[Any, ...], Entry] = {}
    bad = {}
    for entry in entries:
        before = first.setdefault((*entry.row, entry.label, entry.who, entry.when), entry)
        if before is not entry:
            bad[entry] = f"the same as {before.source_file}, line {before.source_line}"
    return bad


def _in_the_future(entries: list[Entry], now: dt.datetime) -> dict[Entry, str]:
    return {
        entry: f"it is said to be from {write_time(entry.when)}, now it is {write_time(now)}"
        for entry in entries
        # not refused for ever: all files are read each time, and it counts once its time has come
        if entry.when > now
    }


def _floods(entries: list[Entry], most: int, drawn: Callable[[str], set[Row]]) -> dict[Entry, str]:
    """Audited rows do not count: the platform has asked for them."""
    # an audit may be larger than what one person may send
    asked = {day: drawn(day) for day in {entry.day for entry in entries}}
    unasked = [entry for entry in entries if (entry.file, entry.line) not in asked[entry.day]]
    bad = {}
    for (who, date), sent in _grouped(unasked, lambda entry: (entry.who, entry.when.date())).items():
        if len(sent) > most:
            why = f"{who} sent {len(sent)} entries on {date}, allowed are {most} (feedback.most_a_day)"
            bad.update(dict.fromkeys(sent, why))
    return bad


def _unknown_labels(entries: list[Entry], labels: frozenset[str]) -> dict[Entry, str]:
    names = sorted(labels)
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    listed = ", ".join(names[:20]) + more or "none so far"
    return {
        entry: f"no model knows the label {entry.label!r}; known are: {listed}. A new one is named in feedback.labels"
        for entry in entries
        if entry.label and entry.label not in labels  # without one it takes back another
    }


def written(label: str) -> str:
    """A number as every other writing of it has it: `152`, `152.0` and `1.52e2` say the same; any other text stays.

    Examples
    --------
    >>> written("152.50"), written("about 150")
    ('152.5', 'about 150')
    """
    return f"{float(label):.15g}" if PLAIN_NUMBER.fullmatch(label.strip()) else label


def _no_numbers(entries: list[Entry], column: Column) -> dict[Entry, str]:
    return {entry: why for entry in entries if entry.label and (why := _wrong_number(entry.label, column))}


def _wrong_number(label: str, column: Column) -> str:
    if not PLAIN_NUMBER.fullmatch(label) or not math.isfinite(number := float(label)):
        return f"{label[:50]!r} is no number; write it with a point before its decimals and nothing between its digits"
    if column.type == "integer" and not number.is_integer():
        return f"{label} is no whole number, as the contract asks of this column"
    least, most = column.bounds
    if (isinstance(least, float) and number < least) or (isinstance(most, float) and number > most):
        ends = " ".join(
            f"{word} {bound:,.15g}" for word, bound in (("from", least), ("up to", most)) if isinstance(bound, float)
        )
        return f"{label} is out of the bounds of the contract: {ends}"
    return ""


def _unknown_rows(entries: list[Entry], lake: Lake) -> dict[Entry, str]:
    bad = {}
    published = lake.rows.days()
    for day, group in _grouped(entries, lambda entry: entry.day).items():
        if day not in published:
            bad.update(dict.fromkeys(group, f"no rows of {day} are published"))
            continue
        present = look_up(lake, lake.rows, day, {(entry.file, entry.line) for entry in group})
        for entry in group:
            if (entry.file, entry.line) not in present:
                bad[entry] = f"no row {entry.line} of {entry.file!r} is published on {day}"
    return bad


def _superseded(entries: list[Entry]) -> dict[Entry, str]:
    bad = {}
    for group in _grouped(entries, lambda entry: (entry.row, entry.who)).values():
        latest = max(entry.when for entry in group)
        back = any(entry.when == latest and not entry.label for entry in group)
        what = "took it back" if back else "said something else or the same again"
        for entry in group:
            if entry.when < latest or (back and entry.label):
                bad[entry] = f"{entry.who} {what} at {write_time(latest)}"
    return bad


def _withdrawn(entries: list[Entry]) -> dict[Entry, str]:
    return {
        entry: f"{entry.who} takes back what they said of this row; it says nothing else"
        for entry in entries
        if not entry.label
    }


def _contradictions(entries: list[Entry]) -> dict[Entry, str]:
    bad = {}
    for group in _grouped(entries, lambda entry: entry.row).values():
        if len({entry.label for entry in group}) > 1:
            opinions = ", ".join(f"{entry.who} says {entry.label!r}" for entry in group)
            bad.update(dict.fromkeys(group, f"{opinions}; a newer entry by one of them settles it"))
    return bad


def _grouped(entries: Iterable[Entry], key: Callable[[Entry], Any]) -> dict[Any, list[Entry]]:
    groups: dict[Any, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[key(entry)].append(entry)
    return groups
