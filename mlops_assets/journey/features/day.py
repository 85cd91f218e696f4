"""In: the published rows of a day. Out: the aggregates of its files, stored under what they were made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from mlops_assets.journey.enrich.answers import NOTHING, Marks, find_answers, names_table, needed, read_answers
from mlops_assets.journey.features.allowed import until_aggregated
from mlops_assets.journey.features.shard import aggregate
from mlops_assets.journey.features.sql import describe, read_rows
from mlops_assets.journey.features.words import words_of
from mlops_assets.storage.accounting import FeaturesAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_part
from mlops_assets.storage.places import Place
from mlops_assets.use_case import UseCase
from mlops_assets.work.code import Code, code_of
from mlops_assets.work.shards import (
    DayDone,
    DayTask,
    Engine,
    Made,
    Needs,
    Report,
    Watch,
    add_up,
    files_of,
    fingerprint,
    finish,
    keep_code,
    parts_of,
    run_shards,
    shard_number,
)


@dataclass(frozen=True)
class FeatureTask(DayTask):
    """One shard whose files are to be aggregated; see `aggregate_shard`."""

    step = Lake.features.name
    use_case: UseCase
    lake: Place
    day: str
    rows: str
    marks: Marks = field(default_factory=dict)

    @property
    def needs(self) -> Needs:
        """What a machine needs for it."""
        return Needs((__name__,), (self.lake / self.use_case.name,))

    def known_by(self) -> tuple[int, str]:
        """Its number, and the fingerprint of what its aggregates depend on."""
        mark = features_mark(Path(self.rows).name, self.use_case.features_sql, self.marks)
        return shard_number(self.rows), mark


def aggregate_day(use_case: UseCase, lake: Lake, day: str, engine: Engine, watch: Watch) -> DayDone[FeaturesAccounting]:
    """Compute the file-level aggregates of a day and publish them as `features`, one row a file.

    Parameters
    ----------
    use_case
        The use case; its SQL must have the view `file_features`.
    lake
        The tables of the use case.
    day
        The day; its rows are published.
    engine
        Runs the shards.
    watch
        Is told of every finished shard.

    Returns
    -------
    DayDone
        The accounting, and how many shards were done before.

    Raises
    ------
    NotEnriched
        If the SQL needs an enrichment that was not asked for these rows.
    """
    table, rows = lake.features, lake.rows
    answers = find_answers(use_case, lake, day, rows.days()[day], needed(use_case, use_case.features_sql))
    # looked at before the work begins: if another run publishes the day meanwhile, this one must not win
    replaces = table.parts(day)
    tasks = [FeatureTask(use_case, lake.root, day, path, answers.of(path)) for path in sorted(rows.parts(day))]
    reports = run_shards(engine, aggregate_shard, tasks, watch)
    counts, _ = add_up(reports)
    files, rows_of_day = counts.get("aggregated", 0), counts.get("rows", 0)
    accounting = FeaturesAccounting(
        files=files, failed=counts.get("failed") or None, rows=rows_of_day, sql=sql_fingerprint(use_case.features_sql)
    )
    keep_code(lake, features_code())
    table.publish(day, parts_of(reports, table), features_schema(use_case), accounting, replaces)
    return DayDone.of(accounting, reports)


def features_schema(use_case: UseCase) -> pa.Schema:
    """Schema of the table `features`."""
    return pa.schema([pa.field("file", pa.string()), *describe(use_case).file.items()])


def sql_fingerprint(sql: str) -> str:
    """Hash of a `features.sql`."""
    return fingerprint(sql)


def aggregate_shard(task: FeatureTask) -> Report:
    """Aggregate the files of one shard, unless that was done before."""
    sql = task.use_case.features_sql
    lake = Lake(task.lake, task.use_case.name)
    table = lake.features

    def make() -> Made:
        rows = read_rows(lake.rows.folder / task.rows)
        data, blamed = aggregate(rows, task.day, task.use_case, sql, read_answers(lake, task.marks))
        data = data.select(features_schema(task.use_case).names)
        files, failed = files_of(lake.rows.folder / task.rows), len({row.file for row in blamed})
        counts = {"files": files, "aggregated": data.num_rows, "failed": failed, "rows": rows.num_rows}
        return Made({table: data}, counts)

    return finish(table, task.day, *task.known_by(), make, task.code())


def features_code() -> Code:
    """The code that decides what the aggregates of a shard are."""
    return code_of(__name__)


def features_mark(rows: str, sql: str, marks: Marks = NOTHING) -> str:
    """Fingerprint of all that the aggregates of a shard depend on: the part with its rows, SQL, code, answers."""
    # what makes the model's input of them may be edited: the champion, which has the text of its time, still finds them
    own = until_aggregated(sql)
    # answers that the SQL does not name are none of its business: should they change, nothing is done again
    seen = sorted(item for item in marks.items() if names_table(own, item[0]))
    # by its words: so does an edit of a comment
    return fingerprint(rows, words_of(own), features_code().fingerprint, *seen)


def stored_features(lake: Lake, day: str, rows: str, sql: str, marks: Marks = NOTHING) -> pa.Table | None:
    """The aggregates that were stored for exactly these rows and answers by exactly this SQL, or None.

    Parameters
    ----------
    lake
        The tables of the use case.
    day
        The day.
    rows
        Name of the part that holds the rows.
    sql
        The SQL of the model that asks.
    marks
        What the shard is enriched with.
    """
    path = lake.features.place(day, f"{shard_number(rows):05d}-{features_mark(rows, sql, marks)}")
    return read_part(path) if path.exists() else None
