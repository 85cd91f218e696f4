"""The champion is changed here by people, whoever carries the wish: a command, or a run that the API has asked for."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.journey.model.history import Change, Refusal
from mlops_assets.journey.model.registry import Registry
from mlops_assets.use_case import UseCase

WHO_TAG = "mlops_assets/who"
"""Tag of a run that says who asked for it; it stands in the history."""

RETRO_TAG = "mlops_assets/retro_score"
"""Tag of a training: the days that are scored again if its version becomes champion, as `FIRST/LAST`."""

REASON_TAG = "mlops_assets/reason"
"""Tag of a run that says why it was started."""


@dataclass(frozen=True)
class Changed:
    """What became of a wish.

    Attributes
    ----------
    change
        The change that holds now.
    already
        Whether it held before, and nothing was done.
    trouble
        What keeps MLflow's alias from following; empty if nothing does.
    """

    change: Change
    already: bool = False
    trouble: str = ""


def promote(registry: Registry, use_case: UseCase, number: int, who: str, why: str, *, override: bool) -> Changed:
    """Make a version the champion.

    Parameters
    ----------
    registry
        The versions.
    use_case
        The use case.
    number
        The version.
    who, why
        For the history.
    override
        Whether it may be one that the gate refused; the history says so then.

    Raises
    ------
    UsageError
        If there is no such version, or the gate refused it.
    MlopsError
        If it cannot be loaded, or somebody else changed the champion at the same moment.
    """
    name, now = use_case.name, registry.history(use_case.name).latest()
    if now is not None and now.version == number:
        return Changed(now, already=True, trouble=follow(registry, name))
    wanted = registry.version(name, number)
    told = wanted.details()  # the card, whose hash is pinned, and not what MLflow's store says of it
    check_gate(name, number, passed=told.passed, reason=told.reason, override=override)
    reason = why if told.passed else f"{why} (against the gate)"
    days = use_case.training.promotion.days_before(dt.datetime.now(dt.UTC), use_case.partitions)
    return Changed(registry.promote(wanted, who, reason, use_case.training.trusted, days=days))


def check_gate(use_case: str, number: int, *, passed: bool, reason: str, override: bool) -> None:
    """See that a version has passed the gate, or shall be champion all the same.

    Raises
    ------
    UsageError
        If not.
    """
    if not (passed or override):
        raise UsageError(
            f"Version {number} of {use_case} did not pass the gate ({reason}). "
            "Look at its `card` and a `diff`; --override promotes it all the same."
        )


def roll_back(registry: Registry, use_case: UseCase, who: str, why: str) -> Changed:
    """Make the champion before the present one the champion again; errors as `promote`."""
    now = registry.history(use_case.name).latest()
    # asked for again, as after a kill, it must not go back one champion more
    if now is not None and (now.action, now.who, now.why) == ("rollback", who, why):
        return Changed(now, already=True, trouble=follow(registry, use_case.name))
    return Changed(registry.roll_back(use_case.name, who, why, use_case.training.trusted))


def refuse(registry: Registry, use_case: UseCase, number: int, who: str, why: str) -> Refusal:
    """Decide against a version that waits for a person; it stays, and nobody is asked about it again.

    Raises
    ------
    UsageError
        If there is no such version, it is champion, or it was refused before.
    """
    name, history = use_case.name, registry.history(use_case.name)
    known = registry.numbers(name)
    if number not in known:
        numbers = ", ".join(map(str, known)) or "none, for nothing was trained yet"
        raise UsageError(f"There is no version {number} of {name}; there are: {numbers}.")
    if history.champion() == number:
        raise UsageError(f"Version {number} of {name} is champion: `rollback` takes that back, or `promote` another.")
    return history.refuse(number, who, why)


def follow(registry: Registry, use_case: str) -> str:
    """Put MLflow's alias right, which lags where a promotion was killed before MLflow was told; what keeps it back."""
    try:
        if not registry.mirrors(use_case):
            registry.mirror(use_case)
    except MlopsError as error:  # the history in the lake is what counts
        return f"MLflow's alias does not follow yet: {error}"
    return ""
