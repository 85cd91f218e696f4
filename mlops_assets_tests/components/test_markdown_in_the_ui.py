"""What Dagster's UI makes of the Markdown of assets, in a browser: labels stay text, and ask the server for nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.views import card, markdown
from mlops_assets_tests.helpers.dagster_ui import webserver
from mlops_assets_tests.helpers.evil import MARKDOWN

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [pytest.mark.long, pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")]
DEFINITIONS = """
import dagster as dg
@dg.asset
def evil(): ...
defs = dg.Definitions([evil])
"""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Dagster's webserver, which knows of an asset with tables and a card full of such labels."""
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (tmp_path / "defs.py").write_text(DEFINITIONS)
    matrix = card.confusion_table(MARKDOWN, [[1] * len(MARKDOWN)] * len(MARKDOWN))
    shown = {"card": dg.MetadataValue.md(f"THE CARD\n\n{matrix}\n\n**{markdown.value(MARKDOWN[6])}**")}
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("evil", metadata=shown))
    with webserver(tmp_path, "-f", "defs.py", DAGSTER_HOME=str(tmp_path)) as found:
        yield found


def test_a_label_is_no_picture_no_link_and_no_request(address: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    asked: list[str] = []
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        expect.set_options(timeout=120_000)
        page.goto(f"{address}/assets/evil?view=overview", timeout=120_000)
        page.add_locator_handler(
            page.get_by_text("Join the Dagster community"), lambda: page.get_by_role("button", name="Skip").click()
        )
        page.get_by_text("Show Markdown").first.click(timeout=120_000)
        shown = page.locator(".dagster-markdown", has_text="THE CARD")
        expect(shown.locator("table")).to_have_count(1)
        expect(shown.locator("th")).to_have_count(len(MARKDOWN) + 1)
        expect(shown.locator("img, a, script, svg, iframe")).to_have_count(0)
        browser.close()
    assert not [url for url in asked if "mutation" in url or not url.startswith((address, "data:", "blob:"))]
