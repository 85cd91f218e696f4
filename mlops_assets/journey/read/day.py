"""In: the raw files of a day. Out: its manifest, told as it grows; or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mlops_assets.journey.read.listing import Manifest, list_day
from mlops_assets.journey.read.rhythm import keep_rhythm
from mlops_assets.journey.read.sources import Source
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.verification import check_intact
from mlops_assets.use_case import UseCase
from mlops_assets.work.progress import Listing


def list_raw_files(use_case: UseCase, source: Source, lake: Lake, day: str, several: Callable[[], None]) -> Manifest:
    """Store the manifest of a day.

    Parameters
    ----------
    use_case, source, lake
        The use case, its raw files and tables.
    day
        The day.
    several
        Is called once it is known that the day has several shards: their processes can start meanwhile.
    """
    keep_rhythm(use_case, lake)
    listing = Listing(f"{use_case.name} raw_files {day}")

    def tell(files: int) -> None:
        listing(files)
        if files > use_case.scale.files_a_shard:
            several()

    def losing(files: int) -> None:
        check_intact(lake, day, f"{files} of its raw files are gone from {source.place(day)}")

    return list_day(use_case, source, lake.raw_files, day, tell, losing)


def not_delivered(source: Source, days: Sequence[str]) -> str:
    """Why there is nothing to do for some days, and what to do."""
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return (
        f"No raw files of {span}: there is no folder {source.place(days[0])}. Have the files delivered, then run again."
    )
