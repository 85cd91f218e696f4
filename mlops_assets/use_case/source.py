"""Where the raw files of a use case come from, if not from the folder or bucket of all raw files."""

from __future__ import annotations

import re
from typing import Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from mlops_assets.plugins.sources import Source
from mlops_assets.use_case.strict import Strict, Variable, check_use


class SqlSource(Strict):
    """The rows of a query, landed as files."""

    url_variable: Variable = Field(
        description="Environment variable with the URL of the database, `postgresql://...` or another of SQLAlchemy's."
    )
    query: str = Field(
        description="The rows of the day `:day`, or from the moment `:start` to before `:end` (UTC) of a day, hour or "
        "week, their columns named as in `columns`."
    )
    key: str | None = Field(
        None, description="Column whose values name the files, one file for each; `account` by default."
    )
    files_a_day: int | None = Field(
        None, gt=0, le=100_000, description="So many files instead, each with the rows of many values of `key`."
    )
    timeout: float = Field(300, gt=0, description="Seconds that the server may take to answer.")

    @field_validator("query")
    @classmethod
    def _is_of_a_day(cls, query: str) -> str:
        named = parameters_of(query)
        if "day" not in named and not {"start", "end"} <= named:
            raise ValueError("the query must ask for one day: name `:day`, or `:start` and `:end`")
        return query


def check_hours(origin: Origin, every: str) -> None:
    """See that a query asks for an hour or a week, and not for its day, whose rows would come up to 24 times.

    Raises
    ------
    ValueError
        If it does not.
    """
    query = origin.parameters.get("query")
    if every != "day" and origin.use in PARAMETERS and not {"start", "end"} <= parameters_of(str(query)):
        raise ValueError(f"parameters.query: with `every: {every}` it must name `:start` and `:end`, not the day alone")


def parameters_of(query: str) -> set[str]:
    """The parameters that a query names, such as `day` for `:day`; `::day` is a cast of PostgreSQL, and none."""
    return {*re.findall(r"(?<![:\w\\]):(\w+)(?!:)", query)}


PARAMETERS: dict[str, type[Strict]] = {"sql": SqlSource}
"""What `parameters` may say, by `use`; those of a class of your own are its arguments."""


class Origin(Strict):
    """Where the raw files come from."""

    # before `use`, whose validator looks at them
    parameters: dict[str, Any] = Field(default_factory=dict, description="Its arguments.")
    use: str | None = Field(None, description="`sql`, or the import path of a class of your own; a folder without it.")
    follow_links: bool = Field(
        False, description="Whether links in the folder that lead out of it are followed; they are refused otherwise."
    )

    @property
    def own(self) -> str | None:
        """The import path of a class of one's own; None for a kind that we bring."""
        return None if self.use in PARAMETERS else self.use

    @field_validator("use")
    @classmethod
    def _can_be_listed(cls, use: str | None, info: ValidationInfo) -> str | None:
        return use and check_use(use, info.data.get("parameters", {}), PARAMETERS, Source)

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.use is None and "follow_links" not in self.model_fields_set:
            raise ValueError("say `use`, or `follow_links` for files in a folder")
        if self.use is None and self.parameters:
            raise ValueError("parameters: they are those of `use`, which is missing")
        if self.use is not None and self.follow_links:
            raise ValueError(f"follow_links: the files of {self.use!r} do not lie in a folder of yours")
        return self
