"""What a person does who tries it, in a real browser: with scripts and without, at a desk and on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from mlops_assets.tools.sampling import write_sample
from mlops_assets_tests.helpers.browser import Visitor, chromium, keep_picture, needs_chromium, visit
from mlops_assets_tests.helpers.served_home import YESTERDAY, Api, served, served_home

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with served_home() as workspace, served(workspace) as api:
        yield api


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def samples(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    for name in ("transactions", "compound_rings"):
        use_case = api.app.state.service.use_cases[name]
        for _ in write_sample(use_case, folder, YESTERDAY, 1, 6, 0.0, 7, labelled=False):
            pass
    return folder


def upload(visitor: Visitor, use_case: str, file: Path) -> None:
    page = visitor.go(f"/pages/{use_case}/try")
    page.set_input_files("input[type=file]", file)
    sent(visitor).get_by_role("button", name="Predict", exact=True).click()
    page.get_by_role("heading", name="Answer of version 1").wait_for()


def sent(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("region", name="Send files")


def download(visitor: Visitor) -> str:
    with visitor.page.expect_download() as coming:
        visitor.page.get_by_role("button", name="Download as CSV").click()
    return coming.value.path().read_text()


def by_the_api(api: Api, use_case: str, file: Path) -> str:
    answer = httpx.post(
        f"{api.url}/v1/use-cases/{use_case}/predictions",
        files={"file": (file.name, file.read_bytes())},
        headers={"Accept": "text/csv"},
        trust_env=False,
    )
    return answer.text


def ask_why(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name=re.compile(r"Why\? Line 2 ")).click()
    visitor.page.get_by_text("Why line 2 is").wait_for()
    visitor.page.get_by_role("img", name="Probability of each class, line 2").wait_for()


@pytest.mark.parametrize(
    "javascript",
    [pytest.param(True, id="with scripts"), pytest.param(False, id="without", marks=pytest.mark.long)],
)
def test_a_file_of_transactions_is_predicted_explained_and_taken_home(
    api: Api, browser: Browser, samples: Path, tmp_path: Path, javascript: bool
) -> None:
    (file,) = (samples / "transactions").rglob("*.csv")
    with visit(browser, api.url, javascript=javascript) as visitor:
        upload(visitor, "transactions", file)
        assert download(visitor) == by_the_api(api, "transactions", file)
        ask_why(visitor)
        # with a script the page stays: a second explanation stands beside the first
        visitor.page.get_by_role("button", name=re.compile(r"Why\? Line 3 ")).click()
        visitor.page.get_by_text("Why line 3 is").wait_for()
        assert visitor.page.get_by_text("Why line 2 is").count() == javascript
        if javascript:
            visitor.see_accessible()
            keep_picture(visitor, "try", tmp_path)


def test_a_form_is_filled_on_a_phone_without_scripts(api: Api, browser: Browser, tmp_path: Path) -> None:
    with visit(browser, api.url, javascript=False, phone=True) as visitor:
        page = visitor.go("/pages/transactions/try")
        filled = page.get_by_role("region", name="Or fill a form")
        filled.get_by_label("amount").fill("12.5")
        filled.get_by_role("button", name="Add a row").click()
        filled.get_by_label("merchant_city").nth(1).fill("CURITIBA")
        filled.get_by_role("button", name="Predict", exact=True).click()
        page.get_by_text("1 file with 2 lines = 2 predictions + 0 rejected lines").wait_for()
        assert ";12,5;;" in page.get_by_role("table").first.inner_text()
        ask_why(visitor)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        keep_picture(visitor, "try-phone", tmp_path)


def test_a_picture_stands_beside_its_answer_and_a_use_case_without_champion_says_why(
    api: Api, browser: Browser, samples: Path
) -> None:
    (picture, *_) = (samples / "compound_rings").rglob("*.png")
    with visit(browser, api.url, phone=True) as visitor:
        upload(visitor, "compound_rings", picture)
        shown = visitor.page.get_by_role("img", name="Picture of line 1")
        assert shown.evaluate("(one) => one.naturalWidth") == 300
        visitor.page.get_by_role("button", name=re.compile(r"Why\? Line 1 ")).click()
        visitor.page.get_by_text("Why line 1 is").wait_for()
        visitor.see_accessible()
        page = visitor.go("/pages/loan_approval/try")
        corner = page.locator(".drop").bounding_box()
        assert corner is not None
        # what is dropped anywhere on the zone is dropped on the field
        assert (
            page.evaluate("([x, y]) => document.elementFromPoint(x, y).type", [corner["x"] + 9, corner["y"] + 9])
            == "file"
        )
        page.get_by_text("loan_approval has no champion").wait_for()
        visitor.see_accessible()
