"""The protocol of a record reader: a class of a use case that finds the records in a file that is not CSV."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol


class FileRefused(Exception):
    """Raised by a reader: the whole file is no use.

    Parameters
    ----------
    rule
        Name of the rule that it breaks, in small letters, such as `not_json`.
    message
        What is wrong, for a person.
    """

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message


class NotAttached(LookupError):
    """A file that a record refers to cannot be had; the message says why."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file.

    Attributes
    ----------
    values
        Text of the columns of the contract, by name, as a CSV file would have it: it is typed and checked afterwards.
        A column that is absent or None has no value.
    raw
        The record as it stood in the file, for people: shown beside a reject, and by `mlops-assets why`.
    """

    values: Mapping[str, str | None]
    raw: str = ""


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that cannot be used.

    Attributes
    ----------
    rule
        Name of the rule that it breaks, in small letters, such as `no_picture`.
    message
        What is wrong, for a person.
    raw
        The record as it stood in the file.
    """

    rule: str
    message: str
    raw: str = ""


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file as it was delivered.

    Attributes
    ----------
    path
        Path within the day's folder, `/` between its parts; of a request that the API kept, as it was sent.
    data
        Its bytes.
    """

    path: str
    data: bytes
    _attached: Callable[[str], bytes] = field(repr=False)

    def attached(self, path: str) -> bytes:
        """The bytes of a file that a record refers to; its name has one of the endings of `files.attachments`.

        Parameters
        ----------
        path
            Path from the folder that this file lies in.

        Raises
        ------
        NotAttached
            If there is no such file among those of the day, it cannot be read, or the path leads elsewhere.
        """
        if not isinstance(path, str) or not path:
            raise NotAttached(f"{path!r} is no path")
        if path.startswith("/") or ".." in path.split("/"):
            raise NotAttached(f"{path!r} leads out of the folder of the file")
        # as the listing writes paths, whatever machine this is
        return self._attached(posixpath.normpath(posixpath.join(posixpath.dirname(self.path), path)))


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something of a file that is counted and told, and refuses nothing.

    Attributes
    ----------
    name
        One of those of `mlops_assets.use_case.notices`.
    times
        How often.
    """

    name: str
    times: int = 1


class RecordReader(Protocol):
    """Finds the records in files of a use case. One object reads many files, each on its own.

    It may have a method `count(file) -> int` that says how many records the bytes hold, in another way than `read`
    finds them, and an attribute `records_by`, text, that says what it counts: `lines`, `elements of the JSON list`. A
    file in which the two differ is refused; without the method, the accounting says that the reader counts itself.

    Two further methods make a file of what is sent to the API, and are only asked there; each raises FileRefused where
    it makes none. `around(path) -> bytes` gives a file of one record that refers to an attachment, so that a picture
    can be sent alone. `write(rows) -> bytes` gives a file of rows, each a mapping of columns to texts as JSON had them.
    """

    def read(self, file: RawFile) -> Iterable[Record | BadRecord | Noticed]:
        """Every record of a file, good or bad, in their order: their number is the `line` of rows and rejects.

        Raises
        ------
        FileRefused
            If the file as a whole is no use. Any other exception refuses it as well, under the rule `reader`.
        """
        ...
