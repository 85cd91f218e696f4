"""Rejected lines that a person mended become rows of their day, each of them once, and it stays known where they came from."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import UsageError
from mlops_assets.journey.read import replay as replaying
from mlops_assets.journey.read.listing import list_day
from mlops_assets.journey.read.mended import Line, Mended, read_mended
from mlops_assets.journey.read.replay import Origin, Replay, ReplayRefused, open_rejects, origin_of, replay
from mlops_assets.journey.read.rows import read_day
from mlops_assets.journey.read.sources import FolderSource, Source, SqlSource, open_source
from mlops_assets.storage import places
from mlops_assets.storage.catalog import REJECTS, Lake
from mlops_assets.storage.places import Place, S3Path
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.source import SqlSource as Parameters
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets_tests.helpers.account_files import HEADER, ROW, account_file, changed
from mlops_assets_tests.helpers.days import DAY, ignore

BAD = changed(data="99.99.2019")
OTHER = changed(id="7", data="40.1.2019")


class Bench:
    """A day of three files, two of which have rejected lines, on disk or on S3."""

    def __init__(self, root: Place, use_case: UseCase) -> None:
        self.use_case, self.root = use_case, root
        self.lake = Lake(root / "lake", use_case.name)
        self.deliver("sub/a.csv", account_file([ROW, BAD, ROW, BAD]))
        self.deliver("b.csv", account_file([OTHER], end="\n"))
        self.deliver("good.csv", account_file([changed(id="3")]))
        self.run()

    @property
    def source(self) -> Source:
        return open_source(self.use_case, self.root / "raw")

    def deliver(self, name: str, data: bytes) -> None:
        place = self.root / "raw" / self.use_case.name / f"day={DAY}" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def remove(self, name: str) -> None:
        places.remove(self.root / "raw" / self.use_case.name / f"day={DAY}", [name])

    def raw(self) -> dict[str, bytes]:
        return {entry.path: self.source.read(DAY, entry) for entry in self.source.list(DAY)}

    def run(self) -> None:
        manifest = list_day(self.use_case, self.source, self.lake.raw_files, DAY)
        read_day(self.use_case, self.source, self.lake, manifest, LocalEngine(1), ignore)

    def rejects(self) -> list[Mended]:
        table = self.lake.rejects.read_all([DAY], REJECTS.names).to_pylist()
        return [Mended(Line(DAY, one["file"], one["line"]), one["rule"], one["raw"]) for one in table if one["line"]]

    def mended(
        self, mend: Callable[[str], str] = lambda raw: raw.replace("99.99", "9.9").replace("40.1", "4.1")
    ) -> list[Mended]:
        return [replace(one, raw=mend(one.raw)) for one in self.rejects()]

    def replay(self, mended: list[Mended]) -> Replay:
        return replay(self.use_case, self.source, self.lake, mended)

    def rows(self, column: str = "date") -> dict[tuple[str, int], str]:
        table = self.lake.rows.read_all([DAY], ["file", "line", column]).to_pylist()
        return {(row["file"], row["line"]): str(row[column]) for row in table}

    def open(self) -> int:
        return open_rejects(self.source, self.lake).get(DAY, -1)


@pytest.fixture(params=["disk", pytest.param("s3", marks=pytest.mark.long)])
def bench(request: pytest.FixtureRequest, tmp_path: Path, transactions: UseCase) -> Bench:
    bucket: S3Path | Path = tmp_path if request.param == "disk" else request.getfixturevalue("bucket")
    return Bench(bucket, transactions)


@pytest.fixture
def disk(tmp_path: Path, transactions: UseCase) -> Bench:
    return Bench(tmp_path, transactions)


def test_mended_lines_become_rows_of_their_day_in_a_file_beside_their_own(bench: Bench) -> None:
    before = bench.raw()
    done = bench.replay(bench.mended())
    b, a = done.written
    assert [len(one.origins) for one in (a, b)] == [2, 1]
    assert (a.file, b.file) == (f"sub/a.replayed-{a.mark}.csv", f"b.replayed-{b.mark}.csv")
    # as the files are that they come from: header, encoding, line ends
    good = changed(data="9.9.2019")
    assert bench.raw() == {
        **before,
        a.file: account_file([good, good]),
        b.file: account_file([changed(OTHER, data="4.1.2019")], end="\n"),
    }
    assert bench.open() == 3, "they are no rows yet"
    bench.run()
    assert (
        bench.rows() | {(a.file, 1): "2019-09-09", (a.file, 2): "2019-09-09", (b.file, 1): "2019-01-04"} == bench.rows()
    )
    assert bench.open() == 0
    assert bench.rows("account_id")[b.file, 1] == "7"
    origin = origin_of(bench.lake, DAY, a.file, 2)
    assert origin is not None
    assert (origin.file, origin.line, origin.rule, origin.raw) == ("sub/a.csv", 4, "type", BAD)
    assert origin_of(bench.lake, DAY, "sub/a.csv", 1) is None


def test_the_same_lines_are_never_there_twice(bench: Bench) -> None:
    mended = bench.mended()
    first = bench.replay(mended[:1])
    again = bench.replay(mended[:1])
    assert (len(first.written), again.written, again.before) == (1, (), 1)
    # with others, before a run and after it; also where somebody mended one in another way
    rest = bench.replay([replace(mended[0], raw=mended[0].raw.replace("4.1", "5.1")), *mended[1:]])
    assert ([len(one.origins) for one in rest.written], rest.before) == ([2], 1)
    bench.run()
    assert bench.replay(bench.mended()) == Replay((), 3, (), ())
    assert len(bench.rows()) == 3 + 3
    assert bench.open() == 0


def test_lines_of_the_same_text_may_come_one_after_the_other(disk: Bench) -> None:
    _, *same = disk.mended()
    assert same[0].raw == same[1].raw
    for one in same:
        assert len(disk.replay([one]).written) == 1
    disk.run()
    assert (disk.open(), len(disk.rows())) == (1, 3 + 2)


@pytest.mark.parametrize("bench", ["disk", "s3"], indirect=True)
def test_a_replay_that_was_killed_is_finished_by_the_next_one(bench: Bench) -> None:
    done = bench.replay(bench.mended())
    whole = bench.raw()
    # what a kill leaves: the document of a file and not the file, or neither of them
    for document in (True, False):
        bench.remove(done.written[1].file)
        if not document:
            places.remove(bench.lake.replays, [bench.lake.replay(DAY, done.written[1].mark).name])
        again = bench.replay(bench.mended())
        assert ([one.file for one in again.written], again.before) == ([done.written[1].file], 1)
        assert bench.raw() == whole


def test_of_two_replays_at_once_that_share_lines_one_is_taken_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    mended, write = bench.mended(), replaying._write
    other: list[Replay] = []

    def write_late(*what: Any) -> None:
        monkeypatch.setattr(replaying, "_write", write)
        other.append(bench.replay(mended[:2]))  # begins and ends after this one has looked what is there
        write(*what)

    monkeypatch.setattr(replaying, "_write", write_late)
    with pytest.raises(ReplayRefused, match="Another replay put some of these lines into their days at the same time"):
        bench.replay(mended)
    assert len(other[0].written) == 2
    assert (bench.replay(mended).before, len(bench.raw())) == (2, 3 + 3)
    bench.run()
    assert (bench.open(), len(bench.rows())) == (0, 3 + 3)


def test_a_replay_is_taken_back_by_removing_its_file(disk: Bench) -> None:
    done = disk.replay(disk.mended())
    disk.run()
    disk.remove(done.written[0].file)
    disk.run()
    assert (disk.open(), len(disk.rows())) == (1, 3 + 2)
    assert disk.replay(disk.mended()).before == 2


def test_lines_that_nobody_mended_are_left_alone(disk: Bench) -> None:
    done = disk.replay([*disk.mended()[:1], *disk.rejects()[1:]])
    assert len(done.written) == 1
    assert done.untouched == (Line(DAY, "sub/a.csv", 2), Line(DAY, "sub/a.csv", 4))
    disk.run()
    assert disk.open() == 2


def refused(bench: Bench, mended: list[Mended]) -> str:
    """Why it is refused, and nothing is written."""
    before = bench.raw()
    with pytest.raises(ReplayRefused, match="Nothing was replayed") as told:
        bench.replay(mended)
    assert bench.raw() == before
    assert [*bench.lake.replays.glob("*")] == []
    return str(told.value)


def test_a_line_that_would_be_rejected_again_is_named_and_none_is_replayed(disk: Bench) -> None:
    good, *others = disk.mended()
    told = refused(disk, [good, replace(others[0], raw=changed(data="31.2.2019")), replace(others[1], raw="4,53E+11")])
    assert f"{DAY}, sub/a.csv, line 2: 'data' is '31.2.2019', expected a date" in told
    assert f"{DAY}, sub/a.csv, line 4: the line has 1 fields, expected 13" in told
    assert "b.csv" not in told


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (f"{ROW}\n{ROW}", "is 2 lines now"),
        ("", "the line is blank"),
        (ROW.replace("BR", '"BR'), "a double quote is not closed"),
        (ROW.replace("SAO PAULO", "東京"), "cannot be written in mac-roman"),
    ],
)
def test_what_no_line_of_the_file_can_be_is_refused(disk: Bench, raw: str, why: str) -> None:
    (one, *_) = disk.mended()
    assert re.search(why, refused(disk, [replace(one, raw=raw)]))


def test_lines_that_are_no_rejects_any_more_are_refused(disk: Bench) -> None:
    (one, *_) = disk.mended()
    assert "is not among the rejects of that day" in refused(disk, [replace(one, at=Line(DAY, "good.csv", 1))])
    assert "is not among the rejects of that day" in refused(disk, [replace(one, at=Line("2026-01-09", "b.csv", 1))])
    assert "is rejected for another reason now" in refused(disk, [replace(one, rule="range")])
    mended = disk.mended()
    # mended in its file meanwhile, before and after the run that takes it up
    disk.deliver("b.csv", account_file([changed(id="8")]))
    assert "b.csv: changed after the day was listed. Run 2026-01-01 again" in refused(disk, mended)
    disk.run()
    assert f"{DAY}, b.csv, line 1: is not among the rejects" in refused(disk, mended)


def test_a_line_that_was_cut_for_its_length_is_mended_in_its_file(tmp_path: Path, transactions: UseCase) -> None:
    bench = Bench(tmp_path, transactions)
    bench.deliver("long.csv", account_file([changed(BAD, cidade_estabelecimento="x" * 3000)]))
    bench.run()
    (long,) = [one for one in bench.mended() if one.at.file == "long.csv"]
    assert "is longer than the 2000 characters that are kept" in refused(bench, [long])


@pytest.mark.parametrize("header", ["names", "ignored", "none"])
def test_columns_by_their_place_and_files_with_a_mark_are_replayed(
    tmp_path: Path, transactions: UseCase, header: str
) -> None:
    files = transactions.files.model_copy(update={"header": header})
    case = transactions.model_copy(update={"files": files})
    bench = Bench(tmp_path, case)
    first = [] if header == "none" else [HEADER]
    text = "\r\n".join(
        [*first, changed(id="9", cidade_estabelecimento="日本"), changed(BAD, cidade_estabelecimento="日本"), ""]
    )
    # only `none` reads the headers of the other files as lines
    bench.deliver("marked.csv", text.encode("utf-8-sig"))
    bench.run()
    mended = [one for one in bench.mended() if one.at.file == "marked.csv"]
    (made,) = bench.replay(mended).written
    good = changed(data="9.9.2019", cidade_estabelecimento="日本")
    assert made.data == "\r\n".join([*first, good, ""]).encode("utf-8-sig")
    bench.run()
    assert bench.rows()[made.file, 1] == "2019-09-09"


def test_raw_files_that_nothing_can_be_put_beside_are_mended_where_they_come_from(
    disk: Bench, compound_rings: UseCase
) -> None:
    mended = disk.mended()
    with pytest.raises(UsageError, match="its records cannot be put into files: mend the files where they lie"):
        replay(compound_rings, disk.source, disk.lake, mended)
    assert isinstance(disk.source, FolderSource)
    parameters = Parameters.model_validate({"query": "SELECT :day", "url_variable": "NOT_ASKED"})
    landed = SqlSource(parameters, disk.use_case, disk.source)
    with pytest.raises(UsageError, match="brought by its source, which nothing can be put into: mend what it brings"):
        replay(disk.use_case, landed, disk.lake, mended)


# -- the file that a person mended -------------------------------------------------------------------------------------

RECORD = {"day": DAY, "file": "a.csv", "line": 2, "rule": "type", "message": "m", "raw": "x;y"}


def written(path: Path, records: list[dict[str, object]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(records[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(records)
    return path


def test_a_file_is_read_as_rejects_writes_it_or_as_a_spreadsheet_saves_that(tmp_path: Path) -> None:
    whole = {**RECORD, "file": "b.csv", "line": None}
    expected = ([Mended(Line(DAY, "a.csv", 2), "type", "x;y")], [f"{DAY}, b.csv"])
    as_json = tmp_path / "rejects.json"
    as_json.write_text(json.dumps([RECORD, whole]))
    assert read_mended(as_json) == expected
    assert read_mended(written(tmp_path / "plain.csv", [RECORD, whole])) == expected
    sheet = written(tmp_path / "sheet.csv", [RECORD, whole], ";", "utf-8-sig")
    assert read_mended(sheet) == expected
    sheet.write_bytes(sheet.read_bytes().replace(b"\r\n", b"\r"))  # as one of the Macintosh does
    assert read_mended(sheet) == expected


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"day": "2026-13-01"}, "day, file and line say what was mended: leave them as they were"),
        ({"line": "two"}, "day, file and line say what was mended"),
        ({"rule": "range"}, "a.csv, line 2 stands twice, and not the same; keep one of them"),
    ],
)
def test_what_says_no_line_for_certain_is_refused(tmp_path: Path, change: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError, match=f"rejects.csv, reject 2: .*{why}"):
        read_mended(written(tmp_path / "rejects.csv", [RECORD, {**RECORD, **change}]))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"day,file,line\n2026-01-01,a,1\n", "reject 1: there is no 'rule'"),
        (b'"day","fi', "cannot be read as rejects: unexpected end of data"),
        (b"\xff\xfe", "is not UTF-8"),
        (
            b"day,file,line,rule,message,raw\n2026-01-01,a,1,type,m,x,y\n",
            "reject 1: has not as many fields as the header",
        ),
        (b"day,file,line,rule,message,raw\n2026-01-01,a,1\n", "reject 1: has not as many fields as the header"),
    ],
)
def test_a_file_that_is_none_of_rejects_is_refused(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "rejects.csv"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=why):
        read_mended(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [("5", "is no list"), ("null", "is no list"), ("{}", "is no list"), ("[" * 100_000, "cannot be read")],
)
def test_json_that_is_none_of_rejects_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "rejects.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=why):
        read_mended(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_mended(tmp_path / "none.csv")


def test_an_origin_is_what_the_reject_said() -> None:
    assert Origin("a.csv", 2, "type", "m", "x;y") == Origin(**{name: RECORD[name] for name in REJECTS.names})  # type: ignore[arg-type]
