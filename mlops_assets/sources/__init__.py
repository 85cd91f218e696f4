"""Where raw files come from: one small class for each kind of place, or a user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.plugins.sources import Entry, Source, SourceError
from mlops_assets.sources.folder import FolderSource
from mlops_assets.sources.own import OwnSource

if TYPE_CHECKING:
    from mlops_assets.use_case import UseCase

__all__ = ["Entry", "FolderSource", "OwnSource", "Source", "SourceError", "open_source"]


def open_source(use_case: UseCase, raw: Path) -> Source:
    """The source of a use case.

    Parameters
    ----------
    use_case
        Says how its files are named, and may name a source.
    raw
        Folder of the raw files of all use cases.

    Raises
    ------
    PluginError
        If the use case names a class of its own, which cannot be made.
    """
    if use_case.source is not None:
        return OwnSource(use_case.source.use, use_case.source.parameters)
    return FolderSource(raw / use_case.name, use_case.files.suffix)
