"""The frame of all pages: what a browser loads, who may look, and what is answered where something is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from mlops_assets.serving.entrance.keys import new_key
from mlops_assets_tests.helpers.browser import chromium, needs_chromium, visit
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


def client(api: Api, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=api.url, trust_env=False, verify=False, headers=headers)  # plain HTTP


def sign_in(person: httpx.Client, name: str, following: str = "", token: str | None = None) -> httpx.Response:
    """Send the form that the server shows, as a browser does."""
    shown = person.get("/pages/sign-in", params={"next": following})
    fields = dict(re.findall(r'name="(token|next)" value="([^"]*)"', shown.text))
    return person.post(
        "/pages/sign-in", data={**fields, "key": KEYS[name][0], **({} if token is None else {"token": token})}
    )


@needs_chromium
def test_the_first_visit_loads_little_and_nothing_from_elsewhere(api: Api, browser: Browser) -> None:
    with visit(browser, api.url) as visitor:
        page = visitor.go("/")
        assert page.url == f"{api.url}/pages/"
        assert sum(visitor.loaded.values()) < 60_000
        visitor.see_accessible()
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


@pytest.mark.parametrize(
    ("following", "path"),
    [
        ("/pages/topics/days?from=2026-01-01", "/pages/topics/days?from=2026-01-01"),
        ("/docs", "/docs"),
        ("https://elsewhere.example/", "/pages/"),
        ("//elsewhere.example", "/pages/"),
        ("/pages/../metrics", "/pages/"),
        ("/pages/\\elsewhere.example", "/pages/"),
        ("javascript:alert(1)", "/pages/"),
    ],
)
def test_nobody_is_led_to_another_site_by_signing_in(keyed: Api, following: str, path: str) -> None:
    with client(keyed) as person:
        assert sign_in(person, "ann", following).headers["location"] == path


def test_a_form_of_another_browser_is_refused(keyed: Api) -> None:
    with client(keyed) as person:
        refused = sign_in(person, "ann", token="anybody")
        assert (refused.status_code, "Open the page anew" in refused.text) == (403, True)
        assert person.get("/pages/").status_code == 303


def test_a_key_opens_the_pages_that_its_rights_allow(keyed: Api) -> None:
    with client(keyed) as ann, client(keyed) as bob, client(keyed) as nobody:
        assert sign_in(ann, "ann").status_code == 303
        assert "ann" in ann.get("/pages/").text
        assert ann.get("/docs").status_code == 200
        sign_in(bob, "bob")
        refused = bob.get("/pages/")
        assert (refused.status_code, "no right to read" in refused.text) == (403, True)
        led = nobody.get("/pages/topics/days?from=2026-01-01")
        assert (led.status_code, led.headers["location"]) == (
            303,
            "/pages/sign-in?next=%2Fpages%2Ftopics%2Fdays%3Ffrom%3D2026-01-01",
        )


def test_a_key_in_a_cookie_is_kept_from_scripts_and_from_other_sites(keyed: Api) -> None:
    with client(keyed) as person:
        said = sign_in(person, "ann").headers["set-cookie"]
        assert all(word in said for word in ("HttpOnly", "SameSite=strict", "Path=/"))
        assert "Secure" not in said
    with client(keyed, **{"X-Forwarded-Proto": "https"}) as person:
        assert "Secure" in person.get("/pages/sign-in").headers["set-cookie"]
    with client(keyed) as person:
        sign_in(person, "ann")
        foreign = person.post(
            "/v1/use-cases/topics/rollback", json={"why": "x"}, headers={"Origin": "http://evil.example"}
        )
        assert foreign.status_code == 403


def test_a_script_of_the_page_is_sent_its_middle_alone_at_the_same_address(api: Api) -> None:
    with client(api) as person:
        whole = person.get("/pages/")
        part = person.get("/pages/", headers={"HX-Request": "true", "HX-Request-Type": "partial"})
    assert "<!doctype html>" in whole.text
    assert "<!doctype html>" not in part.text
    assert "<h1>Overview</h1>" in part.text
    assert {"HX-Request", "Accept-Encoding"} <= {word.strip() for word in whole.headers["vary"].split(",")}


def test_a_page_may_run_nothing_that_stands_in_it(api: Api) -> None:
    with client(api) as person:
        for path in ("/pages/", "/pages/nothing"):
            answer = person.get(path)
            policy = answer.headers.get_list("content-security-policy")[0]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert not re.search(r"<[^>]* style=|<script>|<style| on[a-z]+=", answer.text)


def test_a_file_of_the_pages_is_kept_by_browsers_and_no_other_file_is_there(api: Api) -> None:
    with client(api) as person:
        address = re.search(r'href="(/pages/static/[^"]*css)"', person.get("/pages/").text)
        assert address is not None
        assert "immutable" in person.get(address[1]).headers["cache-control"]
        assert person.get("/pages/static/0/LICENSES").status_code == 404
        assert person.get("/pages/static/0/..%2Frender.py").status_code == 404


def test_requests_of_pages_are_measured_by_their_path(api: Api) -> None:
    with client(api) as person:
        person.get("/pages/")
        assert 'route="/pages/"' in person.get("/metrics").text
