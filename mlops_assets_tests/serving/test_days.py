"""Days over the network: how they stand, and what was published of them."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from mlops_assets.journey.model.history import Hashes
from mlops_assets.monitoring.kept import Judged, keep
from mlops_assets.monitoring.lamp import DayVerdict, Lamp
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.views.days import Known, short_record
from mlops_assets.views.paging import Only, Place, list_parts, write_cursor
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.asked_api import Api, problem
from mlops_assets_tests.helpers.days import read_raw
from mlops_assets_tests.helpers.feedback import predicted
from mlops_assets_tests.helpers.homes import state_in
from mlops_assets_tests.helpers.toy import purchases, toy
from mlops_assets_tests.helpers.watched_home import Home, open_home

BEFORE, DAY = "2026-01-01", "2026-01-02"
DAYS = "/v1/use-cases/transactions/days"


@pytest.fixture(scope="module")
def home(transactions: UseCase, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A day that is done, with two refused lines; and one before it that was read, and has no predictions."""
    checks = transactions.checks.model_copy(update={"reject_rate": 1.0})
    scoring = transactions.scoring.model_copy(update={"probabilities": "all"})
    use_case = transactions.model_copy(update={"checks": checks, "scoring": scoring})
    home = open_home(use_case, tmp_path_factory.mktemp("home"))
    folder = home.folder / "raw" / "transactions" / f"day={DAY}"
    lines = min(folder.glob("*.csv")).read_bytes().splitlines(keepends=True)
    (folder / "dirty.csv").write_bytes(lines[0] + b"one;field\r\n=one;@field\r\n")
    read_raw(home.use_case, home.folder / "raw", home.lake, DAY)
    home.score(DAY)
    return home


@pytest.fixture(scope="module")
def api(home: Home) -> Iterator[Api]:
    with state_in(home.folder):
        yield Api.of(Workspace.from_environment(), home.use_case)


def test_days_are_listed_the_newest_first_with_how_they_stand(api: Api) -> None:
    done, waiting = api.read(DAYS)["days"]
    assert (waiting["day"], waiting["state"], waiting["predictions"]) == (BEFORE, "missing", None)
    assert (done["day"], done["state"], done["model_version"], done["rejected"]) == (DAY, "done", 1, 2)
    assert done["lines"] == done["rows"] + done["rejected"]
    assert done["predictions"] == done["rows"]
    assert [day["day"] for page in api.pages(DAYS, limit=1) for day in page["days"]] == [DAY, BEFORE]
    assert [day["day"] for day in api.read(DAYS, to=BEFORE)["days"]] == [BEFORE]
    assert api.read(DAYS, **{"from": "2026-01-03"}) == {"use_case": "transactions", "days": [], "next": None}


def test_a_day_has_its_accounting_its_checks_its_rejects_by_rule_and_links_that_lead_on(api: Api) -> None:
    day = api.read(f"{DAYS}/{DAY}")
    assert day["rejected_by_rule"] == {"field_count": 2}
    assert {check["name"]: check["passed"] for check in day["checks"]}["accounting_adds_up"] is True
    assert day["accounting"]["predictions"] == day["predictions"]
    assert day["drift"] is None, "nobody has looked at it"
    assert api.read(day["links"]["rejects"])["rows"][0]["rule"] == "field_count"


def test_the_pages_of_the_predictions_are_what_is_published(api: Api, home: Home) -> None:
    pages = [*api.pages(f"{DAYS}/{DAY}/predictions", limit=50)]
    published = published_of(home)
    rows = [row for page in pages for row in page["rows"]]
    shown = [(row["file"], row["line"], row["account_id"], row["prediction"]) for row in rows]
    assert shown == [(row["file"], row["line"], row["account_id"], row["prediction"]) for row in published]
    assert [row["probability"] for row in rows] == pytest.approx([row["probability"] for row in published])
    assert {(page["publication"], page["model_version"]) for page in pages} == {(1, 1)}


def published_of(home: Home) -> list[dict[str, Any]]:
    return home.lake.predictions.read_all([DAY]).to_pylist()


def test_predictions_are_asked_for_by_file_account_class_and_probability(api: Api, home: Home) -> None:
    published = published_of(home)
    one, address = published[40], f"{DAYS}/{DAY}/predictions"
    for query, column in (("file", "file"), ("account", "account_id"), ("class", "prediction")):
        rows = api.read(address, **{query: one[column]})["rows"]
        assert [row["line"] for row in rows] == [row["line"] for row in published if row[column] == one[column]]
    rows = api.read(address, min_probability=0.3, max_probability=0.9)["rows"]
    assert len(rows) == sum(0.3 <= row["probability"] <= 0.9 for row in published)
    assert api.read(address, file="none.csv")["rows"] == []


def test_csv_comes_where_it_is_asked_for_with_the_next_page_in_the_headers(api: Api) -> None:
    answer = api.get(f"{DAYS}/{DAY}/predictions", accept="text/csv", limit=2, probabilities="all")
    rows = [*csv.DictReader(io.StringIO(answer.text))]
    assert answer.headers["content-type"].startswith("text/csv")
    assert len(rows) == 2
    assert f"cursor={answer.headers['x-next']}" in answer.headers["link"]
    every = [float(value) for name, value in rows[0].items() if name.startswith("probability_")]
    assert max(every) == pytest.approx(float(rows[0]["probability"]), abs=1e-5)
    (as_json, _) = api.read(f"{DAYS}/{DAY}/predictions", limit=2, probabilities="all")["rows"]
    assert [*as_json["probabilities"].values()] == pytest.approx(every)


def test_csv_for_a_spreadsheet_has_nothing_that_it_would_compute(api: Api) -> None:
    address = f"{DAYS}/{DAY}/rejects"
    exact, marked = (api.get(address, format="csv", **more).text for more in ({}, {"spreadsheet": "true"}))
    assert [row["raw"] for row in csv.DictReader(io.StringIO(exact))] == ["one;field", "=one;@field"]
    assert [row["raw_marked"] for row in csv.DictReader(io.StringIO(marked))] == ["one;field", "'=one;'@field"]
    assert "is for CSV" in problem(api.get(address, spreadsheet="true"), 422)["detail"]


def test_rejects_are_asked_for_by_rule_and_file(api: Api) -> None:
    address = f"{DAYS}/{DAY}/rejects"
    first, second = api.read(address, rule="field_count", file="dirty.csv")["rows"]
    assert (first["line"], first["raw"], second["line"]) == (1, "one;field", 2)
    assert api.read(address, rule="type")["rows"] == []
    assert [len(page["rows"]) for page in api.pages(address, limit=1)] == [1, 1]


def test_a_cursor_of_a_day_that_was_published_again_says_to_begin_anew(home: Home, api: Api) -> None:
    listing = list_parts(DAY, home.lake.predictions)
    name = f"transactions/predictions?{Only().mark}"
    cursor = write_cursor(name, replace(listing, versions=(0,)), Place(0, 5))
    told = problem(api.get(f"{DAYS}/{DAY}/predictions", cursor=cursor), 410)
    assert told["detail"] == f"{DAY} was published again since this cursor was given: begin without one."
    assert told["errors"][0]["where"] == "query.cursor"


def test_a_cursor_is_for_the_list_that_it_was_given_for(api: Api) -> None:
    """Else the rows of another filter would begin in the middle, and nobody would see that some are missing."""
    address = f"{DAYS}/{DAY}/predictions"
    cursor = api.read(address, limit=1, min_probability=0.2)["next"]
    assert api.read(address, limit=1, min_probability=0.2, cursor=cursor)["rows"]
    for other in ({}, {"min_probability": 0.3}, {"max_probability": 0.2}, {"file": "dirty.csv"}):
        told = problem(api.get(address, **other, cursor=cursor), 422)
        assert "of another list, or of other rows of it" in told["detail"]
    assert problem(api.get(f"{DAYS}/{DAY}/rejects", cursor=cursor), 422)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/v1/use-cases/nope/days", 404, "there are: transactions"),
        (f"{DAYS}/2026-02-30", 422, "expected a day, YYYY-MM-DD"),
        (f"{DAYS}/2025-01-01", 404, f"from {BEFORE} to {DAY}"),
        (f"{DAYS}/{BEFORE}/predictions", 404, f"published are 1 days from {DAY} to {DAY}"),
        (f"{DAYS}/{DAY}/predictions?cursor=x", 422, "this is no cursor"),
        (f"{DAYS}?cursor=x", 422, "this is no cursor"),
        (f"{DAYS}?from=2026-02-30", 422, "expected a day, YYYY-MM-DD"),
        (f"{DAYS}/{DAY}/predictions?clas=FOOD", 422, "there is no such parameter"),
    ],
)
def test_what_there_is_not_is_told(api: Api, path: str, status: int, said: str) -> None:
    address, _, query = path.partition("?")
    told = problem(api.get(address, **dict([query.split("=")] if query else [])), status)
    assert said in " ".join([told["detail"], *(one["message"] for one in told.get("errors", ()))])


def test_probabilities_that_were_not_kept_are_told_with_what_keeps_them(settings: Settings) -> None:
    lake = Lake(settings.lake, "toy")
    predicted(lake, purchases(10), day="2026-01-31")
    api = Api.of(Workspace(settings), toy())
    told = problem(api.get("/v1/use-cases/toy/days/2026-01-31/predictions", probabilities="all"), 409)
    assert "`scoring: {probabilities: all}`" in told["detail"]


def test_a_day_is_late_once_its_deadline_is_over_and_red_where_a_lamp_is(home: Home) -> None:
    """The clock decides, so it is given; without a champion nothing is predicted, and nothing is late."""
    with state_in(home.folder):
        workspace = Workspace.from_environment()
    stores = workspace.of(home.use_case.model_copy(update={"deadline": "06:30 UTC"}))
    before, after = (dt.datetime(2026, 1, 2, 6, minute, tzinfo=dt.UTC) for minute in (29, 31))
    assert short_record(Known.of(stores, after), BEFORE)["state"] == "missing", "there is no champion"
    stores.history.append("promote", 1, "somebody", "a test", "", hashes=Hashes("a", "b", "c"))
    assert [short_record(Known.of(stores, now), BEFORE)["state"] for now in (before, after)] == ["missing", "late"]
    # a day that nobody delivered is late, too
    later = Known.of(stores, dt.datetime(2026, 1, 4, 7, tzinfo=dt.UTC))
    assert [(day, short_record(later, day)["state"]) for day in later.days("2026-01-03")] == [("2026-01-03", "late")]
    lamp = Lamp("rows.city", "red", "nulls", 0.5, 0.01, 0.02, "rows", "city", "`city` is empty.", "", DAY)
    published = stores.lake.predictions.days()[DAY]
    keep(stores.use_case, stores.lake, Judged(DayVerdict(DAY, "the training rows", (lamp,)), (), 1, published.version))
    (red,) = Api.of(workspace, stores.use_case).read(DAYS, **{"from": DAY, "to": DAY})["days"]
    assert (red["state"], red["predictions"] > 0) == ("red", True), "it is published all the same"
    assert "`city` is empty." in red["why"][0]
    told = Api.of(workspace, stores.use_case).read(f"{DAYS}/{DAY}")["drift"]
    assert (told["red"], told["lamps"]) == (True, {"rows.city": "red"})
    assert told["red_lamps"][0]["advice"].startswith("Look whether the column is still delivered")
