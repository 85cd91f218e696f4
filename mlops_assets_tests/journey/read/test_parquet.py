"""Parquet: every type has its text, what is compressed beyond measure is not unpacked, what is damaged is refused."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets_tests.helpers.formats import ROW, Outcome, contract

CASE = contract("parquet")
NOTHING = {name: pa.nulls(1, pa.string()) for name in ROW} | {"account": pa.array(["A"])}


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, **options)
    return buffer.getvalue()


def one(**columns: pa.Array) -> bytes:
    """A file of one row, or as many as the columns that are given have."""
    rows = len(next(iter(columns.values())))
    return parquet({name: columns.get(name, pa.concat_arrays([value] * rows)) for name, value in NOTHING.items()})


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("amount", pa.array([0.1]), 0.1),
        ("amount", pa.array([0.1], pa.float32()), 0.1),
        ("amount", pa.array([1.5], pa.float32()).cast(pa.float16()), 1.5),
        ("amount", pa.array([1e-7]), 1e-7),
        ("amount", pa.array([-123456789012345680.0]), -123456789012345680.0),
        ("amount", pa.array([decimal.Decimal("1.50")]), 1.5),
        ("amount", pa.array([decimal.Decimal("0.0000000012")]), 1.2e-9),
        ("amount", pa.array([3], pa.uint8()), 3.0),
        ("pieces", pa.array([decimal.Decimal("7.00")]), 7),
        ("pieces", pa.array([7.0]), 7),
        ("pieces", pa.array([-5], pa.int8()), -5),
        ("paid", pa.array([True]), True),
        ("city", pa.array(["x"]).dictionary_encode(), "x"),
        ("city", pa.array(["x"], pa.large_string()), "x"),
        ("city", pa.array([b"S\xc3\xa3o"]), "São"),
        ("city", pa.array([12345678901234567890], pa.uint64()), "12345678901234567890"),
        ("city", pa.nulls(1), None),
        ("city", pa.array([dt.time(1, 2)]), "01:02:00.000000"),
        ("date", pa.array([dt.date(2026, 1, 2)]), dt.date(2026, 1, 2)),
        ("date", pa.array([dt.datetime(2026, 1, 2, 3)]), dt.date(2026, 1, 2)),
        ("date", pa.array([dt.date(2026, 1, 2)], pa.date64()), dt.date(2026, 1, 2)),
        ("at", pa.array([dt.datetime(2026, 1, 2, 3, 4, 5)], pa.timestamp("ns")), dt.datetime(2026, 1, 2, 3, 4, 5)),
        ("at", pa.array([dt.date(2026, 1, 2)]), dt.datetime(2026, 1, 2)),
    ],
)
def test_a_value_of_any_type_is_the_value_of_the_contract(column: str, value: pa.Array, expected: Any) -> None:
    found = Outcome(CASE, one(**{column: value}))
    assert found.rejects == []
    assert found.values(column) == [expected]


@pytest.mark.parametrize(
    ("column", "value", "rule", "told"),
    [
        ("amount", pa.array([float("nan")]), "type", "'nan'"),
        ("amount", pa.array([float("inf")]), "type", "'inf'"),
        ("pieces", pa.array([2**60]), "type", "'1152921504606846976'"),
        ("at", pa.array([1], pa.timestamp("ns")), "type", "'1970-01-01 00:00:00.000000001'"),
        ("at", pa.array([dt.datetime(2026, 1, 1, 0, 0, 0, 5)]), "type", "'2026-01-01 00:00:00.000005'"),
        ("date", pa.array([2_000_000], pa.date32()), "range", "7445"),
        ("date", pa.array([20_000_000], pa.date32()), "type", "out of range"),
        ("city", pa.array(["a\0b"]), "text", "NUL"),
    ],
)
def test_a_value_that_is_none_of_the_contract_is_a_reject_of_its_row(
    column: str, value: pa.Array, rule: str, told: str
) -> None:
    found = Outcome(CASE, one(**{column: value}))
    assert (found.only.line, found.only.rule) == (1, rule)
    assert told in found.only.message
    assert json.loads(found.only.raw)["account"] == "A"


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("city", pa.array([["x"]]), "'city' is list<"),
        ("city", pa.array([{"a": 1}]), "no record has 'city'"),
        ("city", pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), "'city' is map<"),
        ("city", pa.array([b"\xff"]), "'city' is binary, and not UTF-8"),
        ("city", pa.array([b"1234"], pa.binary(4)), "'city' is fixed_size_binary"),
        ("city", pa.array([dt.timedelta(1)]), "'city' is duration"),
        (
            "at",
            pa.array([0], pa.timestamp("us", "UTC")),
            "this column has no zone: say `format: '%Y-%m-%d %H:%M:%S%z'`",
        ),
    ],
)
def test_a_column_that_can_be_none_of_the_contract_refuses_the_file(column: str, value: pa.Array, told: str) -> None:
    found = Outcome(CASE, one(**{column: value}))
    assert (found.only.line, found.only.rule) in ((None, "schema"), (None, "missing_column"))
    assert told in found.only.message


@pytest.mark.parametrize(("zone", "hour"), [("utc", 12), ("as written", 9)])
def test_a_moment_with_a_zone_is_that_moment_or_the_clock_there(zone: str, hour: int) -> None:
    case = contract("parquet", {"at": {"format": "%Y-%m-%d %H:%M:%S%z", "zone": zone}})
    noon = pa.array([dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)], pa.timestamp("ms", "America/Sao_Paulo"))
    assert Outcome(case, one(at=noon)).values("at") == [dt.datetime(2026, 1, 2, hour)]
    assert Outcome(case, one(at=pa.array([dt.datetime(2026, 1, 2)]))).only.rule == "schema"


def test_the_same_moment_of_two_zones_is_two_clocks() -> None:
    written = {"type": "timestamp", "format": "%Y-%m-%d %H:%M:%S%z", "zone": "as written"}
    case = contract("parquet", {"at": written, "city": written})
    noon = pa.array([dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)], pa.timestamp("ms", "America/Sao_Paulo"))
    found = Outcome(case, one(at=noon, city=noon.cast(pa.timestamp("ms", "Asia/Tokyo"))))
    assert [found.values(name)[0].hour for name in ("at", "city")] == [9, 21]


def test_moments_of_spark_beyond_what_nanoseconds_count_stay_themselves() -> None:
    case = contract("parquet", {"at": {"max": "2600-01-01"}})
    late = {**NOTHING, "at": pa.array([dt.datetime(2500, 1, 1)], pa.timestamp("us"))}
    assert Outcome(case, parquet(late, use_deprecated_int96_timestamps=True)).values("at") == [dt.datetime(2500, 1, 1)]


def test_dates_come_as_the_contract_writes_them() -> None:
    case = contract("parquet", {"date": {"format": "%d.%m.%Y"}}, decimal=",")
    found = Outcome(case, one(date=pa.array([dt.date(2026, 1, 2)]), amount=pa.array([1.234])))
    assert found.values("date") == [dt.date(2026, 1, 2)]
    assert found.values("amount") == [1.234]
    assert json.loads(found.pack.raw(0, 1))["date"] == "02.01.2026"


def test_a_field_of_a_struct_is_named_by_its_path() -> None:
    case = contract("parquet", {"city": {"from": "shop.city"}})
    shop = pa.array([{"city": "Rio"}, None])
    columns = {name: pa.concat_arrays([value] * 2) for name, value in NOTHING.items() if name != "city"}
    assert Outcome(case, parquet({**columns, "shop": shop})).values("city") == ["Rio", None]


def test_each_file_may_have_its_own_types_but_must_have_the_columns() -> None:
    found = Outcome(
        CASE, one(pieces=pa.array([1])), one(pieces=pa.array(["2"])), parquet({"account": pa.array(["A"])}),
        parquet({("City" if name == "city" else name): value for name, value in NOTHING.items()}),
    )  # fmt: skip
    assert found.values("pieces") == [1, 2]
    assert [(refusal.file, refusal.rule) for refusal in found.refusals] == [
        (2, "missing_column"),
        (3, "missing_column"),
    ]
    assert "is 'City' that column?" in found.refusals[1].message


def test_columns_that_the_contract_does_not_name_are_not_read() -> None:
    wild = pa.array([[{"a": {"b": [1]}}]])
    assert Outcome(CASE, parquet({**NOTHING, "wild": wild})).rejects == []


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "empty_file"),
        (b"a,b\n1,2\n", "not_parquet"),
        (one(pieces=pa.array([1]))[:-5], "truncated"),
        (b"PARE" + one(pieces=pa.array([1]))[4:], "encrypted"),
        (parquet({name: value[:0] for name, value in NOTHING.items()}), "no_rows"),
        (b"PAR1" + b"\xff" * 50 + b"PAR1", "not_parquet"),
    ],
)
def test_a_file_that_is_no_use_is_refused_as_a_whole(data: bytes, rule: str) -> None:
    assert Outcome(CASE, data).rejects == [(None, rule)]


def test_a_page_that_was_changed_is_told_by_its_checksum() -> None:
    data = bytearray(parquet({**NOTHING, "city": pa.array(["Salvador"])}, write_page_checksum=True, compression="none"))
    at = data.index(b"Salvador")
    data[at : at + 8] = b"Salvagor"
    assert Outcome(CASE, bytes(data)).rejects == [(None, "not_parquet")]


def test_few_bytes_that_would_be_many_rows_are_not_unpacked() -> None:
    case = contract("parquet", largest=100_000)
    rows = 50_000
    data = parquet({name: pa.repeat(value[0], rows) for name, value in NOTHING.items()})
    assert len(data) < 10_000
    assert Outcome(case, data).rejects == [(None, "too_large")]


def test_a_text_that_is_none_refuses_its_file_and_stops_no_other() -> None:
    damaged = one(city=pa.array(["Natal"])).replace(b"Natal", b"Nata\xff")
    whole = one(city=pa.array(["Natal"]))
    # without a checksum of their pages, as most libraries write them
    found = Outcome(CASE, whole, damaged, whole, whole, whole)
    assert found.rejects == [(None, "schema")]
    assert found.only.message == "'city' is text that is not UTF-8: damaged?"
    assert found.values("city") == ["Natal"] * 4


def test_what_a_file_is_does_not_hang_on_the_file_before() -> None:
    views = one(city=pa.array(["Natal"], pa.string_view()))
    assert Outcome(CASE, views).values("city") == Outcome(CASE, one(city=pa.array(["Natal"])), views).values("city")[1:]
