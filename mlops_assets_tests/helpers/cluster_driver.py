"""Runs a day whose raw files and lake lie on S3, on a machine of its own, and tells of it line by line.

Usage: python -m mlops_assets_tests.helpers.cluster_driver MASTER LAKE MODEL SHA256

The engine is Spark on the master, or the local one for the master `here`. The raw files come from a class of the use
case's own, so its package must be on the path. Each report is a line; the last one is a JSON text: accounting of the
steps, the shards that were done before, and the published parts with their hashes; or the error.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from mlops_assets.errors import MlopsError
from mlops_assets.journey.enrich.day import enrich_day
from mlops_assets.journey.features.day import aggregate_day
from mlops_assets.journey.read.listing import list_day
from mlops_assets.journey.read.rows import read_day
from mlops_assets.journey.read.sources import open_source
from mlops_assets.journey.score.day import Scorers, score_day
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.places import parse_place
from mlops_assets.use_case import Origin, UseCase
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.work.engines.spark import SparkEngine
from mlops_assets.work.shards import Engine, Report
from mlops_assets_tests.helpers.day_driver import DAY, small_shards, version_of

OWN = {
    "landed/where.py": "FOLDER = 'day='\n",
    "landed/bucket.py": '''
from landed.where import FOLDER
from mlops_assets.journey.read.sources.s3 import S3Source
from mlops_assets.storage.places import parse_place


class Bucket(S3Source):
    """Raw files on S3, by a class of one's own."""

    def __init__(self, place):
        super().__init__(parse_place(place))

    def _day(self, day):
        return self.root / f"{FOLDER}{day}"
''',
}
"""A package of one's own, which has a module beside the one that is named, and no `__init__.py`."""

TABLES = ("rows", "rejects", "features", "predictions", "profiles")


def run_day(use_case: UseCase, lake: Lake, model: Path, sha256: str, engine: Engine) -> dict[str, Any]:
    """From raw files to predictions; what is to be told of it."""
    source = open_source(use_case, Settings.from_environment().raw)

    def tell(report: Report) -> None:
        print(report.shard, flush=True)  # noqa: T201 - the test reads it

    manifest = list_day(use_case, source, lake.raw_files, DAY)
    read = read_day(use_case, source, lake, manifest, engine, tell)
    enrich_day(use_case, lake, "calendar", DAY)
    aggregated = aggregate_day(use_case, lake, DAY, engine, tell)
    scored = score_day(use_case, lake, DAY, Scorers(version_of(model, sha256)), engine, tell, source.place(DAY))
    assert not scored.problems, scored.problems
    steps = (read, aggregated, scored)
    published = {name: lake.table(name) for name in TABLES}
    return {
        "accounting": [step.accounting.to_json() for step in steps],
        "published": [table.days()[DAY].accounting.to_json() for table in published.values()],
        "shards": sum(step.shards for step in steps),
        "reused": sum(step.reused for step in steps),
        "parts": {
            part.path: part.sha256 for table in published.values() for part in table.parts_at(DAY, table.days()[DAY])
        },
    }


def main(master: str, lake: str, model: str, sha256: str) -> None:
    """Run the day."""
    raw = Settings.from_environment().raw / "transactions"
    source = Origin.model_validate({"use": "landed.bucket.Bucket", "parameters": {"place": str(raw)}})
    use_case = small_shards().model_copy(update={"source": source})
    engine = LocalEngine(1) if master == "here" else SparkEngine(master, 3)
    try:
        with engine:
            told = run_day(use_case, Lake(parse_place(lake), use_case.name), Path(model), sha256, engine)
    except MlopsError as error:
        told = {"error": str(error)}
    print(json.dumps(told))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main(*sys.argv[1:])
