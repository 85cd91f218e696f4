"""A rollout: all of it or back to what was there, killed at any moment and gone on with; no run is lost or doubled."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.docker_host import ISSUER, DockerHost
from deploy.host import NotAllowed, Unwell
from deploy.rollout import Busy, Memory, Release, State, begin, resume
from deploy.settings import NotSet, Settings, read_env, set_in_env
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.receiver import Receiver, webhook
from mlops_assets_tests.helpers.stack import until

DIGESTS = {name: f"sha256:{name * 64}" for name in "abc"}
OLD, NEW, NEXT = (Release(f"ghcr.io/owner/name@{digest}", name) for name, digest in DIGESTS.items())


class Killed(BaseException):
    """The process of the rollout is gone."""


@dataclass
class Place:
    """A host in memory: runs belong to the image that is there; what is killed may or may not have been done before.

    `kill_at` is the number of the question at which the rollout is killed, `late` whether after it was done.
    """

    image: str = OLD.image
    sick: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    at_work: dict[str, str] = field(default_factory=lambda: {"first": OLD.image, "second": OLD.image})
    queue: list[str] = field(default_factory=lambda: ["waiting"])
    instead_of: dict[str, int] = field(default_factory=dict)
    starts: bool = True
    told: list[str] = field(default_factory=list)
    ended: list[bool] = field(default_factory=list)
    patient: list[float] = field(default_factory=list)
    asked: int = 0
    kill_at: int = 0
    late: bool = False

    @contextmanager
    def _question(self) -> Iterator[None]:
        self.asked += 1
        if self.asked == self.kill_at and not self.late:
            raise Killed
        yield
        if self.asked == self.kill_at:
            raise Killed

    def current(self) -> str:
        return self.image

    def fetch(self, image: str) -> None:
        with self._question():
            if image in self.refused:
                raise NotAllowed("it is not signed")

    def pause(self) -> None:
        with self._question():
            self.starts = False

    def in_flight(self, seconds: float) -> list[str]:
        with self._question():
            self.patient.append(seconds)
            return [*self.at_work]

    def end(self, runs: Sequence[str], *, at_once: bool) -> None:
        self.ended.append(at_once)
        with self._question():
            for run in runs:
                self.at_work.pop(run, None)

    def switch(self, image: str) -> None:
        with self._question():
            assert not self.starts, "the code is exchanged while runs are started"
            assert set(self.at_work.values()) <= {image}, "a run goes on under other code"
            self.image = image
            if image in self.sick:
                raise Unwell("the code is not loaded")

    def begin_again(self, runs: Sequence[str]) -> list[str]:
        with self._question():
            for run in runs:
                if run not in self.instead_of:
                    self.instead_of[run] = 1
                    self.queue.append(f"again {run}")
        return []

    def go_on(self) -> None:
        with self._question():
            self.starts = True
            self.at_work |= dict.fromkeys(self.queue, self.image)
            self.queue.clear()

    def tell(self, problem: str, errors: Sequence[str], what_to_do: str) -> None:
        self.told.append(problem)
        assert [*errors] or what_to_do


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "rollout.json")


def test_a_release_comes_into_service_and_runs_in_flight_are_begun_again_by_it(memory: Memory) -> None:
    place = Place()
    assert begin(place, memory, NEW, 1800)
    assert place.image == NEW.image
    assert place.at_work == dict.fromkeys(["waiting", "again first", "again second"], NEW.image)
    assert place.patient == [1800, 0]
    assert place.ended == [False], "they were asked to end, and waited for"
    assert place.told == ["b is in service instead of the one before"]
    assert memory.read() == State(former=Release(OLD.image, "the one before"), new=NEW)


def test_a_release_that_is_not_well_gives_way_to_the_former_one(memory: Memory) -> None:
    place = Place()
    assert begin(place, memory, NEW, 0)
    sick = Place(NEW.image, sick=(NEXT.image,), at_work={"third": NEW.image})
    assert not begin(sick, memory, NEXT, 0)
    assert sick.image == NEW.image
    assert sick.starts
    assert sick.at_work == dict.fromkeys(["waiting", "again third"], NEW.image)
    assert sick.told == ["c is not well: b is back"]
    assert memory.read().way == ""
    assert begin(Place(NEW.image), memory, NEW, 0), "what is there already is there"


def test_what_is_not_signed_changes_nothing(memory: Memory) -> None:
    place = Place(refused=(NEW.image,))
    assert not begin(place, memory, NEW, 0)
    assert (place.image, place.starts, len(place.at_work)) == (OLD.image, True, 2)
    assert place.told == ["b is not deployed: it is not signed"]
    assert memory.read() == State()


def test_where_neither_is_well_nothing_starts_runs_and_none_is_lost_until_somebody_mends_it(memory: Memory) -> None:
    place = Place(sick=(OLD.image, NEW.image))
    assert not begin(place, memory, NEW, 0)
    assert not place.starts
    assert place.told == ["b is not well, and the one before does not come back"]
    assert memory.read().again == ("first", "second")
    place.sick = ()
    assert not resume(place, memory, 0), "the release is still not the one that was asked for"
    assert place.image == OLD.image
    assert sorted(place.at_work) == ["again first", "again second", "waiting"]
    assert resume(place, memory, 0), "there is nothing left to do"


def test_a_newer_release_takes_over_from_one_that_is_stuck_with_its_runs(memory: Memory) -> None:
    place = Place(sick=(OLD.image, NEW.image))
    begin(place, memory, NEW, 0)
    assert begin(place, memory, NEXT, 0)
    assert place.image == NEXT.image
    assert sorted(place.at_work) == ["again first", "again second", "waiting"]
    assert memory.read().former.image == OLD.image


STEPS = 7
"""Questions of a rollout after its image was fetched: pause, wait, end, switch, look, begin again, go on."""


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("sick", [False, True], ids=["well", "sick"])
@pytest.mark.parametrize("at", range(1, 2 * STEPS))
def test_a_rollout_that_is_killed_at_any_question_is_gone_on_with(
    memory: Memory, at: int, sick: bool, late: bool
) -> None:
    place = Place(sick=(NEW.image,) if sick else (), kill_at=at, late=late)
    try:
        begin(place, memory, NEW, 0)
    except Killed:
        resume(place, memory, 0)
    changed = memory.read().new.image != "" and not sick
    assert place.image == (NEW.image if changed else OLD.image)
    assert place.starts
    assert set(place.at_work.values()) == {place.image}
    known = sorted(run.rpartition(" ")[2] for run in [*place.at_work, *place.queue])
    assert known == ["first", "second", "waiting"], "a run is lost or doubled"


def test_there_is_one_rollout_at_a_time(memory: Memory) -> None:
    with memory.alone(), pytest.raises(Busy):
        begin(Place(), memory, NEW, 0)
    assert begin(Place(), memory, NEW, 0)


# -- the host of docker-compose.yml: the order of its commands, by programs that stand in for docker and cosign -------------


@dataclass
class Webserver:
    """Answers of Dagster's webserver, by what stands in the question; what was asked."""

    url: str = ""
    runs: dict[str, str] = field(default_factory=lambda: {"r1": "STARTED", "r2": "SUCCESS"})
    loaded: bool = True
    asked: list[str] = field(default_factory=list)

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "terminateRuns" in query:
            self.asked.append(f"end {' '.join(variables['runs'])}")
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
said = " ".join([{name!r}, *sys.argv[1:], open({env!r}).read()])
if all(part in said for part in os.environ.get("FAILS", "no such call").split(" & ")):
    sys.exit("it did not work")
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
        "docker compose stop daemon",
        "docker compose stop code",
        f"{up} mlflow code webserver api",
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


ROLLOUT = """
import sys
from pathlib import Path
from deploy.docker_host import DockerHost
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


def test_an_owner_who_cannot_be_told_stops_no_rollout(
    machine: Machine, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.answers.append(500)
    assert begin(DockerHost(machine.settings), Memory(machine.settings.state), NEW, 0)
    shown = capsys.readouterr()
    assert "STACK_ALERT_URL was not told: it answered with 500" in shown.err
    assert receiver.url not in shown.out + shown.err


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


# -- what a host is told ---------------------------------------------------------------------------------------------------

SAID = {"DEPLOY_IMAGE": "ghcr.io/owner/name", "DEPLOY_SIGNER": "^https://github.com/owner/name/"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"DEPLOY_IMAGE": ""}, "DEPLOY_IMAGE: set it in .env"),
        ({"DEPLOY_SIGNER": ""}, "DEPLOY_SIGNER: set it in .env"),
        ({"DEPLOY_IMAGE": "ghcr.io/owner/name:main"}, "without a tag"),
        ({"DEPLOY_PATIENCE_MINUTES": "long"}, "DEPLOY_PATIENCE_MINUTES must be a whole number"),
    ],
    ids=["no image", "no signer", "a tag", "no number"],
)
def test_a_setting_that_is_missing_or_of_no_use_is_told_by_its_name(
    more: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(NotSet, match=said):
        Settings.of_host(tmp_path / ".env", SAID | more)


def test_the_environment_wins_over_the_file_and_a_weak_key_is_refused(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("DEPLOY_IMAGE=ghcr.io/other/name\nSTACK_WEBSERVER_PORT=3001\nDEPLOY_KEY=short\n")
    found = Settings.of_host(env, SAID)
    assert (found.image, found.webserver, found.patience) == ("ghcr.io/owner/name", "http://127.0.0.1:3001", 1800.0)
    with pytest.raises(NotSet, match="DEPLOY_KEY in .env: a secret has at least 24 bytes"):
        found.checked_key()
    assert "short" not in repr(found)


def test_a_variable_is_added_where_the_file_does_not_have_it(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("A=1")
    set_in_env(env, "STACK_IMAGE", "x")
    assert env.read_text() == "A=1\nSTACK_IMAGE=x\n"
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_the_example_names_what_a_host_is_told() -> None:
    example = (ROOT / ".env.example").read_text()
    text = (ROOT / "deploy" / "settings.py").read_text()
    assert set(re.findall(r"^(DEPLOY_\w+)=", example, re.M)) == set(re.findall(r'"(DEPLOY_\w+)"', text))
