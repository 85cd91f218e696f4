"""In: the published parts of a day. Out: a page of its rows, and the place where the next one begins.

A place is a part and a row in it: the parts of a publication have one order, so that the thousandth page costs what the
first one does. A place holds for one publication; of a day that was published again, nobody knows what came before it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.storage.files import open_part
from mlops_assets.storage.parts import complete
from mlops_assets.storage.tables import Table

MOST_ROWS, MOST_PARTS = 2_000_000, 200
"""Rows and parts that are looked at for one page: of a filter that few rows pass, a page may be short, or empty."""

BATCH = 16_384
"""Rows that are read at a time: no more than so many are read beyond the page."""

WHOLE_DICTIONARY = 1 << 20
"""Bytes: Parquet's writer puts every text of a column into its dictionary until that is so large."""


class WrongCursor(UsageError):
    """A cursor that none was given as, or of another list."""


class PublishedAgain(MlopsError):
    """The day of a cursor was published again since it was given."""


@dataclass(frozen=True)
class Place:
    """Where a page begins: a part, by its number in the order of the day, and a row in it."""

    part: int = 0
    row: int = 0


@dataclass(frozen=True)
class Listing:
    """The published parts of a day, in one order.

    Attributes
    ----------
    day
        The day.
    versions
        The version of each table at which the day was published; 0 where it was not.
    parts
        Each with its table.
    """

    day: str
    versions: tuple[int, ...]
    parts: Sequence[tuple[Table[Any], str]]


@dataclass(frozen=True)
class Only:
    """Which rows are wanted.

    Attributes
    ----------
    equal
        By column, the value.
    least, most
        By column, bounds of its numbers, both within.
    among
        The parts in which such rows can lie; all of them if None.
    """

    equal: Mapping[str, str] = field(default_factory=dict)
    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)
    among: Collection[str] | None = None

    @property
    def mark(self) -> str:
        """A short hash of what is wanted: who wants something else has another one."""
        told = json.dumps([dict(self.equal), dict(self.least), dict(self.most)], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    @property
    def columns(self) -> list[str]:
        """The columns that are looked at."""
        return list(dict.fromkeys((*self.equal, *self.least, *self.most)))

    def mask(self, rows: pa.Table | pa.RecordBatch) -> pa.Array:
        """Which of some rows are wanted."""
        wanted: Any = pa.repeat(pa.scalar(value=True), len(rows))
        for column, value in self.equal.items():
            wanted = pc.and_(wanted, pc.equal(rows[column], value))
        # a bound as exact as the column: 0.3 is stored as the float32 next to it
        for column, bound in self.least.items():
            wanted = pc.and_(wanted, pc.greater_equal(rows[column], pa.scalar(bound, rows[column].type)))
        for column, bound in self.most.items():
            wanted = pc.and_(wanted, pc.less_equal(rows[column], pa.scalar(bound, rows[column].type)))
        return wanted


Bounds = tuple[float | None, float | None]
"""The least and the most that a number may be; None for no bound."""

ANY: Bounds = (None, None)
"""Of any size."""


def within(probability: Bounds = ANY, prediction: Bounds = ANY) -> Only:
    """Rows of which numbers are neither less nor more than their bounds.

    Parameters
    ----------
    probability
        Of the probability of a class.
    prediction
        Of a number that is predicted.

    Raises
    ------
    UsageError
        If a bound is no number.
    """
    bounds = {"probability": probability, "prediction": prediction}
    for column, pair in bounds.items():
        if any(bound is not None and math.isnan(bound) for bound in pair):
            raise UsageError(f"a bound of {column} is no number (NaN): name one, or none.")
    least = {name: low for name, (low, _) in bounds.items() if low is not None}
    most = {name: high for name, (_, high) in bounds.items() if high is not None}
    return Only(least=least, most=most)


def list_parts(day: str, *tables: Table[Any]) -> Listing:
    """The parts of a day as it is published now, those of one table after those of the other.

    Parameters
    ----------
    day
        The day.
    tables
        Tables that have the same columns.
    """
    versions, parts = [], list[tuple[Table[Any], str]]()
    for table in tables:
        version, paths = _published(table, day)
        versions.append(version)
        parts += [(table, path) for path in paths]
    return Listing(day, tuple(versions), parts)


def _published(table: Table[Any], day: str) -> tuple[int, list[str]]:
    """A version of a day and its parts that belong together, whoever publishes meanwhile."""
    while True:
        before = table.days().get(day)
        paths = sorted(table.parts(day))
        now = table.days().get(day)
        if before == now:
            return (0, []) if now is None else (now.version, paths)


def write_cursor(name: str, listing: Listing, place: Place) -> str:
    """A place as a text for the one who reads the list `name`: to be handed back, not to be read.

    The name tells all that makes a list another one, such as the use case and which rows are wanted.
    """
    told = json.dumps([name, listing.day, [*listing.versions], place.part, place.row], separators=(",", ":"))
    return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")


def read_cursor(name: str, listing: Listing, cursor: str) -> Place:
    """The place that a cursor of the list `name` tells.

    Raises
    ------
    WrongCursor
        If it is of another list, or of none.
    PublishedAgain
        If the day was published again since.
    """
    try:
        told = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        of, day, versions, part, row = told
    except (ValueError, TypeError, RecursionError):
        raise WrongCursor("this is no cursor: hand back `next` of the page before as it was.") from None
    whole = all(type(number) is int and number >= 0 for number in (part, row))
    if (of, day) != (name, listing.day) or not isinstance(versions, list) or not whole:
        raise WrongCursor("this cursor is of another list, or of other rows of it: begin without one.")
    if tuple(versions) != listing.versions:
        raise PublishedAgain(f"{day} was published again since this cursor was given: begin without one.")
    if part >= len(listing.parts):
        raise WrongCursor("this cursor is of another list, or of other rows of it: begin without one.")
    return Place(part, row)


def read_page(
    listing: Listing, columns: Sequence[str], only: Only, place: Place, limit: int, most_rows: int = MOST_ROWS
) -> tuple[pa.Table, Place | None]:
    """A page of the rows of a day.

    Parameters
    ----------
    listing
        The parts of the day.
    columns
        The columns to read.
    only
        Which rows are wanted.
    place
        Where to begin.
    limit
        Rows of the page.
    most_rows
        Rows that are looked at, or a part more.

    Returns
    -------
    tuple
        The rows, and where the next page begins; None if there is no more. A page has fewer rows than `limit` where
        more than `most_rows` rows or `MOST_PARTS` parts would be looked at for it.
    """
    found: list[pa.RecordBatch] = []
    schema = _schema(listing, columns)
    left, looked_at, opened, part = limit, 0, 0, place.part
    while part < len(listing.parts):
        table, path = listing.parts[part]
        if only.among is not None and path not in only.among:
            part += 1
            continue
        if opened == MOST_PARTS or looked_at >= most_rows:
            return _joined(found, schema), Place(part)
        begin = place.row if part == place.part else 0
        with open_part(table.folder / path, texts_as_codes=True) as file:
            opened, part = opened + 1, part + 1
            if not _can_have(file, only):
                continue
            looked_at += file.metadata.num_rows - begin
            for batch, after in _wanted(file, schema, listing.day, only, begin):
                if len(batch) > left:
                    # the place of the last row that is told, and not of the end of its batch
                    return _joined([*found, batch.slice(0, left)], schema), Place(part - 1, after[left].as_py())
                found.append(batch)
                left -= len(batch)
    return _joined(found, schema), None


def _schema(listing: Listing, columns: Sequence[str]) -> pa.Schema:
    """The columns of a page, as the first table has them."""
    empty = pa.schema([(name, pa.string()) for name in columns])
    return listing.parts[0][0].read_parts([], columns).schema if listing.parts else empty


def _joined(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(batches, schema)


def _can_have(file: pq.ParquetFile, only: Only) -> bool:
    """Whether wanted rows can lie in a part, by the dictionaries of its texts: a fifth of the work of reading these."""
    return all(_has_text(file, column, text) for column, text in only.equal.items())


def _has_text(file: pq.ParquetFile, column: str, text: str) -> bool:
    """Whether a column of a part has a text; also where it might."""
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        chunk = next(one for one in map(group.column, range(group.num_columns)) if one.path_in_schema == column)
        (codes,) = next(file.iter_batches(1, row_groups=[number], columns=[column])).columns
        is_whole = chunk.has_dictionary_page and codes.dictionary.nbytes < WHOLE_DICTIONARY
        if not is_whole or pc.index(codes.dictionary, text).as_py() >= 0:
            return True
    return False


def _wanted(
    file: pq.ParquetFile, schema: pa.Schema, day: str, only: Only, begin: int
) -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
    """The wanted rows of a part from a row on, a batch at a time, each with the numbers of its rows."""
    if only.columns and not pc.any(only.mask(file.read(columns=only.columns)).slice(begin)).as_py():
        return  # by the few columns that are asked about; all others need not be read
    stored = [name for name in schema.names if name in file.schema_arrow.names]
    for first, batch in _from(file, begin, [*dict.fromkeys((*stored, *only.columns))]):
        numbers = pa.arange(first, first + len(batch))  # `pa.array` would import pandas
        mask = only.mask(batch)
        yield complete(batch.filter(mask), schema, day), numbers.filter(mask)


def _from(file: pq.ParquetFile, begin: int, columns: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of a part from a row on, each batch with the number of its first one; no earlier row group is read."""
    first, groups = 0, list[int]()
    for number in range(file.num_row_groups):
        rows = file.metadata.row_group(number).num_rows
        if not groups and first + rows <= begin:
            first += rows
        else:
            groups.append(number)
    for batch in file.iter_batches(BATCH, row_groups=groups, columns=columns) if groups else ():
        if first + len(batch) > begin:
            skipped = max(0, begin - first)
            yield first + skipped, batch.slice(skipped)
        first += len(batch)
