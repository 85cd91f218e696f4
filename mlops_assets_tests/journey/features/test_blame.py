"""A row on which SQL fails is named by file and line; where that is allowed, it alone has no prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import ConfigError
from mlops_assets.journey.features.blame import RUNS, RowsFailed, leave_out
from mlops_assets.journey.features.shard import aggregate, compute_good
from mlops_assets.journey.read.contract import rows_schema
from mlops_assets.use_case import Checks, UseCase
from mlops_assets_tests.helpers.toy import DAY, purchases, toy

MODEL = "CREATE VIEW model_input AS SELECT file, line, {} AS x FROM rows"
OF_A_FILE = "CREATE VIEW file_features AS SELECT file, {} AS x FROM rows GROUP BY file;" + MODEL.format("amount")
FILES = 40


def lenient(**update: Any) -> UseCase:
    return toy().model_copy(update={"checks": Checks(sql_rejects=0.5), **update})


def with_cities(number: int, bad: dict[int, str]) -> pa.Table:
    """Rows of some files, ordered; those at some positions have a city of their own."""
    rows = sorted(purchases(number, accounts=FILES), key=lambda row: (row["file"], row["line"]))
    for position, row in enumerate(rows):
        row["city"] = bad.get(position, "1")
    return pa.Table.from_pylist(rows, rows_schema(toy())).unify_dictionaries().combine_chunks()


FAILING = {
    "a cast": ("city::INTEGER", "x"),
    "an overflow": ("city::BIGINT * 9223372036854775807", "3"),
    "a date": ("strptime(city, '%d')", "77"),
    "a date out of range": ("DATE '2020-01-01' + city::INTEGER", "2147483647"),
}
ROWS = 800


@pytest.mark.parametrize("kind", FAILING)
@pytest.mark.parametrize("position", [0, 399, 799])
def test_the_line_is_named_with_its_file_the_reason_and_the_way_out(kind: str, position: int) -> None:
    expression, bad = FAILING[kind]
    rows = with_cities(ROWS, {position: bad})
    with pytest.raises(ConfigError) as error:
        compute_good(
            rows,
            DAY,
            toy(),
            MODEL.format(f"epoch(({expression})::TIMESTAMP)" if "date" in kind else expression),
            {},
            [],
        )
    file, line = rows["file"][position].as_py(), rows["line"][position].as_py()
    assert f"toy/features.sql fails on the rows of {DAY}: {file}, line {line}: " in str(error.value)
    assert "try_cast" in str(error.value)
    assert "checks.sql_rejects" in str(error.value)


def test_the_other_rows_are_computed_and_keep_their_places() -> None:
    bad = {3: "x", 250: "y", 799: "z"}
    left_out: list[Any] = []
    batches = compute_good(with_cities(ROWS, bad), DAY, lenient(), MODEL.format("city::INTEGER"), {}, left_out)
    positions = np.sort(np.concatenate([positions for _, positions in batches]))
    assert positions.tolist() == [place for place in range(ROWS) if place not in bad]
    assert len(left_out) == 3
    assert {row.rule for row in left_out} == {"sql"}


def test_a_file_whose_lines_fail_together_is_left_out_as_a_whole() -> None:
    largest = str(2**63 - 1)
    rows = with_cities(ROWS, {20: largest, 25: largest, 30: largest})
    sql = OF_A_FILE.format("sum(city::BIGINT)::BIGINT")
    data, blamed = aggregate(rows, DAY, lenient(), sql)
    assert (len(data), len(blamed)) == (FILES - 1, ROWS // FILES)
    assert {row.file for row in blamed} == {rows["file"][20].as_py()}
    with pytest.raises(RowsFailed, match=f"{rows['file'][20].as_py()}, line 2: "):  # with which the sum is too large
        aggregate(rows, DAY, toy(), sql)


def test_an_aggregate_over_a_bad_line_is_that_of_no_file_and_the_others_stay() -> None:
    data, blamed = aggregate(with_cities(ROWS, {45: "x"}), DAY, lenient(), OF_A_FILE.format("max(city::INTEGER)"))
    assert (len(data), len(blamed)) == (FILES - 1, 1)


class Failing:
    """Fails on rows whose positions are bad, and counts how often it ran."""

    def __init__(self, bad: set[int]) -> None:
        self.bad = bad
        self.runs = 0

    def __call__(self, rows: pa.Table) -> None:
        self.runs += 1
        if self.bad & set(rows["city"].cast(pa.string()).cast(pa.int64()).to_pylist()):
            raise RowsFailed("fails", "sql", "fails")


@given(st.sets(st.integers(0, 199), max_size=12))
def test_exactly_the_bad_rows_are_left_out(bad: set[int]) -> None:
    rows = with_cities(200, {place: str(place) for place in range(200)})
    run = Failing(bad)
    kept, blamed = leave_out(rows, DAY, lenient(), run)
    assert kept["city"].cast(pa.string()).to_pylist() == [str(place) for place in range(200) if place not in bad]
    assert len(blamed) == len(bad)
    assert run.runs <= 2 + len(bad) * 2 * (6 + 4)


def test_the_first_bad_row_of_a_large_shard_is_found_in_a_few_runs() -> None:
    rows = with_cities(20_000, {place: str(place) for place in range(20_000)})
    run = Failing({12_345})
    with pytest.raises(RowsFailed, match="line "):
        leave_out(rows, DAY, toy(), run)
    assert run.runs <= 2 * (6 + 10)


def test_where_every_row_fails_the_search_ends() -> None:
    rows = with_cities(4_000, {place: str(place) for place in range(4_000)})
    run = Failing(set(range(4_000)))
    with pytest.raises(RowsFailed, match="So many rows fail"):
        leave_out(rows, DAY, lenient(), run)
    assert run.runs == RUNS
