"""The job that does a range of the shards of a day, and how the day's run asks for runs of it; see `work/engines`.

Such a run publishes nothing and lists nothing: it takes the step of the day as far as the shards, and what follows is
the business of the run that asked. It belongs to that run: nobody is alerted of it, Dagster does not try it again, and
it ends when that run has ended.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import dagster as dg

from mlops_assets.components.alerting import RANGE_OF_TAG, errors_of
from mlops_assets.components.private import MAX_RETRIES_TAG, PRIORITY_TAG, EngineEventData, QueuedRunCoordinator
from mlops_assets.errors import MlopsError
from mlops_assets.journey.features.day import aggregate_day
from mlops_assets.journey.read.listing import find_manifest
from mlops_assets.journey.read.rows import read_day
from mlops_assets.journey.score.day import Scorers, score_day
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.work.engines import Engines
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.work.engines.ranges import Alone, Range, RangeDone, RangeEngine, State
from mlops_assets.work.engines.runs import NO_QUEUE
from mlops_assets.work.shards import Engine, Report
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.daily")

MACHINE = ("dagster-k8s/config", "ecs/cpu", "ecs/memory", "ecs/ephemeral_storage")
"""Tags that say on what machine a run is started: a range gets one like that of its day.

Others of a launcher's are where that machine is, such as `ecs/task_arn`: whoever ended such a range would end the day.
"""

SHARD, SECONDS = "shard", "seconds"
"""What a range tells of each shard."""

ENGINE_EVENT, EVENTS = dg.DagsterEventType.ENGINE_EVENT, 1_000
"""By which event it does so, and how many of them are read at a time."""

INTERRUPTED = "DagsterExecutionInterruptedError"
"""What Dagster makes of a machine that is taken away: its process is asked to end, and nobody cancelled the run."""


AT_WORK = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""What the queue counts against `max_concurrent_runs`."""


class _Unwanted(Exception):
    """The run of the day has ended, and nobody waits for its ranges."""


# -- what a range does -------------------------------------------------------------------------------------------------


def range_job(use_case: UseCase) -> dg.JobDefinition:
    """The job of a use case whose runs do a range of shards; it is asked for by the engine `runs` alone."""
    name = use_case.name

    @dg.op(
        name=f"{name}_do_range",
        config_schema={
            "step": dg.Field(dg.Enum("Step", [*map(dg.EnumValue, STEPS)]), description="The table that is made."),
            "day": dg.Field(str, description="The day."),
            "first": dg.Field(int, description="Position of the first shard."),
            "last": dg.Field(int, description="Position of the last shard."),
            "code": dg.Field(str, description="Fingerprint of the code of the run of the day."),
            "inputs": dg.Field(str, description="Fingerprint of what decides the content of the shards."),
            "models": dg.Field([int], description="Numbers of the versions that score."),
        },
        required_resource_keys={"workspace"},
    )
    def do_range(context: dg.OpExecutionContext) -> None:
        workspace: Workspace = context.resources.workspace
        _do(context, workspace.of(use_case))

    @dg.job(
        name=f"{name}_range",
        description=(
            "Does a range of the shards of a step of a day and publishes nothing. Runs of it are asked for by the run "
            "of the day where `scale.engine` is `runs`."
        ),
    )
    def ranges() -> None:
        do_range()

    return ranges


def _do(context: dg.OpExecutionContext, stores: Stores) -> None:
    told = dict(context.op_config)
    wanted = Range(**{**told, "models": tuple(told["models"])})
    with LocalEngine(stores.settings.workers) as here:
        engine = RangeEngine(here, wanted, partial(_tell, context))
        try:
            _see_wanted(context)
            STEPS[wanted.step](stores, wanted, engine)
        except RangeDone:
            return
        except _Unwanted:
            log.warning("%s: the run of the day has ended, so its range is left", stores.use_case.name)
            return
        except MlopsError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
    raise dg.Failure(
        f"{wanted.step} of {wanted.day}: the day is not as it was when the range was asked for; nothing was done",
        allow_retries=False,
    )


def _see_wanted(context: dg.OpExecutionContext) -> None:
    """See that the run of the day is still under way; a run that somebody starts by hand has none."""
    asked_by = context.run.tags.get(RANGE_OF_TAG)
    if asked_by is None:
        return
    run = context.instance.get_run_by_id(asked_by)
    if run is None or run.is_finished:
        raise _Unwanted


def _tell(context: dg.OpExecutionContext, report: Report) -> None:
    """Tell a shard that is done, and how long it took: what it took stands in no file, which would differ each time."""
    told = EngineEventData({SHARD: report.shard, SECONDS: float(report.parts[0].seconds)})
    files = report.counts.get("files", 0)
    context.instance.report_engine_event(f"shard {report.shard} is done: {files:,} files", context.run, told)
    _see_wanted(context)


def _read(stores: Stores, wanted: Range, engine: Engine) -> None:
    """By the manifest that the run of the day stored: files are not listed again."""
    lake = stores.lake
    manifest = find_manifest(lake.raw_files, wanted.day)
    if manifest is not None:
        read_day(stores.use_case, stores.source, lake, manifest, engine, _ignore)


def _aggregate(stores: Stores, wanted: Range, engine: Engine) -> None:
    aggregate_day(stores.use_case, stores.lake, wanted.day, engine, _ignore)


def _score(stores: Stores, wanted: Range, engine: Engine) -> None:
    """By the very versions of the run of the day, each tried on this machine."""
    version, *beside = map(stores.proven_version, wanted.models)
    scorers = Scorers(version, str(version.version), beside[0] if beside else None)
    score_day(stores.use_case, stores.lake, wanted.day, scorers, engine, _ignore, str(stores.source.place(wanted.day)))


def _ignore(report: Report) -> None:
    """Shards are told as they finish, see `_tell`; no report comes this far."""


STEPS: Mapping[str, Callable[[Stores, Range, Engine], None]] = {
    Lake.rows.name: _read,
    Lake.features.name: _aggregate,
    Lake.predictions.name: _score,
}
"""What does the shards of a step."""


# -- how they are asked for --------------------------------------------------------------------------------------------


class _Run:
    """A run of a range."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str) -> None:
        self._instance = instance
        self._told: dict[int, float] = {}
        self._read_to: str | None = None
        self.name = run_id

    def done(self) -> dict[int, float]:
        """What it told of its shards; see `_tell`. What was read before is not read again."""
        more = True
        while more:
            page = self._instance.get_records_for_run(self.name, self._read_to, ENGINE_EVENT, limit=EVENTS)
            self._read_to, more = page.cursor, page.has_more
            events: list[Any] = [one.event_log_entry.get_dagster_event() for one in page.records]
            told = [event.engine_event_data.metadata for event in events]
            self._told |= {one[SHARD].value: one[SECONDS].value for one in told if SHARD in one}
        return self._told

    def state(self) -> State:
        """How Dagster has it."""
        run = self._instance.get_run_by_id(self.name)
        if run is None:
            return State(ended=True, lost=True)
        if not run.is_finished:
            # a machine that is being made counts as begun: `run_monitoring` says how long that may take
            return State(begun=run.status not in (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED))
        if run.status != dg.DagsterRunStatus.FAILURE:
            told = "it was cancelled" if run.status == dg.DagsterRunStatus.CANCELED else ""
            return State(begun=True, ended=True, said=told)
        failed = self._instance.all_logs(self.name, of_type=dg.DagsterEventType.STEP_FAILURE)
        errors = [entry.get_dagster_event().step_failure_data.error for entry in failed]
        lost = all(error is not None and error.cls_name == INTERRUPTED for error in errors)
        return State(begun=True, ended=True, lost=lost, said="; ".join(errors_of(self._instance, self.name)))

    def stop(self) -> None:
        """Cancel it, whether it waits or works."""
        run = self._instance.get_run_by_id(self.name)
        if run is None or run.is_finished:
            return
        try:
            self._instance.run_coordinator.cancel_run(self.name)
        except Exception as error:  # it ends itself at its next shard, for the run of the day has ended
            log.warning("run %s of a range cannot be ended: %s", self.name, error)


def _ask(context: dg.AssetExecutionContext, use_case: UseCase, wanted: Range) -> _Run:
    """Put a run of a range into Dagster's queue: whatever launches the day's runs launches it, with the same image."""
    instance, day = context.instance, context.run
    name, origin, code = f"{use_case.name}_range", day.remote_job_origin, day.job_code_origin
    if origin is None or code is None or not isinstance(instance.run_coordinator, QueuedRunCoordinator):
        raise Alone(NO_QUEUE)
    most = instance.run_coordinator.get_run_queue_config().max_concurrent_runs
    at_work = instance.get_runs_count(dg.RunsFilter(statuses=AT_WORK))
    if 0 <= most <= at_work:  # -1 is no limit
        raise Alone(f"Dagster's queue has no room: {at_work} runs are at work, and max_concurrent_runs is {most}")
    config: dict[str, Any] = {"ops": {f"{use_case.name}_do_range": {"config": _plain(wanted)}}}
    resources: Any = day.run_config.get("resources", {})
    if "workspace" in resources:  # where the raw files of this run lie
        config["resources"] = {"workspace": resources["workspace"]}
    tags = {key: value for key, value in day.tags.items() if key in MACHINE}
    # before days that wait, which would ask for ranges of their own; not `dagster/backfill`, whose limit the day holds
    tags |= {RANGE_OF_TAG: day.run_id, MAX_RETRIES_TAG: "0", PRIORITY_TAG: "1", "mlops_assets/day": wanted.day}
    run = instance.create_run_for_job(
        context.repository_def.get_job(name),
        run_config=config,
        tags=tags,
        remote_job_origin=type(origin)(repository_origin=origin.repository_origin, job_name=name),
        job_code_origin=code._replace(job_name=name),
    )
    # the queue needs no workspace: the daemon has one
    instance.submit_run(run.run_id, workspace=None)
    return _Run(instance, run.run_id)


def _plain(wanted: Range) -> dict[str, Any]:
    return {**asdict(wanted), "models": list(wanted.models)}


def engine_of(context: dg.AssetExecutionContext, engines: Engines, use_case: UseCase, day: str) -> Engine:
    """The engine of a day of a use case, which may ask for runs in the name of this one."""
    return engines.of(use_case, day, partial(_ask, context, use_case))
