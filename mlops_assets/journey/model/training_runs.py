"""What each training run wrote, so that the steps of one run never meet those of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self, TypeVar

from mlops_assets.errors import MlopsError
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import write_json
from mlops_assets.storage.integrity import read_json
from mlops_assets.storage.places import Place, by_age, newest


class StepRecord(Protocol):
    """What a step of a training hands to the next; see `train.records`."""

    step: ClassVar[str]

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what was written, by an earlier release too."""

    def to_json(self) -> dict[str, Any]:
        """What is written."""


R = TypeVar("R", bound=StepRecord)


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

    def write(self, run: str, record: StepRecord) -> None:
        """Keep what a step of a run found."""
        write_json(self._lake.training_record(run, record.step), record.to_json())

    def every(self, kind: type[R]) -> list[R]:
        """What every run that has this step found, the oldest first."""
        return [_read(path, kind) for path in by_age(self._lake.training, f"{kind.step}.json")]

    def newest(self, kind: type[R]) -> R | None:
        """What the newest run that has this step found, or None."""
        path = newest(self._lake.training, f"{kind.step}.json")
        return _read(path, kind) if path else None

    def read(self, run: str, kind: type[R]) -> R:
        """What a step of this run found; where this run skipped the step, what the newest run found.

        Raises
        ------
        MlopsError
            If no run has done the step.
        """
        path = self._lake.training_record(run, kind.step)
        # each step can be run alone, and goes on where an earlier run has ended
        record = _read(path, kind) if path.exists() else self.newest(kind)
        if record is None:
            raise MlopsError(f"No {kind.step} was stored yet: materialise the asset {kind.step!r} first.")
        return record


def _read(path: Place, kind: type[R]) -> R:
    try:
        return kind.from_json(read_json(path))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MlopsError(f"{path}: it is not as a training wrote it: {error!r}. Delete it, or train again.") from None
