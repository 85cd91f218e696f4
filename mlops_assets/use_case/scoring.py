"""What is stored of what a model says of a row."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from mlops_assets.use_case.strict import Strict


class Top(Strict):
    """The likeliest classes of a row, so many of them."""

    top: int = Field(ge=1)


class Scoring(Strict):
    """What is stored beside the said class and its probability."""

    probabilities: Literal["said", "all"] | Top = Field(
        "said",
        description="Which probabilities of a row are stored: `said`, that of the said class; `all`, those of every "
        "class, too; `{top: N}`, those of the N likeliest.",
    )

    @field_validator("probabilities", mode="before")
    @classmethod
    def _is_one_of_three(cls, given: Any) -> Any:
        # before pydantic tries the one after the other, and tells what is wrong with each
        number = given.get("top") if isinstance(given, dict) and len(given) == 1 else None
        counts = isinstance(number, int) and not isinstance(number, bool) and number >= 1
        if counts or isinstance(given, Top) or given in ("said", "all"):
            return given
        raise ValueError(f"expected `said`, `all` or `{{top: N}}` with a whole number from 1 on, found {given!r}")

    @property
    def most(self) -> int | None:
        """Of how many classes a row keeps the probability beside that of the said one; None for all, 0 for none."""
        if isinstance(self.probabilities, Top):
            return self.probabilities.top
        return None if self.probabilities == "all" else 0

    @property
    def mark(self) -> tuple[str, ...]:
        """What it adds to the fingerprint of a shard: nothing where nothing is stored, as before there was a choice."""
        return () if self.most == 0 else (f"probabilities: {self.most or 'all'}",)
