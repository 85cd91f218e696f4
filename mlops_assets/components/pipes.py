"""The daily assets of a use case whose days are done by a job elsewhere, which tells of them over Dagster Pipes."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Protocol

import dagster as dg

from mlops_assets.settings import Settings
from mlops_assets.use_case import UseCase

CLIENTS = {
    "subprocess": "mlops_assets.components.beside:open_subprocess",
    "spark_submit": "mlops_assets.components.beside:open_spark_submit",
    **dict.fromkeys(("emr", "emr_serverless", "emr_containers", "glue", "ecs"), "mlops_assets.components.aws:open_aws"),
    "kubernetes": "mlops_assets.components.kubernetes:open_kubernetes",
}
"""By `scale.client.kind`, the function that opens a client of it: it is given `scale.client`, use case and settings."""


class Client(Protocol):
    """Starts a job on a platform, waits for its end and hears what it says meanwhile."""

    def run(
        self, context: dg.AssetExecutionContext, command: Sequence[str], environment: Mapping[str, str]
    ) -> dg.PipesClientCompletedInvocation:
        """Have a job done.

        It ends with 0 when it could tell how the day went, also of a red one: that is said over Pipes. Any other end is
        an error. A run that is cancelled ends its job.

        Parameters
        ----------
        context
            Of the step.
        command
            The words behind `python -m mlops_assets.job`, such as `transactions --day 2026-01-01`.
        environment
            What the job must know of this installation; no secret is among it.
        """
        ...


def open_client(use_case: UseCase, settings: Settings) -> Client:
    """The client that `scale.client` of a use case asks for.

    Parameters
    ----------
    use_case
        The use case.
    settings
        Of the installation.
    """
    asked = use_case.scale.client
    module, _, name = CLIENTS[asked.kind].partition(":")
    client: Client = getattr(import_module(module), name)(asked, use_case, settings)
    return client
