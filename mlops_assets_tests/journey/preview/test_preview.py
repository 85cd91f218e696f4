"""A preview says what a run would do and why; running then does just that, and the preview itself changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.journey.preview.day import Preview
from mlops_assets.use_case import Scale
from mlops_assets.views.previewing import preview_days, render
from mlops_assets.work.costs import price_table
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.account_files import changed
from mlops_assets_tests.helpers.stage import FILES as FILES_OF_A_STAGE
from mlops_assets_tests.helpers.stage import SMALL_SQL, Stage, small

DAY, NEXT = "2026-01-01", "2026-01-02"
FILES = 20


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One day of four shards, trained and predicted."""
    use_case = small().model_copy(update={"scale": Scale(files_a_shard=5)})
    with Stage.of(use_case, tmp_path_factory.mktemp("preview") / "home") as stage:
        stage.sample(DAY, files=FILES)
        stage.run(DAY, train=True)
        yield stage


@pytest.fixture
def stage(done: Stage, tmp_path: Path) -> Iterator[Stage]:
    with done.copy(tmp_path / "home") as copy:
        yield copy


def look(stage: Stage, day: str = DAY) -> Preview:
    with stage.settings() as settings:
        (found,) = preview_days(Workspace(settings).of(stage.use_case), day, day)
    return found


def runs(stage: Stage, day: str = DAY) -> dict[str, int]:
    """Shards that a run of the day really does."""
    before = {name: files(stage, name) for name in ("rows", "features", "predictions")}
    stage.run(day)
    return {name: len(files(stage, name) - known) for name, known in before.items()}


def files(stage: Stage, table: str) -> set[Path]:
    return set(stage.table(table).folder.glob("day=*/*.parquet"))


def test_a_day_that_was_done_has_nothing_to_do(stage: Stage) -> None:
    found = look(stage)
    assert (found.files, found.shards) == (FILES, 4)
    assert found.redo == {"rows": 0, "features": 0, "predictions": 0} == runs(stage)
    assert (found.reasons, found.rows, found.disk) == ({}, 0, 0)


def test_a_late_file_costs_its_shard(stage: Stage) -> None:
    stage.deliver(DAY, "late.csv", [changed()])
    found = look(stage)
    assert found.reasons == {"files are new": 1}
    assert found.redo == {"rows": 1, "features": 1, "predictions": 1} == runs(stage)
    assert (found.disk or 0) > 0
    assert found.rows is not None
    assert 0 < found.rows < 2 * 30 * FILES


def test_changed_and_deleted_files_are_told_apart(stage: Stage) -> None:
    first, *_, last = sorted(stage.folder(DAY).iterdir())
    data = first.read_bytes()
    first.unlink()
    first.write_bytes(data + b"\r\n")
    last.unlink()
    said = " and ".join(look(stage).reasons)
    assert "files are changed" in said
    assert "files are gone" in said


def test_new_sql_costs_the_aggregates_alone_because_the_model_keeps_its_own(done: Stage, tmp_path: Path) -> None:
    use_case = done.use_case.model_copy(update={"features_sql": SMALL_SQL.replace("avg(amount)", "max(amount)")})
    with done.copy(tmp_path / "home") as copy, Stage.of(use_case, copy.home) as stage:
        found = look(stage)
        assert found.reasons == {"features.sql or its code changed, or the aggregates were not finished": 4}
        assert found.redo == {"rows": 0, "features": 4, "predictions": 0} == runs(stage)


def test_a_new_champion_costs_the_scoring(stage: Stage) -> None:
    stage.execute("training")
    found = look(stage)
    assert found.reasons == {"model version 1 became 2": 4}
    assert found.redo == {"rows": 0, "features": 0, "predictions": 4} == runs(stage)


def test_a_damaged_part_is_found(stage: Stage) -> None:
    part = min(files(stage, "rows"))
    part.write_bytes(part.read_bytes()[:100])
    assert look(stage).reasons == {
        "the contract or the code that reads changed, or the stored rows are damaged": 1,
    }


def test_a_new_day_is_estimated_at_the_cost_of_the_old_one(stage: Stage) -> None:
    stage.sample(NEXT, files=FILES)
    found = look(stage, NEXT)
    assert (found.sampled, found.reasons) == (0, {"the day is new": 4})
    assert found.rows == pytest.approx(30 * FILES, rel=0.3)
    assert found.minutes is not None
    assert runs(stage, NEXT) == found.redo


def test_a_first_day_is_estimated_from_its_files_and_nothing_is_written(tmp_path: Path) -> None:
    with Stage.of(small(), tmp_path / "home") as stage:
        stage.sample(DAY)
        found = look(stage)
        assert (found.reasons, found.redo["rows"], found.redo["predictions"]) == ({"the day is new": 1}, 1, 0)
        assert found.sampled == FILES_OF_A_STAGE
        assert found.rows == sum(path.read_bytes().count(b"\n") - 1 for path in stage.folder(DAY).iterdir())
        assert (found.minutes or 0) > 0
        assert (found.disk or 0) > 0
        assert "Estimated from 6 files: " in render([found], stage.use_case)
        stage.folder(NEXT).mkdir()
        nothing = look(stage, NEXT)
        assert (nothing.files, nothing.rows, nothing.disk, nothing.sampled) == (0, 0, 0, 0)
        assert nothing.minutes is not None, "that the run starts and lists is all that it takes"
        assert [path.name for path in stage.home.iterdir()] == ["raw"]


def test_where_there_is_a_champion_its_answers_are_timed_too(stage: Stage) -> None:
    stage.sample(NEXT, files=FILES)
    for name in ("rows", "features", "predictions"):  # as a model from elsewhere leaves a use case
        for part in files(stage, name):
            part.unlink()
    found = look(stage, NEXT)
    assert found.redo == {"rows": 4, "features": 4, "predictions": 4}
    assert found.sampled == FILES
    assert found.plan is not None, "it is made of all steps, or not at all"


def test_what_the_engine_would_be_is_told_with_its_reason(stage: Stage) -> None:
    stage.sample(NEXT, files=FILES)
    auto = stage.use_case.model_copy(update={"scale": Scale(files_a_shard=5, engine="auto")})
    with stage.settings() as settings:
        (found,) = preview_days(Workspace(settings).of(auto), NEXT, NEXT)
    assert found.plan is not None
    assert (found.plan.engine, found.minutes) == ("local", found.plan.offers[0].minutes)
    assert f"engine {found.plan.why}" in render([found], auto)


def test_the_table_says_whether_the_deadline_would_hold(stage: Stage) -> None:
    stage.sample(NEXT, files=FILES)
    hurried = stage.use_case.model_copy(update={"scale": Scale(files_a_shard=5, minutes=1e-9)})
    with stage.settings() as settings:
        found = preview_days(Workspace(settings).of(stage.use_case), DAY, NEXT)
    head, _, first, second, *rest = render(found, stage.use_case).splitlines()
    assert head.split() == [
        "day",
        "files",
        "MB",
        "shards",
        "to",
        "read",
        "to",
        "aggregate",
        "to",
        "score",
        "rows",
        "minutes",
        "disk",
        "MB",
    ]
    assert (first.split()[0], first.split()[3]) == (DAY, "4")
    assert second.startswith(NEXT)
    assert "4 shards: the day is new" in rest
    ways = {line.split()[0]: line.split() for line in rest if line.split()[-1:] == ["holds"]}
    assert list(ways) == ["local", "spark", "emr", "runs"]
    plans = [one.plan for one in found if one.plan]
    for number, way in enumerate(ways):
        assert float(ways[way][3]) == pytest.approx(sum(plan.offers[number].minutes for plan in plans), abs=0.05)
    assert f"Prices of {plans[0].dated}: {price_table(None).source}" in rest
    assert [line.split(": ")[0] for line in rest if line.startswith("Seconds beside")] == [
        f"Seconds beside the work, {name}" for name in ways
    ]
    assert rest[-1].startswith(f"Estimated at the pace of {DAY}: ")
    assert rest[-1].endswith("60 min in all: the deadline would hold")
    assert render(found, hurried).endswith("THE DEADLINE WOULD BE MISSED")


def test_a_range_without_files_says_so(stage: Stage) -> None:
    with stage.settings() as settings:
        assert preview_days(Workspace(settings).of(stage.use_case), "2026-03-01", "2026-03-09") == []
    assert render([], stage.use_case) == "No day of this range has files."
