"""In: what a use case says of a platform, and the job of a day. Out: the request that the platform is sent.

Pure functions: what is asked for can be read, and compared field by field, without a platform.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_assets.use_case.platforms import Bundled, Ecs, Emr, EmrContainers, EmrServerless, Glue, Kubernetes, OnSpark

PROGRAM = ("python", "-m", "mlops_assets.job")
"""What an image is asked for, before the words of the job."""

PYTHON = "./environment/bin/python"
"""The interpreter of the bundle, where Spark unpacks it beside the driver and each executor."""

MASTERS = {
    "emr": "yarn",
    "emr_serverless": "custom:emr-serverless",
    "emr_containers": "k8s://https://kubernetes.default.svc:443",
}
"""How Spark is called on each platform, for a session that is opened inside of it."""


@dataclass(frozen=True)
class Job:
    """The job of a day, as a platform is asked for it.

    Attributes
    ----------
    words
        Those of the job, such as `transactions --day 2026-01-01 --model current`.
    variables
        Its environment; no secret is among them.
    run
        The Dagster run that it belongs to, of several tries the first.
    attempt
        Which of these tries it is.
    """

    words: Sequence[str]
    variables: Mapping[str, str]
    run: str
    attempt: str = ""

    @property
    def name(self) -> str:
        """What people find it by, such as `transactions-2026-01-01-1f3b9a20`; platforms take 63 signs."""
        day = self.words[self.words.index("--day") + 1]
        return f"{self.words[0][:43]}-{day}-{self.run[:8]}".replace("_", "-").lstrip("-")

    @property
    def token(self) -> str:
        """The same for a request that is sent again, so that a platform starts one job; another for another try.

        A platform that knows a token refuses another request by it.
        """
        return hashlib.sha256(f"{self.run} {self.attempt} {shlex.join(self.words)}".encode()).hexdigest()[:32]


def ask_emr(asked: Emr, job: Job) -> dict[str, Any]:
    """A step for a cluster, or a cluster that does one step and is gone: `AddJobFlowSteps`, `RunJobFlow`."""
    properties = {
        **_executors(asked, job),
        "spark.yarn.appMasterEnv.PYSPARK_PYTHON": PYTHON,
        "spark.yarn.tags": job.name,  # by which a cancelled one is found
        "spark.yarn.maxAppAttempts": "1",  # tries are Dagster's
    }
    submit = ["spark-submit", "--deploy-mode", "cluster", "--archives", f"{asked.bundle}#environment"]
    conf = [word for name, value in properties.items() for word in ("--conf", f"{name}={value}")]
    steps = [
        {
            "Name": job.name,
            "ActionOnFailure": "CONTINUE" if asked.cluster_id else "TERMINATE_CLUSTER",
            "HadoopJarStep": {
                "Jar": "command-runner.jar",
                "Args": [*submit, *conf, _script(asked), *_arguments(asked, job)],
            },
        }
    ]
    if asked.cluster is None:
        return {"JobFlowId": asked.cluster_id, "Steps": steps}
    cluster = asked.cluster
    return {
        "Name": job.name,
        "ReleaseLabel": cluster.release,
        "Applications": [{"Name": "Spark"}],
        "ServiceRole": cluster.role,
        "JobFlowRole": cluster.profile,
        "Instances": {
            "Ec2SubnetId": cluster.subnet,
            "KeepJobFlowAliveWhenNoSteps": False,
            "TerminationProtected": False,
            "InstanceGroups": [
                _machines("MASTER", cluster.machine, 1, spot=False),
                _machines("CORE", cluster.machine, cluster.machines, spot=cluster.spot),
            ],
        },
        "Steps": steps,
        # without the second one, AWS's own policy of the service's role (v2) refuses to make machines
        "Tags": [
            {"Key": "mlops-assets", "Value": job.name},
            {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"},
        ],
        **({"LogUri": cluster.logs} if cluster.logs else {}),
    }


def _machines(role: str, kind: str, count: int, spot: bool) -> dict[str, Any]:
    market = "SPOT" if spot else "ON_DEMAND"
    return {"Name": role.lower(), "InstanceRole": role, "InstanceType": kind, "InstanceCount": count, "Market": market}


def ask_emr_serverless(asked: EmrServerless, job: Job) -> dict[str, Any]:
    """A job run of an application: `StartJobRun`."""
    properties = {**_spark(asked, job), "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": PYTHON}
    return {
        "applicationId": asked.application,
        "clientToken": job.token,
        "name": job.name,
        "executionRoleArn": asked.role,
        "executionTimeoutMinutes": max(asked.minutes, 5),  # the least that it takes
        "jobDriver": {"sparkSubmit": {"entryPoint": _script(asked), "entryPointArguments": _arguments(asked, job)}},
        "configurationOverrides": _spark_defaults(properties),
        "tags": {"mlops-assets": job.name},
    }


def ask_emr_containers(asked: EmrContainers, job: Job) -> dict[str, Any]:
    """A job run of a virtual cluster: `StartJobRun`."""
    return {
        "virtualClusterId": asked.cluster,
        "clientToken": job.token,
        "name": job.name,
        "executionRoleArn": asked.role,
        "releaseLabel": asked.release,
        "jobDriver": {
            "sparkSubmitJobDriver": {"entryPoint": _script(asked), "entryPointArguments": _arguments(asked, job)}
        },
        "configurationOverrides": _spark_defaults(_spark(asked, job)),
        "tags": {"mlops-assets": job.name},
    }


def ask_glue(asked: Glue, job: Job) -> dict[str, Any]:
    """A run of a job: `StartJobRun`. Its arguments are pairs of a name and a text, each name once."""
    secrets = [f"{name}={arn}" for name, arn in sorted(asked.secrets.items())]
    variables = [f"{name}={value}" for name, value in sorted(job.variables.items())]
    return {
        "JobName": asked.job,
        "Timeout": asked.minutes,
        "Arguments": {
            "--scriptLocation": _script(asked),
            "--bundle": asked.bundle,
            "--job": shlex.join(job.words),
            "--variables": shlex.join(variables),
            **({"--secrets": shlex.join(secrets)} if secrets else {}),
        },
    }


def ask_ecs(asked: Ecs, job: Job) -> dict[str, Any]:
    """A task: `RunTask`."""
    return {
        "cluster": asked.cluster,
        "taskDefinition": asked.task,
        "clientToken": job.token,
        "startedBy": job.token,
        "count": 1,
        "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT" if asked.spot else "FARGATE", "weight": 1}],
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": list(asked.subnets),
                "securityGroups": list(asked.security_groups),
                "assignPublicIp": "ENABLED" if asked.public_address else "DISABLED",
            }
        },
        "overrides": {
            "containerOverrides": [
                {
                    "name": asked.container,
                    "command": [*PROGRAM, *job.words],
                    "environment": [{"name": name, "value": value} for name, value in sorted(job.variables.items())],
                }
            ]
        },
        "tags": [{"key": "mlops-assets", "value": job.name}],
    }


def ask_kubernetes(asked: Kubernetes, job: Job) -> dict[str, Any]:
    """A pod: the arguments of `PipesK8sClient.run`."""
    size = {"cpu": asked.cpu, "memory": asked.memory, "ephemeral-storage": asked.disk}
    secrets = [
        {"name": name, "value_from": {"secret_key_ref": dict(zip(("name", "key"), place.split("/"), strict=True))}}
        for name, place in sorted(asked.secrets.items())
    ]
    container = {
        "name": "job",
        "env": secrets,
        "resources": {"requests": size, "limits": {"memory": asked.memory, "ephemeral-storage": asked.disk}},
        "security_context": {"allow_privilege_escalation": False, "capabilities": {"drop": ["ALL"]}},
        "volume_mounts": [{"name": "home", "mount_path": "/var/lib/mlops"}],
    }
    return {
        "image": asked.image,
        "command": [*PROGRAM, *job.words],
        "namespace": asked.namespace,
        "env": {"MLOPS_HOME": "/var/lib/mlops", **job.variables},
        "base_pod_meta": {"labels": {"mlops-assets": job.name}},
        "base_pod_spec": {
            "service_account_name": asked.account,
            "restart_policy": "Never",
            "active_deadline_seconds": asked.minutes * 60,  # also when nobody watches any more
            "security_context": {"run_as_non_root": True, "run_as_user": 10001, "fs_group": 10001},
            "containers": [container],
            "volumes": [{"name": "home", "empty_dir": {}}],
        },
        "pod_wait_timeout": asked.minutes * 60,
    }


def _script(asked: Bundled) -> str:
    return asked.bundle.removesuffix(".tar.gz") + ".py"


def _arguments(asked: OnSpark, job: Job) -> list[str]:
    """Those of `deploy/entry.py`."""
    variables = {**job.variables, "MLOPS_SPARK_MASTER": MASTERS[asked.kind]}  # type: ignore[attr-defined]
    words = ["--job", shlex.join(job.words)]
    for name, value in sorted(variables.items()):
        words += ["--variable", f"{name}={value}"]
    for name, arn in sorted(asked.secrets.items()):
        words += ["--secret", f"{name}={arn}"]
    return words


def _executors(asked: OnSpark, job: Job) -> dict[str, str]:
    """Properties that the use case sets, and what each executor's environment must have."""
    variables = {f"spark.executorEnv.{name}": value for name, value in sorted(job.variables.items())}
    return {**asked.spark, **variables, "spark.executorEnv.PYSPARK_PYTHON": PYTHON}


def _spark(asked: OnSpark, job: Job) -> dict[str, str]:
    """The same, and where driver and executors find the interpreter of the bundle."""
    places = {"spark.archives": f"{asked.bundle}#environment", "spark.pyspark.python": PYTHON}
    return {**_executors(asked, job), **places}


def _spark_defaults(properties: Mapping[str, str]) -> dict[str, Any]:
    # not as words of spark-submit: there a blank would part a value
    return {"applicationConfiguration": [{"classification": "spark-defaults", "properties": dict(properties)}]}
