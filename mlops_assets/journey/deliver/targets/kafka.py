"""A day as messages of a Kafka topic: every one at least once, marked with the publication that it belongs to.

Behind them comes, where it is wanted, a message that they are all there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mlops_assets.errors.redaction import without
from mlops_assets.plugins.targets import Delivery, Guarantee, TargetDown, TargetError
from mlops_assets.use_case.targets import PREDICTIONS, KafkaEnd
from mlops_assets.use_case.targets import KafkaTopic as Topic

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

END = "end of day"
"""What the message says in `what` that comes once all rows of a day are there; messages of rows have no such key."""


class KafkaTarget:
    """Sends a message for each row, keyed by account, or else by file, so that what belongs together keeps its order.

    Parameters
    ----------
    parameters
        What the configuration says.
    """

    def __init__(self, parameters: Topic) -> None:
        self.parameters = parameters

    def guarantee(self) -> Guarantee:
        """A delivery that is begun again sends all messages of the day again, with the same `publication`."""
        return "at least once"

    def deliver(self, delivery: Delivery) -> Mapping[str, Any]:
        """Send the day, and wait until every message is acknowledged by all replicas that are in sync; then its end."""
        marks = {"use_case": delivery.use_case, "publication": delivery.publication, "published": delivery.published}
        # not of predictions: what readers of theirs get stays as it is
        marks |= {"table": delivery.table} if delivery.table != PREDICTIONS else {}
        messages = (
            (str(record[delivery.grouped_by] or ""), {**marks, **record})
            for batch in delivery.batches()
            for record in batch.to_pylist(maps_as_pydicts="strict")
        )
        sending = Sending(self.parameters)
        sending.send(messages, delivery.tell)
        told = {"topic": self.parameters.topic, "messages": sending.sent.messages}
        end = getattr(self.parameters, "end", None)
        if end is None:
            return told
        ended = sending.end(end, {**marks, "table": delivery.table}, delivery)
        return {**told, "end": end.topic or self.parameters.topic, "ends": ended, "hash": sending.sent.hash}

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
        sending = Sending(self.parameters)
        sending.send(messages, tell)
        return {"topic": self.parameters.topic, "messages": sending.sent.messages}


class Sending:
    """A producer and what became of the messages that it was given.

    Parameters
    ----------
    parameters
        What the configuration says of the topic.
    """

    def __init__(self, parameters: Topic) -> None:
        self.parameters = parameters
        self.sent = Sent()
        self._producer = self._made()

    def send(
        self, messages: Iterable[tuple[str, Mapping[str, Any]]], tell: Callable[[int], None] = lambda _: None
    ) -> None:
        """Send messages, and wait until every one is acknowledged; see `KafkaTarget.send`."""
        outcome, sent = Outcome(self.sent.see), 0
        for key, content in messages:
            value = as_json(content)
            self.sent.add(value)
            self._produce(self.parameters.topic, key.encode(), value, outcome)
            sent += 1
            if sent % POLL_EVERY == 0:
                # else the delivery reports would pile up to the end
                self._producer.poll(0)
                self._see(outcome, sent)
                tell(outcome.taken)
        self._flush(outcome, sent)
        tell(outcome.taken)

    def end(self, end: KafkaEnd, marks: Mapping[str, Any], delivery: Delivery) -> int:
        """Say that all that was sent is there; the number of messages that say so.

        Parameters
        ----------
        end
            Where it is said.
        marks
            What every message of the day says.
        delivery
            What was sent.
        """
        content = as_json(
            {
                "what": END,
                **marks,
                "day": delivery.day,
                "model_version": delivery.model_version,
                "attempt": delivery.attempt,
                "rows": delivery.rows,
                "hash": self.sent.hash,
                "topic": self.parameters.topic,
                "offsets": self.sent.offsets(),
                "numbers": dict(delivery.numbers),
            }
        )
        key = (end.key or delivery.use_case).encode()
        outcome = Outcome()
        # in the rows' own topic it comes behind them in each partition, for a reader may see no more than one
        partitions = self._partitions() if end.topic in (None, self.parameters.topic) else [None]
        for partition in partitions:
            self._produce(end.topic or self.parameters.topic, key, content, outcome, partition)
        self._flush(outcome, len(partitions))
        return len(partitions)

    def _partitions(self) -> list[int]:
        """The partitions of the rows' topic."""
        from confluent_kafka import KafkaException

        topic = self.parameters.topic
        try:
            known = self._producer.list_topics(topic, timeout=self.parameters.timeout).topics[topic]
        except KafkaException as error:
            raise TargetDown(f"{self.parameters.servers} does not tell of topic {topic}: {error.args[0]}") from None
        return sorted(known.partitions)

    def _flush(self, outcome: Outcome, sent: int) -> None:
        """Wait until every message is acknowledged."""
        # each message is given up, and told of, after `timeout`
        left = self._producer.flush(self.parameters.timeout + 5)
        self._see(outcome, sent)
        if left:
            raise TargetDown(f"{left} of {sent} messages were not acknowledged in time by {self.parameters.servers}")

    def _made(self) -> Any:
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

    def _produce(self, topic: str, key: bytes, value: bytes, outcome: Outcome, partition: int | None = None) -> None:
        from confluent_kafka import KafkaException

        where = {} if partition is None else {"partition": partition}
        deadline = time.monotonic() + self.parameters.timeout
        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=outcome, **where)
            except BufferError:  # as many are under way as memory is set aside for
                self._producer.poll(0.1)
                if outcome.failed or time.monotonic() > deadline:
                    self._see(outcome, outcome.taken)
                    raise TargetDown(f"no message is taken any more by {self.parameters.servers}") from None
            except KafkaException as error:  # refused before it was sent
                outcome(error.args[0], None)
                self._see(outcome, outcome.taken + 1)
            else:
                return

    def _see(self, outcome: Outcome, sent: int) -> None:
        """Give up once a message was refused: those behind it would fare no better."""
        if not outcome.failed:
            return
        self._producer.purge()
        self._producer.flush(1)
        where = f"topic {self.parameters.topic} at {self.parameters.servers}"
        message = f"{where} did not take {outcome.failed} of {sent} messages: {outcome.why}"
        raise TargetError(message) if outcome.code in LASTING else TargetDown(message)


class Sent:
    """What was sent of a day: how many messages, where they lie, and a hash of all of them.

    The hash is the sum, modulo 2**128, of the first 16 bytes of the SHA-256 of each value: the order is no matter, and
    whoever drops what came twice gets the same one.
    """

    def __init__(self) -> None:
        self.messages = 0
        self._sum = 0
        self._ends: dict[int, list[int]] = {}

    def add(self, value: bytes) -> None:
        """Take a message in that is about to be sent."""
        self._sum += int.from_bytes(hashlib.sha256(value).digest()[:16], "big")

    def see(self, message: Any) -> None:
        """Take note of a message that was acknowledged."""
        self.messages += 1
        partition, offset = message.partition(), message.offset()
        first, behind = self._ends.get(partition, (offset, offset))
        self._ends[partition] = [min(first, offset), max(behind, offset + 1)]

    @property
    def hash(self) -> str:
        """32 hexadecimal digits."""
        return f"{self._sum % 2**128:032x}"

    def offsets(self) -> dict[str, list[int]]:
        """Of each partition with rows, the offset of the first and that behind the last."""
        return {str(partition): ends for partition, ends in sorted(self._ends.items())}


class Outcome:
    """What became of messages, by their delivery reports.

    Parameters
    ----------
    taken
        Is shown each message that was acknowledged.
    """

    def __init__(self, taken: Callable[[Any], None] = lambda _: None) -> None:
        self.taken = 0
        self.failed = 0
        self.why = ""
        self.code = ""
        self._show = taken

    def __call__(self, error: Any, message: Any) -> None:
        """Take note of a report: why a message failed, if it did, and the message."""
        if error is None:
            self.taken += 1
            self._show(message)
            return
        self.failed += 1
        self.code = self.code or error.name()
        self.why = self.why or error.str()


def as_json(content: Mapping[str, Any]) -> bytes:
    """The value of a message."""
    return json.dumps(content, ensure_ascii=False, default=str).encode()
