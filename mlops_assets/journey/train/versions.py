"""In: the best candidate of a training. Out: the folder of its version: two models, and all that is known of them.

That has a recipe: the whole configuration, the SQL and the fingerprint of the training set. `rebuild` makes the
same models of it again, bit for bit, as long as the libraries are the same.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from mlops_assets.errors import MlopsError, ModelRefused
from mlops_assets.journey.features.day import sql_fingerprint
from mlops_assets.journey.model.about import About, Condition
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.model.training_runs import TrainingRuns
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.train.calibration import calibration_of
from mlops_assets.journey.train.candidates import Fitted, as_fitted, calm_fitting, class_numbers, fit, in_short
from mlops_assets.journey.train.choice import Choice
from mlops_assets.journey.train.folds import ask_rounds, pooled
from mlops_assets.journey.train.gate import Verdict
from mlops_assets.journey.train.libraries import libraries_of_model, other_releases
from mlops_assets.journey.train.metrics import higher_is_better, load_metrics, measure
from mlops_assets.journey.train.origins import CHOOSES, TESTS, first_test, rounds
from mlops_assets.journey.train.profiling import store_reference
from mlops_assets.journey.train.records import GatheredRows
from mlops_assets.journey.train.scores import Score
from mlops_assets.journey.train.thresholds import try_thresholds
from mlops_assets.journey.train.told import judging
from mlops_assets.journey.train.training_set import TrainingSet, find_training_set
from mlops_assets.plugins.stored import see_named
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.places import parse_place
from mlops_assets.use_case import (
    Candidate,
    Scale,
    Training,
    UnsetVariable,
    UseCase,
    fill_environment,
    load_use_case,
    variables,
)
from mlops_assets.work.code import code_of

IMPORTANCE_ROWS, IMPORTANCE_CELLS = 5_000, 300_000
"""Most held-out rows, and rows times columns, that permutation importance looks at; more change little."""

REPEATS = 3


def make_version(
    use_case: UseCase,
    data: TrainingSet,
    fitted: Fitted,
    score: Score,
    verdict: Verdict,
    folder: Path,
    origin: Mapping[str, str] | None = None,
    choice: Choice | None = None,
) -> About:
    """Write the models of a version into a folder, and collect what there is to know of it.

    Parameters
    ----------
    use_case
        The use case as it is configured now.
    data
        What the candidate learned from.
    fitted, score
        The candidate, fitted on the training rows, and how it did on the held-out ones.
    verdict
        What the gate said.
    folder
        The version's folder.
    origin
        Where the model came from, if it was made elsewhere: then it serves as it is.
    choice
        How the candidate came to be chosen.

    Returns
    -------
    About
        What there is to know; it is stored with the version when that is registered.
    """
    # a step that is tried again begins anew
    shutil.rmtree(folder, ignore_errors=True)
    place, calibration = parse_place(fitted.folder), score.calibrated
    model = Model.load(place, fitted.sha256, use_case.training.trusted)
    model = replace(model, calibrator=calibration.judged if calibration else None)
    sha256 = model.save_copy(place, fitted.sha256, folder / "judged")
    # loaded from what was stored, never taken from memory: what is judged is what will be served
    judged = Model.load(folder / "judged", sha256, use_case.training.trusted)
    serving = judged
    if use_case.training.refit and origin is None:
        # on all rows, for the most recent are worth most; the judged one never sees those that are held out
        serving = _fit_on_all(use_case, fitted, data)
        serving = replace(serving, calibrator=calibration.serving if calibration else None)
    serving.save(folder / "serving")
    rows = data.load()
    held_out = rows.filter(rows["_held_out"])
    with calm_fitting():
        reference = store_reference(data.profile, rows, judged, serving, folder)
    return About(
        use_case=use_case.name,
        candidate=fitted.name,
        origin=origin,
        parameters=fitted.parameters,
        made=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        metrics=score.metrics,
        baseline_metrics=verdict.baseline,
        held_out=data.held_out,
        folds=score.folds,
        classes=score.classes,
        confusion=score.confusion,
        calibration=score.calibration,
        importance=importance(judged, held_out, use_case.training),
        rows_per_second=score.rows_per_second,
        cost=_cost(use_case.scale, fitted, score, made_here=origin is None),
        passed=verdict.winner == fitted.name,
        reason=verdict.reason,
        conditions=verdict.conditions.get(fitted.name, ()),
        training_set=data.fingerprint,
        set=asdict(data),
        rows=data.rows,
        days=data.days,
        sql=sql_fingerprint(use_case.features_sql),
        contract=use_case.contract_fingerprint,
        code=training_code(use_case.training),
        libraries=libraries_of_model(folder / "judged"),
        recipe=use_case.recipe(),
        reference=reference,
        calibrated=calibration.told() if calibration else {},
        judging=judging(use_case, data, score, choice),
        thresholds=try_thresholds(judged, held_out),
    )


def _fit_on_all(use_case: UseCase, fitted: Fitted, data: TrainingSet) -> Model:
    try:
        what = f"{use_case.name}: the stored training"
        return fit(use_case, as_fitted(use_case, fitted.name, fitted.parameters, what), data, data.load())
    except MlopsError:
        raise
    except Exception as error:  # a class of anybody's may fail in any way
        raise MlopsError(
            f"{use_case.name}: {fitted.name}, the best candidate, cannot be fitted again on all labelled rows, which "
            f"training.refit asks for: {in_short(error)}."
        ) from None


def _cost(scale: Scale, fitted: Fitted, score: Score, *, made_here: bool) -> dict[str, float | None]:
    minutes = scale.rows_a_day / max(1e-9, score.rows_per_second * scale.workers) / 60
    return {
        "rows a CPU second of one core": score.rows_per_second,
        f"minutes for {scale.rows_a_day:,} rows on {scale.workers} cores": round(minutes, 2),
        "seconds to fit": fitted.fit_seconds if made_here else None,
        "bytes of the judged model": fitted.size,
    }


def training_code(training: Training) -> str:
    """Hash of the code that fits candidates: ours, and that of the classes of one's own; libraries are told apart."""
    own = _classes([candidate.model_dump() for candidate in training.candidates.values()])
    return code_of(fit.__module__, *sorted({path.rpartition(".")[0] for path in own})).source


def _classes(configured: Any) -> Iterator[str]:
    """The import paths of all classes that are configured, also as arguments of one another."""
    if isinstance(configured, Mapping):
        if isinstance(path := configured.get("use"), str):
            yield path
        configured = list(configured.values())
    if isinstance(configured, list | tuple):
        for item in configured:
            yield from _classes(item)


def known_labels(use_case: UseCase, registry: Registry, runs: TrainingRuns) -> frozenset[str]:
    """The labels of the newest training set and those of the champion."""
    newest = runs.newest(GatheredRows)
    labels = set(newest.training_set.classes) if newest else set()
    with suppress(MlopsError):  # a champion that cannot be loaded adds no labels; scoring tells what is wrong with it
        champion = registry.champion(use_case.name)
        labels.update(champion.details().labels if champion else ())
    return frozenset(labels)


def judge_changes(about: About, changed: float, allowed: float, day: str) -> About:
    """What is known of a version with the gate's word on the predictions of a day that change; too many are a refusal.

    Parameters
    ----------
    about
        What `make_version` returned.
    changed
        Share of the day's predictions that differ from the champion's.
    allowed
        `gate.changes`.
    day
        The day.
    """
    name = f"share of predictions of {day} that change against the champion"
    condition = Condition(name, f"at most {allowed:.1%}", f"{changed:.1%}", changed <= allowed)
    judged = replace(about, conditions=[*about.conditions, condition])
    if condition.passed or not about.passed:  # a refusal keeps its first reason
        return judged
    failed = f"{condition.name}: found {condition.found}, asked {condition.asked}"
    return replace(judged, passed=False, reason=f"refused: the best candidate, {about.candidate}, fails {failed}")


def importance(model: Model, rows: pa.Table, training: Training) -> dict[str, float]:
    """What the metric loses on held-out rows when one column is shuffled, the greatest loss first.

    Method: permutation importance, Breiman (2001), 'Random Forests', section 10; mean of `REPEATS` shuffles.
    """
    random = np.random.default_rng(0)  # the same rows give the same card
    most = min(IMPORTANCE_ROWS, IMPORTANCE_CELLS // max(1, len(model.columns)))
    if len(rows) > most:
        rows = rows.take(pa.array(np.sort(random.choice(len(rows), most, replace=False))))
    truth, matrix = class_numbers(rows, model.classes), model.matrix(rows)
    sign, own = 1 if higher_is_better(training.metric) else -1, load_metrics(training)

    def value(columns: np.ndarray) -> float:
        probabilities = model.probabilities(columns)
        predicted = model.decide(probabilities)
        metrics = measure(truth, probabilities, predicted, model.classes, own, {training.metric})
        return sign * metrics.get(training.metric, float("nan"))

    with calm_fitting():
        whole = value(matrix)
        lost = {}
        for column, name in enumerate(model.columns):
            shuffled = matrix.copy(order="F")
            losses = []
            for _ in range(REPEATS):
                shuffled[:, column] = random.permutation(matrix[:, column])
                losses.append(whole - value(shuffled))
            lost[name] = round(float(np.mean(losses)), 4)
    return dict(sorted(lost.items(), key=lambda item: -item[1]))


@dataclass(frozen=True)
class Rebuilt:
    """What came of making a version again.

    Attributes
    ----------
    equal
        Whether both models are the registered ones, byte by byte.
    differences
        Libraries and code that are not what they were.
    """

    equal: bool
    differences: tuple[str, ...]


def rebuild(version: Version, lake: Lake, folder: Path, today: UseCase | None = None) -> Rebuilt:
    """Make a version again from its recipe.

    Parameters
    ----------
    version
        The version; its details are checked against the registered hash first.
    lake
        Has the training sets.
    folder
        Where the two models are written.
    today
        The use case as it is configured now, which says what may be imported beyond parts of models; by default the one
        of that name that comes with this package, if there is one.

    Raises
    ------
    ModelRefused
        If the recipe names something that a recipe may not; see `plugins.stored`.
    MlopsError
        If the training set is no longer there, or a class that the recipe names, or the version was made elsewhere.
    """
    about = version.details()
    if about.origin:
        raise MlopsError(
            f"Version {version.version} was made elsewhere, from {about.origin['model']}: how is not known "
            "here, so it cannot be made again."
        )
    what = f"The recipe of version {version.version}"
    if today is None and (OWN_USE_CASES / version.use_case).is_dir():
        today = load_use_case(OWN_USE_CASES / version.use_case)
    ours = today.recipe() if today is not None else {}
    see_named(about.recipe, ours, what)
    # as if they stood in the configuration: so they are refused by the same rules
    see_named({"training": {"parameters": about.parameters}}, ours, what)
    _see_variables([about.recipe, about.parameters], ours, what)
    use_case = _configured(about.recipe, what)
    data = _learned(about, lake, version.version)
    candidate = as_fitted(use_case, about.candidate, about.parameters, what)
    try:
        judged, serving = _fit_both(use_case, about.candidate, candidate, data)
    except MlopsError:
        raise
    except Exception as error:  # a class of anybody's may fail in any way
        raise MlopsError(f"{what}: {about.candidate} cannot be fitted: {in_short(error)}.") from None
    hashes = judged.save(folder / "judged"), serving.save(folder / "serving")
    return Rebuilt(
        hashes == (version.judged_sha256, version.serving_sha256), tuple(_differences(about, use_case.training))
    )


def _fit_both(use_case: UseCase, name: str, candidate: Candidate, data: TrainingSet) -> tuple[Model, Model]:
    """The two models of a version, calibrated as they were."""
    rows = data.load()
    judged = fit(use_case, candidate, data, rows.filter(pa.array(first_test(data.origins, rows))))
    serving = fit(use_case, candidate, data, rows) if use_case.training.refit else judged
    if use_case.training.calibration == "off":
        return judged, serving
    found = rounds(data.origins, rows, use_case.training)
    choosing, testing = ([one for one in found if one.part == part] for part in (CHOOSES, TESTS))
    chose = ask_rounds(use_case, data, name, candidate, rows, choosing)
    tested = ask_rounds(use_case, data, name, candidate, rows, testing, {testing[0].name: judged})
    said = pooled(tested)
    assert said is not None, "the judged model says something"  # noqa: S101 - it was fitted above
    calibration = calibration_of(use_case.training, judged, chose, tested, said)
    calibrated = replace(judged, calibrator=calibration.judged)
    return calibrated, replace(serving, calibrator=calibration.serving) if use_case.training.refit else calibrated


def _differences(about: About, training: Training) -> Iterator[str]:
    yield from other_releases(about.libraries)
    if about.code != training_code(training):
        yield "the code that trains"


def _see_variables(stored: Any, today: Any, what: str) -> None:
    """See that a stored configuration asks for nothing of the environment that the one of this machine does not."""
    if foreign := sorted(variables(stored) - variables(today)):
        raise ModelRefused(
            f"{what} refers to the environment variable {foreign[0]}, and the configuration of the use case does not. "
            "Nothing was filled in. Somebody changed what was stored, or the configuration was changed since."
        )


def _configured(recipe: Mapping[str, Any], what: str) -> UseCase:
    """The use case as it was, filled in from the environment of today; a key that was not there is no empty one."""
    training = recipe.get("training")
    if isinstance(training, Mapping):  # before there was a calibration, or a half-life, there was none
        recipe = {**recipe, "training": {"calibration": "off", "half_life": "off", **training}}
    try:
        filled = fill_environment({key: value for key, value in recipe.items() if value is not None})
        return UseCase.model_validate({**filled, "written": recipe})
    except UnsetVariable as error:
        raise MlopsError(f"{what} needs the environment: {error}. Set it.") from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise MlopsError(f"{what} no longer holds: {where!a}: {problem['msg']}") from None


def _learned(about: About, lake: Lake, version: int) -> TrainingSet:
    """What a version learned from, where the lake is now, which may have moved since."""
    place = find_training_set(lake, about.training_set)
    if not place.exists():
        raise MlopsError(f"{place}: the training set of version {version} is gone; restore it.")
    try:
        return TrainingSet.from_json({**about.set, "path": str(place)})
    except (KeyError, TypeError) as error:
        raise MlopsError(f"The card of version {version} tells of no training set: {error!r}.") from None
