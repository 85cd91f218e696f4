"""A query a day, landed as raw files: the same rows are the same bytes, and changed ones touch their file alone."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import ConfigError
from mlops_assets.journey.read.listing import list_day
from mlops_assets.journey.read.sources import SourceError, SqlSource, open_source
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.places import S3Path
from mlops_assets.use_case import Column, FileFormat, Origin, UseCase, load_use_case
from mlops_assets_tests.helpers.postgres import Server, query
from mlops_assets_tests.helpers.visits import VISITS, place_visits

DAY = "2026-01-01"
QUERY = "SELECT visitor, minutes, channel, seen FROM visits WHERE seen = :day"
ROWS = "('Ann', 1.5, 'web', '2026-01-01'), ('Bob', 2, NULL, '2026-01-01'), ('Ann', 3, 'a \"b\", c', '2026-01-01')"


@pytest.fixture
def shop(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SHOP_URL", database)
    query(database, "CREATE TABLE visits (visitor text, minutes numeric, channel text, seen date)")
    query(database, f"INSERT INTO visits VALUES {ROWS}, ('Cy', 4, 'shop', '2026-01-02')")
    return database


@pytest.fixture
def visits(tmp_path: Path) -> UseCase:
    found = load_use_case(place_visits(tmp_path / "use_cases") / "visits")
    channel = found.columns["channel"].model_copy(update={"allowed": (), "source": "Channel"})
    seen = Column(type="date", format="%d.%m.%Y")
    return found.model_copy(update={"columns": {**found.columns, "channel": channel, "seen": seen}})


def source(use_case: UseCase, settings: Settings, **parameters: Any) -> SqlSource:
    given = Origin(use="sql", parameters={"url_variable": "SHOP_URL", "query": QUERY, **parameters})
    opened = open_source(use_case.model_copy(update={"source": given}), settings.raw)
    assert isinstance(opened, SqlSource)
    return opened


def landed(settings: Settings, day: str = DAY) -> dict[str, str]:
    folder = settings.raw / "visits" / f"day={day}"
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_the_rows_of_a_day_are_files_in_the_format_of_the_contract(
    shop: str, visits: UseCase, settings: Settings
) -> None:
    source(visits, settings).land(DAY)
    header = "visitor,minutes,Channel,seen\n"
    assert landed(settings) == {
        "Ann.csv": f'{header}Ann,1.5,web,01.01.2026\nAnn,3,"a ""b"", c",01.01.2026\n',
        "Bob.csv": f"{header}Bob,2,,01.01.2026\n",
    }


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252", "SQL_ASCII"])
def test_texts_of_a_database_of_another_encoding_are_what_they_are_there(
    postgres: Server, visits: UseCase, settings: Settings, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with postgres.database(encoding) as url:
        monkeypatch.setenv("SHOP_URL", url)
        query(url, "CREATE TABLE visits (visitor text, minutes numeric, channel text, seen date)")
        query(url, "INSERT INTO visits VALUES ('Ann', 1, 'SERVIÇO', '2026-01-01'), ('Bob', 1, 'web', '2026-01-01')")
        source(visits, settings, query=f"{QUERY} AND channel = 'SERVIÇO'").land(DAY)
    assert landed(settings) == {"Ann.csv": "visitor,minutes,Channel,seen\nAnn,1,SERVIÇO,01.01.2026\n"}


def test_bytes_of_which_a_database_does_not_know_the_encoding_are_told_until_the_url_says_it(
    postgres: Server, visits: UseCase, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres.database("SQL_ASCII") as url:
        query(url, "CREATE TABLE visits (visitor text, minutes numeric, channel text, seen date)")
        query(url, "INSERT INTO visits VALUES ('Ann', 1, E'SERVI\\xC7O', '2026-01-01')")
        monkeypatch.setenv("SHOP_URL", url)
        with pytest.raises(SourceError, match=r'encoding "UTF8": 0xc7 .* such as \?client_encoding=LATIN1'):
            source(visits, settings).land(DAY)
        monkeypatch.setenv(
            "SHOP_URL", f"{url}&client_encoding=LATIN1" if "?" in url else f"{url}?client_encoding=LATIN1"
        )
        source(visits, settings).land(DAY)
    assert landed(settings)["Ann.csv"].endswith("Ann,1,SERVIÇO,01.01.2026\n")


def test_the_journey_goes_on_as_with_delivered_files(shop: str, visits: UseCase, settings: Settings) -> None:
    opened = pickle.loads(pickle.dumps(source(visits, settings)))
    manifest = list_day(visits, opened, Lake(settings.lake, "visits").table("raw_files"), DAY)
    assert manifest.files == 2
    assert [opened.read(DAY, entry).count(b"\n") for entry in opened.list(DAY)] == [3, 2]
    assert opened.days() == [DAY]


def test_the_same_rows_in_another_order_change_nothing_and_a_changed_row_its_file_alone(
    shop: str, visits: UseCase, settings: Settings
) -> None:
    table = Lake(settings.lake, "visits").table("raw_files")
    opened = source(visits, settings)
    first = list_day(visits, opened, table, DAY)
    query(shop, "CREATE TABLE turned AS SELECT * FROM visits ORDER BY minutes DESC; DROP TABLE visits")
    query(shop, "ALTER TABLE turned RENAME TO visits")
    assert list_day(visits, opened, table, DAY).fingerprint == first.fingerprint
    times = {entry.path: entry.modified for entry in opened.list(DAY)}
    query(
        shop,
        "UPDATE visits SET minutes = 9 WHERE visitor = 'Bob'; INSERT INTO visits VALUES ('Di', 1, 'web', '2026-01-01')",
    )
    query(shop, "DELETE FROM visits WHERE visitor = 'none'")
    opened.land(DAY)
    now = {entry.path: entry.modified for entry in opened.list(DAY)}
    assert {path for path in now if now[path] != times.get(path)} == {"Bob.csv", "Di.csv"}
    query(shop, "DELETE FROM visits WHERE visitor = 'Ann'")
    opened.land(DAY)
    assert landed(settings).keys() == {"Bob.csv", "Di.csv"}


def test_the_rows_are_landed_on_s3_where_the_raw_files_lie_there(shop: str, visits: UseCase, bucket: S3Path) -> None:
    given = Origin(use="sql", parameters={"url_variable": "SHOP_URL", "query": QUERY})
    opened = open_source(visits.model_copy(update={"source": given}), bucket / "raw")
    assert isinstance(opened, SqlSource)
    opened.land(DAY)
    before = {entry.path: entry for entry in opened.list(DAY)}
    assert before.keys() == {"Ann.csv", "Bob.csv"}
    assert opened.read(DAY, before["Bob.csv"]) == b"visitor,minutes,Channel,seen\nBob,2,,01.01.2026\n"
    query(
        shop,
        "UPDATE visits SET minutes = 9 WHERE visitor = 'Bob'; UPDATE visits SET visitor = 'Di' WHERE visitor = 'Cy'",
    )
    query(shop, "UPDATE visits SET seen = '2026-01-01' WHERE visitor = 'Di'")
    opened.land(DAY)
    now = {entry.path: entry for entry in opened.list(DAY)}
    assert {path for path in now if now[path] != before.get(path)} == {"Bob.csv", "Di.csv"}
    query(shop, "DELETE FROM visits")
    opened.land(DAY)
    assert [*opened.list(DAY)] == []


def test_values_that_are_no_names_of_files_and_no_values_at_all_have_files_too(
    shop: str, visits: UseCase, settings: Settings
) -> None:
    query(
        shop,
        "UPDATE visits SET visitor = '../../etc' WHERE visitor = 'Ann'; UPDATE visits SET visitor = NULL WHERE minutes = 2",
    )
    source(visits, settings).land(DAY)
    assert [name[0] for name in landed(settings)] == ["~", "~"]
    assert sum(text.count("\n") for text in landed(settings).values()) == 5


def test_many_values_can_share_a_number_of_files(shop: str, visits: UseCase, settings: Settings) -> None:
    query(shop, "INSERT INTO visits SELECT 'V' || n, n, 'web', '2026-01-01' FROM generate_series(1, 12000) AS n")
    told: list[int] = []
    source(visits, settings, files_a_day=3).land(DAY, told.append)
    assert landed(settings).keys() == {"00000.csv", "00001.csv", "00002.csv"}
    assert sum(text.count("\n") - 1 for text in landed(settings).values()) == 12_003
    assert told == [5_000, 10_000]


def test_a_day_without_rows_is_landed_as_empty(shop: str, visits: UseCase, settings: Settings) -> None:
    opened = source(visits, settings)
    opened.land("2026-01-05")
    assert opened.days() == ["2026-01-05"]
    assert [*opened.list("2026-01-05")] == []


def test_the_day_is_a_parameter_and_no_text(shop: str, visits: UseCase, settings: Settings) -> None:
    with pytest.raises(ValueError, match="is no key"):
        source(visits, settings).land("2026-01-01'; DROP TABLE visits; --")
    assert query(shop, "SELECT count(*) FROM visits") == [(4,)]


def test_a_query_that_writes_is_refused(shop: str, visits: UseCase, settings: Settings) -> None:
    writes = "DELETE FROM visits WHERE seen = :day RETURNING *"
    with pytest.raises(SourceError, match=r"by the query 'DELETE FROM visits .*read-only|syntax error"):
        source(visits, settings, query=writes).land(DAY)
    assert query(shop, "SELECT count(*) FROM visits") == [(4,)]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"query": "SELECT * FROM vists WHERE seen = :day"}, 'relation "vists" does not exist'),
        (
            {"query": "SELECT visitor, seen FROM visits WHERE seen = :day"},
            "has no column 'minutes'; it has: visitor, seen",
        ),
        ({"key": "shop"}, "has no column 'shop'"),
        ({"query": f"{QUERY} AND pg_sleep(20) IS NOT NULL", "timeout": 0.2}, "statement timeout"),
        ({"query": QUERY.replace("channel,", "'a' || chr(10) AS channel,")}, "'channel' has a line end"),
        ({"query": "SELECT 1/0 AS visitor, minutes, channel, seen FROM visits WHERE seen = :day"}, "division by zero"),
    ],
)
def test_what_is_wrong_with_a_query_is_told_and_what_was_landed_before_stays(
    shop: str, visits: UseCase, settings: Settings, parameters: dict[str, Any], said: str
) -> None:
    source(visits, settings).land(DAY)
    before = landed(settings)
    with pytest.raises(SourceError) as wrong:
        source(visits, settings, **parameters).land(DAY)
    assert said in str(wrong.value)
    assert landed(settings) == before
    assert [path.name for path in (settings.raw / "visits").iterdir()] == [f"day={DAY}"], "nothing half-landed is left"


def test_a_database_that_dies_while_it_answers_leaves_what_was_landed_before(
    shop: str, visits: UseCase, settings: Settings
) -> None:
    source(visits, settings).land(DAY)
    before = landed(settings)
    query(shop, "INSERT INTO visits SELECT 'V' || n, n, 'web', '2026-01-01' FROM generate_series(1, 60000) AS n")

    def die(_: int) -> None:
        query(shop, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

    with pytest.raises(SourceError, match="rows of 2026-01-01 by the query .*SHOP_URL") as wrong:
        source(visits, settings, files_a_day=3).land(DAY, die)
    assert "terminating connection" in str(wrong.value) or "closed the connection" in str(wrong.value)
    assert landed(settings) == before
    source(visits, settings, files_a_day=3).land(DAY)
    assert sum(text.count("\n") - 1 for text in landed(settings).values()) == 60_003


def test_a_database_that_is_gone_is_told_without_its_password(
    visits: UseCase, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", "postgresql://me:pa55-in-the-url@127.0.0.1:1/shop")
    with pytest.raises(SourceError, match=r"SHOP_URL \(postgresql 127.0.0.1:1/shop\) cannot be reached") as gone:
        source(visits, settings).land(DAY)
    assert "pa55" not in str(gone.value)
    assert gone.value.__suppress_context__


def test_a_delimiter_in_a_file_without_quotes_is_told(shop: str, visits: UseCase, settings: Settings) -> None:
    unquoted = visits.model_copy(update={"files": FileFormat(quotes=False)})
    with pytest.raises(SourceError, match="files.quotes: true"):
        source(unquoted, settings).land(DAY)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{use: sql}", "parameters.url_variable: Field required"),
        (
            "{use: sql, parameters: {url_variable: SHOP_URL, query: SELECT 1}}",
            "the query must ask for one day: name `:day`, or `:start` and `:end`",
        ),
        ("{use: sql, parameters: {url_variable: SHOP_URL, query: 'SELECT day::day'}}", "parameters.query"),
    ],
)
def test_a_mistake_in_the_configuration_is_told_by_file_line_and_key(tmp_path: Path, given: str, said: str) -> None:
    folder = place_visits(tmp_path / "use_cases", f"{VISITS}  source: {given}\n") / "visits"
    with pytest.raises(ConfigError) as wrong:
        load_use_case(folder)
    assert said in str(wrong.value)
    assert f"defs.yaml:{len(VISITS.splitlines()) + 1}: source.use" in str(wrong.value)
