"""The rows of a shard that have no prediction, for SQL or the model failed on them; and the others."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from mlops_assets.journey.features.blame import Blamed
from mlops_assets.storage.catalog import REJECTS, Lake
from mlops_assets.storage.files import read_part


def as_rejects(rows: Sequence[Blamed]) -> pa.Table:
    """Rows on which SQL or model fail, in the form of rejects."""
    records = [{"file": row.file, "line": row.line, "rule": row.rule, "message": row.reason, "raw": ""} for row in rows]
    return pa.Table.from_pylist(records, REJECTS)


def left_out(lake: Lake, predictions: str) -> pa.Table:
    """The rows that were left out when a part of `predictions` was made, as rejects; where there were none, no file."""
    path = lake.unpredicted.folder / predictions
    return read_part(path) if path.exists() else REJECTS.empty_table()


def without(rows: pa.Table, some: pa.Table) -> pa.Table:
    """Rows without those of the same file and line as some others."""
    if not len(some):
        return rows
    gone = set(_places(some))
    return rows.filter(pa.array([place not in gone for place in _places(rows)], pa.bool_())).combine_chunks()


def _places(rows: pa.Table) -> list[tuple[str, int]]:
    return [*zip(rows["file"].to_pylist(), rows["line"].to_pylist(), strict=True)]
