"""Days as pages: a calendar, a day that adds up, and a button that runs it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from mlops_assets.serving.app import make_app
from mlops_assets.serving.entrance.keys import new_key
from mlops_assets_tests.helpers.asked_api import Api
from mlops_assets_tests.helpers.browser import chromium, keep_picture, needs_chromium, visit
from mlops_assets_tests.helpers.fake_dagster import FakeDagster, fake_dagster
from mlops_assets_tests.helpers.shown_home import (
    DAMAGED,
    HOSTILE,
    LATE,
    LEARNED,
    REFUSED,
    TODAY,
    YESTERDAY,
    Shown,
    shown_home,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DAYS = "/pages/transactions/days"


@pytest.fixture(scope="module")
def home() -> Iterator[Shown]:
    with shown_home() as home:
        yield home


@pytest.fixture(scope="module")
def api(home: Shown) -> Api:
    return Api(make_app(home.service()))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def dagster() -> Iterator[FakeDagster]:
    with fake_dagster() as fake:
        yield fake


def text_of(api: Api, path: str, **query: str) -> str:
    """What a person reads on a page."""
    answer = api.get(path, **query)
    assert answer.status == 200, answer.text
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def test_a_use_case_begins_with_its_days(api: Api) -> None:
    answer = api.get("/pages/transactions")
    assert (answer.status, answer.headers["location"]) == (303, DAYS)
    assert api.get("/pages/nothing").status == 404
    assert api.get(f"{DAYS}/2026-13-01").status == 404
    assert "there is something of days from" in api.get(f"{DAYS}/2001-01-01").text


def test_every_day_is_a_link_with_its_state_in_words(api: Api) -> None:
    page = api.get(DAYS).text
    found = dict(re.findall(rf'href="{DAYS}/([\d-]+)" class="day \w+"[^>]*>\d+ <small>(\w+)</small>', page))
    assert found == {
        LEARNED: "done",
        REFUSED: "red",
        DAMAGED: "red",
        LATE: "late",
        YESTERDAY: "done",
        TODAY: "missing",
    }


def test_what_is_red_or_late_is_listed_with_its_reason(api: Api) -> None:
    listed = text_of(api, DAYS).partition("Red and late")[2].partition("Calendar")[0]
    assert [day for day in (REFUSED, DAMAGED, LATE, YESTERDAY) if day in listed] == [REFUSED, DAMAGED, LATE]
    assert "of lines rejected, allowed 20.00%" in listed
    assert "empty in 100 % of rows" in listed
    assert "its deadline is over" in listed


def test_days_are_chosen_by_from_and_to(api: Api) -> None:
    page = api.get(DAYS, **{"from": LATE, "to": ""}).text
    assert f"{DAYS}/{YESTERDAY}" in page
    assert f"{DAYS}/{DAMAGED}" not in page
    assert "There is no day between these two" in text_of(api, DAYS, to="2001-01-01")
    assert api.get(DAYS, to="never").status == 422


def test_a_use_case_without_days_says_what_to_run(api: Api) -> None:
    assert "mlops-assets run loan_approval" in text_of(api, "/pages/loan_approval/days")


def test_a_day_adds_up_before_ones_eyes(home: Shown, api: Api) -> None:
    said, rows = text_of(api, f"{DAYS}/{YESTERDAY}"), home.rows_of(YESTERDAY)
    assert "files 25 = 25 read + 0 refused yes" in said
    assert f"lines {rows + 2} = {rows} rows + 2 rejected yes" in said
    assert f"rows {rows} = {rows} predictions + 0 without a prediction yes" in said
    assert f"{2 / (rows + 2):.2%} of lines rejected, allowed 20.00%" in said
    assert "Deadline" in said


def test_what_was_refused_stands_there_as_text(api: Api) -> None:
    page = api.get(f"{DAYS}/{YESTERDAY}").text
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert HOSTILE.partition("\x1b")[0] in html.unescape(page)
    assert f'href="/pages/transactions/data/rejects?day={YESTERDAY}"' in page


def test_a_day_leads_on_to_its_model_its_lamps_and_its_run(api: Api) -> None:
    page = api.get(f"{DAYS}/{DAMAGED}").text
    assert 'href="/pages/transactions/models/1"' in page
    assert f'href="/pages/transactions/drift?day={DAMAGED}"' in page
    assert f'href="http://127.0.0.1:3000/runs/run-of-{DAMAGED}"' in page
    assert "Share of the rows that each class was said of" in page
    assert "model_input." in page


def test_a_day_that_is_not_there_says_what_to_run(api: Api) -> None:
    said = text_of(api, f"{DAYS}/{LATE}")
    assert "no files of it came" in said
    assert f"mlops-assets run transactions --from {LATE} --to {LATE}" in said
    assert "The predictions of this day" not in said


def test_nobody_is_told_of_a_run_that_is_not_of_the_day(home: Shown, dagster: FakeDagster) -> None:
    api = Api(make_app(home.service(dagster.address)))
    said = text_of(api, f"{DAYS}/{YESTERDAY}", run="<b>made up</b>")
    assert "Dagster knows no such run of this day." in said
    assert "made up" not in said
    assert api.post(f"{DAYS}/{YESTERDAY}/run", b"", "application/x-www-form-urlencoded").status == 403
    assert dagster.runs == {}


@needs_chromium
def test_somebody_finds_the_red_day_and_runs_it_again(
    home: Shown, dagster: FakeDagster, browser: Browser, tmp_path: Path
) -> None:
    with home.served(dagster.address) as server, visit(browser, server.url) as visitor:
        visitor.page.clock.install()
        page = visitor.go("/pages/")
        page.get_by_text("Yesterday can be trusted in 1 of 1 use case.").wait_for()
        visitor.see_accessible()
        keep_picture(visitor, "overview", tmp_path)
        page.get_by_role("link", name="transactions").last.click()
        page.get_by_role("heading", name="Days of transactions").wait_for()
        visitor.see_accessible()
        keep_picture(visitor, "days", tmp_path)
        page.get_by_role("link", name=f"{DAMAGED}", exact=True).first.click()
        page.get_by_role("heading", name="Accounting").wait_for()
        visitor.see_accessible()
        keep_picture(visitor, "day", tmp_path)
        page.get_by_role("button", name="Run this day").click()
        page.get_by_role("status").get_by_text("under way").wait_for()
        (run,) = dagster.runs
        assert {"key": "dagster/partition", "value": DAMAGED} in dagster.runs[run]["tags"]
        assert page.get_by_role("link", name="The run in Dagster").get_attribute("href") == (
            f"{dagster.address}/runs/{run}"
        )
        dagster.end(run, "SUCCESS")
        page.clock.fast_forward(3_000)  # after which it asks by itself
        page.get_by_role("status").get_by_text("done", exact=True).wait_for()


@needs_chromium
def test_on_a_phone_without_javascript_or_dagster_a_day_says_what_to_run(home: Shown, browser: Browser) -> None:
    with (
        home.served("http://127.0.0.1:9") as server,
        visit(browser, server.url, javascript=False, phone=True) as visitor,
    ):
        page = visitor.go(DAYS)
        page.get_by_label("From").fill(YESTERDAY)
        page.get_by_role("button", name="Show").click()
        page.get_by_role("link", name=re.compile(rf"^{YESTERDAY[8:]} done")).wait_for()
        page.goto(f"{server.url}{DAYS}/{TODAY}")
        page.get_by_role("button", name="Run this day").click()
        page.get_by_text("Nothing was started. Dagster's webserver at").wait_for()
        assert f"mlops-assets run transactions --from {TODAY} --to {TODAY}" in page.content()
        visitor.said.clear()  # the browser tells of the 503


def test_who_may_only_read_is_shown_no_button(home: Shown) -> None:
    key, entry = new_key("ann", frozenset({"read"}))
    with home.served(keys=[entry]) as server:
        page = httpx.get(f"{server.url}{DAYS}/{YESTERDAY}", headers={"X-Api-Key": key}, trust_env=False)
        assert page.status_code == 200
        assert "Run this day" not in page.text
