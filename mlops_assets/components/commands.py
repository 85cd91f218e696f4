"""A run that a command does in its own process, and that the UI takes for one of its code location.

Dagster's `execute_in_process` makes runs that belong to no code location: the timeline and the pages of jobs leave them
out, and nobody can execute them again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import dagster as dg

from mlops_assets.components.private import (
    MAX_RETRIES_TAG,
    SINGLETON_REPOSITORY_NAME,
    InMemoryJob,
    LoadableTargetOrigin,
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
    copy,
    execute_run,
)
from mlops_assets.settings import CODE_LOCATION

MODULE = "mlops_assets.definitions"

QUIET: Mapping[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Our own log lines go to the terminal; Dagster's would be a line for every event of the run."""


def execute(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    assets: Collection[dg.AssetKey],
    tags: Mapping[str, str],
) -> dg.JobExecutionResult:
    """Run some assets of a job here and now.

    Parameters
    ----------
    job
        The job, as the code location has it.
    instance
        Dagster's.
    assets
        What is made.
    tags
        Of the run, such as its days.
    """
    # of a whole job nothing is selected: run again in the UI, it is that job, and not its assets with all their checks
    whole = {*assets} == job.asset_layer.executable_asset_keys
    chosen = None if whole else frozenset(assets)
    run = instance.create_run_for_job(
        job,
        run_config={},  # as the UI would run it again
        # whoever ended a command, or sees it end, says whether it is given again: the daemon does not
        tags={**job.run_tags, **tags, MAX_RETRIES_TAG: "0"},
        asset_selection=chosen,
        remote_job_origin=origin(job.name),
    )
    return execute_run(InMemoryJob(job), copy(run, run_config=QUIET), instance)


def origin(job: str) -> RemoteJobOrigin:
    """Where the UI finds a job: in the code location, whose name alone counts."""
    target = LoadableTargetOrigin(module_name=MODULE)
    location = ManagedGrpcPythonEnvCodeLocationOrigin(loadable_target_origin=target, location_name=CODE_LOCATION)
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, SINGLETON_REPOSITORY_NAME), job)
