"""The profile of what a version learned from: by it days are counted, and with it they are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import Literal

from mlops_assets.journey.model.version import Version
from mlops_assets.journey.score.profile.counts import Bins, Column, Profile

GROUPS = 40
"""Random groups of the training rows: from how they differ follows how a day of any number of files may."""

LEAST_UNITS = 5
"""Units that a group has at least, on average: where there are fewer files than so many a group, accounts are the
units, or else rows."""


@dataclass(frozen=True)
class Reference:
    """The profile of the rows that a version learned from.

    Attributes
    ----------
    bins
        How columns are counted, here and on every day that the version scores.
    classes
        The labels of the model by their number.
    groups
        Profiles of random groups of rows, at most `GROUPS`; what they say of answers (`Profile.said`) is of the
        held-out rows among them, by the judged model. Files are counted whole, in the group that their path falls into.
    units
        How many units each group has.
    unit
        What is never parted: rows of a file, or of an account where there are too few files, or a single row.
    days
        First and last day of the rows.
    """

    bins: Mapping[Column, Bins]
    classes: tuple[str, ...]
    groups: tuple[Profile, ...]
    units: tuple[int, ...]
    unit: Literal["file", "account", "row"]
    days: tuple[str, str]

    @cached_property
    def profile(self) -> Profile:
        """All groups together."""
        return reduce(add, self.groups)


def read_reference(version: Version) -> Reference | None:
    """The reference of a version; None of one that was made before there were profiles.

    Raises
    ------
    ModelRefused
        If it is not the one that was registered, or is none.
    """
    raise NotImplementedError


def no_reference(version: Version) -> str:
    """What to say of a version without a reference, and what to do."""
    return f"version {version.version} was made before there were profiles: its days are not watched. Train again."
