"""The champion is changed by a run: by the code of the commands, in the name of who asked; and days are scored."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from mlops_assets.components.changing import asked_by
from mlops_assets.journey.model.changing import RETRO_TAG, WHO_TAG
from mlops_assets.journey.train.records import MadeVersion
from mlops_assets_tests.helpers.stage import Stage, small

NAME = "transactions"
DAY, NEXT = "2026-01-01", "2026-01-02"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage.of(small(), tmp_path_factory.mktemp("home")) as stage:
        for day in (DAY, NEXT):
            stage.sample(day, files=1, rows=2)
        yield stage


@pytest.mark.parametrize(
    ("job", "op", "config", "said"),
    [
        ("promote", "promote_version", {"version": 3, "why": "x", "who": "ann (API)"}, "There is no version 3 of"),
        ("rollback", "roll_back", {"why": "x"}, "There is no champion before this one to go back to"),
    ],
)
def test_what_is_wrong_fails_the_run_with_its_sentence_alone(
    stage: Stage, job: str, op: str, config: dict[str, object], said: str
) -> None:
    with stage.settings():
        done = stage.definitions.resolve_job_def(f"{NAME}_{job}").execute_in_process(
            run_config={"ops": {f"{NAME}_{op}": {"config": config}}}, instance=stage.instance, raise_on_error=False
        )
    (failed,) = [event for event in done.all_events if event.is_step_failure]
    assert failed.step_failure_data.user_failure_data.description.startswith(said)


def asked(stage: Stage, run: dg.DagsterRun) -> list[dg.RunRequest] | dg.SkipReason:
    """What the sensor makes of a training that went well."""
    repository = stage.definitions.get_repository_def()
    with stage.stores() as stores:
        event = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name)
        with dg.build_run_status_sensor_context(
            sensor_name=f"{NAME}_first_score",
            dagster_event=event,
            dagster_instance=stage.instance,
            dagster_run=run,
            repository_def=repository,
            resources={"workspace": stores.workspace},
        ) as context:
            return repository.get_sensor_def(f"{NAME}_first_score")(context)


def training(stage: Stage, run_id: str, version: int | None, **tags: str) -> dg.DagsterRun:
    with stage.stores() as stores:
        stores.runs.write(run_id, MadeVersion(version, passed=version is not None, reason="linear passes"))
    return dg.DagsterRun(job_name=f"{NAME}_training", run_id=run_id, tags=tags)


def test_days_without_predictions_are_scored_in_one_run_if_the_new_version_is_champion(stage: Stage) -> None:
    run = training(stage, "a", 1, **{RETRO_TAG: "2025-12-01/2026-03-01", WHO_TAG: "ann (API)"})
    assert "made no champion" in str(asked(stage, run).skip_message)
    with stage.stores() as stores:
        stores.history.append("promote", 1, asked_by(run), "linear passes", "passes")
        assert stores.history.latest().who == "gate, asked by ann (API), Dagster run a"
    (request,) = asked(stage, run)
    assert request.run_key == f"first-a-{DAY}"
    assert request.tags["dagster/asset_partition_range_start"] == DAY
    assert request.tags["dagster/asset_partition_range_end"] == NEXT
    assert request.tags[WHO_TAG] == "ann (API)"


def test_a_training_without_days_and_days_without_files_ask_for_nothing(stage: Stage) -> None:
    assert "names no days" in str(asked(stage, training(stage, "b", 1)).skip_message)
    run = training(stage, "c", None, **{RETRO_TAG: f"{DAY}/{NEXT}"})
    assert "made no champion" in str(asked(stage, run).skip_message)
