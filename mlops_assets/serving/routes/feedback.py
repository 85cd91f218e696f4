"""`POST /v1/use-cases/{u}/feedback`: corrections in, which of them count and which do not out."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from mlops_assets.journey.feedback.files import HEADER, LARGEST, MOST_LINES, WHY
from mlops_assets.journey.feedback.handing import as_file, hand_in, outcomes, sign
from mlops_assets.serving import shapes
from mlops_assets.serving.answers import CSV, JSON
from mlops_assets.serving.bodies.files import UNSAID
from mlops_assets.serving.bodies.query import see_parameters
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.serving.schema import SENT, answer
from mlops_assets.serving.service import Service, caller_of
from mlops_assets.storage.modes import for_others

MOST_TOLD = 100
"""Lines that a refusal names one by one."""

_CORRECTION = {
    "type": "object",
    "required": ["day", "file", "line", "label", "when"],
    "properties": {name: {"type": "integer" if name == "line" else "string"} for name in (*HEADER, WHY)},
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            CSV: {"schema": {"type": "string", "description": f"Lines of {','.join(HEADER)} and perhaps {WHY}."}},
            JSON: {
                "schema": {
                    "type": "object",
                    "required": ["corrections"],
                    "properties": {"corrections": {"type": "array", "items": _CORRECTION}},
                }
            },
        },
    }
}


def router(service: Service) -> APIRouter:
    """The route that takes corrections."""
    routes = APIRouter(tags=["feedback"], dependencies=[Depends(see_parameters)])
    name = Annotated[str, Path(description="The use case.", json_schema_extra={"enum": [*service.use_cases]})]

    @routes.post(
        "/v1/use-cases/{use_case}/feedback",
        **answer("What became of corrections.", shapes.Feedback, *SENT),
        openapi_extra=BODY,
    )
    async def send_feedback(request: Request, use_case: name) -> Response:
        """Hand in corrections as CSV or JSON; `who` is the name of the key where an entry has none.

        They land as a file of corrections; the same content lands once, and is answered as often as it is sent.
        """
        service.stores(use_case)  # an unknown name is told before the body is read
        body = await _body(request)
        kind = request.headers.get("content-type", UNSAID[0]).partition(";")[0].strip().lower()
        # no line of a CSV file begins so
        is_json = kind == JSON or (kind in UNSAID and body.lstrip()[:1] == b"{")
        told = await run_in_threadpool(_take, service, use_case, body, caller_of(request).name, is_json=is_json)
        return Response(orjson.dumps(told), media_type=JSON)

    return routes


async def _body(request: Request) -> bytes:
    """What a request brings, as long as it is not too long."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > LARGEST:
            raise _too_long()
    return bytes(content)


def _too_long() -> Problem:
    most = f"{LARGEST >> 20} MiB or {MOST_LINES:,} lines"
    return Problem(413, f"The corrections have more than {most}: send them in pieces.")


def _corrections(body: bytes) -> list[dict[str, Any]]:
    try:
        sent = orjson.loads(body)
    except ValueError as error:
        raise Problem(422, f"The body is no JSON: {error}.", [Wrong("body", "no JSON")]) from None
    corrections = sent.get("corrections") if isinstance(sent, dict) else None
    if not isinstance(corrections, list):
        message = 'Send {"corrections": [{"day": ..., "file": ..., "line": ..., "label": ..., "when": ...}]}.'
        raise Problem(422, message, [Wrong("body.corrections", "a list is expected")])
    wrong = [
        Wrong(f"body.corrections[{number}]{at}", message)
        for number, one in enumerate(corrections)
        for at, message in _wrong_with(one)
    ]
    if wrong:
        raise Problem(422, f"{len(wrong)} of the corrections cannot be read; nothing was taken.", wrong[:MOST_TOLD])
    return corrections


def _wrong_with(correction: Any) -> list[tuple[str, str]]:
    """What keeps a correction from being a line of a file; what it says is judged by the rules, as in a file."""
    if not isinstance(correction, dict):
        return [("", f"an object with {', '.join(HEADER)} is expected")]
    fields = (*HEADER, WHY)
    known = f"there is no such field; there are {', '.join(fields)}"
    unknown = [(f".{name}", known) for name in sorted(correction.keys() - {*fields})]
    given = {name: correction[name] for name in fields if correction.get(name) is not None}
    plain = [
        (f".{name}", "a text is expected" if name != "line" else "a whole number is expected")
        for name, value in given.items()
        if not isinstance(value, str) and not (name == "line" and type(value) is int)
    ]
    missing = [(f".{name}", "is missing") for name in HEADER if name not in given and name != "who"]
    return [*unknown, *plain, *missing]


def _take(service: Service, use_case: str, body: bytes, who: str, *, is_json: bool) -> dict[str, Any]:
    """Take in what was sent; see `send_feedback`."""
    return take(service, use_case, as_file(_corrections(body)) if is_json else body, who)


def take(service: Service, use_case: str, content: bytes, who: str) -> dict[str, Any]:
    """Take in a file of corrections.

    Parameters
    ----------
    service
        What is served.
    use_case
        Name of the use case.
    content
        The file.
    who
        Who sends it.

    Returns
    -------
    dict
        What became of each entry; see `shapes.Feedback`.

    Raises
    ------
    Problem
        If it is too long, cannot be read, says nothing, or speaks for others than the sender.
    """
    if len(content) > LARGEST or content.count(b"\n") > MOST_LINES:
        raise _too_long()
    try:
        signed = sign(content, who)
    except ValueError as error:
        raise Problem(422, f"The corrections cannot be read: {error}.", [Wrong("line 1", str(error))]) from None
    if signed.others:
        raise _by_others(signed.others, who)
    if not signed.entries:
        raise Problem(422, "There is no correction in it: no line has a label.")
    return _hand_in(service, use_case, signed.content, who)


def _by_others(others: Any, who: str) -> Problem:
    advice = f"leave `who` empty, which means {who!r}, or write {who + '/NAME'!r} for somebody you speak for"
    wrong = [Wrong(f"line {line}.who", f"is {name!r}, but {who!r} sends it: {advice}") for line, name in others]
    return Problem(422, f"{len(wrong)} corrections are by others than {who!r}: {advice}.", wrong[:MOST_TOLD])


def _hand_in(service: Service, use_case: str, content: bytes, who: str) -> dict[str, Any]:
    """Lay the file where all files of corrections lie, and take in all of them, as the command does."""
    stores = service.stores(use_case)
    with for_others(stores.corrections, stores.settings.home):
        file = hand_in(stores.corrections, "api", content)
    entries = outcomes(service.together(use_case).take_in(stores), file.name)
    accepted = sum(bool(entry["counts"]) for entry in entries)
    return {
        "use_case": use_case,
        "who": who,
        "file": file.name,
        "sent_before": file.before,
        "accepted": accepted,
        "rejected": len(entries) - accepted,
        "entries": entries,
    }
