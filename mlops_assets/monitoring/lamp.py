"""What is said of a day: a lamp for each thing that is watched, and all of them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

State = Literal["red", "green", "grey"]


@dataclass(frozen=True)
class Lamp:
    """One thing that is watched, on one day.

    Attributes
    ----------
    name
        Such as `rows.city`, `model_input.amount`, `class_mix`, `confidence`, `files`, `rejects.type`: unique in a day.
    state
        `red`: it differs by more than the floor and the band. `grey`: it cannot be judged; the sentence says why.
    what
        The figure that was judged, by the name of its floor: `nulls`, `unseen`, `shift`, `mean`, `psi`,
        `class_mix`, `confidence`, `volume` or `rejects`. Of a column the plainest of those that are red, in this order.
    effect
        How far the day differs, in the unit of the figure.
    floor
        What is too little to be red, by the configuration.
    band
        What comparable days differ by, by chance and from day to day.
    source, column
        Of a column: `rows` or `model_input`, and its name.
    sentence
        What there is to see, in words, with the numbers that were judged.
    advice
        What to do.
    since
        First of the days in a row, this one being the last, that differ so; None of a lamp that is not red.
    cause
        Name of the red lamp that this one likely follows; empty of what stands for itself.
    figures
        All that was found of a column: `nulls`, `unseen`, `shift`, `mean`, `psi`, `jensen_shannon`,
        `total_variation`.
    bins
        Positions in `Counts.spread` where the day has more than it should, those that carry the most first.
    """

    name: str
    state: State
    what: str
    effect: float = 0.0
    floor: float = 0.0
    band: float = 0.0
    source: str = ""
    column: str = ""
    sentence: str = ""
    advice: str = ""
    since: str | None = None
    cause: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    bins: tuple[int, ...] = ()

    @property
    def red(self) -> bool:
        """Whether somebody has to look."""
        return self.state == "red"

    @property
    def threshold(self) -> float:
        """What the effect has to be beyond."""
        return max(self.floor, self.band)

    @property
    def excess(self) -> float:
        """How many times the threshold the effect is."""
        return self.effect / self.threshold if self.threshold else float(self.effect > 0)


@dataclass(frozen=True)
class DayVerdict:
    """What is said of a day.

    Attributes
    ----------
    day
        The day.
    against
        What it was compared with, in words.
    lamps
        All lamps: the red ones first, and of those what is likely a cause before what follows from it.
    """

    day: str
    against: str
    lamps: tuple[Lamp, ...]

    @property
    def red(self) -> bool:
        """Whether any lamp is."""
        return any(lamp.red for lamp in self.lamps)

    @cached_property
    def red_lamps(self) -> tuple[Lamp, ...]:
        """Those that are red."""
        return tuple(lamp for lamp in self.lamps if lamp.red)

    @property
    def sentence(self) -> str:
        """The first thing to know of the day."""
        if not self.red:
            return self._quiet()
        first, causes = self.red_lamps[0], [lamp for lamp in self.red_lamps if not lamp.cause]
        more, following = len(causes) - 1, len(self.red_lamps) - len(causes)
        told = [first.sentence]
        if more:
            told.append(f"{more} more {_are(more)} red.")
        if following:
            told.append(f"{following} likely {'follows' if following == 1 else 'follow'} from it.")
        return " ".join(told)

    def _quiet(self) -> str:
        judged = [lamp for lamp in self.lamps if lamp.state == "green"]
        grey = [lamp for lamp in self.lamps if lamp.state == "grey"]
        if not judged:
            # what keeps all columns dark says more than what keeps one lamp so
            first = sorted(grey, key=lambda lamp: lamp.name != "columns")
            return first[0].sentence if first else "Nothing of it is watched."
        left = f"; {len(grey)} cannot be judged" if grey else ""
        return f"All {len(judged)} lamps are green, compared with {self.against}{left}."


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
