"""Whether what somebody asks a run for can be done: told at once, and not by a run that fails; and what needs none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from mlops_assets.errors import UsageError
from mlops_assets.journey.model import changing
from mlops_assets.journey.model.about import Summary
from mlops_assets.journey.model.changing import check_gate
from mlops_assets.journey.model.history import Refusal
from mlops_assets.journey.read.sources import SqlSource
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.use_case import date_of
from mlops_assets.workspace import Stores

MOST_DAYS = 366
"""Days that a training may have scored again."""


def check_day(stores: Stores, day: str) -> None:
    """See that there is something to run of a day.

    Raises
    ------
    Problem
        422 if it is one that is not run; 404 if it has no raw files and never had any.
    """
    check_within(stores, "path.day", day)
    if isinstance(stores.source, SqlSource):  # of which any day can be asked for
        return
    if day not in stores.days_with_files():
        raise Problem(404, f"{stores.use_case.name} has no raw files of {day}. Put them there, then ask again.")


def check_within(stores: Stores, where: str, *days: str) -> None:
    """See that days are of those that are run.

    Raises
    ------
    Problem
        422, if not.
    """
    use_case, partitions = stores.use_case, stores.use_case.partitions
    for day in days:
        try:
            partitions.read(day)
        except ValueError as error:
            raise Problem(422, f"{error}.", [Wrong(where, str(error))]) from None
    first, now = use_case.first_day, partitions.key(dt.datetime.now(dt.UTC))
    bounds = f"{partitions.every}s of {use_case.name} run from {first} to {now}, which is {partitions.now_words}"
    for day in days:
        if not first <= day <= now:
            raise Problem(422, f"{day} cannot be run: {bounds}.", [Wrong(where, f"{day!r}: {bounds}")])


def check_retro(stores: Stores, first: str, last: str) -> None:
    """See that days can be scored again.

    Raises
    ------
    Problem
        422, if not.
    """
    check_within(stores, "body.retro_score", first, last)
    number = (date_of(last) - date_of(first)).days + (first <= last)
    if not 1 <= number <= MOST_DAYS:
        message = f"from {first} to {last} are no days" if number < 1 else f"more than {MOST_DAYS} days"
        raise Problem(422, f"retro_score: {message}.", [Wrong("body.retro_score", message)])


def check_promotion(stores: Stores, version: int, *, override: bool) -> None:
    """See that a version can become champion.

    Raises
    ------
    Problem
        404 if there is none of that number; 409 if it is champion, or the gate refused it.
    """
    name, now = stores.use_case.name, stores.history.latest()
    known = _known(stores, version)
    if now is not None and now.version == version:
        raise Problem(409, f"Version {version} of {name} is champion already, since {now.when[:19]} by {now.who}.")
    told = known[version]
    try:
        # of a version that an early release registered, its card alone tells, which the run reads
        check_gate(name, version, passed=told.passed is not False, reason=told.reason, override=override)
    except UsageError:
        advice = '"override": true promotes it all the same'
        raise Problem(409, f"Version {version} of {name} did not pass the gate ({told.reason}); {advice}.") from None


def refuse(stores: Stores, version: int, who: str, why: str) -> Refusal:
    """Decide against a version, as the command `refuse` does; no run is needed, for nothing else changes.

    Raises
    ------
    Problem
        404 if there is none of that number; 409 if it is champion, or was refused before.
    """
    _known(stores, version)
    try:
        return changing.refuse(stores.registry, stores.use_case, version, who, why)
    except UsageError as error:
        raise Problem(409, str(error)) from None


def _known(stores: Stores, version: int) -> Mapping[int, Summary]:
    """What is short of all versions, of which there must be one of that number."""
    name = stores.use_case.name
    known = stores.registry.known(name)
    if version not in known:
        numbers = ", ".join(map(str, known)) or "none, for nothing was trained yet"
        raise Problem(404, f"There is no version {version} of {name}; there are: {numbers}.")
    return known


def check_rollback(stores: Stores) -> None:
    """See that there is a champion to go back to.

    Raises
    ------
    Problem
        409, if not.
    """
    try:
        stores.history.previous()
    except UsageError as error:
        raise Problem(409, str(error)) from None
