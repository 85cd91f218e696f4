"""Versions are registered here: the best of a training, or a model from elsewhere that goes through the same gate."""

from __future__ import annotations

import datetime as dt
import logging
import shutil
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.errors import MlopsError, ModelRefused, UsageError
from mlops_assets.journey.explain.comparison import Comparison, compare_day
from mlops_assets.journey.features.sql import describe
from mlops_assets.journey.model.about import About, Summary
from mlops_assets.journey.model.files import hash_folder
from mlops_assets.journey.model.history import HistoryConflict
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.trial import try_model
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.train.candidates import Fitted
from mlops_assets.journey.train.choice import Choice
from mlops_assets.journey.train.contest import SAYS, hold_contest
from mlops_assets.journey.train.evaluation import judge_elsewhere
from mlops_assets.journey.train.external import as_model, fetch
from mlops_assets.journey.train.from_file import (
    ENDINGS,
    LEARNED,
    NOTHING,
    Brought,
    Said,
    is_file,
    model_of_file,
    read_file,
)
from mlops_assets.journey.train.gate import Verdict, decide
from mlops_assets.journey.train.records import Evaluation, MadeVersion
from mlops_assets.journey.train.scores import Score
from mlops_assets.journey.train.versions import judge_changes, make_version
from mlops_assets.storage.places import work_folder
from mlops_assets.views import card, card_page, diff_page, diffs
from mlops_assets.work.shards import Engine
from mlops_assets.workspace import Stores

log = logging.getLogger("mlops_assets.training")


@dataclass(frozen=True)
class Promotion:
    """What became of a version that might become champion.

    Attributes
    ----------
    champion
        The version, if it is champion now.
    waits
        Why it is not, if it passed the gate.
    """

    champion: Version | None
    waits: str = ""


def promote_if_passed(stores: Stores, made: MadeVersion, who: str, why: str, days: str = "") -> Promotion:
    """Make a version champion if gate and `promotion` say so.

    Parameters
    ----------
    stores
        Of the use case.
    made
        The version, the word of the gate, and what was known of the champion when the gate was asked.
    who, why
        For the history.
    days
        The days that are scored again if it becomes champion, as `FIRST/LAST`; by default what `promotion` says.

    Raises
    ------
    MlopsError
        If the version cannot be loaded.
    """
    use_case = stores.use_case
    if made.version is None or not made.passed:
        return Promotion(None)
    if use_case.training.promotion.mode == "manual":
        return Promotion(None, "promotion is by hand")
    if made.waits:
        return Promotion(None, made.waits)
    version = stores.registry.version(use_case.name, made.version)
    if stores.history.champion() == version.version:  # the step was tried again after it had been done
        return Promotion(version)
    days = days or use_case.training.promotion.days_before(dt.datetime.now(dt.UTC), use_case.partitions)
    try:
        stores.registry.promote(version, who, why, use_case.training.trusted, made.seen, days)
    except HistoryConflict as error:  # it was judged against a champion of before
        return Promotion(None, str(error))
    return Promotion(version)


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
    before
        Whether it was registered before, and nothing was done.
    """

    version: Version
    champion: bool
    waits: str
    changes: Comparison | None
    before: bool = False


def register_elsewhere(stores: Stores, uri: str, engine: Engine, said: Said = NOTHING) -> Registered:
    """Make a version of a model from elsewhere, and champion if gate and `promotion` say so.

    It is judged on the rows that the candidates of the newest training were judged on.

    Parameters
    ----------
    stores
        Of the use case.
    uri
        `models:/name/version` or `runs:/run/model` of MLflow, or an ONNX or safetensors file.
    engine
        Runs the comparison with the champion.
    said
        What who registers it says of it.

    Raises
    ------
    UsageError
        If there was no training yet, or since `features.sql` was changed; or there is no such model.
    ModelRefused
        If the model cannot be taken; see `journey.train.external`.
    """
    newest = _newest_evaluation(stores)
    brought = _brought(stores, uri, newest.training_set.classes, said)
    model, uri = brought.model, brought.origin["model"]
    origin = {**brought.origin, SAYS: brought.learned, "registered by": stores.settings.user}
    # counted before the champion is read: one that comes in between is noticed when this one shall replace it
    seen = len(stores.history.changes())
    with work_folder(stores.runs.folder(f"elsewhere-{uuid.uuid4().hex}"), stores.settings.home) as folder:
        try:
            fitted = _stored(model, folder / "model", uri)
            # before it is asked anything here
            trusted = stores.use_case.training.trusted
            try_model(folder / "model", fitted.sha256, trusted, stores.settings.home, uri)
            # from now on the one that was stored: of a flavour's, nothing was loaded before it was tried
            model = Model.load(folder / "model", fitted.sha256, trusted)
            scored, verdict = _judge(stores, newest, model, uri, brought.learned or None)
            data = newest.training_set
            if (known := _registered_before(stores, uri, fitted.sha256, data.fingerprint)) is not None:
                return Registered(known, stores.history.champion() == known.version, "", None, before=True)
            about = make_version(stores.use_case, data, fitted, scored, verdict, folder / "version", origin)
            about, changes = compare_with_champion(stores, folder / "version", about, engine)
            version = _store(stores, uri, folder / "version", about)
        finally:
            # what was registered lies in MLflow's store by now
            shutil.rmtree(folder, ignore_errors=True)
    made = MadeVersion(version.version, about.passed, about.reason, seen, verdict.waits)
    done = promote_if_passed(stores, made, stores.settings.user, f"registered: {about.reason}")
    return Registered(version, done.champion is not None, done.waits, changes)


def _brought(stores: Stores, uri: str, classes: Sequence[str], said: Said) -> Brought:
    """A model from elsewhere, and where it came from."""
    use_case = stores.use_case
    if is_file(uri):
        name = Path(uri).name  # where it lies on this machine says nothing to others
        return model_of_file(use_case, name, ENDINGS[Path(uri).suffix], read_file(uri), classes, said)
    with fetch(stores.registry, uri) as logged:
        model = as_model(use_case, logged, classes, said)
        parameters = stores.registry.client().get_run(logged.run).data.params if logged.run else {}
        return Brought(model, {"model": uri, "run": logged.run}, parameters.get(LEARNED, ""))


def _registered_before(stores: Stores, uri: str, sha256: str, training_set: str) -> Version | None:
    """The version that is this very model, judged by the same rows and configuration."""
    name, recipe = stores.use_case.name, stores.use_case.recipe()
    for number in stores.registry.same_as(name, uri, sha256, training_set):
        with suppress(ModelRefused):  # one whose files are gone is registered anew
            version = stores.registry.version(name, number)
            if version.details().recipe == recipe:
                return version
    return None


def _newest_evaluation(stores: Stores) -> Evaluation:
    """What the newest training found; its held-out rows judge a model from elsewhere, too."""
    name = stores.use_case.name
    newest = stores.runs.newest(Evaluation)
    if newest is None:
        raise UsageError(
            f"{name} was never trained, so there are no held-out rows to judge a model by: "
            f"`mlops-assets run {name} --train` first."
        )
    if dict(describe(stores.use_case).model) != dict(newest.training_set.features):
        raise UsageError(f"features.sql of {name} makes other columns than in the newest training: train again.")
    return newest


def _judge(stores: Stores, newest: Evaluation, model: Model, uri: str, learned: str | None) -> tuple[Score, Verdict]:
    """The model on the held-out rows, and what the gate says of it beside the baseline and the champion."""
    use_case, data = stores.use_case, newest.training_set
    try:
        scored, asked = judge_elsewhere(use_case, data, model, uri)
    except Exception as error:  # a pipeline from elsewhere may fail in any way, such as on a missing value
        raise MlopsError(
            f"{uri}: it fails on the held-out rows of {use_case.name}: {type(error).__name__}: {error}. Rows have "
            "missing numbers (NaN) and missing texts (empty)."
        ) from None
    baseline = newest.score(use_case.training.baseline)
    others = [baseline] if baseline else []  # it was scored on the same rows, so it need not be again
    contest = hold_contest(use_case, stores.registry, stores.lake, data, {uri: asked}, learned)
    return scored, decide(use_case.training, use_case.scale, [scored, *others], Choice((uri,)), contest, elsewhere=True)


def _stored(model: Model, folder: Path, uri: str) -> Fitted:
    """The model as a candidate; nobody here knows its parameters, nor how long it was fitted."""
    sha256 = model.save(folder)
    size = sum(path.stat().st_size for path in folder.iterdir())
    return Fitted(uri, str(folder), sha256, {}, 0.0, size)


def _store(stores: Stores, uri: str, folder: Path, about: About) -> Version:
    client, experiment = stores.registry.client(), stores.registry.experiment(stores.use_case.name)
    run = client.create_run(experiment, run_name=f"register {uri}", tags={"origin": uri}).info.run_id
    for name, value in about.metrics.items():
        client.log_metric(run, name, value)
    version = store_version(stores, run, folder, about)
    client.set_terminated(run)
    return version


def compare_with_champion(
    stores: Stores, folder: Path, about: About, engine: Engine
) -> tuple[About, Comparison | None]:
    """Compare what is to become a version with the champion on the newest day, keep that, and let the gate see it.

    Parameters
    ----------
    stores
        Of the use case.
    folder
        Of the version.
    about
        What `make_version` returned.
    engine
        Scores the day.

    Returns
    -------
    tuple
        What is known of the version, with the gate's word on the changes; and the comparison, if there is a champion
        to compare with.
    """
    use_case, champion = stores.use_case, None
    try:
        champion = stores.champion()
        champion = stores.registry.prove(champion, use_case.training.trusted) if champion else None
    except MlopsError as error:  # one that is gone or fails must not keep out another
        log.warning("%s: the champion is not compared with: %s", use_case.name, error)
    days = list(stores.lake.predictions.days())
    if champion is None or not days:
        return about, None
    hashes = hash_folder(folder / "serving"), hash_folder(folder / "judged")
    new = Version(use_case.name, 0, folder, *hashes, "", Summary())  # it has no number before it is registered
    new = stores.registry.prove(new, use_case.training.trusted)
    comparison = compare_day(use_case, stores.lake, days[-1], champion, new, engine, lambda _: None)
    (folder / diff_page.DIFF_FILE).write_text(diffs.as_json(comparison), encoding="utf-8")
    cards = []
    with suppress(ModelRefused):  # what cannot be read of the champion is left out of the page
        cards = [champion.details(), about]
    (folder / "diff.html").write_text(diff_page.page(comparison, cards), encoding="utf-8")
    if use_case.training.gate.changes is not None:
        about = judge_changes(about, comparison.share, use_case.training.gate.changes, comparison.day)
    return about, comparison


def store_version(stores: Stores, run: str, folder: Path, about: About) -> Version:
    """Write the card of a version and register it; it is not champion by that.

    Parameters
    ----------
    stores
        Of the use case.
    run
        MLflow run that the version belongs to.
    folder
        Of the version.
    about
        What is known of it.
    """
    name = stores.use_case.name
    (folder / "card.md").write_text(card.render(about), encoding="utf-8")
    (folder / "card.html").write_text(card_page.page(about), encoding="utf-8")
    return stores.registry.register(name, run, folder, about)
