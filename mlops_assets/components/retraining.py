"""What starts a training by itself: a schedule, and a sensor that looks at new corrections and audits."""

import datetime as dt
from typing import Any

import dagster as dg

from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.train.retraining import decide, gather
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase

REASON_TAG = "mlops_assets/reason"
"""Run tag that says what started a training."""

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
            execution_timezone="UTC",
            tags={REASON_TAG: f"schedule {cron}"},
        )
    ]


def retraining_sensors(use_case: UseCase, job: Any) -> list[dg.SensorDefinition]:
    """The sensor that starts a training on new corrections or on a drop, if the use case asks for one of them."""
    asked = use_case.retraining
    if asked.corrections is None and asked.drop is None:
        return []

    @dg.sensor(
        name=f"{use_case.name}_retraining",
        job=job,
        minimum_interval_seconds=600,
        description="Starts a training on enough new corrections, or when audits tell of a drop; the gate decides.",
    )
    def retraining(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        runs = context.instance.get_run_records(dg.RunsFilter(job_name=job.name), limit=1)
        now = dt.datetime.now(dt.UTC)
        age = (now - runs[0].create_timestamp.astimezone(dt.UTC)).total_seconds() / 3600 if runs else 0.0
        # one that was killed keeps its status for ever
        if runs and runs[0].dagster_run.status in UNDER_WAY and age < max(24, use_case.retraining.hours_between):
            return dg.SkipReason(f"the training {runs[0].dagster_run.run_id} is under way")
        settings = Settings.from_environment()
        try:
            champion = Registry(settings).champion(use_case.name)
            evidence = gather(use_case, Lake(settings.lake, use_case.name), champion)
        except MlopsError as error:
            return dg.SkipReason(f"it cannot be told whether to train: {error}")
        # one that failed counts too: nothing is started more often than every so many hours
        last = runs[0].create_timestamp.astimezone(dt.UTC) if runs else None
        decision = decide(asked, evidence, last, now)
        if not decision.train:
            return dg.SkipReason(decision.why)
        after = runs[0].dagster_run.run_id if runs else "none"  # one that died before it learned may be tried again
        return dg.RunRequest(run_key=f"{use_case.name}-{evidence.mark}-{after}", tags={REASON_TAG: decision.why})

    return [retraining]
