"""After a promotion past days are scored again, once each; a rollback puts them back, byte for byte."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.errors import UsageError
from mlops_assets.events.facts import Runs, gather
from mlops_assets.journey.deliver.delivery import deliver_day
from mlops_assets.journey.deliver.targets import open_target
from mlops_assets.journey.explain.retro.done import say
from mlops_assets.journey.explain.retro.records import read_day
from mlops_assets.storage.catalog import MANIFEST
from mlops_assets.use_case import UseCase
from mlops_assets.views.status import collect, render
from mlops_assets.workspace import Stores
from mlops_assets_tests.helpers.promoted import (
    BY_HOUR,
    DAYS,
    HOURS,
    of_numbers,
    promote,
    promoted_home,
    publish_rows,
    score,
    scoring,
    state,
    valued,
    versions,
)


@pytest.fixture
def use_case() -> UseCase:
    return valued()


@pytest.fixture
def stores(tmp_path: Path, use_case: UseCase) -> Iterator[Stores]:
    with promoted_home(tmp_path, use_case) as stores:
        yield stores


def test_every_published_day_of_the_span_is_scored_again_the_newest_first_and_compared(stores: Stores) -> None:
    change = promote(stores, 2)
    with scoring(stores) as work:
        done = work.go_on()
    assert done.scored == [*reversed(DAYS)]
    assert done.problems == {}
    assert versions(stores) == dict.fromkeys(DAYS, 2)
    assert {day.accounting.model_choice for day in stores.lake.predictions.days().values()} == {
        f"change-{change.number}"
    }
    assert done.standing is not None
    span = done.standing.span(stores.use_case)
    assert [(one.day, one.before, one.after) for one in span.days] == [(day, 1, 2) for day in DAYS]
    assert 0 < span.share < 1


def test_done_again_nothing_is_left_and_nothing_is_published(stores: Stores) -> None:
    promote(stores, 2)
    with scoring(stores) as work:
        work.go_on()
        before = stores.lake.predictions.publications()
        assert not work.is_left()
        assert work.go_on().scored == []
    assert stores.lake.predictions.publications() == before


def test_what_was_published_before_stays_readable(stores: Stores) -> None:
    before = state(stores)
    promote(stores, 2)
    with scoring(stores) as work:
        work.go_on()
    first = stores.lake.predictions.publications()[DAYS[0]][0]
    read = stores.lake.predictions.read_publication(DAYS[0], first).read_all()
    assert set(read["model_version"].to_pylist()) == {1}
    assert before[DAYS[0]][0] == 1


def test_a_rollback_puts_every_day_back_byte_for_byte(stores: Stores) -> None:
    before = state(stores)
    promote(stores, 2)
    with scoring(stores) as work:
        work.go_on()
        assert state(stores) != before
        stores.registry.roll_back("toy", "ann", "worse")
        assert work.is_left()
        done = work.put_back()
        assert done.put_back == [*reversed(DAYS)]
        assert state(stores) == before
        assert not work.is_left()


def test_a_rollback_in_the_midst_ends_the_scoring_and_puts_back_what_was_done(stores: Stores) -> None:
    before = state(stores)
    promote(stores, 2)
    asked: list[bool] = []

    def rolled_back_after_a_day() -> bool:
        if asked:
            stores.registry.roll_back("toy", "ann", "worse")
        asked.append(True)
        return False

    with scoring(stores) as work:
        done = work.go_on(rolled_back_after_a_day)
        assert done.scored == [DAYS[2]]
        work.put_back()
    assert state(stores) == before


def test_another_promotion_in_the_midst_takes_the_days_over_and_its_rollback_leaves_them_as_they_were(
    stores: Stores,
) -> None:
    promote(stores, 2)
    with scoring(stores) as work:
        work.go_on(iter((False, True)).__next__)
        midst = state(stores)
        assert versions(stores) == {DAYS[0]: 1, DAYS[1]: 1, DAYS[2]: 2}
        promote(stores, 1)
        assert work.go_on().scored == [DAYS[2]]  # the others are by version 1 anyway
        stores.registry.roll_back("toy", "ann", "back to 2")
        work.go_on()
        assert state(stores) == midst
        stores.registry.roll_back("toy", "ann", "back to 1")
        work.go_on()
    assert versions(stores) == dict.fromkeys(DAYS, 1)


def test_it_gives_way_between_days_and_goes_on_where_it_was(stores: Stores) -> None:
    promote(stores, 2)
    with scoring(stores) as work:
        done = work.go_on(iter((False, True)).__next__)
        assert (done.scored, done.gave_way) == ([DAYS[2]], True)
        assert work.go_on().scored == [DAYS[1], DAYS[0]]


def test_it_gives_way_between_the_shards_of_a_day_too_and_does_none_of_them_twice(stores: Stores) -> None:
    publish_rows(stores.lake, stores.use_case, DAYS[2], parts=3)
    score(stores, DAYS[2], 1)
    promote(stores, 2)
    with scoring(stores) as work:
        done = work.go_on(iter((False, False, True)).__next__)  # before the day, after its first shard and its second
        assert (done.scored, done.gave_way) == ([], True)
        files = {
            path.name: path.stat().st_mtime_ns for path in (stores.lake.predictions.folder / f"day={DAYS[2]}").iterdir()
        }
        assert work.go_on(iter((False, True)).__next__).scored == [DAYS[2]]
        after = {
            path.name: path.stat().st_mtime_ns for path in (stores.lake.predictions.folder / f"day={DAYS[2]}").iterdir()
        }
    assert len(after) == len(files) + 1
    assert files.items() <= after.items()


def test_a_day_that_was_published_anew_since_is_nobodys_to_put_back(stores: Stores) -> None:
    promote(stores, 2)
    with scoring(stores) as work:
        work.go_on()
        publish_rows(stores.lake, stores.use_case, DAYS[1], number=44)  # late rows
        score(stores, DAYS[1], 2)
        stores.registry.roll_back("toy", "ann", "worse")
        assert work.put_back().put_back == [DAYS[2], DAYS[0]]
    assert versions(stores) == {DAYS[0]: 1, DAYS[1]: 2, DAYS[2]: 1}


def test_a_day_that_fails_stays_as_it_is_the_others_are_done_and_it_is_tried_again_when_asked(stores: Stores) -> None:
    lake, use_case = stores.lake, stores.use_case
    before = state(stores)
    table = lake.raw_files
    listed = replace(table.days()[DAYS[1]].accounting, fingerprint="other files")
    table.publish(DAYS[1], [], MANIFEST, listed, table.parts(DAYS[1]))
    promote(stores, 2)
    with scoring(stores) as work:
        done = work.go_on()
        assert [*done.failed] == [DAYS[1]]
        assert "rows_are_current" in done.failed[DAYS[1]]
        assert state(stores)[DAYS[1]] == before[DAYS[1]]
        assert not work.is_left()
        assert work.go_on().scored == []
        publish_rows(lake, use_case, DAYS[1])
        assert work.go_on(again=True).scored == [DAYS[1]]


@pytest.mark.parametrize("use_case", [valued(most_changed=0.0)])
def test_beyond_the_bound_what_was_published_stays_until_a_person_decides(stores: Stores) -> None:
    before = state(stores)
    promote(stores, 2)
    with scoring(stores) as work:
        done = work.go_on()
        assert state(stores) == before
        assert done.standing is not None
        assert done.standing.having("held") == [*reversed(DAYS)]
        assert done.standing.decision is not None
        assert not done.standing.decision.publish
        assert not work.is_left()
        work.accept("bob", "looked at them")
        assert work.is_left()
        assert work.go_on().scored == [*reversed(DAYS)]
        with pytest.raises(UsageError, match="no day was scored again"):
            work.accept("bob", "once more")
    assert versions(stores) == dict.fromkeys(DAYS, 2)


@pytest.mark.parametrize("use_case", [valued(most_changed=1.0)])
def test_within_the_bound_all_days_are_published_once_all_are_compared(stores: Stores) -> None:
    promote(stores, 2)
    with scoring(stores) as work:
        halfway = work.go_on(iter((False, False, True)).__next__)
        assert halfway.scored == []
        assert versions(stores) == dict.fromkeys(DAYS, 1)
        assert work.go_on().scored == [*reversed(DAYS)]
    assert versions(stores) == dict.fromkeys(DAYS, 2)


def test_where_the_files_of_before_were_cleaned_up_it_says_how_to_score_them(stores: Stores) -> None:
    promote(stores, 2)
    with scoring(stores) as work:
        work.go_on()
        stores.lake.predictions.clean(0)
        stores.registry.roll_back("toy", "ann", "worse")
        done = work.put_back()
        assert sorted(done.lost) == [*DAYS]
        assert f"mlops-assets run toy --from {DAYS[0]} --to {DAYS[0]} --model 1" in done.lost[DAYS[0]]
        assert not work.is_left()
        assert sorted(work.put_back(again=True).lost) == [*DAYS]


# -- hours and numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use_case", [valued(further=BY_HOUR)])
def test_hours_are_scored_again_and_put_back_as_days_are_that_which_comes_twice_too(stores: Stores) -> None:
    before = state(stores)
    change = promote(stores, 2, "2026-10-25T00/2026-10-25T23")
    with scoring(stores) as work:
        done = work.go_on()
        assert done.scored == [*reversed(HOURS)]
        assert done.standing is not None
        assert [one.day for one in done.standing.span(stores.use_case).days] == [*HOURS]
        assert 0 < done.standing.span(stores.use_case).share < 1
        stores.registry.roll_back("toy", "ann", "worse")
        assert work.put_back().put_back == [*reversed(HOURS)]
    assert state(stores) == before
    assert read_day(stores.lake, change.number, HOURS[2]) != read_day(stores.lake, change.number, HOURS[1])


@pytest.mark.parametrize(("use_case", "published"), [(of_numbers(), 2), (of_numbers(most_changed=0.01), 1)])
def test_numbers_are_scored_again_and_are_others_where_they_are_higher_or_lower(stores: Stores, published: int) -> None:
    before = state(stores)
    promote(stores, 2)
    with scoring(stores) as work:
        done = work.go_on()
        assert versions(stores) == dict.fromkeys(DAYS, published)
        assert done.standing is not None
        span = done.standing.span(stores.use_case)
        assert {flow.after for flow in span.days[0].flows} == {"as it was", "lower"}
        assert 0.01 < span.share < 1
        stores.registry.roll_back("toy", "ann", "worse")
        work.put_back()
    assert state(stores) == before


# -- what a rollback leaves ---------------------------------------------------------------------------------------------


def test_days_that_were_run_while_the_version_was_champion_are_named_by_its_rollback(stores: Stores) -> None:
    promote(stores, 2)
    with scoring(stores) as work:
        work.go_on()
        publish_rows(stores.lake, stores.use_case, DAYS[1], number=44)  # late rows
        score(stores, DAYS[1], 2)
        score(stores, DAYS[0], 2, choice="2")  # by somebody who named the version
        stores.registry.roll_back("toy", "ann", "worse")
        done = work.after_rollback()
        assert (done.put_back, done.left, done.left_by) == ([DAYS[2]], [DAYS[1]], 2)
        (told,) = [line for line in say(done, "toy") if "stay as" in line]
        assert f"`mlops-assets run toy --from {DAYS[1]} --to {DAYS[1]}` scores them by the champion" in told
        # given again after a kill it says the same, and after a promotion nothing
        assert work.after_rollback().left == [DAYS[1]]
        promote(stores, 2)
        assert work.after_rollback().left == []


@pytest.mark.parametrize("use_case", [valued(most_changed=0.0)])
def test_what_is_kept_back_by_the_bound_is_told_until_somebody_decides(stores: Stores) -> None:
    now = dt.datetime.now(dt.UTC)
    assert gather(stores, Runs(), now).held is None
    promote(stores, 2)
    with scoring(stores) as work:
        work.go_on()
        held = gather(stores, Runs(), now).held
        assert held is not None
        message = held.message(stores.use_case)
        assert message.sentence == "3 days were scored again by version 2 and not published; what was published stays."
        assert "most_changed is 0.00%" in message.details[0]
        assert f"diff toy --from {DAYS[0]} --to {DAYS[2]} --candidate 2 --against 1" in message.what_to_do
        work.accept("bob", "looked at them")
    assert gather(stores, Runs(), now).held is None


# -- targets ------------------------------------------------------------------------------------------------------------

SHOP = {"shop": {"use": "sql", "parameters": {"url_variable": "SHOP_URL", "table": "answers"}}}


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{tmp_path}/shop.db")
    return tmp_path / "shop.db"


def brought(database: Path) -> dict[str, int]:
    """By day the version whose answers the target has."""
    with closing(sqlite3.connect(database)) as opened:
        return dict(opened.execute("SELECT DISTINCT day, model_version FROM answers").fetchall())


def deliver(stores: Stores, day: str) -> None:
    deliver_day(stores.use_case, stores.lake, day, "shop", open_target(stores.use_case, "shop", stores.settings))


@pytest.mark.parametrize("use_case", [valued(targets=SHOP)])
def test_targets_keep_what_they_have_unless_it_is_asked_for_and_a_rollback_says_who_has_what_was_taken_back(
    database: Path, stores: Stores
) -> None:
    deliver(stores, DAYS[0])
    promote(stores, 2)
    with scoring(stores) as work:
        work.go_on()
        assert brought(database) == {DAYS[0]: 1}
        deliver(stores, DAYS[1])  # by somebody
        stores.registry.roll_back("toy", "ann", "worse")
        done = work.put_back()
    assert done.stale == {"shop": [DAYS[1]]}
    (told,) = [line for line in say(done, "toy") if "target" in line]
    assert f"`mlops-assets deliver toy --from {DAYS[1]} --to {DAYS[1]} --target shop`" in told
    assert brought(database) == {DAYS[0]: 1, DAYS[1]: 2}
    state = collect(stores)
    state["days"] = [day for day in state["days"] if day["day"] in DAYS[:2]]
    then, again = [line for line in render(state).splitlines() if line.startswith("shop has ")]
    assert then == (
        f"shop has {DAYS[1]} as before (predicted by version 2, published is version 1). To bring what is published "
        f"now: mlops-assets deliver toy --target shop --from {DAYS[1]} --to {DAYS[1]}"
    )
    assert again.startswith(f"shop has {DAYS[0]} as before (published again since, maybe the same: ")


@pytest.mark.parametrize("use_case", [valued(targets=SHOP, deliver=True)])
def test_where_it_is_asked_for_targets_are_brought_the_days_and_after_a_rollback_the_days_of_before(
    database: Path, stores: Stores
) -> None:
    promote(stores, 2)
    with scoring(stores) as work:
        work.go_on()
        assert brought(database) == dict.fromkeys(DAYS, 2)
        stores.registry.roll_back("toy", "ann", "worse")
        assert work.put_back().stale == {}
    assert brought(database) == dict.fromkeys(DAYS, 1)


@pytest.mark.parametrize("use_case", [valued(targets=SHOP, deliver=True)])
def test_a_target_that_is_down_leaves_the_days_published_and_is_told(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", "sqlite:////nowhere/shop.db")
    promote(stores, 2)
    with scoring(stores) as work:
        done = work.go_on()
    assert versions(stores) == dict.fromkeys(DAYS, 2)
    assert sorted(done.problems) == [*DAYS]
    assert "not delivered to shop" in done.problems[DAYS[0]]
