"""Files that are read several at a time: exactly those that are what was listed, and the bytes that `read` gives."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.journey.read.sources import Entry, FolderSource, KeptSource, listed, read_listed
from mlops_assets.storage.places import parse_place
from mlops_assets_tests.helpers.compiling import compiled_now

DAY = "2026-01-01"
LARGEST = 1 << 30


@pytest.fixture(scope="module", autouse=True)
def _compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with compiled_now(listed, tmp_path_factory.mktemp("listed")):
        yield


def table(source: FolderSource) -> pa.Table:
    """What is listed."""
    entries = [*source.list(DAY)]
    schema = pa.schema(zip(Entry._fields, (pa.string(), pa.int64(), pa.int64(), pa.string(), pa.string()), strict=True))
    return pa.table([[getattr(entry, name) for entry in entries] for name in Entry._fields], schema=schema)


def contents(source: FolderSource, entries: pa.Table, largest: int = LARGEST) -> dict[str, bytes | None]:
    """What is read of each."""
    return dict(zip(entries["path"].to_pylist(), read_listed(source, DAY, entries, largest), strict=True))


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """The folder of the day, with two files."""
    folder = tmp_path / "raw" / f"day={DAY}"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.csv").write_bytes(b"one")
    (folder / "deeper" / "é.csv").write_bytes(b"another")
    return folder


@pytest.fixture
def source(day: Path) -> FolderSource:
    return FolderSource(day.parent, ".csv")


@settings(max_examples=40, deadline=None)
@given(
    files=st.dictionaries(st.text("aé€ \\", min_size=1, max_size=9), st.binary(max_size=70), max_size=9),
    first=st.integers(0, 9),
)
def test_they_are_the_bytes_that_one_file_at_a_time_gives(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], first: int
) -> None:
    source = FolderSource(tmp_path_factory.mktemp("raw"), ".csv")
    (source.root / f"day={DAY}").mkdir()
    for name, data in files.items():
        (source.root / f"day={DAY}" / f"{name}.csv").write_bytes(data)
    some = table(source).slice(first)
    plain = [Entry(**entry) for entry in some.to_pylist() if not entry["problem"]]
    found = {path: data for path, data in contents(source, some).items() if data is not None}
    assert found == {entry.path: source.read(DAY, entry) for entry in plain}
    shutil.rmtree(source.root)


def _grown(path: Path) -> None:
    path.write_bytes(b"one more")


def _shrunk(path: Path) -> None:
    path.write_bytes(b"o")


def _touched(path: Path) -> None:
    os.utime(path, (0, 0))


def _moved_there(path: Path) -> None:
    status = path.stat()
    new = path.with_name("new")
    new.write_bytes(b"two")
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.replace(path)


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [_grown, _shrunk, _touched, _moved_there, Path.unlink, _a_folder, _a_pipe])
def test_a_file_that_is_not_what_was_listed_is_left_to_who_says_why(
    source: FolderSource, day: Path, change: Callable[[Path], None]
) -> None:
    entries = table(source)
    change(day / "a.csv")
    assert contents(source, entries) == {"a.csv": None, "deeper/é.csv": b"another"}


def test_a_file_of_which_no_etag_was_kept_is_compared_by_size_and_time(source: FolderSource, day: Path) -> None:
    entries = table(source)
    entries = entries.set_column(4, "etag", pa.array(["", ""]))
    _touched(day / "deeper" / "é.csv")
    assert contents(source, entries) == {"a.csv": b"one", "deeper/é.csv": None}


def test_what_was_no_file_or_is_too_large_is_not_opened(source: FolderSource, day: Path) -> None:
    os.mkfifo(day / "pipe.csv")
    (day / "large.csv").write_bytes(bytes(listed.SMALL + 1))
    assert contents(source, table(source), largest=3) == {
        "a.csv": b"one",
        "deeper/é.csv": None,
        "large.csv": None,
        "pipe.csv": None,
    }
    assert contents(source, table(source))["large.csv"] is None


def test_a_link_is_followed_as_far_as_the_folder_goes(source: FolderSource, day: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_bytes(b"secret")
    (day / "within.csv").symlink_to("a.csv")
    entries = table(source)
    (day / "a.csv").rename(day / "moved.csv")
    (day / "a.csv").symlink_to(tmp_path / "secret.csv")
    (day / "out.csv").symlink_to("../../secret.csv")
    out = table(FolderSource(source.root, ".csv", follow_links=True))
    assert contents(source, entries)["within.csv"] is None, "it leads out by now"
    assert {contents(source, out)[name] for name in ("a.csv", "out.csv", "within.csv")} == {None}
    followed = contents(FolderSource(source.root, ".csv", follow_links=True), out)
    assert {followed[name] for name in ("a.csv", "out.csv", "within.csv")} == {b"secret"}


@pytest.mark.parametrize("path", ["a.csv\0.csv", "../../secret.csv", "x/" * 2100 + "a.csv", ""])
def test_a_path_that_nobody_would_list_brings_nothing(source: FolderSource, tmp_path: Path, path: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_bytes(b"one")
    os.utime(secret, ns=(5, 5))
    entry = pa.table([[path], [3], [5], [""], [""]], names=Entry._fields)
    assert read_listed(source, DAY, entry, LARGEST) == [None]


def test_a_day_that_is_gone_has_none(source: FolderSource, day: Path) -> None:
    entries = table(source)
    shutil.rmtree(day.parent)
    assert contents(source, entries) == {"a.csv": None, "deeper/é.csv": None}


def test_a_source_that_keeps_files_reads_those_that_are_there_at_once(source: FolderSource, tmp_path: Path) -> None:
    kept = KeptSource(source, parse_place(str(tmp_path / "lake")), "transactions")
    assert read_listed(kept, DAY, table(source), LARGEST) == [b"one", b"another"]


def test_where_nothing_was_compiled_one_file_is_read_after_the_other(
    source: FolderSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listed, "compiled", lambda: None)
    assert contents(source, table(source)) == {"a.csv": None, "deeper/é.csv": None}
