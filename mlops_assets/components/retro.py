"""The job that scores past days again after a promotion or puts them back, and the sensor that asks for it.

It is behind everything else: a run of it ends between two days when other work waits or is at work, and is asked for
again when there is none. What it does is in `registering.retro_scoring`; of what is left to do the lake alone is asked.
"""

import logging
from typing import Any

import dagster as dg

from mlops_assets.components import showing
from mlops_assets.components.alerting import RANGE_OF_TAG
from mlops_assets.components.days import key, tell_day
from mlops_assets.components.private import MAX_RETRIES_TAG, PRIORITY_TAG
from mlops_assets.components.red import failure
from mlops_assets.components.telling import remembered
from mlops_assets.errors import MlopsError
from mlops_assets.journey.explain.flows import totals
from mlops_assets.journey.explain.retro.done import Done, Listener, say, ways
from mlops_assets.journey.explain.retro.records import DayRecord
from mlops_assets.journey.explain.span import Publication
from mlops_assets.journey.score.day import ScoredDay
from mlops_assets.registering.retro_scoring import RetroScoring
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.views import retro, span_diffs
from mlops_assets.work.engines import Engines
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.retro_score")

CHANGE_TAG = "mlops_assets/change"
"""Tag of such a run: the number of the change of the champion. `dagster.yaml` lets one of them run at a time."""

INTERVAL = 30
"""Seconds between two looks."""

BEHIND = "-10"
"""Its place in the queue: behind every run that says nothing of its own."""

MOST_FAILURES = 3
"""Runs after one change of the champion that may fail, one after the other, before a person is waited for."""

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def retro_job(use_case: UseCase) -> dg.JobDefinition:
    """The job of a use case; it can be launched by hand, too, and does what is left to do."""
    name = use_case.name

    @dg.op(
        name=f"{name}_score_again",
        config_schema={"again": dg.Field(bool, False, description="Try once more what failed.")},
        required_resource_keys={"workspace", "engines"},
    )
    def score_again(context: dg.OpExecutionContext) -> None:
        workspace: Workspace = context.resources.workspace
        _go_on(context, workspace.of(use_case), context.resources.engines)

    @dg.job(
        name=job_name(use_case),
        description=(
            "Scores published days again by the champion, as its promotion says, or puts them back after a rollback: "
            "whatever of that is left to do. It gives way to all other runs between two days, and goes on later."
        ),
        tags={PRIORITY_TAG: BEHIND, CHANGE_TAG: "by hand"},
    )
    def job() -> None:
        score_again()

    return job


def job_name(use_case: UseCase) -> str:
    """What the job is called."""
    return f"{use_case.name}_retro_score"


class _Events(Listener):
    """Makes an event of each day that was done, for the page of its asset."""

    def __init__(self, context: dg.OpExecutionContext, stores: Stores) -> None:
        self._context: Any = context
        self._stores = stores
        self._key = key(stores.use_case, Lake.predictions.name)

    def scored(self, day: str, record: DayRecord, done: ScoredDay) -> None:
        flows = span_diffs.flows_of_day(record.flows, valued=self._stores.use_case.value is not None)
        total = totals(one for one in record.flows if not one.column)
        told = {
            **done.numbers(),
            "version_before": record.before,
            "changed_rows": total["changed"],
            "changed_share": total["changed"] / max(1, total["rows"]),
            "from_class_to_class": showing.table(flows),
            "dagster/row_count": done.accounting.predictions,
        }
        tell_day(self._context, self._key, day, told)

    def put_back(self, day: str, publication: Publication) -> None:
        told = {"model_version": publication.accounting.model_version, "put_back": "as it was before the promotion"}
        rows = {"dagster/row_count": publication.accounting.predictions}
        tell_day(self._context, self._key, day, {**told, **rows})

    def delivered(self, day: str, target: str, rows: int) -> None:
        tell_day(self._context, key(self._stores.use_case, f"delivery_{target}"), day, {"dagster/row_count": rows})


def _go_on(context: dg.OpExecutionContext, stores: Stores, engines: Engines) -> None:
    work = RetroScoring(stores, engines, context.run.run_id, _Events(context, stores))

    def give_way() -> bool:
        return bool(_other_work(context.instance, context.run.run_id))

    try:
        done = work.go_on(give_way, again=bool(context.op_config["again"]))
    except MlopsError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    _tell(context, stores, done)


def put_days_back(context: dg.OpExecutionContext, stores: Stores, engines: Engines) -> None:
    """After a rollback: publish days as they were before the change that was taken back."""
    try:
        done = RetroScoring(stores, engines, context.run.run_id, _Events(context, stores)).after_rollback()
    except MlopsError as error:
        raise dg.Failure(f"{error} The champion is rolled back; the sensor goes on with its days.") from None
    _tell(context, stores, done)


def _tell(context: dg.OpExecutionContext, stores: Stores, done: Done) -> None:
    """Say what came of it, in the log and on the page of the champion; a day that needs a person fails the run."""
    use_case = stores.use_case
    for line in say(done, use_case.name):
        log.info("%s: %s", use_case.name, line)
    if (standing := done.standing) is not None and not done.gave_way:
        said = retro.sentence(standing, use_case)
        log.info("%s: %s", use_case.name, said)
        span = standing.span(use_case)
        told: dict[str, Any] = {"retro_score": said, "change": standing.change.number, "changed_share": span.share}
        if span.days:
            shown = span_diffs.content(span)
            told |= {"by_day": showing.table(shown["days"]), "by_class": showing.table(shown["classes"])}
            told["from_class_to_class"] = showing.table(shown["flows"][: span_diffs.LISTED])
        if standing.having("held") and standing.decision is not None and not standing.decision.publish:
            told["what was published stays"] = f"{standing.decision.why}. {ways(use_case.name)}"
        context.log_event(dg.AssetObservation(key(use_case, "champion"), metadata=told))
    if done.problems:
        raise failure(f"need a person: {', '.join(sorted(done.problems))}", done.problems)


def _other_work(instance: dg.DagsterInstance, but: str = "") -> list[str]:
    """The runs that wait or are at work and come before past days."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    # a range of shards belongs to a run that is counted itself
    return [run.run_id for run in runs if run.run_id != but and not {CHANGE_TAG, RANGE_OF_TAG} & run.tags.keys()]


def retro_sensors(use_case: UseCase, job: Any) -> list[dg.SensorDefinition]:
    """The sensor that asks for a run while anything is left to do, nothing else runs, and nobody must decide first."""
    stores_of, name = remembered(use_case), job_name(use_case)

    @dg.sensor(
        name=name,
        job=job,
        minimum_interval_seconds=INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Asks for a run that scores past days again after a promotion, or puts them back after a rollback, while "
            "no other run waits or is at work."
        ),
    )
    def retro_score(
        context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.RunRequest | dg.SkipReason:
        stores = stores_of(workspace.settings)
        newest = stores.history.latest()
        if newest is None:
            return dg.SkipReason("there is no champion yet")
        with Engines(workspace.settings) as engines:
            if not RetroScoring(stores, engines, "").is_left():
                return dg.SkipReason("no day is to be scored again or put back")
        runs = context.instance.get_runs(dg.RunsFilter(job_name=name), limit=MOST_FAILURES)
        if any(run.status in UNFINISHED for run in runs):
            return dg.SkipReason("a run of it waits or is at work")
        number = str(newest.number)
        failed = [
            run for run in runs if run.status == dg.DagsterRunStatus.FAILURE and run.tags.get(CHANGE_TAG) == number
        ]
        if len(failed) == MOST_FAILURES:
            return dg.SkipReason(
                f"{MOST_FAILURES} runs failed one after the other, the last is {failed[0].run_id}: mend the cause, "
                f"then launch the job {name}, or `mlops-assets retro-score {use_case.name}`"
            )
        if others := _other_work(context.instance):
            return dg.SkipReason(f"{len(others)} other runs come first")
        # the number of the change for the limit of such runs in `dagster.yaml`, and to see which of them failed
        return dg.RunRequest(tags={CHANGE_TAG: number, PRIORITY_TAG: BEHIND, MAX_RETRIES_TAG: "0"})

    return [retro_score]
