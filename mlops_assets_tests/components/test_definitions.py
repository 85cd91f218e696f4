"""The asset graph as Dagster sees it: one component draws every use case as the journey of its data."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import dagster as dg
import pytest
import yaml

from mlops_assets.components import MlUseCase
from mlops_assets.definitions import defs
from mlops_assets.running import load_definitions
from mlops_assets.settings import PACKAGE
from mlops_assets.workspace import Workspace

USE_CASES = ("compound_rings", "loan_approval", "santander", "topics", "transactions")

JOURNEY = {
    "raw_files": [],
    "rows": ["raw_files"],
    "rejects": ["raw_files"],
    "features": ["rows"],
    "training_set": ["feedback", "rows"],
    "candidates": ["training_set"],
    "evaluation": ["candidates"],
    "model_version": ["evaluation"],
    "champion": ["model_version"],
    "model_input": ["features", "rows"],
    "predictions": ["champion", "features", "model_input", "rows"],
    "drift": ["predictions"],
    "audit_sample": ["predictions"],
    "feedback": ["rows"],
    "live_metrics": ["audit_sample", "feedback", "predictions"],
    "scored_days": ["champion", "predictions"],
}
"""Asset: what it is made of."""

DAILY = ("raw_files", "rows", "rejects", "enrichment_calendar", "features", "predictions", "drift")
TRAINING = ("training_set", "candidates", "evaluation", "model_version", "champion")
MONITORING = ("feedback", "live_metrics", "scored_days")
KINDS = ("daily", "range", "training", "watch", "monitoring", "promote", "rollback", "retro_score")

WITHOUT_FEATURES = {
    **{name: before for name, before in JOURNEY.items() if name != "features"},
    "model_input": ["rows"],
    "predictions": ["champion", "model_input", "rows"],
}
"""Where a row stands for itself, there is nothing to aggregate over a file."""

WITH_CALENDAR = {
    **JOURNEY,
    "enrichment_calendar": ["rows"],
    "features": ["enrichment_calendar", "rows"],
    "training_set": ["enrichment_calendar", "feedback", "rows"],
    "model_input": ["enrichment_calendar", "features", "rows"],
    "predictions": ["champion", "enrichment_calendar", "features", "model_input", "rows"],
}

JOURNEYS = {
    "transactions": WITH_CALENDAR,
    "loan_approval": WITHOUT_FEATURES,
    "compound_rings": WITHOUT_FEATURES,
    "santander": WITHOUT_FEATURES,
    "topics": WITHOUT_FEATURES,
}

CHECKS = {
    "live_metrics": ["degradation"],
    "drift": ["answers_are_sure", "answers_are_usual", "columns_are_usual", "deliveries_are_usual"],
    "raw_files": ["every_day_delivered"],
    "rows": ["accounting_adds_up", "day_is_not_empty", "noticed", "quarantine_rate", "reject_rate"],
    "predictions": [
        "every_row_predicted",
        "rows_are_current",
        "unseen_categories",
        "{use_case}_yesterday_is_not_missing",
    ],
}
CHECKS_OF_ENRICHMENTS = {
    ("transactions", "enrichment_calendar", "every_key_answered"),
    ("transactions", "predictions", "enrichment_missing"),
    ("transactions", "predictions", "enrichments_are_current"),
}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    """The use cases of the package."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("MLOPS_USE_CASES", raising=False)
        environment.setenv("MLOPS_HOME", str(tmp_path_factory.mktemp("definitions")))
        return defs()


@pytest.fixture(scope="module")
def graph(definitions: dg.Definitions) -> dg.AssetGraph:
    return definitions.resolve_asset_graph()


def test_a_command_draws_the_jobs_of_the_code_location_so_that_re_execute_warns_of_no_difference(
    definitions: dg.Definitions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    workspace = Workspace.from_environment()
    commands = load_definitions(workspace.find("loan_approval").use_case, workspace=workspace)
    for job in ("daily", "training", "monitoring"):
        ours, theirs = (one.resolve_job_def(f"loan_approval_{job}") for one in (commands, definitions))
        assert ours.get_job_snapshot_id() == theirs.get_job_snapshot_id(), job


def assets_of(graph: dg.AssetGraph) -> list[str]:
    return sorted(key.to_user_string() for key in graph.get_all_asset_keys())


# -- what there is ------------------------------------------------------------------------------------------------------


def test_the_assets_of_all_use_cases_are_these(graph: dg.AssetGraph) -> None:
    assert assets_of(graph) == sorted(f"{use_case}/{name}" for use_case in USE_CASES for name in JOURNEYS[use_case])


@pytest.mark.parametrize("use_case", USE_CASES)
def test_every_asset_is_made_of_the_step_before_it(graph: dg.AssetGraph, use_case: str) -> None:
    found = {
        name: sorted(parent.path[-1] for parent in graph.get(dg.AssetKey([use_case, name])).parent_keys)
        for name in JOURNEYS[use_case]
    }
    assert found == JOURNEYS[use_case]


def test_the_graph_has_no_circle(graph: dg.AssetGraph) -> None:
    """Dagster loads a circle without a word; only its page refuses to draw it."""
    parents = {key: graph.get(key).parent_keys for key in graph.get_all_asset_keys()}
    assert len([*TopologicalSorter(parents).static_order()]) == len(parents)


def test_no_use_case_depends_on_another(graph: dg.AssetGraph) -> None:
    for key in graph.get_all_asset_keys():
        assert {parent.path[0] for parent in graph.get(key).parent_keys} <= {key.path[0]}


def test_the_checks_of_all_use_cases_are_these(graph: dg.AssetGraph) -> None:
    found = {(*key.asset_key.path, key.name) for key in graph.asset_check_keys}
    assert found - CHECKS_OF_ENRICHMENTS == {
        (use_case, asset, name.format(use_case=use_case))
        for use_case in USE_CASES
        for asset, names in CHECKS.items()
        for name in names
    }
    assert found >= CHECKS_OF_ENRICHMENTS


def test_every_use_case_has_a_job_for_its_days_their_ranges_its_training_the_watch_the_monitoring_and_its_champion(
    definitions: dg.Definitions,
) -> None:
    jobs = {job.name for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")}
    assert jobs == {f"{use_case}_{kind}" for use_case in USE_CASES for kind in KINDS}


def test_every_use_case_has_a_schedule_for_its_days_the_watch_and_the_monitoring(definitions: dg.Definitions) -> None:
    schedules = {schedule.name: schedule.job_name for schedule in definitions.get_repository_def().schedule_defs}
    assert schedules == {
        f"{use_case}_{kind}_schedule": f"{use_case}_{kind}"
        for use_case in USE_CASES
        for kind in ("daily", "watch", "monitoring")
    }


def test_the_flagship_watches_for_new_files(definitions: dg.Definitions) -> None:
    sensors = {one.name: one.job_name for one in definitions.get_repository_def().sensor_defs if one.has_jobs}
    after_promotions = {f"{use_case}_retro_score": f"{use_case}_retro_score" for use_case in USE_CASES}
    after_trainings = {f"{use_case}_first_score": f"{use_case}_daily" for use_case in USE_CASES}
    own = {"transactions_files": "transactions_daily", "transactions_retraining": "transactions_training"}
    assert sensors == {**own, **after_promotions, **after_trainings}


@pytest.mark.parametrize("use_case", USE_CASES)
def test_the_jobs_divide_the_assets_among_them(definitions: dg.Definitions, use_case: str) -> None:
    daily, training, monitoring = (
        {key.path[-1] for key in definitions.resolve_job_def(f"{use_case}_{kind}").asset_layer.executable_asset_keys}
        for kind in ("daily", "training", "monitoring")
    )
    assert daily == {name for name in DAILY if name in JOURNEYS[use_case]}
    assert training == set(TRAINING)
    assert monitoring == set(MONITORING)


# -- what each asset tells ----------------------------------------------------------------------------------------------


def test_every_asset_has_a_description_an_owner_a_group_and_kinds(graph: dg.AssetGraph) -> None:
    owners = {
        "compound_rings": ["team:chemistry"],
        "transactions": ["team:enrichment"],
        "loan_approval": ["team:lending"],
        "santander": ["team:retail"],
        "topics": ["team:newsroom"],
    }
    for key in graph.get_all_asset_keys():
        asset = graph.get(key)
        assert asset.description, key
        assert asset.owners == owners[key.path[0]], key
        apart = {**dict.fromkeys(TRAINING, "_training"), **dict.fromkeys(MONITORING, "_monitoring")}
        assert asset.group_name == key.path[0] + apart.get(key.path[1], ""), key
        assert asset.kinds, key


@pytest.mark.parametrize(
    ("group", "asset", "does"),
    [
        ("transactions", "raw_files", "asks for days and does them in one run"),
        ("transactions_training", "training_set", "trains: rows that are published already"),
        ("transactions_monitoring", "feedback", "takes in corrections"),
    ],
)
def test_the_first_asset_of_a_group_says_what_materialize_all_does(
    graph: dg.AssetGraph, group: str, asset: str, does: str
) -> None:
    """Dagster's groups have no description of their own."""
    said = graph.get(dg.AssetKey(["transactions", asset])).description or ""
    assert f"*Materialize all* of the group `{group}` {does}" in said


def test_whatever_runs_by_itself_says_what_it_does(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    for one in (*repository.schedule_defs, *repository.sensor_defs):
        assert one.description, one.name
    for job in definitions.resolve_all_job_defs():
        assert job.name.startswith("__") or job.description, job.name


@pytest.mark.parametrize(
    ("asset", "keys"),
    [
        ("raw_files", {"files_as_published_on": ""}),
        ("enrichment_calendar", {"again": False}),
        ("predictions", {"version": "current", "accept_drift": ""}),
        ("training_set", {"score_days": ""}),
    ],
)
def test_the_launchpad_asks_with_words_and_defaults(
    graph: dg.AssetGraph, definitions: dg.Definitions, asset: str, keys: dict[str, object]
) -> None:
    (made,) = (one for one in definitions.assets or () if _makes(one, asset))
    fields = made.op.config_schema.as_field().config_type.fields
    assert {name: field.default_value for name, field in fields.items()} == keys
    assert all(field.description for field in fields.values())


def _makes(one: object, asset: str) -> bool:
    return (
        isinstance(one, dg.AssetsDefinition) and dg.AssetKey(["transactions", asset]) in one.keys and one.is_executable
    )


def test_rows_show_the_contract_of_the_files(graph: dg.AssetGraph) -> None:
    shown = graph.get(dg.AssetKey(["transactions", "rows"])).metadata
    assert "| amount | valor | number |" in shown["contract"].value
    columns = [column.name for column in shown["dagster/column_schema"].columns]
    assert columns[:3] == ["file", "line", "account_id"]


def test_features_show_their_sql(graph: dg.AssetGraph) -> None:
    assert "CREATE VIEW file_features" in (graph.get(dg.AssetKey(["transactions", "features"])).description or "")


# -- partitions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use_case", USE_CASES)
def test_the_daily_assets_share_one_partition_a_day_and_backfill_in_one_run(
    graph: dg.AssetGraph, use_case: str
) -> None:
    assets = [graph.get(dg.AssetKey([use_case, name])) for name in DAILY if name in JOURNEYS[use_case]]
    assert {asset.backfill_policy for asset in assets} == {dg.BackfillPolicy.single_run()}
    (days,) = {asset.partitions_def for asset in assets}
    assert isinstance(days, dg.DailyPartitionsDefinition)
    recent = dt.date.fromisoformat(str(days.get_first_partition_key()))
    assert (dt.datetime.now(dt.UTC).date() - recent).days < 8, "nothing lies there: no grey years, see `test_beginning`"


@pytest.mark.parametrize("use_case", USE_CASES)
def test_the_training_and_monitoring_assets_have_no_partitions(graph: dg.AssetGraph, use_case: str) -> None:
    for name in (*TRAINING, *MONITORING):
        assert graph.get(dg.AssetKey([use_case, name])).partitions_def is None


# -- one component ------------------------------------------------------------------------------------------------------


def test_all_use_cases_are_of_one_component_class() -> None:
    types = {yaml.safe_load(path.read_text(encoding="utf-8"))["type"] for path in PACKAGE.glob("defs/*/defs.yaml")}
    assert types == {f"{MlUseCase.__module__}.{MlUseCase.__name__}"}


@pytest.mark.parametrize("name", USE_CASES)
def test_a_use_case_of_the_package_is_yaml_and_sql_beside_its_sample_data(name: str) -> None:
    files = {path.name for path in (PACKAGE / "defs" / name).iterdir() if path.name != "__pycache__"}
    more = {
        "compound_rings": {"reader.py", "picture.py"},
        "topics": {"reader.py"},
        "transactions": {"calendar.py"},
    }  # Python only for what reads pictures and texts, or answers an enrichment
    assert files == {"__init__.py", "defs.yaml", "features.sql", "sample.py", *more.get(name, ())}


# -- loading ------------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_dg_check_defs_is_green_in_a_clean_process(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("dg")), "check", "defs"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "DAGSTER_", "MLFLOW_"))}
    environment = {**kept, "MLOPS_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, cwd=PACKAGE.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All definitions loaded successfully" in done.stdout
    assert not (tmp_path / "home").exists(), "loading alone writes nothing"


def test_the_code_location_imports_no_mlflow_and_nothing_that_only_a_step_needs() -> None:
    code = "import mlops_assets.definitions, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"mlflow", "dagster_mlflow", "sklearn", "skops", "scipy", "pandas", "pyspark", "matplotlib", "sqlalchemy"}
    assert not heavy & set(done.stdout.split())
