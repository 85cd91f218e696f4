"""The daily asset that scores, and what its step makes besides: the challenger's predictions, rows to be audited."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from mlops_assets.components import showing
from mlops_assets.components.days import daily, daily_partitions, days_in, days_told, each_day, key, tell_day
from mlops_assets.components.drift import show_drift
from mlops_assets.components.enriching import ENRICHMENT_CHECKS, enrichment_keys
from mlops_assets.components.reading import not_delivered
from mlops_assets.components.watching import watch_step
from mlops_assets.errors import MlopsError
from mlops_assets.journey.feedback.audit import draw_audit
from mlops_assets.journey.score.day import ACCEPT_TAG, CHALLENGER, MODEL_TAG, Judge, ScoredDay, Scorers, score_day
from mlops_assets.journey.score.profile.watching import see_reference
from mlops_assets.journey.train.records import Evaluation
from mlops_assets.monitoring.days import scored_day
from mlops_assets.monitoring.stopping import STOP_CHECK, check_drift
from mlops_assets.monitoring.verdicts import Watcher
from mlops_assets.storage.catalog import PREDICTIONS
from mlops_assets.use_case import UseCase
from mlops_assets.views.status import too_large_records
from mlops_assets.work.engines import Engines
from mlops_assets.work.progress import Progress
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.daily")

SCORE_CHECKS = ("rows_are_current", "every_row_predicted", "unseen_categories")

SHOWN = (*PREDICTIONS.names, "day")
"""Columns of the rows that are shown; lists of probabilities are for readers."""


def predictions_asset(use_case: UseCase, after: str) -> dg.AssetsDefinition:
    """The predictions of each day.

    Parameters
    ----------
    use_case
        The use case.
    after
        The last daily asset before it, `features` or `rows`.
    """
    predictions_key, checks = key(use_case, "predictions"), _checks(use_case)
    upstream = [key(use_case, name) for name in dict.fromkeys(["rows", after, "champion"])]

    @dg.asset(
        key=predictions_key,
        deps=[*upstream, *enrichment_keys(use_case)],
        owners=[use_case.owner],
        group_name=use_case.name,
        kinds={"scikitlearn", "deltalake"},
        # with nothing yielded, what is downstream is skipped and the run is a success
        output_required=False,
        check_specs=[dg.AssetCheckSpec(name, asset=predictions_key) for name in checks],
        description=(
            "One prediction for every row of a day, with the model version that made it. A day that fails a condition "
            "is not published; without a champion there is nothing to publish."
        ),
        **daily(use_case),
    )
    def predictions(
        context: dg.AssetExecutionContext,
        workspace: dg.ResourceParam[Workspace],
        engines: dg.ResourceParam[Engines],
    ) -> Iterator[Any]:
        stores, choice = workspace.of(use_case), context.run.tags.get(MODEL_TAG, "current")
        # a version that is named by its number needs no champion
        if stores.champion() is None and not choice.isdigit():
            yield from _skip(context, use_case, why_no_champion(stores))
        else:
            yield from _score_days(context, stores, engines, choice)

    return predictions


def _checks(use_case: UseCase) -> Sequence[str]:
    stop = (STOP_CHECK,) if use_case.drift.stop else ()
    return (*SCORE_CHECKS, *(ENRICHMENT_CHECKS if use_case.enrichments else ()), *stop)


def _skip(context: dg.AssetExecutionContext, use_case: UseCase, reason: str) -> Iterator[Any]:
    """Predict nothing, and say why; the run is a success."""
    log.warning("%s: nothing is predicted: %s", use_case.name, reason)
    predictions_key = key(use_case, "predictions")
    for day in context.partition_keys:
        context.log_event(dg.AssetObservation(predictions_key, partition=day, metadata={"skipped": reason}))
    yield from showing.check_results(predictions_key, _checks(use_case), {}, {}, note=reason)


def _score_days(context: dg.AssetExecutionContext, stores: Stores, engines: Engines, choice: str) -> Iterator[Any]:
    use_case, lake, predictions_key = stores.use_case, stores.lake, key(stores.use_case, "predictions")
    days = days_in(lake.raw_files, context.partition_keys)
    if not days:
        raise dg.Failure(not_delivered(stores.source, context.partition_keys), allow_retries=False)
    broken: dict[str, str] = {}
    watcher = Watcher(stores)
    watch = watch_step(context, stores, "predictions", days)

    def score(day: str) -> tuple[Scorers, ScoredDay]:
        engine = engines.of(use_case, day)
        scorers = _scorers(stores, choice, day, context.run)  # `as-of` is another version for another day
        judge = _judge(stores, watcher, day, scorers.accepted_drift)
        return scorers, score_day(use_case, lake, day, scorers, engine, watch, stores.source.place(day), judge)

    def failed(day: str, error: MlopsError) -> None:
        broken[day] = str(error)

    def tell(day: str, done: tuple[Scorers, ScoredDay]) -> None:
        if done[1].problems:
            broken[day] = done[1].problems
        else:
            _show_published(context, stores, day, *done, watch)

    scored = each_day(days, score, tell, failed)
    checks = {day: done.checks for day, (_, done) in scored.items()}
    yield from showing.check_results(predictions_key, _checks(use_case), checks, broken)
    lake.clean(use_case.keep_days)
    if broken:
        if use_case.drift.watch:
            for day in sorted({*scored} - {*broken}):
                show_drift(context, stores, watcher, day)
        raise showing.failure(f"not published: {', '.join(sorted(broken))}", broken)
    yield days_told(predictions_key)  # lets the deliveries begin


def _judge(stores: Stores, watcher: Watcher, day: str, accepted: str) -> Judge | None:
    """What asks whether a lamp of a scored day is red, where such a day is kept back."""
    use_case, lake = stores.use_case, stores.lake
    if not use_case.drift.stop:
        return None
    return lambda parts, told: [check_drift(use_case, watcher, scored_day(lake, day, parts, told), accepted)]


def _scorers(stores: Stores, choice: str, day: str, run: dg.DagsterRun) -> Scorers:
    """The version that was asked for, and the challenger if it can be loaded."""
    use_case, registry = stores.use_case, stores.registry
    version = registry.choose(use_case.name, choice, day)
    assert version is not None, "asked for when there is a champion"  # noqa: S101 - the caller saw to it
    version = registry.prove(version, use_case.training.trusted)
    see_reference(use_case, version)
    challenger = None
    try:
        challenger = registry.challenger(use_case, version)
    except MlopsError as error:  # it must not keep the day from its champion
        log.warning("%s predictions %s: the challenger does not score: %s", use_case.name, day, error)
    return Scorers(version, choice, challenger, run.run_id, run.tags.get(ACCEPT_TAG, ""))


def _show_published(
    context: dg.AssetExecutionContext, stores: Stores, day: str, scorers: Scorers, done: ScoredDay, watch: Progress
) -> None:
    """Tell a day that was published, with what its step made besides."""
    use_case, version, table = stores.use_case, scorers.version, stores.lake.predictions
    rows = done.accounting.predictions
    summary = f"{rows} rows by version {version.version}, {done}"
    log.info("%s predictions %s: %s", use_case.name, day, summary)
    metadata = {
        **done.numbers(),
        "model": version.about.candidate,
        "by_prediction": showing.counts(table, day, "prediction"),
        "first_rows": showing.first_rows(table, day, SHOWN),
        "dagster/row_count": rows,
        **watch.numbers(),
    }
    if done.accounting.sql_rejected:
        metadata["without_prediction"] = showing.first_rows(
            stores.lake.unpredicted, day, ["file", "line", "rule", "message"]
        )
    if done.accounting.too_large:
        metadata["too_large"] = showing.table(too_large_records(done.accounting))
    tell_day(context, key(use_case, "predictions"), day, metadata)
    if scorers.challenger is not None:
        _show_challenger(context, stores, day, done)
    _draw_audit(context, stores, day)


def _show_challenger(context: dg.AssetExecutionContext, stores: Stores, day: str, done: ScoredDay) -> None:
    use_case, challenger_key = stores.use_case, key(stores.use_case, CHALLENGER)
    if done.challenger_version is None:
        log.warning("%s predictions %s: the challenger failed on rows of this day; see a diff", use_case.name, day)
        reason = {"failed": "see `mlops-assets diff`"}
        context.log_event(dg.AssetObservation(challenger_key, partition=day, metadata=reason))
        return
    table = stores.lake.challenger_predictions
    shown: dict[str, Any] = {
        "model_version": done.challenger_version,
        "by_prediction": showing.counts(table, day, "prediction"),
        "first_rows": showing.first_rows(table, day, SHOWN),
        "dagster/row_count": done.accounting.predictions,
    }
    tell_day(context, challenger_key, day, shown)


def _draw_audit(context: dg.AssetExecutionContext, stores: Stores, day: str) -> None:
    use_case = stores.use_case
    try:
        drawn = draw_audit(use_case, stores.lake, day)
    except MlopsError as error:  # the day is published already
        log.warning("%s audit_sample %s: not drawn: %s", use_case.name, day, error)
        return
    metadata: dict[str, Any] = {
        "drawn": len(drawn),
        "first_rows": showing.table(drawn.slice(0, showing.FIRST).to_pylist()),
        "label them": f"`mlops-assets audit {use_case.name} --day {day} -o FILE`",
        "dagster/row_count": len(drawn),
    }
    tell_day(context, key(use_case, "audit_sample"), day, metadata)


def made_besides(use_case: UseCase) -> list[dg.AssetSpec]:
    """The assets that the step of `predictions` makes besides, the features computed once."""
    shared: dict[str, Any] = {
        "owners": [use_case.owner],
        "group_name": use_case.name,
        "partitions_def": daily_partitions(use_case),
    }
    # by the step of `predictions`: one of its own would be skipped whenever one day of a range was not published
    audit = dg.AssetSpec(
        key(use_case, "audit_sample"),
        deps=[key(use_case, "predictions")],
        description=(
            f"{use_case.feedback.audit_rows} predictions of a day, drawn at random once and for all, for people to "
            "label: corrections alone are biased. Drawn by the step of `predictions` as a day is published."
        ),
        kinds={"parquet"},
        **shared,
    )
    challenger = dg.AssetSpec(
        key(use_case, CHALLENGER),
        deps=[key(use_case, "rows")],
        description="What the challenger says of every row; made with `predictions`, stored apart, served to nobody.",
        kinds={"scikitlearn", "deltalake"},
        **shared,
    )
    return [audit, challenger] if use_case.challenger else [audit]


def why_no_champion(stores: Stores) -> str:
    """Why a use case has no champion, and what to do."""
    name, newest = stores.use_case.name, stores.runs.newest(Evaluation)
    if newest is None:
        return f"{name} has no champion yet; run the job {name}_training."
    return f"{name} has no champion: the gate {newest.verdict.reason}."
