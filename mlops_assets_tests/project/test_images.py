"""Images by digest: what files pin is what a registry has, and what is pushed is signed before it has a name."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy import publish
from deploy.digests import LARGEST, NotTold, digest_of, place_of, renew
from deploy.healthy import is_healthy
from deploy.images import FILES, NAME, REFERENCE, name_of, pins, tags_of
from deploy.services.s3 import free_port
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.stack import until

MANIFEST = json.dumps(
    {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
).encode()
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
GIVEN = "a" * 9
"""The token that a registry gives to anybody."""

OLD = f"sha256:{'0' * 64}"


# -- what the files of the stack build on ----------------------------------------------------------------------------------


def test_every_image_of_others_has_a_digest() -> None:
    found = [one for path in FILES for one in pins(path.read_text())]
    assert [one.name for one in found] == ["python", "eclipse-temurin", "postgres", "chrislusf/seaweedfs"]
    assert [one.name for one in found if not one.digest] == []
    named = len(
        re.findall(
            r"^FROM (?!(?:base|build|platform)\b)|^ +image: (?!\$|.*:local$)",
            "".join(path.read_text() for path in FILES),
            re.M,
        )
    )
    assert named == len(found), "one is written in another way"


def test_digests_are_written_anew_and_nothing_else_of_a_file(tmp_path: Path) -> None:
    first, second = tmp_path / "Dockerfile", tmp_path / "compose.yml"
    first.write_text(f"# python:3.11 is no image here\nFROM python:3.11-slim@{OLD} AS base\nFROM base\n")
    second.write_text(
        "services:\n  s3:\n    image: owner/store:4.4\n  ours:\n    image: ${STACK_IMAGE:-ours:local}\n    image: ours:local\n"
    )
    texts = first.read_text(), second.read_text()

    def ask(name: str, tag: str) -> str:
        return DIGEST

    moved = [f"python:3.11-slim was {OLD} and is {DIGEST}", f"owner/store:4.4 was not pinned and is {DIGEST}"]
    assert renew([first, second], ask, write=False) == moved
    assert (first.read_text(), second.read_text()) == texts
    assert renew([first, second], ask, write=True) == moved
    assert first.read_text() == texts[0].replace(OLD, DIGEST)
    assert second.read_text() == texts[1].replace("store:4.4", f"store:4.4@{DIGEST}")
    assert renew([first, second], ask, write=False) == []


def test_nothing_is_written_while_one_registry_does_not_answer(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM python:3 AS base\nFROM owner/gone:1 AS other\n")

    def ask(name: str, tag: str) -> str:
        if name == "owner/gone":
            raise NotTold("it does not answer")
        return DIGEST

    with pytest.raises(NotTold):
        renew([file], ask, write=True)
    assert "@" not in file.read_text()


def test_everything_that_the_dockerfile_copies_is_let_through_to_it() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    through = {line[1:] for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "deploy" / "Dockerfile").read_text(), re.M)
    sources = {source for one in copied for source in one.split()}
    assert sources
    assert [one for one in sources if Path(one).parts[0] not in through or not (ROOT / one).exists()] == []


# -- registries ------------------------------------------------------------------------------------------------------------


@contextmanager
def registry(
    body: bytes = MANIFEST,
    told: str = DIGEST,
    login: str = "",
    given: bytes = json.dumps({"token": GIVEN}).encode(),
    status: int = 200,
    leads: str = "",
    longer: int = 0,
) -> Iterator[str]:
    """A registry that wants a token, which it gives to anybody."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = f"127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
            if self.path.startswith("/token"):
                assert self.path == "/token?service=here&scope=repository%3Aowner%2Fname%3Apull"
                return self.answer(200, given, {})
            if self.path == "/elsewhere":
                return self.answer(200 if "Authorization" not in self.headers else 500, body, {})
            if self.headers.get("Authorization") != f"Bearer {GIVEN}":
                wanted = f'Bearer realm="http://{host}/token",service="here",scope="repository:owner/name:pull"'
                return self.answer(401, b"", {"WWW-Authenticate": login or wanted})
            known = self.path == "/v2/owner/name/manifests/1.0" and "image.index" in self.headers["Accept"]
            headers = {"Docker-Content-Digest": told, **({"Location": leads} if leads else {})}
            return self.answer(status if known else 404, body, headers)

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body) + longer)}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing goes to the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_registry_is_asked_with_a_token_for_anybody() -> None:
    with registry() as host:
        assert digest_of(f"{host}/owner/name", "1.0", "http") == DIGEST


def test_a_redirect_is_followed_without_the_token() -> None:
    with registry(status=302, leads="/elsewhere") as host:
        assert digest_of(f"{host}/owner/name", "1.0", "http") == DIGEST


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"body": b"another"}, "and what it sent is sha256:"),
        ({"login": 'Basic realm="x"'}, "it asks for a login"),
        ({"login": 'Bearer realm="file:///etc/hostname"'}, "it asks for a login"),
        ({"given": b"[]"}, "it gives no token"),
        ({"given": b'{"token": "a\\nb"}'}, "it gives no token"),
        ({"given": b"<html>"}, "does not say what"),
        ({"status": 401}, "401"),
        ({"status": 429}, "429: .*: ask again later"),
        ({"status": 302, "leads": "file:///etc/hostname"}, "does not say what"),
        ({"status": 302, "leads": "https://127.0.0.1:9/"}, "it leads elsewhere than by http"),
        ({"longer": 9}, "its answer ends early"),
        ({"body": b" " * (LARGEST + 1)}, "it sends more than"),
    ],
    ids=[
        *("another manifest", "a login", "a token from a file", "a list", "two lines", "a page", "not for anybody"),
        *("too often", "a file", "another scheme", "half an answer", "too much"),
    ],
)
def test_what_a_registry_says_is_not_believed_where_it_does_not_fit(how: dict[str, Any], said: str) -> None:
    with registry(**how) as host, pytest.raises(NotTold, match=said):
        digest_of(f"{host}/owner/name", "1.0", "http")


@pytest.mark.parametrize("said", [b"", b"no HTTP\r\n\r\n", b"HTTP/1.1 200 fine\r\nContent-Length: 5\r\n\r\n1"])
def test_what_answers_by_another_protocol_or_stops_within_is_told(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            line, _ = server.accept()
            with line:
                line.recv(2**16)
                line.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(NotTold, match="does not say what"):
            digest_of(f"127.0.0.1:{server.getsockname()[1]}/owner/name", "1.0", "http")
        thread.join()


def test_a_registry_that_goes_on_and_on_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.digests.LONGEST", -1.0)
    with registry() as host, pytest.raises(NotTold, match="it takes more than"):
        digest_of(f"{host}/owner/name", "1.0", "http")


def test_a_registry_that_does_not_know_a_tag_or_is_not_there_is_told() -> None:
    with registry() as host, pytest.raises(NotTold, match="404"):
        digest_of(f"{host}/owner/name", "9.9", "http")
    with pytest.raises(NotTold, match="does not say what"):
        digest_of(f"127.0.0.1:{free_port()}/owner/name", "1.0", "http")


PROGRAM = shutil.which("docker-registry")
CONFIGURATION = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.mark.skipif(PROGRAM is None, reason="docker-registry is not installed")
def test_a_real_registry_has_the_digest_of_what_was_pushed(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "config.yml").write_text(CONFIGURATION.format(folder=tmp_path / "images", port=port))
    running = subprocess.Popen([str(PROGRAM), "serve", str(tmp_path / "config.yml")], stderr=subprocess.DEVNULL)
    try:
        until(lambda: is_healthy(f"http://127.0.0.1:{port}/v2/"), "the registry", 60)
        place = f"http://127.0.0.1:{port}/v2/owner/name/manifests/1.0"
        headers = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
        with urllib.request.urlopen(
            urllib.request.Request(place, MANIFEST, headers, method="PUT"), timeout=30
        ) as answer:
            assert answer.status == 201
        assert digest_of(f"127.0.0.1:{port}/owner/name", "1.0", "http") == DIGEST
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait()


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("python", ("registry-1.docker.io", "library/python")),
        ("owner/store", ("registry-1.docker.io", "owner/store")),
        ("ghcr.io/owner/name", ("ghcr.io", "owner/name")),
        ("127.0.0.1:5000/name", ("127.0.0.1:5000", "name")),
    ],
)
def test_a_name_leads_where_docker_takes_it(name: str, place: tuple[str, str]) -> None:
    assert place_of(name) == place
    assert NAME.fullmatch(name)


# -- what is pushed --------------------------------------------------------------------------------------------------------


def test_an_image_is_called_as_its_repository_and_tagged_by_branch_or_release() -> None:
    assert name_of("Owner/Some_Project") == "ghcr.io/owner/some_project"
    assert tags_of("refs/heads/main", "abcdef0123") == ["main", "sha-abcdef0"]
    assert tags_of("refs/tags/v1.2.3", "abcdef0123") == ["1.2.3", "sha-abcdef0"]
    assert REFERENCE.fullmatch(f"ghcr.io/owner/some_project@{DIGEST}")


def test_an_image_is_signed_and_the_signature_looked_at_before_a_tag_leads_to_it() -> None:
    done: list[str] = []
    image = f"ghcr.io/owner/name@{DIGEST}"
    publish.publish(image, ["main", "sha-1"], lambda command: done.append(" ".join(command[:2])))
    assert done == ["cosign sign", "cosign verify", "docker buildx"]


@pytest.mark.parametrize("failing", ["sign", "verify"])
def test_what_cannot_be_signed_gets_no_name(failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = programs(tmp_path, monkeypatch, {"cosign": f'[ "$1" != {failing} ]', "docker": "true"})
    assert publish.main([f"ghcr.io/owner/name@{DIGEST}", "main sha-1"]) == 1
    assert "docker" not in log.read_text()
    log = programs(tmp_path, monkeypatch, {"cosign": "true", "docker": "true"})
    assert publish.main([f"ghcr.io/owner/name@{DIGEST}", "main sha-1"]) == 0
    last = log.read_text().splitlines()[-1]
    names = "--tag ghcr.io/owner/name:main --tag ghcr.io/owner/name:sha-1"
    assert last == f"docker buildx imagetools create {names} ghcr.io/owner/name@{DIGEST}"


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, known: dict[str, str]) -> Path:
    """Programs that note how they are called, and then do a line of shell; where they note it."""
    log = folder / "calls"
    log.write_text("")
    for name, line in known.items():
        file = folder / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >> "{log}"\n{line}\n')
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return log


@pytest.mark.parametrize(
    "arguments", [[], ["ghcr.io/owner/name:main", "main"], [f"x@{DIGEST}"], [f"x@{DIGEST}", "a b;c"]]
)
def test_what_has_no_digest_or_no_tag_is_not_published(arguments: Sequence[str]) -> None:
    assert publish.main([*arguments]) == 2


def test_the_programs_of_the_workflows_are_modules_that_exist() -> None:
    text = "".join(path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    text = re.sub(r"(?m)^ *#.*", "", text)
    called = set(re.findall(r"python -m ([\w.]+)", text))
    assert called >= {"deploy.smoke", "deploy.publish", "deploy.announce", "deploy.images", "scans.image"}
    assert [name for name in called if not (ROOT / f"{name.replace('.', '/')}.py").exists()] == []
    bare = set(re.findall(r"(?<!\.venv/bin/)python -m ((?:deploy|scans)\.\w+)", text))
    assert "deploy.smoke" in bare
    bare |= {"deploy.receiver", "deploy.rollout"}
    code = "import sys; sys.path.insert(0, sys.argv[1]); __import__(sys.argv[2])"
    for name in bare:  # a job of a workflow, and a host, have Python and nothing else
        done = subprocess.run(
            ["python3", "-I", "-S", "-c", code, str(ROOT), name], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
