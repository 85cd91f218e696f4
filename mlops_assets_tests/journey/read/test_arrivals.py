"""What the look-out for new files finds, whatever happens to the files and however its listings are cut into pieces."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.journey.read.arrivals import ArrivalError, Finding, Verdict, summary
from mlops_assets.journey.read.listing import list_day
from mlops_assets.journey.read.looks import Known, State
from mlops_assets.journey.read.sources import Entry
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import Sensor, UseCase
from mlops_assets_tests.helpers.arrivals import DAY, OLD, START, TODAY, WINDOW, Slow, World


class FromTheStart(Slow):
    """One that cannot go on with a listing."""

    def list(self, day: str, after: str = "") -> Iterator[Entry]:
        if after:
            raise NotImplementedError
        yield from super().list(day)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def published(world: World) -> World:
    """A day of three files that the lake has."""
    for name in ("a.csv", "b.csv", "c.csv"):
        world.put(DAY, name)
    world.run(DAY)
    assert world.tick()[DAY].verdict is Verdict.SAME
    return world


# -- a day arrives ------------------------------------------------------------------------------------------------------


def test_where_nothing_arrived_nothing_is_found(world: World) -> None:
    assert set(world.verdicts().values()) == {Verdict.ABSENT}


def test_a_new_day_is_found_when_it_has_not_changed_for_the_minutes_that_were_asked_for(world: World) -> None:
    world.put(DAY, "a.csv")
    first = world.tick()[DAY]
    assert (first.verdict, first.said) == (
        Verdict.SETTLING,
        "new day with 1 file; settling, last change seen 0 min ago",
    )
    world.wait(9.9)
    assert world.tick()[DAY].verdict is Verdict.SETTLING
    world.wait(0.2)
    found = world.tick()[DAY]
    assert (found.verdict, found.said) == (Verdict.CHANGED, "new day with 1 file")


def test_a_day_that_goes_on_changing_is_never_found(world: World) -> None:
    for number in range(20):
        world.put(DAY, f"{number}.csv")
        assert world.tick()[DAY].verdict is Verdict.SETTLING
        world.wait(11)


def test_old_modification_times_do_not_make_a_day_whole(world: World) -> None:
    """A copy may keep the times of its original, and the clock of a store may be wrong."""
    world.put(DAY, "a.csv")
    assert world.tick()[DAY].verdict is Verdict.SETTLING
    world.put(DAY, "b.csv")
    world.wait(11)
    assert world.tick()[DAY].verdict is Verdict.SETTLING


def test_a_folder_without_files_is_no_delivery(world: World) -> None:
    Path(world.source.place(DAY)).mkdir(parents=True)
    world.wait(100)
    world.tick()
    world.wait(100)
    assert world.tick()[DAY].verdict is Verdict.ABSENT


@pytest.mark.parametrize("change", ["new", "overwritten", "deleted", "all deleted"])
def test_a_change_of_a_published_day_is_found_once_it_has_settled(published: World, change: str) -> None:
    if change == "new":
        published.put(DAY, "late/d.csv")
    elif change == "overwritten":
        published.put(DAY, "b.csv")
    elif change == "deleted":
        published.remove(DAY, "b.csv")
    else:
        for name in ("a.csv", "b.csv", "c.csv"):
            published.remove(DAY, name)
    published.wait(31)
    assert published.tick()[DAY].verdict is Verdict.SETTLING
    published.wait(11)
    found = published.tick()
    assert {day: one.verdict for day, one in found.items() if one.verdict is not Verdict.ABSENT} == {
        DAY: Verdict.CHANGED
    }
    assert (
        found[DAY].said
        == {
            "new": "4 files, 1 more than listed before",
            "overwritten": "3 files, some other than those listed before",
            "deleted": "2 files, 1 fewer than listed before",
            "all deleted": "0 files, 3 fewer than listed before",
        }[change]
    )
    published.run(DAY)
    assert published.tick()[DAY].verdict is Verdict.SAME


def test_a_change_that_was_taken_back_is_none(published: World) -> None:
    published.put(DAY, "d.csv")
    published.wait(31)
    assert published.tick()[DAY].verdict is Verdict.SETTLING
    published.remove(DAY, "d.csv")
    published.wait(11)
    assert published.tick()[DAY].verdict is Verdict.SAME


def test_the_way_there_and_back_are_two_changes_with_keys_of_their_own(published: World) -> None:
    """A key is remembered for ever, so that a day which becomes what it was must not have its old key."""
    path, keys = Path(published.source.place(DAY)) / "b.csv", []
    for when in (77, 2, 77, 2):
        os.utime(path, ns=(when, when))
        published.wait(31)
        published.tick()
        published.wait(11)
        keys.append(published.tick()[DAY].key)
        published.run(DAY)
        published.tick()
    assert all(keys)
    assert len(set(keys)) == 4


def test_a_change_keeps_its_key_until_it_is_made(published: World) -> None:
    published.put(DAY, "d.csv")
    found = [published.settle()[DAY] for _ in range(3)]
    assert {one.verdict for one in found} == {Verdict.CHANGED}
    assert len({one.key for one in found}) == 1


def test_a_day_that_was_listed_by_hand_is_not_asked_for(world: World) -> None:
    world.put(DAY, "a.csv")
    world.tick()
    world.run(DAY)
    assert world.tick()[DAY].verdict is Verdict.SAME


def test_a_run_that_listed_something_newer_than_the_look_is_not_undone(world: World) -> None:
    world.put(DAY, "a.csv")
    world.tick()
    world.wait(11)
    assert world.tick()[DAY].verdict is Verdict.CHANGED
    world.put(DAY, "b.csv")
    world.run(DAY)
    assert world.tick()[DAY].verdict is Verdict.SAME


def test_a_file_that_comes_while_a_run_lists_the_day_is_found_afterwards(world: World) -> None:
    world.put(DAY, "a.csv")
    assert world.settle()[DAY].verdict is Verdict.CHANGED
    world.run(DAY)
    world.put(DAY, "b.csv")
    assert world.settle()[DAY].said == "2 files, 1 more than listed before"


def test_days_outside_the_window_are_left_alone(world: World) -> None:
    world.put("2025-12-31", "a.csv")
    world.put("2026-01-04", "a.csv")
    assert set(world.settle()) == set(WINDOW)
    assert world.source.listed == []


def test_a_day_of_a_lake_without_fingerprints_is_run_once(published: World) -> None:
    """The lake was made by a version that did not store them yet."""
    published.lake[DAY] = Known(3, "", 3)
    found = published.settle()[DAY]
    assert (found.verdict, found.said) == (
        Verdict.CHANGED,
        "3 files; the listing before them has no fingerprint yet",
    )
    published.run(DAY)
    assert published.tick()[DAY].verdict is Verdict.SAME


def test_the_fingerprint_of_a_look_is_the_one_that_a_run_stores(
    tmp_path: Path, world: World, transactions: UseCase
) -> None:
    for name in ("a.csv", "deep/b.csv", "São.csv", "no data.txt"):
        world.put(DAY, name)
    table = Lake(tmp_path / "lake", "transactions").table("raw_files")
    list_day(transactions, world.source, table, DAY)
    stored = table.days()[DAY].accounting
    assert (stored.content, stored.files) == world.lies_there(DAY)


# -- the mark of a whole delivery ---------------------------------------------------------------------------------------


@pytest.fixture
def marked(tmp_path: Path) -> World:
    """A look-out that waits for `_SUCCESS`."""
    return World(tmp_path, Sensor(marker="_SUCCESS"))


def test_a_day_is_not_even_listed_without_its_mark_and_whole_at_once_with_it(marked: World) -> None:
    marked.put(DAY, "a.csv")
    for _ in range(3):
        found = marked.tick()[DAY]
        assert (found.verdict, found.said) == (Verdict.UNMARKED, "waits for _SUCCESS")
        marked.wait(60)
    assert marked.source.listed == []
    marked.put(DAY, "_SUCCESS")
    assert marked.tick()[DAY].verdict is Verdict.CHANGED


def test_a_marked_delivery_without_files_is_one(marked: World) -> None:
    marked.put(DAY, "_SUCCESS")
    assert marked.tick()[DAY].said == "new day with 0 files"


def test_late_files_behind_the_mark_must_settle(marked: World) -> None:
    marked.put(DAY, "a.csv")
    marked.put(DAY, "_SUCCESS")
    marked.tick()
    marked.run(DAY)
    marked.tick()
    marked.put(DAY, "b.csv")
    marked.wait(31)
    assert marked.tick()[DAY].verdict is Verdict.SETTLING
    marked.wait(11)
    assert marked.tick()[DAY].verdict is Verdict.CHANGED


def test_a_mark_that_is_taken_away_stops_everything_until_it_is_back(marked: World) -> None:
    for name in ("a.csv", "_SUCCESS"):
        marked.put(DAY, name)
    marked.tick()
    marked.run(DAY)
    marked.remove(DAY, "_SUCCESS")
    marked.put(DAY, "b.csv")
    marked.wait(100)
    assert marked.tick()[DAY].verdict is Verdict.UNMARKED
    marked.put(DAY, "_SUCCESS")
    assert marked.tick()[DAY].verdict is Verdict.SETTLING, "it is listed as soon as the mark is back"
    assert marked.settle()[DAY].verdict is Verdict.CHANGED


def test_a_mark_that_is_taken_away_while_the_day_is_listed_does_not_hold_up_the_others(tmp_path: Path) -> None:
    world = World(tmp_path, Sensor(marker="_SUCCESS", budget_seconds=5))
    for day, files in ((OLD, 1), (DAY, 1), (TODAY, 10)):
        world.put(day, "_SUCCESS")
        for number in range(files):
            world.put(day, f"{number}.csv")
    assert world.tick()[TODAY].verdict is Verdict.LISTING
    world.remove(TODAY, "_SUCCESS")
    assert world.verdicts() == {OLD: Verdict.CHANGED, DAY: Verdict.CHANGED, TODAY: Verdict.UNMARKED}


# -- no more listing than it takes --------------------------------------------------------------------------------------


def test_a_day_without_news_is_listed_again_only_after_its_minutes(published: World) -> None:
    published.source.listed.clear()
    for _ in range(5):
        published.wait(5)
        published.tick()
    assert published.source.listed == []
    published.wait(5)
    published.tick()
    assert len(published.source.listed) == 3


def test_a_day_that_settles_is_listed_twice(world: World) -> None:
    world.put(DAY, "a.csv")
    for _ in range(12):
        found = world.tick()[DAY]
        world.wait(1)
    assert found.verdict is Verdict.CHANGED
    assert len(world.source.listed) == 2


def test_newer_days_are_listed_first_when_all_are_new(world: World) -> None:
    for day in WINDOW:
        world.put(day, "a.csv")
    world.tick()
    assert [path.partition("/")[0] for path in world.source.listed] == [TODAY, DAY, OLD]


# -- a listing that takes several ticks ---------------------------------------------------------------------------------


def test_a_listing_stops_in_time_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    world = World(tmp_path, Sensor(budget_seconds=10))
    for number in range(25):
        world.put(DAY, f"{number // 7}/{number:02}.csv")
    said = []
    for _ in range(3):
        before = world.source.now()
        said.append(world.tick()[DAY].said)
        assert world.source.now() - before <= 11
        world.wait(1)
    assert said[:2] == ["9 files so far, listing goes on", "18 files so far, listing goes on"]
    assert said[2].startswith("new day with 25 files; settling")
    assert len(world.source.listed) == 25 + 2, "the one in whose turn the time was over is listed again"


def test_a_tick_makes_some_way_even_if_its_time_is_over_at_once(tmp_path: Path) -> None:
    world = World(tmp_path, Sensor(budget_seconds=0.01, settle_minutes=0))
    for number in range(5):
        world.put(DAY, f"{number}.csv")
    verdicts = [world.tick()[DAY].verdict for _ in range(6)]
    assert Verdict.CHANGED in verdicts


def test_a_day_that_is_begun_and_then_gone_does_not_hold_up_the_others(tmp_path: Path) -> None:
    world = World(tmp_path, Sensor(budget_seconds=5, settle_minutes=0))
    for number in range(10):
        world.put(TODAY, f"{number}.csv")
    assert world.tick()[TODAY].verdict is Verdict.LISTING
    shutil.rmtree(world.source.place(TODAY))
    for day in (OLD, DAY):
        world.put(day, "a.csv")
    assert world.verdicts() == {OLD: Verdict.CHANGED, DAY: Verdict.CHANGED, TODAY: Verdict.ABSENT}


def test_a_tick_begins_no_further_day_when_its_time_is_over(tmp_path: Path) -> None:
    world = World(tmp_path, Sensor(budget_seconds=1))
    for day in WINDOW:
        world.put(day, "a.csv")
    for ticks in (1, 2, 3):
        world.tick()
        assert len(world.source.listed) == ticks


def test_a_listing_goes_on_behind_names_that_are_not_utf_8(tmp_path: Path) -> None:
    world = World(tmp_path, Sensor(budget_seconds=1, settle_minutes=0))
    folder = Path(world.source.place(DAY))
    folder.mkdir(parents=True)
    for name in (b"\xff.csv", b"\xfe.csv", b"\xfd.csv", b"a.csv"):
        (folder / os.fsdecode(name)).touch()
    found = world.settle()[DAY]
    assert found.said == "new day with 4 files"
    world.run(DAY)
    assert world.settle()[DAY].verdict is Verdict.SAME


def test_a_source_that_cannot_go_on_begins_again_and_says_so_when_a_day_is_too_large(tmp_path: Path) -> None:
    world = World(tmp_path, Sensor(budget_seconds=10), FromTheStart)
    for number in range(8):
        world.put(TODAY, f"{number}.csv")
        world.put(DAY, f"{number}.csv")
    assert world.verdicts() == {OLD: Verdict.ABSENT, DAY: Verdict.LISTING, TODAY: Verdict.SETTLING}
    assert world.verdicts()[DAY] is Verdict.SETTLING
    for number in range(8, 20):
        world.put(DAY, f"{number}.csv")
    message = rf"day={DAY}: \d+ files were listed in 10 s, which were not all, and this source cannot go on"
    with pytest.raises(ArrivalError, match=message):
        world.settle()


# -- what goes wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "{",
        "null",
        "[]",
        '{"form": 2}',
        "1767000000",
        '{"form": 1, "place": "D", "looks": {"2026-01-02": {}}}',
        '{"form": 1, "place": "D", "begun": {"day": "2026-01-02", "began": 0, "version": 1, "content": "no number"}}',
    ],
)
def test_a_cursor_that_cannot_be_read_begins_anew(cursor: str) -> None:
    assert State.read(cursor, "D") == State(place="D")


def test_a_cursor_of_another_place_begins_anew(published: World) -> None:
    assert published.cursor is not None
    assert State.read(published.cursor, "elsewhere") == State(place="elsewhere")


def test_a_cursor_of_the_future_does_not_stop_the_watch(published: World) -> None:
    published.put(DAY, "d.csv")
    published.wait(60 * 24 * 365)
    published.tick()
    published.source.seconds = START
    assert published.settle()[DAY].verdict is Verdict.CHANGED


def test_when_everything_is_gone_at_once_nothing_is_asked_for(published: World) -> None:
    cursor = published.cursor
    folder = published.source.folder.root
    folder.rename(folder.with_name("unmounted"))
    with pytest.raises(ArrivalError, match=r"There is nothing at all like .*day=YYYY-MM-DD, though 1 days were listed"):
        published.tick()
    assert published.cursor == cursor
    folder.with_name("unmounted").rename(folder)
    assert published.tick()[DAY].verdict is Verdict.SAME


def test_a_summary_names_what_is_new_and_counts_the_rest() -> None:
    findings = [
        Finding("2026-01-01", Verdict.ABSENT, "nothing there yet"),
        Finding("2026-01-02", Verdict.SAME, "3 files, listed as they lie there"),
        Finding("2026-01-03", Verdict.LISTING, "812,000 files so far, listing goes on"),
    ]
    assert summary(findings) == "2026-01-03: 812,000 files so far, listing goes on; 1 day as listed before"
    assert summary(findings[:1]) == "no files of these days yet"
    many = summary([Finding(f"day {n}", Verdict.CHANGED, "x") for n in range(366)])
    assert many.endswith("; and 346 more days with news")


# -- whatever happens ---------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a.csv", "b.csv", "b/c.csv", "b/d.csv", "b-c.csv", "é.csv", "z.txt"])
ACTIONS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(WINDOW), NAMES),
    st.tuples(st.just("remove"), st.sampled_from(WINDOW), NAMES),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 6.0, 11.0, 31.0])),
    # messages name any days, also for nothing, twice, or one that was never there
    st.lists(st.sampled_from([*WINDOW, "2025-11-01"]), max_size=2).map(lambda days: ("tick", *days)),
    st.tuples(st.just("run")),
)


def act(world: World, action: tuple[str, ...], asked: list[Finding]) -> None:
    """One thing that happens; a run runs what was asked for last."""
    if action[0] == "tick":
        asked[:] = [one for one in world.tick(*action[1:]).values() if one.verdict is Verdict.CHANGED]
    elif action[0] == "run":
        for one in asked:
            world.run(one.day)
        asked.clear()
    else:
        getattr(world, action[0])(*action[1:])


@settings(max_examples=100)
@given(actions=st.lists(ACTIONS, max_size=30), budget=st.sampled_from([0.5, 1, 2, 3, 30]))
def test_every_change_is_asked_for_once_and_nothing_else_however_the_listing_is_cut(
    actions: list[tuple[str, ...]], budget: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), Sensor(budget_seconds=budget))
        world.put("2025-12-01", "keeps the place alive.csv")
        asked: list[Finding] = []
        for action in actions:
            act(world, action, asked)
        # the world comes to rest: every day that differs from the lake is asked for, once, and no other
        differing = {day for day in WINDOW if world.lies_there(day)[0] != world.lake.get(day, Known()).content}
        found = world.settle()
        assert {day for day, one in found.items() if one.verdict is Verdict.CHANGED} == differing
        for day in differing:
            world.run(day)
        assert {one.verdict for one in world.settle().values()} <= {Verdict.ABSENT, Verdict.SAME}


@settings(max_examples=100)
@given(actions=st.lists(ACTIONS, max_size=40), budget=st.sampled_from([0.5, 2, 30]))
def test_no_day_is_asked_for_before_it_has_settled_nor_as_the_lake_has_it(
    actions: list[tuple[str, ...]], budget: float
) -> None:
    """Changes fall between listings here: what changes in the middle of one is seen by the next."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), Sensor(budget_seconds=budget))
        world.put("2025-12-01", "keeps the place alive.csv")
        asked: list[Finding] = []
        changed: dict[str, float] = {}
        for action in actions:
            if action[0] in ("put", "remove"):
                before = world.lies_there(action[1])
                act(world, action, asked)
                if world.lies_there(action[1]) != before:
                    changed[action[1]] = world.source.now()
                continue
            act(world, action, asked)
            while action[0] == "tick" and world.cursor and State.read(world.cursor, world.source.place("D")).begun:
                act(world, action, asked)
            for one in asked if action[0] == "tick" else ():
                assert world.source.now() - changed[one.day] >= 600
                assert one.key.endswith(world.lies_there(one.day)[0])
                assert world.lies_there(one.day)[0] != world.lake.get(one.day, Known()).content
