"""The profile of a day: exactly what SQL counts over its published rows, made with them, published with them."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path

import pyarrow as pa
import pytest

from mlops_assets.journey.enrich.answers import DayAnswers, find_answers, read_answers
from mlops_assets.journey.features.shard import compute
from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.score.checks import DayCheck
from mlops_assets.journey.score.day import Judge, ScoredDay, Scorers, score_day
from mlops_assets.journey.score.profile.counts import Profile
from mlops_assets.journey.score.profile.reference import read_reference
from mlops_assets.journey.score.profile.sums import restore_profiles
from mlops_assets.journey.train.candidates import fit
from mlops_assets.journey.train.training_set import build_training_set
from mlops_assets.monitoring.days import WatchedDay, day_profile, days_before, scored_day
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.catalog import PREDICTIONS, Lake
from mlops_assets.storage.files import read_part, write_parquet
from mlops_assets.storage.integrity import Damaged, sha256
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import Drift, Split, UseCase
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets_tests.helpers.days import DAY, draw_day, ignore, in_shards_of, read_raw
from mlops_assets_tests.helpers.models import TREE
from mlops_assets_tests.helpers.one_row import TOO_MUCH, open_place
from mlops_assets_tests.helpers.watched import of_said_alone, recounted, told, watched_version

NEXT = "2026-01-02"


@dataclass(frozen=True)
class Home:
    """A lake with two days, and a version that learned from the first."""

    use_case: UseCase
    folder: Path
    version: Version

    @property
    def lake(self) -> Lake:
        return Lake(self.folder / "lake", "transactions")

    def score(self, day: str = NEXT, watch: bool = True, judge: Judge | None = None) -> ScoredDay:
        use_case = self.use_case.model_copy(update={"drift": Drift(watch=watch)})
        return score_day(use_case, self.lake, day, Scorers(self.version), LocalEngine(1), ignore, "the folder", judge)

    def recount(self, day: str = NEXT) -> Profile:
        """What SQL counts over the published rows of a day."""
        reference, model, lake = read_reference(self.version), self.version.serving(), self.lake
        assert reference is not None
        answers = find_answers(self.use_case, lake, day, lake.rows.days()[day], ["calendar"])
        assert isinstance(answers, DayAnswers)
        parts = {part: read_rows(lake.rows.folder / part) for part in sorted(lake.rows.parts(day))}
        inputs = [
            batch
            for part, rows in parts.items()
            for batch, _ in compute(rows, day, self.use_case, model.sql, None, read_answers(lake, answers.of(part)))
        ]
        tables = pa.concat_tables(parts.values()), pa.concat_tables(inputs), lake.predictions.read_all([day])
        return recounted(*tables, model, day, reference)


@pytest.fixture
def home(transactions: UseCase, tmp_path: Path) -> Home:
    use_case = in_shards_of(5, transactions)
    lake = draw_day(use_case, tmp_path, files=12, rows=20)
    for _ in write_sample(use_case, tmp_path / "raw", dt.date.fromisoformat(NEXT), 11, 15, 0, 8):
        pass
    read_raw(use_case, tmp_path / "raw", lake, NEXT)
    data = build_training_set(use_case, lake)
    model = fit(use_case, TREE, data, data.load())
    return Home(use_case, tmp_path, watched_version(model, data, tmp_path / "version"))


def watched(home: Home, day: str = NEXT) -> WatchedDay:
    found = day_profile(home.lake, day)
    assert found is not None
    return found


def test_every_number_of_a_day_is_what_sql_counts_over_its_published_rows(home: Home) -> None:
    home.score()
    found = watched(home)
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
    before = told(watched(home).profile)
    parts = sorted(home.lake.profiles.folder.rglob("*.parquet"))
    parts[0].unlink()
    assert (home.score().reused, len(parts)) == (2, 3)
    assert sorted(home.lake.profiles.folder.rglob("*.parquet")) == parts
    assert told(watched(home).profile) == before == told(of_all(home))


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
    published = watched(home)
    assert told(first.profile) == told(second.profile) == told(published.profile)
    assert (second.files, second.accounts) == (published.files, published.accounts)
    assert second.accounting.predictions == second.profile.said.rows.sum()  # type: ignore[union-attr]
    home.score(watch=False, judge=judge)
    assert seen[2] is None, "of a day that is not watched it is asked, too, and told nothing"


def test_the_profile_belongs_to_the_publication_that_is_there(home: Home) -> None:
    home.score()
    first = watched(home)
    again = replace(home, version=replace(home.version, version=2))
    again.score()
    assert watched(home).version == 2
    table = home.lake.predictions
    then = table.publications()[NEXT][0]
    restore_profiles(home.lake, NEXT, then, "somebody")
    table.restore(NEXT, then, PREDICTIONS, "somebody")
    assert (watched(home).version, told(watched(home).profile)) == (1, told(first.profile))
    # of the parts that nobody needs, none is one of this publication
    home.lake.clean(keep_days=0)
    home.lake.profile(NEXT).unlink()
    assert told(watched(home).profile) == told(first.profile)


@pytest.mark.parametrize(
    "footer", [{}, {"mlops_assets": "[]"}, {"mlops_assets": '{"of": [1, null, null], "numbers": 7}'}]
)
def test_a_kept_sum_that_says_something_else_is_told_with_what_to_do(footer: dict[str, str], home: Home) -> None:
    home.score()
    watched(home)
    path = home.lake.profile(NEXT)
    write_parquet(path, read_part(path).replace_schema_metadata(), footer)
    with pytest.raises(Damaged, match="does not say what such a file says; delete it, and it is added up again"):
        watched(home)


def test_accounts_files_and_days_before(home: Home) -> None:
    home.score(DAY)
    assert (watched(home, DAY).accounts_new, watched(home, DAY).accounts_vanished) == (None, None)
    home.score()
    accounts = {
        day: set(home.lake.predictions.read_all([day], ["account_id"])["account_id"].to_pylist()) for day in (DAY, NEXT)
    }
    found = watched(home)
    assert found.accounts == len(accounts[NEXT])
    assert found.accounts_new == len(accounts[NEXT] - accounts[DAY])
    assert found.accounts_vanished == len(accounts[DAY] - accounts[NEXT])
    assert [each.day for each in days_before(home.lake, NEXT)] == [DAY]
    assert [each.day for each in days_before(home.lake, "2026-02-01")] == []
    assert [each.day for each in days_before(home.lake, "2026-01-30", 28)] == [NEXT]
    assert days_before(home.lake, NEXT, reference="of another version") == []
    assert days_before(home.lake, NEXT, reference=found.reference)


def test_a_file_that_comes_after_the_first_publication_is_late(home: Home) -> None:
    home.score()
    assert watched(home).late_files == 0
    folder = home.folder / "raw" / "transactions" / f"day={NEXT}"
    first = min(folder.rglob("*.csv"))
    (folder / "late.csv").write_bytes(first.read_bytes())
    late = home.lake.rows.publications()[NEXT][0].time * 1_000_000 + 1
    os.utime(folder / "late.csv", ns=(late, late))
    read_raw(home.use_case, home.folder / "raw", home.lake, NEXT)
    home.score()
    assert (watched(home).late_files, watched(home).files) == (1, 12)


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
