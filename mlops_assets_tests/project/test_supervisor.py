"""What watches the services: tiny ones that die, hang, leave somebody behind, or never come up."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Queue

import psutil
import pytest

from deploy.services.__main__ import main
from deploy.services.folder import FolderTaken, taken
from deploy.services.postgres import Postgres
from deploy.services.process import Health, NotHealthy, Process, holds
from deploy.services.s3 import free_port
from deploy.services.stack import KEPT, PORTS, PortTaken, stack
from deploy.services.supervisor import GaveUp, Limits, Supervisor
from mlops_assets.settings import PACKAGE
from mlops_assets.storage.modes import VARIABLE

PATIENCE = 60
"""Seconds after which a test says that something does not come; nothing takes that long."""

LISTEN = """
import os, socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    line, _ = server.accept()
    line.sendall(b"%d" % os.getpid())
    line.close()
"""
CHILD = """
import subprocess, sys
subprocess.Popen([sys.executable, "-IS", "-c", sys.argv[2], sys.argv[1]], start_new_session=True).wait()
"""
"""A parent that does nothing itself; its child holds the port, far away in a session of its own."""

WELL = Health(lambda: True)
QUICK = Limits(patience=PATIENCE, pauses=(0, 0), look=0.01)


def answer(port: int) -> int | None:
    """Which process answers on a port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        return int(line.recv(20) or 0) or None
    return None


class Stage:
    """A folder with services, and what was told of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: Queue[str] = Queue()
        self._made: list[Process] = []
        self._supervisors: list[Supervisor] = []

    def service(self, name: str, *command: str, check: Callable[[], bool] = lambda: True, **more: object) -> Process:
        words = [sys.executable, "-IS", "-c", *command]
        health = Health(check, interval=3600)  # what hangs has a test of its own
        made = Process(name, words, {}, self.folder / f"{name}.log", health, **more)  # type: ignore[arg-type]
        self._made.append(made)
        return made

    def listener(self, name: str, port: int, code: str = LISTEN, **more: object) -> Process:
        return self.service(name, code, str(port), LISTEN, check=lambda: answer(port) is not None, port=port, **more)

    def watched(self, *processes: Process, limits: Limits = QUICK) -> Supervisor:
        supervisor = Supervisor(processes, self.told.put, limits)
        self._supervisors.append(supervisor)
        supervisor.start()
        return supervisor

    def hear(self, what: str) -> str:
        """The next line that says something; lines before it are passed over."""
        while what not in (line := self.told.get(timeout=PATIENCE)):
            continue
        return line

    def end(self) -> None:
        for supervisor in self._supervisors:
            supervisor.stop()
        for process in self._made:
            process.kill()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.end()


# -- what dies is started again -----------------------------------------------------------------------------------------


def test_a_killed_service_is_told_in_a_line_and_comes_back(stage: Stage) -> None:
    page = stage.listener("page", free_port())
    stage.watched(page).until_well(PATIENCE)
    before = page.pid
    os.kill(before, signal.SIGKILL)
    line = stage.hear("page")
    assert line.endswith(f"page was killed by SIGKILL; is started again. Log: {page.log}")
    assert "\n" not in line
    stage.hear("page is well again")
    assert page.pid != before


@pytest.mark.parametrize("killed", ["the parent", "its child", "its first process"])
def test_nobody_is_left_of_a_service_to_hold_its_port(stage: Stage, killed: str) -> None:
    port = free_port()
    page = stage.listener("page", port, CHILD)
    stage.watched(page).until_well(PATIENCE)
    parent, child = page.family()
    assert answer(port) == child.pid
    {"the parent": parent, "its child": child, "its first process": parent.parent()}[killed].kill()
    stage.hear("page is well again")
    _, alive = psutil.wait_procs(
        [parent, child], timeout=PATIENCE
    )  # whoever adopted the dead takes leave of them in time
    assert alive == []
    assert answer(port) not in (None, child.pid)


def test_a_service_that_hangs_is_a_dead_one(stage: Stage) -> None:
    page = stage.listener("page", free_port())
    answers = page.health.check
    hanging = [False]
    page.health = Health(lambda: not hanging[0] and answers(), interval=0.01, retries=3)
    stage.watched(page).until_well(PATIENCE)
    old = psutil.Process(page.pid)
    old.suspend()
    hanging[0] = True
    assert "page hangs: its health check was red 3 times in a row; is started again" in stage.hear("page")
    hanging[0] = False
    stage.hear("page is well again")
    assert not old.is_running()


def test_a_slow_answer_now_and_then_is_no_hang(stage: Stage) -> None:
    answers = iter([True, *[False, False, True] * 20])
    asked: Queue[None] = Queue()

    def check() -> bool:
        asked.put(None)
        return next(answers, True)

    page = stage.service("page", "import time; time.sleep(600)")
    page.health = Health(check, interval=0.01, retries=3)
    stage.watched(page).until_well(PATIENCE)
    for _ in range(70):
        asked.get(timeout=PATIENCE)
    assert stage.told.empty()


def test_while_one_is_revived_another_is_too(stage: Stage) -> None:
    held: Queue[None] = Queue()
    slow = stage.listener("slow", free_port())
    answers = slow.health.check
    first = iter([True])
    slow.health = Health(lambda: answers() and (next(first, False) or held.get(timeout=PATIENCE) is None), 3600)
    quick = stage.listener("quick", free_port())
    stage.watched(slow, quick).until_well(PATIENCE)
    os.kill(slow.pid, signal.SIGKILL)
    stage.hear("slow was killed")
    os.kill(quick.pid, signal.SIGKILL)
    assert "quick" in stage.hear("well again")
    held.put(None)
    assert "slow" in stage.hear("well again")


def test_a_service_waits_for_those_that_it_needs_and_is_not_blamed_for_them(stage: Stage) -> None:
    base, page = stage.listener("base", free_port()), stage.listener("page", free_port(), needs=("base",))
    held: Queue[None] = Queue()
    answers, first = base.health.check, iter([True])
    base.health = Health(lambda: answers() and (next(first, False) or held.get(timeout=PATIENCE) is None), 3600)
    supervisor = stage.watched(base, page)
    supervisor.until_well(PATIENCE)
    os.kill(base.pid, signal.SIGKILL)
    stage.hear("base was killed")
    os.kill(page.pid, signal.SIGKILL)
    stage.hear("page was killed")
    with pytest.raises(TimeoutError, match="base, page"):
        supervisor.until_well(0)
    assert not page.is_running
    held.put(None)
    assert "base" in stage.hear("well again")
    assert "page" in stage.hear("well again")


# -- what does not stay is given up ---------------------------------------------------------------------------------------


def test_a_service_that_ends_again_and_again_is_given_up_with_the_end_of_its_log(stage: Stage) -> None:
    page = stage.service("page", "raise SystemExit('no room for me')", check=lambda: False)
    with pytest.raises(GaveUp) as told:
        stage.watched(page).watch()
    assert "page ended with code 1 before it was well: no room for me" in str(told.value)
    assert "started again 2 times and does not stay: it is given up" in str(told.value)
    assert str(told.value).endswith("no room for me")
    assert [stage.told.get()[9:32] for _ in range(2)] == ["page ended with code 1 "] * 2
    assert stage.told.empty()


def test_a_service_that_never_gets_well_is_given_up(stage: Stage) -> None:
    page = stage.service("page", "import time; time.sleep(600)", check=lambda: False)
    with pytest.raises(GaveUp, match="page was not well after 0 seconds"):
        stage.watched(page, limits=Limits(patience=0, pauses=(0,), look=0.01)).until_well(PATIENCE)


def test_a_service_that_was_well_for_long_has_all_its_restarts_again(stage: Stage) -> None:
    page = stage.listener("page", free_port())
    stage.watched(page, limits=Limits(patience=PATIENCE, pauses=(0,), steady=0, look=0.01)).until_well(PATIENCE)
    for _ in range(3):
        os.kill(page.pid, signal.SIGKILL)
        stage.hear("page is well again")


def test_a_program_that_is_not_there_and_a_port_that_is_taken_are_told(stage: Stage) -> None:
    missing = stage.service("missing")
    missing.command = ["/no/such/program"]
    with pytest.raises(NotHealthy, match="was not started: /no/such/program cannot be started: No such file"):
        missing.start()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(NotHealthy, match=f"its port {port} is taken by process {os.getpid()}"):
            stage.listener("page", port).start()
    assert holds(port) == ""


# -- nobody is left -------------------------------------------------------------------------------------------------------


def test_the_end_leaves_nobody(stage: Stage) -> None:
    pages = [
        stage.listener("first", free_port(), CHILD),
        stage.listener("second", free_port(), CHILD, needs=("first",)),
    ]
    supervisor = stage.watched(*pages)
    supervisor.until_well(PATIENCE)
    family = [one for page in pages for one in page.family()]
    assert len(family) == 4
    supervisor.stop()
    assert not any(one.is_running() for one in family)
    assert stage.told.empty(), "an end that was asked for is no news"


def test_a_service_that_will_not_end_is_killed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.services.process.GRACE", 0.1)
    port = free_port()
    page = stage.listener("page", port, f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN){LISTEN}")
    page.start()
    page.wait()
    page.stop()
    assert page.how_it_ended == "was killed by SIGKILL"
    assert holds(port) == ""


KEEPER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from deploy.services.__main__ import main
from deploy.services.folder import taken
from deploy.services.process import Health, Process
from deploy.services.supervisor import Supervisor
folder = Path(sys.argv[2])
with taken(folder) as lock:
    page = Process("page", [sys.executable, "-IS", "-c", *sys.argv[3:]], {}, folder / "page.log", Health(lambda: True), held=(lock,))
    Supervisor([page], print).start()
    while not page.pid or len(page.family()) < 2:
        pass
    print(*[one.pid for one in page.family()], flush=True)
    sys.stdin.read()
"""


def test_whatever_ends_the_supervisor_ends_the_services_and_its_folder_is_free_only_then(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        KEEPER,
        str(PACKAGE.parent),
        str(tmp_path / "stack"),
        CHILD,
        str(free_port()),
        LISTEN,
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout
        family = [psutil.Process(int(pid)) for pid in keeper.stdout.readline().split()]
        with pytest.raises(FolderTaken, match=f"process {keeper.pid}"), taken(tmp_path / "stack"):
            pass
        assert (tmp_path / "stack" / "page.log").exists()
        keeper.kill()
    _, left = psutil.wait_procs(family, timeout=PATIENCE)
    assert left == []


# -- the folder -----------------------------------------------------------------------------------------------------------


def test_the_folder_of_a_running_stack_is_not_touched_and_the_way_out_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    with taken(folder):
        (folder / "data").write_text("dear")
        with (
            pytest.raises(FolderTaken, match=f"process {os.getpid()}. End that one with Ctrl-C or `kill"),
            taken(folder),
        ):
            pass
        assert (folder / "data").read_text() == "dear"
    with taken(folder):
        assert not (folder / "data").exists(), "a new stack begins anew"


def test_the_folder_stays_taken_while_a_process_of_the_stack_is_left(stage: Stage) -> None:
    folder = stage.folder / "stack"
    with taken(folder) as lock:
        page = stage.service("page", "import time; time.sleep(600)", held=(lock,))
        page.start()
    with pytest.raises(FolderTaken), taken(folder):
        pass
    page.kill()
    with taken(folder):
        pass


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(FolderTaken, match="holds what no stack"), taken(tmp_path):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "dear"


# -- the command ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--help"], ["a", "b"]])
def test_the_command_says_how_it_is_used(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Usage: python -m deploy.services FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize("name", PORTS)
def test_a_port_that_is_taken_is_told_before_anything_starts(name: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        told = f"port {port} is taken by process {os.getpid()} .*, or name another port by {name}"
        with pytest.raises(PortTaken, match=told), stack(tmp_path / "stack", print, **{name: port}):
            pass
    assert not (tmp_path / "stack").exists()


@pytest.mark.parametrize("umask", [0o022, 0o027])
def test_what_services_write_is_for_their_user_alone_and_what_people_asked_for_is_not(
    umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / "state", tmp_path / "delivery"]
    code = "import sys; from pathlib import Path; from mlops_assets.storage.modes import for_others\n"
    code += "Path(sys.argv[1]).touch()\nwith for_others(): Path(sys.argv[2]).touch()"

    def postgres(*_: object) -> Postgres:
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        page = Process("page", [sys.executable, "-c", code, *map(str, files)], environment, tmp_path / "log", WELL)
        page.start()
        assert page.ended_within(PATIENCE)
        page.stop()
        raise NotHealthy(page.how_it_ended)

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("deploy.services.stack.Postgres", postgres)
    before = os.umask(umask)
    try:
        with pytest.raises(NotHealthy, match="ended with code 0"), stack(tmp_path / "stack", print):
            pass
    finally:
        assert os.umask(before) == umask
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600, 0o666 & ~umask]
    assert [path for path in (tmp_path / "stack").rglob("*") if path.stat().st_mode & 0o077] == []
