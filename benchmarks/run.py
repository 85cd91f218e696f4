"""Measures the ways: a day of each size is made, every way scores it, and what it left is taken away again."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import cache, measure
from benchmarks.champion import Champion, fresh_home
from benchmarks.data import make_day
from benchmarks.peers import ours
from benchmarks.peers.job import Job
from benchmarks.plans import Plan, expected
from benchmarks.records import Record, append
from benchmarks.ways import WAYS
from mlops_assets.use_case import UseCase

ROOT = Path(__file__).parents[1]
BYTES_A_FILE = 10_000
"""Disk that a file needs with everything that is made of it."""


@dataclass
class Bench:
    """What all runs share.

    Attributes
    ----------
    use_case, champion
        What is scored, and by what.
    folder
        The work folder.
    day
        The day that is made and scored.
    session
        See `Record`.
    cores
        Numbers of the cores that a way may use.
    known
        How many accounts the champion knows; see `make_day`.
    """

    use_case: UseCase
    champion: Champion
    folder: Path
    day: dt.date
    session: str
    cores: Sequence[int]
    known: int
    _rates: dict[tuple[str, int], float] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        """The file of the records."""
        return self.folder / "results.jsonl"

    @property
    def raw(self) -> Path:
        """The folder of the day."""
        return self.folder / "raw" / self.use_case.name / f"day={self.day.isoformat()}"

    def measure(self, plans: Sequence[Plan]) -> None:
        """Make all runs; plans of the same number of files stand together."""
        size = 0
        for number, plan in enumerate(plans):
            if plan.files != size:
                size = plan.files
                self.make(size)
            what = f"{plan.way}, {plan.files:,} files, {plan.cache}"
            say(f"[{number + 1}/{len(plans)}] {what} ({self._left(plans[number:])})")
            cooled = self._prepare_cache(plan)
            with self.job(plan.way) as job:
                record = self.run(plan, job, cooled)
            append(self.results, record)
            rate = record.error or f"{plan.files / record.seconds:,.0f} files/s, {record.peak >> 20:,} MiB"
            say(f"    {record.seconds:,.1f} s, {rate}")
        shutil.rmtree(self.raw, ignore_errors=True)

    def make(self, files: int) -> None:
        """Make the day, instead of one that is there."""
        shutil.rmtree(self.raw, ignore_errors=True)
        free = shutil.disk_usage(self.folder).free
        if free < files * BYTES_A_FILE:
            raise SystemExit(
                f"{files:,} files need about {files * BYTES_A_FILE >> 30} GiB of disk, {free >> 30} are free: "
                f"choose a smaller --files, or another --folder than {self.folder}."
            )
        for written in make_day(self.use_case, self.folder / "raw", self.day, files, 50, self.known):
            if written % 100_000 == 0 or written == files:
                say(f"made {written:,} of {files:,} files")
        os.sync()

    def _prepare_cache(self, plan: Plan) -> str:
        if plan.cache == "cold":
            return cache.cool(self.raw)
        if plan.cache == "warm":
            cache.warm(self.raw)
        return ""

    def job(self, way: str) -> Scratch:
        """A job for a way, whose output is removed when the context ends."""
        return Scratch(self, way)

    def run(self, plan: Plan, job: Job, cooled: str = "") -> Record:
        """Run one way over the day that is there."""
        way = WAYS[plan.way]
        file, log = job.write(self.folder / "job.json"), self.folder / f"{plan.way}.log"
        threads = {f"{name}_NUM_THREADS": str(way.threads) for name in ("OMP", "OPENBLAS", "MKL")}
        environment = {**os.environ, **threads, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", f"benchmarks.peers.{way.module}", str(file)]
        result = measure.run(command, environment, self.cores, log)
        base = Record(self.session, way=plan.way, files=plan.files, cache=plan.cache)
        facts = {"seconds": result.seconds, "cpu": result.cpu, "peak": result.peak, "about": {"cooled": cooled}}
        if result.code:
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"]
            return Record(**{**vars(base), **facts, "error": f"exit code {result.code}: {lines[-1][:200]}"})
        outcome = ours.outcome(job) if plan.way == "ours" else job.outcome()
        wrong = "" if outcome.get("files") == plan.files else f"{outcome.get('files', 0)} files done"
        self._rates[plan.way, plan.files] = plan.files / max(0.1, result.seconds - way.start)
        return Record(**{**vars(base), **facts, **outcome, "files": plan.files, "error": wrong})

    def _left(self, plans: Sequence[Plan]) -> str:
        seconds = sum(expected(plan, self._rates.get((plan.way, plan.files))) for plan in plans)
        return f"all done in about {max(1, round(seconds / 60))} min"


class Scratch:
    """Gives a job with an empty folder for its output, and removes the folder afterwards."""

    def __init__(self, bench: Bench, way: str) -> None:
        self._bench, self._way = bench, way
        self._out = bench.folder / "out" / way

    def __enter__(self) -> Job:
        shutil.rmtree(self._out, ignore_errors=True)
        self._out.mkdir(parents=True)
        bench = self._bench
        if self._way == "ours":
            fresh_home(bench.champion, self._out)
        model = bench.champion
        return Job(str(bench.raw), bench.day.isoformat(), str(model.model), model.sha256, str(self._out))

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._out, ignore_errors=True)


def say(line: str) -> None:
    """Tell how far the work is."""
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)
