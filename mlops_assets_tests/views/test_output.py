"""Output: the same rows as table, CSV, JSON or Parquet, and a file that is whole or as it was."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.errors import UsageError
from mlops_assets.views.output import text_table, write

ROWS = pa.table(
    {
        "file": ["a.csv", 'b;"1",\n.csv', "ç.csv"],
        "line": pa.array([1, None, 30], pa.int32()),
        "probability": pa.array([0.5, 0.123456789, None], pa.float32()),
    }
)
FORMS = ["table", "csv", "json", "parquet"]


def reader(rows: pa.Table = ROWS) -> pa.RecordBatchReader:
    """The rows, a batch each."""
    return rows.to_reader(max_chunksize=1)


def failing() -> pa.RecordBatchReader:
    """A reader that breaks off after its first row."""

    def batches() -> Iterator[pa.RecordBatch]:
        yield ROWS.slice(0, 1).to_batches()[0]
        raise OSError(5, "Input/output error")

    return pa.RecordBatchReader.from_batches(ROWS.schema, batches())


# -- the forms --------------------------------------------------------------------------------------------------------


def test_parquet_keeps_rows_and_types(tmp_path: Path) -> None:
    write(reader(), "parquet", tmp_path / "out")
    assert pq.read_table(tmp_path / "out").combine_chunks() == ROWS


def test_csv_has_a_header_and_quotes_what_needs_it(tmp_path: Path) -> None:
    write(reader(), "csv", tmp_path / "out")
    lines = list(csv.reader(io.StringIO((tmp_path / "out").read_text(encoding="utf-8"), newline="")))
    assert lines[0] == ["file", "line", "probability"]
    assert [line[:2] for line in lines[1:]] == [["a.csv", "1"], ['b;"1",\n.csv', ""], ["ç.csv", "30"]]


def test_json_is_one_list_of_records_with_rounded_numbers(tmp_path: Path) -> None:
    write(reader(), "json", tmp_path / "out")
    assert json.loads((tmp_path / "out").read_text(encoding="utf-8")) == [
        {"file": "a.csv", "line": 1, "probability": 0.5},
        {"file": 'b;"1",\n.csv', "line": None, "probability": 0.123457},
        {"file": "ç.csv", "line": 30, "probability": None},
    ]


def test_dates_in_json_are_iso_texts(tmp_path: Path) -> None:
    write(reader(pa.table({"date": [dt.date(2026, 1, 31)]})), "json", tmp_path / "out")
    assert json.loads((tmp_path / "out").read_text()) == [{"date": "2026-01-31"}]


def test_a_table_has_a_rule_under_its_header_and_numbers_to_the_right(tmp_path: Path) -> None:
    write(reader(ROWS.take([0, 2])), "table", tmp_path / "out")
    assert (tmp_path / "out").read_text(encoding="utf-8").splitlines() == [
        "file   line  probability",
        "-----  ----  -----------",
        "a.csv     1        0.500",
        "ç.csv    30",
    ]


def test_a_long_cell_is_cut_in_a_table_and_in_no_other_form(tmp_path: Path) -> None:
    long = pa.table({"raw": ["x" * 100]})
    for form in ("table", "csv"):
        write(reader(long), form, tmp_path / form)
    assert "x" * 57 + "...\n" in (tmp_path / "table").read_text()
    assert "x" * 100 in (tmp_path / "csv").read_text()


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert text_table([["a", "name"], ["1,000", "x"]]) == "a      name\n-----  ----\n1,000  x\n"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_tells_how_many_rows_it_wrote_of_how_many(form: str, tmp_path: Path) -> None:
    assert write(reader(), form, tmp_path / "out") == (3, 3)


def test_a_table_shows_so_many_rows_and_counts_the_others(tmp_path: Path) -> None:
    assert write(reader(), "table", tmp_path / "out", limit=1) == (1, 3)
    assert len((tmp_path / "out").read_text().splitlines()) == 3


NOTHING = {"table": "file  line  probability\n----  ----  -----------\n", "csv": '"file","line","probability"\n'}


@pytest.mark.parametrize(("form", "text"), [*NOTHING.items(), ("json", "[]\n")])
def test_no_rows_are_still_a_document(form: str, text: str, tmp_path: Path) -> None:
    assert write(reader(ROWS.slice(0, 0)), form, tmp_path / "out") == (0, 0)
    assert (tmp_path / "out").read_text() == text


# -- where it goes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_without_a_file_the_same_bytes_go_to_standard_output(
    form: str, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    write(reader(), form, tmp_path / "out")
    write(reader(), form, None)
    assert capsysbinary.readouterr().out == (tmp_path / "out").read_bytes()


@pytest.mark.parametrize("form", FORMS)
def test_a_file_is_left_as_it_was_when_the_rows_break_off(form: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("yesterday's")
    with pytest.raises((OSError, UsageError)):
        write(failing(), form, path)
    assert path.read_text() == "yesterday's"
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="out: cannot be written: No such file or directory"):
        write(reader(), "csv", tmp_path / "absent" / "out")


def test_a_folder_in_the_place_of_the_file_is_told_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="out: cannot be written: Is a directory"):
        write(reader(), "csv", tmp_path / "out")
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_no_link_that_lies_beside_the_file_is_written_through(tmp_path: Path) -> None:
    """In /tmp anybody may lay one there, under the name that the file has until it is whole."""
    other = tmp_path / "other"
    other.write_text("as it was")
    (tmp_path / ".out.csv.unfinished").symlink_to(other)
    write(reader(), "csv", tmp_path / "out.csv")
    assert other.read_text() == "as it was"
    assert (tmp_path / "out.csv").read_text().startswith('"file"')
    assert not (tmp_path / ".out.csv.unfinished").exists()
