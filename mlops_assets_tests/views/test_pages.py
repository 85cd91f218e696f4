"""Pages: one file, which a browser shows and does nothing else with, whatever labels and files are called."""

from __future__ import annotations

import html
import itertools
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.journey.explain.comparison import Comparison
from mlops_assets.journey.model.about import About
from mlops_assets.views import card_page, diff_page, grids, pictures
from mlops_assets_tests.helpers.evil import MARKDOWN
from mlops_assets_tests.helpers.models import ABOUT

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


def card() -> About:
    """A card with such classes, which are mistaken for each other, of such a candidate."""
    matrix = [[1] * len(MARKDOWN)] * len(MARKDOWN)
    classes = {name: {"rows": 1, "f1": 0.5, "precision": 0.5, "recall": 0.5} for name in MARKDOWN}
    recipe = json.loads(json.dumps(ABOUT.recipe).replace('"linear"', json.dumps(MARKDOWN[16])))
    said = {
        "classes": classes,
        "confusion": matrix,
        "candidate": MARKDOWN[16],
        "recipe": recipe,
        "reason": MARKDOWN[13],
    }
    return replace(ABOUT, importance=dict.fromkeys(MARKDOWN, 0.1), **said)


def documents() -> dict[str, str]:
    """Pages by the name of their kind."""
    return {
        "card": card_page.page(card(), 3),
        "card without a number": card_page.page(card()),
        "diff": diff_page.page(comparison()),
        "diff with figures": diff_page.page(comparison(), [card(), card()]),
    }


@pytest.mark.parametrize("kind", documents())
def test_a_page_holds_no_tag_and_no_address_but_ours(kind: str) -> None:
    text = documents()[kind]
    assert not re.search(r"<(script|iframe|a|img|link|object|form)\b", text)
    assert not re.search(r"<svg (?!class=|role=)", text)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert re.fullmatch(r"default-src 'none'; style-src 'sha256-[\w+/=]+'; img-src data:", html.unescape(policy[1]))


def test_a_card_shows_texts_of_others_as_they_are_and_what_cannot_be_seen_by_its_number() -> None:
    text = html.unescape(card_page.page(card(), 3))
    for label in ("<script>document.title='PWNED'</script>", "$x$", "a\\|b", "&lt;"):
        assert label in text
    assert "\u202e" not in text
    assert "\\u202e" in text


def test_of_very_many_classes_the_most_frequent_are_shown() -> None:
    names = [f"c{number:03d}" for number in range(300)]
    grid = grids.confusion(
        names, [[number if across == number else 0 for across in range(300)] for number in range(300)]
    )
    assert (len(grid.names), grid.names[-1], grid.left_out) == (grids.CLASSES, "c299", 260)
    assert {cell.step for _, _, cells in grid.rows for cell in cells} == {0, grids.STEPS}


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
            assert tab.locator("script, a, iframe, object").count() == 0
            tab.close()
        browser.close()
