"""A process and all that it starts: ended by a word, by its own end, and by the end of whoever started it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mlops_assets.tools.processes import Process

FAMILY = "sleep 600 & setsid sleep 600 & (setsid setsid sleep 600 &) ; echo ready > {file}; wait"
"""A child, one in a session of its own, and one whose parent is gone."""


def started(process: Process, file: Path) -> list[psutil.Process]:
    """Start a family; all of it, once it is there."""
    process.start()
    while not file.exists() or len(process.family()) < 4:
        assert process.code is None
    family = [psutil.Process(pid) for pid in process.family()]
    assert family[0].pid == process.pid
    return [psutil.Process(family[0].ppid()), *family]


def shell(text: str, file: Path, within: float = 60) -> Process:
    return Process(["sh", "-c", text.format(file=file)], within=within)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "ready"
    left = [one for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(one.info["cmdline"] or ())]
    assert left == []


@pytest.mark.parametrize(("command", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", -9), ("kill -15 $$", -15)])
def test_its_code_is_that_of_the_command(file: Path, command: str, code: int) -> None:
    process = shell(command, file)
    assert process.code is None
    process.start()
    while process.code is None:
        pass
    assert process.code == code


def test_a_program_that_is_not_there_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    process = Process(["no-such-program"])
    process.start()
    while process.code is None:
        pass
    assert process.code == 127
    assert "no-such-program cannot be started: No such file" in capfd.readouterr().err


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_all_of_it_ends_when_it_is_told_to(file: Path, end: str) -> None:
    process = shell(FAMILY, file)
    family = started(process, file)
    getattr(process, end)()
    assert not any(one.is_running() for one in family)
    assert process.code == (-signal.SIGTERM if end == "stop" else -signal.SIGKILL)


def test_what_does_not_end_by_itself_is_killed_after_its_time(file: Path) -> None:
    process = shell("trap '' TERM; " + FAMILY, file, within=0.2)
    family = started(process, file)
    process.stop()
    assert not any(one.is_running() for one in family)


def test_what_was_told_to_end_can_be_killed_meanwhile(file: Path) -> None:
    process = shell("trap '' TERM; " + FAMILY, file)
    family = started(process, file)
    process.tell()
    process.kill()
    assert not any(one.is_running() for one in family)


def test_what_a_command_leaves_behind_ends_with_it(file: Path) -> None:
    process = shell(FAMILY.replace("wait", "exit 3"), file)
    process.start()
    while process.code is None:
        pass
    assert process.code == 3


def test_it_ends_with_whoever_started_it_even_if_that_one_is_killed(file: Path) -> None:
    program = f"""
from mlops_assets.tools.processes import Process
process = Process(["sh", "-c", {FAMILY.format(file=file)!r}])
process.start()
print(process.pid, flush=True)
process.ended_within(3600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        watcher = psutil.Process(psutil.Process(int(owner.stdout.readline())).ppid())
        while len(family := watcher.children(recursive=True)) < 4:
            assert owner.poll() is None
        owner.kill()
        _, alive = psutil.wait_procs([watcher, *family], timeout=60)
    assert alive == []


def test_a_watcher_that_is_killed_takes_all_along(file: Path) -> None:
    process = shell(FAMILY, file)
    watcher, *family = started(process, file)
    watcher.kill()
    while process.code is None:
        pass
    psutil.wait_procs(family, timeout=60)
    assert not any(one.is_running() for one in family)


def test_what_is_left_of_one_that_was_told_has_its_time_to_end(file: Path) -> None:
    patient = "(setsid sh -c 'trap \"sleep 0.3; echo bye >> {file}; exit\" TERM; echo ready > {file}; while :; do sleep 0.1; done' &); sleep 600"
    process = shell(patient, file)
    process.start()
    while not file.exists():
        assert process.code is None
    process.stop()
    assert file.read_text() == "ready\nbye\n"


def test_a_key_that_ends_the_owner_reaches_the_command_as_a_usual_one(file: Path) -> None:
    """A shell starts what runs in the background with SIGINT ignored; below, a program must hear it all the same."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = Process([sys.executable, "-c", "import signal as s; exit(s.getsignal(s.SIGINT) is s.SIG_IGN)"])
        process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    while process.code is None:
        pass
    assert process.code == 0
