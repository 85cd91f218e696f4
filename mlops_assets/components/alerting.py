"""The sensors that tell somebody: one for runs that failed, one for red checks in runs that went well."""

import time
from collections.abc import Sequence

import dagster as dg

from mlops_assets.components.alerts import Alert, AlertNotDelivered, send
from mlops_assets.components.private import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
    WILL_RETRY_TAG,
)
from mlops_assets.events.message import first_lines
from mlops_assets.workspace import Workspace

PATIENCE = 86_400
"""Seconds after the end of a run for which its alert is tried again."""


RANGE_OF_TAG = "mlops_assets/range_of"
"""Tag of a run that does a range of shards for the run of a day, which it names: that one tells what became of it."""


class AlertWaits(dg.DagsterError):
    """The webhook did not take an alert, which the next tick tries again.

    Dagster moves on to the next run after any other error: the alert would be lost.
    """


def alert_sensors(*, listening: bool) -> list[dg.SensorDefinition]:
    """Both sensors.

    Parameters
    ----------
    listening
        Whether there is an address to post to: then they run from the start, else they can be switched on.
    """
    status = dg.DefaultSensorStatus.RUNNING if listening else dg.DefaultSensorStatus.STOPPED

    @dg.run_failure_sensor(
        name="alert_on_failed_runs",
        default_status=status,
        minimum_interval_seconds=30,
        description="Posts job, days, run, first errors and what to do to MLOPS_ALERT_URL when a run failed for good.",
    )
    def alert_on_failed_runs(
        context: dg.RunFailureSensorContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.SkipReason:
        run = context.dagster_run
        # tags as they are now: the event has those that the run was started with, before Dagster decided on a retry
        tags = (context.instance.get_run_by_id(run.run_id) or run).tags
        if tags.get(WILL_RETRY_TAG) == "true":
            return dg.SkipReason(f"the run {run.run_id} is tried again")
        if RANGE_OF_TAG in tags:
            return dg.SkipReason(f"the run {run.run_id} did a range for {tags[RANGE_OF_TAG]}, which goes on")
        alert = failed_run(run, errors_of(context.instance, run.run_id))
        return _tell(alert, workspace.settings.alert_url, context.instance)

    @dg.run_status_sensor(
        name="alert_on_red_checks",
        run_status=dg.DagsterRunStatus.SUCCESS,
        default_status=status,
        minimum_interval_seconds=30,
        description="Posts the red checks of a run that went well, such as that yesterday is missing.",
    )
    def alert_on_red_checks(
        context: dg.RunStatusSensorContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.SkipReason:
        wanted = dg.DagsterEventType.ASSET_CHECK_EVALUATION
        events = context.instance.all_logs(context.dagster_run.run_id, of_type=wanted)
        checks = [event.get_dagster_event().asset_check_evaluation_data for event in events]
        red = [check for check in checks if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR]
        if not red:
            return dg.SkipReason(f"no check of the run {context.dagster_run.run_id} is red")
        findings = [
            f"{check.asset_key.to_user_string()} {check.check_name}: {check.description or ''}" for check in red
        ]
        return _tell(red_checks(context.dagster_run, findings), workspace.settings.alert_url, context.instance)

    return [alert_on_failed_runs, alert_on_red_checks]


def errors_of(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """What the failed steps of a run said; its message where none failed, such as when its process was lost."""
    failed = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    messages = [_message(entry.get_dagster_event()) for entry in failed]
    if messages:
        return messages
    ends = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    return [entry.get_dagster_event().message or "no step said why" for entry in ends] or ["no step said why"]


def _message(event: dg.DagsterEvent) -> str:
    """What a failed step said, or the innermost error where it said nothing for people."""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return f"{event.step_key}: {error.message if error else event.message}"


def days_of(run: dg.DagsterRun) -> tuple[str, ...]:
    """The day of a run, or the first and the last one of its range; none for runs without days."""
    if PARTITION_NAME_TAG in run.tags:
        return (run.tags[PARTITION_NAME_TAG],)
    ends = (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
    return tuple(run.tags[name] for name in ends if name in run.tags)


def failed_run(run: dg.DagsterRun, errors: Sequence[str]) -> Alert:
    """The alert of a run that failed.

    Parameters
    ----------
    run
        The run.
    errors
        What its failed steps said.
    """
    days = days_of(run)
    problem = f"{run.job_name} failed for {' to '.join(days)}." if days else f"{run.job_name} failed."
    again = "Mend what is named above, then run it again"
    use_case, daily, _ = run.job_name.partition("_daily")
    if daily and days:
        again += f": mlops-assets run {use_case} --from {days[0]} --to {days[-1]}"
    advice = f"{again}. docs/operations.md has the messages."
    return Alert(run.job_name, days, run.run_id, problem, first_lines(errors), advice)


def red_checks(run: dg.DagsterRun, findings: Sequence[str]) -> Alert:
    """The alert of red checks in a run that went well.

    Parameters
    ----------
    run
        The run.
    findings
        What the checks found, one text each.
    """
    number = f"{len(findings)} check{'s are' if len(findings) > 1 else ' is'}"
    problem = f"{run.job_name}: {number} red."
    advice = "The check says what to run. docs/operations.md has the rest."
    return Alert(run.job_name, days_of(run), run.run_id, problem, first_lines(findings), advice)


def _tell(alert: Alert, url: str, instance: dg.DagsterInstance) -> dg.SkipReason:
    if not url:
        return dg.SkipReason("MLOPS_ALERT_URL is not set, so nobody is told")
    try:
        send(alert, url)
    except AlertNotDelivered as error:
        record = instance.get_run_record_by_id(alert.run_id)
        if record is None or record.update_timestamp.timestamp() < time.time() - PATIENCE:
            raise
        raise AlertWaits(f"{error} The next tick tries it again, for a day.") from None
    return dg.SkipReason(f"told of the run {alert.run_id}")
