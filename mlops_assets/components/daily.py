"""The daily assets of a use case: raw files, rows and rejects, features, predictions; one partition a day."""

import datetime as dt
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from mlops_assets.components import showing
from mlops_assets.engines.local import LocalEngine
from mlops_assets.errors import MlopsError
from mlops_assets.journey.features import aggregate_day
from mlops_assets.journey.raw import find_manifest, list_day
from mlops_assets.journey.registry import Registry
from mlops_assets.journey.rows import read_day
from mlops_assets.journey.scoring import DayCheck, ScoredDay, check_rows_of_day, score_day
from mlops_assets.journey.training_runs import TrainingRuns
from mlops_assets.lake import Table
from mlops_assets.progress import Progress
from mlops_assets.settings import Settings
from mlops_assets.sources.folder import FolderSource
from mlops_assets.use_case import UseCase

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
    assets = [_raw_files(use_case, common), _rows(use_case, common)]
    if has_file_features:
        assets.append(_features(use_case, common))
    return [*assets, _predictions(use_case, common, after="features" if has_file_features else "rows")]


def _raw_files(use_case: UseCase, common: dict[str, Any]) -> dg.AssetsDefinition:
    @dg.asset(
        key=[use_case.name, "raw_files"],
        owners=[use_case.owner],
        kinds={"file", "deltalake"},
        description=f"The manifest of a day: every file with size and time.\n\n{use_case.description}",
        **common,
    )
    def raw_files(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        settings, source = _places(use_case)
        table = Table(settings.lake, use_case.name, "raw_files")
        manifests = [list_day(use_case, source, table, day) for day in context.partition_keys]
        for manifest in manifests:
            log.info("%s raw_files %s: %d files", use_case.name, manifest.day, manifest.files)
            metadata = {
                "files": manifest.files,
                "bytes": manifest.size,
                "shards": manifest.shards,
                "fingerprint": manifest.fingerprint,
                "folder": dg.MetadataValue.path(str(source.root / f"day={manifest.day}")),
                "first_files": showing.first_rows(table, manifest.day, ["path", "size", "problem"]),
                "dagster/row_count": manifest.files,
            }
            context.add_asset_metadata(metadata, partition_key=manifest.day)
        version = dg.DataVersion(manifests[0].fingerprint) if len(manifests) == 1 else None
        return dg.MaterializeResult(data_version=version)

    return raw_files


def _rows(use_case: UseCase, common: dict[str, Any]) -> dg.AssetsDefinition:
    key = dg.AssetKey([use_case.name, "rows"])
    contract = showing.contract(use_case)

    @dg.multi_asset(
        name=f"{use_case.name}__rows",
        specs=[
            dg.AssetSpec(
                key,
                deps=[dg.AssetKey([use_case.name, "raw_files"])],
                description="Every good row of a day's files, typed, with its file and line.",
                owners=[use_case.owner],
                kinds={"pyarrow", "deltalake"},
                group_name=use_case.name,
                metadata={"contract": contract, "dagster/column_schema": showing.column_schema(use_case)},
            ),
            dg.AssetSpec(
                dg.AssetKey([use_case.name, "rejects"]),
                deps=[dg.AssetKey([use_case.name, "raw_files"])],
                description="Every line and file that was refused, with the rule it broke and its raw text.",
                owners=[use_case.owner],
                kinds={"pyarrow", "deltalake"},
                group_name=use_case.name,
            ),
        ],
        check_specs=[dg.AssetCheckSpec(name, asset=key) for name in ROW_CHECKS],
        partitions_def=common["partitions_def"],
        backfill_policy=common["backfill_policy"],
    )
    def rows(context: dg.AssetExecutionContext) -> Iterator[Any]:
        settings, source = _places(use_case)
        tables = {name: Table(settings.lake, use_case.name, name) for name in ("raw_files", "rows", "rejects")}
        found: dict[str, list[DayCheck]] = {}
        broken: dict[str, str] = {}
        with LocalEngine(settings.workers) as engine:
            for day in context.partition_keys:
                manifest = find_manifest(tables["raw_files"], day)
                if manifest is None:
                    broken[day] = "its raw files were not listed: materialise raw_files first"
                    continue
                watch = Progress(f"{use_case.name} rows {day}", manifest.files)
                try:
                    accounting = read_day(use_case, source, settings.lake, manifest, engine, watch)
                except MlopsError as error:
                    broken[day] = str(error)
                    log.error("%s rows %s: %s", use_case.name, day, error)
                    continue
                where = str(source.root / f"day={day}")
                found[day] = check_rows_of_day(use_case.checks, accounting, where)
                log.info(
                    "%s rows %s: %d rows, %d lines rejected, %d files refused",
                    use_case.name, day, accounting["rows"], accounting["rejected"], accounting["files_refused"],
                )
                _show_rows(context, use_case, tables, day, accounting)
        if len(broken) == len(context.partition_keys):
            raise _failure("nothing was read", broken)
        yield from _check_results(key, ROW_CHECKS, found, broken)
        for name in ("rows", "rejects"):
            yield dg.MaterializeResult(asset_key=dg.AssetKey([use_case.name, name]))

    return rows


def _show_rows(
    context: dg.AssetExecutionContext,
    use_case: UseCase,
    tables: Mapping[str, Table],
    day: str,
    accounting: Mapping[str, Any],
) -> None:
    """Put a day's numbers where a person looks for them."""
    numbers = {name: value for name, value in accounting.items() if isinstance(value, int)}
    shown = {
        "rows": {**numbers, "dagster/row_count": accounting["rows"]},
        "rejects": {
            "by_rule": showing.table([{"rule": rule, "number": n} for rule, n in accounting["rules"].items()]),
            "dagster/row_count": accounting["rejected"] + accounting["files_refused"],
        },
    }
    for name, metadata in shown.items():
        metadata["first_rows"] = showing.first_rows(tables[name], day)
        context.add_asset_metadata(metadata, asset_key=dg.AssetKey([use_case.name, name]), partition_key=day)


def _features(use_case: UseCase, common: dict[str, Any]) -> dg.AssetsDefinition:
    @dg.asset(
        key=[use_case.name, "features"],
        deps=[dg.AssetKey([use_case.name, "rows"])],
        owners=[use_case.owner],
        kinds={"duckdb", "sql", "deltalake"},
        description=f"File-level aggregates, one row a file, by DuckDB.\n\n```sql\n{use_case.features_sql}\n```",
        **common,
    )
    def features(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        settings, _ = _places(use_case)
        table, rows = (Table(settings.lake, use_case.name, name) for name in ("features", "rows"))
        with LocalEngine(settings.workers) as engine:
            for day in context.partition_keys:
                state = rows.days().get(day)
                watch = Progress(f"{use_case.name} features {day}", state.accounting["files_read"] if state else 0)
                accounting = aggregate_day(use_case, settings.lake, day, engine, watch)
                log.info("%s features %s: %d files", use_case.name, day, accounting["files"])
                metadata = {
                    **{name: value for name, value in accounting.items() if isinstance(value, int)},
                    "first_rows": showing.first_rows(table, day),
                    "dagster/row_count": accounting["files"],
                }
                context.add_asset_metadata(metadata, partition_key=day)
        return dg.MaterializeResult()

    return features


def _predictions(use_case: UseCase, common: dict[str, Any], after: str) -> dg.AssetsDefinition:
    key = dg.AssetKey([use_case.name, "predictions"])

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([use_case.name, name]) for name in dict.fromkeys(["rows", after, "champion"])],
        owners=[use_case.owner],
        kinds={"scikitlearn", "deltalake"},
        output_required=False,
        check_specs=[dg.AssetCheckSpec(name, asset=key) for name in SCORE_CHECKS],
        description=(
            "One prediction for every row of a day, with the model version that made it. A day that fails a condition "
            "is not published; without a champion there is nothing to publish."
        ),
        **common,
    )
    def predictions(context: dg.AssetExecutionContext) -> Iterator[Any]:
        settings, source = _places(use_case)
        champion = Registry(settings).champion(use_case.name)
        if champion is None:
            reason = _why_no_champion(use_case, settings)
            log.warning("%s: nothing is predicted: %s", use_case.name, reason)
            for day in context.partition_keys:
                context.log_event(dg.AssetObservation(key, partition=day, metadata={"skipped": reason}))
            yield from _check_results(key, SCORE_CHECKS, {}, {}, note=reason)
            return
        scored: dict[str, ScoredDay] = {}
        broken: dict[str, str] = {}
        rows = Table(settings.lake, use_case.name, "rows").days()
        with LocalEngine(settings.workers) as engine:
            for day in context.partition_keys:
                files = rows[day].accounting["files_read"] if day in rows else 0
                watch = Progress(f"{use_case.name} predictions {day}", files)
                where = str(source.root / f"day={day}")
                try:
                    scored[day] = score_day(use_case, settings.lake, day, champion, engine, watch, where)
                except MlopsError as error:
                    broken[day] = str(error)
                    continue
                said = scored[day].problems or f"{scored[day].accounting['predictions']} rows published"
                log.info("%s predictions %s: %s, model version %d", use_case.name, day, said, champion.version)
        yield from _check_results(key, SCORE_CHECKS, {day: one.checks for day, one in scored.items()}, broken)
        broken.update({day: one.problems for day, one in scored.items() if one.problems})
        table = Table(settings.lake, use_case.name, "predictions")
        shown = {day: _shown(table, day, one, champion.about) for day, one in scored.items() if day not in broken}
        if not broken:
            for day, metadata in shown.items():
                context.add_asset_metadata(metadata, partition_key=day)
            yield dg.MaterializeResult()
            return
        for day, metadata in shown.items():  # the good days stand, although the run will be red
            context.log_event(dg.AssetMaterialization(key, partition=day, metadata=metadata))
        raise _failure(f"not published: {', '.join(sorted(broken))}", broken)

    return predictions


def _shown(table: Table, day: str, one: ScoredDay, about: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {name: value for name, value in one.accounting.items() if isinstance(value, int)}
    return {
        **numbers,
        "model": about["candidate"],
        "by_prediction": showing.counts(table, day, "prediction"),
        "first_rows": showing.first_rows(table, day),
        "dagster/row_count": one.accounting["predictions"],
    }


def _why_no_champion(use_case: UseCase, settings: Settings) -> str:
    record = TrainingRuns(settings.lake, use_case.name).newest("evaluation")
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
        settings, _ = _places(use_case)
        day = (dt.datetime.now(dt.UTC) - dt.timedelta(days=1)).date().isoformat()
        present = day in Table(settings.lake, use_case.name, "predictions").days()
        if not present and Registry(settings).champion(use_case.name) is None:
            return dg.AssetCheckResult(passed=True, description=_why_no_champion(use_case, settings))
        advice = "" if present else f" Run `mlops-assets run {use_case.name} --from {day} --to {day}`."
        said = f"The predictions of {day} are {'published' if present else 'missing'}.{advice}"
        return dg.AssetCheckResult(passed=present, description=said, metadata={"day": day})

    return yesterday_is_not_missing


def _places(use_case: UseCase) -> tuple[Settings, FolderSource]:
    settings = Settings.from_environment()
    return settings, FolderSource(settings.raw / use_case.name, use_case.files.suffix)


def _check_results(
    key: dg.AssetKey,
    names: Sequence[str],
    found: Mapping[str, Sequence[DayCheck]],
    broken: Mapping[str, str],
    note: str = "",
) -> Iterator[dg.AssetCheckResult]:
    """One result a check over all days of the run, with a table of what was found each day."""
    for name in names:
        days = {day: check for day, checks in found.items() for check in checks if check.name == name}
        lines = [
            {"day": day, "passed": c.passed, "found": c.found, "do": "" if c.passed else c.advice}
            for day, c in days.items()
        ]
        unseen = {**{day: "another condition failed before" for day in found if day not in days}, **broken}
        lines += [{"day": day, "passed": False, "found": "not looked at", "do": why} for day, why in unseen.items()]
        failed = [line["day"] for line in lines if not line["passed"]]
        said = f"failed on {', '.join(map(str, failed))}" if failed else note or f"holds on {len(lines)} days"
        metadata = {"days": showing.table(lines)} if lines else {"note": said}
        yield dg.AssetCheckResult(
            asset_key=key, check_name=name, passed=not failed, description=said, metadata=metadata
        )


def _failure(what: str, days: Mapping[str, str]) -> dg.Failure:
    listed = "\n".join(f"{day}: {why}" for day, why in sorted(days.items()))
    return dg.Failure(f"{what}\n{listed}", metadata={"days": showing.table([{"day": d, "why": w} for d, w in days.items()])}, allow_retries=False)
