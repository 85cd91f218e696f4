"""In: the first line of a CSV file. Out: how the columns lie in the file, or the rule by which it is refused."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from mlops_assets.plugins import FileRefused
from mlops_assets.use_case import UseCase

MOST_LAYOUTS = 1_000
"""Headers that are remembered: files with columns of their own could bring new ones without end."""

LONGEST = 1 << 16
"""Bytes that a header may have beyond four times those of its contract: what misses in one is looked for in all of it,
which takes a second for each million bytes."""


@dataclass(frozen=True)
class Layout:
    """How the columns lie in files with one header.

    Attributes
    ----------
    names
        A unique name for every field; contract columns have their contract name.
    absent
        The columns of the contract that are not there; they may be absent.
    misnamed
        What stands there that is nearly the name of one of these, in words; or an empty text.
    """

    names: tuple[str, ...]
    # the names alone are hashed: a layout is looked up once for every file
    absent: tuple[str, ...] = field(default=(), hash=False)
    misnamed: str = field(default="", hash=False)


class Headers:
    """Reads headers by the contract of a use case; nearly all files have one that was read before.

    Parameters
    ----------
    use_case
        Its `files` and `columns` say what a header must be.
    """

    def __init__(self, use_case: UseCase) -> None:
        self._format = use_case.files
        self._names = list(use_case.columns)
        self._by_source = {column.header(name): name for name, column in use_case.columns.items()}
        self._sources = {name: source for source, name in self._by_source.items()}
        # an empty name is no name: the column is known by its place alone
        self._unnamed = self._names.index(self._by_source[""]) if "" in self._by_source else None
        self._longest = LONGEST + 4 * sum(len(source.encode()) + 1 for source in self._by_source)
        self._most_fields = 2 * len(self._names) + 50  # of a header that is remembered
        self._required = [name for name in self._names if name not in use_case.optional_columns]
        self._layouts: dict[tuple[bytes, str], Layout] = {}

    def layout(self, header: bytes, encoding: str) -> Layout:
        """The layout that a header announces.

        Parameters
        ----------
        header
            The first line; not looked at where files have no header, or columns go by their place.
        encoding
            What it is written in.

        Raises
        ------
        FileRefused
            If it is no header, or not one of this use case.
        """
        layout = self._layouts.get((header, encoding))
        if layout is None:
            self._see_length(header, encoding)
            layout = self._read(self._decode(header, encoding))
            if len(self._layouts) < MOST_LAYOUTS and len(layout.names) <= self._most_fields:
                self._layouts[header, encoding] = layout
        return layout

    def _see_length(self, header: bytes, encoding: str) -> None:
        if self._format.header == "names" and len(header) > self._longest:
            start = header[: self._longest].decode(encoding, errors="replace")
            said = f"the first line has {len(header):,} bytes, which no header has; it begins {start[:60]!r}"
            raise self._explain_unread(start) or FileRefused("header", said)

    def _decode(self, header: bytes, encoding: str) -> str:
        try:
            return header.decode(encoding)
        except UnicodeDecodeError as error:
            text = header.decode(encoding, errors="replace")
            # a name that cannot be read may be one that the contract has
            if self._format.header == "names":
                said = f"the header has the byte 0x{header[error.start]:02x}, which is not {encoding}"
                unread = FileRefused("encoding", f"{said}; it begins {text[:60]!r}")
                raise self._explain_unread(text) or unread from None
            return text

    def _read(self, text: str) -> Layout:
        if self._format.header != "names":
            return Layout(tuple(self._names))
        # people's headers are padded, as ` valor ` is
        cells = [cell.strip() for cell in self._cells(text)]
        names = [self._name_of(cell, place) for place, cell in enumerate(cells)]
        self._check(text, cells, [name for name in names if name])
        absent = tuple(name for name in self._names if name not in names)
        layout = tuple(name or f"unused {number}" for number, name in enumerate(names))
        return Layout(layout, absent, self._misnamed(absent, cells))

    def _misnamed(self, absent: Sequence[str], cells: Sequence[str]) -> str:
        """The cells that are nearly named like an absent column, each with the name that was expected."""
        others = [cell for cell in cells if cell not in self._by_source]
        expected = {near_miss(self._sources[name], others): self._sources[name] for name in absent}
        return ", ".join(f"{cell!r}, expected {name!r}" for cell, name in expected.items() if cell)

    def _name_of(self, cell: str, place: int) -> str:
        """The contract's name for a cell; empty if it has none."""
        return self._by_source.get(cell, "") if cell or place == self._unnamed else ""

    def _check(self, text: str, cells: Sequence[str], names: list[str]) -> None:
        """See that the columns of a header are each there once."""
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise FileRefused("header", f"the header names the column {self._sources[twice]!r} twice")
        missing = [name for name in self._required if name not in names]
        if missing:
            raise self._explain_unread(text) or self._explain_missing(text, cells, missing)

    def _cells(self, text: str) -> list[str]:
        quote = '"' if self._format.quotes else None
        style: Literal[0, 3] = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
        reader = csv.reader([text], delimiter=self._format.delimiter, quotechar=quote, quoting=style, strict=True)
        try:
            return next(reader)
        except (csv.Error, StopIteration):
            unread = FileRefused("header", f"the header cannot be read: {text[:100]!r}")
            raise self._explain_unread(text) or unread from None

    def _explain_unread(self, text: str) -> FileRefused | None:
        """Whether a first line is none at all, or its fields are parted by another sign."""
        if any(ord(char) < 32 and char != "\t" for char in text):
            return FileRefused("binary", "the first line holds control characters: this is no text file")
        expected = self._format.delimiter
        # told as what it is: with another sign between the fields, every column would be missing
        for other in ",;\t|" if expected not in text else "":
            cells = {cell.strip(' "') for cell in text.split(other)}
            if len(cells & (self._by_source.keys() - {""})) > 1:
                return FileRefused("delimiter", f"fields are parted by {other!r}, expected {expected!r}")
        return None

    def _explain_missing(self, text: str, cells: Sequence[str], missing: list[str]) -> FileRefused:
        listed = ", ".join(self._show_missing(self._sources[name], cells) for name in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        return FileRefused("missing_column", f"the header lacks {listed}{more}; it begins {text[:60]!r}")

    def _show_missing(self, source: str, cells: Sequence[str]) -> str:
        if not source and self._unnamed is not None:
            return f"the column without a name, which is number {self._unnamed + 1} in the contract"
        near = near_miss(source, cells)
        return f"{source!r} (is {near!r} that column?)" if near else repr(source)


def near_miss(name: str, cells: Sequence[str]) -> str:
    """The cell of a header that differs from a name in case, accents, blanks or signs alone; empty if none does."""
    return next((cell for cell in cells if cell != name and _letters(cell) == _letters(name)), "")


def _letters(name: str) -> str:
    apart = unicodedata.normalize("NFKD", name).casefold()
    return "".join(sign for sign in apart if sign.isalnum()) or name
