"""Predictions in tables of PostgreSQL and SQLite: each publication once, whatever is killed on the way."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError
from sqlalchemy import make_url

from mlops_assets.journey.deliver.targets.sql import SqlTarget
from mlops_assets.plugins.targets import Delivery, TargetDown, TargetError
from mlops_assets.use_case.targets import LEDGER
from mlops_assets.use_case.targets import SqlTarget as Parameters
from mlops_assets_tests.helpers.deliveries import DAY, NAMES, SOME, Rows, delivery, of_names
from mlops_assets_tests.helpers.killed import make_processes
from mlops_assets_tests.helpers.postgres import Server, query


class Place:
    """A database with a target on it."""

    def __init__(self, url: str, ask: Callable[[str], list[tuple[Any, ...]]]) -> None:
        self.url = url
        self.ask = ask

    def deliver(self, what: Delivery, **parameters: Any) -> Mapping[str, Any]:
        return SqlTarget(Parameters(url_variable="SHOP_URL", **parameters)).deliver(what)

    def rows(self, day: str = DAY, table: str = "shop_predictions") -> Rows:
        found = self.ask(f"SELECT file, line, prediction FROM {table} WHERE day = '{day}'")
        assert len({(file, line) for file, line, _ in found}) == len(found)
        return {(file, line): said for file, line, said in found}

    def delivered(self) -> list[tuple[Any, ...]]:
        return self.ask(f"SELECT table_name, CAST(day AS text), publication, rows FROM {LEDGER} ORDER BY 1, 2")


@pytest.fixture(params=["postgresql", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "postgresql":
        url = request.getfixturevalue("database")
        place = Place(url, lambda sql: query(url, sql))
    else:
        path = tmp_path / "shop.db"

        def ask(sql: str) -> list[tuple[Any, ...]]:
            connection = sqlite3.connect(path)
            try:
                with connection:
                    return connection.execute(sql).fetchall()
            finally:
                connection.close()

        place = Place(f"sqlite:///{path}", ask)
    monkeypatch.setenv("SHOP_URL", place.url)
    return place


@pytest.fixture
def server(database: str, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("SHOP_URL", database)
    return Place(database, lambda sql: query(database, sql))


MODES = pytest.mark.parametrize("mode", ["replace", "upsert"])


# -- what a table holds -------------------------------------------------------------------------------------------------


@MODES
def test_a_day_is_in_the_table_as_it_was_published(place: Place, mode: str) -> None:
    told = place.deliver(delivery(), mode=mode)
    assert (told["table"], told["rows"], told["changed"]) == ("shop_predictions", 4, 4)
    assert place.rows() == SOME
    assert {account for (account,) in place.ask("SELECT account_id FROM shop_predictions")} == {"A", None}
    assert place.delivered() == [("shop_predictions", DAY, "publication 1", 4)]


@MODES
def test_a_publication_that_is_there_is_not_written_again_unless_asked(place: Place, mode: str) -> None:
    place.deliver(delivery(), mode=mode)
    place.ask("DELETE FROM shop_predictions WHERE file = 'a.csv'")
    assert place.deliver(delivery(), mode=mode)["changed"] == 0
    assert len(place.rows()) == 2
    place.deliver(delivery(again=True), mode=mode)
    assert place.rows() == SOME


@MODES
def test_a_day_that_is_published_again_is_replaced_and_other_days_stay(place: Place, mode: str) -> None:
    newer = {("a.csv", 1): "food", ("a.csv", 2): "fuel", ("late.csv", 1): "shoes"}
    place.deliver(delivery(), mode=mode)
    place.deliver(delivery(day="2026-01-02"), mode=mode)
    told = place.deliver(delivery(newer, 2), mode=mode)
    assert place.rows() == newer
    assert place.rows("2026-01-02") == SOME
    assert told["changed"] == {"replace": 3, "upsert": 5}[mode], "upserted: all are of another version, two are gone"


def test_upsert_touches_only_rows_that_differ(server: Place) -> None:
    server.deliver(delivery(), mode="upsert")
    before = dict(server.ask("SELECT file || line, xmin::text FROM shop_predictions"))
    rows = {**SOME, ("a.csv", 2): "fuel"}
    what = delivery(rows, 1)
    assert (
        server.deliver(Delivery(**{**vars(what), "publication": "next", "published": 2}), mode="upsert")["changed"] == 1
    )
    after = dict(server.ask("SELECT file || line, xmin::text FROM shop_predictions"))
    assert {name for name in after if after[name] != before[name]} == {"a.csv2"}


def test_a_schema_and_a_table_can_be_named(server: Place) -> None:
    server.ask("CREATE SCHEMA shop")
    server.deliver(delivery(), schema="shop", table="Said")
    assert server.rows(table='shop."Said"') == SOME


@MODES
def test_names_have_any_signs_and_are_none_that_a_database_cuts_off(place: Place, mode: str) -> None:
    for published in (1, 2):
        place.deliver(of_names(published, 3), mode=mode, table='my "rows"; 100%')
    assert {row[3:] for row in place.ask('SELECT * FROM "my ""rows""; 100%"')} == {("v2",) * len(NAMES)}
    long = of_names(1, 3, ["é" * 32])
    if place.url.startswith("sqlite"):
        assert place.deliver(long, mode=mode)["changed"] == 3
        return
    with pytest.raises(TargetError, match="has 64 bytes, and PostgreSQL keeps 63 of a name: give it a shorter one in"):
        place.deliver(long, mode=mode)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\0b", "x" * 64, "é" * 32])
def test_what_is_no_name_is_refused_with_the_configuration(name: str) -> None:
    for which in ("table", "schema"):
        with pytest.raises(ValidationError, match="is no name|and a database keeps 63"):
            Parameters.model_validate({"url_variable": "SHOP_URL", which: name})


@MODES
def test_an_older_publication_does_not_replace_a_newer_one(place: Place, mode: str) -> None:
    place.deliver(delivery(published=2), mode=mode)
    with pytest.raises(TargetDown, match="newer publication"):
        place.deliver(delivery({}, published=1), mode=mode)
    assert place.rows() == SOME


def test_a_table_belongs_to_one_use_case(place: Place) -> None:
    place.deliver(delivery(), table="said")
    with pytest.raises(TargetError, match="said holds days of shop"):
        place.deliver(delivery(use_case="bank"), table="said")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("day DATE, file TEXT, line INTEGER, PRIMARY KEY (day, file, line)", "prediction is missing"),
        (
            "day DATE, file TEXT, line INTEGER, account_id TEXT, prediction INTEGER, probability REAL,"
            "model_version INTEGER, PRIMARY KEY (day, file, line)",
            "prediction is INTEGER, expected TEXT",
        ),
        (
            "day DATE, file TEXT, line INTEGER, account_id TEXT, prediction TEXT, probability REAL, model_version INTEGER",
            "there is no primary key",
        ),
        (
            "day DATE, file TEXT, line INTEGER, account_id TEXT, prediction TEXT, probability REAL,"
            "model_version INTEGER, team TEXT NOT NULL, PRIMARY KEY (day, file, line)",
            "team is not ours and must not be empty",
        ),
    ],
)
def test_a_table_with_other_columns_is_refused_and_left_alone(place: Place, columns: str, said: str) -> None:
    place.ask(f"CREATE TABLE shop_predictions ({columns})")
    with pytest.raises(TargetError) as refused:
        place.deliver(delivery())
    assert said in str(refused.value)
    assert "PRIMARY KEY (day, file, line)" in str(refused.value)
    assert place.ask("SELECT count(*) FROM shop_predictions") == [(0,)]


def test_a_table_with_further_columns_of_wider_types_is_taken(place: Place) -> None:
    place.ask(
        "CREATE TABLE shop_predictions (day DATE, file VARCHAR(200), line BIGINT, account_id VARCHAR(40), "
        "prediction VARCHAR(60), probability NUMERIC, model_version BIGINT, note TEXT, UNIQUE (day, file, line))"
    )
    place.deliver(delivery(), mode="upsert")
    assert place.rows() == SOME


# -- encodings ----------------------------------------------------------------------------------------------------------

ACCENTS: Rows = {("São Paulo/ü.csv", 1): "SERVIÇO", ("b.csv", 2): "Café"}
ENCODINGS = pytest.mark.parametrize("encoding", ["UTF8", "LATIN1", "WIN1252", "SQL_ASCII"])
SPOKEN = pytest.mark.parametrize("spoken", ["", "LATIN1", "SQL_ASCII"])


@pytest.fixture
def written_in(postgres: Server, encoding: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A database of an encoding, read over a connection that speaks UTF-8."""
    with postgres.database(encoding) as url:
        monkeypatch.setenv("SHOP_URL", url)
        yield Place(url, lambda sql: query(url, sql))


@MODES
@ENCODINGS
@SPOKEN
def test_texts_and_names_of_files_are_in_any_database_what_was_published(
    written_in: Place, mode: str, spoken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", spoken)
    written_in.deliver(delivery(ACCENTS), mode=mode)
    assert written_in.rows() == ACCENTS
    written_in.deliver(delivery({**ACCENTS, ("b.csv", 2): "ação"}, 2), mode=mode)
    assert written_in.rows() == {**ACCENTS, ("b.csv", 2): "ação"}


@MODES
@pytest.mark.parametrize(
    ("encoding", "rows", "said"),
    [
        ("LATIN1", {**ACCENTS, ("b.csv", 7): "10 €"}, "prediction '10 €' of 2026-01-01, file 'b.csv', line 7"),
        ("LATIN1", {**ACCENTS, ("日.csv", 3): "food"}, "file '日.csv' of 2026-01-01, file '日.csv', line 3"),
        ("WIN1252", {**ACCENTS, ("b.csv", 7): "ŝ"}, "prediction 'ŝ' of 2026-01-01, file 'b.csv', line 7"),
        ("UTF8", {**ACCENTS, ("b.csv", 7): "a\0b"}, "prediction 'a\\x00b' of 2026-01-01, file 'b.csv', line 7"),
        ("SQL_ASCII", {**ACCENTS, ("b.csv", 7): "a\0b"}, "prediction 'a\\x00b' of 2026-01-01, file 'b.csv', line 7"),
    ],
)
def test_what_a_database_has_no_sign_for_is_named_and_nothing_of_the_day_is_there(
    written_in: Place, mode: str, encoding: str, rows: Rows, said: str
) -> None:
    written_in.deliver(delivery(ACCENTS), mode=mode)
    with pytest.raises(TargetError) as refused:
        written_in.deliver(delivery(rows, 2), mode=mode)
    assert str(refused.value) == f"the database is written in {encoding} and cannot hold {said}."
    assert not isinstance(refused.value, TargetDown), "it is not tried again"
    assert written_in.rows() == ACCENTS
    assert written_in.delivered() == [("shop_predictions", DAY, "publication 1", 2)]


# -- what goes wrong ----------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", "postgresql://me:pa55-in-the-url@127.0.0.1:1/shop")
    with pytest.raises(TargetDown, match=r"SHOP_URL \(postgresql 127.0.0.1:1/shop\) cannot be reached") as down:
        Place("", lambda _: []).deliver(delivery())
    assert "pa55" not in str(down.value)


@pytest.mark.parametrize(
    ("change", "parameters", "said"),
    [
        ({"database": "nowhere"}, {}, 'database "nowhere" does not exist'),
        ({"username": "stranger"}, {}, 'role "stranger" does not exist'),
        ({"username": "locked_out"}, {}, 'role "locked_out" is not permitted to log in'),
        ({"username": "guest"}, {}, "permission denied for schema public"),
        ({"query": {"sslmode": "nonsense"}}, {}, 'invalid sslmode value: "nonsense"'),
        ({}, {"schema": "nowhere"}, 'schema "nowhere" does not exist'),
    ],
)
def test_what_waiting_does_not_mend_is_not_taken_for_a_server_that_is_down(
    server: Place,
    postgres: Server,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    parameters: dict[str, str],
    said: str,
) -> None:
    for role in ("locked_out NOLOGIN", "guest LOGIN"):
        postgres.execute(f"DROP ROLE IF EXISTS {role.split()[0]}")
        postgres.execute(f"CREATE ROLE {role}")
    url = make_url(server.url)
    url = url.update_query_dict(change["query"]) if "query" in change else url.set(**change)
    monkeypatch.setenv("SHOP_URL", url.render_as_string(hide_password=False))
    with pytest.raises(TargetError, match="refused: ") as refused:
        server.deliver(delivery(), **parameters)
    assert said in str(refused.value)
    assert not isinstance(refused.value, TargetDown)


def test_a_file_of_sqlite_that_cannot_be_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.db").write_text("this is no database, but a text that is long enough to be looked at " * 20)
    for path in (tmp_path / "nowhere" / "shop.db", tmp_path / "text.db"):
        monkeypatch.setenv("SHOP_URL", f"sqlite:///{path}")
        with pytest.raises(TargetError, match="refused: ") as refused:
            Place("", lambda _: []).deliver(delivery())
        assert not isinstance(refused.value, TargetDown)


def test_a_kind_of_database_that_we_do_not_know_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", "mssql+nothing://h/d")
    with pytest.raises(Exception, match="not installed here"):
        Place("", lambda _: []).deliver(delivery())


def test_a_value_that_does_not_fit_is_refused_and_nothing_of_the_day_is_there(server: Place) -> None:
    server.ask(
        "CREATE TABLE shop_predictions (day DATE, file TEXT, line INTEGER, account_id TEXT, prediction VARCHAR(4), "
        "probability REAL, model_version INTEGER, PRIMARY KEY (day, file, line))"
    )
    with pytest.raises(TargetError, match="too long"):
        server.deliver(delivery())
    assert server.rows() == {}
    assert server.delivered() == []


@pytest.fixture(scope="module")
def mortal() -> Iterator[Server]:
    """A server that no other file of tests uses, so that it may be killed."""
    if os.environ.get("MLOPS_TEST_DATABASE_URL"):
        pytest.skip("a server that is not ours is not killed")
    own = Server()
    yield own
    own.stop()


@MODES
def test_a_server_that_crashes_in_the_middle_holds_nothing_of_the_day_and_later_all_of_it_once(
    mortal: Server, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    with mortal.database() as url:
        monkeypatch.setenv("SHOP_URL", url)
        place = Place(url, lambda sql: query(url, sql))
        place.deliver(delivery({("a.csv", 1): "old"}), mode=mode)
        many = {("a.csv", line): "new" for line in range(1, 5_000)}
        crash = iter([False, False, True])

        def between(_: int) -> None:
            if next(crash, False):
                mortal.kill()

        with pytest.raises(TargetDown, match="SHOP_URL"):
            place.deliver(delivery(many, 2, size=1_000, between=between), mode=mode)
        with pytest.raises(TargetDown, match="cannot be reached"):
            place.deliver(delivery(many, 2), mode=mode)
        mortal.start()
        assert place.rows() == {("a.csv", 1): "old"}
        place.deliver(delivery(many, 2, size=1_000), mode=mode)
        assert place.rows() == many


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    return make_processes(__name__)


def _deliver_in_a_process(url: str, mode: str, published: int, rows: int, gate: Any, moment: int) -> None:
    """Deliver; say so at the moment, and wait there to be killed or let go."""
    os.environ["SHOP_URL"] = url  # the server that makes processes has an environment of its own
    many = {("a.csv", line): f"v{published}" for line in range(1, rows)}

    def between(start: int) -> None:
        if start == moment:
            gate.send("there")
            gate.recv()

    target = SqlTarget(Parameters(url_variable="SHOP_URL", mode=mode))
    target.deliver(delivery(many, published, size=100, between=between))
    gate.send("done")


@MODES
@pytest.mark.parametrize("moment", [0, 900])
def test_a_process_that_is_killed_leaves_the_old_day_and_the_next_one_delivers_it(
    place: Place, processes: ForkServerContext, mode: str, moment: int
) -> None:
    place.deliver(delivery({("a.csv", 1): "old"}), mode=mode)
    ours, theirs = processes.Pipe()
    process = processes.Process(target=_deliver_in_a_process, args=(place.url, mode, 2, 1_001, theirs, moment))
    process.start()
    assert ours.recv() == "there"
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert place.rows() == {("a.csv", 1): "old"}
    many = {("a.csv", line): "v2" for line in range(1, 1_001)}
    place.deliver(delivery(many, 2), mode=mode)
    assert place.rows() == many


@MODES
def test_two_deliveries_of_a_day_at_once_wait_for_each_other_and_the_newest_stands(
    server: Place, processes: ForkServerContext, mode: str
) -> None:
    ours, theirs = processes.Pipe()
    process = processes.Process(target=_deliver_in_a_process, args=(server.url, mode, 2, 1_001, theirs, 500))
    process.start()
    assert ours.recv() == "there"
    other, end = processes.Pipe()
    second = processes.Process(target=_deliver_in_a_process, args=(server.url, mode, 3, 501, end, 0))
    second.start()
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    deadline = dt.datetime.now() + dt.timedelta(seconds=60)
    while server.ask(waiting) == [(0,)]:
        assert dt.datetime.now() < deadline, "the second one does not wait"
    ours.send("go")
    assert ours.recv() == "done"
    assert other.recv() == "there"
    other.send("go")
    assert other.recv() == "done"
    process.join()
    second.join()
    assert server.rows() == {("a.csv", line): "v3" for line in range(1, 501)}


def test_a_delivery_needs_little_memory(server: Place) -> None:
    """Batches are taken one after the other: when the last one is made, none of the others is held any more."""
    alive: list[int] = []
    made = itertools.count()

    def between(_: int) -> None:
        next(made)
        alive.append(pa.total_allocated_bytes())

    many = {(f"{line % 100}.csv", line): "food" for line in range(1, 60_001)}
    server.deliver(delivery(many, size=2_000, between=between))
    assert max(alive[5:]) - min(alive[5:]) < 2 << 20
    assert len(server.rows()) == 60_000


# -- hours --------------------------------------------------------------------------------------------------------------

HOURS = ("2026-10-25T02", "2026-10-25T02+0100")


@MODES
def test_an_hour_that_comes_again_is_beside_the_first_and_each_is_replaced_alone(place: Place, mode: str) -> None:
    for number, hour in enumerate(HOURS, 1):
        place.deliver(delivery({("a.csv", 1): f"of {number}"}, number, day=hour), mode=mode)
    assert [place.rows(hour) for hour in HOURS] == [{("a.csv", 1): "of 1"}, {("a.csv", 1): "of 2"}]
    place.deliver(delivery({("late.csv", 1): "shoes"}, 3, day=HOURS[0]), mode=mode)
    assert [place.rows(hour) for hour in HOURS] == [{("late.csv", 1): "shoes"}, {("a.csv", 1): "of 2"}]
    noted = place.ask(f"SELECT day, publication FROM {LEDGER}_hours ORDER BY day")
    assert noted == [(HOURS[0], "publication 3"), (HOURS[1], "publication 2")]


def test_hours_do_not_go_into_a_table_of_days(place: Place) -> None:
    place.deliver(delivery())
    with pytest.raises(TargetError, match="day"):
        place.deliver(delivery(day=HOURS[0]))
    assert place.rows() == SOME
    place.deliver(delivery(day=HOURS[0]), table="of_hours")
    with pytest.raises(TargetError, match="day"):
        place.deliver(delivery(), table="of_hours")
    assert place.rows(HOURS[0], "of_hours") == SOME
