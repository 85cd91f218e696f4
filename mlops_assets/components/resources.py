"""What the assets are handed: the workspace, the engines of a Dagster run, and its MLflow run.

Importing MLflow takes seconds: a run that trains does it, the code location does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from mlops_assets.storage.places import parse_place
from mlops_assets.work.engines import Engines
from mlops_assets.workspace import Workspace

if TYPE_CHECKING:
    from dagster_mlflow.resources import MlFlow


class WorkspaceResource(dg.ConfigurableResource[Workspace]):
    """Where a run finds its files and keeps what it makes; as it stands, where the environment says."""

    # the launchpad shows these words, and those above
    raw: str = Field(
        default="",
        description="Folder or s3://bucket/prefix of the raw files of this run; empty, those that MLOPS_RAW names.",
    )

    def create_resource(self, context: dg.InitResourceContext) -> Workspace:  # noqa: ARG002 - Dagster's signature
        """What assets, checks, sensors and schedules get.

        Raises
        ------
        UsageError
            If a setting is not what it must be.
        """
        return Workspace.from_environment(parse_place(self.raw) if self.raw else None)


def workspace_resource(workspace: Workspace | None) -> Any:
    """The resource `workspace`, of one form whoever draws it: *Re-execute* warns where the job of a run had another.

    Parameters
    ----------
    workspace
        One that is at hand, such as a command's; None for that of the environment.
    """
    of_environment = WorkspaceResource()
    if workspace is None:
        return of_environment
    form = of_environment.get_resource_definition()
    return dg.ResourceDefinition(lambda _: workspace, form.config_schema, form.description)


@dg.resource(
    description="Runs shards; the processes start with the first step that needs them and end with the run.",
    required_resource_keys={"workspace"},
)
def engines(context: dg.InitResourceContext) -> Iterator[Engines]:
    """Open engines for one run, so that its steps share their processes."""
    # a resource lives as long as a run of one process, see the executor in `definitions`; steps that start processes of
    # their own cost 3 to 5 s each
    with Engines(context.resources.workspace.settings) as opened:
        yield opened


@dg.resource(
    description="dagster-mlflow's run, in the experiment of the use case that is being trained.",
    required_resource_keys={"workspace"},
)
def mlflow(context: dg.InitResourceContext) -> Iterator[MlFlow]:
    """Start or join the MLflow run that belongs to this Dagster run."""
    from dagster_mlflow import mlflow_tracking

    workspace: Workspace = context.resources.workspace
    use_case = _use_case_of(context)
    workspace.registry.experiment(use_case)  # made here, so that its artifacts do not land in the working folder
    config = {
        "experiment_name": use_case,
        "mlflow_tracking_uri": workspace.settings.tracking_uri,
        "env": {},
        "extra_tags": {"use_case": use_case},
    }
    yield from mlflow_tracking.resource_fn(context.replace_config(config))


def _end_mlflow_run(context: dg.HookContext, events: list[Any]) -> Any:
    """What dagster-mlflow's hook does: the MLflow run ends with the last step, or with one that failed."""
    from dagster_mlflow import end_mlflow_on_run_finished

    return end_mlflow_on_run_finished.hook_fn(context, events)


end_mlflow_run = dg.HookDefinition(
    name="end_mlflow_on_run_finished", hook_fn=_end_mlflow_run, required_resource_keys={"mlflow"}
)


def _use_case_of(context: dg.InitResourceContext) -> str:
    """The use case that a run trains: the first part of the keys of its assets, or of the job's name."""
    run = context.run
    if run is None:
        return "none"
    if run.asset_selection:
        return str(min(run.asset_selection).path[0])
    return run.job_name.removesuffix("_training")
