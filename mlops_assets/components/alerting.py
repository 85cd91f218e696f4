"""The sensors that tell somebody: one for runs that failed, one for red checks in runs that went well."""

import time
from collections.abc import Sequence

import dagster as dg

from mlops_assets.components.alerts import Alert, AlertNotDelivered, first_lines, send
from mlops_assets.settings import Settings

PARTITION, RANGE_START, RANGE_END = (
    "dagster/partition",
    "dagster/asset_partition_range_start",
    "dagster/asset_partition_range_end",
)
WILL_RETRY = "dagster/will_retry"

PATIENCE = 86_400
"""Seconds after the end of a run for which its alert is tried again."""


class AlertWaits(dg.DagsterError):
    """The webhook did not take an alert, which the next tick tries again.

    Dagster moves on to the next run after any other error: the alert would be lost.
    """


def alert_sensors() -> list[dg.SensorDefinition]:
    """Both sensors; they run from the start where `MLOPS_ALERT_URL` is set, and can be switched on otherwise."""
    listening = bool(Settings.from_environment().alert_url)
    status = dg.DefaultSensorStatus.RUNNING if listening else dg.DefaultSensorStatus.STOPPED

    @dg.run_failure_sensor(
        name="alert_on_failed_runs",
        default_status=status,
        minimum_interval_seconds=30,
        description="Posts job, days, run, first errors and what to do to MLOPS_ALERT_URL when a run failed for good.",
    )
    def alert_on_failed_runs(context: dg.RunFailureSensorContext) -> dg.SkipReason:
        run = context.dagster_run
        tags = (context.instance.get_run_by_id(run.run_id) or run).tags
        if tags.get(WILL_RETRY) == "true":
            return dg.SkipReason(f"the run {run.run_id} is tried again")
        return _tell(failed_run(run, _errors(context)), context.instance)

    @dg.run_status_sensor(
        name="alert_on_red_checks",
        run_status=dg.DagsterRunStatus.SUCCESS,
        default_status=status,
        minimum_interval_seconds=30,
        description="Posts the red checks of a run that went well, such as that yesterday is missing.",
    )
    def alert_on_red_checks(context: dg.RunStatusSensorContext) -> dg.SkipReason:
        wanted = dg.DagsterEventType.ASSET_CHECK_EVALUATION
        events = context.instance.all_logs(context.dagster_run.run_id, of_type=wanted)
        found = [event.get_dagster_event().asset_check_evaluation_data for event in events]
        red = [one for one in found if not one.passed and one.severity == dg.AssetCheckSeverity.ERROR]
        if not red:
            return dg.SkipReason(f"no check of the run {context.dagster_run.run_id} is red")
        said = [f"{one.asset_key.to_user_string()} {one.check_name}: {one.description or ''}" for one in red]
        return _tell(red_checks(context.dagster_run, said), context.instance)

    return [alert_on_failed_runs, alert_on_red_checks]


def _errors(context: dg.RunFailureSensorContext) -> list[str]:
    """What the failed steps said; the message of the run where none failed, such as when its process was lost."""
    said = []
    for event in context.get_step_failure_events():
        data = event.step_failure_data
        if data.user_failure_data is not None and data.user_failure_data.description:
            said.append(str(data.user_failure_data.description))
            continue
        error = data.error
        while error is not None and error.cause is not None:
            error = error.cause
        said.append(f"{event.step_key}: {error.message if error else event.message}")
    return said or [context.failure_event.message or "no step said why"]


def days_of(run: dg.DagsterRun) -> tuple[str, ...]:
    """The day of a run, or the first and the last one of its range; none for runs without days."""
    if PARTITION in run.tags:
        return (run.tags[PARTITION],)
    return tuple(run.tags[name] for name in (RANGE_START, RANGE_END) if name in run.tags)


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


def red_checks(run: dg.DagsterRun, said: Sequence[str]) -> Alert:
    """The alert of red checks in a run that went well.

    Parameters
    ----------
    run
        The run.
    said
        What the checks said, one text each.
    """
    number = f"{len(said)} check{'s are' if len(said) > 1 else ' is'}"
    problem = f"{run.job_name}: {number} red."
    advice = "The check says what to run. docs/operations.md has the rest."
    return Alert(run.job_name, days_of(run), run.run_id, problem, first_lines(said), advice)


def _tell(alert: Alert, instance: dg.DagsterInstance) -> dg.SkipReason:
    url = Settings.from_environment().alert_url
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
