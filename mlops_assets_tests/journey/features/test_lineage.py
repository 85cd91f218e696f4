"""Where the columns of a `features.sql` come from: what is found, and that nothing found is a sentence and no failure."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.journey.features.lineage import Lineage, trace
from mlops_assets.journey.features.sql import describe
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.use_case import load_use_case

TABLES = {"rows": ["day", "file", "line", "a", "b", "c", "d", "Case"], "rates": ["a", "rate"]}


def traced(query: str, view: str = "m") -> dict[str, set[str]]:
    """The sources of the columns of a view, as words."""
    found = trace(query if query.startswith("create") else f"create view {view} as {query}", TABLES, {})
    assert found.why_not == ""
    return {column: {".".join(source) for source in sources} for column, sources in found.of(view).items()}


def why_not(query: str) -> str:
    """Why nothing is known."""
    found = trace(query, TABLES, {})
    assert found.views == {}
    return found.why_not


@pytest.mark.parametrize(
    ("query", "column", "sources"),
    [
        ("select a + b as x from rows", "x", {"rows.a", "rows.b"}),
        ("select 1 as x from rows", "x", set()),
        ("from rows select a as x", "x", {"rows.a"}),
        ("select r.a as x from rows r", "x", {"rows.a"}),
        # an alias that a later column uses; a column of the table goes before it, as in DuckDB
        ("select a * 2 as y, y + b as z, z + c as x from rows", "x", {"rows.a", "rows.b", "rows.c"}),
        ("select a as b, b + 1 as x from rows", "x", {"rows.b"}),
        ('select "Case" as x from rows', "x", {"rows.Case"}),
        ("select * from rows", "b", {"rows.b"}),
        ("select * exclude (a) replace (b + c as b) from rows", "b", {"rows.b", "rows.c"}),
        ("with one as (select a + b as y from rows) select y as x from one", "x", {"rows.a", "rows.b"}),
        # a query within the query may take the name of a table
        ("with rows as (select b as a from rows) select a as x from rows", "x", {"rows.b"}),
        ("select x from (select c as x from (select * from rows))", "x", {"rows.c"}),
        ("select a as x from rows union all select b from rows", "x", {"rows.a", "rows.b"}),
        ("select b, a as x from rows union all by name select c as x, d as b from rows", "x", {"rows.a", "rows.c"}),
        ("select rate as x from rows join rates using (a)", "x", {"rates.rate"}),
        ("select (select max(rate) from rates where rates.a = rows.b) as x from rows", "x",
         {"rates.rate", "rates.a", "rows.b"}),
        ("select row_number() over (partition by c order by d) as x from rows", "x", {"rows.c", "rows.d"}),
        ("select lag(a) over w as x from rows window w as (partition by b)", "x", {"rows.a", "rows.b"}),
        ("select sum(b) filter (where c > 1) as x from rows", "x", {"rows.b", "rows.c"}),
        # rows are counted by what they are grouped by
        ("select file, count(*) as x from rows group by file", "x", {"rows.file"}),
        ("select a, b, count(*) as x from rows group by all", "x", {"rows.a", "rows.b"}),
        ("select list_transform([a], q -> q + b) as x from rows", "x", {"rows.a", "rows.b"}),
        ("select r.a, t.x from rows r, unnest([r.b, r.c]) t(x)", "x", {"rows.b", "rows.c"}),
        ("select i as x from range(3) t(i), rows", "x", set()),
        ("create view m as select a as x from rows; -- nothing more", "x", {"rows.a"}),
        ("create view m(x, y) as select a, b from rows", "x", {"rows.a"}),
        ("create view f as select file, avg(a) as mean from rows group by file; "
         "create view m as select mean - rows.b as x from rows join f using (file)", "x", {"f.mean", "rows.b"}),
        ("select a::int as \"Größe, 大\" from rows", "größe, 大", {"rows.a"}),
    ],
)  # fmt: skip
def test_a_column_comes_from_the_columns_that_it_is_made_of(query: str, column: str, sources: set[str]) -> None:
    assert traced(query)[column] == sources


def test_a_pattern_of_columns_is_written_out() -> None:
    query = "select line, avg(columns('^[ab]$')) from rows"
    views = {"m": ["line", "one", "two"]}
    found = trace(f"create view m as {query}", TABLES, views).of("m")
    assert {name: [source.column for source in sources] for name, sources in found.items()} == {
        "line": ["line"],
        "one": ["a"],
        "two": ["b"],
    }


@pytest.mark.parametrize(
    "query",
    [
        "create view m as pivot rows on a using sum(b)",
        "create view m as select #1 as x, a from rows",
        "create view m as select columns(* exclude (a)) from rows",
        "create view m as select nowhere from rows",
        "create view m as select " + "(" * 95 + "a" + ")" * 95 + " from rows",
        "create view m as select " + "(" * 50_000 + "a" + ")" * 50_000 + " from rows",
        "create view m as select a from rows -- " + "x" * 300_000,
        "create view m as select '",
        "create macro f(x) as x",
    ],
)
def test_what_is_not_understood_is_a_sentence(query: str, caplog: pytest.LogCaptureFixture) -> None:
    said = why_not(query)
    assert "features.sql" in said
    assert len(said) < 400
    assert caplog.records == []  # sqlglot's own warnings are for those who parse with it
    assert not logging.getLogger("sqlglot").disabled


def test_nothing_is_known_where_duckdb_has_other_columns() -> None:
    found = trace("create view m as select a, b from rows", TABLES, {"m": ["a"]})
    assert found == Lineage(why_not=found.why_not)
    assert "`m` has 1 columns, and sqlglot reads 2" in found.why_not


def test_an_alias_of_an_alias_is_not_written_out_over_and_over() -> None:
    doubled = ", ".join(f"x{n} + x{n} as x{n + 1}" for n in range(60))  # 2 to the power of 60 times `a`
    assert traced(f"select a as x0, {doubled} from rows")["x60"] == {"rows.a"}


@given(
    st.lists(st.sampled_from(["select", "a", "(", ")", ",", "from", "rows", "union", "*", "as", "'", "over", "with"]))
)
def test_no_text_fails(words: list[str]) -> None:
    trace(f"create view m as {' '.join(words)}", TABLES, {})


@pytest.mark.parametrize("name", ["transactions", "santander"])
def test_of_our_own_use_cases_every_column_of_the_model_is_known(name: str) -> None:
    use_case = load_use_case(OWN_USE_CASES / name)
    rows = ["day", "file", "line", *(column for column in use_case.columns if column != use_case.label)]
    answers = {one: [*given.keys, *given.columns] for one, given in use_case.enrichments.items()}
    views = {view: [*types] for view, types in describe(use_case).views.items()}
    found = trace(use_case.features_sql, {"rows": rows, **answers}, views)
    assert found.why_not == ""
    assert {view: [*columns] for view, columns in found.views.items()} == views
    assert all(found.of("model_input").values())
