"""In: fitted candidates. Out: their figures on the rows that choose, and of the chosen one on rows that chose nothing.

The rows that test are opened once a training, for the baseline and the candidate that was chosen; no other candidate
is asked of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.ages import by_age, by_round, of_unseen_accounts
from mlops_assets.journey.train.calibration import calibration_of
from mlops_assets.journey.train.candidates import (
    Fitted,
    as_fitted,
    fit,
    in_short,
    see_that_some_work,
    seeds_of,
    unfitted,
)
from mlops_assets.journey.train.choice import NO_RECIPE, Choice, Recipe, choose_candidate
from mlops_assets.journey.train.folds import Asked, Said, ask_for, ask_rounds, joined, pooled
from mlops_assets.journey.train.gate import may_be_tested, to_be_tested
from mlops_assets.journey.train.intervals import Interval, groups_of, interval
from mlops_assets.journey.train.metrics import POSSIBLE, deciding_metrics, load_metrics
from mlops_assets.journey.train.origins import CHOOSES, TESTS, Round, rounds
from mlops_assets.journey.train.recency import unweighted
from mlops_assets.journey.train.scores import Score, Tested, decided, figures, score, score_answers
from mlops_assets.journey.train.speed import speed
from mlops_assets.journey.train.training_set import CONTENT, TrainingSet
from mlops_assets.storage.places import parse_place
from mlops_assets.use_case import Candidate, UseCase

SEEDS = (1, 2, 3, 4)
"""Further seeds from which the chosen candidate is fitted, to tell how much hangs on one."""

LONGEST_SEEDS = 30.0
"""CPU seconds after which no further seed is begun."""


@dataclass(frozen=True)
class Judged:
    """What the rows say of the candidates.

    Attributes
    ----------
    scores
        One a candidate: the chosen one first, then by the metric on the rows that choose, what failed last.
    choice
        Which one is chosen, and why.
    tested
        What it says of the rows that test; empty if there is nothing but the baseline.
    """

    scores: list[Score]
    choice: Choice
    tested: Mapping[str, list[Asked]]


def evaluate(
    use_case: UseCase,
    training_set: TrainingSet,
    fitted: Sequence[Fitted],
    champion: Recipe = NO_RECIPE,
    log: Callable[[str], None] = lambda _: None,
) -> Judged:
    """Choose a candidate, and test it.

    Parameters
    ----------
    use_case
        The use case.
    training_set
        Its rows, and which choose and test.
    fitted
        The candidates, fitted on what was known before the test.
    champion
        The champion's recipe: what is as good as it within noise does not replace it.
    log
        Is told what is being done.

    Raises
    ------
    CandidatesFailed
        If the baseline fails on them, or everything beside it.
    """
    work = _Evaluation(use_case, training_set, log)
    for number, one in enumerate(fitted, 1):
        log(f"asking {one.name} ({number} of {len(fitted)}) of {len(work.choosing)} rounds that choose")
        work.validate(one)
    see_that_some_work(use_case, {score.name: score.failed for score in work.scores.values()})
    choice = work.choose(champion)
    looked_at = may_be_tested(use_case.training, use_case.scale, list(work.scores.values()), choice)
    opened = [name for name in (to_be_tested(looked_at),) if name]
    by_name = {one.name: one for one in fitted}
    for name in (use_case.training.baseline, *opened):
        log(f"testing {name} on {len(work.testing)} rounds that chose nothing")
        work.test(by_name[name])
    if opened and work.scores[opened[0]].failed:
        see_that_some_work(use_case, {score.name: score.failed for score in work.scores.values()})
    order = [*opened, *choice.ranked, use_case.training.baseline, *work.scores]
    scores = [work.scores[name] for name in dict.fromkeys(order)]
    return Judged(scores, choice, {name: work.tested[name] for name in opened if name in work.tested})


class _Evaluation:
    """One evaluation: what was asked so far, and what came of it."""

    def __init__(self, use_case: UseCase, data: TrainingSet, log: Callable[[str], None]) -> None:
        self.use_case, self.data, self.log = use_case, data, log
        self.rows = data.load()
        found = rounds(data.origins, self.rows, use_case.training)
        self.choosing = [one for one in found if one.part == CHOOSES]
        self.testing = [one for one in found if one.part == TESTS]
        self.groups = groups_of(self.rows["_account"], self.rows[CONTENT])
        self.scores: dict[str, Score] = {}
        self.chose: dict[str, list[Asked]] = {}
        self.tested: dict[str, list[Asked]] = {}

    def validate(self, fitted: Fitted) -> None:
        """Ask a candidate of the rounds that choose."""
        if fitted.failed:
            self.scores[fitted.name] = Score(fitted.name, {}, (), 0.0, failed=fitted.failed)
            return
        try:
            self.scores[fitted.name] = self._validated(fitted)
        except MlopsError:  # a metric of the use case's own is wrong, whatever the candidate
            raise
        except Exception as error:  # a class of anybody's may fail in any way on these rows
            self.scores[fitted.name] = Score(fitted.name, {}, (), 0.0, failed=in_short(error))

    def _validated(self, fitted: Fitted) -> Score:
        training, name = self.use_case.training, fitted.name
        asked = ask_rounds(self.use_case, self.data, name, self._chosen(fitted), self.rows, self.choosing)
        self.chose[name] = asked
        folds = tuple(self._figure(one.own) for one in asked)
        said = pooled(asked)
        found = figures(training, self.data.classes, said) if said else {}
        model = load_candidate(self.use_case, fitted)
        held_out = self.rows.filter(self.rows["_held_out"])
        pipeline = unfitted(self.use_case, self._chosen(fitted), self.data)
        untold = unweighted(pipeline) if training.halves_in else ()
        fast = round(speed(model, model.matrix(held_out)))
        return Score(name, {}, folds, fast, validation=found, unweighted=untold)

    def choose(self, champion: Recipe) -> Choice:
        """Which candidate is chosen by what all said."""
        said = {
            name: together
            for name, asked in self.chose.items()
            if name != self.use_case.training.baseline and not self.scores[name].failed and (together := pooled(asked))
        }
        validation = {name: self.scores[name].validation for name in said}
        return choose_candidate(self.use_case.training.metric, said, validation, self.groups, self._figure, champion)

    def test(self, fitted: Fitted) -> None:
        """Ask a candidate of the rounds that test."""
        name = fitted.name
        try:
            self.scores[name] = self._tested(fitted)
        except MlopsError:
            raise
        except Exception as error:  # as above
            self.scores[name] = replace(self.scores[name], failed=in_short(error))

    def _tested(self, fitted: Fitted) -> Score:
        training, name, classes = self.use_case.training, fitted.name, self.data.classes
        model, chosen = load_candidate(self.use_case, fitted), self._chosen(fitted)
        known = {self.testing[0].name: model}  # it was fitted for the first of them
        asked = ask_rounds(self.use_case, self.data, name, chosen, self.rows, self.testing, known)
        said = pooled(asked)
        assert said is not None, "the first round has a model"  # noqa: S101 - it was loaded
        calibration = calibration_of(training, model, self.chose[name], asked, said)
        true = replace(model, calibrator=calibration.judged)
        asked = [_calibrated(true, one) for one in asked]
        self.tested[name] = asked
        said = pooled(asked)
        assert said is not None, "as above"  # noqa: S101
        own, predicted = load_metrics(training), decided(training, said.probabilities)
        found = score_answers(name, classes, said.truth, said.probabilities, predicted, own)
        baseline = name == training.baseline
        more = Tested() if baseline else self._told(said, asked)
        if not baseline:
            more = replace(more, seeds=self._seeds(chosen))
        return replace(
            self.scores[name],
            metrics=found.metrics,
            classes=found.classes,
            confusion=found.confusion,
            calibration=found.calibration,
            calibrated=calibration,
            tested=more,
        )

    def _told(self, said: Said, asked: Sequence[Asked]) -> Tested:
        """What is known of the figures on the rows that test."""
        base = self.tested.get(self.use_case.training.baseline, [])
        return replace(
            self.bounds(said),
            rounds=tuple(by_round(asked, base, self.rows, self._figure)),
            ages=tuple(by_age(asked, base, self.rows, self._figure)),
            unseen=of_unseen_accounts(asked, self.rows, self._figure),
        )

    def bounds(self, said: Said) -> Tested:
        """The bounds of the metrics that decide something."""
        return Tested({name: self._interval(said, name) for name in deciding_metrics(self.use_case.training)})

    def _interval(self, said: Said, metric: str) -> Interval:
        found = interval(lambda places: self._figure(said.some(places), metric), self.groups[said.rows])
        return found.within(*POSSIBLE[metric]) if metric in POSSIBLE else found

    def _seeds(self, candidate: Candidate) -> tuple[float, ...]:
        """The metric of the same candidate from other seeds, of all rounds that test."""
        if not seeds_of(unfitted(self.use_case, candidate, self.data)):
            return ()
        began, found = time.process_time(), list[float]()
        for seed in SEEDS:
            if time.process_time() - began > LONGEST_SEEDS:
                break
            parts = [self._from_seed(candidate, one, seed) for one in self.testing]
            found.append(round(self._figure(joined(parts)), 4))
        return tuple(found)

    def _from_seed(self, candidate: Candidate, one: Round, seed: int) -> Said:
        model = fit(self.use_case, candidate, self.data, self.rows.take(pa.array(one.learned)), seed)
        return ask_for(model, self.rows.take(pa.array(one.tested)))

    def _chosen(self, fitted: Fitted) -> Candidate:
        what = f"{self.use_case.name}: the stored training"
        return as_fitted(self.use_case, fitted.name, fitted.parameters, what)

    def _figure(self, said: Said | None, metric: str | None = None) -> float:
        """A metric of what a model says, by default the one that ranks; NaN where it has no value."""
        training = self.use_case.training
        name = metric or training.metric
        if said is None or not len(said.truth):
            return float("nan")
        return figures(training, self.data.classes, said, name).get(name, float("nan"))


def _calibrated(model: Model, asked: Asked) -> Asked:
    """What is said of a round, as true probabilities."""

    def true(said: Said | None) -> Said | None:
        return said and replace(said, probabilities=model.calibrated(said.probabilities))

    return Asked(asked.round, tuple(true(said) for said in asked.said), true(asked.fresh))


def judge_elsewhere(use_case: UseCase, data: TrainingSet, model: Model, name: str) -> tuple[Score, list[Asked]]:
    """Test a model that was made elsewhere, on the rows that test the candidates.

    Parameters
    ----------
    use_case
        The use case.
    data
        Its newest training set.
    model
        The model.
    name
        What it is called.
    """
    rows = data.load()
    testing = [one for one in rounds(data.origins, rows, use_case.training) if one.part == TESTS]
    asked = [
        Asked(one, (replace(ask_for(model, rows.take(pa.array(one.tested))), rows=one.tested),)) for one in testing
    ]
    said, own = pooled(asked), load_metrics(use_case.training)
    assert said is not None, "a model says something"  # noqa: S101 - it was asked
    work = _Evaluation(use_case, data, lambda _: None)
    scored = score(model, rows.filter(rows["_held_out"]), name, own=own)
    return replace(scored, tested=work.bounds(said)), asked


def load_candidate(use_case: UseCase, candidate: Fitted, score: Score | None = None) -> Model:
    """The model of a candidate that was fitted; with its score, as it was scored, which is calibrated."""
    model = Model.load(parse_place(candidate.folder), candidate.sha256, use_case.training.trusted)
    return replace(model, calibrator=score.calibrated.judged) if score and score.calibrated else model
