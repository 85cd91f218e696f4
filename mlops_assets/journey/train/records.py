"""What each step of a training run hands to the next, and to whoever asks later; `TrainingRuns` keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Self

from mlops_assets.journey.train.candidates import Fitted
from mlops_assets.journey.train.choice import Choice
from mlops_assets.journey.train.contest import Contest
from mlops_assets.journey.train.gate import Verdict
from mlops_assets.journey.train.scores import Score
from mlops_assets.journey.train.training_set import TrainingSet


@dataclass(frozen=True)
class _Record:
    """Written as its fields are."""

    def to_json(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class GatheredRows(_Record):
    """What there is to learn from, and when it was gathered (UTC); and by what recipe, see `recipe.deciding`.

    Earlier releases said neither, or no recipe.
    """

    step: ClassVar[str] = "training_set"

    training_set: TrainingSet
    made: str | None
    recipe: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what was written."""
        return cls(TrainingSet.from_json(written["training_set"]), written.get("made"), written.get("recipe", {}))


@dataclass(frozen=True)
class FittedCandidates(_Record):
    """The candidates, and what they learned from."""

    step: ClassVar[str] = "candidates"

    training_set: TrainingSet
    candidates: tuple[Fitted, ...]

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what was written."""
        return cls(
            TrainingSet.from_json(written["training_set"]),
            tuple(Fitted(**candidate) for candidate in written["candidates"]),
        )


@dataclass(frozen=True)
class Evaluation(_Record):
    """How the candidates did beside the champion of that time, and the word of the gate.

    Attributes
    ----------
    training_set, candidates
        As in `FittedCandidates`.
    scores
        One a candidate, the best first.
    verdict
        The word of the gate.
    contest
        The candidates beside the champion, if there was one.
    seen
        Number of changes of the champion that were known then; see `History.append`.
    choice
        Which candidate was chosen, and why; None where an earlier release judged, which chose by the rows that test.
    """

    step: ClassVar[str] = "evaluation"

    training_set: TrainingSet
    candidates: tuple[Fitted, ...]
    scores: tuple[Score, ...]
    verdict: Verdict
    contest: Contest | None
    seen: int | None
    choice: Choice | None = None

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what was written."""
        choice = written.get("choice")
        fitted, contest = FittedCandidates.from_json(written), written.get("contest")
        return cls(
            fitted.training_set,
            fitted.candidates,
            tuple(Score.from_json(score) for score in written["scores"]),
            Verdict.from_json(written["verdict"]),
            Contest.from_json(contest) if contest else None,
            written.get("seen"),
            Choice.from_json(choice) if choice else None,
        )

    def score(self, name: str) -> Score | None:
        """The score of a candidate, if there is one of that name."""
        return next((score for score in self.scores if score.name == name), None)

    @property
    def best(self) -> str | None:
        """The candidate that becomes a version: the winner, else the best ranked one that the gate looked at."""
        looked_at = self.verdict.conditions
        tested = (score for score in self.scores if score.metrics and not score.failed)
        ranked = (score.name for score in tested if score.name in looked_at)
        # also where the gate refused all: who asks why needs the card and the diff of just that model
        return self.verdict.winner or next(ranked, None)


@dataclass(frozen=True)
class MadeVersion(_Record):
    """The version that came of a training, and the word of the gate on it; no version where no candidate was judged.

    `waits` says why a person must decide about one that passed; it is empty if none need.
    """

    step: ClassVar[str] = "model_version"

    version: int | None
    passed: bool
    reason: str
    seen: int | None = None
    waits: str = ""

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what was written."""
        return cls(
            written["version"], written["passed"], written["reason"], written.get("seen"), written.get("waits", "")
        )
