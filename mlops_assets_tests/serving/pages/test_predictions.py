"""The pages of predictions: found, read row by row with all that led to them, and corrected where one sees them."""

from __future__ import annotations

import html
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx
import pytest
from markupsafe import escape

from mlops_assets.journey.feedback.corrections import read_accepted
from mlops_assets.journey.score.day import Scorers, score_day
from mlops_assets.serving.app import make_app, make_service
from mlops_assets.serving.entrance.callers import Caller
from mlops_assets.serving.entrance.doors import Entrance
from mlops_assets.serving.pages.site import FORM_COOKIE
from mlops_assets.views.html.addresses import picture_address, row_address, rows_address
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.asgi import HOST, OWN, Answer, ask
from mlops_assets_tests.helpers.browser import chromium, keep_picture, needs_chromium, visit
from mlops_assets_tests.helpers.days import ignore, read_raw
from mlops_assets_tests.helpers.served_home import YESTERDAY, behind_a_server, champions_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAME, DAY = "compound_rings", YESTERDAY.isoformat()
HOSTILE = 'a<script>alert(1)<b>\u202e,"x.json'
NOTE = "<img src=x onerror=alert(2)>\x1b[31m" + "x" * 30_000
TOKEN = secrets.token_urlsafe(12)
ROW = f"/pages/{NAME}/predictions/row"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A home with a published day of compounds, one file of which somebody wrote to do harm."""
    home = tmp_path_factory.mktemp("home")
    with champions_in(home, NAME) as workspace:
        stores = workspace.find(NAME)
        folder = home / "raw" / NAME / f"day={DAY}"
        compounds = json.loads(min(folder.glob("*.json")).read_text("utf-8-sig"))
        bad = [{**compounds[0], "note": NOTE}, {"compound_id": 5, "note": NOTE}]
        (folder / HOSTILE).write_text(json.dumps(bad))
        read_raw(stores.use_case, home / "raw", stores.lake, DAY)
        champion = stores.champion()
        assert champion is not None
        scorers = Scorers(stores.registry.prove(champion))
        score_day(stores.use_case, stores.lake, DAY, scorers, LocalEngine(1), ignore, "the folder")
        yield workspace


class Pages:
    """The pages in this process, for somebody with some rights."""

    def __init__(self, workspace: Workspace, *rights: str) -> None:
        local = Caller("ann", frozenset(rights or ("read", "write")))
        self.app = make_app(make_service(workspace, [NAME]), Entrance(local=local))

    def get(self, address: str) -> Answer:
        return ask(self.app, "GET", address)

    def read(self, address: str) -> str:
        answer = self.get(address)
        assert answer.status == 200, answer.text
        return answer.text

    def post(self, address: str, **fields: object) -> Answer:
        kind = ("Content-Type", "application/x-www-form-urlencoded")
        headers = [HOST, OWN, kind, ("Cookie", f"{FORM_COOKIE}={TOKEN}")]
        return ask(self.app, "POST", address, headers, [urlencode({"token": TOKEN, **fields}).encode()])


@pytest.fixture(scope="module")
def pages(workspace: Workspace) -> Pages:
    return Pages(workspace)


@pytest.fixture(scope="module")
def server(pages: Pages) -> Iterator[str]:
    with behind_a_server(pages.app) as port:
        yield f"http://127.0.0.1:{port}"


def link(page: str, words: str) -> str:
    """Where the link of these words leads."""
    found = re.search(rf'href="([^"]*)"[^>]*>{words}', page)
    assert found, page
    return html.unescape(found[1])


def shown(page: str) -> list[str]:
    """The addresses of the rows of a page."""
    return [html.unescape(one) for one in re.findall(rf'<td><a href="({ROW}[^"]*)"', page)]


def published(workspace: Workspace) -> list[Mapping[str, object]]:
    records: list[Mapping[str, object]] = workspace.find(NAME).lake.predictions.read_all([DAY]).to_pylist()
    return records


def test_the_newest_day_is_shown_with_how_many_rows_it_has(pages: Pages, workspace: Workspace) -> None:
    page, rows = pages.read(f"/pages/{NAME}/predictions"), published(workspace)
    assert f"<strong>{len(rows)}</strong> predictions" in page
    assert shown(page) == [row_address(NAME, DAY, str(row["file"]), int(str(row["line"]))) for row in rows]
    assert "This is the last page" in page


def test_rows_are_found_by_file_account_class_and_probability(pages: Pages, workspace: Workspace) -> None:
    rows = published(workspace)
    one = rows[0]
    file, account, said = (str(one[name]) for name in ("file", "account_id", "prediction"))
    asked = {"file": ("file", file), "account": ("account_id", account), "said": ("prediction", said)}
    for name, (column, value) in asked.items():
        page = pages.read(rows_address(NAME, DAY, **{name: value}))
        assert len(shown(page)) == sum(row[column] == value for row in rows), name
    sure = pages.read(rows_address(NAME, DAY, least=0.6, most=0.9))
    assert len(shown(sure)) == sum(0.6 <= float(str(row["probability"])) <= 0.9 for row in rows)
    assert "No row of" in pages.read(rows_address(NAME, DAY, said="nothing <b>"))


def test_what_a_form_sends_of_empty_fields_asks_for_nothing(pages: Pages) -> None:
    empty = f"/pages/{NAME}/predictions?day=&file=&account=&class=&least=&most="
    assert shown(pages.read(empty)) == shown(pages.read(f"/pages/{NAME}/predictions"))
    assert pages.get(f"/pages/{NAME}/predictions?least=2").status == 422


def test_pages_follow_each_other_and_end(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    every = shown(pages.read(f"/pages/{NAME}/predictions"))
    monkeypatch.setattr("mlops_assets.serving.pages.predictions.ROWS", 10)
    page = pages.read(f"/pages/{NAME}/predictions")
    found = shown(page)
    while 'rel="next"' in page:
        page = pages.read(link(page, "Next page"))
        found += shown(page)
    assert found == every
    assert shown(pages.read(link(page, "First page"))) == every[:10]
    stale = pages.get(rows_address(NAME, DAY, cursor="eHh4"))
    assert (stale.status, "To the first page" in stale.text) == (422, True)


def test_the_same_rows_are_had_as_csv(pages: Pages, workspace: Workspace) -> None:
    said = str(published(workspace)[0]["prediction"])
    answer = pages.get(link(pages.read(rows_address(NAME, DAY, said=said)), "CSV"))
    assert answer.headers["content-type"].startswith("text/csv")
    assert len(answer.text.splitlines()) == 1 + sum(row["prediction"] == said for row in published(workspace))


def test_a_day_that_is_not_published_says_what_to_run(pages: Pages) -> None:
    answer = pages.get(rows_address(NAME, "2020-01-01"))
    assert answer.status == 404
    assert f"mlops-assets run {NAME} --from 2020-01-01 --to 2020-01-01" in answer.text


def test_a_row_tells_all_that_led_to_its_answer(pages: Pages, workspace: Workspace) -> None:
    row = next(row for row in published(workspace) if row["file"] != HOSTILE)
    page = pages.read(row_address(NAME, DAY, str(row["file"]), 1))
    for told in (
        "Probability of each class",
        "in percentage points",
        "Round faces of the size of a ring.",
        "this one stands",
    ):
        assert told in page
    assert "the published one, to the bit" in page
    assert "&#34;compound_id&#34;" in page, "the line as it stands in the file"
    assert "Row before" not in page
    after = pages.read(link(page, "Row after"))
    assert link(after, "Row before").endswith("line=1")


def test_what_somebody_wrote_to_do_harm_is_shown_as_text(pages: Pages) -> None:
    page = pages.read(row_address(NAME, DAY, HOSTILE, 1))
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page.replace(f'value="{escape(HOSTILE)}"', ""), "but where the form sends it back"
    assert "This is its beginning; it is longer." in page
    assert len(page) < 120_000


def test_a_line_without_a_prediction_says_why(pages: Pages) -> None:
    rejected, missing = (pages.get(row_address(NAME, DAY, HOSTILE, line)) for line in (2, 3))
    assert rejected.status == missing.status == 404
    assert "no_picture" in rejected.text
    assert "has no line 3" in missing.text
    assert pages.get(f"{ROW}?day={DAY}").status == 422


def test_a_picture_is_had_by_the_row_that_was_read_with_it(pages: Pages, server: str) -> None:
    page = pages.read(row_address(NAME, DAY, HOSTILE, 1))
    found = re.search(r'<img class="attached" src="([^"]*)"', page)
    assert found
    assert html.unescape(found[1]) == picture_address(NAME, DAY, HOSTILE, 1, "image")
    with httpx.Client(base_url=server, trust_env=False) as client:
        picture, no_picture, no_row = (
            client.get(picture_address(NAME, DAY, HOSTILE, line, column))
            for column, line in (("image", 1), ("compound_id", 1), ("image", 2))
        )
    assert picture.content.startswith(b"\x89PNG")
    assert (picture.headers["content-type"], picture.headers["x-content-type-options"]) == ("image/png", "nosniff")
    assert no_picture.status_code == no_row.status_code == 404


def test_a_correction_is_taken_by_the_rules_of_all_and_the_row_says_it(pages: Pages, workspace: Workspace) -> None:
    row = published(workspace)[-1]
    which = {"day": DAY, "file": row["file"], "line": row["line"]}
    answer = pages.post(ROW, **which, label="3", why="three, <b>one</b> is hidden")
    assert answer.status == 303, answer.text
    page = pages.read(answer.headers["location"].partition("#")[0])
    assert "what you said counts" in page
    assert re.search(r"<td>ann</td><td>3</td><td>three, &lt;b&gt;one&lt;/b&gt; is hidden</td>", page)
    (entry,) = read_accepted(workspace.find(NAME).lake).to_pylist()
    assert (entry["file"], entry["label"], entry["who"]) == (row["file"], "3", "ann")


def test_what_is_refused_is_told_beside_the_form_which_keeps_what_was_typed(pages: Pages) -> None:
    which = {"day": DAY, "file": HOSTILE, "line": 1}
    refused = pages.post(ROW, **which, label="<script>" * 2_000, why="so")
    assert (refused.status, "unknown_label" in refused.text, "<script>" * 2 in refused.text) == (422, True, False)
    assert 'value="so"' in refused.text
    assert "nothing was sent" in pages.post(ROW, **which, label=" ").text
    assert "longer than 500" in pages.post(ROW, **which, label="4", why="x" * 501).text
    assert pages.post(ROW, **which, label="4", token="another").status == 403
    assert pages.post(ROW, day=DAY, file=HOSTILE, line="x", label="4").status == 422


def test_who_may_not_write_is_told_so_and_has_no_form(workspace: Workspace) -> None:
    page = Pages(workspace, "read").read(row_address(NAME, DAY, HOSTILE, 1))
    assert "no right to write" in page
    assert '<form method="post" action="' + ROW not in page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@needs_chromium
@pytest.mark.parametrize("javascript", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_person_finds_a_row_and_corrects_it(
    server: str, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, javascript: bool
) -> None:
    monkeypatch.setattr("mlops_assets.serving.pages.predictions.ROWS", 5)
    why = f"I counted them, with scripts: {javascript}"
    with visit(browser, server, javascript=javascript) as visitor:
        page = visitor.go(f"/pages/{NAME}/predictions")
        page.get_by_label("Probability at least").fill("0.2")
        page.get_by_role("button", name="Show").click()
        page.wait_for_url("**least=0.2**")
        page.get_by_text("those asked for are shown").wait_for()
        if javascript:
            visitor.see_accessible()
            keep_picture(visitor, "predictions", tmp_path)
        page.get_by_role("link", name="Next page").click()
        page.get_by_role("link", name="First page").wait_for()
        page.locator("tbody a").first.click()
        page.get_by_label("It is").fill("2")
        page.get_by_label("Because").fill(why)
        page.get_by_role("button", name="Say so").click()
        page.get_by_role("status").wait_for()
        assert page.get_by_role("cell", name=why).is_visible()
        if javascript:
            assert page.locator("img.attached").evaluate("one => one.naturalWidth") > 0
            visitor.see_accessible()
            keep_picture(visitor, "row", tmp_path)
