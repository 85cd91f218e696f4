"""A home with versions that answer, without MLflow: what a process of the API needs, and no more."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from mlops_assets.journey.model.about import Summary
from mlops_assets.journey.model.files import hash_folder
from mlops_assets.journey.model.history import Change, Hashes
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.registered import Registered
from mlops_assets.settings import OWN_USE_CASES, Settings
from mlops_assets.storage.places import Place
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.toy import toy

SQL = "CREATE VIEW model_input AS SELECT file, line, amount FROM rows"
TOY = toy()
NAME = TOY.name


def a_file(*amounts: float) -> bytes:
    """A file of the toy use case."""
    rows = "".join(f"A1,2026-01-31,{amount},OSASCO\n" for amount in amounts)
    return f"account,date,amount,city\n{rows}".encode()


def model_of(number: int, sql: str = SQL) -> Model:
    """Answers by the amount; each number says probabilities of its own."""
    noise = np.random.default_rng(number)
    matrix = noise.uniform(0, 100, (300, 1))
    tree = DecisionTreeClassifier(max_depth=3, random_state=0)
    tree.fit(matrix, (matrix[:, 0] + noise.normal(0, 30, 300) > 50).astype(int))
    return Model(tree, {"amount": None}, ("no", "yes"), sql)


def workspace_in(home: Path, lake: Place | None = None) -> Workspace:
    """A workspace whose MLflow does not answer."""
    dead = "http://127.0.0.1:9"
    return Workspace(Settings(home, home / "raw", lake or home / "lake", dead, None, (OWN_USE_CASES,), 1))


def plant(workspace: Workspace, number: int, model: Model, reason: str = "tree passes") -> Path:
    """A version of the toy use case as a registration leaves it in the lake; its folder."""
    folder = workspace.settings.home / "versions" / str(number)
    hashes = Hashes(model.save(folder / "serving"), model.save(folder / "judged"), "about")
    tags = {**asdict(hashes), "about": Summary(candidate="tree", reason=reason).to_json()}
    registry = workspace.registry
    registry.history(NAME).pin(number, hashes)
    registry.copies(NAME).keep([Registered(number, folder.as_uri(), tags)])
    assert hash_folder(folder / "serving") == hashes.serving_sha256
    return folder


def promote(workspace: Workspace, number: int, **more: Any) -> Change:
    """Make a version champion, as the history has it."""
    registered = workspace.registry.copies(NAME).get(number)
    assert registered is not None
    history = workspace.registry.history(NAME)
    return history.append("promote", number, "somebody", "a test", "", hashes=Hashes(**registered.hashes), **more)
