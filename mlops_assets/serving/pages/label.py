"""`/pages/{u}/label`: people label the audit sample of a day, row by row, and see what people have said."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mlops_assets.journey.feedback.files import WITHDRAWN
from mlops_assets.journey.feedback.handing import as_file
from mlops_assets.serving.bodies.query import day, one_of, read_query, whole
from mlops_assets.serving.pages.site import Page, Site, go_to, small_form
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.serving.routes.feedback import take
from mlops_assets.serving.service import caller_of
from mlops_assets.views.html.addresses import page_address, picture_address, row_address
from mlops_assets.views.labelling import Drawn, Sample, bounds_in_words, classes_of, row_shown, sample_of
from mlops_assets.views.said import BECAME, said
from mlops_assets.workspace import Stores

DAYS = 366
"""Days that are offered; any other has its address."""


def routes(site: Site) -> Sequence[BaseRoute]:
    """The routes."""

    def show(request: Request) -> Response:
        asked = site.query(request, {"day": day, "row": whole})
        return _show(site, request, asked.get("day"), asked.get("row"))

    async def say(request: Request) -> Response:
        if request.method != "POST":
            return await run_in_threadpool(show, request)
        sent = await small_form(request)
        return await run_in_threadpool(_say, site, request, sent)

    def tell(request: Request) -> Response:
        asked = read_query(request, {"who": str, "became": one_of("", *BECAME), "page": whole})
        return _tell(site, request, asked)

    return [
        Page("/{use_case}/label", say, methods=["GET", "POST"]),
        Page("/{use_case}/label/said", tell),
    ]


def _show(
    site: Site, request: Request, of_day: str | None, number: int | None, refused: Mapping[str, Any] | None = None
) -> Response:
    """A row of the sample: the one that is asked for, or the next that is to be done."""
    stores = site.stores(request)
    days = sorted(stores.lake.predictions.days(), reverse=True)
    chosen = of_day or next((one for one in days if stores.lake.audit(one).exists()), next(iter(days), None))
    sample = sample_of(stores, chosen, caller_of(request).name) if chosen else None
    row = _row(sample, number) if sample else None
    following = sample.after(row.number) if sample and row else None
    shown = row_shown(stores, row) if row else None
    name = stores.use_case.name
    return site.page(
        request,
        "label.html",
        days=days[:DAYS],
        day=chosen,
        sample=sample,
        row=row,
        left=sample is not None and sample.after() is not None,
        shown=shown,
        of_numbers=stores.use_case.training.says_numbers,
        bounds=bounds_in_words(stores.use_case),
        classes=classes_of(stores) if row else [],
        label_name=stores.use_case.columns[stores.use_case.label].about or stores.use_case.label,
        last=sample.last if sample else None,
        refused=refused,
        said_address=page_address(name, "label/said"),
        performance_address=page_address(name, "performance"),
        pictures=[(column, picture_address(name, row.day, row.file, row.line, column)) for column in shown["pictures"]]
        if row and shown
        else [],
        skip_address=page_address(name, "label", day=chosen, row=following.number)
        if following and following != row
        else None,
        addresses=[page_address(name, "label", day=chosen, row=one.number) for one in sample.rows] if sample else [],
    )


def _row(sample: Sample, number: int | None) -> Drawn | None:
    if number is None:
        return sample.after()
    if number > len(sample.rows):
        said = f"The sample has {len(sample.rows)} rows, and no row {number}."
        raise Problem(404, said, [Wrong("query.row", said)])
    return sample.rows[number - 1]


def _say(site: Site, request: Request, sent: Mapping[str, str]) -> Response:
    """Keep what somebody says of a row, or takes back, as if it had come in a file of corrections."""
    stores, who = site.stores(request), caller_of(request).name
    row = _meant(stores, who, sent)
    takes_back = sent.get("do") == "undo"
    label = "" if takes_back else sent.get("label", "")
    if not (label or takes_back):
        said = "No number was given." if stores.use_case.training.says_numbers else "No class was chosen."
        raise Problem(422, said, [Wrong("label", "is missing")])
    correction = {
        "day": row.day,
        "file": row.file,
        "line": row.line,
        "label": label,
        WITHDRAWN: "yes" if takes_back else "",
    }
    # to the microsecond: of two entries of a person the later one counts
    told = take(site.service, stores.use_case.name, as_file([{**correction, "when": _now()}]), who)
    entry = told["entries"][-1]
    if takes_back:
        return go_to(page_address(stores.use_case.name, "label", day=row.day, row=row.number))
    sample = sample_of(stores, row.day, who)
    following = sample.after(row.number) if sample else None
    number = following.number if following else None
    if not entry["counts"]:
        return _show(site, request, row.day, number, {**entry, "number": row.number, "label": label})
    return go_to(page_address(stores.use_case.name, "label", day=row.day, row=number))


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat()


def _meant(stores: Stores, who: str, sent: Mapping[str, str]) -> Drawn:
    """The row of the sample that a form is about."""
    try:
        of_day, line = day(sent.get("day", "")), whole(sent.get("line", ""))
    except ValueError as error:
        raise Problem(422, f"The form does not say which row it is about: {error}.") from None
    sample = sample_of(stores, of_day, who)
    row = sample.find(sent.get("file", ""), line) if sample else None
    if row is None:
        raise Problem(422, f"This row is not in the sample of {of_day}.")
    return row


def _tell(site: Site, request: Request, asked: Mapping[str, Any]) -> Response:
    stores = site.stores(request)
    name, who, kind, page = (
        stores.use_case.name,
        asked.get("who") or None,
        asked.get("became") or None,
        asked.get("page", 1),
    )
    found = said(stores, who, kind, page)

    def address(**asked: str | int | None) -> str:
        return page_address(name, "label/said", **{"who": who, **asked})

    kinds = [
        {
            "kind": one,
            "number": number,
            "means": BECAME[one],
            "address": address(became=one),
        }
        for one, number in found["became"].items()
    ]
    entries = [
        {**one, "address": row_address(name, one["day"], one["file"], one["line"]) if one["day"] else None}
        for one in found["entries"]
    ]
    return site.page(
        request,
        "label_said.html",
        **{**found, "entries": entries, "became": kinds},
        who=who,
        kind=kind,
        page=page,
        label_address=page_address(name, "label"),
        before_address=address(became=kind, page=page - 1) if page > 1 else None,
        after_address=address(became=kind, page=page + 1) if page < found["pages"] else None,
    )
