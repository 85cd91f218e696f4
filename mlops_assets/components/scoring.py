"""The daily asset that scores, and what its step makes besides: the challenger's predictions, rows to be audited."""

import logging
from collections.abc import Iterator
from typing import Any

import dagster as dg

from mlops_assets.components import showing
from mlops_assets.components.asked import SCORING, asked, check_version, schema
from mlops_assets.components.conditions import check_specs
from mlops_assets.components.days import daily, daily_partitions, days_in, days_told, each_day, key, show_made
from mlops_assets.components.drift import show_drift
from mlops_assets.components.enriching import enrichment_keys
from mlops_assets.components.ranges import engine_of
from mlops_assets.components.red import failure, not_there, tell_red
from mlops_assets.components.watching import watch_step
from mlops_assets.errors import MlopsError
from mlops_assets.journey.features.sql import MODEL_INPUT
from mlops_assets.journey.feedback.audit import try_audit
from mlops_assets.journey.score.day import CHALLENGER, ScoredDay, Scorers, score_day
from mlops_assets.monitoring.stopping import checks_of_predictions, judge_of
from mlops_assets.monitoring.verdicts import Watcher
from mlops_assets.use_case import UseCase
from mlops_assets.views import made, markdown
from mlops_assets.work.engines import Engines
from mlops_assets.work.progress import Progress
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.daily")


def predictions_asset(use_case: UseCase, after: str) -> dg.AssetsDefinition:
    """The predictions of each day.

    Parameters
    ----------
    use_case
        The use case.
    after
        The last daily asset before it, `features` or `rows`.
    """
    predictions_key, checks = key(use_case, "predictions"), checks_of_predictions(use_case)
    upstream = [key(use_case, name) for name in dict.fromkeys(["rows", after, MODEL_INPUT, "champion"])]

    @dg.asset(
        key=predictions_key,
        deps=[*upstream, *enrichment_keys(use_case)],
        owners=[use_case.owner],
        group_name=use_case.name,
        kinds={"scikitlearn", "deltalake"},
        # with nothing yielded, what is downstream is skipped and the run is a success
        output_required=False,
        # a day that fails one is not published, whatever Dagster makes of it
        check_specs=check_specs(use_case, predictions_key, checks, blocking=True),
        description=(
            "One prediction for every row of a day, with the model version that made it. A day that fails a condition "
            "is not published; without a champion there is nothing to publish."
        ),
        config_schema=schema(SCORING),
        **daily(use_case),
    )
    def predictions(
        context: dg.AssetExecutionContext,
        workspace: dg.ResourceParam[Workspace],
        engines: dg.ResourceParam[Engines],
    ) -> Iterator[Any]:
        stores, choice = workspace.of(use_case), check_version(asked(context, SCORING)["version"])
        # a version that is named by its number needs no champion
        if stores.champion() is None and not choice.isdigit():
            yield from _skip(context, use_case, stores.why_no_champion())
        else:
            yield from _score_days(context, stores, engines, choice)

    return predictions


def _skip(context: dg.AssetExecutionContext, use_case: UseCase, reason: str) -> Iterator[Any]:
    """Predict nothing, and say why; the run is a success."""
    log.warning("%s: nothing is predicted: %s", use_case.name, reason)
    predictions_key = key(use_case, "predictions")
    for day in context.partition_keys:
        context.log_event(dg.AssetObservation(predictions_key, partition=day, metadata={"skipped": reason}))
    yield from showing.check_results(predictions_key, checks_of_predictions(use_case), {}, {}, note=reason)


def _score_days(context: dg.AssetExecutionContext, stores: Stores, engines: Engines, choice: str) -> Iterator[Any]:
    use_case, lake, predictions_key = stores.use_case, stores.lake, key(stores.use_case, "predictions")
    days = days_in(lake.raw_files, context.partition_keys)
    if not days:
        raise not_there(context, stores, "predictions")
    broken: dict[str, str] = {}
    watcher, accepted = Watcher(stores), asked(context, SCORING)["accept_drift"]
    watch = watch_step(context, stores, "predictions", days)

    def score(day: str) -> tuple[Scorers, ScoredDay]:
        engine = engine_of(context, engines, use_case, day)
        # `as-of` is another version for another day
        scorers = stores.scorers(choice, day, context.run.run_id, accepted)
        assert scorers is not None, "asked for when there is a champion"  # noqa: S101 - the caller saw to it
        judge = judge_of(use_case, lake, watcher, day, scorers.accepted_drift)
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
    yield from showing.check_results(predictions_key, checks_of_predictions(use_case), checks, broken, context=context)
    lake.clean(use_case.keep_days)
    if broken:
        if use_case.drift.watch:
            for day in sorted({*scored} - {*broken}):
                show_drift(context, stores, watcher, day)
        tell_red(context, stores, "predictions", broken)
        raise failure(f"not published: {', '.join(sorted(broken))}", broken, stores)
    yield days_told(predictions_key)  # lets the deliveries begin


def _show_published(
    context: dg.AssetExecutionContext, stores: Stores, day: str, scorers: Scorers, done: ScoredDay, watch: Progress
) -> None:
    """Tell a day that was published, with what its step made besides."""
    use_case = stores.use_case
    drawn = try_audit(use_case, stores.lake, day)
    for table in made.published(stores, day, scorers, done, watch, drawn):
        show_made(context, use_case, day, table)


def made_besides(use_case: UseCase, after: str) -> list[dg.AssetSpec]:
    """The assets that the step of `predictions` makes besides, the features computed once; `after` as there."""
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
    seen = dg.AssetSpec(
        key(use_case, MODEL_INPUT),
        deps=[key(use_case, name) for name in dict.fromkeys(["rows", after])] + enrichment_keys(use_case),
        description=(
            "What the model sees of every row: the view `model_input` of `features.sql`, computed as a day is scored "
            "and not stored.\n\n" + markdown.code(use_case.features_sql, "sql")
        ),
        kinds={"duckdb", "sql"},
        **shared,
    )
    return [seen, audit, challenger] if use_case.challenger else [seen, audit]
