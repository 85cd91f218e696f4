"""What a class must look like that brings the raw files of a use case."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from mlops_assets.errors import MlopsError


class SourceError(MlopsError):
    """A file of a day vanished or changed while it was read, or a class of a user's own failed."""


class Entry(NamedTuple):
    """One file of a day, as listed.

    Attributes
    ----------
    path
        Path within the day's folder, `/` between its parts.
    size
        Bytes.
    modified
        Modification time in nanoseconds since 1970.
    problem
        Why it cannot be read as a file, or an empty text.
    etag
        What a server calls this content, such as an ETag; or an empty text.
    """

    path: str
    size: int
    modified: int
    problem: str = ""
    etag: str = ""


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
