"""Sample files in the format of a use case: rows to learn from, and on demand files with every kind of dirt."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import pandas as pd

from mlops_assets.errors import UsageError
from mlops_assets.plugins import import_object, load_plugin
from mlops_assets.storage.places import Place, side_by_side
from mlops_assets.use_case import Column, UseCase

CHUNK = 500
"""Files drawn at a time."""
FILES_A_FOLDER = 1_000

DIRT: dict[str, str] = {
    "empty_file": "no bytes at all",
    "no_rows": "a header and nothing else",
    "missing_column": "a column taken away",
    "delimiter": "another sign between the fields",
    "truncated": "cut off in the last line",
    "quote": "a double quote that is never closed",
    "nul_bytes": "NUL bytes in the middle",
    "binary": "random bytes",
    "field_count": "a line that lost its last fields",
    "type": "a line with a text where a number or date should be",
}
"""The kinds of dirt that `dirty` spreads, one after the other: the rule that refuses the file or line, and the dirt."""

Draw = Callable[[np.random.Generator, np.random.Generator, dt.date, int, int], pd.DataFrame]
"""Draws rows: generator of the day, generator that is the same for the same files on every day, day, files, rows a file
-> a frame with `file` and the columns of the contract."""


class DrawFiles(Protocol):
    """What `sample` names in a use case with a record reader of its own: a function that writes what that one reads."""

    def __call__(
        self, generator: np.random.Generator, day: dt.date, files: int, rows: int, dirty: float, labelled: bool
    ) -> Iterator[tuple[str, bytes]]:
        """Path within the day's folder, and bytes, of every file; those that records refer to come before theirs.

        Parameters
        ----------
        generator
            Source of randomness, seeded for the day.
        day
            The day.
        files, rows
            Number of files, and of records in each on average.
        dirty
            Share of files that get dirt.
        labelled
            Whether the label is told.
        """
        ...


def write_sample(
    use_case: UseCase,
    raw: Place,
    day: dt.date,
    files: int,
    rows: int,
    dirty: float,
    seed: int,
    *,
    labelled: bool = True,
) -> Iterator[int]:
    """Write the sample files of one day; the same arguments write the same bytes.

    Parameters
    ----------
    use_case
        The use case; its `sample` function draws the rows, or they are drawn from the contract alone. With a reader of
        its own, the function draws whole files: see `DrawFiles`.
    raw
        Place of the raw files.
    day
        The day.
    files, rows
        Number of files, and of rows in each on average.
    dirty
        Share of files that get dirt.
    seed
        Seed of the draw.
    labelled
        Whether the label column is filled.

    Yields
    ------
    int
        Number of files written so far.

    Raises
    ------
    UsageError
        If the use case has a reader of its own and no `sample` function.
    PluginError
        If that function cannot be called as it must be.
    """
    folder = raw / use_case.name / f"day={day.isoformat()}"
    generator = np.random.default_rng([seed, day.toordinal()])
    if use_case.files.reader:
        yield from _write_files(use_case, folder, generator, day, files, rows, dirty, labelled=labelled)
        return
    draw: Draw = import_object(use_case.sample) if use_case.sample else _from_contract(use_case)
    soiled = generator.permutation(files)[: round(files * dirty)]
    typed = any(column.type != "string" for column in use_case.columns.values())
    possible = [kind for kind in DIRT if typed or kind != "type"]
    kinds = {int(number): possible[place % len(possible)] for place, number in enumerate(soiled)}
    names = use_case.files.delimiter.join(c.header(n) for n, c in use_case.columns.items())
    header = [] if use_case.files.header == "none" else [names]
    for first in range(0, files, CHUNK):
        count = min(CHUNK, files - first)
        lasting = np.random.default_rng([seed, first])
        frame = draw(generator, lasting, day, count, rows)
        if not labelled:
            frame[use_case.label] = None
        drawn: list[tuple[Place, bytes]] = []
        for number, lines in enumerate(_lines(use_case, frame, count), first):
            path = folder / f"{number // FILES_A_FOLDER:04d}" if files > FILES_A_FOLDER else folder
            if number % FILES_A_FOLDER == 0 or number == first:
                path.mkdir(parents=True, exist_ok=True)
            text = "\r\n".join([*header, *lines, ""])
            data = text.encode(use_case.files.encoding, errors="replace")
            if number in kinds:
                data = _soil(data, kinds[number], use_case, generator)
            drawn.append((path / f"{use_case.name}-{number:07d}{use_case.files.suffix}", data))
        yield first + sum(1 for _ in side_by_side(raw, _write, drawn))


def _write(file: tuple[Place, bytes]) -> None:
    path, data = file
    path.write_bytes(data)


def _write_files(
    use_case: UseCase,
    folder: Place,
    generator: np.random.Generator,
    day: dt.date,
    files: int,
    rows: int,
    dirty: float,
    *,
    labelled: bool,
) -> Iterator[int]:
    """Write the files that a use case draws itself; those that records refer to are not counted."""
    if use_case.sample is None:
        raise UsageError(
            f"{use_case.name} reads its files by {use_case.files.reader}: no sample can be drawn from its columns. "
            "Name a function in its defs.yaml as `sample`."
        )
    draw = load_plugin(use_case.sample, DrawFiles)
    written = 0

    def write(file: tuple[str, bytes]) -> str:
        path, data = file
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        return path

    for path in side_by_side(folder, write, draw(generator, day, files, rows, dirty, labelled)):
        if not path.endswith(use_case.files.attachments):
            written += 1
            yield written


def _lines(use_case: UseCase, frame: pd.DataFrame, files: int) -> Iterator[list[str]]:
    texts = [_text(frame[name], column, use_case) for name, column in use_case.columns.items()]
    joined = [use_case.files.delimiter.join(fields) for fields in zip(*texts, strict=True)]
    bounds = np.searchsorted(frame["file"].to_numpy(), np.arange(files + 1))
    for first, last in pairwise(bounds):
        yield joined[first:last]


def _text(values: pd.Series, column: Column, use_case: UseCase) -> list[str]:
    """Values as the contract writes them."""
    nothing = column.missing[0] if column.missing else ""
    decimal, group = use_case.files.decimal, use_case.files.thousands
    swap = str.maketrans({",": group, ".": decimal})

    def write(value: Any) -> str:
        if pd.isna(value):
            return nothing
        if isinstance(value, (dt.date, pd.Timestamp)):
            return value.strftime(column.strptime)
        if column.type == "number":
            text = f"{float(value):,.2f}" if group else f"{float(value):.2f}"
            return text.rstrip("0").rstrip(".").translate(swap)
        if column.type == "integer":
            return str(int(value))
        return str(value)

    return [write(value) for value in values]


def _soil(data: bytes, kind: str, use_case: UseCase, generator: np.random.Generator) -> bytes:
    """Spoil the bytes of a clean file in one way."""
    header, _, body = data.partition(b"\r\n")
    delimiter = use_case.files.delimiter.encode()
    first, *rest = body.split(b"\r\n")
    fields = first.split(delimiter)
    wrong = next((i for i, column in enumerate(use_case.columns.values()) if column.type != "string"), 0)
    nonsense = delimiter.join([*fields[:wrong], b"?!", *fields[wrong + 1 :]])
    spoilt = {
        "empty_file": [],
        "no_rows": [header, b""],
        "missing_column": [line.partition(delimiter)[2] for line in (header, first, *rest)],
        "delimiter": [data.replace(delimiter, b"|")],
        "truncated": [header, first, first[: first.rfind(delimiter) - 1]],
        "quote": [header, b'"' + body],
        "nul_bytes": [data[: len(data) // 2] + b"\0\0" + data[len(data) // 2 :]],
        "binary": [b"\x01" + generator.bytes(512).replace(b"\0", b"\x01")],
        "field_count": [header, delimiter.join(fields[:-2]), *rest],
        "type": [header, nonsense, *rest],
    }
    return b"\r\n".join(spoilt[kind])


def _from_contract(use_case: UseCase) -> Draw:
    """Rows that keep to the contract; the label follows the first number, so that there is something to learn."""

    def draw(
        generator: np.random.Generator, _: np.random.Generator, day: dt.date, files: int, rows: int
    ) -> pd.DataFrame:
        count = files * rows
        frame = pd.DataFrame({"file": np.repeat(np.arange(files), rows)})
        for name, column in use_case.columns.items():
            frame[name] = _column(generator, column, day, count)
            if column.constant:
                frame[name] = frame.groupby("file")[name].transform("first")
        numbers = [name for name, column in use_case.columns.items() if column.type in ("number", "integer")]
        drivers = [name for name in numbers if name not in (use_case.label, use_case.account)]
        label = use_case.columns[use_case.label]
        classes = _classes(label)
        if drivers:
            rank = frame[drivers[0]].rank(pct=True, method="first").to_numpy()
            noisy = np.where(generator.random(count) < 0.8, rank, generator.random(count))
            frame[use_case.label] = classes[(noisy * len(classes)).astype(int).clip(max=len(classes) - 1)]
        return frame

    return draw


def _classes(label: Column) -> np.ndarray:
    if label.allowed:
        return np.array(label.allowed)
    if label.type == "string":
        return np.array(["no", "yes"])
    low = int(label.min) if isinstance(label.min, (int, float)) else 0
    return np.array([low, low + 1])


def _column(generator: np.random.Generator, column: Column, day: dt.date, count: int) -> Any:
    if column.allowed:
        return generator.choice(np.array(column.allowed), count)
    if column.type in ("date", "timestamp"):
        last = min(day, column.max) if isinstance(column.max, dt.date) else day
        first = last - dt.timedelta(days=30)
        if isinstance(column.min, dt.date):
            first, last = max(first, column.min), max(last, column.min)
        span = (last - first).days + 1
        return [last - dt.timedelta(days=int(back)) for back in generator.integers(0, span, count)]
    if column.type == "boolean":
        return generator.integers(0, 2, count)
    if column.type in ("number", "integer"):
        high = float(column.max) if isinstance(column.max, (int, float)) else None
        low = float(column.min) if isinstance(column.min, (int, float)) else min(0.0, (high or 0.0) - 1_000.0)
        high = low + 1_000.0 if high is None else high
        drawn = generator.uniform(low, high, count)
        return drawn.astype(np.int64) if column.type == "integer" else drawn.round(2)
    return [
        f"{letter}{number}"
        for letter, number in zip(
            generator.choice(list("ABCDE"), count), generator.integers(1, 100, count), strict=True
        )
    ]


def parse_day(text: str) -> dt.date:
    """A day from its text.

    Raises
    ------
    UsageError
        If it is not of the form `YYYY-MM-DD`.
    """
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a day; write it like 2026-01-31.") from None
