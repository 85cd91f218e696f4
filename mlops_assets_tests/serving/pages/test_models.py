"""Models in a browser: how versions do beside each other, what one would change, and who decides."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from mlops_assets.journey.model import changing
from mlops_assets.serving.answering.champions import Champions
from mlops_assets.serving.app import make_app
from mlops_assets.serving.comparing import Comparer
from mlops_assets.serving.entrance.callers import Caller
from mlops_assets.serving.entrance.doors import Entrance
from mlops_assets.serving.entrance.keys import Key, Keys, new_key
from mlops_assets.serving.service import Service
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.asgi import HOST, Answer, ask
from mlops_assets_tests.helpers.browser import chromium, keep_picture, needs_chromium, visit
from mlops_assets_tests.helpers.fake_dagster import FakeDagster, fake_dagster
from mlops_assets_tests.helpers.served_home import behind_a_server
from mlops_assets_tests.helpers.toy import DAY, toy
from mlops_assets_tests.helpers.versions import copy_of, decided_home

if TYPE_CHECKING:
    from playwright.sync_api import Page

MODELS = "/pages/toy/models"
BROWSER = "one-browser"
ASKS_AGAIN = 3_000
"""Milliseconds after which the page asks by itself how a run stands."""
SCRIPT = "<script>document.title='PWNED'</script>"


@dataclass(frozen=True)
class Pages:
    """The pages of `toy`, where ann signed in, and the Dagster that they ask."""

    workspace: Workspace
    dagster: FakeDagster
    app: Any

    def get(self, path: str = "", **query: Any) -> str:
        """What is read on a page that is there."""
        answer = ask(self.app, "GET", f"{MODELS}{path}?{urlencode(query)}", (HOST,))
        assert answer.status == 200, answer.text
        return words(answer)

    def send(self, path: str, token: str = BROWSER, **fields: Any) -> Answer:
        """Send a form."""
        kind = ("Content-Type", "application/x-www-form-urlencoded")
        headers = (HOST, kind, ("Cookie", f"mlops_form={BROWSER}"))
        return ask(self.app, "POST", f"{MODELS}{path}", headers, [urlencode({"token": token, **fields}).encode()])

    def end(self, status: str = "SUCCESS") -> None:
        """Have the run that was started do what it was told, as Dagster would; or fail."""
        (run,) = self.dagster.runs.values()
        (told,) = run["config"]["ops"].values()
        stores, config = self.workspace.of(toy()), told["config"]
        if status == "SUCCESS" and run["jobName"] == "toy_promote":
            number, override = config["version"], config["override"]
            changing.promote(stores.registry, toy(), number, config["who"], config["why"], override=override)
        elif status == "SUCCESS":
            changing.roll_back(stores.registry, toy(), config["who"], config["why"])
        self.dagster.end(run["runId"], status)


def words(answer: Answer) -> str:
    """What a person reads: without tags, one blank between words."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.text)))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("decided")
    with decided_home(home):
        return home


@contextmanager
def pages_of(home: Path, folder: Path) -> Iterator[Pages]:
    with copy_of(home, folder) as copied, fake_dagster() as dagster:
        workspace = Workspace(replace(copied.settings, dagster_url=dagster.address))
        service = Service(workspace, {"toy": toy()}, Champions(workspace))
        yield Pages(workspace, dagster, make_app(service, Entrance(local=Caller("ann"))))


@pytest.fixture
def pages(first: Path, tmp_path: Path) -> Iterator[Pages]:
    with pages_of(first, tmp_path / "home") as made:
        yield made


@pytest.fixture(scope="module")
def unchanged(first: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """Pages that no test changes anything by."""
    with pages_of(first, tmp_path_factory.mktemp("unchanged") / "home") as made:
        yield made


def test_each_version_stands_there_with_its_metrics_the_baseline_and_what_the_gate_said(unchanged: Pages) -> None:
    read = unchanged.get()
    assert "Version 2 is champion" in read
    for line in (
        "4 waits for a decision linear passes: accuracy 0.750, baseline 0.302 linear 0.750 0.302 0.500 1.200 1,000",
        "3 refused by the gate refused: the best candidate, linear, fails floor of accuracy: found 0.512",
        "2 champion linear passes: accuracy 0.720",
        "1 was champion linear passes: accuracy 0.710",
        "accuracy on held-out rows, by version",
    ):
        assert line in read
    best = unchanged.get(sort="best")
    assert [best.index(f"accuracy {value}, baseline") for value in ("0.750", "0.720", "0.710")] == sorted(
        best.index(f"accuracy {value}, baseline") for value in ("0.750", "0.720", "0.710")
    )


def test_a_card_shows_how_sure_its_accuracy_is_and_why_it_was_refused(unchanged: Pages) -> None:
    read = unchanged.get("/3")
    assert "refused by the gate" in read
    assert "NO floor of accuracy at least 0.620 0.512" in read
    assert "accuracy 0.512 0.302 0.481 to 0.543 share of rows that are answered right" in read
    assert "11 of 11 rows of MONEY were said to be MONEY" in html.unescape(
        ask(unchanged.app, "GET", f"{MODELS}/3", (HOST,)).text
    )


def test_two_versions_stand_side_by_side_with_the_rows_that_change(unchanged: Pages) -> None:
    read = unchanged.get("/diff", before=2, after=4)
    assert "accuracy 0.720 0.691 to 0.747 0.750 0.722 to 0.776 +0.030 better" in read
    assert "Choose a day" in read
    compared = unchanged.get("/diff", before=2, after=4, day=DAY)
    assert f"toy, {DAY}: version 4 against version 2" in compared
    assert re.search(r"\b21 of 60 rows \(35.00%\) get another answer", compared), compared
    assert "FUEL FOOD 21" in compared
    answer = ask(unchanged.app, "GET", f"{MODELS}/diff?before=2&after=4&day={DAY}", (HOST,))
    assert f'href="/pages/toy/predictions/row?day={DAY}&amp;file=000.csv&amp;line=1"' in answer.text


def test_a_day_that_is_not_compared_here_names_the_command_that_does(unchanged: Pages) -> None:
    read = unchanged.get("/diff", before=2, after=4, day="2026-01-05")
    assert "There are no rows of 2026-01-05" in read
    assert "mlops-assets diff toy --day 2026-01-05 --candidate 4 --against 2 -o diff.html" in read
    stores = unchanged.workspace.of(toy())
    versions = [stores.registry.version("toy", number) for number in (2, 4)]
    found, missing = Comparer(most_rows=59).compare(stores, DAY, *versions)
    assert found is None
    assert missing.startswith(f"{DAY} has 60 rows, more than the 59 that are compared while you wait")


def test_a_promotion_starts_the_run_in_the_name_of_who_asks_and_the_page_tells_how_it_stands(pages: Pages) -> None:
    answer = pages.send("/promote", version=4, why="better on small accounts")
    (run,) = pages.dagster.runs
    assert (answer.status, answer.headers["location"]) == (303, f"{MODELS}?run={run}")
    (told,) = pages.dagster.runs[run]["config"]["ops"].values()
    assert told["config"] == {
        "version": 4,
        "why": "better on small accounts",
        "override": False,
        "who": "ann (pages)",
    }
    under_way = pages.get(run=run)
    assert "Promotion: under way" in under_way
    assert "Look again" in under_way
    assert "Approve" not in under_way
    pages.end()
    done = pages.get(run=run)
    assert "Promotion: done" in done
    assert "Version 4 is champion" in done
    assert "ann (pages) 4 became champion 2 better on small accounts" in done
    text = ask(pages.app, "GET", MODELS, (HOST,)).text
    assert re.findall(r'value="(\d+)" selected', text) == ["4", "3"], "the newest is not compared with itself"


def test_a_run_that_failed_says_why(pages: Pages) -> None:
    pages.send("/rollback", why="worse")
    (run,) = pages.dagster.runs
    step = {"stepKey": "toy_roll_back", "failureMetadata": {"description": "MLflow is away"}}
    pages.dagster.events = [{"__typename": "ExecutionStepFailureEvent", **step}]
    pages.end("FAILURE")
    assert "Rollback: failed" in pages.get(run=run)
    assert "toy_roll_back : MLflow is away" in pages.get(run=run)


def test_a_refusal_is_kept_with_who_and_why_and_nobody_is_asked_again(pages: Pages) -> None:
    assert pages.send("/refuse", version=4, why=SCRIPT).status == 303
    read = pages.get()
    assert "waits" not in read
    assert f"4 refused by a person linear passes: accuracy 0.750, baseline 0.302 ann (pages) : {SCRIPT}" in read
    assert f"ann (pages) 4 was refused – {SCRIPT}" in read  # noqa: RUF001
    assert SCRIPT not in ask(pages.app, "GET", MODELS, (HOST,)).text
    told = json.loads(ask(pages.app, "GET", "/v1/use-cases/toy/models", (HOST,)).text)
    assert (told["waiting"], told["champion"]) == (None, 2)
    refused = told["versions"][3]["refused"]
    assert (refused["who"], refused["why"]) == ("ann (pages)", SCRIPT)
    again = pages.send("/refuse", version=4, why="again")
    assert (again.status, "was refused already" in words(again)) == (409, True)


def test_who_overrules_a_refusal_promotes(pages: Pages) -> None:
    pages.send("/refuse", version=4, why="too early")
    assert pages.send("/promote", version=4, why="the time has come").status == 303
    pages.end()
    read = pages.get()
    assert read.index("4 became champion 2 the time has come") < read.index("4 was refused")


def test_where_dagster_is_not_there_the_page_says_so_and_what_to_run(first: Path, tmp_path: Path) -> None:
    with copy_of(first, tmp_path / "home") as copied:
        workspace = Workspace(replace(copied.settings, dagster_url="http://127.0.0.1:9"))
        app = make_app(Service(workspace, {"toy": toy()}, Champions(workspace)))
        away = Pages(workspace, FakeDagster(), app)
        answer = away.send("/promote", version=3, why="it's time", override="true")
        assert answer.status == 503
        read = words(answer)
        assert "Dagster's webserver at http://127.0.0.1:9 does not answer" in read
        assert """mlops-assets promote toy 3 --override --why 'it'"'"'s time'""" in read
        assert 'value="it&#39;s time"' in answer.text
        assert "does not answer" in away.get(run="x")
        # refusing needs no run
        assert away.send("/refuse", version=4, why="worse").status == 303


@pytest.mark.parametrize(
    ("path", "fields", "status", "said"),
    [
        ("/promote", {"version": 4, "why": " "}, 422, "Say why"),
        ("/promote", {"version": "x", "why": "y"}, 422, "Which version?"),
        ("/promote", {"version": 9, "why": "x"}, 404, "There is no version 9"),
        ("/promote", {"version": 2, "why": "x"}, 409, "is champion already"),
        ("/promote", {"version": 3, "why": "x"}, 409, "did not pass the gate"),
        ("/refuse", {"version": 2, "why": "x"}, 409, "is champion: `rollback` takes that back"),
        ("/refuse", {"version": 9, "why": "x"}, 404, "There is no version 9"),
        ("/refuse", {"version": 4, "why": "x", "token": "of another site"}, 403, "was not made for this browser"),
    ],
    ids=["no-reason", "no-number", "unknown", "champion", "gate", "refuse-champion", "refuse-unknown", "foreign"],
)
def test_what_cannot_be_done_is_said_and_nothing_is_changed(
    unchanged: Pages, path: str, fields: dict[str, Any], status: int, said: str
) -> None:
    answer = unchanged.send(path, **fields)
    assert (answer.status, said in words(answer)) == (status, True), words(answer)
    assert unchanged.dagster.runs == {}
    assert unchanged.workspace.of(toy()).history.refusals() == {}


@pytest.mark.parametrize("path", ["/9", "/x", "/" + "9" * 5_000, "/diff?before=1&after=9", "?run=unknown"])
def test_what_is_not_there_is_not_found(unchanged: Pages, path: str) -> None:
    assert ask(unchanged.app, "GET", MODELS + path, (HOST,)).status == 404


def test_who_may_not_write_sees_no_form_and_changes_nothing(unchanged: Pages) -> None:
    text, key = reader()
    service = Service(unchanged.workspace, {"toy": toy()}, Champions(unchanged.workspace))
    app = make_app(service, Entrance(keys=Keys([key])))
    signed_in = (HOST, ("Authorization", f"Bearer {text}"))
    read = words(ask(app, "GET", MODELS, signed_in))
    assert "Your key may look, and not decide" in read
    assert "Approve" not in read
    kind = ("Content-Type", "application/x-www-form-urlencoded")
    assert ask(app, "POST", f"{MODELS}/refuse", (*signed_in, kind), [b"version=4&why=x"]).status == 403


def reader() -> tuple[str, Key]:
    return new_key("bob", frozenset({"read"}))


@needs_chromium
def test_a_person_compares_two_versions_and_promotes_one_and_another_refuses(first: Path, tmp_path: Path) -> None:
    with (
        pages_of(first, tmp_path / "home") as pages,
        behind_a_server(pages.app) as port,
        chromium() as browser,
    ):
        url = f"http://127.0.0.1:{port}"
        with visit(browser, url, javascript=False, phone=True) as visitor:
            page = visitor.go(MODELS)
            assert fits(page)
            page.get_by_role("link", name="Its card").click()
            assert fits(page)
            page.get_by_role("link", name="Beside the champion, version 2").click()
            page.get_by_role("button", name="Compare on this day").click()
            page.get_by_text("21 of 60 rows").wait_for()
            assert fits(page)
        with visit(browser, url) as visitor:
            visitor.page.clock.install()
            page = visitor.go(MODELS)
            visitor.see_accessible()
            keep_picture(visitor, "models", tmp_path)
            for path in ("/4", f"/diff?before=2&after=4&day={DAY}"):
                visitor.go(f"{MODELS}{path}")
                visitor.see_accessible()
            keep_picture(visitor, "models_diff", tmp_path)
            page.get_by_role("link", name="All versions").click()
            page.locator("section.decide").get_by_label("Why").fill("better, see the diff")
            page.get_by_role("button", name="Approve").click()
            page.get_by_text("under way").wait_for()
            visitor.see_accessible()
            pages.end()
            visitor.page.clock.fast_forward(ASKS_AGAIN)
            page.get_by_text("done", exact=True).wait_for()
            page.get_by_role("cell", name="ann (pages)").wait_for()
            page.get_by_role("cell", name="better, see the diff").wait_for()
            page.get_by_text("Version 4").first.wait_for()


def fits(page: Page) -> bool:
    """Whether nothing but what scrolls by itself is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
