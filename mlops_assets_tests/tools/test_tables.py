"""Tables of every format become use cases, and their raw files: looked at, drafted, imported and read."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.journey.read.readers import open_reader
from mlops_assets.journey.read.rows import check_rows
from mlops_assets.tools.drafting import draft_use_case
from mlops_assets.tools.drafting.looking import profile_table
from mlops_assets.tools.importing import import_table, place_table
from mlops_assets.tools.tables.excel import read_workbook
from mlops_assets.tools.tables.samples import take_sample
from mlops_assets.use_case import Import, UseCase
from mlops_assets_tests.helpers.formats import ROW, contract, written

DAY = dt.date(2026, 3, 1)
RECORDS: list[dict[str, Any]] = [
    {"Customer": f"C{at}", "Amount": at * 1.5, "Bought on": f"2026-01-{at % 28 + 1:02d}", "gone": ("yes", "no")[at % 2]}
    for at in range(60)
]


def _csv(path: Path) -> None:
    lines = [",".join(RECORDS[0]), *(",".join(map(str, record.values())) for record in RECORDS), ""]
    path.write_text("\n".join(lines), encoding="utf-8")


def _jsonl(path: Path) -> None:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in RECORDS), encoding="utf-8")


def _xml(path: Path) -> None:
    names = {name: name.replace(" ", "_") for name in RECORDS[0]}
    rows = ("".join(f"<{names[name]}>{text}</{names[name]}>" for name, text in one.items()) for one in RECORDS)
    path.write_text("<all><made>now</made>" + "".join(f"<row>{row}</row>" for row in rows) + "</all>", encoding="utf-8")


def _parquet(path: Path) -> None:
    dated = [{**record, "Bought on": dt.date.fromisoformat(record["Bought on"]), "tags": ["x"]} for record in RECORDS]
    pq.write_table(pa.Table.from_pylist(dated), path)


def _packed(write: Callable[[Path], None], path: Path) -> None:
    write(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def _excel(path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append([*RECORDS[0]])
    for record in RECORDS:
        sheet.append([*{**record, "Bought on": dt.date.fromisoformat(record["Bought on"])}.values()])
    book.create_sheet("notes").append(["nothing"])
    book.save(path)


WRITE: dict[str, Callable[[Path], None]] = {
    "t.csv": _csv,
    "t.jsonl": _jsonl,
    "t.xml": _xml,
    "t.parquet": _parquet,
    "t.xlsx": _excel,
    "t.csv.gz": lambda path: _packed(_csv, path),
    "t.jsonl.gz": lambda path: _packed(_jsonl, path),
    "t.xml.gz": lambda path: _packed(_xml, path),
}


def rows_of(use_case: UseCase, folder: Path) -> list[dict[str, Any]]:
    """All rows of raw files."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    pack = open_reader(use_case).read([path.read_bytes() for path in paths], [path.name for path in paths])
    table, refusals = check_rows(use_case, [path.name for path in paths], pack)
    assert [*pack.refusals, *refusals] == []
    return sorted(table.drop_columns(["file", "line"]).to_pylist(), key=lambda row: int(row["customer"][1:]))


@pytest.mark.parametrize("name", WRITE)
def test_a_table_of_any_format_becomes_a_use_case_that_reads_what_is_imported(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    WRITE[name](path)
    found = draft_use_case("shop", path, "gone", tmp_path / "cases", None, DAY)
    assert (found.rows, found.lines, found.rejects) == (60, 60, {})
    columns = {column: keys.type for column, keys in found.use_case.columns.items()}
    assert columns == {"customer": "string", "amount": "number", "bought_on": "date", "gone": "string"}
    done = place_table(found.use_case, path, tmp_path / "raw", str(DAY))
    assert (done.rows, done.files) == (60, 1)
    assert place_table(found.use_case, path, tmp_path / "raw", str(DAY)).present == 1
    (file,) = (tmp_path / "raw" / "shop" / "day=2026-03-01").iterdir()
    assert file.name == f"t{found.use_case.files.suffix}"
    rows = rows_of(found.use_case, tmp_path / "raw")
    assert rows[7] == {"customer": "C7", "amount": 10.5, "bought_on": dt.date(2026, 1, 8), "gone": "no"}
    assert len(rows) == 60


@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet", "t.xml", "t.csv.gz", "t.xlsx"])
def test_a_table_of_any_format_is_cut_by_key_and_month(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    WRITE[name](path)
    found = draft_use_case("shop", path, "gone", tmp_path / "cases", "Customer", DAY)
    use_case = found.use_case.model_copy(update={"imports": Import(key=("gone",), date="bought_on")})
    done = import_table(use_case, path, tmp_path / "raw")
    assert (done.rows, done.days, done.unplaced) == (60, ("2026-02-01",), 0)
    suffix = use_case.files.suffix
    assert {file.name for file in (tmp_path / "raw").rglob("*") if file.is_file()} == {f"no{suffix}", f"yes{suffix}"}
    assert rows_of(use_case, tmp_path / "raw")[7]["bought_on"] == dt.date(2026, 1, 8)


def test_a_table_of_any_format_is_looked_at(tmp_path: Path) -> None:
    for name in ("t.parquet", "t.xml", "t.jsonl.gz"):
        WRITE[name](tmp_path / name)
        found = profile_table(tmp_path / name, "gone", None, "auto", [])
        assert found.rows == 60
        assert "takes 60 of 60 lines" in found.how


def test_files_of_a_folder_are_one_table_and_what_else_lies_there_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    for number in range(3):
        _csv(folder / f"{number}.csv")
    (folder / "README.txt").write_text("hello")
    (folder / ".hidden.csv").write_text("x")
    found = draft_use_case("shop", folder, "gone", tmp_path / "cases", None, DAY)
    assert (found.rows, found.whole) == (180, False)
    assert found.tables == tuple(folder / f"{number}.csv" for number in range(3))
    assert any("1 files of" in check and "do not end in .csv" in check for check in found.checks)


def test_files_that_say_more_than_the_first_one_are_read_and_told(tmp_path: Path) -> None:
    _csv(tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_text()
    more = text.replace("\n", ",1\n").replace("gone,1", "gone,Since").replace("C7,", "Célia,")
    (tmp_path / "b.csv").write_bytes(more.encode("cp1252"))
    found = draft_use_case("shop", [tmp_path / "a.csv", tmp_path / "b.csv"], "gone", tmp_path / "cases", None, DAY)
    assert (found.rows, found.rejects, found.use_case.files.encoding) == (120, {}, "cp1252")
    assert any("'Since' of b.csv is left out, for a.csv has no such column" in check for check in found.checks)


def test_files_that_are_not_like_the_first_one_are_named(tmp_path: Path) -> None:
    _csv(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text((tmp_path / "a.csv").read_text().replace("Amount", "Total"))
    with pytest.raises(UsageError, match=r"(?s)1 of 2 files are not like .*a.csv.*b.csv: the header lacks 'Amount'"):
        draft_use_case("shop", [tmp_path / "a.csv", tmp_path / "b.csv"], "gone", tmp_path / "cases", None, DAY)
    _jsonl(tmp_path / "c.jsonl")
    with pytest.raises(UsageError, match=r"c.jsonl: is jsonl \(.jsonl\), and .*a.csv is csv"):
        take_sample([tmp_path / "a.csv", tmp_path / "c.jsonl"])


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("t.jsonl", b"no json\n", "no line is a JSON object"),
        ("t.xml", b"<a><b>1</b></a>", "no records"),
        ("t.xml", b'<?xml version="1.0" encoding="utf-7"?><a/>', "an encoding that is not read"),
        ("t.xml", b"<a><b>1</b><b>", "cut off"),
        ("t.xml", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "document type"),
        ("t.parquet", b"PAR1 and no more", "cannot be read as Parquet"),
        ("t.xlsx", b"no workbook", "this is none"),
        ("t.csv.gz", gzip.compress(b"a,b\n" * 100, mtime=0)[:-9], "stops in the middle"),
        ("missing.csv", None, "cannot be read: No such file"),
    ],
)
def test_what_is_no_table_is_told(name: str, data: bytes | None, told: str, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=told):
        draft_use_case("shop", tmp_path / name, "gone", tmp_path / "cases", None, DAY)
    assert not (tmp_path / "cases" / "shop").exists()


def workbook(tmp_path: Path, *rows: list[Any], name: str = "t.xlsx") -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(tmp_path / name)
    return tmp_path / name


def test_a_workbook_has_values_and_names(tmp_path: Path) -> None:
    path = workbook(
        tmp_path, ["a", " b ", None], [1, None, True], [None, None], [1.5, dt.datetime(2026, 1, 2, 3), " "], [None]
    )
    found = read_workbook(path)
    assert found.names == ["a", "b", ""]
    assert found.rows == [[1, None, True], [None, None, None], [1.5, "2026-01-02 03:00:00", None]]


def test_the_sheet_that_is_named_is_taken(tmp_path: Path) -> None:
    _excel(tmp_path / "t.xlsx")
    assert read_workbook(tmp_path / "t.xlsx", "notes").first == ["nothing"]
    with pytest.raises(UsageError, match="there is no sheet 'other'; there are 'Sheet', 'notes'"):
        read_workbook(tmp_path / "t.xlsx", "other")
    with pytest.raises(UsageError, match="no workbook"):
        take_sample([tmp_path / "t.csv"], "notes")


def test_a_workbook_that_is_a_bomb_is_not_opened(tmp_path: Path) -> None:
    path = workbook(tmp_path, ["a", "b"])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet2.xml", bytes(8 << 20))
    with pytest.raises(UsageError, match="'xl/worksheets/sheet2.xml' becomes 8,388,608 bytes: a bomb"):
        read_workbook(path)


def test_rows_of_a_workbook_are_written_as_the_contract_writes_them(tmp_path: Path) -> None:
    case = contract("jsonl", {"date": {"format": "%d.%m.%Y"}}, decimal=",")
    path = workbook(
        tmp_path,
        ["account", "date", "at", "amount", "pieces", "paid", "city", "kind", "remarks"],
        [
            "A1",
            dt.date(2026, 1, 2),
            dt.datetime(2026, 1, 2, 3, 4, 5),
            12.5,
            3,
            True,
            "São Paulo",
            "FOOD",
            "passed over",
        ],
    )
    assert place_table(case, path, tmp_path / "raw", str(DAY)).rows == 1
    (file,) = (path for path in (tmp_path / "raw").rglob("*.jsonl"))
    record = json.loads(file.read_text(encoding="utf-8"))
    assert (record["date"], record["amount"], record["paid"]) == ("02.01.2026", 12.5, True)


def test_a_table_in_another_format_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(written(contract("jsonl"), [ROW]))
    with pytest.raises(MlopsError, match=r"t.jsonl: the file is no XML.*; expected the format of toy"):
        place_table(contract("xml"), tmp_path / "t.jsonl", tmp_path / "raw", str(DAY))
    with pytest.raises(UsageError, match="--sheet x: .* is no workbook"):
        place_table(contract("jsonl"), tmp_path / "t.jsonl", tmp_path / "raw", str(DAY), "x")


def test_formulas_that_nobody_computed_are_told_and_those_of_an_empty_text_are_not(tmp_path: Path) -> None:
    path = workbook(tmp_path, ["a", "b"], [1, "=A2*2"], [2, "=A3*2"])
    with pytest.raises(UsageError, match=r"2 formulas have no value, the first of them in B2: the program that wrote"):
        read_workbook(path)
    sheet = "xl/worksheets/sheet1.xml"
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts[sheet] = re.sub(rb"(<f>A2\*2</f>)<v ?(/>|></v>)", rb"\1<v>2</v>", parts[sheet])
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    assert read_workbook(path).rows == [[1, 2], [2, None]]


def test_names_of_several_lines_are_the_same_when_the_sheet_is_imported(tmp_path: Path) -> None:
    path = workbook(
        tmp_path, ["customer", "unit\nprice", "answer"], *([f"C{at % 9}", at * 1.5, "yn"[at % 2]] for at in range(40))
    )
    draft = draft_use_case("shop", path, "answer", tmp_path / "cases", None, DAY)
    assert draft.use_case.columns["unit_price"].source == "unit price"
    place_table(draft.use_case, path, tmp_path / "raw", str(DAY))
    assert len(rows_of(draft.use_case, tmp_path / "raw")) == 40
