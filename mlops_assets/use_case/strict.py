"""What every part of the configuration is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import InitErrorDetails

from mlops_assets.errors.redaction import remember
from mlops_assets.plugins import check_plugin

Share = Annotated[float, Field(ge=0, le=1)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""Name of an environment variable that holds an address; its password is known by its place there."""

SecretVariable = Annotated[Variable, AfterValidator(remember)]
"""Name of an environment variable whose whole value is a secret."""
Task = Literal["classification", "regression"]
"""What a model says of a row: one of a few classes, or a number."""

METRICS: Mapping[Task, tuple[str, ...]] = MappingProxyType(
    {
        "classification": ("accuracy", "macro_f1", "weighted_f1", "log_loss", "roc_auc"),
        "regression": ("mae", "rmse", "r2", "median_error", "mape", "coverage"),
    }
)
"""The metrics that every evaluation has, by task, the one that ranks by default first; `training.metrics` adds some."""


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
    # as errors of pydantic's own: they keep the keys that lead to them, all of them are told, not the first
    details = [
        InitErrorDetails(type="value_error", loc=keys, input=given, ctx={"error": ValueError(message)})
        for keys, message, given in problems
    ]
    if details:
        raise ValidationError.from_exception_data("configuration", details)


def check_use(use: str, parameters: dict[str, Any], kinds: Mapping[str, type[Strict]], protocol: type[Any]) -> str:
    """What `use` says, seen to go with its `parameters`.

    Parameters
    ----------
    use, parameters
        What the configuration says.
    kinds
        Short names, each with the form of its parameters; anything else is the import path of a class.
    protocol
        What such a class must have.

    Raises
    ------
    ValueError
        If the parameters are wrong, with the name of each.
    PluginError
        If the class cannot be had, or lacks something.
    """
    if use not in kinds:
        check_plugin(use, protocol, parameters)
        return use
    try:
        kinds[use].model_validate(parameters)
    except ValidationError as error:
        messages = (
            f"parameters.{'.'.join(map(str, problem['loc']))}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        )
        raise ValueError("; ".join(messages)) from None
    return use
