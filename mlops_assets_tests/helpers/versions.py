"""A home with versions of `toy` that a person decides about: two were champion, one the gate refused, one waits."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mlops_assets.journey.model.about import About, Condition
from mlops_assets.journey.model.files import hash_folder
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.version import Version
from mlops_assets.workspace import Stores, Workspace
from mlops_assets_tests.helpers.homes import give_stores, state_in
from mlops_assets_tests.helpers.models import ABOUT, MATRIX
from mlops_assets_tests.helpers.toy import purchases, put, toy

AMOUNT = "CREATE VIEW model_input AS SELECT file, line, amount FROM rows"
KINDS = ("FOOD", "FUEL")
FLOOR = Condition("floor of accuracy", "at least 0.620", "0.512", passed=False)


@contextmanager
def decided_home(home: Path) -> Iterator[Workspace]:
    """An environment with the home; of a day of `toy` there are rows."""
    give_stores(home, "mlflow")
    with state_in(home):
        workspace = Workspace.from_environment()
        stores = workspace.of(toy())
        put(stores.lake, stores.use_case, purchases(60))
        for boundary in (10, 20):
            made = register(stores, home, boundary=boundary, accuracy=0.7 + boundary / 1000)
            workspace.registry.promote(made, "ann", "it was better")
        refused = "refused: the best candidate, linear, fails floor of accuracy: found 0.512, asked at least 0.620"
        register(stores, home, boundary=50, accuracy=0.512, passed=False, reason=refused, conditions=(FLOOR,))
        register(stores, home, boundary=30, accuracy=0.75)
        yield workspace


@contextmanager
def copy_of(home: Path, folder: Path) -> Iterator[Workspace]:
    """An environment with a copy of a home, in which a test may decide what it likes."""
    for name in ("lake", "mlflow", "trials"):
        shutil.copytree(home / name, folder / name)
    with state_in(folder):
        yield Workspace.from_environment()


def register(stores: Stores, home: Path, boundary: float, accuracy: float, **about: Any) -> Version:
    """A version that tells kinds apart by the amount, or says a number by it; it is not champion by that."""
    registry, name = stores.registry, stores.use_case.name
    folder = home / "made" / f"{boundary}"
    numbers = stores.use_case.training.says_numbers
    above, tree = (MATRIX[:, 0] * 3 > boundary).astype(int), (DecisionTreeClassifier, DecisionTreeRegressor)[numbers]
    estimator = tree(max_depth=1).fit(MATRIX * 3, above)
    for kind in ("judged", "serving"):
        Model(estimator, {"amount": None}, () if numbers else KINDS, AMOUNT).save(folder / kind)
    card = replace(
        ABOUT,
        use_case=name,
        candidate="linear",
        metrics={"accuracy": accuracy, "log_loss": 0.5},
        baseline_metrics={"accuracy": 0.302, "log_loss": 1.2},
        held_out=1_000,
        reason=about.pop("reason", f"linear passes: accuracy {accuracy:.3f}, baseline 0.302"),
        **about,
    )
    run = registry.client().create_run(registry.experiment(name)).info.run_id
    return registry.register(name, run, folder, card)


def as_version(about: About, folder: Path) -> Version:
    """What `make_version` wrote into a folder, as a version that nobody registered.

    Parameters
    ----------
    about
        What it returned.
    folder
        Where to.
    """
    text = about.to_json().encode()
    (folder / "about.json").write_bytes(text)
    hashes = hash_folder(folder / "serving"), hash_folder(folder / "judged"), hashlib.sha256(text).hexdigest()
    return Version(about.use_case, 1, folder, *hashes, about.summary())
