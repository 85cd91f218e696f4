"""In: a day that was scored and is not published yet. Out: whether a red lamp keeps it from that."""

from __future__ import annotations

from mlops_assets.errors import MlopsError
from mlops_assets.journey.score.checks import ENRICHMENT_CHECKS, SCORE_CHECKS, DayCheck
from mlops_assets.journey.score.day import Judge
from mlops_assets.monitoring.days import WatchedDay, scored_day
from mlops_assets.monitoring.kept import Judged
from mlops_assets.monitoring.verdicts import Watcher
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase

STOP_CHECK = "drift"
"""The condition that a day meets where `drift.stop` is on: no lamp of it is red, or somebody accepted that."""


def checks_of_predictions(use_case: UseCase) -> tuple[str, ...]:
    """The conditions that a day of a use case meets before it is published, besides those of its rows."""
    stop = (STOP_CHECK,) if use_case.drift.stop else ()
    return (*SCORE_CHECKS, *(ENRICHMENT_CHECKS if use_case.enrichments else ()), *stop)


def judge_of(use_case: UseCase, lake: Lake, watcher: Watcher, day: str, accepted: str) -> Judge | None:
    """What asks whether a lamp of a scored day is red, where such a day is kept back.

    Parameters
    ----------
    use_case, lake, watcher
        The use case, its tables, and what judges its days.
    day
        The day.
    accepted
        Why it shall be published nevertheless; empty where nobody says so.
    """
    if not use_case.drift.stop:
        return None
    return lambda parts, told: [check_drift(use_case, watcher, scored_day(lake, day, parts, told), accepted)]


def check_drift(use_case: UseCase, watcher: Watcher, today: WatchedDay | None, accepted: str) -> DayCheck:
    """The condition of a day that was scored.

    A day that cannot be judged is kept back as well: whoever asks for the condition wants no day without it. One of a
    version that has no reference is not, for no day of it ever could.

    Parameters
    ----------
    use_case
        The use case.
    watcher
        Judges it.
    today
        What was counted; None of a version that has nothing to compare it with.
    accepted
        Why it shall be published nevertheless; empty where nobody says so.
    """
    if today is None:
        return DayCheck(STOP_CHECK, True, "not looked at: the version was made before there were profiles", "")
    name, day = use_case.name, today.day
    advice = (
        f"look at `mlops-assets drift {name} --day {day}`, mend the files and run the day again; or publish it as it "
        f'is by `mlops-assets run {name} --from {day} --to {day} --accept-drift "WHY"`'
    )
    try:
        verdict = watcher.say(today)
    except MlopsError as error:
        found, holds = f"it cannot be told whether a lamp is red: {error}", False
    else:
        found, holds = verdict.sentence, not verdict.red
        if verdict.red and not accepted:
            watcher.keep_back(Judged(verdict, version=today.version))
    if not holds and accepted:
        return DayCheck(STOP_CHECK, True, f"{found} Published nevertheless: {accepted}", "")
    return DayCheck(STOP_CHECK, holds, found, advice)
