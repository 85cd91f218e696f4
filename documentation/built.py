"""What is wrong with a built site: links and pictures that lead nowhere, and what would be asked of other servers."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
"""What a browser fetches by itself, by tag."""
NAMES_ONLY = {"canonical", "prev", "next", "alternate"}
"""Kinds of links in a head that say where something is and fetch nothing."""


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = {""}
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[key] for key in ("id", "name") if key in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in LOADED and given.get(LOADED[tag]) and given.get("rel") not in NAMES_ONLY:
            self.fetched.append(given[LOADED[tag]])


def problems(site: Path) -> list[str]:
    """What a reader would stumble over.

    Parameters
    ----------
    site
        The built folder.

    Returns
    -------
    list of str
        A line for each, with its page; empty if there is none.
    """
    # a page for addresses that are not there is made for the root of a server
    pages = {
        path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html")) if path.stem != "404"
    }
    return [f"{path.relative_to(site)}: {told}" for path in pages for told in _of(path, pages)]


def _of(path: Path, pages: dict[Path, _Page]) -> Iterator[str]:
    for url in pages[path].fetched:
        parts = urlsplit(url)
        if parts.netloc:
            yield f"{url} would be fetched from another server"
        elif not parts.scheme and not (path.parent / unquote(parts.path)).is_file():
            yield f"{url} is not there"
    for url in pages[path].links:
        parts = urlsplit(url)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if target.is_dir():
            target /= "index.html"
        if not target.is_file():
            yield f"{url} leads nowhere"
        elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
            yield f"{url}: the page has no such place"
