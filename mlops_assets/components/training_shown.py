"""What the training assets show: in the order that a person reads, with pictures; last what is drawn over trainings."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict
from typing import Any

import dagster as dg

from mlops_assets.components import showing
from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.about import About
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.train.candidates import Fitted
from mlops_assets.journey.train.records import Evaluation
from mlops_assets.journey.train.told import judging
from mlops_assets.journey.train.training_set import TrainingSet
from mlops_assets.use_case import UseCase
from mlops_assets.views import card, made, training_pictures
from mlops_assets.views.made import read_first
from mlops_assets.workspace import Stores

log = logging.getLogger("mlops_assets.training")

KNOWN_BY = ("path", "profile", "fingerprint", "feedback")
"""Where a training set lies, and what it is known by: not what a person looks for first."""


def training_set(use_case: UseCase, data: TrainingSet) -> dict[str, Any]:
    """A training set for the UI."""
    features = [{"column": name, "is": _kind(use_case, name, text=text)} for name, text in data.features.items()]
    origins = made.table([asdict(one) for one in data.origins])
    in_words = {
        "came_out": f"{data.rows:,} labelled rows, {data.held_out:,} of them held out",
        "left_out": data.left_out,
        "days": " to ".join(data.days),
        "classes": ", ".join(data.classes) or "numbers",
        "features": made.table(features),
        "origins": origins if data.origins else "none: folds choose, and one held-out part tests",
    }
    plain = {name: value for name, value in asdict(data).items() if name not in in_words}
    # last what other steps know the rows by
    known_by = {name: plain.pop(name) for name in KNOWN_BY if name in plain}
    shown = read_first(in_words, plain, known_by)
    return showing.metadata(shown) | {"dagster/row_count": data.rows}


def _kind(use_case: UseCase, name: str, *, text: bool) -> str:
    """What a column of the model is."""
    if name in use_case.training.texts:
        return "text"
    return "category" if text else "number"


def candidate(use_case: UseCase, candidate: Fitted) -> dict[str, Any]:
    """A candidate as a line of a table."""
    return {
        "candidate": candidate.name,
        "class": use_case.training.candidates[candidate.name].use,
        "parameters": candidate.parameters,
        "fit seconds": candidate.fit_seconds,
        "bytes": candidate.size,
    }


def judged(use_case: UseCase, evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation: the verdict, the candidates, how the best one did, and the figures."""
    metric, baseline = use_case.training.metric, evaluation.score(use_case.training.baseline)
    assert baseline is not None, "the baseline is a candidate"  # noqa: S101 - the configuration is checked for it
    best = evaluation.score(evaluation.best or "") or evaluation.scores[0]
    told = judging(use_case, evaluation.training_set, best, evaluation.choice)
    beside = {"beside_champion": showing.contest(evaluation.contest)} if evaluation.contest else {}
    return {
        "verdict": showing.verdict(evaluation.verdict),
        "leaderboard": showing.leaderboard(evaluation.scores, metric),
        "tested": showing.judging(told, best, baseline.metrics, evaluation.training_set.held_out),
        **beside,
        **({"classes": showing.classes(best), "confusion": showing.confusion(best)} if best.classes else {}),
        "calibration" if best.classes else "predicted_and_true": showing.calibration(best),
        **showing.pictures_of(
            calibration_picture=training_pictures.calibration(best),
            candidates_picture=training_pictures.candidates(evaluation.scores, metric),
        ),
        # last what is drawn over the trainings
        **_figure(metric, best.metrics.get(metric)),
        **_figure("baseline", baseline.metrics.get(metric)),
        **{
            name: value
            for score in evaluation.scores
            for name, value in _figure(f"chooses/{score.name}", score.validation.get(metric)).items()
        },
    }


def _figure(name: str, value: float | None) -> dict[str, float]:
    """A figure for the chart of the asset; nothing where there is none, such as of a candidate that was not tested."""
    return {} if value is None or not math.isfinite(value) else {name: value}


def version(stores: Stores, about: About, version: Version) -> dict[str, Any]:
    """A version: why it passes or not, what it is, beside the others, its card, and its figures."""
    return {
        "reason": about.reason,
        "passed": about.passed,
        "version": version.version,
        "candidate": about.candidate,
        **versions(stores),
        "card": dg.MetadataValue.md(card.render(about, version.version)),
        **about.metrics,
        **links(stores, version.version),
        "files": dg.MetadataValue.path(str(version.folder)),
        "serving_sha256": version.serving_sha256,
        "training_set": about.training_set,
    }


def versions(stores: Stores) -> dict[str, Any]:
    """All versions beside each other, as a picture; without what MLflow cannot tell."""
    try:
        known, champion = stores.registry.known(stores.use_case.name), stores.history.champion()
    except MlopsError as error:
        log.warning("%s: the versions are not known: %s", stores.use_case.name, error)
        return {}
    picture = training_pictures.versions(known, stores.use_case.training.metric, champion)
    return showing.pictures_of(versions=picture)


def links(stores: Stores, number: int) -> dict[str, Any]:
    """Where people read on: the version on the pages of the API, and in MLflow where it has pages."""
    name, tracking = stores.use_case.name, stores.settings.tracking_uri.partition("?")[0].rstrip("/")
    server = tracking.rpartition("@")[2]  # a password is nobody's to read
    scheme = tracking.partition("://")[0]
    mlflow = f"{scheme}://{server.removeprefix(f'{scheme}://')}/#/models/{name}/versions/{number}"
    return {
        "page of the version": dg.MetadataValue.url(f"{stores.settings.api_pages}/pages/{name}/models/{number}"),
        **({"MLflow": dg.MetadataValue.url(mlflow)} if scheme in ("http", "https") else {}),
    }
