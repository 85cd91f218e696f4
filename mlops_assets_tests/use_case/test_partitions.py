"""Hours, days and weeks of a zone: every moment lies in one, and its key is the same for the clock, folders, Dagster."""

import datetime as dt
from itertools import pairwise
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._utils.schedules import cron_string_iterator
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.components.days import daily_partitions
from mlops_assets.use_case import Deadline, UseCase
from mlops_assets.use_case.partitions import DAYS, Every, Partitions, back, date_of, folder_of, is_key, key_of

ZONES = (
    *("UTC", "Europe/Berlin", "America/Santiago", "America/Sao_Paulo", "Australia/Sydney", "Asia/Kolkata"),
    *("America/Havana", "Africa/Casablanca", "Pacific/Kiritimati", "America/St_Johns", "Africa/Cairo"),
    *("Asia/Beirut", "America/Asuncion"),
)
"""North and south, without changes, by half hours, at midnight, in Ramadan."""

EVERY: tuple[Every, ...] = ("hour", "day", "week")

RHYTHMS = [Partitions(every=every, timezone=zone) for every in EVERY for zone in ZONES]

rhythms = st.sampled_from(RHYTHMS)
moments = st.datetimes(dt.datetime(2025, 12, 1), dt.datetime(2027, 2, 1), timezones=st.just(dt.UTC))

CHANGES = {
    "Europe/Berlin": ("2026-03-29", 23, "2026-10-25", "2026-10-25T02+0100"),
    "America/Santiago": ("2026-09-06", 23, "2026-04-04", "2026-04-04T23-0400"),
    "Australia/Sydney": ("2026-10-04", 23, "2026-04-05", "2026-04-05T02+1000"),
}
"""By zone: the day of 23 hours, the day of 25, and the hour of that which comes again."""


def hours_of(zone: str, day: str) -> list[str]:
    hours = Partitions(every="hour", timezone=zone)
    return hours.between(hours.first_of(day), hours.last_of(day))


# -- a moment and its key ----------------------------------------------------------------------------------------------


@given(rhythms, moments)
def test_every_moment_lies_in_the_one_period_of_its_key(rhythm: Partitions, moment: dt.datetime) -> None:
    key = rhythm.key(moment)
    assert rhythm.start(key) <= moment < rhythm.end(key)
    assert rhythm.read(key) == key == rhythm.key(rhythm.start(key))
    # neither neighbour has it, and nothing lies in between
    assert rhythm.end(rhythm.before(key)) == rhythm.start(key)
    assert rhythm.start(rhythm.after(key)) == rhythm.end(key)
    assert rhythm.before(key) < key < rhythm.after(key)


@given(rhythms, moments, st.timedeltas(dt.timedelta(), dt.timedelta(days=30)))
def test_the_order_of_keys_is_the_order_of_time(rhythm: Partitions, first: dt.datetime, later: dt.timedelta) -> None:
    last = first + later
    assert rhythm.key(first) <= rhythm.key(last)
    assert rhythm.gap(rhythm.key(first), rhythm.key(last)) == len(rhythm.between(*map(rhythm.key, (first, last)))) - 1


@given(rhythms, moments)
def test_a_key_begins_with_the_calendar_day_on_which_its_period_begins(rhythm: Partitions, moment: dt.datetime) -> None:
    key = rhythm.key(moment)
    assert date_of(key) == rhythm.start(key).astimezone(rhythm.zone).date()
    assert rhythm.every != "week" or date_of(key).weekday() == 0


@given(rhythms, moments)
def test_a_key_and_its_folder_tell_each_other(rhythm: Partitions, moment: dt.datetime) -> None:
    key = rhythm.key(moment)
    assert key_of(folder_of(key)) == key
    assert is_key(key)
    assert "/" not in key


@given(st.text("0123456789-T+ :/dayhourZ=", max_size=24))
def test_whatever_else_a_folder_is_named_it_is_no_key(name: str) -> None:
    assert key_of(name) is None or folder_of(str(key_of(name))) == name


@pytest.mark.parametrize("zone", ["America/St_Johns", "America/Santiago"])
def test_a_year_of_hours_is_a_year(zone: str) -> None:
    hours = Partitions(every="hour", timezone=zone)
    every = hours.between(hours.first_of("2026-01-01"), hours.last_of("2026-12-31"))
    assert len(every) == len({*every}) == 8760
    assert every == sorted(every)
    assert all(hours.end(one) == hours.start(other) for one, other in pairwise(every))


@pytest.mark.parametrize("zone", CHANGES)
def test_no_hour_is_lost_or_done_twice_when_the_clock_changes(zone: str) -> None:
    short, fewer, long, again = CHANGES[zone]
    assert len(hours_of(zone, short)) == fewer
    assert len(hours_of(zone, long)) == 25
    hours = Partitions(every="hour", timezone=zone)
    assert hours.before(again) == again[:13]
    assert hours.start(again) - hours.start(again[:13]) == dt.timedelta(hours=1)


# -- as Dagster has them -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["America/Havana", "Asia/Kolkata", *CHANGES])
@pytest.mark.parametrize("every", EVERY)
def test_dagster_has_the_same_keys_and_bounds(transactions: UseCase, every: Every, zone: str) -> None:
    rhythm = Partitions(every=every, timezone=zone)
    use_case = transactions.model_copy(update={"partitions": rhythm, "start": dt.date(2026, 3, 1)})
    now = dt.datetime(2026, 11, 5, 12, tzinfo=dt.UTC)
    drawn = daily_partitions(use_case)
    keys = drawn.get_partition_keys(now)
    assert keys == rhythm.between(use_case.first_day, rhythm.key(now))  # that of now among them
    for key in {*keys[:3], *keys[-3:], *(key for key in keys if len(key) > 13)}:
        window = drawn.time_window_for_partition_key(key)
        # by the second: Python never finds a time of an hour that comes again equal to one of another zone
        assert window.start.timestamp() == rhythm.start(key).timestamp()
        assert window.end.timestamp() == rhythm.end(key).timestamp()


def test_days_of_utc_are_drawn_as_they_always_were(transactions: UseCase) -> None:
    before = dg.DailyPartitionsDefinition(start_date=transactions.start.isoformat(), end_offset=1)
    assert daily_partitions(transactions) == before
    assert (DAYS.cron(), DAYS.cron(120), DAYS.cron_of_days(90)) == ("0 1 * * *", "0 3 * * *", "30 2 * * *")


def ticks(rhythm: Partitions, first: dt.datetime, last: dt.datetime) -> list[dt.datetime]:
    """When Dagster's scheduler fires between two moments."""
    every = cron_string_iterator(first.timestamp(), rhythm.cron(), rhythm.timezone)
    found = [next(every)]
    while found[-1] < last:
        found.append(next(every))
    return found[:-1]


@pytest.mark.parametrize("zone", [*CHANGES, "Africa/Cairo"])
@pytest.mark.parametrize("at", ["00:00", "00:30", "02:30", "05:30", "23:59"])
def test_each_day_is_run_once_whatever_the_clock_does(zone: str, at: str) -> None:
    rhythm = Partitions(timezone=zone, at=at)
    first, last = dt.datetime(2026, 3, 1, tzinfo=rhythm.zone), dt.datetime(2026, 11, 30, tzinfo=rhythm.zone)
    run = [rhythm.over(tick) for tick in ticks(rhythm, first, last)]
    assert run == rhythm.between("2026-02-28", "2026-11-28")


@pytest.mark.parametrize("zone", CHANGES)
def test_each_hour_is_run_once_whatever_the_clock_does(zone: str) -> None:
    rhythm = Partitions(every="hour", timezone=zone)
    for day in (CHANGES[zone][0], CHANGES[zone][2]):
        hours = hours_of(zone, day)
        fired = ticks(rhythm, rhythm.end(hours[0]), rhythm.end(hours[-1]) + dt.timedelta(minutes=30))
        assert [rhythm.over(tick) for tick in fired] == hours


def test_a_week_is_run_on_the_monday_behind_it() -> None:
    rhythm = Partitions(every="week", timezone="America/Santiago", at="05:30")
    first, last = (dt.datetime(2026, month, 1, tzinfo=rhythm.zone) for month in (8, 10))
    fired = ticks(rhythm, first, last)
    assert {f"{tick:%a %H:%M}" for tick in fired} == {"Mon 05:30"}
    assert [rhythm.over(tick) for tick in fired] == rhythm.between("2026-07-27", "2026-09-21")


# -- what people write -------------------------------------------------------------------------------------------------


def test_of_a_week_any_day_may_be_written_but_a_folder_has_the_name_of_its_monday() -> None:
    weeks = Partitions(every="week")
    assert {weeks.read(f"2026-01-{day}") for day in range(26, 32)} == {"2026-01-26"}
    with pytest.raises(ValueError, match="which is named by its Monday: 2026-01-28 lies in 2026-01-26"):
        weeks.exact("2026-01-28")


@pytest.mark.parametrize(
    ("every", "text", "said"),
    [
        ("day", "2026-01-31T05", "'2026-01-31T05' is no day; write it like 2026-01-31"),
        ("hour", "2026-01-31", "'2026-01-31' is no hour; write it like 2026-01-31T05"),
        ("hour", "2026-01-31T24", "'2026-01-31T24' is no hour; write it like 2026-01-31T05"),
        ("hour", "2026-03-29T02", "'2026-03-29T02' is no hour: by the clock of Europe/Berlin, that is 2026-03-29T03"),
        ("hour", "2026-10-25T03+0100", "by the clock of Europe/Berlin, that is 2026-10-25T03"),
        ("week", "2026-02-30", "'2026-02-30' is no week; write it like 2026-01-26"),
    ],
)
def test_what_names_no_period_is_told_with_one_that_does(every: Every, text: str, said: str) -> None:
    with pytest.raises(ValueError, match="is no") as told:
        Partitions(every=every, timezone="Europe/Berlin").read(text)
    assert said in str(told.value)


def test_a_range_of_calendar_days_has_all_hours_and_whole_weeks() -> None:
    hours, weeks = (Partitions(every=every, timezone="America/Santiago") for every in ("hour", "week"))
    assert (hours.first_of("2026-09-06"), hours.last_of("2026-04-04")) == ("2026-09-06T01", "2026-04-04T23-0400")
    assert (weeks.first_of("2026-01-28"), weeks.last_of("2026-01-28")) == ("2026-01-26", "2026-01-26")


def test_so_many_days_back_is_the_same_hour_of_that_day() -> None:
    assert back("2026-10-25T02+0100", 7) == "2026-10-18T02"
    assert back("0001-01-03", 7) == "0001-01-01"


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"timezone": "Europe/Berlim"}, "there is no time zone 'Europe/Berlim'; is it Europe/Berlin"),
        ({"every": "month"}, "Input should be 'day', 'hour' or 'week'"),
        ({"at": "5:30"}, "with `every: day`, write a time in quotes, such as '01:00'"),
        ({"at": 750}, "write a time in quotes"),
        ({"every": "hour", "at": "05:30"}, "with `every: hour`, write minutes past the hour in quotes, such as ':05'"),
        ({"every": "week", "at": "24:00"}, "with `every: week`, write a time in quotes"),
    ],
)
def test_a_mistake_in_the_yaml_is_told(given_: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as told:
        Partitions.model_validate(given_)
    assert said in str(told.value)


@pytest.mark.parametrize("zone", ["Australia/Lord_Howe", "Pacific/Chatham", "Antarctica/Troll"])
def test_hours_of_a_clock_that_jumps_otherwise_are_refused(zone: str) -> None:
    start = dt.date(2026, 1, 1)
    with pytest.raises(ValueError, match=f"in {zone} the clock is not put on or back by one hour on 2026-"):
        Partitions(every="hour", timezone=zone).check_changes(start)
    Partitions(timezone=zone).check_changes(start)


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize(
    ("zone", "start", "gone"),
    [("Pacific/Apia", "2011-12-01", "2011-12-30"), ("Pacific/Kwajalein", "1993-08-01", "1993-08-21")],
)
def test_a_zone_that_left_a_day_out_is_refused_for_a_start_before_it(
    every: Every, zone: str, start: str, gone: str
) -> None:
    rhythm, day = Partitions(every=every, timezone=zone), dt.date.fromisoformat(gone)
    with pytest.raises(ValueError, match=f"{zone} has no {gone}, .* `start: {day + dt.timedelta(days=1)}`"):
        rhythm.check_changes(dt.date.fromisoformat(start))
    rhythm.check_changes(day + dt.timedelta(days=1))


@pytest.mark.parametrize("every", EVERY)
def test_where_midnight_was_leapt_over_for_years_each_day_and_hour_is_there_once(every: Every) -> None:
    rhythm = Partitions(every=every, timezone="America/Sao_Paulo")
    first, last = rhythm.of_date(dt.date(2018, 10, 29)), rhythm.of_date(dt.date(2019, 2, 18))
    keys = rhythm.between(first, last)
    assert keys == sorted({*keys})
    assert all(rhythm.end(one) == rhythm.start(other) for one, other in pairwise(keys))
    assert all(rhythm.after(one) == other for one, other in pairwise(keys))
    assert rhythm.every != "hour" or ("2018-11-04T00" not in keys and "2019-02-16T23-0300" in keys)


# -- deadlines ---------------------------------------------------------------------------------------------------------


def test_the_deadline_of_an_hour_is_minutes_after_it() -> None:
    hours = Partitions(every="hour", timezone="Europe/Berlin")
    due = Deadline.parse(":20", hours)
    assert due.of("2026-10-25T02").isoformat() == "2026-10-25T01:20:00+00:00"
    assert due.of("2026-10-25T02+0100").isoformat() == "2026-10-25T02:20:00+00:00"
    with pytest.raises(ValueError, match="write minutes after the hour"):
        Deadline.parse("06:30 UTC", hours)


def test_the_deadline_of_a_week_is_of_the_monday_after_it() -> None:
    weeks = Partitions(every="week", timezone="America/Sao_Paulo")
    due = Deadline.parse("06:30 America/Sao_Paulo", weeks).of("2026-01-26")
    assert due == dt.datetime(2026, 2, 2, 6, 30, tzinfo=ZoneInfo("America/Sao_Paulo"))
