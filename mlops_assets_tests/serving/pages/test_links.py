"""Every page that can be reached from the overview is there, and has what all pages have; nothing leads elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlops_assets.serving.app import make_app, make_service
from mlops_assets_tests.helpers.crawler import Crawler, Read, faults, kind_of
from mlops_assets_tests.helpers.served_home import served_home
from mlops_assets_tests.helpers.shown_home import shown_home

START = "/pages/"
REACHED = {
    ("/pages/",),
    ("/pages/transactions/days",),
    ("/pages/transactions/days/*",),
    ("/pages/transactions/try",),
    ("/pages/transactions/predictions",),
    ("/pages/transactions/predictions/row", "day", "file", "line"),
    ("/pages/transactions/models",),
    ("/pages/transactions/models/*",),
    ("/pages/transactions/performance",),
    ("/pages/transactions/drift",),
    ("/pages/transactions/drift/lamp", "day", "name"),
    ("/pages/transactions/label", "day"),
    ("/pages/transactions/label/said",),
    ("/pages/transactions/data",),
    ("/pages/transactions/data/rejects", "day", "rule"),
    ("/pages/loan_approval/days",),
}
"""Kinds of pages that have a link, whatever else there is."""


@pytest.fixture(scope="module")
def reader() -> Iterator[tuple[Crawler, list[Read]]]:
    """A reader and what they read of the home whose days stand as days can, and of a use case without any."""
    with shown_home() as shown:
        service = shown.service()
        reader = Crawler(make_app(service), (service.workspace.settings.dagster_url,), of_a_kind=1)
        yield reader, [*reader.read(START)]


def test_every_link_and_every_form_that_asks_leads_to_a_page(reader: tuple[Crawler, list[Read]]) -> None:
    crawler, _ = reader

    assert crawler.wrong == []


def test_all_kinds_of_pages_have_a_link(reader: tuple[Crawler, list[Read]]) -> None:
    _, pages = reader

    assert not REACHED - {kind_of(page.address) for page in pages}


def test_every_page_has_what_a_page_has_and_its_part_is_the_same(reader: tuple[Crawler, list[Read]]) -> None:
    crawler, pages = reader

    assert [fault for page in pages if page.seen for fault in faults(crawler, page)] == []


def test_no_two_pages_have_one_title(reader: tuple[Crawler, list[Read]]) -> None:
    _, pages = reader
    titled: dict[str, set[str]] = {}
    for page in pages:
        if page.seen:  # a filter is no other page
            titled.setdefault(page.seen.title, set()).add(page.address.partition("?")[0])

    assert {title: paths for title, paths in titled.items() if len(paths) > 1} == {}


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "most"),
    # each of 200 columns has its picture and its words
    [("santander", (250_000, 25_000)), ("topics", (100_000, 20_000)), ("compound_rings", (100_000, 20_000))],
)
def test_wide_tables_texts_and_pictures_have_such_pages_too(name: str, most: tuple[int, int]) -> None:
    with served_home() as workspace:
        app = make_app(make_service(workspace, (name,)))
        crawler = Crawler(app, (workspace.settings.dagster_url,), of_a_kind=1, most=most)
        found = [fault for page in crawler.read(START) if page.seen for fault in faults(crawler, page)]

    assert (found, crawler.wrong) == ([], [])
