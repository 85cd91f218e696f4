"""Sample days that are read without Dagster."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from mlops_assets.journey.enrich.day import enrich_day
from mlops_assets.journey.read.listing import list_day
from mlops_assets.journey.read.rows import read_day
from mlops_assets.journey.read.sources.folder import FolderSource
from mlops_assets.storage.catalog import Lake
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import UseCase
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.work.shards import Report

DAY = "2026-01-01"


def ignore(report: Report) -> None:
    """Watch shards finish and say nothing."""


def read_raw(use_case: UseCase, raw: Path, lake: Lake, day: str) -> None:
    """List and read the raw files of a day, in this process."""
    source = FolderSource(raw / use_case.name, use_case.files.suffix, use_case.follow_links)
    manifest = list_day(use_case, source, lake.table("raw_files"), day)
    read_day(use_case, source, lake, manifest, LocalEngine(1), ignore)
    for name in use_case.enrichments:
        enrich_day(use_case, lake, name, day)


def draw_day(use_case: UseCase, folder: Path, files: int, rows: int) -> Lake:
    """A lake with the rows of a sample day."""
    lake = Lake(folder / "lake", use_case.name)
    for _ in write_sample(use_case, folder / "raw", dt.date.fromisoformat(DAY), files, rows, 0, 7):
        pass
    read_raw(use_case, folder / "raw", lake, DAY)
    return lake


def in_shards_of(files: int, use_case: UseCase) -> UseCase:
    return use_case.model_copy(update={"scale": use_case.scale.model_copy(update={"files_a_shard": files})})


def back(days: int) -> str:
    """A day of the window, as seen from today."""
    return (dt.datetime.now(dt.UTC).date() - dt.timedelta(days=days)).isoformat()
