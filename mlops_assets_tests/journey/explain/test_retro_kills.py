"""Killed at any moment of scoring past days again or putting them back: whoever comes next goes on, and nothing is lost."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.storage.integrity import read_stored
from mlops_assets.workspace import Stores
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.promoted import DAYS, promoted_home, scoring, state, versions

ROWS = 40


def kill_at(stores: Stores, seconds: float) -> None:
    """Kill a process that does it, so many seconds after it has begun."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "mlops_assets_tests.helpers.retro_driver"]
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    select.select([process.stdout], [], [], seconds)  # nothing more comes: it is a wait for the moment
    process.kill()
    process.communicate()


def check_whole(stores: Stores) -> None:
    """Each day is published by one version, with every row once, in files that are as they were written."""
    for day in DAYS:
        rows = stores.lake.predictions.read_all([day])
        assert len(rows) == ROWS
        assert len({*zip(rows["file"].to_pylist(), rows["line"].to_pylist(), strict=True)}) == ROWS
        assert len(set(rows["model_version"].to_pylist())) == 1
        for path in stores.lake.predictions.parts(day):
            read_stored(stores.lake.predictions.folder / path, sealed=True)


def kill_and_go_on(tmp_path: Path, seed: int, kills: int) -> None:
    draw = random.Random(seed)
    with promoted_home(tmp_path) as stores:
        before = state(stores)
        for _ in range(kills):
            if stores.history.champion() == 2:  # the driver begins with a promotion
                stores.registry.roll_back("toy", "test", f"for kill {seed}")
            kill_at(stores, draw.uniform(0, 2.5))
            check_whole(stores)
            with scoring(stores) as work:
                work.go_on(again=True)
                assert not work.is_left()
                champion = stores.history.champion()
                assert versions(stores) == dict.fromkeys(DAYS, champion)
                if champion == 2:
                    stores.registry.roll_back("toy", "test", "the end")
                    work.put_back()
            assert state(stores) == before


def test_a_process_that_is_killed_is_gone_on_with(tmp_path: Path) -> None:
    kill_and_go_on(tmp_path, 7, kills=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_processes_that_are_killed_one_after_the_other_are_gone_on_with(tmp_path: Path, seed: int) -> None:
    kill_and_go_on(tmp_path, seed, kills=5)
