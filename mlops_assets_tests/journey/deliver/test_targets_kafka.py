"""Predictions as messages, on the mock cluster of librdkafka: all of them, keyed by account, marked by publication."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from mlops_assets.journey.deliver.targets.kafka import KafkaTarget
from mlops_assets.plugins.targets import TargetDown, TargetError
from mlops_assets.use_case.targets import KafkaTarget as Parameters
from mlops_assets_tests.helpers.deliveries import SOME, delivery, messages

confluent_kafka = pytest.importorskip("confluent_kafka")


@pytest.fixture
def servers() -> Iterator[str]:
    """A cluster of three brokers in this process."""
    cluster = confluent_kafka.Producer({"test.mock.num.brokers": 3, "log_level": 0})
    brokers = cluster.list_topics(timeout=20).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    cluster.flush(0)


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
