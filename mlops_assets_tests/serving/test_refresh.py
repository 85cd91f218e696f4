"""A signed call, or one with a key, makes every process look at once; what is forged, old or repeated wakes nobody."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.events.channels import NotTold, Webhook
from mlops_assets.events.message import Message
from mlops_assets.events.signing import TOLERANCE, sign
from mlops_assets.serving.answering.bell import LASTS, Bell
from mlops_assets.serving.answering.champions import Champions
from mlops_assets.serving.answering.versions import Ready, Wanted, read_version
from mlops_assets.serving.app import make_app
from mlops_assets.serving.entrance.callers import Caller
from mlops_assets.serving.entrance.doors import Entrance
from mlops_assets.serving.entrance.keys import Keys, new_key
from mlops_assets.serving.routes.refresh import RATE
from mlops_assets.serving.service import Service
from mlops_assets.storage.places import Place
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.asgi import HOST, Answer, ask
from mlops_assets_tests.helpers.asked_api import problem
from mlops_assets_tests.helpers.served import NAME, TOY, model_of, plant, promote, workspace_in
from mlops_assets_tests.helpers.served_home import behind_a_server

SECRET, BODY = "s" * 32, b'{"event": "champion"}'
PATH = f"/v1/use-cases/{NAME}/refresh"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions, of which the first is champion; each has had its trial."""
    workspace = workspace_in(tmp_path_factory.mktemp("refreshed") / "home")
    for number in (1, 2):
        plant(workspace, number, model_of(number))
        workspace.registry.prove(workspace.registry.version(NAME, number))
    promote(workspace, 1)
    return workspace.settings.home


@pytest.fixture
def workspace(home: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(home, tmp_path / "home")
    return Workspace(replace(workspace_in(tmp_path / "home").settings, refresh_secret=SECRET))


class Called:
    """An application with keys, and a process beside it that hears what it rings."""

    def __init__(self, workspace: Workspace) -> None:
        self.champions = Champions(workspace)
        self.champions.load([TOY])
        self.reader, reads = new_key("reader", frozenset({"read", "predict"}))
        self.writer, writes = new_key("deploy", frozenset({"write"}))
        service = Service(workspace, {NAME: TOY}, self.champions)
        self.app = make_app(service, Entrance(keys=Keys([reads, writes])))
        self.open = make_app(service, Entrance(local=Caller("local")))
        self.other = Bell(workspace.settings.home)

    def __call__(self, body: bytes = BODY, path: str = PATH, app: Any = None, **headers: str) -> Answer:
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return ask(app or self.app, "POST", path, [HOST, *named], [body])


@pytest.fixture
def call(workspace: Workspace) -> Iterator[Called]:
    found = Called(workspace)
    yield found
    found.champions.stop()


def signed(name: str = "msg_1", when: float | None = None, secret: str = SECRET) -> dict[str, str]:
    return sign(secret, name, time.time() if when is None else when, BODY)


def test_a_signed_call_needs_no_key_and_wakes_every_process(call: Called) -> None:
    answer = call(**signed())
    assert (answer.status, json.loads(answer.text)) == (202, {"use_case": NAME, "version": 1})
    assert call.other.heard()
    assert not call.other.heard(), "once"


def test_it_is_answered_again_when_it_comes_again_and_wakes_nobody(call: Called) -> None:
    headers = signed()
    call(**headers)
    call.other.heard()
    assert call(**headers).status == 202
    assert not call.other.heard()


@pytest.mark.parametrize("away", [TOLERANCE + 30, -TOLERANCE - 30], ids=["old", "ahead"])
def test_an_old_call_wakes_nobody(call: Called, away: float) -> None:
    assert "more than 300 s ago" in problem(call(**signed(when=time.time() - away)), 401)["detail"]
    assert not call.other.heard()


def test_a_forged_call_wakes_nobody(call: Called) -> None:
    for answer in (call(**signed(secret="t" * 32)), call(BODY + b" ", **signed())):
        assert "its signature is not that of the secret" in problem(answer, 401)["detail"]
    assert problem(call(), 401)["detail"].startswith("A key is needed")
    assert problem(call(path="/v1/use-cases/toy/rollback", **signed()), 401), "a signature opens no other path"
    assert problem(call(path="/v1/use-cases/none/refresh", **signed()), 404)
    assert problem(call(b"x" * 300_000, **signed()), 413)
    assert not call.other.heard()


def test_where_no_secret_is_set_no_signed_call_is_taken(call: Called, workspace: Workspace) -> None:
    object.__setattr__(workspace.settings, "refresh_secret", "")
    said = problem(call(**signed()), 401)["detail"]
    assert said == "No signed call is taken here, for MLOPS_REFRESH_SECRET cannot be used: there is no secret."


def test_a_key_that_may_write_is_enough_and_one_that_may_not_is_refused(call: Called) -> None:
    assert problem(call(Authorization=f"Bearer {call.reader}"), 403)
    assert not call.other.heard()
    assert call(Authorization=f"Bearer {call.writer}").status == 202
    assert call.other.heard()


def test_on_loopback_without_keys_a_program_may_call_and_a_page_of_others_may_not(call: Called) -> None:
    assert call(app=call.open, Origin="http://evil.example").status == 403
    assert not call.other.heard()
    assert call(app=call.open).status == 202
    assert call.other.heard()


def test_a_channel_that_signs_wakes_it_over_http(call: Called) -> None:
    message = Message(NAME, "team:ml", "champion", "info", "champion:2", "version 2 is champion.", change=2)
    with behind_a_server(call.app) as port:
        url = f"http://127.0.0.1:{port}{PATH}"
        assert Webhook(url, secret=SECRET).tell(message) == "it answered with 202"
        assert call.other.heard()
        with pytest.raises(NotTold, match="it answered with 401"):
            Webhook(url, secret="t" * 32).tell(message)
    assert not call.other.heard()


def test_more_calls_than_the_rate_are_put_off(call: Called) -> None:
    answers = [call(**signed(f"msg_{number}")) for number in range(int(RATE) + 3)]
    late = [answer for answer in answers if answer.status == 429]
    assert late
    assert late[0].headers["retry-after"] == "1"


def spoiled(workspace: Workspace) -> tuple[Champions, Place, threading.Event]:
    """Champions that could not read a change, by a clock that stands still; the change, and whether version 2 is tried."""
    tried = threading.Event()

    def read(workspace: Workspace, use_case: UseCase, wanted: Wanted) -> Ready:
        if wanted.number == 2:
            tried.set()
        return read_version(workspace, use_case, wanted)

    champions = Champions(workspace, read=read, clock=lambda: 0.0)
    change = workspace.of(TOY).lake.change(2)
    champions.load([TOY])
    change.write_bytes(b"{")
    champions.look()
    return champions, change, tried


def test_a_process_that_hears_it_tries_again_at_once_what_failed(workspace: Workspace) -> None:
    """Of itself it would wait, by a clock that stands still for ever."""
    champions, change, tried = spoiled(workspace)
    champions.look()
    assert NAME in champions.troubles()
    change.unlink()
    promote(workspace, 2)
    champions.start(0.001)
    Bell(workspace.settings.home).ring("msg_1", time.time())
    assert tried.wait(60)
    champions.stop()
    assert champions.versions() == {NAME: 2}


def test_a_bell_keeps_no_more_than_what_may_come_again(tmp_path: Path) -> None:
    bell = Bell(tmp_path)
    assert [bell.ring("a", 0.0), bell.ring("a", LASTS), bell.ring("b", LASTS + 1)] == [False, True, False]
    assert len([*(tmp_path / "bell").iterdir()]) == 1
    (tmp_path / "bell" / "b").symlink_to("gone")  # as a file is that another process takes away just now
    assert not bell.ring("a", LASTS + 2)


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """A server of MLflow that may call this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", port]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder)]
    given = {
        **os.environ,
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, env=given, start_new_session=True, **quiet) as process:
        try:
            assert any("Application startup complete" in line for line in process.stderr)
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.long
def test_mlflow_wakes_the_api_by_its_own_webhook_and_the_history_says_who_is_champion(
    workspace: Workspace, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    champions, change, tried = spoiled(workspace)
    app = make_app(
        Service(workspace, {NAME: TOY}, champions), Entrance(keys=Keys([new_key("a", frozenset({"read"}))[1]]))
    )
    with mlflow_server(tmp_path) as mlflow, behind_a_server(app) as port:
        assert NAME in champions.troubles()
        change.unlink()
        promote(workspace, 2)
        client = MlflowClient(mlflow, mlflow)
        path = f"http://127.0.0.1:{port}{PATH}"
        client.create_webhook("api", path, ["model_version_alias.created"], secret=SECRET)
        client.create_registered_model(NAME)
        run = client.create_run("0").info
        client.create_model_version(NAME, f"{run.artifact_uri}/version", run.run_id)
        assert not tried.is_set()
        client.set_registered_model_alias(NAME, "champion", "1")  # it lags behind
        assert tried.wait(120)
    assert champions.versions() == {NAME: 2}
