"""In: what a source lists, a little at each look. Out: which days hold other files than the lake, and have settled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_assets.errors import MlopsError
from mlops_assets.journey.read.listing import Content
from mlops_assets.journey.read.sources import Source
from mlops_assets.storage.accounting import ListingAccounting
from mlops_assets.storage.tables import Table
from mlops_assets.use_case import Sensor

NOTHING = Content().mark
"""The fingerprint of a day without files."""

NEVER = -1
"""The version of a day that the lake does not know."""


MOST_TOLD = 20
"""Days that a summary tells of one by one."""


class ArrivalError(MlopsError):
    """It cannot be told what arrived."""


@dataclass(frozen=True)
class Known:
    """A day as it was last listed into the lake.

    Attributes
    ----------
    version
        Version of the table `raw_files` that has it, or `NEVER`.
    content
        Fingerprint of its files; empty where it is of a time before there were any.
    files
        Number of its files.
    """

    version: int = NEVER
    content: str = NOTHING
    files: int = 0


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Look(_Frozen):
    """A day as it was last listed from its first file to its last one; times are seconds since 1970.

    Attributes
    ----------
    content, files
        What lay there.
    first
        When the first listing that found exactly this was over.
    began
        When the last listing that found it began; between the two, nothing changed.
    version
        The version of the day that the lake had then.
    """

    content: str
    files: int
    first: float
    began: float
    version: int


class Begun(_Frozen):
    """A listing that was interrupted: where it goes on, and what was found so far."""

    day: str
    began: float
    version: int
    after: str = ""
    content: str = ""
    files: int = 0


class State(_Frozen):
    """What one look hands on to the next one: the cursor of the sensor.

    Attributes
    ----------
    place
        What was looked at; elsewhere everything begins anew.
    looks
        The days that were listed.
    begun
        The listing that was interrupted.
    """

    form: Literal[1] = 1
    place: str
    looks: dict[str, Look] = {}
    begun: Begun | None = None

    @classmethod
    def read(cls, cursor: str | None, place: str) -> State:
        """The state that a cursor holds; a new one if it holds none, or one of another place."""
        try:
            state = cls.model_validate_json(cursor or "")
            Content(state.begun.content if state.begun else "")
        except (ValidationError, ValueError):
            # a cursor of another form begins anew: at worst, all days are listed once more
            return cls(place=place)
        return state if state.place == place else cls(place=place)


class Verdict(Enum):
    """What is to be said of a day."""

    ABSENT = "absent"
    UNMARKED = "unmarked"
    UNLISTED = "unlisted"
    LISTING = "listing"
    SETTLING = "settling"
    CHANGED = "changed"
    HELD = "held"
    SAME = "same"


@dataclass(frozen=True)
class Finding:
    """What is known of a day.

    Attributes
    ----------
    day
        The day.
    verdict
        `CHANGED`: it has settled, and the lake does not have it so. `HELD`: a run or a person must act first.
    said
        The same for people.
    key
        Names the change that is to be made: what is in the lake, and what lies there.
    """

    day: str
    verdict: Verdict
    said: str
    key: str = ""


def known_days(table: Table[ListingAccounting]) -> dict[str, Known]:
    """The days of the table `raw_files`; no manifest is read for it."""
    return {
        day: Known(published.version, published.accounting.content, published.accounting.files)
        for day, published in table.days().items()
    }


class Lookout:
    """Looks at the days of a window, for some seconds at a time.

    Parameters
    ----------
    source
        Where the files arrive.
    asked
        When a day is taken for whole, and how often it is listed.
    window
        The days to look at.
    state
        What the look before handed on.
    now
        The clock, in seconds since 1970.
    """

    def __init__(
        self,
        source: Source,
        asked: Sensor,
        window: Sequence[str],
        state: State,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.source = source
        self.asked = asked
        self.window = window
        self.now = now
        self.place = state.place
        # a look of the future is of a clock that was wrong
        self.looks = {day: look for day, look in state.looks.items() if day in window and look.began <= now()}
        self.begun = state.begun if state.begun and state.begun.day in window else None
        self.delivered: set[str] = set()
        self.unmarked: set[str] = set()

    @property
    def state(self) -> State:
        """What the next look needs."""
        return State(place=self.place, looks=self.looks, begun=self.begun)

    def look(self, lake: Mapping[str, Known]) -> None:
        """List what is due, until the time is over.

        Parameters
        ----------
        lake
            The days that the lake knows.

        Raises
        ------
        ArrivalError
            If everything vanished at once, or a day is too large for a source that cannot go on with a listing.
        """
        deadline = self.now() + self.asked.budget_seconds
        self._see_what_was_delivered(lake)
        for day in self._due(lake):
            if self.asked.marker and not self.source.has(day, self.asked.marker):
                self.unmarked.add(day)
                self._forget(day)  # so that it is listed as soon as the mark is there
            else:
                self._list(day, lake.get(day, Known()).version, deadline)
            # a listing that was interrupted has used the time up: the next look goes on with it before all others
            if self.begun is not None or self.now() >= deadline:
                return

    def _see_what_was_delivered(self, lake: Mapping[str, Known]) -> None:
        self.delivered = set(self.source.days())
        # a mount that is gone looks like a place where everything was deleted, which nobody would want to be published
        if not self.delivered and any(known.files for known in lake.values()):
            raise ArrivalError(
                f"There is nothing at all like {self.source.place('YYYY-MM-DD')}, though {len(lake)} days were listed "
                "there before. Is the place mounted, and is MLOPS_RAW right? Nothing is asked for until it is back."
            )
        for day in self.window:
            if day not in self.delivered and day not in lake:
                self._forget(day)

    def findings(self, lake: Mapping[str, Known]) -> list[Finding]:
        """What is known of each day of the window, in order.

        Parameters
        ----------
        lake
            The days that the lake knows now.
        """
        return [self._finding(day, lake.get(day, Known())) for day in self.window]

    def _due(self, lake: Mapping[str, Known]) -> list[str]:
        """The days to be listed: first the one that was begun, then those that waited longest, then newer ones."""
        due = [day for day in self.window if self._is_due(day, lake.get(day, Known()))]
        waited = {day: look.began for day, look in self.looks.items()}
        due.sort(reverse=True)
        # Python's sort keeps the order of equals: newer days come first among those that have waited equally long
        due.sort(key=lambda day: (not self._is_begun(day), waited.get(day, 0.0)))
        return due

    def _is_due(self, day: str, known: Known) -> bool:
        if day not in self.delivered and known.version == NEVER:
            return False
        look = self.looks.get(day)
        if look is None or self._is_begun(day) or self._is_outdated(look, known):
            return True
        # what differs is looked at again as soon as it can have settled, what is as in the lake more seldom
        if look.content != known.content and not self._has_settled(look, known):
            return self.now() >= look.first + 60 * self.asked.settle_minutes
        return self.now() >= look.began + 60 * self.asked.relist_minutes

    def _is_outdated(self, look: Look, known: Known) -> bool:
        """Whether a run has listed the day since and found something else: which of the two is newer is not known."""
        return look.version != known.version and look.content != known.content

    def _has_settled(self, look: Look, known: Known) -> bool:
        # the mark says that a new day is whole
        if self.asked.settle_minutes == 0 or (self.asked.marker and known.version == NEVER):
            return True
        # not by modification times: a copy may keep those of its original, and the clock of a store may be wrong
        return look.began >= look.first + 60 * self.asked.settle_minutes

    def _forget(self, day: str) -> None:
        self.looks.pop(day, None)
        if self._is_begun(day):
            self.begun = None

    def _is_begun(self, day: str) -> bool:
        """Whether the listing of a day was interrupted, and is to go on."""
        return self.begun is not None and self.begun.day == day

    def _list(self, day: str, version: int, deadline: float) -> None:
        """List a day to its end, or as far as the time goes."""
        fresh = Begun(day=day, began=self.now(), version=version)
        begun = self.begun if self.begun and self.begun.day == day else fresh
        try:
            whole, listing = self._go_on(begun, deadline)
        except NotImplementedError:  # it cannot begin in the middle
            whole, listing = self._go_on(fresh, deadline)
            if not whole:
                raise ArrivalError(
                    f"{self.source.place(day)}: {listing.files:,} files were listed in "
                    f"{self.asked.budget_seconds:g} s, which were not all, and this source cannot go on with a "
                    "listing. Let its `list` take `after`, or run the days by the schedule instead of the sensor."
                ) from None
        self.begun = None if whole else listing
        if whole:
            self._remember(day, listing)

    def _remember(self, day: str, listing: Begun) -> None:
        """Keep what lies there; a day that did not change keeps the time at which it was first seen so."""
        before = self.looks.get(day)
        first = before.first if before and before.content == listing.content else self.now()
        self.looks[day] = Look(
            content=listing.content, files=listing.files, first=first, began=listing.began, version=listing.version
        )

    def _go_on(self, begun: Begun, deadline: float) -> tuple[bool, Begun]:
        """Whether the listing came to its end, and what was found so far; at least one path is listed."""
        content, files, last = Content(begun.content), begun.files, ""
        whole = True
        for entry in self.source.list(begun.day, begun.after):
            # entries of one name must not be torn apart: the listing goes on behind the name
            if last and entry.path != last and self.now() >= deadline:
                whole = False
                break
            content.add(entry)
            files, last = files + 1, entry.path
        return whole, begun.model_copy(update={"after": last, "content": content.mark, "files": files})

    def _finding(self, day: str, known: Known) -> Finding:
        look = self.looks.get(day)
        if day not in self.delivered and known.version == NEVER:
            return Finding(day, Verdict.ABSENT, "nothing there yet")
        if day in self.unmarked:
            return Finding(day, Verdict.UNMARKED, f"waits for {self.asked.marker}")
        if self.begun and self.begun.day == day:
            return Finding(day, Verdict.LISTING, f"{_files(self.begun.files)} so far, listing goes on")
        if look is None or self._is_outdated(look, known):
            return Finding(day, Verdict.UNLISTED, "waits to be listed")
        return self._finding_of_listed(day, look, known)

    def _finding_of_listed(self, day: str, look: Look, known: Known) -> Finding:
        if look.content == known.content and known.version != NEVER:
            return Finding(day, Verdict.SAME, f"{_files(look.files)}, listed as they lie there")
        # an empty folder is no delivery, unless a mark says that it is one
        if not look.files and known.version == NEVER and not self.asked.marker:
            return Finding(day, Verdict.ABSENT, "a folder without files")
        if not self._has_settled(look, known):
            minutes = (self.now() - look.first) / 60
            message = f"{_change(look, known)}; settling, last change seen {minutes:.0f} min ago"
            return Finding(day, Verdict.SETTLING, message)
        # Dagster makes one run of a key, ever: it names the step from the listed version to what lies there, so that a
        # day that changes and changes back is run twice, and one whose run failed is not run in a loop
        return Finding(day, Verdict.CHANGED, _change(look, known), f"{day}-{known.version}-{look.content}")


def _change(look: Look, known: Known) -> str:
    """What is other than in the lake, as far as numbers tell."""
    if known.version == NEVER:
        return f"new day with {_files(look.files)}"
    if not known.content:
        return f"{_files(look.files)}; the listing before them has no fingerprint yet"
    more = look.files - known.files
    if not more:
        return f"{_files(look.files)}, some other than those listed before"
    return f"{_files(look.files)}, {abs(more):,} {'more' if more > 0 else 'fewer'} than listed before"


def _files(number: int) -> str:
    return f"{number:,} {'file' if number == 1 else 'files'}"


def summary(findings: Iterable[Finding]) -> str:
    """All findings in one text; days of which nothing is to be said are counted."""
    present = [finding for finding in findings if finding.verdict is not Verdict.ABSENT]
    news = [f"{finding.day}: {finding.said}" for finding in present if finding.verdict is not Verdict.SAME]
    same = len(present) - len(news)
    if len(news) > MOST_TOLD:
        news[MOST_TOLD:] = [f"and {len(news) - MOST_TOLD} more days with news"]
    if same:
        news.append(f"{same} {'day' if same == 1 else 'days'} as listed before")
    return "; ".join(news) or "no files of these days yet"
