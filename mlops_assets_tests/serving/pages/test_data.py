"""The data of a day: what the columns mean, what its rows look like, and what was refused and why."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops_assets.use_case import UseCase
from mlops_assets.views.profile_page import page as single_page
from mlops_assets.views.profiles import profile_day
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.asked_api import Api
from mlops_assets_tests.helpers.browser import chromium, keep_picture, needs_chromium, visit
from mlops_assets_tests.helpers.days import read_raw
from mlops_assets_tests.helpers.homes import state_in
from mlops_assets_tests.helpers.served_home import behind_a_server
from mlops_assets_tests.helpers.watched_home import Home, open_home

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DAY = "2026-01-02"
DATA, REJECTS = "/pages/transactions/data", "/pages/transactions/data/rejects"
EVIL = b"<script>document.title='PWNED'</script>\x1b[31m\xe2\x80\xae"


@pytest.fixture(scope="module")
def home(transactions: UseCase, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A day with 120 refused lines, of which one is hostile, and a file that was refused as a whole."""
    checks = transactions.checks.model_copy(update={"reject_rate": 1.0, "quarantine_rate": 1.0})
    home = open_home(transactions.model_copy(update={"checks": checks}), tmp_path_factory.mktemp("home"))
    folder = home.folder / "raw" / "transactions" / f"day={DAY}"
    lines = min(folder.glob("*.csv")).read_bytes().splitlines(keepends=True)
    (folder / "dirty.csv").write_bytes(lines[0] + lines[1] * 400 + b"one;field\r\n" * 119 + EVIL + b"\r\n")
    (folder / "empty.csv").write_bytes(b"")
    read_raw(home.use_case, home.folder / "raw", home.lake, DAY)
    home.score(DAY)
    return home


@pytest.fixture(scope="module")
def api(home: Home) -> Iterator[Api]:
    with state_in(home.folder):
        yield Api.of(Workspace.from_environment(), home.use_case)


def text(answer: str) -> str:
    """What is read of a page."""
    return html.unescape(re.sub(r"<[^>]*>", " ", answer))


def links(page: str, words: str) -> list[str]:
    """Where the links with these words lead."""
    return [html.unescape(to) for to, said in re.findall(r'<a href="([^"]*)"[^>]*>([^<]*)</a>', page) if words in said]


def test_a_page_has_the_dictionary_of_the_contract_and_the_profile_of_the_newest_day(api: Api) -> None:
    answer = api.get(DATA)
    assert answer.status == 200
    said = text(answer.text)
    assert f"transactions, {DAY}" in said
    assert "City of the merchant, cut to 13 signs" in said
    assert "number in BRL" in said
    assert answer.text.count('class="small"') > 10
    assert "Cramer's V" in said
    assert links(answer.text, "field_count: 120") == [f"{REJECTS}?day={DAY}&rule=field_count"]


def test_a_single_file_shows_the_same_and_leads_nowhere(api: Api, home: Home) -> None:
    with state_in(home.folder):
        found = profile_day(Workspace.from_environment().of(home.use_case), DAY)
    alone, served = single_page(found), api.get(DATA, day=DAY).text
    assert "<a " not in alone
    assert text(alone.partition("<h2>Look at")[2]).split() == text(served.partition("<h2>Look at")[2]).split()


def test_rejects_are_told_by_rule_with_what_to_do(api: Api) -> None:
    page = text(api.get(REJECTS, day=DAY).text)
    assert "of 121 rejects of the day" in page
    assert "the line has too few or too many fields" in page
    assert "Mend the lines and replay them." in page
    assert "No line of it was taken." in page
    assert "whole file" in text(api.get(REJECTS, day=DAY, rule="empty_file").text)


def test_the_rejects_of_a_rule_and_a_file_come_a_page_at_a_time_and_each_once(api: Api) -> None:
    path, lines = f"{REJECTS}?day={DAY}&rule=field_count&file=dirty.csv", list[str]()
    while path:
        address, _, query = path.partition("?")
        page = api.get(address, **dict(re.findall(r"(\w+)=([^&]*)", query))).text
        lines += re.findall(r'<td class="number">(\d+)</td><td>field_count', page)
        path = next(iter(links(page, "Next page")), "")
    assert [int(line) for line in lines] == [*range(401, 521)]


def test_a_hostile_line_is_shown_as_text(api: Api) -> None:
    page = api.get(REJECTS, day=DAY, rule="field_count", file="dirty.csv")
    while after := links(page.text, "Next page"):
        page = api.get(REJECTS, **dict(re.findall(r"(\w+)=([^&]*)", after[0])))
    assert "&lt;script&gt;document.title" in page.text
    assert "\x1b" not in page.text
    assert "\\u001b[31m" in page.text


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        (DATA, {"day": "2020-01-01"}, 404),
        (REJECTS, {"day": "2020-01-01"}, 404),
        (REJECTS, {"cursor": "x"}, 422),
        (REJECTS, {"rules": "x"}, 422),
        ("/pages/nothing/data", {}, 404),
    ],
)
def test_what_is_not_there_is_a_problem(api: Api, path: str, asked: dict[str, str], status: int) -> None:
    assert api.get(path, **asked).status == status


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@needs_chromium
def test_a_person_goes_from_the_data_of_a_day_to_the_lines_that_a_rule_refused(
    api: Api, browser: Browser, tmp_path: Path
) -> None:
    with behind_a_server(api.app) as port, visit(browser, f"http://127.0.0.1:{port}") as visitor:
        page = visitor.go(f"{DATA}?day={DAY}")
        visitor.see_accessible()
        keep_picture(visitor, "data", tmp_path)
        page.get_by_role("link", name="field_count: 120").click()
        page.get_by_role("link", name="Next page").click()
        page.get_by_role("link", name="Next page").click()
        assert "PWNED" not in page.title()
        page.get_by_text("<script>document.title").wait_for()
        visitor.see_accessible()
        keep_picture(visitor, "rejects", tmp_path)
        page.get_by_role("link", name="its rejects").first.click()
        page.get_by_text("of the file dirty.csv").wait_for()


@needs_chromium
def test_a_phone_without_scripts_filters_rejects(api: Api, browser: Browser) -> None:
    with (
        behind_a_server(api.app) as port,
        visit(browser, f"http://127.0.0.1:{port}", javascript=False, phone=True) as one,
    ):
        page = one.go(REJECTS)
        page.locator('select[name="rule"]').select_option("empty_file")
        page.get_by_role("button", name="Show").click()
        page.get_by_role("rowheader", name="empty.csv").wait_for()
