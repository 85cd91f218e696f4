"""A use case from a table of PostgreSQL: some rows are looked at, and each day's are asked for."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlops_assets.cli import group
from mlops_assets.errors import UsageError
from mlops_assets.journey.read.readers import open_reader
from mlops_assets.journey.read.rows import check_rows
from mlops_assets.journey.read.sources import SqlSource, open_source
from mlops_assets.tools.tables.database import Asked, look_at_database
from mlops_assets.use_case import UseCase, load_use_case
from mlops_assets_tests.helpers.postgres import FORMS, query

DAYS = [dt.date(2026, 1, 1) + dt.timedelta(days=at) for at in range(5)]
TABLE = 'CREATE TABLE "Sales" (customer text, "Unit price" numeric, seen timestamp, note text, answer text)'


@pytest.fixture
def shop(database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    rows = ", ".join(
        f"('C{at % 17}', {at * 1.25}, '{DAYS[at % 5]} 0{at % 10}:00:00', {'NULL' if at % 3 else repr(f'a, b;{at}')}, "
        f"'{('yes', 'no')[at % 2]}')"
        for at in range(100)
    )
    query(database, TABLE)
    query(database, f'INSERT INTO "Sales" VALUES {rows}')
    monkeypatch.setenv("SHOP_URL", database)
    monkeypatch.setenv("MLOPS_USE_CASES", str(tmp_path / "cases"))
    return database


def new(tmp_path: Path, *options: str) -> str:
    given = ["new", "sales", "--from", "postgres", "--url-variable", "SHOP_URL", "--label", "answer", *options]
    done = CliRunner().invoke(group.cli, [*given, "--into", str(tmp_path / "cases")], catch_exceptions=False)
    assert not any(form in done.output for form in FORMS)
    return done.output


def landed(use_case: UseCase, raw: Path, day: str) -> int:
    """How many rows of a day the use case reads without a reject."""
    source = open_source(use_case, raw)
    assert isinstance(source, SqlSource)
    source.land(day)
    entries = [*source.list(day)]
    paths = [entry.path for entry in entries]
    pack = open_reader(use_case).read([source.read(day, entry) for entry in entries], paths)
    table, refusals = check_rows(use_case, paths, pack)
    assert [*pack.refusals, *refusals] == []
    return len(table)


def test_a_table_becomes_a_use_case_whose_days_are_asked_for(shop: str, tmp_path: Path) -> None:
    shown = new(tmp_path, "--table", "Sales", "--day-column", "seen")
    assert "mlops-assets run sales --from 2026-01-01 --to 2026-01-05 --train" in shown
    use_case = load_use_case(tmp_path / "cases" / "sales")
    assert use_case.start == DAYS[0]
    assert use_case.columns["unit_price"].source == "Unit price"
    assert [landed(use_case, tmp_path / "raw", str(day)) for day in DAYS] == [20] * 5


def test_a_query_becomes_a_use_case(shop: str, tmp_path: Path) -> None:
    asked = 'SELECT customer, "Unit price" AS price, answer FROM "Sales" WHERE CAST(seen AS date) = :day;'
    shown = new(tmp_path, "--query", asked, "--day", "2026-01-02")
    assert "run sales --from 2026-01-02 --to 2026-01-02 --train" in shown
    assert landed(load_use_case(tmp_path / "cases" / "sales"), tmp_path / "raw", "2026-01-02") == 20


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Asked("SHOP_URL"), "say --table and --day-column, or --query and --day"),
        (Asked("SHOP_URL", table="Sales"), "--day-column"),
        (Asked("SHOP_URL", query="SELECT 1", day=DAYS[0]), "it has no :day"),
        (Asked("SHOP_URL", table="nowhere", day_column="seen"), "nowhere"),
        (Asked("SHOP_URL", table="Sales", day_column="when"), "when"),
        (Asked("SHOP_URL", query='DELETE FROM "Sales" WHERE seen = :day RETURNING 1', day=DAYS[0]), "syntax error"),
        (Asked("SHOP_URL", query='SELECT * FROM "Sales" WHERE seen = :day', day=dt.date(1999, 1, 1)), "no row of 1999"),
        (Asked("NOT_SET", table="Sales", day_column="seen"), "NOT_SET is not set"),
    ],
)
def test_what_cannot_be_asked_is_told_without_the_password(shop: str, asked: Asked, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        look_at_database(asked)
    assert not any(form in str(caught.value) for form in FORMS)


def test_whatever_a_table_holds_and_however_it_is_named_is_landed(shop: str, tmp_path: Path) -> None:
    query(
        shop,
        'CREATE TABLE "The ""Odd" (customer text, "share % :day" numeric, doc jsonb, tags text[], raw bytea, note text, '
        "seen date, answer text)",
    )
    query(
        shop,
        """INSERT INTO "The ""Odd" SELECT 'C' || at % 7, at, jsonb_build_object('é', NULL, 'at', at), ARRAY['a', 'b'],"""
        """ decode('00ff', 'hex'), E'one\\ntwo', date '2026-01-01' + at % 2, CASE WHEN at % 3 = 0 THEN 'no' ELSE 'yes' END"""
        """ FROM generate_series(0, 59) at""",
    )
    query(shop, """INSERT INTO "The ""Odd" VALUES ('C1', 1, '{}', '{}', '', '', 'infinity', 'no')""")
    shown = new(tmp_path, "--table", 'The "Odd', "--day-column", "seen")
    assert "run sales --from 2026-01-01 --to 2026-01-02 --train" in shown
    assert "note has line ends" in " ".join(shown.split())
    assert landed(load_use_case(tmp_path / "cases" / "sales"), tmp_path / "raw", "2026-01-02") == 30
    (line, *_) = sorted((tmp_path / "raw").rglob("*.csv"))[0].read_text(encoding="utf-8").splitlines()[1:]
    assert '"{""at"": 21, ""é"": null}","[""a"", ""b""]",\\x00ff,one two,' in line
