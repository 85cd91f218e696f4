"""In: the files of a day that nothing like was ever run of. Out: the pace of its steps, measured on a few of them.

The steps themselves do it, on shards of a few files and into a folder that is removed, so that nothing is left out and
nothing comes into the lake.
"""

from __future__ import annotations

import gc
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from mlops_assets.errors import MlopsError
from mlops_assets.journey.features.day import FeatureTask, aggregate_shard
from mlops_assets.journey.features.sql import describe
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.read.listing import ATTACHMENT, ROWS_A_GROUP, attachments_mark, attachments_of
from mlops_assets.journey.read.rows import ReadTask, read_shard
from mlops_assets.journey.read.sources import Source
from mlops_assets.journey.score.day import Scorers, ScoreTask, score_shard
from mlops_assets.storage.catalog import MANIFEST, Lake
from mlops_assets.storage.tables import write_part
from mlops_assets.use_case import UseCase
from mlops_assets.work.forecast import STEPS, Pace
from mlops_assets.work.shards import Report

log = logging.getLogger("mlops_assets.preview")

FILES, BYTES, SECONDS = 200, 64 << 20, 20.0
"""What is read at most, and after how long no further shard is begun."""

MOST_FAILED = 3
"""After so many days that told nothing no other is tried."""

LARGE, SMALL, RATIO = 3, 3, 11
"""Shards that get many files, those that get few, and which share of the files that is: one of so many. Both are
needed, for a call costs as much as hundreds of rows, which would be added to the cost of each row."""

SURE = 2.13
"""Student's t for four degrees of freedom, 90 %."""


@dataclass(frozen=True)
class Sampled:
    """What a few files of a day tell.

    Attributes
    ----------
    paces
        The pace of each step that was done; seconds are those of the CPU.
    drawn, files
        How many files were drawn, and how many of them were read in the time there is.
    uncertainty
        By which share of itself the time may be wrong, 0.2 for 20 %, nine times of ten; None where too few files lie
        there to tell.
    """

    paces: dict[str, Pace]
    drawn: int
    files: int
    uncertainty: float | None


@dataclass(frozen=True)
class _Done:
    """A step of a shard: bytes of its raw files, CPU seconds, and what it reports."""

    bytes: int
    seconds: float
    report: Report


class NothingTold(MlopsError):
    """The files of a day tell nothing of how long it takes; the text says why."""


class Trial:
    """Tries a few files of a day; what they tell holds for the other days that are asked for.

    A day of many more files than were tried is tried, too: a handful tells little, and a broken day nothing.

    Parameters
    ----------
    use_case
        The use case.
    source
        Where its raw files lie.
    scorers
        The versions that would score; None if there is none.
    prove
        Tries a version, so that it may score.
    """

    def __init__(
        self, use_case: UseCase, source: Source, scorers: Scorers | None, prove: Callable[[Version], Version]
    ) -> None:
        self._use_case = use_case
        self._source = source
        self._scorers = scorers
        self._prove = prove
        self._failed = 0
        self._found: Sampled | None = None

    def of(self, day: str, entries: pa.Table) -> Sampled | None:
        """What a few files tell, of all entries of a day; None where they cannot be done, which is logged."""
        tried = self._found.drawn if self._found else 0
        # twice as many, so that a year of days costs a few trials
        if self._failed < MOST_FAILED and min(FILES, len(files_of(entries))) >= 2 * tried:
            try:
                self._found = sample_day(self._use_case, self._source, day, entries, self._proven)
            except (MlopsError, OSError) as error:
                self._failed += 1
                log.warning("%s %s: a few of its files were tried, which ended so: %s", self._use_case.name, day, error)
        return self._found

    def _proven(self) -> Scorers | None:
        return self._scorers and replace(self._scorers, version=self._prove(self._scorers.version))


def sample_day(
    use_case: UseCase,
    source: Source,
    day: str,
    entries: pa.Table,
    scorers: Callable[[], Scorers | None],
    clock: Callable[[], float] = time.monotonic,
) -> Sampled:
    """Read, aggregate and score a few files that are drawn evenly from a day.

    Parameters
    ----------
    use_case
        The use case.
    source
        Where its raw files lie.
    day
        The day.
    entries
        All entries of its manifest.
    scorers
        Gives the versions that would score, tried; asked for once there are rows.
    clock
        Tells how long it takes already.

    Raises
    ------
    NothingTold
        If a single file is larger than what may be read, or no row was good.
    """
    drawn = _draw(files_of(entries))
    # as in a worker: threads that wait for each other would count as work
    with tempfile.TemporaryDirectory(prefix="mlops-preview-") as folder, threadpool_limits(1):
        shards = _Shards(use_case, source, Path(folder), day, drawn, attachments_of(entries))
        done = shards.run(scorers, clock)
    return _sampled(done, len(drawn))


def files_of(entries: pa.Table) -> pa.Table:
    """The files among the entries of a day, without attachments."""
    return entries.filter(pa.array(entries["shard"].to_numpy() != ATTACHMENT))


def _draw(files: pa.Table) -> pa.Table:
    """Some files from all over a day, as many as may be read; their shards are those of the sample."""
    number = min(FILES, len(files))
    while number:
        places = np.unique(np.linspace(0, len(files) - 1, number).astype(int))
        drawn = files.take(pa.array(places))
        if drawn["size"].to_numpy().sum() <= BYTES:
            return _in_shards(drawn)
        number //= 2
    raise NothingTold(f"its files are larger than the {BYTES >> 20} MB that are read")


def _in_shards(drawn: pa.Table) -> pa.Table:
    """The same files as the entries of a manifest: a few large shards and a few small ones, from all over the day."""
    place = np.arange(len(drawn))
    shards = np.where(place % RATIO == 0, LARGE + place // RATIO % SMALL, place % LARGE)
    if len(drawn) < LARGE * RATIO:  # so few that all of them together cost hardly more than a call
        shards = np.zeros(len(drawn), int)
    column = drawn.column_names.index("shard")
    return drawn.set_column(column, "shard", pa.array(shards.astype(np.int32))).cast(MANIFEST)


class _Shards:
    """A day of a few shards in a lake of its own."""

    def __init__(
        self, use_case: UseCase, source: Source, root: Path, day: str, drawn: pa.Table, attachments: pa.Table
    ) -> None:
        self._use_case = use_case
        self._source = source
        self._lake = Lake(root, use_case.name)
        self._day = day
        self._mark = attachments_mark(attachments)
        # what is done first waits for imports and plans: a shard of its own, which does not count
        self._warm = int(drawn["shard"].to_numpy().max()) + 1
        first = drawn.slice(0, SMALL * 2)
        numbers = pa.array(np.full(len(first), self._warm, np.int32))
        again = first.set_column(first.column_names.index("shard"), "shard", numbers)
        manifest = pa.concat_tables([attachments.cast(MANIFEST), drawn, again]).sort_by(
            [("shard", "ascending"), ("path", "ascending")]
        )
        self._manifest = write_part(self._lake.raw_files, day, "sample", manifest, rows_a_group=ROWS_A_GROUP)
        self._sizes = {
            number: int(drawn.filter(pa.array(drawn["shard"].to_numpy() == number))["size"].to_numpy().sum())
            for number in np.unique(drawn["shard"].to_numpy())
        }

    def run(self, scorers: Callable[[], Scorers | None], clock: Callable[[], float]) -> dict[str, list[_Done]]:
        """Do the steps of shard after shard, as far as the time goes."""
        done: dict[str, list[_Done]] = {step: [] for step in STEPS}
        scoring, until = scorers(), 0.0
        # small and large ones in turns, so that both are there when the time is over
        order = sorted(self._sizes, key=lambda number: (number % LARGE, number))
        for number in (self._warm, *order):
            if done[STEPS[0]] and clock() >= until:
                break
            for step, seconds, report in self._steps(number, scoring):
                if number != self._warm:
                    done[step].append(_Done(self._sizes[number], seconds, report))
            # imports and a trial of the model may take as long again on a busy machine
            until = until or clock() + SECONDS
            gc.freeze()  # what they left is looked through again and again: 90 ms, in the middle of a step of 30
        gc.unfreeze()
        return done

    def _steps(self, shard: int, scorers: Scorers | None) -> Iterator[tuple[str, float, Report]]:
        use_case, root, day = self._use_case, self._lake.root, self._day
        manifest = self._lake.raw_files.folder / self._manifest.path
        reading = ReadTask(use_case, self._source, root, manifest, day, shard, self._mark)
        yield STEPS[0], *(read := _timed(lambda: read_shard(reading)))
        rows = read[1].parts[0].path
        if describe(use_case).file:
            yield STEPS[1], *_timed(lambda: aggregate_shard(FeatureTask(use_case, root, day, rows)))
        if scorers is not None:
            task = ScoreTask(use_case, root, day, rows, scorers.version, scorers.challenger)
            yield STEPS[2], *_timed(lambda: score_shard(task))


def _timed(work: Callable[[], Report]) -> tuple[float, Report]:
    """CPU seconds of all threads of this process: waiting, also for other programs, does not count."""
    began = time.process_time()
    report = work()
    return time.process_time() - began, report


def _sampled(done: dict[str, list[_Done]], files: int) -> Sampled:
    read = done[STEPS[0]]
    rows, size = sum(one.report.counts["rows"] for one in read), sum(one.bytes for one in read)
    if not rows or not size:
        raise NothingTold("none of them has a good row")
    paces, total, error = {}, 0.0, 0.0
    for step, shards in done.items():
        if not shards:
            continue
        slope, wrong = seconds_a_byte([one.bytes for one in shards], [one.seconds for one in shards])
        total, error = total + slope, error + wrong**2
        stored = sum(one.report.parts[0].size for one in shards)
        paces[step] = Pace(slope * size / rows, stored / rows, rows / size if step == STEPS[0] else 0.0)
    told = read and len(read) > 3
    read_files = sum(one.report.counts["files"] for one in read)
    return Sampled(paces, files, min(files, read_files), SURE * sqrt(error) / total if told and total else None)


def seconds_a_byte(sizes: Sequence[int], seconds: Sequence[float]) -> tuple[float, float]:
    """How much longer a byte more takes, and the standard error of that, by a straight line through some shards.

    Where a line tells nothing sensible, all seconds are laid on the bytes, which is too much rather than too little.

    Examples
    --------
    >>> seconds_a_byte([10, 10, 110, 110], [1.0, 1.0, 3.0, 3.0])
    (0.02, 0.0)
    """
    x, y = np.asarray(sizes, float), np.asarray(seconds, float)
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / spread) if len(x) > 3 and spread else 0.0
    if slope <= 0:
        return float(y.sum() / x.sum()), 0.0
    left = y - y.mean() - slope * (x - x.mean())
    return slope, sqrt(float((left**2).sum()) / (len(x) - 2) / spread)
