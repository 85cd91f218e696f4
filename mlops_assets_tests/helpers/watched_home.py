"""A lake with two days of the flagship, and a version that learned from the first and watches them."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass, replace
from pathlib import Path

from mlops_assets.journey.model.version import Version
from mlops_assets.journey.score.day import Judge, ScoredDay, Scorers, score_day
from mlops_assets.journey.score.profile.counts import Profile
from mlops_assets.journey.train.candidates import fit
from mlops_assets.journey.train.training_set import build_training_set
from mlops_assets.monitoring.days import WatchedDay, day_profile
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.form import keep_form
from mlops_assets.storage.places import Place
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import Drift, Scoring, UseCase
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.work.shards import Engine
from mlops_assets_tests.helpers.days import DAY, ignore, in_shards_of, read_raw
from mlops_assets_tests.helpers.homes import copy_home, following_links
from mlops_assets_tests.helpers.models import TREE
from mlops_assets_tests.helpers.watched import recount_day, watched_version

NEXT = "2026-01-02"


@dataclass(frozen=True)
class Home:
    """A lake with two days, and a version that learned from the first."""

    use_case: UseCase
    folder: Path
    version: Version
    root: Place

    @property
    def lake(self) -> Lake:
        return Lake(self.root, "transactions")

    def copy(self, folder: Path) -> Home:
        """The same in another folder, for a test that changes it."""
        copy_home(self.folder, folder)
        return replace(self, folder=folder, root=folder / "lake")

    def score(
        self,
        day: str = NEXT,
        watch: bool = True,
        judge: Judge | None = None,
        probabilities: Scoring | None = None,
        engine: Engine | None = None,
    ) -> ScoredDay:
        changes = {"drift": Drift(watch=watch), "scoring": probabilities or self.use_case.scoring}
        use_case, engine = self.use_case.model_copy(update=changes), engine or LocalEngine(1)
        return score_day(use_case, self.lake, day, Scorers(self.version), engine, ignore, "the folder", judge)

    def recount(self, day: str = NEXT) -> Profile:
        """What SQL counts over the published rows of a day."""
        return recount_day(self.use_case, self.lake, self.version, day)

    def watched(self, day: str = NEXT) -> WatchedDay:
        found = day_profile(self.lake, day)
        assert found is not None
        return found

    def add_late_file(self) -> None:
        """One more file for `NEXT`, changed after its rows were published, and read."""
        folder = self.folder / "raw" / "transactions" / f"day={NEXT}"
        first = min(folder.rglob("*.csv"))
        (folder / "late.csv").write_bytes(first.read_bytes())
        late = self.lake.rows.publications()[NEXT][0].time * 1_000_000 + 1
        os.utime(folder / "late.csv", ns=(late, late))
        read_raw(self.use_case, self.folder / "raw", self.lake, NEXT)


def open_home(transactions: UseCase, folder: Path, root: Place | None = None) -> Home:
    """Draw both days, read them, and fit a tree."""
    use_case, root = following_links(in_shards_of(5, transactions)), root or folder / "lake"
    lake = Lake(root, use_case.name)
    keep_form(root)
    for day, files, rows, seed in ((DAY, 12, 20, 7), (NEXT, 11, 15, 8)):
        for _ in write_sample(use_case, folder / "raw", dt.date.fromisoformat(day), files, rows, 0, seed):
            pass
        read_raw(use_case, folder / "raw", lake, day)
    data = build_training_set(use_case, lake)
    model = fit(use_case, TREE, data, data.load())
    return Home(use_case, folder, watched_version(model, data, folder / "version"), root)
