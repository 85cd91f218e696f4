"""`/pages/{use_case}/performance`: how often answers are right, by audits; and the estimate, where nobody knows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mlops_assets.errors import UsageError
from mlops_assets.journey.feedback.audited import EVERYTHING
from mlops_assets.serving.bodies import query
from mlops_assets.serving.bodies.query import perhaps, read_query
from mlops_assets.serving.pages.site import Page, Site
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.views.html.charts import Series, lines
from mlops_assets.views.numbers import percent
from mlops_assets.views.performance import performance

ESTIMATE = "estimate (without labels)"
CONSTANT = "one class for all rows (estimate)"

BY = {
    "window": "By window of time, up to the last day",
    "version": "By version, on days that it did not learn from",
    "slice": "By slice, over at most 90 days",
    "age": "By age of the model",
}


KNOWN = {"from": perhaps(query.day), "to": perhaps(query.day), "slice": query.text(1_000)}


def routes(site: Site) -> Sequence[BaseRoute]:
    """The routes."""

    def show(request: Request) -> Response:
        asked = read_query(request, KNOWN)
        first, last, part = asked.get("from"), asked.get("to"), asked.get("slice") or EVERYTHING
        try:
            told = performance(site.stores(request), first, last, part)
        except UsageError as error:
            raise Problem(422, str(error), [Wrong("query.from", str(error))]) from None
        audited = any(point["audited"] for point in told["points"])
        return site.page(
            request,
            "performance.html",
            told=told,
            part=part,
            everything=EVERYTHING,
            titles=BY,
            audited=audited,
            chart=chart(told, part),
        )

    return [Page("/{use_case}/performance", show)]


def chart(told: Mapping[str, Any], part: str = EVERYTHING) -> Markup:
    """The audited accuracy with its interval, and beside it the estimate.

    Parameters
    ----------
    told
        Of `views.performance`.
    part
        The slice that is shown.
    """
    points = told["points"]
    values = {name: [point[name] for point in points] for name in ("accuracy", "low", "high", "estimate", "baseline")}
    known = [value for every in values.values() for value in every if value is not None]
    if not known:
        return Markup("")
    series = [Series("audited", values["accuracy"])]
    if part == EVERYTHING and not told["of_numbers"]:
        series += [Series(ESTIMATE, values["estimate"], "estimate"), Series(CONSTANT, values["baseline"], "usual")]
    band = Series("audited, at least (95 %)", values["low"]), Series("audited, at most (95 %)", values["high"])
    right = "true numbers in their interval" if told["of_numbers"] else "right answers"
    what = f"Share of {right}, a point for every {told['step']}"
    ends = {"least": math.floor(min(known) * 10) / 10, "most": math.ceil(max(known) * 10) / 10}
    return lines(what, [point["day"] for point in points], series, percent, band=band, **ends)
