"""Two versions side by side as a page: the figures of their cards, and what changes on a day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.explain.comparison import Comparison
from mlops_assets.journey.model.about import About
from mlops_assets.journey.model.files import read_plain
from mlops_assets.journey.model.version import Version
from mlops_assets.views import grids
from mlops_assets.views.card import as_written
from mlops_assets.views.card_page import exact, figures
from mlops_assets.views.diffs import moves, summary, title, version_name
from mlops_assets.views.html.addresses import row_address
from mlops_assets.views.html.render import single_file

DIFF_FILE = "diff.json"
"""What a version would change against the champion of the time when it was made; it lies beside its card."""

LARGEST_DIFF = 16 << 20
"""Bytes that such a file may have."""

LISTED = 20
"""Transitions that are listed; there may be as many as pairs of classes."""


class _Transition(BaseModel):
    before: str
    after: str
    rows: int
    value: float | None
    labelled: int
    right_before: int
    right_after: int


class _Account(BaseModel):
    account_id: str | None
    rows: int
    value: float | None


class _Example(BaseModel):
    file: str
    line: int
    before: str | float
    after: str | float
    before_probability: float | None = None
    after_probability: float | None = None
    label: str | float | None
    value: float | None


class _Stored(BaseModel):
    use_case: str
    day: str
    before: int
    after: int
    rows: int
    changed: int
    value: float | None
    changed_value: float | None
    labelled: int
    right_before: int
    right_after: int
    transitions: list[_Transition]
    accounts: list[_Account]
    examples: list[_Example]
    moves: dict[str, float | list[float] | None] | None = None


def stored(version: Version) -> Comparison | None:
    """What was compared when a version was made: itself against the champion, on the newest published day.

    Returns
    -------
    Comparison or None
        None where there is none, or it was not written here: it is no part of what the registry vouches for.
    """
    try:
        found = _Stored.model_validate_json(read_plain(version.folder / DIFF_FILE, LARGEST_DIFF))
    except (ModelRefused, ValueError):
        return None
    # it had no number then
    return Comparison(**{**found.model_dump(), "after": version.version})


def page(comparison: Comparison, cards: Sequence[About] = ()) -> str:
    """A comparison as one HTML file.

    Parameters
    ----------
    comparison
        What changes on a day.
    cards
        What is known of the two versions, for their figures side by side; without them these are left out.
    """
    figures_of = sides(*cards) if cards else None
    return single_file("models_diff.html", title(comparison), diff=told(comparison), sides=figures_of)


def sides(before: About, after: About) -> dict[str, Any]:
    """The figures of two cards beside each other, as plain values.

    Raises
    ------
    ModelRefused
        If a card was not written here.
    """
    with as_written(before, None), as_written(after, None):
        first, second = ({one["name"]: one for one in figures(about)} for about in (before, after))
        metrics = [_pair(first.get(name), second.get(name)) for name in {**second, **first}]
        classes = [
            {
                "name": name,
                "rows": after.classes.get(name, {}).get("rows"),
                "before": before.classes.get(name, {}).get("f1"),
                "after": after.classes.get(name, {}).get("f1"),
            }
            for name in sorted({*before.classes, *after.classes})
        ]
        return {
            "metrics": metrics,
            "classes": classes,
            "facts": [(name, _fact(before), _fact(after)) for name, _fact in FACTS.items()],
            # of different rows, a difference says little
            "same_rows": before.training_set == after.training_set,
        }


FACTS: Mapping[str, Callable[[About], str]] = {
    "candidate": lambda about: about.candidate,
    "made": lambda about: about.made,
    "what the gate said": lambda about: about.reason,
    "learned from": lambda about: (
        "not known: made elsewhere" if about.origin else f"{about.rows:,} rows, {' to '.join(about.days)}"
    ),
    "held-out rows": lambda about: f"{about.held_out:,}" if about.held_out else "not known",
    "rows a CPU second": lambda about: exact(about.rows_per_second),
    "calibration": lambda about: str(about.calibrated.get("kind", "not known")),
    "error of its probabilities": lambda about: exact(about.calibrated.get("after")),
    "features.sql": lambda about: about.sql,
    "contract": lambda about: about.contract,
}
"""What is said of both versions beside their metrics."""


def _pair(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, Any]:
    known = after or before or {}
    gain = after["value"] - before["value"] if before and after else None
    return {
        "name": known["name"],
        "meaning": known["meaning"],
        "before": before,
        "after": after,
        "gain": None if gain is None else f"{gain:+.3f}" if abs(gain) < 1 else f"{gain:+,.5g}",
        "better": None if not gain else (gain > 0) == known["more_is_better"],
    }


def told(comparison: Comparison, *, linked: bool = False) -> dict[str, Any]:
    """What the template of a comparison shows, as plain values.

    Parameters
    ----------
    comparison
        What changes on a day.
    linked
        Whether rows have links to their pages, which lead nowhere in a file.
    """
    counts = {(one["before"], one["after"]): one["rows"] for one in comparison.transitions}
    return {
        "title": title(comparison),
        "summary": summary(comparison),
        "use_case": comparison.use_case,
        "day": comparison.day,
        "before": version_name(comparison.before),
        "after": version_name(comparison.after),
        "labelled": comparison.labelled,
        "has_value": comparison.value is not None,
        "grid": grids.transitions(counts) if counts else None,
        "transitions": comparison.transitions[:LISTED],
        "more": max(0, len(comparison.transitions) - LISTED),
        "moves": moves(comparison),
        "accounts": comparison.accounts,
        "examples": [{**one, "link": _link(comparison, one) if linked else ""} for one in comparison.examples],
    }


def _link(comparison: Comparison, example: Mapping[str, Any]) -> str:
    return row_address(comparison.use_case, comparison.day, example["file"], example["line"])
