"""How a run stands that was started from a page: it is shown there until it has ended."""

from __future__ import annotations

from typing import Any

from mlops_assets.errors.redaction import without_paths
from mlops_assets.serving.dagster import UNDER_WAY, NoDagster
from mlops_assets.serving.starting import Starter

SAID = {"SUCCESS": ("done", "done"), "FAILURE": ("red", "failed"), "CANCELED": ("", "was canceled")}
"""Lamp and word of a run that has ended."""
WORDS = {"promote": "Promotion", "rollback": "Rollback", "training": "Training", "daily": "Run of this day"}


def standing(starter: Starter, use_case: str, run: str, address: str) -> tuple[dict[str, Any] | None, str]:
    """What a page shows of a run of a use case; or nothing, and why Dagster does not tell.

    Parameters
    ----------
    starter
        Knows runs.
    use_case
        Name of the use case.
    run
        Id of the run, as a link says it.
    address
        Where the page is that shows it.

    Raises
    ------
    Problem
        404, if there is none.
    """
    try:
        found = starter.standing(run[:100], [use_case])
    except NoDagster as error:
        return None, without_paths(str(error))
    state, job = found["state"].upper(), found["job"].removeprefix(f"{use_case}_")
    lamp, said = SAID.get(state, ("waiting", "under way"))
    told = {"lamp": lamp, "said": said, "under_way": state in UNDER_WAY, "address": address}
    return {**found, **told, "what": WORDS.get(job, job)}, ""
