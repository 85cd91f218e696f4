"""The jobs by which people change the champion from afar."""

import logging
from typing import Any

import dagster as dg

from mlops_assets.components.retro import put_days_back
from mlops_assets.errors import MlopsError
from mlops_assets.journey.model import changing
from mlops_assets.journey.model.changing import WHO_TAG, Changed
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.champion")


def changing_jobs(use_case: UseCase) -> list[dg.JobDefinition]:
    """The jobs `promote` and `rollback` of a use case; their configuration says what the commands are told."""
    name = use_case.name

    @dg.op(
        name=f"{name}_promote_version",
        config_schema={
            "version": dg.Field(int, description="The version."),
            "why": dg.Field(str, description="The reason, for the history."),
            "override": dg.Field(bool, False, description="Promote it although the gate refused it."),
            "who": dg.Field(str, "", description="Who wants it; by default the user of the daemon."),
        },
        required_resource_keys={"workspace"},
    )
    def promote_version(context: dg.OpExecutionContext) -> None:
        config, stores = context.op_config, _stores(context, use_case)
        who = config["who"] or stores.settings.user
        _do(
            context,
            lambda: changing.promote(
                stores.registry, use_case, config["version"], who, config["why"], override=config["override"]
            ),
        )

    @dg.op(
        name=f"{name}_roll_back",
        config_schema={
            "why": dg.Field(str, description="The reason, for the history."),
            "who": dg.Field(str, "", description="Who wants it; by default the user of the daemon."),
        },
        required_resource_keys={"workspace", "engines"},
    )
    def go_back(context: dg.OpExecutionContext) -> None:
        config, stores = context.op_config, _stores(context, use_case)
        who = config["who"] or stores.settings.user
        _do(context, lambda: changing.roll_back(stores.registry, use_case, who, config["why"]))
        put_days_back(context, stores, context.resources.engines)

    @dg.job(name=f"{name}_promote", description="Makes a version the champion, as the command `promote` does.")
    def promote() -> None:
        promote_version()

    @dg.job(name=f"{name}_rollback", description="Makes the champion of before the champion again, as `rollback` does.")
    def rollback() -> None:
        go_back()

    return [promote, rollback]


def _stores(context: dg.OpExecutionContext, use_case: UseCase) -> Stores:
    workspace: Workspace = context.resources.workspace
    return workspace.of(use_case)


def _do(context: dg.OpExecutionContext, change: Any) -> None:
    """Change the champion; what is wrong fails the step with its message alone."""
    try:
        done: Changed = change()
    except MlopsError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    if done.trouble:
        log.warning(done.trouble)
    told = done.change
    context.add_output_metadata(
        {"version": told.version, "before": told.before or 0, "who": told.who, "why": told.why, "already": done.already}
    )


def asked_by(run: dg.DagsterRun) -> str:
    """Who decides about a training, for the history: the gate, and who asked for it."""
    who = run.tags.get(WHO_TAG)
    return f"gate, asked by {who}, Dagster run {run.run_id}" if who else f"gate, Dagster run {run.run_id}"
