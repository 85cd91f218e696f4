"""What a person may ask of a run: in the launchpad by configuration, with words and defaults, in commands by tags."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from mlops_assets.journey.deliver.delivery import AGAIN_TAG
from mlops_assets.journey.model.changing import RETRO_TAG
from mlops_assets.journey.read.day import FILES_TAG
from mlops_assets.journey.score.day import ACCEPT_TAG, MODEL_TAG
from mlops_assets.use_case import UseCase

REFETCH_TAG = "mlops_assets/refetch"
"""Tag of a run that asks again for what was answered before, if it is `true`."""


@dataclass(frozen=True)
class Wish:
    """One thing that may be asked.

    Attributes
    ----------
    tag
        The tag of a run that says the same.
    default
        What holds where nothing is asked.
    about
        What it does, for the launchpad.
    """

    tag: str
    default: str | bool
    about: str

    @property
    def field(self) -> dg.Field:
        """The key of the launchpad."""
        return dg.Field(type(self.default), default_value=self.default, is_required=False, description=self.about)


READING = {
    "files_as_published_on": Wish(
        FILES_TAG,
        "",
        "As of when files are read, where raw files are kept: a moment (2026-01-31T05:00:00, UTC), a day, or a number; "
        "empty: as they lie there now.",
    )
}
ENRICHING = {"again": Wish(REFETCH_TAG, False, "Ask again for keys that were answered before.")}
SCORING = {
    "version": Wish(
        MODEL_TAG,
        "current",
        "What scores: `current`, the champion of now; `as-of`, the champion of each day; or the number of a version.",
    ),
    "accept_drift": Wish(
        ACCEPT_TAG,
        "",
        "Why a day is published although a lamp of it is red and `drift.stop` is on; the reason is kept with the day.",
    ),
}
DELIVERING = {"again": Wish(AGAIN_TAG, False, "Deliver days that the target has already.")}
PROMOTING = {
    "score_days": Wish(
        RETRO_TAG,
        "",
        "Days that the new champion, if the gate makes one, scores at once: FIRST/LAST, such as 2026-01-01/2026-01-31. "
        "Empty: as `training.promotion.retro_score` says.",
    )
}


def schema(*wishes: Mapping[str, Wish]) -> dict[str, dg.Field]:
    """What an asset takes in the launchpad.

    Parameters
    ----------
    wishes
        What may be asked of it.
    """
    return {name: wish.field for some in wishes for name, wish in some.items()}


def asked(context: dg.AssetExecutionContext, wishes: Mapping[str, Wish]) -> dict[str, Any]:
    """What was asked of a step: in the launchpad, or else by a tag of its run.

    Parameters
    ----------
    context
        Of the step.
    wishes
        What may be asked of it.
    """
    given: Mapping[str, Any] = context.op_execution_context.op_config or {}
    return {name: _one(context.run.tags, wish, given.get(name, wish.default)) for name, wish in wishes.items()}


def _one(tags: Mapping[str, str], wish: Wish, said: str | bool) -> str | bool:
    if said != wish.default or wish.tag not in tags:
        return said.strip() if isinstance(said, str) else said
    return tags[wish.tag] == "true" if isinstance(wish.default, bool) else tags[wish.tag]


def check_version(said: str) -> str:
    """What scores, as somebody wrote it.

    Raises
    ------
    Failure
        If it is neither `current` nor `as-of` nor a number.
    """
    if said not in ("current", "as-of") and not (said.isascii() and said.isdigit()):
        raise dg.Failure(f"version: {said}: say current, as-of, or the number of a version.", allow_retries=False)
    return said


def note_days(context: dg.AssetExecutionContext, use_case: UseCase) -> None:
    """Note with the run of a training which days it shall score, for its last step and for what follows it.

    Raises
    ------
    Failure
        If they are no days that can be run.
    """
    said = asked(context, PROMOTING)["score_days"]
    if not said or said == context.run.tags.get(RETRO_TAG):
        return
    first, slash, last = (one.strip() for one in said.partition("/"))
    partitions, now = use_case.partitions, use_case.partitions.key(dt.datetime.now(dt.UTC))
    form = f"write FIRST/LAST, such as {use_case.first_day}/{now}"
    try:
        ends = partitions.first_of(first), partitions.last_of(last if slash else first)
    except ValueError as error:
        raise dg.Failure(f"score_days: {error}; {form}.", allow_retries=False) from None
    if not use_case.first_day <= ends[0] <= ends[1] <= now:
        raise dg.Failure(f"score_days: {said} are no days of {use_case.name}; {form}.", allow_retries=False)
    context.instance.add_run_tags(context.run.run_id, {RETRO_TAG: "/".join(ends)})


def days_noted(context: dg.AssetExecutionContext) -> str:
    """The days that were noted with a run, as it is stored; empty if none were."""
    run = context.instance.get_run_by_id(context.run.run_id) or context.run
    return run.tags.get(RETRO_TAG, "")
