"""Files that are not CSV: a class of the use case finds their records, and every record is a row or a reject."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets import running
from mlops_assets.errors import ConfigError
from mlops_assets.journey.explain.why import explain
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.read.listing import list_day
from mlops_assets.journey.read.readers import open_reader
from mlops_assets.journey.read.readers.pack import RAW_LIMIT
from mlops_assets.journey.read.rows import account, check_rows, read_day, rejects_table
from mlops_assets.journey.read.sources import SourceError, open_source
from mlops_assets.plugins import BadRecord, FileRefused, NotAttached, Noticed, RawFile, Record
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase, find_use_case, load_use_case
from mlops_assets.views.previewing import preview_days
from mlops_assets.work import code
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.work.progress import Progress
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.account_files import WriteDay
from mlops_assets_tests.helpers.homes import give_stores
from mlops_assets_tests.helpers.visits import VISITS, place_visits

DAY = "2026-01-01"
FILES = "  files: {{suffix: .json, reader: {}, attachments: [.png]}}\n  columns:"
RULES = {"field_count", "no_picture", "range", "type", "required", "allowed", "blank_line"}


class Scripted:
    """A reader that does what the file tells it: every kind of record, good or bad, and every way to fail."""

    def read(self, file: RawFile) -> Iterator[Any]:
        for step in json.loads(file.data):
            if step == "raise":
                raise RuntimeError("out of luck")
            if step == "refuse":
                raise FileRefused("not_today", "come back later")
            if step == "refuse without a rule":
                raise FileRefused("Not a rule!", "why")
            if isinstance(step, dict) and "picture" in step:
                yield Record({"visitor": "a", "minutes": str(len(file.attached(step["picture"])))}, "a picture")
            elif isinstance(step, dict) and "rule" in step:
                yield BadRecord(**step)
            elif isinstance(step, dict):
                yield Record(step, json.dumps(step))
            else:
                yield {"none": None, "bytes": Record({}, b"raw"), "list": Record([])}.get(step, step)  # type: ignore[arg-type]


def scripted(folder: Path, reader: str = f"{__name__}.Scripted", columns: str = "") -> UseCase:
    """The use case `visits`, read by a class."""
    yaml = VISITS.replace("  columns:", FILES.format(reader)).replace("    minutes:", f"{columns}    minutes:")
    place_visits(folder, yaml)
    return load_use_case(folder / "visits")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> UseCase:
    return scripted(tmp_path_factory.mktemp("scripted"))


def nothing(_: int, path: str) -> bytes:
    raise NotAttached(f"there is no {path!r}")


def read(case: UseCase, *files: list[Any] | bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, int]]:
    """Rows, rejects and the accounting of files, each a script or bytes."""
    contents = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in files]
    paths = [f"{number}.json" for number in range(len(files))]
    pack = open_reader(case, nothing).read(contents, paths)
    rows, refusals = check_rows(case, paths, pack)
    refusals = [*pack.refusals, *refusals]
    counts = account(pack, rows, refusals, len(paths))
    return rows.to_pylist(), rejects_table(paths, refusals).to_pylist(), counts


GOOD = {"visitor": "Ada", "minutes": "12.5", "channel": "web", "returned": "yes"}


def test_a_record_becomes_a_row_typed_by_the_contract_with_the_number_of_the_record(case: UseCase) -> None:
    rows, rejects, _ = read(case, [GOOD, {**GOOD, "minutes": None}, {"visitor": "Bob"}])
    assert rejects == []
    assert rows[0] == {"file": "0.json", "line": 1, **GOOD, "minutes": 12.5}
    assert [(row["line"], row["minutes"], row["channel"]) for row in rows[1:]] == [(2, None, "web"), (3, None, None)]


def test_a_bad_record_is_a_reject_with_its_rule_and_the_records_keep_their_numbers(case: UseCase) -> None:
    rows, rejects, counts = read(case, [GOOD, {"rule": "no_picture", "message": "not here", "raw": "{1}"}, GOOD])
    assert [row["line"] for row in rows] == [1, 3]
    assert rejects == [
        {"file": "0.json", "line": 2, "rule": "no_picture", "message": "not here", "raw": "{1}"},
    ]
    assert (counts["lines"], counts["rows"], counts["rejected"]) == (3, 2, 1)


def test_a_value_that_breaks_the_contract_is_a_reject_with_the_raw_record(case: UseCase) -> None:
    _, (reject,), _ = read(case, [{**GOOD, "minutes": "601"}])
    assert (reject["line"], reject["rule"]) == (1, "range")
    assert reject["raw"] == json.dumps({**GOOD, "minutes": "601"})


def test_half_a_character_is_replaced_and_long_texts_are_cut(case: UseCase) -> None:
    rows, (reject,), _ = read(
        case, [{**GOOD, "visitor": "a\ud800"}, {"rule": "odd", "message": "m" * 9_999, "raw": "\udfff" * 9_999}]
    )
    assert rows[0]["visitor"] == "a?"
    assert reject["raw"] == "?" * RAW_LIMIT
    assert len(reject["message"]) == RAW_LIMIT


REFUSED: dict[str, tuple[list[Any] | bytes, str, str]] = {
    "an empty file": (b"", "empty_file", "the file is empty"),
    "no records": ([], "no_rows", "the file has no records"),
    "refused by the reader": ([GOOD, "refuse"], "not_today", "come back later"),
    "a reader that fails at once": (b"\xff", "reader", "the reader failed: UnicodeDecodeError: "),
    "a reader that fails later": ([GOOD, GOOD, "raise"], "reader", "the reader failed: RuntimeError: out of luck"),
    "a reader that overlooks a missing attachment": (
        [{"picture": "a.png"}],
        "reader",
        "the reader failed: NotAttached: there is no 'a.png'",
    ),
    "no record": ([GOOD, 5], "reader", "the reader gave a int as record 2"),
    "no values": (["list"], "reader", "the reader gave a Record as record 1"),
    "an unknown column": ([{**GOOD, "age": "7"}], "reader", "the reader gave 'age' in record 1: no column's name"),
    "no text": ([{**GOOD, "minutes": 7}], "reader", "the reader gave 'minutes' as int in record 1, expected text or None"),
    "no raw text": (["bytes"], "reader", "the reader gave no text as `raw` of record 1"),
    "no rule": (["refuse without a rule"], "reader", "the reader gave 'Not a rule!' as a rule; write one like"),
    "a bad record without a rule": ([{"rule": "", "message": "m"}], "reader", "the reader gave '' as a rule"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_is_refused_as_a_whole_and_the_others_go_on(case: UseCase, name: str) -> None:
    file, rule, message = REFUSED[name]
    rows, (reject,), counts = read(case, [GOOD], file, [GOOD])
    assert [row["file"] for row in rows] == ["0.json", "2.json"]
    assert (reject["file"], reject["line"], reject["rule"]) == ("1.json", None, rule)
    assert reject["message"].startswith(message)
    assert (counts["files"], counts["files_read"], counts["files_refused"], counts["lines"]) == (3, 2, 1, 2)


class Counting:
    """A reader that loses a record, and says how many there are."""

    records_by = "lines"

    def count(self, file: RawFile) -> int:
        return file.data.count(b"\n")

    def read(self, file: RawFile) -> Iterator[Record | Noticed]:
        yield Noticed("read_as_utf_8" if file.data != b"unknown\n" else "nothing of ours")
        for line in file.data.decode().split():
            yield Record({"visitor": line})


def test_a_reader_that_loses_a_record_is_found_out_by_what_it_counts(tmp_path: Path) -> None:
    counting = scripted(tmp_path, f"{__name__}.Counting")
    rows, rejects, counts = read(counting, b"a\nb\n", b"a\n\nb\n", b"unknown\n")
    assert [row["visitor"] for row in rows] == ["a", "b"]
    assert [(one["rule"], one["message"].partition(";")[0]) for one in rejects] == [
        ("accounting", "the file has 3 lines, the reader gave 2 records"),
        ("reader", "the reader noticed 'nothing of ours' 1 times"),
    ]
    assert (counts["lines"], counts["noticed_read_as_utf_8"]) == (2, 1)
    assert "noticed_counted_by_reader" not in counts


def test_a_reader_that_counts_nothing_apart_is_told(case: UseCase) -> None:
    assert read(case, [GOOD], [GOOD, GOOD])[2]["noticed_counted_by_reader"] == 2


values = st.one_of(st.text(), st.sampled_from(["", " ", "web", "yes", "12", "-1", "1e3"]), st.none())
records = st.dictionaries(st.sampled_from(list(GOOD)), values)
bad_records = st.fixed_dictionaries({"rule": st.just("no_picture"), "message": st.text(), "raw": st.text()})
failures = st.sampled_from(["raise", "refuse", "refuse without a rule", 5, "none", "bytes", "list", {"x": "1"}])
scripts = st.lists(st.one_of(records, bad_records), max_size=6)
spoilt = st.tuples(scripts, failures).map(lambda pair: [*pair[0], pair[1]])
all_files = st.lists(st.one_of(scripts, spoilt, st.binary(max_size=9)), max_size=6)


@given(all_files)
def test_whatever_the_reader_does_every_file_and_every_record_is_accounted_for(
    case: UseCase, files: list[list[Any] | bytes]
) -> None:
    rows, rejects, counts = read(case, *files)
    refused = {reject["file"] for reject in rejects if reject["line"] is None}
    assert counts["files"] == len(files) == counts["files_read"] + counts["files_refused"]
    assert counts["files_refused"] == len(refused)
    for number, file in enumerate(files):
        name = f"{number}.json"
        lines = [one["line"] for one in (*rows, *rejects) if one["file"] == name]
        whole = isinstance(file, list) and bool(file) and not any(step in (5, "none") for step in file)
        if name in refused:
            assert lines == [None]
        else:
            assert whole
            assert sorted(lines) == list(range(1, len(file) + 1))
    assert {reject["rule"] for reject in rejects if reject["line"]} <= RULES


def test_a_column_that_is_constant_refuses_the_file_as_with_csv(tmp_path: Path) -> None:
    case = scripted(tmp_path, columns="    desk: {type: string, constant: true}\n")
    rows, (reject,), _ = read(case, [{**GOOD, "desk": "1"}, {**GOOD, "desk": "2"}], [{**GOOD, "desk": "3"}] * 2)
    assert [row["desk"] for row in rows] == ["3", "3"]
    assert (reject["file"], reject["rule"]) == ("0.json", "constant")


# -- files that records refer to ---------------------------------------------------------------------------------------


class Day:
    """A day of the scripted use case on disk."""

    def __init__(self, settings: Settings, case: UseCase, write_day: WriteDay) -> None:
        self.case, self.settings, self.write_day = case, settings, write_day
        self.source = open_source(case, settings.raw)
        self.lake = Lake(settings.lake, case.name)

    def write(self, files: dict[str, list[Any] | bytes]) -> Path:
        data = {name: one if isinstance(one, bytes) else json.dumps(one).encode() for name, one in files.items()}
        return self.write_day(self.case.name, DAY, data)

    def read(self) -> dict[str, Any]:
        manifest = list_day(self.case, self.source, self.lake.table("raw_files"), DAY)
        with LocalEngine(1) as engine:
            return read_day(self.case, self.source, self.lake, manifest, engine, Progress("rows", files=0)).numbers()

    def table(self, name: str) -> list[dict[str, Any]]:
        return sorted(
            self.lake.table(name).read_all([DAY]).to_pylist(), key=lambda one: (one["file"], one["line"] or 0)
        )


@pytest.fixture
def day(settings: Settings, case: UseCase, write_day: WriteDay) -> Day:
    return Day(settings, case, write_day)


def test_attachments_are_listed_and_counted_and_are_no_records(day: Day) -> None:
    day.write({"a.json": [{"picture": "pictures/1.png"}], "pictures/1.png": b"12345", "pictures/notes.txt": b""})
    accounting = day.read()
    assert (accounting["files"], accounting["files_refused"], accounting["rows"]) == (2, 1, 1), day.table("rejects")
    assert day.table("rows")[0]["minutes"] == 5
    assert [one["file"] for one in day.table("rejects")] == ["pictures/notes.txt"]
    listed = day.lake.table("raw_files").days()[DAY].accounting.to_json()
    assert (listed["files"], listed["attachments"], listed["bytes"]) == (
        2,
        1,
        5 + len('[{"picture": "pictures/1.png"}]'),
    )


def test_a_path_starts_at_the_folder_of_the_file_that_holds_the_record(day: Day) -> None:
    day.write({"deep/a.json": [{"picture": "./1.png"}], "deep/1.png": b"1", "1.png": b"22"})
    day.read()
    assert day.table("rows")[0]["minutes"] == 1


def test_a_record_of_a_kept_request_refers_to_what_was_sent_with_it(day: Day) -> None:
    day.write({"api/7f07/deep/a.json": [{"picture": "./1.png"}], "api/7f07/deep/1.png": b"1", "deep/1.png": b"22"})
    day.read()
    assert day.table("rows")[0]["minutes"] == 1


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("2.png", "there is no '2.png' among the attachments"),
        ("a.json", "there is no 'a.json' among the attachments"),
        ("../day=2026-01-02/1.png", "'../day=2026-01-02/1.png' leads out of the folder of the file"),
        ("x/../../1.png", "leads out of the folder of the file"),
        ("/etc/passwd", "'/etc/passwd' leads out of the folder of the file"),
        ("", "'' is no path"),
        (7, "7 is no path"),
        ("large.png", "'large.png' has 4000 bytes, allowed are 3000"),
        ("socket.png", "'socket.png' is not a regular file"),
        ("hidden/.1.png", "there is no 'hidden/.1.png'"),
        ("\ud800.png", "among the attachments"),
        ("1.png\0", "among the attachments"),
    ],
)
def test_what_is_no_attachment_of_the_day_cannot_be_read(day: Day, path: Any, said: str) -> None:
    files = day.case.files.model_copy(update={"largest": 3000})
    day.case = day.case.model_copy(update={"files": files})
    folder = day.write({"a.json": [{"picture": path}], "1.png": b"1", "large.png": b"1" * 4000, "hidden/.1.png": b""})
    os.mkfifo(folder / "socket.png")
    day.read()
    (reject,) = day.table("rejects")
    assert said in reject["message"]


@pytest.mark.parametrize("change", ["changed", "new", "gone"])
def test_a_change_of_an_attachment_makes_the_rows_of_the_day_again(day: Day, change: str) -> None:
    folder = day.write({"a.json": [{"picture": "1.png"}], "1.png": b"1", "2.png": b"1"})
    day.read()
    assert day.read()["reused"] == 1
    if change == "changed":
        (folder / "1.png").write_bytes(b"22")
    elif change == "new":
        (folder / "3.png").write_bytes(b"22")
    else:
        (folder / "1.png").unlink()
    (preview,) = preview_days(Workspace(day.settings).of(day.case), DAY, DAY)
    assert (preview.files, preview.reasons) == (1, {f"attachments are {change}": 1})
    assert day.read()["reused"] == 0
    assert [row["minutes"] for row in day.table("rows")] == {"changed": [2], "new": [1], "gone": []}[change]


class Careless:
    """A reader that catches everything."""

    def read(self, file: RawFile) -> Iterator[Record]:
        try:
            file.attached("1.png")
        except Exception:
            yield Record(GOOD)


def test_an_attachment_that_changes_while_the_day_is_read_stops_the_day_whatever_the_reader_catches(
    day: Day, tmp_path: Path
) -> None:
    day.case = scripted(tmp_path, f"{__name__}.Careless")
    folder = day.write({"a.json": b"x", "1.png": b"1"})
    manifest = list_day(day.case, day.source, day.lake.table("raw_files"), DAY)
    (folder / "1.png").write_bytes(b"22")
    with LocalEngine(1) as engine, pytest.raises(SourceError, match=r"1\.png: changed after the day was listed"):
        read_day(day.case, day.source, day.lake, manifest, engine, Progress("rows", files=0))


# -- what is told at load ----------------------------------------------------------------------------------------------


class NoMethod:
    pass


class WrongArguments:
    def read(self, data: bytes, path: str) -> list[Record]:  # noqa: ARG002
        return []


class NeedsMore:
    def __init__(self, encoding: str) -> None: ...

    def read(self, file: RawFile) -> list[Record]:  # noqa: ARG002
        return []


def function(file: RawFile) -> list[Record]:
    return []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nobody.readers.Reader", "'nobody.readers.Reader' cannot be imported: No module named 'nobody'"),
        (f"{__name__}.Missing", "has no attribute 'Missing'"),
        (f"{__name__}.function", "function is a function, expected a class with read(file)"),
        (f"{__name__}.NoMethod", "NoMethod has no method read(file)"),
        (f"{__name__}.WrongArguments", "read cannot be called with (file): missing a required argument: 'path'"),
        (f"{__name__}.NeedsMore", "cannot be made with no arguments: missing a required argument: 'encoding'"),
    ],
)
def test_a_class_that_is_no_reader_is_told_by_file_line_and_key(tmp_path: Path, path: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        scripted(tmp_path, path)
    line = VISITS.splitlines().index("  columns:") + 1
    assert str(error.value).startswith(f"{tmp_path / 'visits' / 'defs.yaml'}:{line}: files.reader: ")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("[.png]", "[.png, .json]", "files.attachments: names that end in '.json' are those of data files"),
        ("[.png]", '[""]', "files.attachments: names that end in '' are those of data files"),
        ("suffix: .json", "suffix: .json, delimiter: ;", "files: delimiter is for CSV files: the class that `reader`"),
    ],
)
def test_keys_that_contradict_the_reader_are_told(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    files = FILES.format(f"{__name__}.Scripted").replace(right, wrong)
    place_visits(tmp_path, VISITS.replace("  columns:", files))
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_use_case(tmp_path / "visits")


# -- the whole way, by a reader in a package outside the repository ---------------------------------------------------

READER = """
import json
from collections.abc import Iterator

from mlops_assets.plugins import BadRecord, FileRefused, NotAttached, RawFile, Record


class ReceiptReader:
    def read(self, file: RawFile) -> Iterator[Record | BadRecord]:
        try:
            lines = file.data.decode("utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise FileRefused("encoding", f"byte {error.start} is not UTF-8") from None
        for line in lines:
            try:
                receipt = json.loads(line)
                scan = file.attached(receipt["scan"])
            except (ValueError, TypeError, KeyError):
                yield BadRecord("not_a_receipt", "the line is no JSON object with `scan`", line)
            except NotAttached as error:
                yield BadRecord("no_scan", str(error), line)
            else:
                values = {name: str(receipt.get(name, "")) for name in ("shop", "total", "fraud")}
                yield Record({**values, "scan_bytes": str(len(scan))}, raw=line)
"""
YAML = """
type: mlops_assets.components.MlUseCase

attributes:
  description: Whether a receipt is made up.
  start: 2026-01-01
  files:
    suffix: .jsonl
    reader: receipts.reader.ReceiptReader
    attachments: [.png]
  columns:
    shop: {type: string, required: true}
    total: {type: number, min: 0}
    scan_bytes: {type: integer, about: Size of the picture.}
    fraud: {type: string, allowed: ["no", "yes"]}
  account: shop
  label: fraud
  training:
    split: {by: random}
    baseline: majority
    candidates:
      majority: {use: sklearn.dummy.DummyClassifier}
      tree: {use: sklearn.tree.DecisionTreeClassifier, parameters: {max_depth: 3}}
"""


@pytest.fixture
def receipts(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], UseCase]]:
    """The use case `receipts`, as a user has it: its folder is a package, too."""
    folder = tmp_path / "use_cases" / "receipts"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "reader.py").write_text(READER)
    (folder / "defs.yaml").write_text(YAML)
    (folder / "features.sql").write_text("CREATE VIEW model_input AS SELECT file, line, total, scan_bytes FROM rows;")
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.setenv("MLOPS_USE_CASES", str(folder.parent))
    code.forget()
    yield lambda: find_use_case((folder.parent,), "receipts")
    for name in [name for name in sys.modules if name.partition(".")[0] == "receipts"]:
        del sys.modules[name]
    code.forget()


def receipt(number: int, **changes: object) -> str:
    fraud = "yes" if number % 3 == 0 else "no"
    told = {"shop": f"s{number}", "total": number, "fraud": fraud, "scan": f"scans/{fraud}.png", **changes}
    return json.dumps({name: value for name, value in told.items() if value is not None})


def test_a_reader_of_ones_own_goes_the_whole_way_through_dagster(
    receipts: Callable[[], UseCase], settings: Settings, write_day: WriteDay
) -> None:
    case, settings = receipts(), Settings.from_environment()
    bad = [receipt(900, scan=None), receipt(901, scan="scans/maybe.png"), receipt(902, total=-1), "{"]
    good = [receipt(number) for number in range(60)]
    files = {
        "a.jsonl": "\n".join([*good[:30], *bad]).encode(),
        "b.jsonl": "\n".join(good[30:]).encode(),
        "c.jsonl": b"\xff",
        "scans/yes.png": b"1" * 100,
        "scans/no.png": b"1" * 10,
    }
    write_day("receipts", DAY, files)
    give_stores(settings.home, "mlflow")
    with dg.DagsterInstance.ephemeral() as instance:
        running.run_use_case(running.load_definitions(case), instance, case, (DAY, DAY), train=True)
    lake = Lake(settings.lake, "receipts")
    predictions = lake.table("predictions").read_all([DAY]).to_pylist()
    assert len(predictions) == 60
    assert all((one["prediction"] == "yes") == (int(one["account_id"][1:]) % 3 == 0) for one in predictions)
    rejects = {(one["file"], one["line"]): one for one in lake.table("rejects").read_all([DAY]).to_pylist()}
    assert {key: one["rule"] for key, one in rejects.items()} == {
        ("a.jsonl", 31): "not_a_receipt",
        ("a.jsonl", 32): "no_scan",
        ("a.jsonl", 33): "range",
        ("a.jsonl", 34): "not_a_receipt",
        ("c.jsonl", None): "encoding",
    }
    assert rejects["a.jsonl", 33]["raw"] == bad[2]

    registry = Registry(settings)
    source = open_source(case, settings.raw)
    told = explain(
        case, source, lake, lambda number: registry.prove(registry.version("receipts", number)), DAY, "a.jsonl", 4
    )
    assert told.agrees
    assert told.raw == good[3]
    assert {one.column: one.raw for one in told.cleaned}["scan_bytes"] == "100"


def test_a_change_in_what_the_reader_imports_makes_the_rows_again_and_a_comment_does_not(
    receipts: Callable[[], UseCase], settings: Settings, write_day: WriteDay, tmp_path: Path
) -> None:
    day = Day(settings, receipts(), write_day)
    day.write({"a.jsonl": receipt(1).encode(), "scans/no.png": b"1"})
    day.read()
    assert day.read()["reused"] == 1
    helper, reader = (tmp_path / "use_cases" / "receipts" / f"{name}.py" for name in ("helper", "reader"))
    for path, text, reused in (
        (reader, f"# a better way\n{READER}", 1),
        (helper, "SCALE = 1\n", 1),  # nobody imports it
        (reader, f"from receipts import helper\n{READER}", 0),
        (helper, "SCALE = 1  # of one\n", 1),
        (helper, "SCALE = 2\n", 0),
    ):
        path.write_text(text)
        code.forget()  # a process reads its code once
        assert day.read()["reused"] == reused, text
