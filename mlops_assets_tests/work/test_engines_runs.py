"""The engine `runs`: what is asked for, what is found done, and what is done here when a run is lost, fails or waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest

from mlops_assets.errors import ConfigError, ShardFailed
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.places import Place
from mlops_assets.use_case import UseCase
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.work.engines.ranges import Alone, Range, RangeDone, RangeEngine, State
from mlops_assets.work.engines.runs import RunsEngine
from mlops_assets.work.shards import DayTask, Made, Needs, Report, finish

DAY = "2026-01-01"
WAITING, WORKING, DONE = State(), State(begun=True), State(begun=True, ended=True)
LOST = State(begun=True, ended=True, lost=True)
FAILED = State(begun=True, ended=True, said="the source is away")


@dataclass(frozen=True)
class Shard(DayTask):
    """A shard of a step."""

    step = "rows"
    use_case: UseCase
    lake: Place
    number: int
    mark: str = "a"
    by: str = "code 1"
    day: str = DAY

    def known_by(self) -> tuple[int, str]:
        return self.number, self.mark

    @property
    def needs(self) -> Needs:
        return Needs()

    def code(self) -> str:
        return self.by


def do(shard: Shard) -> Report:
    table = Lake(shard.lake, shard.use_case.name).rows
    rows = pa.table({"number": [shard.number]})
    return finish(table, shard.day, *shard.known_by(), lambda: Made({table: rows}, {"files": 10}), shard.by)


@dataclass
class Run:
    """A run that does the first shards of its range when it is looked at, and then stands as it is told to."""

    shards: Sequence[Shard]
    wanted: Range
    end: State
    works: int
    name: str
    stopped: bool = False
    told: dict[int, float] = field(default_factory=dict)

    def done(self) -> dict[int, float]:
        for shard in self.shards[self.wanted.first : self.wanted.last + 1][: self.works]:
            do(shard)
            self.told[shard.number] = 2.5
        return self.told

    def state(self) -> State:
        return self.end

    def stop(self) -> None:
        self.stopped = True


@dataclass
class Dagster:
    """Takes what is asked for; the first runs stand as they are told to, all others go well."""

    shards: Sequence[Shard]
    ends: list[tuple[State, int]]
    runs: list[Run] = field(default_factory=list)

    def __call__(self, wanted: Range) -> Run:
        number = len(self.runs)
        end, works = self.ends[number] if number < len(self.ends) else (DONE, 99)
        self.runs.append(Run(self.shards, wanted, end, works, f"run-{number}"))
        return self.runs[-1]


def engine_of(dagster: Dagster | None, ranges: int = 2) -> RunsEngine:
    return RunsEngine(LocalEngine(1), ranges, dagster, look=0.0, queued=0.0, silent=0.0)


@pytest.fixture
def shards(loan_approval: UseCase, tmp_path: Path) -> list[Shard]:
    return [Shard(loan_approval, tmp_path, number) for number in range(5)]


def run(dagster: Dagster, ranges: int = 2) -> dict[int, Report]:
    """What the engine reports of the shards, by their number."""
    return {report.shard: report for report in engine_of(dagster, ranges).map(do, dagster.shards)}


def test_ranges_do_all_shards_and_their_work_counts_as_done_now(shards: list[Shard]) -> None:
    dagster = Dagster(shards, [])
    reports = run(dagster)
    assert [(one.wanted.first, one.wanted.last) for one in dagster.runs] == [(0, 1), (2, 4)]
    assert sorted(reports) == [0, 1, 2, 3, 4]
    assert {(report.reused, report.parts[0].seconds) for report in reports.values()} == {(False, 2.5)}


def test_shards_that_an_earlier_run_has_done_are_reused_and_asked_of_nobody(shards: list[Shard]) -> None:
    for number in (0, 1, 3):
        do(shards[number])
    dagster = Dagster(shards, [])
    assert {number: report.reused for number, report in run(dagster).items()} == dict.fromkeys((0, 1, 3), True) | {
        2: False,
        4: False,
    }
    assert [(one.wanted.first, one.wanted.last) for one in dagster.runs] == [(2, 2), (4, 4)]


def test_a_damaged_shard_is_done_again(shards: list[Shard]) -> None:
    do(shards[0])
    place = shards[0].place()
    place.write_bytes(place.read_bytes()[:-3] + b"...")
    assert [number for number, report in run(Dagster(shards, [])).items() if report.repaired] == [0]


def test_what_a_lost_run_leaves_is_done_by_one_more_run(shards: list[Shard], caplog: pytest.LogCaptureFixture) -> None:
    dagster = Dagster(shards, [(DONE, 99), (LOST, 1)])
    assert not any(report.reused for report in run(dagster).values())
    assert [(one.wanted.first, one.wanted.last) for one in dagster.runs] == [(0, 1), (2, 4), (3, 4)]
    assert "run run-1 ended without a word, 2 of its shards are not done" in caplog.text


def test_what_two_lost_runs_leave_is_done_here(shards: list[Shard], caplog: pytest.LogCaptureFixture) -> None:
    dagster = Dagster(shards, [(DONE, 99), (LOST, 1), (LOST, 1)])
    assert not any(report.reused for report in run(dagster).values())
    assert len(dagster.runs) == 3
    assert "1 shards are done by the run of the day itself" in caplog.text


def test_a_run_that_says_why_it_failed_is_told_and_its_shards_are_done_here(
    shards: list[Shard], caplog: pytest.LogCaptureFixture
) -> None:
    dagster = Dagster(shards, [(FAILED, 0)])
    assert len(run(dagster)) == 5
    assert len(dagster.runs) == 2
    assert "run run-0 failed, 2 of its shards are not done: the source is away" in caplog.text


@pytest.mark.parametrize(
    ("state", "said"),
    [(WAITING, "in the queue, 2 of its shards are not done: is Dagster's daemon"), (WORKING, "for 0 s")],
)
def test_a_run_of_which_nothing_comes_is_ended_and_its_shards_are_done_here(
    shards: list[Shard], state: State, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """So no limit of the queue makes a day and its ranges wait for each other."""
    dagster = Dagster(shards, [(state, 0)])
    assert len(run(dagster)) == 5
    assert dagster.runs[0].stopped
    assert said in caplog.text


def test_whoever_gives_up_ends_the_runs(shards: list[Shard]) -> None:
    dagster = Dagster(shards, [(WORKING, 1), (WORKING, 1)])
    reports = engine_of(dagster).map(do, shards)
    next(reports)
    reports.close()  # type: ignore[attr-defined]
    assert all(one.stopped for one in dagster.runs)


def test_an_error_of_asking_ends_the_runs_that_were_asked_for(shards: list[Shard]) -> None:
    dagster = Dagster(shards, [])

    def ask(wanted: Range) -> Run:
        if dagster.runs:
            raise ConfigError("the queue is away")
        return dagster(wanted)

    with pytest.raises(ConfigError, match="the queue is away"):
        list(RunsEngine(LocalEngine(1), 2, ask).map(do, shards))
    assert dagster.runs[0].stopped


def test_a_single_shard_is_done_here(shards: list[Shard]) -> None:
    (report,) = engine_of(None).map(do, shards[:1])
    assert not report.reused


def test_what_is_no_step_of_a_day_is_done_here() -> None:
    assert len([*engine_of(None).map(lambda number: Report(DAY, number, {}, ()), range(3))]) == 3


def test_a_process_that_is_no_run_of_the_queue_does_the_day_itself_and_says_so(
    shards: list[Shard], caplog: pytest.LogCaptureFixture
) -> None:
    """What to run by hand is said in alerts and pages: it must do the day, whatever the engine."""
    assert [report.reused for report in engine_of(None).map(do, shards)] == [False] * 5
    assert [message.partition(": ")[2] for message in caplog.messages] == [
        "no run can be asked for: this is no run that Dagster's daemon took from its queue, such as `mlops-assets run`",
        "5 shards are done by the run of the day itself",
    ]


def test_where_the_queue_is_full_nobody_waits_for_it(shards: list[Shard], caplog: pytest.LogCaptureFixture) -> None:
    dagster = Dagster(shards, [])

    def ask(wanted: Range) -> Run:
        if dagster.runs:
            raise Alone("there is no room")
        return dagster(wanted)

    engine = RunsEngine(LocalEngine(1), 3, ask, look=0.0, queued=0.0, silent=0.0)
    assert sorted(report.shard for report in engine.map(do, shards)) == [0, 1, 2, 3, 4]
    assert [(one.wanted.first, one.wanted.last) for one in dagster.runs] == [(0, 0)]
    assert sum("no run can be asked for: there is no room" in message for message in caplog.messages) == 1


# -- a range -----------------------------------------------------------------------------------------------------------


def wanted(shards: Sequence[Shard], first: int = 1, last: int = 3) -> Range:
    return Range.of(shards, [shard.place() for shard in shards], first, last)


def do_range(shards: Sequence[Shard], asked: Range) -> list[Report]:
    told: list[Report] = []
    with pytest.raises(RangeDone):
        list(RangeEngine(LocalEngine(1), asked, told.append).map(do, shards))
    return told


def test_a_range_does_its_shards_and_no_more_and_ends_the_step(shards: list[Shard]) -> None:
    assert [report.shard for report in do_range(shards, wanted(shards))] == [1, 2, 3]
    assert [shard.number for shard in shards if shard.place().exists()] == [1, 2, 3]


def test_a_range_that_is_done_again_changes_nothing(shards: list[Shard]) -> None:
    first = do_range(shards, wanted(shards))
    again = do_range(shards, wanted(shards))
    assert [report.parts for report in again] == [report.parts for report in first]
    assert all(report.reused for report in again)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"by": "code 2"}, "other code than the run of the day, code 2 here and code 1 there"),
        ({"mark": "b"}, "the files"),
    ],
    ids=["code", "inputs"],
)
def test_a_worker_with_other_code_or_inputs_does_nothing_and_names_both(
    shards: list[Shard], other: dict[str, str], said: str
) -> None:
    there = [Shard(shard.use_case, shard.lake, shard.number, **other) for shard in shards]
    with pytest.raises(ShardFailed, match=said):
        list(RangeEngine(LocalEngine(1), wanted(shards), lambda _: None).map(do, there))
    assert not any(shard.place().exists() for shard in there)


def test_a_day_of_fewer_shards_is_another_one(shards: list[Shard]) -> None:
    with pytest.raises(ShardFailed, match="here and"):
        list(RangeEngine(LocalEngine(1), wanted(shards), lambda _: None).map(do, shards[:3]))
    with pytest.raises(ShardFailed, match="none here"):
        list(RangeEngine(LocalEngine(1), wanted(shards), lambda _: None).map(do, []))
