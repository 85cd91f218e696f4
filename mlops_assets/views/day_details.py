"""In: a published day. Out: what its page shows beside its record: sums, first rejects, shares of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_assets.errors import MlopsError
from mlops_assets.journey.score.profile.reference import read_classes
from mlops_assets.monitoring.days import day_profile
from mlops_assets.storage.catalog import REJECTS
from mlops_assets.views.days import Known
from mlops_assets.views.paging import Only, Place, list_parts, read_page

FIRST, OF_A_RULE = 200, 3
"""Rejects that are looked at first, and those that are shown of a rule."""

MOST_ROWS = 200_000
"""Rejects that are looked through for those of a rare rule."""

MOST_CLASSES = 20
"""Classes with a bar of their own: those that were said most often."""


@dataclass(frozen=True)
class Sum:
    """A number and what it is made of.

    Attributes
    ----------
    name, total
        What is counted, and how many there are.
    parts
        What became of them.
    """

    name: str
    total: int
    parts: Mapping[str, int]

    @property
    def adds_up(self) -> bool:
        """Whether nothing is lost."""
        return self.total == sum(self.parts.values())

    @property
    def words(self) -> str:
        """The sum in words.

        Examples
        --------
        >>> Sum("files", 3, {"read": 2, "refused": 1}).words
        '3 files = 2 read + 1 refused'
        """
        parts = " + ".join(f"{number:,} {name}" for name, number in self.parts.items())
        return f"{self.total:,} {self.name} {'=' if self.adds_up else 'is not'} {parts}"


def sums(told: Mapping[str, Any]) -> list[Sum]:
    """The sums of a day by its record: those of its files and lines, and of its rows once they are predicted."""
    read, scored = told["read"], told["accounting"]
    found = []
    if read:
        found.append(Sum("files", read["files"], {"read": read["files_read"], "refused": read["files_refused"]}))
        lines = {"rows": read["rows"], "rejected": read["rejected"]}
        swallowed = read.get("noticed_swallowed_lines", 0)
        lines |= {"within a field of another": swallowed} if swallowed else {}
        found.append(Sum("lines", read["lines"], lines))
    if scored:
        rows = {"predictions": told["predictions"], "without a prediction": told["without_prediction"]}
        found.append(Sum("rows", scored["rows"], rows))
    return found


def first_rejects(known: Known, day: str) -> dict[str, list[dict[str, Any]]]:
    """The first rejects of a published day by rule, each with `file`, `line`, `message` and `raw`."""
    lake = known.stores.lake
    listing = list_parts(day, lake.rejects, lake.unpredicted)
    if not listing.parts:
        return {}
    rules = dict(known.rows[day].accounting.rules) if day in known.rows else {}
    first, _ = read_page(listing, REJECTS.names, Only(), Place(), FIRST, MOST_ROWS)
    found: dict[str, list[dict[str, Any]]] = {}
    for one in first.to_pylist():
        found.setdefault(one["rule"], []).append(one)
    for rule in rules.keys() - found.keys():
        some, _ = read_page(listing, REJECTS.names, Only({"rule": rule}), Place(), OF_A_RULE, MOST_ROWS)
        found[rule] = some.to_pylist()
    return {rule: some[:OF_A_RULE] for rule, some in sorted(found.items(), key=lambda one: -rules.get(one[0], 0))}


def class_shares(known: Known, day: str) -> dict[str, float] | None:
    """Share of the rows of a published day that each class was said of, the most frequent first; the rest as one.

    None where the answers were not counted, as those of a use case that is not watched, or the version is gone.
    """
    published = known.predictions.get(day)
    try:
        watched = day_profile(known.stores.lake, day) if published else None
        if watched is None or watched.profile.said is None:
            return None
        stores = known.stores
        classes = read_classes(stores.registry.version(stores.use_case.name, watched.version))
    except MlopsError:  # what is damaged is told by `verify`; the rest of the day can be shown
        return None
    rows = watched.profile.said.rows.tolist()
    if len(classes) != len(rows):  # of a version without a reference
        return None
    named = sorted(zip(classes, rows, strict=True), key=lambda one: -one[1])
    total = sum(number for _, number in named) or 1
    shares = {name: number / total for name, number in named[:MOST_CLASSES] if number}
    rest = sum(number for _, number in named[MOST_CLASSES:])
    return shares | ({f"{len(named) - MOST_CLASSES} further classes": rest / total} if rest else {})
