"""In: files of corrections as people sent them. Out: those that count, and those that do not, each with its reason.

The files are the truth: all of them are read each time, and the same files give the same two tables.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.feedback.audit import drawn_rows
from mlops_assets.journey.feedback.files import Entry, Reject, read_file
from mlops_assets.journey.feedback.published import Row
from mlops_assets.journey.feedback.rules import RULES, apply_rules, write_time
from mlops_assets.storage.catalog import ACCEPTED, REJECTED, Lake
from mlops_assets.storage.files import read_part, write_table
from mlops_assets.storage.places import Place
from mlops_assets.use_case import UseCase
from mlops_assets.work.shards import fingerprint_table


@dataclass(frozen=True)
class Taken:
    """What came of all files of corrections.

    Attributes
    ----------
    files, entries
        Number of files, and of lines in them that say something.
    unfilled
        Lines of an audit that have no label yet; they are no entries.
    accepted, rejected
        The entries that count and those that do not, in `ACCEPTED` and `REJECTED`.
    """

    files: int
    entries: int
    unfilled: int
    accepted: pa.Table
    rejected: pa.Table

    @property
    def rules(self) -> dict[str, int]:
        """Number of rejects by rule, in the order of `RULES`."""
        values, counts = pc.value_counts(self.rejected["rule"]).flatten()
        number = dict(zip(values.to_pylist(), counts.to_pylist(), strict=True))
        return {rule: number[rule] for rule in RULES if rule in number}


def take_in(
    use_case: UseCase, lake: Lake, folder: Place, labels: Collection[str], now: dt.datetime | None = None
) -> Taken:
    """Read every file of corrections, and store which entries count.

    Parameters
    ----------
    use_case
        The use case; `feedback` says what is too much, and which labels may be new.
    lake
        Its tables; entries must be about published rows. `accepted` and `rejected` are written to its `feedback`.
    folder
        Holds the files, `*.csv`; it may be missing.
    labels
        Labels that are known; see `versions.known_labels`.
    now
        The time; entries that are later are refused.

    Raises
    ------
    MlopsError
        If a file cannot be read.
    """
    while True:
        paths = _files(folder)
        taken = _take_in(use_case, lake, folder, paths, labels, now or dt.datetime.now(dt.UTC))
        # of several at once, one that began earlier may end later: whoever writes last has seen every file
        if _files(folder) == paths:
            return taken


def _files(folder: Place) -> list[Place]:
    # names like these are uploads under way
    return sorted(path for path in folder.glob("*.csv") if not path.name.startswith((".", "_")))


def _take_in(
    use_case: UseCase, lake: Lake, folder: Place, paths: list[Place], labels: Collection[str], now: dt.datetime
) -> Taken:
    within = bounds_of(use_case, folder)
    lines = [line for path in paths for line in read_file(path, within, use_case.partitions)]
    entries = [line for line in lines if isinstance(line, Entry)]
    malformed = [line for line in lines if isinstance(line, Reject)]
    number = use_case.columns[use_case.label] if use_case.training.says_numbers else None
    counting, broken = apply_rules(entries, use_case.feedback, lake, labels, now, number)
    taken = Taken(
        files=len(paths),
        entries=len(entries) + len(malformed),
        unfilled=lines.count(None),
        accepted=_accepted_table(counting, lake),
        rejected=_rejected_table([*malformed, *broken]),
    )
    write_table(lake.accepted, taken.accepted)
    write_table(lake.rejected, taken.rejected)
    return taken


def bounds_of(use_case: UseCase, folder: Place) -> str | None:
    """The folder out of which no link among the files of corrections is followed; None if any is.

    People who hand in corrections may lay files there, not have others read.
    """
    return None if use_case.follow_links or not isinstance(folder, Path) else os.path.realpath(folder.parent)


def read_accepted(lake: Lake) -> pa.Table:
    """The entries that counted when feedback was taken in last, in `ACCEPTED`."""
    return read_part(lake.accepted) if lake.accepted.exists() else ACCEPTED.empty_table()


def read_rejected(lake: Lake) -> pa.Table:
    """The entries that did not count when feedback was taken in last, in `REJECTED`."""
    if not lake.rejected.exists():
        return REJECTED.empty_table()
    # what an earlier release wrote does not say of which row an entry is
    return pa.concat_tables([REJECTED.empty_table(), read_part(lake.rejected)], promote_options="default")


def corrections(accepted: pa.Table) -> dict[str, dict[Row, str]]:
    """What people say of each row, by day; those who agree count as one."""
    labels: dict[str, dict[Row, str]] = {}
    for entry in accepted.select(["day", "file", "line", "label"]).to_pylist():
        labels.setdefault(entry["day"], {})[entry["file"], entry["line"]] = entry["label"]
    return labels


def keep(lake: Lake, accepted: pa.Table) -> str:
    """Store the entries that a training learns from under their fingerprint, which is returned."""
    # files of corrections may go or grow; what a training saw stays what it was
    mark = fingerprint_table(accepted)
    path = lake.learned(mark)
    if not path.exists():
        write_table(path, accepted)
    return mark


def read_kept(lake: Lake, mark: str) -> pa.Table:
    """The entries that a training learned from; none where it learned from none, or its file is gone."""
    path = lake.learned(mark)
    return read_part(path) if mark and path.exists() else ACCEPTED.empty_table()


def _accepted_table(entries: list[Entry], lake: Lake) -> pa.Table:
    drawn = {day: drawn_rows(lake, day) for day in {entry.day for entry in entries}}
    records = [
        {**vars(entry), "when": write_time(entry.when), "audited": (entry.file, entry.line) in drawn[entry.day]}
        for entry in entries
    ]
    # sorted, so that the same files give the same table
    ordered = [(name, "ascending") for name in ("day", "file", "line", "when", "who", "source_file", "source_line")]
    return pa.Table.from_pylist(records, ACCEPTED).sort_by(ordered)


def _rejected_table(rejects: list[Reject]) -> pa.Table:
    ordered = [("source_file", "ascending"), ("source_line", "ascending")]
    return pa.Table.from_pylist([_record(reject) for reject in rejects], REJECTED).sort_by(ordered)


def _record(reject: Reject) -> dict[str, Any]:
    entry = reject.entry
    said = {**vars(entry), "when": write_time(entry.when)} if entry else {}
    return {name: said.get(name, getattr(reject, name, None)) for name in REJECTED.names}


def said(rows: pa.Table, corrections: Mapping[Row, str]) -> pa.Array:
    """What people say the label of each row is."""
    labels: list[str | None] = [None] * len(rows)
    if corrections:
        # few rows are corrected: those of other files never become Python's objects
        files = pa.array(sorted({file for file, _ in corrections}), pa.string())
        positions = np.flatnonzero(pc.is_in(rows["file"].cast(pa.string()), value_set=files).to_numpy())
        some = rows.select(["file", "line"]).take(pa.array(positions))
        for position, file, line in zip(positions, some["file"].to_pylist(), some["line"].to_pylist(), strict=True):
            labels[position] = corrections.get((file, line))
    return pa.array(labels, pa.string())
