"""In: day, file and line of a published row. Out: its raw line and what was read of it; no model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlops_assets.journey.explain.again import Cleaned
from mlops_assets.journey.explain.attached import attachments_of_row
from mlops_assets.journey.explain.row import find_row, manifest_of
from mlops_assets.journey.explain.why import published_of, raw_line
from mlops_assets.journey.read.sources import Source
from mlops_assets.journey.read.sources.kept import with_kept
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase


@dataclass(frozen=True)
class AsRead:
    """A row as it came, and as it was read.

    Attributes
    ----------
    raw
        Its line in the raw file; None if that cannot be shown.
    raw_problem
        Why not, or an empty text.
    cleaned
        Every column of the contract but the label, which is what people are asked for.
    labelled
        Whether its file says a label of its own.
    attachments
        The columns that name a file its record refers to, with its path; see `attachments_of_row`.
    """

    raw: str | None
    raw_problem: str
    cleaned: tuple[Cleaned, ...]
    labelled: bool
    attachments: Mapping[str, str]


def read_row(use_case: UseCase, source: Source, lake: Lake, day: str, file: str, line: int) -> AsRead:
    """Find a row of a published day, and its line in the raw file; a file that is gone is no error.

    Raises
    ------
    NotPredicted
        If the day is not published any more, or the row is not among its predictions now.
    UsageError
        If the day has no such file or line.
    LakeError
        If what the day was made of was cleaned up since.
    """
    published = published_of(lake, day)
    row = find_row(lake, day, published, file, line)
    source = with_kept(use_case, source, lake)
    raw, problem, texts = raw_line(use_case, source, day, manifest_of(lake, day, published), row.entry, line)
    stored = row.stored()
    shown = [name for name in use_case.columns if name in stored and name != use_case.label]
    cleaned = tuple(Cleaned(name, texts.get(name), stored[name]) for name in shown)
    labelled = stored.get(use_case.label) is not None
    return AsRead(raw, problem, cleaned, labelled, attachments_of_row(use_case, row))
