"""In: a published day. Out: its profile, and what else is watched of it."""

from __future__ import annotations

from dataclasses import dataclass

from mlops_assets.journey.score.profile.counts import Profile
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.catalog import Lake


@dataclass(frozen=True)
class WatchedDay:
    """What is watched of a published day.

    Attributes
    ----------
    day
        The day.
    profile
        What was counted of its rows and answers.
    accounting
        What was told of it when it was published: rejects by rule, files, and so on.
    files
        Files that have a row with a prediction.
    accounts
        Distinct accounts.
    accounts_new, accounts_vanished
        Accounts that the watched day before did not have, and those that it had and this one has not; None where there
        is no such day.
    late_files
        Files that were changed after rows of the day were published first: they were not in that publication. None
        where the listing is gone.
    version
        The model version that scored.
    reference
        SHA-256 of the reference by whose bins it was counted: days of another one have other bins.
    """

    day: str
    profile: Profile
    accounting: PredictionsAccounting
    files: int
    accounts: int
    accounts_new: int | None = None
    accounts_vanished: int | None = None
    late_files: int | None = None
    version: int = 0
    reference: str = ""


def day_profile(lake: Lake, day: str) -> WatchedDay | None:
    """A published day with its profile; None where it is not published, or was scored unwatched.

    The sum over its shards is kept; it is made again where another publication has come since.
    """
    raise NotImplementedError


def days_before(lake: Lake, day: str, days: int = 28, reference: str | None = None) -> list[WatchedDay]:
    """The watched days among the calendar days before a day, the oldest first.

    Parameters
    ----------
    lake
        The tables of a use case.
    day
        The day.
    days
        How many calendar days.
    reference
        With it, those alone that were counted by its bins; see `WatchedDay.reference`.
    """
    raise NotImplementedError
