"""A real browser (Debian's chromium) in which a test does what a person does, and sees what no person would notice."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlops_assets_tests.helpers.paths import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request, Response

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
PATIENCE = 60_000
"""Milliseconds for which something is waited for: what is seen is that it comes."""
KEPT = ROOT / "docs" / "pictures"
"""Pictures of pages that the documents show; `MLOPS_KEEP_PICTURES=1` has the tests take them anew."""
KEEPING = bool(os.environ.get("MLOPS_KEEP_PICTURES"))
"""Read now: a test that has a home of its own has no settings of others."""
SHOWN = ("overview", "drift", "try", "graph")
"""The pictures that the documents show; of them the upper part, in few colours, for a clone has each for good."""
SEEN = 1000
"""Height of that part, in pixels."""
EVERY_RULE: dict[str, Any] = {"resultTypes": ["violations"]}
OF_COLOURS = EVERY_RULE | {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
"""What axe looks at: all there is; or what differs where colours alone do."""
OPEN_ALL = "() => document.querySelectorAll('details').forEach((one) => { one.open = true; })"


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; start it once for a module, for a start takes longer than most tests."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as tools:
        assert CHROMIUM is not None
        started = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@dataclass
class Visitor:
    """A person with a window of their own, and what went over the wire for them.

    Attributes
    ----------
    page
        The window.
    url
        The server that they came to see; nothing else may be asked.
    foreign
        Addresses of other servers that were asked.
    said
        What the browser complained of: errors of scripts, and what the policy of the page kept from happening.
    answers
        What came.
    """

    page: Page
    url: str
    foreign: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)

    def go(self, path: str) -> Page:
        """Open a page of the server."""
        self.page.goto(f"{self.url}{path}", timeout=PATIENCE)
        return self.page

    @property
    def loaded(self) -> dict[str, int]:
        """Bytes on the wire, by address."""
        found = {one.url: one.request.sizes() for one in self.answers}
        return {url: size["responseBodySize"] + size["responseHeadersSize"] for url, size in found.items()}

    def see_accessible(self) -> None:
        """See that a screen reader, a keyboard and bad eyes get along: with everything opened, light and dark."""
        from axe_playwright_python.sync_playwright import Axe

        self.page.evaluate(OPEN_ALL)
        for scheme, options in (("light", EVERY_RULE), ("dark", OF_COLOURS)):
            self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found = Axe().run(self.page, options=options)
            assert found.violations_count == 0, f"{self.page.url} ({scheme})\n{found.generate_report()}"
        self.page.emulate_media(color_scheme="light")

    def see_calm(self) -> None:
        """See that nothing was asked of another server, and that the browser complained of nothing."""
        assert self.foreign == []
        assert self.said == []


@contextmanager
def visit(
    browser: Browser, url: str, *, javascript: bool = True, phone: bool = False, **options: Any
) -> Iterator[Visitor]:
    """A visitor of a server; when they leave, nothing foreign was asked and nothing complained of.

    Parameters
    ----------
    browser
        Of `chromium`.
    url
        The server.
    javascript
        Whether scripts are run.
    phone
        Whether the window is small.
    options
        Further ones of Playwright's `new_context`, such as `timezone_id`.
    """
    size = {"width": 390, "height": 844} if phone else {"width": 1280, "height": 900}
    context = browser.new_context(viewport=size, java_script_enabled=javascript, reduced_motion="reduce", **options)  # type: ignore[arg-type]
    visitor = Visitor(context.new_page(), url)

    def note(request: Request) -> None:
        if not request.url.startswith((url, "data:", "blob:")):
            visitor.foreign.append(request.url)

    visitor.page.on("request", note)
    visitor.page.on("response", lambda answer: visitor.answers.append(answer))  # noqa: PLW0108  # no builtin is taken
    visitor.page.on("pageerror", lambda error: visitor.said.append(str(error)))
    visitor.page.on("console", lambda message: visitor.said.append(message.text) if message.type == "error" else None)
    try:
        yield visitor
        visitor.see_calm()
    finally:
        context.close()


def keep_picture(visitor: Visitor, name: str, folder: Path, clip: Any = None) -> None:
    """Keep a picture of what is seen, or of a part: in a folder of the test, for the documents if they are made anew."""
    visitor.page.screenshot(path=folder / f"{name}.png", full_page=clip is None, clip=clip)
    if KEEPING and name in SHOWN:
        from PIL import Image

        with Image.open(folder / f"{name}.png") as whole:
            upper = whole.convert("RGB").crop((0, 0, whole.width, min(whole.height, SEEN)))
        KEPT.mkdir(exist_ok=True)
        # by an octree, for the mean of a box of colours has no room for the few dots of a lamp
        upper.quantize(128, method=Image.Quantize.FASTOCTREE).save(KEPT / f"{name}.png", optimize=True)
