"""Where the job of a day is started, if `scale.engine` is `pipes`: a kind of platform, and what it must know."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mlops_assets.use_case.platforms import Ecs, Emr, EmrContainers, EmrServerless, Glue, JobClient, Kubernetes


class Subprocess(JobClient):
    """The job is a process beside the Dagster run: to try it, or to have a day's memory and libraries apart."""

    kind: Literal["subprocess"] = Field("subprocess", description="A process on the machine of the Dagster run.")


class SparkSubmit(JobClient):
    """The job is the driver of a Spark application that `spark-submit` starts on this machine."""

    kind: Literal["spark_submit"] = Field("spark_submit", description="`spark-submit`, its driver on this machine.")
    engine: Literal["local", "spark"] = Field("spark", description="What runs the shards inside of the job.")
    master: str = Field("", description="Address of the cluster; `MLOPS_SPARK_MASTER` if it is empty.")
    program: str = Field("spark-submit", min_length=1, description="What is started.")
    options: tuple[str, ...] = Field((), description="Further options of `spark-submit`, a word each.")


Client = Annotated[
    Subprocess | SparkSubmit | Emr | EmrServerless | EmrContainers | Glue | Ecs | Kubernetes,
    Field(discriminator="kind"),
]
"""Any of them, told by its `kind`."""

CLIENTS: dict[str, type[JobClient]] = {
    "subprocess": Subprocess,
    "spark_submit": SparkSubmit,
    "emr": Emr,
    "emr_serverless": EmrServerless,
    "emr_containers": EmrContainers,
    "glue": Glue,
    "ecs": Ecs,
    "kubernetes": Kubernetes,
}
"""The form of each kind."""
