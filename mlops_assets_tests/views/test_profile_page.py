"""The page and the JSON of a profile: whole, bounded, and text stays text whatever columns and values are called."""

from __future__ import annotations

import csv
import html
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.tools.drafting.looking import profile_table
from mlops_assets.views import profile_page, profiles
from mlops_assets.views.histograms import bar, histogram
from mlops_assets_tests.helpers.evil import FORMULAS, MARKDOWN, unseen
from mlops_assets_tests.helpers.paths import REAL_DATA

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
VOID = {"meta", "path"}


class Tags(HTMLParser):
    """The tags of a page, and those that do not end where they should."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.wrong: list[str] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """See that it ends what is open."""
        if tag not in VOID and (not self._open or self._open.pop() != tag):
            self.wrong.append(tag)


def profiled(folder: Path, header: list[str], rows: list[list[Any]], label: str | None) -> profiles.Profiled:
    """Look at a table with these rows."""
    path = folder / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return profile_table(path, label, None, "yes", ["Next"])


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> profiles.Profiled:
    """A table whose header and values are tags, links and formulas."""
    texts = [text.replace("\n", " ").replace("\r", " ") for text in (*MARKDOWN, *FORMULAS) if len(text) < 1_000]
    header = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "=1+1", "<b>label</b>"]
    rows = [[texts[n % 9], texts[n % len(texts)], n / 7, texts[13 + n % 2]] for n in range(240)]
    return profiled(tmp_path_factory.mktemp("evil"), header, rows, "<b>label</b>")


def test_a_page_holds_no_tag_but_ours_and_loads_nothing(evil: profiles.Profiled) -> None:
    text = profile_page.page(evil)
    tags = Tags(text)
    assert tags.wrong == []
    assert not {"script", "img", "a", "iframe", "object", "b", "link", "form"} & {tag for tag, _ in tags.tags}
    assert not [name for _, attributes in tags.tags for name in attributes if name.startswith("on")]
    assert not [value for _, attributes in tags.tags for value in attributes.values() if value and "http:" in value]
    assert unseen(text.partition("</style>")[2]) == []
    assert html.escape("<script>document.title='PWNED'</script>"[:20]) in text


def test_a_page_can_be_read_without_seeing_it(evil: profiles.Profiled) -> None:
    tags = Tags(profile_page.page(evil)).tags
    assert ("html", {"lang": "en"}) in tags
    assert [tag for tag, _ in tags].count("main") == [tag for tag, _ in tags].count("h1") == 1
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in tags if tag == "th")
    assert all(attributes.get("role") == "img" and attributes["aria-label"] for tag, attributes in tags if tag == "svg")
    scrolled = [attributes for tag, attributes in tags if attributes.get("class") == "scroll"]
    assert scrolled
    assert all(attributes["tabindex"] == "0" and attributes["aria-label"] for attributes in scrolled)


def test_every_sign_of_the_text_for_a_terminal_can_be_seen(evil: profiles.Profiled) -> None:
    assert unseen(profiles.text(evil)) == []


def test_json_has_what_the_contract_says_and_what_was_seen(tmp_path: Path) -> None:
    rows = [[f"C{n % 40}", n % 7, "web" if n % 3 else "", "yes" if n % 3 else "no"] for n in range(200)]
    found = json.loads(profiles.as_json(profiled(tmp_path, ["Customer", "x", "channel", "gone"], rows, "gone")))
    assert (found["rows"], found["looked_at"], found["label"]) == (200, 200, "gone")
    assert found["classes"] == {"yes": 133, "no": 67}
    by_name = {column["column"]: column for column in found["columns"]}
    assert (by_name["customer"]["from"], by_name["customer"]["used_as"]) == ("Customer", "account")
    assert by_name["customer"]["seen"]["masked"]
    assert by_name["customer"]["seen"]["bins"] == []
    assert by_name["customer"]["seen"]["examples"] == ["A9"]
    seen = by_name["channel"]["seen"]
    assert (seen["missing"], seen["bins"]) == (67, [{"value": "web", "rows": 133, "training": None}])
    assert seen["suspicions"] == ["determines", "missing"]
    assert (by_name["x"]["seen"]["smallest"], by_name["x"]["seen"]["largest"]) == (0, 6)
    assert sum(entry["rows"] for entry in by_name["x"]["seen"]["bins"]) == 200
    assert {suspicion["column"] for suspicion in found["suspicions"]} == {"channel"}


def test_dates_are_shown_as_dates(tmp_path: Path) -> None:
    rows = [[f"k{n % 9}", f"2026-01-{1 + n % 28:02}", "a" if n % 2 else "b"] for n in range(100)]
    table = profiled(tmp_path, ["customer", "bought", "label"], rows, None)
    assert "2026-01-01 to 2026-01-28" in profiles.text(table)
    seen = json.loads(profiles.as_json(table))["columns"][1]["seen"]
    assert (seen["smallest"], seen["largest"]) == ("2026-01-01", "2026-01-28")
    assert seen["bins"][0]["from"] == "2026-01-01"


def test_a_page_of_two_hundred_columns_is_small(tmp_path: Path) -> None:
    header = [*(f"v{n}" for n in range(200)), "label"]
    rows = [[*((row * 37 + n * 11) % 101 / 7 for n in range(200)), row % 2] for row in range(120)]
    page = profile_page.page(profiled(tmp_path, header, rows, "label"))
    assert len(page) < 1_000_000
    # but for the account
    assert page.count("<svg") == 199 + 1 + 2


def test_without_rows_there_is_the_dictionary(evil: profiles.Profiled) -> None:
    nothing = replace(evil, overview=None, rows=0)
    page = profile_page.page(nothing)
    assert "Data dictionary" in page
    assert "<svg" not in page
    assert json.loads(profiles.as_json(nothing))["columns"][0]["seen"] is None


def test_a_picture_has_a_bar_a_share_and_says_what_it_shows() -> None:
    picture = histogram([0.5, 0.25, 0], 'a "picture"', [0.1, 0.2, 0.3])
    assert picture.count("M") == 3 + 1
    assert "V0.0h54.0" in picture
    assert 'aria-label="a &#34;picture&#34;"' in picture
    assert "h90.0v" in bar(0.5, "half")


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
def test_a_browser_runs_and_asks_for_nothing(evil: profiles.Profiled, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    file = tmp_path / "page.html"
    file.write_text(profile_page.page(evil), encoding="utf-8")
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for scheme in ("light", "dark"):
            tab = browser.new_page(color_scheme=scheme)  # type: ignore[arg-type]
            asked, said = list[str](), list[str]()
            tab.on("request", lambda request, asked=asked: asked.append(request.url))
            tab.on("console", lambda message, said=said: said.append(message.text))
            tab.on("dialog", lambda dialog, said=said: said.append(dialog.message))
            tab.goto(file.as_uri(), wait_until="networkidle")
            assert (asked, said, tab.title()) == ([file.as_uri()], [], "table.csv")
            # nothing but tables is wider than the window
            assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            assert tab.locator("svg").first.bounding_box()
        browser.close()


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="the real data are not beside this checkout")
def test_nothing_is_suspected_of_the_real_transactions() -> None:
    [path] = (REAL_DATA / "transactions").glob("*.csv")
    found = profile_table(path, "grupo_estabelecimento", None, "auto", [])
    assert found.overview is not None
    assert found.overview.suspicions == ()
    assert re.search(r"valor +number +number +0\.\d %", profiles.text(found))
