"""Clients of Pipes for EMR: for steps, of clusters that stand and of those that are made for one step, and Serverless.

dagster-aws's own for steps makes a cluster for each job alone, gives up after 30 minutes while the cluster lives on,
and takes one that ended with errors for one that did its work.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import chain
from typing import Any

import dagster as dg
from dagster import PipesContextInjector, PipesMessageReader
from dagster_aws.pipes import PipesEMRServerlessClient

ENDED_WELL = "COMPLETED"
ENDED = (ENDED_WELL, "CANCELLED", "FAILED", "INTERRUPTED")


class PipesEmrStepClient(dg.PipesClient):
    """Has a step done and waits for it.

    Parameters
    ----------
    client
        boto3's client of EMR.
    context_injector, message_reader
        How the job hears of its run, and the run of the job.
    forward_termination
        Must be false: whoever made the client ends the step.
    interval
        Seconds between two looks at the step.
    """

    def __init__(
        self,
        client: Any,
        context_injector: PipesContextInjector,
        message_reader: PipesMessageReader,
        forward_termination: bool = False,
        interval: float = 15,
    ) -> None:
        assert not forward_termination  # noqa: S101 - as documented
        self._client = client
        self._context_injector = context_injector
        self._message_reader = message_reader
        self._interval = interval

    def run(  # type: ignore[override]
        self,
        *,
        context: dg.OpExecutionContext | dg.AssetExecutionContext,
        extras: dict[str, Any] | None = None,
        step_params: Mapping[str, Any],
    ) -> dg.PipesClientCompletedInvocation:
        """Have a step done.

        Parameters
        ----------
        context
            Of the step of Dagster.
        extras
            What the job is told besides.
        step_params
            Parameters of `add_job_flow_steps` if they name a cluster, else of `run_job_flow`.

        Raises
        ------
        RuntimeError
            If it does not complete.
        """
        with dg.open_pipes_session(
            context=context,
            extras=extras,
            context_injector=self._context_injector,
            message_reader=self._message_reader,
        ) as session:
            # as arguments: properties of Spark reach a driver by other names in each of its modes
            words = chain.from_iterable(session.get_bootstrap_cli_arguments().items())
            step_params["Steps"][0]["HadoopJarStep"]["Args"].extend(words)
            cluster, step = self._start(step_params)
            context.log.info(f"EMR: step {step} of cluster {cluster}")
            self._wait(cluster, step)
        return dg.PipesClientCompletedInvocation(session, metadata={"cluster": cluster, "step": step})

    def _start(self, params: Mapping[str, Any]) -> tuple[str, str]:
        if "JobFlowId" in params:
            return params["JobFlowId"], self._client.add_job_flow_steps(**params)["StepIds"][0]
        cluster = self._client.run_job_flow(**params)["JobFlowId"]
        return cluster, self._client.list_steps(ClusterId=cluster)["Steps"][0]["Id"]

    def _wait(self, cluster: str, step: str) -> None:
        while True:
            status = self._client.describe_step(ClusterId=cluster, StepId=step)["Step"]["Status"]
            if status["State"] in ENDED:
                break
            time.sleep(self._interval)
        if status["State"] != ENDED_WELL:
            reason = status.get("FailureDetails", {}).get("Message") or status.get("StateChangeReason", {}).get(
                "Message"
            )
            raise RuntimeError(
                f"step {step} of cluster {cluster} is {status['State']}: {reason or 'no reason is given'}"
            )


class ServerlessClient(PipesEMRServerlessClient):
    """dagster-aws's; what a job said came through S3, so nothing is looked for in CloudWatch when it has ended."""

    def _read_messages(self, *_: Any) -> None:
        pass
