"""`/pages/{u}/predictions/row`: all that is known of one row, and a form to say what it is; and its pictures."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mlops_assets.errors import UsageError
from mlops_assets.journey.explain.row import NotPredicted
from mlops_assets.journey.feedback.handing import as_file
from mlops_assets.journey.feedback.rules import write_time
from mlops_assets.journey.train.versions import known_labels
from mlops_assets.plugins import NotAttached
from mlops_assets.plugins.sources import SourceError
from mlops_assets.serving.bodies import query
from mlops_assets.serving.bodies.pictures import TYPES, count_pixels, ending_of
from mlops_assets.serving.bodies.query import Read
from mlops_assets.serving.pages.predictions import name_of
from mlops_assets.serving.pages.site import Page, Site, go_to, small_form
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.routes.feedback import take
from mlops_assets.serving.service import caller_of
from mlops_assets.use_case import UseCase
from mlops_assets.views.html.addresses import picture_address, row_address, rows_address
from mlops_assets.views.html.charts import Series, bars
from mlops_assets.views.labelling import bounds_in_words
from mlops_assets.views.numbers import percent, plain
from mlops_assets.views.rows import LEAST, attached_to_row, row_record, strengths
from mlops_assets.workspace import Stores

KNOWN: dict[str, Read] = {"day": query.day, "file": name_of, "line": query.whole}
MOST_CLASSES = 20
"""Classes that are drawn, the likeliest."""
LONGEST_REASON = 500


def routes(site: Site) -> Sequence[BaseRoute]:
    """The routes."""

    def row(request: Request) -> Response:
        return _page(site, request, **_which(site.query(request, {**KNOWN, "said": query.flag})))

    async def correct(request: Request) -> Response:
        sent = await small_form(request)
        return await run_in_threadpool(_correct, site, request, sent)

    def picture(request: Request) -> Response:
        which = _which(site.query(request, {**KNOWN, "column": name_of}))
        return _picture(site.stores(request), **which)

    return [
        Page("/{use_case}/predictions/row", row),
        Page("/{use_case}/predictions/row", correct, methods=["POST"]),
        Page("/{use_case}/predictions/picture", picture),
    ]


def _which(given: Mapping[str, Any]) -> dict[str, Any]:
    """Day, file and line that an address names."""
    missing = [name for name in KNOWN if name not in given]
    if missing:
        raise Problem(422, f"The address lacks {', '.join(missing)}: open a row from the list of predictions.")
    return dict(given)


def _page(
    site: Site,
    request: Request,
    day: str,
    file: str,
    line: int,
    *,
    said: bool = False,
    label: str = "",
    why: str = "",
    wrong: str = "",
    status: int = 200,
) -> Response:
    """The page of a row; with what somebody typed and why it was not taken, if so."""
    stores = site.stores(request)
    use_case = stores.use_case.name
    try:
        told = row_record(stores, day, file, line)
    except NotPredicted as error:
        first, _, raw = str(error).partition("\n")
        shown = {"day": day, "file": file, "line": line, "reason": first, "raw": raw.split("\n") if raw else []}
        return site.page(request, "predictions_none.html", status=404, **shown, of_day=rows_address(use_case, day))
    except UsageError as error:
        raise Problem(404, str(error)) from None
    file = told["file"]
    addresses = {
        "of_file": rows_address(use_case, day, file=file),
        "of_account": rows_address(use_case, day, account=told["account"]),
        "of_day": rows_address(use_case, day),
        "row_before": told["before"] and row_address(use_case, day, file, told["before"]),
        "row_after": told["after"] and row_address(use_case, day, file, told["after"]),
        "pictures": {name: picture_address(use_case, day, file, line, name) for name in told["pictures"]},
    }
    form = {
        "of_numbers": stores.use_case.training.says_numbers,
        "interval": stores.use_case.training.interval,
        "bounds": bounds_in_words(stores.use_case),
        "classes": sorted(_classes(stores)),
        "may_correct": "write" in caller_of(request).rights,
        "typed": {"label": label, "why": why},
        "wrong": wrong,
        "was_said": said,
        "longest_reason": LONGEST_REASON,
    }
    values = {"row": told, "to": addresses, **_charts(told), **form}
    return site.page(request, "predictions_row.html", status=status, **values)


def _classes(stores: Stores) -> set[str]:
    """What people may say."""
    known = known_labels(stores.use_case, stores.registry, stores.runs)
    return {*known, *stores.use_case.feedback.labels}


def _charts(told: Mapping[str, Any]) -> dict[str, Markup]:
    """The probabilities, and what speaks for the answer and against it."""
    said, of_numbers = told["prediction"], not isinstance(told["prediction"], str)
    likely = {name: p for name, p in [*told["probabilities"].items()][:MOST_CLASSES] if p >= LEAST or name == said}
    drawn = {"likely": _bars("Probability of each class, in percent", likely, percent)}
    why = told["why"] or {"features": (), "words": ()}
    # a text alone is no reason: its words are
    named = (
        {} if why["words"] and len(why["features"]) == 1 else {_named(one): one["strength"] for one in why["features"]}
    )
    words = {one["word"]: one["strength"] for one in why["words"]}
    for kind, begin, values in (("features", "What speaks", named), ("words", "Words that speak", words)):
        if of_numbers:
            larger, smaller = strengths(values, least=0.0)
            drawn[kind] = _bars("What makes the number larger, by how much", larger, plain)
            drawn[kind] += _bars("What makes it smaller, by how much", smaller, plain, "usual")
            continue
        speaking, against = strengths(values)
        drawn[kind] = _bars(f"{begin} for {said}, in percentage points", speaking, _points)
        drawn[kind] += _bars(f"{begin} against {said}, in percentage points", against, _points, "usual")
    return drawn


def _named(feature: Mapping[str, Any]) -> str:
    """A feature and its value; without any it speaks by being unknown."""
    return f"{feature['name']}: {'unknown' if feature['value'] is None else feature['value']}"


def _bars(what: str, values: Mapping[str, float], words: Any, kind: str = "day") -> Markup:
    return bars(what, [*values], [Series("", [*values.values()], kind)], words) if values else Markup("")


def _points(value: float) -> str:
    return f"{value * 100:.1f} points"


def _correct(site: Site, request: Request, sent: Mapping[str, str]) -> Response:
    """Take in what somebody says of a row, by the rules of all corrections."""
    try:
        which = {name: read(sent.get(name, "")) for name, read in KNOWN.items()}
    except ValueError:
        raise Problem(422, "The form lacks the row that it is about: open the page anew and send it again.") from None
    label, why = sent.get("label", "").strip(), " ".join(sent.get("why", "").split())
    use_case = site.use_case(request)
    wrong = _wrong_with(label, why) or _take(site, request, use_case, {**which, "label": label, "why": why})
    if wrong:
        return _page(site, request, **which, label=label, why=why, wrong=wrong, status=422)
    return go_to(row_address(use_case.name, **which) + "&said=true#said")


def _wrong_with(label: str, why: str) -> str:
    if not label:
        return "Say which class it is: nothing was sent."
    return f"The reason is longer than {LONGEST_REASON} signs: say it shorter." if len(why) > LONGEST_REASON else ""


def _take(site: Site, request: Request, use_case: UseCase, correction: Mapping[str, Any]) -> str:
    """Hand in a correction; why it does not count, or nothing if it does."""
    content = as_file([{**correction, "when": write_time(dt.datetime.now(dt.UTC))}])
    try:
        told = take(site.service, use_case.name, content, caller_of(request).name)
    except Problem as problem:
        return problem.detail
    broken = [f"{one['message']} (rule {one['rule']})" for one in told["entries"] if not one["counts"]]
    return f"It was noted, and does not count: {'; '.join(broken)}." if broken else ""


def _picture(stores: Stores, day: str, file: str, line: int, column: str | None = None) -> Response:
    """A picture that a row was read with: the row is there, so the reader took it."""
    try:
        data = attached_to_row(stores, day, file, line, column)
    except SourceError:
        raise Problem(410, "The picture is gone or was changed since the day was read.") from None
    except (NotPredicted, UsageError, NotAttached) as error:
        raise Problem(404, str(error)) from None
    ending = ending_of(data)
    if not ending or count_pixels(data) > stores.use_case.serving.limits.pixels:
        raise Problem(404, "It is no picture that is shown: PNG and JPEG are, up to `serving.limits.pixels`.")
    safe = {"Content-Security-Policy": "default-src 'none'", "Cache-Control": "private, max-age=3600"}
    return Response(data, media_type=TYPES[ending], headers={**safe, "X-Content-Type-Options": "nosniff"})
