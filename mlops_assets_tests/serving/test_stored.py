"""Kept requests: none that was answered is lost or there twice, whatever ends the process; with the switch off, nothing."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import resource
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlops_assets.errors import UsageError
from mlops_assets.journey.read.readers.pack import Refusal
from mlops_assets.journey.score.online import Sent
from mlops_assets.serving.answering.bell import Bell
from mlops_assets.serving.app import make_app
from mlops_assets.serving.keeping.journal import Journal, NotKept
from mlops_assets.serving.keeping.landing import _with_attached, plan
from mlops_assets.serving.keeping.stored import JournalStore, NoStore, journals, open_store
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.service import Service
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.storage.files import read_part, write_json
from mlops_assets.storage.places import S3Path
from mlops_assets.use_case import Origin, Partitions, UseCase, load_use_case
from mlops_assets.views.status import forgotten
from mlops_assets_tests.helpers.account_files import account_file
from mlops_assets_tests.helpers.asgi_client import Client
from mlops_assets_tests.helpers.keeping import DAY, answered, keep, keeping, transactions, workspace_in

FILE = account_file()


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    return keeping(transactions())


@pytest.fixture
def store(tmp_path: Path, use_case: UseCase) -> Iterator[JournalStore]:
    one = JournalStore(workspace_in(tmp_path), [use_case])
    yield one
    one.close()


def raw(home: Path, use_case: UseCase) -> dict[str, bytes]:
    """The raw files that a listing sees, by their path below the folder of the day."""
    top = home / "raw" / use_case.name / f"day={DAY}"
    files = (path for path in top.rglob("[!.]*") if path.is_file())
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in files}


def lines(home: Path, use_case: UseCase) -> list[dict[str, object]]:
    """What is known of answers."""
    found = sorted((home / "lake" / use_case.name / "requests" / f"day={DAY}").glob("*.parquet"))
    return [line for path in found for line in read_part(path).to_pylist()]


# -- what becomes of a request -----------------------------------------------------------------------------------------


def test_a_request_becomes_raw_files_of_its_day_and_its_answer_a_table(
    store: JournalStore, use_case: UseCase, tmp_path: Path
) -> None:
    files = [Sent("a.csv", FILE), Sent("b.csv", b"no header")]
    wrong = answered("b.csv", [Refusal(0, None, "header", "no header")], lines=0)
    asyncio.run(keep(store, use_case, files, answers=[answered("a.csv"), wrong]))
    store.land()
    assert raw(tmp_path, use_case) == {"api/r1/a.csv": FILE, "api/r1/b.csv": b"no header"}
    good, bad = lines(tmp_path, use_case)
    assert good["when"]
    common = {"request": "r1", "when": good["when"], "caller": "somebody", "version": 3}
    assert good == {
        **common,
        "file": "api/r1/a.csv",
        "name": "a.csv",
        "line": 1,
        "prediction": "food",
        "rule": None,
        "message": None,
        "probability": pytest.approx(0.1),
    }
    assert (bad["file"], bad["line"], bad["rule"], bad["prediction"]) == ("api/r1/b.csv", None, "header", None)


def test_landed_requests_leave_no_journal(store: JournalStore, use_case: UseCase, tmp_path: Path) -> None:
    asyncio.run(keep(store, use_case, [Sent("a.csv", FILE)]))
    asyncio.run(store.drain())
    assert not any(journals(workspace_in(tmp_path)).iterdir())
    assert len(raw(tmp_path, use_case)) == 1


def test_a_store_that_is_drained_takes_nothing_more(store: JournalStore, use_case: UseCase) -> None:
    asyncio.run(keep(store, use_case, [Sent("a.csv", FILE)]))
    asyncio.run(store.drain())
    with pytest.raises(Problem, match="about to end") as problem:
        asyncio.run(keep(store, use_case, [Sent("a.csv", FILE)]))
    assert (problem.value.status, problem.value.headers) == (503, {"Retry-After": "5"})


def test_with_the_switch_off_nothing_is_written(tmp_path: Path) -> None:
    off = transactions()
    store = open_store(workspace_in(tmp_path), {off.name: off})
    store.start()
    asyncio.run(keep(store, off, [Sent("a.csv", FILE)]))
    assert isinstance(store, NoStore)
    assert not any(tmp_path.iterdir())


def test_only_use_cases_that_say_so_are_kept(store: JournalStore, tmp_path: Path) -> None:
    asyncio.run(keep(store, transactions(), [Sent("a.csv", FILE)]))
    assert not any(tmp_path.iterdir())


def test_raw_files_that_a_class_lists_cannot_be_added_to(tmp_path: Path, use_case: UseCase) -> None:
    own = use_case.model_copy(
        update={"source": Origin(use="mlops_assets_tests.helpers.careless.Deliveries", parameters={"key": "k"})}
    )
    with pytest.raises(UsageError, match="serving.store needs raw files in a folder or on S3"):
        open_store(workspace_in(tmp_path), {own.name: own})


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "lies"),
    {
        "../../etc/passwd.csv": "passwd.csv",
        "SPORTS/a.csv": "SPORTS/a.csv",
        "deep/er/a.csv": "deep/er/a.csv",
        "-2/a.csv": "a.csv",
        "deep/.er/a.csv": "a.csv",
        "deep\\er/a.csv": "a.csv",
        "C:\\data\\a.csv": "a.csv",
        ".hidden.csv": "hidden.csv",
        "_SUCCESS": "SUCCESS.csv",
        "file": "file.csv",
        "a.CSV": "a.CSV.csv",
        "": "file.csv",
        "a\x00\n\u202eb.csv": "a---b.csv",
        "März 2026.csv": "März 2026.csv",
        "x" * 300 + ".csv": "x" * 116 + ".csv",
        "half \ud800.csv": "half -.csv",
    }.items(),
)
def test_names_are_made_such_that_every_listing_sees_them_and_none_leads_elsewhere(
    sent: str, lies: str, use_case: UseCase
) -> None:
    ((path, _),) = plan([Sent(sent, FILE)], [False], use_case.files)
    assert path == lies


def test_a_file_that_was_refused_is_not_made_readable_by_its_name(use_case: UseCase) -> None:
    names = [plan([Sent(name, FILE)], [True], use_case.files)[0][0] for name in ("a.txt", "a.csv ", "a.csv")]
    assert names == ["a.txt", "a.csv-", "a.csv"]


def test_files_of_one_name_lie_in_folders_of_their_own(use_case: UseCase) -> None:
    planned = plan([Sent("a.csv", FILE), Sent("a.csv", FILE), Sent("b.csv", FILE)], [False] * 3, use_case.files)
    assert [path for path, _ in planned] == ["a.csv", "-2/a.csv", "b.csv"]


def test_a_picture_lies_where_its_record_in_a_folder_says() -> None:
    file = Sent("deep/a.json", b"[1]", {"deep/x.png": b"one", "y.png": b"two"})
    laid = dict(_with_attached("-2/deep/a.json", file))
    assert laid == {"-2/deep/a.json": b"[1]", "-2/deep/x.png": b"one", "-2/y.png": b"two"}


def test_attachments_lie_beside_their_record(tmp_path: Path) -> None:
    rings = keeping(load_use_case(OWN_USE_CASES / "compound_rings"))
    store = JournalStore(workspace_in(tmp_path), [rings])
    sent = [Sent("a.json", b"[1]", {"p/x.png": b"one"}), Sent("b.json", b"[2]", {"p/x.png": b"two"})]
    asyncio.run(keep(store, rings, sent))
    store.close()
    laid = {"a.json": b"[1]", "p/x.png": b"one", "-2/b.json": b"[2]", "-2/p/x.png": b"two"}
    assert raw(tmp_path, rings) == {f"api/r1/{path}": data for path, data in laid.items()}


@pytest.mark.parametrize("path", ["../x.png", "/x.png", "a/../x.png", ".x.png", "p/_x.png", "x.txt", "a\\x.png"])
def test_an_attachment_that_cannot_lie_beside_its_record_is_told_to_the_client(tmp_path: Path, path: str) -> None:
    rings = keeping(load_use_case(OWN_USE_CASES / "compound_rings"))
    store = JournalStore(workspace_in(tmp_path), [rings])
    with pytest.raises(Problem, match="under which it cannot be kept") as problem:
        asyncio.run(keep(store, rings, [Sent("a.json", b"[1]", {path: b"one"})]))
    assert problem.value.status == 422
    assert problem.value.errors[0].where == "files[0]"


# -- ids ---------------------------------------------------------------------------------------------------------------


def test_a_request_that_is_sent_again_is_there_once(store: JournalStore, use_case: UseCase, tmp_path: Path) -> None:
    for _ in range(2):
        asyncio.run(keep(store, use_case, [Sent("a.csv", FILE)]))
        store.land()
    assert set(raw(tmp_path, use_case)) == {"api/r1/a.csv"}


def test_another_request_of_the_same_id_takes_nothing_away(
    store: JournalStore, use_case: UseCase, tmp_path: Path
) -> None:
    asyncio.run(keep(store, use_case, [Sent("a.csv", FILE)]))
    asyncio.run(keep(store, use_case, [Sent("a.csv", FILE * 2), Sent("b.csv", FILE)]))
    store.land()
    assert sorted(raw(tmp_path, use_case).values()) == sorted([FILE, FILE * 2, FILE])


def test_an_id_leads_nowhere_else(store: JournalStore, use_case: UseCase, tmp_path: Path) -> None:
    asyncio.run(keep(store, use_case, [Sent("a.csv", FILE)], "../../x.csv"))
    store.land()
    assert set(raw(tmp_path, use_case)) == {"api/x-csv/a.csv"}


# -- what ends a process -----------------------------------------------------------------------------------------------


def kill_under_load(home: Path, use_case: UseCase, chance: random.Random) -> None:
    """Kill a process that keeps requests, then look for each that it has answered."""
    durable = chance.choice(["durable", "soon"])
    command = [sys.executable, "-m", "mlops_assets_tests.helpers.keeping", str(home), durable, "16"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(chance.randint(1, 400))]
        process.send_signal(signal.SIGKILL)
        told += [line.strip() for line in process.stdout if line.endswith("\n")]
    JournalStore(workspace_in(home), [use_case]).land()
    files = Counter(path.split("/")[1] for path in raw(home, use_case))
    assert {request: files[request] for request in told} == dict.fromkeys(told, 2)
    assert set(files.values()) == {2}
    kept = {(line["request"], line["file"]) for line in lines(home, use_case)}
    assert len(kept) == len(lines(home, use_case)) == sum(files.values())
    assert not any(journals(workspace_in(home)).glob("[!.]*"))


def test_every_answered_request_is_there_once_after_a_kill(tmp_path: Path, use_case: UseCase) -> None:
    kill_under_load(tmp_path, use_case, random.Random(7))


@pytest.mark.long
def test_every_answered_request_is_there_once_after_fifty_kills(tmp_path: Path, use_case: UseCase) -> None:
    chance = random.Random(8)
    for number in range(50):
        kill_under_load(tmp_path / str(number % 10), use_case, chance)


@contextmanager
def orphan(home: Path, use_case: UseCase) -> Iterator[Path]:
    """The segment of a journal whose process is gone, of three requests; it is landed at the end."""
    store = JournalStore(workspace_in(home), [use_case])
    for number in range(3):
        asyncio.run(keep(store, use_case, [Sent("a.csv", FILE)], f"r{number}"))
    shutil.copytree(next(journals(workspace_in(home)).iterdir()), home / "copy")
    (home / "copy").rename(journals(workspace_in(home)) / "gone")
    yield journals(workspace_in(home)) / "gone" / "000001.segment"
    JournalStore(workspace_in(home), [use_case]).land()


def test_a_record_that_was_being_written_was_told_to_nobody(tmp_path: Path, use_case: UseCase) -> None:
    with orphan(tmp_path, use_case) as segment:
        segment.write_bytes(segment.read_bytes()[:-7])
    assert set(raw(tmp_path, use_case)) == {"api/r0/a.csv", "api/r1/a.csv"}
    assert not segment.parent.exists()


@pytest.mark.parametrize(("at", "left"), [(3, set()), (40, {"api/r1/a.csv", "api/r2/a.csv"})])
def test_a_damaged_record_is_told_and_kept_apart(
    tmp_path: Path, use_case: UseCase, caplog: pytest.LogCaptureFixture, at: int, left: set[str]
) -> None:
    with orphan(tmp_path, use_case) as segment:
        data = bytearray(segment.read_bytes())
        data[at] ^= 1
        segment.write_bytes(data)
    assert set(raw(tmp_path, use_case)) == left
    assert segment.with_name("000001.segment.damaged").exists()
    assert "some of its records are damaged" in caplog.text


def test_what_was_landed_before_a_kill_is_left_as_it_lies(tmp_path: Path, use_case: UseCase) -> None:
    with orphan(tmp_path, use_case) as segment:
        copy = segment.read_bytes()
    path = tmp_path / "raw" / use_case.name / f"day={DAY}" / "api" / "r0" / "a.csv"
    before = path.stat()
    segment.parent.mkdir()
    (segment.parent / "lock").touch()
    segment.write_bytes(copy)
    JournalStore(workspace_in(tmp_path), [use_case]).land()
    assert (path.stat().st_ctime_ns, path.stat().st_ino) == (before.st_ctime_ns, before.st_ino)
    assert len(raw(tmp_path, use_case)) == len(lines(tmp_path, use_case)) == 3


def test_the_journal_of_a_living_process_is_its_own(store: JournalStore, use_case: UseCase, tmp_path: Path) -> None:
    asyncio.run(keep(store, use_case, [Sent("a.csv", FILE)]))
    JournalStore(workspace_in(tmp_path), [use_case]).land()
    assert not raw(tmp_path, use_case)


# -- what cannot be written --------------------------------------------------------------------------------------------


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """A disk on which no file becomes larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("durable", [True, False])
def test_on_a_full_disk_nothing_is_answered_and_what_was_before_stays(tmp_path: Path, durable: bool) -> None:
    use_case = keeping(transactions(), durable=durable)
    store = JournalStore(workspace_in(tmp_path), [use_case])
    asyncio.run(keep(store, use_case, [Sent("a.csv", FILE)], "r1"))
    with full_at(2_000), pytest.raises(Problem, match="requests cannot be kept: File too large; make room") as problem:
        asyncio.run(keep(store, use_case, [Sent("a.csv", FILE * 20)], "r2"))
    assert problem.value.status == 503
    assert "cannot be kept" in store.troubles()[use_case.name]
    asyncio.run(keep(store, use_case, [Sent("a.csv", FILE)], "r3"))
    assert not store.troubles()
    store.close()
    assert set(raw(tmp_path, use_case)) == {"api/r1/a.csv", "api/r3/a.csv"}


def test_a_disk_with_room_again_is_noticed_though_nobody_asks(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with full_at(1):
        with pytest.raises(NotKept):
            journal.append(b"xx", durable=True).result(30)
        journal.try_again()
        assert journal.trouble
    journal.try_again()
    assert not journal.trouble
    journal.stop()
    journal.close()


def test_where_no_journal_can_be_opened_nothing_is_answered(tmp_path: Path, use_case: UseCase) -> None:
    (tmp_path / "serving").write_text("in the way")
    store = JournalStore(workspace_in(tmp_path), [use_case])
    with pytest.raises(Problem, match="requests cannot be kept: Not a directory") as problem:
        asyncio.run(keep(store, use_case, [Sent("a.csv", FILE)]))
    assert problem.value.status == 503
    assert str(tmp_path) not in problem.value.detail
    assert store.troubles()


def test_ready_tells_that_requests_cannot_be_kept_and_a_server_that_ends_lands_them(
    tmp_path: Path, use_case: UseCase
) -> None:
    workspace = workspace_in(tmp_path)
    store = JournalStore(workspace, [use_case])
    champions: Any = SimpleNamespace(
        choose=lambda _: SimpleNamespace(version=3),
        bell=Bell(tmp_path),
        troubles=dict,
        versions=dict,
        without=dict,
        load=list,
        start=list,
        stop=list,
    )
    with Client(make_app(Service(workspace, {use_case.name: use_case}, champions, store=store))) as client:
        asyncio.run(keep(store, use_case, [Sent("a.csv", FILE)]))
        assert client.get("/ready").json()["troubles"] == {}
        with full_at(1_000):
            with pytest.raises(Problem, match="cannot be kept"):
                asyncio.run(keep(store, use_case, [Sent("a.csv", FILE * 20)], "r2"))
            troubles = client.get("/ready").json()["troubles"]
        assert troubles[use_case.name].startswith("requests cannot be kept: File too large; make room")
    assert set(raw(tmp_path, use_case)) == {"api/r1/a.csv"}


def test_requests_that_cannot_be_landed_wait_and_are_told(
    store: JournalStore, use_case: UseCase, tmp_path: Path
) -> None:
    (tmp_path / "raw").write_text("in the way")
    asyncio.run(keep(store, use_case, [Sent("a.csv", FILE)]))
    store.land()
    assert "kept requests wait to be landed" in store.troubles()[use_case.name]
    (tmp_path / "raw").unlink()
    store.land()
    assert not store.troubles()
    assert len(raw(tmp_path, use_case)) == 1


# -- elsewhere, and for how long ---------------------------------------------------------------------------------------


def test_they_land_on_s3_and_what_lies_there_is_not_written_again(
    bucket: S3Path, tmp_path: Path, use_case: UseCase
) -> None:
    workspace = workspace_in(tmp_path, raw=bucket / "raw")
    for data in (FILE, FILE, FILE * 2):
        store = JournalStore(workspace, [use_case])
        asyncio.run(keep(store, use_case, [Sent("a.csv", data)]))
        store.close()
    found = [path for path, _ in (bucket / "raw").files()]
    assert sorted(path.read_bytes() for path in found) == [FILE, FILE * 2]


def test_after_keep_days_raw_files_and_answers_of_requests_go_and_no_others(tmp_path: Path) -> None:
    use_case = keeping(transactions(), keep_days=2)
    store = JournalStore(workspace_in(tmp_path), [use_case])
    for day in ("2026-03-01", "2026-03-02"):
        asyncio.run(keep(store, use_case, [Sent("a.csv", FILE)], day=day))
    store.close()
    other = tmp_path / "raw" / use_case.name / "day=2026-03-01" / "a.csv"
    other.write_bytes(FILE)
    store.forget(dt.datetime(2026, 3, 4, tzinfo=dt.UTC))
    left = {path.relative_to(tmp_path / "raw").as_posix() for path in (tmp_path / "raw").rglob("*") if path.is_file()}
    assert left == {f"{use_case.name}/day=2026-03-01/a.csv", f"{use_case.name}/day=2026-03-02/api/r1/a.csv"}
    assert {path.name for path in (tmp_path / "lake" / use_case.name / "requests").glob("day=*")} == {"day=2026-03-02"}
    stores = workspace_in(tmp_path).of(use_case)
    assert "before 2026-03-02 are kept no longer" in forgotten(stores) == forgotten(stores, "2026-03-01")
    assert not forgotten(stores, "2026-03-02")


def test_requests_of_an_hour_are_laid_into_it_and_go_with_their_day(tmp_path: Path) -> None:
    hours = Partitions(every="hour", timezone="Europe/Berlin")
    use_case = keeping(transactions(), keep_days=2).model_copy(update={"partitions": hours})
    store = JournalStore(workspace_in(tmp_path), [use_case])
    for day in ("2025-10-26T02", "2025-10-26T02+0100", "2025-10-27T00"):
        asyncio.run(keep(store, use_case, [Sent("a.csv", FILE)], day=day))
    store.close()
    raw, answered = tmp_path / "raw" / use_case.name, tmp_path / "lake" / use_case.name / "requests"

    def lying() -> set[str]:
        return {path.parent.relative_to(raw).as_posix() for path in raw.rglob("a.csv")}

    first = {"day=2025-10-26/hour=02/api/r1", "day=2025-10-26/hour=02+0100/api/r1"}
    assert lying() == {*first, "day=2025-10-27/hour=00/api/r1"}
    # by its clock, which is an hour ahead: at 22:59 of UTC it is the day before there
    store.forget(dt.datetime(2025, 10, 28, 22, 59, tzinfo=dt.UTC))
    assert {*first} <= lying()
    store.forget(dt.datetime(2025, 10, 28, 23, tzinfo=dt.UTC))
    assert lying() == {"day=2025-10-27/hour=00/api/r1"}
    assert {path.name for path in answered.glob("day=*")} == {"day=2025-10-27T00"}


def test_requests_wait_where_the_use_case_is_stored_by_other_days(tmp_path: Path) -> None:
    hourly = keeping(transactions()).model_copy(update={"partitions": Partitions(every="hour")})
    lake = workspace_in(tmp_path).of(hourly).lake
    write_json(lake.rhythm, {"every": "week", "timezone": "UTC"})
    store = JournalStore(workspace_in(tmp_path), [hourly])
    asyncio.run(keep(store, hourly, [Sent("a.csv", FILE)], day="2026-03-01T05"))
    store.close()
    assert not (tmp_path / "raw" / hourly.name).exists()
