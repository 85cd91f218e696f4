"""In: the best candidate of a training. Out: a registered version, which may become champion, and its way to workers.

A version is a folder of MLflow's artifacts with two models: `serving`, fitted on all labelled rows, and `judged`, the
one that was measured. A later candidate is compared with `judged`, which never saw held-out rows.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import ModelRefused, UsageError
from mlops_assets.journey.model.about import About, Summary
from mlops_assets.journey.model.fetching import fetch
from mlops_assets.journey.model.files import hash_folder
from mlops_assets.journey.model.history import Change, Hashes, History
from mlops_assets.journey.model.mlflow_client import create_version, find_version, find_versions, open_client, told
from mlops_assets.journey.model.registered import Registered, RegisteredVersions
from mlops_assets.journey.model.store import StoreDown, VersionGone, has, shown
from mlops_assets.journey.model.trial import try_model
from mlops_assets.journey.model.version import ABOUT_FILE, Version
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case.partitions import DAYS, Partitions

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mlops_assets.use_case import UseCase

log = logging.getLogger("mlops_assets.registry")

ALIAS = "champion"


class Registry:
    """The model versions of all use cases, in MLflow; what the lake has copies of is read there.

    Parameters
    ----------
    settings
        Say where MLflow's store is.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def client(self) -> MlflowClient:
        """MLflow's client on the store of the settings.

        Raises
        ------
        StoreDown
            If the store does not answer.
        """
        return open_client(self.settings)

    def experiment(self, use_case: str) -> str:
        """Id of the use case's experiment, made if it is missing, with its artifacts where the settings say."""
        client = self.client()
        with told(self.settings):
            experiment = client.get_experiment_by_name(use_case)
            if experiment is not None:
                return str(experiment.experiment_id)
            artifacts = self.settings.artifacts
            location = (artifacts / use_case).as_uri() if artifacts is not None else None
            return str(client.create_experiment(use_case, artifact_location=location))

    def history(self, use_case: str) -> History:
        """The changes of the champion of a use case."""
        return History(self.settings.lake, use_case)

    def copies(self, use_case: str) -> RegisteredVersions:
        """What the lake keeps of the versions."""
        return RegisteredVersions(Lake(self.settings.lake, use_case), self.settings.tracking_uri)

    def champion(self, use_case: str, day: str | None = None, partitions: Partitions = DAYS) -> Version | None:
        """The version that the history names: now, or at the end of a day; None if there was none.

        Raises
        ------
        VersionGone
            If it cannot be had any more; the message says what to do.
        """
        change = self.history(use_case).latest(day, partitions)
        if change is None:
            return None
        try:
            version = self.version(use_case, change.version)
        except (UsageError, StoreDown) as error:
            # of another store, such as that of a home that was moved; its hash says that it is the one
            kept = self.copies(use_case).kept(change.version)
            if kept is None or kept.tags.get("serving_sha256") != change.sha256:
                lost = f"{error} {_ways(use_case)}" if isinstance(error, StoreDown) else ""
                raise VersionGone(lost or self._gone(use_case, change.version)) from None
            version = self._version(use_case, kept)
        except ModelRefused as error:
            raise VersionGone(f"{error} {_ways(use_case)}") from None
        # the number alone could mean another model, such as in a store that was made anew
        if change.sha256 not in ("", version.serving_sha256):
            raise ModelRefused(
                f"version {version.version} of {use_case} in MLflow's store {shown(self.settings)} is not the "
                "model that became champion (another SHA-256). Is it the right store? Else promote another version."
            )
        return version

    def see_in_store(self, use_case: str, number: int) -> None:
        """See that MLflow still has a version that the lake has a copy of.

        Raises
        ------
        VersionGone
            If somebody deleted it there, or the store is an older one.
        StoreDown
            If the store does not answer; the copy can be used all the same.
        """
        if not has(self.settings, use_case, number):
            raise VersionGone(self._gone(use_case, number))

    def _gone(self, use_case: str, number: int) -> str:
        role = ", the champion," if number == self.history(use_case).champion() else ""
        store = f"MLflow's store {shown(self.settings)}"
        return f"version {number} of {use_case}{role} is gone from {store}. {_ways(use_case)}"

    def trouble(self, use_case: str) -> str:
        """What is wrong with the champion in MLflow, and what to do; empty if nothing is."""
        number = self.history(use_case).champion()
        if number is None:
            return ""
        try:
            self.see_in_store(use_case, number)
        except VersionGone as error:
            return str(error)
        except StoreDown as error:
            return f"{error} What is shown comes from the lake; trainings and promotions wait for the store."
        return ""

    def version(self, use_case: str, number: int) -> Version:
        """A registered version.

        Raises
        ------
        UsageError
            If there is none of that number.
        ModelRefused
            If it cannot be fetched, or was registered without its hashes.
        """
        copies = self.copies(use_case)
        # the lake first: importing MLflow alone takes 4.5 CPU seconds
        registered = copies.get(number)
        if registered is None and self.settings.has_registry and self._may_be_without_copy(use_case, number):
            registered = find_version(self.client(), self.settings, use_case, number)
            if registered is not None:
                copies.keep(self._ask_for_all(use_case))
        if registered is None:
            numbers = ", ".join(map(str, self.numbers(use_case))) or "none, for nothing was trained yet"
            raise UsageError(f"There is no version {number} of {use_case}; there are: {numbers}.")
        return self._version(use_case, registered)

    def _may_be_without_copy(self, use_case: str, number: int) -> bool:
        """Whether MLflow may have a version that the lake has no copy of; asking for every mistyped number is dear."""
        copies = self.copies(use_case)
        # a release that kept no copies, on the same home, gives the next number
        is_next = number == copies.newest() + 1
        return is_next or self._every_copy(use_case) is None

    def _every_copy(self, use_case: str) -> list[Registered] | None:
        """The copies of all versions; None if they do not reach to each version that was champion."""
        champions = [change.version for change in self.history(use_case).changes()]
        return self.copies(use_case).every(max(champions, default=1))

    def choose(self, use_case: str, choice: str, day: str, partitions: Partitions = DAYS) -> Version | None:
        """The version that shall score a day.

        Parameters
        ----------
        use_case
            Name of the use case.
        choice
            `current` for the present champion, `as-of` for the champion at the end of that day, or a number.
        day, partitions
            The day, and of which days it is one.

        Returns
        -------
        Version or None
            None if there is no champion at all.

        Raises
        ------
        UsageError
            If the choice is none of these, or nothing was champion on that day.
        VersionGone
            If it cannot be had, or somebody deleted it in MLflow.
        """
        if choice.isdigit():
            return self.version(use_case, int(choice))
        if choice not in ("current", "as-of"):
            raise UsageError(f"model {choice!r}: say current, as-of, or the number of a version.")
        version = self.champion(use_case, day if choice == "as-of" else None, partitions)
        if version is None and choice == "as-of" and self.history(use_case).champion() is not None:
            first = self.history(use_case).changes()[0].when
            raise UsageError(
                f"{use_case} had no champion on that day, its first one dates from {first}. "
                "Score the day with the current one, or with a version by its number."
            )
        if version is not None:
            try:
                self.see_in_store(use_case, version.version)
            except StoreDown as error:  # the model is here and has its hash: a day need not wait
                log.warning("%s: version %d comes from the lake: %s", use_case, version.version, error)
        return version

    def challenger(self, use_case: UseCase, champion: Version) -> Version | None:
        """The version that scores beside the champion, if the configuration names one that is not the champion.

        Raises
        ------
        MlopsError
            If there is none of that number, or it fails its trial.
        """
        number = use_case.challenger
        if number == "newest":
            number = self.numbers(use_case.name)[-1]
        if number is None or number == champion.version:
            return None
        return self.prove(self.version(use_case.name, number), use_case.training.trusted)

    def prove(self, version: Version, trusted: Sequence[str] = ()) -> Version:
        """The same version, which may score, for its model has answered a trial on this machine; see `trial`.

        Raises
        ------
        ModelRefused
            If it fails.
        """
        name = f"version {version.version} of {version.use_case}" if version.version else "the new version"
        try_model(version.folder / "serving", version.serving_sha256, trusted, self.settings.home, name)
        return replace(version, proven=True)

    def known(self, use_case: str) -> dict[int, Summary]:
        """What the registry itself knows of every version, by its number; no file of them is looked at."""
        return {one.version: one.summary(use_case) for one in self._every(use_case)}

    def _every(self, use_case: str) -> list[Registered]:
        """Every version, the oldest first, from the lake or else from MLflow."""
        versions = self._every_copy(use_case)
        if versions is None:
            versions = self._ask_for_all(use_case) if self.settings.has_registry else []
        return versions

    def _ask_for_all(self, use_case: str) -> list[Registered]:
        return find_versions(self.client(), self.settings, use_case)

    def numbers(self, use_case: str) -> list[int]:
        """The numbers of all versions, the oldest first."""
        return [one.version for one in self._every(use_case)]

    def register(self, use_case: str, run_id: str, folder: Path, about: About) -> Version:
        """Store a new version; it is not champion by that.

        Parameters
        ----------
        use_case
            Name of the use case.
        run_id
            MLflow run that the version belongs to.
        folder
            Holds the models `serving` and `judged`, and whatever else belongs to the version, such as its card.
        about
            What to remember of it: all of it in `about.json`, the short of it in the registry itself.
        """
        client = self.client()
        text = about.to_json()
        (folder / ABOUT_FILE).write_text(text, encoding="utf-8")
        serving, judged = hash_folder(folder / "serving"), hash_folder(folder / "judged")
        hashes = Hashes(serving, judged, hashlib.sha256(text.encode()).hexdigest())
        # the files first: no version points at a folder that is not whole
        client.log_artifacts(run_id, str(folder), "version")
        source = f"{client.get_run(run_id).info.artifact_uri}/version"
        # the hashes lie in the registry: beside the files, whoever changes a file could change them too
        tags = {**asdict(hashes), "about": about.summary().to_json()}
        copies, history = self.copies(use_case), self.history(use_case)
        # a mark that is left before MLflow is asked, and taken away behind the document, says where a registration was
        # killed
        newest = max(copies.newest(), history.newest())
        copies.begin(run_id)
        number = create_version(client, use_case, source, run_id, tags, about.reason, newest)
        # and in the history too: whoever may write MLflow's store could change a file and the hash there
        history.pin(number, hashes)
        copies.complete(run_id, self._ask_for_all(use_case))
        return self.version(use_case, number)

    def promote(
        self, version: Version, who: str, why: str, trusted: Sequence[str] = (), seen: int | None = None, days: str = ""
    ) -> Change:
        """Make a version the champion.

        Parameters
        ----------
        version
            The version; that it can be loaded is seen first.
        who, why
            For the history.
        trusted
            Further types that the stored model may hold.
        seen
            Number of changes that were known when it was decided; see `History.append`.
        days
            Those that are to be scored again; see `Change`.

        Raises
        ------
        HistoryConflict
            If somebody else changed the champion since.
        UsageError
            If it is the champion already.
        ModelRefused
            If it is not the model that was registered, or fails its trial.
        """
        return self._set(version, "promote", who, why, trusted, seen, days)

    def roll_back(self, use_case: str, who: str, why: str, trusted: Sequence[str] = ()) -> Change:
        """Make the champion before the present one the champion again; see `promote`."""
        history = self.history(use_case)
        seen = len(history.changes())
        version = self.version(use_case, history.previous())
        return self._set(version, "rollback", who, why, trusted, seen, "")

    def _set(
        self, version: Version, action: str, who: str, why: str, trusted: Sequence[str], seen: int | None, days: str
    ) -> Change:
        history = self.history(version.use_case)
        if history.champion() == version.version:
            raise UsageError(f"Version {version.version} of {version.use_case} is the champion already.")
        with suppress(StoreDown):  # what the lake has of it is enough
            self.see_in_store(version.use_case, version.version)
        # first: one that cannot answer would fail on every day
        self.prove(version, trusted)
        # the history is the truth, the alias its mirror: that cannot be moved together with who moved it and why
        change = history.append(
            action, version.version, who, why, version.about.reason, hashes=version.hashes, seen=seen, retro_score=days
        )
        try:
            self.mirror(version.use_case)
        except Exception as error:  # the change is made; the next one, or `history`, puts the alias right
            log.warning("%s: MLflow's alias does not follow yet: %s", version.use_case, error)
        return change

    def mirror(self, use_case: str) -> None:
        """Put MLflow's alias `champion` where the history says; it lags when a process was killed in between."""
        number = self.history(use_case).champion()
        if number is not None:
            client = self.client()
            with self.copies(use_case).alias_set(number), told(self.settings):
                client.set_registered_model_alias(use_case, ALIAS, str(number))

    def mirrors(self, use_case: str) -> bool:
        """Whether MLflow's alias was set to the champion; MLflow is not asked."""
        number = self.history(use_case).champion()
        return number is None or self.copies(use_case).has_alias(number)

    def same_as(self, use_case: str, candidate: str, sha256: str, training_set: str) -> list[int]:
        """The versions of a candidate that are this very model and were judged by the same rows, the newest first."""
        found = []
        for registered in reversed(self._every(use_case)):
            about = registered.summary(use_case)
            known = (about.candidate, registered.tags.get("judged_sha256"), about.training_set)
            if known == (candidate, sha256, training_set):
                found.append(registered.version)
        return found

    def _version(self, use_case: str, registered: Registered) -> Version:
        name, number = f"version {registered.version} of {use_case}", registered.version
        try:
            hashes = Hashes(**{each.name: registered.tags[each.name] for each in fields(Hashes)})
        except KeyError:
            raise ModelRefused(f"{name} has no registered hash; train it again.") from None
        if problem := self.history(use_case).differs(number, hashes):
            raise ModelRefused(
                f"{name} in MLflow's store {shown(self.settings)} is not {problem}. Is it the right store? Else "
                "somebody changed it: bring it back from a backup, or promote another version."
            )
        summary = registered.summary(use_case)
        folder = fetch(name, registered.source, [*asdict(hashes).values()], self.settings)
        return Version(use_case, number, folder, **asdict(hashes), about=summary)


def _ways(use_case: str) -> str:
    """How a champion that cannot be had is replaced."""
    return (
        f"`mlops-assets run {use_case} --train` makes a new one; `mlops-assets promote {use_case} N --why ...` or "
        f"`mlops-assets rollback {use_case} --why ...` takes another."
    )
