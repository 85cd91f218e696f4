"""Features: one SQL for everyone, every row exactly once, and the label out of its sight."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.errors import ConfigError
from mlops_assets.journey.enrich.answers import find_answers
from mlops_assets.journey.features.day import aggregate_day, stored_features
from mlops_assets.journey.features.matrix import to_matrix
from mlops_assets.journey.features.shard import compute
from mlops_assets.journey.features.sql import BATCH, describe, read_rows
from mlops_assets.journey.read.contract import rows_schema
from mlops_assets.journey.train.candidates import vocabularies
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets_tests.helpers.days import DAY, draw_day, ignore, in_shards_of

SIMPLE = "CREATE VIEW model_input AS SELECT file, line, amount, merchant_city FROM rows"


@pytest.fixture(scope="module")
def sharded(transactions: UseCase) -> UseCase:
    return in_shards_of(10, transactions)


@pytest.fixture(scope="module")
def sample(sharded: UseCase, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A day of 40 files in several shards, with its aggregates."""
    lake = draw_day(sharded, tmp_path_factory.mktemp("sample"), files=40, rows=20)
    aggregate_day(sharded, lake, DAY, LocalEngine(1), ignore)
    return lake


@pytest.fixture
def rows(transactions: UseCase) -> pa.Table:
    """Five rows of two files."""
    records = [
        {"file": file, "line": line, "amount": amount, "merchant_city": city, "category": label}
        for file, line, amount, city, label in (
            ("a.csv", 1, 10.0, "OSASCO", "FOOD"),
            ("a.csv", 2, 20.0, "BAURU", "FUEL"),
            ("a.csv", 4, 0.0, "OSASCO", "FOOD"),
            ("b.csv", 1, 5.0, None, "FUEL"),
            ("b.csv", 2, None, "OSASCO", None),
        )
    ]
    return pa.Table.from_pylist(records, rows_schema(transactions))


def run(rows: pa.Table, use_case: UseCase, sql: str, stored: pa.Table | None = None) -> pa.Table:
    """The whole model input in the order of the rows."""
    found = list(compute(rows, DAY, use_case, sql, stored))
    whole = pa.concat_tables([batch for batch, _ in found])
    return whole.take(pa.array(np.argsort(np.concatenate([places for _, places in found]))))


# -- what the SQL makes -----------------------------------------------------------------------------------------------


def test_the_columns_of_the_sql_are_known_without_any_rows(transactions: UseCase) -> None:
    aggregates = "CREATE VIEW file_features AS SELECT file, count(*) AS n FROM rows GROUP BY file;"
    found = describe(transactions.model_copy(update={"features_sql": aggregates + SIMPLE}))
    assert found.model == {"amount": False, "merchant_city": True}
    assert found.file == {"n": pa.int64()}


def test_aggregates_over_files_are_optional(transactions: UseCase) -> None:
    assert describe(transactions.model_copy(update={"features_sql": SIMPLE})).file == {}


def test_the_sql_of_every_use_case_that_comes_with_the_package_works(
    transactions: UseCase, loan_approval: UseCase, santander: UseCase
) -> None:
    assert describe(transactions).model
    assert describe(loan_approval).model
    assert describe(santander).model


NO_FILE = "CREATE VIEW file_features AS SELECT count(*) AS n FROM rows;"
WRONG = {
    "a syntax error": "CREATE VIEW model_input AS SELEC file",
    "an unknown column": "CREATE VIEW model_input AS SELECT file, line, no_such_column FROM rows",
    "no model_input": "CREATE VIEW file_features AS SELECT file FROM rows",
    "no line": "CREATE VIEW model_input AS SELECT file, amount FROM rows",
    "aggregates without file": NO_FILE + SIMPLE,
    "a table": f"CREATE TABLE copy AS FROM rows; {SIMPLE}",
    "a setting": f"SET threads = 8; {SIMPLE}",
    "a date": "CREATE VIEW model_input AS SELECT file, line, date FROM rows",
    "a name that is taken": "CREATE VIEW model_input AS SELECT file, line, amount AS _fold FROM rows",
    "nothing for the model": "CREATE VIEW model_input AS SELECT file, line FROM rows",
    "a file of the machine": "CREATE VIEW model_input AS SELECT * FROM read_csv('/etc/passwd')",
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_in_the_sql_is_a_configuration_error_that_names_the_file(transactions: UseCase, mistake: str) -> None:
    with pytest.raises(ConfigError, match=r"features\.sql(:\d+)?: "):
        describe(transactions.model_copy(update={"features_sql": WRONG[mistake]}))


def test_an_error_that_only_some_rows_cause_is_a_configuration_error_that_names_the_file(
    transactions: UseCase, rows: pa.Table
) -> None:
    sql = "CREATE VIEW model_input AS SELECT file, line, merchant_city::INTEGER AS city FROM rows"
    with pytest.raises(ConfigError, match=r"transactions/features\.sql .*OSASCO"):
        run(rows, transactions, sql)


@pytest.mark.parametrize("table", ["rows", "arrow_rows"])
def test_the_label_is_not_visible_to_the_sql(transactions: UseCase, rows: pa.Table, table: str) -> None:
    everything = run(rows, transactions, f"CREATE VIEW model_input AS FROM {table}")
    assert transactions.label not in everything.column_names
    with pytest.raises(ConfigError, match=f'"{transactions.label}" not found'):
        describe(
            transactions.model_copy(
                update={
                    "features_sql": f"CREATE VIEW model_input AS FROM {table} SELECT file, line, {transactions.label}"
                }
            )
        )


# -- every row exactly once -------------------------------------------------------------------------------------------


def test_every_row_comes_once_whatever_the_order_of_the_sql(transactions: UseCase, rows: pa.Table) -> None:
    found = run(rows, transactions, f"{SIMPLE} ORDER BY hash(file, line)")
    assert found["amount"].to_pylist() == [10.0, 20.0, 0.0, 5.0, None]


@pytest.mark.parametrize(
    ("clause", "told"),
    [
        ("FROM rows WHERE amount > 5", "of 5 rows it lost 3 and doubled 0"),
        ("FROM rows, (VALUES (1), (2)) AS twice", "of 5 rows it lost 0 and doubled 5"),
        ("FROM rows JOIN (VALUES (10), (10)) AS t(x) ON amount = x", "of 5 rows it lost 4 and doubled 1"),
        ("FROM rows WHERE false", "of 5 rows it lost 5 and doubled 0"),
    ],
)
def test_sql_that_loses_or_doubles_rows_is_refused_with_their_number(
    transactions: UseCase, rows: pa.Table, clause: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        run(rows, transactions, f"CREATE VIEW model_input AS SELECT file, line, amount {clause}")


@pytest.mark.parametrize("keys", ["file, line + 1 AS line", "file + 1 AS file, line"])
def test_sql_that_makes_up_rows_is_refused(transactions: UseCase, rows: pa.Table, keys: str) -> None:
    with pytest.raises(ConfigError, match="that no row has"):
        run(rows, transactions, f"CREATE VIEW model_input AS FROM rows SELECT {keys}, amount")


def test_no_rows_give_no_model_input(transactions: UseCase, rows: pa.Table) -> None:
    found = list(compute(rows_schema(transactions).empty_table(), DAY, transactions, transactions.features_sql))
    assert sum(batch.num_rows for batch, _ in found) == 0


# -- aggregates over files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statistic", ["size", "sum", "mean", "median", "std", "max"])
def test_the_aggregates_of_a_file_are_those_of_pandas(sharded: UseCase, sample: Lake, statistic: str) -> None:
    frame = sample.table("rows").read_all([DAY], ["file", "amount"]).to_pandas()
    expected = frame.groupby("file")["amount"].agg(statistic).to_numpy(np.float64)
    stored = sample.table("features").read_all([DAY], ["file", *describe(sharded).file]).to_pandas()
    found = stored.set_index("file").sort_index().select_dtypes("number")
    equal = [name for name in found if np.allclose(found[name].to_numpy(np.float64), expected, equal_nan=True)]
    assert equal, f"no column of file_features is the {statistic} of the amounts of a file"


def test_aggregates_that_fail_on_some_rows_are_a_configuration_error_that_names_the_file(
    sharded: UseCase, sample: Lake
) -> None:
    sql = "CREATE VIEW file_features AS SELECT file, max(merchant_city::INTEGER) AS n FROM rows GROUP BY file;"
    wrong = sharded.model_copy(update={"features_sql": sql + SIMPLE})
    with pytest.raises(ConfigError, match=r"transactions/features\.sql"):
        aggregate_day(wrong, sample, DAY, LocalEngine(1), ignore)


def test_a_file_has_one_row_of_aggregates(sharded: UseCase, sample: Lake) -> None:
    listed = sample.table("raw_files").read_all([DAY], ["path"])["path"].to_pylist()
    found = sample.table("features").read_all([DAY], ["file"])["file"].to_pylist()
    assert sorted(found) == sorted(listed)


def test_aggregates_are_stored_once_and_reused(sharded: UseCase, sample: Lake) -> None:
    done = aggregate_day(sharded, sample, DAY, LocalEngine(1), ignore)
    assert (done.accounting.files, done.shards) == (40, done.reused)


def parts(lake: Lake) -> Iterator[tuple[str, pa.Table]]:
    table = lake.table("rows")
    for path in sorted(table.parts(DAY)):
        yield Path(path).name, read_rows(table.folder / path)


def test_stored_and_computed_aggregates_give_the_same_model_input_to_the_bit(sharded: UseCase, sample: Lake) -> None:
    answers = find_answers(sharded, sample, DAY, sample.table("rows").days()[DAY], ["calendar"])
    for name, rows in parts(sample):
        stored = stored_features(sample, DAY, name, sharded.features_sql, answers.of(name))
        assert stored is not None
        with_stored = run(rows, sharded, sharded.features_sql, stored)
        known = vocabularies(with_stored, describe(sharded).model)
        one, other = (as_matrix(table, known) for table in (with_stored, run(rows, sharded, sharded.features_sql)))
        np.testing.assert_array_equal(one, other)


def as_matrix(table: pa.Table, known: dict[str, tuple[str, ...] | None]) -> np.ndarray:
    return to_matrix(table, {name: None if k is None else pa.array(k, pa.string()) for name, k in known.items()})


def test_aggregates_by_another_sql_are_not_taken_and_by_another_comment_they_are(
    sharded: UseCase, sample: Lake
) -> None:
    answers = find_answers(sharded, sample, DAY, sample.table("rows").days()[DAY], ["calendar"])
    name, sql = next(parts(sample))[0], sharded.features_sql
    another = sql.replace("max(amount)", "min(amount)"), sql.replace(") AS file_max", ") AS 'file_max -- no'")
    assert [stored_features(sample, DAY, name, one, answers.of(name)) for one in another] == [None, None]
    commented = "/* of today */\n" + sql.replace("-- when", "-- on which\n    -- days")
    assert stored_features(sample, DAY, name, commented, answers.of(name)) is not None


def test_an_edit_of_the_model_input_alone_leaves_the_champion_its_aggregates(sharded: UseCase, sample: Lake) -> None:
    answers = find_answers(sharded, sample, DAY, sample.table("rows").days()[DAY], ["calendar"])
    (name, _), sql = next(parts(sample)), sharded.features_sql
    edited = sql.replace("AS amount_log", "AS amount_as_log")
    assert edited != sql
    assert stored_features(sample, DAY, name, edited, answers.of(name)) is not None


def test_batches_and_shards_do_not_change_the_model_input(
    transactions: UseCase, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lake = draw_day(transactions, tmp_path_factory.mktemp("batches"), files=500, rows=50)
    ((_, rows),) = parts(lake)
    assert rows.num_rows > BATCH
    whole = run(rows, transactions, transactions.features_sql)
    known = vocabularies(whole, describe(transactions).model)
    number = rows["file"].chunk(0).indices.to_numpy()
    pieces = [rows.filter(pa.array(number % 3 == rest)).combine_chunks() for rest in range(3)]
    apart = [as_matrix(run(piece, transactions, transactions.features_sql), known) for piece in pieces]
    matrix = as_matrix(whole, known)
    for rest, piece in enumerate(apart):
        np.testing.assert_array_equal(matrix[number % 3 == rest], piece)


# -- numbers for the estimator ----------------------------------------------------------------------------------------


def test_the_sample_rows_give_no_infinite_number(sharded: UseCase, sample: Lake) -> None:
    _, rows = next(parts(sample))
    table = run(rows, sharded, sharded.features_sql)
    matrix = as_matrix(table, vocabularies(table, describe(sharded).model))
    assert matrix.shape == (rows.num_rows, len(describe(sharded).model))
    assert not np.isinf(matrix).any()


# -- the SQL has no way out, that of a stored model no more than that of the configuration ----------------------------

VIEW = "CREATE VIEW model_input AS SELECT"
WAYS_OUT = {
    "reads a text": f"{VIEW} file, line, content FROM rows, read_text('SECRET')",
    "reads a table": f"{VIEW} file, line, r.* FROM rows, read_csv('SECRET') r",
    "reads a file by its name": f"{VIEW} file, line, r.* FROM rows, 'SECRET' r",
    "lists a folder": f"{VIEW} r.file, line FROM rows, glob('SECRET*') r",
    "asks for the environment": f"{VIEW} file, line, getenv('HOME') AS home FROM rows",
    "looks at variables of the program": f"{VIEW} * FROM use_case",
    "attaches a database": f"ATTACH 'SECRET' AS other; {VIEW} file, line, amount FROM rows",
    "writes a file": f"COPY rows TO 'SECRET.out'; {VIEW} file, line, amount FROM rows",
    "loads an extension": f"INSTALL httpfs; LOAD httpfs; {VIEW} file, line, amount FROM rows",
    "opens itself a way": f"SET enable_external_access = true; {VIEW} file, line, amount FROM rows",
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_sql_has_no_way_out(transactions: UseCase, rows: pa.Table, tmp_path: Path, way: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with pytest.raises(ConfigError, match=r"features\.sql"):
        run(rows, transactions, WAYS_OUT[way].replace("SECRET", str(secret)))
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_cents_are_those_of_the_nearest_hundredth_and_no_amount_has_none(transactions: UseCase, rows: pa.Table) -> None:
    amounts = pa.array([0.29, -12.3, 1100.0, 999_999_999.05, None])
    found = run(
        rows.set_column(rows.column_names.index("amount"), "amount", amounts), transactions, transactions.features_sql
    )
    assert found["cents"].to_pylist() == [29, -30, 0, 5, None]
    assert found["roundness"].to_pylist() == [1, 2, 7, 1, 0]
