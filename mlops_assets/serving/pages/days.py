"""`/pages/{use_case}/days...`: the days as a calendar, and all there is to know of one; a button runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mlops_assets.errors.redaction import without_paths
from mlops_assets.serving.bodies import query
from mlops_assets.serving.bodies.query import perhaps, read_query
from mlops_assets.serving.dagster import NoDagster, NotLaunched
from mlops_assets.serving.finding import no_day
from mlops_assets.serving.pages.site import Page, Site, go_to, small_form, who
from mlops_assets.serving.pages.standing import standing
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.run_checks import check_day
from mlops_assets.serving.service import caller_of
from mlops_assets.serving.starting import day_run
from mlops_assets.use_case.partitions import folder_of
from mlops_assets.views import day_details
from mlops_assets.views.brought import IN_A_SENTENCE
from mlops_assets.views.calendar import by_day, counted, in_words, months, newest_months
from mlops_assets.views.days import STATES, Known, record, short_record
from mlops_assets.views.html.addresses import lamp_address, page_address, rejects_address
from mlops_assets.views.numbers import percent
from mlops_assets.views.overview import next_of, trust_of
from mlops_assets.views.timing import times

MONTHS = 6
"""Months of a page."""

DAYS_OF_HOURS = 7
"""Days of a page whose hours are shown."""

NO_RUN = "Dagster knows no such run of this day."


def routes(site: Site) -> Sequence[BaseRoute]:
    """The routes."""

    def use_case(request: Request) -> Response:
        return go_to(page_address(site.use_case(request).name, "days"))

    def days(request: Request) -> Response:
        return _days(site, request)

    def day(request: Request) -> Response:
        asked = read_query(request, {"run": str})
        run, trouble = _standing(site, request, asked["run"]) if asked.get("run") else (None, "")
        return _day(site, request, run, trouble)

    async def run(request: Request) -> Response:
        await small_form(request)
        return await run_in_threadpool(_run, site, request)

    return [
        Page("/{use_case}", use_case),
        Page("/{use_case}/days", days),
        Page("/{use_case}/days/{day}", day),
        Page("/{use_case}/days/{day}/run", run, methods=["POST"]),
    ]


def _days(site: Site, request: Request) -> Response:
    """The calendar, and the days that are not as they should be."""
    asked = read_query(request, {"from": perhaps(query.day), "to": perhaps(query.day)})
    first, last = asked.get("from") or "", asked.get("to") or ""
    name = site.use_case(request).name
    with site.service.open(name) as stores:
        known = Known.of(stores)
        hourly = stores.use_case.partitions.every == "hour"
        every = known.days(first, last)
        shown, before = newest_months(every, DAYS_OF_HOURS, 10) if hourly else newest_months(every, MONTHS)
        told = {day: short_record(known, day) for day in shown}
    earlier = urlencode({**({"from": first} if first else {}), "to": before[:10]}) if before else ""
    return site.page(
        request,
        "days.html",
        told=told,
        months=[] if hourly else months(shown),
        hours=by_day(shown) if hourly else {},
        counted=counted(told),
        troubled=[one for one in told.values() if one["state"] in ("red", "late")],
        states=STATES,
        first=first,
        last=last,
        earlier=earlier,
        command=f"mlops-assets run {name}",
        folder=folder_of(site.use_case(request).partitions.example),
    )


def _day(
    site: Site, request: Request, run: Mapping[str, Any] | None = None, trouble: str = "", status: int = 200
) -> Response:
    """All that there is to know of a day."""
    name, day = site.use_case(request).name, _day_of(site, request)
    with site.service.open(name) as stores:
        known = Known.of(stores)
        every = known.days()
        if day not in every:
            raise no_day(name, day, every)
        told = record(known, day)
        values: dict[str, Any] = {
            "trust": trust_of(known, told),
            "following": next_of(told, name, stores.history.champion(), told["rejected"] or 0),
            "sums": day_details.sums(told),
            "rejects": day_details.first_rejects(known, day),
            "shares": day_details.class_shares(known, day),
            "times": times(known, day),
        }
    at, dagster = every.index(day), site.service.starter.dagster
    return site.page(
        request,
        "days_day.html",
        status=status,
        day=day,
        in_words=in_words(day),
        every=site.use_case(request).partitions.every,
        told=told,
        meaning=STATES[told["state"]],
        before=every[at + 1] if at + 1 < len(every) else None,
        after=every[at - 1] if at else None,
        run_link=dagster.link(told["run"]) if told["run"] else None,
        may_run="write" in caller_of(request).rights,
        run=run,
        trouble=trouble,
        command=f"mlops-assets run {name} --from {day} --to {day}",
        query=urlencode({"day": day}),
        lamps={one["name"]: lamp_address(name, day, one["name"]) for one in (told["drift"] or {}).get("red_lamps", ())},
        refused={rule: rejects_address(name, day, rule) for rule in values["rejects"]},
        shown_percent=percent,
        delivered=IN_A_SENTENCE,
        **values,
    )


def _run(site: Site, request: Request) -> Response:
    """Start the run of a day, and tell of it on the page of the day."""
    stores, day = site.stores(request), _day_of(site, request)
    try:
        wish = day_run(stores.use_case.name, day)
        run = site.service.starter.start(wish, who(request), lambda: check_day(stores, day))
    except (NoDagster, NotLaunched) as error:
        return _day(site, request, trouble=without_paths(str(error)), status=503)
    return go_to(page_address(stores.use_case.name, f"days/{day}", run=run))


def _standing(site: Site, request: Request, run: str) -> tuple[Mapping[str, Any] | None, str]:
    """How a run stands that a link says was started for this day; or nothing, and why."""
    use_case, day = site.use_case(request).name, _day_of(site, request)
    try:
        found, trouble = standing(site.service.starter, use_case, run, page_address(use_case, f"days/{day}", run=run))
    except Problem:
        return None, NO_RUN
    of_day = found is None or (found["job"] == day_run(use_case, day).job and found["days"] == {"from": day, "to": day})
    return (found, trouble) if of_day else (None, NO_RUN)


def _day_of(site: Site, request: Request) -> str:
    """The day that a path names, or the week in which it lies."""
    try:
        return site.period(request, query.day(request.path_params["day"]))
    except ValueError as error:
        raise Problem(404, f"There is no day {request.path_params['day'][:40]!r}: {error}.") from None
