"""Whether a process can answer: the champions that it has loaded, what is wrong with them, and whether it is ending."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlops_assets.errors.redaction import redacted, without_paths
from mlops_assets.serving.service import Service


class Readiness:
    """What a process tells of itself.

    Parameters
    ----------
    service
        The service.

    Attributes
    ----------
    draining
        Whether it is ending.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.draining = False

    @property
    def versions(self) -> dict[str, int]:
        """The version that answers for each use case that has one."""
        return self._service.champions.versions()

    @property
    def is_ready(self) -> bool:
        """Whether each use case has a version that answers, or no champion at all; and the process is not ending."""
        return self._is_ready(self.versions, self._service.champions.without())

    def _is_ready(self, versions: Mapping[str, int], without: Mapping[str, str]) -> bool:
        return not self.draining and versions.keys() | without.keys() >= self._service.use_cases.keys()

    def content(self) -> dict[str, Any]:
        """What is told of it."""
        known = [*self._service.champions.troubles().items(), *self._service.store.troubles().items()]
        troubles: dict[str, str] = {}
        for name, said in known:
            told = redacted(without_paths(said))
            troubles[name] = f"{troubles[name]}; {told}" if name in troubles else told
        versions, without = self.versions, self._service.champions.without()
        state = "ready" if self._is_ready(versions, without) else "not ready"
        return {
            "status": "ending" if self.draining else state,
            "versions": versions,
            "without": without,
            "troubles": troubles,
        }
