"""Runs a day from raw files to predictions in a process of its own, which a test may kill at any moment.

Usage: python -m mlops_assets_tests.helpers.day_driver RAW LAKE MODEL SHA256 [WORKERS]
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.journey.enrich.day import enrich_day
from mlops_assets.journey.features.day import aggregate_day
from mlops_assets.journey.model.about import About, Summary
from mlops_assets.journey.model.version import ABOUT_FILE, Version
from mlops_assets.journey.read.listing import list_day
from mlops_assets.journey.read.rows import read_day
from mlops_assets.journey.read.sources.folder import FolderSource
from mlops_assets.journey.score.day import Scorers, score_day
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import Scale, UseCase, load_use_case
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.work.shards import Report

if TYPE_CHECKING:
    import pandas as pd

DAY = "2026-01-01"


def small_shards() -> UseCase:
    """The flagship, ten files a shard."""
    use_case = load_use_case(OWN_USE_CASES / "transactions")
    return use_case.model_copy(update={"scale": Scale(files_a_shard=10)})


def nothing(task: int) -> Report:
    """Work that takes no time."""
    return Report(DAY, task, {}, ())


def main(raw: Path, lake_folder: Path, model: Path, sha256: str, workers: int = 2) -> tuple[int, int]:
    """Run the day, resuming what an earlier process left; say when work begins, then how many shards were done, and reused.

    Returns them, too.
    """
    use_case = small_shards()
    lake = Lake(lake_folder, use_case.name)
    source = FolderSource(raw / use_case.name, use_case.files.suffix)
    version = version_of(model, sha256)
    reports: list[Report] = []
    with LocalEngine(workers) as engine:
        list(engine.map(nothing, range(2)))  # the processes are there: whoever is killed now is killed at work
        print("begun", flush=True)  # noqa: T201 - the test reads it
        manifest = list_day(use_case, source, lake.table("raw_files"), DAY)
        read_day(use_case, source, lake, manifest, engine, reports.append)
        enrich_day(use_case, lake, "calendar", DAY)
        aggregate_day(use_case, lake, DAY, engine, reports.append)
        done = score_day(use_case, lake, DAY, Scorers(version), engine, reports.append, str(source.place(DAY)))
    assert not done.problems, done.problems
    reused = sum(report.reused for report in reports)
    print(len(reports) - reused, reused)  # noqa: T201 - the test reads it
    return len(reports) - reused, reused


def version_of(model: Path, sha256: str) -> Version:
    """The version whose files lie in a folder; without a card it has no reference, and is not watched."""
    if not (model / ABOUT_FILE).exists():
        return Version("transactions", 1, model, sha256, sha256, "", Summary(), proven=True)
    card = (model / ABOUT_FILE).read_bytes()
    hashes = sha256, sha256, hashlib.sha256(card).hexdigest()
    return Version("transactions", 1, model, *hashes, About.from_json(card).summary(), proven=True)


def train(home: Path) -> None:
    """A small linear model on the day's own rows."""
    from mlops_assets.journey.train.candidates import fit
    from mlops_assets.journey.train.training_set import build_training_set
    from mlops_assets_tests.helpers.watched import watched_version

    use_case = small_shards()
    lake = Lake(home / "training", use_case.name)
    source = FolderSource(home / "raw" / use_case.name, use_case.files.suffix)
    with LocalEngine(1) as engine:
        manifest = list_day(use_case, source, lake.table("raw_files"), DAY)
        read_day(use_case, source, lake, manifest, engine, lambda _: None)
        enrich_day(use_case, lake, "calendar", DAY)
    found = build_training_set(use_case, lake)
    candidate = use_case.training.candidates["linear"]
    model = fit(use_case, candidate, found, found.load())
    (home / "sha256").write_text(watched_version(model, found, home / "model").serving_sha256)


def content(lake: Path, table: str) -> pd.DataFrame:
    """A published table in an order of its own."""
    frame = Lake(lake, "transactions").table(table).read_all().to_pandas()
    names = sorted(frame.columns)
    return frame[names].sort_values(names).reset_index(drop=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], *map(int, sys.argv[5:]))
