"""Predictions as messages, on the mock cluster of librdkafka: all of them, keyed by account, marked by publication."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from mlops_assets.journey.deliver.targets.kafka import KafkaTarget
from mlops_assets.plugins.targets import TargetDown, TargetError
from mlops_assets.use_case.targets import KafkaTarget as Parameters
from mlops_assets_tests.helpers.deliveries import SOME, delivery, messages

confluent_kafka = pytest.importorskip("confluent_kafka")


@pytest.fixture
def servers(kafka: str) -> str:
    """A cluster of three brokers in this process."""
    return kafka


def target(servers: str, **parameters: Any) -> KafkaTarget:
    return KafkaTarget(Parameters(**{"servers": servers, "topic": "said", "timeout": 20, **parameters}))


def test_every_prediction_is_a_message_keyed_by_account_and_marked_by_publication(servers: str) -> None:
    told = target(servers).deliver(delivery())
    assert told == {"topic": "said", "messages": 4}
    assert target(servers).guarantee() == "at least once"
    found = messages(servers, "said", 4)
    assert {(value["file"], value["line"]): value["prediction"] for _, value in found} == SOME
    assert {(key, value["line"] % 2) for key, value in found} == {(b"A", 1), (b"", 0)}
    (publication,) = {(v["use_case"], v["publication"], v["published"], v["day"]) for _, v in found}
    assert publication == ("shop", "publication 1", 1, "2026-01-01")
    assert found[0][1].keys() >= {"account_id", "probability", "model_version"}


def test_a_delivery_that_is_begun_again_can_be_told_from_the_first_by_nobody_but_by_its_marks(servers: str) -> None:
    for published in (1, 1, 2):
        target(servers).deliver(delivery(published=published))
    found = [value for _, value in messages(servers, "said", 12)]
    once = {(value["publication"], value["file"], value["line"]) for value in found}
    assert len(found) == 12
    assert len(once) == 8


def test_more_messages_than_may_be_under_way_are_sent_all_the_same(servers: str) -> None:
    many = {("a.csv", line): "food" for line in range(1, 3_001)}
    few = {"queue.buffering.max.messages": 100}
    assert target(servers, options=few).deliver(delivery(many, size=500))["messages"] == 3_000


def test_a_cluster_that_is_not_there_is_told_within_the_timeout() -> None:
    with pytest.raises(TargetDown, match=r"topic said at 127.0.0.1:1 did not take \d of 4 messages"):
        target("127.0.0.1:1", timeout=1).deliver(delivery())


def test_a_cluster_that_is_full_of_refusals_is_told(servers: str) -> None:
    many = {("a.csv", line): "x" * 2_000 for line in range(1, 11)}
    with pytest.raises(TargetError, match="too large|MSG_SIZE|larger") as refused:
        target(servers, options={"message.max.bytes": 1_000}).deliver(delivery(many))
    assert not isinstance(refused.value, TargetDown)


def test_a_setting_that_kafka_does_not_know_is_told_and_no_secret_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_SECRET", "pa55-in-a-variable")
    with pytest.raises(TargetError, match="Kafka refuses its settings: .*sasl.nonsense") as refused:
        target("127.0.0.1:1", secrets={"sasl.nonsense": "SHOP_SECRET"}).deliver(delivery())
    assert "pa55" not in str(refused.value)
    monkeypatch.delenv("SHOP_SECRET")
    with pytest.raises(TargetError, match="SHOP_SECRET is not set"):
        target("127.0.0.1:1", secrets={"sasl.password": "SHOP_SECRET"}).deliver(delivery())


@pytest.mark.parametrize("name", ["sasl.password", "ssl.key.pem", "bootstrap.servers", "acks"])
def test_secrets_and_what_the_guarantee_hangs_on_are_no_options(name: str) -> None:
    with pytest.raises(ValidationError, match="secret|not for you to set"):
        Parameters(servers="h:1", topic="said", options={name: "x"})


def test_without_the_extra_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(TargetError, match=r"pip install 'mlops-assets\[kafka\]'"):
        target("127.0.0.1:1").deliver(delivery())


# -- the end of a day ---------------------------------------------------------------------------------------------------


def ends(servers: str, topic: str, number: int) -> list[tuple[bytes, dict[str, Any]]]:
    """The messages among the first of a topic that say that a day is whole."""
    return [(key, value) for key, value in messages(servers, topic, number) if value.get("what") == "end of day"]


def hash_of(values: list[dict[str, Any]]) -> str:
    """What a reader makes of the messages that it has, each once."""
    texts = {json.dumps(value, ensure_ascii=False) for value in values}
    return f"{sum(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16]) for text in texts) % 2**128:032x}"


def test_a_message_says_once_all_rows_are_there_how_many_and_which(servers: str) -> None:
    what = replace(delivery(), numbers={"files": 3})
    told = target(servers, end={"topic": "days"}).deliver(what)
    assert (told["end"], told["ends"]) == ("days", 1)
    ((key, said),) = ends(servers, "days", 1)
    assert key == b"shop"
    rows = [value for _, value in messages(servers, "said", 4)]
    marks = {"what": "end of day", "use_case": "shop", "table": "predictions", "day": "2026-01-01", "attempt": 1}
    of_day = {"publication": "publication 1", "published": 1, "model_version": 1, "rows": 4, "numbers": {"files": 3}}
    assert said == {**marks, **of_day, "topic": "said", "offsets": said["offsets"], "hash": hash_of(rows)}
    assert sum(behind - first for first, behind in said["offsets"].values()) == 4


def test_in_the_topic_of_the_rows_each_partition_has_it_behind_its_rows(servers: str) -> None:
    many = {(f"{line}.csv", line): "food" for line in range(1, 41)}
    told = target(servers, end={"key": "done"}).deliver(delivery(many, size=10))
    partitions = in_partitions(servers, "said", 40 + told["ends"])
    assert len(partitions) == told["ends"] > 1
    for number, values in partitions.items():
        kinds = [value.get("what", "row") for value in values]
        assert kinds == ["row"] * (len(values) - 1) + ["end of day"]
        assert values[-1]["offsets"].get(str(number), [0, 0]) == [0, len(values) - 1]


def test_a_delivery_that_is_repeated_is_told_by_its_attempt_and_has_the_same_hash(servers: str) -> None:
    for attempt in (1, 2):
        target(servers, end={"topic": "days"}).deliver(replace(delivery(), attempt=attempt))
    first, second = (value for _, value in ends(servers, "days", 2))
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert {name for name in first if first[name] != second[name]} == {"attempt", "offsets"}
    rows = [value for _, value in messages(servers, "said", 8)]
    assert first["hash"] == hash_of(rows), "what came twice counts once"


def test_a_day_without_rows_has_an_end_too(servers: str) -> None:
    assert target(servers, end={"topic": "days"}).deliver(delivery({}))["messages"] == 0
    ((_, said),) = ends(servers, "days", 1)
    assert (said["rows"], said["offsets"], said["hash"]) == (0, {}, "0" * 32)


def test_where_a_row_was_refused_no_end_is_told(servers: str) -> None:
    many = {("a.csv", line): "x" * 2_000 for line in range(1, 11)}
    with pytest.raises(TargetError):
        target(servers, options={"message.max.bytes": 1_000}, end={"topic": "days"}).deliver(delivery(many))
    target(servers, end={"topic": "days"}).deliver(delivery(published=2))
    ((_, said),) = ends(servers, "days", 1)
    assert said["publication"] == "publication 2", "the first end of all"


def in_partitions(servers: str, topic: str, number: int) -> dict[int, list[dict[str, Any]]]:
    """The first messages of a topic by partition, in their order there."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": servers, "group.id": "parts", "log_level": 0})
    found: dict[int, list[dict[str, Any]]] = {}
    try:
        parts = consumer.list_topics(topic, timeout=20).topics[topic].partitions
        consumer.assign([confluent_kafka.TopicPartition(topic, part, 0) for part in parts])
        while sum(map(len, found.values())) < number:
            (message,) = consumer.consume(1, timeout=30)
            found.setdefault(message.partition(), []).append(json.loads(message.value()))
    finally:
        consumer.close()
    return found
