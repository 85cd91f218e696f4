"""Where raw files come from: one small class for each kind of place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mlops_assets.sources.folder import Entry, FolderSource

if TYPE_CHECKING:
    from mlops_assets.use_case import UseCase


class Source(Protocol):
    """Lists and reads the raw files of a use case, a day at a time; it can be pickled."""

    def days(self) -> list[str]:
        """The days that were delivered, in order."""
        ...

    def place(self, day: str) -> str:
        """Where the files of a day lie or would lie, for people."""
        ...

    def delivered(self, day: str) -> bool:
        """Whether anything of the day was delivered."""
        ...

    def has(self, day: str, name: str) -> bool:
        """Whether a file of that name lies beside those of a day, such as the mark `_SUCCESS` of a whole delivery."""
        ...

    def list(self, day: str, after: str = "") -> Iterator[Entry]:
        """Every file of a day; one that cannot be read as a file is an entry with a problem.

        Parameters
        ----------
        day
            The day.
        after
            Path of an entry: only what comes behind it. The order is the source's own, but always the same.

        Raises
        ------
        NotImplementedError
            If `after` is given and the source can only begin at the start; such days must be listed in one go.
        """
        ...

    def read(self, day: str, entry: Entry) -> bytes:
        """The bytes of a file as it was listed.

        Raises
        ------
        OSError
            If it cannot be opened or read.
        SourceError
            If it is not what was listed: gone, or changed since.
        """
        ...


def open_source(use_case: UseCase, raw: Path) -> Source:
    """The source of a use case.

    Parameters
    ----------
    use_case
        Says how its files are named.
    raw
        Folder of the raw files of all use cases.
    """
    return FolderSource(raw / use_case.name, use_case.files.suffix)
