"""The training assets of a use case: training set, candidates, evaluation, champion; tracked in MLflow."""

import datetime as dt
import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg

from mlops_assets.components import showing, training_shown
from mlops_assets.components.asked import PROMOTING, days_noted, note_days, schema
from mlops_assets.components.changing import asked_by
from mlops_assets.components.days import key, materialize_all
from mlops_assets.components.private import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    BACKFILL_ID_TAG,
    PARTITION_NAME_TAG,
)
from mlops_assets.components.red import stopped
from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.about import About
from mlops_assets.journey.train.candidates import fit_candidates
from mlops_assets.journey.train.choice import NO_RECIPE, Recipe, recipe_of
from mlops_assets.journey.train.contest import hold_contest
from mlops_assets.journey.train.evaluation import evaluate
from mlops_assets.journey.train.gate import decide
from mlops_assets.journey.train.recipe import deciding
from mlops_assets.journey.train.records import Evaluation, FittedCandidates, GatheredRows, MadeVersion
from mlops_assets.journey.train.scores import Score
from mlops_assets.journey.train.training_set import build_training_set
from mlops_assets.journey.train.versions import make_version
from mlops_assets.registering import Promotion, compare_with_champion, promote_if_passed, store_version
from mlops_assets.storage.catalog import enrichment_table
from mlops_assets.storage.places import work_folder
from mlops_assets.use_case import UseCase
from mlops_assets.work.engines import Engines
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.training")

DAYS_TAGS = (
    BACKFILL_ID_TAG,
    PARTITION_NAME_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    ASSET_PARTITION_RANGE_END_TAG,
)
"""Tags of the runs that Dagster's UI makes of a selection of days."""

T = TypeVar("T")


def training_assets(use_case: UseCase) -> list[dg.AssetsDefinition]:
    """The training assets in the order of the data."""
    steps = (_training_set, _candidates, _evaluation, _model_version, _champion)
    return [step(use_case) for step in steps]


def training_group(use_case: UseCase) -> str:
    """The group of the training assets: *Materialize all* of a group that has days must reach none of them."""
    return f"{use_case.name}_training"


def _run_of(context: dg.AssetExecutionContext, use_case: UseCase) -> str:
    """The run that trains; it is of no day, for what is said of days must not change the champion besides."""
    if any(tag in context.run.tags for tag in DAYS_TAGS):
        name = use_case.name
        raise stopped(
            f"{name}: a run over days or a backfill trains nothing, for it would change the champion. To run days, "
            f"choose the assets of the group {name} alone, or `mlops-assets run {name} --from DAY --to DAY`; to train, "
            f"launch the job {name}_training.",
            name,
        )
    return context.run.run_id


def _common(use_case: UseCase, name: str, after: str, kinds: set[str], *others: str) -> dict[str, Any]:
    return {
        "key": [use_case.name, name],
        "deps": [_upstream(use_case, upstream) for upstream in (after, *others)],
        "owners": [use_case.owner],
        "group_name": training_group(use_case),
        "kinds": kinds,
        "pool": "training",  # a training takes the machine: `dagster.yaml` says how many may run at a time
    }


def _upstream(use_case: UseCase, name: str) -> dg.AssetDep:
    """All days of a daily asset, or the one version of another."""
    mapping = dg.AllPartitionMapping() if name == "rows" or name.startswith("enrichment_") else None
    return dg.AssetDep(key(use_case, name), partition_mapping=mapping)


def _told(use_case: UseCase, work: Callable[[], T]) -> T:
    """Do work whose errors are meant for people: they fail the step with their message, and what to do then."""
    try:
        return work()
    except MlopsError as error:
        raise stopped(error, use_case.name, f"mlops-assets run {use_case.name} --train") from None


def _training_set(use_case: UseCase) -> dg.AssetsDefinition:
    @dg.asset(
        **_common(
            use_case, "training_set", "rows", {"duckdb"}, "feedback", *map(enrichment_table, use_case.enrichments)
        ),
        config_schema=schema(PROMOTING),
        description=(
            "The labelled rows of the window, without duplicates, in one split for all candidates; rows to learn from "
            "take the labels that people gave them.\n\n"
            + materialize_all(
                use_case,
                training_group(use_case),
                "trains: rows that are published already become candidates, a version, and, if the gate agrees, the "
                "champion that predicts from then on. It reads no new files and predicts nothing",
            )
        ),
    )
    def training_set(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.MaterializeResult[None]:
        run, stores = _run_of(context, use_case), workspace.of(use_case)
        note_days(context, use_case)  # said at once: what was written wrong is not found out at the end of a training
        made = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        data = _told(use_case, lambda: build_training_set(use_case, stores.lake))
        stores.runs.write(run, GatheredRows(data, made, deciding(use_case)))
        counts = "%s: %d labelled rows, %d held out, %d corrected by people"
        log.info(counts, use_case.name, data.rows, data.held_out, data.corrected)
        if data.left_out:
            log.warning("%s: %s", use_case.name, data.left_out)
        # the fingerprint is the data version: the same rows do not make what follows stale
        return dg.MaterializeResult(
            metadata=training_shown.training_set(use_case, data), data_version=dg.DataVersion(data.fingerprint)
        )

    return training_set


def _candidates(use_case: UseCase) -> dg.AssetsDefinition:
    @dg.asset(
        **_common(use_case, "candidates", "training_set", {"scikitlearn", "mlflow"}),
        description="Every model of the configuration, fitted on the same training rows.",
    )
    def candidates(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace], mlflow: dg.ResourceParam[Any]
    ) -> dg.MaterializeResult[None]:
        run, runs = _run_of(context, use_case), workspace.of(use_case).runs
        data = runs.read(run, GatheredRows).training_set
        fitted = _told(use_case, lambda: fit_candidates(use_case, data, runs.folder(run) / "candidates", log.info))
        runs.write(run, FittedCandidates(data, tuple(fitted)))
        tracked: dict[str, Any] = {"training_set": data.fingerprint, "rows": data.rows, "held_out": data.held_out}
        mlflow.log_params({"use_case": use_case.name, **tracked, "days": " to ".join(data.days)})
        lines = [training_shown.candidate(use_case, candidate) for candidate in fitted]
        if any(candidate.failed for candidate in fitted):
            lines = [{**line, "error": candidate.failed} for line, candidate in zip(lines, fitted, strict=True)]
        return dg.MaterializeResult(metadata={"candidates": showing.table(lines), **tracked})

    return candidates


def _evaluation(use_case: UseCase) -> dg.AssetsDefinition:
    @dg.asset(
        **_common(use_case, "evaluation", "candidates", {"scikitlearn", "mlflow"}),
        description=(
            "All candidates on the same rows that choose, the chosen one on rows that chose nothing, and the verdict "
            "of the gate with its reasons."
        ),
    )
    def evaluation(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace], mlflow: dg.ResourceParam[Any]
    ) -> dg.MaterializeResult[None]:
        run, stores = _run_of(context, use_case), workspace.of(use_case)
        fitted = stores.runs.read(run, FittedCandidates)
        log.info("%s: scoring %d candidates", use_case.name, len(fitted.candidates))
        evaluation = _judge(stores, fitted)
        stores.runs.write(run, evaluation)
        _track(mlflow, evaluation)
        return dg.MaterializeResult(metadata=training_shown.judged(use_case, evaluation))

    return evaluation


def _judge(stores: Stores, fitted: FittedCandidates) -> Evaluation:
    """The candidates on the rows that choose, the chosen one on those that test, and the word of the gate."""
    use_case, data = stores.use_case, fitted.training_set
    # counted before the champion is read: one that comes in between is noticed when the new one shall replace it
    seen = len(stores.history.changes())
    judged = _told(use_case, lambda: evaluate(use_case, data, fitted.candidates, _recipe_of_champion(stores), log.info))
    contest = _told(
        use_case, lambda: hold_contest(use_case, stores.registry, stores.lake, data, judged.tested, data.fingerprint)
    )
    verdict = decide(use_case.training, use_case.scale, judged.scores, judged.choice, contest)
    return Evaluation(data, fitted.candidates, tuple(judged.scores), verdict, contest, seen, judged.choice)


def _recipe_of_champion(stores: Stores) -> Recipe:
    """The candidate that is made as the champion is; one that cannot be read keeps nobody out."""
    try:
        return recipe_of(stores.use_case, stores.champion())
    except MlopsError as error:
        log.warning("%s: the champion's recipe is not known: %s", stores.use_case.name, error)
        return NO_RECIPE


def _track(mlflow: Any, evaluation: Evaluation) -> None:
    """One nested MLflow run a candidate, and the verdict on their parent."""
    by_name = {candidate.name: candidate for candidate in evaluation.candidates}
    for score in evaluation.scores:
        candidate = by_name[score.name]
        with mlflow.start_run(run_name=score.name, nested=True):
            # servers with an older MLflow take no longer values
            mlflow.log_params({name: str(value)[:500] for name, value in candidate.parameters.items()})
            speed = {"rows_per_second": score.rows_per_second, "fit_seconds": candidate.fit_seconds}
            chose = {f"validation_{name}": value for name, value in score.validation.items()}
            mlflow.log_metrics({**score.metrics, **chose, **_bounds(score), **speed, "bytes": candidate.size})
            if (calibrated := score.calibrated) is not None:
                names = ("ece_before", "ece_after") if score.classes else ("interval_asked", "interval_holds")
                mlflow.log_metrics(dict(zip(names, (calibrated.before, calibrated.after), strict=True)))
            for step, value in enumerate(score.folds):
                mlflow.log_metric("fold", value, step=step)
            for step, one in enumerate(score.tested.rounds if score.tested else ()):
                if one["figure"] is not None:
                    mlflow.log_metric("tested", one["figure"], step=step)
    mlflow.set_tags({"verdict": evaluation.verdict.reason, "winner": evaluation.verdict.winner or ""})


def _bounds(score: Score) -> dict[str, float]:
    """The bounds of the figures, as MLflow's metrics."""
    known = score.tested.intervals.items() if score.tested else ()
    return {
        f"{name}_{side}": value
        for name, one in known
        for side, value in (("low", one.low), ("high", one.high))
        if math.isfinite(value)
    }


def _model_version(use_case: UseCase) -> dg.AssetsDefinition:
    @dg.asset(
        **_common(use_case, "model_version", "evaluation", {"mlflow"}),
        description="The best candidate as a registered version with its model card, whatever the gate says of it.",
        output_required=False,
    )
    def model_version(
        context: dg.AssetExecutionContext,
        workspace: dg.ResourceParam[Workspace],
        mlflow: dg.ResourceParam[Any],
        engines: dg.ResourceParam[Engines],
    ) -> Iterator[Any]:
        stores, run = workspace.of(use_case), _run_of(context, use_case)
        # by way of the lake, not of memory: each step can be run alone, and goes on where an earlier run has ended
        evaluation = stores.runs.read(run, Evaluation)
        if evaluation.best is None:  # there is a baseline and nothing else
            reason = evaluation.verdict.reason
            stores.runs.write(run, MadeVersion(None, passed=False, reason=reason))
            context.log_event(dg.AssetObservation(key(use_case, "model_version"), metadata={"skipped": reason}))
            return
        folder = stores.runs.folder(run) / "version"
        with work_folder(folder, stores.settings.home) as work:
            about = _make(stores, evaluation, evaluation.best, engines, work)
            tracked = mlflow.active_run().info.run_id
            version = _told(use_case, lambda: store_version(stores, tracked, work, about))
        waits = evaluation.verdict.waits
        stores.runs.write(run, MadeVersion(version.version, about.passed, about.reason, evaluation.seen, waits))
        log.info("%s: version %d: %s", use_case.name, version.version, about.reason)
        yield dg.MaterializeResult(
            metadata=training_shown.version(stores, about, version), data_version=dg.DataVersion(version.serving_sha256)
        )

    return model_version


def _make(stores: Stores, evaluation: Evaluation, name: str, engines: Engines, folder: Path) -> About:
    """Make a version of a candidate, and compare it with the champion where that is asked for."""
    use_case = stores.use_case
    score = evaluation.score(name)
    assert score is not None, "it was judged"  # noqa: S101 - it is named by its score
    fitted = next(candidate for candidate in evaluation.candidates if candidate.name == name)
    log.info("%s: making a version of %s", use_case.name, name)
    data, verdict, choice = evaluation.training_set, evaluation.verdict, evaluation.choice
    about = _told(use_case, lambda: make_version(use_case, data, fitted, score, verdict, folder, choice=choice))
    if use_case.training.gate.changes is not None or use_case.retraining.starts:
        about, _ = _told(use_case, lambda: compare_with_champion(stores, folder, about, engines.of(use_case)))
    return about


def _champion(use_case: UseCase) -> dg.AssetsDefinition:
    @dg.asset(
        **_common(use_case, "champion", "model_version", {"mlflow"}),
        description="The version that predicts; stays as it is when the gate refuses, or promotion is by hand.",
        output_required=False,
    )
    def champion(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> Iterator[Any]:
        run, stores = _run_of(context, use_case), workspace.of(use_case)
        who, made = asked_by(context.run), stores.runs.read(run, MadeVersion)
        days = days_noted(context)
        done = _told(use_case, lambda: promote_if_passed(stores, made, who, made.reason, days))
        if done.champion is None:
            reason = _why_it_stays(use_case, made, done)
            log.warning("%s: no new champion: %s", use_case.name, reason)
            context.log_event(dg.AssetObservation(key(use_case, "champion"), metadata={"skipped": reason}))
            return
        version = done.champion
        yield dg.MaterializeResult(
            metadata={
                "reason": made.reason,
                "version": version.version,
                "candidate": version.about.candidate,
                **training_shown.versions(stores),
                **version.about.metrics,
                **training_shown.links(stores, version.version),
                "serving_sha256": version.serving_sha256,
                "training_set": version.about.training_set,
                "history": showing.history(stores.history.changes()),
            },
            data_version=dg.DataVersion(version.serving_sha256),
        )

    return champion


def _why_it_stays(use_case: UseCase, made: MadeVersion, done: Promotion) -> str:
    """Why the champion stays as it is."""
    if not made.passed:
        return made.reason
    if use_case.training.promotion.mode == "manual" or made.waits:
        return f"{made.reason}; waits for `mlops-assets promote {use_case.name} {made.version} --why ...`"
    return done.waits
