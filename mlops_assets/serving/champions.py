"""The versions that answer, each loaded once; a new champion takes the place of the old one while that one answers."""

from __future__ import annotations

from mlops_assets.journey.score.online import Loaded
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Workspace


class NoChampion(Exception):
    """There is no version that may answer; the text says why, with the reason of the gate, and what to do."""


class Champions:
    """What answers for each use case.

    Parameters
    ----------
    workspace
        The installation.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._loaded: dict[tuple[str, int], Loaded] = {}

    def choose(self, use_case: UseCase, version: int | None = None, as_of: str | None = None) -> Loaded:
        """The version that answers: the champion, a version by its number, or the champion at the end of a day.

        It may read files and load a model: call it in a thread of its own where it may not be at hand.

        Raises
        ------
        NoChampion
            If there is none.
        UsageError
            If there is no such version.
        """
        registry = self._workspace.registry
        found = registry.version(use_case.name, version) if version else registry.champion(use_case.name, as_of)
        if found is None:
            raise NoChampion(f"{use_case.name} has no champion.")
        key = use_case.name, found.version
        if key not in self._loaded:
            trusted = use_case.training.trusted
            proven = registry.prove(found, trusted)
            self._loaded[key] = Loaded(use_case, proven.version, proven.serving(trusted))
        return self._loaded[key]

    def troubles(self) -> dict[str, str]:
        """What is wrong, by use case: a new champion that cannot be loaded while the old one answers."""
        return {}
