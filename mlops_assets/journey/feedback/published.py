"""In: file and line of some rows. Out: what is published of them, read from the parts that their files lie in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.read.listing import shard_of_path, shards_listed
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import open_part
from mlops_assets.storage.places import Place
from mlops_assets.storage.tables import Table
from mlops_assets.work.shards import shard_number

Row = tuple[str, int]
"""File and line of a row of a day."""


def look_up(
    lake: Lake, table: Table[Any], day: str, wanted: Collection[Row], columns: Iterable[str] = ()
) -> dict[Row, dict[str, Any]]:
    """Some rows of a published day, reading only the parts that their files lie in.

    Parameters
    ----------
    lake
        The tables of the use case.
    table
        Its `rows` or `predictions`.
    day
        The day; nothing is found where it is not published.
    wanted
        File and line of the rows.
    columns
        What to read of them.

    Returns
    -------
    dict
        Of those rows that there are, the columns that there are.
    """
    files = {file for file, _ in wanted}
    if day not in table.days():
        return {}
    rows: dict[Row, dict[str, Any]] = {}
    for part in parts_with(lake, table, day, files):
        for record in _read_some(table.folder / part, files, columns).to_pylist():
            row = record["file"], record["line"]
            if row in wanted:
                rows[row] = record
    return rows


def parts_with(lake: Lake, table: Table[Any], day: str, files: Collection[str]) -> list[str]:
    """The parts of a day in which files can lie; all of them where the listing of the day is gone."""
    return parts_among(lake, day, sorted(table.parts(day)), table.days()[day].accounting.manifest, files)


def parts_among(lake: Lake, day: str, parts: Sequence[str], mark: str, files: Collection[str]) -> list[str]:
    """Those of some parts in which files can lie.

    Parameters
    ----------
    lake
        The tables of the use case.
    day
        The day.
    parts
        All parts of one of its publications.
    mark
        Fingerprint of the listing that they were read from.
    files
        The files.
    """
    # the manifest that the day was read from tells how many shards it has; a file's shard follows from its path
    shards = shards_listed(lake.raw_files, day, mark)
    if shards is None:
        return list(parts)
    numbers = {shard_of_path(file, shards) for file in files}
    return [part for part in parts if shard_number(part) in numbers]


def _read_some(part: Place, files: Collection[str], columns: Iterable[str]) -> pa.Table:
    """The rows of some files in a part."""
    # a part may be older than a column of the contract
    with open_part(part) as file:
        present = set(file.schema_arrow.names)
    rows = read_rows(part, list(dict.fromkeys(["file", "line", *(name for name in columns if name in present)])))
    return rows.filter(pc.is_in(rows["file"].cast(pa.string()), value_set=pa.array(sorted(files), pa.string())))
