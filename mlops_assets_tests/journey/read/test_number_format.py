"""A number that fits the contract by chance: only its file tells, and is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

from mlops_assets.use_case import Column, FileFormat, UseCase
from mlops_assets_tests.helpers.account_files import account_file, changed
from mlops_assets_tests.helpers.reading import read
from mlops_assets_tests.helpers.toy import toy as toy_use_case

repeatable = hypothesis.settings(deadline=None, derandomize=True, database=None, max_examples=60)


def toy(**files: Any) -> UseCase:
    """A use case with two columns of numbers and one of integers, in files of this format."""
    kinds = {"who": "string", "a": "number", "b": "number", "n": "integer", "kind": "string"}
    columns = {name: Column.model_validate({"type": kind}) for name, kind in kinds.items()}
    form = FileFormat(delimiter=";", **files)
    return toy_use_case().model_copy(update={"columns": columns, "account": "who", "files": form})


def file_of(*rows: Sequence[str]) -> bytes:
    lines = [";".join(("w", *row, *[""] * (3 - len(row)), "x")) for row in rows]
    return "\n".join(["who;a;b;n;kind", *lines, ""]).encode()


def rules(case: UseCase, *rows: Sequence[str]) -> list[tuple[int | None, str]]:
    """Line and rule of every refusal of a file; the accounting adds up or reading fails."""
    return [(one.line, one.rule) for one in read(case, file_of(*rows))[1]]


COMMA = {"decimal": ",", "thousands": "."}
POINT = {"decimal": ".", "thousands": ","}


@pytest.mark.parametrize(
    ("files", "shows", "doubtful"),
    [
        (COMMA, "1.5", "1.234"),
        (COMMA, "12.34", "-1.234"),
        (COMMA, "0.123", "1.234"),
        (COMMA, "1234.567", "1.234"),
        (COMMA, "1,234.56", "1.234"),
        (COMMA, "1,234.56", "1,234"),
        (COMMA, "1,234,567", "1,234"),
        (COMMA, "1.5e3", "12.345"),
        (POINT, "1,5", "1,234"),
        (POINT, "1.234,56", "1.234"),
        ({}, "1.234,56", "1.234"),
        ({}, "1.234.567", "1.234"),
        ({"decimal": ","}, "1,234.56", "1,234"),
        ({"decimal": ",", "thousands": " "}, "1,234.56", "1,234"),
        ({"decimal": ".", "thousands": "'"}, "1.234,56", "1.234"),
        ({**COMMA, "currency": ["R$"]}, "R$ 1.5", "R$ 1.234"),
    ],
)
def test_a_file_that_shows_another_use_of_a_sign_is_refused_with_a_value_of_each_kind(
    files: dict[str, Any], shows: str, doubtful: str
) -> None:
    for columns in ([(shows,), (doubtful,)], [(doubtful,), ("5",), (shows,)], [("5", shows), (doubtful, "6")]):
        rows, (only,), counts = read(toy(**files), file_of(*columns))
        assert (only.line, only.rule, rows, counts["lines"]) == (None, "number_format", [], 0)
        for text in (shows, doubtful):
            (place,) = [(line, "ab"[row.index(text)]) for line, row in enumerate(columns, 1) if text in row]
            assert f"{place[1]!r} is {text!r} in line {place[0]}" in only.message


@pytest.mark.parametrize(
    ("files", "strange", "plain"),
    [
        (COMMA, "1.5", "1.234,5"),
        (COMMA, "1.5", "1.234.567"),
        (COMMA, "1.5", "7"),
        (COMMA, "1,5,5", "1.234"),
        (COMMA, "x", "1.234"),
        ({}, "1,5", "1.234"),
        ({}, "1,234", "1.234"),
        ({"decimal": ","}, "1.5", "1,234"),
        ({"decimal": ",", "thousands": " "}, "1.5", "1 234"),
    ],
)
def test_a_strange_value_that_puts_no_other_in_doubt_is_a_line_that_is_rejected(
    files: dict[str, Any], strange: str, plain: str
) -> None:
    assert rules(toy(**files), (strange,), (plain,)) == [(1, "type")]


def test_a_value_of_a_line_that_is_rejected_anyway_is_not_in_doubt() -> None:
    assert rules(toy(**COMMA), ("1.5",), ("1.234", "x")) == [(1, "type"), (2, "type")]


def test_integers_with_thousands_show_that_a_thousand_is_no_one() -> None:
    assert rules(toy(), ("", "", "1.234"), ("", "", "1.000")) == [(None, "number_format")]
    # the decimals of another column say nothing of it
    assert rules(toy(), ("1.234", "", "1.234"), ("1.000",)) == [(1, "type")]


def test_the_other_files_of_the_pack_are_read() -> None:
    bad, good = file_of(("1.5",), ("1.234",)), file_of(("1.234",), ("2",))
    rows, refusals, counts = read(toy(**COMMA), good, bad, good)
    assert [(row["file"], row["a"]) for row in rows] == [(0, 1234.0), (0, 2.0), (2, 1234.0), (2, 2.0)]
    assert [(one.file, one.rule) for one in refusals] == [(1, "number_format")]
    assert (counts["files_refused"], counts["lines"]) == (1, 4)


def test_account_files_with_decimal_points_are_refused(transactions: UseCase) -> None:
    written = [" 0.123 ", " 1.234 ", " 1.5 ", " 1.234,56 ", " 12.34 ", " 0.50 "]
    _, (only,), _ = read(transactions, account_file([changed(valor=text) for text in written]))
    assert only.rule == "number_format"
    assert "'valor' is '0.123' in line 1" in only.message
    assert "'valor' is '1.234' in line 2" in only.message


@repeatable
@hypothesis.given(
    cents=st.lists(st.integers(100, 10**9), min_size=1, max_size=20),
    ours=st.sampled_from([COMMA, POINT]),
)
def test_no_amount_in_the_other_notation_is_ever_read_as_another_number(cents: list[int], ours: dict[str, str]) -> None:
    decimal, thousands = ours["thousands"], ours["decimal"]
    texts = [f"{n / 100:,.2f}".replace(",", "~").replace(".", decimal).replace("~", thousands) for n in cents]
    # with thousandths, so that some could be thousands
    texts += [f"{n / 100:.3f}".replace(".", decimal) for n in cents]
    rows, _, _ = read(toy(**ours), file_of(*((text,) for text in texts)))
    assert rows == []
