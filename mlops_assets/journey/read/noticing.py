"""In: what the shards of a day tell of their files. Out: what is noticed of the day as a whole, and where.

Whatever is compared, is compared with the day itself and with days before it, so that a day that is read again is told
the same of.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.read.listing import Manifest, shard_of
from mlops_assets.journey.read.readers.pack import EXAMPLES
from mlops_assets.storage import places
from mlops_assets.storage.accounting import NOTICED, ReadingAccounting
from mlops_assets.storage.files import read_report
from mlops_assets.storage.tables import Table
from mlops_assets.use_case.notices import NEW_LABEL, SAME_AS_BEFORE, SAME_CONTENT
from mlops_assets.work.shards import Report

MOST_LABELS = 500
"""Distinct labels of a day that are kept to be compared with; where there are more, none is ever called new."""

NO_CONTENT = 0
"""Stands for a file that was refused as a whole: it is the same as no other."""


def note_shard(contents: Iterable[bytes | None], labels: pa.Array, examples: Mapping[str, list[str]]) -> dict[str, Any]:
    """What is kept of a shard to be looked at once the day is whole.

    Parameters
    ----------
    contents
        The bytes of its files, in the order of its entries; None for one that was refused as a whole.
    labels
        The labels of its rows.
    examples
        Where something was noticed.
    """
    hashes = b"".join(hashlib.sha256(data).digest()[:8] if data else bytes(8) for data in contents)
    counted = pc.value_counts(labels.drop_null())
    known = {str(each["values"]): each["counts"] for each in counted.slice(0, MOST_LABELS + 1).to_pylist()}
    # as text, for a footer is JSON: 11 bytes a file
    return {"contents": base64.b64encode(hashes).decode(), "labels": known, "examples": dict(examples)}


def notice_day(
    counts: Mapping[str, int], reports: Iterable[Report], manifest: Manifest, rows: Table[ReadingAccounting]
) -> dict[str, Any]:
    """What the accounting of a day says of labels, and of what was noticed.

    Parameters
    ----------
    counts
        The counts of all shards, added up.
    reports
        The reports of the shards.
    manifest
        The files of the day.
    rows
        The table of rows, which has the days before.
    """
    notes = [report.notes for report in sorted(reports, key=lambda report: report.shard)]
    earlier = {day: published for day, published in rows.days().items() if day < manifest.day}
    labels = sum((Counter(note["labels"]) for note in notes), Counter[str]())
    told = Counter({name: number for name, number in counts.items() if name.startswith(NOTICED) and number})
    examples = _first(note["examples"] for note in notes)

    def notice(name: str, number: int, texts: Sequence[str]) -> None:
        if number:
            told[NOTICED + name] = number
            examples[name] = tuple(texts)

    notice(NEW_LABEL, *_new_labels(labels, (published.accounting.labels for published in earlier.values())))
    contents = _Contents(manifest, notes)
    notice(SAME_CONTENT, *contents.twins())
    if earlier:
        notice(SAME_AS_BEFORE, *contents.known(rows, max(earlier)))
    kept = sorted(labels) if len(labels) <= MOST_LABELS else ()
    return {**told, "labels": tuple(kept), "examples": examples}


def _first(every: Iterable[Mapping[str, Sequence[str]]]) -> dict[str, tuple[str, ...]]:
    """The first places of all shards, by name."""
    gathered: dict[str, list[str]] = {}
    for some in every:
        for name, texts in some.items():
            gathered.setdefault(name, []).extend(texts)
    return {name: tuple(sorted(texts)[:EXAMPLES]) for name, texts in sorted(gathered.items())}


def _new_labels(labels: Counter[str], earlier: Iterable[Sequence[str]]) -> tuple[int, list[str]]:
    """Rows whose label no earlier day has, and the labels; none on the first day that has labels at all."""
    known = {label for some in earlier for label in some}
    if not known or len(labels) > MOST_LABELS:
        return 0, []
    new = {label: number for label, number in sorted(labels.items()) if label not in known}
    return sum(new.values()), [f"{label!r} in {number} rows" for label, number in new.items()][:EXAMPLES]


class _Contents:
    """The contents of a day's files as one array of hashes; a name is looked up where it is told.

    Parameters
    ----------
    manifest
        The files.
    notes
        Of every shard, in order.
    """

    def __init__(self, manifest: Manifest, notes: Sequence[Mapping[str, Any]]) -> None:
        self._manifest = manifest.path
        hashes = [_hashes(note) for note in notes]
        self._hashes = np.concatenate([np.zeros(0, np.uint64), *hashes])
        self._ends = np.cumsum([len(some) for some in hashes])
        self._paths = lru_cache(maxsize=1)(lambda shard: shard_of(self._manifest, shard)["path"])

    def twins(self) -> tuple[int, list[str]]:
        """How many files are the same as another one of the day, without the first of each; and some of them."""
        order = np.argsort(self._hashes, kind="stable")
        ranked = self._hashes[order]
        again = order[1:][(ranked[1:] == ranked[:-1]) & (ranked[1:] != NO_CONTENT)]
        shown = []
        for content in np.unique(self._hashes[np.sort(again)[:EXAMPLES]]):
            names = self._names(np.flatnonzero(self._hashes == content)[: EXAMPLES + 1])
            # a copy has the longer name, as `a (1).csv` has
            first, *others = sorted(names, key=lambda name: (len(name), name))
            shown += [f"{other} = {first}" for other in others]
        return len(again), sorted(shown)[:EXAMPLES]

    def known(self, rows: Table[ReadingAccounting], day: str) -> tuple[int, list[str]]:
        """How many files are the same as one of an earlier day, and some of them."""
        parts = (rows.folder / part for part in sorted(rows.parts(day)))
        reports = places.side_by_side(rows.folder, read_report, parts)
        before = np.concatenate(
            [np.zeros(0, np.uint64), *(_hashes(report.get("notes", {})) for report in reports if report)]
        )
        same = np.flatnonzero(np.isin(self._hashes, before) & (self._hashes != NO_CONTENT))
        return len(same), [f"{name} lay in {day}" for name in self._names(same[:EXAMPLES])]

    def _names(self, positions: np.ndarray) -> list[str]:
        """The paths of files by their place among those of the day."""
        shards = np.searchsorted(self._ends, positions, side="right").tolist()
        firsts = [0, *self._ends.tolist()]
        return [
            self._paths(shard)[at - firsts[shard]].as_py() for shard, at in zip(shards, positions.tolist(), strict=True)
        ]


def _hashes(note: Mapping[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(note.get("contents", "")), np.uint64)
