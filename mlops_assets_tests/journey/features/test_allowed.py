"""What a `features.sql` may use: what has the same answer each time, over the tables that it is given."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest

from mlops_assets.errors import ConfigError
from mlops_assets.journey.features.allowed import SqlRefused, Text, views_of
from mlops_assets.journey.features.shard import compute
from mlops_assets.journey.features.sql import describe
from mlops_assets.journey.read.contract import rows_schema
from mlops_assets.storage.locked import open_locked
from mlops_assets.use_case import UseCase

VIEW = "CREATE VIEW model_input AS SELECT file, line, {} AS x FROM rows"


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """A locked database."""
    with open_locked() as opened:
        yield opened


def views(database: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Text]:
    return views_of(database, sql, frozenset({"arrow_rows", "prices"}))


CHANCE = [
    "random()",
    "RANDOM()",
    '"random"()',
    "main.random()",
    "line.random()",
    "uuid()",
    "gen_random_uuid()",
    "nextval('numbers')",
    "sum(line) FILTER (random() > 0.5)",
    "sum(random()) OVER (PARTITION BY file)",
    "list(line ORDER BY random())",
    "list_transform([1, 2], lambda one: one + random())",
    "(VALUES (random()))",
    "(WITH drawn AS (SELECT random() AS one) SELECT one FROM drawn)",
    "(SELECT max(x) FROM (PIVOT rows ON text IN ('a' AS x) USING sum(random())))",
]
THE_TIME = [
    "now()",
    "today()",
    "current_timestamp",
    "CURRENT_TIME",
    "localtime",
    "localtimestamp",
    "get_current_timestamp()",
    "current_localtimestamp()",
    "transaction_timestamp()",
    "ago(INTERVAL 1 DAY)",
    "age(born)",
    "born.age()",
    "rows.born.age()",
    "main.age(born)",
    "system.main.age(born)",
    "(SELECT d FROM (SELECT current_date AS d))",
    "(WITH w AS (SELECT current_date AS d) SELECT d FROM w)",
    "json_serialize_plan('SELECT now()', optimize := true)",
    "date_diff('day', born, current_timestamp::DATE)",
]
THE_MACHINE = [
    "version()",
    "user",
    "current_user",
    "current_setting('threads')",
    "current_database()",
    "current_query()",
    "txid_current()",
    "getvariable('day')",
    "get_block_size('memory')",
]


@pytest.mark.parametrize("expression", [*CHANCE, *THE_TIME, *THE_MACHINE])
def test_what_does_not_repeat_is_refused(database: duckdb.DuckDBPyConnection, expression: str) -> None:
    with pytest.raises(SqlRefused, match=r"features\.sql:1: `"):
        views(database, VIEW.format(expression))


@pytest.mark.parametrize(
    "sample", ["TABLESAMPLE 10%", "USING SAMPLE 3", "USING SAMPLE reservoir(3 ROWS) REPEATABLE (1)"]
)
def test_a_sample_is_refused(database: duckdb.DuckDBPyConnection, sample: str) -> None:
    with pytest.raises(SqlRefused, match="a sample of rows is another one each time; an answer must repeat"):
        views(database, f"CREATE VIEW model_input AS SELECT file, line FROM rows {sample}")


BEYOND = [
    "read_text('/etc/passwd')",
    "read_csv('/etc/passwd')",
    "glob('/etc/*')",
    "'/etc/passwd'",
    "'https://example.org/a.parquet'",
    "'s3://bucket/a.parquet'",
    "query('SELECT random()')",
    "query_table('rows')",
    "duckdb_settings()",
    "duckdb_secrets()",
    "pragma_database_size()",
    "sqlite_master",
    "pg_settings",
    "information_schema.tables",
    "pg_catalog.pg_settings",
    "duckdb_logs",
    "(SHOW ALL TABLES)",
    "(SHOW DATABASES)",
    "(DESCRIBE rows)",
    "(SUMMARIZE rows)",
    "(WITH x AS (SHOW ALL TABLES) SELECT * FROM x)",
    '(SELECT 1), pg_settings, (WITH "other" AS (SELECT 1) SELECT 1) AS t',
]


@pytest.mark.parametrize("table", BEYOND)
def test_what_lies_beyond_the_rows_is_refused(database: duckdb.DuckDBPyConnection, table: str) -> None:
    with pytest.raises(SqlRefused, match=r"features\.sql:1: `.*` looks beyond the rows"):
        views(database, VIEW.format(f"(SELECT count(*) FROM {table})"))


STATEMENTS = [
    "COPY (SELECT 1) TO '/tmp/out.csv'",
    "ATTACH 'other.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET threads = 2",
    "PRAGMA version",
    "SELECT 1",
    "CREATE TABLE more AS SELECT 1",
    "CREATE MACRO random() AS 4",
    "CREATE SEQUENCE numbers",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_nothing_but_views_is_made(database: duckdb.DuckDBPyConnection, statement: str) -> None:
    with pytest.raises(SqlRefused, match=r"features\.sql:2: only `CREATE VIEW` is allowed, this is: [A-Z]"):
        views(database, f"{VIEW.format(1)};\n{statement};\n")


@pytest.mark.parametrize("view", ["rows", "arrow_rows"])
def test_a_view_cannot_take_the_place_of_the_rows(database: duckdb.DuckDBPyConnection, view: str) -> None:
    with pytest.raises(ConfigError, match=f"`{view}` is what views are made of"):
        views(database, f"CREATE OR REPLACE VIEW {view} AS SELECT 1; {VIEW.format(1)}")


@pytest.mark.parametrize("name", ["pg_settings", "SQLITE_MASTER", '"/etc/passwd"'])
def test_a_name_that_the_sql_gives_opens_no_way_beyond_the_rows(database: duckdb.DuckDBPyConnection, name: str) -> None:
    inner = f"(SELECT count(*) FROM (WITH {name} AS (SELECT 1) SELECT 1))"
    for query in (inner, f"(SELECT max(1) FROM {name}) + {inner}", f"(WITH RECURSIVE {name} AS (SELECT 1) SELECT 1)"):
        with pytest.raises(SqlRefused, match=r"features\.sql:1: `.*` (is a name of|is no plain name|looks beyond)"):
            views(database, VIEW.format(query))
    if name != '"/etc/passwd"':
        with pytest.raises(SqlRefused, match=r"features\.sql:2: `.*` is a name of DuckDB's own"):
            views(database, f"{VIEW.format(1)};\nCREATE VIEW {name} AS SELECT 1")


REPEATING = [
    "'now() and random()'",
    "1 /* random() */",
    "now",
    "random",
    "rows.random",
    "rows.current_date",
    "day",
    "age(day, born)",
    "day.age(born)",
    "hash(text, line) % 100",
    "split_part(text, ',', 1)",
    "nullif(line, 0)",
    "list_sum([line])",
    "CASE WHEN line < 0 THEN error('no such line') END",
    "row_number() OVER (PARTITION BY file)",
    "first(text) OVER (PARTITION BY file)",
    "(SELECT max(n) FROM generate_series(1, 3) AS t(n))",
    "(SELECT max(n) FROM unnest([1, 2]) AS t(n))",
    "(WITH tables AS (SELECT 1 AS n) SELECT n FROM tables)",
    "(WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT max(n) FROM t)",
    "(SELECT max(price) FROM prices)",
    "(SELECT count(*) FROM main.rows)",
]


@pytest.mark.parametrize("expression", REPEATING)
def test_what_repeats_is_allowed(database: duckdb.DuckDBPyConnection, expression: str) -> None:
    assert list(views(database, VIEW.format(expression))) == ["model_input"]


def test_the_line_is_that_of_the_file(database: duckdb.DuckDBPyConnection) -> None:
    sql = """-- é, random()
CREATE VIEW file_features AS
SELECT file, 'now()' AS é FROM rows;

/* of each row */
CREATE OR REPLACE VIEW model_input AS
SELECT file, -- ö
    line, 'ä' AS a, now()
FROM rows;
"""
    with pytest.raises(SqlRefused, match=r"features\.sql:8: `now\(\)`"):
        views(database, sql.replace("/* of each row */", "-- of each row"))


def test_a_blank_that_is_none_is_told_with_its_line(database: duckdb.DuckDBPyConnection) -> None:
    sql = "-- \u00a0\nCREATE VIEW file_features AS SELECT file, '\u00a0' AS x FROM rows;\n\n"
    assert len(views(database, sql + VIEW.format(1))) == 2
    with pytest.raises(SqlRefused, match=r"features\.sql:5: U\+00A0 looks like a blank"):
        views(database, sql + VIEW.format(1).replace("AS SELECT", "AS\n\u00a0SELECT"))


DEEP = {"a sum": "+".join(["line"] * 800), "calls": "abs(" * 700 + "line" + ")" * 700}


@pytest.mark.parametrize("expression", DEEP.values(), ids=DEEP)
def test_what_is_nested_too_deeply_is_told(database: duckdb.DuckDBPyConnection, expression: str) -> None:
    try:
        views(database, VIEW.format(expression))  # which Pythons can read it differs
    except SqlRefused as error:
        assert str(error).startswith("features.sql:1: nested too deeply")  # noqa: PT017 - it may not come at all


def test_duckdbs_own_errors_count_the_lines_of_the_file(database: duckdb.DuckDBPyConnection) -> None:
    sql = "CREATE VIEW file_features AS\nSELECT 1 AS file;\n\nCREATE VIEW model_input AS SELECT\n  missing(1)"
    with pytest.raises(duckdb.CatalogException, match="LINE 5"):
        views(database, sql)["model_input"].create(database)


BEGINNINGS = [
    'CREATE VIEW "model_input"',
    "CREATE VIEW IF NOT EXISTS model_input",
    "create or replace temp view model_input(file, line, x)",
    "/* of each;\nrow */ -- as\nCREATE\nVIEW model_input",
]


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_a_view_may_be_created_in_several_ways(database: duckdb.DuckDBPyConnection, beginning: str) -> None:
    assert list(views(database, f"{beginning} AS SELECT file, line, 1 AS x FROM rows")) == ["model_input"]


@pytest.mark.parametrize("name", ["rows", '"rows"', "IF NOT EXISTS rows", "main.rows"])
def test_no_spelling_gives_a_view_the_name_of_the_rows(database: duckdb.DuckDBPyConnection, name: str) -> None:
    with pytest.raises(SqlRefused, match=r"features\.sql:1: "):
        views(database, f"CREATE VIEW {name} AS SELECT 1; {VIEW.format(1)}")


def test_comments_before_a_view_are_no_statements(database: duckdb.DuckDBPyConnection) -> None:
    sql = f"-- one\n-- two\n{VIEW.format(1)};\n-- the end"
    assert list(views(database, sql)) == ["model_input"]


def test_a_use_case_whose_sql_does_not_repeat_is_not_loaded(transactions: UseCase) -> None:
    use_case = transactions.model_copy(update={"features_sql": VIEW.format("random()")})
    with pytest.raises(ConfigError, match=r"^transactions/features\.sql:1: `random\(\)`.*column `day` of `rows`"):
        describe(use_case)


def test_the_sql_of_an_earlier_version_is_refused_as_well(transactions: UseCase) -> None:
    rows = rows_schema(transactions).empty_table()
    rows = rows.set_column(0, "file", pa.array([], pa.dictionary(pa.int32(), pa.string())))
    with pytest.raises(ConfigError, match=r"^transactions/features\.sql:1: `now\(\)` says something else each time"):
        list(compute(rows, "2026-01-01", transactions, VIEW.format("now()")))
