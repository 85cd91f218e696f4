"""A change of the recipe trains once: of keys that decide a model, or of the SQL's words; a comment does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from mlops_assets.components import MlUseCase
from mlops_assets.components.resources import engines, mlflow
from mlops_assets.journey.model.changing import REASON_TAG
from mlops_assets.journey.model.training_runs import TrainingRuns
from mlops_assets.journey.train.recipe import changed, deciding
from mlops_assets.journey.train.records import GatheredRows
from mlops_assets.journey.train.training_set import TrainingSet
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase, load_use_case
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers import toy
from mlops_assets_tests.helpers.toy import CANDIDATES, SQL, built, purchases

KEYS = {**toy.KEYS, "retraining": {"recipe": True}}


class Folder:
    """The folder of a use case that people edit."""

    def __init__(self, path: Path) -> None:
        self.path = path / "toy"
        self.path.mkdir()
        self.write()

    def write(self, sql: str = SQL, comment: str = "", **keys: Any) -> None:
        kind = "mlops_assets.components.ml_use_case.MlUseCase"
        text = yaml.safe_dump({"type": kind, "attributes": {**KEYS, **keys}})
        (self.path / "defs.yaml").write_text(f"# {comment}\n{text}")
        (self.path / "features.sql").write_text(sql)

    def load(self) -> UseCase:
        return load_use_case(self.path)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def training(**keys: Any) -> dict[str, Any]:
    return {"training": {**KEYS["training"], **keys}}


def columns(**keys: Any) -> dict[str, Any]:
    return {"columns": {**KEYS["columns"], "amount": {"type": "number", **keys}}}


LINEAR = {**CANDIDATES, "linear": {**CANDIDATES["linear"], "parameters": {"C": 2.0}}}

CHANGES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a comment": ({"comment": "another"}, []),
    "a comment in the SQL": ({"sql": f"-- why\n{SQL.replace(' FROM', '/* x */  FROM')}\n"}, []),
    "a description": ({"description": "Other words."}, []),
    "what a column means": (columns(about="In BRL.", unit="BRL"), []),
    "the gate": (training(gate={"floors": {"accuracy": 0.9}}), []),
    "a default that is written": (training(folds=3), []),
    "who is told": ({"deadline": "06:30 UTC"}, []),
    "the SQL": ({"sql": SQL.replace("amount, city", "amount * 2 AS amount, city")}, ["features.sql"]),
    "a parameter": (training(candidates=LINEAR), ["training.candidates.linear.parameters.C"]),
    "a bound": (columns(max=9), ["columns.amount.max"]),
    "a weight": ({"feedback": {"weight": 2}}, ["feedback.weight"]),
    "two at once": (columns(max=9) | training(folds=5), ["columns.amount.max", "training.folds"]),
}


@pytest.mark.parametrize(("change", "keys"), CHANGES.values(), ids=CHANGES)
def test_what_decides_a_model_is_told_by_its_keys(folder: Folder, change: dict[str, Any], keys: list[str]) -> None:
    before = deciding(folder.load())
    folder.write(**change)
    assert changed(before, deciding(folder.load())) == keys


def test_a_secret_is_no_part_of_the_recipe(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for value in ("1", "2"):
        monkeypatch.setenv("SHOP_SEED", value)
        linear = {**CANDIDATES["linear"], "parameters": {"solver": "{{ env.SHOP_SEED }}"}}
        folder.write(**training(candidates={**CANDIDATES, "linear": linear}))
        found.append(deciding(folder.load()))
    assert found[0] == found[1]


# -- the sensor ---------------------------------------------------------------------------------------------------------


class Watched:
    """The sensor of a code location that was loaded once, tick by tick, and trainings as their first step leaves them."""

    def __init__(self, folder: Folder, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.folder, self.runs, self.instance = folder, TrainingRuns(settings.lake, "toy"), instance
        self.data: TrainingSet = built(Lake(settings.lake, "toy"), folder.load(), purchases(60))
        parts = dg.Definitions(
            resources={"workspace": Workspace(settings), "engines": engines, "mlflow": mlflow},
            executor=dg.in_process_executor,
        )
        self.definitions = dg.Definitions.merge(MlUseCase(folder.load()).build_defs(), parts)
        self.cursor: str | None = None
        self.trained = 0

    def train(self) -> None:
        self.trained += 1
        made = f"2026-01-{self.trained:02}T00:00:00"
        self.runs.write(f"run-{self.trained}", GatheredRows(self.data, made, deciding(self.folder.load())))

    def tick(self) -> Any:
        sensor = self.definitions.get_repository_def().get_sensor_def("toy_recipe")
        resources = {"workspace": Workspace.from_environment()}
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor, resources=resources) as context:
            told = sensor.evaluate_tick(context)
        self.cursor = told.cursor or self.cursor
        return told

    def key(self) -> str | None:
        (asked,) = self.tick().run_requests
        key: str | None = asked.run_key
        return key

    def reasons(self) -> list[str]:
        return [request.tags[REASON_TAG] for request in self.tick().run_requests]


@pytest.fixture
def watched(folder: Folder, settings: Settings) -> Iterator[Watched]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watched(folder, settings, instance)


def test_a_change_asks_for_one_training_and_says_which_keys(watched: Watched, folder: Folder) -> None:
    assert "nothing was trained yet" in watched.tick().skip_message
    watched.train()
    assert watched.reasons() == []
    folder.write(**columns(max=9) | training(folds=5))
    assert watched.reasons() == ["recipe changed: columns.amount.max, training.folds"]
    assert watched.tick().skip_message == "the recipe is as it was"
    watched.cursor = None  # somebody resets the sensor while the training is on its way: the key is the same
    again = watched.key()
    watched.cursor = None
    assert watched.key() == again
    watched.train()
    watched.cursor = None
    assert watched.tick().skip_message == "the last training has learned by this recipe"


def test_a_change_back_is_a_change(watched: Watched, folder: Folder) -> None:
    """Who reverts on the main branch wants the former recipe back, with the rows of today; the gate decides."""
    watched.train()
    keys = set()
    for folds in (5, 3, 5):
        folder.write(**training(folds=folds))
        keys.add(watched.key())
        watched.train()
    assert len(keys) == 3, "Dagster starts no run of a key that it knows"


def test_a_change_that_is_taken_back_before_a_tick_saw_it_is_none(watched: Watched, folder: Folder) -> None:
    watched.train()
    watched.tick()
    folder.write(**training(folds=5))
    folder.write()
    assert watched.tick().skip_message == "the recipe is as it was"


def test_while_a_training_is_under_way_none_is_asked_for_and_then_the_newest_recipe_alone(
    watched: Watched, folder: Folder
) -> None:
    watched.train()
    job = watched.definitions.resolve_job_def("toy_training")
    run = watched.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    for folds in (4, 5):
        folder.write(**training(folds=folds))
        assert watched.tick().skip_message == f"the training {run.run_id} is under way"
    watched.instance.report_run_failed(run)
    assert watched.reasons() == ["recipe changed: training.folds"]
    assert watched.reasons() == []


def test_a_broken_yaml_says_so_and_trains_nothing(watched: Watched, folder: Folder) -> None:
    watched.train()
    folder.write(**training(folds="many"))
    assert "defs.yaml:" in watched.tick().skip_message
    assert "training.folds" in watched.tick().skip_message
    (folder.path / "features.sql").unlink()
    assert "nothing is trained, for what decides it cannot be read" in watched.tick().skip_message
    folder.write(**training(folds=5))
    assert watched.reasons() == ["recipe changed: training.folds"]


def test_after_an_upgrade_the_recipe_is_taken_for_that_of_the_last_training(watched: Watched) -> None:
    watched.runs.write("old", GatheredRows(watched.data, None))
    assert "kept no recipe" in watched.tick().skip_message
    assert watched.tick().skip_message == "the recipe is as it was"


def test_the_sensor_is_there_only_where_it_is_asked_for(folder: Folder) -> None:
    folder.write(retraining={})
    assert "toy_recipe" not in {sensor.name for sensor in MlUseCase(folder.load()).build_defs().sensors or ()}
