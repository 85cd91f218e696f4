"""What is kept of scoring past days again after a change of the champion: how each day stands, and what was decided."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from mlops_assets.journey.explain.flows import Flow, as_lists, from_lists
from mlops_assets.journey.model.history import Change
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import write_json
from mlops_assets.storage.integrity import read_json

State = Literal["scored", "held", "failed", "lost"]


@dataclass(frozen=True)
class DayRecord:
    """What became of a day.

    Attributes
    ----------
    day
        The day.
    state
        `scored` and published; `held`, scored and not published; `failed`; `lost`, not to be put back without scoring.
    publication
        What the day looked like when that was so, see `publication_of`: of another publication it says nothing.
    before, after
        The versions whose answers were compared.
    why
        Why it failed or is lost.
    when
        UTC, ISO 8601.
    flows
        How many rows went from which class to which.
    """

    day: str
    state: State
    publication: str
    before: int
    after: int
    why: str = ""
    when: str = ""
    flows: tuple[Flow, ...] = ()

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read one."""
        return cls(**{**written, "flows": from_lists(written.get("flows", ()))})

    def to_json(self) -> dict[str, Any]:
        """What is written."""
        return {**asdict(self), "flows": as_lists(self.flows)}


@dataclass(frozen=True)
class Decision:
    """Whether what was scored again is published.

    Attributes
    ----------
    publish
        Whether it is.
    share, bound
        The share of the rows with another answer, and how large it may be.
    who, why, when
        Who decided: a run by the bound, or a person.
    """

    publish: bool
    share: float
    bound: float
    who: str
    why: str
    when: str


def now() -> str:
    """The time, as it stands in documents."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def keep_day(lake: Lake, change: int, record: DayRecord) -> None:
    """Keep what became of a day after a change of the champion."""
    write_json(lake.retro_score(change, f"day={record.day}"), record.to_json())


def read_day(lake: Lake, change: int, day: str) -> DayRecord | None:
    """What became of a day; None where nothing is known."""
    path = lake.retro_score(change, f"day={day}")
    return DayRecord.from_json(read_json(path)) if path.exists() else None


def keep_decision(lake: Lake, change: int, decision: Decision) -> None:
    """Keep what was decided; a person may decide anew."""
    write_json(lake.retro_score(change, "decision"), asdict(decision))


def read_decision(lake: Lake, change: int) -> Decision | None:
    """What was decided, if anything was."""
    path = lake.retro_score(change, "decision")
    return Decision(**read_json(path)) if path.exists() else None


def ask_for_days(lake: Lake, change: int, days: str, who: str) -> None:
    """Have other days scored again by the champion of a change than its promotion says, as `FIRST/LAST`."""
    write_json(lake.retro_score(change, "days"), {"days": days, "who": who, "when": now()})


def read_days(lake: Lake, change: Change) -> str:
    """The days that are scored again after a change, as `FIRST/LAST`; empty where none are."""
    path = lake.retro_score(change.number, "days")
    return str(read_json(path)["days"]) if path.exists() else change.retro_score
