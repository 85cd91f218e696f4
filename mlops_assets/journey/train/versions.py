"""In: the best candidate of a training. Out: the folder of its version: two models, and all that is known of them.

That has a recipe: the whole configuration, the SQL and the fingerprint of the training set. `rebuild` makes the
same models of it again, bit for bit, as long as the libraries are the same.
"""

from __future__ import annotations

import datetime as dt
import logging
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from mlops_assets.errors import MlopsError
from mlops_assets.journey.features.day import sql_fingerprint
from mlops_assets.journey.model.archive import copy_model
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.registry import Registry, Version
from mlops_assets.journey.train.candidates import Fitted, calm_fitting, class_numbers, fit
from mlops_assets.journey.train.evaluation import Condition, Score, Verdict
from mlops_assets.journey.train.evaluation import score as score_model
from mlops_assets.journey.train.metrics import higher_is_better, load_metrics, measure
from mlops_assets.journey.train.training_set import TrainingSet
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.places import parse_place
from mlops_assets.use_case import Training, UseCase
from mlops_assets.work.code import code_of

log = logging.getLogger("mlops_assets.training")

LIBRARIES = ("scikit-learn", "numpy", "scipy", "duckdb", "pyarrow", "skops")
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
) -> dict[str, Any]:
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

    Returns
    -------
    dict
        What the model card shows, and `rebuild` needs.
    """
    shutil.rmtree(folder, ignore_errors=True)
    copy_model(parse_place(fitted.folder), folder / "judged")
    judged = Model.load(folder / "judged", fitted.sha256, use_case.training.trusted)
    again = use_case.training.refit and origin is None
    serving = _serving(use_case, data, fitted.name, fitted.parameters) if again else judged
    serving.save(folder / "serving")
    conditions = verdict.conditions.get(fitted.name, ())
    minutes = use_case.scale.rows_a_day / max(1e-9, score.rows_per_second * use_case.scale.workers) / 60
    return {
        "use_case": use_case.name,
        "candidate": fitted.name,
        "origin": origin,
        "parameters": fitted.parameters,
        "made": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "metrics": score.metrics,
        "folds": score.folds,
        "classes": score.classes,
        "confusion": score.confusion,
        "calibration": score.calibration,
        "importance": importance(judged, data, use_case.training),
        "rows_per_second": score.rows_per_second,
        "cost": {
            "rows a second on one core": score.rows_per_second,
            f"minutes for {use_case.scale.rows_a_day:,} rows on {use_case.scale.workers} cores": round(minutes, 2),
            "seconds to fit": fitted.fit_seconds if origin is None else None,
            "bytes of the judged model": fitted.size,
        },
        "passed": verdict.winner == fitted.name,
        "reason": verdict.reason,
        "conditions": [asdict(one) for one in conditions],
        "training_set": data.fingerprint,
        "set": asdict(data),
        "rows": data.rows,
        "days": data.days,
        "sql": sql_fingerprint(use_case.features_sql),
        "contract": use_case.contract_fingerprint,
        "code": training_code(use_case.training),
        "libraries": {"python": platform.python_version(), **{name: version_of(name) for name in LIBRARIES}},
        "recipe": use_case.model_dump(mode="json", by_alias=True),
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
        for one in configured:
            yield from _classes(one)


def champion_before(use_case: UseCase, registry: Registry, data: TrainingSet) -> Score | None:
    """How the present champion does on the held-out rows; one that cannot be loaded must not keep out a better one."""
    try:
        champion = registry.champion(use_case.name)
        return _champion_score(use_case, data, champion) if champion else None
    except MlopsError as error:
        log.warning("%s: the champion is not compared with: %s", use_case.name, error)
        return None


def _champion_score(use_case: UseCase, data: TrainingSet, champion: Version) -> Score:
    """The present champion on the held-out rows; by its recorded metrics where it needs other columns."""
    name = f"champion, version {champion.version}"
    if champion.about["sql"] != sql_fingerprint(use_case.features_sql):
        return Score(f"{name} (as recorded)", champion.about["metrics"], (), champion.about["rows_per_second"])
    rows = data.load()
    judged, own = champion.judged(use_case.training.trusted), load_metrics(use_case.training)
    return score_model(judged, rows.filter(rows["_held_out"]), name, own=own)


def judge_changes(about: dict[str, Any], changed: float, allowed: float, day: str) -> None:
    """Add to a version's details whether it changes few enough predictions of a day; a failure is a refusal.

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
    about["conditions"].append(asdict(condition))
    if about["passed"] and not condition.passed:
        about["passed"] = False
        failed = f"{condition.name}: found {condition.found}, asked {condition.asked}"
        about["reason"] = f"refused: the best candidate, {about['candidate']}, fails {failed}"


def importance(model: Model, data: TrainingSet, training: Training) -> dict[str, float]:
    """What the metric loses on held-out rows when one column is shuffled, the greatest loss first.

    Method: permutation importance, Breiman (2001), 'Random Forests', section 10; mean of `REPEATS` shuffles.
    """
    rows = data.load()
    rows = rows.filter(rows["_held_out"])
    random = np.random.default_rng(0)
    most = min(IMPORTANCE_ROWS, IMPORTANCE_CELLS // max(1, len(model.columns)))
    if len(rows) > most:
        rows = rows.take(pa.array(np.sort(random.choice(len(rows), most, replace=False))))
    truth, matrix = class_numbers(rows, model.classes), model.matrix(rows)
    sign, own = 1 if higher_is_better(training.metric) else -1, load_metrics(training)

    def value(columns: np.ndarray) -> float:
        probabilities = model.probabilities(columns)
        metrics = measure(truth, probabilities, model.decide(probabilities), model.classes, own)
        return sign * metrics.get(training.metric, float("nan"))

    with calm_fitting():
        whole = value(matrix)
        lost = {}
        for place, name in enumerate(model.columns):
            shuffled = matrix.copy(order="F")
            losses = []
            for _ in range(REPEATS):
                shuffled[:, place] = random.permutation(matrix[:, place])
                losses.append(whole - value(shuffled))
            lost[name] = round(float(np.mean(losses)), 4)
    return dict(sorted(lost.items(), key=lambda item: -item[1]))


def rebuild(version: Version, lake: Lake, folder: Path) -> dict[str, Any]:
    """Make a version again from its recipe.

    Parameters
    ----------
    version
        The version; its details are checked against the registered hash first.
    lake
        Holds the training set.
    folder
        Where the two models are written.

    Returns
    -------
    dict
        `equal`: whether both models are the registered ones, byte by byte; `differences`: libraries and code that
        are not what they were.

    Raises
    ------
    MlopsError
        If the training set is no longer there, or a class that the recipe names, or the version was made elsewhere.
    """
    about = version.details()
    if about.get("origin"):
        raise MlopsError(
            f"Version {version.version} was made elsewhere, from {about['origin']['model']}: how is not known "
            "here, so it cannot be made again."
        )
    use_case = _configured(about["recipe"], version.version)
    known = {**about["set"], "path": str(lake.training_set(about["training_set"]))}
    data = TrainingSet(**{**known, "days": tuple(known["days"]), "classes": tuple(known["classes"])})
    if not parse_place(data.path).exists():
        raise MlopsError(f"{data.path}: the training set of version {version.version} is gone; restore it.")
    candidate = use_case.training.candidates[about["candidate"]].model_copy(update={"parameters": about["parameters"]})
    rows = data.load()
    judged = fit(use_case, candidate, data, rows.filter(pc.invert(rows["_held_out"])))
    serving = _serving(use_case, data, about["candidate"], about["parameters"]) if use_case.training.refit else judged
    hashes = judged.save(folder / "judged"), serving.save(folder / "serving")
    now = {"python": platform.python_version(), **{name: version_of(name) for name in LIBRARIES}}
    differences = [
        f"{name} {then}, now {now.get(name)}" for name, then in about["libraries"].items() if then != now[name]
    ]
    if about["code"] != training_code(use_case.training):
        differences.append("the code that trains")
    return {"equal": hashes == (version.judged_sha256, version.serving_sha256), "differences": differences}


def _configured(recipe: dict[str, Any], version: int) -> UseCase:
    """The use case as it was; a key that was not there is no empty one."""
    try:
        return UseCase.model_validate({key: value for key, value in recipe.items() if value is not None})
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise MlopsError(f"The recipe of version {version} no longer holds: {where}: {problem['msg']}") from None


def _serving(use_case: UseCase, data: TrainingSet, name: str, parameters: dict[str, Any]) -> Model:
    """The candidate fitted on all labelled rows."""
    candidate = use_case.training.candidates[name].model_copy(update={"parameters": parameters})
    return fit(use_case, candidate, data, data.load())
