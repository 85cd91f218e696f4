"""A registered version as it lies on this machine: two models, its SQL, and all that is known of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.about import About, Summary
from mlops_assets.journey.model.files import LARGEST, MEANING_FILE, SCORER_FILE, SQL_FILE, parts_of, read_plain
from mlops_assets.journey.model.flavours import releases_of
from mlops_assets.journey.model.history import Hashes
from mlops_assets.journey.model.model import Model
from mlops_assets.storage.places import Place

ABOUT_FILE = "about.json"

LARGEST_CARD = 64 << 20
"""Bytes that a card may have."""

REFERENCE_FILE = "reference.parquet"
"""What training saw, counted; see `score.profile.reference`."""

LARGEST_REFERENCE = 64 << 20
"""Bytes that it may have."""


def libraries_of(*versions: Version | None) -> list[tuple[str, str]]:
    """The packages that versions need beside scikit-learn, with their releases; of one that cannot be read none.

    Parameters
    ----------
    versions
        The versions; whoever loads one of them is told what is wrong with it.
    """
    found: dict[str, str] = {}
    for version in versions:
        if version is not None:
            with suppress(ModelRefused):
                found |= version.libraries()
    return sorted(found.items())


@cache
def _libraries(meaning: Place, sha256: str) -> dict[str, str]:  # noqa: ARG001 - it is another file under another hash
    # once for each version: every shard is known by them
    return releases_of(parts_of(read_plain(meaning, LARGEST[MEANING_FILE])))


@dataclass(frozen=True)
class Version:
    """A registered model version.

    Attributes
    ----------
    use_case
        The use case it serves; also the name of the registered model.
    version
        Its number, from 1.
    folder
        Where its two models lie on this machine; for workers elsewhere the place in the lake, see `carried`.
    serving_sha256, judged_sha256, about_sha256
        Hashes of the two models and of `about.json`, as the registry knows them.
    about
        Name of the candidate, metrics, training set, verdict: the short of `details`.
    proven
        Whether the model that makes predictions has answered a trial, without which it does not score; see
        `Registry.prove`.
    """

    use_case: str
    version: int
    folder: Place
    serving_sha256: str
    judged_sha256: str
    about_sha256: str
    about: Summary
    proven: bool = False

    @property
    def hashes(self) -> Hashes:
        """What it is known by."""
        return Hashes(self.serving_sha256, self.judged_sha256, self.about_sha256)

    def serving(self, trusted: Sequence[str] = ()) -> Model:
        """The model that makes predictions, after its hash and allow-list were checked."""
        return Model.load(self.folder / "serving", self.serving_sha256, trusted)

    def judged(self, trusted: Sequence[str] = ()) -> Model:
        """The model that the metrics belong to."""
        return Model.load(self.folder / "judged", self.judged_sha256, trusted)

    def libraries(self) -> dict[str, str]:
        """The packages that its model needs beside scikit-learn, each with the release that is installed here.

        Raises
        ------
        ModelRefused
            If the file that names them is missing.
        """
        return _libraries(self.folder / "serving" / MEANING_FILE, self.serving_sha256)

    @property
    def has_scorer(self) -> bool:
        """Whether its model scores without its estimator; see `scorer`."""
        return (self.folder / "serving" / SCORER_FILE).exists()

    def sql(self) -> str:
        """The `features.sql` of the model that makes predictions; its hash is checked where the model is loaded.

        Raises
        ------
        ModelRefused
            If the file is missing or no text.
        """
        path = self.folder / "serving" / SQL_FILE
        try:
            return read_plain(path, LARGEST[SQL_FILE]).decode()
        except UnicodeDecodeError as error:
            raise ModelRefused(f"{path}: cannot be read: {error}.") from None

    def details(self) -> About:
        """All that is known of the version.

        Raises
        ------
        ModelRefused
            If the file is missing, too large, changed or not complete, or tells other than the registry does.
        """
        path = self.folder / ABOUT_FILE
        text = read_plain(path, LARGEST_CARD)
        if hashlib.sha256(text).hexdigest() != self.about_sha256:
            raise ModelRefused(f"{path}: it is not the one that was registered (another SHA-256).")
        try:
            about = About.from_json(text)
        except ValueError as error:
            raise ModelRefused(f"{path}: {error}.") from None
        if odd := self.about.odd(about.summary()):
            raise ModelRefused(
                f"{path}: MLflow's store says other of version {self.version} than its card: {', '.join(odd)}. "
                "Somebody changed what the store says; bring it back from a backup."
            )
        return about

    def reference_bytes(self) -> bytes | None:
        """The file that tells what training saw, for `read_reference`; None of a version from before there was one.

        Raises
        ------
        ModelRefused
            If it is missing, too large, or not the one that was registered; or if the card is.
        """
        sha256 = self.details().reference
        if not sha256:
            return None
        path = self.folder / REFERENCE_FILE
        content = read_plain(path, LARGEST_REFERENCE)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ModelRefused(f"{path}: it is not the one that was registered (another SHA-256).")
        return content
