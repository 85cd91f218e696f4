"""Versions are registered here: the best of a training, or a model from elsewhere that goes through the same gate."""

from __future__ import annotations

import logging
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.journey.explain.comparison import Comparison, compare_day
from mlops_assets.journey.features.sql import describe
from mlops_assets.journey.model.archive import hash_folder
from mlops_assets.journey.model.history import HistoryConflict
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.registry import Registry, Version
from mlops_assets.journey.model.training_runs import TrainingRuns
from mlops_assets.journey.train.candidates import Fitted
from mlops_assets.journey.train.candidates import from_record as fitted_of
from mlops_assets.journey.train.evaluation import Score, Verdict, decide, score
from mlops_assets.journey.train.evaluation import from_record as scores_of
from mlops_assets.journey.train.external import as_model, fetch
from mlops_assets.journey.train.metrics import load_metrics
from mlops_assets.journey.train.training_set import TrainingSet
from mlops_assets.journey.train.versions import champion_before, judge_changes, make_version
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.places import work_folder
from mlops_assets.use_case import UseCase
from mlops_assets.views import card, diffs, pages
from mlops_assets.work.shards import Engine

log = logging.getLogger("mlops_assets.training")


@dataclass(frozen=True)
class Registered:
    """What became of a model from elsewhere.

    Attributes
    ----------
    version
        The version that it is now.
    champion
        Whether it is champion by that.
    waits
        Why it is not, if it passed the gate.
    changes
        What it would change on the newest published day, if there is a champion to compare with.
    """

    version: Version
    champion: bool
    waits: str
    changes: Comparison | None


def register_elsewhere(use_case: UseCase, settings: Settings, uri: str, engine: Engine) -> Registered:
    """Make a version of a model that was logged to MLflow elsewhere, and champion if gate and `promotion` say so.

    It is judged on the rows that the candidates of the newest training were judged on.

    Parameters
    ----------
    use_case, settings
        The use case, and where things are.
    uri
        `models:/name/version` or `runs:/run/model`.
    engine
        Runs the comparison with the champion.

    Raises
    ------
    UsageError
        If there was no training yet, or since `features.sql` was changed; or there is no such model.
    ModelRefused
        If the model cannot be taken; see `journey.elsewhere`.
    """
    runs = TrainingRuns(settings.lake, use_case.name)
    record = runs.newest("evaluation")
    if record is None:
        raise UsageError(
            f"{use_case.name} was never trained, so there are no held-out rows to judge a model by: "
            f"`mlops-assets run {use_case.name} --train` first."
        )
    data, _ = fitted_of(record)
    if dict(describe(use_case).model) != dict(data.features):
        raise UsageError(
            f"features.sql of {use_case.name} makes other columns than in the newest training: train again."
        )
    registry = Registry(settings)
    logged = fetch(settings, uri)
    seen = len(registry.history(use_case.name).changes())
    model = as_model(use_case, logged, data.classes)
    found, verdict = _judge(use_case, registry, data, model, uri, scores_of(record)[0])
    with work_folder(runs.folder(f"elsewhere-{uuid.uuid4().hex}"), settings.home) as folder:
        try:
            sha256 = model.save(folder / "model")
            size = sum(path.stat().st_size for path in (folder / "model").iterdir())
            fitted = Fitted(uri, str(folder / "model"), sha256, {}, 0.0, size)
            known = registry.client().get_run(logged.run).data.params if logged.run else {}
            origin = {
                "model": uri,
                "run": logged.run,
                "training set it says": known.get("training_set", ""),
                "registered by": settings.user,
            }
            about = make_version(use_case, data, fitted, found, verdict, folder / "version", origin)
            changes = compare_with_champion(use_case, settings, folder / "version", about, engine)
            version = _store(use_case, registry, uri, folder / "version", about)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    champion, waits = _promote(use_case, registry, version, about, settings.user, seen)
    return Registered(version, champion, waits, changes)


def _judge(
    use_case: UseCase, registry: Registry, data: TrainingSet, model: Model, uri: str, scores: list[Score]
) -> tuple[Score, Verdict]:
    """The model on the held-out rows, and what the gate says of it beside the baseline and the champion."""
    rows = data.load()
    try:
        found = score(model, rows.filter(rows["_held_out"]), uri, own=load_metrics(use_case.training))
    except Exception as error:  # a pipeline from elsewhere may fail in any way, such as on a missing value
        raise MlopsError(
            f"{uri}: it fails on the held-out rows of {use_case.name}: {type(error).__name__}: {error}. Rows have "
            "missing numbers (NaN) and missing texts (empty)."
        ) from None
    base = next(one for one in scores if one.name == use_case.training.baseline)
    before = champion_before(use_case, registry, data)
    return found, decide(use_case.training, use_case.scale, [found, base], before)


def _store(use_case: UseCase, registry: Registry, uri: str, folder: Path, about: dict[str, Any]) -> Version:
    client = registry.client()
    run = client.create_run(registry.experiment(use_case.name), run_name=f"register {uri}", tags={"origin": uri})
    for name, value in about["metrics"].items():
        client.log_metric(run.info.run_id, name, value)
    version = store_version(use_case, registry, run.info.run_id, folder, about)
    client.set_terminated(run.info.run_id)
    return version


def _promote(
    use_case: UseCase, registry: Registry, version: Version, about: dict[str, Any], who: str, seen: int
) -> tuple[bool, str]:
    """Make the version champion, as after a training; whether it is, and why it waits if it passed."""
    if not about["passed"]:
        return False, ""
    if use_case.training.promotion == "manual":
        return False, "promotion is by hand"
    try:
        registry.promote(version, who, f"registered: {about['reason']}", use_case.training.trusted, seen)
    except HistoryConflict as error:
        return False, str(error)
    return True, ""


def compare_with_champion(
    use_case: UseCase, settings: Settings, folder: Path, about: dict[str, Any], engine: Engine
) -> Comparison | None:
    """Compare what is to become a version with the champion on the newest day, keep that, and let the gate see it.

    Parameters
    ----------
    use_case, settings
        The use case, and where things are.
    folder
        Of the version.
    about
        What `make_version` returned; the gate's word on the changes is added.
    engine
        Scores the day.
    """
    lake = Lake(settings.lake, use_case.name)
    champion = Registry(settings).champion(use_case.name)
    days = list(lake.predictions.days())
    if champion is None or not days:
        return None
    hashes = hash_folder(folder / "serving"), hash_folder(folder / "judged")
    new = Version(use_case.name, 0, folder, *hashes, "", {})
    found = compare_day(use_case, lake, days[-1], champion, new, engine, lambda _: None)
    (folder / "diff.json").write_text(diffs.as_json(found), encoding="utf-8")
    (folder / "diff.html").write_text(diffs.html(found), encoding="utf-8")
    if use_case.training.gate.changes is not None:
        judge_changes(about, found.share, use_case.training.gate.changes, found.day)
    return found


def store_version(use_case: UseCase, registry: Registry, run: str, folder: Path, about: dict[str, Any]) -> Version:
    """Write the card of a version and register it; it is not champion by that.

    Parameters
    ----------
    use_case, registry
        The use case, and the registry.
    run
        MLflow run that the version belongs to.
    folder
        Of the version.
    about
        What `make_version` returned.
    """
    text = card.render(about)
    (folder / "card.md").write_text(text, encoding="utf-8")
    (folder / "card.html").write_text(pages.page(f"Model card: {use_case.name}", text), encoding="utf-8")
    return registry.register(use_case.name, run, folder, about)
