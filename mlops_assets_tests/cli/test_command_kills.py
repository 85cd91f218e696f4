"""A command that is killed at any moment and given again ends as if nobody had killed it: nothing lost, nothing twice."""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.storage.catalog import PREDICTIONS, Lake
from mlops_assets.storage.places import LEFT
from mlops_assets.use_case.targets import LEDGER
from mlops_assets_tests.helpers.command_driver import BEGUN, DONE
from mlops_assets_tests.helpers.homes import copy_home
from mlops_assets_tests.helpers.postgres import Server, query
from mlops_assets_tests.helpers.shop import Shop
from mlops_assets_tests.helpers.visits import LINKED, place_visits

DAY, FILES, BAD = "2026-01-01", 60, 3
COLUMNS = ("day", *PREDICTIONS.names)
"""A day of many small files, the first line of every third of which is rejected, and mended by a person."""


@dataclass(frozen=True)
class Before:
    """A home in which a day was published twice, the first publication of which is what is published now."""

    shop: Shop
    newest: str
    """When the other one was."""

    def copy(self, folder: Path, targets: str = "") -> Shop:
        copy_home(self.shop.home, folder / "home")
        place_visits(folder / "use_cases", LINKED + targets)
        return Shop(folder / "home")

    def restore(self) -> list[str]:
        return ["restore", "visits", "--day", DAY, "--as-published-on", self.newest]


def raw_file(shop: Shop, number: int, lines: int) -> None:
    draw = random.Random(f"{number} {lines}")
    stays = [draw.randrange(600) for _ in range(lines)]
    rows = [f"v{number}-{n},{minutes},web,{'yes' if minutes > 300 else 'no'}" for n, minutes in enumerate(stays)]
    bad = f"v{number}-bad,soon,shop,yes"
    path = shop.day(DAY) / f"{number % 7}" / f"{number:03}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["visitor,minutes,channel,returned", *([bad] if number % BAD == 0 else []), *rows, ""]))


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Before:
    folder = tmp_path_factory.mktemp("before")
    place_visits(folder / "use_cases", LINKED)
    shop = Shop(folder / "home")
    for number in range(FILES):
        raw_file(shop, number, 20)
    assert shop("run", "visits", "--train").code == 0
    for number in [*range(10), *range(FILES, FILES + 10)]:
        raw_file(shop, number, 30)
    shutil.rmtree(shop.day(DAY) / "6")
    assert shop("run", "visits").code == 0
    first, second = Lake(shop.home / "lake", "visits").predictions.publications()[DAY]
    moments = [dt.datetime.fromtimestamp(one.time / 1000, dt.UTC).isoformat() for one in (first, second)]
    done = shop("restore", "visits", "--day", DAY, "--as-published-on", moments[0])
    assert done.code == 0, done.err
    return Before(shop, moments[1])


class Trial(ABC):
    """A command in a copy of the home, and what is to be seen of it."""

    def __init__(self, before: Before, folder: Path) -> None:
        self.before, self.folder, self.kept = before, folder, folder.with_name("kept")
        self.environment: dict[str, str] = {}
        self.shop = before.copy(folder, self.targets())
        self.lake = Lake(self.shop.home / "lake", "visits")
        self.arguments = self.prepare()

    def targets(self) -> str:
        return ""

    @abstractmethod
    def prepare(self) -> list[str]:
        """The command, when all is ready for it."""

    @abstractmethod
    def outcome(self) -> Any:
        """What is to be seen afterwards; it is the same in each copy."""

    def keep(self) -> None:
        """Keep all as it is now, where the command is ready to be given."""
        shutil.copytree(self.folder, self.kept, symlinks=True)

    def reset(self) -> None:
        """All as it was kept."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.kept, self.folder, symlinks=True)
        self.lake = Lake(self.shop.home / "lake", "visits")

    def give(self, *arguments: str) -> str:
        done = self.shop(*arguments, **self.environment)
        assert done.code == 0, done.err
        return done.out

    def start(self) -> subprocess.Popen[str]:
        """A process that has just begun to work."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "MLFLOW_"))}
        environment = {**ours, **self.shop.environment, **self.environment, "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, "-m", "mlops_assets_tests.helpers.command_driver", *self.arguments]
        process = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[2],
            env=environment,
            text=True,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == BEGUN
        return process


class Deliver(Trial):
    """The newest publication goes where an older one lies."""

    def prepare(self) -> list[str]:
        self.give("deliver", "visits")
        self.give(*self.before.restore())
        return ["deliver", "visits"]

    def delivered(self) -> bool:
        record = json.loads(self.lake.delivery("out", DAY).read_text())
        return bool(record["done"])


class DeliverFiles(Deliver):
    """Into files beside those of other people."""

    def targets(self) -> str:
        return f"  targets:\n    out: {{use: files, parameters: {{place: {self.folder / 'out'}}}}}\n"

    def outcome(self) -> Any:
        folder = self.folder / "out" / "visits" / f"day={DAY}"
        paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        success = json.loads(paths.pop("_SUCCESS").read_text())
        # what a killed process had not finished is hidden, and goes with a later delivery
        return {name: path.read_bytes() for name, path in paths.items() if not LEFT.fullmatch(path.name)}, success


class DeliverSql(Deliver):
    """Into a table."""

    mode = "replace"

    def targets(self) -> str:
        self.environment = {"WAREHOUSE": self.url()}
        parameters = f"{{url_variable: WAREHOUSE, mode: {self.mode}}}"
        return f"  targets:\n    out: {{use: sql, parameters: {parameters}}}\n"

    def url(self) -> str:
        return f"sqlite:///{self.folder / 'warehouse.db'}"

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.folder / "warehouse.db")
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def tables(self) -> set[str]:
        return {name for (name,) in self.ask("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def outcome(self) -> Any:
        published = self.lake.predictions.read_all([DAY], [*COLUMNS]).select([*COLUMNS]).to_pylist()
        there = self.ask(f"SELECT {', '.join(COLUMNS)} FROM visits_predictions")
        rows = sorted((str(day), *rest) for day, *rest in there)
        assert [row[:5] + row[6:] for row in rows] == sorted(
            tuple(row[name] for name in COLUMNS if name != "probability") for row in published
        )
        assert self.tables() == {"visits_predictions", LEDGER}
        return rows, self.ask(f"SELECT use_case, rows FROM {LEDGER}")


class UpsertSql(DeliverSql):
    """Into a table, row by row."""

    mode = "upsert"


class DeliverPostgres(DeliverSql):
    """Into a table of a server, which outlives the process."""

    server: Server
    database: str

    def url(self) -> str:
        return self.database

    def keep(self) -> None:
        super().keep()
        self.server.execute(f"CREATE DATABASE {self.name}_kept TEMPLATE {self.name}")

    def reset(self) -> None:
        super().reset()
        self.server.execute(f"DROP DATABASE {self.name} WITH (FORCE)")
        self.server.execute(f"CREATE DATABASE {self.name} TEMPLATE {self.name}_kept")

    @property
    def name(self) -> str:
        return self.database.rpartition("/")[2].partition("?")[0]

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return query(self.database, sql)

    def tables(self) -> set[str]:
        found = self.ask("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        return {name for (name,) in found}


class UpsertPostgres(DeliverPostgres):
    """Into a table of a server, by way of a stage."""

    mode = "upsert"


class ReplayLines(Trial):
    """Mended lines go beside their files, each of them once."""

    def prepare(self) -> list[str]:
        path = self.folder / "rejects.csv"
        self.give("rejects", "visits", "--day", DAY, "--format", "csv", "-o", str(path))
        path.write_text(path.read_text().replace(",soon,", ",12,"))
        return ["replay", "visits", str(path)]

    def outcome(self) -> Any:
        day = self.shop.day(DAY)
        made = {str(p.relative_to(day)): p.read_text() for p in sorted(day.rglob("*.replayed-*.csv"))}
        made = {name: text for name, text in made.items() if not name.rpartition("/")[2].startswith(".")}
        lines = [line for text in made.values() for line in text.splitlines()[1:]]
        with Path(self.arguments[-1]).open() as file:
            assert sorted(lines) == sorted(record["raw"] for record in csv.DictReader(file))
        self.give("run", "visits")
        rows = self.lake.rows.read_all([DAY], ["visitor"])["visitor"].to_pylist()
        mended = [visitor for visitor in rows if visitor.endswith("-bad")]
        assert sorted(mended) == sorted(line.partition(",")[0] for line in lines)
        return made, sorted(rows)


class VerifyHome(Trial):
    """Nothing is changed, and the same is said."""

    def prepare(self) -> list[str]:
        self.give("verify", "visits")  # the lake's document of the model says where it lies: in this copy now
        self.content = self.files()
        return ["verify", "visits"]

    def files(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.shop.home.rglob("*") if path.is_file()}

    def outcome(self) -> Any:
        assert self.files() == self.content
        told = json.loads(self.give("verify", "visits", "--format", "json"))
        del told["seconds"]
        return told


class RestoreDay(Trial):
    """The chosen publication is what is published, and was published again once."""

    def prepare(self) -> list[str]:
        return self.before.restore()

    def outcome(self) -> Any:
        publications = self.lake.predictions.publications()[DAY]
        assert len(publications) == 4
        _, chosen, _, newest = publications
        assert newest.accounting.restored_from == chosen.version
        paths = sorted(self.lake.predictions.parts(DAY))
        assert paths == sorted(part.path for part in self.lake.predictions.parts_at(DAY, chosen))
        self.give("verify", "visits")
        return self.lake.predictions.read_all([DAY], [*COLUMNS]).to_pylist()


COMMANDS = [DeliverFiles, DeliverSql, UpsertSql, DeliverPostgres, UpsertPostgres, ReplayLines, VerifyHome, RestoreDay]
"""Each of them stands for a way to lose something."""


@pytest.fixture
def trial(before: Before, tmp_path: Path, request: pytest.FixtureRequest) -> Trial:
    kind: type[Trial] = request.param
    if issubclass(kind, DeliverPostgres):
        kind.server, kind.database = request.getfixturevalue("postgres"), request.getfixturevalue("database")
    trial = kind(before, tmp_path / "trial")
    trial.keep()
    return trial


def kill_and_give_again(trial: Trial, kills: int) -> tuple[int, int]:
    """Kill a command at random moments of its work until so many have hit; how many did, and how many were too late."""
    began = time.monotonic()
    trial.give(*trial.arguments)
    seconds = time.monotonic() - began  # of its work, which is all that a process does once it has begun
    expected = trial.outcome()
    draw, hits, late = random.Random(type(trial).__name__), 0, 0
    while hits < kills:
        trial.reset()
        moment = draw.uniform(0, seconds)
        process = trial.start()
        try:
            told, _ = process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            told, _ = process.communicate()
        hits, late = (hits, late + 1) if DONE in told else (hits + 1, late)
        trial.give(*trial.arguments)
        assert trial.outcome() == expected, f"killed after {moment:.3f} of {seconds:.3f} s"
    return hits, late


@pytest.mark.parametrize("trial", [DeliverFiles, UpsertSql, ReplayLines, RestoreDay], indirect=True)
def test_a_killed_command_is_given_again(trial: Trial) -> None:
    assert kill_and_give_again(trial, 1)[0] == 1


@pytest.mark.long
@pytest.mark.parametrize("trial", COMMANDS, indirect=True)
def test_a_command_killed_at_a_random_moment_is_given_again(trial: Trial) -> None:
    hits, late = kill_and_give_again(trial, 15)
    print(f"{type(trial).__name__}: {hits} kills at work, {late} too late")  # noqa: T201 - `-rP` shows it
