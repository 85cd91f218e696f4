"""`/pages/{u}/data`: what the columns mean, what the rows of a day look like, and what was refused."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mlops_assets.serving.bodies.query import day
from mlops_assets.serving.finding import find_rejects
from mlops_assets.serving.pages.site import Page, Site
from mlops_assets.serving.problems import Problem
from mlops_assets.views.html.addresses import page_address, rejects_address, rows_address
from mlops_assets.views.profile_page import content
from mlops_assets.views.profiles import Profiled, profile_day
from mlops_assets.views.rejects import told_by_rule
from mlops_assets.workspace import Stores

DAYS = 366
"""Days that are offered; any other has its address."""

LINES = 50
"""Rejects of a page."""

KEPT = 16
"""Profiles that are kept: of hundreds of columns, one takes seconds."""


class Profiles:
    """The profiles that were asked for last, each for as long as nothing that it is of has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[object, ...], Profiled] = OrderedDict()

    def of(self, stores: Stores, of_day: str | None) -> Profiled:
        """The profile of a day; one at a time is made."""
        with self._lock:
            mark = (stores.use_case.name, of_day, *_versions(stores, of_day), stores.history.champion())
            found = self._kept.pop(mark, None) or profile_day(stores, of_day)
            self._kept[mark] = found
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return found


def _versions(stores: Stores, of_day: str | None) -> list[int | None]:
    days = [table.days().get(of_day or "") for table in (stores.lake.rows, stores.lake.predictions)]
    return [one.version if one else None for one in days]


def routes(site: Site) -> Sequence[BaseRoute]:
    """The routes."""
    profiles = Profiles()

    def show(request: Request) -> Response:
        stores, asked = site.stores(request), site.query(request, {"day": day})
        days = _days(stores)
        chosen = asked.get("day") or next(iter(days), None)
        _see_published(stores, chosen, days)
        found = profiles.of(stores, chosen)
        name = stores.use_case.name
        links = {
            "rules": {rule: rejects_address(name, chosen, rule) for rule in found.rejects},
            "all": rejects_address(name, chosen),
            "rows": rows_address(name, chosen) if chosen in stores.lake.predictions.days() else None,
        }
        return site.page(
            request, "data.html", days=days[:DAYS], day=chosen, rejects=links if chosen else None, **content(found)
        )

    def reject(request: Request) -> Response:
        stores = site.stores(request)
        asked = site.query(request, {"day": day, "rule": str, "file": str, "cursor": str})
        return _rejects(site, request, stores, asked)

    return [Page("/{use_case}/data", show), Page("/{use_case}/data/rejects", reject)]


def _days(stores: Stores) -> list[str]:
    return sorted(stores.lake.rows.days(), reverse=True)


def _see_published(stores: Stores, chosen: str | None, days: Sequence[str]) -> None:
    if chosen is not None and chosen not in days:
        span = f"published are {len(days)} days from {days[-1]} to {days[0]}" if days else "no day is published yet"
        raise Problem(404, f"{stores.use_case.name} has no published rows of {chosen}; {span}.")


def _rejects(site: Site, request: Request, stores: Stores, asked: Mapping[str, Any]) -> Response:
    """A page of the rejects of a day."""
    name, days = stores.use_case.name, _days(stores)
    chosen = asked.get("day") or next(iter(days), None)
    # a form sends what was not filled in as an empty text
    rule, file = asked.get("rule") or None, asked.get("file") or None
    _see_published(stores, chosen, days)
    if chosen is None:
        raise Problem(404, f"No day of {name} is published yet: `mlops-assets run {name}`.")
    _, refused, after = find_rejects(site.service, name, chosen, rule, file, asked.get("cursor"), LINES)
    told = told_by_rule(stores, chosen)
    rows = [
        {
            **one,
            "of_file": rejects_address(name, chosen, file=one["file"]),
            "rows_of_file": rows_address(name, chosen, one["file"]),
        }
        for one in refused.to_pylist()
    ]
    rules = [{**one, "address": rejects_address(name, chosen, one["rule"], file)} for one in told["rules"]]
    return site.page(
        request,
        "data_rejects.html",
        days=days[:DAYS],
        day=chosen,
        rule=rule,
        file=file,
        rows=rows,
        rules=rules,
        total=told["total"],
        files=told["files"],
        data_address=page_address(name, "data", day=chosen),
        all_address=rejects_address(name, chosen),
        next_address=rejects_address(name, chosen, rule, file, after) if after else None,
    )
