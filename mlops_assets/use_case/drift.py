"""What is watched of a day, and what follows from it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from mlops_assets.use_case.partitions import is_key
from mlops_assets.use_case.strict import Share, Strict

Distance = Annotated[float, Field(ge=0)]


class Floors(Strict):
    """What is too little to be worth a red lamp, however sure it is: differences at or below it are green."""

    nulls: Share = Field(0.01, description="Of rows without a value, against the comparison, either way.")
    unseen: Share = Field(
        0.01, description="Of rows with a value that training never saw, more than in the comparison."
    )
    shift: Distance = Field(
        0.15,
        description="How far a number has moved on average, in standard deviations of the reference (Wasserstein-1).",
    )
    mean: Distance = Field(
        0.15,
        description="How far the exact mean of a number has moved, in the same; it sees large values alone, too.",
    )
    psi: Distance = Field(0.1, description="Population stability index of a column over its bins.")
    class_mix: Share = Field(
        0.01, description="Of the answers that another class would have to have (total variation)."
    )
    confidence: Share = Field(0.05, description="Of the mean probability of the class that is said, either way.")
    volume: Distance = Field(
        0.25, description="Of files, rows, rows a file and rows an account, relative to the comparison, either way."
    )
    rejects: Share = Field(0.01, description="Of lines that a rule refuses, more than on comparable days.")


class ColumnFloors(Strict):
    """The floors of one column; what is not said is as for all."""

    nulls: Share | None = Field(None, description="Floor of rows without a value.")
    unseen: Share | None = Field(None, description="Floor of rows with a value that training never saw.")
    shift: Distance | None = Field(None, description="Floor of how far a number has moved.")
    mean: Distance | None = Field(None, description="Floor of how far its mean has moved.")
    psi: Distance | None = Field(None, description="Floor of the population stability index.")


class DriftDays(Strict):
    """How many of the last days a figure must be too far out on for its lamp to be red."""

    red: int = Field(1, ge=1, description="On that many days, of which today is one;")
    of: int = Field(1, ge=1, le=28, description="of that many.")

    @model_validator(mode="after")
    def _possible(self) -> DriftDays:
        if self.red > self.of:
            raise ValueError(f"{self.red} of {self.of} days can never be red; `red` is at most `of`")
        return self


class Drift(Strict):
    """How the days of a use case are compared with what its model learned from."""

    watch: bool = Field(True, description="Whether a profile of each day is made, by which it is compared.")
    stop: bool = Field(False, description="Whether a day with a red lamp stays unpublished.")
    against: str = Field(
        "training",
        description="What a day is compared with: `training`, `trailing` (the 28 days before it), `last-week` "
        "(the same weekday), or a day (YYYY-MM-DD).",
    )
    floors: Floors = Field(default_factory=Floors, description="What is too little to be red.")
    band: Distance = Field(
        8.0,
        description="How far beyond the mean noise of a day of its size, in standard deviations of that noise.",
    )
    answers_band: Distance = Field(
        4.0, description="The same for class mix and confidence: these are two lamps, and not one for each column."
    )
    spread: Distance = Field(
        6.0, description="How far beyond the days before it, where there are 7, in robust standard deviations of them."
    )
    days: DriftDays = Field(default_factory=DriftDays, description="On how many days a lamp must be too far out.")
    least: int = Field(
        20,
        ge=2,
        description="Units (files, accounts or rows, whichever the reference counts) below which no lamp is lit.",
    )
    columns: dict[str, ColumnFloors] = Field(
        default_factory=dict, description="Floors of single columns, by name, of the contract or of the model's input."
    )
    ignore: tuple[str, ...] = Field((), description="Columns that no lamp is for, by name.")

    @field_validator("against", mode="before")
    @classmethod
    def _known(cls, against: object) -> str:
        # YAML makes a date of a day that stands there without quotes
        return read_against(str(against))

    def floor(self, column: str, what: str) -> float:
        """What is too little for a column to be red.

        Parameters
        ----------
        column
            Its name.
        what
            One of the floors of a column.
        """
        own = getattr(self.columns.get(column), what, None)
        found: float = getattr(self.floors, what) if own is None else own
        return found


AGAINST = ("training", "trailing", "last-week")
"""What a day may be compared with, beside any other day."""


def read_against(text: str) -> str:
    """What a day is to be compared with, as somebody writes it: one of `AGAINST`, or a day.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if text in AGAINST:
        return text
    if not is_key(text):
        raise ValueError(f"`{text}` is none of {', '.join(AGAINST)}, and no day (YYYY-MM-DD)")
    return text
