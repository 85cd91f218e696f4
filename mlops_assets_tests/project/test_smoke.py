"""The check of a whole stack: it fails at the first thing that does not work, and all services as processes pass it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy import smoke
from deploy.services.s3 import is_installed
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.stack import until


class Api:
    """Answers like the API of a stack that works, but for what a test changes."""

    def __init__(self) -> None:
        self.key, self.api = "tulip", ""
        self.asked: list[str] = []
        self.commands: list[str] = []
        self.state, self.rows, self.status, self.page = "success", 300, 202, False

    def command(self, *words: str) -> None:
        self.commands.append(" ".join(words))

    def answer(self, path: str) -> tuple[int, Any]:
        self.asked.append(path)
        if path.startswith("/v1/runs/"):
            return 200, {"state": self.state, "failed": []}
        if "/predictions?" in path:
            return 200, {"rows": [{}] * self.rows}
        if path.endswith("/predictions"):
            return 200, {"files": [{"rows": 2, "predictions": [{}, {}]}]}
        return self.status, {"run": f"r{len(self.asked)}"}


@pytest.fixture
def api() -> Iterator[Api]:
    known = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            assert self.headers["Authorization"] == "Bearer tulip"
            status, said = known.answer(self.path)
            body = b"<html>" if known.page else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Nothing goes to the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        known.api = f"http://127.0.0.1:{server.server_port}"
        yield known
        server.shutdown()
        thread.join()


def test_a_stack_that_works_does_a_day_and_answers_a_file(api: Api) -> None:
    assert smoke.check(api)[1:] == ["300 predictions of 2026-01-31", "a file of two rows is answered"]
    base = "/v1/use-cases/loan_approval"
    started = [path for path in api.asked if not path.startswith("/v1/runs/")]
    day = f"{base}/days/2026-01-31"
    assert started[:4] == [f"{day}/run", f"{base}/train", f"{base}/promote", f"{day}/run"]
    assert started[4:] == [f"{day}/predictions?limit=1000", f"{base}/predictions"]
    assert api.commands == ["sample loan_approval --day 2026-01-31 --files 1 --rows 300"]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"state": "failure"}, "the run of days/2026-01-31/run is failure"),
        ({"state": "canceled"}, "is canceled"),
        ({"status": 503}, "the API answered with 503"),
        ({"rows": 0}, "0 predictions of 2026-01-31"),
    ],
    ids=["a run fails", "a run is ended", "no run is taken", "nothing is predicted"],
)
def test_the_first_thing_that_does_not_work_fails_it(api: Api, how: dict[str, Any], said: str) -> None:
    vars(api).update(how)
    with pytest.raises(smoke.Failed, match=said):
        smoke.check(api)


def test_an_api_that_is_not_there_fails_it(api: Api) -> None:
    api.api = "http://127.0.0.1:9"
    with pytest.raises(smoke.Failed, match="does not answer"):
        smoke.check(api)


def test_an_answer_that_is_no_json_fails_it(api: Api) -> None:
    api.page = True
    with pytest.raises(smoke.Failed, match="answered with 202 and no JSON: <html>"):
        smoke.check(api)


# -- containers, by a program that stands in for docker -----------------------------------------------------------------

DOCKER = """#!/bin/sh
[ "$1" = run ] && shift 3 && exec ${MADE:-"$@"}
echo "$* $STACK_IMAGE $STACK_DATABASE_URL" >> "$CALLS"
case "$* " in *" $HANGS "*) exec sleep 600 ;; *" $FAILS "*|*" $FAILS_TOO "*) exit 1 ;; esac
"""
MADE = "printf mlops_tulip\\nsmoke:read,predict,write:50:0\\n"
"""What makes a key of no use, for those that need none."""

COMPOSE = f"compose --project-name {smoke.PROJECT} --env-file {os.devnull}"


@dataclass
class Docker:
    """A machine with a docker that notes how it is called."""

    folder: Path

    def start(self, **more: str) -> subprocess.Popen[str]:
        """Begin the check of an image."""
        path = f"{self.folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        given = {**os.environ, "PATH": path, "CALLS": str(self.folder / "calls"), **more}
        command = [sys.executable, "-m", "deploy.smoke", "image@sha256:1"]
        return subprocess.Popen(command, cwd=ROOT, env=given, stderr=subprocess.PIPE, text=True)

    @property
    def calls(self) -> list[str]:
        """What was asked for."""
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    (tmp_path / "calls").touch()
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    return Docker(tmp_path)


def test_a_service_that_is_not_healthy_fails_it_and_nothing_of_it_stays(docker: Docker) -> None:
    # what a `.env` or a shell says is for another stack; the key is one that `mlops-assets` makes
    running = docker.start(FAILS="up", FAILS_TOO="logs", STACK_DATABASE_URL="postgresql://people-work-here")
    _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (1, "smoke: docker compose up failed\n")
    assert docker.calls == [
        f"{COMPOSE} up --detach --no-build --wait --wait-timeout 600 image@sha256:1 ",
        f"{COMPOSE} logs --tail 60 image@sha256:1 ",
        f"{COMPOSE} down --volumes --remove-orphans --timeout 20 image@sha256:1 ",
    ]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ended_while_services_start_it_removes_them_first(docker: Docker, how: signal.Signals) -> None:
    running = docker.start(HANGS="up", MADE=MADE)
    until(lambda: [call for call in docker.calls if " up " in call], "the start of the services", 60)
    running.send_signal(how)
    _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (130, "smoke: it was ended; what it had started is gone\n")
    assert " down " in docker.calls[-1]


def test_an_image_that_makes_no_key_starts_nothing(docker: Docker) -> None:
    running = docker.start(MADE="false")
    _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (1, "smoke: the image makes no key: \n")
    assert docker.calls == []


@pytest.mark.parametrize("arguments", [[], ["--processes"], ["--help"], ["a", "b"]])
def test_it_starts_nothing_where_it_is_not_told_what(arguments: list[str]) -> None:
    assert smoke.main(arguments) == 2


@pytest.mark.long
@pytest.mark.skipif(not is_installed(), reason="the S3 server is not installed: ceph-mon, ceph-osd, radosgw")
def test_all_services_as_processes_pass_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main(["--processes", str(tmp_path / "stack")]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.splitlines()[-1] == "a file of two rows is answered"
