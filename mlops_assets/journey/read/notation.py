"""In: a pack and what its columns were taken for. Out: the files whose numbers may be others than they were taken for.

A value says whether it fits the contract; only its file tells whether it fits by chance. Where `.` parts thousands,
1.234 is 1234, and 1.5 is a reject; a file that has both writes decimal points, and its 1.234 is no 1234.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow.compute as pc

from mlops_assets.journey.read.contract import NOT_OF_TYPE, Checked
from mlops_assets.journey.read.numbers import Doubt, doubts, plain
from mlops_assets.journey.read.readers.pack import Pack
from mlops_assets.use_case import UseCase

Found = dict[int, tuple[str, int]]
"""By file: the column and the row in which something was found first."""


def find_misread(use_case: UseCase, pack: Pack, checked: Mapping[str, Checked], good: np.ndarray) -> dict[int, str]:
    """Files whose numbers are in doubt, each with what is wrong.

    Parameters
    ----------
    use_case
        Its `files` say how numbers are written.
    pack
        The text.
    checked
        What it was taken for.
    good
        Which rows break no rule.
    """
    wrong: dict[int, str] = {}
    broken = {name: rows for name, result in checked.items() if (rows := _not_of_type(result)) is not None}
    # nearly always there is none, and nothing to do
    if not any(use_case.columns[name].type in ("number", "integer") for name in broken):
        return wrong
    look = _Look(use_case, pack)
    for doubt in doubts(use_case.files):
        shown = look.find(doubt.shows, doubt, broken)
        if not shown:
            continue
        rows = good & np.isin(pack.file, list(shown))
        doubtful = look.find(doubt.doubtful, doubt, {name: rows & _given(result) for name, result in checked.items()})
        for file, place in doubtful.items():
            wrong.setdefault(file, _explain(look, doubt, shown[file], place))
    return wrong


class _Look:
    """Looks for texts in the columns of numbers."""

    def __init__(self, use_case: UseCase, pack: Pack) -> None:
        self._use_case = use_case
        self._pack = pack

    def find(self, pattern: str, doubt: Doubt, rows: Mapping[str, np.ndarray]) -> Found:
        """The first text of each file that has a pattern, among some rows of each column."""
        found: Found = {}
        for name, among in rows.items():
            if self._use_case.columns[name].type not in doubt.types:
                continue
            text = self._pack.columns[name]
            distinct = plain(pc.utf8_trim_whitespace(text.dictionary), self._use_case.files)
            matches = pc.match_substring_regex(distinct, pattern).to_numpy(zero_copy_only=False)
            places = np.flatnonzero(among & matches.take(text.indices.to_numpy()))
            files, firsts = np.unique(self._pack.file[places], return_index=True)
            for file, place in zip(files.tolist(), places[firsts].tolist(), strict=True):
                found.setdefault(file, (name, place))
        return found

    def show(self, place: tuple[str, int]) -> str:
        """A value, with its column and line."""
        name, row = place
        text = self._pack.columns[name][row].as_py().strip()
        return f"{self._use_case.columns[name].header(name)!r} is {text[:80]!r} in line {self._pack.line[row]}"


def _not_of_type(result: Checked) -> np.ndarray | None:
    """The rows whose value is not of its column's type; None where there is none."""
    if result.broken is None:
        return None
    rows: np.ndarray = result.broken == NOT_OF_TYPE
    return rows if rows.any() else None


def _given(result: Checked) -> np.ndarray:
    given: np.ndarray = pc.is_valid(result.values).to_numpy(zero_copy_only=False)
    return given


def _explain(look: _Look, doubt: Doubt, shown: tuple[str, int], doubtful: tuple[str, int]) -> str:
    return (
        f"{look.show(shown)}, where {doubt.sign!r} {doubt.use}; so that {look.show(doubtful)} may be another number "
        "than the contract takes it for: is `decimal` or `thousands` wrong?"
    )
