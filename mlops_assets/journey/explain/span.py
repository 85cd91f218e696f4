"""In: published predictions of days, as they are and as they were, or two versions. Out: what differs, day by day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa

from mlops_assets.errors import LakeError
from mlops_assets.journey.explain.comparison import compare_flows
from mlops_assets.journey.explain.flows import Flow, add_flows, as_lists, count_flows, from_lists, totals
from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.read.contract import rows_schema
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.parts import Part
from mlops_assets.storage.places import Place
from mlops_assets.storage.tables import Published
from mlops_assets.use_case import UseCase
from mlops_assets.work.shards import Engine, Needs, Report, Watch, files_of, run_shards, shard_number

Publication = Published[PredictionsAccounting]


@dataclass(frozen=True)
class DayFlows:
    """What differs on a day.

    Attributes
    ----------
    day
        The day.
    before, after
        The versions that gave the answers.
    flows
        How many rows went from which class to which.
    """

    day: str
    before: int
    after: int
    flows: tuple[Flow, ...]


@dataclass(frozen=True)
class Span:
    """What differs over a range of days.

    Attributes
    ----------
    use_case
        Its name.
    days
        The days that were compared, in order.
    valued
        Whether rows are worth something: whether the use case has `value`.
    left_out
        By day that was not compared, why.
    """

    use_case: str
    days: tuple[DayFlows, ...]
    valued: bool
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def flows(self) -> tuple[Flow, ...]:
        """Of all days together."""
        return add_flows(*(one.flows for one in self.days))

    @property
    def share(self) -> float:
        """Share of all rows that have another answer."""
        total = totals(flow for one in self.days for flow in one.flows if not flow.column)
        return total["changed"] / max(1, total["rows"])


@dataclass(frozen=True)
class FlowTask:
    """Parts of two publications of a day that have the same rows; see `flow_shard`."""

    use_case: UseCase
    lake: Place
    day: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    rows: tuple[str, ...]

    @property
    def needs(self) -> Needs:
        """What a machine needs for it."""
        return Needs((__name__,), (self.lake / self.use_case.name,))


def earlier(publications: Sequence[Publication], version: int | None = None) -> Publication | None:
    """What a day as it is published now is compared with: the newest publication before it by another version.

    Parameters
    ----------
    publications
        Of a day, the oldest first.
    version
        The version, if it must be a certain one.
    """
    now = publications[-1].accounting.model_version
    for one in reversed(publications[:-1]):
        if one.accounting.model_version == (version or one.accounting.model_version) != now:
            return one
    return None


def compare_published(
    use_case: UseCase,
    lake: Lake,
    days: Iterable[str],
    against: int | None,
    engine: Engine,
    watch: Watch,
    then: Mapping[str, Publication] | None = None,
) -> Span:
    """Compare days as they are published with what was published before by another version; no model is asked.

    Parameters
    ----------
    use_case, lake
        The use case and its tables.
    days
        The days, in order; they are published.
    against
        The version of before; by default the one whose answers were replaced.
    engine
        Reads the parts.
    watch
        Is told of every finished part.
    then
        By day, the publication to compare with, whatever its version.
    """
    compared, left_out = [], {}
    by = f"version {against}" if against else "another version"
    for day in days:
        publications = lake.predictions.publications()[day]
        before = earlier(publications, against) if then is None else then[day]
        if before is not None and before.version == publications[-1].version:
            left_out[day] = "it is published as it was then"
            continue
        if before is None:
            left_out[day] = f"it was published by version {publications[-1].accounting.model_version}, never by {by}"
            continue
        try:
            parts = lake.predictions.parts_at(day, before)
        except LakeError as error:
            left_out[day] = str(error)
            continue
        now = lake.predictions.parts_at(day, publications[-1])
        versions = before.accounting.model_version, publications[-1].accounting.model_version
        compared.append(DayFlows(day, *versions, compare_parts(use_case, lake, day, parts, now, engine, watch)))
    return Span(use_case.name, tuple(compared), use_case.value is not None, left_out)


def compare_versions(
    use_case: UseCase, lake: Lake, days: Iterable[str], before: Version, after: Version, engine: Engine, watch: Watch
) -> Span:
    """Score days with two versions and compare the answers; nothing is published. Parameters as `compare_day`."""
    compared = [
        DayFlows(day, before.version, after.version, compare_flows(use_case, lake, day, before, after, engine, watch))
        for day in days
    ]
    return Span(use_case.name, tuple(compared), use_case.value is not None)


def compare_parts(
    use_case: UseCase,
    lake: Lake,
    day: str,
    before: Sequence[Part],
    after: Sequence[Part],
    engine: Engine,
    watch: Watch = lambda _: None,
) -> tuple[Flow, ...]:
    """The flows from some parts of the predictions of a day to others, which need not be published.

    Parameters
    ----------
    use_case, lake, day
        The day.
    before, after
        The parts.
    engine, watch
        Reads them; is told.
    """
    tasks = _tasks(use_case, lake, day, [part.path for part in before], [part.path for part in after])
    reports = run_shards(engine, flow_shard, tasks, watch)
    return add_flows(*(from_lists(report.notes["flows"]) for report in reports))


def _tasks(use_case: UseCase, lake: Lake, day: str, before: Sequence[str], after: Sequence[str]) -> list[FlowTask]:
    sides = [_by_shard(paths) for paths in (before, after, sorted(lake.rows.parts(day)))]
    # a file stays in its shard while the day has as many of them: the shards of both have the same rows then
    if all(side.keys() == sides[0].keys() for side in sides):
        return [FlowTask(use_case, lake.root, day, *(side[shard] for side in sides)) for shard in sorted(sides[0])]
    whole = [tuple(path for paths in side.values() for path in paths) for side in sides]
    return [FlowTask(use_case, lake.root, day, *whole)]


def _by_shard(paths: Iterable[str]) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    for path in sorted(paths):
        found[shard_number(path)] = (*found.get(shard_number(path), ()), path)
    return found


def flow_shard(task: FlowTask) -> Report:
    """Count the flows of the rows of some parts."""
    use_case, lake = task.use_case, Lake(task.lake, task.use_case.name)
    columns = {use_case.label, *use_case.feedback.slices, *([use_case.value] if use_case.value else [])}
    wanted = ["file", "line", *sorted(columns)]
    answers = ["file", "line", "prediction"]
    sides = {
        "first": _read([lake.predictions.folder / path for path in task.before], answers),
        "second": _read([lake.predictions.folder / path for path in task.after], answers),
        "known": _read([lake.rows.folder / path for path in task.rows], wanted)
        or rows_schema(use_case).empty_table().select(wanted),
    }
    joined = _side_by_side({name: side for name, side in sides.items() if side is not None}, sorted(columns))
    flows = count_flows(joined["before"], joined["after"], joined, use_case)
    shard = shard_number((*task.before, *task.after, "0-")[0])
    counts = {"files": sum(files_of(lake.rows.folder / path) for path in task.rows), "rows": len(joined)}
    return Report(task.day, shard, counts, (), notes={"flows": as_lists(flows)})


def _read(paths: Sequence[Place], columns: Sequence[str]) -> pa.Table | None:
    tables = [read_rows(path, columns) for path in paths]
    return pa.concat_tables([_texts(table) for table in tables]) if tables else None


def _texts(table: pa.Table) -> pa.Table:
    """With texts instead of codes, which differ from part to part."""
    kinds = [
        pa.field(each.name, each.type.value_type if pa.types.is_dictionary(each.type) else each.type)
        for each in table.schema
    ]
    return table.cast(pa.schema(kinds))


def _side_by_side(sides: Mapping[str, pa.Table], columns: Sequence[str]) -> pa.Table:
    """The answers of both sides to each row, with what is known of it; null where a side has none."""
    with duckdb.connect(":memory:", config={"threads": 1}) as database:
        for name, table in sides.items():
            database.register(name, table)
        quoted = "".join(f', known."{column}"' for column in columns)
        found = database.sql(
            f"SELECT first.prediction AS before, second.prediction AS after{quoted} FROM first "
            "FULL JOIN second ON first.file = second.file AND first.line = second.line LEFT JOIN known "
            "ON known.file = coalesce(first.file, second.file) AND known.line = coalesce(first.line, second.line)"
        )
        return found.to_arrow_table().combine_chunks()
