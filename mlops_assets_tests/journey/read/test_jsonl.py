"""JSON lines: what is a row, what a reject, and that a line is read the same whichever way it is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets_tests.helpers.formats import ROW, Outcome, contract

CASE = contract("jsonl")
LINE: dict[str, Any] = {**ROW, "amount": -12.5, "pieces": 3, "paid": True}


def line(**changed: Any) -> str:
    return json.dumps({**LINE, **changed})


def read(*lines: str, end: str = "\n") -> Outcome:
    return Outcome(CASE, "".join(one + end for one in lines).encode())


def test_numbers_truth_values_and_null_are_values_of_the_contract() -> None:
    found = read(line(), line(city=None, paid=False))
    assert found.rejects == []
    assert found.values("amount") == [-12.5, -12.5]
    assert found.values("paid") == [True, False]
    assert found.values("city") == ["São Paulo", None]


def test_the_order_of_keys_and_blanks_are_no_matter() -> None:
    turned = json.dumps(dict(reversed(LINE.items())), separators=(" , ", " :  "))
    first, second = read(line(), turned, json.dumps(LINE, ensure_ascii=False)).rows[:2]
    assert {**first, "line": 2} == second


@pytest.mark.parametrize(
    ("bad", "rule", "told"),
    [
        (line()[:-1] + ', "city": "x"}', "duplicate_key", "'city' stands there twice"),
        (line(city={"name": "x"}), "nested", "'city' is an object"),
        (line(city=["x"]), "nested", "'city' is a list"),
        (line(amount=float("nan")), "not_json", "NaN is no value of JSON"),
        (line(amount=float("-inf")), "not_json", "-Infinity is no value of JSON"),
        ("[1, 2]", "not_json", "no JSON object"),
        ("12", "not_json", "no JSON object"),
        (line() + line(), "not_json", "Extra data"),
        (line()[:40], "not_json", "the line is no JSON"),
        ('{"a": ' * 100_000, "not_json", "deeper than can be read"),
        (line(city="\ud800"), "text", "half of a surrogate pair"),
        (line(city="a\0b"), "text", "'city' holds NUL"),
        (line(amount=10**400), "type", "expected a number"),
        (line(pieces=2**53), "type", "expected an integer"),
        (line(pieces=1.5), "type", "'1.5'"),
        (line(amount="x"), "type", "'x'"),
        (line(amount=True), "type", "'true'"),
        (line(account=None), "required", "'account' is empty"),
        ("", "blank_line", "blank"),
        ("{}", "blank_line", "blank"),
    ],
)
def test_a_line_that_is_no_row_is_a_reject_with_its_reason(bad: str, rule: str, told: str) -> None:
    found = read(line(), bad, line())
    assert found.values("line") == [1, 3]
    assert (found.only.line, found.only.rule) == (2, rule)
    assert told in found.only.message
    assert found.only.raw == bad[:2_000]


def test_a_number_keeps_its_digits_where_its_column_is_a_text() -> None:
    one = line().replace('"A1"', "12345678901234567890.10")
    assert read(one, line(), one.replace(": ", ":")).values("account") == ["12345678901234567890.10", "A1"] * 1 + [
        "12345678901234567890.10"
    ]


def test_a_number_has_a_point_whatever_the_decimal_sign_of_texts_is() -> None:
    case = contract("jsonl", decimal=",", thousands=".")
    found = Outcome(case, f"{line(amount=1.234)}\n{line(amount='1.234')}\n{line(amount='0,5')}\n".encode())
    assert found.values("amount") == [1.234, 1234.0, 0.5] or found.rejects  # see `number_format` for doubt
    assert Outcome(case, line(amount=1.5).encode()).values("amount") == [1.5]


def test_a_value_within_an_object_is_named_by_its_path() -> None:
    case = contract("jsonl", {"city": {"from": "shop.place.city"}})
    nested = json.dumps(
        {**{k: v for k, v in LINE.items() if k != "city"}, "shop": {"place": {"city": "Rio"}, "n": [1]}}
    )
    flat = json.dumps({**LINE, "shop.place.city": "Natal"})
    both = nested[:-1] + ', "shop.place.city": "Rio"}'
    found = Outcome(case, f"{nested}\n{flat}\n{both}\n".encode())
    assert found.values("city") == ["Rio", "Natal"]
    assert found.rejects == [(3, "duplicate_key")]


def test_a_key_that_no_record_has_refuses_the_file_and_one_that_is_nearly_it_is_named() -> None:
    found = read(line().replace('"city"', '"City"'))
    assert found.only.rule == "missing_column"
    assert "'city' (is 'City' that column?)" in found.only.message


def test_a_label_under_another_name_is_noticed() -> None:
    found = read(line().replace('"kind"', '"Kind"'))
    assert found.rejects == []
    assert found.pack.noticed == {"absent_kind": 1, "misnamed_column": 1}
    assert found.pack.examples["misnamed_column"] == ["0.jsonl has 'Kind', expected 'kind'"]


def test_a_key_under_another_name_in_one_record_is_noticed() -> None:
    assert read(line(), line().replace('"city"', '"City"')).pack.noticed["misnamed_column"] == 1


@pytest.mark.parametrize(
    ("data", "noticed"),
    [
        (b"\xef\xbb\xbf" + line().encode() + b"\n", {}),
        (line().encode() + b"\r\n" + line().encode() + b"\r\n", {}),
        (line().encode() + b"\r" + line().encode() + b"\r", {}),
        (line().encode() + b"\n" + line().encode(), {"no_final_line_end": 1}),
        (line().replace(", ", ",\r", 1).encode() + b"\n", {"stray_carriage_returns": 1}),
    ],
)
def test_line_ends_and_marks_are_those_of_csv(data: bytes, noticed: dict[str, int]) -> None:
    found = Outcome(CASE, data)
    assert found.rejects == []
    assert {name: times for name, times in found.pack.noticed.items() if name != "one_account"} == noticed


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "empty_file"),
        (b" \n\n", "empty_file"),
        (line().encode() + b"\n\0\n", "nul_bytes"),
        (line(city="x").replace("x", "\xe9").encode("latin-1"), "encoding"),
        (line().encode() + b"\n" + line().encode()[:30], "truncated"),
    ],
)
def test_a_file_that_is_no_use_is_refused_as_a_whole(data: bytes, rule: str) -> None:
    found = Outcome(CASE, data)
    assert found.rejects == [(None, rule)]


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(scalars, lambda deeper: st.lists(deeper, max_size=2) | st.dictionaries(st.text(max_size=3), deeper, max_size=2), max_leaves=4)  # fmt: skip
records = st.dictionaries(st.sampled_from([*ROW, "City", "x", "x.y"]), values, max_size=9)


@given(records=st.lists(records, min_size=1, max_size=6), spaced=st.booleans(), plain=st.booleans())
@settings(max_examples=80, deadline=None)
def test_every_record_is_read_as_pythons_parser_reads_it(
    records: list[dict[str, Any]], spaced: bool, plain: bool
) -> None:
    style = {} if spaced else {"separators": (",", ":")}
    lines = [line(), *(json.dumps(one, ensure_ascii=plain, **style) for one in records)]  # type: ignore[arg-type]
    data = "".join(f"{one}\n" for one in lines).encode(errors="surrogatepass")
    found = Outcome(CASE, data)
    if found.rejects[:1] == [(None, "encoding")]:  # half of a pair, written as it is
        return
    assert found.counts["lines"] == len(lines)
    for row in found.rows[1:]:
        record = records[row["line"] - 2]
        city, pieces = record.get("city"), record.get("pieces")
        if isinstance(city, str):
            assert (row["city"] or "") == city.strip().strip("\x1c\x1d\x1e\x1f") or not city.isprintable()
        assert pieces in (None, "") or isinstance(pieces, str) or row["pieces"] == pieces
