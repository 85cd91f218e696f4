"""Where raw files come from: one small class for each kind of place, or a user's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from mlops_assets.journey.read.sources.folder import FolderSource
from mlops_assets.journey.read.sources.kept import KeptSource
from mlops_assets.journey.read.sources.own import OwnSource
from mlops_assets.journey.read.sources.s3 import S3Source
from mlops_assets.journey.read.sources.sql import SqlSource
from mlops_assets.plugins.sources import Entry, Source, SourceError
from mlops_assets.storage.places import Place, S3Path
from mlops_assets.use_case import source

if TYPE_CHECKING:
    from mlops_assets.use_case import UseCase

__all__ = [
    "Entry",
    "FolderSource",
    "KeptSource",
    "OwnSource",
    "S3Source",
    "Source",
    "SourceError",
    "SqlSource",
    "lies_at",
    "open_source",
    "read_listed",
]


def lies_at(source: Source) -> Place | None:
    """Where the raw files of a source lie; None of a class of a user's own, which alone knows."""
    lying = _lying(source)
    return lying.root if isinstance(lying, FolderSource | S3Source) else None


def read_listed(source: Source, day: str, entries: pa.Table, largest: int) -> Sequence[bytes | None]:
    """The bytes of files that are as they were listed, several at once where that is cheaper; None for all others.

    Parameters
    ----------
    source
        Where they lie.
    day
        The day.
    entries
        The files, with the columns of an `Entry`.
    largest
        Bytes of a file that may be read.
    """
    lying = _lying(source)
    if isinstance(lying, FolderSource | S3Source):
        return lying.read_listed(day, entries, largest)
    return [None] * len(entries)


def _lying(source: Source) -> Source:
    """What reads the files, whatever stands before it."""
    source = source.source if isinstance(source, KeptSource) else source
    return source.landed if isinstance(source, SqlSource) else source


def open_source(use_case: UseCase, raw: Place) -> Source:
    """The source of a use case.

    Parameters
    ----------
    use_case
        Says how its files are named, and may name a source.
    raw
        Where the raw files of all use cases lie: a folder, or a place on S3.

    Raises
    ------
    PluginError
        If the use case names a class of its own, which cannot be made.
    """
    origin, folder = use_case.source, raw / use_case.name
    if origin is not None and origin.own is not None:
        return OwnSource(origin.own, origin.parameters, use_case.partitions)
    lying: S3Source | FolderSource
    if isinstance(folder, S3Path):
        lying = S3Source(folder, use_case.partitions)
    else:
        lying = FolderSource(folder, use_case.files.suffix, use_case.follow_links, use_case.partitions)
    if origin is None or origin.use is None:
        return lying
    return SqlSource(source.SqlSource.model_validate(origin.parameters), use_case, lying)
