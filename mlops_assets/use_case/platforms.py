"""Platforms of others on which the job of a day can be done: what each must know.

Nothing here is a secret: a secret is named by where the platform keeps it, and roles do the rest.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mlops_assets.use_case.strict import SecretVariable, Strict

Bucket = Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]+(/\S*)?$")]
Bundle = Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]+/(\S+/)?mlops-assets-[0-9a-f]{64}\.tar\.gz$")]
Role = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/\S+$")]
SecretArn = Annotated[
    str, Field(pattern=r"^arn:aws[a-z-]*:(secretsmanager|ssm):[a-z0-9-]+:\d{12}:(secret:|parameter/)\S+$")
]
SecretKey = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[\w.-]+$")]
Property = Annotated[str, Field(pattern=r"^spark\.[\w.-]+$")]
Name = Annotated[str, Field(pattern=r"^\S+$")]


class JobClient(Strict):
    """What is said of every platform."""

    engine: Literal["local", "spark"] = Field("local", description="What runs the shards inside of the job.")


class Elsewhere(JobClient):
    """What is said of every platform of others."""

    messages: Bucket | None = Field(
        None,
        description="`s3://bucket/prefix` where the job says how it goes; `heard` in its part of the lake by default.",
    )
    minutes: int = Field(180, gt=0, le=7 * 24 * 60, description="Minutes after which a job is ended.")


class Aws(Elsewhere):
    """What is said of every platform of AWS."""

    region: str | None = Field(
        None, pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="Region of AWS; that of the environment by default."
    )


class Bundled(Aws):
    """What is said of every platform that has no image: the environment comes as an archive."""

    bundle: Bundle = Field(description="The archive of `make bundle`; the script of the same name lies beside it.")
    secrets: dict[SecretVariable, SecretArn] = Field(
        default_factory=dict,
        description="Environment variable of the job: ARN of the secret (Secrets Manager, SSM) that its role fetches.",
    )


class OnSpark(Bundled):
    """What is said of every platform that is Spark: the job is the driver."""

    engine: Literal["spark"] = Field("spark", description="What runs the shards inside of the job.")
    spark: dict[Property, str] = Field(
        default_factory=dict, description="Properties of Spark, such as `spark.executor.memory`."
    )


class Cluster(Strict):
    """A cluster of EMR that is made for the job of a day and gone after it."""

    release: str = Field(pattern=r"^emr-[\w.-]+$", description="Release of EMR, such as `emr-7.12.0`.")
    machine: str = Field("m5.xlarge", pattern=r"^[a-z0-9-]+\.\w+$", description="Kind of its machines.")
    machines: int = Field(2, gt=0, le=500, description="Machines that work, beside the one that directs.")
    spot: bool = Field(False, description="Whether those that work are spot machines, which AWS may take back.")
    role: Name = Field("EMR_DefaultRole_V2", description="Role of the service.")
    profile: Name = Field("EMR_EC2_DefaultRole", description="Instance profile: the role of the machines and the job.")
    subnet: str = Field(pattern=r"^subnet-[0-9a-f]+$", description="Subnet; it needs a way to S3.")
    logs: Bucket | None = Field(None, description="`s3://bucket/prefix` of EMR's own logs.")


class Emr(OnSpark):
    """A step of a cluster of EMR on EC2."""

    kind: Literal["emr"] = Field("emr", description="A step of a cluster of EMR.")
    cluster_id: str | None = Field(None, pattern=r"^j-[A-Z0-9]+$", description="A cluster that stands.")
    cluster: Cluster | None = Field(None, description="Or one that is made for the day.")

    @model_validator(mode="after")
    def _one_cluster(self) -> Self:
        if (self.cluster_id is None) == (self.cluster is None):
            raise ValueError("name one of `cluster_id` and `cluster`")
        return self


class EmrServerless(OnSpark):
    """A job run of EMR Serverless."""

    kind: Literal["emr_serverless"] = Field("emr_serverless", description="A job run of EMR Serverless.")
    application: str = Field(pattern=r"^[0-9a-z]+$", description="Id of the application.")
    role: Role = Field(description="ARN of the role of the job.")


class EmrContainers(OnSpark):
    """A job run of EMR on EKS."""

    kind: Literal["emr_containers"] = Field("emr_containers", description="A job run of EMR on EKS.")
    cluster: str = Field(pattern=r"^[0-9a-z]+$", description="Id of the virtual cluster.")
    role: Role = Field(description="ARN of the role of the job.")
    release: str = Field(pattern=r"^emr-[\w.-]+$", description="Release of EMR, such as `emr-7.12.0-latest`.")


class Glue(Bundled):
    """A run of a job of Glue; the day is done by the processes of one machine."""

    kind: Literal["glue"] = Field("glue", description="A run of a job of Glue.")
    engine: Literal["local"] = Field("local", description="What runs the shards inside of the job.")
    job: Name = Field(description="Name of the job.")


class Ecs(Aws):
    """A task of ECS; secrets are in its definition, for a request cannot name any."""

    kind: Literal["ecs"] = Field("ecs", description="A task of ECS.")
    engine: Literal["local"] = Field("local", description="What runs the shards inside of the job.")
    cluster: Name = Field(description="Name or ARN of the cluster.")
    task: Name = Field(description="Family, `family:revision` or ARN of the task's definition, which has the image.")
    container: Name = Field("job", description="Its container that does the day.")
    subnets: tuple[str, ...] = Field(min_length=1, description="Subnets; they need a way to S3.")
    security_groups: tuple[str, ...] = Field((), description="Security groups; those of the VPC by default.")
    public_address: bool = Field(False, description="Whether the task gets one, where the subnet has no NAT.")
    spot: bool = Field(False, description="Whether it runs on Fargate Spot, which AWS may take back.")


class Kubernetes(Elsewhere):
    """A pod of Kubernetes."""

    kind: Literal["kubernetes"] = Field("kubernetes", description="A pod of Kubernetes.")
    engine: Literal["local"] = Field("local", description="What runs the shards inside of the job.")
    image: Name = Field(description="The image of the project, best by its digest.")
    namespace: str = Field("default", pattern=r"^[a-z0-9-]+$", description="Namespace of the pod.")
    account: str = Field("default", pattern=r"^[a-z0-9.-]+$", description="Service account; on EKS it brings the role.")
    secrets: dict[SecretVariable, SecretKey] = Field(
        default_factory=dict, description="Environment variable of the job: `name/key` of a secret of Kubernetes."
    )
    cpu: str = Field("2", pattern=r"^\d+m?$", description="Cores.")
    memory: str = Field("4Gi", pattern=r"^\d+[KMGT]i?$", description="Memory.")
    disk: str = Field("10Gi", pattern=r"^\d+[KMGT]i?$", description="Room for what is fetched and begun.")
    context: str | None = Field(
        None,
        description="Context of the kubeconfig; in a cluster it is that cluster, whose service account starts pods.",
    )
