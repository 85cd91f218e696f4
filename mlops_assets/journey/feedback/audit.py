"""In: the published predictions of a day. Out: a few of them, drawn at random once and for all, for people to label."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from mlops_assets.errors import MlopsError
from mlops_assets.storage.catalog import AUDIT, Lake
from mlops_assets.storage.files import open_part, read_part, write_table
from mlops_assets.storage.places import Place
from mlops_assets.use_case import UseCase
from mlops_assets.work.shards import fingerprint

log = logging.getLogger("mlops_assets.daily")


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
        The rows in `AUDIT`, with the prediction that was published when they were drawn.

    Raises
    ------
    MlopsError
        If no predictions of the day are published.
    """
    # drawn once for all: a day that is scored again keeps its sample, or labels of people would be lost
    kept = read_audit(lake, day)
    if kept is not None:
        return kept
    table = lake.predictions
    paths = [table.folder / part for part in sorted(table.parts(day))]
    if not paths:
        raise MlopsError(f"{use_case.name}: no predictions of {day} are published, so there is nothing to audit.")
    # the day decides, so that nobody can draw until the sample pleases
    seed = int(fingerprint(use_case.name, day), 16)
    drawn = _draw(paths, use_case.feedback.audit_rows, seed, day).sort_by(
        [("file", "ascending"), ("line", "ascending")]
    )
    if len(drawn):
        write_table(lake.audit(day), drawn)
    return drawn


def try_audit(use_case: UseCase, lake: Lake, day: str) -> pa.Table | None:
    """What `draw_audit` draws of a day that has just been published; None, which the log explains, where it cannot.

    Parameters
    ----------
    use_case, lake, day
        See `draw_audit`.
    """
    try:
        return draw_audit(use_case, lake, day)
    except MlopsError as error:
        log.warning("%s audit_sample %s: not drawn: %s", use_case.name, day, error)
        return None


def _draw(paths: list[Place], most: int, seed: int, day: str) -> pa.Table:
    """Some rows of files, reading no row group but those in which one of them lies."""
    groups = [(path, group, rows) for path in paths for group, rows in enumerate(_groups(path))]
    ends = np.cumsum([rows for *_, rows in groups])
    all_rows = int(ends[-1])
    drawn = np.sort(np.random.default_rng(seed).choice(all_rows, min(most, all_rows), replace=False))
    pieces = [AUDIT.empty_table()]
    for at in np.unique(np.searchsorted(ends, drawn, side="right")):
        path, group, rows = groups[at]
        first = ends[at] - rows
        mine = drawn[(drawn >= first) & (drawn < ends[at])] - first
        with open_part(path) as file:
            there = [name for name in AUDIT.names[1:] if name in file.schema_arrow.names]
            piece = file.read_row_group(group, there).take(pa.array(mine))
        piece = piece.add_column(0, "day", pa.array([day] * len(piece), pa.string()))
        if "probability" not in piece.column_names:  # numbers have none
            piece = piece.append_column("probability", pa.nulls(len(piece), pa.float32()))
        pieces.append(piece.select(AUDIT.names).cast(AUDIT))
    return pa.concat_tables(pieces)


def read_audit(lake: Lake, day: str) -> pa.Table | None:
    """The rows that were drawn of a day, or None."""
    path = lake.audit(day)
    return read_part(path) if path.exists() else None


def drawn_rows(lake: Lake, day: str) -> set[tuple[str, int]]:
    """File and line of the rows that were drawn of a day; none where nothing was drawn."""
    audit = read_audit(lake, day)
    return set() if audit is None else set(zip(audit["file"].to_pylist(), audit["line"].to_pylist(), strict=True))


def _groups(path: Place) -> Iterator[int]:
    """Rows in each row group of a file."""
    with open_part(path) as file:
        yield from (file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups))
