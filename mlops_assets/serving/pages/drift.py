"""`/pages/{use_case}/drift`: what is red of a day, the rows behind it, its columns, and the days before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mlops_assets.monitoring.comparing import Comparison
from mlops_assets.monitoring.lamp import Lamp
from mlops_assets.monitoring.rows import Evidence
from mlops_assets.monitoring.verdicts import Explained, NotWatched, Watcher
from mlops_assets.serving.bodies import query
from mlops_assets.serving.bodies.query import Read, refuse
from mlops_assets.serving.pages.site import Page, Site
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.use_case.drift import AGAINST, read_against
from mlops_assets.use_case.partitions import is_key
from mlops_assets.views.drift import answer_panels, column_panels, first_line
from mlops_assets.views.html.addresses import page_address, rejects_address, row_address, rows_address
from mlops_assets.views.html.panels import panel
from mlops_assets.views.lamps import FIGURES, example_table, grid, lamp_lines, over_time, told_days
from mlops_assets.views.multiples import Panel
from mlops_assets.workspace import Stores

MOST_RED, MOST_OTHERS = 24, 12
"""Columns that the page shows: so many red ones, and so many of the others, those that changed most."""
MOST_SHOWN = 3
"""Red lamps whose rows stand on the page of their day; the page of each has those of the others."""
A_PAGE = 48
"""Columns of a page of all of them."""
MOST_DAYS = 60
"""Days that are offered to be compared with."""

WORDS = {
    "training": "what its model learned from",
    "trailing": "the 28 days before it",
    "last-week": "the same weekday a week before",
}


def routes(site: Site) -> Sequence[BaseRoute]:
    """The routes."""

    def drift(request: Request) -> Response:
        asked, stores = _asked(site, request), site.stores(request)
        watcher = Watcher(stores)
        days = watcher.days()
        if not days and "day" not in asked:
            return site.page(request, "drift.html", day=None, why="No day is published yet.", days=days, form=None)
        day = asked.get("day") or days[-1]
        form = _form(stores, days, day, asked.get("against"))
        try:
            told = watcher.kept_back(day) or watcher.explain(day, asked.get("against"))
        except NotWatched as error:
            status = 200 if day in days else 404
            return site.page(request, "drift.html", status=status, day=day, why=str(error), days=days, form=form)
        return site.page(
            request, "drift.html", day=day, why="", days=days, form=form, **_day(stores, watcher, told, asked)
        )

    def lamps(request: Request) -> Response:
        asked, stores = _asked(site, request), site.stores(request)
        watcher, day = Watcher(stores), _given(asked, "day")
        told = _told(watcher, day, asked)
        every = [_line(stores, one, told, asked) for one in told.verdict.lamps]
        return site.page(request, "drift_lamps.html", day=day, lamps=every, back=_address(stores, day, asked))

    def columns(request: Request) -> Response:
        asked = _asked(site, request, page=query.whole, name=str)
        stores, day = site.stores(request), _given(asked, "day")
        told, panels = _columns_of(Watcher(stores), day, asked)
        name, page = asked.get("name", ""), asked.get("page", 1)
        found = [one for one in panels if name.lower() in one.title.lower()]
        first = (page - 1) * A_PAGE
        shown = [_column(stores, one, told, asked) for one in found[first : first + A_PAGE]]
        after = first + A_PAGE < len(found)
        return site.page(
            request,
            "drift_columns.html",
            day=day,
            name=name,
            against=asked.get("against", ""),
            columns=shown,
            number=len(found),
            first=first + 1,
            back=_address(stores, day, asked),
            before=_address(stores, day, asked, "columns", name=name, page=page - 1) if page > 1 else None,
            after=_address(stores, day, asked, "columns", name=name, page=page + 1) if after else None,
        )

    def lamp(request: Request) -> Response:
        asked = _asked(site, request, name=str)
        stores, day, name = site.stores(request), _given(asked, "day"), _given(asked, "name")
        watcher = Watcher(stores)
        told = _told(watcher, day, asked, name)
        found = next((one for one in told.verdict.lamps if one.name == name), None)
        if found is None:
            raise Problem(404, f"{day} has no lamp {name!r}.")
        lamps = {one.name for one in told.verdict.lamps}
        panels = [one for one in _panels(watcher, told, asked) if one.lamp == name]
        before = over_time(told_days(stores.use_case, stores.lake, day), name)
        return site.page(
            request,
            "drift_lamp.html",
            day=day,
            lamp=_line(stores, found, told, asked),
            advice=found.advice,
            cause=_address(stores, day, asked, "lamp", name=found.cause) if found.cause in lamps else None,
            figures={**found.figures},
            times="{:.2f}".format,
            red=[_red(stores, one, told, asked) for one in told.evidence],
            panels=[_column(stores, one, told, asked) for one in panels],
            before=[{**one, "href": _address(stores, one["day"], {}, "lamp", name=name)} for one in before],
            back=_address(stores, day, asked),
        )

    return [
        Page("/{use_case}/drift", drift),
        Page("/{use_case}/drift/columns", columns),
        Page("/{use_case}/drift/lamps", lamps),
        Page("/{use_case}/drift/lamp", lamp),
    ]


def _asked(site: Site, request: Request, **more: Read) -> dict[str, Any]:
    """What is asked for: a day, and what it is compared with, which is not itself."""
    asked = site.query(request, {"day": query.day, "against": read_against, **more})
    if is_key(asked.get("against", "")):
        asked["against"] = site.period(request, asked["against"])
    if "day" in asked and asked["day"] == asked.get("against"):
        refuse([Wrong("query.against", f"{asked['day']} is the day itself; compare it with another one")])
    return asked


def _given(asked: Mapping[str, Any], name: str) -> str:
    if not asked.get(name):
        raise Problem(422, f"Say which {name}: `?{name}=...`.")
    return str(asked[name])


def _told(watcher: Watcher, day: str, asked: Mapping[str, Any], lamp: str = "") -> Explained:
    """What is said of a day, with the rows behind one lamp; by default of none."""
    try:
        return watcher.kept_back(day, lamp) or watcher.explain(day, asked.get("against"), lamp)
    except NotWatched as error:
        raise Problem(404, str(error)) from None


def _address(stores: Stores, day: str, asked: Mapping[str, Any], below: str = "", **more: Any) -> str:
    """A page of a day, compared with what is compared with here."""
    given = {"day": day, "against": asked.get("against"), **more}
    page = f"drift/{below}" if below else "drift"
    return page_address(stores.use_case.name, page, **{name: value or None for name, value in given.items()})


def _form(stores: Stores, days: Sequence[str], day: str, against: str | None) -> dict[str, Any]:
    """What may be asked for."""
    others = [one for one in reversed(days) if one != day][:MOST_DAYS]
    chosen = against or stores.use_case.drift.against
    named = {name: WORDS[name] for name in AGAINST} | {one: one for one in others}
    if chosen not in named:
        named[chosen] = chosen
    return {"against": named, "chosen": chosen, "first": days[0] if days else None, "last": days[-1] if days else None}


def _day(stores: Stores, watcher: Watcher, told: Explained, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of a day."""
    use_case, verdict = stores.use_case, told.verdict
    panels = _panels(watcher, told, asked)
    shown = [one for one in panels if one.red][:MOST_RED] + [one for one in panels if not one.red][:MOST_OTHERS]
    judged = [_line(stores, one, told, asked) for one in verdict.lamps]
    near = [one for one in judged if one["state"] != "grey"]
    return {
        "sentence": first_line([told]),
        "state": "red" if told.red else "green" if told.judged else "grey",
        "against_words": verdict.against,
        "published": told.today is not None,
        "came": told.today.came if told.today else "",
        "proposal": told.proposal,
        "estimate": told.doubt or (told.estimate.sentence if told.estimate else ""),
        "performance": page_address(use_case.name, "performance"),
        "red": [_red(stores, one, told, asked) for one in told.evidence[:MOST_SHOWN]],
        "more_red": [
            {**_line(stores, one.lamp, told, asked), "says": one.sentence} for one in told.evidence[MOST_SHOWN:]
        ],
        "untold": len(verdict.red_lamps) - len(told.evidence),
        "lamps": near[: len(verdict.red_lamps) + MOST_OTHERS],
        "more_lamps": len(near) - len(verdict.red_lamps) - MOST_OTHERS,
        "all_lamps": _address(stores, verdict.day, asked, "lamps"),
        "grey": [one for one in judged if one["state"] == "grey"],
        "columns": [_column(stores, one, told, asked) for one in shown],
        "more_columns": len(panels) - len(shown),
        "all_columns": _address(stores, verdict.day, asked, "columns"),
        "figures": FIGURES,
        "days_before": [
            {**one, "href": _address(stores, one["day"], {})}
            for one in grid(told_days(use_case, stores.lake, verdict.day))
        ],
    }


def _columns_of(watcher: Watcher, day: str, asked: Mapping[str, Any]) -> tuple[Explained, list[Panel]]:
    told = _told(watcher, day, asked)
    return told, _panels(watcher, told, asked)


def _panels(watcher: Watcher, told: Explained, asked: Mapping[str, Any]) -> list[Panel]:
    """The columns beside what they are compared with; none of a day that was kept back, of which no sum is kept."""
    if told.today is None:
        return []
    reference, beside = watcher.reference(told.today.version), watcher.comparison(told.today, asked.get("against"))
    if reference is None or not isinstance(beside, Comparison):
        return []
    given = told.verdict, told.today.profile, beside.profile, reference
    grey = {lamp.name for lamp in told.verdict.lamps if lamp.state == "grey"}
    # what cannot be judged last: the lamps have it before what is green
    return sorted([*answer_panels(*given), *column_panels(*given)], key=lambda one: (not one.red, one.lamp in grey))


def _column(stores: Stores, one: Panel, told: Explained, asked: Mapping[str, Any]) -> dict[str, Any]:
    day = told.verdict.day
    drawn = panel(one, told.verdict.against, day)
    return {
        "title": one.title,
        "red": one.red,
        "drawn": drawn,
        "href": _address(stores, day, asked, "lamp", name=one.lamp),
    }


def _line(stores: Stores, lamp: Lamp, told: Explained, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A lamp as a line of the table, with the address of its page."""
    (line,) = lamp_lines([lamp], stops=stores.use_case.drift.stop)
    return {**line, "href": _address(stores, told.verdict.day, asked, "lamp", name=lamp.name)}


def _red(stores: Stores, behind: Evidence, told: Explained, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The rows behind a red lamp, each with its address where the day is published; of rejects that of all like it."""
    name, day, lamp = stores.use_case.name, told.verdict.day, behind.lamp
    published, rejected = told.today is not None, lamp.source == "rejects"
    answers = lamp.source == "predictions"
    rule = lamp.name.removeprefix("rejects.")
    heads, rows = example_table(behind.examples, lamp.column)
    shown = [
        {
            "cells": cells,
            "href": rejects_address(name, day, rule, row["file"])
            if rejected
            else (row_address(name, day, row["file"], row["line"]) if published else None),
        }
        for row, cells in zip(behind.examples, rows, strict=True)
    ]
    most: dict[str, list[tuple[str, int, str | None]]] = {
        "Files": [
            (one, number, rejects_address(name, day, rule, one) if rejected else rows_address(name, day, file=one))
            for one, number in behind.most_files.items()
        ],
        "Accounts": [
            (one, number, rows_address(name, day, account=one)) for one, number in behind.most_accounts.items()
        ],
        "Values": [
            (one, number, rows_address(name, day, said=one) if answers else None)
            for one, number in behind.most_values.items()
        ],
    }
    return {
        **_line(stores, lamp, told, asked),
        "says": behind.sentence,
        "cause": lamp.cause,
        "column": lamp.column,
        "advice": lamp.advice,
        "rows": behind.rows,
        "files": behind.files,
        "most": {
            what: [_linked(one, there=published or rejected) for one in every] for what, every in most.items() if every
        },
        "heads": heads,
        "examples": shown,
    }


def _linked(one: tuple[str, int, str | None], *, there: bool) -> dict[str, Any]:
    name, number, href = one
    return {"name": name, "number": number, "href": href if there else None}
