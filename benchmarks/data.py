"""Makes a day of account files, fast: sample files, repeated under account numbers of their own."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

from mlops_assets.tools.sampling import FILES_A_FOLDER, write_sample
from mlops_assets.use_case import UseCase

TEMPLATES = 5_000
"""Different files, of accounts that the champion may know; what follows repeats their rows under new accounts."""
SPAN = 5 * FILES_A_FOLDER
"""Files that a process writes at a time."""


def make_day(use_case: UseCase, raw: Path, day: dt.date, files: int, rows: int) -> Iterator[int]:
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
    templates = list(_templates(use_case, day, min(files, TEMPLATES), rows))
    bounds = [*range(0, files, SPAN), files]
    with get_context("fork").Pool(2, _keep, (templates, unfinished, use_case.files.suffix)) as pool:
        for number, _ in enumerate(pool.imap_unordered(_write, list(pairwise(bounds))), 1):
            yield min(files, number * SPAN)
    unfinished.rename(folder)


def _templates(use_case: UseCase, day: dt.date, files: int, rows: int) -> Iterator[tuple[bytes, bytes]]:
    """Sample files, each with the account number that is to be replaced."""
    with tempfile.TemporaryDirectory() as folder:
        for _ in write_sample(use_case, Path(folder), day, files, rows, 0.0, 7, labelled=False):
            pass
        for path in sorted(Path(folder).rglob(f"*{use_case.files.suffix}")):
            data = path.read_bytes()
            second_line = data.split(b"\r\n", 2)[1]
            account = second_line.split(use_case.files.delimiter.encode())[0]
            yield data, b"\r\n" + account


_kept: tuple[list[tuple[bytes, bytes]], Path, str]


def _keep(*kept: object) -> None:
    global _kept  # noqa: PLW0603 - a worker's own copy
    _kept = kept  # type: ignore[assignment]


def _write(span: tuple[int, int]) -> None:
    templates, folder, suffix = _kept
    for number in range(*span):
        if number % FILES_A_FOLDER == 0:
            (folder / f"{number // FILES_A_FOLDER:04d}").mkdir(parents=True)
        data, account = templates[number % len(templates)]
        path = folder / f"{number // FILES_A_FOLDER:04d}" / f"account-{number:07d}{suffix}"
        path.write_bytes(data if number < len(templates) else data.replace(account, b"\r\n%d" % (10**11 + number)))
