"""Retraining: enough new corrections or a drop start a training, once; nothing retrains in a loop."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.components import MlUseCase
from mlops_assets.components.resources import engines, mlflow
from mlops_assets.journey.feedback.audit import draw_audit
from mlops_assets.journey.feedback.corrections import take_in
from mlops_assets.journey.feedback.files import HEADER
from mlops_assets.journey.model.about import Summary
from mlops_assets.journey.model.changing import REASON_TAG
from mlops_assets.journey.model.training_runs import TrainingRuns
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.train.records import GatheredRows
from mlops_assets.journey.train.retraining import Evidence, decide, gather
from mlops_assets.journey.train.training_set import build_training_set
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import Feedback, Retraining, UseCase
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.feedback import LABELS, NOW, about, predicted
from mlops_assets_tests.helpers.toy import DAY, purchases, put, toy

TRAINED = NOW - dt.timedelta(hours=48)
NOTHING = Evidence(0, 0, 0, 0.9, TRAINED, "mark")
ASKED = Retraining(corrections=10, drop=0.05, drift=3, least_audited=20, hours_between=24)


# -- the decision -------------------------------------------------------------------------------------------------------

CASES = {
    "nothing new": ({}, False, "0 new corrections of 10 asked; 0 newly audited rows of 20 asked"),
    "too few corrections": ({"corrections": 9}, False, "9 new corrections of 10 asked"),
    "enough corrections": ({"corrections": 10}, True, "10 new corrections of 10 asked"),
    "too few audited": ({"audited": 19, "right": 0}, False, "19 newly audited rows of 20 asked"),
    "a drop": ({"audited": 20, "right": 16}, True, "accuracy 0.800 on 20 newly audited rows, 0.900 in evaluation"),
    "no drop": ({"audited": 20, "right": 18}, False, "accuracy 0.900 on 20 newly audited rows"),
    "too few red days": ({"red_days": 2}, False, "2 red days in a row of 3 asked"),
    "red days": ({"red_days": 3}, True, "3 red days in a row of 3 asked"),
    "no champion": ({"audited": 50, "evaluated": None}, False, "0 new corrections of 10 asked"),
    "never trained": ({"corrections": 99, "trained": None}, False, "nothing was trained yet"),
}


@pytest.mark.parametrize(("found", "train", "why"), CASES.values(), ids=CASES)
def test_the_decision_has_its_reason_with_the_numbers(found: dict[str, Any], train: bool, why: str) -> None:
    decision = decide(ASKED, replace(NOTHING, **found), None, NOW)
    assert decision.train is train
    assert why in decision.why


@pytest.mark.parametrize(("hours", "train"), [(23.9, False), (24.1, True)])
def test_no_training_starts_too_soon_after_the_last_one_even_if_that_failed(hours: float, train: bool) -> None:
    last = NOW - dt.timedelta(hours=hours)
    decision = decide(ASKED, replace(NOTHING, corrections=10), last, NOW)
    assert decision.train is train
    assert train or "but 23.9 of 24 hours passed since the last training" in decision.why


def test_what_is_not_asked_for_starts_nothing() -> None:
    much = replace(NOTHING, corrections=1000, audited=1000)
    assert decide(Retraining(corrections=10), replace(much, corrections=1), None, NOW).train is False
    assert decide(Retraining(drop=0.1), replace(much, right=900), None, NOW).train is False


# -- what it is made of -------------------------------------------------------------------------------------------------


@pytest.fixture
def use_case() -> UseCase:
    asked = {"feedback": Feedback(audit_rows=30), "retraining": ASKED}
    return toy().model_copy(update=asked)


@pytest.fixture
def lake(settings: Settings) -> Lake:
    return Lake(settings.lake, "toy")


@pytest.fixture
def folder(settings: Settings) -> Path:
    folder = settings.raw / "toy" / "feedback"
    folder.mkdir(parents=True)
    return folder


def say(use_case: UseCase, lake: Lake, folder: Path, rows: list[dict[str, Any]], who: str = "ann") -> None:
    lines = [",".join(HEADER), *(about(row, "FUEL", who) for row in rows)]
    (folder / f"{len(list(folder.iterdir()))}.csv").write_text("\n".join(lines))
    take_in(use_case, lake, folder, LABELS, NOW)


def train(use_case: UseCase, lake: Lake, settings: Settings, run: str, when: dt.datetime = TRAINED) -> None:
    """Remember a training, as its first step does."""
    found = build_training_set(use_case, lake)
    runs(settings).write(run, GatheredRows(found, when.isoformat()))


def runs(settings: Settings) -> TrainingRuns:
    return TrainingRuns(settings.lake, "toy")


def champion(accuracy: float = 0.9) -> Version:
    return Version("toy", 1, Path("nowhere"), "", "", "", Summary(metrics={"accuracy": accuracy}))


def test_corrections_count_until_a_training_has_seen_them(
    use_case: UseCase, lake: Lake, folder: Path, settings: Settings
) -> None:
    put(lake, use_case, purchases(60))
    train(use_case, lake, settings, "a")
    say(use_case, lake, folder, purchases(12))
    assert (
        gather(use_case, lake, runs(settings), None).corrections,
        gather(use_case, lake, runs(settings), None).trained,
    ) == (12, TRAINED)
    train(use_case, lake, settings, "b")  # whatever the gate says of it
    assert gather(use_case, lake, runs(settings), None).corrections == 0
    say(use_case, lake, folder, purchases(14)[12:])
    assert gather(use_case, lake, runs(settings), None).corrections == 2


def test_a_drop_is_looked_for_on_rows_that_were_audited_since_the_last_training(
    use_case: UseCase, lake: Lake, folder: Path, settings: Settings
) -> None:
    rows = purchases(60)
    put(lake, use_case, rows)
    predicted(lake, rows)  # always FOOD
    train(use_case, lake, settings, "a")
    drawn = {(one["file"], one["line"]) for one in draw_audit(use_case, lake, DAY).to_pylist()}
    audited = [row for row in rows if (row["file"], row["line"]) in drawn]
    say(use_case, lake, folder, [*audited[:25], *(row for row in rows if row not in audited)])
    found = gather(use_case, lake, runs(settings), champion())
    assert (found.audited, found.right, found.evaluated, found.corrections) == (25, 0, 0.9, 55)
    assert gather(use_case, lake, runs(settings), replace(champion(), version=2)).audited == 0, (
        "another version made these predictions"
    )
    train(use_case, lake, settings, "b")
    found = gather(use_case, lake, runs(settings), champion())
    assert found.audited == 0
    assert not decide(ASKED, found, None, NOW).train, "the same drop starts nothing again"


# -- the sensor ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def definitions(use_case: UseCase, settings: Settings) -> dg.Definitions:
    resources = {"workspace": Workspace(settings), "engines": engines, "mlflow": mlflow}
    parts = dg.Definitions(resources=resources, executor=dg.in_process_executor)
    return dg.Definitions.merge(MlUseCase(use_case).build_defs(), parts)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def tick(definitions: dg.Definitions, instance: dg.DagsterInstance) -> Any:
    sensor = definitions.get_repository_def().get_sensor_def("toy_retraining")
    resources = {"workspace": Workspace.from_environment()}
    with dg.build_sensor_context(instance=instance, resources=resources) as context:
        return sensor.evaluate_tick(context)


def test_the_sensor_asks_for_one_training_and_says_why_or_why_not(
    use_case: UseCase,
    lake: Lake,
    folder: Path,
    settings: Settings,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
) -> None:
    put(lake, use_case, purchases(60))
    assert "nothing was trained yet" in tick(definitions, instance).skip_message
    train(use_case, lake, settings, "a")
    assert "0 new corrections of 10 asked" in tick(definitions, instance).skip_message
    say(use_case, lake, folder, purchases(12))
    (first,) = tick(definitions, instance).run_requests
    assert first.tags[REASON_TAG] == "12 new corrections of 10 asked"
    (again,) = tick(definitions, instance).run_requests
    assert again.run_key == first.run_key, "Dagster starts one run a key"
    train(use_case, lake, settings, "b", NOW)
    assert "0 new corrections of 10 asked" in tick(definitions, instance).skip_message


def test_the_sensor_waits_for_a_training_that_is_under_way(
    use_case: UseCase,
    lake: Lake,
    folder: Path,
    settings: Settings,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
) -> None:
    put(lake, use_case, purchases(60))
    train(use_case, lake, settings, "a")
    say(use_case, lake, folder, purchases(12))
    run = instance.create_run_for_job(definitions.resolve_job_def("toy_training"), status=dg.DagsterRunStatus.STARTED)
    assert tick(definitions, instance).skip_message == f"the training {run.run_id} is under way"
    instance.report_run_failed(run)
    assert "but 0.0 of 24 hours passed since the last training" in tick(definitions, instance).skip_message


def test_the_sensor_and_the_schedule_are_drawn_only_where_they_are_asked_for(use_case: UseCase) -> None:
    drawn = {
        name: MlUseCase(use_case.model_copy(update={"retraining": Retraining(**asked)})).build_defs()
        for name, asked in (("none", {}), ("schedule", {"schedule": "0 4 * * 1"}), ("drop", {"drop": 0.1}))
    }
    sensors = {name: {one.name for one in drawn[name].sensors or ()} for name in drawn}
    assert ["toy_retraining" in sensors[name] for name in drawn] == [False, False, True]
    schedules = {name: {one.name: one for one in drawn[name].schedules or ()} for name in drawn}
    assert "toy_retraining_schedule" not in schedules["none"].keys() | schedules["drop"].keys()
    schedule = schedules["schedule"]["toy_retraining_schedule"]
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 4 * * 1", "UTC")


# -- the labels of a month ----------------------------------------------------------------------------------------------

MONTHLY = Retraining(labels="monthly", hours_between=0)


@pytest.mark.parametrize(
    ("day", "counted", "train"),
    [("2026-02-01", 40, True), ("2026-01-31", 40, False), ("2026-02-01", 10, False), ("2026-02-01", None, False)],
    ids=["a new month", "the same month", "most have none", "nobody counted"],
)
def test_labels_that_reach_into_a_new_month_start_a_training(
    use_case: UseCase, lake: Lake, settings: Settings, day: str, counted: int | None, train: bool
) -> None:
    put(lake, use_case, purchases(60), "2026-01-30", labelled=60)
    remember(use_case, lake, settings)
    put(lake, use_case, purchases(60), day, labelled=counted)
    evidence = gather(use_case, lake, runs(settings), None)
    decision = decide(MONTHLY, evidence, None, dt.datetime.now(dt.UTC))
    assert decision.train is train
    assert decision.why == (
        f"labels reach {day}, the last training learned up to 2026-01-30"
        if train
        else "no labels of a month after 2026-01, which the last training learned"
    )
    remember(use_case, lake, settings)  # whatever it learned of that day
    assert not decide(MONTHLY, gather(use_case, lake, runs(settings), None), None, dt.datetime.now(dt.UTC)).train


def remember(use_case: UseCase, lake: Lake, settings: Settings) -> None:
    """Remember a training of now."""
    found = build_training_set(use_case, lake)
    made = (dt.datetime.now(dt.UTC) + dt.timedelta(milliseconds=1)).isoformat()
    runs(settings).write(f"run-{made}", GatheredRows(replace(found, days=("2026-01-30", "2026-01-30")), made))
