"""In: the rows of a shard. Out: what the model sees, by the one SQL that training, scoring and every engine run.

`features.sql` creates up to two views over the table `rows`, whose column `file` is a number that stands for the file:

- `file_features` (optional): aggregates, one row a file, with the column `file`;
- `model_input`: one row for every row, with `file`, `line` and the columns of the model.

Every enrichment of the configuration is a table of its name, with the answers for the keys of these rows.
The label is not in `rows`: no SQL can look at the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import duckdb
import numpy as np
import pyarrow as pa

from mlops_assets.errors import ConfigError
from mlops_assets.journey.enrich.answers import (
    NOTHING,
    Marks,
    find_answers,
    names_table,
    needed,
    read_answers,
    stored_schema,
)
from mlops_assets.journey.read.contract import rows_schema
from mlops_assets.storage.files import read_part
from mlops_assets.storage.places import Place
from mlops_assets.storage.tables import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.work.shards import (
    Engine,
    Made,
    Report,
    Watch,
    add_up,
    code_fingerprint,
    fingerprint,
    finish,
    parts_of,
    run_shards,
    shard_number,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

VIEW = re.compile(r"^\s*(?:--[^\n]*\n\s*)*create\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+)?view\s+(\w+)", re.I)
BATCH = 20_000
"""Rows of the model's input that are in memory at a time."""

TEXT: Final = "text"
"""Stands for the known values of a column that reaches the estimator as text; see `training.texts`."""

CODE = ("mlops_assets.journey.features.sql",)


@dataclass(frozen=True)
class FeatureColumns:
    """What a `features.sql` makes.

    Attributes
    ----------
    model
        Column of `model_input`: whether it is of text, a category unless `training.texts` names it.
    file
        Columns of `file_features` with their Arrow types, without `file`; empty if there is no such view.
    """

    model: Mapping[str, bool]
    file: Mapping[str, pa.DataType]


def statements(sql: str) -> dict[str, str]:
    """The statements of a `features.sql` by the view they create.

    Raises
    ------
    ConfigError
        If a statement creates no view, or `model_input` is missing.
    """
    found: dict[str, str] = {}
    for statement in duckdb.extract_statements(sql):
        match = VIEW.match(statement.query)
        if match is None:
            raise ConfigError(f"features.sql: only `CREATE VIEW` is allowed, this is: {statement.query.strip()[:80]}")
        found[match.group(1).lower()] = statement.query
    if "model_input" not in found:
        raise ConfigError("features.sql: no statement creates the view `model_input`.")
    return found


def describe(use_case: UseCase) -> FeatureColumns:
    """What the SQL of a use case makes, by running it on no rows.

    Raises
    ------
    ConfigError
        If the SQL is wrong, with DuckDB's word for it, or a column is neither text nor number.
    """
    rows = _without_label(rows_schema(use_case).empty_table(), use_case)
    enrichments = tuple((name, stored_schema(use_case, name)) for name in use_case.enrichments)
    return _describe(use_case.name, rows.schema, use_case.features_sql, enrichments)


@cache
def _describe(name: str, schema: pa.Schema, sql: str, enrichments: tuple[tuple[str, pa.Schema], ...]) -> FeatureColumns:
    where = f"{name}/features.sql"
    try:
        views = statements(sql)
        answers = {enrichment: columns.empty_table() for enrichment, columns in enrichments}
        database = _database(schema.empty_table(), "2000-01-01", answers)
        database.execute(sql)
        model = _columns(database, "model_input")
        file = _columns(database, "file_features") if "file_features" in views else {"file": pa.int32()}
    except duckdb.Error as error:
        raise ConfigError(f"{where}: {error}") from None
    for view, keys, columns in (("model_input", ("file", "line"), model), ("file_features", ("file",), file)):
        missing = [key for key in keys if key not in columns]
        if missing:
            raise ConfigError(f"{where}: the view `{view}` must have the column `{missing[0]}`.")
        hidden = [column for column in columns if column.startswith("_")]
        if hidden:
            raise ConfigError(f"{where}: `{view}` has a column {hidden[0]!r}; names that begin with _ are taken.")
    inputs = {column: kind for column, kind in model.items() if column not in ("file", "line")}
    for column, kind in inputs.items():
        if not (pa.types.is_string(kind) or pa.types.is_boolean(kind) or _is_number(kind)):
            raise ConfigError(f"{where}: `model_input` has {column!r} of the type {kind}; make it a number or a text.")
    if not inputs:
        raise ConfigError(f"{where}: `model_input` has no column for the model beside `file` and `line`.")
    categories = {column: pa.types.is_string(kind) for column, kind in inputs.items()}
    return FeatureColumns(categories, {column: kind for column, kind in file.items() if column != "file"})


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _columns(database: duckdb.DuckDBPyConnection, view: str) -> dict[str, pa.DataType]:
    schema = database.table(view).limit(0).to_arrow_table().schema
    return {field.name: field.type for field in schema}


def read_rows(path: Place, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of one published or staged part; text columns stay dictionaries."""
    table = read_part(path, columns, texts_as_codes=True)
    return table.unify_dictionaries().combine_chunks()


def compute(
    rows: pa.Table,
    day: str,
    use_case: UseCase,
    sql: str,
    file_features: pa.Table | None = None,
    answers: Mapping[str, pa.Table] = NOTHING,
) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """Run the SQL over the rows of one shard, a batch at a time.

    Parameters
    ----------
    rows
        Rows in the schema of `rows_schema`, in one chunk.
    day
        Their day.
    use_case
        The use case.
    sql
        Text of `features.sql`: the current one, or the one of a model version.
    file_features
        The stored result of the view `file_features` for these rows, if there is one.
    answers
        The answers of enrichments for the keys of these rows, by name; one that is not among them has none.

    Yields
    ------
    tuple
        The view `model_input`, and the place in `rows` of each of its rows. Every row comes exactly once.

    Raises
    ------
    ConfigError
        If the SQL loses or doubles rows, or needs an enrichment that there is not.
    """
    try:
        yield from _compute(rows, day, use_case, sql, file_features, answers)
    except duckdb.Error as error:
        raise _sql_fails(use_case, day, error) from None


def _sql_fails(use_case: UseCase, day: str, error: duckdb.Error) -> ConfigError:
    hint = ""
    if isinstance(error, (duckdb.CatalogException, duckdb.BinderException)):  # it runs by the contract of its time
        hint = (
            "\nIf this is the SQL of an earlier model version, it may need a column or an enrichment that defs.yaml no "
            "longer has: bring that back, or train and promote a version without it."
        )
    return ConfigError(f"{use_case.name}/features.sql fails on the rows of {day}: {error}{hint}")


def _compute(
    rows: pa.Table,
    day: str,
    use_case: UseCase,
    sql: str,
    file_features: pa.Table | None,
    answers: Mapping[str, pa.Table],
) -> Iterator[tuple[pa.Table, np.ndarray]]:
    nothing = {name: stored_schema(use_case, name).empty_table() for name in use_case.enrichments}
    database = _database(_without_label(rows, use_case), day, {**nothing, **answers})
    if file_features is not None:
        names = rows["file"].chunk(0).dictionary if rows.num_rows else pa.array([], pa.string())
        numbers = pa.compute.index_in(file_features["file"], value_set=names)
        database.register("file_features", file_features.drop_columns(["file"]).append_column("file", numbers))
    for view, statement in statements(sql).items():
        if not (file_features is not None and view == "file_features"):
            database.execute(statement)
    keys = _keys(rows.column("file").combine_chunks().indices, rows["line"]) if rows.num_rows else np.zeros(0)
    seen = np.zeros(rows.num_rows, np.int64)
    for batch in database.sql("SELECT * FROM model_input").to_arrow_reader(BATCH):
        found = _keys(batch["file"], batch["line"])
        places = np.searchsorted(keys, found).clip(max=max(0, len(keys) - 1))
        if not np.array_equal(keys[places], found):
            raise ConfigError(f"{use_case.name}/features.sql: `model_input` has a `file` and `line` that no row has.")
        seen += np.bincount(places, minlength=len(seen))
        yield pa.Table.from_batches([batch]), places
    if (seen != 1).any():
        lost, doubled = int((seen == 0).sum()), int((seen > 1).sum())
        raise ConfigError(
            f"{use_case.name}/features.sql: `model_input` must have every row once; of {len(seen)} rows it lost "
            f"{lost} and doubled {doubled}. Look at its joins and conditions."
        )


def _keys(file: pa.Array, line: pa.Array) -> np.ndarray:
    """One number for each file and line, rising in the order of the rows of a shard."""
    keys: np.ndarray = file.to_numpy().astype(np.int64) << 32 | line.to_numpy().astype(np.int64)
    return keys


def _without_label(rows: pa.Table, use_case: UseCase) -> pa.Table:
    """The rows as SQL sees them: without the label, `file` as a number."""
    file = rows["file"].combine_chunks()
    no_rows = isinstance(file, pa.ChunkedArray)
    numbers = pa.nulls(0, pa.int32()) if no_rows else file.indices  # `pa.array` of a list would import pandas
    kept = rows.drop_columns(["file", use_case.label])
    return kept.add_column(0, "file", numbers)


def _database(rows: pa.Table, day: str, answers: Mapping[str, pa.Table]) -> duckdb.DuckDBPyConnection:
    database = duckdb.connect(":memory:", config={"threads": 1, "enable_external_access": False})
    database.register("arrow_rows", rows)
    for name, table in answers.items():
        database.register(name, table)
    database.execute("SET VARIABLE day = CAST(? AS DATE)", [day])
    database.execute("CREATE VIEW rows AS SELECT getvariable('day') AS day, * FROM arrow_rows")
    database.execute("SET lock_configuration = true")
    return database


@dataclass(frozen=True)
class FeatureTask:
    """One shard whose files are to be aggregated; see `aggregate_shard`."""

    use_case: UseCase
    lake: Place
    day: str
    rows: str
    marks: Marks = field(default_factory=dict)


def aggregate_day(use_case: UseCase, lake: Lake, day: str, engine: Engine, watch: Watch) -> dict[str, Any]:
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
    dict
        The accounting: files, shards, reused, sql.

    Raises
    ------
    NotEnriched
        If the SQL needs an enrichment that was not asked for these rows.
    """
    table, rows = lake.table("features"), lake.table("rows")
    answers = find_answers(use_case, lake, day, rows.days()[day], needed(use_case, use_case.features_sql))
    replaces = table.parts(day)
    tasks = [FeatureTask(use_case, lake.root, day, path, answers.of(path)) for path in sorted(rows.parts(day))]
    reports = run_shards(engine, aggregate_shard, tasks, watch)
    counts, _ = add_up(reports)
    accounting = {
        "files": counts.get("files", 0),
        "rows": counts.get("rows", 0),
        "sql": sql_fingerprint(use_case.features_sql),
    }
    table.publish(day, parts_of(reports, "features"), features_schema(use_case), accounting, replaces)
    return {**accounting, "shards": len(reports), "reused": sum(report.reused for report in reports)}


def features_schema(use_case: UseCase) -> pa.Schema:
    """Schema of the table `features`."""
    return pa.schema([pa.field("file", pa.string()), *describe(use_case).file.items()])


def sql_fingerprint(sql: str) -> str:
    """Hash of a `features.sql`."""
    return fingerprint(sql)


def aggregate_shard(task: FeatureTask) -> Report:
    """Aggregate the files of one shard, unless that was done before."""
    place = Path(task.rows)
    sql = task.use_case.features_sql
    mark = features_mark(place.name, sql, task.marks)
    lake = Lake(task.lake, task.use_case.name)
    table = lake.table("features")

    def make() -> Made:
        rows = read_rows(lake.table("rows").folder / task.rows)
        database = _database(_without_label(rows, task.use_case), task.day, read_answers(lake, task.marks))
        try:
            database.execute(statements(sql)["file_features"])
            found = database.sql("SELECT * FROM file_features ORDER BY file").to_arrow_table()
        except duckdb.Error as error:
            raise _sql_fails(task.use_case, task.day, error) from None
        names = rows["file"].chunk(0).dictionary if rows.num_rows else pa.array([], pa.string())
        file = names.take(found["file"].combine_chunks()) if rows.num_rows else names
        data = found.set_column(found.column_names.index("file"), "file", file)
        data = data.select(features_schema(task.use_case).names)
        return Made({table: data}, {"files": data.num_rows, "rows": rows.num_rows})

    return finish(table, task.day, shard_number(place.name), mark, make)


def features_mark(rows: str, sql: str, marks: Marks = NOTHING) -> str:
    """Fingerprint of all that the aggregates of a shard depend on: the part with its rows, SQL, code, answers."""
    seen = sorted(item for item in marks.items() if names_table(sql, item[0]))
    return fingerprint(rows, sql_fingerprint(sql), code_fingerprint(*CODE), *seen)


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
    path = lake.table("features").place(day, f"{shard_number(rows):05d}-{features_mark(rows, sql, marks)}")
    return read_part(path) if path.exists() else None


def as_text(column: pa.ChunkedArray) -> pa.Array:
    """Labels and accounts as text; a boolean is `0` or `1`, a dictionary becomes plain strings."""
    plain = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    return pa.concat_arrays([pa.array([], pa.string()), *plain.cast(pa.string()).chunks])


def to_matrix(batch: pa.Table, vocabularies: Mapping[str, pa.Array | Literal["text"] | None]) -> np.ndarray:
    """What an estimator sees: numbers, and the texts as they are.

    Parameters
    ----------
    batch
        Columns of `model_input`.
    vocabularies
        For each column of the model, in order: the values that a category knows, `TEXT` for a text, or None for a
        number. A value of a category becomes its place in the vocabulary; an unknown one, or none, becomes -1.

    Returns
    -------
    np.ndarray
        One row per row and one column per column of the model. It is float64 if there is no text, else of objects:
        floats, and `str` where a column is a text. Missing or infinite numbers are NaN, a missing text is empty.
    """
    matrix = np.empty((batch.num_rows, len(vocabularies)), order="F")  # written and read a column at a time
    texts = {place: batch[name] for place, (name, known) in enumerate(vocabularies.items()) if isinstance(known, str)}
    for place, (name, vocabulary) in enumerate(vocabularies.items()):
        column = batch[name]
        if place in texts:
            continue
        if vocabulary is not None:
            codes = pa.compute.index_in(column, value_set=vocabulary)
            matrix[:, place] = codes.fill_null(-1).to_numpy()
        else:
            matrix[:, place] = column.cast(pa.float64()).to_numpy()
    matrix[np.isinf(matrix)] = np.nan  # DuckDB divides by zero to infinity, which no estimator takes
    if not texts:
        return matrix
    mixed = matrix.astype(object, order="F")
    for place, column in texts.items():
        mixed[:, place] = column.fill_null("").to_pylist()
    return mixed
