"""The host of a rollout: the order of its commands, by programs that stand in for docker and cosign."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.host import ISSUER, DockerHost
from deploy.rollout import Busy, Memory, Release, begin, resume
from deploy.services.s3 import free_port
from deploy.settings import Settings, read_env
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.receiver import Receiver, webhook
from mlops_assets_tests.helpers.releases import NEW, NEXT, OLD
from mlops_assets_tests.helpers.stack import until


@dataclass
class Webserver:
    """Answers of Dagster's webserver, by what stands in the question; what was asked."""

    url: str = ""
    runs: dict[str, str] = field(default_factory=lambda: {"r1": "STARTED", "r2": "SUCCESS"})
    loaded: bool = True
    deaf: bool = False
    odd: list[bytes] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "terminateRuns" in query:
            at_once = variables["policy"] == "MARK_AS_CANCELED_IMMEDIATELY"
            self.asked.append(f"end {' '.join(variables['runs'])}{' at once' if at_once else ''}")
            if at_once or not self.deaf:
                self.runs |= dict.fromkeys(variables["runs"], "CANCELED")
            return {"terminateRuns": {"__typename": "TerminateRunsResult"}}
        if "launchRunReexecution" in query:
            self.asked.append(f"again {variables['params']['parentRunId']}")
            return {"launchRunReexecution": {"__typename": "LaunchRunSuccess", "run": {"runId": "r3"}}}
        if "workspaceOrError" in query:
            found = (
                {"__typename": "RepositoryLocation"} if self.loaded else {"__typename": "PythonError", "message": "no"}
            )
            return {
                "workspaceOrError": {"__typename": "Workspace", "locationEntries": [{"locationOrLoadError": found}]}
            }
        wanted = variables["filter"]
        found = [
            {"runId": run, "status": status, "repositoryOrigin": None if run == "command" else {"id": "x"}}
            for run, status in self.runs.items()
            if run in wanted.get("runIds", [run])
            and status in wanted.get("statuses", [status])
            and "tags" not in wanted
        ]
        return {"runsOrError": {"__typename": "Runs", "results": found}}


@pytest.fixture
def webserver() -> Iterator[Webserver]:
    known = Webserver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if known.odd:
                self.wfile.write(known.odd.pop(0))
                return
            body = json.dumps({"data": known.answer(said["query"], said["variables"])}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing goes to the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        known.url = f"http://127.0.0.1:{server.server_port}"
        yield known
        server.shutdown()
        thread.join()


PROGRAM = """#!{python}
import os, sys, time
with open({log!r}, "a") as log:
    print({name!r}, *sys.argv[1:], file=log)
said = " ".join([{name!r}, *sys.argv[1:], open({env!r}).read(), "instead of it", os.environ.get("STACK_IMAGE", "none")])
if all(part in said for part in os.environ.get("FAILS", "no such call").split(" & ")):
    print(os.environ.get("SAYS", ""))
    print("it did not work", file=sys.stderr)
    sys.exit(int(os.environ.get("CODE", "1")))
while all(part in said for part in os.environ.get("HANGS", "no such call").split(" & ")):
    time.sleep(1)
"""


@dataclass
class Machine:
    """A machine with programs that note how they are called; where they fail is said in `FAILS`."""

    folder: Path
    settings: Settings

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path, webserver: Webserver, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Machine:
    env = tmp_path / ".env"
    env.write_text(f"# mine\nSTACK_POSTGRES_PASSWORD=tulip\nSTACK_IMAGE={OLD.image}\nSTACK_WORKERS=2\n")
    (tmp_path / "calls").touch()
    for name in ("docker", "cosign"):
        file = tmp_path / name
        values = {"python": sys.executable, "log": str(tmp_path / "calls"), "name": name, "env": str(env)}
        file.write_text(PROGRAM.format(**values))
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    said = {"image": "ghcr.io/owner/name", "signer": "^https://github.com/owner/name/", "port": 0, "patience": 0.0}
    more = {"alert_url": receiver.url, "env": env, "state": tmp_path / ".rollout.json"}
    return Machine(tmp_path, Settings(webserver=webserver.url, **said, **more))  # type: ignore[arg-type]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with webhook() as known:
        yield known


def test_the_host_verifies_fetches_pauses_ends_switches_and_goes_on(
    machine: Machine, webserver: Webserver, receiver: Receiver
) -> None:
    settings = machine.settings
    assert begin(DockerHost(settings), Memory(settings.state), NEW, 0)
    up = "docker compose up --detach --no-build --pull never --wait --wait-timeout 600"
    assert machine.calls == [
        f"cosign verify --certificate-identity-regexp {settings.signer} --certificate-oidc-issuer {ISSUER} {NEW.image}",
        f"docker pull --quiet {NEW.image}",
        "docker compose run --rm --no-deps --no-TTY code mlops-assets upgrade --check",
        "docker compose stop daemon",
        "docker compose stop code",
        f"{up} mlflow code webserver",
        f"{up} daemon",
    ]
    assert webserver.asked == ["end r1", "again r1"]
    text = settings.env.read_text()
    assert text == f"# mine\nSTACK_POSTGRES_PASSWORD=tulip\nSTACK_IMAGE={NEW.image}\nSTACK_WORKERS=2\n"
    assert settings.env.stat().st_mode & 0o777 == 0o600
    (told,) = receiver.got
    assert told["problem"] == "b is in service instead of the one before"
    assert told["errors"] == ["1 runs were ended for it and begun again"]
    assert told["job"] == "deploy"


def test_services_of_the_profiles_that_are_on_come_up_with_the_others(machine: Machine) -> None:
    settings = replace(machine.settings, profiles=("api", "notebooks"))  # notebooks have an image of their own
    assert begin(DockerHost(settings), Memory(settings.state), NEW, 0)
    (up,) = (call for call in machine.calls if " mlflow code " in call)
    assert up.endswith(" mlflow code webserver api")


def test_a_run_of_a_command_is_told_for_nobody_but_who_gave_it_can_give_it_again(
    machine: Machine, webserver: Webserver, receiver: Receiver
) -> None:
    webserver.runs = {"command": "STARTED"}
    assert begin(DockerHost(machine.settings), Memory(machine.settings.state), NEW, 0)
    assert webserver.asked == ["end command"]
    ended = [
        "0 runs were ended for it and begun again",
        "the run command of a command was ended: give the command again",
    ]
    assert receiver.got[0]["errors"] == ended


def test_the_host_goes_back_where_the_new_services_do_not_become_well(
    machine: Machine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = machine.settings
    monkeypatch.setenv("FAILS", f"compose up & STACK_IMAGE={NEW.image}")
    assert not begin(DockerHost(settings), Memory(settings.state), NEW, 0)
    assert read_env(settings.env)["STACK_IMAGE"] == OLD.image
    assert machine.calls[-1].endswith(" daemon")
    (told,) = receiver.got
    assert told["problem"] == "b is not well: the one before is back"
    assert told["errors"][0] == "docker compose: it did not work"
    assert "tulip" not in json.dumps(told)


@pytest.mark.parametrize(
    ("fails", "said"), [("cosign verify", "not signed by the workflow"), ("docker pull", "it cannot be fetched")]
)
def test_the_host_runs_nothing_that_is_not_signed_or_not_there(
    fails: str, said: str, machine: Machine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", fails)
    assert not begin(DockerHost(machine.settings), Memory(machine.settings.state), NEW, 0)
    assert not [call for call in machine.calls if "compose" in call]
    assert read_env(machine.settings.env)["STACK_IMAGE"] == OLD.image
    assert said in receiver.got[0]["problem"]


@pytest.mark.parametrize(
    ("code", "says", "told"),
    [
        (
            "1",
            "To do: the lake: from form 2 to 3 (churn)",
            "b is not deployed: what is stored must be upgraded first (To do: ",
        ),
        ("3", "", "b is not deployed: what is stored was upgraded to a later version since. it did not work"),
    ],
    ids=["an upgrade is needed", "a later version"],
)
def test_an_image_is_asked_whether_it_fits_what_is_stored_before_anything_stops(
    code: str, says: str, told: str, machine: Machine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("FAILS", f"upgrade --check & instead of it {NEW.image}"), ("CODE", code), ("SAYS", says)):
        monkeypatch.setenv(name, value)
    assert not begin(DockerHost(machine.settings), Memory(machine.settings.state), NEW, 0)
    assert not [call for call in machine.calls if "stop" in call]
    assert receiver.got[0]["problem"].startswith(told)


@pytest.mark.parametrize("code", ["1", "2", "137"])
def test_what_else_is_wrong_with_stores_is_seen_by_what_starts(
    code: str, machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAILS", "upgrade --check")
    monkeypatch.setenv("CODE", code)
    DockerHost(machine.settings).see_stores(NEW.image)
    assert capsys.readouterr().err.endswith(" does not say whether it fits what is stored: it did not work\n")


def test_a_run_that_does_not_listen_is_called_ended_and_begun_again(machine: Machine, webserver: Webserver) -> None:
    webserver.deaf = True
    host = DockerHost(machine.settings)
    host.ending = 0.0
    assert begin(host, Memory(machine.settings.state), NEW, 0)
    assert webserver.asked == ["end r1", "end r1 at once", "again r1"]


@pytest.mark.parametrize("odd", [b"", b"HTTP/1.1 200 fine\r\nContent-Length: 99\r\n\r\n{", b"no HTTP\r\n\r\n"])
def test_a_webserver_that_stops_within_an_answer_is_asked_again(
    odd: bytes, machine: Machine, webserver: Webserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    webserver.odd = [odd]
    assert begin(DockerHost(machine.settings), Memory(machine.settings.state), NEW, 0)
    assert webserver.asked == ["end r1", "again r1"]


def test_an_image_whose_code_cannot_be_loaded_gives_way(
    machine: Machine, webserver: Webserver, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webserver.loaded = False
    monkeypatch.setattr("deploy.host.LOADING", -1.0)
    assert not begin(DockerHost(machine.settings), Memory(machine.settings.state), NEW, 0)
    assert receiver.got[0]["errors"][0] == "b: the code is not loaded: no"


def test_where_env_cannot_be_written_the_former_image_stays_and_works(
    machine: Machine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("deploy.host.set_in_env", full)
    assert not begin(DockerHost(machine.settings), Memory(machine.settings.state), NEW, 0)
    assert read_env(machine.settings.env)["STACK_IMAGE"] == OLD.image
    assert receiver.got[0]["problem"] == "b is not well: the one before is back"
    assert receiver.got[0]["errors"][0].endswith(".env cannot be written: [Errno 28] No space left on device")
    assert machine.calls[-1].endswith(" daemon")


ROLLOUT = """
import sys
from pathlib import Path
from deploy.host import DockerHost
from deploy.rollout import Memory, Release, begin
from deploy.settings import Settings
folder = Path(sys.argv[1])
settings = Settings("-", "-", sys.argv[2], 0, 0, env=folder / ".env", state=folder / ".rollout.json")
begin(DockerHost(settings), Memory(settings.state), Release(sys.argv[3], "b"), 0)
"""


def test_a_rollout_whose_process_is_killed_while_services_start_is_gone_on_with_by_the_next(
    machine: Machine, webserver: Webserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = machine.settings
    command = [sys.executable, "-c", ROLLOUT, str(machine.folder), webserver.url, NEW.image]
    environment = {**os.environ, "HANGS": "compose up"}
    running = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    until(lambda: [call for call in machine.calls if "compose up" in call], "the start of the services", 60)
    with pytest.raises(Busy):
        resume(DockerHost(settings), Memory(settings.state), 0)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert Memory(settings.state).read().again == ("r1",)
    assert resume(DockerHost(settings), Memory(settings.state), 0)
    assert read_env(settings.env)["STACK_IMAGE"] == NEW.image
    assert machine.calls[-1].endswith(" daemon")
    assert webserver.asked == ["end r1", "again r1"], "it was ended once and begun again once"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "it answered with 500"),
        ("http://127.0.0.1:9/hook-of-mine", "URLError"),
        ("no address", "ValueError"),
        ("http://[", "ValueError"),
    ],
    ids=["an error", "nobody there", "no address", "half an address"],
)
def test_an_owner_who_cannot_be_told_stops_no_rollout(
    address: str, said: str, machine: Machine, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.answers.append(500)
    settings = replace(machine.settings, alert_url=address or receiver.url)
    assert begin(DockerHost(settings), Memory(settings.state), NEW, 0)
    shown = capsys.readouterr()
    assert f"STACK_ALERT_URL was not told: {said}\n" in shown.err
    assert settings.alert_url not in shown.out + shown.err


def test_the_command_takes_what_it_is_told_from_env_and_a_digest_alone(machine: Machine, webserver: Webserver) -> None:
    wrong = subprocess.run(
        [sys.executable, "-m", "deploy.rollout", "latest", "1"],
        cwd=ROOT,
        env={**os.environ, "DEPLOY_IMAGE": "ghcr.io/owner/name", "DEPLOY_SIGNER": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (wrong.returncode, wrong.stderr) == (2, "rollout: `digest` must be sha256: and 64 hexadecimal digits\n")
    assert machine.calls == []


# -- all of it, as processes: what asks, what waits, what does it ----------------------------------------------------------


def test_of_two_messages_at_once_one_brings_its_image_into_service_and_tells_the_owner(
    machine: Machine, webserver: Webserver, receiver: Receiver
) -> None:
    shutil.copytree(
        ROOT / "deploy", machine.folder / "deploy", ignore=shutil.ignore_patterns("__pycache__", "services")
    )
    port, key = free_port(), "tulip-" * 8
    said = {
        "DEPLOY_IMAGE": "ghcr.io/owner/name",
        "DEPLOY_SIGNER": "^https://github.com/owner/name/",
        "DEPLOY_KEY": key,
        "DEPLOY_PORT": port,
        "DEPLOY_PATIENCE_MINUTES": 0,
        "STACK_WEBSERVER_PORT": webserver.url.rpartition(":")[2],
        "STACK_ALERT_URL": receiver.url,
    }
    with machine.settings.env.open("a") as env:
        env.write("".join(f"{name}={value}\r\n" for name, value in said.items()))
    given = {**os.environ, "DEPLOY_URL": f"http://127.0.0.1:{port}/deploy", "DEPLOY_KEY": key}

    def start(module: str, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", module, *words]
        return subprocess.Popen(command, cwd=machine.folder, env=given, stdout=subprocess.PIPE, text=True)

    def ask() -> list[Release]:
        asked = [(one, start("deploy.announce", one.image.partition("@")[2], one.version)) for one in (NEW, NEXT)]
        for _, process in asked:
            process.communicate(timeout=60)
        return [one for one, process in asked if process.returncode == 0]

    waiting = start("deploy.receiver")
    try:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == f"receiver: http://127.0.0.1:{port}/deploy\n"
        (taken,) = until(ask, "a receiver that has looked for a rollout to go on with", 60)
        (told,) = until(lambda: receiver.got, "what the owner is told", 60)
        assert told["problem"] == f"{taken.version} is in service instead of the one before"
        assert read_env(machine.settings.env)["STACK_IMAGE"] == taken.image
        assert [call.split()[-1] for call in machine.calls if " up " in call] == ["webserver", "daemon"]
    finally:
        waiting.send_signal(signal.SIGTERM)  # SIGINT is not heard where a shell began the tests in the background
        killer = threading.Timer(60, waiting.kill)
        killer.start()
        out, _ = waiting.communicate()
        killer.cancel()
    assert waiting.returncode == 0
    assert out.endswith("Stopped.\n")
    assert key not in out
