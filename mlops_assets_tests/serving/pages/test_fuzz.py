"""Pages that are asked for anything at all: always a page, never by 5xx, nothing of the machine, and soon.

Requests are drawn from what the pages take and from what they do not. The suite sends some hundred; `make test-long` sends
`FUZZ_REQUESTS`, of a seed that a failure tells.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from mlops_assets.serving.app import make_app, make_entrance
from mlops_assets_tests.helpers.asgi import HOST, Answer, ask
from mlops_assets_tests.helpers.evil import unseen
from mlops_assets_tests.helpers.shown_home import DAMAGED, DIRTY, LATE, LEARNED, REFUSED, YESTERDAY, Shown, shown_home

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "20000"))
"""Requests of the long test."""
SECONDS = 3.0
"""Of CPU that an answer may take: the slowest page takes a tenth of it."""
OF_BROWSER = ("Cookie", "mlops_form=T")
SCRIPT = "<script>alert(1)</script>"
ODD: tuple[str | bytes, ...] = (
    *(
        "",
        "0",
        "-1",
        "1",
        "2",
        "1" * 30,
        "1e400",
        "nan",
        "inf",
        "1_0",
        "\u0661",
        "\x00",
        "a\r\nSet-Cookie: x=1",
        "\x1b[31m",
    ),
    *("\u202egnp.exe", "x" * 10_000, "\U0001f600" * 50, "[", "\\", "%00", "{{7*7}}", "=1+1", "' OR 1=1--", SCRIPT),
    *(
        "\"'><img src=x onerror=alert(1)>",
        "javascript:alert(1)",
        "../../etc/passwd",
        "/etc/passwd",
        "..%2f..",
        "static",
    ),
    *("0000-00-00", "0001-01-01", "9999-12-31", "2026-02-30", "2026-1-1", "true", b"\xff\xfe", b"\xed\xa0\x80"),
)
DAYS = (DAMAGED, REFUSED, YESTERDAY, LATE, LEARNED, "0001-01-01", "9999-12-31")
USUAL: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("day", "from", "to", "as_of"), DAYS),
    **dict.fromkeys(("version", "before", "after", "row", "page", "line"), ("1", "2", "999999999")),
    **dict.fromkeys(("least", "most"), ("0", "0.5", "1")),
    "against": ("training", "trailing", "last-week", YESTERDAY, LEARNED),
    "file": (DIRTY, "account=1/1.csv"),
    "cursor": ("eyJhIjoxfQ", "MTIz", "W10", "e30", "bnVsbA", "W251bGxd"),
    "became": ("counts", "refused"),
    "sort": ("best", "newest"),
    "said": ("true",),
    "do": ("undo", "label"),
    "as": ("csv", "csv_all", "add", "remove", "example"),
    "why": ("0:1", "9:9", "because"),
}
READS = {
    "": "",
    "sign-in": "next",
    "{u}": "",
    "{u}/days": "from to",
    "{u}/days/{day}": "run",
    "{u}/try": "version as_of",
    "{u}/predictions": "day file account class least most cursor",
    "{u}/predictions/row": "day file line said",
    "{u}/predictions/picture": "day file line column",
    "{u}/models": "run sort",
    "{u}/models/{version}": "",
    "{u}/models/diff": "before after day",
    "{u}/performance": "from to slice",
    "{u}/drift": "day against",
    "{u}/drift/columns": "day against page name",
    "{u}/drift/lamps": "day against",
    "{u}/drift/lamp": "day against name",
    "{u}/label": "day row",
    "{u}/label/said": "who became page",
    "{u}/data": "day",
    "{u}/data/rejects": "day rule file cursor",
    "static/{file}/{file}": "",
}
CHANGES = {
    "sign-in": "key next",
    "sign-out": "",
    "{u}/days/{day}/run": "",
    "{u}/try": "version as_of as why request name data 0.valor 0.conta 1.x 999.a",
    "{u}/predictions/row": "day file line label why",
    "{u}/models/promote": "version why override",
    "{u}/models/rollback": "why",
    "{u}/models/refuse": "version why",
    "{u}/label": "day file line label do",
}
WITHOUT_DAGSTER = re.compile(r"/pages/\w+/(days/[^/]+(/run)?|models(/promote|/rollback|/\d+)?)$")
"""What tells in words, by 503, that Dagster is not there, or a card is not whole: that of this home has no candidates."""


class Fuzzer:
    """Makes requests by chance, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def request(self) -> tuple[str, str, list[tuple[str, str]], bytes]:
        """Method, target, headers and body."""
        posts = self.random.random() < 0.35
        path, names = self.random.choice([*(CHANGES if posts else READS).items()])
        given = [(name, self.value(name)) for name in names.split() if self.random.random() < 0.85]
        given += [("zzz", "1")] if self.random.random() < 0.05 else given[: self.random.random() < 0.05]
        target = "/pages/" + "/".join(quote(self.part(part), safe="") for part in path.split("/"))
        headers = [HOST, OF_BROWSER]
        if self.random.random() < 0.3:
            headers += [("HX-Request", "true"), ("HX-Request-Type", "partial")]
        if not posts:
            return "GET", target + (f"?{urlencode(given)}" if given else ""), headers, b""
        given += [("token", "T")] if self.random.random() < 0.9 else []
        if path.endswith("/try") and self.random.random() < 0.9:
            return "POST", target, [*headers, ("Content-Type", "multipart/form-data; boundary=B")], self.parts(given)
        return (
            "POST",
            target,
            [*headers, ("Content-Type", "application/x-www-form-urlencoded")],
            urlencode(given).encode(),
        )

    def value(self, name: str) -> str | bytes:
        usual = name in USUAL and self.random.random() < 0.8
        return self.random.choice(USUAL[name] if usual else ODD)

    def part(self, part: str) -> str | bytes:
        if part == "{u}":
            return self.random.choice(["transactions"] * 15 + ["loan_approval"] * 4 + ["static"])
        return self.value(part[1:-1]) if part.startswith("{") else part

    def parts(self, given: list[tuple[str, Any]]) -> bytes:
        """A form with files."""
        body = [b'name="%s"\r\n\r\n%s' % (name.encode(), _bytes(value)) for name, value in given]
        if self.random.random() < 0.5:
            name = _bytes(self.random.choice(ODD)).replace(b'"', b"%22").replace(b"\r\n", b"")
            body.append(b'name="file"; filename="%s"\r\n\r\n%s' % (name, _bytes(self.random.choice(ODD))))
        return b"".join(b"--B\r\nContent-Disposition: form-data; %s\r\n" % one for one in body) + b"--B--\r\n"


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


@pytest.fixture(scope="module")
def shown() -> Iterator[Shown]:
    with shown_home() as home:
        yield home


def see(answer: Answer, target: str, home: str) -> None:
    """See that an answer is one that a person may get."""
    kind = answer.headers.get("content-type", "")
    assert answer.status < 500 or (answer.status == 503 and WITHOUT_DAGSTER.match(target.partition("?")[0]))
    assert home not in answer.text
    assert "Traceback" not in answer.text
    if answer.status == 303:
        assert answer.headers["location"].startswith("/pages/")
    elif not answer.text.startswith("file,line") or not kind.startswith("text/csv"):
        assert kind.startswith("text/html")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
        typed = re.compile(r' value="[^"]*"|<textarea.*?</textarea>', re.DOTALL)  # comes back as it was
        assert unseen(typed.sub("", answer.text)) == []


def ask_at_random(shown: Shown, seed: int, number: int, most: float = math.inf) -> Counter[int]:
    """Send requests of a seed, each answered within so much CPU; how many had which status."""
    service = shown.service("http://127.0.0.1:9")
    app, fuzzer, seen = make_app(service, make_entrance(service)), Fuzzer(seed), Counter[int]()
    for at in range(number):
        method, target, headers, body = fuzzer.request()
        began = time.process_time()
        answer = ask(app, method, target, headers, [body])
        took = time.process_time() - began
        seen[answer.status] += 1
        try:
            see(answer, target, str(shown.workspace.settings.home))
        except AssertionError as error:
            said = f"request {at} of seed {seed}: {method} {target[:300]} {body[:500]!r}: {answer.status} {answer.text[:500]}"
            raise AssertionError(said) from error
        assert took < most, (target, took)
    return seen


def test_whatever_is_asked_is_answered_by_a_page(shown: Shown) -> None:
    seen = ask_at_random(shown, 1, 250)
    assert {200, 303, 404, 422} <= set(seen), "requests come past the first look at them"


def test_there_is_no_day_before_the_first_that_a_date_can_be(shown: Shown) -> None:
    service = shown.service()
    answer = ask(make_app(service), "GET", "/pages/transactions/performance?to=0001-01-01")
    assert answer.status == 200, answer.text


@pytest.mark.long
def test_whatever_is_asked_for_long_is_answered_by_a_page(shown: Shown) -> None:
    ask_at_random(shown, Random().randrange(1 << 32), REQUESTS, SECONDS)
