"""Killed between any two statements of a delivery: the table has the old day or the new one, and the next run ends it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from multiprocessing.context import ForkServerContext
from typing import Any

import pytest

from mlops_assets.journey.deliver.targets.kafka import KafkaTarget
from mlops_assets.journey.deliver.targets.redshift import RedshiftTarget
from mlops_assets.journey.deliver.targets.sql import SqlTarget
from mlops_assets.storage.places import S3Path
from mlops_assets.use_case.targets import LEDGER
from mlops_assets.use_case.targets import KafkaTarget as KafkaParameters
from mlops_assets.use_case.targets import RedshiftTarget as RedshiftParameters
from mlops_assets.use_case.targets import SqlTarget as SqlParameters
from mlops_assets_tests.helpers import redshift, s3_server
from mlops_assets_tests.helpers.deliveries import NAMES, delivery, messages, of_names, sent
from mlops_assets_tests.helpers.killed import Passage, killed_at, make_processes, passage
from mlops_assets_tests.helpers.postgres import query

MANY = {(f"{line % 7}.csv", line): "food" for line in range(1, 51)}


def to_sql(what: tuple[int, int], mode: str) -> Mapping[str, Any]:
    given = SqlParameters(url_variable="SHOP_URL", mode=mode, table='The "rows"', schema="Mine, 100%")
    return SqlTarget(given).deliver(of_names(*what))


def to_redshift(what: tuple[int, int], place: str) -> Mapping[str, Any]:
    given = RedshiftParameters(url_variable="SHOP_URL", place=place, table="the_rows", schema="mine")
    target = RedshiftTarget(given, redshift.copy)
    target.rows_a_file = 2
    return target.deliver(of_names(*what))


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    return make_processes(__name__)


@pytest.fixture
def way(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Passage]:
    query(database, 'CREATE SCHEMA "Mine, 100%"; CREATE SCHEMA mine')
    with passage(database) as found:
        monkeypatch.setenv("SHOP_URL", found.url)
        yield found


class Table:
    """What a database holds of the day."""

    def __init__(self, url: str, schema: str, table: str, folded: bool) -> None:
        self._url = url
        self._schema = schema
        self._name = f'"{schema}"."' + table.replace('"', '""') + '"'
        self._columns = ", ".join('"' + (n.lower() if folded else n).replace('"', '""') + '"' for n in NAMES)

    def is_made(self) -> bool:
        return bool(query(self._url, f"SELECT 1 FROM information_schema.tables WHERE table_schema = '{self._schema}'"))

    def holds(self) -> tuple[int, int] | None:
        """The publication and the number of its rows, each there once and all of one publication, as is noted."""
        if not self.is_made():
            return None
        found = query(self._url, f"SELECT line, {self._columns} FROM {self._name}")
        noted = query(self._url, f'SELECT publication, rows FROM "{self._schema}".{LEDGER}')
        assert len({line for line, *_ in found}) == len(found)
        said = {value for _, *values in found for value in values}
        assert len(said) == len(noted) <= 1
        assert [(f"publication {value[1:]}", len(found)) for value in said] == noted
        return next(((int(value[1:]), len(found)) for value in said), None)

    def drop(self) -> None:
        query(self._url, f'DROP TABLE IF EXISTS {self._name}, "{self._schema}".{LEDGER}')


def check_kills(
    processes: ForkServerContext,
    way: Passage,
    table: Table,
    work: Callable[..., Mapping[str, Any]],
    to: str,
    *,
    first: bool,
    every: int,
    variables: tuple[str, ...] = ("SHOP_URL",),
) -> int:
    """Kill at each `every`th moment of a delivery, of a first day or of one that replaces another; how often."""
    way.expect()
    work((1, 4), to)
    if not first:
        way.expect()
        work((2, 3), to)
    count, published = len(way.statements), 2
    commits = [at for at, statement in enumerate(way.statements) if statement == "COMMIT"]
    moments = [(at, done) for at in range(count) for done in (False, True)]
    moments = [one for at, one in enumerate(moments) if at % every == 0 or one == (commits[-1], True)]
    for at, done in moments:
        if first:
            table.drop()
        old, new = table.holds(), (published + 1, 3 + published % 2)
        killed_at(processes, way, at, work, new, to, done=done, variables=variables)
        # the moment of the commit decides, and what is there is whole either way
        assert table.holds() == (new if (at, done) >= (commits[-1], True) else old), (at, done, way.statements)
        told = work(new, to)
        assert table.holds() == new
        assert (told["changed"] == 0) == ((at, done) >= (commits[-1], True)), "what is there is not written again"
        published += 1
    return len(moments)


@pytest.mark.parametrize(
    ("mode", "first", "every"),
    [
        ("replace", True, 20),
        ("upsert", False, 20),
        *(
            pytest.param(mode, first, 1, marks=pytest.mark.long)
            for mode in ("replace", "upsert")
            for first in (True, False)
        ),
    ],
)
def test_a_table_has_the_day_once(
    processes: ForkServerContext, way: Passage, database: str, mode: str, first: bool, every: int
) -> None:
    table = Table(database, "Mine, 100%", 'The "rows"', folded=False)
    kills = check_kills(processes, way, table, to_sql, mode, first=first, every=every)
    assert kills > (30 if every == 1 else 2)


@pytest.mark.parametrize(
    ("first", "every"), [(False, 9), *(pytest.param(first, 1, marks=pytest.mark.long) for first in (True, False))]
)
def test_redshift_has_the_day_once_and_nothing_stays_on_s3(
    processes: ForkServerContext,
    way: Passage,
    database: str,
    bucket: S3Path,
    monkeypatch: pytest.MonkeyPatch,
    first: bool,
    every: int,
) -> None:
    monkeypatch.setenv("SHOP_URL", way.url.replace("postgresql://", "redshift://"))
    table = Table(database, "mine", "the_rows", folded=True)
    told = {name for name in s3_server.VARIABLES if name in os.environ}
    check_kills(
        processes, way, table, to_redshift, f"{bucket}/load", first=first, every=every, variables=("SHOP_URL", *told)
    )
    assert [*bucket.files()] == []


def to_kafka(servers: str, gate: Any, moment: int) -> None:
    """Deliver; say so at a moment, and wait there to be killed."""

    def between(at: int) -> None:
        if at == moment:
            gate.send("there")
            gate.recv()

    what = replace(delivery(MANY, size=10, between=between), tell=lambda taken: between(-taken))
    KafkaTarget(KafkaParameters(servers=servers, topic="said", timeout=20, end={"topic": "days"})).deliver(what)


@pytest.mark.parametrize("moment", [20, -len(MANY)], ids=["among the rows", "before the end"])
def test_who_drops_what_came_twice_has_the_day_once_and_one_word_that_it_is_whole(
    processes: ForkServerContext, kafka: str, moment: int
) -> None:
    ours, theirs = processes.Pipe()
    process = processes.Process(target=to_kafka, args=(kafka, theirs, moment))
    process.start()
    assert ours.recv() == "there"
    process.kill()
    process.join()
    target = KafkaTarget(KafkaParameters(servers=kafka, topic="said", timeout=20, end={"topic": "days"}))
    target.deliver(replace(delivery(MANY, size=10), attempt=2))
    ((_, end),) = messages(kafka, "days", 1)
    assert (end["rows"], end["attempt"]) == (len(MANY), 2), "the first end of all"
    rows = [value for _, value in messages(kafka, "said", sent(kafka, "said"))]
    once = {(row["publication"], row["file"], row["line"]): row["prediction"] for row in rows}
    assert once == {("publication 1", *place): said for place, said in MANY.items()}
    assert len(rows) > len(once) or moment > 0
