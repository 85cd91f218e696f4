"""How scoring past days again stands, in words and numbers: for a terminal, the history, pages and Dagster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlops_assets.journey.explain.retro.records import read_days
from mlops_assets.journey.explain.retro.standing import Standing, standing_of
from mlops_assets.journey.model.history import Change
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Stores

STATES: Mapping[str, str] = {
    "scored": "scored again and published",
    "held": "scored again, and not published yet",
    "waits": "wait to be scored",
    "failed": "failed and stay as they were",
    "current": "published by the champion anyway",
    "taken back": "put back by a rollback",
}
"""What the states of days are called."""

LEFT = "left as they were, for the champion was changed before"
"""What days are called that nobody scores again any more."""


def every(stores: Stores) -> list[Standing]:
    """How each change of the champion with days stands, the newest first, but those that found nothing to do."""
    changes = stores.history.changes()
    found = [
        standing_of(stores.lake, changes, change.number)
        for change in reversed(changes)
        if read_days(stores.lake, change)
    ]
    return [
        one
        for one in found
        if one.having("scored", "held", "failed", "taken back") or (one.state == "open" and one.having("waits"))
    ]


def one(stores: Stores, number: int) -> Standing | None:
    """How a change stands; None where there is none of that number, or it has no day."""
    changes: list[Change] = stores.history.changes()
    if not 1 <= number <= len(changes) or not read_days(stores.lake, changes[number - 1]):
        return None
    return standing_of(stores.lake, changes, number)


def counts(standing: Standing) -> dict[str, int]:
    """How many days are in which state."""
    found = {state: sum(day.state == state for day in standing.days.values()) for state in STATES}
    return {state: number for state, number in found.items() if number}


def sentence(standing: Standing, use_case: UseCase) -> str:
    """How it stands, in words."""
    change = standing.change
    states = STATES if standing.state == "open" else {**STATES, "waits": LEFT, "held": LEFT}
    told = ", ".join(f"{number} {states[state]}" for state, number in counts(standing).items())
    said = f"After change {change.number}, by which version {change.version} became champion: "
    said += f"of {len(standing.days)} published days {told}." if told else "no day was published."
    if standing.having("scored", "held"):
        said += f" {standing.span(use_case).share:.2%} of their rows get another answer."
    return said


def short(standing: Standing, use_case: UseCase) -> dict[str, Any]:
    """How it stands as plain values."""
    decision = standing.decision
    return {
        "change": standing.change.number,
        "version": standing.change.version,
        "state": standing.state,
        "sentence": sentence(standing, use_case),
        "days": counts(standing),
        "share": standing.span(use_case).share,
        "published": None if decision is None else decision.publish,
        "why": "" if decision is None else decision.why,
        "who": "" if decision is None else decision.who,
        "failed": {day: one.record.why for day, one in standing.days.items() if one.state == "failed" and one.record},
    }
