"""Use cases as clients see them: what they predict, of which columns, and by which version; as plain values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mlops_assets.journey.model.version import Version
from mlops_assets.journey.train.records import Evaluation
from mlops_assets.views.status import no_champion
from mlops_assets.workspace import Stores

CARD = (
    *("candidate", "origin", "made", "passed", "reason", "conditions", "metrics", "baseline_metrics", "held_out"),
    *("folds", "classes", "confusion", "calibration", "calibrated", "importance", "cost", "training_set", "rows"),
    *("days", "libraries"),
)
"""What of a version's card is told."""


def summary(stores: Stores) -> dict[str, Any]:
    """A few words about a use case.

    Returns
    -------
    dict
        `name`, `description`, `owner`; `champion`, its version or None, and then `why_none`; `newest_day`, the last
        published one, or None.
    """
    use_case, champion = stores.use_case, stores.history.champion()
    return {
        "name": use_case.name,
        "description": use_case.description,
        "owner": use_case.owner,
        "champion": champion,
        "why_none": why_none(stores) if champion is None else None,
        "newest_day": max(stores.lake.predictions.days(), default=None),
    }


def why_none(stores: Stores) -> str:
    """Why a use case has no champion."""
    evaluation = stores.runs.newest(Evaluation)
    return no_champion(evaluation.verdict.reason if evaluation else None)


def contract(stores: Stores) -> dict[str, Any]:
    """How the files of a use case are written, and what each of their columns may hold."""
    use_case = stores.use_case
    files = use_case.files.model_dump(mode="json", exclude={"reader"})
    columns = [
        {
            "name": name,
            "header": column.header(name),
            **column.model_dump(mode="json", exclude={"source"}),
            "optional_column": name in use_case.optional_columns,
        }
        for name, column in use_case.columns.items()
    ]
    return {"files": files, "columns": columns, "account": use_case.account, "label": use_case.label}


def model(version: Version, champion: int | None) -> dict[str, Any]:
    """What the card of a version tells.

    Raises
    ------
    ModelRefused
        If it is not the one that was registered.
    """
    about = asdict(version.details())
    numbers = {"use_case": version.use_case, "version": version.version, "champion": version.version == champion}
    return {**numbers, **{name: about[name] for name in CARD}}
