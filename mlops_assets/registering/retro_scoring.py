"""After a change of the champion, past days are scored again by it; after a rollback, they are put back.

Whoever does it, a run of Dagster or the command, does what is left to do (`explain.retro.standing`), a day at a time,
and may be killed at any moment: each day is one commit, and nothing but the lake is asked what was done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from mlops_assets.errors import LakeError, MlopsError, PublishConflict, UsageError
from mlops_assets.journey.deliver.contents import publication_of
from mlops_assets.journey.deliver.delivery import Deliveries, deliver_day
from mlops_assets.journey.deliver.targets import open_target
from mlops_assets.journey.explain.retro.done import Done, GaveWay, Listener, Superseded, ways
from mlops_assets.journey.explain.retro.records import DayRecord, Decision, keep_day, keep_decision, now, read_days
from mlops_assets.journey.explain.retro.standing import Standing, standing_of, still_by, to_put_back, without
from mlops_assets.journey.explain.span import Publication, compare_parts
from mlops_assets.journey.model.history import Change, choice_of
from mlops_assets.journey.read.rhythm import check_rhythm
from mlops_assets.journey.score.checks import DayCheck
from mlops_assets.journey.score.day import Judge, ScoredDay, Scorers, score_day
from mlops_assets.journey.score.profile.watching import see_reference
from mlops_assets.journey.score.restoring import restore_day
from mlops_assets.monitoring.stopping import judge_of
from mlops_assets.monitoring.verdicts import Watcher, try_to_judge
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.parts import Part
from mlops_assets.use_case.targets import NOTICE
from mlops_assets.work.engines import Engines
from mlops_assets.work.lease import DayHeld, hold_day
from mlops_assets.work.progress import Progress
from mlops_assets.work.shards import Report, parts_of
from mlops_assets.workspace import Stores

log = logging.getLogger("mlops_assets.retro_score")

HELD = "compared"
"""The condition that a day does not meet before all days are compared, where the use case sets a bound."""


class RetroScoring:
    """Scores past days again, or puts them back.

    Parameters
    ----------
    stores
        The use case.
    engines
        Run the shards.
    run
        Who does it, for the commits.
    listener
        Is told of each day.
    """

    def __init__(self, stores: Stores, engines: Engines, run: str, listener: Listener | None = None) -> None:
        self._stores, self._use_case, self._lake = stores, stores.use_case, stores.lake
        self._engines, self._run, self._listener = engines, run, listener or Listener()
        self._watcher = Watcher(stores)
        self._give_way: Callable[[], bool] = lambda: False

    def standing(self) -> Standing | None:
        """How the newest change stands; None where it has no day scored again."""
        changes = self._stores.history.changes()
        if not changes or not read_days(self._lake, changes[-1]):
            return None
        return standing_of(self._lake, changes, changes[-1].number)

    def is_left(self) -> bool:
        """Whether anything is left to do that nobody has to decide first."""
        if to_put_back(self._lake, self._stores.history.changes()):
            return True
        standing = self.standing()
        if standing is None or standing.state != "open":
            return False
        return bool(standing.having("waits")) or (bool(standing.having("held")) and not self._stays(standing))

    def go_on(self, give_way: Callable[[], bool] = lambda: False, *, again: bool = False) -> Done:
        """Do what is left to do.

        Parameters
        ----------
        give_way
            Is asked before each day, and between its shards, whether other work comes first; then this ends, and is
            gone on with later.
        again
            Whether days that failed are tried once more, and what was decided by the bound is looked at anew.

        Raises
        ------
        MlopsError
            If the champion cannot be had, or may not score, or the days are stored by another rhythm.
        """
        check_rhythm(self._use_case, self._lake)
        self._give_way = give_way
        done = self.put_back(again=again)
        tried, progress = set[tuple[str, bool]](), dict[bool, Progress]()
        while not done.gave_way and (standing := self.standing()) is not None:
            hold = self._holds(standing)
            days = [day for day in self._next(standing, again=again) if (day, hold) not in tried]
            if not days:
                if not hold or not self._decide(standing, again=again):
                    break
                continue
            if give_way():
                done.gave_way = True
                break
            if hold not in progress:
                progress[hold] = self._progress(standing, days)
            tried.add((days[0], hold))
            self._do(standing.change, days[0], done, progress[hold], hold=hold)
            # a rollback that came while the day was being published has not seen it
            self.put_back(done)
        self._complete()
        done.standing = self.standing()
        return done

    def _next(self, standing: Standing, *, again: bool) -> list[str]:
        """The days that are to be done now, the newest first."""
        if not self._holds(standing) and (held := standing.having("held")):
            return held
        return standing.having("waits", *(("failed",) if again else ()))

    def _progress(self, standing: Standing, days: Collection[str]) -> Progress:
        published = self._lake.predictions.days()
        files = sum(published[day].accounting.files for day in days)
        what = f"{self._use_case.name} retro_score of {len(days)} days by version {standing.change.version}"
        log.info("%s: %s to %s, the newest first", what, min(days), max(days))
        return Progress(what, files)

    def _complete(self) -> None:
        """Compare days of which a run that was killed published the answers and did not say what differs."""
        standing = self.standing()
        for day in standing.having("scored") if standing else ():
            record = standing.days[day].record if standing else None
            if standing is None or (record is not None and record.state == "scored"):
                continue
            publications, change = self._lake.predictions.publications()[day], standing.change
            before = without(publications, {change.number})
            if before is not None:
                parts = self._lake.predictions.parts_at(day, publications[-1])
                record = _record(day, before, change)
                keep_day(self._lake, change.number, self._compared(record, before, parts))

    # -- the bound -----------------------------------------------------------------------------------------------------

    def _holds(self, standing: Standing) -> bool:
        """Whether a day is kept back once it is scored: there is a bound, and nobody has decided yet."""
        decision = standing.decision
        return self._use_case.training.promotion.most_changed is not None and not (decision and decision.publish)

    def _stays(self, standing: Standing) -> bool:
        """Whether it was decided, by the bound as it is now, that what was published stays."""
        decision, bound = standing.decision, self._use_case.training.promotion.most_changed
        return bound is not None and decision is not None and not decision.publish and decision.bound == bound

    def _decide(self, standing: Standing, *, again: bool) -> bool:
        """Compare with the bound once all days are; whether held days are published."""
        bound = self._use_case.training.promotion.most_changed
        if bound is None or not standing.having("held") or standing.having("waits"):
            return False
        if self._stays(standing) and not again:
            return False
        share = standing.span(self._use_case).share
        said = f"{share:.2%} of the rows get another answer, and most_changed is {bound:.2%}"
        decision = Decision(share <= bound, share, bound, self._run, said, now())
        keep_decision(self._lake, standing.change.number, decision)
        if not decision.publish:
            log.warning("%s: what was published stays: %s. %s", self._use_case.name, said, ways(self._use_case.name))
        return decision.publish

    def accept(self, who: str, why: str) -> None:
        """Have held days published although more of their rows change than the bound allows.

        Raises
        ------
        UsageError
            If no day is held.
        """
        standing = self.standing()
        if standing is None or not standing.having("held"):
            raise UsageError(f"{self._use_case.name}: no day was scored again and waits to be published.")
        bound = self._use_case.training.promotion.most_changed or 0.0
        share = standing.span(self._use_case).share
        keep_decision(self._lake, standing.change.number, Decision(True, share, bound, who, why, now()))

    # -- a day ---------------------------------------------------------------------------------------------------------

    def _do(self, change: Change, day: str, done: Done, progress: Progress, *, hold: bool) -> None:
        """Score a day again, compare it, and publish it unless it is held; what goes wrong is kept with the day."""
        before = self._lake.predictions.publications()[day][-1]
        record = _record(day, before, change)
        try:
            with hold_day(self._lake, day, self._run, lambda: None):
                scored, parts = self._score(change, day, progress, hold=hold)
        except GaveWay:
            done.gave_way = True
            return
        except (Superseded, DayHeld, PublishConflict) as error:  # it is for those who came between, or done later
            log.warning("%s %s: %s", self._use_case.name, day, error)
            return
        except MlopsError as error:
            self._failed(change, replace(record, why=str(error)), done)
            return
        broken = [check for check in scored.checks if not check.passed and check.name != HELD]
        if broken:
            told = "; ".join(f"{check.name}: {check.found} - {check.advice}" for check in broken)
            self._failed(change, replace(record, why=told), done)
            return
        record = self._compared(replace(record, state="held" if hold else "scored"), before, parts)
        keep_day(self._lake, change.number, record)
        if not hold:
            done.scored.append(day)
            self._listener.scored(day, record, scored)
            self._after(day, done)

    def _compared(self, record: DayRecord, before: Publication, parts: Sequence[Part]) -> DayRecord:
        """What differs between a day as it was and as it is scored now."""
        use_case, lake, day = self._use_case, self._lake, record.day
        try:
            then = lake.predictions.parts_at(day, before)
            flows = compare_parts(use_case, lake, day, then, parts, self._engines.of(use_case, day))
        except MlopsError as error:  # it is scored all the same
            log.warning("%s %s: what differs cannot be told: %s", use_case.name, day, error)
            return replace(record, why=f"what differs cannot be told: {error}")
        return replace(record, flows=flows)

    def _failed(self, change: Change, record: DayRecord, done: Done) -> None:
        keep_day(self._lake, change.number, record)
        done.failed[record.day] = record.why
        log.error("%s %s: not scored again, and stays as it is: %s", self._use_case.name, record.day, record.why)

    def _score(self, change: Change, day: str, progress: Progress, *, hold: bool) -> tuple[ScoredDay, list[Part]]:
        use_case, lake = self._use_case, self._lake
        version = self._stores.proven_version(change.version)
        see_reference(use_case, version)
        reports, shards = list[Report](), len(lake.rows.parts(day))

        def watch(report: Report) -> None:
            reports.append(report)
            progress(report)
            if len(reports) < shards and not report.reused and self._give_way():
                raise GaveWay(f"other work comes before {day}")

        scorers = Scorers(version, choice_of(change.number), None, self._run)
        where, engine = str(self._stores.source.place(day)), self._engines.of(use_case, day)
        scored = score_day(use_case, lake, day, scorers, engine, watch, where, self._judge(change, day, hold=hold))
        return scored, parts_of(reports, lake.predictions)

    def _judge(self, change: Change, day: str, *, hold: bool) -> Judge:
        """Asked right before a day is published: a red lamp keeps it back as ever, and so does another champion."""
        asked = judge_of(self._use_case, self._lake, self._watcher, day, "")

        def judge(parts: Collection[str], told: PredictionsAccounting) -> list[DayCheck]:
            self._see_current(change)
            checks = list(asked([*parts], told)) if asked is not None else []
            return [*checks, DayCheck(HELD, False, "all days are compared first", "")] if hold else checks

        return judge

    def _see_current(self, change: Change) -> None:
        newest = self._stores.history.latest()
        if newest != change:
            told = f"{newest.action} of version {newest.version} by {newest.who}" if newest else "none"
            raise Superseded(f"the champion was changed meanwhile ({told}); nothing of the day was published")

    def _after(self, day: str, done: Done) -> None:
        """What follows a publication: its lamps, and its targets where the use case asks for that."""
        if self._use_case.drift.watch:
            found = try_to_judge(self._use_case, self._watcher, day)
            log.info("%s %s: %s", self._use_case.name, day, found if isinstance(found, str) else found.sentence)
        if self._use_case.training.promotion.deliver:
            for target in self._targets():
                try:
                    opened = open_target(self._use_case, target, self._stores.settings)
                    record = deliver_day(self._use_case, self._lake, day, target, opened, run=self._run)
                except MlopsError as error:  # it is published all the same, as on any other day
                    done.undelivered[day] = f"not delivered to {target}: {error}"
                    log.warning("%s %s: not delivered to %s: %s", self._use_case.name, day, target, error)
                else:
                    self._listener.delivered(day, target, record.rows if record else 0)

    def _targets(self) -> list[str]:
        """The names of the targets; a notice that a day is done comes after all that bring its rows."""
        targets = self._use_case.targets
        return sorted(targets, key=lambda name: targets[name].use == NOTICE)

    # -- back ----------------------------------------------------------------------------------------------------------

    def put_back(self, done: Done | None = None, *, again: bool = False) -> Done:
        """Publish days as they were before changes of the champion that were taken back, file by file.

        Parameters
        ----------
        done
            Is told of each.
        again
            Whether it is tried once more for days that could not be put back.
        """
        done = done or Done()
        changes = self._stores.history.changes()
        for day, (number, before) in sorted(to_put_back(self._lake, changes, again=again).items(), reverse=True):
            newest = self._lake.predictions.days()[day]
            had = [*self._targets_with(day, newest)]
            try:
                restore_day(self._lake, day, before, self._run)
            except PublishConflict as error:  # it is looked at once more the next time
                log.warning("%s %s: %s", self._use_case.name, day, error)
                continue
            except LakeError as error:
                done.lost[day] = (
                    f"{error} For now it stays as version {newest.accounting.model_version} has it: `mlops-assets run "
                    f"{self._use_case.name} --from {day} --to {day} --model {before.accounting.model_version}`"
                )
                record = DayRecord(day, "lost", publication_of(newest), before.accounting.model_version, 0, str(error))
                keep_day(self._lake, number, replace(record, after=newest.accounting.model_version, when=now()))
                continue
            done.put_back.append(day)
            log.info("%s %s: as version %d had it", self._use_case.name, day, before.accounting.model_version)
            self._listener.put_back(day, self._lake.predictions.days()[day])
            self._after(day, done)
            if not self._use_case.training.promotion.deliver:
                for target in had:
                    done.stale.setdefault(target, []).append(day)
        return done

    def after_rollback(self) -> Done:
        """Put back what a rollback took back, also what could not be before, and say which days it leaves alone."""
        done, change = self.put_back(again=True), self._stores.history.latest()
        if change is not None:
            done.left = [day for day in still_by(self._lake, change) if day not in done.lost]
            done.left_by = change.before
        return done

    def _targets_with(self, day: str, published: Publication) -> Iterator[str]:
        """The targets that have a day as it is published, or may have it."""
        for target in self._targets():
            record = Deliveries(self._use_case, self._lake, target).read(day)
            if record is not None and record.publication == publication_of(published):
                yield target


def _record(day: str, before: Publication, change: Change) -> DayRecord:
    """What is kept of a day, before anything went well."""
    version = before.accounting.model_version
    return DayRecord(day, "failed", publication_of(before), version, change.version, when=now())
