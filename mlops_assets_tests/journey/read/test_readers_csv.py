"""How the text of packed files is cut: which file and line every row comes from, and what is refused on the way."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from mlops_assets.journey.read.readers.csv import CsvReader
from mlops_assets.journey.read.readers.pack import Pack, Refusal
from mlops_assets.use_case import Checks, Column, UseCase


def use_case(**files: Any) -> UseCase:
    """A use case with three columns; `label` is the one that may be absent."""
    return UseCase(
        name="tiny",
        description="Three columns, no more.",
        start=dt.date(2026, 1, 1),
        files={"delimiter": ";", **files},
        columns={
            "id": {"type": "string"},
            "amount": {"type": "number", "from": " valor "},
            "label": {"type": "string"},
        },
        account="id",
        label="label",
        training={"baseline": "most", "candidates": {"most": {"use": "sklearn.dummy.DummyClassifier"}}},
        features_sql="",
    )


HEADER = b"id; valor ;label\n"
GOOD = HEADER + b"1;10;a\n2;20;b\n"
GOOD_ROWS = [(1, ["1", "10", "a"]), (2, ["2", "20", "b"])]


def rows(pack: Pack, file: int = 0) -> list[tuple[int, list[str]]]:
    """Line and fields of every row of a file."""
    fields = zip(*(column.to_pylist() for column in pack.columns.values()), strict=True)
    places = zip(pack.file.tolist(), pack.line.tolist(), fields, strict=True)
    return [(line, list(row)) for number, line, row in places if number == file]


def read(*contents: bytes | None, **files: Any) -> Pack:
    return CsvReader(use_case(**files)).read(contents)


def refusal(data: bytes, **files: Any) -> Refusal:
    """Why a file, between two good ones that must not notice, is refused."""
    pack = read(GOOD, data, GOOD, **files)
    assert rows(pack, 0) == rows(pack, 2) == GOOD_ROWS
    assert rows(pack, 1) == []
    assert pack.lines.tolist() == [2, 0, 2]
    (only,) = pack.refusals
    assert (only.file, only.line) == (1, None)
    return only


# -- good files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "old Mac CR"])
@pytest.mark.parametrize("last", [True, False], ids=["final line end", "no final line end"])
def test_a_file_may_end_its_lines_in_any_way(end: bytes, last: bool) -> None:
    data = GOOD.replace(b"\n", end)
    assert rows(read(data if last else data.removesuffix(end))) == GOOD_ROWS


@pytest.mark.parametrize(
    ("header", "first"), [("none", b""), ("ignored", b"150;3;setosa\n"), ("ignored", b"only one\n")]
)
@pytest.mark.parametrize("last", [True, False], ids=["final line end", "no final line end"])
def test_without_a_header_fields_are_the_columns_in_their_order(header: str, first: bytes, last: bool) -> None:
    data = first + GOOD.removeprefix(HEADER)
    pack = read(data if last else data.removesuffix(b"\n"), first + b'"1";10;a\n2;"20";b\n', header=header)
    assert rows(pack, 0) == rows(pack, 1) == GOOD_ROWS


def test_without_a_header_a_line_of_other_fields_is_refused_and_the_first_line_is_line_one() -> None:
    pack = read(b"1;10\n2;20;b\n", header="none")
    assert rows(pack) == [(2, ["2", "20", "b"])]
    assert [(one.line, one.rule, one.raw) for one in pack.refusals] == [(1, "field_count", "1;10")]
    assert (pack.raw(0, 1), pack.raw(0, 2)) == ("1;10", "2;20;b")


def test_a_file_may_mix_its_line_ends() -> None:
    assert rows(read(HEADER + b"1;10;a\r\n2;20;b\n")) == GOOD_ROWS


@pytest.mark.parametrize("quote", [b"", b'"'], ids=["without quotes", "with quotes"])
def test_a_stray_carriage_return_inside_a_line_ends_no_line(quote: bytes) -> None:
    assert rows(read(HEADER + b"1;10;" + quote + b"a\ra" + quote + b"\n2;20;b\n")) == [
        (1, ["1", "10", "a a"]),
        (2, ["2", "20", "b"]),
    ]


@pytest.mark.parametrize(
    "header",
    [b"id;valor;label\n", b" id ; valor;label \n", b'"id";" valor ";"label"\n', b"id;\tvalor;label\r\n"],
)
def test_blanks_and_quotes_around_the_names_of_a_header_do_not_matter(header: bytes) -> None:
    assert rows(read(header + b"1;10;a\n2;20;b\n")) == GOOD_ROWS


def test_columns_may_come_in_another_order_and_among_others() -> None:
    assert rows(read(b"x;label;valor;;id;y\n?;a;10;?;1;?\n?;b;20;?;2;?\n")) == GOOD_ROWS


def test_the_label_column_may_be_absent_beside_files_that_have_it() -> None:
    pack = read(GOOD, b"id;valor\n1;10\n", GOOD)
    assert rows(pack, 1) == [(1, ["1", "10", ""])]
    assert rows(pack, 0) == rows(pack, 2) == GOOD_ROWS


def test_blanks_inside_a_field_are_left_for_the_contract() -> None:
    assert rows(read(HEADER + b" 1 ; -   ;\n")) == [(1, [" 1 ", " -   ", ""])]


def test_exact_duplicates_are_all_kept() -> None:
    assert [line for line, _ in rows(read(HEADER + b"1;10;a\n" * 3))] == [1, 2, 3]


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    assert rows(read(b"\xef\xbb\xbf" + GOOD)) == GOOD_ROWS


def test_a_byte_order_mark_says_that_the_file_is_utf_8_whatever_the_contract_says() -> None:
    pack = read(b"\xef\xbb\xbf" + HEADER + "1;10;São\n".encode(), encoding="mac_roman")
    assert rows(pack) == [(1, ["1", "10", "São"])]


def test_the_names_of_a_header_are_read_in_the_encoding_of_their_file() -> None:
    case = use_case(encoding="mac_roman")
    case = case.model_copy(update={"columns": {**case.columns, "amount": Column(type="number", source="preço")}})
    text = "id;preço;label\n1;10;a\n"
    pack = CsvReader(case).read([text.encode("mac_roman"), text.encode("utf-8-sig")])
    assert pack.refusals == []
    assert rows(pack, 0) == rows(pack, 1) == [(1, ["1", "10", "a"])]


def test_letters_of_the_contracts_encoding_are_understood() -> None:
    data = HEADER + "1;10;SERVIÇO\n2;20;AUTO PEÇAS\n".encode("mac_roman")
    assert [row[2] for _, row in rows(read(data, encoding="mac_roman"))] == ["SERVIÇO", "AUTO PEÇAS"]


def test_files_in_ascii_and_with_letters_share_a_pack() -> None:
    letters = HEADER + "1;10;Ç\n".encode("mac_roman")
    pack = read(GOOD, letters, GOOD, encoding="mac_roman")
    assert [rows(pack, 0), rows(pack, 2)] == [GOOD_ROWS] * 2
    assert rows(pack, 1) == [(1, ["1", "10", "Ç"])]


def test_a_file_refused_before_has_no_rows_and_its_neighbours_keep_their_numbers() -> None:
    pack = read(None, GOOD, None)
    assert pack.lines.tolist() == [0, 2, 0]
    assert rows(pack, 1) == GOOD_ROWS


@pytest.mark.parametrize("contents", [(), (None,), (b"",)], ids=["no file", "a refused file", "an empty file"])
def test_a_pack_may_come_to_nothing(contents: tuple[bytes | None, ...]) -> None:
    pack = read(*contents)
    assert list(pack.columns) == ["id", "amount", "label"]
    assert [len(column) for column in pack.columns.values()] == [0, 0, 0]


# -- quotes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b'"a;b"', "a;b"),
        (b'"say ""hi"""', 'say "hi"'),
        (b'"two\nlines"', "two\nlines"),
        (b'"two\r\nlines"', "two\nlines"),
        (b'""', ""),
        (b'5" pipe', '5" pipe'),
        ('"Ç;Ç"'.encode(), "Ç;Ç"),
    ],
)
def test_a_quoted_field_may_hold_delimiter_quote_and_line_end(field: bytes, value: str) -> None:
    data = HEADER + b"1;10;" + field + b"\n2;20;b\n"
    pack = read(GOOD, data, GOOD, line_breaks_in_fields=True)
    lines = 1 + field.count(b"\n")
    assert rows(pack, 1) == [(1, ["1", "10", value]), (1 + lines, ["2", "20", "b"])]
    assert (pack.lines[1], pack.swallowed.tolist()) == (lines + 1, [0, lines - 1, 0])
    assert pack.raw(1, 1) == "1;10;" + field.decode().replace("\r", "")
    assert rows(pack, 0) == rows(pack, 2) == GOOD_ROWS


def test_a_quoted_field_may_stand_at_the_end_of_a_file_without_line_end() -> None:
    assert rows(read(HEADER + b'1;10;"a;b"')) == [(1, ["1", "10", "a;b"])]
    assert rows(read(HEADER + b'1;10;"a\nb"', line_breaks_in_fields=True)) == [(1, ["1", "10", "a\nb"])]


def test_quotes_are_plain_signs_where_the_contract_knows_none() -> None:
    pack = read(HEADER + b'1;10;"a\n2;20;b"\n', quotes=False)
    assert [row[2] for _, row in rows(pack)] == ['"a', 'b"']


@pytest.mark.parametrize(
    "body",
    [b'1;10;"a\n2;20;b\n', b'"1;10;a\n', b'1;10;a\n2;20;"b', b'1;10;"a"b\n', b'1;10;a\n"\n', b'1;10;"""\n'],
)
def test_a_quote_left_open_spoils_its_own_file_and_no_other(body: bytes) -> None:
    only = refusal(HEADER + body)
    assert only.rule == "quote"
    assert "double quote is not closed" in only.message


def test_an_open_quote_is_not_closed_by_the_quote_of_the_next_file() -> None:
    pack = read(HEADER + b'1;10;"a\n', HEADER + b'b";20;c\n', GOOD)
    assert [refusal.rule for refusal in pack.refusals] == ["quote"]
    assert rows(pack, 1) == [(1, ['b"', "20", "c"])]
    assert rows(pack, 2) == GOOD_ROWS


STRAY = HEADER + b'1;10;a\n2;20;"b\n3;30;c\n4;40;d"\n5;50;e\n'


def test_a_stray_quote_costs_its_own_line_and_swallows_no_other() -> None:
    pack = read(GOOD, STRAY, GOOD)
    assert [line for line, _ in rows(pack, 1)] == [1, 3, 4, 5]
    assert rows(pack, 1)[2] == (4, ["4", "40", 'd"'])
    assert pack.refusals == [Refusal(1, 2, "quote", "a double quote is not closed in the line", '2;20;"b')]
    assert pack.lines.tolist() == [2, 5, 2]


def test_a_stray_quote_may_be_closed_by_the_opening_one_of_a_good_field() -> None:
    pack = read(HEADER + b'1;10;"a\n2;20;b\n3;30;"c"\n')
    assert [line for line, _ in rows(pack)] == [2, 3]
    assert [(one.line, one.rule) for one in pack.refusals] == [(1, "quote")]


@pytest.mark.parametrize(
    "body", [b'1;10;"two\nlines"\n', b'1;10;"a\n\nb;c;d"\n', b'1;10;"a\n2;20\n3;30;b"\n', b'1;10;"a\n2;20;b";x\n']
)
def test_where_nobody_can_tell_what_a_quote_holds_the_file_is_refused_with_its_line(body: bytes) -> None:
    only = refusal(HEADER + b"0;0;0\n" + body)
    assert only.rule == "quote"
    assert "(data line 2)" in only.message


def test_only_a_contract_lets_a_field_span_lines_and_then_says_how_many_it_swallowed() -> None:
    pack = read(GOOD, STRAY, line_breaks_in_fields=True)
    assert rows(pack, 1) == [(1, ["1", "10", "a"]), (2, ["2", "20", "b\n3;30;c\n4;40;d"]), (5, ["5", "50", "e"])]
    assert (pack.lines.tolist(), pack.swallowed.tolist()) == ([2, 5], [0, 2])


def test_a_first_line_that_is_skipped_may_not_span_lines() -> None:
    assert read(b'"a\nb";c;d\n1;10;a\n', header="ignored").refusals[0].rule == "header"
    assert rows(read(b'5" pipe;"c;c";d\n1;10;a\n', header="ignored")) == [(1, ["1", "10", "a"])]


def test_in_one_column_a_carriage_return_inside_a_line_refuses_the_file() -> None:
    case = use_case().model_copy(update={"columns": {"label": use_case().columns["label"]}})
    (only,) = CsvReader(case).read([b"label\na\rb\nc\n"]).refusals
    assert (only.line, only.rule) == (None, "line_ends")


# -- what the bytes say ------------------------------------------------------------------------------------------------

FIELDS = st.sampled_from(["", "a", '"a"', '""', '"a;b"', '"a""b"', 'a"', '"', '";', ' "a"', '"a" ', '"a\nb"'])
BODIES = st.lists(st.lists(FIELDS, min_size=1, max_size=4).map(";".join), min_size=1, max_size=4).map("\n".join)


QUOTED = {"bodies": st.lists(BODIES, min_size=1, max_size=4), "spanning": st.booleans()}


@hypothesis.settings(max_examples=500)
@hypothesis.given(**QUOTED)
def test_quoted_files_that_are_parsed_together_mean_what_pythons_csv_says_of_each(
    bodies: list[str], spanning: bool
) -> None:
    quoted = [f'1;"10";a\n{body}\n' for body in bodies]
    pack = read(*(HEADER + body.encode() for body in quoted), line_breaks_in_fields=spanning)
    for number, body in enumerate(quoted):
        reader = csv.reader(io.StringIO(body, newline=""), delimiter=";", strict=True)
        refused = [(r.line, r.rule) for r in pack.refusals if r.file == number]
        records, begins = [], [1]
        try:
            for record in reader:
                records.append((begins[-1], record))
                begins.append(reader.line_num + 1)
        except csv.Error:
            if spanning:
                assert refused == [(None, "quote")]
            assert "quote" in [rule for _, rule in refused]
            continue
        if not spanning and len(records) < body.count("\n"):
            assert "quote" in [rule for _, rule in refused]
            continue
        expected = [(line, record or [""] * 3) for line, record in records if len(record) in (0, 3)]
        assert rows(pack, number) == expected
        assert refused == [(line, "field_count") for line, record in records if len(record) not in (0, 3)]


@pytest.mark.long
@hypothesis.settings(max_examples=1_500)
@hypothesis.given(**QUOTED)
def test_many_more_quoted_files_mean_what_pythons_csv_says_of_each(bodies: list[str], spanning: bool) -> None:
    check = test_quoted_files_that_are_parsed_together_mean_what_pythons_csv_says_of_each
    check.hypothesis.inner_test(bodies, spanning)  # type: ignore[attr-defined]


PIECES = st.sampled_from(
    [b"1;10;a", b";", b'"', b'""', b'"a"', b"\n", b"\r\n", b"\r", b"\n\n", b"x", b"\xc3\xa9", b"\xe9", b"\x00",
     b"\xef\xbb\xbf", "\u2028".encode(), b"\x85", b"\xc2\x85", b"\x0b", b"\x0c", b"\x1c", b" ", b'"a\nb"', b"1;10;a\n"]
)  # fmt: skip
ANY_BYTES = st.one_of(st.binary(max_size=40), st.lists(PIECES, max_size=16).map(b"".join))
FORMS = st.fixed_dictionaries(
    {
        "encoding": st.sampled_from(["utf-8", "mac_roman", "latin-1", "cp1252"]),
        "line_breaks_in_fields": st.booleans(),
        "quotes": st.booleans(),
        "header": st.sampled_from(["names", "ignored", "none"]),
        "utf8": st.sampled_from(["refuse", "read", "as_written"]),
    }
)


def count_lines(data: bytes, header: bool) -> int:
    """The data lines of a file, by the ends that stand in its bytes: LF, or where there is none CR."""
    end = b"\n" if b"\n" in data else b"\r"
    return data.count(end) + (not data.endswith(end)) - header


ANY_FILES = {"bodies": st.lists(ANY_BYTES, max_size=4), "form": FORMS}


@hypothesis.settings(max_examples=700)
@hypothesis.given(**ANY_FILES)
def test_whatever_the_bytes_every_line_is_a_row_or_a_reject_or_told_to_be_swallowed(
    bodies: list[bytes], form: dict[str, Any]
) -> None:
    contents = [(b"" if form["header"] == "none" else HEADER) + body for body in bodies]
    pack = read(*contents, **form)
    whole = {refusal.file for refusal in pack.refusals if refusal.line is None}
    for number, data in enumerate(contents):
        lines = [line for line, _ in rows(pack, number)]
        rejected = [refusal.line for refusal in pack.refusals if refusal.file == number and refusal.line]
        swallowed = int(pack.swallowed[number])
        if number in whole:
            assert (lines, rejected, swallowed, pack.lines[number]) == ([], [], 0, 0)
            continue
        found = len(lines) + len(rejected) + swallowed
        assert found == pack.lines[number] == count_lines(data, form["header"] != "none")
        assert form["line_breaks_in_fields"] or sorted([*lines, *rejected]) == list(range(1, found + 1))


@pytest.mark.long
@hypothesis.settings(max_examples=2_000)
@hypothesis.given(**ANY_FILES)
def test_of_many_more_bytes_every_line_is_a_row_or_a_reject_or_told_to_be_swallowed(
    bodies: list[bytes], form: dict[str, Any]
) -> None:
    check = test_whatever_the_bytes_every_line_is_a_row_or_a_reject_or_told_to_be_swallowed
    check.hypothesis.inner_test(bodies, form)  # type: ignore[attr-defined]


def test_letters_and_signs_that_only_look_like_line_ends_end_no_line() -> None:
    odd = "\u2028 \x85 \u2029 \x0b \x0c \x1c \x1d \x1e"
    pack = read(HEADER + f'1;10;{odd}\n2;"20";"{odd}x"\n3;30;a"\n'.encode())
    assert [row[2] for _, row in rows(pack)] == [odd, f"{odd}x", 'a"']


SINGLE_BYTE = ["latin-1", "cp1252", "mac_roman", "cp850", "koi8-r", "cp1251", "iso8859-15", "cp437"]


@pytest.mark.parametrize("encoding", SINGLE_BYTE)
@pytest.mark.parametrize("letters", [b"1;10;\xc3\x87\n", b"1;10;\xc3\x87\xe2\x82\xac\n" * 9, b'1;10;"\xc3\x87"\n'])
def test_utf_8_is_refused_where_the_contract_says_another_encoding_unless_it_says_more(
    encoding: str, letters: bytes
) -> None:
    only = refusal(HEADER + letters, encoding=encoding)
    assert only.rule == "encoding"
    assert "the file is UTF-8" in only.message
    pack = read(HEADER + letters, encoding=encoding, utf8="read")
    assert [row[2][0] for _, row in rows(pack)] == ["Ç"] * len(rows(pack))
    assert pack.noticed == {"read_as_utf_8": 1}
    pack = read(HEADER + letters, encoding=encoding, utf8="as_written")
    assert rows(pack)[0][1][2] == letters.split(b"\n")[0].decode(encoding).split(";")[2].strip('"')


@pytest.mark.parametrize("encoding", SINGLE_BYTE)
@pytest.mark.parametrize(
    ("damaged", "line"),
    [
        ("1;10;Ção\n2;20;é".encode()[:-1], 2),
        (b"1;10;\xff\xc3\x87\xc3\xa3o\n", 1),
        ("1;10;Ção\n2;20;São\n3;30;".encode() + b"S\xe3o\n", 3),
    ],
)
def test_utf_8_with_a_bad_byte_is_still_utf_8_and_refused(encoding: str, damaged: bytes, line: int) -> None:
    only = refusal(HEADER + damaged, encoding=encoding)
    assert only.rule == "encoding"
    assert "the file is UTF-8" in only.message
    only = refusal(HEADER + damaged, encoding=encoding, utf8="read")
    assert only.rule == "encoding"
    assert re.search(f"^data line {line} has the byte 0x(c3|ff|e3), which is not utf-8", only.message)


@pytest.mark.parametrize("encoding", SINGLE_BYTE)
def test_a_letter_of_utf_8_by_chance_is_none_among_others(encoding: str) -> None:
    chance = b"\xc3\xa3"
    body = HEADER + b"1;10;" + chance + b"\n" + b"2;20;\xe1b\n" * 2
    assert [row[2] for _, row in rows(read(body, encoding=encoding))] == [
        part.decode(encoding).strip() for part in (chance, b"\xe1b", b"\xe1b")
    ]


def test_a_header_in_another_encoding_is_told_for_a_column_may_be_absent_by_it() -> None:
    only = refusal("id;valor;étiquette\n1;10;a\n".encode("latin-1"))
    assert only.rule == "encoding"
    assert "the header has the byte 0xe9, which is not utf-8" in only.message
    assert rows(read("id;valor;é\n1;10;a\n".encode("latin-1"), header="ignored")) == [(1, ["1", "10", "a"])]


def test_letters_in_the_header_alone_tell_utf_8_too() -> None:
    assert refusal("id;valor;label;Ç\n1;10;a;\n".encode(), encoding="latin-1").rule == "encoding"


def test_a_mark_of_utf_8_where_the_contract_says_otherwise_is_told() -> None:
    assert read(b"\xef\xbb\xbf" + GOOD, GOOD, encoding="mac_roman").noticed == {"read_as_utf_8": 1}
    assert read(b"\xef\xbb\xbf" + GOOD).noticed == {}


def test_utf_16_is_refused_with_or_without_its_mark_and_nul_bytes() -> None:
    contents = [text.encode("utf-16") for text in ("Ωα", GOOD.decode())] + [GOOD.decode().encode("utf-16-be")]
    pack = read(*contents, encoding="mac_roman", header="none")
    assert [one.rule for one in pack.refusals] == ["encoding", "nul_bytes", "nul_bytes"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("last", [b"2;20;b", b'2;20;"b"'])
def test_a_last_line_without_an_end_is_told_or_refused_where_the_contract_asks_for_one(end: bytes, last: bytes) -> None:
    data = (HEADER + b"1;10;a\n").replace(b"\n", end) + last
    pack = read(data, GOOD)
    assert (rows(pack), pack.noticed) == (GOOD_ROWS, {"no_final_line_end": 1})
    only = refusal(data, complete="line_end")
    assert (only.rule, "no line end" in only.message) == ("truncated", True)


def test_a_single_line_has_no_others_to_compare_its_end_with() -> None:
    assert read(b"1;10;a", header="none").noticed == {}
    assert read(b"1;10;a\n2;20;b", header="none").noticed == {"no_final_line_end": 1}


def test_carriage_returns_that_end_no_line_are_told() -> None:
    assert read(HEADER + b"1;10;a\rb\n2;\r20;b\n").noticed == {"stray_carriage_returns": 2}


def test_what_is_noticed_of_a_refused_file_does_not_count() -> None:
    assert read(HEADER + b'1;10;"a').noticed == {}


# -- bad files beside good ones ----------------------------------------------------------------------------------------


def test_a_header_alone_beside_a_bad_quote_does_not_cost_an_innocent_file_its_rows() -> None:
    pack = read(HEADER, HEADER + b'1;10;"a\n', GOOD)
    assert [(refusal.file, refusal.rule) for refusal in pack.refusals] == [(0, "no_rows"), (1, "quote")]
    assert rows(pack, 2) == GOOD_ROWS
    assert pack.lines.tolist() == [0, 0, 2]


# -- bad files ---------------------------------------------------------------------------------------------------------

BAD_FILES = {
    "no bytes": (b"", "empty_file", "the file is empty"),
    "blanks alone": (b" \r\n\t\n", "empty_file", "the file is empty"),
    "a byte order mark alone": (b"\xef\xbb\xbf", "empty_file", "the file is empty"),
    "a header alone": (HEADER, "no_rows", "header and no rows"),
    "a header without line end": (HEADER.strip(), "no_rows", "header and no rows"),
    "a column less": (b"id;label\n1;a\n", "missing_column", "the header lacks 'valor'"),
    "no header": (b"1;10;a\n2;20;b\n", "missing_column", "the header lacks 'id', 'valor'; it begins '1;10;a'"),
    "a blank line first": (b"\n" + GOOD, "missing_column", "the header lacks 'id', 'valor'"),
    "a column twice": (b"id;valor;id\n1;10;2\n", "header", "names the column 'id' twice"),
    "a quote open in the header": (b'"id;valor;label\n1;10;a\n', "header", "the header cannot be read"),
    "commas": (GOOD.replace(b";", b","), "delimiter", "parted by ',', expected ';'"),
    "tabs": (GOOD.replace(b";", b"\t"), "delimiter", r"parted by '\t', expected ';'"),
    "bars": (GOOD.replace(b";", b"|"), "delimiter", "parted by '|', expected ';'"),
    "quoted commas": (b'"id","valor","label"\n"1","10","a"\n', "delimiter", "parted by ',', expected ';'"),
    "cut in the last line": (GOOD + b"3;3", "truncated", "the last line stops after 2 of 3 fields"),
    "cut in the first line": (HEADER + b"1", "truncated", "the last line stops after 1 of 3 fields"),
    "cut after a quoted field": (HEADER + b'1;10;"a"\n2;2', "truncated", "the last line stops after 2 of 3 fields"),
    "NUL bytes": (GOOD + b"3;\0\0;c\n", "nul_bytes", "NUL bytes"),
    "NUL bytes in the header": (b"\0" + GOOD, "nul_bytes", "NUL bytes"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "nul_bytes", "UTF-16"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "nul_bytes", "binary"),
    "a compressed file": (b"\x1f\x8b\x08\x08\x9b\x02\n\x7f\x03", "binary", "no text file"),
    "a broken letter": (GOOD + b"3;30;\xe7\n", "encoding", "is not utf-8"),
    "a broken quoted letter": (GOOD + b'3;30;"\xe7"\n', "encoding", "is not utf-8"),
}


@pytest.mark.parametrize(("data", "rule", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_refused_with_its_rule_and_its_neighbours_are_read(data: bytes, rule: str, message: str) -> None:
    only = refusal(data)
    assert (only.rule, message in only.message) == (rule, True), only.message


def test_a_long_list_of_missing_columns_is_told_in_short(transactions: UseCase) -> None:
    (only,) = CsvReader(transactions).read([b"a;b\n1;2\n"]).refusals
    assert only.message.startswith("the header lacks 'id', 'safra_abertura', 'cidade', 'estado', 'idade' and 7 more")


def test_of_a_refused_file_its_first_line_is_kept_as_it_is() -> None:
    assert refusal(b"id;\x1b[31mno\x07\nmore\n").raw == "id;\x1b[31mno\x07"


def test_all_bad_files_together_leave_the_good_ones_between_them_whole() -> None:
    bad = [data for data, _, _ in BAD_FILES.values()]
    pack = read(*(one for data in bad for one in (GOOD, data)), GOOD)
    assert pack.lines.tolist() == [2, 0] * len(bad) + [2]
    assert all(rows(pack, place) == GOOD_ROWS for place in range(0, 2 * len(bad) + 1, 2))
    assert sorted(refusal.file for refusal in pack.refusals) == list(range(1, 2 * len(bad), 2))


# -- bad lines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quoted", [b"", b'4;40;"d;d"\n'], ids=["without quotes", "with quotes"])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"2;20", "the line has 2 fields, expected 3"),
        (b"2", "the line has 1 fields, expected 3"),
        (b"2;20;b;?", "the line has 4 fields, expected 3"),
    ],
)
def test_a_line_with_a_wrong_number_of_fields_is_refused_alone(line: bytes, message: str, quoted: bytes) -> None:
    pack = read(GOOD, HEADER + b"1;10;a\n" + line + b"\n3;30;c\n" + quoted, GOOD)
    assert pack.refusals == [Refusal(1, 2, "field_count", message, line.decode())]
    assert [at for at, _ in rows(pack, 1)] == [1, 3, *([4] if quoted else [])]
    assert rows(pack, 0) == rows(pack, 2) == GOOD_ROWS


def read_strictly(*contents: bytes, most: int, rate: float) -> Pack:
    """Read with a limit for the rejected lines of a file."""
    checks = Checks(file_rejects=most, file_reject_rate=rate)
    return CsvReader(use_case().model_copy(update={"checks": checks})).read(contents)


@pytest.mark.parametrize("good", [b"1;10;a\n", b'1;"1;0";a\n'], ids=["without quotes", "with quotes"])
def test_a_file_of_which_too_many_lines_have_other_fields_is_refused_before_they_are_kept(good: bytes) -> None:
    data = HEADER + good + b"2\n\n3;30\n4;4;4;4\n"
    pack = read_strictly(HEADER + good, data, HEADER + good + b"2\n", most=2, rate=0.5)
    whole, line = pack.refusals
    assert (whole.file, whole.line, whole.rule, whole.raw) == (1, None, "too_many_rejects", "2")
    assert whole.message == (
        "3 of 5 lines are rejected (3 field_count), such as line 2: the line has 1 fields, expected 3; "
        "line 4: the line has 2 fields, expected 3; line 5: the line has 4 fields, expected 3"
    )
    assert (line.file, line.line, line.rule) == (2, 2, "field_count")
    assert [len(rows(pack, number)) for number in range(3)] == [1, 0, 1]
    assert pack.lines.tolist() == [1, 0, 2]


@hypothesis.given(st.lists(st.lists(st.sampled_from(["", "1", "1;2", "1;2;3", '"1;2"', '"1";2;"3;"', ";;", ";;;"]))))
def test_files_below_the_limit_are_read_as_without_one(files: list[list[str]]) -> None:
    contents = [HEADER + "".join(f"{line}\n" for line in ["1;2;3", *lines]).encode() for lines in files]
    limited, free = read_strictly(*contents, most=2, rate=0.5), read(*contents)
    for number, data in enumerate(contents):
        told = [[one for one in pack.refusals if one.file == number] for pack in (limited, free)]
        if len(told[1]) > 2 and len(told[1]) > 0.5 * (data.count(b"\n") - 1) and told[0][0].line is None:
            assert told[0][0].rule == "too_many_rejects"
        else:  # the limit of a file is for whoever checks its rows
            assert told[0] == told[1]
            assert rows(limited, number) == rows(free, number)


@pytest.mark.parametrize("label", [b"c", b'"c"'], ids=["without quotes", "with quotes"])
def test_a_blank_line_counts_so_that_later_lines_keep_their_numbers(label: bytes) -> None:
    pack = read(HEADER + b"1;10;a\n\n\n4;40;" + label + b"\n")
    assert rows(pack) == [(1, ["1", "10", "a"]), (2, ["", "", ""]), (3, ["", "", ""]), (4, ["4", "40", "c"])]
    assert pack.lines.tolist() == [4]


def test_every_bad_line_at_every_place_keeps_its_number() -> None:
    pack = read(*[HEADER + b"1\n2;20;b\n3;30;c;d\n\n5;50;e\n6\n"] * 3)
    assert [(refusal.file, refusal.line) for refusal in pack.refusals] == [
        (n, at) for n in range(3) for at in (1, 3, 6)
    ]
    assert all([line for line, _ in rows(pack, file)] == [2, 4, 5] for file in range(3))
    assert pack.lines.tolist() == [6, 6, 6]


def test_a_record_over_several_lines_has_the_number_of_its_first_one() -> None:
    pack = read(HEADER + b'1;10;"a\na\na"\n2\n3;30;c\n', line_breaks_in_fields=True)
    assert [line for line, _ in rows(pack)] == [1, 5]
    assert [(refusal.line, refusal.raw) for refusal in pack.refusals] == [(4, "2")]
    assert (pack.lines.tolist(), pack.swallowed.tolist()) == ([5], [2])


def test_a_refused_line_is_kept_with_its_quotes() -> None:
    (only,) = read(HEADER + b'1;"1;0"\n2;20;b\n').refusals
    assert only.raw == '1;"1;0"'


def test_a_very_long_refused_line_is_cut() -> None:
    (only,) = read(HEADER + b"1;" + b"x" * 100_000 + b"\n").refusals
    assert len(only.raw) == 2_000


def test_a_field_may_be_very_long() -> None:
    long = b"x" * 300_000
    pack = read(HEADER + b"1;10;" + long + b'\n2;20;"' + long + b'"\n')
    assert [len(row[2]) for _, row in rows(pack)] == [300_000, 300_000]


def test_a_single_column_may_be_all_there_is() -> None:
    case = use_case().model_copy(update={"columns": {"label": use_case().columns["label"]}})
    pack = CsvReader(case).read([b"label\na\n\nb"])
    assert rows(pack) == [(1, ["a"]), (2, [""]), (3, ["b"])]


def test_a_mark_at_the_start_of_the_first_row_is_read_as_in_any_other_row() -> None:
    line = "\ufeff1;10;a\n".encode()
    pack = read(HEADER + line, HEADER + line)
    assert rows(pack, 0) == rows(pack, 1)
