"""What differs between two answers is counted so that it adds up, however rows are cut into shards and days."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.journey.explain.flows import (
    MOST_VALUES,
    NOTHING,
    OTHERS,
    Flow,
    add_flows,
    as_lists,
    by_class,
    count_flows,
    from_lists,
    totals,
)
from mlops_assets.use_case import UseCase
from mlops_assets_tests.helpers.promoted import valued

USE_CASE = valued()
ANSWER = st.sampled_from(["FOOD", "FUEL", "RENT", None])
ROW = st.tuples(
    ANSWER,
    ANSWER,
    st.sampled_from(["FOOD", "FUEL", None]),
    st.sampled_from(["C1", "C2", "(none)", None]),
    st.one_of(st.none(), st.integers(-500, 500).map(lambda cents: cents / 100), st.just(float("nan"))),
)


def counted(rows: list[tuple[object, ...]], use_case: UseCase = USE_CASE) -> tuple[Flow, ...]:
    before, after, kind, city, amount = (list(column) for column in zip(*rows, strict=True)) if rows else ([],) * 5
    known = pa.table(
        {
            "kind": pa.array(kind, pa.string()),
            "city": pa.array(city, pa.string()),
            "amount": pa.array(amount, pa.float64()),
        }
    )
    return count_flows(pa.array(before, pa.string()), pa.array(after, pa.string()), known, use_case)


@given(st.lists(ROW, max_size=30), st.integers(0, 30))
def test_two_parts_together_are_the_whole_and_come_back_from_a_document(
    rows: list[tuple[object, ...]], cut: int
) -> None:
    whole = counted(rows)
    assert add_flows(counted(rows[:cut]), counted(rows[cut:])) == whole
    assert from_lists(as_lists(whole)) == whole


@given(st.lists(ROW, min_size=1, max_size=30))
def test_every_row_is_counted_once_over_all_and_once_in_each_slice(rows: list[tuple[object, ...]]) -> None:
    flows = counted(rows)
    overall = [flow for flow in flows if not flow.column]
    total = totals(overall)
    assert total["rows"] == len(rows) == sum(flow.rows for flow in flows if flow.column == "city")
    assert total["changed"] == sum(row[0] != row[1] for row in rows)
    assert total["labelled"] == sum(row[2] is not None for row in rows)
    assert total["right_after"] == sum(row[2] is not None and row[1] == row[2] for row in rows)
    cents = [round(100 * abs(row[4])) for row in rows if row[4] is not None and row[4] == row[4]]  # type: ignore[arg-type]
    assert total["cents"] == sum(cents)
    classes = {one["class"]: (one["before"], one["after"]) for one in by_class(overall)}
    had, has = (Counter(row[side] or NOTHING for row in rows) for side in (0, 1))
    assert classes == {name: (had[name], has[name]) for name in {*had, *has}}
    assert sum(one["came"] for one in by_class(overall)) == total["changed"]


def test_the_rare_values_of_a_slice_are_one() -> None:
    rows = [("FOOD", "FUEL", None, f"C{number}", 1.0) for number in range(MOST_VALUES + 50)]
    values = {flow.value: flow.rows for flow in counted(rows) if flow.column}
    assert len(values) == MOST_VALUES + 1
    assert values[OTHERS] == 50
