"""Fixed width: fields by their places in the line, in characters; lines as in CSV files."""

from __future__ import annotations

import pytest

from mlops_assets_tests.helpers.formats import ROW, WIDTH, Outcome, contract, written

CASE = contract("fixed")
LINE = "".join(text.ljust(WIDTH) for text in ROW.values())


def read(*lines: str) -> Outcome:
    return Outcome(CASE, "".join(f"{line}\n" for line in lines).encode())


def test_places_are_counted_in_characters_whatever_the_encoding() -> None:
    latin = contract("fixed", encoding="mac_roman")
    assert read(LINE).values("city") == ["São Paulo"]
    assert Outcome(latin, (LINE + "\n").encode("mac_roman")).rows == read(LINE).rows
    assert Outcome(latin, (LINE + "\n").encode()).rejects == [(None, "encoding")]


@pytest.mark.parametrize(
    ("line", "rule"),
    [(LINE[:-1], "line_length"), (LINE + "x", "line_length"), ("", "blank_line"), (" " * len(LINE), "blank_line")],
)
def test_a_line_of_another_length_is_a_reject(line: str, rule: str) -> None:
    found = read(LINE, line, LINE)
    assert found.values("line") == [1, 3]
    assert (found.only.line, found.only.rule, found.only.raw) == (2, rule, line)


def test_blanks_behind_the_last_field_are_no_matter_and_crlf_is_a_line_end() -> None:
    assert read(LINE + "   ").rejects == []
    assert Outcome(CASE, (LINE + "\r\n").encode() * 2).rejects == []


def test_a_field_without_an_end_reaches_to_the_end_of_the_line() -> None:
    case = contract("fixed", {})
    columns = dict(case.columns)
    columns["kind"] = columns["kind"].model_copy(update={"at": (columns["kind"].at or (1,))[:1]})
    case = case.model_copy(update={"columns": columns})
    short, long = LINE.rstrip(), LINE.rstrip() + " and more, of any length, up to where the line ends"
    found = Outcome(case, f"{short}\n{long}\n{LINE[: -2 * WIDTH]}\n".encode())
    assert found.values("kind") == ["FOOD", "FOOD and more, of any length, up to where the line ends"]
    assert found.rejects == [(3, "line_length")]


def test_places_between_fields_are_not_read_and_a_first_line_can_be_passed_over() -> None:
    case = contract("fixed", header="ignored")
    columns = {name: column for name, column in case.columns.items() if name != "city"}
    case = case.model_copy(update={"columns": columns})
    assert Outcome(case, f"REPORT OF TODAY\n{LINE}\n".encode()).values("kind") == ["FOOD"]


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "empty_file"),
        (LINE.encode() + b"\n" + LINE[:20].encode(), "truncated"),
        (LINE.encode() + b"\0\n", "nul_bytes"),
        (LINE.replace("ã", "a").encode() + b"\n\xff" + LINE[1:].encode() + b"\n", "encoding"),
    ],
)
def test_a_file_that_is_no_use_is_refused_as_a_whole(data: bytes, rule: str) -> None:
    assert Outcome(CASE, data).rejects == [(None, rule)]


def test_what_does_not_fit_is_not_written() -> None:
    with pytest.raises(Exception, match="'city' is .*, but has 24 places"):
        written(CASE, [{**ROW, "city": "x" * 25}])
