"""Where the time of one shard goes: a day of one shard by the steps themselves, in this process, stage by stage.

`python -m benchmarks.shard` prints CPU seconds: the whole day and its steps as they are, the stages as a profiler finds
them in a run of its own. A profiler makes many small calls dearer than they are, so stages are for comparing them.
"""

from __future__ import annotations

import argparse
import cProfile
import datetime as dt
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from types import CodeType
from typing import TypeVar

from benchmarks.champion import Champion, fresh_home, train, workspace_of
from benchmarks.data import make_day
from benchmarks.peers import ours
from benchmarks.run import ROOT
from benchmarks.tables import markdown
from mlops_assets.journey.enrich.day import enrich_day
from mlops_assets.journey.features import day as features
from mlops_assets.journey.features import shard, sql
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.read import fetching, noticing, rows
from mlops_assets.journey.read.day import list_raw_files
from mlops_assets.journey.read.listing import find_manifest
from mlops_assets.journey.read.readers.csv import CsvReader
from mlops_assets.journey.score import day as scoring
from mlops_assets.journey.score.profile.shard import Counting
from mlops_assets.journey.score.profile.watching import Watched
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.storage import parts
from mlops_assets.use_case import UseCase, find_use_case
from mlops_assets.work.engines.local import ONE_THREAD
from mlops_assets.work.shards import Engine, Report
from mlops_assets.workspace import Stores

DAY = dt.date(2024, 1, 31)
Task = TypeVar("Task")

FILES, ROWS, KNOWN = 5_000, 50, 400

STAGES: Mapping[str, Sequence[Callable[..., object]]] = {
    "bytes of files": [fetching.fetch],
    "parse": [CsvReader.read],
    "check": [rows.check_rows],
    "notes of files": [noticing.note_shard],
    "write": [parts.write_part_file],
    "read rows again": [sql.read_rows],
    "SQL": [sql.FeatureSql.select],
    "places of rows": [shard._Positions.rows],
    "matrix": [Model.matrix],
    "probabilities": [Model.probabilities],
    "watch": [Counting.see, Watched.entries],
}
"""Functions, none of which calls another one of them."""


class Profiling:
    """An engine that does shards in this process, as a profiler watches.

    Parameters
    ----------
    profiler
        The profiler; None to have the shards done as they are.
    """

    elsewhere = False

    def __init__(self, profiler: cProfile.Profile | None) -> None:
        self._profiler = profiler
        self.seconds = 0.0

    def start(self) -> None:
        """Nothing to get ready."""

    def map(self, function: Callable[[Task], Report], tasks: Sequence[Task]) -> Iterator[Report]:
        """The reports of the shards, one after the other; CPU seconds of all of them are added up in `seconds`."""
        for task in tasks:
            began = time.process_time()
            report = function(task) if self._profiler is None else self._profiler.runcall(function, task)
            self.seconds += time.process_time() - began
            yield report


class Shard:
    """A day of one shard, to be done again and again.

    Parameters
    ----------
    use_case, champion
        What is scored, and by what.
    raw
        Folder of the raw files.
    day
        The day.
    """

    def __init__(self, use_case: UseCase, champion: Champion, raw: Path, day: dt.date) -> None:
        self._use_case, self._champion = use_case, champion
        self._raw, self._day = raw, day.isoformat()

    def _steps(self, stores: Stores, engine: Engine) -> Iterator[tuple[str, Callable[[], object]]]:
        use_case, lake, day = stores.use_case, stores.lake, self._day
        # the steps before say what the next ones do, so each is made as its turn comes
        yield "list", lambda: list_raw_files(use_case, stores.source, lake, day, _nothing)
        manifest = find_manifest(lake.raw_files, day)
        assert manifest is not None
        yield "read", lambda: rows.read_day(use_case, stores.source, lake, manifest, engine, _nothing)
        for name in use_case.enrichments:
            yield f"enrich with {name}", partial(enrich_day, use_case, lake, name, day)
        yield "features", lambda: features.aggregate_day(use_case, lake, day, engine, _nothing)
        scorers = stores.scorers("current", day, "")
        assert scorers is not None
        yield "score", lambda: scoring.score_day(use_case, lake, day, scorers, engine, _nothing, "")

    def do(self, engine: Profiling) -> dict[str, float]:
        """Do the day in a home of its own; CPU seconds of the shard's steps, and of what each step of the day takes.

        Parameters
        ----------
        engine
            Does the shards.
        """
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            fresh_home(self._champion, home)
            workspace = workspace_of(home)
            workspace = replace(workspace, settings=replace(workspace.settings, raw=self._raw))
            took, shards = {}, 0.0
            for name, work in self._steps(workspace.of(self._use_case), engine):
                before, began = engine.seconds, time.process_time()
                work()
                of_shard = engine.seconds - before
                shards += of_shard
                took[name] = time.process_time() - began - of_shard
            return {"the shard": shards, **{f"beside it: {name}": seconds for name, seconds in took.items()}}


def _nothing(*_: object) -> None:
    pass


def staged(profiler: cProfile.Profile, whole: float) -> dict[str, float]:
    """Seconds of each stage, and of what is none of them.

    Parameters
    ----------
    profiler
        Has watched.
    whole
        Seconds of all.
    """
    spent: Counter[CodeType] = Counter()
    for entry in profiler.getstats():
        if isinstance(entry.code, CodeType):
            spent[entry.code] += entry.totaltime
    took = {name: sum(spent[one.__code__] for one in some) for name, some in STAGES.items()}
    return {**took, "all else": whole - sum(took.values())}


def measured(shard: Shard, repeats: int) -> tuple[dict[str, float], dict[str, float]]:
    """Medians of the day and of the stages of its shard.

    Parameters
    ----------
    shard
        The day; it is done once more before, for what a process keeps.
    repeats
        How often each is measured.
    """
    shard.do(Profiling(None))
    day, stages = [], []
    for _ in range(repeats):
        day.append(shard.do(Profiling(None)))
        profiler = cProfile.Profile(time.process_time, builtins=False)
        watching = Profiling(profiler)
        shard.do(watching)
        stages.append(staged(profiler, watching.seconds))
    return _medians(day), _medians(stages)


def _medians(every: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: median(one[name] for one in every) for name in every[0]}


def page(day: Mapping[str, float], stages: Mapping[str, float]) -> str:
    """Both as tables."""
    tables = []
    for head, took in (("a day of one shard", day), ("its shard, watched", stages)):
        lines = [[name, f"{seconds:.3f}"] for name, seconds in took.items()]
        tables.append(markdown([head, "CPU s"], [*lines, ["sum", f"{sum(took.values()):.3f}"]]))
    return "\n\n".join(tables)


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shard", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--files", type=int, default=FILES, help=f"files of the shard; by default {FILES}")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows a file on average; by default {ROWS}")
    parser.add_argument("--known", type=int, default=KNOWN, help=f"accounts that are known; by default {KNOWN}")
    parser.add_argument("--repeat", type=int, default=5, help="measurements; by default 5")
    parser.add_argument("--folder", type=Path, default=ROOT / ".mlops" / "bench", help="work folder, with the champion")
    options = parser.parse_args(arguments)
    use_case = find_use_case((OWN_USE_CASES,), ours.USE_CASE)
    options.folder.mkdir(parents=True, exist_ok=True)
    champion = train(use_case, options.folder, DAY, days=3, files=options.known)
    raw = options.folder / "shard"
    shutil.rmtree(raw, ignore_errors=True)
    for _ in make_day(use_case, raw, DAY, options.files, options.rows, options.known):
        pass
    print(page(*measured(Shard(use_case, champion, raw, DAY), options.repeat)))
    return 0


if __name__ == "__main__":
    os.environ.update(ONE_THREAD)
    sys.exit(main())
