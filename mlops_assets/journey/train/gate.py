"""In: the figures of candidates, and the champion beside them. Out: the verdict of the gate, with its reasons.

A candidate is looked at on the rows that choose; one that fails there does not keep out the next best. Of the rows that
test only the chosen one is asked, and what it fails there is a refusal: nobody is chosen by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from mlops_assets.journey.model.about import Condition
from mlops_assets.journey.train.choice import Choice
from mlops_assets.journey.train.contest import Contest
from mlops_assets.journey.train.metrics import higher_is_better, shown
from mlops_assets.journey.train.scores import Score
from mlops_assets.use_case import Gate, Scale, Training

CHOSE = ", on rows that choose"
"""How the name of a condition ends that is looked at before the test."""


@dataclass(frozen=True)
class Verdict:
    """What the gate decided.

    Attributes
    ----------
    winner
        The candidate that may become champion, or None.
    conditions
        The conditions of every candidate that was looked at, the best ranked first.
    reason
        One sentence for people.
    waits
        Why a person must decide about the winner, though it meets all conditions that could be looked at; empty if none
        need.
    baseline
        Metrics of the baseline on the same rows that test.
    """

    winner: str | None
    conditions: dict[str, tuple[Condition, ...]]
    reason: str
    waits: str = ""
    baseline: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what a training wrote of it."""
        conditions = {
            name: tuple(Condition(**condition) for condition in some) for name, some in written["conditions"].items()
        }
        return cls(
            written["winner"], conditions, written["reason"], written.get("waits", ""), written.get("baseline", {})
        )


def may_be_tested(
    training: Training, scale: Scale, scores: Sequence[Score], choice: Choice
) -> dict[str, list[Condition]]:
    """The candidates in their order, each with its conditions on the rows that choose, up to the first that meets all.

    Parameters
    ----------
    training
        The gate's conditions, and the name of the baseline.
    scale
        The planned volume and its deadline.
    scores
        All candidates.
    choice
        Their order.
    """
    by_name, looked_at = {score.name: score for score in scores}, dict[str, list[Condition]]()
    base = by_name[training.baseline]
    for name in choice.ranked:
        one = by_name[name]
        # a model from elsewhere was not asked of the rows that choose: it may have learned them
        figures = _figures(training.gate, one.validation, base.validation, CHOSE) if one.validation else ()
        conditions = [*figures, *_speed(training, scale, one)]
        looked_at[name] = conditions
        if not _refused(conditions):
            break
    return looked_at


def to_be_tested(looked_at: Mapping[str, Sequence[Condition]]) -> str | None:
    """The candidate that is asked of the rows that test: the one that meets all before; where none does, the best.

    Parameters
    ----------
    looked_at
        See `may_be_tested`.
    """
    able = (name for name, conditions in looked_at.items() if not _refused(conditions))
    return next(able, next(iter(looked_at), None))


def decide(
    training: Training,
    scale: Scale,
    scores: Sequence[Score],
    choice: Choice,
    contest: Contest | None,
    *,
    elsewhere: bool = False,
) -> Verdict:
    """Ask the gate: the candidate that was chosen wins, if it meets every condition on the rows that test as well.

    Parameters
    ----------
    training
        Has the gate's conditions, the metric that ranks, and the name of the baseline, which never wins itself.
    scale
        The planned volume and its deadline.
    scores
        All candidates; the chosen one and the baseline have figures on the rows that test.
    choice
        Their order.
    contest
        The chosen one beside the present champion, on rows that neither has learned, if there is one.
    elsewhere
        Whether the chosen one was made elsewhere: then nobody ranked it beside the champion's recipe before.
    """
    by_name = {score.name: score for score in scores}
    others = [score for score in scores if score.name != training.baseline]
    before = may_be_tested(training, scale, scores, choice)
    looked_at = {name: tuple(conditions) for name, conditions in before.items()}
    failed = [f"{score.name} fails ({score.failed})" for score in others if score.failed]
    looked_at |= {score.name: (_failure(score),) for score in others if score.failed}
    base = by_name[training.baseline].metrics
    better = [
        f"better, but refused: {name} with {_shown(by_name[name].validation, training.metric)} fails {refused}"
        for name, conditions in before.items()
        if (refused := _refused(conditions))
    ]
    chosen = to_be_tested(before)
    if chosen is None:
        return Verdict(
            None, looked_at, "; ".join(["refused: there is no candidate beside the baseline", *failed]), "", base
        )
    if _refused(before[chosen]):
        said = f"refused: the best candidate, {chosen}, fails {_refused(before[chosen])}"
        return Verdict(None, looked_at, "; ".join([said, *failed]), "", base)
    mine = by_name[chosen]
    refresh = chosen == choice.kept
    tested = [
        *_figures(training.gate, mine.metrics, base),
        *(() if refresh else _beside_champion(training.gate, chosen, contest)),
    ]
    looked_at[chosen] = (*tested, *before[chosen])
    waits = _waits(training.gate, contest, choice)
    if elsewhere and not waits:
        waits = _waits_elsewhere(training, chosen, contest)
    words = [*_beside(training.metric, chosen, contest, choice, waits), *better, *failed]
    if refused := _refused(tested):
        said = f"refused: the best candidate, {chosen}, fails {refused}"
        return Verdict(None, looked_at, "; ".join([said, *words]), "", base)
    figures = f"{training.metric} {_with_bounds(mine, training.metric)}, baseline {_shown(base, training.metric)}"
    said = f"{chosen} passes{' all else' if waits else ''}: {figures}"
    return Verdict(
        chosen, looked_at, "; ".join([said, *_chosen(chosen, choice), *words, *filter(None, [waits])]), waits, base
    )


def _with_bounds(score: Score, metric: str) -> str:
    found = score.tested.intervals.get(metric) if score.tested else None
    return str(found) if found is not None and np.isfinite(found.low) else _shown(score.metrics, metric)


def _chosen(name: str, choice: Choice) -> Iterator[str]:
    if choice.why and name == choice.ranked[0]:
        yield choice.why


def _failure(score: Score) -> Condition:
    return Condition("can be fitted and asked", "no error", score.failed, passed=False)


def _refused(conditions: Sequence[Condition]) -> str:
    """The conditions that do not hold, in words; empty if all do."""
    return ", ".join(f"{c.name}: found {c.found}, asked {c.asked}" for c in conditions if not c.passed)


def _waits(gate: Gate, contest: Contest | None, choice: Choice) -> str:
    """Why a person must decide: what the gate asks beside the champion could not be looked at."""
    if contest is None or not contest.problem or contest.lost or not gate.tolerance or choice.kept:
        return ""  # where the champion's recipe is among the candidates, both were compared on the rows that choose
    return _not_compared(contest)


def _not_compared(contest: Contest) -> str:
    return f"it could not be compared with champion {contest.version}: {contest.problem}"


def _waits_elsewhere(training: Training, name: str, contest: Contest | None) -> str:
    """Why a person must decide about a model from elsewhere: it is not known to be as good as the champion."""
    if contest is None or contest.lost:
        return ""
    if contest.problem:
        return _not_compared(contest)
    gap = contest.differences.get(name, {}).get(training.metric)
    if gap is None or gap.holds_zero or (gap.value > 0) is higher_is_better(training.metric):
        return ""
    return f"champion {contest.version} is better in {training.metric} by more than noise"


def _beside(metric: str, name: str, contest: Contest | None, choice: Choice, waits: str) -> Iterator[str]:
    """How the chosen one does beside the champion that it replaces, in words."""
    if name == choice.kept:
        yield f"the recipe is that of champion {choice.champion}"
    if contest is None:
        return
    if contest.problem:
        if not waits:
            yield f"it was not compared with champion {contest.version}: {contest.problem}"
        return
    mine, theirs = contest.candidates[name], contest.champion
    values = f"{_shown(mine, metric)}, champion {contest.version} {_shown(theirs, metric)}"
    gap = contest.differences.get(name, {}).get(metric)
    if gap is not None and np.isfinite(gap.low):
        values += f", difference {gap}" + (": no more than noise" if gap.holds_zero else "")
    lacking = f", of which none is {' or '.join(contest.unjudged)}" if contest.unjudged else ""
    yield f"on {contest.rows:,} rows that neither has learned{lacking}: {values}"


def _shown(metrics: Mapping[str, float], metric: str) -> str:
    return shown(metrics[metric]) if metric in metrics else "without a value"


def _figures(gate: Gate, mine: Mapping[str, float], base: Mapping[str, float], where: str = "") -> Iterator[Condition]:
    """Floors, and the margin over the baseline on the same rows."""
    for name, least in gate.floors.items():
        yield _compare(f"floor of {name}{where}", mine, name, least)
    for name, margin in gate.margin.items():
        yield _compare(f"baseline and margin in {name}{where}", mine, name, _of(base, name) + _better_by(margin, name))


def _beside_champion(gate: Gate, name: str, contest: Contest | None) -> Iterator[Condition]:
    """What it may lose against the champion, on the same rows."""
    if contest is None or contest.problem:
        return
    where = f"on {contest.rows:,} rows that neither has learned"
    for metric, loss in gate.tolerance.items():
        bound = _of(contest.champion, metric) - _better_by(loss, metric)
        what = f"champion {contest.version} less tolerance in {metric} {where}"
        yield _compare(what, contest.candidates[name], metric, bound)


def _speed(training: Training, scale: Scale, candidate: Score) -> Iterator[Condition]:
    """Whether it is as fast as is asked for, and the model alone makes the planned day in time."""
    least = training.gate.rows_per_second
    if least:
        passed = candidate.rows_per_second >= least
        found = f"{candidate.rows_per_second:,.0f}"
        yield Condition("rows a CPU second of one core", f"at least {least:,.0f}", found, passed)
    # reading and features come on top
    minutes = scale.rows_a_day / max(1e-9, candidate.rows_per_second * scale.workers) / 60
    found = f"{minutes:.1f} at {candidate.rows_per_second:,.0f} rows a CPU second"
    what = f"minutes to score {scale.rows_a_day:,} rows on {scale.workers} cores"
    yield Condition(what, f"at most {scale.minutes:g}", found, minutes <= scale.minutes)


def _better_by(amount: float, metric: str) -> float:
    """An improvement of a metric by an amount, as what is added to its value."""
    return amount if higher_is_better(metric) else -amount


def _compare(what: str, metrics: Mapping[str, float], metric: str, bound: float) -> Condition:
    value = _of(metrics, metric)
    up = higher_is_better(metric)
    passed = bool(value >= bound if up else value <= bound)  # NaN passes nothing
    return Condition(what, f"at {'least' if up else 'most'} {shown(bound)}", shown(value), passed)


def _of(metrics: Mapping[str, float], metric: str) -> float:
    return metrics.get(metric, float("nan"))
