"""`/pages/{u}/predictions`: the published predictions of a day, some of them if one asks for some, a page at a time."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mlops_assets.serving.bodies import query
from mlops_assets.serving.bodies.query import perhaps
from mlops_assets.serving.finding import MOST, Asked, Found, find_predictions
from mlops_assets.serving.pages.site import Page, Site
from mlops_assets.serving.problems import Problem
from mlops_assets.views.html.addresses import row_address, rows_address

FILTERS = ("file", "account", "class", "least", "most", "lowest", "highest")
"""What somebody may ask for, in the order of `Asked`."""

ROWS = 50
"""Rows of a page."""
LONGEST = 4_000
"""Signs of a name that is asked for."""


T = TypeVar("T")

name_of = query.text(LONGEST)


def share(given: str) -> float:
    """A probability."""
    try:
        found = float(given)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise ValueError("expected a number from 0 to 1, such as 0.5")
    return found


def number(given: str) -> float:
    """A number that is predicted."""
    try:
        found = float(given)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ValueError("expected a number, with a point before its decimals, such as 1200.5")
    return found


def _typed(read: Callable[[str], T]) -> Callable[[str], T | None]:
    """What somebody typed into a field, without the blanks around it."""
    return lambda given: perhaps(read)(given.strip())


KNOWN = {
    "day": _typed(query.day),
    "file": _typed(name_of),
    "account": _typed(name_of),
    "class": _typed(name_of),
    "least": _typed(share),
    "most": _typed(share),
    "lowest": _typed(number),
    "highest": _typed(number),
    "cursor": _typed(name_of),
}


def routes(site: Site) -> Sequence[BaseRoute]:
    """The routes."""

    def predictions(request: Request) -> Response:
        configured = site.use_case(request)
        use_case = configured.name
        given = {**dict.fromkeys(KNOWN), **site.query(request, KNOWN)}
        with site.service.open(use_case) as stores:
            days = [*stores.lake.predictions.days()]
        day = given["day"] or (days[-1] if days else None)
        told: dict[str, Any] = {
            "given": given,
            "day": day,
            "first_day": days[0] if days else None,
            "problem": "",
            "found": None,
        }
        told |= {
            "of_numbers": configured.training.says_numbers,
            "classes": _classes(site, request),
            "last_day": days[-1] if days else None,
            **_beside(use_case, days, day),
        }
        if day is None or day not in days:
            return site.page(request, "predictions.html", status=200 if day is None else 404, **told)
        asked = _asked(day, given)
        try:
            found = find_predictions(site.service, use_case, asked, given.get("cursor"), ROWS)
        except Problem as problem:  # the day was published again since somebody turned the page, or went
            told["problem"] = problem.detail
            return site.page(request, "predictions.html", status=problem.status, **told, first=_first(use_case, asked))
        return site.page(request, "predictions.html", **{**told, **_shown(use_case, asked, given, found)})

    return [Page("/{use_case}/predictions", predictions)]


def _asked(day: str, given: Mapping[str, Any]) -> Asked:
    return Asked(day, *(given.get(name) for name in FILTERS))


def _classes(site: Site, request: Request) -> list[str]:
    """What may be asked for, where that is known without reading a model."""
    loaded = site.service.champions.at_hand(site.use_case(request))
    return [*loaded.model.classes] if loaded else []


def _first(use_case: str, asked: Asked, cursor: str | None = None) -> str:
    return rows_address(use_case, **asdict(asked), cursor=cursor)


def _beside(use_case: str, days: Sequence[str], day: str | None) -> dict[str, Any]:
    """The published days before and behind a day, with their addresses."""
    before = next((one for one in reversed(days) if day and one < day), None)
    after = next((one for one in days if day and one > day), None)
    beside = {"day_before": before, "day_after": after}
    return {name: one and {"day": one, "address": rows_address(use_case, one)} for name, one in beside.items()}


def _shown(use_case: str, asked: Asked, given: Mapping[str, Any], found: Found) -> dict[str, Any]:
    """What a page shows of the rows that were found."""
    rows = found.rows.to_pylist()
    for row in rows:
        row["address"] = row_address(use_case, asked.day, row["file"], row["line"])
        row["of_account"] = rows_address(use_case, asked.day, account=row["account_id"])
    accounting = found.published.accounting
    return {
        "found": {
            "rows": rows,
            "all": accounting.predictions,
            "version": accounting.model_version,
            "published": dt.datetime.fromtimestamp(found.published.time / 1000, dt.UTC),
        },
        "filtered": asked != Asked(asked.day),
        "first": _first(use_case, asked) if given.get("cursor") else None,
        "next": _first(use_case, asked, found.after) if found.after else None,
        "export": _export(use_case, asked),
        "exported": MOST,
    }


def _export(use_case: str, asked: Asked) -> str:
    """The same rows as CSV, from the API; people open it in a spreadsheet."""
    wanted = {
        "file": asked.file,
        "account": asked.account,
        "class": asked.said,
        "min_probability": asked.least,
        "max_probability": asked.most,
        "min_prediction": asked.lowest,
        "max_prediction": asked.highest,
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    return f"/v1/use-cases/{use_case}/days/{asked.day}/predictions?" + urlencode(
        {**given, "limit": MOST, "format": "csv", "spreadsheet": "true"}
    )
