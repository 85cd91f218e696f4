"""Days that messages name: listed at the next look, within the window and before it, and no more than that."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.journey.read.arrivals import CALLED_SECONDS, CLEANED, MOST_CALLED, Lookout, Verdict, summary
from mlops_assets.journey.read.looks import State
from mlops_assets.use_case import Sensor
from mlops_assets_tests.helpers.arrivals import DAY, OLD, START, TODAY, WINDOW, World

LONG_AGO = "2025-11-05"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A day of the window and one long before it, both of three files that the lake has."""
    world = World(tmp_path)
    for day in (LONG_AGO, DAY):
        for name in ("a.csv", "b.csv", "c.csv"):
            world.put(day, name)
        world.run(day)
    assert world.verdicts() == {OLD: Verdict.ABSENT, DAY: Verdict.SAME, TODAY: Verdict.ABSENT}
    return world


def test_without_a_message_a_late_file_is_noticed_when_its_day_is_listed_again(world: World) -> None:
    world.put(DAY, "late.csv")
    world.wait(1)
    assert world.tick()[DAY].verdict is Verdict.SAME
    world.wait(30)
    found = world.tick()[DAY]
    assert found.verdict is Verdict.SETTLING
    assert found.reason.endswith("; listed last 2025-12-29 09:20 UTC"), "so long may the file have been there"


@pytest.mark.parametrize("day", [DAY, LONG_AGO], ids=["in the window", "long before it"])
def test_with_one_it_is_noticed_at_the_next_look_and_run_once_it_has_settled(world: World, day: str) -> None:
    world.put(day, "late.csv")
    world.wait(1)
    found = world.tick(day)[day]
    assert (found.verdict, found.said) == (
        Verdict.SETTLING,
        "4 files, 1 more than listed before; settling, last change seen 0 min ago",
    )
    world.wait(11)
    found = world.tick()[day]
    assert (found.verdict, found.said) == (Verdict.CHANGED, "4 files, 1 more than listed before")
    world.run(day)
    world.wait(31)
    after = world.tick()
    assert after[DAY].verdict is Verdict.SAME
    assert day in WINDOW or world.tick().get(day) is None, "once it is as in the lake, nobody watches it any more"


def test_a_day_that_was_never_there_and_comes_long_after_is_a_new_one(world: World) -> None:
    world.put("2025-12-01", "a.csv")
    assert world.tick("2025-12-01")["2025-12-01"].verdict is Verdict.SETTLING
    world.wait(11)
    assert world.tick()["2025-12-01"].said == "new day with 1 file"


@pytest.mark.parametrize("times", [1, 5])
def test_a_message_for_nothing_costs_a_listing_and_changes_nothing(world: World, times: int) -> None:
    for _ in range(times):
        world.source.listed.clear()
        world.wait(1)
        found = world.tick(DAY, LONG_AGO, "2025-10-10")
        assert {one.day for one in found.values() if one.verdict is Verdict.SAME} == {DAY, LONG_AGO}
        assert found["2025-10-10"].verdict is Verdict.ABSENT
        assert len(world.source.listed) == 6
        world.source.listed.clear()
        assert set(world.tick()) == {*WINDOW}
        assert world.source.listed == []


def test_a_day_before_the_window_whose_files_were_cleaned_up_is_never_run_for_a_message(world: World) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        world.remove(LONG_AGO, name)
    world.put(LONG_AGO, "late.csv")
    for _ in range(3):
        found = world.tick(LONG_AGO)[LONG_AGO]
        world.wait(11)
    assert (found.verdict, found.said) == (Verdict.HELD, f"1 file, 2 fewer than listed before; {CLEANED}")
    world.wait(CALLED_SECONDS / 60)
    assert LONG_AGO not in world.tick(), "it is told for a day"


def test_a_day_that_settles_is_not_listed_at_every_message(world: World) -> None:
    world.put(DAY, "late.csv")
    world.tick(DAY)
    world.source.listed.clear()
    for _ in range(9):
        world.wait(1)
        assert world.tick(DAY)[DAY].verdict is Verdict.SETTLING
    assert world.source.listed == []
    world.wait(2)
    assert world.tick(DAY)[DAY].verdict is Verdict.CHANGED


def test_a_file_that_comes_while_its_day_is_being_listed_is_found_by_a_listing_after_it(tmp_path: Path) -> None:
    world = World(tmp_path, Sensor(budget_seconds=5, settle_minutes=0))
    for number in range(8):
        world.put(DAY, f"{number}.csv")
    world.run(DAY)
    assert world.tick(DAY)[DAY].verdict is Verdict.LISTING
    world.put(DAY, "0-late.csv")  # before what was listed already
    assert world.tick(DAY)[DAY].verdict is Verdict.SAME
    found = world.tick()
    while found[DAY].verdict is Verdict.LISTING:
        found = world.tick()
    assert found[DAY].verdict is Verdict.CHANGED


def test_messages_without_end_keep_no_other_day_from_being_listed(tmp_path: Path) -> None:
    world = World(tmp_path, Sensor(budget_seconds=5, relist_minutes=10))
    for number in range(20):
        world.put(TODAY, f"{number}.csv")
    world.put(DAY, "a.csv")
    for day in (TODAY, DAY):
        world.run(day)
    world.tick()
    while any(one.verdict is not Verdict.SAME for one in world.tick().values() if one.day != OLD):
        world.wait(0.5)
    world.put(DAY, "late.csv")
    waited = 0.0
    while world.tick(TODAY)[DAY].verdict is Verdict.SAME:
        world.wait(0.5)
        waited += 0.5
        assert waited < 25, "twice the minutes after which it is listed anyway"


def test_no_more_days_before_the_window_are_watched_than_can_be(world: World) -> None:
    many = [f"20{year}-01-{day:02}" for year in range(10, 16) for day in range(1, 29)]
    for day in many:
        world.put(day, "a.csv")
    found = world.tick(*many)
    assert set(found) == {*WINDOW, *many[-MOST_CALLED:]}


def test_a_call_of_the_future_is_of_a_clock_that_was_wrong(tmp_path: Path) -> None:
    world = World(tmp_path)
    state = State(place="D", called={LONG_AGO: START + 100, DAY: START - CALLED_SECONDS})
    assert Lookout(world.source, Sensor(), WINDOW, state, world.source.now).called == {}


def test_a_tick_says_how_long_ago_days_were_listed_of_which_nothing_is_said(world: World) -> None:
    world.wait(12)
    assert summary(world.tick().values(), world.source.now()) == "1 day as listed before, up to 12 min ago"
    assert summary(world.tick(DAY).values(), world.source.now()) == "1 day as listed before"
