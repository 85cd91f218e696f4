"""The message that asks a host for a deploy: signed, new, bounded, obeyed once; all else changes nothing."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy import announce
from deploy.messages import LARGEST, Refused, Wish, read, written
from deploy.receiver import PATH, Desk, Rollouts, main, server
from deploy.rollout import Memory
from deploy.services.s3 import free_port
from mlops_assets.events.signing import TOLERANCE, sign
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.stack import until

KEY = "tulip-" * 8
WISH = Wish(f"sha256:{'a' * 64}", "0.4.0")
BODY = written(WISH)
NOW = 1_800_000_000


@dataclass
class Host:
    """A desk that notes what it would begin."""

    folder: Path
    key: str = KEY
    busy: bool = False
    now: float = NOW
    begun: list[Wish] = field(default_factory=list)
    port: int = 0

    def desk(self) -> Desk:
        return Desk(self.key, self.folder / "newest", self.begun.append, lambda: self.busy, lambda: self.now)

    def take(self, made: float = NOW, body: bytes = BODY, key: str = KEY) -> Wish:
        return self.desk().take(sign(key, "msg", made, body), body)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


# -- which are obeyed ------------------------------------------------------------------------------------------------------


def test_a_message_that_is_signed_and_new_is_obeyed_once_also_after_a_restart(host: Host) -> None:
    assert host.take() == WISH
    for made in (NOW, NOW - 1):  # each by a desk of its own, as after a restart
        with pytest.raises(Refused, match="not newer"):
            host.take(made)
    assert host.take(NOW + 1) == WISH
    assert host.begun == [WISH, WISH]


@pytest.mark.parametrize("away", [-1, 1], ids=["old", "ahead"])
def test_a_message_of_another_time_is_refused(host: Host, away: int) -> None:
    with pytest.raises(Refused, match="clock"):
        host.take(NOW + away * (TOLERANCE + 1))
    assert host.take(NOW + away * TOLERANCE) == WISH


def test_what_is_not_signed_with_the_key_is_refused_and_uses_up_nothing(host: Host) -> None:
    """The signature itself has its own tests: `events/test_signing.py`."""
    for headers, body in (
        ({}, BODY),
        (sign(KEY[::-1], "msg", NOW, BODY), BODY),
        (sign(KEY, "msg", NOW, BODY), BODY.replace(b"0.4.0", b"0.4.1")),
        (sign(KEY, "msg", NOW, BODY) | {"webhook-timestamp": str(NOW + 1)}, BODY),
    ):
        with pytest.raises(Refused, match="signature"):
            host.desk().take(headers, body)
    assert host.begun == []
    assert host.take() == WISH


def test_a_key_is_replaced_while_both_are_known(host: Host) -> None:
    host.key = f"{KEY} {KEY[::-1]}"
    assert [host.take(NOW, key=KEY), host.take(NOW + 1, key=KEY[::-1])] == [WISH, WISH]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 900,
        json.dumps({"digest": WISH.digest}).encode(),
        json.dumps({"digest": WISH.digest, "version": "1", "image": "elsewhere.example/name"}).encode(),
        json.dumps({"digest": "latest", "version": "1"}).encode(),
        json.dumps({"digest": f"{WISH.digest}\n", "version": "1"}).encode(),
        json.dumps({"digest": WISH.digest, "version": "--resume"}).encode(),
        json.dumps({"digest": WISH.digest, "version": "1; reboot"}).encode(),
        json.dumps({"digest": WISH.digest, "version": "v" * 65}).encode(),
        json.dumps({"digest": [WISH.digest], "version": {}}).encode(),
    ],
    ids=[
        *("nothing", "a list", "half", "no text", "deep", "no version", "a name of an image"),
        *("a tag", "a line end", "an option", "a command", "a long version", "lists"),
    ],
)
def test_nothing_but_a_digest_and_a_version_is_taken_from_a_body(host: Host, body: bytes) -> None:
    with pytest.raises(Refused):
        host.take(body=body)
    assert host.begun == []
    assert host.take() == WISH, "what was refused has used up nothing"


def test_the_version_of_a_commit_is_one() -> None:
    assert read(written(Wish(WISH.digest, "0123456789abcdef" * 2 + "01234567"))).version


# -- over HTTP -------------------------------------------------------------------------------------------------------------


@contextmanager
def listening(host: Host) -> Iterator[str]:
    host.now = time.time()
    with server(host.desk(), 0) as waiting:
        thread = threading.Thread(target=waiting.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        host.port = waiting.server_port
        yield f"http://127.0.0.1:{waiting.server_port}{PATH}"
        waiting.shutdown()
        thread.join()


def test_what_is_announced_is_taken_and_begun(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with listening(host) as url:
        monkeypatch.setenv("DEPLOY_URL", url)
        monkeypatch.setenv("DEPLOY_KEY", KEY)
        assert announce.main([WISH.digest, WISH.version]) == 0
        assert host.begun == [WISH]
        assert announce.main([WISH.digest, WISH.version]) == 1  # in the same second it is no newer
        host.busy = True
        with pytest.raises(announce.NotTaken, match="409: a rollout is under way"):
            announce.announce(url, KEY, WISH, time.time() + 5)
        with pytest.raises(announce.NotTaken, match="403: its signature is not that of the secret"):
            announce.announce(url, KEY[::-1], WISH, time.time() + 6)
        with pytest.raises(announce.NotTaken, match="404"):
            announce.announce(url.replace(PATH, "/"), KEY, WISH, time.time())
    assert host.begun == [WISH]
    shown = capsys.readouterr()
    assert KEY not in shown.out + shown.err


def test_a_message_that_waits_for_a_rollout_may_be_sent_again(host: Host) -> None:
    with listening(host) as url:
        host.busy, when = True, time.time() + 5
        with pytest.raises(announce.NotTaken, match="409"):
            announce.announce(url, KEY, WISH, when)
        host.busy = False
        announce.announce(url, KEY, WISH, when)
    assert host.begun == [WISH]


def test_a_message_is_not_obeyed_where_it_cannot_be_noted_that_it_was(host: Host) -> None:
    newest = host.folder / "newest"
    newest.write_text("\0\0")
    with listening(host) as url:
        with pytest.raises(announce.NotTaken, match="500: the disk of this host is not well"):
            announce.announce(url, KEY, WISH, host.now)
        newest.unlink()
        (host.folder / "newest.new").mkdir()
        with pytest.raises(announce.NotTaken, match="500"):
            announce.announce(url, KEY, WISH, host.now)
    assert host.begun == []


@pytest.mark.parametrize("length", [None, "", "-1", "x", str(LARGEST + 1), "9" * 400, "\u0663"])
def test_a_body_without_a_bound_is_not_read(host: Host, length: str | None) -> None:
    with listening(host), socket.create_connection(("127.0.0.1", host.port)) as line:
        header = "" if length is None else f"Content-Length: {length}\r\n"
        line.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode())
        answer = http.client.HTTPResponse(line)
        answer.begin()
        assert answer.status == 413
    assert host.begun == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_messages_are_answered(host: Host, method: str) -> None:
    with listening(host):
        line = http.client.HTTPConnection("127.0.0.1", host.port)
        line.request(method, PATH, BODY, sign(KEY, "msg", host.now, BODY))
        assert line.getresponse().status == 501
        line.close()
    assert host.begun == []


@pytest.mark.parametrize(
    ("url", "key", "arguments", "said"),
    [
        ("http://host.example/deploy", KEY, [WISH.digest, "1"], "address with https"),
        ("https://host.example/deploy", "short", [WISH.digest, "1"], "DEPLOY_KEY: a secret has at least 24 bytes"),
        ("https://host.example/deploy", KEY, [WISH.digest], "Usage"),
    ],
    ids=["no TLS", "a short key", "no version"],
)
def test_what_could_not_be_sent_safely_is_not_sent(
    url: str,
    key: str,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DEPLOY_URL", url)
    monkeypatch.setenv("DEPLOY_KEY", key)
    assert announce.main(arguments) == 2
    assert said in capsys.readouterr().err


def test_a_host_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DEPLOY_URL", f"http://127.0.0.1:{free_port()}/deploy")
    monkeypatch.setenv("DEPLOY_KEY", KEY)
    assert announce.main([WISH.digest, "1"]) == 1
    assert "does not answer" in capsys.readouterr().err


# -- the process -----------------------------------------------------------------------------------------------------------


def test_a_rollout_that_a_person_began_makes_the_receiver_busy(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "rollout.json")
    rollouts = Rollouts(memory)
    assert not rollouts.is_busy()
    with memory.alone():
        assert rollouts.is_busy()
    assert not rollouts.is_busy()


def test_a_rollout_that_is_killed_alone_is_gone_on_with_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho "$*" >> "{tmp_path}/calls"\nkill -9 $$\n')
    program.chmod(0o755)
    monkeypatch.setattr("deploy.receiver.sys.executable", str(program))
    rollouts = Rollouts(Memory(tmp_path / "rollout.json"))
    rollouts.begin(WISH)
    calls = [f"-m deploy.rollout {WISH.digest} {WISH.version}", "-m deploy.rollout --resume"]
    until(lambda: (tmp_path / "calls").exists() and (tmp_path / "calls").read_text().splitlines() == calls, "both", 60)
    until(lambda: not rollouts.is_busy(), "the end of the second", 60)
    assert "the rollout was killed; it is gone on with" in capfd.readouterr().out


def test_a_host_with_python_alone_can_send_and_receive() -> None:
    said = "import deploy.announce, deploy.receiver, sys; print('pydantic' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-ISc", f"import sys; sys.path.append({str(ROOT)!r}); {said}"], capture_output=True, check=True
    )
    assert done.stdout == b"False\n"


def test_a_receiver_that_is_not_set_up_says_what_is_missing_and_begins_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("DEPLOY_IMAGE", "")
    assert main() == 2
    rollouts = Rollouts(Memory(tmp_path / "rollout.json"))
    rollouts.resume()  # by a process of its own, as at each start
    until(lambda: not rollouts.is_busy(), "the end of a rollout without settings", 60)
    monkeypatch.setenv("DEPLOY_IMAGE", "ghcr.io/owner/name")
    monkeypatch.setenv("DEPLOY_SIGNER", "^https://github.com/owner/name/")
    monkeypatch.setenv("DEPLOY_KEY", "")
    assert main() == 2
    said = capfd.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in said] == ["receiver", "rollout", "receiver"]
    assert "DEPLOY_IMAGE: set it in .env" in said[0]
    assert "DEPLOY_KEY in .env: there is no secret" in said[2]
