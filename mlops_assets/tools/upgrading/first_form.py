"""From the form of the first release to that of today.

There a version became champion by MLflow's alias, its card was a few lines, and its hashes stood in MLflow alone. Today
the history says who is champion, pins the hashes of every version, and the lake has copies of what MLflow knows. Each
step is the same when it is done again, so a killed upgrade goes on where it was.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from mlops_assets.journey.model.about import About, Condition
from mlops_assets.journey.model.fetching import download, folder_here
from mlops_assets.journey.model.history import Hashes
from mlops_assets.journey.model.mlflow_client import find_versions, told
from mlops_assets.journey.model.registered import Registered
from mlops_assets.journey.model.registry import ALIAS
from mlops_assets.journey.model.version import ABOUT_FILE, LARGEST_CARD
from mlops_assets.journey.train.records import Evaluation, FittedCandidates, GatheredRows
from mlops_assets.journey.train.training_set import TrainingSet
from mlops_assets.storage.integrity import read_json
from mlops_assets.storage.places import Place, remove
from mlops_assets.workspace import Stores

if TYPE_CHECKING:
    from mlflow import MlflowClient

WHO = "mlops-assets upgrade"
WHY = "it was champion by MLflow's alias, as in the first release"
RECORDS = (GatheredRows, FittedCandidates, Evaluation)


def documents(stores: Stores) -> Iterator[tuple[str, bytes]]:
    """The documents that `upgrade` takes away or writes anew, with their places: records of trainings, and cards."""
    for path in _old_records(stores):
        yield str(path), path.read_bytes()
    for version in find_versions(stores.registry.client(), stores.settings, stores.use_case.name):
        if "about_sha256" not in version.tags:
            with _files_of(stores, version) as folder:
                yield f"{unquote(urlsplit(version.source).path)}/{ABOUT_FILE}", (folder / ABOUT_FILE).read_bytes()


@contextmanager
def _files_of(stores: Stores, version: Registered) -> Iterator[Path]:
    """The folder of a version, if it lies on this machine; else one with a copy of its card."""
    name = f"version {version.version} of {stores.use_case.name}"
    with TemporaryDirectory() as temporary:
        folder = folder_here(name, version.source)
        if folder is None:
            folder = Path(temporary)
            download(name, version.source, {ABOUT_FILE: LARGEST_CARD}, folder / "fetched", stores.settings)
            folder /= "fetched"
        yield folder


def upgrade(stores: Stores) -> str:
    """Bring a use case into the form of today; what was done, in a sentence.

    Raises
    ------
    MlopsError
        If MLflow's store does not answer, or a card cannot be read.
    """
    name, registry = stores.use_case.name, stores.registry
    client = registry.client()
    versions = find_versions(client, stores.settings, name)
    for version in versions:
        if "about_sha256" not in version.tags:
            _write_card(client, stores, version)
    versions = find_versions(client, stores.settings, name)
    for version in versions:
        stores.history.pin(version.version, _hashes(version))
    registry.copies(name).keep(versions)
    records = _old_records(stores)
    for path in records:
        remove(path.parent, [path.name])
    champion = _champion(client, stores, versions)
    if champion is not None and not stores.history.changes():  # last: until then the lake has the first form
        made = dt.datetime.fromtimestamp(_created(client, name, champion) / 1000, dt.UTC)
        verdict = champion.summary(name).reason
        hashes = _hashes(champion)
        stores.history.append("promote", champion.version, WHO, WHY, verdict, made, hashes=hashes, seen=0)
    role = f"version {champion.version} is champion, as it was" if champion else "it has no champion"
    return f"{name}: {_number(len(versions), 'version')} in the history, {role}" + (
        f"; {_number(len(records), 'record')} of trainings that nothing reads any more went into the backup"
        if records
        else ""
    )


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _hashes(version: Registered) -> Hashes:
    return Hashes(**{each.name: version.tags.get(each.name, "") for each in fields(Hashes)})


def _champion(client: MlflowClient, stores: Stores, versions: list[Registered]) -> Registered | None:
    with told(stores.settings):
        aliases = client.get_registered_model(stores.use_case.name).aliases if versions else {}
    number = int(aliases.get(ALIAS, 0))
    return next((version for version in versions if version.version == number), None)


def _created(client: MlflowClient, name: str, version: Registered) -> int:
    return int(client.get_model_version(name, str(version.version)).creation_timestamp)


def _old_records(stores: Stores) -> list[Place]:
    """Records of trainings that code of today cannot read; those of candidates lead nowhere without them."""
    found: list[Place] = []
    for kind in RECORDS:
        for path in stores.lake.training.glob(f"*/{kind.step}.json"):
            try:
                kind.from_json(read_json(path))
            except (ValueError, KeyError, TypeError, AttributeError):
                found.append(path)
    return found


def _write_card(client: MlflowClient, stores: Stores, version: Registered) -> None:
    """Write the card of a version in the form of today, and register its hash; the old one is part of it."""
    with _files_of(stores, version) as folder, TemporaryDirectory() as temporary:
        text = _card(client, stores, version, folder / ABOUT_FILE)
        file = Path(temporary) / ABOUT_FILE
        file.write_text(text, encoding="utf-8")
        with told(stores.settings):
            run = client.get_model_version(stores.use_case.name, str(version.version)).run_id
            # the file first: a version whose hash is registered has the card of that hash
            client.log_artifact(run, str(file), "version")
            tags = {"about": About.from_json(text).summary().to_json(), "about_sha256": _sha256(text)}
            for key, value in tags.items():
                client.set_model_version_tag(stores.use_case.name, str(version.version), key, value)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _card(client: MlflowClient, stores: Stores, version: Registered, old: Path) -> str:
    text = old.read_text(encoding="utf-8")
    try:
        About.from_json(text)
        return text  # an upgrade that was killed wrote it
    except ValueError:
        known = read_json(old)
    run, training = str(known.get("training_set", "")), _evaluation(stores, str(known.get("training_set", "")))
    scores: list[dict[str, Any]] = training.get("scores", [])
    score = next((one for one in scores if one["name"] == known["candidate"]), {})
    conditions = training.get("verdict", {}).get("conditions", {}).get(known["candidate"], [])
    made = dt.datetime.fromtimestamp(_created(client, stores.use_case.name, version) / 1000, dt.UTC)
    learned = training.get("training_set", {})
    return About(
        use_case=stores.use_case.name,
        candidate=known["candidate"],
        origin={"model": "a training of the first release, which kept no recipe", "training set": run},
        parameters=_parameters(training, known["candidate"]),
        made=made.isoformat(timespec="seconds"),
        metrics=known["metrics"],
        folds=score.get("folds", []),
        classes=score.get("classes", {}),
        confusion=score.get("confusion", []),
        calibration=[],
        importance={},
        rows_per_second=float(known["rows_per_second"]),
        cost={"rows a second, by the clock": float(known["rows_per_second"])},
        passed=True,  # what the gate refused became no version there
        reason=known["reason"],
        conditions=[Condition(**one) for one in conditions],
        training_set=known["training_set"],
        set=_learned(known, learned),
        rows=int(known["rows"]),
        days=known["days"],
        sql=known["sql"],
        contract=known["contract"],
        code="",
        libraries={},
        recipe={**stores.use_case.recipe(), "features_sql": _sql(old.parent)},
        held_out=int(learned.get("held_out", 0)),
    ).to_json()


def _sql(folder: Path) -> str:
    path = folder / "serving" / "features.sql"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _evaluation(stores: Stores, mark: str) -> dict[str, Any]:
    """What the training of a version found, by its training set; empty where nobody knows any more."""
    for path in stores.lake.training.glob(f"*/{Evaluation.step}.json"):
        content = read_json(path)
        if content.get("training_set", {}).get("fingerprint") == mark:
            return content
    return {}


def _parameters(training: dict[str, Any], candidate: str) -> dict[str, Any]:
    return next((one["parameters"] for one in training.get("candidates", ()) if one["name"] == candidate), {})


def _learned(known: dict[str, Any], learned: dict[str, Any]) -> dict[str, Any]:
    """What it learned from, as cards tell it; the columns were told apart in another way then."""
    names = {each.name for each in fields(TrainingSet)}
    defaults = {"fingerprint": known["training_set"], "path": "", "rows": known["rows"], "days": known["days"]}
    defaults |= {"classes": [], "held_out": 0, "duplicates": 0, "boundary": "", "features": {}}
    return {**defaults, **{name: value for name, value in learned.items() if name in names}}
