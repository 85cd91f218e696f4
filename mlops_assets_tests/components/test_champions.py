"""A change of the champion is seen by its number, whoever made it: shown on the asset, told at once, and told once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.errors import MlopsError
from mlops_assets.use_case import Told
from mlops_assets.workspace import Stores
from mlops_assets_tests.helpers.receiver import Receiver, webhook
from mlops_assets_tests.helpers.stage import Stage, small

SENSOR = "transactions_champion"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with webhook() as known:
        yield known


@pytest.fixture
def stage(tmp_path: Path, receiver: Receiver) -> Iterator[Stage]:
    told = {"deploy": Told(url=receiver.url, severity="info", events=("champion",))}
    with Stage.of(small().model_copy(update={"told": told}), tmp_path / "home") as stage:
        stage.tick("transactions_told", None)  # at the first look nothing that happened before is news
        yield stage


def change(stores: Stores, version: int) -> None:
    """As the command `promote` leaves it, without Dagster."""
    stores.history.append("promote", version, "ada", f"reason {version}", "passed")


def numbers(tick: dg.SensorResult) -> list[object]:
    return [event.metadata["number"].value for event in tick.asset_events]


def test_each_change_is_shown_and_told_at_once_and_those_that_were_missed_are_caught_up(
    stage: Stage, receiver: Receiver
) -> None:
    assert stage.tick(SENSOR, None).skip_message == "no change after number 0"
    with stage.stores() as stores:
        change(stores, 1)
        tick = stage.tick(SENSOR, None)
        assert (numbers(tick), tick.cursor) == ([1], "1")
        change(stores, 2)
        change(stores, 1)
    tick = stage.tick(SENSOR, tick.cursor)
    assert (numbers(tick), tick.cursor) == ([2, 3], "3")
    (_, last) = tick.asset_events
    assert last.asset_key == dg.AssetKey(["transactions", "champion"])
    shown = {name: value.value for name, value in last.metadata.items()}
    assert (shown["version"], shown["before"], shown["who"], shown["why"]) == (1, 2, "ada", "reason 1")
    assert [got["change"] for got in receiver.got] == [1, 2, 3]
    assert stage.tick(SENSOR, tick.cursor).skip_message == "no change after number 3"


def test_a_tick_that_is_lost_tells_nothing_twice(stage: Stage, receiver: Receiver) -> None:
    with stage.stores() as stores:
        change(stores, 1)
    assert numbers(stage.tick(SENSOR, None)) == numbers(stage.tick(SENSOR, None)) == [1]
    stage.tick("transactions_told", None)
    assert [got["change"] for got in receiver.got] == [1]


def test_a_cursor_that_is_lost_or_none_begins_anew_and_tells_nothing_twice(stage: Stage, receiver: Receiver) -> None:
    with stage.stores() as stores:
        change(stores, 1)
    for cursor in (None, "", "none", "-1", '{"seen": 1}', "9" * 99):
        tick = stage.tick(SENSOR, cursor)
        assert (numbers(tick), tick.cursor) == ([1], "1")
    assert [got["change"] for got in receiver.got] == [1]


def test_a_history_that_is_damaged_or_shorter_than_it_was_fails_the_tick(stage: Stage) -> None:
    with stage.stores() as stores:
        change(stores, 1)
        change(stores, 2)
        path = stores.lake.change(2)
        whole = path.read_bytes()
        path.write_bytes(b"{")
        with pytest.raises(MlopsError, match=r"000002\.json is damaged"):
            stage.tick(SENSOR, "1")
        path.unlink()
        with pytest.raises(dg.Failure, match="change 2 of the champion was seen and is gone"):
            stage.tick(SENSOR, "2")
        path.write_bytes(whole)
    assert numbers(stage.tick(SENSOR, "1")) == [2]


def test_a_use_case_without_channels_has_its_changes_shown(tmp_path: Path) -> None:
    with Stage.of(small(), tmp_path / "home") as stage:
        with stage.stores() as stores:
            change(stores, 1)
        tick = stage.tick(SENSOR, None)
    assert "no channel is named" in (tick.skip_message or "")
    assert numbers(tick) == [1]
