"""In: what a route or a page asks for. Out: a page of the published predictions or of the rejects of a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from mlops_assets.errors import UsageError
from mlops_assets.journey.feedback.published import parts_with
from mlops_assets.journey.score.vectors import NotKept, classes_of
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.serving.service import Service
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.catalog import PROBABILITIES, REJECTS
from mlops_assets.storage.tables import Published, Table
from mlops_assets.views.paging import (
    Listing,
    Only,
    PublishedAgain,
    WrongCursor,
    list_parts,
    read_cursor,
    read_page,
    within,
    write_cursor,
)
from mlops_assets.views.paging import Place as PagePlace
from mlops_assets.views.predictions import columns_of, see_columns
from mlops_assets.workspace import Stores

MOST = 10_000
"""Rows of a page."""

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """Which predictions are wanted.

    Attributes
    ----------
    day
        Of which day.
    file, account, said
        Of which file, account and class; of all if None.
    least, most
        Bounds of the probability, both within.
    lowest, highest
        Bounds of a number that is predicted, both within.
    """

    day: str
    file: str | None = None
    account: str | None = None
    said: str | None = None
    least: float | None = None
    most: float | None = None
    lowest: float | None = None
    highest: float | None = None


class Found(NamedTuple):
    """A page of predictions: the publication of their day, the rows, the classes of their probabilities, what follows.

    `after` is the cursor of the next page; None if this is the last one.
    """

    published: Published[PredictionsAccounting]
    rows: pa.Table
    classes: tuple[str, ...]
    after: str | None


def find_predictions(
    service: Service, use_case: str, asked: Asked, cursor: str | None, limit: int, *, every_class: bool = False
) -> Found:
    """A page of the published predictions of a day.

    Parameters
    ----------
    service
        What is served.
    use_case
        Name of the use case.
    asked
        Which are wanted.
    cursor
        Where the page begins; the first one if None.
    limit
        Rows of the page.
    every_class
        Whether the probabilities of all classes are wanted.

    Raises
    ------
    Problem
        404 if the day is not published; 409 if it has no such probabilities; 410 if it was published again since the
        cursor was given; 422 if that is none.
    """
    with service.open(use_case) as stores:
        table = stores.lake.predictions
        listing = _listing(use_case, asked.day, table)
        published = table.days()[asked.day]
        among = _among(stores, asked.day, asked.file, table)
        usual = columns_of(table)
    equal = _given({"file": asked.file, "account_id": asked.account, "prediction": asked.said})
    only = within((asked.least, asked.most), (asked.lowest, asked.highest))
    only = replace(only, equal=equal, among=among)
    _see_columns(only, usual)
    classes = _classes(use_case, asked.day, published.accounting) if every_class else ()
    stored = [*usual, PROBABILITIES.name] if classes else usual
    rows, after = _page(f"{use_case}/predictions", listing, stored, only, cursor, limit)
    return Found(published, rows, classes, after)


def find_rejects(
    service: Service, use_case: str, day: str, rule: str | None, file: str | None, cursor: str | None, limit: int
) -> tuple[int, pa.Table, str | None]:
    """A page of what was refused of a day, and behind it the rows without a prediction.

    Parameters
    ----------
    service, use_case, cursor, limit
        As of `find_predictions`.
    day, rule, file
        Of which day, rule and file; of all rules and files if None.

    Returns
    -------
    tuple
        The publication of the day, the rows, and the cursor of the next page or None.

    Raises
    ------
    Problem
        404, 410 and 422, as of `find_predictions`.
    """
    with service.open(use_case) as stores:
        tables = stores.lake.rejects, stores.lake.unpredicted
        listing = _listing(use_case, day, *tables)
        among = _among(stores, day, file, *tables)
    only = Only(_given({"rule": rule, "file": file}), among=among)
    rows, after = _page(f"{use_case}/rejects", listing, ["day", *REJECTS.names], only, cursor, limit)
    return listing.versions[0], rows, after


def no_day(use_case: str, day: str, known: Sequence[str]) -> Problem:
    """What is answered where a day is asked for of which nothing is known."""
    span = f"there is something of days from {known[-1]} to {known[0]}" if known else "it has no days yet"
    return Problem(404, f"Nothing of {day} is known of {use_case}; {span}.")


def _given(wanted: dict[str, T | None]) -> dict[str, T]:
    return {column: value for column, value in wanted.items() if value is not None}


def _listing(use_case: str, day: str, *tables: Table[Any]) -> Listing:
    """The parts of a published day."""
    listing = list_parts(day, *tables)
    if not listing.versions[0]:
        days = sorted(tables[0].days(), reverse=True)
        span = f"published are {len(days)} days from {days[-1]} to {days[0]}" if days else "no day is published yet"
        raise Problem(404, f"{use_case} has no published {tables[0].name} of {day}; {span}.")
    return listing


def _among(stores: Stores, day: str, file: str | None, *tables: Table[Any]) -> frozenset[str] | None:
    """The parts in which rows of a file can lie."""
    if file is None:
        return None
    there = [table for table in tables if day in table.days()]
    return frozenset(part for table in there for part in parts_with(stores.lake, table, day, [file]))


def _see_columns(only: Only, columns: Sequence[str]) -> None:
    """See that rows can be chosen so: numbers have neither classes nor probabilities."""
    try:
        see_columns(only, columns)
    except UsageError as error:
        raise Problem(422, str(error), [Wrong("query", str(error))]) from None
    if "prediction" in only.equal and "probability" not in columns:
        said = "class: what is predicted is a number."
        raise Problem(422, said, [Wrong("query.class", said)])


def _classes(use_case: str, day: str, accounting: Any) -> tuple[str, ...]:
    try:
        return classes_of(use_case, day, accounting)
    except NotKept as error:
        raise Problem(409, str(error)) from None


def _page(
    of: str, listing: Listing, columns: list[str], only: Only, cursor: str | None, limit: int
) -> tuple[pa.Table, str | None]:
    name = f"{of}?{only.mark}"
    try:
        place = read_cursor(name, listing, cursor) if cursor else PagePlace()
    except WrongCursor as error:
        raise Problem(422, f"cursor: {error}", [Wrong("query.cursor", str(error))]) from None
    except PublishedAgain as error:
        raise Problem(410, str(error), [Wrong("query.cursor", str(error))]) from None
    rows, after = read_page(listing, columns, only, place, limit)
    return rows, write_cursor(name, listing, after) if after else None
