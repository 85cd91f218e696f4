"""In: published days. Out: what is said of each, judged beside what its model learned from, and kept for all who ask.

How they are kept, and who may read them as what, is in `kept`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from mlops_assets.errors import MlopsError
from mlops_assets.journey.feedback.audited import count_rows
from mlops_assets.journey.feedback.live import live_metrics
from mlops_assets.journey.score.profile.reference import Reference, no_reference, read_reference
from mlops_assets.monitoring.comparing import Comparison, compared_with
from mlops_assets.monitoring.days import WatchedDay, day_profile, days_before, published_before
from mlops_assets.monitoring.estimate import Estimate, estimate, say_doubt
from mlops_assets.monitoring.estimate_checks import Checked, compare_with_audits
from mlops_assets.monitoring.kept import Compared, Judged, keep, read_verdict, verdict_days
from mlops_assets.monitoring.lamp import DayVerdict, Lamp
from mlops_assets.monitoring.lamps import Judge
from mlops_assets.monitoring.rows import Evidence, evidence
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.drift import AGAINST
from mlops_assets.workspace import Stores

log = logging.getLogger("mlops_assets.drift")

MOST_EVIDENCE = 8
"""Red lamps of a day whose rows are looked for: where all columns are red, those of the first say why."""


class NotWatched(MlopsError):
    """A day of which nothing can be said, and what to do."""


@dataclass(frozen=True)
class Explained:
    """A day for people: what is said of it, and what stands behind that.

    Attributes
    ----------
    verdict
        What is said.
    proposal
        As in `Judged`.
    evidence
        The rows behind its red lamps, the first `MOST_EVIDENCE` of them.
    estimate
        What its answers tell of their own accuracy; None where that is not known.
    checked
        How estimates did where audits came; None where none did.
    today
        Which files and accounts came; None of a day that was kept back, or not counted.
    """

    verdict: DayVerdict
    proposal: str = ""
    evidence: tuple[Evidence, ...] = ()
    estimate: Estimate | None = None
    checked: Checked | None = None
    today: WatchedDay | None = None

    @property
    def doubt(self) -> str:
        """What is said of a model that is less sure than it was; else empty."""
        return say_doubt(self.estimate, self.verdict)

    @property
    def judged(self) -> bool:
        """Whether anything can be said of the day."""
        return any(lamp.state != "grey" for lamp in self.verdict.lamps)

    @property
    def red(self) -> bool:
        """Whether a lamp of the day is, or its model is less sure than it was."""
        return self.verdict.red or bool(self.doubt)

    @property
    def sentence(self) -> str:
        """The first thing to know of the day; what the estimate says where it alone is red."""
        told = self.verdict.sentence
        return told if self.verdict.red or not self.doubt else f"{told} {self.doubt}"


class Watcher:
    """Judges the days of a use case; what belongs to a version is read once.

    Parameters
    ----------
    stores
        Of the use case.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._lake = stores.lake
        self._judges: dict[int, Judge] = {}

    @cached_property
    def _use_case(self) -> UseCase:
        return self._stores.use_case

    def reference(self, version: int) -> Reference | None:
        """What a version learned from; None of one that was made before there were profiles."""
        return self._judge(version).reference

    def _judge(self, version: int) -> Judge:
        if version not in self._judges:
            found = read_reference(self._stores.registry.version(self._use_case.name, version))
            self._judges[version] = Judge(self._use_case.drift, found, self._use_case.account)
        return self._judges[version]

    def watched(self, day: str) -> WatchedDay:
        """A published day as it was counted.

        Raises
        ------
        NotWatched
            If it was not published, or not counted.
        """
        published = self._lake.predictions.days().get(day)
        again = f"`mlops-assets run {self._use_case.name} --from {day} --to {day}`"
        if published is None:
            raise NotWatched(f"{day} is not published: {again}.")
        if (found := day_profile(self._lake, day)) is not None:
            return found
        if not self._use_case.drift.watch:
            raise NotWatched(f"{self._use_case.name} is not watched: `drift.watch` is off in its defs.yaml.")
        version = published.accounting.model_version
        if self.reference(version) is None:
            told = no_reference(self._stores.registry.version(self._use_case.name, version))
            raise NotWatched(told[0].upper() + told[1:])
        raise NotWatched(f"{day} was scored before its use case was watched: {again} counts it.")

    def judge(self, day: str, against: str | None = None) -> DayVerdict:
        """What is to be said of a published day.

        Parameters
        ----------
        day
            The day.
        against
            What it is compared with: one of `AGAINST`, or another published day; by default as the use case says.

        Raises
        ------
        NotWatched
            If nothing can be said of it.
        """
        return self.say(self.watched(day), against)

    def say(self, today: WatchedDay, against: str | None = None) -> DayVerdict:
        """What is to be said of a day as it was counted, published or not; as `judge`."""
        return self._say(today, self._before(today.day), against)

    def _before(self, day: str) -> list[WatchedDay]:
        """The days that one is compared with."""
        return days_before(self._lake, day, near=self._use_case.drift.days.of)

    def _say(self, today: WatchedDay, before: list[WatchedDay], against: str | None) -> DayVerdict:
        against = self.compared_with(against)
        return self._judge(today.version).day(today, self._with(before, against), against)

    def compared_with(self, against: str | None) -> str:
        """What days are compared with: what is asked for or configured; of a week any day may have been named."""
        asked = against or self._use_case.drift.against
        return asked if asked in AGAINST else self._use_case.partitions.holding(asked)

    def _with(self, before: list[WatchedDay], against: str) -> list[WatchedDay]:
        """The days before one, and that which it is compared with where it is none of them."""
        if against in AGAINST or against in {watched.day for watched in before}:
            return before
        return [self.watched(against), *before]

    def comparison(self, today: WatchedDay, against: str | None = None) -> Comparison | str:
        """What a day is compared with, or why it cannot be; as `say`."""
        reference = self.reference(today.version)
        if reference is None:
            return no_reference(self._stores.registry.version(self._use_case.name, today.version))
        against = self.compared_with(against)
        before = self._with(self._before(today.day), against)
        return compared_with(against, reference, before, today)

    def days(self) -> list[str]:
        """The days of which something is said: those that are published, and those that were kept back, in order."""
        published = self._lake.predictions.days().keys()
        kept = {day for day in verdict_days(self._lake) if day not in published}
        return sorted({*published, *(day for day in kept if read_verdict(self._use_case, self._lake, day))})

    def kept_back(self, day: str, lamp: str | None = None) -> Explained | None:
        """What was said of a day that was not published because of it; None of any other.

        Parameters
        ----------
        day
            The day.
        lamp
            As of `show`.
        """
        if day in self._lake.predictions.days():
            return None
        kept = read_verdict(self._use_case, self._lake, day)
        return None if kept is None else self.show(kept, lamp)

    def explain(self, day: str, against: str | None = None, lamp: str | None = None) -> Explained:
        """What is to be said of a published day, for people; as `judge`, with the rows that `show` looks for."""
        today = self.watched(day)
        verdict = self.say(today, against)
        judged = Judged(verdict, version=today.version)
        shown = self.show(replace(judged, proposal=self._proposal(judged)), lamp)
        return replace(shown, estimate=self.estimate(today), checked=self.checked, today=today)

    def explain_all(self, days: Sequence[str], against: str | None = None) -> list[Explained]:
        """What is to be said of several published days; of one that nothing can be said of, why.

        Raises
        ------
        NotWatched
            If nothing can be said of any.
        """
        found, dark = dict[str, Explained](), dict[str, NotWatched]()
        for day in days:
            try:
                found[day] = self.explain(day, against)
            except NotWatched as error:
                dark[day] = error
        if dark and not found:
            raise next(iter(dark.values()))
        whys = {day: Lamp("columns", "grey", "psi", sentence=str(why)) for day, why in dark.items()}
        untold = {day: Explained(DayVerdict(day, "nothing", (why,))) for day, why in whys.items()}
        return [{**found, **untold}[day] for day in days]

    def estimate(self, today: WatchedDay) -> Estimate | None:
        """What the answers of a day tell of their own accuracy; None where there is nothing to compare them with."""
        reference = self.reference(today.version)
        if reference is None:
            return None
        about = self._stores.registry.version(self._use_case.name, today.version).about
        return estimate(reference, today, about, self._use_case.drift.floors.confidence)

    @cached_property
    def checked(self) -> Checked | None:
        """How the estimates did on days of which rows were audited; None where there is none."""
        records = live_metrics(self._use_case, count_rows(self._use_case, self._lake))
        audited = {record["day"] for record in records if record["audited"]}
        watched = [day for day in (day_profile(self._lake, day) for day in sorted(audited)) if day is not None]
        estimates = {(day.day, day.version): self.estimate(day) for day in watched}
        return compare_with_audits({key: one for key, one in estimates.items() if one is not None}, records)

    def show(self, judged: Judged, lamp: str | None = None) -> Explained:
        """What was said of a day, with the rows behind its red lamps.

        Parameters
        ----------
        judged
            What was said.
        lamp
            Name of the lamp whose rows are looked for; those of the first `MOST_EVIDENCE` red ones by default.
        """
        lake, use_case, verdict = self._lake, self._use_case, judged.verdict
        reference = self.reference(judged.version)
        chosen = [one for one in verdict.red_lamps if lamp in (None, one.name)][:MOST_EVIDENCE]
        rows = (evidence(lake, use_case, verdict.day, one, reference) for one in chosen)
        return Explained(verdict, judged.proposal, tuple(rows))

    def judge_and_keep(self, day: str) -> Judged:
        """Judge a published day by everything that it is compared with, and keep that.

        Raises
        ------
        NotWatched
            If nothing can be said of it.
        """
        today = self.watched(day)
        before = self._before(day)  # once for all that it is compared with
        verdict, *others = (self._say(today, before, against) for against in self._comparisons())
        guess, beside = self.estimate(today), tuple(Compared.of(other) for other in others)
        judged = Judged(verdict, beside, today.version, self._lake.predictions.days()[day].version)
        judged = replace(judged, proposal=self._proposal(judged), doubt=say_doubt(guess, verdict))
        keep(self._use_case, self._lake, judged)
        return judged

    def catch_up(self, day: str) -> list[str]:
        """Published days before one, of as many as it is compared with, that were never judged as they are now.

        A run that was ended, a range of days of which one was kept back, and a changed configuration leave such days.
        """
        days = published_before(self._lake, day, near=self._use_case.drift.days.of)
        unjudged = [other for other in days if read_verdict(self._use_case, self._lake, other) is None]
        return [other for other in unjudged if self._is_counted(other)]

    def _is_counted(self, day: str) -> bool:
        try:
            return day_profile(self._lake, day) is not None
        except MlopsError:  # who judges it says what is wrong
            return True

    def _comparisons(self) -> list[str]:
        """What a day is compared with, that of the configuration first."""
        return list(dict.fromkeys([self._use_case.drift.against, *AGAINST]))

    def keep_back(self, judged: Judged) -> None:
        """Keep what was said of a day that is not published because of it; of what readers see, the word stays."""
        if judged.verdict.day not in self._lake.predictions.days():
            keep(self._use_case, self._lake, judged)

    def _proposal(self, judged: Judged) -> str:
        """Whether the day is red since another version scores, while the one before was green."""
        if not judged.verdict.red:
            return ""
        published = self._lake.predictions.days()
        earlier = [day for day in sorted(published, reverse=True) if day < judged.verdict.day]
        last = next((day for day in earlier if published[day].accounting.model_version != judged.version), None)
        if last is None:
            return ""
        first = min(day for day in published if last < day)
        kept = read_verdict(self._use_case, self._lake, last)
        if kept is None or kept.verdict.red or all((lamp.since or "") > first for lamp in judged.verdict.red_lamps):
            return ""
        name, before = self._use_case.name, published[last].accounting.model_version
        return (
            f"It is so since version {judged.version} scores; version {before} was green on {last}: see "
            f"`mlops-assets diff {name} --day {judged.verdict.day} --candidate {before}`, then `rollback` or `promote`."
        )


def plain(verdict: DayVerdict) -> dict[str, Any]:
    """A verdict as plain values, with its sentence first; what is infinitely far is null."""
    lamps = [{**asdict(lamp), "threshold": lamp.threshold} for lamp in verdict.lamps]
    told = {"day": verdict.day, "sentence": verdict.sentence, "red": verdict.red, "against": verdict.against}
    return {**told, "lamps": [_finite(lamp) for lamp in lamps]}


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None
        if isinstance(value, float) and not math.isfinite(value)
        else _finite(value)
        if isinstance(value, Mapping)
        else value
        for name, value in values.items()
    }


def by_kind(lamps: Sequence[Lamp]) -> dict[str, float]:
    """The largest effect of each kind of figure; of a column, of all its figures, also those that were not judged."""
    most: dict[str, float] = {}
    for lamp in lamps:
        if lamp.state == "grey":
            continue
        own = {name: lamp.figures[name] for name in ("nulls", "unseen", "shift", "mean", "psi") if name in lamp.figures}
        for what, effect in {lamp.what: lamp.effect, **own}.items():
            most[what] = max(most.get(what, 0.0), effect)
    return most


def try_to_judge(use_case: UseCase, watcher: Watcher, day: str) -> Judged | str:
    """What is said of a day, or why nothing is: the day is published, whatever becomes of its watching.

    Parameters
    ----------
    use_case, watcher, day
        The use case, what judges its days, and one of them.
    """
    try:
        return watcher.judge_and_keep(day)
    except NotWatched as error:
        return str(error)
    except MlopsError as error:
        log.warning("%s drift %s: not judged: %s", use_case.name, day, error)
        return f"Not judged: {error}"
    except Exception as error:
        log.exception("%s drift %s: not judged; report it with these lines", use_case.name, day)
        return f"Not judged, by a mistake of ours; the log of this step has it: {error!r}"
