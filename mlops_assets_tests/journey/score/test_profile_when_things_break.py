"""Whatever is killed, damaged, full or done twice: what is told of a published day is what SQL counts over its rows."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops_assets.errors import ModelRefused, PublishConflict
from mlops_assets.journey.score.checks import DayCheck
from mlops_assets.journey.score.profile.watching import see_reference
from mlops_assets.journey.score.restoring import restore_day
from mlops_assets.journey.score.unpredicted import left_out
from mlops_assets.journey.score.vectors import read_vectors
from mlops_assets.monitoring import days
from mlops_assets.storage import places
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import write_json
from mlops_assets.storage.places import Place
from mlops_assets.storage.tables import Table
from mlops_assets.storage.verification import verify
from mlops_assets.use_case import Drift, Scoring, UseCase
from mlops_assets_tests.helpers.days import DAY
from mlops_assets_tests.helpers.one_row import TOO_MUCH, a_version, open_place
from mlops_assets_tests.helpers.watched import of_said_alone, told
from mlops_assets_tests.helpers.watched_home import NEXT, Home, open_home


class Killed(BaseException):
    """The process ends where this is raised."""


@pytest.fixture(scope="module")
def first_home(transactions: UseCase, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return open_home(transactions, tmp_path_factory.mktemp("first") / "home")


@pytest.fixture
def home(first_home: Home, tmp_path: Path) -> Home:
    return first_home.copy(tmp_path / "home")


def assert_true(home: Home) -> None:
    """What is told of the published day is what SQL counts, exactly."""
    assert told(of_said_alone(home.watched().profile)) == told(home.recount())


@contextmanager
def meanwhile(happens: Callable[[], object], table: str) -> Iterator[None]:
    """Have something happen once, at the moment when a day of a table is about to be published."""
    publish, left = Table.publish, [happens]

    def publish_later(self: Table[Any], *arguments: Any, **named: Any) -> bool:
        if self.name == table and left:
            left.pop()()
        return publish(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Table, "publish", publish_later)
        yield


def die() -> None:
    raise Killed


# --- killed


@pytest.mark.parametrize("before", ["profiles", "predictions"])
def test_a_kill_between_two_commits_leaves_the_published_day_and_its_profile(home: Home, before: str) -> None:
    home.score()
    first = told(home.watched().profile)
    home.add_late_file()
    with meanwhile(die, before), pytest.raises(Killed):
        home.score()
    assert told(home.watched().profile) == first
    home.lake.profile(NEXT).unlink()
    assert told(home.watched().profile) == first
    assert home.score().reused == 3
    assert home.watched().files == 12
    assert_true(home)


def test_a_kill_while_the_sum_of_a_day_is_kept_costs_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.score()

    def begin(place: Place, data: Any) -> int:
        assert isinstance(place, Path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.with_name(f".{place.name}.{'0' * 32}.tmp").write_bytes(bytes(data)[:100])
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(places, "write_whole", begin)
        with pytest.raises(Killed):
            home.watched()
    assert_true(home)
    assert verify(home.lake).findings == []


@pytest.mark.parametrize("before", ["profiles", "predictions"])
def test_a_kill_in_the_midst_of_a_restore_mixes_nothing(home: Home, before: str) -> None:
    home.score()
    first, then = told(home.watched().profile), home.lake.predictions.publications()[NEXT][0]
    home.add_late_file()
    home.score()
    second = told(home.watched().profile)
    with meanwhile(die, before), pytest.raises(Killed):
        restore_day(home.lake, NEXT, then, "somebody")
    home.lake.profile(NEXT).unlink()
    assert told(home.watched().profile) == second
    assert restore_day(home.lake, NEXT, then, "somebody")
    assert told(home.watched().profile) == first != second
    assert not restore_day(home.lake, NEXT, then, "somebody")


# --- two at once


def test_of_two_that_score_a_day_at_once_one_publishes_all_of_it(home: Home) -> None:
    other = replace(home, version=replace(home.version, version=2))

    def judge(_: Sequence[str], __: PredictionsAccounting) -> Sequence[DayCheck]:
        other.score()
        return []

    with pytest.raises(PublishConflict):
        home.score(judge=judge)
    assert home.watched().version == 2
    assert_true(other)
    assert {part.rpartition("/")[2] for part in home.lake.profiles.parts(NEXT)} == {
        part.rpartition("/")[2] for part in home.lake.predictions.parts(NEXT)
    }


def test_one_that_comes_between_the_commits_of_another_publishes_all_of_it(home: Home) -> None:
    other = replace(home, version=replace(home.version, version=2))
    with meanwhile(other.score, "predictions"), pytest.raises(PublishConflict):
        home.score()
    assert home.watched().version == 2
    assert_true(other)


def test_the_profile_is_that_of_the_predictions_also_where_another_published_its_own_last(home: Home) -> None:
    other = replace(home, version=replace(home.version, version=2))

    def come_and_die() -> None:
        with meanwhile(die, "predictions"), pytest.raises(Killed):
            other.score()

    with meanwhile(come_and_die, "predictions"):
        home.score()
    assert home.watched().version == 1
    assert_true(home)
    assert other.score().reused == 3
    assert home.watched().version == 2
    assert_true(other)


# --- which sums can be made again from what is published


def test_sums_of_the_said_class_come_out_exactly_and_those_of_others_to_the_rounding_of_what_is_stored(
    home: Home,
) -> None:
    home.score(probabilities=Scoring(probabilities="all"))
    assert_true(home)
    said = home.watched().profile.said
    assert said is not None
    classes, batches = read_vectors("transactions", home.lake.predictions, NEXT, ["prediction"])
    sums = np.zeros(said.probabilities.shape)
    for batch, vectors in batches:
        numbers = np.array([classes.index(label) for label in batch["prediction"].to_pylist()])
        np.add.at(sums, numbers, vectors.astype(np.float64))
    rounding = 0.5 / 65_536 + 0.5e-6
    assert (abs(sums - said.probabilities / 1e6) <= said.rows[:, None] * rounding).all()


# --- a day that is restored


def test_a_restored_day_has_the_rows_without_a_prediction_that_it_had(tmp_path: Path) -> None:
    place, version = open_place(tmp_path, sql_rejects=0.2), a_version(tmp_path / "version")
    place.read(TOO_MUCH)
    assert not place.score(version).problems
    lake = place.lake
    then, before = lake.predictions.publications()[DAY][0], lake.unpredicted.read_all([DAY])
    assert len(before) == 1
    place.read()
    assert not place.score(version).problems
    assert lake.unpredicted.parts(DAY) == set()
    restore_day(lake, DAY, then, "somebody")
    assert lake.unpredicted.read_all([DAY]).equals(before)
    lake.clean(keep_days=0)
    assert sum(len(left_out(lake, part)) for part in lake.predictions.parts(DAY)) == 1


# --- damaged, full, read-only


def test_a_damaged_part_of_a_profile_is_named_and_the_next_run_makes_it_again(home: Home) -> None:
    home.score()
    parts = sorted(home.lake.profiles.parts(NEXT))
    path = home.folder / "lake" / "transactions" / "profiles" / parts[0]
    before = path.read_bytes()
    path.write_bytes(before[:500] + b"x" + before[501:])
    (finding,) = verify(home.lake).findings
    assert (finding.table, finding.day) == ("profiles", NEXT)
    assert f"`mlops-assets run transactions --from {NEXT} --to {NEXT}` makes the day again" in finding.remedy
    assert home.score().repaired == 1
    assert path.read_bytes() == before
    assert verify(home.lake).findings == []
    assert_true(home)


def test_a_damaged_sum_of_a_day_is_made_again_and_said(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    home.score()
    before, place = told(home.watched().profile), home.lake.profile(NEXT)
    place.write_bytes(place.read_bytes()[:-9] + b"123456789")
    (finding,) = verify(home.lake).findings
    assert (finding.table, finding.remedy) == (
        "profiles_of_days",
        "delete it, and it is added up again when it is asked for",
    )
    assert told(home.watched().profile) == before
    assert "it is made again" in caplog.text
    assert verify(home.lake).findings == []


def test_documents_of_watching_say_what_to_do_where_they_are_damaged(tmp_path: Path) -> None:
    lake = Lake(tmp_path, "toy")
    for place in (lake.verdict(DAY), lake.telling(1)):
        write_json(place, {"day": DAY})
        place.write_bytes(place.read_bytes() + b" ")
    remedies = {finding.table: finding.remedy for finding in verify(lake).findings}
    assert remedies["told"] == "delete it: what was told since the one before it is told once more"
    assert remedies["verdicts"].startswith("delete it, and look at the day again")


def test_where_the_sum_of_a_day_cannot_be_kept_it_is_had_all_the_same(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home.score()

    def full(place: Place, _: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(place))

    monkeypatch.setattr(places, "write_whole", full)
    caplog.set_level(logging.WARNING)
    assert_true(home)
    assert "cannot be written: No space left on device. Make room or give access." in caplog.text
    assert not home.lake.profile(NEXT).exists()


def test_a_sum_is_not_taken_for_that_of_a_table_that_was_made_anew(home: Home) -> None:
    home.score()
    home.watched()
    for name in ("predictions", "profiles"):
        (home.folder / "lake" / "transactions" / name).rename(home.folder / name)
    home.add_late_file()
    home.score()
    assert home.lake.predictions.days()[NEXT].version == 1
    assert_true(home)


# --- a version that had a reference


def test_who_empties_what_mlflow_says_of_a_reference_switches_nothing_off(home: Home) -> None:
    emptied = replace(home.version, about=replace(home.version.about, reference=""))
    with pytest.raises(ModelRefused, match="MLflow's store says other of version 1 than its card: reference"):
        see_reference(home.use_case, emptied)
    see_reference(home.use_case, home.version)
    see_reference(home.use_case.model_copy(update={"drift": Drift(watch=False)}), emptied)
    assert days.day_profile(home.lake, NEXT) is None
