"""The lamps of answers: which classes, and how sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlops_assets.journey.score.profile.reference import Reference
from mlops_assets.monitoring.comparing import Comparison
from mlops_assets.monitoring.days import WatchedDay
from mlops_assets.monitoring.distances import shares
from mlops_assets.monitoring.figures import Figures
from mlops_assets.monitoring.lamp import Lamp
from mlops_assets.monitoring.noise import LEAST_GROUPS, Noise, of_days, of_groups
from mlops_assets.monitoring.spreads import Answers
from mlops_assets.monitoring.words import ADVICE, NAMED, percent
from mlops_assets.use_case.drift import Drift
from mlops_assets.work.printable import printable


@dataclass(frozen=True)
class AnswersJudge:
    """Judges what a model says of days by what it says of held-out rows.

    Its noise is counted by answers, not by files: of a file only those rows count that were held out.

    Attributes
    ----------
    drift
        Floors and bands.
    reference
        What the version learned from.
    """

    drift: Drift
    reference: Reference

    @cached_property
    def answers(self) -> Answers:
        """How answers lie in an array."""
        return Answers(self.reference.classes)

    @cached_property
    def groups(self) -> np.ndarray:
        """What was counted of the random groups that have answers."""
        counts = self.answers.counts(self.reference.groups)
        return counts[self.answers.rows(counts) > 0]

    @cached_property
    def noise(self) -> dict[str, Noise]:
        """What chance does to each figure, of one answer."""
        rows = self.answers.rows(self.groups)
        return {what: of_groups(measure, self.groups, rows) for what, measure in self.answers.measures().items()}

    def lamps(self, today: WatchedDay, comparison: Comparison, before: Sequence[WatchedDay]) -> list[Lamp]:
        """Class mix and confidence.

        Parameters
        ----------
        today
            The day.
        comparison
            What it is compared with.
        before
            The days before it that the same model answered.
        """
        if today.profile.said is None:
            return []
        before = [watched for watched in before if watched.profile.said is not None]
        counts = self.answers.counts([*(watched.profile for watched in before), today.profile])
        base = self.answers.counts([comparison.profile])[0]
        rows, learned = self.answers.rows(counts[-1]), self.answers.rows(base)
        if len(self.groups) < LEAST_GROUPS or not learned or not rows:
            why = f"No answers are known {comparison.there}: what this model says cannot be judged."
            return [Lamp(what, "grey", what, sentence=why) for what in self.answers.measures()]
        lamps = []
        for what, measure in self.answers.measures().items():
            if what == "confidence" and self.reference.days[0] <= today.day <= self.reference.days[1]:
                why = (
                    f"Version {today.version} learned from {today.day}: that it is sure of rows it knows tells nothing."
                )
                lamps.append(Lamp(what, "grey", what, sentence=why))
                continue
            effects = measure(counts, base)
            band = self.noise[what].band(float(rows), float(learned), self.drift.answers_band)
            band = np.maximum(band, of_days(effects[:-1], self.drift.spread))
            floor = np.array([getattr(self.drift.floors, what)])
            figures = Figures(what, effects[-1], floor, band, effects[:-1], [watched.day for watched in before])
            lamps.append(self._lamp(figures, today, counts[-1], base, comparison))
        return lamps

    def _lamp(
        self, figures: Figures, today: WatchedDay, counts: np.ndarray, base: np.ndarray, comparison: Comparison
    ) -> Lamp:
        lit = bool(figures.red(self.drift.days)[0])
        words = self._mix if figures.what == "class_mix" else self._sure
        return Lamp(
            name=figures.what,
            state="red" if lit else "green",
            what=figures.what,
            effect=float(figures.effect[0]),
            floor=float(figures.floor[0]),
            band=float(figures.band[0]),
            source="predictions",
            sentence=words(counts, base, comparison.there),
            advice=ADVICE[figures.what] if lit else "",
            since=figures.since(0, today.day) if lit else None,
            figures={"now": float(self.answers.sure(counts)), "then": float(self.answers.sure(base))}
            if figures.what == "confidence"
            else {},
            bins=self._grown(counts, base) if figures.what == "class_mix" else (),
        )

    def _expected(self, counts: np.ndarray) -> np.ndarray:
        """Share of each class, by the probabilities."""
        number = len(self.answers.classes)
        return shares(counts[number : 2 * number])

    def _grown(self, counts: np.ndarray, base: np.ndarray) -> tuple[int, ...]:
        """Numbers of the classes that the day has more of, the one that grew most first."""
        more = self._expected(counts) - self._expected(base)
        return tuple(int(number) for number in np.argsort(-more, kind="stable")[:NAMED] if more[number] > 0)

    def _mix(self, counts: np.ndarray, base: np.ndarray, there: str) -> str:
        now, then = self._expected(counts), self._expected(base)
        most = np.argsort(-np.abs(now - then), kind="stable")[:NAMED]
        told = ", ".join(
            f"`{printable(self.answers.classes[number])}` {percent(now[number])} ({percent(then[number])} {there})"
            for number in most
        )
        return f"The classes come otherwise, by their probabilities: {told}."

    def _sure(self, counts: np.ndarray, base: np.ndarray, there: str) -> str:
        now, then = float(self.answers.sure(counts)), float(self.answers.sure(base))
        return f"The model is sure of its answers by {percent(now)} on average ({percent(then)} {there})."
