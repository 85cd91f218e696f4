"""In: the files as they lie there now. Out: what a run of their day would do, and why, without doing it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.enrich.answers import DayAnswers, NotEnriched, find_answers, needed
from mlops_assets.journey.features.day import features_code, features_mark
from mlops_assets.journey.features.sql import describe
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.preview.sample import Trial
from mlops_assets.journey.read.listing import (
    ATTACHMENT,
    attachments_mark,
    attachments_of,
    find_manifest,
    look_at_day,
    shard_of,
)
from mlops_assets.journey.read.rows import rows_code, rows_mark
from mlops_assets.journey.read.sources import Source
from mlops_assets.journey.score.day import Scorers, enrichments_of, scores_code, scores_mark
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_report
from mlops_assets.storage.places import Place
from mlops_assets.storage.tables import Table
from mlops_assets.use_case import UseCase
from mlops_assets.work.code import Code
from mlops_assets.work.costs import Step, Work
from mlops_assets.work.engines.choosing import Plan
from mlops_assets.work.forecast import STEPS, Pace
from mlops_assets.work.shards import changed_code, shard_number


@dataclass(frozen=True)
class Preview:
    """What a run of one day would do.

    Attributes
    ----------
    day
        The day.
    files, bytes, shards
        What lies there now.
    redo
        Shards to be done, by step.
    reasons
        Shards to be done, by the reason.
    rows
        Rows of the shards that would be read, if they are like those of earlier days; None if nothing was measured.
    minutes
        How long it would take by the engine that a run uses; None if nothing can be told.
    disk
        Bytes that would be written; None if nothing can be told.
    plan
        What it would take by each way, and by which a run does it; None if nothing can be told.
    measured
        The days that the pace of its steps was measured on.
    sampled
        How many files were tried, where no earlier day tells the pace of every step; 0 where one does.
    uncertainty
        By which share of themselves the minutes may be wrong; see `sample.Sampled`.
    """

    day: str
    files: int
    bytes: int
    shards: int
    redo: dict[str, int]
    reasons: dict[str, int] = field(default_factory=dict)
    rows: int | None = None
    minutes: float | None = None
    disk: int | None = None
    plan: Plan | None = None
    measured: tuple[str, ...] = ()
    sampled: int = 0
    uncertainty: float | None = None


def preview_day(
    use_case: UseCase,
    source: Source,
    lake: Lake,
    day: str,
    scorers: Scorers | None,
    paces: dict[str, Pace],
    plan: Callable[[Work], Plan],
    trial: Trial,
) -> Preview:
    """Look at a day as a run would, and stop before the work.

    Parameters
    ----------
    use_case
        The use case.
    source
        Where its raw files lie.
    lake
        The tables of the use case; nothing is written.
    day
        The day.
    scorers
        The versions that would score; None if there is none, and nothing would be scored.
    paces
        What `forecast.measured` found.
    plan
        Says how a run of some work would be done.
    trial
        Tells the pace of steps that no earlier day tells.
    """
    # a run lists the files, too
    began = time.perf_counter()
    entries, shards, _ = look_at_day(use_case, source, lake.raw_files, day)
    listing = time.perf_counter() - began
    attachments = attachments_of(entries)
    files = len(entries) - len(attachments)
    look = _Look(use_case, lake, day, scorers, attachments)
    # the entries are sorted by shard
    bounds = np.searchsorted(entries["shard"].to_numpy(), np.arange(shards + 1))
    for shard in range(shards if files else 0):
        look.at(shard, entries.slice(bounds[shard], bounds[shard + 1] - bounds[shard]))
    preview = Preview(day, files, _bytes(entries), shards, look.redo, dict(look.reasons.most_common()))
    unknown = any(look.redo[step] and step not in paces for step in STEPS)
    # another machine's pace would be a guess
    if unknown and (sampled := trial.of(day, entries)):
        preview = replace(preview, sampled=sampled.files, uncertainty=sampled.uncertainty)
        paces = {**sampled.paces, **paces}
    return _with_forecast(preview, look, paces, listing, plan)


def _with_forecast(
    preview: Preview, look: _Look, paces: Mapping[str, Pace], listing: float, plan: Callable[[Work], Plan]
) -> Preview:
    """A preview with what the bytes to be done will bring and take, as far as it was ever measured."""
    steps = [step for step in STEPS if look.redo[step]]
    if steps and "rows" not in paces:
        return preview
    rows = {step: paces["rows"].rows_a_byte * look.bytes[step] for step in steps}
    preview = replace(preview, rows=round(rows.get("rows", 0)))
    if any(step not in paces for step in steps):
        return preview
    work = Work(listing, tuple(Step(look.redo[step], paces[step].seconds_a_row * rows[step]) for step in steps))
    disk = sum(paces[step].stored_a_row * rows[step] for step in steps)
    planned, days = plan(work), sorted({paces[step].day for step in steps} - {""})
    return replace(preview, minutes=planned.minutes, disk=round(disk), plan=planned, measured=tuple(days))


def _bytes(entries: pa.Table) -> int:
    return pc.sum(entries["size"]).as_py() or 0


class _Look:
    """Goes through the shards of a day and keeps which steps each of them needs, and why."""

    def __init__(self, use_case: UseCase, lake: Lake, day: str, scorers: Scorers | None, attachments: pa.Table) -> None:
        self._use_case = use_case
        self._lake = lake
        self._day = day
        self._scorers = scorers
        has_step = {lake.features.name: bool(describe(use_case).file), lake.predictions.name: scorers is not None}
        self._steps = [step for step in STEPS if has_step.get(step, True)]
        self._attachments = attachments
        self._mark = attachments_mark(attachments)
        self._before = find_manifest(lake.raw_files, day)
        self._parts = {table: _by_shard(table, day) for table in (lake.rows, lake.features, lake.predictions)}
        state = lake.predictions.days().get(day)
        self._models_need = enrichments_of(use_case, scorers) if scorers else []
        self._answers = self._find_answers()
        self._scored_by = state.accounting.model_version if state else None
        self.redo = dict.fromkeys(STEPS, 0)
        self.bytes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def _find_answers(self) -> DayAnswers | None:
        """What the day's rows are enriched with; None if enrichments would have to be asked first."""
        rows = self._lake.rows.days().get(self._day)
        names = sorted({*needed(self._use_case, self._use_case.features_sql), *self._models_need})
        if rows is None:
            return DayAnswers({}, {}, {}) if not names else None
        try:
            return find_answers(self._use_case, self._lake, self._day, rows, names)
        except NotEnriched:
            return None

    def at(self, shard: int, entries: pa.Table) -> None:
        """Look at one shard."""
        size = _bytes(entries)
        for reason, steps in self._causes(shard, entries):
            self.reasons[reason] += 1
            for step in steps:
                self.redo[step] += 1
                self.bytes[step] += size

    def _causes(self, shard: int, entries: pa.Table) -> Iterator[tuple[str, list[str]]]:
        """Why something of a shard must be done, and which steps. A step that is done again redoes those after it."""
        name = f"{shard:05d}-{rows_mark(entries, self._use_case, self._mark)}"
        if not self._done(self._lake.rows, name):
            yield self._why_read(shard, entries), self._steps
        elif self._answers is None:
            yield "an enrichment was not asked for the rows as they are now", self._steps[1:]
        else:
            yield from self._causes_behind_rows(shard, f"{name}.parquet", self._answers)

    def _causes_behind_rows(self, shard: int, part: str, answers: DayAnswers) -> Iterator[tuple[str, list[str]]]:
        marks, features, predictions = answers.of(part), self._lake.features, self._lake.predictions
        if features.name in self._steps:
            mark = features_mark(part, self._use_case.features_sql, marks)
            if not self._done(features, f"{shard:05d}-{mark}"):
                yield self._why_aggregate(shard), [features.name]
        if self._scorers is not None:
            # what a model does not ask for cannot change what it says
            asked = {name: mark for name, mark in marks.items() if name in self._models_need}
            mark = scores_mark(part, self._use_case, self._scorers.version, self._scorers.challenger, asked)
            if not self._done(predictions, f"{shard:05d}-{mark}"):
                yield self._why_score(shard, self._scorers.version), [predictions.name]

    def _done(self, table: Table[Any], stem: str) -> bool:
        return read_report(table.place(self._day, stem)) is not None

    def _why_read(self, shard: int, now: pa.Table) -> str:
        if self._before is None:
            return "the day is new"
        changes = _changes(self._listed_before(shard, now), now, "files")
        if changes:
            return changes
        beside = self._listed_before(ATTACHMENT, now)
        if self._mark != attachments_mark(beside):  # any record may refer to any of them, so all shards are read again
            return _changes(beside, self._attachments, "attachments")
        if changed := self._changed(self._lake.rows, shard, rows_code(self._use_case)):
            return changed
        if shard in self._parts[self._lake.rows]:
            return "the contract or the code that reads changed, or the stored rows are damaged"
        return "the rows were not finished"

    def _listed_before(self, shard: int, now: pa.Table) -> pa.Table:
        """The entries of a shard in the manifest of the last run; none if that was cleaned up."""
        if self._before is None or not self._before.path.exists():
            return now.slice(0, 0)
        return shard_of(self._before.path, shard)

    def _changed(self, table: Table[Any], shard: int, now: Code) -> str:
        """How the code that made a shard differs from that of today, in words; empty if it does not."""
        part = self._parts[table].get(shard)
        changes = changed_code(self._lake, part, now) if part is not None else ()
        return f"{table.name} were made by other code: {', '.join(changes)}" if changes else ""

    def _why_aggregate(self, shard: int) -> str:
        changed = self._changed(self._lake.features, shard, features_code())
        return changed or "features.sql or its code changed, or the aggregates were not finished"

    def _why_score(self, shard: int, champion: Version) -> str:
        if self._scored_by is None:
            return "it was not scored yet"
        if self._scored_by != champion.version:
            return f"model version {self._scored_by} became {champion.version}"
        if changed := self._changed(self._lake.predictions, shard, scores_code(self._use_case)):
            return changed
        changes = "the challenger, an enrichment, `scoring` or the code that scores changed"
        return f"{changes}, or the predictions were not finished"


def _by_shard(table: Table[Any], day: str) -> dict[int, Place]:
    """The published parts of a day by their shard."""
    return {shard_number(path): table.folder / path for path in table.parts(day)}


def _changes(before: pa.Table, now: pa.Table, kind: str) -> str:
    """How the files of a shard differ from those that were listed before, in words; empty if they do not."""
    old, new = ({row["path"]: row for row in table.drop_columns(["shard"]).to_pylist()} for table in (before, now))
    counts = {
        "new": len(new.keys() - old.keys()),
        "gone": len(old.keys() - new.keys()),
        "changed": sum(new[path] != old[path] for path in new.keys() & old.keys()),
    }
    return " and ".join(f"{kind} are {what}" for what, number in counts.items() if number)
