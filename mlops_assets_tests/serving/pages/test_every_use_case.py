"""Every use case that comes with the project: its pages, the API and the commands tell the same numbers of its day."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from mlops_assets.cli.group import cli
from mlops_assets.journey.feedback.audit import draw_audit
from mlops_assets.serving.app import make_app, make_service
from mlops_assets.views.html.render import short
from mlops_assets.workspace import Stores, Workspace
from mlops_assets_tests.helpers.asked_api import Api
from mlops_assets_tests.helpers.browser import chromium, needs_chromium, visit
from mlops_assets_tests.helpers.crawler import Crawler, kind_of
from mlops_assets_tests.helpers.days import read_raw
from mlops_assets_tests.helpers.served_home import (
    DRAWN,
    YESTERDAY,
    behind_a_server,
    champions_in,
    copied_home,
    publish,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DAY = YESTERDAY.isoformat()
EACH = [*DRAWN, pytest.param("loan_approval", marks=pytest.mark.long)]
"""The last one has no champion in the home that others have made, and a training takes seconds."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with copied_home(tmp_path_factory.mktemp("home"), "http://127.0.0.1:9") as workspace:
        yield workspace


@pytest.fixture(params=EACH)
def name(request: pytest.FixtureRequest) -> str:
    """The use case."""
    return str(request.param)


@pytest.fixture
def workspace(first: Workspace, name: str, tmp_path: Path) -> Iterator[Workspace]:
    """A home in which it has published a day, of which something was refused, and rows were drawn to label."""
    with champions_in(tmp_path, name) if name not in DRAWN else nullcontext(first) as workspace:
        stores = workspace.find(name)
        if DAY not in stores.lake.predictions.days():
            _damage(stores)
            publish(stores)
            draw_audit(stores.use_case, stores.lake, DAY)
        yield workspace


def _damage(stores: Stores) -> None:
    """One more file, of which a line is no row or which is none, in front of all others."""
    folder = Path(str(stores.settings.raw)) / stores.use_case.name / f"day={DAY}"
    one = min(path for path in folder.rglob("*") if path.suffix == stores.use_case.files.suffix)
    content = one.read_bytes()
    (one.parent / f"00-damaged{one.suffix}").write_bytes(content + b"broken\n" if one.suffix == ".csv" else b"")
    read_raw(stores.use_case, Path(str(stores.settings.raw)), stores.lake, DAY)


@pytest.fixture
def api(workspace: Workspace, name: str) -> Api:
    return Api(make_app(make_service(workspace, (name,))))


def command(*words: str) -> str:
    """What a command writes."""
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    return done.stdout


def cells(page: str, caption: str) -> list[list[str]]:
    """The texts of a table of a page, line by line."""
    (table,) = re.findall(rf"<caption>{caption}.*?</table>", page, re.S)
    lines = re.findall(r"<tr>(.*?)</tr>", table.partition("<tbody>")[2], re.S)
    return [[_words(one) for one in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", line, re.S)] for line in lines]


def _words(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", text)).strip()


def test_a_day_has_the_same_numbers_on_its_pages_in_the_api_and_in_commands(api: Api, name: str) -> None:
    base, pages = f"/v1/use-cases/{name}/days/{DAY}", f"/pages/{name}"
    told, page = api.read(base), api.get(f"{pages}/days/{DAY}").text
    (status,) = [one for one in json.loads(command("status", name, "--format", "json"))["days"] if one["day"] == DAY]
    counted = ("files", "lines", "rows", "rejected", "predictions")
    assert [told[one] for one in counted] == [status[one] for one in counted]
    sums = {what: int(total.replace(",", "")) for what, total, *_ in cells(page, "What became")}
    assert sums == {one: told[one] for one in ("files", "lines", "rows")}

    by_api = api.read(f"{base}/predictions", limit=50)["rows"]
    by_command = [*csv.DictReader(io.StringIO(command("predictions", name, "--day", DAY, "--format", "csv")))]
    shown = cells(api.get(f"{pages}/predictions", day=DAY).text, "Predictions of")
    said = [_shown(row) for row in by_api]
    assert shown == said
    assert [_shown(row) for row in by_command[:50]] == said
    assert len(by_command) == told["predictions"]

    refused = api.read(f"{base}/rejects")["rows"]
    by_command = [*csv.DictReader(io.StringIO(command("rejects", name, "--day", DAY, "--format", "csv")))]
    assert [(row["file"], row["rule"]) for row in by_command] == [(row["file"], row["rule"]) for row in refused]
    assert len(refused) == told["rejected"] + told["files_refused"] == (name != "transactions")


def _shown(row: dict[str, Any]) -> list[str]:
    """A prediction as the page writes it."""
    file, said, account = (_words(str(short(row[one], most))) for one, most in _CUT)
    return [file, f"{int(row['line']):,}", said, f"{float(row['probability']):.3f}", account]


_CUT = (("file", 60), ("prediction", 40), ("account_id", 40))


def _kinds(crawler: Crawler) -> dict[tuple[str, ...], str]:
    """An address of each kind of page."""
    return {kind_of(page.address): page.address for page in crawler.read("/pages/") if page.seen}


@needs_chromium
@pytest.mark.long
def test_every_page_of_it_is_for_everybody_in_light_and_dark_on_a_phone_and_on_a_desk(
    workspace: Workspace, api: Api, name: str, browser: Browser
) -> None:
    crawler = Crawler(api.app, (workspace.settings.dagster_url,), of_a_kind=1)
    with ThreadPoolExecutor(1) as other:  # the browser has the loop of this one
        pages = other.submit(_kinds, crawler).result()
    assert crawler.wrong == []
    with behind_a_server(api.app) as port:
        for phone in (False, True):
            with visit(browser, f"http://127.0.0.1:{port}", phone=phone) as visitor:
                for address in pages.values():
                    visitor.go(address)
                    visitor.see_accessible()
                    assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (address, phone)
    print(name, len(pages), "kinds of pages")  # noqa: T201  # it is what was looked at
