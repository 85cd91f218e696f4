"""In: the files as they lie there now. Out: what a run of their day would do, and why, without doing it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.enrich.answers import DayAnswers, NotEnriched, find_answers, needed
from mlops_assets.journey.features.day import features_mark
from mlops_assets.journey.features.sql import describe
from mlops_assets.journey.model.registry import Version
from mlops_assets.journey.read.listing import (
    ATTACHMENT,
    attachments_mark,
    attachments_of,
    find_manifest,
    look_at_day,
    shard_of,
)
from mlops_assets.journey.read.rows import rows_mark
from mlops_assets.journey.read.sources import Source
from mlops_assets.journey.score.day import Scorers, enrichments_of, scores_mark
from mlops_assets.storage.files import read_report
from mlops_assets.storage.tables import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.work.forecast import STEPS, Pace
from mlops_assets.work.shards import shard_number


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
        How long it would take at the pace of earlier days; None if a step was never measured.
    disk
        Bytes that would be written; None if a step was never measured.
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


def preview_day(
    use_case: UseCase,
    source: Source,
    lake: Lake,
    day: str,
    scorers: Scorers | None,
    paces: dict[str, Pace],
    workers: int,
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
    workers
        Processes that would work.
    """
    began = time.perf_counter()
    entries, shards, _ = look_at_day(use_case, source, lake.table("raw_files"), day)
    listing = time.perf_counter() - began
    size = pc.sum(entries["size"]).as_py() or 0
    attachments = attachments_of(entries)
    files = len(entries) - len(attachments)
    look = _Look(use_case, lake, day, scorers, attachments)
    bounds = np.searchsorted(entries["shard"].to_numpy(), np.arange(shards + 1))
    for shard in range(shards if files else 0):
        look.at(shard, entries.slice(bounds[shard], bounds[shard + 1] - bounds[shard]))
    found = Preview(day, files, size, shards, look.redo, dict(look.reasons.most_common()))
    if "rows" not in paces:
        return found
    rows = {step: paces["rows"].rows_a_byte * look.bytes[step] for step in STEPS}
    needed = [step for step in STEPS if rows[step]]
    if any(step not in paces for step in needed):
        return Preview(**{**vars(found), "rows": round(rows["rows"])})
    work = sum(paces[step].seconds_a_row * rows[step] for step in needed) / workers
    disk = sum(paces[step].stored_a_row * rows[step] for step in needed)
    return Preview(
        **{**vars(found), "rows": round(rows["rows"]), "minutes": (listing + work) / 60, "disk": round(disk)}
    )


class _Look:
    """Goes through the shards of a day and keeps which steps each of them needs, and why."""

    def __init__(self, use_case: UseCase, lake: Lake, day: str, scorers: Scorers | None, attachments: pa.Table) -> None:
        self._use_case = use_case
        self._lake = lake
        self._day = day
        self._scorers = scorers
        self._aggregates = bool(describe(use_case).file)
        self._attachments = attachments
        self._mark = attachments_mark(attachments)
        self._before = find_manifest(lake.table("raw_files"), day)
        self._rows = {shard_number(path) for path in lake.table("rows").parts(day)}
        state = lake.table("predictions").days().get(day)
        self._models_need = enrichments_of(use_case, scorers) if scorers else []
        self._answers = self._find_answers()
        self._scored_by = state.accounting["model_version"] if state else None
        self.redo = dict.fromkeys(STEPS, 0)
        self.bytes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def _find_answers(self) -> DayAnswers | None:
        """What the day's rows are enriched with; None if enrichments would have to be asked first."""
        rows = self._lake.table("rows").days().get(self._day)
        names = sorted({*needed(self._use_case, self._use_case.features_sql), *self._models_need})
        if rows is None:
            return DayAnswers({}, {}, {}) if not names else None
        try:
            return find_answers(self._use_case, self._lake, self._day, rows, names)
        except NotEnriched:
            return None

    def at(self, shard: int, entries: pa.Table) -> None:
        """Look at one shard."""
        name = f"{shard:05d}-{rows_mark(entries, self._use_case, self._mark)}"
        size = pc.sum(entries["size"]).as_py() or 0
        if not self._done("rows", name):
            self.reasons[self._why_read(shard, entries)] += 1
            steps = STEPS if self._scorers else STEPS[:-1]
            self._needs([step for step in steps if step != "features" or self._aggregates], size)
            return
        if self._answers is None:
            self.reasons["an enrichment was not asked for the rows as they are now"] += 1
            needed_again = {"features": self._aggregates, "predictions": self._scorers is not None}
            self._needs([step for step, is_needed in needed_again.items() if is_needed], size)
            return
        part = Path(f"{name}.parquet").name
        sql, marks = self._use_case.features_sql, self._answers.of(part)
        if self._aggregates and not self._done("features", f"{shard:05d}-{features_mark(part, sql, marks)}"):
            self.reasons["features.sql or its code changed, or the aggregates were not finished"] += 1
            self._needs(["features"], size)
        if self._scorers is None:
            return
        answers = {name: mark for name, mark in marks.items() if name in self._models_need}
        mark = scores_mark(part, self._scorers.version, self._scorers.challenger, answers)
        if not self._done("predictions", f"{shard:05d}-{mark}"):
            self.reasons[self._why_score(self._scorers.version)] += 1
            self._needs(["predictions"], size)

    def _needs(self, steps: list[str], size: int) -> None:
        for step in steps:
            self.redo[step] += 1
            self.bytes[step] += size

    def _done(self, table: str, stem: str) -> bool:
        return read_report(self._lake.table(table).place(self._day, stem)) is not None

    def _why_read(self, shard: int, now: pa.Table) -> str:
        if self._before is None:
            return "the day is new"
        before = shard_of(self._before.path, shard) if self._before.path.exists() else now.slice(0, 0)
        changes = _changes(before, now, "files")
        if changes:
            return changes
        beside = shard_of(self._before.path, ATTACHMENT) if self._before.path.exists() else now.slice(0, 0)
        if self._mark != attachments_mark(beside):
            return _changes(beside, self._attachments, "attachments")
        if shard in self._rows:
            return "the contract or the code that reads changed, or the stored rows are damaged"
        return "the rows were not finished"

    def _why_score(self, champion: Version) -> str:
        if self._scored_by is None:
            return "it was not scored yet"
        if self._scored_by != champion.version:
            return f"model version {self._scored_by} became {champion.version}"
        return "the challenger, an enrichment or the code that scores changed, or the predictions were not finished"


def _changes(before: pa.Table, now: pa.Table, kind: str) -> str:
    """How the files of a shard differ from those that were listed before, in words; empty if they do not."""
    old, new = ({row["path"]: row for row in table.drop_columns(["shard"]).to_pylist()} for table in (before, now))
    found = {
        "new": len(new.keys() - old.keys()),
        "gone": len(old.keys() - new.keys()),
        "changed": sum(new[path] != old[path] for path in new.keys() & old.keys()),
    }
    return " and ".join(f"{kind} are {what}" for what, number in found.items() if number)
