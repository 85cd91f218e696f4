"""A queue of SQS, by moto in this process, and the messages that S3 and its neighbours send to one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlsplit

import boto3
from moto.server import ThreadedMotoServer

KEYS = {"aws_access_key_id": "mock", "aws_secret_access_key": "mock", "region_name": "us-east-1"}


@dataclass(frozen=True)
class SomeQueue:
    """A queue, its URL, and a client of its own for what other people do to it."""

    url: str
    client: Any

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.client.send_message(QueueUrl=self.url, MessageBody=body)

    def counts(self) -> tuple[int, int]:
        """Messages that anybody would get, and those that are hidden because somebody has them."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def forget(self) -> None:
        """Show all messages again, as when the time is over for which they were hidden."""
        from moto.backends import get_backend

        queue = get_backend("sqs")["123456789012"]["us-east-1"].queues[self.name]
        for message in queue._messages:
            message.change_visibility(0)


@contextmanager
def queue_server() -> Iterator[str]:
    """The address of a server of queues."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def new_queue(address: str) -> Iterator[SomeQueue]:
    """An empty queue behind a server."""
    client = boto3.client("sqs", endpoint_url=address, **KEYS)
    made = urlsplit(client.create_queue(QueueName=f"new-files-{uuid.uuid4().hex}")["QueueUrl"])
    yield SomeQueue(address + made.path, client)
    client.close()


def notification(bucket: str, *keys: str, event: str = "ObjectCreated:Put") -> str:
    """What S3 itself sends of some objects."""
    records = [
        {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "us-east-1",
            "eventTime": "2026-01-02T03:04:05.678Z",
            "eventName": event,
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "new-files",
                "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
                "object": {"key": quote_plus(key, safe="/"), "size": 3, "eTag": "e", "sequencer": "0"},
            },
        }
        for key in keys
    ]
    return json.dumps({"Records": records})


def event(bucket: str, key: str) -> str:
    """What EventBridge sends of an object."""
    detail = {"version": "0", "bucket": {"name": bucket}, "object": {"key": key, "size": 3}, "reason": "PutObject"}
    return json.dumps({"version": "0", "detail-type": "Object Created", "source": "aws.s3", "detail": detail})


def handed_on(body: str) -> str:
    """A message as SNS hands it on."""
    return json.dumps({"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": body})
