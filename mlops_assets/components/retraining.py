"""What starts a training by itself: a schedule, and sensors for corrections, audits, red days, labels, the recipe."""

import datetime as dt
from typing import Any

import dagster as dg

from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.changing import REASON_TAG
from mlops_assets.journey.train.recipe import decide_by_recipe, deciding, mark_of
from mlops_assets.journey.train.records import GatheredRows
from mlops_assets.journey.train.retraining import Evidence, decide, gather, last_trained
from mlops_assets.monitoring.kept import red_days
from mlops_assets.use_case import UseCase, load_use_case
from mlops_assets.workspace import Stores, Workspace

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def retraining_schedules(use_case: UseCase, job: Any) -> list[dg.ScheduleDefinition]:
    """The schedule of trainings, if the use case has one."""
    cron = use_case.retraining.schedule
    if cron is None:
        return []
    return [
        dg.ScheduleDefinition(
            name=f"{use_case.name}_retraining_schedule",
            job=job,
            cron_schedule=cron,
            execution_timezone=use_case.partitions.timezone,
            tags={REASON_TAG: f"schedule {cron}"},
            description="Trains; the gate decides whether the new version becomes champion. Off until somebody "
            "switches it on.",
        )
    ]


def retraining_sensors(use_case: UseCase, job: Any) -> list[dg.SensorDefinition]:
    """The sensor that starts a training on corrections, a drop, red days or labels, if the use case asks for one."""
    asked = use_case.retraining
    if all(cause is None for cause in (asked.corrections, asked.drop, asked.drift, asked.labels)):
        return []

    @dg.sensor(
        name=f"{use_case.name}_retraining",
        job=job,
        minimum_interval_seconds=600,
        # a model grows old without anybody's doing: whoever asks for the labels of each month gets them learned
        default_status=dg.DefaultSensorStatus.RUNNING if asked.labels else dg.DefaultSensorStatus.STOPPED,
        description="Starts a training on new corrections, a drop that audits tell of, red days, or the labels of a "
        "new month; the gate decides.",
    )
    def retraining(
        context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.RunRequest | dg.SkipReason:
        newest = context.instance.get_run_records(dg.RunsFilter(job_name=job.name), limit=1)
        last, now = (newest[0] if newest else None), dt.datetime.now(dt.UTC)
        if last is not None and _is_under_way(use_case, last, now):
            return dg.SkipReason(f"the training {last.dagster_run.run_id} is under way")
        stores = workspace.of(use_case)
        try:
            evidence = _gather(stores)
        except MlopsError as error:
            return dg.SkipReason(f"it cannot be told whether to train: {error}")
        # one that failed counts too: nothing is started more often than every so many hours
        decision = decide(asked, evidence, _began(last) if last else None, now)
        if not decision.train:
            return dg.SkipReason(decision.why)
        after = last.dagster_run.run_id if last else "none"  # one that died before it learned may be tried again
        # the key holds the fingerprint of what asks for it: the same evidence asks once
        return dg.RunRequest(run_key=f"{use_case.name}-{evidence.mark}-{after}", tags={REASON_TAG: decision.why})

    return [retraining]


def recipe_sensors(use_case: UseCase, job: Any) -> list[dg.SensorDefinition]:
    """The sensor that starts a training when the recipe changed, if the use case asks for it; its cursor is a mark.

    It reads the folder of the use case anew, as the run will that it starts.
    """
    if not use_case.retraining.recipe:
        return []

    @dg.sensor(
        name=f"{use_case.name}_recipe",
        job=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts one training when keys of defs.yaml that decide a model, or features.sql, changed; the "
        "gate decides.",
    )
    def recipe(
        context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.SensorResult | dg.SkipReason:
        newest = context.instance.get_run_records(dg.RunsFilter(job_name=job.name), limit=1)
        if newest and _is_under_way(use_case, newest[0], dt.datetime.now(dt.UTC)):
            return dg.SkipReason(f"the training {newest[0].dagster_run.run_id} is under way")
        try:
            now = deciding(load_use_case(use_case.folder) if use_case.folder else use_case)
            mark = mark_of(now)
            if mark == context.cursor:
                return dg.SkipReason("the recipe is as it was")
            last = workspace.of(use_case).runs.newest(GatheredRows)
            decision = decide_by_recipe(now, last.recipe if last else None)
        except MlopsError as error:  # such as a YAML that somebody is in the midst of
            return dg.SkipReason(f"nothing is trained, for what decides it cannot be read: {error}")
        if not decision.train:
            return dg.SensorResult(skip_reason=decision.why, cursor=mark)
        # the key is the change: whatever becomes of its training, it is started once
        change = f"{mark}-after-{last.made if last else None}"
        asked = dg.RunRequest(run_key=f"{use_case.name}-recipe-{change}", tags={REASON_TAG: decision.why})
        return dg.SensorResult(run_requests=[asked], cursor=mark)

    return [recipe]


def _gather(stores: Stores) -> Evidence:
    """What speaks for a training; drift that the last one could learn from is no news."""
    use_case, lake, champion, red = stores.use_case, stores.lake, stores.champion(), list[str]()
    if use_case.retraining.drift is not None and champion is not None:
        red = red_days(use_case, lake, champion.version, last_trained(stores.runs))
    return gather(use_case, lake, stores.runs, champion, red)


def _began(record: dg.RunRecord) -> dt.datetime:
    return record.create_timestamp.astimezone(dt.UTC)


def _is_under_way(use_case: UseCase, record: dg.RunRecord, now: dt.datetime) -> bool:
    """Whether a training is at work; one that was killed keeps its status for ever, so it counts for a day."""
    hours = (now - _began(record)).total_seconds() / 3600
    return record.dagster_run.status in UNDER_WAY and hours < max(24, use_case.retraining.hours_between)
