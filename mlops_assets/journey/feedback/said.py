"""In: a row, and the files of corrections as they were taken in last. Out: what people have said of it, and why."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import MlopsError
from mlops_assets.journey.feedback.corrections import bounds_of, read_accepted
from mlops_assets.journey.feedback.files import Entry, read_file
from mlops_assets.journey.feedback.published import Row
from mlops_assets.journey.feedback.rules import write_time
from mlops_assets.storage.catalog import REJECTED, Lake
from mlops_assets.storage.files import read_part
from mlops_assets.storage.places import Place
from mlops_assets.use_case import UseCase

MOST = 50
"""Files that are read again at once."""


@dataclass(frozen=True)
class Said:
    """What somebody has said of a row.

    Attributes
    ----------
    label, who, when, why
        What, who, when (UTC), and the reason that they gave, or an empty text.
    audited
        Whether the platform had asked for it.
    rule, message
        Why it does not count; both are empty if it does.
    """

    label: str
    who: str
    when: str
    why: str
    audited: bool = False
    rule: str = ""
    message: str = ""


def said_of(use_case: UseCase, lake: Lake, folder: Place, day: str, row: Row) -> list[Said]:
    """What people have said of a row, the newest first: what counts, and what does not.

    Parameters
    ----------
    use_case
        The use case.
    lake
        Its tables.
    folder
        Holds the files of corrections; of those that are gone, what counts is told without its reason.
    day, row
        The row.
    """
    counting = {(one["source_file"], one["source_line"]): one for one in _accepted(lake, day, row)}
    broken = {(one["source_file"], one["source_line"]): one for one in _rejected(lake, row)}
    entries = entries_at(use_case, folder, [*counting, *broken])
    said = [
        Said(one["label"], one["who"], one["when"], entries[at].why if at in entries else "", one["audited"])
        for at, one in counting.items()
    ]
    said += [
        Said(e.label, e.who, write_time(e.when), e.why, rule=broken[at]["rule"], message=broken[at]["message"])
        for at, e in entries.items()
        if at in broken and e.row == (day, *row)
    ]
    return sorted(said, key=lambda one: one.when, reverse=True)


At = tuple[str, int]
"""A file of corrections and a line of it."""


def _accepted(lake: Lake, day: str, row: Row) -> list[dict[str, Any]]:
    table = read_accepted(lake)
    of_row = pc.and_(pc.equal(table["file"], row[0]), pc.equal(table["line"], row[1]))
    return _records(table.filter(pc.and_(of_row, pc.equal(table["day"], day))))


def _rejected(lake: Lake, row: Row) -> list[dict[str, Any]]:
    """Refused lines in which the name of the file stands: which row they are about, their files tell."""
    table = read_part(lake.rejected) if lake.rejected.exists() else REJECTED.empty_table()
    return _records(table.filter(pc.match_substring(table["raw"], _written(row[0]))))


def _records(table: pa.Table) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = table.to_pylist()
    return records


def _written(name: str) -> str:
    """A name as it stands in a line of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([name])
    return text.getvalue()


def entries_at(use_case: UseCase, folder: Place, wanted: Collection[At]) -> dict[At, Entry]:
    """The entries of some lines, of `MOST` of their files.

    Parameters
    ----------
    use_case
        The use case.
    folder
        Holds the files of corrections.
    wanted
        The lines.
    """
    lines = defaultdict[str, set[int]](set)
    for file, line in wanted:
        lines[file].add(line)
    found: dict[At, Entry] = {}
    for file in [*lines][:MOST]:
        try:
            read = [*read_file(folder / file, bounds_of(use_case, folder), use_case.partitions)]
        except MlopsError:  # taken away since
            continue
        entries = (one for one in read if isinstance(one, Entry))
        found |= {(file, one.source_line): one for one in entries if one.source_line in lines[file]}
    return found
