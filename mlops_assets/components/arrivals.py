"""The sensor for new files: asks for a run of each day that holds other files than the lake, once it has settled."""

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import dagster as dg

from mlops_assets.components.private import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
    RUN_KEY_TAG,
)
from mlops_assets.components.retraining import UNDER_WAY
from mlops_assets.journey.model.changing import REASON_TAG
from mlops_assets.journey.read.arrivals import Finding, Lookout, Verdict, summary
from mlops_assets.journey.read.looks import State, known_days
from mlops_assets.journey.read.messages import Heard, Inbox, Queue
from mlops_assets.journey.read.sources import S3Source
from mlops_assets.journey.read.strays import find_strays
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Workspace

MOST_REQUESTS = 10
"""Runs that one tick asks for; the days that are left come with the next one."""

HOURS = 24
"""After so long a run that is still under way was killed with its machine: it keeps its status for ever."""


def arrival_sensors(use_case: UseCase, job: Any) -> list[dg.SensorDefinition]:
    """The sensor for new files, if the use case asks for one; it runs as soon as the code location is loaded."""
    asked = use_case.sensor
    if asked is None:
        return []

    @cache
    def lake_of(settings: Settings) -> Lake:
        """The tables; they remember the commits they have seen from one tick to the next."""
        return Workspace(settings).of(use_case).lake

    @cache
    def inbox_of(settings: Settings) -> Inbox | None:
        """The messages that tell of new files; it knows from one tick to the next what it has received."""
        if asked.messages is None:
            return None
        source = Workspace(settings).of(use_case).source
        root = source.root if isinstance(source, S3Source) else None
        # they come again when the tick after the next one has not deleted them
        hidden = 2 * asked.interval_seconds + 120
        return Inbox(Queue(asked.messages.queue_url_variable, hidden), asked.messages, root, use_case.partitions)

    @dg.sensor(
        name=f"{use_case.name}_files",
        job=job,
        minimum_interval_seconds=asked.interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Looks at the last {asked.window_days} days for new, late, overwritten and deleted files, and asks for a "
            "run of each day that changed, once it has settled."
        ),
    )
    def files(context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]) -> dg.SensorResult:
        source, lake = workspace.of(use_case).source, lake_of(workspace.settings)
        raw_files, inbox = lake.raw_files, inbox_of(workspace.settings)
        began = time.monotonic()
        heard = inbox.hear(context.cursor, _days(use_case)) if inbox else Heard()
        left = max(asked.budget_seconds / 4, asked.budget_seconds - (time.monotonic() - began))
        state = State.read(context.cursor, source.place(use_case.partitions.anyone))
        in_time = asked.model_copy(update={"budget_seconds": left})  # a tick has 60 seconds, a slow queue among them
        lookout = Lookout(source, in_time, _window(use_case), state, called=heard.days)
        # compared with the lake: whoever remembers the newest file forgets what is overwritten or deleted
        lookout.look(known_days(raw_files))
        runs = Runs(context.instance, use_case, lookout.window)  # before the lake is asked: a run may end in between
        looked_at = lookout.findings(known_days(raw_files))
        findings = [runs.weigh(finding, is_predicted=_is_predicted(lake, finding.day)) for finding in looked_at]
        changed = [finding for finding in findings if finding.verdict is Verdict.CHANGED]
        requests = [_request(use_case, finding) for finding in changed[:MOST_REQUESTS]]
        # the cursor moves even when nothing is asked for: it has what was seen, and since when it is quiet
        cursor = lookout.state.model_dump_json()
        if inbox:
            inbox.used(cursor)
        if heard.said:
            context.log.warning(heard.said)
        beside = (heard.said, str(find_strays(use_case, source)))
        message = "; ".join([summary(findings, time.time()), *filter(None, beside)])
        if not requests:
            return dg.SensorResult(skip_reason=message, cursor=cursor)
        context.log.info(message)
        return dg.SensorResult(run_requests=requests, cursor=cursor)

    return [files]


def _days(use_case: UseCase) -> list[str]:
    """The days that may be run, in order; each has a partition."""
    partitions = use_case.partitions
    return partitions.between(use_case.first_day, partitions.key(dt.datetime.now(dt.UTC)))


def _window(use_case: UseCase) -> list[str]:
    """The days that are watched, in order."""
    assert use_case.sensor is not None, "there is a sensor"  # noqa: S101 - drawn only then
    partitions, now = use_case.partitions, dt.datetime.now(dt.UTC)
    first = partitions.days_ago(now, use_case.sensor.window_days - 1)
    return partitions.between(max(first, use_case.first_day), partitions.key(now))


def _is_predicted(lake: Lake, day: str) -> bool:
    """Whether the published predictions are of the files that were listed last."""
    listed, predicted = lake.raw_files.days().get(day), lake.predictions.days().get(day)
    return listed is None or (predicted is not None and predicted.accounting.manifest == listed.accounting.fingerprint)


def _key(use_case: UseCase, finding: Finding) -> str:
    """Dagster makes one run of a key, ever: so it names the change, from what was listed to what lies there."""
    return f"{use_case.name}-{finding.key}"


def _request(use_case: UseCase, finding: Finding) -> dg.RunRequest:
    day, tags = finding.day, {REASON_TAG: finding.reason}
    if day >= (use_case.drawn_from or ""):
        return dg.RunRequest(_key(use_case, finding), partition_key=day, tags=tags)
    # not drawn yet, so that Dagster would not know it here; the run's own process will
    return dg.RunRequest(
        _key(use_case, finding),
        tags={**tags, ASSET_PARTITION_RANGE_START_TAG: day, ASSET_PARTITION_RANGE_END_TAG: day},
    )


class Runs:
    """What Dagster knows of runs of a use case's days.

    Parameters
    ----------
    instance
        Dagster's instance.
    use_case
        The use case.
    window
        The days that matter.
    """

    def __init__(self, instance: dg.DagsterInstance, use_case: UseCase, window: Sequence[str]) -> None:
        self.instance = instance
        self.use_case = use_case
        self.at_work: dict[str, str] = {}
        recent = dt.datetime.now(dt.UTC) - dt.timedelta(hours=HOURS)
        for run in instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY, created_after=recent)):
            if self._is_ours(run):
                self.at_work |= dict.fromkeys(_days_of(run, window), run.run_id)

    def weigh(self, finding: Finding, *, is_predicted: bool) -> Finding:
        """A finding with what runs have to do with it: nothing is asked for twice, nor for a day that is worked on.

        Parameters
        ----------
        finding
            What the files tell.
        is_predicted
            Whether the predictions are of the files that were listed last.
        """
        day, run = finding.day, self.at_work.get(finding.day)
        by_hand = f"`mlops-assets run {self.use_case.name} --from {day} --to {day}`"
        if finding.verdict is Verdict.SAME and not is_predicted:
            why = f"run {run} is at work" if run else f"see its last run; once the cause is mended: {by_hand}"
            return _held(finding, f"not predicted: {why}")
        if finding.verdict is not Verdict.CHANGED:
            return finding
        if run:
            return _held(finding, f"run {run} is at work on the day")
        # Dagster makes no second run of a key, and says nothing: here it is said why
        before = self.instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: _key(self.use_case, finding)}), limit=1)
        if before:
            ended = f"run {before[0].run_id} was asked for and ended as {before[0].status.value} without listing it"
            return _held(finding, f"{ended}; once the cause is mended: {by_hand}")
        return finding

    def _is_ours(self, run: dg.DagsterRun) -> bool:
        name = self.use_case.name
        return run.job_name == f"{name}_daily" or any(key.path[0] == name for key in run.asset_selection or ())


def _held(finding: Finding, why: str) -> Finding:
    return replace(finding, verdict=Verdict.HELD, said=f"{finding.reason}; {why}", listed=0.0)


def _days_of(run: dg.DagsterRun, window: Sequence[str]) -> list[str]:
    """The days of the window that a run works on."""
    only = run.tags.get(PARTITION_NAME_TAG, "")
    first, last = run.tags.get(ASSET_PARTITION_RANGE_START_TAG, only), run.tags.get(ASSET_PARTITION_RANGE_END_TAG, only)
    return [day for day in window if first <= day <= last]
