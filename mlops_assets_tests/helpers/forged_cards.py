"""What somebody can do who may write MLflow's store and the copies of it in the lake, and not the history."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from mlops_assets.journey.model.about import About
from mlops_assets.settings import sqlite_url
from mlops_assets.storage.files import write_json
from mlops_assets.storage.integrity import read_json

Forge = Callable[[dict[str, Any]], object]


def card_of(home: Path, number: int) -> Path:
    """Where the card of a version of `visits` lies."""
    copy = read_json(home / "lake" / "visits" / "versions" / f"{number:06d}.json")
    return Path(copy["source"].removeprefix("file://")) / "about.json"


def settle(home: Path, before: Path) -> None:
    """Have a copied home know itself: MLflow's store and the copies in the lake name the files that lie in it."""
    with closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as store, store:
        store.execute("UPDATE model_versions SET source = replace(source, ?, ?)", (str(before), str(home)))
    address = sqlite_url(home / "mlflow" / "mlflow.db")
    for path in (home / "lake" / "visits" / "versions").glob("[0-9]*.json"):
        copy = read_json(path)
        known_by = hashlib.sha256(address.encode()).hexdigest()[:16]
        write_json(path, {**copy, "store": known_by, "source": copy["source"].replace(str(before), str(home))})


def forge_card(home: Path, number: int, forge: Forge | str) -> None:
    """Change the card of a version, or put a text in its place, and make its hash fit in MLflow and in the lake."""
    path = card_of(home, number)
    if isinstance(forge, str):
        text, short = forge, {}
    else:
        card = json.loads(path.read_text(encoding="utf-8"))
        forge(card)
        text = json.dumps(card)
        short = {"about": About.from_json(text).summary().to_json()}
    path.write_text(text, encoding="utf-8")
    forge_tags(home, number, {"about_sha256": hashlib.sha256(text.encode()).hexdigest(), **short})


def forge_tags(home: Path, number: int, tags: Mapping[str, str]) -> None:
    """Change what MLflow's store says of a version, and the copy in the lake."""
    with closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as store, store:
        for name, value in tags.items():
            done = store.execute(
                "UPDATE model_version_tags SET value = ? WHERE name = 'visits' AND version = ? AND key = ?",
                (value, number, name),
            )
            assert done.rowcount == 1
    path = home / "lake" / "visits" / "versions" / f"{number:06d}.json"
    copy = read_json(path)
    write_json(path, {**copy, "tags": {**copy["tags"], **tags}})


def forget_pins(home: Path) -> None:
    """Leave a history as earlier releases wrote it: with the hash of the model that predicts, and no other."""
    history = home / "lake" / "visits" / "history"
    shutil.rmtree(history / "versions")
    for path in history.glob("*.json"):
        known = read_json(path)
        write_json(
            path, {name: value for name, value in known.items() if name not in ("judged_sha256", "about_sha256")}
        )
