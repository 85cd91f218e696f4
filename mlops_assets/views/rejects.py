"""The rejects of a day by rule: how many there are, what each rule means, and what a person does about it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow.compute as pc

from mlops_assets.journey.features.blame import FAILING, WAYS_OUT
from mlops_assets.journey.read.contract import RULES, RULES_OF_FILES
from mlops_assets.workspace import Stores

OWN = "the use case's own reader found it; its message says what is wrong"


def told_by_rule(stores: Stores, day: str) -> dict[str, Any]:
    """What was refused of a day.

    Parameters
    ----------
    stores
        Of the use case; that day is published.
    day
        The day.

    Returns
    -------
    dict
        `rules`, each with `rule`, `number` in the whole day, `means` and `advice`; `total` of the day, and how many of
        them are whole `files`.
    """
    counted = count_by_rule(stores, day)
    return {
        "rules": [
            {"rule": each, "number": number, "means": meaning(each), "advice": advice(each)}
            for each, number in counted.items()
        ],
        "total": sum(counted.values()),
        "files": stores.lake.rows.days()[day].accounting.files_refused,
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
