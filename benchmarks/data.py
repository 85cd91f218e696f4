"""Makes a day of account files, fast: sample files, again and again in another order or under other account numbers.

Of five files four are of accounts that the champion knows, with rows that it has not seen; the fifth is of an account
of its own. A model looks up what it knows of an account and of its crosses: a day of strangers would not measure that.
"""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from mlops_assets.tools.sampling import FILES_A_FOLDER, write_sample
from mlops_assets.use_case import UseCase

SEED = 7
"""Draws the accounts that the champion knows, on whatever day."""
STRANGERS = 8
"""Draws accounts that it does not know."""
OF = 5
"""Of so many files one is of a stranger."""
TEMPLATES = 1_000
"""Different files of strangers, and `OF - 1` times as many of accounts that are known."""
SPAN = 5 * FILES_A_FOLDER
"""Files that a process writes at a time."""


class Template(NamedTuple):
    """A file whose lines, or whose account, are changed for each file that is made of it."""

    header: bytes
    lines: list[bytes]
    account: bytes


@dataclass(frozen=True)
class _Day:
    """What all files of a day are made of."""

    known: Sequence[Template]
    strangers: Sequence[Template]
    folder: Path
    suffix: str

    def content(self, number: int) -> bytes:
        """The bytes of a file."""
        turn, place = divmod(number, OF)
        if place < OF - 1 and self.known:
            again, which = divmod(turn * (OF - 1) + place, len(self.known))
            header, lines, _ = self.known[which]
            return b"\r\n".join([header, *turned(lines, again), b""])
        header, lines, account = self.strangers[(turn if self.known else number) % len(self.strangers)]
        own = b"%d" % (10**11 + number)
        return b"\r\n".join([header, *(own + line[len(account) :] for line in lines), b""])


def turned(lines: Sequence[bytes], turn: int) -> list[bytes]:
    """Lines in another order for every turn, for a while: no two files should be the same bytes.

    Examples
    --------
    >>> [b"".join(turned([b"a", b"b", b"c"], turn)) for turn in range(4)]
    [b'abc', b'bca', b'cab', b'bac']
    """
    moved, first = divmod(turn, len(lines))
    found = [*lines[first:], *lines[:first]]
    return [found.pop(moved % len(lines)), *found]


def make_day(use_case: UseCase, raw: Path, day: dt.date, files: int, rows: int, known: int = 0) -> Iterator[int]:
    """Write a day of unlabelled files, in two processes; the same arguments write the same bytes.

    Parameters
    ----------
    use_case
        The use case; the first column of its contract is the account.
    raw
        Folder of the raw files; a day that is there already is left as it is.
    day
        The day.
    files, rows
        Number of files, and of rows in each on average.
    known
        How many accounts the champion knows: the files of each of the days that it learned from, see
        `champion.train`. With none, every file is of an account of its own.

    Yields
    ------
    int
        Number of files written so far.
    """
    folder = raw / use_case.name / f"day={day.isoformat()}"
    if folder.exists():
        return
    unfinished = raw / use_case.name / f".day={day.isoformat()}"
    shutil.rmtree(unfinished, ignore_errors=True)
    most = min(TEMPLATES, -(-files // OF))
    strangers = _drawn(use_case, day, most if known else min(files, OF * TEMPLATES), rows, STRANGERS)
    made = _Day(_of_known(use_case, day, known, (OF - 1) * most, rows), strangers, unfinished, use_case.files.suffix)
    bounds = [*range(0, files, SPAN), files]
    with get_context("fork").Pool(2, _keep, (made,)) as pool:
        for number, _ in enumerate(pool.imap_unordered(_write, list(pairwise(bounds))), 1):
            yield min(files, number * SPAN)
    unfinished.rename(folder)


def _of_known(use_case: UseCase, day: dt.date, known: int, most: int, rows: int) -> list[Template]:
    """Files of accounts that are known: what they did in the weeks before, of each week all accounts."""
    weeks = range(-(-most // known) if known else 0)
    found = (_drawn(use_case, day - dt.timedelta(weeks=week), known, rows, SEED) for week in weeks)
    return [template for templates in found for template in templates][:most]


def _drawn(use_case: UseCase, day: dt.date, files: int, rows: int, seed: int) -> list[Template]:
    """Sample files of a day."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in write_sample(use_case, Path(folder), day, files, rows, 0.0, seed, labelled=False):
            pass
        for path in sorted(Path(folder).rglob(f"*{use_case.files.suffix}")):
            header, *lines = path.read_bytes().removesuffix(b"\r\n").split(b"\r\n")
            account = lines[0].split(use_case.files.delimiter.encode())[0]
            found.append(Template(header, lines, account))
    return found


_made: _Day


def _keep(made: _Day) -> None:
    global _made  # noqa: PLW0603 - a worker's own copy
    _made = made


def _write(span: tuple[int, int]) -> None:
    for number in range(*span):
        folder = _made.folder / f"{number // FILES_A_FOLDER:04d}"
        if number % FILES_A_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"account-{number:07d}{_made.suffix}").write_bytes(_made.content(number))
