"""What MLflow knows of a version, kept in the lake beside the history: who reads the lake need not ask MLflow.

MLflow numbers the versions and stays their registry; a document here is a copy, made as a version is registered. It
holds for the store it was made from. The list of copies is trusted if no number is missing and no registration is under
way or was killed; else MLflow is asked, as for versions of older releases, until the next registration completes it.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from mlops_assets.errors import MlopsError, ModelRefused
from mlops_assets.errors.redaction import anonymous
from mlops_assets.journey.model.about import Summary
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.integrity import document, read_json
from mlops_assets.storage.places import Place, remove, write_whole

ALIAS_FILE = "alias.json"
"""Which version MLflow's alias was set to last."""

log = logging.getLogger("mlops_assets.registry")

LONG_AGO = 3600.0
"""Seconds after which a registration that is not done was killed."""


@dataclass(frozen=True)
class Registered:
    """A version as the registry has it.

    Attributes
    ----------
    version
        Its number.
    source
        Where its files lie, as MLflow says.
    tags
        Its tags in MLflow: hashes, and what is short of its details.
    """

    version: int
    source: str
    tags: dict[str, str]

    def summary(self, use_case: str) -> Summary:
        """What MLflow's store tells of it.

        Raises
        ------
        ModelRefused
            If that was not written here.
        """
        try:
            return Summary.from_json(self.tags.get("about", "{}"))
        except ValueError as error:
            raise ModelRefused(
                f"version {self.version} of {use_case}: what MLflow's store tells of it was not written here: "
                f"{error}. Bring its tag `about` back from a backup, or train again."
            ) from None

    @property
    def hashes(self) -> dict[str, str]:
        """Those of its tags that are hashes."""
        return {name: value for name, value in self.tags.items() if name.endswith("_sha256")}


_FORM = TypeAdapter(Registered)


class RegisteredVersions:
    """The copies of one use case, at `<lake>/<use case>/versions/`.

    Parameters
    ----------
    lake
        The documents of the use case.
    tracking_uri
        MLflow's store. A hash of it is stored, without user and password: that of a short one could be guessed, and a
        new one makes no other store.
    """

    def __init__(self, lake: Lake, tracking_uri: str) -> None:
        self._lake = lake
        self._folder = lake.versions
        self._store = hashlib.sha256(anonymous(tracking_uri).encode()).hexdigest()[:16]

    def get(self, number: int) -> Registered | None:
        """The copy of a version, or None."""
        path = self._lake.version(number)
        return self._read(path) if path.exists() else None

    def kept(self, number: int) -> Registered | None:
        """The copy of a version from whatever store, or None; its number alone does not say which model it is."""
        path = self._lake.version(number)
        return self._read(path, any_store=True) if path.exists() else None

    def every(self, least: int = 1) -> list[Registered] | None:
        """All versions, the oldest first; None if only MLflow can tell.

        Parameters
        ----------
        least
            A number that there must be, such as that of the champion.
        """
        if any(self._begun.glob("*")):
            return None
        copies = [self._read(self._lake.version(number)) for number in self._numbers()]
        ours = [copy for copy in copies if copy is not None]
        complete = [copy.version for copy in ours] == list(range(1, len(ours) + 1))
        return ours if complete and len(ours) >= least else None

    def here(self) -> list[Registered]:
        """The versions of which there are copies, from whatever store, the oldest first; there may be others."""
        copies = [self.kept(number) for number in self._numbers()]
        return [copy for copy in copies if copy is not None]

    def newest(self) -> int:
        """The highest number that a version has, in whatever store it was registered; 0 if there is none."""
        return max(self._numbers(), default=0)

    def _numbers(self) -> list[int]:
        """The numbers of the copies; what is named otherwise is none of ours."""
        names = {path.name for path in self._folder.glob("[0-9]*.json")}
        found = [int(name.removesuffix(".json")) for name in names if name.removesuffix(".json").isdecimal()]
        return sorted(number for number in found if self._lake.version(number).name in names)

    def begin(self, run_id: str) -> None:
        """Say that a version of a run is about to be registered."""
        write_whole(self._begun / run_id, b"")

    def complete(self, run_id: str, versions: Sequence[Registered]) -> None:
        """Keep all versions that MLflow has, now that the one of a run is among them."""
        self.keep(versions)
        with suppress(FileNotFoundError):  # another registration takes old marks away, too
            old = [begun.name for begun in self._begun.glob("*") if begun.stat().st_mtime < time.time() - LONG_AGO]
            remove(self._begun, old)
        remove(self._begun, [run_id])

    def keep(self, versions: Sequence[Registered]) -> None:
        """Keep copies of versions as MLflow has them; a hash that changed there since is not believed."""
        for version in versions:
            content = document({"store": self._store, **asdict(version)})
            path = self._lake.version(version.version)
            before = self.get(version.version)
            if before is not None and before.hashes != version.hashes:
                log.warning(
                    "%s: MLflow's store has other hashes for version %d than when it was copied; the first ones hold.",
                    self._lake.use_case,
                    version.version,
                )
            elif not path.exists() or path.read_bytes() != content:
                write_whole(path, content)

    @contextmanager
    def alias_set(self, number: int) -> Iterator[None]:
        """Set MLflow's alias inside; killed in between, nothing says that it was set."""
        remove(self._folder, [ALIAS_FILE])
        yield
        write_whole(self._folder / ALIAS_FILE, self._alias(number))

    def has_alias(self, number: int) -> bool:
        """Whether MLflow's alias was set to this version last."""
        path = self._folder / ALIAS_FILE
        return path.exists() and path.read_bytes() == self._alias(number)

    def _alias(self, number: int) -> bytes:
        return document({"store": self._store, "version": number})

    @property
    def _begun(self) -> Place:
        return self._folder / "begun"

    def _read(self, path: Place, *, any_store: bool = False) -> Registered | None:
        """A copy, or None if it was made from another store."""
        try:
            content = read_json(path)
            # numbers of another store mean other models
            ours = content.pop("store") == self._store
            copy = _FORM.validate_python(content)
            if self._lake.version(copy.version) != path:
                raise ValueError(f"it tells of version {copy.version}")
            return copy if ours or any_store else None
        except (KeyError, TypeError, ValueError) as error:
            raise MlopsError(f"{path}: cannot be read: {error!r}. Delete it: MLflow has the same.") from None
