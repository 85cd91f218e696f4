"""In: messages that objects were stored. Out: the days that should be looked at sooner, and nothing else.

A message proves nothing: what lies there the listing says. So one that is lost, doubled, forged or broken changes no
day. It is deleted once the look that it brought about was kept; until then it comes again.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from mlops_assets.errors import MlopsError
from mlops_assets.journey.read.sources.entries import read_folder
from mlops_assets.storage.places import S3Path
from mlops_assets.storage.s3 import need_boto3
from mlops_assets.use_case.partitions import DAYS, Partitions
from mlops_assets.use_case.sensor import Messages

LARGEST = 1 << 20
"""Signs of a message that is read: SQS takes no larger one."""

AT_ONCE, SECONDS = 10, 6.0
"""Messages that SQS hands out at a time, and after how long no more are asked for, or deleted, in one look."""

REGION = re.compile(r"^(?:sqs\.|queue\.)?([a-z]{2}(?:-[a-z]+)+-\d)\.")
"""The region in the name of Amazon's server."""


class QueueError(MlopsError):
    """The queue cannot be asked."""


class NotUnderstood(Exception):
    """A message that says nothing of objects of ours; the text says why."""


def days_named(body: str, root: S3Path, partitions: Partitions = DAYS) -> set[str]:
    """The days whose objects a message names.

    Parameters
    ----------
    body
        The message: a notification of S3, an event of EventBridge, or either of them as SNS hands it on.
    root
        Where the raw files of the use case lie.
    partitions
        Which folders are days.

    Raises
    ------
    NotUnderstood
        If it is none of them, or names no object of a day below that place.
    """
    if len(body) > LARGEST:
        raise NotUnderstood(f"longer than {LARGEST:,} signs")
    said = _parse(body)
    if said.get("Type") == "Notification" and isinstance(said.get("Message"), str):
        said = _parse(said["Message"])
    keys = [key for bucket, key in _objects(said) if bucket == root.bucket]
    days = {day for key in keys if (day := _day(key, root, partitions)) is not None}
    if not days:
        raise NotUnderstood("it names no object of a day of this use case")
    return days


def _parse(text: str) -> Mapping[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise NotUnderstood("no JSON") from None
    if not isinstance(said, dict):
        raise NotUnderstood("no JSON object")
    return said


def _objects(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Bucket and key of every object that a message names."""
    records, detail = said.get("Records"), said.get("detail")
    if isinstance(records, list):  # S3's own: keys are written as in a form of the web
        for record in records:
            bucket, key = _text(record, "s3", "bucket", "name"), _text(record, "s3", "object", "key")
            if bucket and key:
                yield bucket, unquote_plus(key)
    elif isinstance(detail, dict):  # EventBridge's: keys are as they are
        bucket, key = _text(detail, "bucket", "name"), _text(detail, "object", "key")
        if bucket and key:
            yield bucket, key


def _text(said: Any, *keys: str) -> str:
    """The text at some keys; empty if there is none."""
    for key in keys:
        said = said.get(key) if isinstance(said, dict) else None
    return said if isinstance(said, str) else ""


def _day(key: str, root: S3Path, partitions: Partitions) -> str | None:
    """The day of a key below the place of the use case."""
    top, depth = f"{root.key}/" if root.key else "", 2 if partitions.every == "hour" else 1
    *folders, rest = key.removeprefix(top).split("/", depth)
    if not key.startswith(top) or len(folders) < depth or not rest:
        return None
    try:
        return read_folder(partitions, "/".join(folders))
    except ValueError:
        return None


@dataclass(frozen=True)
class Message:
    """A message of the queue, and the receipt by which it is deleted."""

    receipt: str
    body: str


class Queue:
    """A queue of SQS. Credentials come from the usual AWS environment.

    Parameters
    ----------
    variable
        Environment variable with its URL, which also says where the server is.
    hidden
        Seconds for which a message that was received is shown to nobody else; then it comes again.
    seconds
        See `SECONDS`.
    """

    def __init__(self, variable: str, hidden: int, seconds: float = SECONDS) -> None:
        self._variable = variable
        self._hidden = hidden
        self._seconds = seconds
        self._client: Any = None

    def receive(self, most: int) -> Iterator[Message]:
        """Some messages, at most so many; a few are held at a time, for each may be a million signs long.

        Raises
        ------
        QueueError
            If the queue cannot be asked.
        """
        until, found = time.monotonic() + self._seconds, 0
        while found < most and time.monotonic() < until:
            with self._telling():
                answer = self._open().receive_message(
                    QueueUrl=self._url(),
                    MaxNumberOfMessages=min(AT_ONCE, most - found),
                    VisibilityTimeout=self._hidden,
                    # asked for at once, a queue of few messages often says that it has none
                    WaitTimeSeconds=0 if found else 1,
                )
                some = [Message(one["ReceiptHandle"], one["Body"]) for one in answer.get("Messages", [])]
            if not some:
                return
            found += len(some)
            yield from some

    def delete(self, receipts: Sequence[str]) -> None:
        """Delete messages, as far as the time goes; one that is not deleted comes again.

        Raises
        ------
        QueueError
            If the queue cannot be asked.
        """
        until = time.monotonic() + self._seconds
        with self._telling():
            for first in range(0, len(receipts), AT_ONCE):
                if time.monotonic() >= until:
                    return
                some = enumerate(receipts[first : first + AT_ONCE])
                entries = [{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in some]
                self._open().delete_message_batch(QueueUrl=self._url(), Entries=entries)

    def _url(self) -> str:
        url = os.environ.get(self._variable, "")
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise QueueError(f"{self._variable} must hold the URL of a queue of SQS")
        return url

    def _open(self) -> Any:
        if self._client is None:
            need_boto3()
            from boto3 import Session
            from botocore.config import Config

            server = urlsplit(self._url())
            named = REGION.match(server.hostname or "")
            region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
            self._client = Session().client(
                "sqs",
                endpoint_url=f"{server.scheme}://{server.netloc}",
                region_name=named[1] if named else region,
                # a tick has other things to do than to wait
                config=Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2}),
            )
        return self._client

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn what goes wrong into an error for people, which names the variable and not the address."""
        try:
            yield
        except MlopsError:
            raise
        except Exception as error:  # boto3 raises what botocore, urllib3 and others do
            self._client = None
            raise QueueError(f"the queue of {self._variable}: {_why(error)}") from None


def _why(error: Exception) -> str:
    name = type(error).__name__
    said = getattr(error, "response", None)  # None, too, of a request that nobody answered
    code = _text(said, "Error", "Code")
    if name in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "CredentialRetrievalError"):
        return "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    if "NonExistentQueue" in code or "QueueDoesNotExist" in code:
        return "there is no such queue"
    if "AccessDenied" in code:
        return "access is denied: allow sqs:ReceiveMessage and sqs:DeleteMessage"
    if code:
        return f"the server answers {code}"
    return f"it does not answer ({name})"


@dataclass(frozen=True)
class Heard:
    """What messages brought.

    Attributes
    ----------
    days
        The days that they name.
    said
        What is to be said of them; empty if nothing.
    """

    days: frozenset[str] = frozenset()
    said: str = ""


class Inbox:
    """The messages of a use case, each deleted once the look that it brought about was kept.

    Parameters
    ----------
    queue
        Where they come from.
    asked
        How many one look takes.
    root
        Where the raw files lie; None where they do not lie on S3.
    partitions
        Which folders are days.
    """

    def __init__(
        self,
        queue: Queue,
        asked: Messages,
        root: S3Path | None,
        partitions: Partitions = DAYS,
    ) -> None:
        self._partitions = partitions
        self._queue = queue
        self._asked = asked
        self._root = root
        self._received: list[str] = []
        self._waiting: tuple[str, list[str]] | None = None

    def hear(self, cursor: str | None, days: Collection[str] | None = None) -> Heard:
        """Delete what the look before has used, if it was kept, and take what is new.

        Parameters
        ----------
        cursor
            What was kept of the looks before: if it is that of the last one, its messages have served.
        days
            The days that may be run; all by default.
        """
        if self._root is None:
            return Heard(said="messages: raw files do not lie on S3, so nobody is asked; the days are listed as always")
        self._received, named, dropped, away = [], set[str](), Counter[str](), ""
        try:
            self._delete_used(cursor)
            for message in self._queue.receive(self._asked.most):
                self._received.append(message.receipt)
                try:
                    named |= self._named(message.body, days)
                except NotUnderstood as why:
                    dropped[str(why)] += 1
        except MlopsError as error:  # what came before it counts
            away = f"messages: {str(error).rstrip('.')}; the days are listed as always"
        return Heard(frozenset(named), "; ".join(filter(None, (away, _dropped(dropped)))))

    def _named(self, body: str, days: Collection[str] | None) -> set[str]:
        assert self._root is not None, "nobody is asked otherwise"  # noqa: S101 - `hear` has seen it
        found = days_named(body, self._root, self._partitions)
        if days is None:
            return found
        if not found.intersection(days):
            raise NotUnderstood("it names days that cannot be run")
        return found.intersection(days)

    def used(self, cursor: str) -> None:
        """Take note of what will have been kept once the look is over, whose messages then are deleted."""
        self._waiting, self._received = (cursor, self._received), []

    def _delete_used(self, cursor: str | None) -> None:
        # where the look before failed, or was not kept, its messages come again
        waiting, self._waiting = self._waiting, None
        if waiting and waiting[0] == cursor and waiting[1]:
            self._queue.delete(waiting[1])


def _dropped(reasons: Mapping[str, int]) -> str:
    if not reasons:
        return ""
    told = ", ".join(f"{number} ({why})" for why, number in reasons.items())
    return f"messages dropped: {told}"
