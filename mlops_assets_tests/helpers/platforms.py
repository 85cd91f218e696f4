"""AWS as moto plays it: jobs are accepted and told of, and end at once as a test says, for nobody does them."""

import datetime as dt
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import boto3
import dagster as dg
from botocore.awsrequest import AWSResponse
from dagster_pipes import (
    PipesContext,
    PipesMappingParamsLoader,
    PipesS3ContextLoader,
    PipesS3MessageWriter,
    decode_param,
    encode_param,
)
from moto import mock_aws
from moto.backends import get_backend
from moto.moto_api import state_manager

from mlops_assets.components.aws import AwsClient
from mlops_assets.components.messages import Messages
from mlops_assets.storage.places import S3Path
from mlops_assets.use_case.clients import Client
from mlops_assets_tests.helpers.paths import ROOT

REGION, ACCOUNT = "eu-central-1", "123456789012"
PLACE = S3Path("bank", "lake/shop/heard")
BUNDLE = f"s3://bank/bundles/mlops-assets-{'0' * 64}.tar.gz"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/job"
COMMAND = ["shop", "--day", "2026-01-01", "--model", "current"]
ENVIRONMENT = {"MLOPS_LAKE": "s3://bank/lake", "MLOPS_USER": "a b"}
OPERATIONS = {
    "emr": ("RunJobFlow", "AddJobFlowSteps"),
    "emr_serverless": ("StartJobRun",),
    "emr_containers": ("StartJobRun",),
    "glue": ("StartJobRun",),
    "ecs": ("RunTask",),
}

UNPLAYED = ("CancelSteps", "BatchStopJobRun")
"""What moto does not know, and has no need to: it is noted, and answered with nothing."""


@dataclass
class World:
    """What AWS was asked, and what it does.

    Attributes
    ----------
    calls
        Operations and their parameters, in order.
    at
        What is done before an operation is answered, by its name; it may raise.
    state
        How jobs end.
    """

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    at: dict[str, Callable[[], None]] = field(default_factory=dict)
    state: str = ""

    def connect(self, service: str) -> Any:
        """A client whose calls are seen."""
        client = boto3.client(service, region_name=REGION)
        client.meta.events.register("provide-client-params.*.*", self._seen)
        for operation in UNPLAYED:
            client.meta.events.register(f"before-call.*.{operation}", self._taken)
        for kind, operations in OPERATIONS.items():
            if kind.replace("_", "-") == service:
                for operation in operations:
                    client.meta.events.register(f"after-call.{service}.{operation}", partial(self._end, kind))
        return client

    def asked(self, operation: str) -> list[dict[str, Any]]:
        """The parameters of each call of an operation."""
        return [params for name, params in self.calls if name == operation]

    def _seen(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.calls.append((model.name, params))
        if model.name in self.at:
            self.at[model.name]()

    def _taken(self, **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        return AWSResponse("", 200, {}, None), {}

    def _end(self, kind: str, **_: Any) -> None:
        operations = [(name, params) for name, params in self.calls if name in OPERATIONS[kind]]
        say(operations[-1][1], boto3.client("s3", region_name=REGION))
        ENDINGS[kind](get_backend(kind.replace("_", "-").replace("emr-", "emr"))[ACCOUNT][REGION], self.state)


def say(asked: Mapping[str, Any], s3: Any) -> None:
    """What the job that a request asks for would say, by the parameters that the request has for it."""
    text = json.dumps(asked)
    found = {
        name.lower(): one
        for name, one in re.findall(r"dagster.pipes.(context|messages)\W+(?:value\W+)?(eJ[\w+/=-]+)", text, re.I)
    }
    if not found:  # a cluster that stands
        return
    # what this process prints is no log of the job
    messages = {**decode_param(found["messages"]), "include_stdio_in_messages": False}
    parameters = {"DAGSTER_PIPES_CONTEXT": found["context"], "DAGSTER_PIPES_MESSAGES": encode_param(messages)}
    # not `open_dagster_pipes`, which a process can do once
    with PipesContext(
        context_loader=PipesS3ContextLoader(s3),
        message_writer=PipesS3MessageWriter(s3),
        params_loader=PipesMappingParamsLoader(parameters),
    ) as pipes:
        pipes.report_custom_message({"done": True})


def _end_emr(backend: Any, state: str) -> None:
    for cluster in backend.clusters.values():
        for step in cluster.steps:
            step.state = state or "COMPLETED"


def _end_serverless(backend: Any, state: str) -> None:
    for runs in backend.job_runs.values():
        runs[-1].state = state or "SUCCESS"


def _end_containers(backend: Any, state: str) -> None:
    for run in backend.job_runs.values():
        run.state = state or "COMPLETED"


def _end_glue(backend: Any, state: str) -> None:
    for job in backend.jobs.values():
        job.job_runs[-1].status = state or "SUCCEEDED"


def _end_ecs(backend: Any, state: str) -> None:
    for tasks in backend.tasks.values():
        for task in tasks.values():
            task.last_status = task.desired_status = "STOPPED"
            task.containers = [{"name": "job", "exitCode": int(state or 0), "runtimeId": "r-1"}]


ENDINGS = {
    "emr": _end_emr,
    "emr_serverless": _end_serverless,
    "emr_containers": _end_containers,
    "glue": _end_glue,
    "ecs": _end_ecs,
}


def actions(world: World) -> set[str]:
    """What a policy must allow of a run that made these calls, but for what a test itself made before."""
    begun = next(i for i, (name, _) in enumerate(world.calls) if name == "PutObject")
    end = [name for name, _ in world.calls].index("ListObjectsV2")
    return {name for name, _ in world.calls[begun:end]} - {"PutObject", "HeadObject", "GetObject", "DeleteObject"}


def allowed(kind: str) -> set[str]:
    """The calls that the policy of a kind of platform allows."""
    policy = json.loads((ROOT / "deploy" / "policies" / f"{kind}.json").read_text())
    named = [action for statement in policy["Statement"] for action in words_of(statement["Action"])]
    return {action.partition(":")[2] for action in named}


def words_of(said: str | list[str]) -> list[str]:
    """A part of a policy that is one word or several."""
    return [said] if isinstance(said, str) else said


class Clock:
    """A second passes each time that a thread looks."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    def now(self) -> dt.datetime:
        """Its time."""
        self._of_thread.seconds = getattr(self._of_thread, "seconds", 0) + 1
        return dt.datetime.fromtimestamp(self._of_thread.seconds, dt.UTC)


@contextmanager
def aws(monkeypatch: Any) -> Iterator[World]:
    """AWS, with a bucket, and messages that nobody waits seconds for."""
    # after the end of a job Dagster looks for ten seconds for what it may still say: here once
    monkeypatch.setattr("dagster._core.pipes.utils.WAIT_FOR_LOGS_AFTER_EXECUTION_INTERVAL", 1)
    monkeypatch.setattr("dagster._core.pipes.utils.DEFAULT_SLEEP_INTERVAL", 0.01)
    monkeypatch.setattr("dagster._core.pipes.utils.datetime", SimpleNamespace(datetime=Clock()))
    monkeypatch.setattr("dagster_pipes.time", SimpleNamespace(sleep=lambda _: time.sleep(0.01), time=time.time))
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "S3_ENDPOINT_URL", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        boto3.client("s3", region_name=REGION).create_bucket(
            Bucket=PLACE.bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        for model in ("glue::job_run", "ecs::task"):
            state_manager.set_transition(model, {"progression": "manual", "times": 1000})
        yield World()


def had_done(world: World, asked: Client) -> Any:
    """Have a job done in a step of a Dagster run; what the client gives back."""
    return in_a_step(AwsClient(asked, Messages(PLACE, world.connect("s3"), interval=0.05), world.connect))  # type: ignore[arg-type]


def in_a_step(client: Any) -> Any:
    """Run a client in a step of a Dagster run; what it gives back."""
    given = []

    @dg.asset
    def day(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        given.append(client.run(context, COMMAND, ENVIRONMENT))
        return dg.MaterializeResult()

    dg.materialize([day])
    return given[0]
