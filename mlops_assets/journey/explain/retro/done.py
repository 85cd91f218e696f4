"""What came of scoring days again or putting them back: for a listener day by day, and in sentences."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from mlops_assets.errors import MlopsError
from mlops_assets.journey.explain.retro.records import DayRecord
from mlops_assets.journey.explain.retro.standing import Standing
from mlops_assets.journey.explain.span import Publication
from mlops_assets.journey.score.day import ScoredDay


class Superseded(MlopsError):
    """The champion was changed while a day was being scored again; nothing of the day was published."""


class GaveWay(MlopsError):
    """Other work came while a day was being scored again; its finished shards are kept."""


class Listener:
    """Is told of each day as it is done; by itself it says nothing."""

    def scored(self, day: str, record: DayRecord, done: ScoredDay) -> None:
        """A day was published as the new champion has it."""

    def put_back(self, day: str, publication: Publication) -> None:
        """A day was published again as it was before."""

    def delivered(self, day: str, target: str, rows: int) -> None:
        """A day was brought to a target."""


@dataclass
class Done:
    """What came of it.

    Attributes
    ----------
    put_back
        Days that are published again as they were before.
    scored
        Days that were published as the new champion has them.
    lost, failed, undelivered
        By day, why it could not be put back, scored, or brought to a target.
    stale
        By target, days of which it has what was taken back.
    standing
        How the newest change stands, if it has days scored again.
    gave_way
        Whether it ended early, for other work comes first.
    left, left_by
        After a rollback, the days that came or were run while the version of before was champion, and that version:
        they stay as they are.
    """

    put_back: list[str] = field(default_factory=list)
    scored: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    undelivered: dict[str, str] = field(default_factory=dict)
    stale: dict[str, list[str]] = field(default_factory=dict)
    standing: Standing | None = None
    gave_way: bool = False
    left: list[str] = field(default_factory=list)
    left_by: int | None = None

    @property
    def problems(self) -> dict[str, str]:
        """What went wrong, by day."""
        return {**self.undelivered, **self.failed, **self.lost}


def ways(use_case: str) -> str:
    """What a person may do where what was published stays."""
    return (
        f'`mlops-assets retro-score {use_case} --publish "WHY"` publishes the days nevertheless; `mlops-assets '
        f"rollback {use_case} --why ...` takes the promotion back."
    )


def say(done: Done, use_case: str) -> Iterator[str]:
    """What came of it, in sentences.

    Parameters
    ----------
    done
        What did.
    use_case
        Its name.
    """
    if done.put_back:
        yield f"{len(done.put_back)} days are published again as they were: {_few(done.put_back)}."
    for target, days in done.stale.items():
        span = f"--from {min(days)} --to {max(days)}"
        yield (
            f"The target {target} still has {len(days)} of them as they were scored again; `mlops-assets deliver "
            f"{use_case} {span} --target {target}` brings what is published now."
        )
    if done.scored:
        yield f"{len(done.scored)} days were scored again and published: {_few(done.scored)}."
    for day, why in sorted(done.problems.items()):
        yield f"{day}: {why}"
    if done.left:
        span = f"--from {min(done.left)} --to {max(done.left)}"
        yield (
            f"{len(done.left)} days stay as version {done.left_by} has them, for they came or were run while it was "
            f"champion: {_few(done.left)}. `mlops-assets run {use_case} {span}` scores them by the champion."
        )
    if done.gave_way:
        yield "Other work comes first; the rest is done later."


def _few(days: Collection[str]) -> str:
    return f"{min(days)} to {max(days)}" if len(days) > 1 else str(*days)
