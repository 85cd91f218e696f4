"""In: the rows of a shard. Out: what the model sees, by the one SQL that training, scoring and every engine run.

`features.sql` creates up to two views over the table `rows`, whose column `file` is a number that stands for the file:

- `file_features` (optional): aggregates, one row a file, with the column `file`;
- `model_input`: one row for every row, with `file`, `line` and the columns of the model.

Every enrichment of the configuration is a table of its name, with the answers for the keys of these rows.
The label is not in `rows`: no SQL can look at the answer.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import duckdb
import pyarrow as pa

from mlops_assets.errors import ConfigError
from mlops_assets.journey.enrich.answers import stored_schema
from mlops_assets.journey.features.allowed import SqlRefused, Text, views_of
from mlops_assets.journey.features.crosses import Parted, part_crosses
from mlops_assets.journey.read.contract import rows_schema
from mlops_assets.storage.files import read_part
from mlops_assets.storage.locked import open_locked
from mlops_assets.storage.places import Place
from mlops_assets.use_case import UseCase

BATCH = 20_000
"""Rows of the model's input that are in memory at a time."""

MODEL_INPUT = "model_input"
"""The view of what the model sees."""

PARTS = "_model_input"
"""The same without the texts of its crosses; see `crosses`."""

ROWS = "arrow_rows"
"""The rows of a shard without their day, which the view `rows` adds."""

IDLE = 16
"""Connections that wait in a process for rows like those before; each holds about 4 MiB."""

SETTINGS = {
    # it lets the smaller table of a join decide in which order rows are added up, so that a mean's last bit hung on
    # how many files are in the shard
    "disabled_optimizers": "build_side_probe_side",
}


@dataclass(frozen=True)
class FeatureColumns:
    """What a `features.sql` makes.

    Attributes
    ----------
    model
        Column of `model_input`: whether it is of text, a category unless `training.texts` names it.
    file
        Columns of `file_features` with their Arrow types, without `file`; empty if there is no such view.
    views
        Columns of both views in order, their keys among them, with their Arrow types.
    """

    model: Mapping[str, bool]
    file: Mapping[str, pa.DataType]
    views: Mapping[str, Mapping[str, pa.DataType]]


class FeatureSql:
    """A `features.sql` on a connection that is kept: shard after shard, or file after file, runs through its views.

    Opening a database and planning views costs three times what one file of 50 rows then takes. The tables are Arrow
    in memory, registered for one query and then taken away: between two queries the connection holds no row.

    Parameters
    ----------
    sql
        Text of `features.sql`.
    schemas
        The tables that it sees, by name: `ROWS`, every enrichment, and `file_features` where its result is at hand, so
        that the view of that name is not made.

    Raises
    ------
    SqlRefused
        If the SQL is not made of views alone, or uses what it may not.
    duckdb.Error
        If it is wrong.
    """

    def __init__(self, sql: str, schemas: Mapping[str, pa.Schema]) -> None:
        self.sql = sql
        self.schemas = dict(schemas)
        self.is_idle = True
        self._day = ""
        self._database = open_locked(**SETTINGS)
        views = views_of(self._database, sql, frozenset(map(str.lower, schemas)))
        empty = {name: schema.empty_table() for name, schema in schemas.items()}
        with self._holding("2000-01-01", empty):  # views are bound once, to the types of tables without a row
            self._database.execute(f"CREATE VIEW rows AS SELECT getvariable('day') AS day, * FROM {ROWS}")
            for view, text in views.items():
                if view not in schemas:
                    text.create(self._database)
            # asked for once: to bind a view costs a fifth of what running it over a file does
            self._views = {view: self._database.table(view) for view in views}
            self._types = {view: _columns(relation) for view, relation in self._views.items()}
            self._parted = self._part_crosses(views[MODEL_INPUT])

    def columns(self, view: str) -> dict[str, pa.DataType]:
        """The columns of one of its views with their types; of none, where there is no such view."""
        return self._types.get(view, {})

    def _part_crosses(self, view: Text) -> tuple[Parted, duckdb.DuckDBPyRelation] | None:
        """The model's input without the texts of its crosses; None where there are none, or it must stay as it is."""
        try:
            parted = part_crosses(self._database, view.sql.encode()[view.query :].decode())
            if parted is None:
                return None
            self._database.execute(f"CREATE VIEW {PARTS} AS {parted.query}")
            relation = self._database.table(PARTS)
            suits = parted.suits(self.columns(MODEL_INPUT), _columns(relation))
        # such as another column that is made of a cross; or one that is nested more deeply than Python's calls
        except (duckdb.Error, RecursionError):
            return None
        return (parted, relation) if suits else None

    def model_input(self, day: str, tables: Mapping[str, pa.Table], *, coded: bool) -> Iterator[pa.Table]:
        """The rows of `model_input` as of `select`; coded, without the texts of its crosses, see `Parted`."""
        if self._parted is None or not coded:
            yield from map(_as_table, self.select(MODEL_INPUT, day, tables))
            return
        parted, relation = self._parted
        with self._holding(day, tables), relation.to_arrow_reader(BATCH) as reader:
            yield from map(parted.with_crosses, reader)

    # no PREPARE: DuckDB plans again, and stale rows of cached plans are reported
    def select(self, view: str, day: str, tables: Mapping[str, pa.Table]) -> Iterator[pa.RecordBatch]:
        """The rows of a view over these tables, at most `BATCH` at a time and in no order that one may rely on.

        Parameters
        ----------
        view
            Its name.
        day
            The day of the rows.
        tables
            The tables, by name and in the schemas that the constructor was given.

        Raises
        ------
        duckdb.Error, OSError
            If the SQL fails on these rows; by OSError Arrow tells what goes wrong after the first batch.
        """
        # the result is closed before the tables are taken away, for DuckDB does nothing else while one is open
        with self._holding(day, tables), self._views[view].to_arrow_reader(BATCH) as reader:
            yield from reader

    @contextmanager
    def _holding(self, day: str, tables: Mapping[str, pa.Table]) -> Iterator[None]:
        if not self.is_idle:  # a second query would silently end the first one's rows
            raise RuntimeError("the rows of another view are still being read from this connection")
        self.is_idle = False
        if day != self._day:
            self._database.execute("SET VARIABLE day = CAST(? AS DATE)", [day[:10]])
            self._day = day
        try:
            for name, table in tables.items():
                # registered, not inserted: into typed tables that was never cheaper, and three times as dear for wide
                # rows
                self._database.register(name, table)
            yield
        finally:  # also when the query failed, or nobody wants the rest of it
            for name in tables:
                self._database.unregister(name)
            self.is_idle = True


def _as_table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def _columns(relation: duckdb.DuckDBPyRelation) -> dict[str, pa.DataType]:
    return {field.name: field.type for field in relation.limit(0).to_arrow_table().schema}


_idle: deque[FeatureSql] = deque(maxlen=IDLE)
_idle_lock = threading.Lock()


@contextmanager
def kept_sql(sql: str, tables: Mapping[str, pa.Table]) -> Iterator[FeatureSql]:
    """A `FeatureSql` for tables like these, for one user at a time: an idle one of this process, or a new one.

    Parameters
    ----------
    sql
        Text of `features.sql`.
    tables
        The tables that it is to run over, by name.
    """
    # of exactly these types: the same SQL over others gets a connection of its own
    schemas = {name: table.schema for name, table in tables.items()}
    features = _take_idle(sql, schemas) or FeatureSql(sql, schemas)
    is_broken = False
    try:
        yield features
    except (duckdb.FatalException, duckdb.InternalException):
        is_broken = True  # after these a database answers nothing any more
        raise
    finally:
        # nor is one lent again whose result somebody still holds
        if features.is_idle and not is_broken:
            with _idle_lock:
                _idle.append(features)  # and the one that waited longest goes, where there are too many


def _take_idle(sql: str, schemas: Mapping[str, pa.Schema]) -> FeatureSql | None:
    with _idle_lock:
        for features in _idle:
            if features.sql == sql and features.schemas == schemas:
                # whoever uses it has it alone: DuckDB runs one query a connection, and the tables in it are theirs
                _idle.remove(features)
                return features
    return None


def describe(use_case: UseCase) -> FeatureColumns:
    """What the SQL of a use case makes, by running it on no rows.

    Raises
    ------
    ConfigError
        If the SQL is wrong, with DuckDB's word for it, or a column is neither text nor number.
    """
    rows = without_label(rows_schema(use_case).empty_table(), use_case)
    enrichments = tuple((name, stored_schema(use_case, name)) for name in use_case.enrichments)
    return _describe(use_case.name, rows.schema, use_case.features_sql, enrichments)


@cache
def _describe(name: str, rows: pa.Schema, sql: str, enrichments: tuple[tuple[str, pa.Schema], ...]) -> FeatureColumns:
    where = f"{name}/features.sql"
    tables = {table: schema.empty_table() for table, schema in ((ROWS, rows), *enrichments)}
    try:
        with kept_sql(sql, tables) as features:
            model, file = features.columns("model_input"), features.columns("file_features")
    except SqlRefused as error:
        raise ConfigError(f"{name}/{error}") from None
    except duckdb.Error as error:
        raise ConfigError(f"{where}: {error}") from None
    inputs = _without_keys(where, "model_input", model, ("file", "line"))
    aggregates = _without_keys(where, "file_features", file, ("file",)) if file else {}
    if not inputs:
        raise ConfigError(f"{where}: `model_input` has no column for the model beside `file` and `line`.")
    for column, kind in inputs.items():
        if not _is_usable(kind):
            raise ConfigError(f"{where}: `model_input` has {column!r} of the type {kind}; make it a number or a text.")
    texts = {column: pa.types.is_string(kind) for column, kind in inputs.items()}
    return FeatureColumns(texts, aggregates, {"model_input": model, **({"file_features": file} if file else {})})


def _without_keys(
    where: str, view: str, columns: Mapping[str, pa.DataType], keys: Sequence[str]
) -> dict[str, pa.DataType]:
    """The columns of a view beside its keys, which must be there; no name may be one of ours."""
    for key in keys:
        if key not in columns:
            raise ConfigError(f"{where}: the view `{view}` must have the column `{key}`.")
    for column in columns:
        if column.startswith("_"):  # such names are the training set's own
            raise ConfigError(f"{where}: `{view}` has a column {column!r}; names that begin with _ are taken.")
    return {column: kind for column, kind in columns.items() if column not in keys}


def _is_usable(kind: pa.DataType) -> bool:
    checks = ("is_string", "is_boolean", "is_integer", "is_floating", "is_decimal")
    return any(getattr(pa.types, check)(kind) for check in checks)


def read_rows(path: Place, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of one published or staged part; text columns stay dictionaries."""
    table = read_part(path, columns, texts_as_codes=True)
    return table.unify_dictionaries().combine_chunks()


def without_label(rows: pa.Table, use_case: UseCase) -> pa.Table:
    """The rows as SQL sees them: without the label, `file` as a number."""
    file = rows["file"].combine_chunks()
    no_rows = isinstance(file, pa.ChunkedArray)
    numbers = pa.nulls(0, pa.int32()) if no_rows else file.indices  # `pa.array` of a list would import pandas
    # no review can promise that no SQL looks at the answer; a missing column can
    kept = rows.drop_columns(["file", use_case.label])
    return kept.add_column(0, "file", numbers)
