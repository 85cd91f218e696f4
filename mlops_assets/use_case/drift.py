"""What is watched of a day, and what follows from it."""

from __future__ import annotations

from pydantic import Field

from mlops_assets.use_case.strict import Strict


class Drift(Strict):
    """How the days of a use case are compared with what its model learned from."""

    watch: bool = Field(True, description="Whether a profile of each day is made, by which it is compared.")
    stop: bool = Field(False, description="Whether a day with a red lamp stays unpublished.")
