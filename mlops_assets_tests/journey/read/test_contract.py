"""What becomes of one column of text: a typed value, no value, or a broken rule with a name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pyarrow as pa
import pytest

from mlops_assets.journey.read.contract import (
    ARROW_TYPES,
    RULES,
    RULES_OF_FILES,
    check_column,
    explain,
    rows_schema,
    rule_name,
)
from mlops_assets.tools.sampling import DIRT
from mlops_assets.use_case import Column, FileFormat, UseCase

PLAIN = FileFormat()
BRAZILIAN = FileFormat(decimal=",", thousands=".")
FRENCH = FileFormat(decimal=",", thousands=" ")
ENGLISH = FileFormat(decimal=".", thousands=",")

repeatable = hypothesis.settings(deadline=None, derandomize=True, database=None, max_examples=200)


def check(texts: Sequence[str], files: FileFormat = PLAIN, **column: Any) -> list[tuple[object, str]]:
    """Value and broken rule (or an empty text) of every text."""
    result = check_column(pa.array(texts, pa.string()).dictionary_encode(), Column(**column), files)
    codes = [0] * len(texts) if result.broken is None else result.broken.tolist()
    return list(zip(result.values.to_pylist(), map(rule_name, codes), strict=True))


def check_one(text: str, files: FileFormat = PLAIN, **column: Any) -> tuple[object, str]:
    return check([text], files, **column)[0]


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("31", 31.0),
        ("31,9", 31.9),
        ("31,90", 31.9),
        ("1.234", 1234.0),
        ("1.234,56", 1234.56),
        ("1234,56", 1234.56),
        ("12.345.678,9", 12345678.9),
        ("-1.234,5", -1234.5),
        ("+7", 7.0),
        ("7,", 7.0),
        ("  7  ", 7.0),
        ("4,53E+11", 4.53e11),
        ("1e-3", 0.001),
        ("0", 0.0),
    ],
)
def test_a_number_is_read_with_decimal_comma_and_thousands_dot(text: str, value: float) -> None:
    assert check_one(text, BRAZILIAN, type="number") == (value, "")


@pytest.mark.parametrize(
    "text",
    [
        *("0.123", "-0.123", "00.123", "012.345", "1" + ".234" * 140),
        *("1.5", "1.23", "1.2345", "12.34,5", "1.234.5", ".5", ",5", "1,2,3", "1.234,5.6", "1,5e", "9e999", "1" * 301),
        *("-", "--1", "1-", "R$ 5", "5 BRL", "nan", "inf", "-Infinity", "NULL", "0x1F", "1_000", "1;5"),
        *("\u0663", "1\u00a0000"),  # an Arabic digit, a blank that does not break
    ],
)
def test_a_text_that_only_resembles_a_number_is_refused_and_never_guessed(text: str) -> None:
    assert check_one(text, BRAZILIAN, type="number") == (None, "type")


@pytest.mark.parametrize(
    ("files", "text", "value"),
    [
        (PLAIN, "1.5", 1.5),
        (PLAIN, "1234.5", 1234.5),
        (ENGLISH, "1,234.5", 1234.5),
        (ENGLISH, "1.5", 1.5),
        (FRENCH, "1 234,5", 1234.5),
        (FRENCH, "1,5", 1.5),
    ],
)
def test_the_contract_says_how_numbers_are_written(files: FileFormat, text: str, value: float) -> None:
    assert check_one(text, files, type="number") == (value, "")


@pytest.mark.parametrize(("files", "text"), [(PLAIN, "1,5"), (PLAIN, "1,234"), (ENGLISH, "1,5"), (FRENCH, "1.5")])
def test_a_number_in_another_notation_is_refused(files: FileFormat, text: str) -> None:
    assert check_one(text, files, type="number") == (None, "type")


@repeatable
@hypothesis.given(cents=st.integers(-(10**12), 10**12), files=st.sampled_from([PLAIN, ENGLISH, BRAZILIAN, FRENCH]))
def test_every_amount_is_read_back_as_it_was_written(cents: int, files: FileFormat) -> None:
    text = f"{cents / 100:,.2f}".replace(",", "~").replace(".", files.decimal).replace("~", files.thousands)
    assert check_one(text, files, type="number") == (cents / 100, "")


ANY_WAY = FileFormat(
    decimal=",", thousands=".", negative=("minus behind", "parentheses"), currency=("R$", "kr.", "\u20ac", "EUR")
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.234,56-", -1234.56),
        ("5 -", -5.0),
        ("(1.234,56)", -1234.56),
        ("( 5 )", -5.0),
        ("R$ 5,00", 5.0),
        ("R$5", 5.0),
        ("R$\u00a05", 5.0),
        ("kr. 5", 5.0),
        ("-R$ 5,00", -5.0),
        ("R$ -5,00", -5.0),
        ("(R$ 5,00)", -5.0),
        ("R$ (5,00)", -5.0),
        ("5,00 \u20ac", 5.0),
        ("5,00 EUR", 5.0),
        ("5,00- EUR", -5.0),
        ("5,00 EUR-", -5.0),
        ("4,53E+11", 4.53e11),
        ("1E-3", 0.001),
        ("5", 5.0),
    ],
)
def test_a_format_may_have_signs_behind_around_and_of_currency(text: str, value: float) -> None:
    assert check_one(text, ANY_WAY, type="number") == (value, "")
    other = FileFormat(decimal=",", thousands=".")
    assert check_one(text, other, type="number")[1] == ("" if text[0].isdigit() and text[-1].isdigit() else "type")


@pytest.mark.parametrize(
    "text",
    ["-5-", "--5", "(-5)", "(5)-", "((5))", "(5", "5)", "()", "-", "EUR", "R$ 5 EUR", "R$ R$ 5", "US$ 5", "(5,00-)"],
)
def test_a_sign_stands_there_once(text: str) -> None:
    assert check_one(text, ANY_WAY, type="number") == (None, "type")


@pytest.mark.parametrize(
    ("text", "files", "value"),
    [
        ("\u22125", PLAIN, -5.0),
        ("1e\u22123", PLAIN, 0.001),
        ("\u00a05\u202f", PLAIN, 5.0),
        ("1\u00a0234,5", FRENCH, 1234.5),
        ("1\u202f234\u202f567", FRENCH, 1234567.0),
        ("1'234.5", FileFormat(thousands="'"), 1234.5),
        ("1\u2019234.5", FileFormat(thousands="'"), 1234.5),
    ],
)
def test_signs_that_can_mean_one_thing_alone_are_read(text: str, files: FileFormat, value: float) -> None:
    assert check_one(text, files, type="number") == (value, "")
    assert check([text, "x", "7"], files, type="number") == [(value, ""), (None, "type"), (7.0, "")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("37", 37),
        ("007", 7),
        ("-3", -3),
        ("+3", 3),
        ("5,0", 5),
        ("5,", 5),
        ("1.234", 1234),
        ("9007199254740991", 2**53 - 1),
    ],
)
def test_an_integer_is_a_number_without_a_fraction(text: str, value: int) -> None:
    assert check_one(text, BRAZILIAN, type="integer") == (value, "")


@pytest.mark.parametrize("text", ["37,5", "3.7", "1e3", "4,53E+11", "thirty", "9007199254740993", "9" * 30, "9" * 400])
def test_an_integer_that_would_lose_digits_is_refused(text: str) -> None:
    assert check_one(text, BRAZILIAN, type="integer") == (None, "type")


# -- dates, times, truth -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4.12.2019", dt.date(2019, 12, 4)),
        ("04.12.2019", dt.date(2019, 12, 4)),
        (" 4.12.2019 ", dt.date(2019, 12, 4)),
        ("29.02.2020", dt.date(2020, 2, 29)),
        ("1.01.1900", dt.date(1900, 1, 1)),
    ],
)
def test_a_date_may_lack_its_leading_zero(text: str, value: dt.date) -> None:
    assert check_one(text, type="date", format="%d.%m.%Y") == (value, "")


@pytest.mark.parametrize(
    "text", ["31.02.2020", "29.02.2019", "0.01.2020", "1.13.2020", "2020-01-01", "4.12.19", "4.12", "?"]
)
def test_a_day_that_no_calendar_has_is_refused(text: str) -> None:
    assert check_one(text, type="date", format="%d.%m.%Y") == (None, "type")


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%d.%m.%Y", "1.2.\u0662\u0660\u0662\u0663"),
        ("%d.%m.%Y", "1.2.\uff12\uff10\uff12\uff13"),
        ("%d.%m.%Y", "1.2.2023x"),
        ("%d%m%Y", "1122023"),
        ("%Y%m%d", "2023111"),
        ("%d%m%y", "11223"),
        ("%Y%m%dT%H%M", "20230111T101"),
    ],
)
def test_a_text_that_strptime_would_take_by_chance_is_refused(form: str, text: str) -> None:
    assert check_one(text, type="timestamp", format=form) == (None, "type")


def test_fields_that_join_are_written_in_full() -> None:
    assert check_one("01122023", type="date", format="%d%m%Y") == (dt.date(2023, 12, 1), "")
    assert check_one("20230111T101", type="timestamp", format="%Y%m%dT%H%M%S%f")[1] == "type"
    moment = dt.datetime(2023, 1, 11, 10, 11)
    assert check_one("20230111T1011+0000", type="timestamp", format="%Y%m%dT%H%M%z") == (moment, "")


@pytest.mark.parametrize(("text", "year"), [("69", 1969), ("99", 1999), ("00", 2000), ("68", 2068)])
def test_a_year_of_two_digits_is_of_the_hundred_years_from_1969(text: str, year: int) -> None:
    assert check_one(f"01/02/{text}", type="date", format="%d/%m/%y") == (dt.date(year, 2, 1), "")


OFFSET = "%Y-%m-%dT%H:%M:%S%z"


@pytest.mark.parametrize(
    ("text", "date", "moment", "clock"),
    [
        ("2026-03-01T23:30:00-03:00", (2026, 3, 1), (2026, 3, 2, 2, 30), (2026, 3, 1, 23, 30)),
        ("2026-03-01T00:30:00+02:00", (2026, 3, 1), (2026, 2, 28, 22, 30), (2026, 3, 1, 0, 30)),
        ("2026-03-01T00:30:00Z", (2026, 3, 1), (2026, 3, 1, 0, 30), (2026, 3, 1, 0, 30)),
    ],
)
def test_a_date_is_as_written_and_a_timestamp_in_utc_unless_its_clock_is_asked_for(
    text: str, date: tuple[int, ...], moment: tuple[int, ...], clock: tuple[int, ...]
) -> None:
    assert check_one(text, type="date", format=OFFSET) == (dt.date(*date), "")
    assert check_one(text, type="timestamp", format=OFFSET) == (dt.datetime(*moment), "")
    assert check_one(text, type="timestamp", format=OFFSET, zone="as written") == (dt.datetime(*clock), "")


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+02:00", "9999-12-31T23:00:00-02:00"])
def test_a_moment_beyond_the_calendar_is_none(text: str) -> None:
    assert check_one(text, type="timestamp", format=OFFSET) == (None, "type")


def test_dates_and_times_are_iso_8601_unless_the_contract_says_otherwise() -> None:
    assert check_one("2020-01-31", type="date") == (dt.date(2020, 1, 31), "")
    assert check_one("2020-01-31 23:59:58", type="timestamp") == (dt.datetime(2020, 1, 31, 23, 59, 58), "")


def test_a_moment_before_1970_keeps_its_date() -> None:
    assert check_one("31.12.1969 23:00", type="date", format="%d.%m.%Y %H:%M") == (dt.date(1969, 12, 31), "")


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("YES", True), ("1", True), ("False", False), ("n", False), ("0", False)]
)
def test_truth_has_several_spellings(text: str, value: bool) -> None:
    assert check_one(text, type="boolean") == (value, "")


@pytest.mark.parametrize("text", ["maybe", "2", "tru", "-"])
def test_a_boolean_that_is_neither_true_nor_false_is_refused(text: str) -> None:
    assert check_one(text, type="boolean") == (None, "type")


# -- texts and missing values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("SAO PAULO             ", "SAO PAULO"),
        ("\tSP ", "SP"),
        ("SÃO PAULO", "SÃO PAULO"),
        ("415-503-9235", "415-503-9235"),
        ("4,53E+11", "4,53E+11"),
        ("007", "007"),
        ("NA", "NA"),
        ("null", "null"),
        ("a  b", "a  b"),
    ],
)
def test_a_text_is_kept_as_it_is_but_for_the_blanks_around_it(text: str, value: str) -> None:
    assert check_one(text, type="string") == (value, "")


def test_spellings_that_differ_in_blanks_alone_become_one_value() -> None:
    assert [value for value, _ in check(["SP", "SP ", " SP"], type="string")] == ["SP"] * 3


@pytest.mark.parametrize("kind", ARROW_TYPES)
@pytest.mark.parametrize("text", ["", "   ", "\t"])
def test_an_empty_value_of_any_type_is_no_value_and_no_fault(kind: str, text: str) -> None:
    assert check_one(text, type=kind) == (None, "")


@pytest.mark.parametrize("text", [" -   ", "-", "n/a"])
def test_a_text_that_the_contract_calls_missing_is_no_value(text: str) -> None:
    assert check_one(text, BRAZILIAN, type="number", missing=("-", "n/a")) == (None, "")


@pytest.mark.parametrize("text", ["", "  ", "-"])
def test_a_required_value_must_not_be_missing(text: str) -> None:
    assert check_one(text, type="string", required=True, missing=("-",)) == (None, "required")


# -- what may be in it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rule"),
    [("0", ""), ("130", ""), ("-1", "range"), ("131", "range"), ("130.5", "range"), ("", ""), ("x", "type")],
)
def test_a_number_must_lie_within_its_bounds(text: str, rule: str) -> None:
    assert check_one(text, type="number", min=0, max=130)[1] == rule


@pytest.mark.parametrize(
    ("text", "rule"), [("2019-12-31", "range"), ("2020-01-01", ""), ("2020-12-31", ""), ("2021-01-01", "range")]
)
@pytest.mark.parametrize(("kind", "time"), [("date", ""), ("timestamp", " 00:00:00")])
def test_a_date_must_lie_within_its_bounds(kind: str, time: str, text: str, rule: str) -> None:
    first, last = dt.date(2020, 1, 1), dt.date(2020, 12, 31)
    assert check_one(text + time, type=kind, min=first, max=last)[1] == rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        *(("0001-01-01", "range"), ("1899-12-31", "range"), ("1900-01-01", ""), ("2200-12-31", "")),
        *(("2201-01-01", "range"), ("9999-12-31", "range")),
    ],
)
@pytest.mark.parametrize(("kind", "time"), [("date", ""), ("timestamp", " 23:59:59")])
def test_a_date_that_stands_for_never_or_not_known_is_out_of_range(kind: str, time: str, text: str, rule: str) -> None:
    assert check_one(text + time, type=kind)[1] == rule
    assert check_one(text + time, type=kind, min=dt.date.min, max=dt.date.max)[1] == ""


@pytest.mark.parametrize("bound", [1e30, 1e300])
def test_a_bound_of_integers_may_lie_beyond_all_of_them(bound: float) -> None:
    assert check_one("5", type="integer", min=-bound, max=bound) == (5, "")


@pytest.mark.parametrize(("text", "rule"), [("0", ""), (" 1 ", ""), ("2", "allowed"), ("01", "allowed"), ("", "")])
def test_a_value_must_be_among_the_allowed_ones(text: str, rule: str) -> None:
    assert check_one(text, type="string", allowed=("0", "1"))[1] == rule


def test_a_broken_value_leaves_the_other_rows_alone() -> None:
    assert check(["1", "x", "1", "", "2"], type="number", required=True) == [
        (1.0, ""),
        (None, "type"),
        (1.0, ""),
        (None, "required"),
        (2.0, ""),
    ]


@pytest.mark.parametrize("kind", ARROW_TYPES)
def test_a_column_without_rows_has_its_type_all_the_same(kind: str) -> None:
    text = pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), pa.array([], pa.string()))
    assert check_column(text, Column(type=kind), PLAIN).values.type == ARROW_TYPES[kind]


@repeatable
@hypothesis.given(
    text=st.text(max_size=12), kind=st.sampled_from(list(ARROW_TYPES)), files=st.sampled_from([PLAIN, BRAZILIAN])
)
def test_no_text_at_all_makes_a_column_fail(text: str, kind: str, files: FileFormat) -> None:
    value, rule = check_one(text, files, type=kind)
    assert value is None or not rule


# -- what is said about it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "column", "message"),
    [
        ("required", Column(type="string"), "'valor' is empty, but required"),
        ("type", Column(type="number"), "'valor' is 'x', expected a number"),
        ("type", Column(type="date", format="%d.%m.%Y"), "'valor' is 'x', expected a date of the form %d.%m.%Y"),
        ("range", Column(type="number", min=0), "'valor' is 'x', allowed are values of at least 0"),
        ("range", Column(type="date"), "'valor' is 'x', allowed are values from 1900-01-01 to 2200-12-31"),
        ("range", Column(type="number", max=9), "'valor' is 'x', allowed are values up to 9"),
        ("range", Column(type="number", min=0, max=9), "'valor' is 'x', allowed are values from 0 to 9"),
        ("allowed", Column(type="string", allowed=("a", "b")), "'valor' is 'x', allowed are a, b"),
    ],
)
def test_a_broken_rule_is_told_with_the_name_in_the_file_the_value_and_what_was_expected(
    rule: str, column: Column, message: str
) -> None:
    column = column.model_copy(update={"source": " valor "})
    assert explain(rule, "amount", "x", column) == message


def test_a_long_value_is_told_in_short() -> None:
    assert len(explain("type", "amount", "x" * 5_000, Column(type="number"))) < 200


@pytest.mark.parametrize("rule", DIRT)
def test_every_rule_that_dirt_breaks_is_explained(rule: str) -> None:
    assert {**RULES, **RULES_OF_FILES}[rule]


def test_the_rows_of_a_use_case_have_file_line_and_the_columns_of_its_contract(loan_approval: UseCase) -> None:
    schema = rows_schema(loan_approval)
    assert schema.names == ["file", "line", *loan_approval.columns]
    assert schema.field("had_default").type == pa.int64()
