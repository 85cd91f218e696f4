"""The page that tries a use case beside `examples/streamlit_app.py`: what a browser loads and waits for.

`python -m benchmarks.trying OURS STREAMLIT` measures both, which are being served, and puts the table into
`docs/benchmarks.md`. Each visit has a new profile, as that of somebody who comes for the first time.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.sections import put_section
from benchmarks.tables import markdown

if TYPE_CHECKING:
    from playwright.sync_api import Browser, WebSocket

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
NAME = "trying"
BUTTON = "Predict"
"""Once this button is seen, the page can be used."""
REPEATS = 3
PATIENCE = 60_000
BLIND = 10_000
"""Milliseconds after which a page is not going to come without JavaScript."""

ABOUT = """\
`mlops-assets serve` and `streamlit run examples/streamlit_app.py`, the latter in an environment of its own, are
visited by chromium on the same machine: `python -m benchmarks.trying OURS STREAMLIT`, the median of {repeats} first
visits. Bytes are those on the wire, of answers and of websockets; the page can be used once its button 'Predict' is
seen. Rules are those of axe-core that are broken. The Streamlit application is the simplest that does the same: it has
no 'why', no pictures, and no form with types and meanings."""


@dataclass(frozen=True)
class Visit:
    """What a first visit takes.

    Attributes
    ----------
    requests, size
        Requests, and bytes that came.
    seconds
        Until the page can be used.
    broken
        Rules of axe-core that are broken.
    """

    requests: int
    size: int
    seconds: float
    broken: tuple[str, ...]


def visit(browser: Browser, url: str) -> Visit:
    """Visit a page for the first time.

    Parameters
    ----------
    browser
        The browser.
    url
        The page.
    """
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context()
    page = context.new_page()
    answers, frames = [], [0]

    def open_socket(socket: WebSocket) -> None:
        socket.on("framereceived", lambda data: frames.append(len(data)))  # texts count by their signs

    page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108  # no builtin is taken
    page.on("websocket", open_socket)
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.get_by_role("button", name=BUTTON, exact=True).first.wait_for(timeout=PATIENCE)
    seconds = time.perf_counter() - began
    page.wait_for_load_state("networkidle")
    found = Axe().run(page).response["violations"]
    sizes = [answer.request.sizes() for answer in answers]
    size = sum(one["responseBodySize"] + one["responseHeadersSize"] for one in sizes) + sum(frames)
    context.close()
    return Visit(len(answers), size, seconds, tuple(sorted(rule["id"] for rule in found)))


def is_had_without_scripts(browser: Browser, url: str) -> bool:
    """Whether a page can be used where no JavaScript runs."""
    from playwright.sync_api import TimeoutError as TooLate

    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(url, wait_until="commit")
    try:
        page.get_by_role("button", name=BUTTON, exact=True).first.wait_for(timeout=BLIND)
    except TooLate:
        return False
    finally:
        context.close()
    return True


def section(found: dict[str, tuple[Sequence[Visit], bool]]) -> str:
    """The section of the page.

    Parameters
    ----------
    found
        The visits of each page, by its name, and whether it is had without JavaScript.
    """
    rows = [
        [
            name,
            f"{statistics.median(visit.requests for visit in visits):,.0f}",
            f"{statistics.median(visit.size for visit in visits) / 1000:,.0f}",
            f"{statistics.median(visit.seconds for visit in visits):.1f}",
            ", ".join(visits[0].broken) or "none",
            "yes" if blind else "no",
        ]
        for name, (visits, blind) in found.items()
    ]
    head = ["page", "requests", "kB", "s until usable", "axe: broken rules", "without JavaScript"]
    return f"## What a page costs\n\n{ABOUT.format(repeats=REPEATS)}\n\n{markdown(head, rows)}"


def main() -> None:
    """Run the program."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ours", help="Address of our page, such as http://127.0.0.1:8000/pages/transactions/try.")
    parser.add_argument("streamlit", help="Address of the Streamlit application, such as http://127.0.0.1:8501/.")
    parser.add_argument("--page", type=Path, default=PAGE, help="The Markdown file that gets the section.")
    options = parser.parse_args()
    found = {}
    with sync_playwright() as tools:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = tools.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for name, url in (("mlops-assets", options.ours), ("examples/streamlit_app.py", options.streamlit)):
            found[name] = [visit(browser, url) for _ in range(REPEATS)], is_had_without_scripts(browser, url)
        browser.close()
    put_section(NAME, section(found), options.page)


if __name__ == "__main__":
    main()
