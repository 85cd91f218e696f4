"""The profile of a day: exactly what SQL counts over its published rows, made with them, published with them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from mlops_assets.journey.enrich.answers import DayAnswers, find_answers, read_answers
from mlops_assets.journey.features.shard import compute
from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.score.day import Judge, ScoredDay, Scorers, score_day
from mlops_assets.journey.score.profile.counts import Profile
from mlops_assets.journey.score.profile.reference import read_reference
from mlops_assets.journey.train.candidates import fit
from mlops_assets.journey.train.training_set import build_training_set
from mlops_assets.monitoring.days import WatchedDay, day_profile
from mlops_assets.storage.catalog import Lake
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import Drift, UseCase
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets_tests.helpers.days import draw_day, ignore, in_shards_of, read_raw
from mlops_assets_tests.helpers.models import TREE
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
