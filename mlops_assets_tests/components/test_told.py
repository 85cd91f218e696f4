"""People are told by the sensor: a red day, its recovery, a late day; and a heartbeat says that somebody tells."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.components.telling import heartbeat_sensor, look_now, runs_of
from mlops_assets.definitions import definitions_of
from mlops_assets.events.facts import LastRun, Runs, gather
from mlops_assets.events.memory import PATIENCE, Memories
from mlops_assets.use_case import Told, UseCase
from mlops_assets.use_case.drift import Floors
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.days import back
from mlops_assets_tests.helpers.receiver import Receiver, webhook
from mlops_assets_tests.helpers.stage import Stage, small


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with webhook() as known:
        yield known


SHARES = ("nulls", "unseen", "class_mix", "confidence", "rejects")


@pytest.fixture(autouse=True)
def nothing_came_yet(receiver: Receiver) -> None:
    receiver.got.clear()
    receiver.answers.clear()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Stage]:
    """A champion, the day before yesterday published, and one look taken."""
    told = {"oncall": Told(url=receiver.url, severity="info")}
    # so few rows, drawn anew for each date, are unlike the day before on some dates: no lamp shall speak here
    calm = Floors(**{name: 1.0 if name in SHARES else 100.0 for name in Floors.model_fields})
    drift = small().drift.model_copy(update={"floors": calm})
    use_case: UseCase = small().model_copy(update={"told": told, "drift": drift})
    with Stage.of(use_case, tmp_path_factory.mktemp("told") / "home") as stage:
        stage.sample(back(2))
        stage.run(back(2), train=True)
        Ticks(stage).tick()
        yield stage


@dataclass
class Ticks:
    """The sensor of a stage, evaluated tick by tick, as the daemon does it."""

    stage: Stage
    cursor: str | None = None

    def tick(self) -> dg.SensorResult:
        told = self.stage.tick("transactions_told", self.cursor)
        self.cursor = told.cursor
        return told


@pytest.fixture
def stage(trained: Stage, tmp_path: Path) -> Iterator[Stage]:
    with trained.copy(tmp_path / "home") as stage:
        yield stage


def test_a_day_is_told_red_and_well_again_once_each(stage: Stage, receiver: Receiver) -> None:
    day, ticks = back(1), Ticks(stage)
    stage.deliver(day, "a.csv", [])
    stage.execute("daily", day=day)
    ticks.tick()
    ticks.tick()
    (red,) = receiver.got
    assert (red["event"], red["severity"], red["days"]) == ("red", "error", [day])
    assert red["problem"] == f"{day} is red; it is not published."
    assert red["errors"]
    receiver.got.clear()
    stage.sample(day)
    stage.run(day)
    ticks.tick()
    ticks.tick()
    assert [(got["event"], got["over"]) for got in receiver.got] == [("published", False), ("red", True)]
    assert receiver.got[0]["numbers"]["predictions"] > 0


def test_of_a_range_the_good_days_are_not_red(stage: Stage) -> None:
    good, bad = back(2), back(1)
    stage.deliver(bad, "a.csv", [])
    result = stage.execute("daily", days=(good, bad))
    last = runs_of(stage.instance, stage.use_case).last
    assert last[good] == LastRun(result.run_id, (), True, last[good].ended)
    assert last[bad].errors
    assert last[bad].run_id == result.run_id


def test_a_webhook_that_is_down_holds_nobody_up_and_is_shown_in_dagster_once_it_is_given_up(
    stage: Stage, receiver: Receiver
) -> None:
    receiver.answers = [500, 500]
    ticks = Ticks(stage)
    stage.sample(back(1))
    stage.run(back(1))
    assert "oncall: it answered with 500" in (ticks.tick().skip_message or "")
    with stage.stores() as stores:
        memories = Memories(stores.lake)
        number, memory = memories.newest()
        (waiting,) = memory.waiting
        # a day later
        memories.add(number, replace(memory, waiting=(replace(waiting, since=waiting.since - PATIENCE, after=0.0),)))
    (shown,) = ticks.tick().asset_events
    assert "| oncall |" in str(shown.metadata["nobody was told"].value), "as a table, which no sentence can leave"
    assert "it answered with 500" in str(shown.metadata["nobody was told"].value)
    assert list(ticks.tick().asset_events) == []


def test_a_day_under_way_is_told_before_its_deadline_breaks_and_when_it_broke(stage: Stage, receiver: Receiver) -> None:
    """The forecast is of what earlier days cost: a millisecond before the deadline a day is too late."""
    day = back(1)
    moment = dt.datetime.combine(dt.date.fromisoformat(day) + dt.timedelta(days=1), dt.time(6, 30), dt.UTC)
    now = moment - dt.timedelta(milliseconds=1)
    use_case = stage.use_case.model_copy(update={"deadline": "06:30 UTC"})
    with stage.settings() as settings:
        stores = Workspace(settings).of(use_case)
        began = now - dt.timedelta(milliseconds=1)
        (due,) = [due for due in gather(stores, Runs(under_way={day: began}), now).due if due.day == day]
        assert due.moment == moment
        assert due.expected is not None
        assert due.expected > due.moment
        assert "no raw files of it were listed yet; a run is at work on it since 06:29 UTC" in due.state
        (due,) = [due for due in gather(stores, Runs(), now - dt.timedelta(hours=5)).due if due.day == day]
        assert due.expected is not None
        assert due.expected < due.moment
        assert not [due for due in gather(stores, Runs(), now - dt.timedelta(hours=7)).due if due.day == day]


def test_without_a_champion_nothing_is_late(tmp_path: Path) -> None:
    use_case = small().model_copy(update={"deadline": "00:00 UTC"})
    with Stage.of(use_case, tmp_path / "home") as stage, stage.stores() as stores:
        assert gather(stores, Runs(), dt.datetime.now(dt.UTC)).due == ()


def test_a_late_day_is_told(stage: Stage, receiver: Receiver) -> None:
    use_case = stage.use_case.model_copy(update={"deadline": "00:00 UTC"})
    with stage.settings() as settings:
        look_now(Workspace(settings).of(use_case), stage.instance)
    (late,) = [got for got in receiver.got if got["severity"] == "error"]
    assert late["problem"].startswith(f"{back(1)} is late: it was due by 00:00 UTC")


def test_a_use_case_that_tells_nobody_has_no_sensor() -> None:
    repository = definitions_of(small()).get_repository_def()
    assert not repository.has_sensor_def("transactions_told")
    assert repository.has_sensor_def("heartbeat")


def test_a_heartbeat_is_a_file_and_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))

    def beat(url: str) -> dg.SkipReason:
        workspace = Workspace(replace(Workspace.from_environment().settings, heartbeat_url=url))
        return heartbeat_sensor()(dg.build_sensor_context(resources={"workspace": workspace}))

    with webhook() as receiver:
        assert "200" in (beat(receiver.url).skip_message or "")
        assert receiver.asked == 1
        (tmp_path / "heartbeat").unlink()
        receiver.answers = [500]
        with pytest.raises(Exception, match="The heartbeat was not heard: it answered with 500"):
            beat(receiver.url)
    assert dt.datetime.fromisoformat((tmp_path / "heartbeat").read_text().strip()).tzinfo is not None
    assert "not set" in (beat("").skip_message or "")
