"""What the sensor for new files remembers from one look to the next one, and what the lake knows of the days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_assets.journey.read.listing import Content
from mlops_assets.storage.accounting import ListingAccounting
from mlops_assets.storage.tables import Published, Table

NOTHING = Content().mark
"""The fingerprint of a day without files."""

NEVER = -1
"""The version of a day that the lake does not know."""


@dataclass(frozen=True)
class Known:
    """A day as it was last listed into the lake.

    Attributes
    ----------
    version
        Version of the table `raw_files` that has it, or `NEVER`.
    content
        Fingerprint of its files; empty where it is of a time before there were any.
    files
        Number of its files.
    listed
        When that was, in seconds since 1970; 0 where it never was.
    """

    version: int = NEVER
    content: str = NOTHING
    files: int = 0
    listed: float = 0.0


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Look(_Frozen):
    """A day as it was last listed from its first file to its last one; times are seconds since 1970.

    Attributes
    ----------
    content, files
        What lay there.
    first
        When the first listing that found exactly this was over.
    began
        When the last listing that found it began; between the two, nothing changed.
    version
        The version of the day that the lake had then.
    known
        When the last listing began that found the day as the lake has it; 0 if none did.
    """

    content: str
    files: int
    first: float
    began: float
    version: int
    known: float = 0.0


class Begun(_Frozen):
    """A listing that was interrupted: where it goes on, and what was found so far."""

    day: str
    began: float
    version: int
    after: str = ""
    content: str = ""
    files: int = 0


class State(_Frozen):
    """What one look hands on to the next one: the cursor of the sensor.

    Attributes
    ----------
    place
        What was looked at; elsewhere everything begins anew.
    looks
        The days that were listed.
    begun
        The listing that was interrupted.
    called
        Days that messages named, and when: until a listing since then finds them as the lake has them.
    """

    form: Literal[1] = 1
    place: str
    looks: dict[str, Look] = {}
    begun: Begun | None = None
    called: dict[str, float] = {}

    @classmethod
    def read(cls, cursor: str | None, place: str) -> State:
        """The state that a cursor holds; a new one if it holds none, or one of another place."""
        try:
            state = cls.model_validate_json(cursor or "")
            Content(state.begun.content if state.begun else "")
        except (ValidationError, ValueError):
            # a cursor of another form begins anew: at worst, all days are listed once more
            return cls(place=place)
        return state if state.place == place else cls(place=place)


def known_days(table: Table[ListingAccounting]) -> dict[str, Known]:
    """The days of the table `raw_files`; no manifest is read for it."""
    return {day: _known(published) for day, published in table.days().items()}


def _known(published: Published[ListingAccounting]) -> Known:
    listed = published.accounting
    # a look counts the attachments as well
    return Known(published.version, listed.content, listed.files + listed.attachments, published.time / 1000)
