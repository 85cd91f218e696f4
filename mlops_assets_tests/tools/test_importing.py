"""How one published table is cut into account files of days, byte for byte."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.journey.read.readers.csv import CsvReader
from mlops_assets.journey.read.rows import check_rows
from mlops_assets.journey.read.sources.folder import FolderSource
from mlops_assets.tools.importing import Imported, import_table, place_table
from mlops_assets.use_case import UseCase
from mlops_assets_tests.helpers.account_files import HEADER, ROW, account_file, changed
from mlops_assets_tests.helpers.paths import REAL_DATA

NAME = "4,53E+11-201405.csv"

Cut = Callable[[bytes], Imported]


@pytest.fixture
def cut(transactions: UseCase, tmp_path: Path) -> Cut:
    """Import a table into `<tmp_path>/raw`."""

    def run(data: bytes) -> Imported:
        table = tmp_path / "table.csv"
        table.write_bytes(data)
        return import_table(transactions, table, tmp_path / "raw")

    return run


def written(tmp_path: Path) -> dict[str, bytes]:
    """Every file that was written, by its path below the folder of the use case."""
    folder = tmp_path / "raw" / "transactions"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_one_account_and_month_in_the_first_day_of_the_next_month(cut: Cut, tmp_path: Path) -> None:
    november, december, other = changed(data="30.11.2019"), ROW, changed(id="5")
    done = cut(account_file([december, other, november, december]))
    assert done == Imported(files=3, present=0, days=("2019-12-01", "2020-01-01"), rows=4, unplaced=0)
    assert written(tmp_path) == {
        f"day=2019-12-01/{NAME}": account_file([november]),
        f"day=2020-01-01/{NAME}": account_file([december, december]),
        "day=2020-01-01/5-201405.csv": account_file([other]),
    }


@pytest.mark.parametrize("line", [changed(idade="x"), changed(valor="1.5"), changed(idade="200"), changed(sexo='"F"')])
def test_a_line_goes_to_its_account_as_it_stands_even_if_it_will_be_rejected(
    cut: Cut, tmp_path: Path, line: str
) -> None:
    assert cut(account_file([ROW, line])).unplaced == 0
    assert written(tmp_path) == {f"day=2020-01-01/{NAME}": account_file([ROW, line])}


@pytest.mark.parametrize(
    "line",
    [changed(data="31.02.2020"), changed(data=""), changed(id=" "), changed(safra_abertura=""), "1;2;3", "", ROW + ";"],
)
def test_a_line_without_date_or_key_is_set_aside_in_the_last_day_for_the_daily_run_to_reject(
    cut: Cut, tmp_path: Path, transactions: UseCase, line: str
) -> None:
    done = cut(account_file([changed(data="1.01.2019"), line, ROW]))
    assert done == Imported(files=3, present=0, days=("2019-02-01", "2020-01-01"), rows=2, unplaced=1)
    aside = written(tmp_path)["day=2020-01-01/unplaced.csv"]
    assert aside == account_file([line])
    pack = CsvReader(transactions).read([aside])
    table, refusals = check_rows(transactions, ["unplaced.csv"], pack)
    assert (table.num_rows, len(refusals) + len(pack.refusals)) == (0, 1)


NEVER = ("31.12.9999", "1.01.0001", "31.12.1899", "1.01.2201")


@pytest.mark.parametrize("date", [*NEVER, "", "NULL"])
def test_a_date_that_stands_for_never_or_not_known_makes_no_day(
    cut: Cut, tmp_path: Path, transactions: UseCase, date: str
) -> None:
    done = cut(account_file([ROW, changed(data=date)]))
    assert done == Imported(files=2, present=0, days=("2020-01-01",), rows=1, unplaced=1)
    aside = written(tmp_path)["day=2020-01-01/unplaced.csv"]
    _, (only,) = check_rows(transactions, ["unplaced.csv"], CsvReader(transactions).read([aside]))
    assert only.rule == ("range" if date in NEVER else "type" if date else "required")


def test_lines_of_days_that_no_run_reads_are_counted_and_not_written(transactions: UseCase, tmp_path: Path) -> None:
    wide = {"date": transactions.columns["date"].model_copy(update={"max": dt.date.max})}
    case = transactions.model_copy(update={"columns": {**transactions.columns, **wide}})
    early, first = changed(data="30.11.2018"), changed(data="31.12.2018")
    (tmp_path / "table.csv").write_bytes(account_file([ROW, early, changed(data="31.12.9999"), "?", first]))
    done = import_table(case, tmp_path / "table.csv", tmp_path / "raw")
    assert done == Imported(files=3, present=0, days=("2019-01-01", "2020-01-01"), rows=2, unplaced=1, outside=2)
    assert Counter(b"".join(written(tmp_path).values()).splitlines())[early.encode("mac_roman")] == 0
    (tmp_path / "table.csv").write_bytes(account_file([early]))
    with pytest.raises(MlopsError, match=r"no line has a readable 'date' from 2019-01-01 \(`start`\) on"):
        import_table(case, tmp_path / "table.csv", tmp_path / "raw")


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"], ids=["CRLF", "LF", "old Mac CR"])
@pytest.mark.parametrize("last", [True, False], ids=["final line end", "no final line end"])
def test_a_table_may_end_its_lines_in_any_way(cut: Cut, tmp_path: Path, end: str, last: bool) -> None:
    data = account_file([ROW, ROW], end=end)
    cut(data if last else data.removesuffix(end.encode()))
    assert written(tmp_path) == {f"day=2020-01-01/{NAME}": account_file([ROW, ROW])}


def test_keys_that_differ_in_blanks_alone_share_a_file(cut: Cut, tmp_path: Path) -> None:
    lines = [changed(id="7"), changed(id=" 7 ")]
    cut(account_file(lines))
    assert written(tmp_path) == {"day=2020-01-01/7-201405.csv": account_file(lines)}


@pytest.mark.parametrize("key", ["../../etc", "a/b", "a~2f~b", ".", "..", ".hidden", "_hidden", "-", "Ç", "a b", "a:b"])
def test_any_key_names_a_file_of_its_own_that_the_daily_run_will_see(cut: Cut, tmp_path: Path, key: str) -> None:
    cut(account_file([changed(id=key), changed(id="a"), changed(id="b"), changed(id="b", data="?")]))
    listed = list(FolderSource(tmp_path / "raw" / "transactions", ".csv").list("2020-01-01"))
    assert [entry.problem for entry in listed] == [""] * 4
    assert Counter(written(tmp_path).values()).total() == 4


def test_a_second_import_of_a_table_writes_nothing(cut: Cut, tmp_path: Path) -> None:
    first = cut(account_file([ROW, changed(id="5")]))
    before = written(tmp_path)
    second = cut(account_file([ROW, changed(id="5")]))
    assert (first.files, first.present, second.files, second.present) == (2, 0, 0, 2)
    assert written(tmp_path) == before


def test_other_rows_of_an_imported_account_and_month_get_a_file_beside_it(cut: Cut, tmp_path: Path) -> None:
    other = changed(valor="5")
    for lines in ([ROW], [other], [ROW], [other]):
        cut(account_file(lines))
    assert sorted(written(tmp_path).values()) == sorted([account_file([ROW]), account_file([other])])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty; expected the format of transactions"),
        (account_file([]), "the file has a header and no rows"),
        (b"a,b\n1,2\n", "the header lacks 'id'"),
        (account_file().replace(b";", b","), "fields are parted by ',', expected ';'"),
        (account_file()[:-40], "the last line stops after"),
        (account_file([changed(sexo='"F')]), "a double quote is not closed"),
        (account_file([changed(sexo='"F\nF"')]), "a double quote is not closed"),
        (account_file([changed(data="?")]), "no line has a readable 'date' from 2019-01-01 (`start`) on; nothing"),
    ],
)
def test_a_file_that_cannot_be_cut_is_refused_with_its_name_and_nothing_is_written(
    cut: Cut, tmp_path: Path, data: bytes, message: str
) -> None:
    with pytest.raises(MlopsError, match=r"table\.csv: ") as error:
        cut(data)
    assert message in str(error.value)
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    ("name", "message"), [("absent.csv", "No such file or directory"), ("folder.csv", "Is a directory")]
)
def test_a_table_that_cannot_be_read_is_a_wrong_usage(
    transactions: UseCase, tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match=rf"{name}: cannot be read: {message}\."):
        import_table(transactions, tmp_path / name, tmp_path / "raw")


def test_without_a_header_every_line_is_cut(transactions: UseCase, tmp_path: Path) -> None:
    bare = transactions.model_copy(update={"files": transactions.files.model_copy(update={"header": "none"})})
    (tmp_path / "table.csv").write_bytes(account_file([changed(idade="20"), ROW]).partition(b"\r\n")[2])
    done = import_table(bare, tmp_path / "table.csv", tmp_path / "raw")
    assert (done.rows, done.files) == (2, 1)
    (data,) = written(tmp_path).values()
    assert data == account_file([changed(idade="20"), ROW]).partition(b"\r\n")[2]


def test_a_table_is_put_into_a_day_as_it_is_and_once(loan_approval: UseCase, tmp_path: Path) -> None:
    header = ",".join(column.header(name) for name, column in loan_approval.columns.items())
    table = tmp_path / "new applications.csv"
    for lines, done in [([",".join("1" * 9)], (1, 0)), ([",".join("1" * 9)], (0, 1)), (["?,?", "2"], (1, 0))]:
        table.write_text("\n".join([header, *lines, ""]))
        found = place_table(loan_approval, table, tmp_path / "raw", "2026-01-01")
        assert (found.files, found.present, found.days, found.rows) == (*done, ("2026-01-01",), len(lines))
    names = sorted(path.name for path in (tmp_path / "raw" / "loan_approval" / "day=2026-01-01").iterdir())
    assert names == ["new~20~applications.2.csv", "new~20~applications.csv"]


def test_a_table_that_a_day_would_refuse_is_not_put_there(loan_approval: UseCase, tmp_path: Path) -> None:
    small = loan_approval.model_copy(update={"files": loan_approval.files.model_copy(update={"largest": 90})})
    header = ",".join(column.header(name) for name, column in loan_approval.columns.items())
    for text, message in [("a,b\n1,2\n", "the header lacks"), (f"{header}\n{'1,' * 8}1\n", "raise `files.largest`")]:
        (tmp_path / "table.csv").write_text(text)
        with pytest.raises(MlopsError, match=message):
            place_table(small, tmp_path / "table.csv", tmp_path / "raw", "2026-01-01")
    assert not (tmp_path / "raw").exists()


def test_a_use_case_that_says_nothing_of_imports_has_none(loan_approval: UseCase, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"loan_approval has no `import` in its defs\.yaml"):
        import_table(loan_approval, tmp_path / "table.csv", tmp_path / "raw")


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="the real data are not beside this checkout")
def test_the_published_table_becomes_242_files_of_ten_days_that_hold_every_line_once(cut: Cut, tmp_path: Path) -> None:
    (table,) = (REAL_DATA / "transactions").glob("*.csv")
    data = table.read_bytes()
    months = [f"2019-{month:02d}-01" for month in range(5, 13)]
    days = (*months, "2020-01-01", "2020-02-01")
    assert cut(data) == Imported(files=242, present=0, days=days, rows=3_944, unplaced=0)
    header, *lines = data.splitlines(keepends=True)
    files = [content.splitlines(keepends=True) for content in written(tmp_path).values()]
    assert len(files) == 242
    assert header.decode("mac_roman").rstrip() == HEADER
    assert all(first == header for first, *_ in files)
    assert Counter(line for _, *some in files for line in some) == Counter(lines)


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="the real data are not beside this checkout")
def test_the_files_of_the_published_table_are_all_read(cut: Cut, tmp_path: Path, transactions: UseCase) -> None:
    (table,) = (REAL_DATA / "transactions").glob("*.csv")
    cut(table.read_bytes())
    contents = list(written(tmp_path).values())
    pack = CsvReader(transactions).read(contents)
    rows, refusals = check_rows(transactions, [str(number) for number in range(242)], pack)
    assert (rows.num_rows, refusals, pack.refusals) == (3_944, [], [])
