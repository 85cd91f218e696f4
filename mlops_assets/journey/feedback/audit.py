"""In: the published predictions of a day. Out: a few of them, drawn at random once and for all, for people to label."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from mlops_assets.errors import MlopsError
from mlops_assets.storage.files import open_part, read_part, write_table
from mlops_assets.storage.places import Place
from mlops_assets.storage.tables import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.work.shards import fingerprint

SCHEMA = pa.schema(
    {
        "day": pa.string(),
        "file": pa.string(),
        "line": pa.int32(),
        "account_id": pa.string(),
        "prediction": pa.string(),
        "probability": pa.float32(),
        "model_version": pa.int32(),
    }
)


def draw_audit(use_case: UseCase, lake: Lake, day: str) -> pa.Table:
    """Draw `feedback.audit_rows` published predictions of a day, each as likely as any other, or read those drawn.

    Parameters
    ----------
    use_case
        The use case.
    lake
        Its tables.
    day
        The day; the same day has the same seed.

    Returns
    -------
    pa.Table
        The rows in `SCHEMA`, with the prediction that was published when they were drawn.

    Raises
    ------
    MlopsError
        If no predictions of the day are published.
    """
    known = read_audit(lake, day)
    if known is not None:
        return known
    table = lake.table("predictions")
    paths = [table.folder / part for part in sorted(table.parts(day))]
    if not paths:
        raise MlopsError(f"{use_case.name}: no predictions of {day} are published, so there is nothing to audit.")
    groups = [(path, group, rows) for path in paths for group, rows in enumerate(_groups(path))]
    ends = np.cumsum([rows for *_, rows in groups])
    random = np.random.default_rng(int(fingerprint(use_case.name, day), 16))
    number = min(use_case.feedback.audit_rows, int(ends[-1]))
    places = np.sort(random.choice(int(ends[-1]), number, replace=False))
    pieces = [SCHEMA.empty_table()]
    for at in np.unique(np.searchsorted(ends, places, side="right")):
        path, group, rows = groups[at]
        mine = places[(places >= ends[at] - rows) & (places < ends[at])] - (ends[at] - rows)
        found = open_part(path).read_row_group(group, SCHEMA.names[1:]).take(pa.array(mine))
        found = found.add_column(0, "day", pa.array([day] * len(found), pa.string()))
        pieces.append(found.select(SCHEMA.names).cast(SCHEMA))
    drawn = pa.concat_tables(pieces).sort_by([("file", "ascending"), ("line", "ascending")])
    if len(drawn):
        write_table(_place(lake, day), drawn)
    return drawn


def read_audit(lake: Lake, day: str) -> pa.Table | None:
    """The rows that were drawn of a day, or None."""
    path = _place(lake, day)
    return read_part(path) if path.exists() else None


def drawn_rows(lake: Lake, day: str) -> set[tuple[str, int]]:
    """File and line of the rows that were drawn of a day; none where nothing was drawn."""
    audit = read_audit(lake, day)
    return set() if audit is None else set(zip(audit["file"].to_pylist(), audit["line"].to_pylist(), strict=True))


def _place(lake: Lake, day: str) -> Place:
    return lake.root / lake.use_case / "audit" / f"day={day}.parquet"


def _groups(path: Place) -> Iterator[int]:
    """Rows in each row group of a file."""
    metadata = open_part(path).metadata
    return (metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
