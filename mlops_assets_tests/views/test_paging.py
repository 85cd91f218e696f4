"""Pages of a published day: each row once, in one order, at the cost of the page and not of what lies before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.integrity import Gone
from mlops_assets.views.paging import (
    Only,
    Place,
    PublishedAgain,
    WrongCursor,
    list_parts,
    read_cursor,
    read_page,
    write_cursor,
)
from mlops_assets_tests.helpers.feedback import predicted
from mlops_assets_tests.helpers.toy import DAY, purchases

ALL = Only()
COLUMNS = ["file", "line", "account_id", "prediction", "probability"]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A day of 100 predictions in three parts, seven rows a row group."""
    lake = Lake(tmp_path_factory.mktemp("lake"), "toy")
    predicted(lake, purchases(100), parts=3)
    return lake


def walk(lake: Lake, limit: int, only: Only = ALL) -> list[list[dict[str, Any]]]:
    listing, place, pages = list_parts(DAY, lake.predictions), Place(), []
    while True:
        rows, after = read_page(listing, COLUMNS, only, place, limit)
        pages.append(rows.to_pylist())
        if after is None:
            return pages
        place = read_cursor("predictions", listing, write_cursor("predictions", listing, after))


@pytest.mark.parametrize("limit", [1, 7, 33, 99, 100, 101])
def test_every_row_comes_once_in_the_order_of_the_parts(lake: Lake, limit: int) -> None:
    pages = walk(lake, limit)
    assert [row for page in pages for row in page] == lake.predictions.read_all([DAY], COLUMNS).to_pylist()
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert pages[-1], "the page before the end says that it is the last one"


@pytest.mark.parametrize(
    ("only", "wanted"),
    [
        (Only({"account_id": "A3"}), lambda row: row["account_id"] == "A3"),
        (Only({"account_id": "A3", "file": "004.csv"}), lambda _: False),
        (Only({"prediction": "FOOD"}, {"probability": 0.5}, {"probability": 0.5}), lambda _: True),
        (Only({}, {"probability": 0.6}), lambda _: False),
    ],
)
def test_only_wanted_rows_come(lake: Lake, only: Only, wanted: Any) -> None:
    every = lake.predictions.read_all([DAY], COLUMNS).to_pylist()
    assert [row for page in walk(lake, 4, only) for row in page] == [row for row in every if wanted(row)]


def test_a_page_opens_no_part_before_its_place_and_none_where_nothing_can_lie(tmp_path: Path) -> None:
    """The other files are gone, which nobody notices who does not open them."""
    lake = Lake(tmp_path, "toy")
    predicted(lake, purchases(100), parts=3)
    listing = list_parts(DAY, lake.predictions)
    for number in (0, 2):
        (lake.predictions.folder / listing.parts[number][1]).unlink()
    rows, after = read_page(listing, COLUMNS, ALL, Place(1, 16), 3)
    assert (len(rows), after) == (3, Place(1, 19))
    rows, after = read_page(listing, COLUMNS, Only(among={listing.parts[1][1]}), Place(), 100)
    assert (len(rows), after) == (33, None)
    with pytest.raises(Gone):
        read_page(listing, COLUMNS, ALL, Place(), 3)


def test_a_filter_that_few_rows_pass_ends_a_page_early_and_says_where_to_go_on(lake: Lake) -> None:
    listing, only = list_parts(DAY, lake.predictions), Only({"prediction": "FOOD"}, {"probability": 0.9})
    rows, after = read_page(listing, COLUMNS, only, Place(), 10, most_rows=30)
    assert (len(rows), after) == (0, Place(1))
    rows, after = read_page(listing, COLUMNS, only, Place(1), 10, most_rows=34)
    assert (len(rows), after) == (0, None)


def test_a_text_that_a_part_has_not_costs_none_of_its_rows(tmp_path: Path) -> None:
    lake = Lake(tmp_path, "toy")
    predicted(lake, [*purchases(99), {**purchases(1)[0], "account": "rare", "line": 7}], parts=4)
    listing, only = list_parts(DAY, lake.predictions), Only({"account_id": "rare"})
    rows, after = read_page(listing, COLUMNS, only, Place(), 10, most_rows=1)
    assert ([row["account_id"] for row in rows.to_pylist()], after) == (["rare"], None)


def test_a_text_is_found_where_the_dictionary_of_a_part_has_no_room_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_assets.views.paging.WHOLE_DICTIONARY", 0)
    lake = Lake(tmp_path, "toy")
    predicted(lake, purchases(100), parts=3)
    found = [row for page in walk(lake, 9, Only({"account_id": "A3"})) for row in page]
    assert found == [row for row in lake.predictions.read_all([DAY], COLUMNS).to_pylist() if row["account_id"] == "A3"]


def test_a_cursor_holds_for_one_publication_of_one_day_of_one_list(tmp_path: Path) -> None:
    lake = Lake(tmp_path, "toy")
    predicted(lake, purchases(10))
    before = list_parts(DAY, lake.predictions)
    cursor = write_cursor("predictions", before, Place(0, 5))
    assert read_cursor("predictions", before, cursor) == Place(0, 5)
    with pytest.raises(WrongCursor, match="another list"):
        read_cursor("rejects", before, cursor)
    predicted(lake, purchases(10), version=2)
    with pytest.raises(PublishedAgain, match=f"{DAY} was published again"):
        read_cursor("predictions", list_parts(DAY, lake.predictions), cursor)


@pytest.mark.parametrize("cursor", ["", "x", "Wzc", "WyJwcmVkaWN0aW9ucyJd", "é", "W1tbW1s", "bnVsbA"])
def test_what_is_no_cursor_is_told(lake: Lake, cursor: str) -> None:
    with pytest.raises(WrongCursor, match="cursor"):
        read_cursor("predictions", list_parts(DAY, lake.predictions), cursor)


def test_a_day_that_is_not_published_has_no_rows(lake: Lake) -> None:
    listing = list_parts("2026-02-01", lake.predictions, lake.unpredicted)
    assert (listing.versions, listing.parts) == ((0, 0), [])
    rows, after = read_page(listing, COLUMNS, ALL, Place(), 10)
    assert (rows.column_names, len(rows), after) == (COLUMNS, 0, None)
