"""A reader of pages that follows every link and sends every form that only asks, one of each kind; no browser."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, unquote, urldefrag, urlencode, urljoin, urlsplit

from mlops_assets_tests.helpers.asgi import HOST, Answer, ask

ORIGIN = f"http://{HOST[1]}"
PART = [("HX-Request", "true"), ("HX-Request-Type", "partial")]
CHANCE = "the-token-of-this-reader"  # what the cookie and each form hold alike
REFERENCES = ("for", "aria-labelledby", "aria-describedby", "list", "form")
"""Attributes that name elements of the same page."""


@dataclass
class Form:
    """A form, and what it sends if nobody changes it."""

    method: str
    action: str | None
    fields: list[tuple[str, str]] = field(default_factory=list)


class Seen(HTMLParser):
    """What stands in a page: addresses, forms, ids, and what its policy would not allow."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.forms: list[Form] = []
        self.ids: Counter[str] = Counter()
        self.named: set[str] = set()
        self.inline: list[str] = []
        self.title, self.heads = "", 0
        self._open: list[Form] = []
        self._select: tuple[str, list[str], list[str]] | None = None
        self._text: list[str] | None = None
        self._in_title = self._in_svg = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.update([given["id"]] if "id" in given else [])
        self.named.update(one for name in REFERENCES for one in given.get(name, "").split() if name in given)
        self.inline += [f"<{tag} {name}>" for name in given if name == "style" or name.startswith(("on", "hx-on"))]
        self.links += [given[name] for name in ("href", "hx-get") if name in given and tag != "link"]
        self.loaded += [given[name] for name in ("src",) if name in given and not given[name].startswith("data:")]
        self.loaded += [given["href"]] if tag == "link" else []
        self.heads += tag == "h1"
        self._in_svg |= tag == "svg"
        self._in_title = tag == "title" and not self._in_svg
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(f"<{tag}>")
        self._fill(tag, given)

    def _fill(self, tag: str, given: dict[str, str]) -> None:
        """Note a form, and what a field of it sends."""
        if tag == "form":
            self._open = [Form(given.get("method", "get").lower(), given.get("action"))]
            self.forms += self._open
        if tag == "select" and "name" in given:
            self._select = given["name"], [], []
        if tag == "option" and self._select:
            chosen = self._select[1 if "selected" in given else 2]
            chosen.append(given.get("value", ""))
            self._text = None if "value" in given else chosen
        if tag == "input" and "name" in given and self._open:
            kind = given.get("type", "text")
            if kind not in ("checkbox", "radio", "file") or "checked" in given:
                self._open[0].fields.append((given["name"], given.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        self._in_title &= tag != "title"
        self._in_svg &= tag != "svg"
        if tag == "select" and self._select and self._open:
            name, selected, others = self._select
            self._open[0].fields += [(name, one) for one in (selected or others)[:1]]
        self._select = None if tag == "select" else self._select
        self._open = [] if tag == "form" else self._open

    def handle_data(self, data: str) -> None:
        self.title += data if self._in_title else ""
        if self._text is not None:  # an option without a value sends its text
            self._text[-1], self._text = data.strip(), None


@dataclass(frozen=True)
class Read:
    """A page that was read: its address, the answer, what stands in it, and where it was found."""

    address: str
    answer: Answer
    seen: Seen | None
    found_on: str


def kind_of(address: str) -> tuple[str, ...]:
    """What is alike of pages of one kind: their path but for days and numbers, and which things they are asked for.

    Examples
    --------
    >>> kind_of("/pages/topics/days/2026-01-31?run=a")
    ('/pages/topics/days/*', 'run')
    """
    split = urlsplit(address)
    path = "/".join(
        "*" if re.fullmatch(r"\d{4}-\d\d-\d\d|\d+|[0-9a-f]{12}", one) else one for one in split.path.split("/")
    )
    return (path, *sorted({name for name, _ in parse_qsl(split.query, keep_blank_values=True)}))


@dataclass
class Crawler:
    """Reads what an application shows.

    Attributes
    ----------
    app
        The application.
    allowed
        Beginnings of addresses of other servers that pages may name, as that of Dagster.
    of_a_kind
        Pages of one kind that are read.
    most
        Bytes that a page may have, and compressed ones.
    """

    app: Any
    allowed: tuple[str, ...] = ()
    of_a_kind: int = 2
    most: tuple[int, int] = (100_000, 20_000)
    wrong: list[str] = field(default_factory=list)

    def ask(self, address: str, *headers: tuple[str, str]) -> Answer:
        """What is answered, after it sent us on."""
        given = [HOST, ("Cookie", f"mlops_form={CHANCE}"), *headers]
        answer = ask(self.app, "GET", address, given)
        if answer.status in (303, 307):
            return ask(self.app, "GET", answer.headers["location"], given)
        return answer

    def read(self, start: str) -> Iterator[Read]:
        """Every page that can be reached; `wrong` holds addresses that lead nowhere."""
        waiting, known, kinds = [(start, "the start")], {start}, Counter[tuple[str, ...]]()
        while waiting:
            address, found_on = waiting.pop(0)
            kinds[kind_of(address)] += 1
            if kinds[kind_of(address)] > self.of_a_kind:
                continue
            answer = self.ask(address)
            if answer.status != 200:
                self.wrong.append(f"{answer.status} {address}, named by {found_on}")
            html = answer.headers.get("content-type", "").startswith("text/html") and address.startswith("/pages")
            seen = Seen(answer.text) if html else None
            yield Read(address, answer, seen, found_on)
            for one in self._further(address, seen) if seen else ():
                if one not in known:
                    known.add(one)
                    waiting.append((one, address))

    def _further(self, address: str, seen: Seen) -> Iterator[str]:
        asked = [urljoin(address, one) for one in [*seen.links, *seen.loaded]]
        for form in seen.forms:
            if form.method == "get":
                action = urljoin(address, form.action) if form.action else address.partition("?")[0]
                asked.append(f"{action}?{urlencode(form.fields)}")
        for one in asked:
            if self.allowed and one.startswith(self.allowed):
                continue
            path, fragment = urldefrag(urljoin(ORIGIN, one).removeprefix(ORIGIN))
            if path == address and fragment and unquote(fragment) not in seen.ids:
                self.wrong.append(f"{one} names nothing of {address}")
            if path.startswith("/"):
                yield path
            else:
                self.wrong.append(f"{one} is of another server, named by {address}")


def faults(crawler: Crawler, page: Read) -> list[str]:
    """What a page has that none should have, in words."""
    seen, headers, raw = page.seen, page.answer.headers, page.answer.text.encode()
    assert seen is not None
    packed = len(gzip.compress(raw, 6))
    found = {
        f"{seen.heads} main headings": seen.heads != 1,
        "no title": not seen.title.removesuffix("· mlops-assets").strip(),
        f"written into the page: {seen.inline}": bool(seen.inline),
        f"ids twice: {[one for one, number in seen.ids.items() if number > 1]}": max(seen.ids.values(), default=0) > 1,
        f"names elements that are not there: {seen.named - {*seen.ids}}": bool(seen.named - {*seen.ids}),
        "a form that changes something has no token": any(
            ("token", CHANCE) not in one.fields for one in seen.forms if one.method == "post"
        ),
        f"{len(raw):,} bytes": len(raw) > crawler.most[0],
        f"{packed:,} bytes, compressed": packed > crawler.most[1],
        "no Vary": "HX-Request" not in headers.get("vary", ""),
        "its policy": "unsafe" in headers.get("content-security-policy", "unsafe"),
        "its part is another one": _main(page.answer.text) != _part(crawler.ask(page.address, *PART).text),
    }
    return [f"{page.address}: {what}" for what, is_wrong in found.items() if is_wrong]


def _main(html: str) -> str:
    return re.sub(r"\s+", " ", html.partition('<main id="main" tabindex="-1">')[2].rpartition("</main>")[0]).strip()


def _part(html: str) -> str:
    return re.sub(r"\s+", " ", html.partition("</title>")[2]).strip()
