"""Drift and quality: what is red of a day in words, the rows behind it, its columns, and the days before it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import pytest

from mlops_assets.monitoring.kept import Judged, keep
from mlops_assets.monitoring.lamp import DayVerdict, Lamp
from mlops_assets.monitoring.verdicts import Watcher
from mlops_assets.views.drift import first_line
from mlops_assets_tests.helpers.asgi import Answer
from mlops_assets_tests.helpers.asked_api import Api
from mlops_assets_tests.helpers.browser import chromium, keep_picture, needs_chromium, visit
from mlops_assets_tests.helpers.damaged_day import damage_amounts, publish
from mlops_assets_tests.helpers.evil import TERMINAL, unseen
from mlops_assets_tests.helpers.shown_home import REFUSED, TODAY, YESTERDAY, Shown, shown_copy

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGE = "/pages/transactions/drift"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A home whose newest day lost the decimal comma of its amounts."""
    with shown_copy(tmp_path_factory.mktemp("drift") / "home") as shown:
        damage_amounts(shown, TODAY)
        publish(shown, TODAY)
        yield shown


@pytest.fixture
def api(home: Shown) -> Api:
    return Api.of(home.workspace, home.use_case)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def words(html: str) -> str:
    """What is read of a piece of a page."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def table(html: str, caption: str) -> list[list[str]]:
    """The cells of the table whose caption begins so."""
    (found,) = [one for one in html.split("<table")[1:] if f"<caption>{caption}" in one]
    body = found.partition("<tbody>")[2].partition("</table>")[0]
    lines = [re.findall(r"<t[hd](?: [^>]*)?>(.*?)</t[hd]>", line, re.DOTALL) for line in body.split("</tr>")]
    return [[*map(words, line)] for line in lines if line]


def links(html: str, page: str) -> list[str]:
    """The addresses of links that begin so."""
    return [link for link in map(unescape, re.findall(r'href="([^"]*)"', html)) if link.startswith(page)]


def follow(api: Api, link: str) -> Answer:
    """What a link leads to."""
    path, _, query = link.partition("?")
    return api.get(path, **dict(parse_qsl(query)))


def test_the_newest_day_is_shown_and_begins_as_the_command_does(home: Shown, api: Api) -> None:
    told = first_line([Watcher(home.stores).explain(TODAY)])
    answer = api.get(PAGE)
    assert answer.status == 200
    assert told.startswith(f"{TODAY}: `amount` has moved by")
    assert f"red {told}".replace("`", "") in words(re.sub("</?code>", "", answer.text))


def test_lamps_are_a_table_in_words_red_ones_first(api: Api) -> None:
    lamps = table(api.get(PAGE).text, f"Lamps of {TODAY}")
    states = [line[0] for line in lamps]
    assert states == sorted(states, reverse=True)
    state, name, figure, value, threshold, _, since, severity = lamps[0]
    assert (state, name, figure, since, severity) == ("red", "rows.amount", "moved", TODAY, "warning")
    assert float(value) > float(threshold)
    every = table(api.get(f"{PAGE}/lamps", day=TODAY).text, "All ")
    assert [*zip(*lamps, strict=True)][1] == [*zip(*[one for one in every if one[0] != "grey"], strict=True)][1][
        : len(lamps)
    ]
    assert lamps[1][-1] == "warning, follows from rows.amount"


def test_the_rows_behind_a_red_lamp_are_one_click_away(api: Api) -> None:
    html = api.get(PAGE).text
    behind = html.partition("rows behind it</h2>")[2].partition("<h2>")[0]
    assert "What to do: Compare the example rows with the files" in words(behind)
    rows = links(behind, "/pages/transactions/predictions/row?")[:3]
    assert [bool(re.search(rf"day={TODAY}&file=transactions-\d+.csv&line=\d+$", row)) for row in rows] == [True] * 3
    assert links(behind, f"/pages/transactions/predictions?day={TODAY}&file=")
    assert links(behind, f"/pages/transactions/predictions?day={TODAY}&account=")


def test_every_lamp_has_a_page_with_its_rows_its_values_and_the_days_before(api: Api) -> None:
    pages = dict.fromkeys(links(api.get(PAGE).text, f"{PAGE}/lamp?"))
    first, last = follow(api, next(iter(pages))), follow(api, next(reversed(pages)))
    assert (first.status, last.status) == (200, 200)
    html = first.text
    assert table(html, "Example rows of rows.amount")
    days = table(html, "This lamp, day by day")
    assert [(line[0], line[1]) for line in days[:2]] == [(TODAY, "red"), (YESTERDAY, "green")]
    assert float(days[0][3]) > 1 > float(days[1][3])
    assert api.get(f"{PAGE}/lamp", day=TODAY, name="nobody").status == 404


def test_columns_are_small_charts_with_their_numbers_and_the_page_stays_light(api: Api) -> None:
    html = api.get(PAGE).text
    assert len(zlib.compress(html.encode())) < 15_000
    titles = [words(one) for one in re.findall(r"<figcaption>(.*?)</figcaption>", html)]
    assert titles[0] == "what the model says red"
    more = re.search(r"(\d+) more columns", html)
    assert more is not None
    every = api.get(f"{PAGE}/columns", day=TODAY).text
    assert every.count("<figure") == len(titles) + int(more[1])
    some = api.get(f"{PAGE}/columns", day=TODAY, name="amount").text
    assert 0 < some.count("<figure") < len(titles)


def test_the_last_28_days_are_a_grid_and_each_day_that_is_known_a_link(api: Api) -> None:
    grid = api.get(PAGE).text.partition('<table class="by-day">')[2]
    assert len(table('<table class="by-day">' + grid, "Lamps of the last 28 days")) == 10
    assert links(grid, f"{PAGE}?day=")[-2:] == [f"{PAGE}?day={YESTERDAY}", f"{PAGE}?day={TODAY}"]
    (moved,) = [line for line in table('<table class="by-day">' + grid, "Lamps of the last") if line[0] == "moved"]
    assert moved[-1].endswith(" red")
    assert moved[-2].endswith("green")
    assert moved[1] == "", "it was not published"


def test_a_day_is_compared_with_what_is_asked_for(api: Api) -> None:
    told = words(api.get(PAGE, day=TODAY, against=YESTERDAY).text)
    assert f"on {YESTERDAY})" in told
    assert f"usual: {YESTERDAY}" in told
    assert "counted no day of" in words(api.get(PAGE, day=TODAY, against="last-week").text)


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ({"day": "2026-02-30"}, 422, "expected a day"),
        ({"day": TODAY, "against": "luck"}, 422, "`luck` is none of training, trailing, last-week"),
        ({"day": TODAY, "against": TODAY}, 422, "is the day itself"),
        ({"day": "2020-01-01"}, 404, "mlops-assets run transactions --from 2020-01-01"),
    ],
    ids=["no day", "no comparison", "itself", "not published"],
)
def test_what_cannot_be_shown_is_said(query: dict[str, str], status: int, said: str, api: Api) -> None:
    answer = api.get(PAGE, **query)
    assert (answer.status, said in words(answer.text)) == (status, True)


def test_a_day_that_was_kept_back_is_shown_as_it_was_and_hostile_names_are_text(home: Shown, api: Api) -> None:
    evil = f'<script>alert("{TERMINAL}")</script>'
    lamp = Lamp(f"rejects.{evil}", "red", "rejects", 0.5, 0.01, 0.0, "rejects", "", f"Many were refused: {evil}.")
    keep(home.use_case, home.stores.lake, Judged(DayVerdict(REFUSED, "the training rows", (lamp,)), version=1))
    html = api.get(PAGE, day=REFUSED).text
    assert "kept back" in words(html)
    assert "&lt;script&gt;" in html
    assert "<script>" not in html
    assert unseen(html) == []
    (page,) = dict.fromkeys(links(html, f"{PAGE}/lamp?"))
    assert follow(api, page).status == 200


def test_behind_a_red_lamp_of_rejects_are_rejects_and_no_rows(home: Shown, api: Api) -> None:
    rule = next(iter(home.stores.lake.rows.days()[REFUSED].accounting.rules))
    lamp = Lamp(f"rejects.{rule}", "red", "rejects", 0.5, 0.01, 0.0, "rejects", "", "Many were refused.")
    keep(home.use_case, home.stores.lake, Judged(DayVerdict(REFUSED, "the training rows", (lamp,)), version=1))

    html = api.get(PAGE, day=REFUSED).text

    assert links(html, "/pages/transactions/predictions?") == []
    assert links(html, "/pages/transactions/predictions/row") == []
    some = links(html, f"/pages/transactions/data/rejects?day={REFUSED}&rule={rule}&file=transactions")
    assert some
    assert f"Shown are those of the rule {rule} of the file" in words(follow(api, some[0]).text)


def test_of_a_use_case_without_days_is_said_what_to_run(home: Shown) -> None:
    answer = Api(home_app(home)).get("/pages/loan_approval/drift")
    assert "mlops-assets run loan_approval" in words(answer.text)


def home_app(home: Shown) -> object:
    from mlops_assets.serving.app import make_app

    return make_app(home.service())


@needs_chromium
def test_a_person_sees_the_lamp_go_red_after_a_damaged_day(browser: Browser, tmp_path: Path) -> None:
    with shown_copy(tmp_path / "home") as shown, shown.served() as api:
        with visit(browser, api.url) as visitor:
            page = visitor.go(PAGE)
            page.get_by_text(f"{YESTERDAY}: All ").wait_for()
            assert page.locator("p.said .lamp.green").count() == 1
            damage_amounts(shown, TODAY)
            publish(shown, TODAY)
            page.reload()
            page.get_by_text(f"{TODAY}: amount has moved by").wait_for()
            assert page.locator("p.said .lamp.red").count() == 1
            assert page.get_by_role("link", name="Open row 1").first.is_visible()
            keep_picture(visitor, "drift", tmp_path)
            page.get_by_label("Day", exact=True).fill(YESTERDAY)
            page.get_by_role("button", name="Show").click()
            page.get_by_text(f"{YESTERDAY}: All ").wait_for()
            assert f"day={YESTERDAY}" in page.url
            page.go_back()
            page.get_by_text(f"{TODAY}: amount has moved by").wait_for()
            page.locator("summary", has_text="more columns").click()
            visitor.see_accessible()
            page.get_by_role("link", name="Show all columns").click()
            page.locator("#more figure").first.wait_for()
            page.get_by_role("link", name="rows.amount").first.click()
            page.get_by_role("heading", name="The rows behind it").wait_for()
            visitor.see_accessible()
        with visit(browser, api.url, javascript=False, phone=True) as visitor:
            page = visitor.go(PAGE)
            width = page.locator("main").bounding_box()
            assert width is not None
            assert width["width"] <= 390
            page.locator("summary", has_text="more columns").click()
            page.get_by_role("link", name="Show all columns").click()
            assert page.locator("#panels figure").count() > 12


@pytest.mark.long
@needs_chromium
def test_all_columns_together_are_as_accessible_as_some(home: Shown, browser: Browser) -> None:
    with home.served() as api, visit(browser, api.url) as visitor:
        page = visitor.go(f"{PAGE}?day={TODAY}")
        page.locator("summary", has_text="more columns").click()
        page.get_by_role("link", name="Show all columns").click()
        page.locator("#more figure").first.wait_for()
        visitor.see_accessible()
