"""What strangers write is text on every page, whatever stands in it; and no form does what its sender may not."""

from __future__ import annotations

import csv
import html
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from mlops_assets.journey.feedback.audit import draw_audit
from mlops_assets.journey.score.day import Scorers, score_day
from mlops_assets.serving.answering.champions import Champions
from mlops_assets.serving.app import make_app
from mlops_assets.serving.entrance.doors import Entrance
from mlops_assets.serving.entrance.keys import OPEN_BYTES, Keys, new_key
from mlops_assets.serving.service import Service
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers import versions
from mlops_assets_tests.helpers.asgi import HOST, Answer, ask
from mlops_assets_tests.helpers.days import ignore, read_raw
from mlops_assets_tests.helpers.evil import FORMULAS, MARKDOWN, TERMINAL, unseen
from mlops_assets_tests.helpers.fake_dagster import FakeDagster, fake_dagster
from mlops_assets_tests.helpers.toy import DAY, toy
from mlops_assets_tests.helpers.versions import copy_of, decided_home

EVIL = (
    *MARKDOWN,
    *FORMULAS,
    "' onmouseover='document.title=1",
    "javascript:alert(1)",
    "../../etc/passwd",
    "x" * 10_000,
)
SCRIPT = "</style></title><script>document.title='PWNED'</script>"
KINDS = (SCRIPT, '"><img src=x onerror=alert(1)>\u202e')
CHANCE = "of-this-browser"
FORM = ("Content-Type", "application/x-www-form-urlencoded")
PART = (("HX-Request", "true"), ("HX-Request-Type", "partial"))
TABS = ("predictions", "days", "try", "models", "performance", "drift", "label", "label/said", "data", "data/rejects")
KEYS = {
    name: new_key(name, frozenset(rights.split(",")), rate)
    for name, rights, rate in (
        ("ann", "read,write", 1e9),
        ("bob", "predict", 1e9),
        ("cid", "read", 1e9),
        ("dora", "write", 1e9),
        ("eve", "read", 1),
    )
}


class Content(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def see_text_alone(answer: Answer, where: str) -> list[str]:
    """See that nothing of a page is what a stranger made of it; the addresses that it leads to."""
    assert answer.status < 500, (where, answer.text)
    assert answer.headers["content-type"].startswith("text/html"), where
    assert "default-src 'none'" in answer.headers["content-security-policy"], where
    # what comes back as it was is in the value of a field
    assert unseen(re.sub(r' value="[^"]*"', "", answer.text)) == [], where
    links = []
    for tag, attributes in Content(answer.text).found:
        assert not {name for name in attributes if name.startswith("on") or name in ("style", "srcdoc")}, where
        assert tag not in ("iframe", "object", "embed", "base", "style"), where
        for name in ("href", "src", "action", "formaction", "hx-get", "hx-post"):
            address = attributes.get(name)
            if address is not None:
                assert re.match(r"/(?!/)|#|http://127\.0\.0\.1:\d+/runs/", address), (where, tag, address)
                links.append(address)
        if tag == "script":
            assert str(attributes.get("src")).startswith("/pages/static/"), where
    return links


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which every text of others is an attack."""
    home = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(versions, "KINDS", KINDS)
        with decided_home(home) as workspace:
            stores = workspace.of(hostile())
            _write(home / "raw" / "toy" / f"day={DAY}")
            read_raw(stores.use_case, home / "raw", stores.lake, DAY)
            registry = workspace.registry
            registry.promote(registry.version("toy", 1), TERMINAL, f"{SCRIPT}{'x' * 10_000}")
            champion = stores.champion()
            assert champion is not None
            score_day(
                stores.use_case,
                stores.lake,
                DAY,
                Scorers(registry.prove(champion)),
                LocalEngine(1),
                ignore,
                "the folder",
            )
            draw_audit(stores.use_case, stores.lake, DAY)
    return home


def _write(folder: Path) -> None:
    """A file for each attack, named by it and full of it; of one more its second line is refused."""
    folder.mkdir(parents=True)
    for number, text in enumerate(EVIL):
        name = re.sub(r"[/\r\n]", "_", text)[:60]
        with (folder / f"{number} {name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["account", "date", "amount", "city", "kind"])
            table.writerow([text, "2026-01-02", number, text, text])
            if not number % 5:
                table.writerow([text, text, text, text, text])


def hostile() -> Any:
    """`toy`, of which the description and the labels are attacks, too."""
    feedback = toy().feedback.model_copy(update={"labels": tuple(one for one in EVIL if one.isprintable())})
    return toy().model_copy(update={"description": SCRIPT, "feedback": feedback})


class Pages:
    """The pages of a home, and the Dagster that they ask."""

    def __init__(self, workspace: Workspace, dagster: FakeDagster, *, keyed: bool = False) -> None:
        workspace = Workspace(replace(workspace.settings, dagster_url=dagster.address))
        self.stores, self.dagster = workspace.of(hostile()), dagster
        named = {"toy": hostile(), "static": hostile().model_copy(update={"name": "static"})}
        keys = Keys([key for _, key in KEYS.values()]) if keyed else None
        service = Service(workspace, named, Champions(workspace))
        self.app = make_app(service, Entrance(keys=keys))

    def get(self, path: str, *headers: tuple[str, str], key: str = "") -> Answer:
        return ask(self.app, "GET", path, [HOST, *headers, *_cookie(key)])

    def send(self, path: str, *headers: tuple[str, str], key: str = "", token: str = CHANCE, **fields: Any) -> Answer:
        body = urlencode({"token": token, **fields}).encode()
        return ask(self.app, "POST", path, [HOST, FORM, *headers, *_cookie(key)], [body])


def _cookie(key: str) -> list[tuple[str, str]]:
    value = KEYS[key][0] if key in KEYS else key
    return [("Cookie", f"mlops_form={CHANCE}" + (f"; mlops_key={value}" if value else ""))]


@pytest.fixture(scope="module")
def dagster() -> Iterator[FakeDagster]:
    with fake_dagster() as found:
        yield found


@pytest.fixture(scope="module")
def pages(first: Path, dagster: FakeDagster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with copy_of(first, tmp_path_factory.mktemp("copy")) as workspace:
        yield Pages(workspace, dagster)


@pytest.fixture(scope="module")
def keyed(first: Path, dagster: FakeDagster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with copy_of(first, tmp_path_factory.mktemp("keyed")) as workspace:
        yield Pages(workspace, dagster, keyed=True)


def test_whatever_stands_in_rows_names_labels_and_reasons_is_text_on_every_page_that_links_lead_to(
    pages: Pages,
) -> None:
    see_pages(pages, parts_of_a_kind=6)


@pytest.mark.long
def test_it_is_text_in_the_part_of_every_page_that_links_lead_to(pages: Pages) -> None:
    see_pages(pages, parts_of_a_kind=200)


def see_pages(pages: Pages, parts_of_a_kind: int) -> None:
    """See that pages are text alone, and so many of each kind as the part that a script puts into another, too."""
    said = pages.send("/pages/toy/label", day=DAY, file="0 a|b.csv", line=1, do="label", label=SCRIPT)
    assert said.status in (200, 303, 422), said.text
    waiting = ["/pages/", *(f"/pages/toy/{tab}" for tab in TABS)]
    seen: dict[str, int] = {}
    kinds: Counter[str] = Counter()
    while waiting and len(seen) < 150:
        path = waiting.pop(0).partition("#")[0]
        if path in seen or not path.startswith("/pages/") or path.startswith(("/pages/static", "/pages/sign")):
            continue
        if "/predictions/picture" in path or path.endswith("/run"):
            continue
        kind = path.partition("?")[0]
        kinds[kind] += 1
        answer = pages.get(path)
        seen[path] = answer.status
        waiting += [html.unescape(one) for one in see_text_alone(answer, path)]
        if kinds[kind] <= parts_of_a_kind:
            see_text_alone(pages.get(path, *PART), path)
    rows = {path: status for path, status in seen.items() if "/predictions/row" in path}
    assert len(rows) > 20
    assert set(rows.values()) == {200}, "an address of a hostile name leads to its row"


# -- who may do what ----------------------------------------------------------------------------------------------------

CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/pages/toy/models/promote", {"version": 4, "why": "x"}),
    ("/pages/toy/models/rollback", {"why": "x"}),
    ("/pages/toy/models/refuse", {"version": 4, "why": "x"}),
    (f"/pages/toy/days/{DAY}/run", {}),
    ("/pages/toy/label", {"day": DAY, "file": "0 a|b.csv", "line": 1, "do": "label", "label": SCRIPT}),
    ("/pages/toy/predictions/row", {"day": DAY, "file": "0 a|b.csv", "line": 1, "label": SCRIPT}),
)


def history(pages: Pages) -> tuple[object, ...]:
    """What a change would change."""
    corrections = Path(str(pages.stores.corrections))
    files = [one.name for one in corrections.iterdir()] if corrections.exists() else []
    return (*pages.dagster.runs, *files, str(pages.stores.history.champion()))


@pytest.mark.parametrize("key", ["bob", "cid", "", "mlops_withdrawn"])
def test_who_has_no_right_to_write_changes_nothing_by_a_form(keyed: Pages, key: str) -> None:
    before = history(keyed)
    for path, fields in CHANGES:
        answer = keyed.send(path, key=key, **fields)
        assert answer.status == (403 if key in KEYS else 401), path
        see_text_alone(answer, path)
    assert history(keyed) == before


def test_without_its_token_in_a_form_of_another_type_or_from_elsewhere_nothing_is_changed(keyed: Pages) -> None:
    before = history(keyed)
    from_elsewhere = [
        (("Origin", "http://evil.example"),),
        (("Origin", "null"),),
        (("Sec-Fetch-Site", "same-site"),),  # such a page could have set the cookie with the token
        (("Sec-Fetch-Site", "cross-site"),),
    ]
    for path, fields in CHANGES:
        sent = [
            *(keyed.send(path, key="dora", token=token, **fields) for token in ("", "another", "😀")),
            *(keyed.send(path, *headers, key="dora", **fields) for headers in from_elsewhere),
            ask(
                keyed.app,
                "POST",
                path,
                [HOST, ("Content-Type", "text/plain"), *_cookie("dora")],
                [b"token=" + CHANCE.encode()],
            ),
            ask(keyed.app, "POST", path, [HOST, ("Content-Type", "application/json"), *_cookie("dora")], [b"{}"]),
            ask(
                keyed.app,
                "POST",
                path,
                [("Host", "evil.example"), FORM, *_cookie("dora")],
                [b"token=" + CHANCE.encode()],
            ),
            keyed.get(f"{path}?{urlencode({**fields, 'token': CHANCE})}", key="ann"),
        ]
        assert {answer.status for answer in sent} <= {400, 403, 404, 405, 422}, path
        for answer in sent:
            see_text_alone(answer, path)
    assert history(keyed) == before


def test_a_change_stands_under_the_name_of_the_key_whatever_the_form_says(keyed: Pages) -> None:
    answer = keyed.send("/pages/toy/models/rollback", key="dora", why="x", who="ann", caller="ann")
    assert answer.status == 303, answer.text
    (run,) = keyed.dagster.runs.values()
    (told,) = run["config"]["ops"].values()
    assert told["config"]["who"] == "dora (pages)"
    keyed.dagster.runs.clear()


def test_a_use_case_that_is_called_like_a_folder_of_the_pages_asks_for_a_key_and_has_all_its_pages(
    keyed: Pages,
) -> None:
    for path in (f"/pages/static/days/{DAY}", f"/pages/static/days/{DAY}/run", "/pages/static/models/2"):
        assert keyed.get(path).status == 303
        assert keyed.send(path).status == 401
    assert keyed.get(f"/pages/static/days/{DAY}", key="ann").status in (200, 404)
    assert "There is no such file" not in keyed.get("/pages/static/models/2", key="ann").text
    assert keyed.get("/pages/static/000000000000/pages.css").status == 200


def test_who_may_only_read_signs_out_and_who_has_another_key_is_asked_for_it(keyed: Pages) -> None:
    out = keyed.send("/pages/sign-out", key="cid")
    assert (out.status, 'mlops_key=""' in out.headers["set-cookie"]) == (303, True)
    assert keyed.send("/pages/sign-out", key="cid", token="another").status == 403
    for key, path in (("bob", "/pages/"), ("cid", None)):
        refused = keyed.get(path, key=key) if path else keyed.send(CHANGES[0][0], key=key)
        assert 'href="/pages/sign-in"' in refused.text
    led = keyed.get("/pages/toy/days", key="mlops_withdrawn")
    assert led.headers["location"].startswith("/pages/sign-in?")
    assert keyed.get(led.headers["location"], key="mlops_withdrawn").status == 200


def test_the_rate_of_a_key_counts_for_its_cookie(keyed: Pages) -> None:
    answers = [keyed.get("/pages/toy/models", key="eve") for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 429]
    see_text_alone(answers[-1], "429")


def test_what_is_sent_without_a_key_is_small_and_a_form_of_a_page_too(keyed: Pages) -> None:
    many = [b"&" * (OPEN_BYTES + 1)]  # of such a byte the parser takes long
    for path, key in (
        ("/pages/sign-in", ""),
        ("/pages/sign-out", ""),
        ("/health", ""),
        ("/pages/toy/models/refuse", "dora"),
    ):
        answer = ask(keyed.app, "POST", path, [HOST, FORM, *_cookie(key)], many)
        assert answer.status == 413, path
    few = [f"token={CHANCE}&".encode() + b"x=1&" * 100]
    assert ask(keyed.app, "POST", "/pages/toy/models/refuse", [HOST, FORM, *_cookie("dora")], few).status == 400


def test_an_empty_number_of_chance_is_no_token(keyed: Pages) -> None:
    empty = [HOST, FORM, ("Cookie", f"mlops_form=; mlops_key={KEYS['dora'][0]}")]
    assert ask(keyed.app, "POST", "/pages/toy/models/rollback", empty, [b"token=&why=x"]).status == 403
    shown = ask(keyed.app, "GET", "/pages/sign-in", [HOST, ("Cookie", "mlops_form=")])
    assert re.search(r"mlops_form=\S{20}", shown.headers["set-cookie"])


# -- two at once --------------------------------------------------------------------------------------------------------


def test_of_two_that_promote_at_once_one_run_is_made_and_of_two_that_label_a_row_both_are_kept(pages: Pages) -> None:
    with ThreadPoolExecutor(4) as people:
        asked = [people.submit(pages.send, "/pages/toy/models/promote", version=4, why="both") for _ in range(4)]
        assert {one.result().status for one in asked} == {303}
        assert len(pages.dagster.runs) == 1
        row: dict[str, Any] = {"day": DAY, "file": "0 a|b.csv", "line": 1}
        said = [people.submit(pages.send, "/pages/toy/predictions/row", **row, label=kind) for kind in (SCRIPT, "a|b")]
        # of a person the later word counts, and whose word came too late is told so
        assert {one.result().status for one in said} <= {303, 422}
    pages.dagster.runs.clear()
    shown = pages.get(f"/pages/toy/predictions/row?{urlencode(row)}").text
    assert shown.count("local") >= 2
