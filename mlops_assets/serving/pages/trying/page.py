"""`/pages/{use_case}/try`: files or rows in, what the champion says of them out, as the API would answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mlops_assets.journey.score.online import Answered, Loaded, Sent
from mlops_assets.serving import answers
from mlops_assets.serving.answering.champions import NoChampion
from mlops_assets.serving.bodies.files import files_of, read_form
from mlops_assets.serving.bodies.json_rows import as_files
from mlops_assets.serving.bodies.query import day, whole
from mlops_assets.serving.failures import FORESEEN, noted_problem
from mlops_assets.serving.pages.site import Page, Site, is_part, page_headers, see_token
from mlops_assets.serving.pages.trying import form as rows_form
from mlops_assets.serving.pages.trying.answer import explained, refused, shown
from mlops_assets.serving.pages.trying.sent import MOST_FIELDS, Asked, asked_of
from mlops_assets.serving.predicting import answer_request, choose, explain
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.serving.service import Service, id_of
from mlops_assets.use_case import UseCase

FORMS = {"csv": None, "csv_all": "all"}
"""What the buttons of a download ask for: whose probabilities are told besides, as `probabilities` of the API."""


def routes(site: Site) -> Sequence[BaseRoute]:
    """The routes."""

    async def look(request: Request) -> Response:
        use_case = site.use_case(request)
        asked = Asked(**site.query(request, {"version": whole, "as_of": day}))
        return await _page(site, request, use_case, asked)

    async def send(request: Request) -> Response:
        use_case = site.use_case(request)
        asked = Asked()
        try:
            form = await read_form(request, use_case.serving.limits, MOST_FIELDS)
            see_token(request, next((text for name, text in form.fields if name == "token"), None))
            asked = Asked(rows=rows_form.rows_of(form.fields)[: rows_form.MOST_ROWS])  # what is typed is kept
            asked = asked_of(form, use_case.partitions)
            if asked.does in ("add", "remove"):
                return await _page(site, request, use_case, asked)
            return await _answered(site, request, use_case, asked)
        except FORESEEN as error:
            return await _refused(site, request, use_case, asked, noted_problem(request, error))

    return [
        Page("/{use_case}/try", look, methods=["GET"]),
        Page("/{use_case}/try", send, methods=["POST"]),
    ]


async def _answered(site: Site, request: Request, use_case: UseCase, asked: Asked) -> Response:
    """The answer: as a page, as a table, or why one row of it is as it is."""
    service = site.service
    loaded = await choose(service, use_case, asked.version, asked.as_of)
    files = await asyncio.to_thread(_files, use_case, asked, service.today(use_case))
    of_day = asked.as_of or service.today(use_case)
    told = {"version": loaded.version, "day": of_day}

    def see(answered: list[Answered]) -> list[Answered]:
        answers.see_one_answered(answered, told)
        return answered

    answered = await answer_request(service, request, loaded, files, of_day, see, known_as=asked.request)
    if asked.does in FORMS:
        return await asyncio.to_thread(_table, loaded, answered, FORMS[asked.does])
    why = await _why(service, loaded, files, answered, asked, of_day) if asked.why else None
    if why and is_part(request):
        return site.page(request, "try_why.html", why=why)
    carried = asked.carried(files)
    make = partial(shown, loaded, files, answered, why, with_pictures=bool(carried))
    answer = {**told, "request": asked.request or id_of(request), "carried": carried, **await asyncio.to_thread(make)}
    return await _page(site, request, use_case, asked, answer=answer, champion=loaded)


def _files(use_case: UseCase, asked: Asked, today: str) -> list[Sent]:
    """The files that are to be answered: those that were sent, or one of the rows of the form."""
    if asked.does == "example":
        return files_of(rows_form.example_files(use_case, today), use_case)
    if asked.rows:
        return as_files([("form", rows_form.as_values(use_case, asked.rows))], use_case)
    return files_of(asked.parts, use_case)


def _table(loaded: Loaded, answered: Sequence[Answered], probabilities: str | None) -> Response:
    """What the API answers where `Accept: text/csv` asks for it, but for a spreadsheet: people open it in one."""
    body = answers.to_csv(answered, loaded.model.classes, probabilities, spreadsheet=True)
    headers = {
        **page_headers(),
        "Content-Disposition": f'attachment; filename="{loaded.use_case.name}-predictions.csv"',
        "X-Model-Version": str(loaded.version),
        "X-Rejected": str(answers.count_rejected(answered)),
    }
    return Response(body, 200, headers, answers.CSV)


async def _why(
    service: Service, loaded: Loaded, files: Sequence[Sent], answered: Sequence[Answered], asked: Asked, of_day: str
) -> Mapping[str, Any]:
    number, line = asked.why or (0, 0)
    if number >= len(files) or line not in answered[number].line:
        raise Problem(422, "This row has no prediction.", [Wrong("why", "expected a row of the answer that has one")])
    explanation = await explain(service, loaded, files[number], line, of_day)
    return {"at": (number, line), **await asyncio.to_thread(explained, loaded.use_case, explanation, files[number])}


async def _refused(site: Site, request: Request, use_case: UseCase, asked: Asked, problem: Problem) -> Response:
    """What is wrong, beside the form that it is wrong with."""
    if asked.why and is_part(request):
        answer = site.page(request, "try_why.html", status=problem.status, why=None, problem=problem.content())
    else:
        further, told = problem.further, None
        if "files" in further:
            told = {"version": further["version"], "day": further["day"], "carried": None, **refused(further["files"])}
        answer = await _page(site, request, use_case, asked, answer=told, problem=problem)
    answer.headers.update(problem.headers)
    return answer


async def _page(
    site: Site,
    request: Request,
    use_case: UseCase,
    asked: Asked,
    *,
    answer: Mapping[str, Any] | None = None,
    problem: Problem | None = None,
    champion: Loaded | None = None,
) -> Response:
    """The page: an answer if there is one, what is wrong if anything is, and the forms."""
    why_none = ""
    if champion is None:
        try:
            champion = await choose(site.service, use_case, asked.version, asked.as_of)
        except FORESEEN as error:
            why_none = str(error) if isinstance(error, NoChampion) else ""
    make = partial(_form, use_case, asked, site.service.today(use_case))
    return site.page(
        request,
        "try.html",
        status=problem.status if problem else 200,
        about=use_case,
        answer=answer,
        problem=problem.content() if problem else None,
        version=champion.version if champion else None,
        why_none=why_none,
        asked=asked,
        form=await asyncio.to_thread(make),
        limits=use_case.serving.limits,
        endings=[use_case.files.suffix, *use_case.files.attachments, ".zip"],
    )


def _form(use_case: UseCase, asked: Asked, today: str) -> dict[str, Any]:
    """The form of rows: its fields, and the rows in it."""
    fields = rows_form.fields_of(use_case)
    rows = list(asked.rows)
    if asked.does == "remove" and len(rows) > 1:
        rows.pop()
    if fields and (not rows or (asked.does == "add" and len(rows) < rows_form.MOST_ROWS)):
        rows = rows_form.with_example(use_case, rows, today)
    several = bool(fields) and rows_form.takes_several(use_case)
    return {
        "fields": fields,
        "rows": rows,
        "can_add": several and len(rows) < rows_form.MOST_ROWS,
        "can_remove": len(rows) > 1,
        "has_example": not fields and use_case.sample is not None and bool(use_case.files.reader),
    }
