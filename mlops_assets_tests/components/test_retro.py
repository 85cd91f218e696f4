"""Past days are scored again by runs behind all others, asked for by a sensor; a rollback puts them back at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.components import MlUseCase
from mlops_assets.components.resources import engines, mlflow
from mlops_assets.components.retro import CHANGE_TAG, MOST_FAILURES
from mlops_assets.workspace import Stores
from mlops_assets_tests.helpers.promoted import DAYS, promote, promoted_home, state, versions

NAME = "toy_retro_score"
PREDICTIONS = dg.AssetKey(["toy", "predictions"])


class Stage:
    """The use case with an instance of Dagster."""

    def __init__(self, stores: Stores, instance: dg.DagsterInstance) -> None:
        parts = dg.Definitions(
            resources={"workspace": stores.workspace, "engines": engines, "mlflow": mlflow},
            executor=dg.in_process_executor,
        )
        self.stores, self.instance = stores, instance
        self.definitions = dg.Definitions.merge(MlUseCase(stores.use_case).build_defs(), parts)

    def tick(self) -> Any:
        repository = self.definitions.get_repository_def()
        with dg.build_sensor_context(
            instance=self.instance, repository_def=repository, resources={"workspace": self.stores.workspace}
        ) as context:
            return repository.get_sensor_def(NAME)(context)

    def run(self, name: str = NAME, config: dict[str, Any] | None = None) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def(name)
        return job.execute_in_process(
            instance=self.instance,
            run_config={"ops": config} if config else None,
            tags={CHANGE_TAG: "2"},
            raise_on_error=False,
        )

    def told(self, day: str) -> dict[str, Any]:
        """What the newest materialisation of a day shows."""
        wanted = dg.AssetRecordsFilter(PREDICTIONS, asset_partitions=[day])
        (record,) = self.instance.fetch_materializations(wanted, limit=1).records
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}


@contextmanager
def at_work(stage: Stage, job: str, status: dg.DagsterRunStatus, **tags: str) -> Iterator[None]:
    """While a run of a job has a status."""
    run = stage.instance.create_run_for_job(stage.definitions.resolve_job_def(job), tags=tags, status=status)
    yield
    stage.instance.delete_run(run.run_id)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with promoted_home(tmp_path) as stores, dg.DagsterInstance.ephemeral() as instance:
        yield Stage(stores, instance)


def test_after_a_promotion_a_run_scores_past_days_again_behind_all_others_and_a_rollback_puts_them_back(
    stage: Stage,
) -> None:
    assert "no day is to be scored again" in stage.tick().skip_message
    before = state(stage.stores)
    promote(stage.stores, 2)
    with at_work(stage, "toy_daily", dg.DagsterRunStatus.STARTED):
        assert stage.tick().skip_message == "1 other runs come first"
        # launched by hand it gives way, too, before the first day
        assert stage.run().success
        assert state(stage.stores) == before
    asked = stage.tick()
    assert asked.tags == {CHANGE_TAG: "2", "dagster/priority": "-10", "dagster/max_retries": "0"}
    with at_work(stage, NAME, dg.DagsterRunStatus.STARTED, **{CHANGE_TAG: "2"}):
        assert "waits or is at work" in stage.tick().skip_message
    assert stage.run().success
    assert versions(stage.stores) == dict.fromkeys(DAYS, 2)
    assert "no day is to be scored again" in stage.tick().skip_message
    told = stage.told(DAYS[0])
    assert (told["model_version"], told["version_before"]) == (2, 1)
    assert 0 < told["changed_share"] < 1
    assert "FOOD" in told["from_class_to_class"]
    (seen,) = stage.instance.fetch_observations(dg.AssetKey(["toy", "champion"]), limit=1).records
    assert "3 scored again and published" in str(seen.asset_observation.metadata["retro_score"].value)

    rolled_back = stage.run("toy_rollback", {"toy_roll_back": {"config": {"why": "worse"}}})
    assert rolled_back.success
    assert state(stage.stores) == before
    assert stage.told(DAYS[0])["model_version"] == 1
    assert "no day is to be scored again" in stage.tick().skip_message


def test_a_rollback_by_somebody_else_is_seen_by_the_sensor_which_puts_the_days_back(stage: Stage) -> None:
    before = state(stage.stores)
    promote(stage.stores, 2)
    assert stage.run().success
    stage.stores.registry.roll_back("toy", "ann", "worse")
    assert stage.tick().tags[CHANGE_TAG] == "3"
    assert stage.run().success
    assert state(stage.stores) == before


def test_runs_that_fail_again_and_again_are_asked_for_no_more(stage: Stage) -> None:
    promote(stage.stores, 2)
    job = stage.definitions.resolve_job_def(NAME)
    for _ in range(MOST_FAILURES):
        assert stage.tick().tags[CHANGE_TAG] == "2"
        failed = dg.DagsterRunStatus.FAILURE
        stage.instance.create_run_for_job(job, tags={CHANGE_TAG: "2"}, status=failed)
    assert "launch the job toy_retro_score" in stage.tick().skip_message
