"""The documentation as a site: it builds without a warning, leads nowhere wrong, and can be used by everybody, offline."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from documentation.build import HERE, build
from documentation.built import problems
from documentation.commands import reference
from documentation.staging import ROOT, Staging
from mlops_assets.cli import cli
from mlops_assets_tests.helpers.browser import chromium, needs_chromium, visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAV = tomllib.loads((HERE / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    assert build(folder) == []
    return folder / "html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def pages_of(nav: Any) -> Iterator[str]:
    """The pages of a navigation."""
    for entry in nav.values() if isinstance(nav, dict) else nav:
        if isinstance(entry, str):
            yield entry
        else:
            yield from pages_of(entry)


def test_every_document_is_in_the_navigation_once() -> None:
    listed = sorted(pages_of(NAV))
    own = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert len(listed) == len(set(listed))
    assert {page for page in listed if not page.startswith("project/")} == own


def test_the_reference_has_every_command_with_each_of_its_options() -> None:
    text = reference()
    for name, command in cli.commands.items():
        words = set(re.split(r"[\s`,/]+", text.partition(f"## {name}\n")[2].partition("\n## ")[0]))
        shown = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
        assert {option for one in shown for option in one.opts} <= words, name


def test_files_of_the_project_that_a_document_links_to_are_pages_of_the_site(site: Path) -> None:
    shown = (site / "project" / "examples" / "client.py.html").read_text(encoding="utf-8")
    assert "MLOPS_API" in shown
    assert 'href="project/examples/client.py.html"' in (site / "api.html").read_text(encoding="utf-8")


def test_what_leads_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="top">A</h1><a href="b.html#here">1</a><a href="b.html#gone">2</a><a href="c.html">3</a>'
        '<a href="#top">4</a><img src="no.png"><script src="https://example.com/x.js"></script>'
        '<a href="https://example.com">5</a>'
    )
    (tmp_path / "b.html").write_text('<h1 id="here">B</h1>')
    assert problems(tmp_path) == [
        "a.html: no.png is not there",
        "a.html: https://example.com/x.js would be fetched from another server",
        "a.html: b.html#gone: the page has no such place",
        "a.html: c.html leads nowhere",
    ]


@pytest.mark.parametrize("link", ["[a](gone.md)", "[a](configuration.md#no-such-place)", "![a](pictures/gone.png)"])
@pytest.mark.long
def test_a_document_that_leads_nowhere_does_not_build(tmp_path: Path, link: str) -> None:
    root = tmp_path / "project"
    shutil.copytree(ROOT / "docs", root / "docs")
    for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "examples", "notebooks", "deploy"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, root / name)
    page = root / "docs" / "s3.md"
    page.write_text(page.read_text() + f"\n{link}\n")
    assert "s3" in "".join(build(tmp_path / "site", root))


def test_links_lead_to_where_things_are_in_the_site(tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "docs" / "more").mkdir(parents=True)
    for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "README.md"):
        (root / name).write_text("# A\n")
    (root / "job.sql").write_text("SELECT 1\n")
    text = "[a](../../README.md) [b](../../job.sql) [c](../other.md#x) [d](#y) [e](https://x.y/z.md) [f](no.md)\n"
    (root / "docs" / "more" / "page.md").write_text(text)
    (root / "docs" / "other.md").write_text("# B\n")
    Staging(root, tmp_path / "pages").fill()
    moved = "[a](../index.md) [b](../project/job.sql.md) [c](../other.md#x) [d](#y) [e](https://x.y/z.md) [f](no.md)\n"
    assert (tmp_path / "pages" / "more" / "page.md").read_text() == moved
    assert (tmp_path / "pages" / "project" / "job.sql.md").read_text() == "# job.sql\n\n````sql\nSELECT 1\n````\n"


@needs_chromium
@pytest.mark.parametrize("page", ["runbook.html", "first_hour.html"])
def test_a_page_can_be_used_by_everybody(site: Path, browser: Browser, page: str) -> None:
    with visit(browser, f"file://{site}/") as visitor:
        visitor.go(page)
        visitor.see_calm()
        visitor.see_accessible()
        visitor.said.clear()  # axe asks for style sheets as no page that is opened from a file may


@needs_chromium
@pytest.mark.parametrize("page", ["configuration.html", "reference/python.html"])
def test_a_page_fits_a_phone(site: Path, browser: Browser, page: str) -> None:
    with visit(browser, f"file://{site}/", phone=True) as visitor:
        width = visitor.go(page).evaluate("document.documentElement.scrollWidth")
        assert width <= 390


@needs_chromium
def test_search_finds_a_command_without_a_server_or_a_network(site: Path, browser: Browser) -> None:
    with visit(browser, f"file://{site}/") as visitor:
        page = visitor.go("index.html")
        page.keyboard.press("/")
        page.get_by_role("combobox").fill("rollback")
        page.get_by_role("option", name="rollback").first.click()
        page.wait_for_url("**/reference/cli.html*rollback*")
