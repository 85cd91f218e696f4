"""Sample files in the format of a use case: rows to learn from, and on demand files with every kind of dirt."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, pairwise
from typing import Any, Protocol

import numpy as np
import pandas as pd

from mlops_assets.errors import UsageError
from mlops_assets.plugins import import_object, load_plugin
from mlops_assets.storage.places import Place, side_by_side
from mlops_assets.use_case import Column, UseCase
from mlops_assets.use_case.partitions import date_of, folder_of

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
    day: dt.date | str,
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
        The day; of hours one by its key, or by a date the first of that day.
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
        If the use case has a reader of its own and no `sample` function, or the day lies before its first one.
    PluginError
        If that function cannot be called as it must be.
    """
    key = day if isinstance(day, str) else use_case.partitions.of_date(day)
    if key < use_case.first_day:
        begin = f"{use_case.partitions.every.title()}s of {use_case.name} begin on {use_case.first_day}"
        raise UsageError(f"{begin}: a sample of {key} would never be run.")
    folder, date = raw / use_case.name / folder_of(key), date_of(key)
    # by the day as well: the same arguments are the same bytes, and no two days are alike, nor hours of one
    generator = np.random.default_rng([seed, date.toordinal(), *key[11:].encode()])
    if use_case.files.reader:
        yield from _write_files(use_case, folder, generator, date, files, rows, dirty, labelled=labelled)
        return
    draw: Draw = import_object(use_case.sample) if use_case.sample else _from_contract(use_case)
    kinds = _choose_dirt(use_case, generator, files, dirty)
    header = _header(use_case)
    for first in range(0, files, CHUNK):
        count = min(CHUNK, files - first)
        # seeded by the files and not by the day: accounts come back with their habits
        lasting = np.random.default_rng([seed, first])
        frame = draw(generator, lasting, date, count, rows)
        if not labelled:
            frame[use_case.label] = None
        _folder_of(folder, first, files).mkdir(parents=True, exist_ok=True)  # `CHUNK` divides `FILES_A_FOLDER`
        drawn: list[tuple[Place, bytes]] = []
        for number, lines in enumerate(_lines(use_case, frame, count), first):
            data = "\r\n".join([*header, *lines, ""]).encode(use_case.files.encoding, errors="replace")
            if number in kinds:
                data = _soil(data, kinds[number], use_case, generator)
            name = f"{use_case.name}-{number:07d}{use_case.files.suffix}"
            drawn.append((_folder_of(folder, number, files) / name, data))
        yield first + sum(1 for _ in side_by_side(raw, _write, drawn))


def _header(use_case: UseCase) -> list[str]:
    if use_case.files.header == "none":
        return []
    return [use_case.files.delimiter.join(column.header(name) for name, column in use_case.columns.items())]


def _choose_dirt(use_case: UseCase, generator: np.random.Generator, files: int, dirty: float) -> dict[int, str]:
    """Number of a file: the kind of dirt that it gets."""
    soiled = generator.permutation(files)[: round(files * dirty)].tolist()
    # where all are texts, no text is of a wrong type
    typed = any(column.type != "string" for column in use_case.columns.values())
    kinds = [kind for kind in DIRT if typed or kind != "type"]
    return dict(zip(soiled, cycle(kinds), strict=False))


def _folder_of(folder: Place, number: int, files: int) -> Place:
    """The folder of a file: file systems and people slow down where many thousands lie in one."""
    return folder / f"{number // FILES_A_FOLDER:04d}" if files > FILES_A_FOLDER else folder


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
    write = partial(_shown, column=column, use_case=use_case)
    # asked of the whole column: pandas takes as long for a value as for some hundred
    return [nothing if absent else write(value) for value, absent in zip(values, values.isna(), strict=True)]


def _shown(value: Any, column: Column, use_case: UseCase) -> str:
    if isinstance(value, (dt.date, pd.Timestamp)):
        return value.strftime(column.strptime)
    if column.type == "number":
        return _decimal(float(value), use_case)
    return str(int(value) if column.type == "integer" else value)


def _decimal(number: float, use_case: UseCase) -> str:
    decimal, thousands = use_case.files.decimal, use_case.files.thousands
    text = f"{number:,.2f}" if thousands else f"{number:.2f}"
    # both at once: one after the other, the second would undo the first
    swapped = {ord(","): thousands, ord("."): decimal}
    return text.rstrip("0").rstrip(".").translate(swapped)


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
    label = use_case.columns[use_case.label]
    numbers = [name for name, column in use_case.columns.items() if column.type in ("number", "integer")]
    drivers = [name for name in numbers if name not in (use_case.label, use_case.account)]

    def draw(
        generator: np.random.Generator, _: np.random.Generator, day: dt.date, files: int, rows: int
    ) -> pd.DataFrame:
        frame = pd.DataFrame({"file": np.repeat(np.arange(files), rows)})
        for name, column in use_case.columns.items():
            frame[name] = _column(generator, column, day, files * rows)
            if column.constant:
                frame[name] = frame.groupby("file")[name].transform("first")
        if drivers:
            frame[use_case.label] = _follow(generator, frame[drivers[0]], _classes(label))
        return frame

    return draw


def _follow(generator: np.random.Generator, driver: pd.Series, classes: np.ndarray) -> np.ndarray:
    """Classes by the rank of a number, but for a fifth of the rows."""
    rank = driver.rank(pct=True, method="first").to_numpy()
    noisy = np.where(generator.random(len(rank)) < 0.8, rank, generator.random(len(rank)))
    chosen: np.ndarray = classes[(noisy * len(classes)).astype(int).clip(max=len(classes) - 1)]
    return chosen


def _classes(label: Column) -> np.ndarray:
    if label.allowed:
        return np.array(label.allowed)
    if label.type == "string":
        return np.array(["no", "yes"])
    low = int(label.min) if isinstance(label.min, (int, float)) else 0
    return np.array([low, low + 1])


def _dates(generator: np.random.Generator, column: Column, day: dt.date, count: int) -> Any:
    """Dates of the month before a day, as far as the contract's bounds allow."""
    last = min(day, column.max) if isinstance(column.max, dt.date) else day
    first = last - dt.timedelta(days=30)
    if isinstance(column.min, dt.date):
        first, last = max(first, column.min), max(last, column.min)
    span = (last - first).days + 1
    return [last - dt.timedelta(days=int(back)) for back in generator.integers(0, span, count)]


def _numbers(generator: np.random.Generator, column: Column, _: dt.date, count: int) -> Any:
    """Numbers between the contract's bounds; a bound that it does not give is a thousand away from the other one."""
    high = float(column.max) if isinstance(column.max, (int, float)) else None
    low = float(column.min) if isinstance(column.min, (int, float)) else min(0.0, (high or 0.0) - 1_000.0)
    drawn = generator.uniform(low, low + 1_000.0 if high is None else high, count)
    return drawn.astype(np.int64) if column.type == "integer" else drawn.round(2)


def _booleans(generator: np.random.Generator, _column: Column, _day: dt.date, count: int) -> Any:
    return generator.integers(0, 2, count)


def _words(generator: np.random.Generator, _column: Column, _day: dt.date, count: int) -> Any:
    letters, numbers = generator.choice(list("ABCDE"), count), generator.integers(1, 100, count)
    return [f"{letter}{number}" for letter, number in zip(letters, numbers, strict=True)]


_DRAW: dict[str, Callable[[np.random.Generator, Column, dt.date, int], Any]] = {
    "date": _dates,
    "timestamp": _dates,
    "number": _numbers,
    "integer": _numbers,
    "boolean": _booleans,
    "string": _words,
}


def _column(generator: np.random.Generator, column: Column, day: dt.date, count: int) -> Any:
    if column.allowed:
        return generator.choice(np.array(column.allowed), count)
    return _DRAW[column.type](generator, column, day, count)
