"""A `features.sql` on a connection that is kept: shard after shard, the same bits, nothing left over, no way out."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.errors import ConfigError
from mlops_assets.journey.enrich.answers import find_answers, needed, read_answers
from mlops_assets.journey.features.shard import aggregate, compute
from mlops_assets.journey.features.sql import BATCH, IDLE, ROWS, FeatureSql, kept_sql, read_rows
from mlops_assets.journey.read.contract import rows_schema
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.use_case import UseCase, load_use_case
from mlops_assets_tests.helpers.days import DAY, draw_day

NUMBERS = "CREATE VIEW model_input AS SELECT file, line, x::INTEGER AS x FROM rows"
DAYS = "CREATE VIEW model_input AS SELECT file, line, day::VARCHAR AS day FROM rows"
FILES = """
CREATE VIEW file_features AS SELECT file, count(*) AS n, sum(x::INTEGER) AS total FROM rows GROUP BY file;
CREATE VIEW model_input AS SELECT file, line, n, total FROM rows JOIN file_features USING (file);
"""


def texts(*values: str | None) -> dict[str, pa.Table]:
    """Rows of one file with a text each, as the SQL gets them."""
    column = pa.array(values, pa.string()).dictionary_encode()
    file, line = pa.array([0] * len(values), pa.int32()), pa.array(range(1, len(values) + 1), pa.int32())
    return {ROWS: pa.table({"file": file, "line": line, "x": column})}


LATE = 10 * BATCH
"""A line that DuckDB, which works ahead by some batches, has not come to when it gives the first one."""

SCHEMAS = {ROWS: texts("1")[ROWS].schema}


def column(features: FeatureSql, tables: Mapping[str, pa.Table], name: str = "x", day: str = DAY) -> list[object]:
    batches = list(features.select("model_input", day, tables))
    return pa.Table.from_batches(batches)[name].to_pylist() if batches else []


# -- one shard after the other ----------------------------------------------------------------------------------------


def test_each_shard_gets_its_own_rows_and_its_own_day() -> None:
    features = FeatureSql(DAYS, SCHEMAS)
    assert column(features, texts("1", "2"), "day", "2026-01-01") == ["2026-01-01"] * 2
    assert column(features, texts("1"), "day", "2026-02-01") == ["2026-02-01"]


def test_columns_are_those_of_the_view() -> None:
    features = FeatureSql(FILES, SCHEMAS)
    assert features.columns("file_features") == {"file": pa.int32(), "n": pa.int64(), "total": pa.decimal128(38, 0)}
    assert list(features.columns("model_input")) == ["file", "line", "n", "total"]
    assert features.columns("no_view") == {}


def test_a_stored_result_takes_the_place_of_the_view() -> None:
    stored = pa.table({"file": pa.array([0], pa.int32()), "n": pa.array([7]), "total": pa.array([8])})
    features = FeatureSql(FILES, {**SCHEMAS, "file_features": stored.schema})
    assert column(features, {**texts("1", "2"), "file_features": stored}, "n") == [7, 7]


def test_a_shard_that_fails_in_the_first_batch_leaves_the_connection_to_the_next() -> None:
    features = FeatureSql(NUMBERS, SCHEMAS)
    with pytest.raises(duckdb.Error, match="bad"):
        column(features, texts("1", "bad"))
    assert column(features, texts("3")) == [3]


def test_a_shard_that_fails_in_the_middle_leaves_the_connection_to_the_next() -> None:
    late = f"CASE WHEN line > {LATE} THEN error('a bad line: ' || line)::INTEGER ELSE line END"
    features = FeatureSql(f"CREATE VIEW model_input AS SELECT file, line, {late} AS x FROM rows", SCHEMAS)
    batches = features.select("model_input", DAY, texts(*["1"] * (LATE + 1)))
    assert next(batches).num_rows > 0
    with pytest.raises((duckdb.Error, OSError), match="a bad line"):
        list(batches)
    assert column(features, texts("1", "2")) == [1, 2]


def test_a_shard_that_nobody_reads_to_its_end_leaves_the_connection_to_the_next() -> None:
    features = FeatureSql(NUMBERS, SCHEMAS)
    batches = features.select("model_input", DAY, texts(*["1"] * (3 * BATCH)))
    next(batches)
    batches.close()
    assert column(features, texts("3")) == [3]


def test_between_two_shards_the_connection_has_no_rows() -> None:
    features = FeatureSql(NUMBERS, SCHEMAS)
    column(features, texts("1"))
    with pytest.raises(duckdb.CatalogException, match=ROWS):
        column(features, {})


@pytest.mark.parametrize("values", [["1"] * 100, [*["1"] * 100, "bad"]], ids=["good", "bad"])
def test_no_shard_is_held_in_memory_once_it_is_done(values: list[str]) -> None:
    features = FeatureSql(NUMBERS, SCHEMAS)
    tables = texts(*values)
    rows = weakref.ref(tables[ROWS])
    with suppress(duckdb.Error):
        column(features, tables)
    del tables
    gc.collect()
    assert rows() is None


def test_fifty_shards_need_no_more_memory_than_one() -> None:
    features = FeatureSql(FILES, SCHEMAS)
    tables = texts(*[str(number % 1000) for number in range(BATCH)])
    held = []
    for _ in range(50):
        column(features, tables, "total")
        (used,) = features._database.sql("SELECT sum(memory_usage_bytes)::BIGINT FROM duckdb_memory()").fetchall()
        held.append((used[0], pa.total_allocated_bytes()))
    assert held[-1] == held[1]


# -- no way out -------------------------------------------------------------------------------------------------------

WAYS_OUT = {
    "reads a file": "SELECT * FROM read_text('FILE')",
    "reads a file by its name": "SELECT * FROM 'FILE'",
    "writes a file": "COPY (SELECT 1) TO 'FILE.out'",
    "attaches a database": "ATTACH 'FILE' AS other",
    "installs an extension": "INSTALL httpfs",
    "loads an extension": "LOAD httpfs",
    "sets an option": "SET threads = 2",
    "opens itself a way": "SET enable_external_access = true",
    "unlocks itself": "SET lock_configuration = false",
    "looks at variables of the program": "SELECT * FROM features",
    "looks at tables of the program": "SELECT * FROM table_of_the_program",
    "fetches an extension": "SELECT * FROM st_read('FILE')",
    "reads the environment": "SELECT getenv('HOME')",
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_a_kept_connection_has_no_way_out(tmp_path: Path, way: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    features = FeatureSql(NUMBERS, SCHEMAS)
    column(features, texts("1"))
    table_of_the_program = texts("1")[ROWS]
    with pytest.raises(duckdb.Error):
        features._database.execute(WAYS_OUT[way].replace("FILE", str(secret)))
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]
    assert len(table_of_the_program) == 1


def test_a_kept_connection_cannot_read_the_folder_that_the_program_works_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".tmp").mkdir()  # where DuckDB spills by default, and may read
    (tmp_path / ".tmp" / "spilled.txt").write_text("a secret")
    features = FeatureSql(NUMBERS, SCHEMAS)
    with pytest.raises(duckdb.PermissionException):
        features._database.execute("SELECT content FROM read_text('.tmp/spilled.txt')")


def test_a_text_with_a_time_means_the_same_on_every_machine() -> None:
    sql = "CREATE VIEW model_input AS SELECT file, line, epoch(x::VARCHAR::TIMESTAMPTZ) AS x FROM rows"
    assert column(FeatureSql(sql, SCHEMAS), texts("1970-01-01 01:00:00")) == [3600.0]


# -- kept by the process ----------------------------------------------------------------------------------------------


def test_rows_of_the_same_form_run_on_the_same_connection() -> None:
    with kept_sql(NUMBERS, texts("1")) as first:
        pass
    with kept_sql(NUMBERS, texts("2", "3")) as again:
        assert again is first


def test_rows_of_another_form_and_another_sql_have_connections_of_their_own() -> None:
    wider = {ROWS: texts("1")[ROWS].append_column("more", pa.array([1]))}
    with kept_sql(NUMBERS, texts("1")) as one:
        pass
    with kept_sql(NUMBERS, wider) as other, kept_sql(DAYS, texts("1")) as third:
        assert len({id(features) for features in (one, other, third)}) == 3


def test_two_at_a_time_do_not_share_a_connection() -> None:
    with kept_sql(NUMBERS, texts("1")) as one, kept_sql(NUMBERS, texts("1")) as other:
        assert one is not other
        assert column(one, texts("1")) == [1]
        assert column(other, texts("2")) == [2]


def test_threads_that_share_a_process_get_their_own_answers() -> None:
    def ask(number: int) -> list[object]:
        with kept_sql(NUMBERS, texts("1")) as features:
            return column(features, texts(*[str(number)] * 100))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(64))) == [[number] * 100 for number in range(64)]


def test_a_connection_whose_rows_were_wrong_is_kept_and_one_whose_database_broke_is_not() -> None:
    sql = f"{NUMBERS} -- of this test alone"

    def use(error: Exception) -> FeatureSql:
        with pytest.raises(type(error)), kept_sql(sql, texts("1")) as features:
            raise error
        return features

    first = use(duckdb.FatalException("the database was invalidated"))
    second = use(duckdb.ConversionException("a bad value"))
    assert second is not first
    with kept_sql(sql, texts("1")) as third:
        assert third is second


def test_a_process_keeps_a_few_connections_only() -> None:
    kept = []
    for number in range(2 * IDLE):
        with kept_sql(f"{NUMBERS} -- {number}", texts("1")) as features:
            kept.append(weakref.ref(features))
    del features
    gc.collect()
    assert sum(one() is not None for one in kept) == IDLE


# -- the same bits ----------------------------------------------------------------------------------------------------


def per_file(rows: pa.Table) -> Iterator[pa.Table]:
    """The rows of each file alone, as if it had been read alone."""
    files = rows["file"].cast(pa.string())
    for name in sorted(set(files.to_pylist())):
        alone = rows.filter(pa.compute.equal(files, name))
        for place, field in enumerate(alone.schema):
            if pa.types.is_dictionary(field.type):
                plain = alone[field.name].combine_chunks().cast(pa.string())
                alone = alone.set_column(place, field, plain.dictionary_encode())
        yield alone.combine_chunks()


def in_order(rows: pa.Table, use_case: UseCase, sql: str, answers: Mapping[str, pa.Table]) -> pa.Table:
    """The model's input in the order of the rows, without the number of the file, which depends on its neighbours."""
    batches, places = zip(*compute(rows, DAY, use_case, sql, answers=answers), strict=True)
    whole = pa.concat_tables(batches).take(pa.array(np.argsort(np.concatenate(places))))
    return whole.drop_columns(["file"]).combine_chunks()


USE_CASES = {"transactions": 20, "loan_approval": 20, "santander": 20, "compound_rings": 10, "topics": 1}


@pytest.mark.parametrize("name", USE_CASES)
def test_files_one_by_one_and_in_one_shard_are_the_same_bits(name: str, tmp_path: Path) -> None:
    use_case = load_use_case(OWN_USE_CASES / name)
    lake = draw_day(use_case, tmp_path, files=12, rows=USE_CASES[name])
    sql, table = use_case.features_sql, lake.table("rows")
    (part,) = table.parts(DAY)
    rows = read_rows(table.folder / part)
    answers = read_answers(lake, find_answers(use_case, lake, DAY, table.days()[DAY], needed(use_case, sql)).of(part))
    together = in_order(rows, use_case, sql, answers)
    alone = [in_order(one, use_case, sql, answers) for one in per_file(rows)]
    assert len(alone) > 1
    assert as_bits(pa.concat_tables(alone)) == as_bits(together)
    # and what a connection says that no shard came through before
    fresh = load_use_case(OWN_USE_CASES / name).model_copy(update={"features_sql": f"{sql}\n-- anew"})
    assert as_bits(in_order(rows, fresh, fresh.features_sql, answers)) == as_bits(together)


def as_bits(table: pa.Table) -> dict[str, object]:
    """The values of each column; floats by their bytes, for NaN is not equal to itself."""
    return {
        name: column.combine_chunks().to_numpy(zero_copy_only=False).tobytes()
        if pa.types.is_floating(column.type)
        else column.to_pylist()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


def test_aggregates_of_files_one_by_one_are_those_of_the_shard(transactions: UseCase, tmp_path: Path) -> None:
    lake = draw_day(transactions, tmp_path, files=12, rows=20)
    table = lake.table("rows")
    (part,) = table.parts(DAY)
    rows = read_rows(table.folder / part)
    answers = read_answers(lake, find_answers(transactions, lake, DAY, table.days()[DAY], ["calendar"]).of(part))
    sql = transactions.features_sql
    together, _ = aggregate(rows, DAY, transactions, sql, answers)
    alone = [aggregate(one, DAY, transactions, sql, answers)[0] for one in per_file(rows)]
    assert as_bits(pa.concat_tables(alone)) == as_bits(together)


# -- errors for people ------------------------------------------------------------------------------------------------


def test_an_error_behind_the_first_batch_is_a_configuration_error_too(transactions: UseCase) -> None:
    columns = {field.name: pa.nulls(LATE + 1, field.type) for field in rows_schema(transactions)}
    columns["file"] = pa.array(["a.csv"] * (LATE + 1)).dictionary_encode()
    columns["line"] = pa.array(range(1, LATE + 2), pa.int32())
    rows = pa.table(columns, schema=rows_schema(transactions))
    late = f"CASE WHEN line > {LATE} THEN error('a bad line: ' || line)::INTEGER ELSE line END"
    batches = compute(rows, DAY, transactions, f"CREATE VIEW model_input AS SELECT file, line, {late} AS x FROM rows")
    next(batches)
    with pytest.raises(ConfigError, match=r"transactions/features\.sql fails on the rows of .*a bad line"):
        list(batches)
