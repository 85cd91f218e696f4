"""The sensors by which people hear of what happens, and the heartbeat that stops when nobody tells any more."""

import datetime as dt
import logging
from collections.abc import Callable, Sequence
from functools import cache

import dagster as dg

from mlops_assets.components import showing
from mlops_assets.components.alerting import days_of, errors_of
from mlops_assets.components.days import key
from mlops_assets.components.private import WILL_RETRY_TAG
from mlops_assets.components.retraining import UNDER_WAY
from mlops_assets.errors import MlopsError
from mlops_assets.events.facts import LastRun, Runs
from mlops_assets.events.happened import LampTurned
from mlops_assets.events.heartbeat import beat
from mlops_assets.events.telling import Look, look
from mlops_assets.monitoring.kept import read_verdict
from mlops_assets.settings import Settings
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.told")

INTERVAL = 30
"""Seconds between two looks."""

RUNS, HOURS = 200, 72
"""Runs that a look takes into account, and how old they may be."""

JOBS = ("daily", "training", "monitoring")
"""The jobs of a use case whose failures are told."""


def remembered(use_case: UseCase) -> Callable[[Settings], Stores]:
    """The tables for the looks of a sensor; they remember the commits they have seen from one look to the next."""

    @cache
    def stores_of(settings: Settings) -> Stores:
        return Workspace(settings).of(use_case)

    return stores_of


def telling_sensors(use_case: UseCase) -> list[dg.SensorDefinition]:
    """The sensor that tells, if the use case names a channel; it runs as soon as the code location is loaded."""
    if not use_case.told:
        return []

    stores_of = remembered(use_case)

    @dg.sensor(
        name=f"{use_case.name}_told",
        minimum_interval_seconds=INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Tells {', '.join(use_case.told)} of what happens: days published, replaced, red or late, lamps, changes "
            "of the champion, trainings that the gate refuses. One cause is told once, and once more when it is over."
        ),
    )
    def told(context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]) -> dg.SensorResult:
        done = look_now(stores_of(workspace.settings), context.instance)
        context.log.info(str(done))
        return dg.SensorResult(
            skip_reason=str(done), asset_events=_given_up(use_case, done, context.cursor), cursor=_last(done)
        )

    return [told]


def look_now(stores: Stores, instance: dg.DagsterInstance) -> Look:
    """One look at a use case, with what Dagster knows of its runs; what is new is told.

    Parameters
    ----------
    stores
        What there is of the use case.
    instance
        Dagster's.
    """
    return look(stores, runs_of(instance, stores.use_case), lambda day: lamps_of(stores, day))


def lamps_of(stores: Stores, day: str) -> Sequence[LampTurned]:
    """The lamps of a day that are red or green, what somebody should hear of first; none where it was not judged.

    They are those of the verdict that the run of the day has kept, and that of the estimate.
    """
    try:
        kept = read_verdict(stores.use_case, stores.lake, day)
    except MlopsError as error:  # whatever else happened is told nevertheless
        log.warning("%s told %s: its lamps cannot be read: %s", stores.use_case.name, day, error)
        return ()
    if kept is None:
        return ()
    verdict = kept.verdict
    published = stores.lake.predictions.days().get(day)
    # a day that was kept back was told as red, and somebody has looked at it since
    accepted = published is not None and bool(published.accounting.accepted_drift)
    lamps = [
        LampTurned(
            name=lamp.name,
            red=lamp.red,
            sentence=lamp.sentence,
            day=day,
            advice=lamp.advice,
            follows=accepted or bool(lamp.cause),
        )
        for lamp in verdict.lamps
        if lamp.state != "grey"
    ]
    # rows that look otherwise are harder: whoever hears of them knows why
    doubt = LampTurned(name="estimate", red=bool(kept.doubt), sentence=kept.doubt, day=day, follows=verdict.red)
    return [*lamps, doubt]


def _last(done: Look) -> str:
    return str(max((one["when"] for one in done.lost), default=0.0))


def _given_up(use_case: UseCase, done: Look, cursor: str | None) -> list[dg.AssetObservation]:
    """What was given up since the last look, for the page of the predictions."""
    fresh = [one for one in done.lost if one["when"] > float(cursor or 0.0)]
    if not fresh:
        return []
    shown = showing.table([{name: one[name] for name in ("channel", "sentence", "why")} for one in fresh])
    return [dg.AssetObservation(key(use_case, "predictions"), metadata={"nobody was told": shown})]


def runs_of(instance: dg.DagsterInstance, use_case: UseCase) -> Runs:
    """What Dagster knows of the runs of a use case: how the last one of each day ended, and what is at work."""
    last: dict[str, LastRun] = {}
    under_way: dict[str, dt.datetime] = {}
    since = dt.datetime.now(dt.UTC) - dt.timedelta(hours=HOURS)
    for name in JOBS:
        wanted = dg.RunsFilter(job_name=f"{use_case.name}_{name}", updated_after=since)
        for record in instance.get_run_records(wanted, limit=RUNS):  # the newest first
            run = record.dagster_run
            days = _days(run, use_case)
            if run.status in UNDER_WAY and record.start_time:
                under_way |= dict.fromkeys(days, dt.datetime.fromtimestamp(record.start_time, dt.UTC))
            elif run.status in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE):
                for subject, ended in _ended(instance, record, days).items():
                    last.setdefault(subject, ended)
    return Runs(last, under_way)


def _days(run: dg.DagsterRun, use_case: UseCase) -> list[str]:
    """Every day of a run; none for runs without days."""
    ends = days_of(run)
    if not ends:
        return []
    return use_case.partitions.between(max(ends[0], use_case.first_day), ends[-1])


def _ended(instance: dg.DagsterInstance, record: dg.RunRecord, days: Sequence[str]) -> dict[str, LastRun]:
    """How a run ended for each of its days, or for its job; nothing where it is tried again."""
    run, ended = record.dagster_run, record.end_time or 0.0
    subjects, is_day = (days, True) if days else ([run.job_name], False)
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return {subject: LastRun(run.run_id, (), is_day, ended) for subject in subjects}
    if run.tags.get(WILL_RETRY_TAG) == "true":
        return {}
    errors = tuple(errors_of(instance, run.run_id))
    # a range goes on with the other days: those that are not named in what it said were done
    named = [day for day in days if any(day in error for error in errors)] if len(days) > 1 else []
    red = set(named or subjects)
    return {s: LastRun(run.run_id, errors if s in red else (), is_day, ended) for s in subjects}


def heartbeat_sensor() -> dg.SensorDefinition:
    """The sensor that gives a sign of life."""

    @dg.sensor(
        name="heartbeat",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Writes the time to MLOPS_HOME/heartbeat and asks MLOPS_HEARTBEAT_URL, so that a daemon that is "
        "dead is noticed from outside.",
    )
    def heartbeat(workspace: dg.ResourceParam[Workspace]) -> dg.SkipReason:
        return dg.SkipReason(beat(workspace.settings, dt.datetime.now(dt.UTC)))

    return heartbeat
