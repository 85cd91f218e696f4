"""Crosses are scored by the codes of their parts: with the same matrix as by the texts that SQL makes of them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.journey.features.matrix import to_matrix
from mlops_assets.journey.features.sql import ROWS, FeatureSql

SCHEMA = pa.schema(
    [("file", pa.int32()), ("line", pa.int32()), ("shop", pa.string()), ("city", pa.string()), ("size", pa.int64())]
)
CROSSED = """
CREATE VIEW model_input AS
SELECT file, line, shop AS store, size, shop || '|' || city AS shop_city, city || '|' || (size + 1) AS city_size,
       upper(city) || '-' || size AS loud
FROM rows
"""
CROSSES = "shop_city", "city_size", "loud"


def _rows(shops: list[str | None], cities: list[str | None], sizes: list[int | None]) -> pa.Table:
    lines = list(range(len(shops)))
    return pa.table([[0] * len(lines), lines, shops, cities, sizes], schema=SCHEMA)


@cache
def _features(sql: str) -> FeatureSql:
    return FeatureSql(sql, {ROWS: SCHEMA})


def _select(sql: str, rows: pa.Table, *, coded: bool) -> pa.Table:
    return next(_features(sql).model_input("2026-01-01", {ROWS: rows}, coded=coded), pa.table({}))


def _are_parted(sql: str) -> list[str]:
    """The crosses whose texts are not made where a model scores."""
    batch = _select(sql, _rows(["a"], ["b"], [1]), coded=True)
    return [field.name for field in batch.schema if pa.types.is_struct(field.type)]


TEXTS = st.one_of(st.none(), st.text("a|-é", max_size=3))


@given(st.lists(st.tuples(TEXTS, TEXTS, st.one_of(st.none(), st.integers(-2, 2))), min_size=1, max_size=12), st.data())
@settings(max_examples=25, deadline=None)
def test_codes_of_parts_are_those_of_the_texts(
    values: list[tuple[str | None, str | None, int | None]], data: st.DataObject
) -> None:
    """Whatever signs the parts hold, whatever is missing, and whichever of the texts are known."""
    rows = _rows(*map(list, zip(*values, strict=True)))
    texts, parts = (_select(CROSSED, rows, coded=coded) for coded in (False, True))
    known = {}
    for name in CROSSES:
        seen = texts[name].drop_null().unique().to_pylist()
        drawn = data.draw(st.lists(st.sampled_from([*seen, "no sign", "a|a|a", "|", ""]), unique=True))
        known[name] = pa.array(drawn, pa.string())
    np.testing.assert_array_equal(to_matrix(texts, known), to_matrix(parts, known))
    assert [parts[name].null_count for name in CROSSES] == [texts[name].null_count for name in CROSSES]
    assert parts.select(["store", "size"]).cast(texts.select(["store", "size"]).schema) == texts.select(
        ["store", "size"]
    )


def test_a_column_that_is_two_others_with_a_sign_between_is_a_cross() -> None:
    assert _are_parted(CROSSED) == [*CROSSES]


@pytest.mark.parametrize(
    "selected",
    [
        "shop || city AS x FROM rows",
        "shop || ' and ' || city AS x FROM rows",
        "shop || '|' || city || '|' || size AS x FROM rows",
        "'|' || shop || city AS x FROM rows",
        "concat(shop, '|', city) AS x FROM rows",
        "shop || '|' || (size > 0) AS x FROM rows",
        "shop || '|' || (size / 3) AS x FROM rows",
        "shop || '|' || city AS x, lower(x) AS y FROM rows",
        "shop || '|' || city AS x FROM rows GROUP BY ALL",
        "shop || '|' || city AS x FROM rows ORDER BY x",
        "shop || '|' || city AS x FROM rows LIMIT 1",
    ],
)
def test_others_stay_texts(selected: str) -> None:
    """No sign between, a longer one, three parts, a part that is neither text nor whole number, or a name that is used."""
    assert not _are_parted(f"CREATE VIEW model_input AS SELECT file, line, {selected}")


@pytest.mark.parametrize(
    "selected",
    [
        "city AS x, shop AS x, shop || '|' || city AS y",
        "city AS x, shop AS \"X\", shop || '|' || city AS y",
        "*, upper(city) AS city, upper(city) || '|' || shop AS y",
        "*, city AS shop, city || '|' || shop AS y",
        "city AS x, city AS x_1, shop AS x, shop || '|' || city AS y",
        "shop AS \"X\", shop || '|' || city AS x",
        "shop || '-' || city AS \"X\", shop || '|' || city AS x",
        "*, shop || '|' || city AS shop",
    ],
)
def test_of_two_columns_of_one_name_none_is_taken_for_the_other(selected: str) -> None:
    """DuckDB calls the second one otherwise, whether it is a part, a cross or one of a star."""
    rows = _rows(["a", "b", None], ["c", "a", "b"], [1, 2, 3])
    sql = f"CREATE VIEW model_input AS SELECT file, line, {selected} FROM rows".replace("file, line, *", "*")
    texts, parts = (_select(sql, rows, coded=coded) for coded in (False, True))
    for name in (field.name for field in texts.schema if field.type == pa.string()):
        known = {name: pa.array(texts[name].drop_null().unique().to_pylist(), pa.string())}
        np.testing.assert_array_equal(to_matrix(texts, known), to_matrix(parts, known))


def test_a_query_with_more_terms_than_python_has_calls_is_left_as_it_is() -> None:
    many = " || ".join(["city"] * 250)
    assert not _are_parted(
        f"CREATE VIEW model_input AS SELECT file, line, shop || '|' || city AS x, {many} AS y FROM rows"
    )


def test_of_many_values_no_table_is_made() -> None:
    shops = [f"s{number}" for number in range(1_100)]
    rows = _rows(shops, shops[::-1], list(range(1_100)))
    texts, parts = (_select(CROSSED, rows, coded=coded) for coded in (False, True))
    known = {"shop_city": texts["shop_city"].combine_chunks()[::-1]}
    assert to_matrix(parts, known)[:, 0].tolist() == [*range(1_100)][::-1]
