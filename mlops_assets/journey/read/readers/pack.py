"""What every reader makes of a pack of files: columns of text, each row with its file and line, and refusals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from mlops_assets.use_case import Checks

TEXT = pa.dictionary(pa.int32(), pa.string())
RAW_LIMIT = 2_000
"""Longest raw line kept with a reject, in characters."""

EXAMPLES = 5
"""Places that are told of what was noticed."""


FIRST_REJECTS = 3
"""Lines that are told of a file that has too many rejected ones."""


Count = int | np.ndarray


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line, or with `line` None a whole file, that could not become rows.

    Attributes
    ----------
    file
        Number of the file within its pack.
    line
        Data line, 1 for the first one after the header; of a record that spans lines, its first; where the use case
        has a reader of its own, the number of the record.
    rule
        Name of the rule that was broken.
    message
        What is wrong, for a person.
    raw
        The line as it stood in the file.
    """

    file: int
    line: int | None
    rule: str
    message: str
    raw: str = ""


def too_many(file: int, lines: int, rules: Counter[str], first: Sequence[Refusal]) -> Refusal:
    """Refuse a file as a whole that has too many rejected lines; see `has_too_many`.

    Parameters
    ----------
    file
        Its number within its pack.
    lines
        How many lines it has.
    rules
        How many of them break which rule.
    first
        The first that do.
    """
    shown = first[:FIRST_REJECTS]
    counted = ", ".join(f"{number:,} {rule}" for rule, number in rules.most_common())
    message = f"{rules.total():,} of {lines:,} lines are rejected ({counted}), such as "
    message += "; ".join(f"line {refusal.line}: {refusal.message[:200]}" for refusal in shown)
    return Refusal(file, None, "too_many_rejects", message, shown[0].raw)


def has_too_many(checks: Checks, rejected: Count, lines: Count) -> Any:
    """Whether a file, or each of several, has more rejected lines than is allowed."""
    return (rejected > checks.file_rejects) & (rejected > checks.file_reject_rate * lines)


def _not_kept(_file: int, _line: int) -> str:
    return ""


@dataclass
class Pack:
    """What became of the files that were read together.

    Attributes
    ----------
    columns
        Text of every contract column, dictionary-encoded, in the order of the files.
    file, line
        int32 arrays, one number a row.
    lines
        int64 array, data lines a file, counted in its bytes; 0 for a refused file.
    refusals
        The lines and files that are not among the rows.
    raw
        The line of a file as it stood there; cheap when asked in the order of the files.
    noticed
        How often something was noticed that refuses nothing, by the names of `use_case.notices`.
    examples
        Where, for people: a few texts by the same names.
    swallowed
        int64 array, lines a file that lie within the fields of rows and rejects, after their first; 0 by default.
    """

    columns: dict[str, pa.DictionaryArray]
    file: np.ndarray
    line: np.ndarray
    lines: np.ndarray
    refusals: list[Refusal] = field(default_factory=list)
    raw: Callable[[int, int], str] = _not_kept
    noticed: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    swallowed: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        if not len(self.swallowed):
            self.swallowed = np.zeros_like(self.lines)

    def notice(self, name: str, file: str, times: int = 1) -> None:
        """Count something that was noticed in a file, and keep where it was, while a few places are enough.

        Parameters
        ----------
        name
            One of `use_case.notices`.
        file
            Path of the file, and what else there is to say of it.
        times
            How often it was noticed there.
        """
        self.noticed[name] += times
        places = self.examples.setdefault(name, [])
        if len(places) < EXAMPLES:
            places.append(file)

    def refuse(self, files: Collection[int]) -> None:
        """Forget the lines of files that are refused as a whole: a file is counted once, by its lines or as a whole."""
        self.refusals[:] = [refusal for refusal in self.refusals if refusal.file not in files]
        self.lines[list(files)] = self.swallowed[list(files)] = 0


class Reader(Protocol):
    """Turns the bytes of files into columns of text."""

    def read(self, contents: Sequence[bytes | None], paths: Sequence[str]) -> Pack:
        """Read a pack of files.

        Parameters
        ----------
        contents
            One item a file; None for a file that is refused already.
        paths
            Path of each file within the day's folder.
        """
        ...


def first_line(data: bytes, encoding: str) -> str:
    """The beginning of a refused file as text; whoever shows it sees to it that it can be shown."""
    return data[:200].split(b"\n")[0].decode(encoding, errors="replace")
