"""In: a publication of a day of one table of the lake. Out: what a target is given of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from mlops_assets.errors import LakeError, MlopsError
from mlops_assets.journey.features.day import features_schema
from mlops_assets.journey.read.contract import rows_schema
from mlops_assets.journey.score.unpredicted import left_out, without
from mlops_assets.journey.score.vectors import as_columns, as_maps, classes_of, stored_schema
from mlops_assets.plugins.targets import Delivery
from mlops_assets.storage.accounting import FeaturesAccounting, PredictionsAccounting, ReadingAccounting
from mlops_assets.storage.catalog import PROBABILITIES, REJECTS, Lake
from mlops_assets.storage.parts import Part
from mlops_assets.storage.tables import Published, Table
from mlops_assets.use_case import UseCase
from mlops_assets.work.shards import shard_number

DAY = pa.field("day", pa.string())

INPUT = "input_"
"""Put before a column of an input file that has the name of a column of the predictions."""


def publication_of(published: Published[Any]) -> str:
    """A name for the content of a published day: no other publication has it, even of a lake that was made anew."""
    return f"{published.version}-{published.time}"


def published_for(use_case: UseCase, lake: Lake, name: str) -> dict[str, Published[Any]]:
    """The days of the table that a target is given, as they are published now."""
    return lake.table(use_case.targets[name].table).days()


def schema_of(use_case: UseCase, lake: Lake, table: str) -> pa.Schema:
    """The columns that a target is given of a table, texts as texts however they are stored."""
    stored = {
        Lake.predictions.name: lambda: stored_schema(lake.predictions),
        Lake.rows.name: lambda: rows_schema(use_case),
        Lake.rejects.name: lambda: REJECTS,
        Lake.features.name: lambda: features_schema(use_case),
    }[table]()
    return pa.schema([DAY, *(pa.field(field.name, _plain(field.type)) for field in stored)])


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def read_contents(
    use_case: UseCase, lake: Lake, day: str, name: str, published: Published[Any], tell: Callable[[int], None]
) -> Delivery:
    """A day as it was published once, for a target.

    Parameters
    ----------
    use_case, lake
        The use case and its tables.
    day
        The day.
    name
        The target, whose configuration says which table.
    published
        The publication of the day in it.
    tell
        Is told how many rows were delivered so far.

    Raises
    ------
    LakeError
        If the parts of the publication have another number of rows than its accounting says.
    """
    given = use_case.targets[name]
    table = lake.table(given.table)
    parts = sorted(table.parts_at(day, published), key=lambda part: part.path)
    _check_number(given.table, day, parts, published)
    schema, classes = schema_of(use_case, lake, given.table), tuple[str, ...]()
    if given.probabilities:
        classes = classes_of(use_case.name, day, published.accounting)
        schema = schema.append(pa.field(PROBABILITIES.name, pa.map_(pa.string(), pa.float32())))

    _check_columns(table, day, schema.names)

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in table.read_parts(parts, schema.names) if parts else ():
            yield _named(batch, classes) if classes else batch

    accounting = published.accounting
    shards: Callable[[], Iterator[tuple[str, pa.Table]]] = partial(_as_stored, lake, given.table, parts, schema)
    if isinstance(accounting, PredictionsAccounting):
        shards = partial(_beside_rows, use_case, lake, day, published, parts, classes)
    return Delivery(
        use_case=use_case.name,
        target=name,
        day=day,
        publication=publication_of(published),
        published=published.time,
        model_version=accounting.model_version if isinstance(accounting, PredictionsAccounting) else 0,
        rows=sum(part.rows for part in parts),
        schema=schema,
        batches=batches,
        shards=shards,
        tell=tell,
        classes=classes,
        numbers=accounting.numbers(),
        table=given.table,
        key=tuple(column for column in ("day", "file", "line") if column in schema.names),
        grouped_by={"predictions": "account_id", "rows": use_case.account}.get(given.table, "file"),
    )


def _check_number(table: str, day: str, parts: Sequence[Part], published: Published[Any]) -> None:
    """See that what is delivered is as much as was accounted for."""
    told, found = expected_rows(table, published.accounting), sum(part.rows for part in parts)
    if told != found:
        raise LakeError(f"{table} of {day}: {found:,} rows lie there, {told:,} are accounted for; run the day again.")


def _check_columns(table: Table[Any], day: str, names: Sequence[str]) -> None:
    """See that what is stored has the columns of today's contract and SQL."""
    stored = table.open()
    assert stored is not None, "a day of it is published"  # noqa: S101
    there = {field.name for field in stored.schema().fields}
    missing = [name for name in names if name not in there]
    if missing:
        raise MlopsError(
            f"{table.name} of {day} was made before there was a column {', '.join(missing)}; run the day again."
        )


def expected_rows(table: str, accounting: Any) -> int:
    """How many rows a table has of a day by its accounting."""
    if isinstance(accounting, PredictionsAccounting):
        return accounting.predictions
    if isinstance(accounting, FeaturesAccounting):
        return accounting.files
    assert isinstance(accounting, ReadingAccounting), "there are no others"  # noqa: S101
    if table == Lake.rows.name:
        return accounting.rows
    # a file that is refused as a whole is one reject, without a line
    return accounting.rejected + accounting.files_refused


def _named(batch: pa.RecordBatch, classes: Sequence[str]) -> pa.RecordBatch:
    """Predictions whose probabilities have the names of their classes."""
    position = batch.schema.get_field_index(PROBABILITIES.name)
    return batch.set_column(position, PROBABILITIES.name, as_maps(batch.column(position), classes))


def _as_stored(lake: Lake, table: str, parts: Sequence[Part], schema: pa.Schema) -> Iterator[tuple[str, pa.Table]]:
    """The rows of a table, a shard at a time."""
    for part in parts:
        yield _stem(part), lake.table(table).read_parts([part], schema.names[1:]).read_all()


def _stem(part: Part) -> str:
    return part.path.rpartition("/")[2].removesuffix(".parquet")


def _beside_rows(
    use_case: UseCase,
    lake: Lake,
    day: str,
    published: Published[PredictionsAccounting],
    parts: Sequence[Part],
    classes: Sequence[str],
) -> Iterator[tuple[str, pa.Table]]:
    """The rows that were scored, with their predictions, a shard at a time."""
    version = published.accounting.rows_version
    scored = next(
        (publication for publication in lake.rows.publications().get(day, []) if publication.version == version), None
    )
    if scored is None:
        raise LakeError(f"rows of {day}: those that were scored are not known any more; run the day again.")
    read = {shard_number(part.path): part for part in lake.rows.parts_at(day, scored)}
    for part in parts:
        yield _stem(part), _side_by_side(use_case, lake, read[shard_number(part.path)], part, classes)


def _side_by_side(use_case: UseCase, lake: Lake, rows: Part, predictions: Part, classes: Sequence[str]) -> pa.Table:
    """The columns of a shard's files and what was said of each of their rows."""
    further = [PROBABILITIES.name] if classes else []
    usual = stored_schema(lake.predictions).names
    answers = lake.predictions.read_parts([predictions], [*usual, *further]).read_all()
    every = lake.rows.read_parts([rows], ["file", "line", *use_case.columns]).read_all()
    given = without(every, left_out(lake, predictions.path))
    # both keep the order of the files; where they do not, a prediction would be sent with somebody else's row
    if not (answers["file"].equals(given["file"]) and answers["line"].equals(given["line"])):
        raise LakeError(f"{predictions.path}: its rows are not those of the shard; run the day again.")
    said = {name: answers[name] for name in usual if name not in ("file", "line", "account_id")}
    if classes:
        said |= as_columns(answers[PROBABILITIES.name].combine_chunks(), classes)
    columns = {"file": given["file"], "line": given["line"]}
    taken = {DAY.name, *usual, *said}
    columns |= {(INPUT + name if name in taken else name): given[name] for name in use_case.columns}
    return pa.table({**columns, **said})


def published_or_refused(use_case: UseCase, lake: Lake, day: str, name: str) -> Published[Any]:
    """What is published of a day for a target.

    Raises
    ------
    MlopsError
        If nothing is.
    """
    published = published_for(use_case, lake, name).get(day)
    if published is None:
        table = use_case.targets[name].table
        raise MlopsError(f"no {table} of {day} are published, so there is nothing to deliver")
    return published
