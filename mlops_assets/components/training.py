"""The training assets of a use case: training set, candidates, evaluation, champion; tracked in MLflow."""

import datetime as dt
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import dagster as dg

from mlops_assets.components import showing
from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.history import HistoryConflict
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.model.training_runs import TrainingRuns
from mlops_assets.journey.train import candidates as fitting
from mlops_assets.journey.train import evaluation as judging
from mlops_assets.journey.train.training_set import build_training_set
from mlops_assets.journey.train.versions import champion_before, make_version
from mlops_assets.registering import compare_with_champion, store_version
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import ENRICHMENT, Lake, enrichment_table
from mlops_assets.storage.places import work_folder
from mlops_assets.use_case import UseCase
from mlops_assets.views import card

log = logging.getLogger("mlops_assets.training")


def training_assets(use_case: UseCase) -> list[dg.AssetsDefinition]:
    """The training assets in the order of the data."""
    steps = (_training_set, _candidates, _evaluation, _model_version, _champion)
    return [step(use_case) for step in steps]


def _common(use_case: UseCase, name: str, after: str, kinds: set[str], *others: str) -> dict[str, Any]:
    return {
        "key": [use_case.name, name],
        "deps": [_upstream(use_case, one) for one in (after, *others)],
        "owners": [use_case.owner],
        "group_name": use_case.name,
        "kinds": kinds,
        "pool": "training",
    }


def _upstream(use_case: UseCase, name: str) -> dg.AssetDep:
    """All days of a daily asset, or the one version of another."""
    mapping = dg.AllPartitionMapping() if name == Lake.rows.name or name.startswith(ENRICHMENT) else None
    return dg.AssetDep(dg.AssetKey([use_case.name, name]), partition_mapping=mapping)


def _training_set(use_case: UseCase) -> dg.AssetsDefinition:
    @dg.asset(
        **_common(
            use_case, "training_set", "rows", {"duckdb"}, "feedback", *map(enrichment_table, use_case.enrichments)
        ),
        description=(
            "The labelled rows of the window, without duplicates, in one split for all candidates; rows to learn from "
            "take the labels that people gave them."
        ),
    )
    def training_set(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        settings, made = Settings.from_environment(), dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        found = _told(lambda: build_training_set(use_case, Lake(settings.lake, use_case.name)))
        TrainingRuns(settings.lake, use_case.name).write(
            context.run.run_id, "training_set", {**fitting.to_record([], found), "made": made}
        )
        said = "%s: %d labelled rows, %d held out, %d corrected by people"
        log.info(said, use_case.name, found.rows, found.held_out, found.corrected)
        if found.left_out:
            log.warning("%s: %s", use_case.name, found.left_out)
        shown = asdict(found)
        features = shown.pop("features")
        metadata = {
            **{name: value for name, value in shown.items() if name not in ("classes", "days")},
            "days": " to ".join(found.days),
            "classes": ", ".join(found.classes),
            "features": showing.table(
                [{"column": name, "is": _kind(use_case, name, text=text)} for name, text in features.items()]
            ),
            "dagster/row_count": found.rows,
        }
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(found.fingerprint))

    return training_set


def _kind(use_case: UseCase, name: str, *, text: bool) -> str:
    """What a column of the model is."""
    return "text" if name in use_case.training.texts else "category" if text else "number"


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
        registry = Registry(settings)
        seen = len(registry.history(use_case.name).changes())
        before = champion_before(use_case, registry, data)
        training = use_case.training
        verdict = judging.decide(training, use_case.scale, scores, before)
        found = {**record, **judging.to_record(scores, verdict, before), "seen": seen}
        runs.write(context.run.run_id, "evaluation", found)
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


def _model_version(use_case: UseCase) -> dg.AssetsDefinition:
    key = dg.AssetKey([use_case.name, "model_version"])

    @dg.asset(
        **_common(use_case, "model_version", "evaluation", {"mlflow"}),
        description="The best candidate as a registered version with its model card, whatever the gate says of it.",
        required_resource_keys={"mlflow", "engines"},
        output_required=False,
    )
    def model_version(context: dg.AssetExecutionContext) -> Iterator[Any]:
        settings = Settings.from_environment()
        runs = TrainingRuns(settings.lake, use_case.name)
        record = runs.read(context.run.run_id, "evaluation")
        data, fitted = fitting.from_record(record)
        scores, verdict = judging.from_record(record)
        name = verdict.winner or next((one.name for one in scores if one.name in verdict.conditions), None)
        if name is None:
            runs.write(
                context.run.run_id, "model_version", {"version": None, "passed": False, "reason": verdict.reason}
            )
            context.log_event(dg.AssetObservation(key, metadata={"skipped": verdict.reason}))
            return
        best = next(one for one in fitted if one.name == name)
        score = next(one for one in scores if one.name == name)
        with work_folder(runs.folder(context.run.run_id) / "version", settings.home) as folder:
            log.info("%s: making a version of %s", use_case.name, name)
            about = _told(lambda: make_version(use_case, data, best, score, verdict, folder))
            if use_case.training.gate.changes is not None or use_case.retraining.starts:
                engine = context.resources.engines.of(use_case)
                _told(lambda: compare_with_champion(use_case, settings, folder, about, engine))
            run = context.resources.mlflow.active_run().info.run_id
            version = _told(lambda: store_version(use_case, Registry(settings), run, folder, about))
        told = {"version": version.version, "passed": about["passed"], "reason": about["reason"]}
        runs.write(context.run.run_id, "model_version", {**told, "seen": record.get("seen")})
        log.info("%s: version %d: %s", use_case.name, version.version, about["reason"])
        yield dg.MaterializeResult(
            metadata={
                **told,
                "candidate": name,
                **score.metrics,
                "card": dg.MetadataValue.md(card.render(about, version.version)),
                "pages": dg.MetadataValue.path(str(version.folder)),
                "serving_sha256": version.serving_sha256,
                "training_set": data.fingerprint,
            },
            data_version=dg.DataVersion(version.serving_sha256),
        )

    return model_version


def _champion(use_case: UseCase) -> dg.AssetsDefinition:
    key = dg.AssetKey([use_case.name, "champion"])

    @dg.asset(
        **_common(use_case, "champion", "model_version", {"mlflow"}),
        description="The version that predicts; stays as it is when the gate refuses, or promotion is by hand.",
        output_required=False,
    )
    def champion(context: dg.AssetExecutionContext) -> Iterator[Any]:
        settings = Settings.from_environment()
        record = TrainingRuns(settings.lake, use_case.name).read(context.run.run_id, "model_version")
        registry, number = Registry(settings), record["version"]
        reason = record["reason"]
        if record["passed"] and use_case.training.promotion == "manual":
            reason = f"{reason}; waits for `mlops-assets promote {use_case.name} {number} --why ...`"
        if not record["passed"] or use_case.training.promotion == "manual":
            log.warning("%s: no new champion: %s", use_case.name, reason)
            context.log_event(dg.AssetObservation(key, metadata={"skipped": reason}))
            return
        version = _told(lambda: registry.version(use_case.name, number))
        if registry.history(use_case.name).champion() != number:
            who = f"gate, Dagster run {context.run.run_id}"
            try:
                registry.promote(version, who, reason, use_case.training.trusted, record.get("seen"))
            except HistoryConflict as error:  # it was judged against a champion of before
                log.warning("%s: version %d waits: %s", use_case.name, number, error)
                context.log_event(dg.AssetObservation(key, metadata={"skipped": str(error)}))
                return
            except MlopsError as error:
                raise dg.Failure(str(error), allow_retries=False) from None
        yield dg.MaterializeResult(
            metadata={
                "version": number,
                "candidate": version.about["candidate"],
                **version.about["metrics"],
                "reason": reason,
                "serving_sha256": version.serving_sha256,
                "training_set": version.about["training_set"],
                "history": showing.history(registry.history(use_case.name).changes()),
            },
            data_version=dg.DataVersion(version.serving_sha256),
        )

    return champion


def _told(work: Any) -> Any:
    """Do work whose errors are meant for people: they fail the step with their message alone."""
    try:
        return work()
    except MlopsError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
