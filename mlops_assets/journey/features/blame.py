"""In: rows on which SQL or a model fails. Out: the lines that are to blame, found by halving, so that the others go on.

Halves of the files are tried first, then halves of the lines of a file that fails: some thousand files take some dozen
runs, each over fewer rows. Aggregates hang on all rows of a file, so a file is looked at again without the lines that
were found, which is how it is read where a line is a reject. Where its lines fail together and none alone, all are left
out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mlops_assets.errors import ConfigError
from mlops_assets.use_case import UseCase

RUNS = 1_000
"""Most runs over parts of a shard; where they do not do, the rows are not what is wrong."""

FAILING = {"sql": "features.sql", "model": "the model"}
"""What fails on a row, by rule."""

WAYS_OUT = {
    "sql": "let the SQL take it (`try_cast`, `nullif`)",
    "model": "give the model what it needs (`prepare`, `then`, such as an imputer)",
}


class RowsFailed(ConfigError):
    """SQL or a model fails on some rows, and would not on others.

    Parameters
    ----------
    message
        What fails on which rows, for people.
    rule
        `sql` or `model`.
    reason
        What was said of it.
    """

    def __init__(self, message: str, rule: str, reason: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.reason = reason

    def __reduce__(self) -> tuple[type[RowsFailed], tuple[str, str, str]]:
        return RowsFailed, (str(self), self.rule, self.reason)  # it comes back from workers


@dataclass(frozen=True)
class Blamed:
    """A row that has no prediction: SQL (`sql`) or the model (`model`) fails on it, for this reason.

    Attributes
    ----------
    file, line
        The row.
    rule
        One of `FAILING`.
    reason
        What was said of it.
    """

    file: str
    line: int
    rule: str
    reason: str


Run = Callable[[pa.Table], object]
"""Does over some rows what is to be done with them; raises RowsFailed where it cannot."""


def leave_out(rows: pa.Table, day: str, use_case: UseCase, run: Run) -> tuple[pa.Table, list[Blamed]]:
    """Part the rows that `run` can take from those that it fails on.

    Parameters
    ----------
    rows
        Rows of a shard on which `run` fails.
    day
        Their day.
    use_case
        Its `checks.sql_rejects` says whether rows may be left out.
    run
        What fails.

    Returns
    -------
    tuple
        The rows without those that are to blame, and these.

    Raises
    ------
    RowsFailed
        If none may be left out, naming the first; or if it cannot be told which they are.
    """
    bad, blamed = [], []
    files = rows["file"].combine_chunks().dictionary
    numbers, lines = rows["file"].combine_chunks().indices, rows["line"]
    for position, error in _Search(rows, run).culprits():
        one = Blamed(files[numbers[position].as_py()].as_py(), lines[position].as_py(), error.rule, error.reason)
        if not use_case.checks.sql_rejects:
            raise RowsFailed(_message(use_case, day, one), one.rule, one.reason)
        bad.append(position)
        blamed.append(one)
    keep = np.ones(rows.num_rows, bool)
    keep[bad] = False
    return rows.filter(pa.array(keep)).combine_chunks(), sorted(blamed, key=lambda row: (row.file, row.line))


def tell_left_out(use_case: UseCase, blamed: Sequence[Blamed], rows: int) -> str:
    """Which rows a training leaves out, in a sentence; empty if there is none.

    Raises
    ------
    ConfigError
        If they are more than `checks.sql_rejects` allows.
    """
    if not blamed:
        return ""
    first, share = blamed[0], len(blamed) / max(1, rows)
    told = f"{len(blamed)} of {rows} rows, on which features.sql fails"
    told += f", such as {first.file}, line {first.line}: {first.reason}"
    if share > use_case.checks.sql_rejects:
        more = "That is more than `checks.sql_rejects` allows: mend them or the SQL."
        raise ConfigError(f"{use_case.name}: {told}\n{more}")
    return f" Left out: {told}."


def _message(use_case: UseCase, day: str, row: Blamed) -> str:
    return (
        f"{use_case.name}/{FAILING[row.rule]} fails on the rows of {day}: {row.file}, line {row.line}: {row.reason}\n"
        f"Mend or remove that line, or {WAYS_OUT[row.rule]}; or set `checks.sql_rejects` to the share of a day's rows "
        "that may be left out for it."
    )


class _Search:
    """Looks for the rows that are to blame, within a number of runs."""

    def __init__(self, rows: pa.Table, run: Run) -> None:
        self._rows = rows
        self._run = run
        self._left = RUNS
        self._file = rows["file"].combine_chunks().indices.to_numpy()

    def culprits(self) -> Iterator[tuple[int, RowsFailed]]:
        """The position of each row to blame, and what is said of it."""

        def of(files: np.ndarray) -> np.ndarray:
            return np.flatnonzero(np.isin(self._file, files))

        files = np.unique(self._file)
        error = self._error(of(files))
        if error is None:
            return
        for group, why in self._smallest(files, error, of):
            if len(group) > 1:
                together = f"{why}\nIt fails on {len(group)} files together, and on none alone."
                raise RowsFailed(together, why.rule, why.reason)
            yield from self._lines(of(group), why)

    def _lines(self, lines: np.ndarray, error: RowsFailed | None) -> Iterator[tuple[int, RowsFailed]]:
        """The lines of one file that are to blame; it is looked at again without them."""
        while error is not None:
            bad: list[int] = []
            for group, why in self._smallest(lines, error, lambda some: some):
                # nobody can say which of them is wrong: the file is, and the line that tips the scale
                if len(group) > 1:
                    tips = self._last_straw(group)
                    yield from ((int(line), why) for line in (tips, *lines[(lines != tips) & ~np.isin(lines, bad)]))
                    return
                bad.append(int(group[0]))
                yield bad[-1], why
            lines = np.setdiff1d(lines, bad)
            error = self._error(lines) if len(lines) else None

    def _smallest(
        self, items: np.ndarray, error: RowsFailed, rows_of: Callable[[np.ndarray], np.ndarray]
    ) -> Iterator[tuple[np.ndarray, RowsFailed]]:
        """Items that fail, alone or in a group of which neither half does."""
        halves = np.array_split(items, 2) if len(items) > 1 else []
        fails = False
        for half in halves:
            why = self._error(rows_of(half))
            if why is not None:
                fails = True
                yield from self._smallest(half, why, rows_of)
        if not fails:
            yield items, error

    def _last_straw(self, lines: np.ndarray) -> int:
        """The line with which the ones before it begin to fail, such as the one with which a sum is too large."""
        good, fails = 0, len(lines)
        while fails - good > 1:
            middle = (good + fails) // 2
            good, fails = (middle, fails) if self._error(lines[:middle]) is None else (good, middle)
        return int(lines[fails - 1])

    def _error(self, positions: np.ndarray) -> RowsFailed | None:
        """What is said of some rows, if anything is wrong with them."""
        self._left -= 1
        try:
            self._run(self._rows.take(pa.array(positions)).combine_chunks())
        except RowsFailed as error:
            if self._left > 0:
                return error
            message = f"{error}\nSo many rows fail that {RUNS:,} runs do not find them all."
            raise RowsFailed(message, error.rule, error.reason) from None
        return None
