"""What the tests share: a home of their own for all state, use cases, and files in the real format."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import hypothesis
import pytest
import sqlalchemy
from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from sqlalchemy import Engine, NullPool, event

from mlops_assets.settings import OWN_USE_CASES, Settings
from mlops_assets.storage.places import S3Path
from mlops_assets.use_case import UseCase, load_use_case
from mlops_assets_tests.helpers import s3_server as s3_servers
from mlops_assets_tests.helpers.account_files import WriteDay
from mlops_assets_tests.helpers.left_behind import nothing_left
from mlops_assets_tests.helpers.postgres import Server

hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("repeatable")


@event.listens_for(Engine, "connect")
def _trust_the_machine(connection: Any, record: object) -> None:
    """SQLite does not wait for the disk: tests kill processes, and nobody pulls the plug of their machine."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


_scripts_of = ScriptDirectory.from_config


@cache
def _scripts_in(location: str | None) -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", location or "")
    return _scripts_of(config)


def _read_once(config: Config) -> ScriptDirectory:
    """Dagster and MLflow read all their migrations whenever they open a store; a process of tests opens hundreds."""
    return _scripts_in(config.get_main_option("script_location"))


ScriptDirectory.from_config = staticmethod(_read_once)  # type: ignore[method-assign, assignment]


@lru_cache(maxsize=256)
def _engine_of(url: str, timeout: float | None) -> Engine:
    return sqlalchemy.create_engine(
        url, poolclass=NullPool, connect_args={} if timeout is None else {"timeout": timeout}
    )


def _make_once(url: str, poolclass: type, connect_args: Mapping[str, float] = MappingProxyType({})) -> Engine:
    """Dagster makes an engine for each event that it stores; all of these keep no connection, so one can do for all."""
    assert poolclass is NullPool
    assert connect_args.keys() <= {"timeout"}
    return _engine_of(url, connect_args.get("timeout"))


for _store in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
    _store.create_engine = _make_once  # type: ignore[attr-defined]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, bool | None, bool | None]:
    """Each test begins in a process without what those before it have left."""
    with nothing_left():
        return (yield)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """All state in the folder of the test, one worker process."""
    state = ("MLOPS_RAW", "MLOPS_LAKE", "MLOPS_ARTIFACTS", "MLFLOW_TRACKING_URI", "MLOPS_DATABASE_URL")
    for name in (*state, "MLOPS_USE_CASES", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLOPS_WORKERS", "1")
    return Settings.from_environment()


@pytest.fixture(scope="session")
def transactions() -> UseCase:
    """The flagship."""
    return load_use_case(OWN_USE_CASES / "transactions")


@pytest.fixture(scope="session")
def loan_approval() -> UseCase:
    """One table a day, no aggregates, labels that are noise."""
    return load_use_case(OWN_USE_CASES / "loan_approval")


@pytest.fixture(scope="session")
def santander() -> UseCase:
    """Two hundred unnamed numbers a row, two classes, calibrated probabilities and a threshold."""
    return load_use_case(OWN_USE_CASES / "santander")


@pytest.fixture(scope="session")
def compound_rings() -> UseCase:
    """JSON records with pictures, read by a class of the use case."""
    return load_use_case(OWN_USE_CASES / "compound_rings")


@pytest.fixture
def write_day(settings: Settings) -> WriteDay:
    """Write raw files of a day: `write_day("transactions", "2026-01-01", {"a.csv": b"..."})`."""

    def write(use_case: str, day: str, files: dict[str, bytes]) -> Path:
        folder = settings.raw / use_case / f"day={day}"
        for name, data in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    return write


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server that the tests of a process share."""
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    """The URL of an empty database of the test's own, with a password that must not be seen anywhere."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def kafka() -> Iterator[str]:
    """A mock cluster of librdkafka, of three brokers in this process."""
    confluent_kafka = pytest.importorskip("confluent_kafka")
    cluster = confluent_kafka.Producer({"test.mock.num.brokers": 3, "log_level": 0})
    brokers = cluster.list_topics(timeout=20).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    cluster.flush(0)


def pytest_report_header() -> str:
    """Says which S3 server the tests run against."""
    return s3_servers.which()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_servers.Server]:
    """An S3 server; see `s3_server.py` for which."""
    with s3_servers.running_server(tmp_path_factory.mktemp("s3") / "server") as server:
        yield server


@pytest.fixture
def bucket(s3_server: s3_servers.Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Path]:
    """An empty bucket on it, and an environment that says where it is."""
    for name in s3_servers.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", s3_server.environment["S3_ENDPOINT_URL"])
    monkeypatch.setenv("MLOPS_S3_PATIENCE", "10")
    with s3_servers.new_bucket(s3_server) as made:
        yield made
