"""Hours and weeks by the command line: keys as they are printed, ranges of calendar days, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.journey.feedback.files import Entry, read_file
from mlops_assets.journey.read.mended import read_mended
from mlops_assets.use_case import load_use_case
from mlops_assets.use_case.partitions import Partitions
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.asked_api import Api
from mlops_assets_tests.helpers.homes import state_in
from mlops_assets_tests.helpers.shop import Done, Shop
from mlops_assets_tests.helpers.visits import VISITS, place_visits

DAYS_OF_A_WEEK = ("2025-04-09", "2025-04-07")
AGAIN = "2025-04-05T23-0400"
"""The hour that comes a second time in Santiago, where midnight waits for it."""


def shop_of(folder: Path, every: str) -> Shop:
    yaml = VISITS.replace("2026-01-01", "2025-03-03")
    place_visits(folder / "use_cases", f"{yaml}  partitions: {{every: {every}, timezone: America/Santiago}}\n")
    return Shop(folder / "home")


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Done]:
    """Hours around a change of the clock, run as one range of calendar days; and what the run said."""
    shop = shop_of(tmp_path_factory.mktemp("hours"), "hour")
    made = shop("sample", "visits", "--day", "2025-04-05T22", "--days", "4", "--files", "2", "--rows", "5")
    assert (made.code, made.err) == (0, "")
    assert "Wrote 8 files of 4 hour(s)" in made.out
    return shop, shop("run", "visits", "--from", "2025-04-05", "--to", "2025-04-06")


def test_a_range_of_calendar_days_runs_all_their_hours(hours: tuple[Shop, Done]) -> None:
    _, done = hours
    assert done.code == 0
    assert "2025-04-05T00 to 2025-04-06T23: 49 hours, 4 with raw files" in done.err
    listed = [line.split()[0] for line in done.out.splitlines() if line.startswith("2025")]
    assert listed == ["2025-04-05T22", "2025-04-05T23", AGAIN, "2025-04-06T00"]


def test_preview_and_status_name_hours_as_they_are_asked_for(hours: tuple[Shop, Done]) -> None:
    shop, _ = hours
    for done in (shop("preview", "visits", "--from", AGAIN, "--to", AGAIN), shop("status", "visits")):
        assert done.code == 0
        assert f"\n{AGAIN} " in done.out


def test_an_hour_is_verified_alone(hours: tuple[Shop, Done]) -> None:
    shop, _ = hours
    done = shop("verify", "visits", "--day", AGAIN)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            "predictions visits --day 2025-04-05",
            "--day 2025-04-05: '2025-04-05' is no hour; write it like 2026-01-31T05",
        ),
        ("drift visits --day 2025-04-06T00-0400", "by the clock of America/Santiago, that is 2025-04-06T00"),
        ("run visits --from 2025-04-05T5", "'2025-04-05T5' is not a day; write it like 2026-01-31. An hour is 2026-"),
        ("run visits --from 2025-02-01T05", "Hours of visits run from 2025-03-03T00 to "),
        (
            "sample visits --day 2025-02-01T05",
            "Hours of visits begin on 2025-03-03T00: a sample of 2025-02-01T05 would",
        ),
    ],
)
def test_what_is_no_hour_is_wrong_usage_that_shows_one(hours: tuple[Shop, Done], arguments: str, said: str) -> None:
    shop, _ = hours
    done = shop(*arguments.split())
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Done]:
    """Two weeks of which the rows are read, and what the run said."""
    shop = shop_of(tmp_path_factory.mktemp("weeks"), "week")
    assert shop("sample", "visits", "--day", "2025-04-07", "--days", "2", "--files", "2", "--rows", "5").code == 0
    return shop, shop("run", "visits", "--from", "2025-04-09")


def test_weeks_are_named_by_their_mondays(weeks: tuple[Shop, Done]) -> None:
    shop, done = weeks
    assert done.code == 0
    assert "2025-04-07 to 2025-04-14: 2 weeks, 2 with raw files" in done.err
    by_any_day, by_monday = (shop("rows", "visits", "--day", day, "--format", "csv") for day in DAYS_OF_A_WEEK)
    assert by_any_day.code == 0
    assert by_any_day.out == by_monday.out


def test_a_correction_and_a_mended_reject_of_a_week_may_name_any_of_its_days(tmp_path: Path) -> None:
    path = tmp_path / "said.csv"
    path.write_text("day,file,line,label,who,when\n2025-04-09,a.csv,1,no,ann,2025-04-20\n")
    (entry,) = read_file(path, partitions=Partitions(every="week"))
    assert isinstance(entry, Entry)
    assert (entry.day, entry.raw) == ("2025-04-07", "2025-04-09,a.csv,1,no,ann,2025-04-20")
    path.write_text("day,file,line,rule,message,raw\n2025-04-09,a.csv,1,range,too much,x\n")
    ((mended,), _) = read_mended(path, Partitions(every="week"))
    assert mended.at.day == "2025-04-07"


def test_a_field_for_dates_offers_every_day_and_the_pages_show_its_week(weeks: tuple[Shop, Done]) -> None:
    shop, _ = weeks
    with state_in(shop.home):
        api = Api.of(Workspace.from_environment(), load_use_case(shop.home.parent / "use_cases" / "visits"))
        text = api.get("/pages/visits/days/2025-04-09").text
        assert "<h1>Week of Monday, 7 April 2025" in text
        assert "the next week: 2025-04-14" in text
        assert "Run this week" in text
        for page in ("drift", "predictions"):  # none are published
            answer = api.get(f"/pages/visits/{page}", day="2025-04-09")
            assert (answer.status, "2025-04-07" in answer.text, "2025-04-09" in answer.text) == (404, True, False)
