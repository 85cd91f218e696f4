"""What a process of the API says while it cannot serve the champion: a document in the lake, of which people are told.

A process that ends, or serves the champion again, takes its document away. One that was killed says it no more: so a
document counts for `LASTS` seconds, and is written again meanwhile.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from mlops_assets.errors import MlopsError
from mlops_assets.storage import places
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.integrity import document, read_json
from mlops_assets.storage.places import write_whole

log = logging.getLogger("mlops_assets.told")

LASTS = 900.0
"""Seconds for which a document counts."""


@dataclass(frozen=True)
class Behind:
    """A process does not serve the champion.

    Attributes
    ----------
    version
        The champion; None where the history cannot be read.
    serves
        The version that answers in its place; None where none does.
    why
        What is wrong, for people.
    when
        When that was so, in seconds since 1970.
    """

    version: int | None
    serves: int | None
    why: str
    when: float


_FORM = TypeAdapter(Behind)


class Behinds:
    """The documents of one use case, at `<lake>/<use case>/behind/`.

    Parameters
    ----------
    lake
        Its tables and documents.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def say(self, process: str, behind: Behind) -> None:
        """Write what a process says, in the place of what it said before.

        Parameters
        ----------
        process
            Names the process.
        behind
            What it says.
        """
        write_whole(self._lake.behind(process), document(asdict(behind)))

    def withdraw(self, process: str) -> None:
        """Take away what a process says, if it says anything."""
        places.remove(self._lake.behinds, [self._lake.behind(process).name])

    def standing(self, now: float) -> list[Behind]:
        """What processes say, the newest last."""
        said = [self._read(name) for name in places.sizes(self._lake.behinds) if name.endswith(".json")]
        return sorted((one for one in said if one and one.when > now - LASTS), key=lambda one: one.when)

    def tidy(self, now: float) -> None:
        """Take away what processes said that were killed long ago."""
        names = [name for name in places.sizes(self._lake.behinds) if name.endswith(".json")]
        places.remove(self._lake.behinds, [name for name in names if self._is_old(name, now)])

    def _is_old(self, name: str, now: float) -> bool:
        said = self._read(name)
        return said is None or said.when < now - LASTS

    def _read(self, name: str) -> Behind | None:
        try:
            written: Any = read_json(self._lake.behinds / name)
            return _FORM.validate_python(written)
        except FileNotFoundError:  # taken away meanwhile
            return None
        except (ValueError, MlopsError) as error:  # whatever else happened is told nevertheless
            log.warning("%s: behind/%s cannot be read, and is passed over: %s", self._lake.use_case, name, error)
            return None
