"""What is noticed while a day is read, and refuses nothing: it is counted, told, and may have a limit in YAML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ABSENT = "absent_"
"""What the notice of a column that a file lacks begins with; its name follows."""

MISNAMED, NEW_LABEL, SAME_CONTENT, SAME_AS_BEFORE = "misnamed_column", "new_label", "same_content", "same_as_day_before"


@dataclass(frozen=True)
class Notice:
    """Something that may be noticed.

    Attributes
    ----------
    unit
        What is counted, and of what a limit is a share.
    meaning
        What it means, for people.
    usual
        Whether it happens every day where it happens at all: `status` has it as JSON alone.
    """

    unit: Literal["files", "rows", "lines"]
    meaning: str
    usual: bool = False


NOTICES: dict[str, Notice] = {
    "one_account": Notice("files", "several rows have one account, and its column is not `constant`: another column?"),
    "no_final_line_end": Notice("files", "the last line has no line end, and the others have one: cut off?"),
    f"{ABSENT}COLUMN": Notice("files", "the file lacks COLUMN, which it may: the label, or an optional column"),
    MISNAMED: Notice(
        "files", "a column is named like an optional one that is absent, but for case, accents, blanks or signs"
    ),
    NEW_LABEL: Notice("rows", "the label stands in no row of an earlier day that is published"),
    SAME_CONTENT: Notice("files", "another file of the day has the same bytes; the first of them is not counted"),
    SAME_AS_BEFORE: Notice("files", "a file of the last published day before has the same bytes: delivered again?"),
    "swallowed_lines": Notice("lines", "lines within quoted fields; they belong to the row that begins before them"),
    "stray_carriage_returns": Notice("lines", "carriage returns that end no line, read as blanks"),
    "read_as_utf_8": Notice(
        "files", "read as UTF-8 where the contract says otherwise, or the reader decides", usual=True
    ),
    "read_as_utf_16": Notice("files", "read as UTF-16, by its mark", usual=True),
    "read_as_utf_32": Notice("files", "read as UTF-32, by its mark", usual=True),
    "read_as_windows_1252": Notice("files", "read as Windows-1252, for it is not UTF-8; may be any other encoding"),
    "replaced_bytes": Notice("files", "read as UTF-8, with signs in the place of bytes that are none"),
    "counted_by_reader": Notice(
        "files", "the reader of the use case counts no records apart from reading them", usual=True
    ),
}
"""All that may be noticed, by name; in one of them stands COLUMN for the name of a column."""


def find_notice(name: str) -> Notice | None:
    """What a count stands for, or None where nothing is counted under that name."""
    return NOTICES.get(f"{ABSENT}COLUMN" if name.startswith(ABSENT) else name)
