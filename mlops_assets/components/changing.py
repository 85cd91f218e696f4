"""The jobs by which people change the champion from afar, and what follows a training that they asked for."""

import datetime as dt
import logging
from typing import Any

import dagster as dg

from mlops_assets.components.days import spans
from mlops_assets.components.private import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from mlops_assets.components.retro import put_days_back
from mlops_assets.errors import MlopsError
from mlops_assets.journey.model import changing
from mlops_assets.journey.model.changing import REASON_TAG, RETRO_TAG, WHO_TAG, Changed
from mlops_assets.journey.train.records import MadeVersion
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.champion")


def changing_jobs(use_case: UseCase) -> list[dg.JobDefinition]:
    """The jobs `promote` and `rollback` of a use case; their configuration says what the commands are told."""
    name = use_case.name

    @dg.op(
        name=f"{name}_promote_version",
        config_schema={
            "version": dg.Field(int, description="The version."),
            "why": dg.Field(str, description="The reason, for the history."),
            "override": dg.Field(bool, False, description="Promote it although the gate refused it."),
            "who": dg.Field(str, "", description="Who wants it; by default the user of the daemon."),
        },
        required_resource_keys={"workspace"},
    )
    def promote_version(context: dg.OpExecutionContext) -> None:
        config, stores = context.op_config, _stores(context, use_case)
        who = config["who"] or stores.settings.user
        _do(
            context,
            lambda: changing.promote(
                stores.registry, use_case, config["version"], who, config["why"], override=config["override"]
            ),
        )

    @dg.op(
        name=f"{name}_roll_back",
        config_schema={
            "why": dg.Field(str, description="The reason, for the history."),
            "who": dg.Field(str, "", description="Who wants it; by default the user of the daemon."),
        },
        required_resource_keys={"workspace", "engines"},
    )
    def go_back(context: dg.OpExecutionContext) -> None:
        config, stores = context.op_config, _stores(context, use_case)
        who = config["who"] or stores.settings.user
        _do(context, lambda: changing.roll_back(stores.registry, use_case, who, config["why"]))
        put_days_back(context, stores, context.resources.engines)

    @dg.job(name=f"{name}_promote", description="Makes a version the champion, as the command `promote` does.")
    def promote() -> None:
        promote_version()

    @dg.job(name=f"{name}_rollback", description="Makes the champion of before the champion again, as `rollback` does.")
    def rollback() -> None:
        go_back()

    return [promote, rollback]


def _stores(context: dg.OpExecutionContext, use_case: UseCase) -> Stores:
    workspace: Workspace = context.resources.workspace
    return workspace.of(use_case)


def _do(context: dg.OpExecutionContext, change: Any) -> None:
    """Change the champion; what is wrong fails the step with its message alone."""
    try:
        done: Changed = change()
    except MlopsError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    if done.trouble:
        log.warning(done.trouble)
    told = done.change
    context.add_output_metadata(
        {"version": told.version, "before": told.before or 0, "who": told.who, "why": told.why, "already": done.already}
    )


def asked_by(run: dg.DagsterRun) -> str:
    """Who decides about a training, for the history: the gate, and who asked for it."""
    who = run.tags.get(WHO_TAG)
    return f"gate, asked by {who}, Dagster run {run.run_id}" if who else f"gate, Dagster run {run.run_id}"


def first_scoring_sensors(use_case: UseCase, training: Any, daily: Any) -> list[dg.SensorDefinition]:
    """The sensor that has days predicted for the first time after a training that named them, if it made a champion.

    Those that are published already are scored again, see `components.retro`.
    """

    @dg.run_status_sensor(
        name=f"{use_case.name}_first_score",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[training],
        request_job=daily,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for runs of the days that a training named and that have no predictions yet, if it made a "
        "champion.",
    )
    def first_score(
        context: dg.RunStatusSensorContext, workspace: dg.ResourceParam[Workspace]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        run = context.dagster_run
        if RETRO_TAG not in run.tags:
            return dg.SkipReason(f"the training {run.run_id} names no days")
        stores = workspace.of(use_case)
        try:
            made = stores.runs.read(run.run_id, MadeVersion)
        except MlopsError as error:
            return dg.SkipReason(f"what the training {run.run_id} made cannot be read: {error}")
        if made.version is None or stores.history.champion() != made.version:
            return dg.SkipReason(f"the training {run.run_id} made no champion, so no day is scored: {made.reason}")
        days = _without_predictions(stores, run.tags[RETRO_TAG])
        if not days:
            return dg.SkipReason(f"no day of {run.tags[RETRO_TAG]} has files and no predictions")
        reason = f"scored by version {made.version}, which the training {run.run_id} made champion"
        who = {WHO_TAG: run.tags[WHO_TAG]} if WHO_TAG in run.tags else {}
        asked = []
        for span in spans(use_case, days):
            first, _, last = span.partition(" to ")
            tags = {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last or first}
            # one run, as a range that a person asks for: each day of it is told, and done again it resumes
            asked.append(dg.RunRequest(run_key=f"first-{run.run_id}-{first}", tags={REASON_TAG: reason, **tags, **who}))
        return asked

    return [first_score]


def _without_predictions(stores: Stores, asked: str) -> list[str]:
    """The days of a span that have files or had some, and are not published."""
    first, _, last = asked.partition("/")
    use_case, now = stores.use_case, dt.datetime.now(dt.UTC)
    earliest, latest = max(first, use_case.first_day), min(last, use_case.partitions.key(now))
    known, published = stores.days_with_files(), stores.lake.predictions.days()
    return sorted(day for day in known if earliest <= day <= latest and day not in published)
