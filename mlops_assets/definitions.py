"""Dagster's entry point: loads the use cases, the resources and the alerts, nothing else."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from mlops_assets.components import MlUseCase
from mlops_assets.components.alerting import alert_sensors
from mlops_assets.components.resources import engines, mlflow
from mlops_assets.settings import OWN_USE_CASES, Settings
from mlops_assets.use_case import UseCase, list_use_cases, load_use_case


@dg.definitions
def defs() -> dg.Definitions:
    """The use cases of the package and those of `MLOPS_USE_CASES`, side by side."""
    own = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    found = list_use_cases(Settings.from_environment().use_cases)
    others = [load_use_case(folder) for folder in found.values() if folder.parent != OWN_USE_CASES]
    return dg.Definitions.merge(own, definitions_of(*others))


def definitions_of(*use_cases: UseCase) -> dg.Definitions:
    """Some use cases, and what all share: a command that runs one need not wait for the others to be loaded."""
    each = [MlUseCase(one).build_defs() for one in use_cases]
    shared = dg.Definitions(
        resources={"engines": engines, "mlflow": mlflow},
        executor=dg.in_process_executor,
        sensors=alert_sensors(),
    )
    return dg.Definitions.merge(*each, shared)
