"""The profile of a day: exactly what SQL counts over its published rows, made with them, published with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path

import pytest

from mlops_assets.journey.score.checks import DayCheck
from mlops_assets.journey.score.profile.counts import Profile
from mlops_assets.journey.score.profile.reference import read_reference
from mlops_assets.journey.score.restoring import restore_day
from mlops_assets.journey.train.candidates import fit
from mlops_assets.journey.train.training_set import build_training_set
from mlops_assets.monitoring.comparing import comparable
from mlops_assets.monitoring.days import WatchedDay, day_profile, days_before, scored_day
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.files import read_part, write_parquet
from mlops_assets.storage.integrity import sha256
from mlops_assets.use_case import Split, UseCase
from mlops_assets_tests.helpers.days import DAY
from mlops_assets_tests.helpers.models import TREE
from mlops_assets_tests.helpers.one_row import TOO_MUCH, open_place
from mlops_assets_tests.helpers.watched import of_said_alone, told, watched_version
from mlops_assets_tests.helpers.watched_home import NEXT, Home, open_home


@pytest.fixture(scope="module")
def first_home(transactions: UseCase, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return open_home(transactions, tmp_path_factory.mktemp("first") / "home")


@pytest.fixture
def home(first_home: Home, tmp_path: Path) -> Home:
    return first_home.copy(tmp_path / "home")


def test_every_number_of_a_day_is_what_sql_counts_over_its_published_rows(home: Home) -> None:
    home.score()
    found = home.watched()
    assert told(of_said_alone(found.profile)) == told(home.recount())
    assert found.files == 11
    assert found.profile.said is not None
    # the probabilities of all classes add up to one for every row, to half a millionth each
    rows, classes = found.profile.said.rows, len(found.profile.said.rows)
    assert abs(found.profile.said.probabilities.sum(axis=1) - 1_000_000 * rows).max() <= classes * rows.max()


def test_only_what_is_watched_is_counted_and_nothing_else_changes(home: Home) -> None:
    home.score(watch=False)
    without = home.lake.predictions.read_all([NEXT])
    bytes_of_today = hashes(home)
    assert not home.lake.profiles.days()
    assert day_profile(home.lake, NEXT) is None
    # as of a version from before there were references: the same names, the same bytes
    (home.folder / "lake" / "transactions" / "predictions").rename(home.folder / "apart")
    earlier = replace(home.version, about=replace(home.version.about, reference=""))
    replace(home, version=earlier).score()
    assert (hashes(home), day_profile(home.lake, NEXT)) == (bytes_of_today, None)
    home.score()
    assert home.lake.predictions.read_all([NEXT]).equals(without)
    assert not hashes(home).keys() & bytes_of_today.keys()
    home.score(watch=False)
    assert day_profile(home.lake, NEXT) is None
    assert not home.lake.profiles.parts(NEXT)


def hashes(home: Home) -> dict[str, str]:
    """SHA-256 of the published parts of the predictions, by their names."""
    table = home.lake.predictions
    return {part: sha256((table.folder / part).read_bytes()) for part in table.parts(NEXT)}


def test_a_day_is_done_again_where_a_part_of_its_profile_is_gone_and_counts_nothing_twice(home: Home) -> None:
    home.score()
    before = told(home.watched().profile)
    parts = sorted(home.lake.profiles.folder.rglob("*.parquet"))
    parts[0].unlink()
    assert (home.score().reused, len(parts)) == (2, 3)
    assert sorted(home.lake.profiles.folder.rglob("*.parquet")) == parts
    assert told(home.watched().profile) == before == told(of_all(home))


def of_all(home: Home) -> Profile:
    """The sum over the parts, one after the other."""
    tables = [read_part(home.lake.profiles.folder / part) for part in home.lake.profiles.parts(NEXT)]
    return reduce(add, map(Profile.from_table, tables))


def test_a_judge_sees_the_day_before_it_is_published_and_may_keep_it_back(home: Home) -> None:
    seen: list[WatchedDay | None] = []

    def judge(parts: Sequence[str], accounting: PredictionsAccounting) -> Sequence[DayCheck]:
        seen.append(scored_day(home.lake, NEXT, parts, accounting))
        return [DayCheck("no_lamp_is_red", len(seen) > 1, "amount is not what it was", "look at it")]

    assert "no_lamp_is_red" in home.score(judge=judge).problems
    assert NEXT not in home.lake.predictions.days()
    assert not home.score(judge=judge).problems
    first, second = seen
    assert first is not None
    assert second is not None
    published = home.watched()
    assert told(first.profile) == told(second.profile) == told(published.profile)
    assert (second.files, second.accounts) == (published.files, published.accounts)
    assert second.accounting.predictions == second.profile.said.rows.sum()  # type: ignore[union-attr]
    home.score(watch=False, judge=judge)
    assert seen[2] is None, "of a day that is not watched it is asked, too, and told nothing"


def test_the_profile_belongs_to_the_publication_that_is_there(home: Home) -> None:
    home.score()
    first = home.watched()
    again = replace(home, version=replace(home.version, version=2))
    again.score()
    assert home.watched().version == 2
    table = home.lake.predictions
    then = table.publications()[NEXT][0]
    restore_day(home.lake, NEXT, then, "somebody")
    assert (home.watched().version, told(home.watched().profile)) == (1, told(first.profile))
    # of the parts that nobody needs, none is one of this publication
    home.lake.clean(keep_days=0)
    home.lake.profile(NEXT).unlink()
    assert told(home.watched().profile) == told(first.profile)


@pytest.mark.parametrize(
    "footer", [{}, {"mlops_assets": "[]"}, {"mlops_assets": '{"of": [1, null, null], "numbers": 7}'}]
)
def test_a_kept_sum_that_says_something_else_is_made_again(footer: dict[str, str], home: Home) -> None:
    home.score()
    first = home.watched()
    path = home.lake.profile(NEXT)
    write_parquet(path, read_part(path).replace_schema_metadata(), footer)
    assert told(home.watched().profile) == told(first.profile)


def test_accounts_files_and_days_before(home: Home) -> None:
    home.score(DAY)
    assert (home.watched(DAY).accounts_new, home.watched(DAY).accounts_vanished) == (None, None)
    home.score()
    accounts = {
        day: set(home.lake.predictions.read_all([day], ["account_id"])["account_id"].to_pylist()) for day in (DAY, NEXT)
    }
    found = home.watched()
    assert found.accounts == len(accounts[NEXT])
    assert found.accounts_new == len(accounts[NEXT] - accounts[DAY])
    assert found.accounts_vanished == len(accounts[DAY] - accounts[NEXT])
    assert [each.day for each in days_before(home.lake, NEXT)] == [DAY]
    assert [each.day for each in days_before(home.lake, "2026-02-01")] == []
    assert [each.day for each in days_before(home.lake, "2026-01-30", 28)] == [NEXT]
    before = days_before(home.lake, NEXT)
    assert comparable(before, replace(found, reference="of another version")) == []
    assert comparable(before, found)


def test_a_file_that_comes_after_the_first_publication_is_late(home: Home) -> None:
    home.score()
    assert home.watched().late_files == 0
    home.add_late_file()
    home.score()
    assert (home.watched().late_files, home.watched().files) == (1, 12)


def test_the_reference_is_the_training_rows_in_groups_of_whole_units(home: Home) -> None:
    reference = read_reference(home.version)
    assert reference is not None
    data = build_training_set(home.use_case, home.lake)
    rows = {column: counts.rows for column, counts in reference.profile.columns.items()}
    assert set(rows.values()) == {data.rows}
    assert reference.profile.said is not None
    assert reference.profile.said.rows.sum() == data.held_out
    assert (len(reference.groups), sum(reference.units), reference.unit) == (40, data.rows, "row")
    assert all(counts.unseen == 0 for (source, _), counts in reference.profile.columns.items() if source == "rows")
    assert ("rows", home.use_case.label) not in reference.bins
    assert reference.days == (DAY, NEXT)


def test_rows_that_are_left_out_are_not_counted(tmp_path: Path) -> None:
    place = open_place(tmp_path, sql_rejects=0.2)
    place.read(*(f"{number},00" for number in range(20)), TOO_MUCH)
    training = place.use_case.training.model_copy(update={"split": Split(by="random")})
    data = build_training_set(place.use_case.model_copy(update={"training": training}), place.lake)
    model = fit(place.use_case, TREE, data, data.load())
    assert not place.score(watched_version(model, data, tmp_path / "version")).problems
    found = day_profile(place.lake, DAY)
    assert found is not None
    assert found.accounting.sql_rejected == 1
    assert {counts.rows for counts in found.profile.columns.values()} == {found.accounting.predictions}
    assert found.profile.said is not None
    assert found.profile.said.rows.sum() == found.accounting.predictions == found.accounting.rows - 1
