"""A run of a command is one of the code location, as the UI makes them; and what is asked of a run is asked one way."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from mlops_assets.components.asked import DELIVERING, SCORING, asked, check_version, days_noted, note_days
from mlops_assets.components.commands import execute
from mlops_assets.components.executing import at_work, in_process
from mlops_assets.components.private import MAX_RETRIES_TAG, SINGLETON_REPOSITORY_NAME
from mlops_assets.journey.deliver.delivery import AGAIN_TAG
from mlops_assets.journey.model.changing import RETRO_TAG
from mlops_assets.journey.score.day import MODEL_TAG
from mlops_assets.serving.dagster import REPOSITORY
from mlops_assets.settings import CODE_LOCATION, OWN_USE_CASES
from mlops_assets.use_case import load_use_case
from mlops_assets_tests.helpers.paths import ROOT

ONE, OTHER = dg.AssetKey(["shop", "one"]), dg.AssetKey(["shop", "other"])


@dg.asset(key=ONE)
def one(context: dg.AssetExecutionContext) -> None:
    (held,) = at_work(context.instance).iterdir()
    context.log_event(dg.AssetObservation(ONE, metadata={"seen as": held.name}))


@dg.asset(key=OTHER, deps=[ONE])
def other() -> None:
    raise dg.Failure("no luck", allow_retries=False)


JOB = dg.Definitions(
    assets=[one, other], jobs=[dg.define_asset_job("shop_daily", selection="*")], executor=in_process
).resolve_job_def("shop_daily")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as found:
        yield found


def test_a_run_of_a_command_belongs_to_the_code_location(instance: dg.DagsterInstance) -> None:
    """By this the timeline, the runs of a job and *Re-execute* find it."""
    done = execute(JOB, instance, [ONE], {"day": "today"})
    run = instance.get_run_by_id(done.run_id)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.SUCCESS
    assert run.remote_job_origin is not None
    assert run.remote_job_origin.location_name == CODE_LOCATION
    assert run.remote_job_origin.repository_origin.get_label() == f"{REPOSITORY}@{CODE_LOCATION}"
    label = {".dagster/repository": f"{REPOSITORY}@{CODE_LOCATION}"}
    assert [one.run_id for one in instance.get_runs(dg.RunsFilter(job_name="shop_daily", tags=label))] == [run.run_id]
    assert run.tags["day"] == "today"


def test_it_asks_for_nothing_that_the_ui_would_not_ask_for(instance: dg.DagsterInstance) -> None:
    done = execute(JOB, instance, [ONE, OTHER], {})
    run = instance.get_run_by_id(done.run_id)
    assert run is not None
    assert run.run_config == {}
    assert run.asset_selection is None, "a whole job is run again as that job"
    assert run.tags[MAX_RETRIES_TAG] == "0", "a command that was ended does not begin again by itself"


def test_a_failure_is_told_and_the_rest_can_be_run_again(instance: dg.DagsterInstance) -> None:
    done = execute(JOB, instance, [ONE, OTHER], {})
    assert not done.success
    (failed,) = [event for event in done.all_events if event.is_step_failure]
    assert failed.step_failure_data.user_failure_data.description == "no luck"
    assert instance.get_run_by_id(done.run_id).execution_plan_snapshot_id  # type: ignore[union-attr]


def test_its_process_holds_a_file_as_long_as_it_is_at_work(instance: dg.DagsterInstance) -> None:
    done = execute(JOB, instance, [ONE], {})
    (seen,) = instance.fetch_observations(ONE, limit=1).records
    assert seen.asset_observation is not None
    assert seen.asset_observation.metadata["seen as"].value == done.run_id
    assert [*at_work(instance).iterdir()] == []


def test_a_home_where_nobody_may_write_keeps_no_run_from_its_work(instance: dg.DagsterInstance) -> None:
    at_work(instance).write_text("a file where a folder should be")
    assert execute(JOB, instance, [OTHER], {}).run_id


def test_the_code_location_has_one_name() -> None:
    assert SINGLETON_REPOSITORY_NAME == REPOSITORY
    for file in ("workspace.yaml", "deploy/workspace.yaml", "pyproject.toml"):
        said = (ROOT / file).read_text(encoding="utf-8")
        assert f"location_name: {CODE_LOCATION}" in said or f'location_name = "{CODE_LOCATION}"' in said


# -- the launchpad and tags ---------------------------------------------------------------------------------------------


def context(config: dict[str, Any] | None = None, **tags: str) -> Any:
    noted = dict(tags)
    instance = SimpleNamespace(
        add_run_tags=lambda _, more: noted.update(more), get_run_by_id=lambda _: SimpleNamespace(tags=noted)
    )
    run = SimpleNamespace(tags=tags, run_id="run")
    return SimpleNamespace(run=run, op_execution_context=SimpleNamespace(op_config=config), instance=instance)


@pytest.mark.parametrize(
    ("config", "tags", "version"),
    [
        (None, {}, "current"),
        ({"version": "current"}, {}, "current"),
        ({"version": " 3 "}, {}, "3"),
        ({"version": "current"}, {MODEL_TAG: "as-of"}, "as-of"),
        ({"version": "3"}, {MODEL_TAG: "as-of"}, "3"),
    ],
)
def test_the_launchpad_wins_over_a_tag(config: dict[str, Any] | None, tags: dict[str, str], version: str) -> None:
    assert asked(context(config, **tags), SCORING)["version"] == version


def test_what_is_done_again_is_said_either_way() -> None:
    assert asked(context({"again": True}), DELIVERING) == {"again": True}
    assert asked(context({"again": False}, **{AGAIN_TAG: "true"}), DELIVERING) == {"again": True}
    assert asked(context({"again": False}), DELIVERING) == {"again": False}


@pytest.mark.parametrize("said", ["newest", "-1", "", "1.0", "\u0663"])
def test_a_version_that_is_none_is_told_before_anything_is_scored(said: str) -> None:
    with pytest.raises(dg.Failure, match="say current, as-of, or the number of a version"):
        check_version(said)


def test_days_that_a_training_shall_score_are_noted_with_its_run() -> None:
    use_case, ran = load_use_case(OWN_USE_CASES / "topics"), context({"score_days": "2026-01-01 / 2026-01-03"})
    note_days(ran, use_case)
    assert days_noted(ran) == "2026-01-01/2026-01-03"
    unsaid = context({"score_days": ""}, **{RETRO_TAG: "2026-01-01/2026-01-02"})
    note_days(unsaid, use_case)
    assert days_noted(unsaid) == "2026-01-01/2026-01-02"


@pytest.mark.parametrize(
    "said", ["2026-01-03/2026-01-01", "January", "2018-01-01/2018-01-02", "2026-01-01/9999-01-01", "/"]
)
def test_days_that_are_none_are_told_before_the_training(said: str) -> None:
    with pytest.raises(dg.Failure, match="score_days: .*write FIRST/LAST, such as"):
        note_days(context({"score_days": said}), load_use_case(OWN_USE_CASES / "topics"))
