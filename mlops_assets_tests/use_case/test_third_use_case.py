"""A use case of YAML and SQL alone, in a folder of its own, lives beside the others and is used as they are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import dagster as dg
import pytest

from mlops_assets import running
from mlops_assets.definitions import defs
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import UseCase, find_use_case, list_use_cases
from mlops_assets.views.status import collect
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.homes import give_stores
from mlops_assets_tests.helpers.visits import place_visits

DAYS = ("2026-01-01", "2026-01-02")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home, and the folder of the new use case named by `MLOPS_USE_CASES`."""
    folder = tmp_path_factory.mktemp("third")
    with pytest.MonkeyPatch.context() as environment:
        for name in ("MLOPS_RAW", "MLOPS_LAKE", "MLFLOW_TRACKING_URI", "DAGSTER_HOME"):
            environment.delenv(name, raising=False)
        environment.setenv("MLOPS_HOME", str(folder / "home"))
        environment.setenv("MLOPS_WORKERS", "1")
        environment.setenv("MLOPS_USE_CASES", str(place_visits(folder / "use_cases")))
        yield Settings.from_environment()


@pytest.fixture(scope="module")
def visits(settings: Settings) -> UseCase:
    return find_use_case(settings.use_cases, "visits")


@pytest.fixture(scope="module")
def definitions(settings: Settings, visits: UseCase) -> dg.Definitions:
    """What Dagster loads when the days' files lie there: their first day is where its partitions begin."""
    for day in DAYS:
        list(write_sample(visits, settings.raw, dt.date.fromisoformat(day), 2, 60, 0.0, seed=7))
    return defs()


@pytest.fixture(scope="module")
def lake(settings: Settings, visits: UseCase, definitions: dg.Definitions) -> Lake:
    """The tables after two sample days were read, learned from and predicted."""
    give_stores(settings.home, "mlflow")
    with dg.DagsterInstance.ephemeral() as instance:
        running.run_use_case(definitions, instance, visits, DAYS, train=True)
    return Lake(settings.lake, "visits")


def test_the_new_use_case_stands_beside_the_others(settings: Settings, definitions: dg.Definitions) -> None:
    assert list(list_use_cases(settings.use_cases)) == [
        "compound_rings",
        "loan_approval",
        "santander",
        "topics",
        "transactions",
        "visits",
    ]
    keys = definitions.resolve_asset_graph().get_all_asset_keys()
    assert {key.path[0] for key in keys} == {
        "compound_rings",
        "loan_approval",
        "santander",
        "topics",
        "transactions",
        "visits",
    }


def test_the_new_use_case_has_the_same_journey_as_the_others(definitions: dg.Definitions) -> None:
    keys = definitions.resolve_asset_graph().get_all_asset_keys()
    steps = {name: {key.path[1] for key in keys if key.path[0] == name} for name in ("visits", "loan_approval")}
    assert steps["visits"] == steps["loan_approval"]


def test_sample_files_are_drawn_from_its_contract_alone(settings: Settings, lake: Lake) -> None:
    files = sorted((settings.raw / "visits" / f"day={DAYS[0]}").iterdir())
    assert [file.name for file in files] == ["visits-0000000.csv", "visits-0000001.csv"]
    header, *lines = files[0].read_text(encoding="utf-8").splitlines()
    assert header == "visitor,minutes,channel,returned"
    assert len(lines) == 60


def test_a_champion_was_found(settings: Settings, visits: UseCase, lake: Lake) -> None:
    champion = collect(Workspace(settings).of(visits))["champion"]
    assert champion["candidate"] == "linear"
    assert champion["metrics"]["accuracy"] > champion["baseline_metrics"]["accuracy"] + 0.1


def test_every_row_has_a_prediction(lake: Lake) -> None:
    for day in DAYS:
        predictions = lake.table("predictions").read_all([day]).to_pylist()
        assert len(predictions) == lake.table("rows").read_all([day]).num_rows == 120
        assert {one["prediction"] for one in predictions} == {"no", "yes"}


def test_the_other_use_cases_were_left_alone(settings: Settings, lake: Lake) -> None:
    assert [path.name for path in settings.lake.iterdir()] == ["visits"]
