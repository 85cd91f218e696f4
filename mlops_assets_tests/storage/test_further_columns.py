"""A table whose days come to have a further column: it takes it, and older days have nothing there."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from mlops_assets.storage.accounting import Accounting
from mlops_assets.storage.parts import delta_schema, widen
from mlops_assets.storage.tables import Table, write_part

FIRST, SECOND, THIRD = "2026-01-01", "2026-01-02", "2026-01-03"
NARROW = pa.schema({"line": pa.int32()})
WIDE = NARROW.append(pa.field("shares", pa.list_(pa.float32())))


@pytest.fixture
def table(tmp_path: Path) -> Table[Accounting]:
    """A table with a day of one column."""
    table = Table(tmp_path / "table", "table", Accounting)
    publish(table, FIRST, NARROW)
    return table


def publish(table: Table[Accounting], day: str, schema: pa.Schema) -> None:
    rows = pa.Table.from_pylist([{"line": 1, "shares": [0.25, None]}], schema)
    table.publish(day, [write_part(table, day, "00000-x", rows)], schema, Accounting(), table.parts(day))


def test_days_with_and_without_the_column_stand_beside_each_other(table: Table[Accounting]) -> None:
    publish(table, SECOND, WIDE)
    publish(table, THIRD, NARROW)
    shares = table.read_all(columns=["day", "shares"]).to_pylist()
    assert shares == [
        {"day": FIRST, "shares": None},
        {"day": SECOND, "shares": [0.25, None]},
        {"day": THIRD, "shares": None},
    ]
    assert [*table.days()] == [FIRST, SECOND, THIRD]


def test_the_column_costs_one_commit_and_a_table_that_has_it_none(table: Table[Accounting]) -> None:
    for day in (SECOND, THIRD):
        publish(table, day, WIDE)
    # 0 made the table; 2 gave it the column
    assert [published.version for published in table.days().values()] == [1, 3, 4]


def test_what_others_commit_meanwhile_is_looked_at_first(table: Table[Accounting]) -> None:
    looked_at = Table(table.folder, "table", Accounting).open()
    assert looked_at is not None
    publish(table, SECOND, WIDE)
    assert not widen(looked_at, delta_schema(WIDE))


def test_a_name_that_differs_in_its_capitals_alone_is_no_further_column(table: Table[Accounting]) -> None:
    """Delta has no two of them; the day is published as before, and its file has the column."""
    loud = pa.schema({"LINE": pa.int32()})
    part = write_part(table, SECOND, "00000-x", pa.table({"LINE": [1]}, loud))
    assert table.publish(SECOND, [part], loud, Accounting(), set())
    assert table.read_all([SECOND])["line"].to_pylist() == [None]
