"""What is answered to requests, and what of them is kept."""

from __future__ import annotations

from pydantic import Field

from mlops_assets.use_case.strict import Strict


class Limits(Strict):
    """The most that one request may bring; what is more is refused with 413."""

    bytes: int = Field(32 << 20, gt=0, description="Of its body, and of what is in its ZIP files.")
    files: int = Field(1_000, gt=0, description="Files.")
    rows: int = Field(200_000, gt=0, description="Lines of all its files together.")
    pixels: int = Field(20_000_000, gt=0, description="Of a picture, by what its head says.")
    seconds: float = Field(30.0, gt=0, description="For which it is worked on; later it is answered 503.")


class Serving(Strict):
    """How requests are answered."""

    limits: Limits = Field(default_factory=Limits, description="The most that one request may bring.")
    enrich_seconds: float = Field(
        0.5, gt=0, description="For which enrichments are waited for; what is not answered by then is missing."
    )
    store: bool = Field(False, description="Whether requests are kept and become raw files of their day.")
    durable: bool = Field(False, description="Whether an answer is sent only once its request is safe on the disk.")
    keep_days: int = Field(30, gt=0, description="Days for which requests are kept.")
