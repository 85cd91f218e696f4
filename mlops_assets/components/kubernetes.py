"""The job of a day as a pod of Kubernetes, by dagster-k8s's client, which removes the pod however the step ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.components.messages import Messages, check_needs, connector, job_of, messages_of
from mlops_assets.components.requests import ask_kubernetes
from mlops_assets.errors import ConfigError
from mlops_assets.errors.aws import PlatformError, told_of_aws
from mlops_assets.settings import Settings
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.platforms import Kubernetes

if TYPE_CHECKING:
    from dagster_k8s import PipesK8sClient


def open_kubernetes(asked: Kubernetes, use_case: UseCase, settings: Settings) -> KubernetesClient:
    """The client of a cluster of Kubernetes.

    Raises
    ------
    ConfigError
        If dagster-k8s is missing, or there is no place in S3 for what the job says.
    """
    check_needs(use_case, settings, asked.secrets)
    return KubernetesClient(asked, messages_of(asked, use_case, settings, connector(None)))


class KubernetesClient:
    """Starts the job of a day as a pod and waits for it.

    Parameters
    ----------
    asked
        What the use case says of the cluster.
    messages
        Where the job says how it goes.
    kubeconfig
        File that says where the cluster is; the usual one by default.
    interval
        Seconds between two looks at the pod.
    """

    def __init__(
        self, asked: Kubernetes, messages: Messages, kubeconfig: str | None = None, interval: float = 10
    ) -> None:
        self._asked = asked
        self._messages = messages
        self._kubeconfig = kubeconfig
        self._interval = interval

    def run(
        self, context: dg.AssetExecutionContext, command: Sequence[str], environment: Mapping[str, str]
    ) -> dg.PipesClientCompletedInvocation:
        """Have the job done.

        Raises
        ------
        ConfigError
            If dagster-k8s is missing.
        PlatformError
            If the cluster cannot be reached or does not start the pod, or the pod ends otherwise than well.
        """
        try:
            from dagster_k8s.client import DagsterK8sAPIRetryLimitExceeded, DagsterK8sError
            from dagster_k8s.client import DagsterK8sUnrecoverableAPIError as Refused
            from kubernetes.client import ApiException
            from kubernetes.config import ConfigException
        except ImportError:
            raise ConfigError(
                "The client kubernetes needs dagster-k8s: pip install 'mlops-assets[kubernetes]' brings it."
            ) from None
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError

        request = ask_kubernetes(self._asked, job_of(context, command, environment))
        try:
            return self._pipes(request["pod_wait_timeout"]).run(context=context, **request)
        except ConfigException as error:
            raise PlatformError(f"There is no way to a cluster of Kubernetes: {error}. Name a `context`.") from None
        except ApiException as error:
            if error.status == GONE:  # that of a node that is lost, or that was needed for others
                raise PlatformError("The pod was removed by somebody else before its end: run the day again.") from None
            raise PlatformError(f"Kubernetes refuses: {error.reason} ({error.status}). {ADVICE}") from None
        except (BotoCoreError, ClientError) as error:
            raise PlatformError(told_of_aws("S3", error)) from None
        except (DagsterK8sError, DagsterK8sAPIRetryLimitExceeded, Refused) as error:
            reason = " ".join(str(error).partition(" with pod info")[0].split())[:500]
            raise PlatformError(f"The pod did not do the job to its end: {reason}.") from None
        except HTTPError:
            raise PlatformError("Kubernetes does not answer: look at the network, then run again.") from None

    def _pipes(self, seconds: float) -> PipesK8sClient:
        from dagster_k8s import PipesK8sClient

        class Client(PipesK8sClient):
            """dagster-k8s's; it waits a day for a pod that finds no room, whatever it is told."""

            @contextmanager
            def consume_pod_logs(self, context: Any, client: Any, *args: Any, **named: Any) -> Iterator[Any]:
                client.wait_for_pod = partial(client.wait_for_pod, pod_launch_timeout=seconds)
                with super().consume_pod_logs(context, client, *args, **named):
                    yield

        return Client(
            context_injector=self._messages.context_injector(),
            message_reader=self._messages.reader(),
            kubeconfig_file=self._kubeconfig,
            kube_context=self._asked.context,
            poll_interval=self._interval,
        )


GONE = 404
ADVICE = (
    "The service account of the Dagster process must create, read and delete pods there; docs/platforms.md says how."
)
