"""The rejects of a day by rule: how many there are, what each rule means, and what a person does about it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow.compute as pc

from mlops_assets.journey.features.blame import FAILING, WAYS_OUT
from mlops_assets.journey.feedback.published import parts_with
from mlops_assets.journey.read.contract import RULES, RULES_OF_FILES
from mlops_assets.storage.catalog import REJECTS
from mlops_assets.views.paging import Only, Place, list_parts, read_cursor, read_page, write_cursor
from mlops_assets.workspace import Stores

LINES = 50
"""Rejects of a page."""

OWN = "the use case's own reader found it; its message says what is wrong"


def rejects_of(
    stores: Stores, day: str, rule: str | None = None, file: str | None = None, cursor: str | None = None
) -> dict[str, Any]:
    """A page of the rejects of a day.

    Parameters
    ----------
    stores
        Of the use case; that day is published.
    day
        The day.
    rule, file
        Of which rule and file; of all if None.
    cursor
        Where the page begins.

    Returns
    -------
    dict
        `rows`, each with `file`, `line`, `rule`, `message`, `raw`; `next`, the cursor of the next page or None;
        `rules`, each with `rule`, `number` in the whole day, `means` and `advice`; `total` of the day, and how many of
        them are whole `files`.

    Raises
    ------
    WrongCursor
        If the cursor is none, or of another list.
    PublishedAgain
        If the day was published again since the cursor was given.
    """
    lake = stores.lake
    tables = lake.rejects, lake.unpredicted
    among = None
    if file is not None:
        there = [table for table in tables if day in table.days()]
        among = frozenset(part for table in there for part in parts_with(lake, table, day, [file]))
    only = Only({name: value for name, value in (("rule", rule), ("file", file)) if value is not None}, among=among)
    listing, name = list_parts(day, *tables), f"{stores.use_case.name}/rejects?{only.mark}"
    place = read_cursor(name, listing, cursor) if cursor else Place()
    rows, after = read_page(listing, REJECTS.names, only, place, LINES)
    counted = count_by_rule(stores, day)
    return {
        "rows": rows.to_pylist(),
        "next": write_cursor(name, listing, after) if after else None,
        "rules": [
            {"rule": each, "number": number, "means": meaning(each), "advice": advice(each)}
            for each, number in counted.items()
        ],
        "total": sum(counted.values()),
        "files": lake.rows.days()[day].accounting.files_refused,
    }


def count_by_rule(stores: Stores, day: str) -> dict[str, int]:
    """Rejects of a published day by rule, and rows without a prediction, the most frequent first."""
    lake = stores.lake
    counted: Counter[str] = Counter(lake.rows.days()[day].accounting.rules)
    if day in lake.unpredicted.days():
        found = pc.value_counts(lake.unpredicted.read([day], ["rule"]).read_all()["rule"])
        counted.update({str(one["values"]): int(one["counts"]) for one in found.to_pylist()})
    return dict(counted.most_common())


def meaning(rule: str) -> str:
    """What a rule means.

    Examples
    --------
    >>> meaning("blank_line"), meaning("sql")
    ('the line is blank', 'the row was read, but features.sql fails on it')
    """
    if rule in FAILING:
        return f"the row was read, but {FAILING[rule]} fails on it"
    return {**RULES, **RULES_OF_FILES}.get(rule, OWN)


def advice(rule: str) -> str:
    """What a person does about rejects of a rule.

    Examples
    --------
    >>> advice("blank_line")
    'Mend the lines and replay them. If the files are right, mend the contract and run the day again.'
    """
    if rule in FAILING:
        return f"Mend or remove the line in its file, or {WAYS_OUT[rule]}; then run the day again."
    if rule in RULES:
        return "Mend the lines and replay them. If the files are right, mend the contract and run the day again."
    if rule in RULES_OF_FILES:
        return "No line of it was taken. Have it delivered anew, or mend it where it lies; then run the day again."
    return "Mend the file where it lies, or have it delivered anew; then run the day again."
