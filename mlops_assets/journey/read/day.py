"""In: the raw files of a day. Out: its manifest, told as it grows; or why there is none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

from mlops_assets.errors import MlopsError
from mlops_assets.journey.read.listing import Manifest, find_manifest, list_day
from mlops_assets.journey.read.rhythm import keep_rhythm
from mlops_assets.journey.read.sources import Source
from mlops_assets.storage.catalog import MANIFEST, Lake
from mlops_assets.storage.verification import check_intact
from mlops_assets.use_case import UseCase
from mlops_assets.work.memory import give_back
from mlops_assets.work.progress import Listing
from mlops_assets.work.shards import Spread

FILES_TAG = "mlops_assets/files_as_published_on"
"""Tag of a run that reads files as they were listed once: a UTC time, or the number of a publication of `rows`."""


def list_raw_files(
    use_case: UseCase,
    source: Source,
    lake: Lake,
    day: str,
    several: Callable[[], None],
    files_of: str = "",
    spread: Spread | None = None,
) -> Manifest:
    """Store the manifest of a day.

    Parameters
    ----------
    use_case, source, lake
        The use case, its raw files and tables.
    day
        The day.
    several
        Is called once it is known that the day has several shards: their processes can start meanwhile.
    files_of
        What `FILES_TAG` says: the manifest of then is that of now again.
    spread
        See `list_day`.
    """
    keep_rhythm(use_case, lake)
    if files_of:
        return _list_as_then(lake, day, files_of)
    listing = Listing(f"{use_case.name} raw_files {day}")

    def tell(files: int) -> None:
        listing(files)
        if files > use_case.scale.files_a_shard:
            several()

    def losing(files: int) -> None:
        check_intact(lake, day, f"{files} of its raw files are gone from {source.place(day)}")

    manifest = list_day(use_case, source, lake.raw_files, day, tell, losing, spread)
    if manifest.shards > 1:  # 300 MB of 3,000,000 files, that the workers can use from now on
        give_back()
    return manifest


def _list_as_then(lake: Lake, day: str, files_of: str) -> Manifest:
    """Publish the listing again that the rows of some time were read from.

    Raises
    ------
    MlopsError
        If there is none, or it was cleaned up since.
    """
    every = lake.rows.publications().get(day, [])
    if files_of.isdecimal():
        found = [one for one in every if one.version == int(files_of)]
    else:
        moment = dt.datetime.fromisoformat(files_of).timestamp() * 1000
        found = [one for one in every if one.time <= moment]
    if not found:
        there = ", ".join(str(one.version) for one in every) or "none"
        raise MlopsError(f"{day} as of {files_of}: its rows had no publication then; there are: {there}.")
    mark = found[-1].accounting.manifest
    listings = [one for one in lake.raw_files.publications().get(day, []) if one.accounting.fingerprint == mark]
    if not listings:
        raise MlopsError(f"{day} as of {files_of}: it is not known what its rows were read from then.")
    lake.raw_files.restore(day, listings[-1], MANIFEST)
    manifest = find_manifest(lake.raw_files, day)
    assert manifest is not None, "it was published a moment ago"  # noqa: S101
    return manifest


def not_delivered(source: Source, days: Sequence[str]) -> str:
    """Why there is nothing to do for some days, and what to do."""
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return (
        f"No raw files of {span}: there is no folder {source.place(days[0])}. Have the files delivered, then run again."
    )
