"""Many small objects at once: the bytes of those that the server gives as they were listed, and nothing of any other."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mlops_assets.storage import s3, s3_small
from mlops_assets.storage.places import S3Path
from mlops_assets.storage.s3_small import Wanted, get_small
from mlops_assets_tests.helpers.faulty import Fault, faulty_server

NAMES = ["a b+c.csv", "a%20b.csv", "ção~2f~.csv", "#?&=.csv", "deep/er/'\".csv", *map(str, range(40))]


def listed(bucket: S3Path) -> list[Wanted]:
    batches = [batch.select(["path", "e_tag", "size"]).to_pylist() for batch in s3.listed(bucket.bucket, bucket.key)]
    return [Wanted(*one.values()) for batch in batches for one in batch]


def put(bucket: S3Path, names: list[str]) -> dict[str, bytes]:
    contents = {name: f"{name}\r\n\r\n".encode() * number for number, name in enumerate(names)}
    for name, data in contents.items():
        s3.put(bucket.bucket, name, data)
    return contents


def test_objects_come_in_order_whatever_they_are_called_and_an_empty_one_too(bucket: S3Path) -> None:
    contents = put(bucket, NAMES)
    wanted = listed(bucket)
    assert get_small(bucket.bucket, wanted) == [contents[one.key] for one in wanted]


def test_what_changed_vanished_or_is_large_is_left_to_the_usual_way(bucket: S3Path) -> None:
    contents = put(bucket, NAMES)
    wanted = listed(bucket)
    s3.put(bucket.bucket, "3", b"x" * len(contents["3"]))
    s3.remove(bucket.bucket, ["4"])
    got = get_small(bucket.bucket, wanted, len(contents["39"]) - 1)
    found = {one.key: data for one, data in zip(wanted, got, strict=True)}
    assert all(data in (None, contents[key]) for key, data in found.items())
    assert found["0"] is not None
    assert found["3"] is found["4"] is found["39"] is None


@pytest.mark.parametrize("fault", ["drop", "lose", "cut", (503, "SlowDown"), (403, "AccessDenied")])
def test_a_server_that_fails_gives_no_other_bytes_and_no_error(
    bucket: S3Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    contents = put(bucket, NAMES[:20])
    wanted = listed(bucket)
    with faulty_server(s3.endpoint() or "") as proxy:
        monkeypatch.setenv("S3_ENDPOINT_URL", proxy.url)
        s3.store.cache_clear()
        proxy.fail(fault, method="GET", part="/1")
        found = get_small(bucket.bucket, wanted)
    for one, data in zip(wanted, found, strict=True):
        assert data in (None, contents[one.key])
        assert data is None or not one.key.startswith("1")


# -- a server that says what it likes ---------------------------------------------------------------------------------


@contextmanager
def server(answers: list[bytes], most: int = 1000) -> Iterator[str]:
    """Gives the answer of a number that the path ends with, so many on a line, and ends the line."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(line: socket.socket) -> None:
        with line, line.makefile("rb") as asked:
            for _ in range(most):
                first = asked.readline()
                while asked.readline().strip():
                    pass
                if not first:
                    return
                line.sendall(answers[int(re.findall(rb"/(\d+)\?", first)[0])])

    def accept() -> None:
        while True:
            try:
                line, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(line,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


@contextmanager
def asked(monkeypatch: pytest.MonkeyPatch, answers: list[bytes], most: int = 1000) -> Iterator[list[Wanted]]:
    with server(answers, most) as url:
        for name, value in {"S3_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.items():
            monkeypatch.setenv(name, value)
        s3.store.cache_clear()
        yield [Wanted(str(number), '"e"', 3) for number in range(len(answers))]
        s3.store.cache_clear()


def answer(body: bytes = b"abc", head: str = "", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\n{head or f'content-length: {len(body)}'}\r\n\r\n".encode() + body


ODD = {
    "another length": answer(b"abcd"),
    "two lengths": answer(head="Content-Length: 3\r\nContent-Length: 4"),
    "no length": answer(head="Server: x"),
    "more than its length": answer(b"abcd", "Content-Length: 3"),
    "in pieces": answer(b"3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 3"),
    "a part": answer(status="206 Partial Content"),
    "gone": answer(status="404 Not Found"),
    "an older protocol": answer().replace(b"1.1", b"1.0"),
    "no protocol": b"SSH-2.0-OpenSSH\r\n\r\nabc",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 10_000,
}


@pytest.mark.parametrize("name", ODD)
def test_an_answer_that_is_not_understood_ends_its_line_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with asked(monkeypatch, [answer()] * 4 + [ODD[name]] + [answer()] * 11) as wanted:
        found = get_small("some", wanted)
    assert found == [b"abc"] * 4 + [None] + [b"abc"] * 11


def test_a_line_that_the_server_ends_after_some_answers_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with asked(monkeypatch, [answer()] * 40, most=3) as wanted:
        assert get_small("some", wanted) == [b"abc"] * 40


def test_a_server_that_says_nothing_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_small, "PATIENCE", 0.05)
    with asked(monkeypatch, [answer(), b"", b"HTTP/1.1 200 OK"]) as wanted:
        monkeypatch.setattr(s3_small, "LINES", 1)
        assert get_small("some", wanted) == [b"abc", None, None]


def test_where_a_proxy_stands_between_the_usual_way_goes_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with asked(monkeypatch, [answer()] * 3) as wanted:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "")
        assert get_small("some", wanted) == [None] * 3
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert get_small("some", wanted) == [b"abc"] * 3


def test_no_server_no_credentials_and_an_etag_of_two_lines_are_left_to_the_usual_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with asked(monkeypatch, [answer()]) as wanted:
        assert get_small("some", [wanted[0]._replace(etag='"e"\r\nHost: other')]) == [None]
        assert get_small("some", []) == []
    assert get_small("some", wanted) == [None]
