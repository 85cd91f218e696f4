"""Whether a process can answer: the champions that it has loaded, what is wrong with them, and whether it is ending."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from mlops_assets.errors import MlopsError
from mlops_assets.errors.redaction import redacted
from mlops_assets.serving.champions import NoChampion
from mlops_assets.serving.failures import LOGGER, without_places
from mlops_assets.serving.meters import VERSION
from mlops_assets.serving.service import Service

AGAIN = 15.0
"""Seconds after which a champion that could not be loaded is tried again; who asks may ask as often as they like."""


class Readiness:
    """What is known of the champions of a service.

    Parameters
    ----------
    service
        The service.
    clock
        Says how late it is, in seconds.
    """

    def __init__(self, service: Service, clock: Callable[[], float] = time.monotonic) -> None:
        self._service, self._clock = service, clock
        self._looked = -AGAIN
        self._busy = asyncio.Lock()
        self.draining = False
        self.versions: dict[str, int] = {}
        self.without: dict[str, str] = {}
        self.failed: dict[str, str] = {}

    async def look(self) -> None:
        """Load what is not loaded, unless that was tried just now."""
        async with self._busy:
            if self._clock() - self._looked < AGAIN:
                return
            self._looked = self._clock()
            for name in self._service.use_cases:
                await asyncio.to_thread(self._load, name)

    def _load(self, name: str) -> None:
        failed = ""
        try:
            loaded = self._service.champions.choose(self._service.use_cases[name])
        except NoChampion as error:
            self.without[name] = without_places(str(error))
        except MlopsError as error:
            failed = without_places(str(error))
        except Exception as error:
            LOGGER.error("the champion of %s cannot be loaded", name, exc_info=error)
            failed = "it cannot be loaded; the log says why"
        else:
            self.without.pop(name, None)
            self.versions[name] = loaded.version
            VERSION.labels(name).set(loaded.version)
        if failed:
            self.failed[name] = redacted(failed)
        else:
            self.failed.pop(name, None)

    @property
    def is_ready(self) -> bool:
        """Whether each use case has a champion that was loaded once, or none at all; and the process is not ending."""
        answered = self.versions.keys() | self.without.keys()
        return not self.draining and answered >= self._service.use_cases.keys()

    def content(self) -> dict[str, Any]:
        """What is told of it."""
        known = [*self._service.champions.troubles().items(), *self._service.store.troubles().items()]
        troubles: dict[str, str] = {}
        for name, said in known:
            told = redacted(without_places(said))
            troubles[name] = f"{troubles[name]}; {told}" if name in troubles else told
        state = "ready" if self.is_ready else "not ready"
        return {
            "status": "ending" if self.draining else state,
            "versions": self.versions,
            "without": self.without,
            "troubles": {**self.failed, **troubles},
        }
