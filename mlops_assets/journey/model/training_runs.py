"""What each training run wrote, so that the steps of one run never meet those of another."""

from __future__ import annotations

import json
from typing import Any

from mlops_assets.errors import MlopsError
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import write_json
from mlops_assets.storage.places import Place, by_age, newest


class TrainingRuns:
    """The folders of the training runs of a use case: `<lake>/<use case>/training/<run>/`.

    Parameters
    ----------
    lake
        Place of the lake.
    use_case
        Name of the use case.
    """

    def __init__(self, lake: Place, use_case: str) -> None:
        self._lake = Lake(lake, use_case)

    def folder(self, run: str) -> Place:
        """The folder of one run."""
        return self._lake.training_run(run)

    def write(self, run: str, step: str, record: dict[str, Any]) -> None:
        """Keep what a step of a run found."""
        write_json(self._lake.training_record(run, step), record)

    def every(self, step: str) -> list[dict[str, Any]]:
        """What every run that has this step found, the oldest first."""
        return [_read(path) for path in by_age(self._lake.training, f"{step}.json")]

    def newest(self, step: str) -> dict[str, Any] | None:
        """What the newest run that has this step found, or None."""
        path = newest(self._lake.training, f"{step}.json")
        return _read(path) if path else None

    def read(self, run: str, step: str) -> dict[str, Any]:
        """What a step of this run found; where this run skipped the step, what the newest run found.

        Raises
        ------
        MlopsError
            If no run has done the step.
        """
        path = self._lake.training_record(run, step)
        record = _read(path) if path.exists() else self.newest(step)
        if record is None:
            raise MlopsError(f"No {step} was stored yet: materialise the asset {step!r} first.")
        return record


def _read(path: Place) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record
