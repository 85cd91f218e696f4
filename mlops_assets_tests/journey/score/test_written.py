"""Rows as JSON has them become a file of the contract's own format: read again, it says what they said."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import pytest

from mlops_assets.defs.compound_rings.sample import draw
from mlops_assets.journey.read.readers import open_reader
from mlops_assets.journey.read.rows import check_rows
from mlops_assets.journey.score.online import Sent, file_around
from mlops_assets.journey.score.written import RowsWrong, file_of_rows
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.use_case import Column, FileFormat, UseCase, load_use_case
from mlops_assets_tests.helpers.toy import toy

PURCHASE = {"account": "A1", "date": "2026-02-28", "amount": 1234.5, "city": "Köln"}


def case(files: dict[str, Any] | None = None, **columns: dict[str, Any]) -> UseCase:
    """The toy use case with files written otherwise, and columns that differ."""
    plain = toy()
    changed = {name: Column.model_validate(column) for name, column in columns.items()}
    return plain.model_copy(
        update={"files": FileFormat.model_validate(files or {}), "columns": {**plain.columns, **changed}}
    )


def own(name: str) -> UseCase:
    return load_use_case(OWN_USE_CASES / name)


def read(use_case: UseCase, sent: Sent) -> list[dict[str, Any]]:
    """The rows that a day would have of a file; none is rejected."""
    pack = open_reader(use_case, lambda _, path: sent.attached[path]).read([sent.data], [sent.name])
    rows, refusals = check_rows(use_case, [sent.name], pack)
    assert [*pack.refusals, *refusals] == []
    return [{name: row[name] for name in use_case.columns} for row in rows.to_pylist()]


def errors(use_case: UseCase, rows: Any) -> list[tuple[str, str]]:
    with pytest.raises(RowsWrong) as told:
        file_of_rows(use_case, "a.csv", rows)
    return told.value.errors


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"delimiter": ";", "decimal": ",", "thousands": ".", "encoding": "mac_roman"},
        {"delimiter": ";", "decimal": ",", "encoding": "latin-1", "quotes": False},
        {"delimiter": "\t", "header": "none", "encoding": "cp1252"},
        {"header": "ignored", "encoding": "utf-8-sig", "complete": "line_end"},
    ],
)
def test_read_again_the_file_has_the_values_of_the_rows(files: dict[str, Any]) -> None:
    use_case = case(files, date={"type": "date", "format": "%d.%m.%Y"})
    numbers = [0.1, -1e-7, 1234567.25, 5, -0.0, 1.7976931348623157e308, 2**60]
    rows = [{**PURCHASE, "amount": number} for number in numbers] + [{"account": None, "amount": None, "city": "x"}]
    found = read(use_case, file_of_rows(use_case, "a.csv", rows))
    assert [row["amount"] for row in found] == [*map(float, numbers), None]
    assert math.copysign(1, found[4]["amount"]) == -1
    assert {row["date"] for row in found} == {dt.date(2026, 2, 28), None}
    assert [row["city"] for row in found] == ["Köln"] * len(numbers) + ["x"]


@pytest.mark.parametrize("text", ['say "so"', "a,b", 'a","b', '"', "'", " padded ".strip(), "1;2", "a\tb", "ﬀ"])
def test_a_text_stands_as_it_is_whatever_signs_it_holds(text: str) -> None:
    (row,) = read(case(), file_of_rows(case(), "a.csv", [{**PURCHASE, "city": text}]))
    assert row["city"] == text


def test_a_line_end_stands_in_a_field_where_the_contract_lets_it() -> None:
    use_case = case({"line_breaks_in_fields": True})
    (row,) = read(use_case, file_of_rows(use_case, "a.csv", [{**PURCHASE, "city": "a\nb"}]))
    assert row["city"] == "a\nb"


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ({"type": "date", "format": "%d.%m.%Y"}, "28.02.2026", dt.date(2026, 2, 28)),
        ({"type": "date", "format": "%Y%m%d"}, 20260228, dt.date(2026, 2, 28)),
        ({"type": "timestamp", "format": "%d/%m/%y %H:%M"}, "2026-02-28T13:05:00", dt.datetime(2026, 2, 28, 13, 5)),
        ({"type": "timestamp"}, "2026-02-28T13:05", dt.datetime(2026, 2, 28, 13, 5)),
        ({"type": "timestamp", "format": "%d.%m.%Y %H:%M %z"}, "2026-02-28T13:05+02:00", dt.datetime(2026, 2, 28, 11, 5)),
        ({"type": "boolean"}, True, True),
        ({"type": "integer"}, 5.0, 5),
        ({"type": "integer"}, 2**53 - 1, 2**53 - 1),
        ({"type": "string"}, 1.5, "1.5"),
        ({"type": "string"}, 7, "7"),
    ],
)  # fmt: skip
def test_values_of_every_type_are_written_as_the_contract_writes_them(
    column: dict[str, Any], value: object, expected: object
) -> None:
    use_case = case({"decimal": ",", "delimiter": ";"}, city=column)
    (row,) = read(use_case, file_of_rows(use_case, "a.csv", [{**PURCHASE, "city": value}]))
    assert row["city"] == expected


def test_a_column_goes_by_the_name_of_the_contract_or_that_of_the_header() -> None:
    use_case = own("transactions")
    by_contract = dict.fromkeys(use_case.columns) | {"account_id": "7", "amount": -1.5, "date": "2019-03-01"}
    by_header = {use_case.columns[name].header(name): value for name, value in by_contract.items()}
    data = file_of_rows(use_case, "a.csv", [by_contract]).data
    assert data == file_of_rows(use_case, "a.csv", [by_header]).data
    assert data.split(b"\n")[1] == b"7;;;;;;;;01.03.2019;-1,5;;;"


def test_optional_columns_need_not_be_given_and_the_name_gets_the_ending_of_the_contract() -> None:
    sent = file_of_rows(case(), "a", [PURCHASE])
    assert (sent.name, read(case(), sent)[0]["kind"]) == ("a.csv", None)


def test_all_that_is_wrong_is_told_each_with_its_place() -> None:
    use_case = case({"quotes": False, "encoding": "latin-1"}, city={"from": "Stadt", "type": "string"})
    rows = [
        {"Amount": 1, "account": "A,1", "city": "\u0142", "Stadt": "x"},
        [],
        {"amount": math.nan, "city": {"a": 1}, "date": "2026-02-28", "account": "a\nb\0"},
        {"amount": 10**400, "colour": "red", "account": ["a"]},
    ]
    assert [where for where, _ in errors(use_case, rows)] == [
        "rows[0].Amount",
        "rows[0].account",
        "rows[0].city",
        "rows[0].Stadt",
        "rows[1]",
        "rows[2].amount",
        "rows[2].city",
        "rows[2].account",
        "rows[3].amount",
        "rows[3].colour",
        "rows[3].account",
    ]
    assert errors(use_case, rows)[0][1].endswith("is it 'amount'?")


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ({"type": "timestamp"}, "2026-02-28T13:05:00Z", "have none"),
        ({"type": "timestamp", "format": "%H:%M %z"}, "2026-02-28T13:05", "have one"),
        ({"type": "timestamp", "format": "%d.%m.%Y"}, "2026-02-28T13:05", "cannot be written"),
        ({"type": "timestamp"}, "2026-02-28T13:05:00.5", "cannot be written"),
    ],
)
def test_no_part_of_a_moment_is_lost_in_silence(column: dict[str, Any], value: str, told: str) -> None:
    ((where, what),) = errors(case(city=column), [{**PURCHASE, "city": value}])
    assert where == "rows[0].city"
    assert told in what


def test_a_column_that_a_file_must_have_is_missed_where_no_row_has_it() -> None:
    assert errors(case(), [{"account": "A"}, {"amount": 1}]) == [
        ("rows", "none has 'date', which a file must have"),
        ("rows", "none has 'city', which a file must have"),
    ]
    assert errors(case(), [])[0][0] == "rows"


# -- use cases with a reader of their own --------------------------------------------------------------------------------


def test_the_text_of_a_row_becomes_the_file_that_it_would_be() -> None:
    topics = own("topics")
    sent = file_of_rows(topics, "news", [{"text": "Größe zählt"}])
    assert sent == Sent("news.txt", "Größe zählt".encode())
    assert read(topics, sent)[0]["characters"] == 11


def test_rows_are_refused_where_the_reader_makes_no_file_of_them() -> None:
    assert "send such files" in errors(own("compound_rings"), [{"compound_id": "1"}])[0][1]
    assert "for each" in errors(own("topics"), [{"text": "a"}, {"text": "b"}])[0][1]
    assert "alone" in errors(own("topics"), [{"text": "a", "topic": "ARTS"}])[0][1]


@pytest.mark.parametrize(("name", "number"), [("7012.png", "7012"), ("a/ring.png", "0")])
def test_a_picture_alone_becomes_a_record_that_refers_to_it(name: str, number: str) -> None:
    rings = own("compound_rings")
    drawn = draw(np.random.default_rng(7), dt.date(2026, 1, 1), 1, 1, 0, labelled=False)
    sent = file_around(rings, name, next(data for path, data in drawn if path.endswith(".png")))
    assert sent is not None
    assert sent.name == f"{name}.json"
    assert read(rings, sent)[0]["compound_id"] == number


def test_no_record_is_made_around_what_is_no_attachment() -> None:
    assert file_around(own("compound_rings"), "a.json", b"[]") is None
    assert file_around(own("topics"), "a.png", b"") is None
    assert file_around(own("transactions"), "a.csv", b"") is None
