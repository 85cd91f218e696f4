"""Where everything is: of an installation its settings and versions, of a use case its tables, trainings, raw files.

Whoever needs a lake or a registry gets it from here. Workers on shards do not: what they need is in their task.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.settings import Settings
from mlops_assets.storage.form import see_form
from mlops_assets.use_case import UseCase, find_use_case, list_use_cases

if TYPE_CHECKING:
    from mlops_assets.journey.model.history import History
    from mlops_assets.journey.model.registry import Registry
    from mlops_assets.journey.model.training_runs import TrainingRuns
    from mlops_assets.journey.model.version import Version
    from mlops_assets.journey.read.sources import Source
    from mlops_assets.journey.score.day import Scorers
    from mlops_assets.storage.catalog import Lake
    from mlops_assets.storage.places import Place

log = logging.getLogger("mlops_assets.daily")

# The parts are imported where they are made: a command that reads a table need not wait for what opens models.


@dataclass(frozen=True)
class Workspace:
    """An installation.

    Attributes
    ----------
    settings
        Its places and limits.
    """

    settings: Settings

    @classmethod
    def from_environment(cls, raw: Place | None = None) -> Self:
        """The one that the environment variables describe.

        Parameters
        ----------
        raw
            Where the raw files lie, if not where they say.

        Raises
        ------
        UsageError
            If one of them is not what it must be.
        OtherForm
            If what lies in the lake is of a later version, or of an earlier one and must be upgraded first.
        """
        settings = Settings.from_environment()
        see_form(settings.lake)
        return cls(settings if raw is None else replace(settings, raw=raw))

    @cached_property
    def registry(self) -> Registry:
        """The model versions of all use cases."""
        from mlops_assets.journey.model.registry import Registry

        return Registry(self.settings)

    def of(self, use_case: UseCase) -> Stores:
        """What there is of a use case."""
        return Stores(self, use_case)

    def names(self) -> list[str]:
        """The names of its use cases.

        Raises
        ------
        UsageError
            If there is none.
        """
        names = [*list_use_cases(self.settings.use_cases)]
        if not names:
            raise UsageError(f"There is no use case in {self.settings.use_cases[-1]}: `mlops-assets new` writes one.")
        return names

    def find(self, name: str) -> Stores:
        """What there is of the use case of that name.

        Raises
        ------
        UsageError
            If there is none.
        """
        return self.of(find_use_case(self.settings.use_cases, name))


@dataclass(frozen=True)
class Stores:
    """What there is of one use case, each opened when it is first asked for.

    Attributes
    ----------
    workspace
        The installation.
    use_case
        The use case.
    """

    workspace: Workspace
    use_case: UseCase

    @property
    def settings(self) -> Settings:
        """The settings of the installation."""
        return self.workspace.settings

    @property
    def registry(self) -> Registry:
        """The model versions of all use cases."""
        return self.workspace.registry

    @cached_property
    def lake(self) -> Lake:
        """Its tables; they remember the commits that they have seen."""
        from mlops_assets.storage.catalog import Lake

        return Lake(self.settings.lake, self.use_case.name)

    @cached_property
    def runs(self) -> TrainingRuns:
        """What its trainings wrote."""
        from mlops_assets.journey.model.training_runs import TrainingRuns

        return TrainingRuns(self.settings.lake, self.use_case.name)

    @cached_property
    def history(self) -> History:
        """Who was its champion when."""
        from mlops_assets.journey.model.history import History

        return History(self.settings.lake, self.use_case.name)

    @cached_property
    def source(self) -> Source:
        """Its raw files."""
        from mlops_assets.journey.read.sources import open_source

        return open_source(self.use_case, self.settings.raw)

    def days_with_files(self) -> set[str]:
        """The days that have raw files, or had some when they were listed last."""
        return {*self.source.days(), *self.lake.raw_files.days()}

    @property
    def corrections(self) -> Place:
        """Folder of the corrections that people hand in, beside its raw files."""
        return self.settings.raw / self.use_case.name / "feedback"

    def champion(self) -> Version | None:
        """The version that predicts now, if there is one.

        Raises
        ------
        ModelRefused
            If it cannot be fetched, or is not the model that became champion.
        """
        return self.registry.champion(self.use_case.name)

    def scores_alone(self) -> bool:
        """Whether days are scored without an estimator: the champion has a scorer, or there is none."""
        with suppress(MlopsError):  # whoever loads it is told what is wrong with it
            champion = self.champion()
            return champion is None or champion.has_scorer
        return True

    def proven_version(self, number: int) -> Version:
        """The version of a number, which may score: it is tried, here.

        Raises
        ------
        ModelRefused
            If there is none, or it fails.
        """
        return self.registry.prove(self.registry.version(self.use_case.name, number), self.use_case.training.trusted)

    def sides(self, candidate: int, against: int | None) -> tuple[Version, Version]:
        """The versions that a diff compares: that of before, and the one that might come, each tried here.

        Parameters
        ----------
        candidate
            The one that might come.
        against
            That of before; the champion if it is None. Two that are named may be the same one.

        Raises
        ------
        UsageError
            If the candidate is the champion, and nothing else is named: nothing would change, whatever it is.
        MlopsError
            If there is no champion.
        ModelRefused
            If there is no such version, or it fails.
        """
        name = self.use_case.name
        if against is None:
            champion = self.champion()
            if champion is None:
                raise MlopsError(f"{name} has no champion to compare with: say with `against` which version to take.")
            if champion.version == candidate:
                raise UsageError(
                    f"Version {candidate} is the champion, and would be compared with itself: say with `against` which "
                    f"version came before; `mlops-assets history {name}` lists them."
                )
            against = champion.version
        return self.proven_version(against), self.proven_version(candidate)

    def scorers(self, choice: str, day: str, run: str, accepted: str = "") -> Scorers | None:
        """The version that was asked for, and the challenger if it can be loaded; None where there is no champion.

        Parameters
        ----------
        choice
            `current`, `as-of` or a number; see `Registry.choose`.
        day
            The day that they shall score.
        run
            Who scores, for `why`.
        accepted
            Why the day is published whatever lamp is red.

        Raises
        ------
        MlopsError
            If the version cannot be had, or may not score.
        """
        from mlops_assets.journey.score.day import Scorers
        from mlops_assets.journey.score.profile.watching import see_reference

        # a version that is named by its number needs no champion
        if not choice.isdigit() and self.champion() is None:
            return None
        version = self.registry.choose(self.use_case.name, choice, day, self.use_case.partitions)
        if version is None:
            return None
        version = self.registry.prove(version, self.use_case.training.trusted)
        see_reference(self.use_case, version)
        challenger = None
        try:
            challenger = self.registry.challenger(self.use_case, version)
        except MlopsError as error:  # it must not keep the day from its champion
            log.warning("%s predictions %s: the challenger does not score: %s", self.use_case.name, day, error)
        return Scorers(version, choice, challenger, run, accepted)

    def why_no_champion(self) -> str:
        """Why there is no champion, and what to do."""
        from mlops_assets.journey.train.records import Evaluation

        name, newest = self.use_case.name, self.runs.newest(Evaluation)
        if newest is None:
            return f"{name} has no champion yet; run the job {name}_training."
        return f"{name} has no champion: the gate {newest.verdict.reason}."
