"""The daily assets of a use case whose days are done by a job elsewhere, which tells of them over Dagster Pipes."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

import dagster as dg

from mlops_assets.components import showing
from mlops_assets.components.asked import ENRICHING, READING, SCORING, asked, check_version, schema
from mlops_assets.components.days import daily, days_in, days_told, key, show_skipped, tell_day
from mlops_assets.components.drift import show_drift
from mlops_assets.components.reading import check_deliveries, delivered_days
from mlops_assets.components.red import failure, not_there, stopped, tell_red
from mlops_assets.errors import MlopsError
from mlops_assets.journey.score.checks import EVERY_DAY_DELIVERED, DayCheck
from mlops_assets.monitoring.verdicts import Watcher
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.views.made import Skipped
from mlops_assets.views.reporting import identity
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.daily")

CLIENTS = {
    "subprocess": "mlops_assets.components.beside:open_subprocess",
    "spark_submit": "mlops_assets.components.beside:open_spark_submit",
    **dict.fromkeys(("emr", "emr_serverless", "emr_containers", "glue", "ecs"), "mlops_assets.components.aws:open_aws"),
    "kubernetes": "mlops_assets.components.kubernetes:open_kubernetes",
}
"""By `scale.client.kind`, the function that opens a client of it: it is given `scale.client`, use case and settings."""


class Client(Protocol):
    """Starts a job on a platform, waits for its end and hears what it says meanwhile."""

    def run(
        self, context: dg.AssetExecutionContext, command: Sequence[str], environment: Mapping[str, str]
    ) -> dg.PipesClientCompletedInvocation:
        """Have a job done.

        It ends with 0 when it could tell how the day went, also of a red one: that is said over Pipes. Any other end is
        an error. A run that is cancelled ends its job.

        Parameters
        ----------
        context
            Of the step.
        command
            The words behind `python -m mlops_assets.job`, such as `transactions --day 2026-01-01`.
        environment
            What the job must know of this installation; no secret is among it.
        """
        ...


_WISHES = (READING, ENRICHING, SCORING)
"""What may be asked of the steps that the job does in one."""


def open_client(use_case: UseCase, settings: Settings) -> Client:
    """The client that `scale.client` of a use case asks for.

    Parameters
    ----------
    use_case
        The use case.
    settings
        Of the installation.
    """
    wanted = use_case.scale.client
    module, _, name = CLIENTS[wanted.kind].partition(":")
    client: Client = getattr(import_module(module), name)(wanted, use_case, settings)
    return client


def job_assets(use_case: UseCase, assets: Sequence[dg.AssetsDefinition]) -> dg.AssetsDefinition:
    """Daily assets as the one step of a job: same keys, checks and partitions, made elsewhere.

    Parameters
    ----------
    use_case
        The use case.
    assets
        The assets as they are drawn where this process makes them.
    """
    # what a day that fails does not reach is not made
    specs = [spec.replace_attributes(skippable=True) for one in assets for spec in one.specs]

    @dg.multi_asset(
        name=f"{use_case.name}__job",
        specs=specs,
        check_specs=[spec for one in assets for spec in one.check_specs],
        can_subset=True,
        config_schema=schema(*_WISHES),
        **daily(use_case),
    )
    def job(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> Iterator[Any]:
        yield from _do_days(context, workspace.of(use_case), [spec.key.path[-1] for spec in specs])

    return job


@dataclass
class _Told:
    """What jobs told of the days of a run.

    Attributes
    ----------
    made
        The tables that were made of some day.
    checks
        By table and day, the conditions that were looked at.
    broken
        By day, why it failed.
    at
        By day that failed, the table whose step did; empty if the job itself did.
    note
        Why nothing was predicted.
    """

    made: set[str] = field(default_factory=set)
    checks: dict[str, dict[str, list[DayCheck]]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    at: dict[str, str] = field(default_factory=dict)
    note: str = ""


class _Lenient(dg.AssetExecutionContext):
    """The context of a step that need not make every table, as Pipes has it: a day may have no champion."""

    def set_requires_typed_event_stream(self, *, error_message: str | None = None) -> None:
        """Do not insist."""


def _do_days(context: dg.AssetExecutionContext, stores: Stores, order: Sequence[str]) -> Iterator[Any]:
    """Have a job done for each day, and tell what it told; tables in the order of the data, as Dagster wants it."""
    use_case, lake = stores.use_case, stores.lake
    chosen = {asset.path[-1] for asset in context.selected_asset_keys}
    if Lake.raw_files.name in chosen:
        days = delivered_days(stores, context.partition_keys)
        yield from check_deliveries(context, use_case, days)
    else:
        days = days_in(lake.raw_files, context.partition_keys)
    if not days:
        raise not_there(context, stores, Lake.raw_files.name)
    try:
        told, client = _Told(), open_client(use_case, stores.settings)
    except MlopsError as error:  # it stays so until somebody sets what is missing
        raise stopped(error, use_case.name) from None
    for day in days:
        _do_day(context, stores, client, day, told)
    yield from _check_results(context, told)
    if told.broken:
        if use_case.drift.watch:  # the step that judges is skipped, and the other days are to be judged all the same
            watcher = Watcher(stores)
            for day in days_in(lake.predictions, [day for day in days if day not in told.broken]):
                show_drift(context, stores, watcher, day)
        for day, why in told.broken.items():
            tell_red(context, stores, told.at.get(day) or Lake.predictions.name, {day: why})
        raise _failure(told, stores)
    yield from (days_told(key(use_case, asset)) for asset in order if asset in told.made & chosen)


def _do_day(context: dg.AssetExecutionContext, stores: Stores, client: Client, day: str, told: _Told) -> None:
    """Have the job of a day done, and show what it made."""
    use_case = stores.use_case
    try:
        with warnings.catch_warnings():
            # Pipes uses parts of Dagster that are new or old: for us to know, and not for whoever runs a day
            for category in (dg.PreviewWarning, DeprecationWarning):
                warnings.simplefilter("ignore", category)
            invocation = client.run(
                _Lenient(context.op_execution_context), _command(context, use_case, day), _environment(stores.settings)
            )
    except MlopsError as error:  # of a platform: it says what is to be done
        told.broken[day], told.at[day] = str(error), ""
        return
    except Exception as error:
        told.broken[day] = (
            f"the job ended before it told how the day went: {error}. Its last lines are in the log of the run and in "
            "its output. What it finished is kept: run the day again."
        )
        told.at[day] = ""
        return
    for result in invocation.get_results(implicit_materializations=False):
        asset = result.asset_key
        assert asset is not None, "the job names the asset of whatever it tells"  # noqa: S101 - see `views.reporting`
        if isinstance(result, dg.AssetCheckResult):
            by_day = told.checks.setdefault(asset.path[-1], {})
            by_day.setdefault(day, []).append(_as_check(result))
        else:
            told.made.add(asset.path[-1])
            version = result.data_version.value if result.data_version else ""
            tell_day(context, asset, day, result.metadata or {}, version)
    messages: list[dict[str, Any]] = [*invocation.get_custom_messages()]
    for message in messages:
        _hear(context, use_case, day, message, told)
    if not any(end in message for message in messages for end in ("done", "failed")):
        told.broken[day], told.at[day] = "the job ended and told nothing of the day; look at its output", ""


def _hear(context: dg.AssetExecutionContext, use_case: UseCase, day: str, message: Any, told: _Told) -> None:
    if failed := message.get("failed"):
        told.broken[day], told.at[day] = failed["why"], failed["step"]
    if skipped := message.get("skipped"):
        show_skipped(context, use_case, day, Skipped(**skipped))  # the job's log has said so
        told.note = skipped["why"] if skipped["asset"] == Lake.predictions.name else told.note
    if besides := message.get("besides"):
        tell_day(context, key(use_case, besides["asset"]), day, _metadata(besides["shown"]))


def _command(context: dg.AssetExecutionContext, use_case: UseCase, day: str) -> list[str]:
    """The words of the job of a day."""
    wanted = {name: said for some in _WISHES for name, said in asked(context, some).items()}
    model, accepted, files_of = (
        check_version(wanted["version"]),
        wanted["accept_drift"],
        wanted["files_as_published_on"],
    )
    words = [use_case.name, "--day", day, "--model", model, "--identity", identity(use_case)]
    words += ["--accept-drift", accepted] if accepted else []
    words += ["--files-as-published-on", files_of] if files_of else []
    return [*words, "--refetch"] if wanted["again"] else words


def _environment(settings: Settings) -> dict[str, str]:
    """Where everything is, and who asks; no secret is among it."""
    artifacts = {"MLOPS_ARTIFACTS": str(settings.artifacts)} if settings.artifacts is not None else {}
    places = {"MLOPS_RAW": str(settings.raw), "MLOPS_LAKE": str(settings.lake), **artifacts}
    return {**places, "MLOPS_USER": settings.user}


def _as_check(result: dg.AssetCheckResult) -> DayCheck:
    said = {name: value.value for name, value in result.metadata.items()}
    found, advice = (str(said.pop(name)) for name in ("found", "do"))
    warns = result.severity == dg.AssetCheckSeverity.WARN
    numbers = {name: value for name, value in said.items() if isinstance(value, int | float)}
    return DayCheck(str(result.check_name), result.passed, found, advice, warns, numbers)


def _check_results(context: dg.AssetExecutionContext, told: _Told) -> Iterator[dg.AssetCheckResult]:
    """The checks over all days of the run; none of tables that no day reached. That of deliveries was told before."""
    for check in sorted(context.selected_asset_check_keys, key=str):
        asset = check.asset_key.path[-1]
        by_day = told.checks.get(asset, {})
        # a day whose step failed is told by that
        failed = {day: told.broken[day] for day, step in told.at.items() if step == asset}
        note = told.note if asset == Lake.predictions.name and not by_day else ""
        if check.name != EVERY_DAY_DELIVERED and (by_day or failed or note):
            yield from showing.check_results(check.asset_key, [check.name], by_day, failed, note, context)


def _failure(told: _Told, stores: Stores) -> dg.Failure:
    end = failure(f"not done: {', '.join(sorted(told.broken))}", told.broken, stores)
    # a reason of the day stays until somebody acts; a job that was lost may do better
    end.allow_retries = not any(told.at.values())
    return end


def _metadata(shown: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {"md": dg.MetadataValue.md, "path": dg.MetadataValue.path, "url": dg.MetadataValue.url}
    return {
        name: kinds[value["type"]](value["raw_value"]) if isinstance(value, dict) else value
        for name, value in shown.items()
    }
