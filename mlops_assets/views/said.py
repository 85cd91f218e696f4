"""What people have said of predictions: every entry of theirs, the newest first, and what became of it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.feedback.corrections import read_accepted, read_rejected
from mlops_assets.journey.feedback.rules import RULES
from mlops_assets.journey.feedback.said import MOST, entries_at
from mlops_assets.workspace import Stores

COUNTS = "counts"
"""What became of an entry that no rule refuses."""

BECAME = {COUNTS: "it counts: the next training learns from it", **RULES}
"""What may become of an entry, in words."""

ENTRIES = MOST
"""Entries of a page: the reasons that people gave stand in their files, which may be as many."""

PEOPLE = 50
"""People who are named for choosing."""


def said(stores: Stores, who: str | None = None, became: str | None = None, page: int = 1) -> dict[str, Any]:
    """What people have said, as it was when feedback was taken in last.

    Parameters
    ----------
    stores
        Of the use case.
    who
        Of one person.
    became
        One of `BECAME`.
    page
        Which page of the entries, from 1.

    Returns
    -------
    dict
        `entries` of the page, each with `day`, `file`, `line`, `label`, `who`, `when`, `why`, `became`, `message`,
        `raw` (of those that do not count), `source_file` and `source_line`; `found`, how many there are; `pages`;
        `became`, how many there are of each kind; `people`.
    """
    every = _every(stores)
    people = _counted(every["who"])
    kinds = _counted(every["became"])
    wanted = every
    for column, value in (("who", who), ("became", became)):
        if value is not None:
            wanted = wanted.filter(pc.equal(wanted[column], value))
    newest = wanted.sort_by([("when", "descending"), ("source_file", "ascending"), ("source_line", "ascending")])
    shown = newest.slice((page - 1) * ENTRIES, ENTRIES).to_pylist()
    places = [(one["source_file"], one["source_line"]) for one in shown]
    read = entries_at(stores.use_case, stores.corrections, places)
    return {
        "entries": [{**one, "why": read[at].why if at in read else ""} for one, at in zip(shown, places, strict=True)],
        "found": len(wanted),
        "pages": -(-len(wanted) // ENTRIES),
        "became": {kind: kinds[kind] for kind in BECAME if kind in kinds},
        "people": [*people][:PEOPLE],
    }


def _every(stores: Stores) -> pa.Table:
    """Entries that count and others, in one table; those that cannot be read are as old as can be."""
    accepted, rejected = read_accepted(stores.lake), read_rejected(stores.lake)
    counting = accepted.append_column("became", pa.array([COUNTS] * len(accepted), pa.string()))
    refused = rejected.rename_columns({"rule": "became"})
    return pa.concat_tables([counting, refused], promote_options="default")


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value is there, the most frequent first."""
    values, counts = pc.value_counts(column.drop_null()).flatten()
    known = zip(values.to_pylist(), counts.to_pylist(), strict=True)
    return dict(sorted(known, key=lambda one: (-one[1], one[0])))
