"""In: a row. Out: the files that its record refers to, as they were when the day was read."""

from __future__ import annotations

import posixpath

from mlops_assets.journey.explain.row import Row, Scored, manifest_of
from mlops_assets.journey.read.attachments import Attachments
from mlops_assets.journey.read.sources import Source
from mlops_assets.journey.read.sources.entries import as_sent
from mlops_assets.journey.read.sources.kept import with_kept
from mlops_assets.plugins import NotAttached
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase


def attachments_of_row(use_case: UseCase, row: Row) -> dict[str, str]:
    """The columns of a row that name a file its record refers to, each with the path of that within the day's folder.

    Parameters
    ----------
    use_case
        Its `files.attachments` are the endings of such files.
    row
        The row.
    """
    texts = {name: value for name, value in row.stored().items() if isinstance(value, str)}
    named = {name: text for name, text in texts.items() if text.endswith(use_case.files.attachments)}
    return {name: _path(row.entry["path"], named[name]) for name in use_case.columns if name in named}


def _path(file: str, named: str) -> str:
    """A path as a record names it, from the folder that its file lies in."""
    folder, sent = as_sent(file)
    return folder + posixpath.normpath(posixpath.join(posixpath.dirname(sent), named))


def read_attachment(use_case: UseCase, source: Source, lake: Lake, day: str, published: Scored, path: str) -> bytes:
    """The bytes of a file that records refer to.

    Parameters
    ----------
    use_case
        Its `files.largest` is the most that is read.
    source
        Where the raw files lie.
    lake
        The tables of the use case.
    day, published
        The day, and the publication of its predictions, which tells what was listed.
    path
        Its path within the day's folder.

    Raises
    ------
    NotAttached
        If it was not listed, leads elsewhere, is too large or cannot be opened.
    SourceError
        If it is not what was listed: gone, or changed since.
    """
    if path.startswith("/") or ".." in path.split("/"):
        raise NotAttached(f"{path!r} leads out of the folder of the file")
    source = with_kept(use_case, source, lake)
    return Attachments(source, day, manifest_of(lake, day, published), use_case.files.largest)(0, path)
