"""Predictions as messages of a Kafka topic: every one at least once, marked with the publication that it belongs to."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mlops_assets.errors.redaction import without
from mlops_assets.plugins.targets import Delivery, Guarantee, TargetDown, TargetError
from mlops_assets.use_case.targets import KafkaTarget as Parameters

log = logging.getLogger("mlops_assets.kafka")

LASTING = frozenset(
    {
        *("UNKNOWN_TOPIC_OR_PART", "TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED", "MSG_SIZE_TOO_LARGE"),
        *("_UNKNOWN_TOPIC", "SASL_AUTHENTICATION_FAILED", "TOPIC_EXCEPTION", "INVALID_RECORD"),
    }
)
"""What Kafka says when trying again will not help."""

POLL_EVERY = 1_000
"""Messages between two looks at what became of those before."""


class KafkaTarget:
    """Sends a message for each prediction, keyed by account, so that those of one account keep their order.

    Parameters
    ----------
    parameters
        What the configuration says.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters

    def guarantee(self) -> Guarantee:
        """A delivery that is begun again sends all messages of the day again, with the same `publication`."""
        return "at least once"

    def deliver(self, delivery: Delivery) -> Mapping[str, Any]:
        """Send the day, and wait until every message is acknowledged by all replicas that are in sync."""
        marks = {"use_case": delivery.use_case, "publication": delivery.publication, "published": delivery.published}
        messages = (
            (str(record["account_id"] or ""), {**marks, **record})
            for batch in delivery.batches()
            for record in batch.to_pylist()
        )
        return self.send(messages, delivery.tell)

    def send(
        self, messages: Iterable[tuple[str, Mapping[str, Any]]], tell: Callable[[int], None] = lambda _: None
    ) -> Mapping[str, Any]:
        """Send messages, and wait until every one is acknowledged; what is told of it.

        Parameters
        ----------
        messages
            Key and content of each.
        tell
            Is told now and then how many were acknowledged.
        """
        producer = self._producer()
        outcome = _Outcome()
        sent = 0
        for key, content in messages:
            value = json.dumps(content, ensure_ascii=False, default=str).encode()
            self._produce(producer, key.encode(), value, outcome)
            sent += 1
            if sent % POLL_EVERY == 0:
                # else the delivery reports would pile up to the end
                producer.poll(0)
                self._see(producer, outcome, sent)
                tell(outcome.taken)
        left = producer.flush(self.parameters.timeout + 5)  # each message is given up, and told of, after `timeout`
        self._see(producer, outcome, sent)
        if left:
            raise TargetDown(f"{left} of {sent} messages were not acknowledged in time by {self.parameters.servers}")
        tell(outcome.taken)
        return {"topic": self.parameters.topic, "messages": outcome.taken}

    def _producer(self) -> Any:
        try:
            from confluent_kafka import KafkaException, Producer
        except ModuleNotFoundError:
            raise TargetError(
                "confluent-kafka is not installed: pip install 'mlops-assets[kafka]' brings it."
            ) from None
        secrets = self._secrets()
        ours = {
            "bootstrap.servers": self.parameters.servers,
            # a message that is sent again because its answer was lost is not doubled
            "enable.idempotence": True,
            "message.timeout.ms": int(self.parameters.timeout * 1000),
            "linger.ms": 20,
            # bounds the memory; where it is full, `produce` raises a BufferError
            "queue.buffering.max.kbytes": 65_536,
        }
        try:
            # ours last: the guarantee hangs on them
            return Producer({**self.parameters.options, **secrets, **ours}, logger=log)
        except (KafkaException, ValueError, TypeError) as error:
            raise TargetError(f"Kafka refuses its settings: {without(str(error), secrets.values())}") from None

    def _secrets(self) -> dict[str, str]:
        missing = [variable for variable in self.parameters.secrets.values() if variable not in os.environ]
        if missing:
            raise TargetError(f"{missing[0]} is not set: `secrets` names it.")
        return {name: os.environ[variable] for name, variable in self.parameters.secrets.items()}

    def _produce(self, producer: Any, key: bytes, value: bytes, outcome: _Outcome) -> None:
        from confluent_kafka import KafkaException

        deadline = time.monotonic() + self.parameters.timeout
        while True:
            try:
                producer.produce(self.parameters.topic, value, key, on_delivery=outcome)
            except BufferError:  # as many are under way as memory is set aside for
                producer.poll(0.1)
                if outcome.failed or time.monotonic() > deadline:
                    self._see(producer, outcome, outcome.taken)
                    raise TargetDown(f"no message is taken any more by {self.parameters.servers}") from None
            except KafkaException as error:  # refused before it was sent
                outcome(error.args[0], None)
                self._see(producer, outcome, outcome.taken + 1)
            else:
                return

    def _see(self, producer: Any, outcome: _Outcome, sent: int) -> None:
        """Give up once a message was refused: those behind it would fare no better."""
        if not outcome.failed:
            return
        producer.purge()
        producer.flush(1)
        where = f"topic {self.parameters.topic} at {self.parameters.servers}"
        message = f"{where} did not take {outcome.failed} of {sent} messages: {outcome.why}"
        raise TargetError(message) if outcome.code in LASTING else TargetDown(message)


class _Outcome:
    """What became of the messages, by their delivery reports."""

    def __init__(self) -> None:
        self.taken = 0
        self.failed = 0
        self.why = ""
        self.code = ""

    def __call__(self, error: Any, _: Any) -> None:
        if error is None:
            self.taken += 1
            return
        self.failed += 1
        self.code = self.code or error.name()
        self.why = self.why or error.str()
