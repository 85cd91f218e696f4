"""In: the history of the champion and the publications of days. Out: what is to be scored again, and what to put back.

No list of work is kept beside them. A change of the champion says which days it has scored again; a publication says by
which change it was made; a rollback takes a change back. Whoever was killed finds by that what is left to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

from mlops_assets.journey.deliver.contents import publication_of
from mlops_assets.journey.explain.retro.records import DayRecord, Decision, read_day, read_days, read_decision
from mlops_assets.journey.explain.span import DayFlows, Publication, Span
from mlops_assets.journey.model.history import Change, change_of, undone
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase

Work = Literal["waits", "held", "failed", "scored", "current", "taken back"]


@dataclass(frozen=True)
class DayStanding:
    """How a day stands after a change of the champion.

    Attributes
    ----------
    state
        `waits` to be scored; `held`: scored, and not published before all were compared; `failed`; `scored` by the
        change; `current`: published by its version anyway; `taken back` by a rollback.
    read
        Reads what is kept of it; of hundreds of days nobody asks for most of these.
    """

    state: Work
    read: Callable[[], DayRecord | None] = lambda: None

    @cached_property
    def record(self) -> DayRecord | None:
        """What is kept of it, if that is still true."""
        return self.read()


@dataclass(frozen=True)
class Standing:
    """How scoring again after one change of the champion stands.

    Attributes
    ----------
    change
        The change.
    state
        `open`: the change is the newest; `over`: another came after it; `taken back` by a rollback.
    days
        Its days that are published, in order.
    decision
        What was decided of held days.
    """

    change: Change
    state: Literal["open", "over", "taken back"]
    days: dict[str, DayStanding]
    decision: Decision | None

    def having(self, *states: Work) -> list[str]:
        """The days in some states, the newest first: what people look at most is done first."""
        return [day for day, one in reversed(self.days.items()) if one.state in states]

    def span(self, use_case: UseCase) -> Span:
        """What differs on the days that were scored again."""
        records = {day: one.record for day, one in self.days.items()}
        compared = [
            DayFlows(day, record.before, record.after, record.flows)
            for day, record in records.items()
            if record is not None and record.state in ("scored", "held")
        ]
        failed = {day: one.why for day, one in records.items() if one is not None and one.state == "failed"}
        return Span(use_case.name, tuple(compared), use_case.value is not None, failed)


def standing_of(lake: Lake, changes: Sequence[Change], number: int) -> Standing:
    """How scoring again after a change stands.

    Parameters
    ----------
    lake
        The tables and documents of the use case.
    changes
        The history of the champion.
    number
        Of the change; it may have no day.
    """
    change = changes[number - 1]
    gone = {one.number for one in undone(changes)[1]}
    state: Literal["open", "over", "taken back"] = "open" if change is changes[-1] else "over"
    if number in gone:
        state = "taken back"
    first, _, last = read_days(lake, change).partition("/")
    every = lake.predictions.publications()
    folder = lake.retro_score(number, "days").parent
    kept = {place.name for place in folder.iterdir()} if folder.exists() else set[str]()

    def reader(day: str) -> Callable[[], DayRecord | None]:
        there = lake.retro_score(number, f"day={day}").name in kept
        return partial(read_day, lake, number, day) if there else lambda: None

    days = {day: _stands(change, every[day][-1], reader(day)) for day in every if first <= day <= last}
    return Standing(change, state, days, read_decision(lake, number))


def _stands(change: Change, newest: Publication, read: Callable[[], DayRecord | None]) -> DayStanding:
    if change_of(newest.accounting.model_choice) == change.number:
        return DayStanding("scored", read)
    record = read()

    def known() -> DayRecord | None:
        return record

    if record is not None and record.state == "scored":
        # what it was compared with is published again
        return DayStanding("taken back" if newest.accounting.restored_from is not None else "current", known)
    if newest.accounting.model_version == change.version:
        return DayStanding("current")
    # what is known of another publication is not known of this one
    if record is not None and record.publication == publication_of(newest) and record.state in ("held", "failed"):
        return DayStanding("held" if record.state == "held" else "failed", known)
    return DayStanding("waits")


def still_by(lake: Lake, change: Change) -> list[str]:
    """The published days that stand as the version that a rollback took back has them, in order.

    They came while it was champion, or were run again then: such a run has read other files, or other SQL, than what
    was published before, so that there is nothing that a rollback could put back. Those that were run by that version
    because somebody named it are none of them.

    Parameters
    ----------
    lake
        The tables and documents of the use case.
    change
        The rollback; of any other change there are none.
    """
    if change.action != "rollback":
        return []
    every = {day: published.accounting for day, published in lake.predictions.days().items()}
    return sorted(
        day
        for day, told in every.items()
        if told.model_version == change.before != change.version and told.model_choice in ("", "current")
    )


def original(publications: Sequence[Publication], index: int) -> int:
    """The publication that one is the same as, if it was restored; by their places in the list."""
    places = {one.version: place for place, one in enumerate(publications)}
    while (from_version := publications[index].accounting.restored_from) in places:
        assert from_version is not None, "None is no version"  # noqa: S101 - for the type checker
        index = places[from_version]
    return index


def without(publications: Sequence[Publication], gone: set[int]) -> Publication | None:
    """What a day would look like had some changes of the champion not scored it again; None if it always did so.

    Parameters
    ----------
    publications
        Of the day, the oldest first.
    gone
        The numbers of the changes.
    """
    index = len(publications) - 1
    while index >= 0 and change_of(publications[index].accounting.model_choice) in gone:
        index = original(publications, index) - 1
    return publications[index] if index >= 0 else None


def to_put_back(lake: Lake, changes: Sequence[Change], *, again: bool = False) -> dict[str, tuple[int, Publication]]:
    """The days that stand as a change made them that was taken back: by day that change, and what is put back.

    Parameters
    ----------
    lake, changes
        As in `standing_of`.
    again
        Whether days that could not be put back are among them.
    """
    gone = {change.number for change in undone(changes)[1]}
    found: dict[str, tuple[int, Publication]] = {}
    for day, publications in lake.predictions.publications().items() if gone else ():
        number = change_of(publications[-1].accounting.model_choice)
        if number is None or number not in gone:
            continue
        record, before = read_day(lake, number, day), without(publications, gone)
        if before is not None and (again or record is None or record.state != "lost"):
            found[day] = number, before
    return found
