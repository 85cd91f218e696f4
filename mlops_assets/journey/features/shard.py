"""In: the rows of a shard, or of a file. Out: the model's input for each of them, or the aggregates of its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import ConfigError
from mlops_assets.journey.enrich.answers import NOTHING, stored_schema
from mlops_assets.journey.features.allowed import SqlRefused
from mlops_assets.journey.features.blame import Blamed, RowsFailed, leave_out
from mlops_assets.journey.features.sql import ROWS, kept_sql, without_label
from mlops_assets.use_case import UseCase

EARLIER = (
    "\nIf this is the SQL of an earlier model version, it may need a column or an enrichment that defs.yaml no longer "
    "has: bring that back, or train and promote a version without it."
)

PLACE = "_place"
"""Where a row stood before others were left out."""

OF_ALL_ROWS = (
    duckdb.CatalogException,
    duckdb.BinderException,
    duckdb.ParserException,
    duckdb.OutOfMemoryException,
    duckdb.IOException,
    duckdb.PermissionException,
    duckdb.FatalException,
    duckdb.InternalException,
)
"""Errors that no row is to blame for."""


class NotEveryRow(ConfigError):
    """The SQL lost or doubled rows; with other rows it may not, for a join meets what it meets."""


def compute(
    rows: pa.Table,
    day: str,
    use_case: UseCase,
    sql: str,
    file_features: pa.Table | None = None,
    answers: Mapping[str, pa.Table] = NOTHING,
    *,
    coded: bool = False,
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
    coded
        Whether crosses come as their parts, of which `to_matrix` knows, and not as texts; see `crosses`.

    Yields
    ------
    tuple
        The view `model_input`, and the position in `rows` of each of its rows. Every row comes exactly once.

    Raises
    ------
    NotEveryRow
        If the SQL loses or doubles rows.
    ConfigError
        If it needs an enrichment that there is not.
    RowsFailed
        If it fails on some of the rows; `leave_out` finds which.
    """
    tables = tables_for(rows, use_case, answers)
    # what the step before stored is not computed again; to the bit it is what the view would give. A file on which the
    # view fails is not stored: all is computed then, so that the lines to blame are found and left out
    if file_features is not None and len(file_features) == len(_file_names(rows)):
        tables["file_features"] = _numbered(file_features, rows)
    where, positions_of = f"{use_case.name}/features.sql", _Positions(rows)
    with sql_errors(use_case, day), kept_sql(sql, tables) as features:
        for batch in features.model_input(day, tables, coded=coded):
            positions = positions_of.rows(batch)
            if positions is None:
                raise NotEveryRow(f"{where}: `model_input` has a `file` and `line` that no row has.")
            yield batch, positions
    # a join that loses or doubles rows is the commonest mistake in SQL, and nobody would see it in the predictions
    if (positions_of.seen != 1).any():
        lost, doubled = int((positions_of.seen == 0).sum()), int((positions_of.seen > 1).sum())
        raise NotEveryRow(
            f"{where}: `model_input` must have every row once; of {rows.num_rows} rows it lost {lost} and doubled "
            f"{doubled}. Look at its joins and conditions."
        )


def compute_good(
    rows: pa.Table, day: str, use_case: UseCase, sql: str, answers: Mapping[str, pa.Table], left_out: list[Blamed]
) -> list[tuple[pa.Table, np.ndarray]]:
    """What `compute` yields for the rows that the SQL can take; the others are added to `left_out`.

    Parameters
    ----------
    rows, day, use_case, sql, answers
        As in `compute`.
    left_out
        Takes up the rows on which the SQL fails.

    Raises
    ------
    RowsFailed
        If it fails on rows that may not be left out.
    """

    def run(some: pa.Table) -> list[tuple[pa.Table, np.ndarray]]:
        return list(compute(some, day, use_case, sql, answers=answers))

    try:
        return run(rows)
    except RowsFailed:
        numbered = rows.append_column(PLACE, pa.array(np.arange(rows.num_rows)))
        kept, blamed = leave_out(numbered, day, use_case, lambda some: run(some.drop_columns([PLACE])))
        left_out += blamed
        places = kept[PLACE].to_numpy()
        return [(batch, places[positions]) for batch, positions in run(kept.drop_columns([PLACE]))]


def aggregate(
    rows: pa.Table, day: str, use_case: UseCase, sql: str, answers: Mapping[str, pa.Table] = NOTHING
) -> tuple[pa.Table, list[Blamed]]:
    """The view `file_features` over the rows of one shard: one row a file, in their order, `file` being its name.

    Parameters
    ----------
    rows, day, use_case, sql, answers
        As in `compute`.

    Returns
    -------
    tuple
        The aggregates, without those of files on which the SQL fails; and the lines for which it does.

    Raises
    ------
    ConfigError
        If the SQL fails on these rows, and none may be left out.
    """

    def run(some: pa.Table) -> pa.Table:
        return _aggregate(some, day, use_case, sql, answers)

    try:
        return run(rows), []
    except RowsFailed:
        _, blamed = leave_out(rows, day, use_case, run)
        names = pa.array({row.file for row in blamed}, pa.string())
        others = rows.filter(pc.invert(pc.is_in(rows["file"].cast(pa.string()), value_set=names)))
        return run(others.unify_dictionaries().combine_chunks()), blamed


def _aggregate(rows: pa.Table, day: str, use_case: UseCase, sql: str, answers: Mapping[str, pa.Table]) -> pa.Table:
    tables = tables_for(rows, use_case, answers)
    with sql_errors(use_case, day), kept_sql(sql, tables) as features:
        schema = pa.schema(features.columns("file_features"))
        data = pa.Table.from_batches(list(features.select("file_features", day, tables)), schema)
    # DuckDB gives groups in any order
    data = data.sort_by("file").combine_chunks()
    names = _file_names(rows).take(data["file"].combine_chunks()) if rows.num_rows else pa.array([], pa.string())
    return data.set_column(data.column_names.index("file"), "file", names)


def tables_for(rows: pa.Table, use_case: UseCase, answers: Mapping[str, pa.Table] = NOTHING) -> dict[str, pa.Table]:
    """The tables that SQL sees for the rows of a shard; an enrichment without answers is empty."""
    unanswered = {name: stored_schema(use_case, name).empty_table() for name in use_case.enrichments}
    return {ROWS: without_label(rows, use_case), **unanswered, **answers}


@contextmanager
def sql_errors(use_case: UseCase, day: str) -> Iterator[None]:
    """Tells what DuckDB finds wrong as an error of the use case's `features.sql`."""
    where = f"{use_case.name}/features.sql fails on the rows of {day}"
    try:
        yield
    except SqlRefused as error:
        raise ConfigError(f"{use_case.name}/{error}") from None
    except OF_ALL_ROWS as error:
        hint = ""
        if isinstance(error, (duckdb.CatalogException, duckdb.BinderException)):  # it runs by the contract of its time
            hint = EARLIER
        raise ConfigError(f"{where}: {error}{hint}") from None
    except (duckdb.Error, OSError) as error:
        raise RowsFailed(f"{where}: {error}", "sql", str(error)) from None


class _Positions:
    """Finds the rows that a view speaks of among those of a shard, and counts how often each came."""

    def __init__(self, rows: pa.Table) -> None:
        self.seen = np.zeros(rows.num_rows, np.int64)
        self._next = 0
        self._keys = _keys(rows["file"].combine_chunks().indices, rows["line"]) if rows.num_rows else np.zeros(0)

    def rows(self, batch: pa.Table) -> np.ndarray | None:
        """The position of each row of a batch; None if one of them is no row of the shard."""
        keys = _keys(batch["file"], batch["line"])
        # nobody may rely on it, but nearly always rows come as they stand
        next_ones = slice(self._next, self._next + len(keys))
        self._next = next_ones.stop
        if np.array_equal(self._keys[next_ones], keys):
            self.seen[next_ones] += 1
            return np.arange(next_ones.start, next_ones.stop)
        # a key behind the last one would point past the end
        positions = np.searchsorted(self._keys, keys).clip(max=max(0, len(self._keys) - 1))
        if not np.array_equal(self._keys[positions], keys):
            return None
        self.seen += np.bincount(positions, minlength=len(self.seen))
        return positions


def _keys(file: pa.Array, line: pa.Array) -> np.ndarray:
    """One number for each file and line, rising in the order of the rows of a shard."""
    keys: np.ndarray = file.to_numpy().astype(np.int64) << 32 | line.to_numpy().astype(np.int64)
    return keys


def _file_names(rows: pa.Table) -> pa.Array:
    """The files of a shard by their numbers."""
    return rows["file"].chunk(0).dictionary if rows.num_rows else pa.array([], pa.string())


def _numbered(file_features: pa.Table, rows: pa.Table) -> pa.Table:
    """Stored aggregates with the numbers that the files have among these rows."""
    numbers = pc.index_in(file_features["file"], value_set=_file_names(rows))
    return file_features.drop_columns(["file"]).append_column("file", numbers)
