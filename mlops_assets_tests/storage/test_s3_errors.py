"""What goes wrong between us and an S3 server: sent again where that is right, told clearly where not, nothing twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from mlops_assets.errors import S3Error, UsageError
from mlops_assets.journey.model.history import History
from mlops_assets.journey.read.sources import Entry, S3Source
from mlops_assets.storage import places, s3
from mlops_assets.storage.accounting import ReadingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_report
from mlops_assets.storage.places import S3Path
from mlops_assets.storage.tables import Table, write_part
from mlops_assets_tests.helpers.faulty import Fault, FaultyServer, faulty_server
from mlops_assets_tests.helpers.s3_server import Server

DAY = "2026-01-01"
SCHEMA = pa.schema({"number": pa.int64()})
COMMIT = "_delta_log/0000"
TRIED_AGAIN = [
    ((503, "SlowDown"), "the server asks for fewer requests"),
    ((500, "InternalError"), "the server answers 500 Internal"),
    ("drop", "does not answer, or breaks off. What was finished is kept"),
    ("cut", "does not answer, or breaks off. What was finished is kept"),
]
"""What may heal, and what is told of it where it does not."""


@pytest.fixture
def faulty(s3_server: Server, bucket: S3Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """The server, from now on behind a proxy."""
    with faulty_server(s3_server.environment["S3_ENDPOINT_URL"]) as proxy:
        monkeypatch.setenv("S3_ENDPOINT_URL", proxy.url)
        s3.store.cache_clear()
        yield proxy
        proxy.heal()


@pytest.fixture
def table(bucket: S3Path, faulty: FaultyServer) -> Table:
    made = Lake(bucket / "lake", "toy").rows
    publish(made, 0)
    return made


def publish(table: Table, number: int) -> bool:
    part = write_part(table, DAY, str(number), pa.table({"number": [number]}, SCHEMA), {"counts": {}})
    return table.publish(DAY, [part], SCHEMA, ReadingAccounting(rows=1), table.parts(DAY))


def published(bucket: S3Path) -> tuple[list[int], int]:
    """The rows of the day as anybody sees them, and how often the day was published."""
    table = Lake(bucket / "lake", "toy").rows
    return table.read_all([DAY])["number"].to_pylist(), len(table.publications()[DAY])


# -- what is sent again ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop", "lose", "cut", (500, "InternalError"), (503, "SlowDown")], ids=str)
def test_a_request_that_fails_twice_is_sent_again(bucket: S3Path, faulty: FaultyServer, fault: Fault) -> None:
    place = bucket / "raw" / "a.csv"
    faulty.fail(fault, 2, part="a.csv")
    place.write_bytes(b"content" * 1_000)
    faulty.fail(fault, 2, part="a.csv")
    assert place.read_bytes() == b"content" * 1_000
    faulty.fail(fault, 2, "GET", "list-type")
    assert [path.name for path in (bucket / "raw").glob("*")] == ["a.csv"]


@pytest.mark.parametrize("fault", ["drop", "lose", (500, "InternalError"), (503, "SlowDown")], ids=str)
def test_a_document_whose_creation_fails_on_the_way_is_created_once(
    bucket: S3Path, faulty: FaultyServer, fault: Fault
) -> None:
    history = History(bucket / "lake", "toy")
    history.append("promote", 1, "me", "first", "passes")
    faulty.fail(fault, 1, "PUT", "000002.json")
    assert history.append("promote", 2, "me", "second", "passes").number == 2
    assert [change.version for change in history.changes()] == [1, 2]


def test_a_document_of_somebody_else_is_not_taken_for_ours_though_an_answer_was_lost(
    bucket: S3Path, faulty: FaultyServer
) -> None:
    (bucket / "1.json").write_bytes(b"theirs")
    faulty.fail("lose", 1, "PUT", "1.json")
    with pytest.raises(FileExistsError):
        places.create(bucket / "1.json", b"ours")
    assert (bucket / "1.json").read_bytes() == b"theirs"


@pytest.mark.parametrize(
    "fault",
    [
        "drop",
        "lose",
        *(pytest.param(one, marks=pytest.mark.long) for one in ((500, "InternalError"), (503, "SlowDown"))),
    ],
    ids=str,
)
def test_a_day_whose_commit_fails_on_the_way_is_published_once(
    bucket: S3Path, faulty: FaultyServer, table: Table, fault: Fault
) -> None:
    faulty.fail(fault, 1, "PUT", COMMIT)
    publish(table, 1)
    assert published(bucket) == ([1], 2)


@pytest.mark.parametrize("fault", ["drop", "lose", (500, "InternalError")], ids=str)
def test_a_table_whose_making_fails_on_the_way_is_made(bucket: S3Path, faulty: FaultyServer, fault: Fault) -> None:
    faulty.fail(fault, 1, "PUT", COMMIT)
    publish(Lake(bucket / "lake", "toy").rows, 1)
    assert published(bucket) == ([1], 1)


# -- what is told ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ((404, "NoSuchBucket"), "there is no such bucket"),
        ((403, "AccessDenied"), "access is denied"),
        ((403, "InvalidAccessKeyId"), "does not know the access key"),
        ((403, "SignatureDoesNotMatch"), "the secret key is wrong"),
        ((400, "ExpiredToken"), "the credentials have expired"),
        ((403, "RequestTimeTooSkewed"), "the clock of this machine"),
        *(pytest.param(*one, marks=pytest.mark.long) for one in TRIED_AGAIN),
    ],
    ids=str,
)
def test_what_does_not_heal_is_told_in_one_sentence_whatever_was_asked(
    bucket: S3Path, faulty: FaultyServer, table: Table, monkeypatch: pytest.MonkeyPatch, fault: Fault, said: str
) -> None:
    monkeypatch.setenv("MLOPS_S3_PATIENCE", "0.3")
    s3.store.cache_clear()
    (bucket / "raw" / f"day={DAY}" / "a.csv").write_bytes(b"data" * 100)
    source, fresh = S3Source(bucket / "raw"), Lake(bucket / "lake", "toy").rows
    faulty.fail(fault)
    asked = {
        "list": lambda: list(source.list(DAY)),
        "read": lambda: source.read(DAY, Entry("a.csv", 400, 0)),
        "report": lambda: read_report(table.place(DAY, "0")),
        "table": fresh.days,
    }
    if fault != "cut":  # half of an empty answer is an answer
        asked["write"] = lambda: (bucket / "b.csv").write_bytes(b"data")
    for ask in asked.values():
        with pytest.raises(S3Error, match=said) as told:
            ask()
        assert str(told.value).startswith(f"{bucket}/")
        assert len(str(told.value)) < 400
        assert "secret details" not in str(told.value)


@pytest.mark.parametrize(("fault", "said"), TRIED_AGAIN, ids=str)
def test_what_is_tried_again_is_told_when_the_patience_is_over(
    bucket: S3Path, faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch, fault: Fault, said: str
) -> None:
    """A small version of the one above, in which each request is waited for."""
    monkeypatch.setenv("MLOPS_S3_PATIENCE", "0.3")
    s3.store.cache_clear()
    (bucket / "a.csv").write_bytes(b"data" * 100)
    faulty.fail(fault)
    with pytest.raises(S3Error, match=said) as told:
        (bucket / "a.csv").read_bytes()
    assert str(told.value).startswith(f"{bucket}/")
    assert "secret details" not in str(told.value)


def test_a_server_that_is_not_there_is_told(bucket: S3Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("MLOPS_S3_PATIENCE", "0.5")
    s3.store.cache_clear()
    with pytest.raises(S3Error, match=r"http://127\.0\.0\.1:9 does not answer"):
        (bucket / "a").read_bytes()
    with pytest.raises(S3Error, match=r"http://127\.0\.0\.1:9 does not answer"):
        Lake(bucket / "lake", "toy").rows.days()


def test_a_bucket_that_is_not_there_is_told(bucket: S3Path) -> None:
    other = S3Path(f"{bucket.bucket}-other")
    for ask in ((other / "a").read_bytes, (other / "a").exists, Lake(other / "lake", "toy").rows.days):
        with pytest.raises(S3Error, match="there is no such bucket: make it, or correct the name"):
            ask()


def test_wrong_keys_are_told(bucket: S3Path, s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    if not s3_server.is_real:
        pytest.skip("the mock believes everybody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    s3.store.cache_clear()
    with pytest.raises(S3Error, match="the secret key is wrong"):
        (bucket / "a").read_bytes()
    with pytest.raises(S3Error, match="the secret key is wrong"):
        Lake(bucket / "lake", "toy").rows.days()
    monkeypatch.undo()


def test_nobody_waits_longer_than_the_patience(
    bucket: S3Path, faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_S3_PATIENCE", "0.5")
    s3.store.cache_clear()
    faulty.fail((503, "SlowDown"))
    began = time.monotonic()
    with pytest.raises(S3Error):
        (bucket / "a").read_bytes()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("name", "value"), [("MLOPS_S3_PATIENCE", "soon"), ("MLOPS_S3_PATIENCE", "-1"), ("S3_ENDPOINT_URL", "localhost")]
)
def test_a_setting_that_cannot_be_is_told(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=f"{name}={value}"):
        s3.storage_options()


def test_keys_are_found_in_a_profile(
    bucket: S3Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, s3_server: Server
) -> None:
    keys = s3_server.environment
    text = f"[bank]\naws_access_key_id={keys['AWS_ACCESS_KEY_ID']}\n"
    (tmp_path / "credentials").write_text(f"{text}aws_secret_access_key={keys['AWS_SECRET_ACCESS_KEY']}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "bank")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    s3.store.cache_clear()
    (bucket / "a").write_bytes(b"x")
    assert (bucket / "a").read_bytes() == b"x"
    publish(Lake(bucket / "lake", "toy").rows, 1)
    assert published(bucket) == ([1], 1)
