"""The frame of all pages: what a browser loads, who may look, and what is answered where something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from mlops_assets.serving.entrance.keys import new_key
from mlops_assets_tests.helpers.browser import chromium, keep_picture, needs_chromium, visit
from mlops_assets_tests.helpers.served_home import Api, served, served_home

if TYPE_CHECKING:
    from playwright.sync_api import Browser

KEYS = {
    name: new_key(name, frozenset(rights.split(","))) for name, rights in (("ann", "read,write"), ("bob", "predict"))
}


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with served_home() as workspace, served(workspace) as api:
        yield api


@pytest.fixture(scope="module")
def keyed() -> Iterator[Api]:
    with served_home() as workspace, served(workspace, keys=[key for _, key in KEYS.values()]) as api:
        yield api


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def client(api: Api) -> httpx.Client:
    return httpx.Client(base_url=api.url, trust_env=False)


@needs_chromium
def test_the_first_visit_loads_little_and_nothing_from_elsewhere(api: Api, browser: Browser, tmp_path: Path) -> None:
    with visit(browser, api.url) as visitor:
        page = visitor.go("/")
        assert page.url == f"{api.url}/pages/"
        assert sum(visitor.loaded.values()) < 60_000
        visitor.see_accessible()
        keep_picture(visitor, "overview", tmp_path)
        page.goto(f"{api.url}/pages/nothing")
        assert "Not Found" in page.title()
        visitor.see_accessible()
        visitor.said.clear()  # the browser tells of the 404


@needs_chromium
def test_who_signs_in_with_a_key_comes_to_where_they_were_going(keyed: Api, browser: Browser) -> None:
    with visit(browser, keyed.url) as visitor:
        page = visitor.go("/docs")
        assert "/pages/sign-in" in page.url
        page.get_by_label("Key").fill("mlops_wrong")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("The key is not known here").wait_for()
        visitor.see_accessible()
        visitor.said.clear()  # the browser tells of the 401
        page.get_by_label("Key").fill(KEYS["ann"][0])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/docs")
        visitor.go("/pages/")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/pages/sign-in**")
