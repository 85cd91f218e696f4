"""The rhythm of a use case: its periods (hours, days or weeks of a time zone), each known by a key.

A key is text, such as `2026-01-31`, `2026-01-31T05`, or `2026-10-25T02+0100` for an hour that comes a second time when
the clock is put back. It begins with the calendar day of the zone on which the period begins, and the order of keys is
the order of time. It names the period everywhere: as a partition of Dagster, in the column `day` of tables, in names of
folders and in the address of a page.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationInfo, field_validator

from mlops_assets.errors import UsageError
from mlops_assets.use_case.clocks import check_zone, missing_day, odd_change
from mlops_assets.use_case.strict import Strict

Every = Literal["day", "hour", "week"]

KEY = re.compile(r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})(?:T(?P<hour>[0-9]{2})(?P<offset>[+-][0-9]{4})?)?")
"""The form of a key, whatever its period."""

FORMATS: dict[Every, str] = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H", "week": "%Y-%m-%d"}
"""Keys as `strftime` writes them; Dagster, which makes them so as well, adds its offset to an hour that comes again."""

EXAMPLES: dict[Every, str] = {"day": "2026-01-31", "hour": "2026-01-31T05", "week": "2026-01-26"}

PLACES: dict[Every, str] = {"day": "YYYY-MM-DD", "hour": "YYYY-MM-DDTHH", "week": "YYYY-MM-DD"}
"""What stands for any key, where a place is named of which any may be."""

DEFAULT_AT: dict[Every, str] = {"day": "01:00", "hour": ":05", "week": "01:00"}

WEEK = dt.timedelta(days=7)

LONGEST_GAP = 31
"""Periods without files that a run may have in between: files once a month are one run.

Dagster notes each day of each asset before a run begins, some 50 ms a day: minutes where an old folder lies years back.
"""


class Partitions(Strict):
    """What a period is, in which zone, and when the schedule runs the one that is over."""

    every: Every = Field("day", description="`hour`, `day`, or `week`, which begins on Monday.")
    timezone: str = Field("UTC", description="Zone of the clock and the calendar, such as `America/Sao_Paulo`.")
    at: str | None = Field(
        None,
        description='When the schedule runs what is over, by that clock, in quotes: `"01:00"` by default, of a week on '
        'Monday; of an hour the minutes past it, `":05"` by default.',
        validate_default=True,
    )

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, timezone: str) -> str:
        check_zone(timezone)
        return timezone

    @field_validator("at", mode="before")
    @classmethod
    def _is_a_time(cls, at: object, info: ValidationInfo) -> object:
        every: Every | None = info.data.get("every")
        if every is None or at is None:  # it is wrong itself, which is told
            return at
        form = r":[0-5][0-9]" if every == "hour" else r"([01][0-9]|2[0-3]):[0-5][0-9]"
        # without quotes, 12:30 is the number 750 to YAML
        if not isinstance(at, str) or not re.fullmatch(form, at):
            what = "minutes past the hour" if every == "hour" else "a time"
            raise ValueError(f"with `every: {every}`, write {what} in quotes, such as {DEFAULT_AT[every]!r}")
        return at

    # --- a moment and a key ---------------------------------------------------------------------------------------

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.timezone)

    def key(self, moment: dt.datetime) -> str:
        """The period that a moment lies in.

        Examples
        --------
        >>> hours = Partitions(every="hour", timezone="Europe/Berlin")
        >>> hours.key(dt.datetime(2026, 10, 25, 0, 30, tzinfo=dt.UTC))
        '2026-10-25T02'
        >>> hours.key(dt.datetime(2026, 10, 25, 1, 30, tzinfo=dt.UTC))
        '2026-10-25T02+0100'
        """
        return self._hour(moment) if self.every == "hour" else self.of_date(moment.astimezone(self.zone).date())

    def of_date(self, date: dt.date) -> str:
        """The period that a calendar day belongs to; of hours, the first one of the day."""
        if self.every == "week":
            return (date - dt.timedelta(days=date.weekday())).isoformat()
        return self._hour(self._midnight(date)) if self.every == "hour" else date.isoformat()

    def holding(self, key: str) -> str:
        """The week in which a day lies, where there are weeks: who asks by a date may mean any; other keys as they are.

        Examples
        --------
        >>> Partitions(every="week").holding("2026-01-07"), Partitions().holding("2026-01-07")
        ('2026-01-05', '2026-01-07')
        """
        return self.of_date(date_of(key)) if self.every == "week" else key

    def start(self, key: str) -> dt.datetime:
        """When a period begins, in UTC; in a zone without that midnight, as the clock leaps over it."""
        date, hour, offset = _parts(key)
        if hour is None:
            return self._midnight(date)
        local = dt.datetime.combine(date, dt.time(hour), self.zone)
        return local.replace(fold=1 if offset else 0).astimezone(dt.UTC)

    def end(self, key: str) -> dt.datetime:
        """When it is over, in UTC: the moment with which the next one begins."""
        if self.every == "hour":
            return self.start(key) + dt.timedelta(hours=1)
        return self._midnight(_date_after(self.every, date_of(key)))

    def _midnight(self, date: dt.date) -> dt.datetime:
        return dt.datetime.combine(date, dt.time(), self.zone).astimezone(dt.UTC)

    def _hour(self, moment: dt.datetime) -> str:
        local = moment.astimezone(self.zone)
        # the second of two hours of one name has an offset, by which it comes behind the first in any order of texts
        return f"{local:{FORMATS['hour']}}{local:%z}"[: None if local.fold else 13]

    # --- one after the other --------------------------------------------------------------------------------------

    def after(self, key: str) -> str:
        """The next period."""
        return self.key(self.end(key))

    def before(self, key: str) -> str:
        """The one before it."""
        return self.key(self.start(key) - dt.timedelta(seconds=1))

    def over(self, now: dt.datetime) -> str:
        """The newest period that is over."""
        return self.before(self.key(now))

    def days_ago(self, now: dt.datetime, days: int) -> str:
        """The period that the calendar day so many days before today belongs to; of hours the first one of that day."""
        return self.of_date(now.astimezone(self.zone).date() - dt.timedelta(days=days))

    def between(self, first: str, last: str) -> list[str]:
        """Every period from one to another, in order; empty if the last one lies before the first."""
        return [*self._each(first, last)]

    def _each(self, first: str, last: str) -> Iterator[str]:
        if self.every == "hour":
            moment, end = self.start(first), self.start(last)
            while moment <= end:
                yield self._hour(moment)
                moment += dt.timedelta(hours=1)
        else:
            date, step = date_of(first), WEEK if self.every == "week" else dt.timedelta(days=1)
            while date <= date_of(last):
                yield date.isoformat()
                date += step

    def gap(self, first: str, last: str) -> int:
        """How many periods it is from one to a later one."""
        if self.every == "hour":
            return round((self.start(last) - self.start(first)) / dt.timedelta(hours=1))
        return (date_of(last) - date_of(first)).days // (7 if self.every == "week" else 1)

    def stretches(self, ends: tuple[str, str], known: Iterable[str]) -> list[tuple[str, str]]:
        """A range of periods without its long gaps: first and last one of each run.

        Parameters
        ----------
        ends
            First and last one of the range; they belong to a run if it begins or ends not far from them.
        known
            Those of the range that have files.

        Examples
        --------
        >>> DAYS.stretches(("2019-01-02", "2026-03-05"), ["2019-01-02", "2026-02-01", "2026-03-01"])
        [('2019-01-02', '2019-01-02'), ('2026-02-01', '2026-03-05')]
        """
        with_files = {*known}
        found: list[list[str]] = []
        for key in sorted(with_files.union(ends)):
            if not found or self.gap(found[-1][-1], key) > LONGEST_GAP + 1:
                found.append([])
            found[-1].append(key)
        return [(run[0], run[-1]) for run in found if not with_files.isdisjoint(run)]

    # --- what people write and read -------------------------------------------------------------------------------

    def read(self, text: str) -> str:
        """The period that somebody means: by its key, and where there are weeks by any day of it.

        Raises
        ------
        ValueError
            If it names no period of this use case; the message shows one that does.

        Examples
        --------
        >>> Partitions(every="week").read("2026-01-07")
        '2026-01-05'
        """
        return self.exact(self.holding(text) if is_key(text) else text)

    def exact(self, text: str) -> str:
        """A key as the name of a folder has it, or a source tells it: one period has one name.

        Raises
        ------
        ValueError
            As `read`; also for a day of a week that is not its Monday.
        """
        said = f"{text!r} is no {self.every}"
        try:
            _, hour, _ = _parts(text)
            if (hour is None) == (self.every == "hour"):
                raise ValueError(f"{said} of this use case")
            made = self.key(self.start(text))
        except (ValueError, OverflowError):
            raise ValueError(f"{said}; write it like {EXAMPLES[self.every]}") from None
        if made == text:
            return text
        if self.every == "week":
            raise ValueError(f"{said}, which is named by its Monday: {text} lies in {made}")
        raise ValueError(f"{said}: by the clock of {self.timezone}, that is {made}")

    def first_of(self, text: str) -> str:
        """The first period that a key or a calendar day stands for; errors as `read`."""
        return self.of_date(date_of(text)) if self._is_date(text) else self.read(text)

    def last_of(self, text: str) -> str:
        """The last one; errors as `read`."""
        if not self._is_date(text):
            return self.read(text)
        # of a day its last hour
        date = date_of(text)
        return self.before(self.of_date(date + dt.timedelta(days=1))) if self.every == "hour" else self.of_date(date)

    def _is_date(self, text: str) -> bool:
        try:
            return self.every != "day" and _parts(text)[1] is None
        except ValueError:
            return False

    @property
    def example(self) -> str:
        """A key, for messages."""
        return EXAMPLES[self.every]

    @property
    def last_one(self) -> str:
        """The period that is over, in words."""
        return {"day": "yesterday", "hour": "the last hour", "week": "last week"}[self.every]

    @property
    def now_words(self) -> str:
        """What the period of now is called, and by whose clock."""
        return f"{'today' if self.every == 'day' else f'this {self.every}'} by {self.timezone}"

    @property
    def anyone(self) -> str:
        """What stands for any key in a message: `YYYY-MM-DD`, and `THH` behind it of hours."""
        return PLACES[self.every]

    # --- the clock ------------------------------------------------------------------------------------------------

    def cron(self, later: int = 0) -> str:
        """When the period that is over is run, or looked at so many minutes later; never on another day or hour.

        Examples
        --------
        >>> Partitions().cron(), Partitions().cron(120), Partitions(every="week", at="23:30").cron(120)
        ('0 1 * * *', '0 3 * * *', '59 23 * * 1')
        >>> Partitions(every="hour", at=":05").cron(30)
        '35 * * * *'
        """
        clock = self.at or DEFAULT_AT[self.every]
        if self.every == "hour":
            return f"{min(59, int(clock[1:]) + later)} * * * *"
        minutes = min(24 * 60 - 1, int(clock[:2]) * 60 + int(clock[3:]) + later)
        return f"{minutes % 60} {minutes // 60} * * {'1' if self.every == 'week' else '*'}"

    def cron_of_days(self, later: int) -> str:
        """When something is done once a day, whatever the period: so many minutes after a day or week would be run."""
        daily = self.model_copy(update={"every": "day", "at": None if self.every == "hour" else self.at})
        return daily.cron(later)

    def check_changes(self, start: dt.date) -> None:
        """See that the clock of the zone is put forward and back by whole hours, at whole hours, and leaves out no day.

        Raises
        ------
        ValueError
            If not: an hour would have 30 minutes then, three hours one name, or a day no hour.
        """
        gone = missing_day(self.timezone, start, dt.datetime.now(dt.UTC).date())
        if gone is not None:
            raise ValueError(
                f"timezone: {self.timezone} has no {gone}, for it went over the date line; begin later, with "
                f"`start: {gone + dt.timedelta(days=1)}`, or use `timezone: UTC`"
            )
        odd = odd_change(self.timezone, start) if self.every == "hour" else None
        if odd is not None:
            raise ValueError(
                f"timezone: in {self.timezone} the clock is not put on or back by one hour on {odd}, so its hours "
                "cannot be told apart; use `timezone: UTC`, or `every: day`"
            )


DAYS = Partitions()
"""Days of UTC: what a use case has that says nothing else."""


def read_range(partitions: Partitions, first: str | None, last: str | None) -> tuple[str | None, str | None]:
    """The ends of a range as somebody wrote them, as keys.

    Raises
    ------
    UsageError
        If one is none.
    """
    try:
        return first and partitions.first_of(first), last and partitions.last_of(last)
    except ValueError as error:
        raise UsageError(f"{error}.") from None


def date_of(key: str) -> dt.date:
    """The calendar day on which a period begins, in the zone of its use case.

    Examples
    --------
    >>> date_of("2026-01-31").isoformat(), date_of("2026-10-25T02+0100").isoformat()
    ('2026-01-31', '2026-10-25')
    """
    return _parts(key)[0]


def back(key: str, days: int) -> str:
    """The same hour, day or week so many calendar days before; what it names need not be there.

    Examples
    --------
    >>> back("2026-03-01", 7), back("2026-10-25T02+0100", 1)
    ('2026-02-22', '2026-10-24T02')
    """
    # there is no day before the first one that a date can be
    return dt.date.fromordinal(max(1, date_of(key).toordinal() - days)).isoformat() + key[10:13]


def folder_of(key: str) -> str:
    """The folder of a period below that of a use case's raw files, `/` between its parts.

    Examples
    --------
    >>> folder_of("2026-01-31"), folder_of("2026-10-25T02+0100")
    ('day=2026-01-31', 'day=2026-10-25/hour=02+0100')
    """
    return f"day={key.replace('T', '/hour=')}"


def key_of(folder: str) -> str | None:
    """The key that such a folder is of, by its form alone; None if it is none."""
    key = folder.removeprefix("day=").replace("/hour=", "T")
    return key if folder == folder_of(key) and is_key(key) else None


def is_key(text: str) -> bool:
    """Whether a text has the form of a key, and its day is one of the calendar."""
    try:
        _parts(text)
    except ValueError:
        return False
    return True


def _parts(key: str) -> tuple[dt.date, int | None, str]:
    """Day, hour if any, and the offset of an hour that comes again."""
    found = KEY.fullmatch(key)
    if not found or int(found["hour"] or 0) > 23:
        raise ValueError(f"{key!r} is no key")
    return dt.date.fromisoformat(found["date"]), int(found["hour"]) if found["hour"] else None, found["offset"] or ""


def _date_after(every: Every, date: dt.date) -> dt.date:
    return date + (WEEK if every == "week" else dt.timedelta(days=1))
