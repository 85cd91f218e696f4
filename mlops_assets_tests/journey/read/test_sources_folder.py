"""What a folder of raw files lists, and what it gives back of a file that was listed."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_assets.journey.read.sources.entries import LEADS_OUT
from mlops_assets.journey.read.sources.folder import Below, Entry, FolderSource, SourceError

DAY = "2026-01-01"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the day."""
    path = tmp_path / f"day={DAY}"
    path.mkdir()
    return path


@pytest.fixture
def source(tmp_path: Path) -> FolderSource:
    return FolderSource(tmp_path, ".csv")


def entries(source: FolderSource) -> dict[str, Entry]:
    return {entry.path: entry for entry in source.list(DAY)}


def read(source: FolderSource, entry: Entry) -> bytes:
    return source.read(DAY, entry)


# -- days --------------------------------------------------------------------------------------------------------------


def test_the_days_are_the_folders_named_by_day_in_order(source: FolderSource) -> None:
    for name in ("day=2026-02-01", "day=2025-12-31", "other", "day=tomorrow"):
        (source.root / name).mkdir()
    assert source.days() == ["2025-12-31", "2026-02-01"]


def test_a_source_without_a_folder_has_no_days(tmp_path: Path) -> None:
    assert FolderSource(tmp_path / "none", ".csv").days() == []


# -- listing -----------------------------------------------------------------------------------------------------------


def test_a_day_without_a_folder_has_no_entries(source: FolderSource) -> None:
    assert entries(source) == {}


def test_every_file_below_the_folder_is_listed_with_size_and_time(folder: Path, source: FolderSource) -> None:
    for name, data in {"a.csv": b"12345", "deep/er/b.csv": b""}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        os.utime(folder / name, ns=(7, 7))
    found = {path: entry._replace(etag="") for path, entry in entries(source).items()}
    assert found == {"a.csv": Entry("a.csv", 5, 7), "deep/er/b.csv": Entry("deep/er/b.csv", 0, 7)}


def test_folders_may_be_nested_as_deeply_as_paths_are_long(folder: Path, source: FolderSource) -> None:
    deep = folder / Path(*["d"] * 600)
    deep.mkdir(parents=True)
    (deep / "a.csv").write_bytes(b"1")
    (folder / "z.csv").write_bytes(b"2")
    below = f"{'d/' * 600}a.csv"
    assert list(entries(source)) == [below, "z.csv"]
    assert [entry.path for entry in source.list(DAY, after=below)] == ["z.csv"]
    assert source.count(folder.name, 9) == 2


@pytest.mark.parametrize("how", ["overwritten", "moved there"])
def test_a_file_of_the_same_size_and_time_is_another_one(folder: Path, source: FolderSource, how: str) -> None:
    (folder / "a.csv").write_bytes(b"1")
    os.utime(folder / "a.csv", ns=(7, 7))
    before = entries(source)["a.csv"]
    new = folder / ("a.csv" if how == "overwritten" else ".a.csv")
    new.write_bytes(b"2")
    os.utime(new, ns=(7, 7))
    new.replace(folder / "a.csv")
    after = entries(source)["a.csv"]
    assert (after.size, after.modified) == (before.size, before.modified)
    assert after != before
    assert source.read(DAY, after) == b"2"
    assert source.read(DAY, before._replace(etag="")) == b"2", "listed before there was anything but size and time"
    with pytest.raises(SourceError, match="changed after the day was listed"):
        source.read(DAY, before)


@pytest.mark.parametrize("name", [".hidden.csv", "_SUCCESS", ".part/a.csv", "_temporary/0/a.csv"])
def test_names_that_begin_with_a_dot_or_an_underline_are_no_data(folder: Path, source: FolderSource, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"x")
    assert entries(source) == {}


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "inside.csv").touch()


def _to_folder(path: Path) -> None:
    path.symlink_to(path.parent, target_is_directory=True)


def _to_nowhere(path: Path) -> None:
    path.symlink_to("nowhere")


def _to_itself(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("name", "make", "problem"),
    [
        ("a.csv", _folder, "a folder that is named like a file"),
        ("a.csv", os.mkfifo, "not a regular file"),
        ("a.csv", _to_folder, "not a regular file"),
        ("a.csv", _to_nowhere, "cannot be looked at"),
        ("a.csv", _to_itself, "cannot be looked at"),
        ("a", _to_folder, "not a regular file"),
    ],
)
def test_what_is_no_data_file_is_listed_with_its_problem(
    folder: Path, source: FolderSource, name: str, make: Callable[[Path], None], problem: str
) -> None:
    make(folder / name)
    (folder / "good.csv").touch()
    listed = entries(source)
    assert listed.keys() == {name, "good.csv"}
    assert listed[name].problem.startswith(problem)
    assert listed["good.csv"].problem == ""


# -- links -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder elsewhere, with a file that whoever delivers files may not read."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "secret.csv").write_bytes(b"123")
    return folder


def _link_to_file(folder: Path, secret: Path) -> None:
    (folder / "a.csv").symlink_to(secret / "secret.csv")


def _relative_link(folder: Path, secret: Path) -> None:
    (folder / "a.csv").symlink_to(os.path.relpath(secret / "secret.csv", folder))


def _link_to_link(folder: Path, secret: Path) -> None:
    (folder / ".first").symlink_to(secret / "secret.csv")
    (folder / "a.csv").symlink_to(".first")


def _through_a_linked_folder(folder: Path, secret: Path) -> None:
    (folder / ".out").symlink_to(secret)
    (folder / "a.csv").symlink_to(".out/secret.csv")


def _link_to_folder(folder: Path, secret: Path) -> None:
    (folder / "a.csv").symlink_to(secret)


def _link_to_device(folder: Path, secret: Path) -> None:
    (folder / "a.csv").symlink_to("/dev/zero")


def _link_to_pipe(folder: Path, secret: Path) -> None:
    os.mkfifo(secret / "pipe")
    (folder / "a.csv").symlink_to(secret / "pipe")


LINKS = [
    _link_to_file,
    _relative_link,
    _link_to_link,
    _through_a_linked_folder,
    _link_to_folder,
    _link_to_device,
    _link_to_pipe,
]


@pytest.mark.parametrize("link", LINKS)
def test_a_link_out_of_the_folder_is_listed_with_its_problem(
    folder: Path, source: FolderSource, secret: Path, link: Callable[[Path, Path], None]
) -> None:
    link(folder, secret)
    assert entries(source) == {"a.csv": Entry("a.csv", 0, 0, LEADS_OUT)}


@pytest.mark.parametrize(("link", "good"), [(link, link in LINKS[:4]) for link in LINKS])
def test_links_are_followed_where_the_use_case_says_so(
    folder: Path, secret: Path, link: Callable[[Path, Path], None], good: bool
) -> None:
    link(folder, secret)
    source = FolderSource(folder.parent, ".csv", follow_links=True)
    listed = entries(source)["a.csv"]
    assert listed.problem == ("" if good else "not a regular file")
    if good:
        assert read(source, listed) == b"123"


def test_a_day_that_is_a_link_out_of_the_folder_is_an_entry_with_a_problem(source: FolderSource, secret: Path) -> None:
    Path(source.place(DAY)).symlink_to(secret)
    assert source.days() == [DAY], "it is refused where it can be seen"
    assert entries(source) == {".": Entry(".", 0, 0, LEADS_OUT)}
    assert entries(FolderSource(source.root, ".csv", follow_links=True)).keys() == {"secret.csv"}


def test_what_lies_behind_a_link_beside_the_days_is_not_counted(source: FolderSource, secret: Path) -> None:
    (secret / "more.csv").touch()
    (source.root / "other").symlink_to(secret)
    assert source.count("other", 10) == 1
    assert FolderSource(source.root, ".csv", follow_links=True).count("other", 10) == 2


def test_a_link_within_the_folder_is_a_file(folder: Path, source: FolderSource) -> None:
    (source.root / "kept.csv").write_bytes(b"123")
    (folder / "a.csv").symlink_to("../kept.csv")
    assert read(source, entries(source)["a.csv"]) == b"123"


def test_the_folder_of_all_raw_files_may_be_a_link(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (folder / "a.csv").write_bytes(b"123")
    link = tmp_path_factory.mktemp("links") / "raw"
    link.symlink_to(folder.parent)
    source = pickle.loads(pickle.dumps(FolderSource(link, ".csv")))
    assert read(source, entries(source)["a.csv"]) == b"123"


def test_a_file_that_became_a_link_after_it_was_listed_is_not_read(
    folder: Path, source: FolderSource, secret: Path
) -> None:
    (folder / "a.csv").write_bytes(b"123")
    entry = entries(source)["a.csv"]._replace(etag="", modified=(secret / "secret.csv").stat().st_mtime_ns)
    (folder / "a.csv").unlink()
    (folder / "a.csv").symlink_to(secret / "secret.csv")
    with pytest.raises(SourceError, match=r"a\.csv: changed after the day was listed"):
        read(source, entry)


def test_a_folder_that_became_a_link_while_it_was_listed_is_not_read(
    folder: Path, source: FolderSource, secret: Path
) -> None:
    # the entry says all of the file elsewhere, as if the folder had been changed between the look at it and the listing
    (folder / "sub").symlink_to(secret)
    (entry,) = FolderSource(source.root, ".csv", follow_links=True).list(DAY)
    (listed,) = FolderSource(secret.parent, ".csv").walk(Below(str(secret), "sub", ()))
    assert entry.problem == "not a regular file"
    with pytest.raises(SourceError, match=r"sub/secret\.csv: changed after the day was listed"):
        read(source, listed)


@pytest.mark.parametrize("follow_links", [False, True])
def test_a_file_that_became_a_pipe_keeps_nobody_waiting(folder: Path, follow_links: bool) -> None:
    source = FolderSource(folder.parent, ".csv", follow_links)
    (folder / "a.csv").write_bytes(b"123")
    entry = entries(source)["a.csv"]
    (folder / "a.csv").unlink()
    os.mkfifo(folder / "a.csv")
    with pytest.raises(SourceError, match=r"a\.csv: changed after the day was listed"):
        read(source, entry)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list everything")
def test_a_folder_that_cannot_be_listed_is_an_entry_with_a_problem(folder: Path, source: FolderSource) -> None:
    (folder / "shut").mkdir(mode=0)
    assert entries(source)["shut"].problem == "a folder that cannot be listed: Permission denied"


def test_a_day_that_is_a_file_is_an_entry_with_a_problem(source: FolderSource) -> None:
    Path(source.place(DAY)).touch()
    assert entries(source)["."].problem == "a folder that cannot be listed: Not a directory"


@pytest.mark.parametrize("name", [b"\xff.csv", b"\xff/a.csv", b"\xff.csv/a.csv"])
def test_a_name_that_is_not_utf_8_is_listed_with_its_problem(folder: Path, source: FolderSource, name: bytes) -> None:
    path = folder / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    (entry,) = source.list(DAY)
    assert entry.path.encode().startswith(b"\\udcff")
    assert entry.problem


def test_names_that_are_not_utf_8_are_told_apart_from_each_other_and_from_any_other(
    folder: Path, source: FolderSource
) -> None:
    names = {b"\xff.csv", b"\xfe.csv", rb"\udcff.csv", rb"\\udcff.csv", b"\\\xff.csv", b"?.csv", rb"\n.csv"}
    for name in names:
        (folder / os.fsdecode(name)).touch()
    listed = list(source.list(DAY))
    assert len({entry.path for entry in listed}) == len(names)
    assert sorted(entry.path for entry in listed if not entry.problem) == ["?.csv", r"\n.csv"]


@pytest.mark.parametrize("name", ["São Paulo.csv", "a b;c.csv", "day=1.csv", "~.csv", "'\".csv", "a\nb.csv"])
def test_a_strange_name_is_read_like_any_other(folder: Path, source: FolderSource, name: str) -> None:
    (folder / name).write_bytes(b"1")
    assert read(source, entries(source)[name]) == b"1"


# -- going on with a listing -------------------------------------------------------------------------------------------

NAMES = ["a.csv", "a/b.csv", "a/c.csv", "a-b/c.csv", "a b.csv", "b/c/d.csv", "b/c.csv", "São.csv", "z.txt", "é/é.csv"]


@pytest.mark.parametrize("name", ["", *NAMES])
def test_a_listing_goes_on_behind_any_entry(folder: Path, source: FolderSource, name: str) -> None:
    for one in NAMES:
        (folder / one).parent.mkdir(parents=True, exist_ok=True)
        (folder / one).touch()
    whole = [entry.path for entry in source.list(DAY)]
    assert sorted(whole) == sorted(NAMES)
    behind = whole[whole.index(name) + 1 :] if name else whole
    assert [entry.path for entry in source.list(DAY, name)] == behind


def test_a_listing_goes_on_where_an_entry_is_gone(folder: Path, source: FolderSource) -> None:
    for name in ("a/1.csv", "a/3.csv", "b/1.csv"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    assert [entry.path for entry in source.list(DAY, "a/2.csv")] == ["a/3.csv", "b/1.csv"]
    shutil.rmtree(folder / "a")
    assert [entry.path for entry in source.list(DAY, "a/2.csv")] == ["b/1.csv"]


def test_a_mark_beside_the_files_is_seen_and_not_listed(folder: Path, source: FolderSource) -> None:
    assert not source.has(DAY, "_SUCCESS")
    (folder / "_SUCCESS").touch()
    assert source.has(DAY, "_SUCCESS")
    assert not source.has("2026-01-02", "_SUCCESS")
    assert entries(source) == {}


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
def test_a_file_of_any_size_is_read_whole(folder: Path, source: FolderSource, size: int) -> None:
    data = os.urandom(size)
    (folder / "a.csv").write_bytes(data)
    assert read(source, entries(source)["a.csv"]) == data


def _replace(path: Path) -> None:
    path.with_name("new").write_bytes(b"other")
    path.with_name("new").replace(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(b"123456"), "changed"),
        (lambda path: path.write_bytes(b"1234"), "changed"),
        (lambda path: path.write_bytes(b""), "changed"),
        (_replace, "changed"),
        (lambda path: os.utime(path, (0, 0)), "changed"),
        (Path.unlink, "vanished"),
    ],
    ids=["grown", "shrunk", "emptied", "replaced", "touched", "deleted"],
)
def test_a_file_that_is_no_longer_as_it_was_listed_is_not_read(
    folder: Path, source: FolderSource, change: Callable[[Path], None], message: str
) -> None:
    path = folder / "a.csv"
    path.write_bytes(b"12345")
    os.utime(path, ns=(7, 7))
    entry = entries(source)["a.csv"]
    change(path)
    with pytest.raises(SourceError, match=rf"a\.csv: {message} after the day was listed\. Run {DAY} again\."):
        read(source, entry)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_an_error_of_the_system(folder: Path, source: FolderSource) -> None:
    (folder / "a.csv").touch(mode=0)
    with pytest.raises(PermissionError):
        read(source, entries(source)["a.csv"])
