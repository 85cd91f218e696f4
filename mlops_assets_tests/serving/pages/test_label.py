"""People label the audit sample of a day: by keyboard, without scripts, taking back, and seeing what all have said."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlops_assets.journey.feedback.audit import draw_audit
from mlops_assets.journey.feedback.corrections import read_accepted, read_rejected
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.views.labelling import sample_of
from mlops_assets.views.said import said
from mlops_assets.workspace import Stores, Workspace
from mlops_assets_tests.helpers.asgi import HOST, Answer, ask
from mlops_assets_tests.helpers.asked_api import Api
from mlops_assets_tests.helpers.browser import Visitor, chromium, keep_picture, needs_chromium, visit
from mlops_assets_tests.helpers.evil import TERMINAL
from mlops_assets_tests.helpers.feedback import EARLY, entry, predicted
from mlops_assets_tests.helpers.served_home import YESTERDAY, champions_in, publish, served
from mlops_assets_tests.helpers.served_home import Api as Served
from mlops_assets_tests.helpers.toy import DAY, purchases, put, toy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LABEL = "/pages/toy/label"
EVIL = ("<script>document.title='PWNED'</script>", TERMINAL, "x" * 10_000)
LABELS = ("FOOD", "FUEL", *(label.replace("\r", " ").replace("\n", " ") for label in EVIL))
ME = "local"

# -- what a form does ---------------------------------------------------------------------------------------------------


@pytest.fixture
def use_case() -> UseCase:
    changes = {"labels": LABELS, "audit_rows": 4}
    return toy().model_copy(update={"feedback": toy().feedback.model_copy(update=changes)})


@pytest.fixture
def stores(settings: Settings, use_case: UseCase) -> Stores:
    """A published day of which four rows were drawn for people to label."""
    lake = Lake(settings.lake, "toy")
    rows = purchases(20)
    put(lake, use_case, rows)
    predicted(lake, rows)
    draw_audit(use_case, lake, DAY)
    return Workspace(settings).of(use_case)


@pytest.fixture
def api(stores: Stores) -> Api:
    return Api.of(stores.workspace, stores.use_case)


def fields(page: str, form: str) -> dict[str, str]:
    """The hidden fields of a form."""
    inside = page.split(f'id="{form}"', 1)[1].split("</form>", 1)[0]
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', inside)
    return {name: html.unescape(value) for name, value in found}


def send(api: Api, form: str, row: int | None = None, **values: str) -> Answer:
    """Fill in the form of a row, by default of the next one."""
    from urllib.parse import urlencode

    shown = api.get(LABEL, day=DAY, **({"row": row} if row else {}))
    assert shown.status == 200, shown.text
    cookie = shown.headers["set-cookie"].partition(";")[0]
    body = urlencode({**fields(shown.text, form), "do": form, **values}).encode()
    headers = [HOST, ("Cookie", cookie), ("Content-Type", "application/x-www-form-urlencoded")]
    return ask(api.app, "POST", LABEL, headers, [body])


def accepted(stores: Stores) -> list[str]:
    return [one["label"] for one in read_accepted(stores.lake).to_pylist()]


def test_what_is_said_is_kept_at_once_as_a_file_of_corrections_and_the_next_row_comes(api: Api, stores: Stores) -> None:
    answer = send(api, "label", label="FUEL")
    assert (answer.status, answer.headers["location"]) == (303, f"{LABEL}?day={DAY}&row=2")
    (one,) = read_accepted(stores.lake).to_pylist()
    assert (one["label"], one["who"], one["audited"]) == ("FUEL", ME, True)
    (file,) = Path(str(stores.corrections)).iterdir()
    assert file.name == one["source_file"]
    shown = api.get(LABEL, day=DAY).text
    assert "1 of 4 rows" in shown
    assert "Row 2 of 4" in shown, "it goes on where one stopped"


def test_what_is_taken_back_counts_no_more_and_stays_to_be_seen(api: Api, stores: Stores) -> None:
    send(api, "label", label="FUEL")
    send(api, "label", label="FOOD")
    assert send(api, "undo").headers["location"] == f"{LABEL}?day={DAY}&row=2"
    assert accepted(stores) == ["FUEL"]
    assert send(api, "undo").headers["location"] == f"{LABEL}?day={DAY}&row=1"
    assert accepted(stores) == []
    assert sorted(read_rejected(stores.lake)["rule"].to_pylist()) == ["superseded"] * 2 + ["withdrawn"] * 2
    assert 'id="undo"' not in api.get(LABEL, day=DAY).text
    send(api, "label", label="FOOD")
    assert accepted(stores) == ["FOOD"]


def test_another_answer_of_the_same_person_takes_the_place_of_the_first(api: Api, stores: Stores) -> None:
    send(api, "label", label="FUEL")
    assert "You said <strong>FUEL</strong>" in api.get(LABEL, day=DAY, row=1).text
    send(api, "label", row=1, label="FOOD")
    assert accepted(stores) == ["FOOD"]


def by_bob(stores: Stores, row: int, label: str) -> None:
    """Somebody else says what a row of the sample is."""
    sample = sample_of(stores, DAY, ME)
    assert sample is not None
    drawn = sample.rows[row - 1]
    folder = Path(str(stores.corrections))
    folder.mkdir(parents=True, exist_ok=True)
    line = entry(drawn.line, label, file=drawn.file, who="bob", when=EARLY, day=DAY)
    (folder / "bob.csv").write_text(f"day,file,line,label,who,when\n{line}\n")


def test_what_does_not_count_is_told_with_its_reason(api: Api, stores: Stores) -> None:
    by_bob(stores, 1, "FOOD")
    answer = send(api, "label", label="FUEL")
    assert answer.status == 200
    assert "does not count (contradiction)" in answer.text
    assert "bob says &#39;FOOD&#39;" in answer.text
    assert "Row 2 of 4" in answer.text
    assert accepted(stores) == []
    assert said(stores, became="contradiction")["found"] == 2


def test_rows_that_somebody_else_labelled_are_done_and_their_answer_is_not_shown(api: Api, stores: Stores) -> None:
    by_bob(stores, 1, "FOOD")
    send(api, "label", row=2, label="FUEL")
    page = api.get(LABEL, day=DAY).text
    assert "Row 3 of 4" in page
    assert "somebody labelled it" in page


def test_the_answers_of_the_model_are_shown_when_all_rows_are_done_and_not_before(api: Api, stores: Stores) -> None:
    for label in ("FUEL", "FOOD", "FUEL"):
        assert "The model said" not in api.get(LABEL, day=DAY).text
        send(api, "label", label=label)
    assert send(api, "label", label="FOOD").headers["location"] == f"{LABEL}?day={DAY}"
    page = api.get(LABEL, day=DAY).text
    assert "say the same in 2 of 4 rows" in page
    assert "The model said" in page


@pytest.mark.parametrize(
    ("values", "status", "told"),
    [
        ({"label": ""}, 422, "No class was chosen"),
        ({"label": "FUEL", "line": "99"}, 422, "not in the sample"),
        ({"label": "FUEL", "day": "yesterday"}, 422, "expected a day"),
        ({"label": "FUEL", "token": "another"}, 403, "not made for this browser"),
    ],
)
def test_a_form_that_cannot_be_meant_is_refused(
    api: Api, stores: Stores, values: dict[str, str], status: int, told: str
) -> None:
    answer = send(api, "label", **values)
    assert (answer.status, told in html.unescape(answer.text)) == (status, True)
    assert accepted(stores) == []


def test_a_day_without_a_sample_says_what_to_run(api: Api) -> None:
    page = api.get(LABEL, day="2026-01-30").text
    assert "mlops-assets audit toy --day 2026-01-30" in page
    assert api.get(LABEL, day=DAY, row=5).status == 404


@pytest.mark.parametrize("label", LABELS[2:], ids=["script", "terminal", "long"])
def test_a_hostile_label_is_text_on_every_page_and_comes_back_as_it_was(api: Api, stores: Stores, label: str) -> None:
    assert send(api, "label", label=label).status == 303
    assert accepted(stores) == [label]
    for path in (LABEL, f"{LABEL}/said"):
        page = api.get(path).text
        assert "<script>document" not in page
        assert not {*"\x1b\x07\u202e\u200b\x9b"} & {*re.sub(r'value="[^"]*"', "", page)}


def test_what_people_have_said_is_found_by_who_and_by_what_became_of_it(api: Api, stores: Stores) -> None:
    send(api, "label", label="FUEL")
    by_bob(stores, 2, "SHOES")
    send(api, "label", row=3, label="FOOD")
    every = api.get(f"{LABEL}/said").text
    assert "no model knows the label" in every
    assert f"/pages/toy/predictions/row?day={DAY}" in every
    assert said(stores)["became"] == {"counts": 2, "unknown_label": 1}
    bobs = api.get(f"{LABEL}/said", who="bob").text
    assert "SHOES" in bobs
    assert "1 entries" in bobs
    assert "SHOES" not in api.get(f"{LABEL}/said", became="counts").text
    assert api.get(f"{LABEL}/said", became="nothing").status == 422


# -- in a browser -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with champions_in(tmp_path_factory.mktemp("home"), "transactions") as workspace:
        stores = workspace.find("transactions")
        publish(stores)
        draw_audit(stores.use_case, stores.lake, YESTERDAY.isoformat())
        yield stores


@pytest.fixture(scope="module")
def server(home: Stores) -> Iterator[Served]:
    with served(home.workspace, "transactions") as api:
        yield api


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def row_number(page: Page) -> int:
    return int(page.locator("#which").inner_text().split()[1])


def type_class(page: Page, name: str, delay: float = 0) -> None:
    """Type the beginning of a class and accept it, and wait for the next row."""
    before = row_number(page)
    page.keyboard.type(name[:4].lower(), delay=delay)
    assert page.locator("#classes [aria-selected='true']").inner_text() == name
    page.keyboard.press("Enter")
    page.locator("#which", has_text=f"Row {before} of").wait_for(state="detached")


def labels_of(page: Page) -> list[str]:
    """Classes that are found by their first four signs alone."""
    names = page.locator("#classes li").all_inner_texts()
    starts = [name[:4] for name in names]
    return [name for name in names if starts.count(name[:4]) == 1]


@needs_chromium
def test_five_rows_are_labelled_by_keyboard_alone(
    server: Served, browser: Browser, home: Stores, tmp_path: Path
) -> None:
    with visit(browser, server.url) as visitor:
        page = visitor.go("/pages/transactions/label")
        names = labels_of(page)[:5]
        page.keyboard.press("Enter")
        assert row_number(page) == 1, "Enter alone says nothing"
        type_class(page, names[0])
        type_class(page, names[1])
        page.keyboard.press("Control+z")
        page.locator("#which", has_text="Row 2 of").wait_for()
        page.keyboard.press("ArrowRight")
        page.locator("#which", has_text="Row 3 of").wait_for()
        page.keyboard.press("ArrowDown")
        chosen = page.locator("#classes [aria-selected='true']").inner_text()
        page.keyboard.press("Enter")
        page.locator("#which", has_text="Row 4 of").wait_for()
        for name in names[2:]:
            type_class(page, name)
        assert page.get_by_role("progressbar").get_attribute("value") == "5"
        page.keyboard.type(names[0][:4].lower())
        visitor.see_accessible()
        keep_picture(visitor, "label", tmp_path)
        page.get_by_role("link", name="What people have said").click()
        visitor.see_accessible()
        keep_picture(visitor, "said", tmp_path)
        assert page.locator("td", has_text="counts audit").count() == 5
    entries = read_accepted(home.lake).to_pylist()
    assert sorted(one["label"] for one in entries) == sorted([names[0], chosen, *names[2:]])
    assert {one["source_file"] for one in entries} <= {path.name for path in home.corrections.glob("*.csv")}


@needs_chromium
def test_a_phone_without_scripts_labels_and_takes_back(server: Served, browser: Browser) -> None:
    with visit(browser, server.url, javascript=False, phone=True) as visitor:
        page = visitor.go("/pages/transactions/label?row=9")
        assert page.locator("dt", has_text="merchant_city").count() == 1
        assert page.locator("dt", has_text="category").count() == 0
        assert page.locator("details:not([open])", has_text="it has a label in it").count() == 1
        name = page.get_by_role("radio").nth(1).get_attribute("value")
        page.get_by_role("radio").nth(1).check()
        page.get_by_role("button", name="Accept").click()
        page.get_by_text(f"Row 9: you said {name}").wait_for()
        page.get_by_role("button", name="Undo").click()
        page.get_by_role("heading", name="Row 9 of").wait_for()
        assert page.get_by_role("radio", checked=True).count() == 0


@pytest.mark.long
@needs_chromium
def test_fifty_rows_are_labelled_in_less_than_four_minutes_by_somebody_who_types_like_a_person(
    server: Served, browser: Browser
) -> None:
    with visit(browser, server.url) as visitor:
        page = visitor.go("/pages/transactions/label")
        names = labels_of(page)
        begun = time.monotonic()
        waited = _label_all(visitor, page, names)
        took = time.monotonic() - begun
        assert "All rows are done" in page.content()
    print(f"{took:.0f} s, of which {waited:.0f} s thinking")  # noqa: T201  # it is what is measured
    assert took < 240


def _label_all(visitor: Visitor, page: Page, names: list[Any]) -> float:
    """Label what is left of the sample: 1.5 s of thinking a row, 100 ms a key."""
    waited = 0.0
    for at in range(50):
        if not page.locator("#which").count():
            break
        page.wait_for_timeout(1_500)
        waited += 1.5
        type_class(page, names[at % len(names)], delay=100)
    return waited
