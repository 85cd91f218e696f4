"""How new files of a use case are noticed."""

from __future__ import annotations

from pydantic import Field

from mlops_assets.use_case.strict import Strict, Variable


class Messages(Strict):
    """A queue of SQS that is told of new objects, so that their days are looked at sooner."""

    queue_url_variable: Variable = Field(description="Environment variable with the URL of the queue.")
    most: int = Field(
        5_000,
        gt=0,
        le=20_000,
        description="Messages that one look takes, or as many as come in 6 s.",
    )


class Sensor(Strict):
    """What the sensor for new files looks at, and when it takes a day for whole."""

    window_days: int = Field(7, gt=0, le=366, description="Calendar days that are watched: today and those before it.")
    settle_minutes: float = Field(
        10, ge=0, description="Minutes without a change after which the files of a day are taken for whole."
    )
    marker: str | None = Field(
        None,
        pattern=r"^[._][^/]*$",
        description="Name of a file, such as `_SUCCESS`: a day without it is passed over, a new one with it is whole.",
    )
    relist_minutes: float = Field(
        30, gt=0, description="Minutes after which a day without news is listed again, for late files."
    )
    interval_seconds: int = Field(60, ge=5, description="Least seconds from one look to the next one.")
    # Dagster gives a tick of a sensor 60 seconds
    budget_seconds: float = Field(25, gt=0, le=45, description="Seconds that one look may list; the next one goes on.")
    messages: Messages | None = Field(
        None, description="A queue that is told of new files on S3: days that it names are listed at the next look."
    )
