"""Where the raw files of a use case come from, if not from the folder or bucket of all raw files."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from mlops_assets.plugins import check_plugin, plugin_code
from mlops_assets.plugins.sources import Source
from mlops_assets.use_case.strict import Strict

PLACES: dict[str, type[Strict]] = {}
"""What `parameters` may say, by `use`; those of a class of your own are its arguments."""


class Origin(Strict):
    """Where the raw files come from."""

    parameters: dict[str, Any] = Field(default_factory=dict, description="Its arguments.")
    use: str = Field(description="The import path of a class of your own.")

    @property
    def code(self) -> str:
        """Hash of the source of a class of one's own: changed code may read the same files otherwise."""
        return "" if self.use in PLACES else hashlib.sha256(plugin_code(self.use)).hexdigest()

    @field_validator("use")
    @classmethod
    def _can_be_listed(cls, use: str, info: ValidationInfo) -> str:
        parameters = info.data.get("parameters", {})
        if use not in PLACES:
            check_plugin(use, Source, parameters)
            return use
        try:
            PLACES[use].model_validate(parameters)
        except ValidationError as error:
            told = (f"parameters.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise ValueError("; ".join(told)) from None
        return use
