"""A workspace is handed in: assets, checks and sensors work where it says, whatever the environment says."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets import running
from mlops_assets.definitions import definitions_of
from mlops_assets.errors import UsageError
from mlops_assets.settings import OWN_USE_CASES, Settings
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import Retraining, Sensor
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.days import back
from mlops_assets_tests.helpers.stage import small


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home that the environment names; nobody shall go there."""
    for name in [name for name in os.environ if name.startswith(("MLOPS_", "MLFLOW_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "elsewhere"))
    return tmp_path / "elsewhere"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """One in the folder of the test, made without a look at the environment."""
    home = tmp_path / "home"
    return Workspace(
        Settings(
            home=home,
            raw=home / "files",
            lake=home / "tables",
            tracking_uri=f"sqlite:///{home / 'mlflow' / 'mlflow.db'}",
            artifacts=home / "models",
            use_cases=(OWN_USE_CASES,),
            workers=1,
            user="ann",
        )
    )


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def test_a_day_is_read_learned_from_and_predicted_where_the_workspace_says(
    workspace: Workspace, elsewhere: Path, instance: dg.DagsterInstance
) -> None:
    stores = workspace.of(small())
    days = back(2), back(1)
    for day in days:
        list(write_sample(stores.use_case, workspace.settings.raw, dt.date.fromisoformat(day), 6, 30, 0.0, 7))
    definitions = running.load_definitions(stores.use_case, workspace=workspace)
    running.run_use_case(definitions, instance, stores.use_case, days, train=True)
    champion = stores.champion()
    assert champion is not None
    assert champion.folder.is_relative_to(workspace.settings.home / "models")
    assert list(stores.lake.table("predictions").days()) == list(days)
    assert [change.who.partition(",")[0] for change in stores.history.changes()] == ["gate"]
    job = definitions.resolve_job_def("transactions_watch")
    (check,) = job.execute_in_process(instance=instance).get_asset_check_evaluations()
    assert check.passed, "yesterday is found in that lake"
    monitored = definitions.resolve_job_def("transactions_monitoring").execute_in_process(instance=instance)
    assert monitored.success
    assert not elsewhere.exists()


def test_the_sensors_look_where_the_workspace_says(
    workspace: Workspace, elsewhere: Path, instance: dg.DagsterInstance
) -> None:
    watched = {"sensor": Sensor(settle_minutes=0), "retraining": Retraining(corrections=10)}
    use_case = small().model_copy(update=watched)
    list(write_sample(use_case, workspace.settings.raw, dt.date.fromisoformat(back(1)), 2, 5, 0.0, 7))
    repository = running.load_definitions(use_case, workspace=workspace).get_repository_def()

    def tick(name: str) -> dg.SensorExecutionData:
        sensor = repository.get_sensor_def(name)
        resources = {"workspace": repository.get_top_level_resources()["workspace"]}
        with dg.build_sensor_context(instance, repository_def=repository, resources=resources) as context:
            return sensor.evaluate_tick(context)

    assert [request.partition_key for request in tick("transactions_files").run_requests or []] == [back(1)]
    assert "nothing was trained yet" in (tick("transactions_retraining").skip_message or "")
    assert not elsewhere.exists()


def test_what_there_is_of_a_use_case_is_opened_once(workspace: Workspace) -> None:
    stores = workspace.find("loan_approval")
    assert stores.lake is stores.lake
    assert stores.registry is workspace.registry is workspace.of(small()).registry
    assert stores.source.days() == []
    assert stores.history.changes() == []


def test_a_use_case_that_is_not_there_is_told(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="loan_approval"):
        workspace.find("loans")


def test_a_run_may_name_other_raw_files_in_its_configuration(
    elsewhere: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    use_case, day = small(), back(1)
    list(write_sample(use_case, tmp_path / "other", dt.date.fromisoformat(day), 3, 5, 0.0, 7))
    job = definitions_of(use_case).resolve_job_def("transactions_daily")
    configuration = {"resources": {"workspace": {"config": {"raw": str(tmp_path / "other")}}}}
    done = job.execute_in_process(
        configuration, instance, partition_key=day, asset_selection=[dg.AssetKey(["transactions", "raw_files"])]
    )
    assert done.success
    assert Workspace.from_environment().of(use_case).lake.raw_files.days()[day].accounting.files == 3
