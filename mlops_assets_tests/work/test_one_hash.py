"""The same day by every engine: one hash for each published file, whoever made it, and the same accounting.

Where raw files are kept, a day of then is read again by each of them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

pytest.importorskip("pyspark")
if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
    pytest.skip("Spark needs Java", allow_module_level=True)

from mlops_assets.journey.read.day import FILES_TAG
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import load_use_case
from mlops_assets_tests.helpers import jobs
from mlops_assets_tests.helpers.jobs import SECOND
from mlops_assets_tests.helpers.queue_here import queue
from mlops_assets_tests.helpers.shop import Shop
from mlops_assets_tests.helpers.spark_cluster import Cluster, executors, standalone
from mlops_assets_tests.helpers.stage import Stage

pytestmark = pytest.mark.long


@dataclass(frozen=True)
class Place:
    """A home of its own whose second day is not done yet, and a cluster."""

    shop: Shop
    cluster: Cluster
    folder: Path
    files_of: str = ""
    """Of which publication the files are read; empty: as they lie there."""

    def run(self, **environment: str) -> None:
        """The day, as a person asks for it."""
        words = ("--files-as-published-on", self.files_of) if self.files_of else ()
        done = self.shop("run", "visits", "--from", SECOND, "--to", SECOND, *words, **environment)
        assert done.code == 0, done.err


def by_local(here: Place) -> None:
    here.run(MLOPS_ENGINE="local", MLOPS_WORKERS="2")


def by_spark(here: Place) -> None:
    before = executors(here.cluster)
    here.run(MLOPS_ENGINE="spark", MLOPS_SPARK_MASTER=here.cluster.master, MLOPS_WORKERS="2")
    assert executors(here.cluster) > before


def by_pipes(here: Place) -> None:
    here.run(MLOPS_ENGINE="pipes")


def by_spark_submit(here: Place) -> None:
    before = executors(here.cluster)
    jobs.scale(here.shop, engine="pipes", client={"kind": "spark_submit", "master": here.cluster.master})
    here.run()
    assert executors(here.cluster) > before


def by_ranges(here: Place) -> None:
    jobs.scale(here.shop, engine="runs", ranges=2)
    use_case = load_use_case(here.shop.home.parent / "use_cases" / "visits")
    instance = here.folder / f"dagster{here.files_of}"
    with Stage.of(use_case, here.shop.home) as stage, queue(stage, instance) as found:
        day = found.day(SECOND, **({FILES_TAG: here.files_of} if here.files_of else {}))
        assert day.status == dg.DagsterRunStatus.SUCCESS
        assert {run.status for run in found.ranges(day)} <= {dg.DagsterRunStatus.SUCCESS}
        assert here.files_of or len(found.ranges(day)) == 6


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A standalone cluster of two workers."""
    with standalone(tmp_path_factory.mktemp("cluster"), 2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A champion, and a day that waits, whose files have a row that is refused."""
    shop = jobs.make(tmp_path_factory.mktemp("made"))
    for file in shop.day(SECOND).iterdir():
        with file.open("a", encoding="utf-8") as rows:
            rows.write("ann,many,web,no\n")
    return shop


@pytest.fixture(scope="module")
def alone(made: Shop, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The day by the local engine."""
    folder = tmp_path_factory.mktemp("alone")
    shop = jobs.copy(made, folder / "shop")
    by_local(Place(shop, cluster, folder))
    return jobs.state(shop, SECOND)


def test_the_day_has_several_shards_and_rows_that_are_refused(alone: dict[str, Any]) -> None:
    files = {table: len(parts) for table, (parts, _) in alone.items()}
    assert (files["rows"], files["features"], files["predictions"]) == (4, 4, 4)
    assert files["rejects"]


@pytest.mark.parametrize("way", [by_spark, by_pipes, by_spark_submit, by_ranges])
def test_a_day_is_the_same_whoever_does_it(
    way: Callable[[Place], None], made: Shop, cluster: Cluster, alone: dict[str, Any], tmp_path: Path
) -> None:
    shop = jobs.copy(made, tmp_path / "shop")
    way(Place(shop, cluster, tmp_path))
    assert jobs.state(shop, SECOND) == alone


@pytest.mark.parametrize("way", [by_local, by_spark, by_pipes, by_ranges])
def test_a_day_that_was_kept_is_read_again_whoever_does_it(
    way: Callable[[Place], None], made: Shop, cluster: Cluster, tmp_path: Path
) -> None:
    here = Place(jobs.copy(made, tmp_path / "shop"), cluster, tmp_path)
    jobs.change(here.shop, "source", keep="versions")
    way(here)
    then = jobs.state(here.shop, SECOND)
    first, before = published(here.shop), rows_of(here.shop)
    for number, file in enumerate(sorted(here.shop.day(SECOND).iterdir())):
        file.unlink()  # it is a link to a file of the original
        if number:
            file.write_text("visitor,minutes,channel,returned\nann,1,web,no\n")
    by_local(here)
    assert len(rows_of(here.shop)) == 3
    assert rows_of(here.shop, "--as-published-on", first) == before
    way(replace(here, files_of=first))
    # the accounting tells besides of which publication the files are
    assert hashes(jobs.state(here.shop, SECOND)) == hashes(then)


def hashes(state: dict[str, Any]) -> dict[str, Any]:
    return {table: files for table, (files, _) in state.items()}


def published(shop: Shop) -> str:
    """The publication of the rows of the day."""
    return str(Lake(shop.home / "lake", "visits").rows.days()[SECOND].version)


def rows_of(shop: Shop, *words: str) -> list[Any]:
    done = shop("rows", "visits", "--day", SECOND, "--format", "json", *words)
    assert done.code == 0, done.err
    found: list[Any] = json.loads(done.out)
    return found
