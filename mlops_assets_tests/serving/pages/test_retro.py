"""The page of a change of the champion: what became of past days, and what differs on them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest

from mlops_assets.serving.answering.champions import Champions
from mlops_assets.serving.app import make_app
from mlops_assets.serving.entrance.callers import Caller
from mlops_assets.serving.entrance.doors import Entrance
from mlops_assets.serving.service import Service
from mlops_assets.workspace import Stores
from mlops_assets_tests.helpers.asgi import HOST, ask
from mlops_assets_tests.helpers.promoted import DAYS, promote, promoted_home, scoring, valued

USE_CASE = valued(most_changed=0.0)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with promoted_home(tmp_path_factory.mktemp("pages"), USE_CASE) as stores:
        promote(stores, 2)
        with scoring(stores) as work:
            work.go_on()
        yield stores


@pytest.fixture(scope="module")
def app(stores: Stores) -> Any:
    service = Service(stores.workspace, {"toy": USE_CASE}, Champions(stores.workspace))
    return make_app(service, Entrance(local=Caller("ann")))


def read(app: Any, path: str, status: int = 200) -> str:
    answer = ask(app, "GET", f"/pages/toy/models{path}", (HOST,))
    assert answer.status == status, answer.text
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.text)))


def test_the_page_says_how_it_stands_and_what_differs_by_day_class_slice_and_value(app: Any) -> None:
    page = read(app, "/changes/2")
    assert "of 3 published days 3 scored again, and not published yet" in page
    assert "what was published stays" in page
    assert 'mlops-assets retro-score toy --publish "WHY"' in page
    assert "toy, 2026-01-10 to 2026-01-12: version 2 against version 1" in page
    for day in DAYS:
        assert f"{day} 1 to 2 40" in page
    assert "By class Class Rows before" in page
    assert "city C1 30" in page
    assert "They are worth" in page


def test_the_page_of_the_versions_leads_there(app: Any) -> None:
    assert "Past days, scored again" in read(app, "")
    assert 'href="/pages/toy/models/changes/2"' in ask(app, "GET", "/pages/toy/models", (HOST,)).text


@pytest.mark.parametrize("path", ["/changes/1", "/changes/9", "/changes/x", "/changes/0"])
def test_a_change_without_days_has_no_page(app: Any, path: str) -> None:
    assert "There is no such change" in read(app, path, 404)
