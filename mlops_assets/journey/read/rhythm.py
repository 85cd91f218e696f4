"""In: a use case, and what is stored of it. Out: nothing, if both have the same days; else what to do."""

from __future__ import annotations

from mlops_assets.errors import MlopsError
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import write_json
from mlops_assets.storage.integrity import read_json
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.partitions import DAYS, Partitions


class OtherRhythm(MlopsError):
    """What is stored of a use case is by other days, hours or weeks than its configuration says."""


def check_rhythm(use_case: UseCase, lake: Lake) -> None:
    """See that the days of a use case are those that it was stored by.

    Parameters
    ----------
    use_case, lake
        The use case and its tables.

    Raises
    ------
    OtherRhythm
        If not: keys of both would stand beside each other, and each row would count twice.
    """
    stored, asked = _stored(lake), _rhythm(use_case.partitions)
    if stored is None or stored == asked:
        return
    every, timezone = stored
    raise OtherRhythm(
        f"{use_case.name}: what is stored of it are {_words(*stored)}, and `partitions` in its defs.yaml says "
        f"{_words(*asked)}. Nothing was changed. Write `partitions: {{every: {every}, timezone: {timezone}}}` again; "
        "or begin another use case beside it, in a folder with a name of its own; or, if what is stored may be made "
        f"anew, move {lake.folder} away, have the raw files lie as the new days want, and run and train again."
    )


def keep_rhythm(use_case: UseCase, lake: Lake) -> None:
    """Note by which days a use case is stored, before the first of them is; errors as `check_rhythm`."""
    check_rhythm(use_case, lake)
    rhythm = _rhythm(use_case.partitions)
    # days of UTC are what is stored where nothing is noted, as before there were others
    if rhythm != _rhythm(DAYS) and not lake.rhythm.exists():
        write_json(lake.rhythm, dict(zip(("every", "timezone"), rhythm, strict=True)))


def _rhythm(partitions: Partitions) -> tuple[str, str]:
    return partitions.every, partitions.timezone


def _stored(lake: Lake) -> tuple[str, str] | None:
    """By which days a use case is stored; None where nothing is."""
    if not lake.rhythm.exists():
        return _rhythm(DAYS) if lake.raw_files.days() else None
    told = read_json(lake.rhythm)
    return str(told["every"]), str(told["timezone"])


def _words(every: str, timezone: str) -> str:
    return f"{every}s of {timezone}"
