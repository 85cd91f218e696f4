"""The daily assets of a use case: raw files, rows and rejects, features, predictions; one partition a day."""

import datetime as dt
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

from mlops_assets.components import showing
from mlops_assets.components.enriching import ENRICHMENT_CHECKS, enrichment_assets, enrichment_keys
from mlops_assets.components.watching import watch_step
from mlops_assets.errors import MlopsError
from mlops_assets.journey.enrich.answers import NotEnriched
from mlops_assets.journey.features.day import aggregate_day
from mlops_assets.journey.feedback.audit import draw_audit
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.model.training_runs import TrainingRuns
from mlops_assets.journey.read.listing import Manifest, find_manifest, list_day
from mlops_assets.journey.read.rows import read_day
from mlops_assets.journey.read.sources import Source, open_source
from mlops_assets.journey.score.checks import DayCheck, check_rows_of_day
from mlops_assets.journey.score.day import CHALLENGER, MODEL_TAG, ScoredDay, Scorers, score_day
from mlops_assets.settings import Settings
from mlops_assets.storage.accounting import ReadingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.tables import Table
from mlops_assets.use_case import UseCase
from mlops_assets.work.progress import Listing, Progress
from mlops_assets.work.shards import DayDone

log = logging.getLogger("mlops_assets.daily")

ROW_CHECKS = ("accounting_adds_up", "day_is_not_empty", "reject_rate", "quarantine_rate")
SCORE_CHECKS = ("rows_are_current", "every_row_predicted", "unseen_categories")


def daily_partitions(use_case: UseCase) -> dg.DailyPartitionsDefinition:
    """One partition a day from the use case's start on; today's may be run before it is over."""
    return dg.DailyPartitionsDefinition(start_date=use_case.start.isoformat(), end_offset=1)


def daily_assets(use_case: UseCase, *, has_file_features: bool) -> list[dg.AssetsDefinition]:
    """The daily assets in the order of the data; `features` only where the SQL aggregates over files."""
    common: dict[str, Any] = {
        "partitions_def": daily_partitions(use_case),
        "backfill_policy": dg.BackfillPolicy.single_run(),
        "group_name": use_case.name,
    }
    assets = [_raw_files(use_case, common), _rows(use_case, common), *enrichment_assets(use_case, common)]
    if has_file_features:
        assets.append(_features(use_case, common))
    return [*assets, _predictions(use_case, common, after="features" if has_file_features else "rows")]


def _raw_files(use_case: UseCase, common: dict[str, Any]) -> dg.AssetsDefinition:
    @dg.asset(
        key=[use_case.name, "raw_files"],
        owners=[use_case.owner],
        kinds={"file", "deltalake"},
        description=f"The manifest of a day: every file with size and time.\n\n{use_case.description}",
        required_resource_keys={"engines"},
        **common,
    )
    def raw_files(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        source, lake = _places(use_case)
        table = lake.raw_files
        known = table.days()
        # a day that was delivered once and has no folder now is listed as empty; one that never came is passed over
        days = [day for day in context.partition_keys if day in known or source.delivered(day)]
        if not days:
            raise dg.Failure(_not_delivered(source, context.partition_keys), allow_retries=False)
        for day in days:
            listing = Listing(f"{use_case.name} raw_files {day}")

            def tell(files: int, listing: Listing = listing) -> None:
                listing(files)
                if files > use_case.scale.files_a_shard:  # several shards: their processes can start meanwhile
                    context.resources.engines.of(use_case).start()

            manifest = list_day(use_case, source, table, day, tell)
            log.info("%s raw_files %s: %d files", use_case.name, day, manifest.files)
            metadata = {
                "files": manifest.files,
                "attachments": manifest.attachments,
                "bytes": manifest.size,
                "shards": manifest.shards,
                "fingerprint": manifest.fingerprint,
                "folder": dg.MetadataValue.path(source.place(day)),
                "first_files": showing.first_rows(table, day, ["path", "size", "problem"]),
                "dagster/row_count": manifest.files,
            }
            context.add_asset_metadata(metadata, partition_key=day)
        for day in set(context.partition_keys) - set(days):
            log.warning("%s raw_files %s: passed over, it was never delivered", use_case.name, day)
            context.add_asset_metadata({"passed_over": "never delivered: no folder"}, partition_key=day)
        version = dg.DataVersion(table.days()[days[0]].accounting.fingerprint) if len(days) == 1 else None
        return dg.MaterializeResult(data_version=version)

    return raw_files


def _not_delivered(source: Source, days: Sequence[str]) -> str:
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return (
        f"No raw files of {span}: there is no folder {source.place(days[0])}. Have the files delivered, then run again."
    )


def _rows(use_case: UseCase, common: dict[str, Any]) -> dg.AssetsDefinition:
    key, rejects = dg.AssetKey([use_case.name, "rows"]), dg.AssetKey([use_case.name, "rejects"])
    upstream = [dg.AssetKey([use_case.name, "raw_files"])]
    shared: dict[str, Any] = {"deps": upstream, "owners": [use_case.owner], "group_name": use_case.name}

    @dg.multi_asset(
        name=f"{use_case.name}__rows",
        specs=[
            dg.AssetSpec(
                key,
                description="Every good row of a day's files, typed, with its file and line.",
                kinds={"pyarrow", "deltalake"},
                metadata={
                    "contract": showing.contract(use_case),
                    "dagster/column_schema": showing.column_schema(use_case),
                },
                **shared,
            ),
            dg.AssetSpec(
                rejects,
                description="Every line and file that was refused, with the rule it broke and its raw text.",
                kinds={"pyarrow", "deltalake"},
                **shared,
            ),
        ],
        check_specs=[dg.AssetCheckSpec(name, asset=key) for name in ROW_CHECKS],
        required_resource_keys={"engines"},
        partitions_def=common["partitions_def"],
        backfill_policy=common["backfill_policy"],
    )
    def rows(context: dg.AssetExecutionContext) -> Iterator[Any]:
        source, lake = _places(use_case)
        found: dict[str, list[DayCheck]] = {}
        broken: dict[str, str] = {}
        manifests = list(_listed(lake, context.partition_keys))
        watch = watch_step(context, use_case, lake, lake.rows.name, [manifest.day for manifest in manifests])
        for manifest in manifests:
            day = manifest.day
            try:
                engine = context.resources.engines.of(use_case)
                done = read_day(use_case, source, lake, manifest, engine, watch)
            except MlopsError as error:
                broken[day] = str(error)
                log.error("%s rows %s: %s", use_case.name, day, error)
                continue
            found[day] = check_rows_of_day(use_case.checks, done.accounting, source.place(day))
            _show_rows(context, use_case, lake, day, done, watch)
        if not found:
            broken = broken or dict.fromkeys(context.partition_keys, "not listed yet: materialise raw_files first")
            raise showing.failure("no rows were read", broken)
        yield from showing.check_results(key, ROW_CHECKS, found, broken)
        yield dg.MaterializeResult(asset_key=key)
        yield dg.MaterializeResult(asset_key=rejects)

    return rows


def _listed(lake: Lake, days: Sequence[str]) -> Iterator[Manifest]:
    """The manifests of those days that were listed."""
    for day in days:
        manifest = find_manifest(lake.raw_files, day)
        if manifest is not None:
            yield manifest


def _show_rows(
    context: dg.AssetExecutionContext,
    use_case: UseCase,
    lake: Lake,
    day: str,
    done: DayDone[ReadingAccounting],
    watch: Progress,
) -> None:
    """Put a day's numbers where a person looks for them."""
    read = done.accounting
    said = f"{read.rows} rows, {read.rejected} lines rejected, {read.files_refused} files refused, {done}"
    log.info("%s rows %s: %s", use_case.name, day, said)
    by_rule = [{"rule": rule, "number": number} for rule, number in read.rules.items()]
    shown: dict[Table[Any], dict[str, Any]] = {
        lake.rows: {**done.numbers(), **watch.numbers(), "dagster/row_count": read.rows},
        lake.rejects: {"by_rule": showing.table(by_rule), "dagster/row_count": read.rejected + read.files_refused},
    }
    for table, metadata in shown.items():
        metadata["first_rows"] = showing.first_rows(table, day)
        context.add_asset_metadata(metadata, asset_key=dg.AssetKey([use_case.name, table.name]), partition_key=day)


def _features(use_case: UseCase, common: dict[str, Any]) -> dg.AssetsDefinition:
    @dg.asset(
        key=[use_case.name, "features"],
        deps=[dg.AssetKey([use_case.name, "rows"]), *enrichment_keys(use_case)],
        owners=[use_case.owner],
        kinds={"duckdb", "sql", "deltalake"},
        description=f"File-level aggregates, one row a file, by DuckDB.\n\n```sql\n{use_case.features_sql}\n```",
        required_resource_keys={"engines"},
        **common,
    )
    def features(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        _, lake = _places(use_case)
        known = lake.rows.days()
        days = [day for day in context.partition_keys if day in known]
        watch = watch_step(context, use_case, lake, lake.features.name, days)
        broken: dict[str, str] = {}
        for day in days:
            try:
                done = aggregate_day(use_case, lake, day, context.resources.engines.of(use_case), watch)
            except NotEnriched as error:  # the other days go on; `predictions` names this one
                log.error("%s features %s: %s", use_case.name, day, error)
                continue
            except MlopsError as error:
                broken[day] = str(error)
                continue
            said = f"{done.accounting.files} files, {done}"
            log.info("%s features %s: %s", use_case.name, day, said)
            metadata = {
                **done.numbers(),
                **watch.numbers(),
                "first_rows": showing.first_rows(lake.features, day),
                "dagster/row_count": done.accounting.files,
            }
            context.add_asset_metadata(metadata, partition_key=day)
        if broken:
            raise showing.failure(f"not aggregated: {', '.join(sorted(broken))}", broken)
        return dg.MaterializeResult()

    return features


def _predictions(use_case: UseCase, common: dict[str, Any], after: str) -> dg.AssetsDefinition:
    key = dg.AssetKey([use_case.name, "predictions"])
    checks = (*SCORE_CHECKS, *(ENRICHMENT_CHECKS if use_case.enrichments else ()))
    upstream = [dg.AssetKey([use_case.name, name]) for name in dict.fromkeys(["rows", after, "champion"])]

    @dg.asset(
        key=key,
        deps=[*upstream, *enrichment_keys(use_case)],
        owners=[use_case.owner],
        kinds={"scikitlearn", "deltalake"},
        output_required=False,
        check_specs=[dg.AssetCheckSpec(name, asset=key) for name in checks],
        description=(
            "One prediction for every row of a day, with the model version that made it. A day that fails a condition "
            "is not published; without a champion there is nothing to publish."
        ),
        required_resource_keys={"engines"},
        **common,
    )
    def predictions(context: dg.AssetExecutionContext) -> Iterator[Any]:
        source, lake = _places(use_case)
        registry, choice = Registry(Settings.from_environment()), context.run.tags.get(MODEL_TAG, "current")
        champion = registry.champion(use_case.name)
        if champion is None and not choice.isdigit():
            reason = _why_no_champion(use_case, lake)
            log.warning("%s: nothing is predicted: %s", use_case.name, reason)
            for day in context.partition_keys:
                context.log_event(dg.AssetObservation(key, partition=day, metadata={"skipped": reason}))
            yield from showing.check_results(key, checks, {}, {}, note=reason)
            return
        known = lake.raw_files.days()
        days = [day for day in context.partition_keys if day in known]
        if not days:
            raise dg.Failure(_not_delivered(source, context.partition_keys), allow_retries=False)
        scored: dict[str, ScoredDay] = {}
        broken: dict[str, str] = {}
        watch = watch_step(context, use_case, lake, lake.predictions.name, days)
        for day in days:
            try:
                engine = context.resources.engines.of(use_case)
                scorers = _scorers(use_case, registry, choice, day, context.run.run_id)
                one = score_day(use_case, lake, day, scorers, engine, watch, source.place(day))
            except MlopsError as error:
                broken[day] = str(error)
                continue
            scored[day] = one
            if one.problems:
                broken[day] = one.problems
                continue
            version = scorers.version
            said = f"{one.accounting.predictions} rows by version {version.version}, {one}"
            log.info("%s predictions %s: %s", use_case.name, day, said)
            # told day by day, so that the good days stand even when the run ends red
            shown = _shown(lake.predictions, day, one, version.about) | watch.numbers()
            context.log_event(dg.AssetMaterialization(key, partition=day, metadata=shown))
            if scorers.challenger is not None:
                _show_challenger(context, use_case, lake, day, one)
            _draw_audit(context, use_case, lake, day)
        yield from showing.check_results(key, checks, {day: one.checks for day, one in scored.items()}, broken)
        lake.clean(use_case.keep_days)
        if broken:
            raise showing.failure(f"not published: {', '.join(sorted(broken))}", broken)
        # the days were told one by one above; this lets the deliveries begin, and tells nothing more
        yield dg.MaterializeResult(asset_key=key, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})

    return predictions


def _scorers(use_case: UseCase, registry: Registry, choice: str, day: str, run: str) -> Scorers:
    """The version that was asked for, and the challenger if it can be loaded."""
    version = registry.choose(use_case.name, choice, day)
    assert version is not None, "asked for when there is a champion"  # noqa: S101 - the caller saw to it
    challenger = None
    try:
        challenger = registry.challenger(use_case, version)
    except MlopsError as error:  # it must not keep the day from its champion
        log.warning("%s predictions %s: the challenger does not score: %s", use_case.name, day, error)
    return Scorers(version, choice, challenger, run)


def _show_challenger(
    context: dg.AssetExecutionContext, use_case: UseCase, lake: Lake, day: str, one: ScoredDay
) -> None:
    key = dg.AssetKey([use_case.name, CHALLENGER])
    if one.challenger_version is None:
        log.warning("%s predictions %s: the challenger failed on rows of this day; see a diff", use_case.name, day)
        context.log_event(dg.AssetObservation(key, partition=day, metadata={"failed": "see `mlops-assets diff`"}))
        return
    table = lake.challenger_predictions
    shown: dict[str, Any] = {
        "model_version": one.challenger_version,
        "by_prediction": showing.counts(table, day, "prediction"),
        "first_rows": showing.first_rows(table, day),
        "dagster/row_count": one.accounting.predictions,
    }
    context.log_event(dg.AssetMaterialization(key, partition=day, metadata=shown))


def challenger_spec(use_case: UseCase) -> dg.AssetSpec:
    """The asset of the challenger's predictions; the step of `predictions` makes them, features computed once."""
    return dg.AssetSpec(
        key=[use_case.name, CHALLENGER],
        deps=[dg.AssetKey([use_case.name, "rows"])],
        description="What the challenger says of every row; made with `predictions`, stored apart, served to nobody.",
        owners=[use_case.owner],
        group_name=use_case.name,
        kinds={"scikitlearn", "deltalake"},
        partitions_def=daily_partitions(use_case),
    )


def _draw_audit(context: dg.AssetExecutionContext, use_case: UseCase, lake: Lake, day: str) -> None:
    try:
        drawn = draw_audit(use_case, lake, day)
    except MlopsError as error:  # the day is published already
        log.warning("%s audit_sample %s: not drawn: %s", use_case.name, day, error)
        return
    metadata: dict[str, Any] = {
        "drawn": len(drawn),
        "first_rows": showing.table(drawn.slice(0, showing.FIRST).to_pylist()),
        "label them": f"`mlops-assets audit {use_case.name} --day {day} -o FILE`",
        "dagster/row_count": len(drawn),
    }
    context.log_event(dg.AssetMaterialization([use_case.name, "audit_sample"], partition=day, metadata=metadata))


def audit_spec(use_case: UseCase) -> dg.AssetSpec:
    """The asset of the rows drawn for people to label; the step of `predictions` draws them as a day is published."""
    return dg.AssetSpec(
        key=[use_case.name, "audit_sample"],
        deps=[dg.AssetKey([use_case.name, "predictions"])],
        description=(
            f"{use_case.feedback.audit_rows} predictions of a day, drawn at random once and for all, for people to "
            "label: corrections alone are biased. Drawn by the step of `predictions` as a day is published."
        ),
        owners=[use_case.owner],
        group_name=use_case.name,
        kinds={"parquet"},
        partitions_def=daily_partitions(use_case),
    )


def _shown(table: Table[Any], day: str, one: ScoredDay, about: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **one.numbers(),
        "model": about["candidate"],
        "by_prediction": showing.counts(table, day, "prediction"),
        "first_rows": showing.first_rows(table, day),
        "dagster/row_count": one.accounting.predictions,
    }


def _why_no_champion(use_case: UseCase, lake: Lake) -> str:
    record = TrainingRuns(lake.root, use_case.name).newest("evaluation")
    if record is None:
        return f"{use_case.name} has no champion yet; run the job {use_case.name}_training."
    return f"{use_case.name} has no champion: the gate {record['verdict']['reason']}."


def yesterday_check(use_case: UseCase) -> dg.AssetChecksDefinition:
    """The check that yesterday's predictions are there; it looks at the storage, not at Dagster's memory."""

    @dg.asset_check(
        asset=dg.AssetKey([use_case.name, "predictions"]),
        name=f"{use_case.name}_yesterday_is_not_missing",
        description="Whether the predictions of yesterday (UTC) are published.",
    )
    def yesterday_is_not_missing() -> dg.AssetCheckResult:
        _, lake = _places(use_case)
        day = (dt.datetime.now(dt.UTC) - dt.timedelta(days=1)).date().isoformat()
        present = day in lake.predictions.days()
        if not present and Registry(Settings.from_environment()).champion(use_case.name) is None:
            return dg.AssetCheckResult(passed=True, description=_why_no_champion(use_case, lake))
        advice = "" if present else f" Run `mlops-assets run {use_case.name} --from {day} --to {day}`."
        said = f"The predictions of {day} are {'published' if present else 'missing'}.{advice}"
        return dg.AssetCheckResult(passed=present, description=said, metadata={"day": day})

    return yesterday_is_not_missing


def _places(use_case: UseCase) -> tuple[Source, Lake]:
    """Where the raw files lie, and the tables."""
    settings = Settings.from_environment()
    return open_source(use_case, settings.raw), Lake(settings.lake, use_case.name)
