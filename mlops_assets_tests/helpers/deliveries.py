"""Publications as a target receives them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from mlops_assets.plugins.targets import Delivery

DAY = "2026-01-01"
SCHEMA = pa.schema(
    {
        "day": pa.string(),
        "file": pa.string(),
        "line": pa.int32(),
        "account_id": pa.string(),
        "prediction": pa.string(),
        "probability": pa.float32(),
        "model_version": pa.int32(),
    }
)
Rows = dict[tuple[str, int], str]
"""File and line: what is predicted."""
SOME: Rows = {("a.csv", 1): "food", ("a.csv", 2): "", ("b.csv", 1): 'a "b",\n\\.', ("ü.csv", 1): "\\N"}

NAMES = ("Order", "a b", 'a"b', "a'b", "50%", "%(x)s", ":x", "a.b", "select", "Größe", "a;b--")
"""Columns that need quotes."""


def delivery(
    rows: Rows = SOME,
    published: int = 1,
    *,
    day: str = DAY,
    use_case: str = "shop",
    again: bool = False,
    size: int = 2,
    between: Callable[[int], None] = lambda _: None,
) -> Delivery:
    """A publication of a day, in batches of a size; `between` is called before each of them."""

    def batches() -> Iterator[pa.RecordBatch]:
        items = [*rows.items()]
        for start in range(0, len(items), size):
            between(start)
            some = items[start : start + size]
            columns = [
                [day] * len(some),
                [file for (file, _), _ in some],
                [line for (_, line), _ in some],
                ["A" if line % 2 else None for (_, line), _ in some],
                [said for _, said in some],
                [0.5] * len(some),
                [published] * len(some),
            ]
            yield pa.record_batch(columns, schema=SCHEMA)

    return Delivery(
        use_case,
        "warehouse",
        day,
        f"publication {published}",
        published,
        published,
        len(rows),
        SCHEMA,
        batches,
        lambda: iter(()),
        lambda _: None,
        again,
    )


def of_names(published: int, rows: int, names: Sequence[str] = NAMES) -> Delivery:
    """A day whose columns have such names, of some rows that say of which publication they are."""
    schema = pa.schema(
        {"day": pa.string(), "file": pa.string(), "line": pa.int32(), **dict.fromkeys(names, pa.string())}
    )

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(1, rows + 1, 2):
            lines = [*range(start, min(start + 2, rows + 1))]
            said = [[f"v{published}"] * len(lines)] * len(names)
            yield pa.record_batch([[DAY] * len(lines), ["a.csv"] * len(lines), lines, *said], schema=schema)

    return replace(delivery(published=published), rows=rows, schema=schema, batches=batches, table="rows")


def messages(servers: str, topic: str, number: int) -> list[tuple[bytes, dict[str, Any]]]:
    """The first messages of a topic: key and value; read without a group, whose members a broker waits for."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test", "log_level": 0})
    found: list[tuple[bytes, dict[str, Any]]] = []
    try:
        parts = consumer.list_topics(topic, timeout=20).topics[topic].partitions
        consumer.assign([TopicPartition(topic, part, OFFSET_BEGINNING) for part in parts])
        while len(found) < number:
            (message,) = consumer.consume(1, timeout=30)
            if message.error() is None:
                found.append((message.key() or b"", json.loads(message.value())))
    finally:
        consumer.close()
    return found


def sent(servers: str, topic: str) -> int:
    """How many messages a topic has."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test", "log_level": 0})
    try:
        parts = consumer.list_topics(topic, timeout=20).topics[topic].partitions
        ends = [consumer.get_watermark_offsets(TopicPartition(topic, part), timeout=20) for part in parts]
        return sum(behind - first for first, behind in ends)
    finally:
        consumer.close()
