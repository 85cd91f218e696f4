"""State is for its owner alone; what a person asks for is written with the person's umask."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlops_assets.storage.modes import PRIVATE, VARIABLE, close_home, for_others, keep_private, private


@pytest.fixture(params=[0o000, 0o022, 0o027])
def umask(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The umask of the person."""
    monkeypatch.delenv(VARIABLE, raising=False)
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def made(folder: Path) -> tuple[int, int]:
    """Modes of a folder and of a file in it that are made now."""
    (folder / "made").mkdir(parents=True)
    (folder / "made" / "file").touch()
    return mode(folder / "made"), mode(folder / "made" / "file")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_state_is_private_and_what_was_asked_for_is_not(umask: int, tmp_path: Path) -> None:
    with private():
        assert made(tmp_path / "state") == (0o700, 0o600)
        with for_others():
            assert made(tmp_path / "asked for") == (0o777 & ~umask, 0o666 & ~umask)
        assert made(tmp_path / "again") == (0o700, 0o600)
    assert made(tmp_path / "after") == (0o777 & ~umask, 0o666 & ~umask)


def test_raw_files_outside_of_the_home_are_for_others_and_those_in_it_are_not(umask: int, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with private():
        with for_others(home / "raw", home):
            assert made(home / "raw") == (0o700, 0o600)
        with for_others(tmp_path / "raw", home):
            assert made(tmp_path / "raw") == (0o777 & ~umask, 0o666 & ~umask)


def test_of_threads_that_write_for_others_at_once_none_leaves_its_umask_behind(umask: int, tmp_path: Path) -> None:
    def write(number: int) -> tuple[int, int]:
        with for_others():
            return made(tmp_path / str(number))

    with private():
        with ThreadPoolExecutor(8) as pool:
            modes = {*pool.map(write, range(200))}
        assert modes == {(0o777 & ~umask, 0o666 & ~umask)}
        assert made(tmp_path / "state") == (0o700, 0o600)


def test_a_process_that_is_started_knows_the_umask_of_the_person(umask: int, tmp_path: Path) -> None:
    code = (
        "from mlops_assets.storage.modes import for_others, keep_private; from pathlib import Path\n"
        f"keep_private(); Path({str(tmp_path / 'state')!r}).touch()\n"
        f"with for_others(): Path({str(tmp_path / 'out')!r}).touch()\n"
    )
    with private():
        subprocess.run([sys.executable, "-c", code], check=True)
    assert (mode(tmp_path / "state"), mode(tmp_path / "out")) == (0o600, 0o666 & ~umask)


def test_who_says_it_twice_keeps_the_umask_of_the_person(umask: int, tmp_path: Path) -> None:
    assert (keep_private(), keep_private()) == (umask, PRIVATE)
    with for_others():
        assert made(tmp_path) == (0o777 & ~umask, 0o666 & ~umask)


@pytest.mark.parametrize("before", [0o755, 0o770, 0o777, 0o2775])
def test_a_home_that_others_can_reach_is_closed_and_that_is_said_once(tmp_path: Path, before: int) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(before)
    assert close_home(home).startswith(f"{home} can be reached by other users (mode {before:o}); from now on it is for")
    assert mode(home) & 0o777 == 0o700
    assert close_home(home) == ""


def test_a_folder_where_many_keep_things_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    assert "name a folder of your own, MLOPS_HOME" in close_home(tmp_path)
    assert mode(tmp_path) == 0o1777


def test_a_home_that_is_not_there_is_no_news(tmp_path: Path) -> None:
    assert close_home(tmp_path / "none") == ""
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may change the modes of all folders")
def test_a_home_of_another_owner_is_told() -> None:
    assert "cannot be closed to them" in close_home(Path("/usr"))
