"""The job of a day on AWS: dagster-aws's clients, and what they lack.

Whatever ends the step ends the job (they end it when the run is cancelled, and leave it alone after any other error), a
job that takes too long is ended, and what AWS refuses is a sentence.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import dagster as dg

from mlops_assets.components import requests
from mlops_assets.components.messages import Connect, Messages, check_needs, connector, job_of, messages_of
from mlops_assets.components.requests import Job
from mlops_assets.errors.aws import PlatformError, told_of_aws
from mlops_assets.settings import Settings
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.platforms import Aws, Bundled, Ecs


@dataclass(frozen=True)
class Platform:
    """What is different from one platform of AWS to the next.

    Attributes
    ----------
    title
        What people call it.
    service
        What boto3 calls it.
    starts
        The calls that start a job.
    pipes
        Import path of the client of Pipes.
    argument
        The argument of its `run` that takes the request.
    ask
        Makes the request.
    stop
        Ends a job, by what was asked for and what the start answered.
    unasked
        Calls of Pipes that are not made, for nothing needs what they answer.
    """

    title: str
    service: str
    starts: tuple[str, ...]
    pipes: str
    argument: str
    ask: Callable[[Any, Job], dict[str, Any]]
    stop: Callable[[Any, Mapping[str, Any], Mapping[str, Any]], object]
    unasked: tuple[str, ...] = ()


def _stop_emr(api: Any, asked: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    if "JobFlowId" in answer:
        api.terminate_job_flows(JobFlowIds=[answer["JobFlowId"]])
        return
    cluster = asked["JobFlowId"]
    tag = asked["Steps"][0]["Name"]
    listed = f"yarn application -list -appTags {tag} -appStates SUBMITTED,ACCEPTED,RUNNING"
    end = f"{listed} | grep -o '^application_[0-9_]*' | xargs -r -n 1 yarn application -kill"
    jar = {"Jar": "command-runner.jar", "Args": ["bash", "-c", end]}
    try:
        api.cancel_steps(ClusterId=cluster, StepIds=answer["StepIds"], StepCancellationOption="TERMINATE_PROCESS")
    finally:  # in cluster mode the step is but the messenger: Spark's driver lives on in YARN
        api.add_job_flow_steps(
            JobFlowId=cluster, Steps=[{"Name": f"end-{tag}", "ActionOnFailure": "CONTINUE", "HadoopJarStep": jar}]
        )


PLATFORMS = {
    "emr": Platform(
        "EMR",
        "emr",
        ("run_job_flow", "add_job_flow_steps"),
        "mlops_assets.components.emr:PipesEmrStepClient",
        "step_params",
        requests.ask_emr,
        _stop_emr,
    ),
    "emr_serverless": Platform(
        "EMR Serverless",
        "emr-serverless",
        ("start_job_run",),
        "mlops_assets.components.emr:ServerlessClient",
        "start_job_run_params",
        requests.ask_emr_serverless,
        lambda api, _, job: api.cancel_job_run(applicationId=job["applicationId"], jobRunId=job["jobRunId"]),
        # an address by which whoever reads the log could look at the job; a job is not to fail for want of it
        unasked=("get_dashboard_for_job_run",),
    ),
    "emr_containers": Platform(
        "EMR on EKS",
        "emr-containers",
        ("start_job_run",),
        "dagster_aws.pipes:PipesEMRContainersClient",
        "start_job_run_params",
        requests.ask_emr_containers,
        lambda api, _, job: api.cancel_job_run(virtualClusterId=job["virtualClusterId"], id=job["id"]),
    ),
    "glue": Platform(
        "Glue",
        "glue",
        ("start_job_run",),
        "dagster_aws.pipes:PipesGlueClient",
        "start_job_run_params",
        requests.ask_glue,
        lambda api, asked, job: api.batch_stop_job_run(JobName=asked["JobName"], JobRunIds=[job["JobRunId"]]),
    ),
    "ecs": Platform(
        "ECS",
        "ecs",
        ("run_task",),
        "dagster_aws.pipes:PipesECSClient",
        "run_task_params",
        requests.ask_ecs,
        lambda api, asked, job: api.stop_task(
            cluster=asked["cluster"], task=job["tasks"][0]["taskArn"], reason="the Dagster run ended"
        ),
    ),
}
"""By `scale.client.kind`."""


def open_aws(asked: Aws, use_case: UseCase, settings: Settings) -> AwsClient:
    """The client of a platform of AWS.

    Raises
    ------
    ConfigError
        If dagster-aws is missing, or there is no place in S3 for what the job says.
    """
    if isinstance(asked, Bundled):  # those of ECS are in the definition of its task
        check_needs(use_case, settings, asked.secrets)
    connect = connector(asked.region)
    return AwsClient(asked, messages_of(asked, use_case, settings, connect), connect)


class AwsClient:
    """Starts the job of a day on a platform of AWS and waits for it.

    Parameters
    ----------
    asked
        What the use case says of the platform.
    messages
        Where the job says how it goes.
    connect
        Makes boto3's clients.
    """

    def __init__(self, asked: Aws, messages: Messages, connect: Connect) -> None:
        self._asked = asked
        self._messages = messages
        self._connect = connect

    def run(
        self, context: dg.AssetExecutionContext, command: Sequence[str], environment: Mapping[str, str]
    ) -> dg.PipesClientCompletedInvocation:
        """Have the job done.

        Raises
        ------
        PlatformError
            If AWS does not start it, or it ends otherwise than well.
        """
        from botocore.exceptions import BotoCoreError, ClientError, WaiterError

        platform = PLATFORMS[self._asked.kind]  # type: ignore[attr-defined]
        request = platform.ask(self._asked, job_of(context, command, environment))
        watched = Watched(self._connect(platform.service), platform, request, self._asked.minutes)
        try:
            with watched:
                return self._pipes(platform, watched).run(
                    context=context, **{platform.argument: request}, **self._further()
                )
        except WaiterError as error:  # of ECS: boto3's own way to wait
            if "Max attempts" in str(error):
                raise watched.too_long() from None
            raise PlatformError(f"{platform.title} knows the job no longer: run the day again.") from None
        except (BotoCoreError, ClientError) as error:
            raise PlatformError(told_of_aws(platform.title, error)) from None
        except (RuntimeError, dg.DagsterInvariantViolationError) as error:  # dagster-aws's, of a job that ended badly
            reason = " ".join(str(error).split())[:500]
            raise PlatformError(
                f"{platform.title} did not do the job to its end: {reason}. Its log says why."
            ) from None

    def _pipes(self, platform: Platform, api: Watched) -> Any:
        module, _, name = platform.pipes.partition(":")
        return getattr(import_module(module), name)(
            client=api,
            context_injector=self._messages.context_injector(),
            message_reader=self._messages.reader(),
            forward_termination=False,  # `Watched` does, whatever the end was
        )

    def _further(self) -> dict[str, Any]:
        if not isinstance(self._asked, Ecs):
            return {}
        # boto3 waits by itself there, so that nobody could look at the clock
        return {"waiter_config": {"Delay": 6, "MaxAttempts": self._asked.minutes * 10}}


class Watched:
    """boto3's client of a platform, which ends in the end what was started by it.

    Parameters
    ----------
    api
        The client.
    platform
        How jobs are started and ended there.
    asked
        The request.
    minutes
        What a job may take.
    """

    def __init__(self, api: Any, platform: Platform, asked: Mapping[str, Any], minutes: float) -> None:
        self._api = api
        self._platform = platform
        self._asked = asked
        self._seconds = minutes * 60
        self._answer: Mapping[str, Any] | None = None
        self._begun = time.monotonic()

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        if kind is None or self._answer is None:
            return
        try:
            self._platform.stop(self._api, self._asked, self._answer)
        except (BotoCoreError, ClientError) as refused:
            # most often it had ended; what the run tells is the error that brought us here
            told = told_of_aws(self._platform.title, refused)
            dg.get_dagster_logger().warning(f"The job was not ended from here; see that it has ended there. {told}")

    def __getattr__(self, name: str) -> Any:
        called = getattr(self._api, name)
        if name in self._platform.starts:
            return lambda **request: self._started(called(**request))
        if self._answer is not None and time.monotonic() - self._begun > self._seconds:
            raise self.too_long()
        return (lambda **_: "in the console") if name in self._platform.unasked else called

    def too_long(self) -> PlatformError:
        """What is told of a job that was ended since it took too long."""
        return PlatformError(
            f"{self._platform.title}: the job took longer than {self._seconds / 60:g} minutes and was ended. "
            "What it finished is kept: run the day again, with more room or a larger `scale.client.minutes`."
        )

    def _started(self, answer: dict[str, Any]) -> dict[str, Any]:
        for failure in answer.get("failures", ()):  # ECS has no room, and says so in an answer that is none
            raise PlatformError(f"{self._platform.title} does not start the task: {failure.get('reason')}.")
        self._answer = answer
        return answer
