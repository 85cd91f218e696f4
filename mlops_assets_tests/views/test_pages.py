"""Pages: one file, which a browser shows and does nothing else with, whatever labels and files are called."""

from __future__ import annotations

import html
import itertools
import re
import shutil
from pathlib import Path

import pytest

from mlops_assets.journey.explain.comparison import Comparison
from mlops_assets.views import diffs, pictures
from mlops_assets.views.card import confusion_table
from mlops_assets.views.pages import page
from mlops_assets_tests.helpers.evil import MARKDOWN

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def comparison() -> Comparison:
    """Two versions that differ on rows with such labels, of such files and accounts."""
    changes = list(itertools.pairwise(MARKDOWN))
    right = {"labelled": 1, "right_before": 0, "right_after": 1}
    return Comparison(
        use_case="visits",
        day="2026-01-01",
        before=1,
        after=2,
        rows=100,
        changed=len(changes),
        value=None,
        changed_value=None,
        labelled=0,
        right_before=0,
        right_after=0,
        transitions=[{"before": a, "after": b, "rows": 1, "value": None, **right} for a, b in changes],
        examples=[
            {
                "file": a,
                "line": 1,
                "value": None,
                "before": a,
                "after": b,
                "label": a,
                "before_probability": 0.5,
                "after_probability": 0.5,
            }
            for a, b in changes
        ],
        accounts=[{"account_id": name, "rows": 1, "value": None} for name in MARKDOWN],
    )


def documents() -> dict[str, str]:
    """Pages by the name of their kind, with the title `safe` if it is not one of ours."""
    matrix = [[1] * len(MARKDOWN)] * len(MARKDOWN)
    return {
        "card": page("safe", confusion_table(MARKDOWN, matrix)),
        "title": page(MARKDOWN[16], "nothing"),
        "diff": diffs.html(comparison()),
        "markdown": page("safe", "\n\n".join(MARKDOWN)),
    }


def test_a_page_loads_nothing_from_elsewhere() -> None:
    text = page(
        "t", "![x](http://elsewhere/p.png) [pay](https://elsewhere/) <img src=x> ![ok](data:image/png;base64,AA==)"
    )
    assert "<img" in text
    assert 'src="http' not in text
    assert "href=" not in text
    assert "<img src=x>" not in text


@pytest.mark.parametrize("kind", documents())
def test_a_page_holds_no_tag_and_no_address_but_ours(kind: str) -> None:
    text = documents()[kind]
    assert not re.search(r"<(script|svg|iframe|a|link|object|form)\b", text)
    assert all(source.startswith("data:image/png;base64,") for source in re.findall(r'src="([^"]*)"', text))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert html.unescape(policy[1]) == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_labels_in_a_picture_are_cut_and_a_letter_that_the_font_lacks_is_no_warning() -> None:
    counts = pictures.Matrix(
        names=MARKDOWN,
        cells=[[1] * len(MARKDOWN)] * len(MARKDOWN),
        down="true",
        across="predicted",
        title="",
        colours="blues",
        scale="rows",
    )
    assert pictures.matrix(counts, "x").startswith("![x](data:image/png;base64,")


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
def test_a_browser_runs_and_asks_for_nothing(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for kind, text in documents().items():
            file = tmp_path / f"{kind}.html"
            file.write_text(text, encoding="utf-8")
            title = html.unescape(re.search(r"<title>(.*?)</title>", text, re.S)[1])  # type: ignore[index]
            asked, dialogs = [], []
            tab = browser.new_page()
            tab.on("request", lambda request, asked=asked: asked.append(request.url))
            tab.on("dialog", lambda dialog, dialogs=dialogs: dialogs.append(dialog.message))
            tab.goto(file.as_uri(), wait_until="networkidle")
            assert tab.title() == title, kind
            assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()], kind
            assert dialogs == []
            assert tab.locator("script, svg, a, iframe, object").count() == 0
            tab.close()
        browser.close()
