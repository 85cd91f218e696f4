"""Dagster's entry point: loads the use cases, the resources and the alerts, nothing else."""

from __future__ import annotations

import logging
import warnings

import dagster as dg

from mlops_assets.components import MlUseCase
from mlops_assets.components.alerting import alert_sensors
from mlops_assets.components.beginning import beginning_sensor, with_beginning
from mlops_assets.components.executing import in_process
from mlops_assets.components.resources import engines, mlflow, workspace_resource
from mlops_assets.components.telling import heartbeat_sensor
from mlops_assets.errors.secret_files import read_secret_files
from mlops_assets.settings import CHECKOUT, OWN_USE_CASES, PACKAGE, Settings
from mlops_assets.storage.modes import close_home, keep_private
from mlops_assets.use_case import UseCase, list_use_cases, load_use_case
from mlops_assets.workspace import Workspace

log = logging.getLogger("mlops_assets.home")

OF_THE_LOADER = frozenset({"dagster/code_references", "dagster/component_origin"})
"""What Dagster's loader of folders says of all that it finds there."""

warnings.simplefilter("ignore", dg.BetaWarning)  # such notices are for us, and not for whoever starts the platform


@dg.definitions
def defs() -> dg.Definitions:
    """The use cases of the settings, side by side: those of the package, of a repository, of `MLOPS_USE_CASES`."""
    read_secret_files()
    settings = Settings.from_environment()
    keep_private()  # what runs are made of this code writes state
    if told := close_home(settings.home):
        log.warning(told)
    # Dagster finds its folders by the pyproject.toml of a checkout, and an installed package has none
    drawn = OWN_USE_CASES if CHECKOUT and OWN_USE_CASES in settings.use_cases else None
    own = _own() if drawn else dg.Definitions()
    folders = list_use_cases(settings.use_cases).values()
    read = [load_use_case(folder) for folder in folders if folder.parent != drawn]
    others = [with_beginning(use_case, settings) for use_case in read]
    return dg.Definitions.merge(own, definitions_of(*others))


def _own() -> dg.Definitions:
    """The use cases of the package, as Dagster's loader of folders finds them.

    It marks their jobs, too. A command draws the same jobs without it, and of a run whose job looks different Dagster
    warns whoever wants to execute it again: so what has no words of its own keeps no mark.
    """
    found = dg.load_from_defs_folder(path_within_project=PACKAGE)
    return found.with_definition_metadata_update(lambda said: {} if said.keys() <= OF_THE_LOADER else said)


def definitions_of(*use_cases: UseCase, workspace: Workspace | None = None) -> dg.Definitions:
    """Some use cases, and what all share: a command that runs one need not wait for the others to be loaded.

    Parameters
    ----------
    use_cases
        The use cases.
    workspace
        Where they work; by default what the environment describes.
    """
    settings = workspace.settings if workspace else Settings.from_environment()
    each = [MlUseCase(use_case).build_defs() for use_case in use_cases]
    shared = dg.Definitions(
        resources={"workspace": workspace_resource(workspace), "engines": engines, "mlflow": mlflow},
        executor=in_process,
        sensors=[*alert_sensors(listening=bool(settings.alert_url)), heartbeat_sensor(), beginning_sensor()],
    )
    return dg.Definitions.merge(*each, shared)
