"""A day is held by one job: who comes second hears who has it; who is gone has it no longer."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import write_json
from mlops_assets.storage.integrity import read_json
from mlops_assets.storage.places import Place
from mlops_assets.work.lease import KEPT, PATIENCE, DayHeld, Holder, hold_day

DAY = "2026-01-01"
ELSEWHERE = Holder("theirs", "another-machine", 1, time.time(), time.time())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path, "toy")


def nothing() -> None:
    """Nobody takes the day."""


def test_a_second_job_hears_who_has_the_day_and_since_when(lake: Lake) -> None:
    said = r"run mine on \S+ \(process \d+\), since 20"
    with (
        hold_day(lake, DAY, "mine", nothing),
        pytest.raises(DayHeld, match=said),
        hold_day(lake, DAY, "theirs", nothing),
    ):
        pass


def test_other_days_are_free(lake: Lake) -> None:
    with hold_day(lake, DAY, "mine", nothing), hold_day(lake, "2026-01-02", "theirs", nothing):
        pass


def test_a_day_is_free_once_its_job_has_ended_however_that_was(lake: Lake) -> None:
    with pytest.raises(ZeroDivisionError), hold_day(lake, DAY, "mine", nothing):
        raise ZeroDivisionError
    with hold_day(lake, DAY, "theirs", nothing):
        assert lake.job(DAY, 2).exists()


@pytest.mark.parametrize(
    ("silent", "free"),
    [(PATIENCE / 2, False), (PATIENCE + 1, True), (-PATIENCE / 2, False), (-1e9, True)],
    ids=["alive", "gone", "fast clock", "wrong clock"],
)
def test_a_job_elsewhere_has_the_day_as_long_as_it_gives_signs_of_life(lake: Lake, silent: float, free: bool) -> None:
    write_json(lake.job(DAY, 1), asdict(replace(ELSEWHERE, seen=time.time() - silent)))
    if free:
        with hold_day(lake, DAY, "mine", nothing):
            assert read_json(lake.job(DAY, 2))["run"] == "mine"
    else:
        with pytest.raises(DayHeld, match="run theirs on another-machine"), hold_day(lake, DAY, "mine", nothing):
            pass


def test_a_job_of_this_machine_whose_process_is_gone_has_no_day(lake: Lake) -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    with hold_day(lake, DAY, "mine", nothing):
        mine = Holder(**read_json(lake.job(DAY, 1)))
    write_json(lake.job(DAY, 2), asdict(replace(mine, process=done.pid, seen=time.time(), ended=False)))
    with hold_day(lake, DAY, "theirs", nothing):
        pass


def test_a_document_that_is_damaged_holds_nothing(lake: Lake) -> None:
    write_json(lake.job(DAY, 1), {"run": "of a later version"})
    with hold_day(lake, DAY, "mine", nothing):
        pass


def test_a_job_that_lost_its_day_is_told_at_its_next_sign_of_life(lake: Lake) -> None:
    lost = threading.Event()
    with hold_day(lake, DAY, "mine", lost.set, beat=0.01):
        write_json(lake.job(DAY, 2), asdict(ELSEWHERE))
        assert lost.wait(30)


def test_signs_of_life_are_given(lake: Lake) -> None:
    with hold_day(lake, DAY, "mine", nothing, beat=0.01):
        first = read_json(lake.job(DAY, 1))["seen"]
        assert _changes(lake.job(DAY, 1), first)


def _changes(path: Place, first: float) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if read_json(path)["seen"] != first:
            return True
    return False


def test_a_few_documents_are_kept(lake: Lake) -> None:
    for _ in range(KEPT + 4):
        with hold_day(lake, DAY, "mine", nothing):
            pass
    assert len([*lake.jobs(DAY).iterdir()]) == KEPT


def test_of_many_jobs_that_come_together_one_has_the_day(lake: Lake) -> None:
    begin, end, had = threading.Barrier(8), threading.Barrier(8, timeout=60), []

    def come() -> None:
        begin.wait()
        try:
            with hold_day(lake, DAY, "mine", nothing):
                had.append(True)
                end.wait()
        except DayHeld:
            end.wait()

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert had == [True]
