"""From the bytes of files to typed rows and rejects, and from a folder to the tables `rows` and `rejects`."""

from __future__ import annotations

import datetime as dt
import os
import threading
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pyarrow as pa
import pytest

from mlops_assets.errors import ShardFailed
from mlops_assets.journey.read import fetching
from mlops_assets.journey.read.fetching import FILES_A_THREAD, READERS
from mlops_assets.journey.read.listing import Manifest, list_day
from mlops_assets.journey.read.readers.csv import CsvReader
from mlops_assets.journey.read.readers.pack import Refusal
from mlops_assets.journey.read.rows import account, check_rows, read_day, rejects_table
from mlops_assets.journey.read.sources.folder import FolderSource, SourceError
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import Checks, Scale, UseCase
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.work.progress import Progress
from mlops_assets_tests.helpers.account_files import HEADER, ROW, WriteDay, account_file, changed
from mlops_assets_tests.helpers.paths import REAL_DATA
from mlops_assets_tests.helpers.reading import Rows, read

DAY = "2026-01-01"
LOAN_HEADER = (
    ",Age,Annual_Income,Credit_Score,Loan_Amount,Loan_Duration_Years,Number_of_Open_Accounts,"
    "Had_Past_Default,Loan_Approval"
)

repeatable = hypothesis.settings(deadline=None, derandomize=True, database=None, max_examples=60)


def read_one(use_case: UseCase, line: str) -> dict[str, Any]:
    """The only row of an account file."""
    ((row,), refusals, _) = read(use_case, account_file([line]))
    assert refusals == []
    return row


# -- a file that is all dirt -------------------------------------------------------------------------------------------


NOTHING_BUT_DIRT = {
    "blank": ("", "blank_line"),
    "short": ("a;b", "field_count"),
    "wrong": (changed(data="never"), "type"),
}


@pytest.mark.parametrize("kind", NOTHING_BUT_DIRT)
def test_a_file_with_too_many_bad_lines_is_one_refused_file(transactions: UseCase, kind: str) -> None:
    line, rule = NOTHING_BUT_DIRT[kind]
    strict = transactions.model_copy(update={"checks": Checks(file_rejects=20, file_reject_rate=0.2)})
    found, refusals, _ = read(strict, account_file([ROW] + [line] * 21), account_file([ROW]), account_file([line] * 20))
    assert [row["file"] for row in found] == [1]
    (whole,) = [refusal for refusal in refusals if refusal.file == 0]
    assert (whole.line, whole.rule) == (None, "too_many_rejects")
    assert f"21 of 22 lines are rejected (21 {rule}), such as line 2: " in whole.message
    assert len(refusals) == 21  # the third file has as many as it may have, each of its own


def test_a_large_file_may_have_a_small_share_of_bad_lines(transactions: UseCase) -> None:
    strict = transactions.model_copy(update={"checks": Checks(file_rejects=2, file_reject_rate=0.2)})
    found, refusals, _ = read(strict, account_file([ROW] * 40 + [""] * 10))
    assert (len(found), len(refusals)) == (40, 10)


# -- the dirt of the published account files ---------------------------------------------------------------------------


def test_a_row_of_the_published_format_becomes_typed_values(transactions: UseCase) -> None:
    assert read_one(transactions, ROW) == {
        "file": 0,
        "line": 1,
        "account_id": "4,53E+11",
        "account_opened": 201405,
        "home_city": "CAMPO LIMPO PAULISTA",
        "home_state": "SP",
        "age": 37,
        "sex": "F",
        "limit_total": 4700.0,
        "limit_available": 5605.0,
        "date": dt.date(2019, 12, 4),
        "amount": 31.9,
        "category": "SERVIÇO",
        "merchant_city": "SAO PAULO",
        "merchant_country": "BR",
    }


@pytest.mark.parametrize(
    ("field", "text", "column", "value"),
    [
        ("id", "4,53E+11", "account_id", "4,53E+11"),
        ("id", "94873707154", "account_id", "94873707154"),
        ("cidade", "SAO PAULO             ", "home_city", "SAO PAULO"),
        ("estado", "SP ", "home_state", "SP"),
        ("limite_total", "40000", "limit_total", 40_000.0),
        ("limite_total", "40.000", "limit_total", 40_000.0),
        ("limite_disp", "0", "limit_available", 0.0),
        ("limite_disp", "-12,5", "limit_available", -12.5),
        ("limite_disp", "99999", "limit_available", 99_999.0),
        ("data", "4.12.2019", "date", dt.date(2019, 12, 4)),
        ("data", "04.12.2019", "date", dt.date(2019, 12, 4)),
        ("valor", "31", "amount", 31.0),
        ("valor", "31,9", "amount", 31.9),
        ("valor", "31,90", "amount", 31.9),
        ("valor", "1.234,56", "amount", 1234.56),
        ("valor", "12.345,60", "amount", 12345.6),
        ("valor", "1.234", "amount", 1234.0),
        ("valor", " 31,90 ", "amount", 31.9),
        ("valor", " -   ", "amount", None),
        ("valor", "", "amount", None),
        ("grupo_estabelecimento", "SERVIÇO", "category", "SERVIÇO"),
        ("grupo_estabelecimento", "AUTO PEÇAS", "category", "AUTO PEÇAS"),
        ("grupo_estabelecimento", "M.O.T.O.", "category", "M.O.T.O."),
        ("grupo_estabelecimento", "", "category", None),
        ("cidade_estabelecimento", "", "merchant_city", None),
        ("cidade_estabelecimento", "RIO DE JANEIR", "merchant_city", "RIO DE JANEIR"),
        ("cidade_estabelecimento", "Sao Paulo", "merchant_city", "Sao Paulo"),
        ("cidade_estabelecimento", "SÃO PAULO", "merchant_city", "SÃO PAULO"),
        ("cidade_estabelecimento", "415-503-9235", "merchant_city", "415-503-9235"),
        ("cidade_estabelecimento", "5,51E+11", "merchant_city", "5,51E+11"),
        ("cidade_estabelecimento", "11001NETFLIX", "merchant_city", "11001NETFLIX"),
        ("cidade_estabelecimento", "WWW.UBER.COM", "merchant_city", "WWW.UBER.COM"),
        ("pais_estabelecimento", "OH", "merchant_country", "OH"),
        ("pais_estabelecimento", "SP", "merchant_country", "SP"),
        ("pais_estabelecimento", "", "merchant_country", None),
    ],
)
def test_dirt_of_the_published_format_is_read(
    transactions: UseCase, field: str, text: str, column: str, value: object
) -> None:
    assert read_one(transactions, changed(**{field: text})) == {**read_one(transactions, ROW), column: value}


def test_an_account_file_whose_label_column_is_absent_is_read_beside_one_that_has_it(transactions: UseCase) -> None:
    names = HEADER.split(";")
    place = names.index("grupo_estabelecimento")
    header, line = (";".join(part for at, part in enumerate(text.split(";")) if at != place) for text in (HEADER, ROW))
    rows, refusals, _ = read(transactions, account_file(), account_file([line], header), account_file())
    assert refusals == []
    assert [row["category"] for row in rows] == ["SERVIÇO", None, "SERVIÇO"]
    assert rows[1] == {**rows[0], "file": 1, "category": None}


def test_exact_duplicates_stay_apart_by_their_lines(transactions: UseCase) -> None:
    rows, _, _ = read(transactions, account_file([ROW, ROW]))
    assert [row.pop("line") for row in rows] == [1, 2]
    assert rows[0] == rows[1]


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="the real data are not beside this checkout")
def test_every_line_of_the_published_table_is_a_row_once_accounts_are_apart(transactions: UseCase) -> None:
    (table,) = (REAL_DATA / "transactions").glob("*.csv")
    header, *lines = table.read_bytes().splitlines(keepends=True)
    accounts: dict[bytes, list[bytes]] = {}
    for line in lines:
        accounts.setdefault(b";".join(line.split(b";")[:2]), []).append(line)
    rows, refusals, counts = read(transactions, *(header + b"".join(some) for some in accounts.values()))
    assert (len(accounts), len(rows), refusals, counts["lines"]) == (29, 3944, [], 3944)
    assert sum(row["amount"] is None for row in rows) == 11


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="the real data are not beside this checkout")
def test_every_line_of_the_published_loan_table_is_a_row(loan_approval: UseCase) -> None:
    rows, refusals, _ = read(loan_approval, (REAL_DATA / "loan_approval" / "dataset.csv").read_bytes())
    assert (len(rows), refusals) == (1000, [])
    missing = {name: sum(row[name] is None for row in rows) for name in rows[0]}
    assert {name: count for name, count in missing.items() if count} == {
        "age": 50,
        "annual_income": 30,
        "credit_score": 40,
        "loan_amount": 20,
        "open_accounts": 10,
    }


# -- bad lines ---------------------------------------------------------------------------------------------------------

BAD_LINES = {
    "no id": (changed(id="  "), "required", "'id' is empty, but required"),
    "no date": (changed(data=""), "required", "'data' is empty, but required"),
    "a text as age": (changed(idade="x"), "type", "'idade' is 'x', expected an integer"),
    "half a year": (changed(idade="37,5"), "type", "'idade' is '37,5'"),
    "an English number": (changed(valor="1.5"), "type", "'valor' is '1.5', expected a number"),
    "another currency": (changed(valor="US$ 5"), "type", "'valor' is 'US$ 5'"),
    "31 February": (changed(data="31.02.2020"), "type", "'data' is '31.02.2020', expected a date of the form %d.%m.%Y"),
    "an American date": (changed(data="12/04/2019"), "type", "'data' is '12/04/2019'"),
    "too old": (changed(idade="131"), "range", "'idade' is '131', allowed are values from 0 to 130"),
    "no such month": (changed(safra_abertura="2014"), "range", "'safra_abertura' is '2014'"),
    "a field too few": (ROW.rpartition(";")[0], "field_count", "the line has 12 fields, expected 13"),
    "a field too many": (ROW + ";", "field_count", "the line has 14 fields, expected 13"),
    "a blank line": ("", "blank_line", "the line is blank"),
    "delimiters alone": (";" * 12, "blank_line", "the line is blank"),
    "the header again": (HEADER, "type", "'safra_abertura' is 'safra_abertura', expected an integer"),
}


@pytest.mark.parametrize(("line", "rule", "message"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_rejected_as_it_stood_and_the_others_keep_their_numbers(
    transactions: UseCase, line: str, rule: str, message: str
) -> None:
    rows, refusals, counts = read(transactions, account_file(), account_file([ROW, line, ROW, ROW]), account_file())
    (only,) = refusals
    assert (only.file, only.line, only.rule, only.raw) == (1, 2, rule, line)
    assert message in only.message
    assert [(row["file"], row["line"]) for row in rows] == [(0, 1), (1, 1), (1, 3), (1, 4), (2, 1)]
    assert counts == {"files": 3, "files_read": 3, "files_refused": 0, "lines": 6, "rows": 5, "rejected": 1}


@pytest.mark.parametrize(("value", "rule"), [("2", "allowed"), ("yes", "allowed")])
def test_a_label_that_is_not_allowed_rejects_its_line(loan_approval: UseCase, value: str, rule: str) -> None:
    line = f"7,30,1000,500,100,3,1,0,{value}"
    rows, (only,), _ = read(loan_approval, f"{LOAN_HEADER}\n{line}\n{line[: -len(value)]}1\n".encode())
    assert (only.line, only.rule, only.raw) == (1, rule, line)
    assert only.message == f"'Loan_Approval' is '{value}', allowed are 0, 1"
    assert [(row["line"], row["approved"]) for row in rows] == [(2, "1")]


def test_all_faults_of_a_line_are_told_and_the_first_one_names_the_rule(transactions: UseCase) -> None:
    _, (only,), _ = read(transactions, account_file([changed(idade="x", valor="1.5", data="")]))
    assert only.rule == "type"
    assert only.message.count(";") == 2
    assert all(name in only.message for name in ("'idade'", "'valor'", "'data'"))


def test_a_rejected_line_after_a_record_of_several_lines_is_kept_as_it_stood(transactions: UseCase) -> None:
    files = transactions.files.model_copy(update={"line_breaks_in_fields": True})
    case = transactions.model_copy(update={"files": files})
    spread, bad = changed(cidade_estabelecimento='"SAO\nPAULO"'), changed(idade="x")
    rows, (only,), counts = read(case, account_file([spread, bad]))
    assert [row["line"] for row in rows] == [1]
    assert (only.line, only.raw) == (3, bad)
    assert (counts["lines"], counts["rows"], counts["rejected"], counts["noticed_swallowed_lines"]) == (3, 1, 1, 1)


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"], ids=["CRLF", "LF", "old Mac CR"])
@pytest.mark.parametrize("bad", [changed(idade="x", cidade_estabelecimento="SÃO PAULO"), "too;few"])
def test_a_rejected_line_is_kept_as_it_stood_however_its_file_ends_lines(
    transactions: UseCase, bad: str, end: str
) -> None:
    _, (only,), _ = read(transactions, account_file([ROW, bad, ROW], end=end))
    assert (only.line, only.raw) == (2, bad)


def test_a_rejected_line_of_a_file_with_a_byte_order_mark_is_kept_as_it_stood(transactions: UseCase) -> None:
    bad = changed(idade="x")
    _, (only,), _ = read(transactions, "\n".join([HEADER, bad, ""]).encode("utf-8-sig"))
    assert only.raw == bad


# -- files that must hold one account ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("field", "value"), [("id", "5"), ("safra_abertura", "201406")])
def test_a_file_of_two_accounts_is_refused_and_its_neighbours_are_read(
    transactions: UseCase, field: str, value: str
) -> None:
    mixed = account_file([ROW, "", changed(**{field: value}), "too;few"])
    rows, (only,), counts = read(transactions, account_file(), mixed, account_file())
    assert only == Refusal(1, None, "constant", f"'{field}' has more than one value in the file")
    assert [row["file"] for row in rows] == [0, 2]
    assert (counts["files_read"], counts["files_refused"], counts["lines"], counts["rejected"]) == (2, 1, 2, 0)


def test_files_of_different_accounts_lie_side_by_side(transactions: UseCase) -> None:
    rows, refusals, _ = read(transactions, *(account_file([changed(id=name)] * 2) for name in "123"))
    assert refusals == []
    assert [row["account_id"] for row in rows] == ["1", "1", "2", "2", "3", "3"]


def test_an_account_id_that_differs_in_blanks_alone_is_the_same_account(transactions: UseCase) -> None:
    _, refusals, _ = read(transactions, account_file([changed(id="7"), changed(id=" 7 ")]))
    assert refusals == []


def test_another_account_in_a_rejected_line_does_not_count(transactions: UseCase) -> None:
    rows, (only,), _ = read(transactions, account_file([ROW, changed(id="5", idade="x")]))
    assert (only.line, only.rule, len(rows)) == (2, "type", 1)


# -- whatever comes, it adds up ----------------------------------------------------------------------------------------

LINES = {
    "row": ROW,
    "missing": changed(valor=" -   ", cidade_estabelecimento="", pais_estabelecimento=""),
    "letters": changed(cidade_estabelecimento="SÃO PAULO"),
    "quoted": changed(cidade_estabelecimento='"SAO; ""PAULO"'),
    "other account": changed(id="1"),
    "few": "1;2;3",
    "many": ROW + ";;",
    "blank": "",
    "delimiters": ";" * 12,
    "type": changed(valor="1.5"),
    "range": changed(idade="200"),
    "required": changed(data=""),
    "open quote": changed(cidade_estabelecimento='"SAO PAULO'),
}
SPOILT = (
    b"",
    b"\r\n",
    HEADER.encode(),
    HEADER.encode() + b"\r\n",
    account_file().replace(b";", b","),
    account_file()[:-60],
    account_file(header="a;b"),
    account_file() + b"\0",
    account_file().decode("mac_roman").encode("utf-16"),
    bytes(range(1, 256)),
)

good_files = st.builds(
    account_file,
    st.lists(st.sampled_from(list(LINES.values())), min_size=1, max_size=6),
    end=st.sampled_from(["\r\n", "\n", "\r"]),
)


def _mutated(data: bytes, changes: Sequence[tuple[int, int, bytes]]) -> bytes:
    """The bytes with some of them cut out and others put in."""
    for place, cut, new in changes:
        at = place % (len(data) + 1)
        data = data[:at] + new + data[at + cut :]
    return data


signs = st.sampled_from([b'"', b"\n", b"\r", b"\r\n", b";", b"\0", b"\xff", b"\xef\xbb\xbf", b" ", b",", b"-", b"\x85"])
changes = st.lists(
    st.tuples(st.integers(0, 1_000), st.integers(0, 40), signs | st.binary(max_size=3)), min_size=1, max_size=6
)
damaged = st.builds(_mutated, good_files, changes)
files = st.lists(good_files | damaged | st.sampled_from(SPOILT) | st.binary(max_size=50), max_size=5)
NEIGHBOUR = account_file([ROW, changed(valor="1,5"), ROW])


@repeatable
@hypothesis.given(contents=files)
def test_reading_files_together_is_reading_each_alone(transactions: UseCase, contents: list[bytes]) -> None:
    together, refusals, counts = read(transactions, *contents)
    alone = [read(transactions, data) for data in contents]
    assert together == [{**row, "file": place} for place, (rows, _, _) in enumerate(alone) for row in rows]
    assert [(r.file, r.line, r.rule, r.message, r.raw) for r in refusals] == [
        (place, r.line, r.rule, r.message, r.raw) for place, (_, some, _) in enumerate(alone) for r in some
    ]
    # what is noticed of no file has no count
    assert counts == {name: sum(one.get(name, 0) for _, _, one in alone) for name in counts}


some_lines = st.lists(st.sampled_from([line for name, line in LINES.items() if "quote" not in name]), min_size=1)


@repeatable
@hypothesis.given(lines=some_lines)
def test_every_line_is_a_row_or_a_reject_or_its_whole_file_is_refused(transactions: UseCase, lines: list[str]) -> None:
    rows, refusals, _ = read(transactions, NEIGHBOUR, account_file(lines), NEIGHBOUR)
    places = [row["line"] for row in rows if row["file"] == 1] + [refusal.line for refusal in refusals]
    assert places == [None] or sorted(places) == list(range(1, len(lines) + 1))


@repeatable
@hypothesis.given(lines=some_lines)
def test_every_reject_holds_its_line(transactions: UseCase, lines: list[str]) -> None:
    _, refusals, _ = read(transactions, account_file(lines))
    assert all(refusal.raw == lines[refusal.line - 1] for refusal in refusals if refusal.line)


def untouched(use_case: UseCase, *odd: bytes) -> None:
    """Read files between two good ones, and see that these come out whole and that everything adds up."""
    rows, refusals, counts = read(use_case, NEIGHBOUR, *odd, NEIGHBOUR)
    last = len(odd) + 1
    assert [row["line"] for row in rows if row["file"] == 0] == [1, 2, 3]
    assert [row["line"] for row in rows if row["file"] == last] == [1, 2, 3]
    assert not {refusal.file for refusal in refusals} & {0, last}
    assert counts["files"] == counts["files_read"] + counts["files_refused"] == last + 1
    assert counts["lines"] == counts["rows"] + counts["rejected"]


@repeatable
@hypothesis.given(
    odd=st.lists(st.binary(max_size=200) | st.builds(lambda tail: HEADER.encode() + tail, st.binary()), max_size=4)
)
def test_no_bytes_at_all_make_reading_fail_or_harm_other_files(transactions: UseCase, odd: list[bytes]) -> None:
    untouched(transactions, *odd)


@repeatable
@hypothesis.given(odd=st.lists(damaged, min_size=1, max_size=4))
def test_no_damage_to_a_file_makes_reading_fail_or_harms_other_files(transactions: UseCase, odd: list[bytes]) -> None:
    untouched(transactions, *odd)


@repeatable
@hypothesis.given(
    odd=st.lists(st.builds(lambda tail: f"{LOAN_HEADER}\n".encode() + tail, st.binary() | st.text().map(str.encode)))
)
def test_no_bytes_make_reading_fail_in_a_contract_of_utf_8(loan_approval: UseCase, odd: list[bytes]) -> None:
    _, _, counts = read(loan_approval, *odd)
    assert counts["lines"] == counts["rows"] + counts["rejected"]


@pytest.mark.parametrize(
    ("accounts", "noticed"), [(["7", "7"], 1), (["7"], 0), (["7", "8"], 0), (["7", "7", "8"], 0), (["", ""], 0)]
)
def test_a_file_of_one_account_is_noticed(loan_approval: UseCase, accounts: list[str], noticed: int) -> None:
    good = "\n".join([LOAN_HEADER, *(f"{one},1,2,3,4,5,6,0,1" for one in accounts), ""]).encode()
    other = f"{LOAN_HEADER}\n1,1,2,3,4,5,6,0,1\n2,1,2,3,4,5,6,0,1\n".encode()
    counts = read(loan_approval, other, good, other)[2]
    assert counts.get("noticed_one_account", 0) == noticed


def test_a_file_that_is_to_be_one_account_is_not_noticed(transactions: UseCase) -> None:
    assert "noticed_one_account" not in read(transactions, account_file([ROW, ROW]))[2]


def test_a_file_whose_lines_are_neither_rows_nor_rejects_stops_the_day(transactions: UseCase) -> None:
    contents = [account_file([ROW, ROW])]
    pack = CsvReader(transactions).read(contents)
    table, refusals = check_rows(transactions, ["a.csv"], pack)
    with pytest.raises(ShardFailed, match="2 lines, but 1 rows and 0 rejects"):
        account(pack, table.slice(0, 1), refusals, 1)


def test_rejects_are_ordered_by_file_and_line_with_the_whole_file_first() -> None:
    refusals = [
        Refusal(1, 9, "type", ""),
        Refusal(0, 2, "type", ""),
        Refusal(1, None, "quote", ""),
        Refusal(1, 1, "type", ""),
    ]
    table = rejects_table(["b.csv", "a.csv"], refusals)
    assert [(row["file"], row["line"]) for row in table.to_pylist()] == [
        ("b.csv", 2),
        ("a.csv", None),
        ("a.csv", 1),
        ("a.csv", 9),
    ]


# -- a day on disk -----------------------------------------------------------------------------------------------------


class Day:
    """A day of one use case on disk: list it, read it, look at its tables."""

    def __init__(self, settings: Settings, use_case: UseCase) -> None:
        self.use_case = use_case
        self.source = FolderSource(settings.raw / use_case.name, use_case.files.suffix)
        self.lake = Lake(settings.lake, use_case.name)

    def manifest(self) -> Manifest:
        return list_day(self.use_case, self.source, self.lake.table("raw_files"), DAY)

    def read(self, manifest: Manifest | None = None) -> dict[str, Any]:
        with LocalEngine(1) as engine:
            watch = Progress("rows", files=0)
            done = read_day(self.use_case, self.source, self.lake, manifest or self.manifest(), engine, watch)
        return {**done.accounting.to_json(), "shards": done.shards, "reused": done.reused}

    def table(self, name: str) -> Rows:
        rows = self.lake.table(name).read_all([DAY]).to_pylist()
        return sorted(rows, key=lambda row: (row["file"], row["line"] or 0))

    def files(self) -> list[str]:
        return [row["file"] for row in self.table("rows")]


@pytest.fixture
def open_day(settings: Settings) -> Callable[[UseCase], Day]:
    return lambda use_case: Day(settings, use_case)


@pytest.fixture
def day(settings: Settings, transactions: UseCase) -> Day:
    """A day of `transactions` whose shards have two files."""
    return Day(settings, transactions.model_copy(update={"scale": Scale(files_a_shard=2)}))


def numbered(count: int) -> dict[str, bytes]:
    return {f"{number}.csv": account_file() for number in range(count)}


def test_a_day_is_published_with_its_accounting_rows_and_rejects(day: Day, write_day: WriteDay) -> None:
    files = {"a.csv": account_file([ROW, ROW]), "deep/er/b.csv": account_file([changed(idade="x"), ROW]), "c.csv": b""}
    write_day("transactions", DAY, files)
    accounting = day.read()
    assert accounting == {
        "files": 3,
        "files_read": 2,
        "files_refused": 1,
        "lines": 4,
        "rows": 3,
        "rejected": 1,
        "labelled": 3,
        "labels": ("SERVIÇO",),
        "bytes": sum(map(len, files.values())),
        "rules": {"type": 1, "empty_file": 1},
        "manifest": day.manifest().fingerprint,
        "shards": 2,
        "reused": 0,
    }
    assert [(row["file"], row["line"]) for row in day.table("rows")] == [
        ("a.csv", 1),
        ("a.csv", 2),
        ("deep/er/b.csv", 2),
    ]
    assert day.table("rejects") == [
        {"file": "c.csv", "line": None, "rule": "empty_file", "message": "the file is empty", "raw": "", "day": DAY},
        {
            "file": "deep/er/b.csv",
            "line": 1,
            "rule": "type",
            "message": "'idade' is 'x', expected an integer",
            "raw": changed(idade="x"),
            "day": DAY,
        },
    ]


def test_the_rows_of_a_day_are_the_typed_rows_of_its_files(day: Day, write_day: WriteDay) -> None:
    write_day("transactions", DAY, {"a.csv": account_file()})
    day.read()
    expected = read_one(day.use_case, ROW)
    assert day.table("rows") == [{**expected, "file": "a.csv", "day": DAY}]


def test_the_accounting_is_kept_beside_the_published_day(day: Day, write_day: WriteDay) -> None:
    write_day("transactions", DAY, numbered(3))
    accounting = day.read()
    kept = day.lake.table("rows").days()[DAY].accounting.to_json()
    assert kept == {name: value for name, value in accounting.items() if name not in ("shards", "reused")}


def test_a_day_of_bad_files_is_read_around_them(day: Day, write_day: WriteDay) -> None:
    folder = write_day(
        "transactions",
        DAY,
        {
            "a.csv": account_file(),
            "binary.csv": b"\x01\x02;\n",
            "comma.csv": account_file().replace(b";", b","),
            "constant.csv": account_file([ROW, changed(id="1")]),
            "header.csv": account_file([]),
            "lacks.csv": account_file(header=HEADER.replace("data", "datum")),
            "nul.csv": account_file() + b"\0",
            "quote.csv": account_file([changed(sexo='"F')]),
            "report.xlsx": b"PK",
            "truncated.csv": account_file()[:-30],
            "utf16.csv": account_file().decode("mac_roman").encode("utf-16"),
            "z.csv": account_file(),
        },
    )
    (folder / "folder.csv").mkdir()
    (folder / "dangling.csv").symlink_to("nowhere")
    (folder / "elsewhere.csv").symlink_to("/etc/hostname")
    os.mkfifo(folder / "pipe.csv")
    accounting = day.read()
    assert (accounting["files"], accounting["files_read"], accounting["files_refused"]) == (16, 2, 14)
    assert [(row["file"], row["line"]) for row in day.table("rows")] == [("a.csv", 1), ("z.csv", 1)]
    assert {row["file"].partition(".")[0]: row["rule"] for row in day.table("rejects")} == {
        "binary": "binary",
        "comma": "delimiter",
        "constant": "constant",
        "dangling": "unreadable",
        "elsewhere": "link",
        "folder": "unreadable",
        "header": "no_rows",
        "lacks": "missing_column",
        "nul": "nul_bytes",
        "pipe": "unreadable",
        "quote": "quote",
        "report": "unreadable",
        "truncated": "truncated",
        "utf16": "nul_bytes",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused_alone(day: Day, write_day: WriteDay) -> None:
    folder = write_day("transactions", DAY, numbered(2))
    (folder / "1.csv").chmod(0)
    day.read()
    assert [(row["file"], row["rule"]) for row in day.table("rejects")] == [("1.csv", "unreadable")]
    assert day.files() == ["0.csv"]


def test_a_file_above_the_largest_size_is_refused_unread(
    transactions: UseCase, open_day: Callable[[UseCase], Day], write_day: WriteDay
) -> None:
    small = transactions.files.model_copy(update={"largest": 500})
    day = open_day(transactions.model_copy(update={"files": small}))
    write_day("transactions", DAY, {"a.csv": account_file(), "b.csv": account_file([ROW] * 10)})
    day.read()
    (only,) = day.table("rejects")
    assert (only["file"], only["rule"]) == ("b.csv", "too_large")
    assert only["message"].endswith("bytes, allowed 500")
    assert day.files() == ["a.csv"]


@pytest.mark.parametrize("exists", [True, False], ids=["an empty folder", "no folder"])
def test_a_day_without_files_is_published_as_empty(day: Day, write_day: WriteDay, exists: bool) -> None:
    if exists:
        write_day("transactions", DAY, {})
    accounting = day.read()
    assert (accounting["files"], accounting["rows"], accounting["shards"]) == (0, 0, 0)
    assert day.table("rows") == day.table("rejects") == []


def test_a_second_run_reads_no_shard_again_and_publishes_nothing_new(day: Day, write_day: WriteDay) -> None:
    write_day("transactions", DAY, numbered(8))
    first = day.read()
    version = day.lake.table("rows").days()[DAY].version
    second = day.read()
    assert (first["shards"], first["reused"]) == (4, 0)
    assert second == {**first, "reused": 4}
    assert day.lake.table("rows").days()[DAY].version == version


@pytest.mark.parametrize("name", ["late.csv", "deep/later.csv", "9.csv"])
def test_a_late_file_redoes_its_shard_alone(day: Day, write_day: WriteDay, name: str) -> None:
    write_day("transactions", DAY, numbered(8))
    day.read()
    write_day("transactions", DAY, {name: account_file()})
    accounting = day.read()
    assert (accounting["files"], accounting["shards"], accounting["reused"]) == (9, 4, 3)
    assert day.files() == sorted([*numbered(8), name])


def test_a_corrected_file_replaces_its_rows_and_redoes_its_shard_alone(day: Day, write_day: WriteDay) -> None:
    write_day("transactions", DAY, {**numbered(8), "3.csv": account_file([changed(idade="x")])})
    assert day.read()["rejected"] == 1
    write_day("transactions", DAY, {"3.csv": account_file()})
    accounting = day.read()
    assert (accounting["reused"], accounting["rejected"], accounting["rows"]) == (3, 0, 8)
    assert day.table("rejects") == []


def test_a_deleted_file_disappears_from_the_day(day: Day, write_day: WriteDay) -> None:
    folder = write_day("transactions", DAY, numbered(8))
    day.read()
    (folder / "5.csv").unlink()
    accounting = day.read()
    assert (accounting["files"], accounting["reused"]) == (7, 3)
    assert "5.csv" not in day.files()
    assert len(day.files()) == 7


def test_a_changed_contract_reads_every_shard_again(
    day: Day, open_day: Callable[[UseCase], Day], write_day: WriteDay
) -> None:
    write_day("transactions", DAY, numbered(4))
    day.read()
    content = day.use_case.model_dump(by_alias=True)
    content["columns"]["age"]["max"] = 30
    accounting = open_day(UseCase(**content)).read()
    assert (accounting["reused"], accounting["rejected"]) == (0, 4)


class Watched(FolderSource):
    """A folder that knows which threads have read."""

    threads: set[int]

    def read_listed(self, day: str, entries: pa.Table, largest: int) -> Sequence[bytes | None]:
        self.threads.add(threading.get_ident())
        return super().read_listed(day, entries, largest)


@pytest.mark.parametrize(("waits", "most"), [(0, 1), (1, READERS + 1)], ids=["files in memory", "a disk to wait for"])
def test_several_threads_read_where_the_disk_must_be_waited_for_and_files_keep_their_order(
    open_day: Callable[[UseCase], Day],
    transactions: UseCase,
    write_day: WriteDay,
    monkeypatch: pytest.MonkeyPatch,
    waits: int,
    most: int,
) -> None:
    waited = count(step=waits * FILES_A_THREAD)
    monkeypatch.setattr(fetching, "_waits", lambda: next(waited))
    day, files = open_day(transactions), 3 * FILES_A_THREAD + 1
    day.source = watched = Watched(day.source.root, day.source.suffix)
    watched.threads = set()
    ages = {f"{number:04d}.csv": number % 100 for number in range(files)}
    write_day("transactions", DAY, {name: account_file([changed(idade=str(age))]) for name, age in ages.items()})
    assert day.read()["files_read"] == files
    assert {row["file"]: row["age"] for row in day.table("rows")} == ages
    assert (len(watched.threads) > 1) == bool(waits)
    assert len(watched.threads) <= most


def test_days_do_not_touch_each_other(day: Day, write_day: WriteDay) -> None:
    write_day("transactions", DAY, numbered(2))
    write_day("transactions", "2026-01-02", numbered(3))
    day.read()
    other = list_day(day.use_case, day.source, day.lake.table("raw_files"), "2026-01-02")
    assert day.read(other)["rows"] == 3
    assert len(day.files()) == 2


def _rewrite(path: Path) -> None:
    path.write_bytes(account_file([ROW, ROW]))


def _touch(path: Path) -> None:
    os.utime(path, (0, 0))


@pytest.mark.parametrize(
    ("change", "message"), [(_rewrite, "changed after"), (_touch, "changed after"), (Path.unlink, "vanished after")]
)
def test_a_file_that_changes_between_listing_and_reading_publishes_nothing(
    day: Day, write_day: WriteDay, change: Callable[[Path], None], message: str
) -> None:
    folder = write_day("transactions", DAY, numbered(4))
    manifest = day.manifest()
    change(folder / "2.csv")
    with pytest.raises(SourceError, match=f"2.csv: {message} the day was listed. Run {DAY} again."):
        day.read(manifest)
    assert day.lake.table("rows").days() == {}
    assert day.lake.table("rejects").days() == {}


def test_what_was_published_stands_when_a_later_run_fails(day: Day, write_day: WriteDay) -> None:
    folder = write_day("transactions", DAY, numbered(4))
    day.read()
    _rewrite(folder / "2.csv")
    manifest = day.manifest()
    _touch(folder / "2.csv")
    with pytest.raises(SourceError):
        day.read(manifest)
    assert day.files() == list(numbered(4))


def test_a_run_after_a_failed_one_takes_over_the_shards_that_were_finished(day: Day, write_day: WriteDay) -> None:
    folder = write_day("transactions", DAY, numbered(8))
    manifest = day.manifest()
    last = day.lake.table("raw_files").read_all([DAY]).sort_by("shard")["path"].to_pylist()[-1]
    _rewrite(folder / last)
    with pytest.raises(SourceError):
        day.read(manifest)
    assert day.read()["reused"] == 3
