"""The local engine: shards in other processes give what they give in this one, and tell when a process dies."""

from __future__ import annotations

import logging
import multiprocessing
import os
import select
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from mlops_assets.errors import ConfigError, ShardFailed
from mlops_assets.work.engines.local import ONE_THREAD, LocalEngine
from mlops_assets.work.shards import Report

DAY = "2026-01-01"


def square(task: int) -> Report:
    return Report(DAY, task, {"square": task**2, "process": os.getpid()}, ())


def wait_for_the_pipe(task: tuple[int, str]) -> Report:
    """Shard 0 waits until something comes through the pipe; the others do not."""
    shard, pipe = task
    if shard == 0:
        handle = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        select.select([handle], [], [], 30)
        os.close(handle)
    return Report(DAY, shard, {}, ())


def die_after_the_pipe(task: tuple[int, str]) -> Report:
    """Shard 0 dies when something comes through the pipe."""
    report = wait_for_the_pipe(task)
    if report.shard == 0:
        os._exit(9)
    return report


def fail_on_two(task: int) -> Report:
    if task == 2:
        raise ConfigError("defs.yaml:3: wrong")
    return square(task)


def die_on_two(task: int) -> Report:
    if task == 2:
        os._exit(9)
    return square(task)


def die_elsewhere(driver: int) -> int:
    if os.getpid() != driver:
        os._exit(9)
    return driver


def count_threads(task: int) -> Report:
    return Report(DAY, task, {**{name: int(os.environ[name]) for name in ONE_THREAD}, "arrow": pa.cpu_count()}, ())


def log_a_secret(task: int) -> Report:
    record = logging.getLogRecordFactory()("any", logging.INFO, "", 1, "to http://me:rosebud@host", (), None)
    return Report(DAY, task, {"shown": int("rosebud" in record.getMessage())}, ())


@pytest.fixture(scope="module")
def two() -> Iterator[LocalEngine]:
    """Two processes for those tests that leave them alive."""
    with LocalEngine(2) as engine:
        yield engine


def test_two_processes_report_the_same_as_one(two: LocalEngine) -> None:
    with LocalEngine(1) as one:
        alone = [report.counts["square"] for report in one.map(square, range(7))]
    shared = sorted(two.map(square, range(7)), key=lambda report: report.shard)
    assert [report.counts["square"] for report in shared] == alone == [0, 1, 4, 9, 16, 25, 36]


def test_several_shards_run_in_processes_of_their_own(two: LocalEngine) -> None:
    assert os.getpid() not in {report.counts["process"] for report in two.map(square, range(4))}


def test_a_single_shard_runs_in_this_process(two: LocalEngine) -> None:
    assert [report.counts["process"] for report in two.map(square, [3])] == [os.getpid()]


def test_what_is_spread_is_done_by_this_process_and_by_the_others(two: LocalEngine) -> None:
    found = [*two.spread(square, range(40))]
    assert sorted(report.shard for report in found) == [*range(40)]
    assert os.getpid() in {report.counts["process"] for report in found}
    with LocalEngine(1) as one:
        assert [report.shard for report in one.spread(square, range(3))] == [0, 1, 2]


def test_no_shards_give_no_reports(two: LocalEngine) -> None:
    assert list(two.map(square, [])) == []


def test_reports_come_in_the_order_in_which_shards_finish(two: LocalEngine, tmp_path: Path) -> None:
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    ours = os.open(pipe, os.O_RDWR)
    reports = two.map(wait_for_the_pipe, [(shard, pipe) for shard in range(3)])
    first = {next(reports).shard, next(reports).shard}
    os.write(ours, b"go on")
    assert (first, [report.shard for report in reports]) == ({1, 2}, [0])
    os.close(ours)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_shard_reaches_the_caller_as_itself(two: LocalEngine, workers: int) -> None:
    engine = two if workers == 2 else LocalEngine(1)
    with pytest.raises(ConfigError, match=r"^defs\.yaml:3: wrong$"):
        list(engine.map(fail_on_two, range(5)))


def test_libraries_have_one_thread_in_each_process_and_as_many_as_before_in_this_one(two: LocalEngine) -> None:
    before = dict(os.environ)
    found = [report.counts for report in two.map(count_threads, range(4))]
    assert found == [{**dict.fromkeys(ONE_THREAD, 1), "arrow": 1}] * 4
    assert dict(os.environ) == before


def test_no_process_logs_a_secret(two: LocalEngine) -> None:
    assert [report.counts for report in two.map(log_a_secret, range(2))] == [{"shown": 0}] * 2


@pytest.fixture(scope="module")
def bereaved() -> Iterator[tuple[LocalEngine, str]]:
    """An engine of which a process died, and what it said."""
    with LocalEngine(2) as engine:
        with pytest.raises(ShardFailed) as error:
            list(engine.map(die_on_two, range(5)))
        yield engine, str(error.value)


def test_a_process_that_dies_fails_what_is_spread_too() -> None:
    with LocalEngine(2) as engine, pytest.raises(ShardFailed, match="A worker process died"):
        list(engine.spread(die_elsewhere, [os.getpid()] * 9))


def test_a_process_that_dies_fails_the_work_with_advice(bereaved: tuple[LocalEngine, str]) -> None:
    _, said = bereaved
    assert said.startswith("A worker process died; ")
    assert "run again, with fewer processes (MLOPS_WORKERS) or a smaller scale.files_a_shard" in said


def test_the_next_day_gets_new_processes_after_one_died(bereaved: tuple[LocalEngine, str]) -> None:
    engine, _ = bereaved
    assert len(list(engine.map(square, range(3)))) == 3


def test_a_process_that_dies_between_two_reports_fails_the_work_too(tmp_path: Path) -> None:
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    ours = os.open(pipe, os.O_RDWR)
    others = set(multiprocessing.active_children())
    with LocalEngine(2) as engine:
        reports = engine.map(die_after_the_pipe, [(shard, pipe) for shard in range(9)])
        next(reports)
        os.write(ours, b"die")
        for process in set(multiprocessing.active_children()) - others:
            process.join(30)
        with pytest.raises(ShardFailed):
            list(reports)
    os.close(ours)
