"""Messages of new objects: which days they name, whatever is sent, and when a message is deleted."""

from __future__ import annotations

import contextlib
import json
import re
import socketserver
import threading
from collections.abc import Iterator

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.journey.read.messages import Inbox, Message, NotUnderstood, Queue, QueueError, days_named
from mlops_assets.storage.places import S3Path
from mlops_assets.use_case import Messages
from mlops_assets_tests.helpers.paths import ROOT as ROOT_OF_PROJECT
from mlops_assets_tests.helpers.queues import KEYS, SomeQueue, event, handed_on, new_queue, notification, queue_server

ROOT = S3Path("bank", "raw/transactions")
DAY, OTHER = "2026-01-01", "2026-01-02"
SILENT = "a server that takes calls and says nothing"
KEY = f"raw/transactions/day={DAY}/São Paulo/a b+c.csv"


# -- what a message says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        notification("bank", KEY),
        notification("bank", KEY, event="ObjectRemoved:Delete"),
        event("bank", KEY),
        handed_on(notification("bank", KEY)),
        handed_on(event("bank", KEY)),
        notification("bank", KEY).replace("day=", "day%3D").replace("a+b", "%FF%00"),
        notification("other", KEY.replace(DAY, OTHER))[:-2]
        + ","
        + notification("bank", KEY).removeprefix('{"Records": ['),
    ],
    ids=["S3", "removed", "EventBridge", "S3 by SNS", "EventBridge by SNS", "strange key", "two buckets"],
)
def test_every_form_names_the_day_of_its_object(body: str) -> None:
    assert days_named(body, ROOT) == {DAY}


def test_a_message_of_several_objects_names_all_their_days() -> None:
    assert days_named(notification("bank", KEY, KEY.replace(DAY, OTHER)), ROOT) == {DAY, OTHER}


def test_where_the_bucket_is_the_place_the_folder_is_the_first_part_of_the_key() -> None:
    assert days_named(event("bank", f"day={DAY}/a.csv"), S3Path("bank", "")) == {DAY}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no JSON object"),
        ("x" * (1 << 21), "longer than 1,048,576 signs"),
        ("{}", "it names no object"),
        ('{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "bank"}', "it names no object"),
        ('{"Records": [null, 1, {"s3": []}, {"s3": {"bucket": {"name": 1}}}]}', "it names no object"),
        ('{"detail": {"bucket": "bank", "object": {}}}', "it names no object"),
        ('{"Type": "Notification", "Message": "no JSON"}', "no JSON"),
        (notification("elsewhere", KEY), "it names no object"),
        (event("bank", KEY.replace("transactions", "topics")), "it names no object"),
        (event("bank", KEY.replace("transactions", "transactions2")), "it names no object"),
        (event("bank", f"raw/transactions/day={DAY}"), "it names no object"),
        (event("bank", f"raw/transactions/day={DAY}/"), "it names no object"),
        (event("bank", "raw/transactions/day=2026-02-30/a.csv"), "it names no object"),
        (event("bank", "raw/transactions/day=\uff12\uff10\uff12\uff16-01-01/a.csv"), "it names no object"),
        (event("bank", f"raw/transactions/../transactions/day={DAY}/a.csv"), "it names no object"),
    ],
    ids=[
        *("empty", "cut off", "deep", "list", "long", "nothing", "test event", "no records", "no detail", "not SNS"),
        *("bucket", "use case", "longer name", "no file", "folder", "no date", "other digits", "dots"),
    ],
)
def test_what_names_no_object_of_ours_is_not_understood(body: str, why: str) -> None:
    with pytest.raises(NotUnderstood, match=why):
        days_named(body, ROOT)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda some: (
        st.lists(some, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Records", "detail", "s3", "bucket", "object", "name", "key", "Type", "Message"]), some
        )
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.text(max_size=20) | json_values.map(json.dumps))
def test_whatever_is_sent_is_understood_or_not(body: str) -> None:
    with contextlib.suppress(NotUnderstood):
        assert days_named(body, ROOT)


# -- the queue ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with queue_server() as server:
        yield server


@pytest.fixture
def queue(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SomeQueue]:
    """An empty queue that the environment names, with credentials."""
    with new_queue(address) as made:
        monkeypatch.setenv("NEW_FILES", made.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS["aws_access_key_id"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["aws_secret_access_key"])
        yield made


def inbox(most: int = 100) -> Inbox:
    return Inbox(Queue("NEW_FILES", 600, 600.0), Messages(queue_url_variable="NEW_FILES", most=most), ROOT)


def test_a_message_is_deleted_once_the_look_that_it_brought_about_was_kept(queue: SomeQueue) -> None:
    queue.send(event("bank", KEY), event("bank", KEY))
    ours = inbox()
    heard = ours.hear(None)
    assert (heard.days, heard.said) == ({DAY}, ""), "that it came twice is no matter"
    assert queue.counts() == (0, 2)
    ours.used("cursor 1")
    assert queue.counts() == (0, 2), "nobody knows yet whether the cursor is kept"
    assert ours.hear("cursor 1").days == frozenset()
    assert queue.counts() == (0, 0)


def test_where_a_look_failed_or_was_not_kept_its_messages_come_again(queue: SomeQueue) -> None:
    queue.send(event("bank", KEY))
    ours = inbox()
    assert ours.hear("cursor 0").days == {DAY}
    queue.forget()
    assert ours.hear("cursor 0").days == {DAY}, "the tick failed before it was done"
    ours.used("cursor 1")
    queue.forget()
    assert ours.hear("cursor 0").days == {DAY}, "the daemon ended before it kept the cursor"
    ours.used("cursor 2")
    ours.hear("cursor 2")
    assert queue.counts() == (0, 0)


def test_messages_that_say_nothing_of_ours_are_dropped_with_a_line(queue: SomeQueue) -> None:
    queue.send("no JSON", "{", event("elsewhere", KEY), event("bank", KEY), event("bank", KEY.replace(DAY, OTHER)))
    ours = inbox()
    heard = ours.hear(None, days=[DAY])
    assert heard.days == {DAY}
    assert heard.said.startswith("messages dropped: ")
    assert {part.strip() for part in heard.said.removeprefix("messages dropped: ").split(",")} == {
        "2 (no JSON)",
        "1 (it names no object of a day of this use case)",
        "1 (it names days that cannot be run)",
    }
    ours.used("cursor")
    ours.hear("cursor")
    assert queue.counts() == (0, 0)


def test_what_was_heard_before_the_queue_went_away_counts(queue: SomeQueue) -> None:
    queue.send(event("bank", KEY))
    asked = Queue("NEW_FILES", 600)

    class GoesAway(Queue):
        def receive(self, most: int) -> Iterator[Message]:
            yield from asked.receive(most)
            raise QueueError("the queue went away")

    ours = Inbox(GoesAway("NEW_FILES", 600), Messages(queue_url_variable="NEW_FILES"), ROOT)
    heard = ours.hear(None)
    assert (heard.days, heard.said) == ({DAY}, "messages: the queue went away; the days are listed as always")


def test_a_look_takes_no_more_messages_than_it_may(queue: SomeQueue) -> None:
    queue.send(*[event("bank", KEY)] * 25)
    ours, left = inbox(most=12), []
    for cursor in ("1", "2", "3"):
        ours.hear(str(int(cursor) - 1))
        ours.used(cursor)
        left.append(sum(queue.counts()))
    assert left == [25, 13, 1]


def test_a_look_that_has_no_time_left_leaves_the_others_and_deletes_none(queue: SomeQueue) -> None:
    queue.send(*[event("bank", KEY)] * 3)
    hurried = Inbox(Queue("NEW_FILES", 600, 0.0), Messages(queue_url_variable="NEW_FILES"), ROOT)
    assert hurried.hear(None).days == frozenset()
    assert queue.counts() == (3, 0)


def test_a_queue_of_raw_files_that_lie_in_a_folder_is_not_asked(queue: SomeQueue) -> None:
    queue.send(event("bank", KEY))
    alone = Inbox(Queue("NEW_FILES", 600), Messages(queue_url_variable="NEW_FILES"), None)
    assert alone.hear(None).said == (
        "messages: raw files do not lie on S3, so nobody is asked; the days are listed as always"
    )
    assert queue.counts() == (1, 0)


# -- what goes wrong ----------------------------------------------------------------------------------------------------


def test_without_credentials_it_is_said_what_to_set(queue: SomeQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    heard = inbox().hear(None)
    assert heard.days == frozenset()
    assert heard.said == (
        "messages: the queue of NEW_FILES: no credentials were found: set AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; the days are listed as always"
    )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "NEW_FILES must hold the URL of a queue of SQS"),
        ("new-files", "NEW_FILES must hold the URL of a queue of SQS"),
        ("http://127.0.0.1:9/1/q", "the queue of NEW_FILES: it does not answer (EndpointConnectionError)"),
        (SILENT, "the queue of NEW_FILES: it does not answer (ConnectionClosedError)"),
    ],
    ids=["unset", "a name", "nobody there", "hangs up"],
)
def test_a_queue_that_is_none_is_told_by_its_variable(
    queue: SomeQueue, monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("NEW_FILES", url.replace(SILENT, f"http://127.0.0.1:{server.server_address[1]}/1/q"))
        assert inbox().hear(None).said == f"messages: {said}; the days are listed as always"
        server.shutdown()


def test_a_queue_that_is_gone_is_told(queue: SomeQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEW_FILES", f"{queue.url}-gone")
    assert inbox().hear(None).said == (
        "messages: the queue of NEW_FILES: there is no such queue; the days are listed as always"
    )


# -- what the page says -------------------------------------------------------------------------------------------------


def test_what_the_page_tells_the_queue_and_the_bucket_fits_together_and_is_json(queue: SomeQueue) -> None:
    page = (ROOT_OF_PROJECT / "docs" / "platforms.md").read_text(encoding="utf-8")
    section = page.partition("## New files by messages\n")[2].partition("\n## ")[0]
    policy, told, rule = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", section, re.S))
    (allowed,), (configured,) = policy["Statement"], told["QueueConfigurations"]
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "s3.amazonaws.com"}, "sqs:SendMessage")
    assert allowed["Resource"] == configured["QueueArn"]
    assert allowed["Condition"]["ArnLike"] == {"aws:SourceArn": f"arn:aws:s3:::{ROOT.bucket}"}
    (by_prefix,) = configured["Filter"]["Key"]["FilterRules"]
    assert by_prefix == {"Name": "prefix", "Value": f"{ROOT.key}/day="}
    assert set(configured["Events"]) == {"s3:ObjectCreated:*", "s3:ObjectRemoved:*"}
    assert rule["detail"] == {"bucket": {"name": [ROOT.bucket]}, "object": {"key": [{"prefix": f"{ROOT.key}/day="}]}}
    sent = json.loads(event(ROOT.bucket, KEY))
    assert sent["source"] in rule["source"]
    assert sent["detail-type"] in rule["detail-type"]
    queue.client.set_queue_attributes(QueueUrl=queue.url, Attributes={"Policy": json.dumps(policy)})


def test_a_bucket_that_is_told_as_the_page_says_sends_what_is_understood(address: str, queue: SomeQueue) -> None:
    """By moto's own S3: it makes the message, not this file."""
    page = (ROOT_OF_PROJECT / "docs" / "platforms.md").read_text(encoding="utf-8")
    told = next(text for text in re.findall(r"```json\n(.*?)```", page, re.S) if "QueueConfigurations" in text)
    configuration = json.loads(told)
    configuration["QueueConfigurations"][0]["QueueArn"] = f"arn:aws:sqs:us-east-1:123456789012:{queue.name}"
    client = boto3.Session().client("s3", endpoint_url=address, **KEYS)
    client.create_bucket(Bucket=ROOT.bucket)
    client.put_bucket_notification_configuration(Bucket=ROOT.bucket, NotificationConfiguration=configuration)
    client.put_object(Bucket=ROOT.bucket, Key=KEY, Body=b"x")
    client.put_object(Bucket=ROOT.bucket, Key="raw/topics/day=2026-01-05/a.csv", Body=b"x")
    heard = inbox().hear(None)
    assert DAY in heard.days
    assert heard.days == {DAY}
    client.close()
