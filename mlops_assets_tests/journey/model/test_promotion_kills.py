"""Killed at any moment of a promotion or a rollback: there is one champion, and the history agrees with it."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.journey.model.registry import ALIAS, Registry
from mlops_assets.settings import Settings
from mlops_assets_tests.helpers.homes import give_stores
from mlops_assets_tests.helpers.models import register

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Two versions, the first of them champion again after a rollback."""
    home = tmp_path_factory.mktemp("promotion") / "home"
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith(("MLOPS_", "MLFLOW_", "DAGSTER_"))]:
            environment.delenv(name)
        environment.setenv("MLOPS_HOME", str(home))
        made = Registry(Settings.from_environment())
    give_stores(home, "mlflow")
    for number, boundary in (("one", 9), ("two", 4)):
        register(made, "cards", home.parent / number, boundary)
    made.roll_back("cards", "somebody", "for the start")
    return made


def kill_at(registry: Registry, seconds: float) -> None:
    """Kill a process that promotes and rolls back, so many seconds after it has begun."""
    home = registry.settings.home
    environment = {**os.environ, "MLOPS_HOME": str(home), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "mlops_assets_tests.helpers.promotion_driver", "cards"]
    process = subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    select.select([process.stdout], [], [], seconds)  # nothing more comes: it is a wait for the moment
    process.kill()
    process.communicate()
    changes = registry.history("cards").changes()
    champion = registry.champion("cards")
    assert champion is not None
    assert champion.version == changes[-1].version
    assert champion.serving().classes == ("no", "yes")
    assert [change.before for change in changes] == [None, *(change.version for change in changes[:-1])]
    registry.mirror("cards")  # what every change and `history` do
    assert int(registry.client().get_model_version_by_alias("cards", ALIAS).version) == champion.version


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_change_of_the_champion_is_done_or_not_begun(registry: Registry, seed: int) -> None:
    kill_at(registry, random.Random(seed).uniform(0, 0.3))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100))
def test_many_killed_changes_of_the_champion_are_done_or_not_begun(registry: Registry, seed: int) -> None:
    kill_at(registry, random.Random(seed).uniform(0, 0.5))
