"""Folders whose path reads otherwise as a URL hold tables and SQLite files like any other."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy import create_engine, text

from mlops_assets.errors import UsageError
from mlops_assets.storage.accounting import Accounting
from mlops_assets.storage.places import S3Path
from mlops_assets.storage.spellings import check_spelling, delta_address, sqlite_address
from mlops_assets.storage.tables import Table, write_part

NAMES = (
    "a b",
    "50%",
    "a%20b",
    "%25",
    "x%2520y",
    "what?",
    "c#d",
    "[x]",
    "{y}",
    "o'k",
    '"q"',
    "ação",
    "*",
    "a%20b/c%3Fd?",
)
DAY = "2026-01-01"


def table_in(folder: Path) -> Table[Accounting]:
    return Table(folder / "lake" / "rows", "rows", Accounting)


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_published_read_and_cleaned_under_any_name(tmp_path: Path, name: str) -> None:
    rows = pa.table({"value": [1, 2, 3]})
    table = table_in(tmp_path / name)
    assert table.open() is None
    for stem in ("old", "new"):
        part = write_part(table, DAY, stem, rows)
        assert table.publish(DAY, [part], rows.schema, Accounting(), table.parts(DAY), run=stem)
    again = table_in(tmp_path / name)
    assert again.parts(DAY) == {f"day={DAY}/new.parquet"}
    assert again.read_all([DAY], ["value"]).equals(rows)
    assert [published.run for published in again.publications()[DAY]] == ["old", "new"]
    assert again.clean(hours=0) == 1
    assert [path.name for path in (tmp_path / name / "lake" / "rows" / f"day={DAY}").iterdir()] == ["new.parquet"]


@pytest.mark.parametrize("name", NAMES)
def test_sqlalchemy_finds_the_file_that_dagster_names(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name / "dagster"
    folder.mkdir(parents=True)
    address = sqlite_address(folder)
    assert sqlite_address(address) == address, "a process that is told it tells the next one the same"
    engine = create_engine(f"sqlite:///{address}/runs.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE runs (id INTEGER)"))
    engine.dispose()
    with closing(sqlite3.connect(folder / "runs.db")) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("runs",)]


@pytest.mark.parametrize("name", ["a b", "o'k", "ação", "[x]"])
def test_nothing_lies_beside_a_folder_that_needs_no_link(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    delta_address(folder)
    assert sqlite_address(folder) == folder
    assert list(tmp_path.iterdir()) == [folder]


def test_a_name_that_is_taken_by_something_else_is_told(tmp_path: Path) -> None:
    for name in ("a%20b", "a b"):
        (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match=r"a%20b: a link must lie at .*/a b, .*: something else lies there\. Name"):
        delta_address(tmp_path / "a%20b")


@pytest.mark.parametrize("name", ["a%2Fb", "a\\b", "a\nb", "a%0Ab", "a%5Cb", "%2E%2E", "%E7"])
def test_a_name_that_cannot_work_is_told_before_anything_is_made(name: str) -> None:
    with pytest.raises(UsageError, match=r"^MLOPS_HOME=.*: tables cannot lie under .* Name another one"):
        check_spelling("MLOPS_HOME", Path("/somewhere") / name / "home")


def test_a_lake_on_s3_may_have_a_name_that_ends_an_address(bucket: S3Path) -> None:
    lakes = [bucket / name for name in ("lake #1 50% ã+b&c=d?", "lake ")]
    for number, lake in enumerate(lakes):
        table = table_in(lake)
        data = pa.table({"number": [number]})
        assert table.publish(DAY, [write_part(table, DAY, "part", data)], data.schema, Accounting(), set())
    assert [table_in(lake).read_all().column("number").to_pylist() for lake in lakes] == [[0], [1]]


@pytest.mark.parametrize("name", ["a%41", "a%2Fb", "%25", "a\nb", "%2E%2E", "%E7"])
def test_a_name_on_s3_that_cannot_work_is_told_before_anything_is_made(name: str) -> None:
    with pytest.raises(UsageError, match=r"^MLOPS_LAKE=.*: tables cannot lie under .* Name another one"):
        check_spelling("MLOPS_LAKE", S3Path("bucket", f"{name}/lake"))
    check_spelling("MLOPS_LAKE", S3Path("bucket"))
