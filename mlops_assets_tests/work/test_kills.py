"""A day that is killed at any moment and resumed is the day that was never killed."""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from mlops_assets.journey.score.profile.counts import Profile
from mlops_assets.monitoring.days import day_profile
from mlops_assets.storage.catalog import Lake
from mlops_assets.tools.sampling import write_sample
from mlops_assets_tests.helpers.day_driver import DAY, content, small_shards, train, version_of
from mlops_assets_tests.helpers.watched import of_said_alone, recount_day, told

STAGES = ("rows", "features", "predictions")


@dataclass(frozen=True)
class Unkilled:
    """The day as it should be, and what a process needs to make it."""

    raw: Path
    lake: Path
    model: Path
    sha256: str
    seconds: float

    def start(self, lake: Path) -> subprocess.Popen[str]:
        """A process that has just begun to work."""
        command = [sys.executable, "-m", "mlops_assets_tests.helpers.day_driver"]
        arguments = [str(self.raw), str(lake), str(self.model), self.sha256]
        root = Path(__file__).parents[2]
        process = subprocess.Popen(
            [*command, *arguments], cwd=root, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        return process

    def recount(self, lake: Path) -> Profile:
        """What SQL counts over the published rows of a lake."""
        return recount_day(small_shards(), Lake(lake, "transactions"), version_of(self.model, self.sha256), DAY)


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory: pytest.TempPathFactory) -> Unkilled:
    home = tmp_path_factory.mktemp("unkilled")
    use_case = small_shards()
    for _ in write_sample(use_case, home / "raw", dt.date.fromisoformat(DAY), files=120, rows=20, dirty=0.1, seed=1):
        pass
    train(home)
    model = Unkilled(home / "raw", home / "lake", home / "model", (home / "sha256").read_text(), 0)
    process = model.start(home / "lake")
    began = time.monotonic()
    process.communicate()
    assert process.returncode == 0
    return Unkilled(model.raw, model.lake, model.model, model.sha256, time.monotonic() - began)


def parts(lake: Path) -> int:
    """Finished shards of all stages, published or not."""
    return sum(len(list((lake / "transactions" / stage).glob("day=*/*.parquet"))) for stage in STAGES)


def the_whole_tree(driver: int) -> None:
    os.killpg(driver, signal.SIGKILL)


def the_driver(driver: int) -> None:
    os.kill(driver, signal.SIGKILL)


def one_of_its_processes(driver: int) -> None:
    """A worker, the server that forks them, or the tracker of their semaphores; the driver if there are none yet."""
    tree = [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if group_of(int(folder.name)) == driver]
    os.kill(random.choice([process for process in tree if process != driver] or [driver]), signal.SIGKILL)


def group_of(process: int) -> int | None:
    try:
        return os.getpgid(process)
    except ProcessLookupError:
        return None


def kill_and_resume(unkilled: Unkilled, lake: Path, moment: float, kill: Callable[[int], None]) -> None:
    process = unkilled.start(lake)
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        kill(process.pid)
    process.communicate()  # ends when nobody of the tree is left to write
    finished = parts(lake)
    resumed = unkilled.start(lake)
    printed, _ = resumed.communicate()
    assert resumed.returncode == 0
    made, reused = map(int, printed.split())
    assert (made + reused, reused) == (parts(unkilled.lake), finished)  # no finished shard was done again
    for table in ("rows", "rejects", "features", "predictions", "profiles"):
        pd.testing.assert_frame_equal(content(lake, table), content(unkilled.lake, table))
    watched, never_killed = (day_profile(Lake(folder, "transactions"), DAY) for folder in (lake, unkilled.lake))
    assert watched is not None
    assert never_killed is not None
    assert told(watched.profile) == told(never_killed.profile)  # nothing was counted twice
    assert told(of_said_alone(watched.profile)) == told(unkilled.recount(lake))


KILLS = [the_whole_tree, the_driver, one_of_its_processes]


@pytest.mark.parametrize(
    ("share", "kill"),
    [
        (0.6, the_whole_tree),
        pytest.param(0.3, the_driver, marks=pytest.mark.long),
        pytest.param(0.9, one_of_its_processes, marks=pytest.mark.long),
    ],
)
def test_a_killed_day_resumes_to_the_same_content(
    unkilled: Unkilled, tmp_path: Path, share: float, kill: Callable[[int], None]
) -> None:
    kill_and_resume(unkilled, tmp_path / "lake", share * unkilled.seconds, kill)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(200))
def test_a_day_killed_at_a_random_moment_resumes_to_the_same_content(
    unkilled: Unkilled, tmp_path: Path, seed: int
) -> None:
    moment = random.Random(seed).uniform(0, 1) * unkilled.seconds
    kill_and_resume(unkilled, tmp_path / "lake", moment, KILLS[seed % len(KILLS)])
