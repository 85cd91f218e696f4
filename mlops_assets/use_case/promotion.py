"""How a version becomes champion, and what follows: which past days it scores again, and what that may change."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from mlops_assets.use_case.partitions import DAYS, Partitions
from mlops_assets.use_case.strict import Share, Strict

SPAN = re.compile(r"([1-9][0-9]{0,3})([dw])")
"""How many days or weeks, such as `30d` and `4w`."""

LONGEST = dt.timedelta(days=366)


def span_of(text: str) -> dt.timedelta:
    """The time that a text such as `30d` or `4w` says.

    Raises
    ------
    ValueError
        If it says none, or more than a year.
    """
    found = SPAN.fullmatch(text)
    span = dt.timedelta(**{{"d": "days", "w": "weeks"}[found[2]]: int(found[1])}) if found else None
    if span is None or span > LONGEST:
        raise ValueError(f"{text!r} is no span of 1 to {LONGEST.days} days; write it like 30d or 4w")
    return span


def _is_span(text: str) -> str:
    span_of(text)
    return text


class Promotion(Strict):
    """What makes a version that passed the gate champion, and which past days are scored again by it."""

    mode: Literal["automatic", "manual"] = Field(
        "automatic", description="Whether a version that passes the gate becomes champion at once, or by `promote`."
    )
    retro_score: Annotated[str, AfterValidator(_is_span)] | None = Field(
        None, description="How far back published days are scored again by a new champion, such as `30d` or `4w`."
    )
    most_changed: Share | None = Field(
        None,
        description="Largest share of their rows that may get another answer; above it, what was published stays.",
    )
    deliver: bool = Field(False, description="Whether the targets are brought such days once more, by themselves.")

    @model_validator(mode="before")
    @classmethod
    def _is_a_word(cls, given: Any) -> Any:
        return {"mode": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _goes_together(self) -> Promotion:
        asked = [name for name in ("most_changed", "deliver") if name in self.model_fields_set]
        if asked and self.retro_score is None:
            raise ValueError(f"{asked[0]} is about days that are scored again: give retro_score, such as 30d")
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, write: SerializerFunctionWrapHandler) -> Any:
        # the word where there is nothing else: so stand the recipes that versions of before were made by
        return write(self) if self.retro_score is not None else self.mode

    def days_before(self, moment: dt.datetime, partitions: Partitions = DAYS) -> str:
        """The days that are scored again after a promotion at some moment, as `FIRST/LAST`; empty where none are."""
        if self.retro_score is None:
            return ""
        # the one that is not over comes by itself, and is scored by the new champion
        return f"{partitions.days_ago(moment, span_of(self.retro_score).days)}/{partitions.over(moment)}"
