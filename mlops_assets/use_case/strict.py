"""What every part of the configuration is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import InitErrorDetails

Share = Annotated[float, Field(ge=0, le=1)]
METRICS = ("accuracy", "macro_f1", "weighted_f1", "log_loss", "roc_auc")
"""The metrics that every evaluation has; `training.metrics` adds to them."""


class Strict(BaseModel):
    """A part of the configuration; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


Problem = tuple[tuple[str | int, ...], str, Any]
"""The keys that lead to something wrong, what is wrong with it, and what was given."""


def refuse(problems: Sequence[Problem]) -> None:
    """Tell what is wrong below the key that is looked at, if anything is.

    Parameters
    ----------
    problems
        What was found.

    Raises
    ------
    pydantic.ValidationError
        With all of them; raised in a validator, they become those of the whole configuration.
    """
    details = [
        InitErrorDetails(type="value_error", loc=keys, input=given, ctx={"error": ValueError(said)})
        for keys, said, given in problems
    ]
    if details:
        raise ValidationError.from_exception_data("configuration", details)
