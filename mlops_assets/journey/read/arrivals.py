"""In: what a source lists, a little at each look. Out: which days hold other files than the lake, and have settled."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from mlops_assets.errors import MlopsError
from mlops_assets.journey.read.listing import Content
from mlops_assets.journey.read.looks import NEVER, Begun, Known, Look, State
from mlops_assets.journey.read.sources import Source
from mlops_assets.use_case import Sensor

MOST_TOLD = 20
"""Days that a summary tells of one by one."""

MOST_CALLED, CALLED_SECONDS = 100, 24 * 3600
"""Days before the window that are watched because messages named them, and for how long at most."""


CLEANED = "it lies before `window_days`, where raw files may have been cleaned up: if it is whole, run it by hand"
"""Why a day is not run that has fewer files than before."""


class ArrivalError(MlopsError):
    """It cannot be told what arrived."""


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
    listed
        When the day was last listed and found as the lake has it, in seconds since 1970; 0 if that is not known.
    """

    day: str
    verdict: Verdict
    said: str
    key: str = ""
    listed: float = 0.0

    @property
    def reason(self) -> str:
        """What is to be said of a day with news, and since when it may be so."""
        if not self.listed or self.verdict is Verdict.SAME:
            return self.said
        return f"{self.said}; listed last {_moment(self.listed)}"


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
    called
        Days that messages name; they are listed sooner, and watched for a while where they lie before the window.
    """

    def __init__(
        self,
        source: Source,
        asked: Sensor,
        window: Sequence[str],
        state: State,
        now: Callable[[], float] = time.time,
        called: Collection[str] = (),
    ) -> None:
        self.source = source
        self.asked = asked
        self.now = now
        self.called = _still_called(state.called, called, window, now())
        self.before = {*self.called} - {*window}
        self.window = window = sorted({*window, *self.called})
        self.place = state.place
        # a look of the future is of a clock that was wrong
        self.looks = {day: look for day, look in state.looks.items() if day in window and look.began <= now()}
        self.begun = state.begun if state.begun and state.begun.day in window else None
        self.delivered: set[str] = set()
        self.unmarked: set[str] = set()

    @property
    def state(self) -> State:
        """What the next look needs."""
        return State(place=self.place, looks=self.looks, begun=self.begun, called=self.called)

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
        self._see_what_was_delivered(lake)
        self._look(lake)
        for day in [day for day in self.called if self._is_answered(day, lake.get(day, Known()))]:
            del self.called[day]

    def _look(self, lake: Mapping[str, Known]) -> None:
        began = self.now()
        deadline = began + self.asked.budget_seconds
        for day in self._due(lake, late=began - 2 * 60 * self.asked.relist_minutes):
            if self.asked.marker and not self.source.has(day, self.asked.marker):
                self.unmarked.add(day)
                self._forget(day)  # so that it is listed as soon as the mark is there
            else:
                self._list(day, lake.get(day, Known()), deadline)
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

    def _due(self, lake: Mapping[str, Known], late: float) -> list[str]:
        """The days to be listed: first the one that was begun, then those that waited longest, then newer ones.

        Days that messages name come before those that are due, unless these were not listed since it was late: whoever
        sends messages without end must not keep the other days from being listed.
        """
        due = [day for day in self.window if self._is_due(day, lake.get(day, Known()))]
        waited = {day: look.began for day, look in self.looks.items()}
        due.sort(reverse=True)
        # Python's sort keeps the order of equals: newer days come first among those that have waited equally long
        due.sort(
            key=lambda day: (
                not self._is_begun(day),
                waited.get(day, 0.0) > late,
                not self._is_called(day),
                waited.get(day, 0.0),
            )
        )
        return due

    def _is_called(self, day: str) -> bool:
        """Whether a message names a day that was not listed since."""
        look = self.looks.get(day)
        return day in self.called and (look is None or look.began < self.called[day])

    def _is_answered(self, day: str, known: Known) -> bool:
        """Whether it is known of a day what a message could have meant."""
        if day not in self.delivered and known.version == NEVER:
            return True
        look = self.looks.get(day)
        return look is not None and not self._is_called(day) and look.content == known.content

    def _is_due(self, day: str, known: Known) -> bool:
        if day not in self.delivered and known.version == NEVER:
            return False
        look = self.looks.get(day)
        if look is None or self._is_begun(day) or self._is_outdated(look, known):
            return True
        # what differs is looked at again as soon as it can have settled, what is as in the lake more seldom
        if look.content != known.content and not self._has_settled(look, known):
            return self.now() >= look.first + 60 * self.asked.settle_minutes
        if look.content == known.content and self._is_called(day):
            return True
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

    def _list(self, day: str, known: Known, deadline: float) -> None:
        """List a day to its end, or as far as the time goes."""
        fresh = Begun(day=day, began=self.now(), version=known.version)
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
            self._remember(day, listing, known)

    def _remember(self, day: str, listing: Begun, known: Known) -> None:
        """Keep what lies there; a day that did not change keeps the time at which it was first seen so."""
        before = self.looks.get(day)
        first = before.first if before and before.content == listing.content else self.now()
        as_known = listing.began if listing.content == known.content else before.known if before else 0.0
        self.looks[day] = Look(
            content=listing.content,
            files=listing.files,
            first=first,
            began=listing.began,
            version=listing.version,
            known=as_known,
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
            return Finding(day, Verdict.SAME, f"{_files(look.files)}, listed as they lie there", listed=look.began)
        # an empty folder is no delivery, unless a mark says that it is one
        if not look.files and known.version == NEVER and not self.asked.marker:
            return Finding(day, Verdict.ABSENT, "a folder without files")
        if not self._has_settled(look, known):
            minutes = (self.now() - look.first) / 60
            message = f"{_change(look, known)}; settling, last change seen {minutes:.0f} min ago"
            return Finding(day, Verdict.SETTLING, message, listed=_listed(look, known))
        if day in self.before and look.files < known.files:
            return Finding(day, Verdict.HELD, f"{_change(look, known)}; {CLEANED}", listed=_listed(look, known))
        # Dagster makes one run of a key, ever: it names the step from the listed version to what lies there, so that a
        # day that changes and changes back is run twice, and one whose run failed is not run in a loop
        key = f"{day}-{known.version}-{look.content}"
        return Finding(day, Verdict.CHANGED, _change(look, known), key, listed=_listed(look, known))


def _still_called(
    before: Mapping[str, float], called: Collection[str], window: Collection[str], now: float
) -> dict[str, float]:
    """The days that messages name, and when they did so: those of earlier looks, for a while, and those of now."""
    every = {day: then for day, then in before.items() if now - CALLED_SECONDS < then <= now}
    every |= dict.fromkeys(called, now)
    # the newest calls of the newest days
    beyond = sorted(every.keys() - {*window}, key=lambda day: (every[day], day))[:-MOST_CALLED]
    return {day: then for day, then in every.items() if day not in beyond}


def _listed(look: Look, known: Known) -> float:
    """When a day was last listed and found as the lake has it; a new day never was."""
    return 0.0 if known.version == NEVER else max(look.known, known.listed)


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


def _moment(seconds: float) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M} UTC"


def _files(number: int) -> str:
    return f"{number:,} {'file' if number == 1 else 'files'}"


def summary(findings: Iterable[Finding], now: float | None = None) -> str:
    """All findings in one text; days of which nothing is to be said are counted.

    Parameters
    ----------
    findings
        What is known of each day.
    now
        The time, in seconds since 1970: with it is told how long ago the days were listed of which nothing is said.
    """
    present = [finding for finding in findings if finding.verdict is not Verdict.ABSENT]
    news = [f"{finding.day}: {finding.reason}" for finding in present if finding.verdict is not Verdict.SAME]
    listed = [finding.listed for finding in present if finding.verdict is Verdict.SAME]
    same, ago = len(listed), int(now - min(listed)) // 60 if now and listed else 0
    if len(news) > MOST_TOLD:
        news[MOST_TOLD:] = [f"and {len(news) - MOST_TOLD} more days with news"]
    if same:
        when = f", up to {ago} min ago" if ago else ""
        news.append(f"{same} {'day' if same == 1 else 'days'} as listed before{when}")
    return "; ".join(news) or "no files of these days yet"
