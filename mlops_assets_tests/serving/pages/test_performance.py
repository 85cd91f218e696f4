"""Performance: what audits know of answers, and beside it, never mixed with it, what is estimated without labels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest

from mlops_assets.journey.feedback.audited import wilson
from mlops_assets.serving.pages.performance import CONSTANT, ESTIMATE
from mlops_assets.views.performance import performance
from mlops_assets_tests.helpers.asked_api import Api
from mlops_assets_tests.helpers.browser import chromium, needs_chromium, visit
from mlops_assets_tests.helpers.damaged_day import label_audit
from mlops_assets_tests.helpers.shown_home import DAMAGED, YESTERDAY, Shown, shown_copy

PAGE = "/pages/transactions/performance"
WRONG = "ANOTHER"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    with shown_copy(tmp_path_factory.mktemp("performance") / "home") as shown:
        yield shown


@pytest.fixture
def api(home: Shown) -> Api:
    return Api.of(home.workspace, home.use_case)


def words(html: str) -> str:
    """What is read of a piece of a page."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def test_before_anybody_labelled_a_row_the_estimate_stands_alone_and_the_page_says_what_to_run(api: Api) -> None:
    """First of all: the tests after it label."""
    html = api.get(PAGE).text
    run = (
        f"mlops-assets audit transactions --day {YESTERDAY} -o audit.csv\nmlops-assets feedback transactions audit.csv"
    )
    assert run in html, "a command a line"
    assert "No audit of such a day has come" in words(html)
    assert f"{YESTERDAY}: Estimate without labels:" in words(html)
    assert 'polyline class="estimate"' in html


def test_audits_stand_with_their_interval_beside_the_estimate(home: Shown, api: Api) -> None:
    label_audit(home, lambda number, said: said if number % 4 else WRONG, DAMAGED, YESTERDAY)
    told = performance(home.stores)
    (damaged, yesterday) = [point for point in told["points"] if point["audited"]]
    assert (damaged["day"], yesterday["day"]) == (DAMAGED, YESTERDAY)
    audited, right = damaged["audited"], damaged["right_audited"]
    assert (damaged["low"], damaged["high"]) == wilson(right, audited)
    assert damaged["estimate_low"] < damaged["estimate"] < damaged["estimate_high"]
    html = api.get(PAGE).text
    assert 'class="band"' in html
    assert {ESTIMATE, CONSTANT} <= {
        unescape(name) for name in re.findall(r'<span class="key \w+">([^<]*)</span>', html)
    }
    for title in ("By window of time", "By version", "By slice", "By age of the model", "beside the audit of its day"):
        assert title in words(html)
    assert f"{2 * right:,} {right / audited:.1%}".replace("%", " %") in words(html)
    assert "On 2 audited days" in words(html)
    assert "When not to trust it:" in words(html)


def test_days_and_slices_are_chosen(home: Shown, api: Api) -> None:
    label_audit(home, lambda number, said: said if number % 4 else WRONG, DAMAGED, YESTERDAY)
    one = performance(home.stores, YESTERDAY, YESTERDAY)
    assert [point["day"] for point in one["points"]] == [YESTERDAY]
    slice_ = one["slices"][0]
    part = performance(home.stores, part=slice_)
    assert sum(point["audited"] for point in part["points"]) <= 2 * one["points"][0]["audited"]
    assert {point["estimate"] for point in part["points"]} == {None}, "it is of all rows"
    html = api.get(PAGE, slice=slice_).text
    assert "The estimate is known of all rows together" in words(html)
    assert f'<option value="{slice_}" selected>' in html


def test_of_many_days_a_point_is_of_several_and_of_too_many_nothing_is_shown(home: Shown, api: Api) -> None:
    told = performance(home.stores, "2026-01-01", "2026-03-15")
    assert told["step"] == "7 days"
    assert [told["points"][place]["day"] for place in (0, 1, -1)] == ["2026-01-01", "2026-01-05", "2026-03-09"]
    for query in ({"from": "2020-01-01", "to": "2026-01-01"}, {"from": "2026-01-02", "to": "2026-01-01"}):
        answer = api.get(PAGE, **query)
        assert (answer.status, "say from 1 to 366 days" in answer.text) == (422, True)
    assert api.get(PAGE, **{"from": "", "to": ""}).status == 200, "fields that were left empty"


@needs_chromium
def test_a_person_without_javascript_zooms_by_the_form(home: Shown) -> None:
    with home.served() as api, chromium() as browser:
        with visit(browser, api.url, javascript=False, phone=True) as visitor:
            page = visitor.go(PAGE)
            page.get_by_label("From", exact=True).fill(YESTERDAY)
            page.get_by_role("button", name="Show").click()
            page.wait_for_url(f"**from={YESTERDAY}**")
            assert page.locator("figure.chart svg circle.estimate").count() == 1
        with visit(browser, api.url) as visitor:
            visitor.go(PAGE)
            visitor.see_accessible()
