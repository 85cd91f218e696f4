"""What is noticed while a day is read, and refuses nothing: it is counted, told, and may have a limit in YAML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Notice:
    """Something that may be noticed.

    Attributes
    ----------
    unit
        What is counted, and of what a limit is a share.
    meaning
        What it means, for people.
    """

    unit: Literal["files", "rows", "lines"]
    meaning: str


NOTICES: dict[str, Notice] = {
    "no_final_line_end": Notice("files", "the last line has no line end, and the others have one: cut off?"),
    "swallowed_lines": Notice("lines", "lines within quoted fields; they belong to the row that begins before them"),
    "stray_carriage_returns": Notice("lines", "carriage returns that end no line, read as blanks"),
    "read_as_utf_8": Notice("files", "read as UTF-8 where the contract says otherwise, or the reader decides"),
    "read_as_utf_16": Notice("files", "read as UTF-16, by its mark"),
    "read_as_utf_32": Notice("files", "read as UTF-32, by its mark"),
    "read_as_windows_1252": Notice("files", "read as Windows-1252, for it is not UTF-8; may be any other encoding"),
    "replaced_bytes": Notice("files", "read as UTF-8, with signs in the place of bytes that are none"),
    "counted_by_reader": Notice("files", "the reader of the use case counts no records apart from reading them"),
}
"""All that may be noticed, by name."""
