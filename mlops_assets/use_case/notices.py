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
    "one_account": Notice("files", "several rows have one account, and its column is not `constant`: another column?"),
    "no_final_line_end": Notice("files", "the last line has no line end, and the others have one: cut off?"),
}
"""All that may be noticed, by name."""
