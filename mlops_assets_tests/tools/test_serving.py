"""`mlops-assets serve` as processes: who may reach it, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy.services.s3 import free_port
from mlops_assets.serving.entrance.keys import VARIABLE, Key, Keys, new_key
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.shop import Shop
from mlops_assets_tests.helpers.stack import until

# a use case of which there is no version: nothing has to be loaded, and all else is as ever
USE_CASE = "topics"


@dataclass
class Serving:
    """A running `serve`, its output in files."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def told(self) -> str:
        return (self.folder / "err").read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "out").read_text().splitlines()]

    def get(self, path: str) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def workers(self) -> list[psutil.Process]:
        return [one for one in self.family() if "--shared" in one.cmdline()]

    def is_there(self) -> bool:
        assert self.process.poll() is None, self.told
        return "The API is on" in self.told


def shop_in(folder: Path) -> Shop:
    (folder / "use_cases").mkdir(parents=True, exist_ok=True)
    return Shop(folder / "home")


@contextmanager
def serving(folder: Path, *arguments: str, **more: str) -> Iterator[Serving]:
    environment = {**shop_in(folder).environment, "TMPDIR": str(folder), **more}
    port, state = free_port(), ("MLOPS_", "MLFLOW_", "DAGSTER_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(state)}
    command = [sys.executable, "-m", "mlops_assets.cli", "serve", USE_CASE, "--port", str(port), *arguments]
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        found = Serving(subprocess.Popen(command, env=kept | environment, stdout=out, stderr=err), port, folder)
    try:
        until(found.is_there, "the API")
        yield found
    finally:
        if found.process.poll() is None:
            found.process.kill()
        found.process.wait()


# -- one process --------------------------------------------------------------------------------------------------------


def test_one_process_says_where_it_is_logs_lines_of_json_drains_and_ends_with_0(tmp_path: Path) -> None:
    with serving(tmp_path / "api") as found:
        assert f"its pages are http://127.0.0.1:{found.port}/docs" in found.told
        assert "No use case has a champion yet" in found.told
        status, text = found.get("/ready")
        assert (status, json.loads(text)["status"]) == (200, "ready")
        slow = socket.create_connection(("127.0.0.1", found.port), timeout=60)
        slow.sendall(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab")
        assert found.get("/health")[0] == 200  # the first is being read by now
        modules = set(psutil.Process(found.process.pid).memory_maps())
        assert not [one for one in modules if "dagster" in one.path]
        found.process.send_signal(signal.SIGTERM)
        until(partial(is_closed, found.port), "the end of its port")
        with slow:
            slow.sendall(b"cd")
            assert slow.recv(65536).startswith(b"HTTP/1.1 404")
        assert found.process.wait(timeout=120) == 0
        assert [line["route"] for line in found.lines] == ["/ready", "/health", "unmatched"]
        assert "Traceback" not in found.told


def is_closed(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


def test_starting_imports_neither_mlflow_nor_dagster(tmp_path: Path) -> None:
    """Seconds depend on the machine; what is imported does not."""
    program = (
        "import sys; from mlops_assets.serving import server; from mlops_assets.serving.app import *\n"
        "from mlops_assets.workspace import Workspace\n"
        f"make_app(make_service(Workspace.from_environment(), ['{USE_CASE}']))\n"
        "print(*sorted(name for name in sys.modules if '.' not in name))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **shop_in(tmp_path).environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"mlflow", "dagster", "pandas", "sklearn", "sqlalchemy"} & set(done.stdout.split())


# -- several ------------------------------------------------------------------------------------------------------------


def test_several_share_a_port_are_started_again_counted_together_and_leave_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "api", "--workers", "2") as found:
        until(lambda: len(found.workers()) == 2 and all(map(listens, found.workers())), "both")
        for _ in range(20):
            assert found.get("/health")[0] == 200
        counted = 'mlops_requests_total{route="/health",status="200"} 20.0'
        # a request is counted when its answer is on its way: who is killed just then has not counted it
        until(lambda: counted in found.get("/metrics")[1].decode(), "the last one to be counted")
        victim, other = found.workers()
        victim.kill()
        until(lambda: "was ended by SIGKILL, and is started again" in found.told, "a word of it")
        until(lambda: len(found.workers()) == 2 and all(map(listens, found.workers())), "another one")
        assert other.is_running()
        assert counted in found.get("/metrics")[1].decode()
        folders = list((tmp_path / "api").glob("mlops-api-*"))
        assert len(folders) == 1
        family = found.family()
        found.process.send_signal(signal.SIGINT)
        assert found.process.wait(timeout=120) == 0
        assert not any(one.is_running() for one in family)
        assert not folders[0].exists()


def listens(process: psutil.Process) -> bool:
    return any(one.status == psutil.CONN_LISTEN for one in process.net_connections("tcp"))


def test_killed_it_leaves_no_process(tmp_path: Path) -> None:
    with serving(tmp_path / "api", "--workers", "2", "--drain", "1") as found:
        family = found.family()
        found.process.kill()
        found.process.wait()
        _, alive = psutil.wait_procs(family, timeout=60)
        assert alive == []


# -- behind a proxy -----------------------------------------------------------------------------------------------------

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_behind_nginx_with_tls_a_key_lets_in_and_a_foreign_page_does_not(tmp_path: Path) -> None:
    token, key = new_key("shop", frozenset({"read"}))
    certificate, secret = tmp_path / "certificate.pem", tmp_path / "certificate.key"
    names = ["-subj", "/CN=api.example.com", "-addext", "subjectAltName=DNS:api.example.com"]
    made = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", str(secret), "-out", str(certificate)]
    subprocess.run(["openssl", "req", *made, *names], check=True, capture_output=True)
    with serving(tmp_path / "api", **{VARIABLE: key.entry, "MLOPS_ALLOWED_HOSTS": "api.example.com"}) as found:
        port = free_port()
        here = {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "127.0.0.1:8000": f"127.0.0.1:{found.port}",
            "/etc/ssl/api.example.com.pem": str(certificate),
            "/etc/ssl/private/api.example.com.key": str(secret),
        }
        text = (ROOT / "deploy" / "nginx.conf").read_text()
        for usual, one in here.items():
            assert usual in text
            text = text.replace(usual, one)
        (tmp_path / "nginx.conf").write_text(text)
        command = [str(NGINX), "-p", str(tmp_path), "-c", "nginx.conf", "-g", "daemon off;"]
        with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as proxy:
            try:
                until(lambda: not is_closed(port), "nginx")
                trusted = ssl.create_default_context(cafile=str(certificate))
                own, foreign = f"https://api.example.com:{port}", "https://evil.example"
                asked = ({}, *({**origin, "X-Api-Key": token} for origin in ({}, {"Origin": own}, {"Origin": foreign})))
                answers = [by_tls(port, trusted, "/openapi.json", headers) for headers in asked]
                assert [answer[0] for answer in answers] == [401, 200, 200, 403]
                assert {len(answer[1]["x-request-id"]) for answer in answers} == {32}
                assert by_tls(port, trusted, "/ready", {})[0] == 200
                status, headers = by_tls(port, trusted, "/pages/sign-in", {})
                assert status == 200
                assert headers["set-cookie"].endswith("; Secure")
            finally:
                proxy.terminate()


def by_tls(port: int, trusted: ssl.SSLContext, path: str, headers: dict[str, str]) -> tuple[int, Message]:
    """Ask nginx by the name that its certificate has."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as plain:
        connection = HTTPConnection("api.example.com", port)
        connection.sock = trusted.wrap_socket(plain, server_hostname="api.example.com")
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, answer.headers


# -- what does not start ------------------------------------------------------------------------------------------------


def test_a_taken_port_is_refused_with_the_process_that_has_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for workers in ("1", "2"):
            done = shop_in(tmp_path)("serve", USE_CASE, "--port", str(port), "--workers", workers)
            assert done.code == 2
            assert f"Port {port} of 127.0.0.1 is taken by process {os.getpid()} " in done.err


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_address_that_others_reach_needs_keys_and_a_name(tmp_path: Path, workers: str) -> None:
    shop, keys = shop_in(tmp_path), new_key("shop", frozenset({"read"}))[1].entry
    wide = ("serve", USE_CASE, "--host", "0.0.0.0", "--port", str(free_port()), "--workers", workers)
    done = shop(*wide)
    assert done.code == 2
    assert f"Set {VARIABLE}: `mlops-assets serve --new-key NAME`" in done.err
    done = shop(*wide, **{VARIABLE: keys})
    assert done.code == 2
    assert "MLOPS_ALLOWED_HOSTS=api.example.com" in done.err
    done = shop(*wide, **{VARIABLE: "shop:all:-:0"})
    assert done.code == 2
    assert f"{VARIABLE}, entry 1 (shop)" in done.err


def test_a_use_case_that_there_is_not_is_refused(tmp_path: Path) -> None:
    done = shop_in(tmp_path)("serve", "nowhere", "--port", str(free_port()))
    assert done.code == 2
    assert "nowhere" in done.err


# -- a key --------------------------------------------------------------------------------------------------------------


def test_a_new_key_is_shown_once_and_its_entry_lets_it_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = shop_in(tmp_path)("serve", "--new-key", "shop", "--rights", "read,write", "--rate", "50")
    assert done.code == 0
    (token,) = [word for word in done.err.split() if word.startswith("mlops_")]
    entry = done.out.strip()
    assert token not in entry
    monkeypatch.setenv(VARIABLE, entry)
    key = Key.parse(entry, 1)
    assert (key.caller.name, key.caller.rights, key.rate) == ("shop", {"read", "write"}, 50)
    assert Keys.from_environment() is not None
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--new-key", "a b"), "cannot be the name of a key"),
        (("--new-key", "a", "--rights", "all"), "--rights: rights are"),
    ],
)
def test_a_key_that_cannot_be_is_refused(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = shop_in(tmp_path)("serve", *arguments)
    assert done.code == 2
    assert said in done.err
