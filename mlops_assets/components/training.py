"""The training assets of a use case: training set, candidates, evaluation, champion; tracked in MLflow."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.components import showing
from mlops_assets.errors import MlopsError
from mlops_assets.journey import candidates as fitting
from mlops_assets.journey import evaluation as judging
from mlops_assets.journey.features import sql_fingerprint
from mlops_assets.journey.model import Model
from mlops_assets.journey.registry import Registry, Version
from mlops_assets.journey.training_runs import TrainingRuns
from mlops_assets.journey.training_set import TrainingSet, build_training_set
from mlops_assets.lake import Lake
from mlops_assets.settings import Settings
from mlops_assets.use_case import UseCase

log = logging.getLogger("mlops_assets.training")


def training_assets(use_case: UseCase) -> list[dg.AssetsDefinition]:
    """The training assets in the order of the data."""
    return [_training_set(use_case), _candidates(use_case), _evaluation(use_case), _champion(use_case)]


def _common(use_case: UseCase, name: str, after: str, kinds: set[str]) -> dict[str, Any]:
    return {
        "key": [use_case.name, name],
        "deps": [_upstream(use_case, after)],
        "owners": [use_case.owner],
        "group_name": use_case.name,
        "kinds": kinds,
    }


def _upstream(use_case: UseCase, name: str) -> dg.AssetDep:
    """All days of a daily asset, or the one version of another."""
    mapping = dg.AllPartitionMapping() if name == "rows" else None
    return dg.AssetDep(dg.AssetKey([use_case.name, name]), partition_mapping=mapping)


def _training_set(use_case: UseCase) -> dg.AssetsDefinition:
    @dg.asset(
        **_common(use_case, "training_set", "rows", {"duckdb"}),
        description="The labelled rows of the window, without duplicates, in one split for all candidates.",
    )
    def training_set(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        settings = Settings.from_environment()
        found = _told(lambda: build_training_set(use_case, Lake(settings.lake, use_case.name)))
        TrainingRuns(settings.lake, use_case.name).write(
            context.run.run_id, "training_set", fitting.to_record([], found)
        )
        log.info("%s: %d labelled rows, %d held out", use_case.name, found.rows, found.held_out)
        shown = asdict(found)
        features = shown.pop("features")
        metadata = {
            **{name: value for name, value in shown.items() if name not in ("classes", "days")},
            "days": " to ".join(found.days),
            "classes": ", ".join(found.classes),
            "features": showing.table(
                [{"column": n, "is": "category" if c else "number"} for n, c in features.items()]
            ),
            "dagster/row_count": found.rows,
        }
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(found.fingerprint))

    return training_set


def _candidates(use_case: UseCase) -> dg.AssetsDefinition:
    @dg.asset(
        **_common(use_case, "candidates", "training_set", {"scikitlearn", "mlflow"}),
        description="Every model of the configuration, fitted on the same training rows.",
        required_resource_keys={"mlflow"},
    )
    def candidates(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        runs = TrainingRuns(Settings.from_environment().lake, use_case.name)
        data, _ = fitting.from_record(runs.read(context.run.run_id, "training_set"))
        folder = runs.folder(context.run.run_id) / "candidates"
        fitted = _told(lambda: fitting.fit_candidates(use_case, data, folder, log.info))
        runs.write(context.run.run_id, "candidates", fitting.to_record(fitted, data))
        tracked: dict[str, Any] = {"training_set": data.fingerprint, "rows": data.rows, "held_out": data.held_out}
        context.resources.mlflow.log_params({"use_case": use_case.name, **tracked, "days": " to ".join(data.days)})
        lines = [
            {
                "candidate": f.name,
                "class": use_case.training.candidates[f.name].use,
                "parameters": f.parameters,
                "fit seconds": f.fit_seconds,
                "bytes": f.size,
            }
            for f in fitted
        ]
        return dg.MaterializeResult(metadata={"candidates": showing.table(lines), **tracked})

    return candidates


def _evaluation(use_case: UseCase) -> dg.AssetsDefinition:
    @dg.asset(
        **_common(use_case, "evaluation", "candidates", {"scikitlearn", "mlflow"}),
        description="All candidates on the same held-out rows, and the verdict of the gate with its reasons.",
        required_resource_keys={"mlflow"},
    )
    def evaluation(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        settings = Settings.from_environment()
        runs = TrainingRuns(settings.lake, use_case.name)
        record = runs.read(context.run.run_id, "candidates")
        data, fitted = fitting.from_record(record)
        log.info("%s: scoring %d candidates", use_case.name, len(fitted))
        scores = _told(lambda: judging.evaluate(use_case, data, fitted))
        champion = Registry(settings).champion(use_case.name)
        before = _champion_score(use_case, data, champion) if champion else None
        training = use_case.training
        verdict = judging.decide(training, use_case.scale, scores, before)
        runs.write(context.run.run_id, "evaluation", {**record, **judging.to_record(scores, verdict, before)})
        _track(context.resources.mlflow, scores, fitted, verdict)
        best = next((one for one in scores if one.name == verdict.winner), scores[0])
        board = [*scores, before] if before else scores
        return dg.MaterializeResult(
            metadata={
                "verdict": showing.verdict(verdict),
                "leaderboard": showing.leaderboard(board),
                "classes": showing.classes(best),
                "confusion": showing.confusion_picture(best),
                "baseline": next(one.metrics[training.metric] for one in scores if one.name == training.baseline),
                training.metric: best.metrics[training.metric],
            }
        )

    return evaluation


def _champion_score(use_case: UseCase, data: TrainingSet, champion: Version) -> judging.Score:
    """The present champion on the held-out rows; by its recorded metrics where it needs other columns."""
    name = f"champion, version {champion.version}"
    if champion.about["sql"] != sql_fingerprint(use_case.features_sql):
        return judging.Score(f"{name} (as recorded)", champion.about["metrics"], (), champion.about["rows_per_second"])
    rows = data.load()
    return judging.score(champion.judged(use_case.training.trusted), rows.filter(rows["_held_out"]), name)


def _track(
    mlflow: Any, scores: Sequence[judging.Score], fitted: Sequence[fitting.Fitted], verdict: judging.Verdict
) -> None:
    """One nested MLflow run a candidate, and the verdict on their parent."""
    by_name = {one.name: one for one in fitted}
    for one in scores:
        known = by_name[one.name]
        with mlflow.start_run(run_name=one.name, nested=True):
            mlflow.log_params({name: str(value)[:500] for name, value in known.parameters.items()})
            extra = {"rows_per_second": one.rows_per_second, "fit_seconds": known.fit_seconds, "bytes": known.size}
            mlflow.log_metrics({**one.metrics, **extra})
            for step, value in enumerate(one.folds):
                mlflow.log_metric("fold", value, step=step)
    mlflow.set_tags({"verdict": verdict.reason, "winner": verdict.winner or ""})


def _champion(use_case: UseCase) -> dg.AssetsDefinition:
    key = dg.AssetKey([use_case.name, "champion"])

    @dg.asset(
        **_common(use_case, "champion", "evaluation", {"mlflow"}),
        description="The registered model behind the alias `champion`; stays as it is when the gate refuses.",
        required_resource_keys={"mlflow"},
        output_required=False,
    )
    def champion(context: dg.AssetExecutionContext) -> Iterator[Any]:
        settings = Settings.from_environment()
        record = TrainingRuns(settings.lake, use_case.name).read(context.run.run_id, "evaluation")
        data, fitted = fitting.from_record(record)
        scores, verdict = judging.from_record(record)
        if verdict.winner is None:
            log.warning("%s: no new champion: %s", use_case.name, verdict.reason)
            context.log_event(dg.AssetObservation(key, metadata={"skipped": verdict.reason}))
            return
        winner = next(one for one in fitted if one.name == verdict.winner)
        score = next(one for one in scores if one.name == verdict.winner)
        run = context.resources.mlflow.active_run().info.run_id
        log.info("%s: %s; registering it", use_case.name, verdict.reason)
        version = _told(lambda: _register(use_case, settings, data, winner, score, verdict, run))
        yield dg.MaterializeResult(
            metadata={
                "version": version.version,
                "candidate": winner.name,
                **score.metrics,
                "reason": verdict.reason,
                "serving_sha256": version.serving_sha256,
                "training_set": data.fingerprint,
            },
            data_version=dg.DataVersion(version.serving_sha256),
        )

    return champion


def _register(
    use_case: UseCase,
    settings: Settings,
    data: TrainingSet,
    winner: fitting.Fitted,
    score: judging.Score,
    verdict: judging.Verdict,
    run: str,
) -> Version:
    """Fit the winner on all labelled rows, if the configuration says so, and register it."""
    judged = Path(winner.folder)
    serving = Model.load(judged, winner.sha256, use_case.training.trusted)
    if use_case.training.refit:
        candidate = use_case.training.candidates[winner.name].model_copy(update={"parameters": winner.parameters})
        serving = fitting.fit(use_case, candidate, data, data.load())
    about = {
        "candidate": winner.name,
        "metrics": score.metrics,
        "rows_per_second": score.rows_per_second,
        "reason": verdict.reason,
        "training_set": data.fingerprint,
        "rows": data.rows,
        "days": data.days,
        "sql": sql_fingerprint(serving.sql),
        "contract": use_case.contract_fingerprint,
    }
    return Registry(settings).register(use_case.name, run, serving, judged, about)


def _told(work: Any) -> Any:
    """Do work whose errors are meant for people: they fail the step with their message alone."""
    try:
        return work()
    except MlopsError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
