"""The sensor for new files through Dagster: what it asks for, what the runs make of it, and what it tells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.components import MlUseCase
from mlops_assets.components.arrivals import MOST_REQUESTS
from mlops_assets.journey.model.changing import REASON_TAG
from mlops_assets.use_case import Scale, Sensor, UseCase
from mlops_assets_tests.helpers.account_files import ROW
from mlops_assets_tests.helpers.days import back
from mlops_assets_tests.helpers.stage import FILES, Stage, small

AT_ONCE = Sensor(settle_minutes=0, relist_minutes=1e-9)
"""Every tick lists every day, and takes what it finds for whole."""

LISTED = r"listed last [-0-9]{10} [0-9]{2}:[0-9]{2} UTC"


def use_case(asked: Sensor | None = AT_ONCE) -> UseCase:
    return small().model_copy(update={"sensor": asked, "scale": Scale(files_a_shard=2)})


@dataclass
class Watched:
    """A stage whose sensor is evaluated tick by tick, as the daemon does it."""

    stage: Stage
    cursor: str | None = None
    said: list[str] = field(default_factory=list)

    def tick(self) -> list[dg.RunRequest]:
        """What a tick asks for; what it says is kept."""
        told = self.stage.tick("transactions_files", self.cursor)
        self.cursor = told.cursor
        self.said.append(told.skip_message or "")
        return list(told.run_requests or [])

    def carry_out(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Run what was asked for, with the tags that the daemon gives it."""
        tags = {**request.tags, "dagster/run_key": request.run_key or ""}
        with self.stage.settings():
            return self.stage.definitions.resolve_job_def("transactions_daily").execute_in_process(
                instance=self.stage.instance,
                partition_key=request.partition_key,
                tags=tags,
                raise_on_error=False,
            )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, str]]:
    """A champion, and yesterday published."""
    with Stage.of(use_case(), tmp_path_factory.mktemp("trained") / "home") as stage:
        day = back(1)
        stage.sample(day)
        stage.run(day, train=True)
        yield stage, day


@pytest.fixture
def day(trained: tuple[Stage, str]) -> str:
    """The day that is published."""
    return trained[1]


@pytest.fixture
def watched(trained: tuple[Stage, str], tmp_path: Path) -> Iterator[Watched]:
    """A copy of it that a test may change."""
    with trained[0].copy(tmp_path / "home") as stage:
        yield Watched(stage)


# -- what is drawn ------------------------------------------------------------------------------------------------------


def test_there_is_a_sensor_only_where_it_is_asked_for_and_it_runs_at_once() -> None:
    asked = (None, Sensor(interval_seconds=77))
    drawn = {one: {s.name: s for s in MlUseCase(use_case(one)).build_defs().sensors or ()} for one in asked}
    assert "transactions_files" not in drawn[None]
    sensor = drawn[Sensor(interval_seconds=77)]["transactions_files"]
    assert sensor.job_name == "transactions_daily"
    assert sensor.minimum_interval_seconds == 77
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


# -- what is asked for --------------------------------------------------------------------------------------------------


def test_a_published_day_is_left_alone(watched: Watched) -> None:
    assert watched.tick() == []
    assert watched.said == ["1 day as listed before"]


def test_a_new_day_becomes_a_run_that_publishes_it(watched: Watched, day: str) -> None:
    watched.stage.sample(back(2), seed=8)
    (request,) = watched.tick()
    assert (request.partition_key, request.tags[REASON_TAG]) == (back(2), f"new day with {FILES} files")
    assert watched.carry_out(request).success
    assert watched.stage.published("predictions", back(2))
    assert watched.tick() == []
    assert watched.said[-1] == "2 days as listed before"


def test_a_tick_names_what_lies_beside_the_days(watched: Watched) -> None:
    beside = watched.stage.folder("2026-3-4")
    beside.mkdir()
    (beside / "a.csv").touch()
    assert watched.tick() == []
    said = f"passed over in {beside.parent}: 1 entry that no run reads: 'day=2026-3-4' (1 file, not named day="
    assert said in watched.said[-1]


def test_a_late_file_is_a_rerun_that_does_its_shard_alone(watched: Watched, day: str) -> None:
    watched.tick()
    before = {name: watched.stage.table(name).parts(day) for name in ("rows", "features", "predictions")}
    watched.stage.deliver(day, "late.csv", [ROW])
    (request,) = watched.tick()
    assert request.partition_key == day
    assert re.fullmatch(f"{FILES + 1} files, 1 more than listed before; {LISTED}", request.tags[REASON_TAG])
    assert watched.carry_out(request).success
    assert "late.csv" in {one["file"] for one in watched.stage.published("predictions", day)}
    for name, parts in before.items():
        now = watched.stage.table(name).parts(day)
        assert len(parts - now) == len(now - parts) == 1, f"{name}: one shard of {len(parts)} is other than before"
        assert len(parts) > 1
    assert watched.tick() == []


@pytest.mark.parametrize("change", ["overwritten", "deleted"])
def test_a_file_that_is_overwritten_or_deleted_is_a_rerun_of_its_day(watched: Watched, day: str, change: str) -> None:
    watched.tick()
    path = min(watched.stage.folder(day).iterdir())
    if change == "deleted":
        path.unlink()
    else:
        data = path.read_bytes().replace(b"\r\n", b"\n")
        path.unlink()
        path.write_bytes(data)
    (request,) = watched.tick()
    assert request.partition_key == day
    assert watched.carry_out(request).success
    assert (path.name in {one["file"] for one in watched.stage.published("predictions", day)}) is (
        change == "overwritten"
    )
    assert watched.tick() == []


def test_several_days_are_asked_for_one_by_one_and_not_too_many_at_once(tmp_path: Path) -> None:
    asked = AT_ONCE.model_copy(update={"window_days": 30})
    with Stage.of(use_case(asked), tmp_path / "home") as stage:
        days = [back(number) for number in range(MOST_REQUESTS + 3)]
        for one in days:
            stage.deliver(one, "a.csv", [ROW])
        requests = Watched(stage).tick()
    assert [one.partition_key for one in requests] == sorted(days)[:MOST_REQUESTS]
    assert len({one.run_key for one in requests}) == MOST_REQUESTS


def test_a_day_waits_until_it_has_settled(watched: Watched, tmp_path: Path) -> None:
    patient = use_case(Sensor(settle_minutes=10))
    watched.stage.sample(back(2), seed=8)
    with Stage.of(patient, watched.stage.home) as stage:
        waiting = Watched(stage)
        assert waiting.tick() == []
    assert waiting.said == [
        f"{back(2)}: new day with {FILES} files; settling, last change seen 0 min ago; 1 day as listed before"
    ]


def test_the_cursor_alone_carries_a_listing_from_tick_to_tick(watched: Watched) -> None:
    hurried = use_case(AT_ONCE.model_copy(update={"budget_seconds": 1e-9}))
    with Stage.of(hurried, watched.stage.home) as stage:
        waiting = Watched(stage)
        ticks = [waiting.tick() for _ in range(FILES)]
        assert ticks == [[]] * FILES
        assert [said.split(": ")[1] for said in waiting.said[: FILES - 1]] == [
            f"{number} file{'s' if number > 1 else ''} so far, listing goes on" for number in range(1, FILES)
        ]
        assert waiting.said[-1] == "1 day as listed before"


# -- runs that are under way, and runs that failed ------------------------------------------------------------------------


def test_a_day_that_a_run_works_on_is_not_asked_for(watched: Watched, day: str) -> None:
    watched.stage.deliver(day, "late.csv", [ROW])
    job = watched.stage.definitions.resolve_job_def("transactions_daily")
    ranges = {"dagster/asset_partition_range_start": back(3), "dagster/asset_partition_range_end": back(0)}
    for tags in ({"dagster/partition": day}, ranges):
        run = watched.stage.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
        assert watched.tick() == []
        assert re.fullmatch(
            f"{day}: {FILES + 1} files, 1 more than listed before; {LISTED}; run {run.run_id} is at work on the day",
            watched.said[-1],
        )
        watched.stage.instance.report_run_failed(run)
    elsewhere = {"dagster/partition": back(5)}
    watched.stage.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=elsewhere)
    assert [one.partition_key for one in watched.tick()] == [day]


def test_two_ticks_ask_for_the_same_run(watched: Watched, day: str) -> None:
    watched.stage.deliver(day, "late.csv", [ROW])
    (first,), (again,) = watched.tick(), watched.tick()
    assert first.run_key == again.run_key, "Dagster starts one run a key"
    watched.stage.deliver(day, "later.csv", [ROW])
    (other,) = watched.tick()
    assert other.run_key != first.run_key


def test_a_run_that_fails_before_it_has_listed_the_day_is_not_asked_for_again(watched: Watched, day: str) -> None:
    watched.stage.deliver(back(2), "a.csv", [ROW])
    (request,) = watched.tick()
    away = watched.stage.folder(back(2)).rename(watched.stage.home / "away")
    failed = watched.carry_out(request)
    assert not failed.success
    away.rename(watched.stage.folder(back(2)))
    for _ in range(3):
        assert watched.tick() == []
    assert watched.said[-1] == (
        f"{back(2)}: new day with 1 file; run {failed.run_id} was asked for and ended as FAILURE without listing it; "
        f"once the cause is mended: `mlops-assets run transactions --from {back(2)} --to {back(2)}`; "
        "1 day as listed before"
    )
    watched.stage.deliver(back(2), "b.csv", [ROW])
    assert [one.partition_key for one in watched.tick()] == [back(2)], "other files are another matter"


def test_a_day_that_was_listed_but_not_predicted_is_told_and_not_asked_for(watched: Watched, day: str) -> None:
    watched.stage.deliver(back(2), "bad.csv", [ROW, *["no row"] * 99])
    (request,) = watched.tick()
    assert not watched.carry_out(request).success
    assert watched.tick() == []
    assert watched.said[-1] == (
        f"{back(2)}: 1 file, listed as they lie there; not predicted: see its last run; "
        f"once the cause is mended: `mlops-assets run transactions --from {back(2)} --to {back(2)}`; "
        "1 day as listed before"
    )


# -- what goes wrong ----------------------------------------------------------------------------------------------------


def test_a_tick_fails_while_the_files_are_out_of_reach_and_the_next_one_goes_on(watched: Watched, day: str) -> None:
    watched.tick()
    cursor, raw = watched.cursor, watched.stage.home / "raw"
    raw.rename(watched.stage.home / "unmounted")
    with pytest.raises(Exception, match="Is the place mounted, and is MLOPS_RAW right"):
        watched.tick()
    assert watched.cursor == cursor
    (watched.stage.home / "unmounted").rename(raw)
    assert watched.tick() == []


def test_a_cursor_that_is_not_one_of_ours_begins_anew(watched: Watched) -> None:
    watched.cursor = "2026-01-01"
    assert watched.tick() == []
    assert watched.said == ["1 day as listed before"]
