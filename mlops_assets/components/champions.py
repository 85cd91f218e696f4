"""The sensor that sees a change of the champion, whoever made it: Dagster shows it, and people are told at once."""

import re

import dagster as dg

from mlops_assets.components.days import key
from mlops_assets.components.telling import look_now, remembered
from mlops_assets.journey.model.history import Change
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Stores, Workspace

INTERVAL = 10
"""Seconds between two looks; each asks for two files of the history."""

CURSOR = re.compile(r"[0-9]{1,9}")
"""What our cursors look like."""

MOST = 100
"""Changes that a look takes up; the next one takes up the others."""

TRIES = 3
"""How often is looked for news while other processes are telling some."""


def champion_sensors(use_case: UseCase) -> list[dg.SensorDefinition]:
    """The sensor whose cursor is the number of the last change that it saw; it runs from the start."""
    stores_of = remembered(use_case)

    @dg.sensor(
        name=f"{use_case.name}_champion",
        minimum_interval_seconds=INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Sees each change of the champion in the history, whoever made it and however: observes it on the asset "
            "champion, and has the channels of the use case told at once."
        ),
    )
    def champion(
        context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.SensorResult | dg.SkipReason:
        cursor = context.cursor or ""
        # a cursor that somebody broke is none: what was seen is shown once more, and told to nobody twice
        stores, seen = stores_of(workspace.settings), int(cursor) if CURSOR.fullmatch(cursor) else 0
        # raised, not skipped: a history that is damaged is a tick that failed, in red, and the cursor stays
        if seen and not stores.history.has_change(seen):
            raise dg.Failure(
                f"{use_case.name}: change {seen} of the champion was seen and is gone. Restore the history from a "
                "backup; if it is to be shorter, set the cursor of this sensor to the number of its last change.",
            )
        if not stores.history.has_change(seen + 1):
            return dg.SkipReason(f"no change after number {seen}")
        fresh = stores.history.changes()[seen : seen + MOST]
        said = _tell(stores, context.instance) if use_case.told else "no channel is named"
        context.log.info("changes %d to %d: %s", fresh[0].number, fresh[-1].number, said)
        return dg.SensorResult(
            skip_reason=f"{len(fresh)} changes, the last is number {fresh[-1].number}; {said}",
            asset_events=[_observed(use_case, change) for change in fresh],
            cursor=str(fresh[-1].number),
        )

    return [champion]


def _tell(stores: Stores, instance: dg.DagsterInstance) -> str:
    """Tell the news; of what was told is known in the lake, so that nobody hears of a change twice."""
    for _ in range(TRIES):
        done = look_now(stores, instance)
        if not done.by_others:  # another one may have begun before the change, and would tell it with its next look
            break
    return str(done)


def _observed(use_case: UseCase, change: Change) -> dg.AssetObservation:
    """A change for the page of the asset; a materialisation would say that a run has made it."""
    names = ("number", "when", "who", "action", "version", "why", "sha256")
    told = {name: getattr(change, name) for name in names}
    return dg.AssetObservation(key(use_case, "champion"), metadata={**told, "before": change.before or 0})
