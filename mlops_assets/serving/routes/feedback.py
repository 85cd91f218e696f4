"""`POST /v1/use-cases/{u}/feedback`: corrections in, which of them count and which do not out."""

import threading
from itertools import count
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from mlops_assets.journey.feedback.corrections import Taken, take_in
from mlops_assets.journey.feedback.files import HEADER, LARGEST, MOST_LINES
from mlops_assets.journey.feedback.handing import as_file, hand_in, outcomes, sign
from mlops_assets.journey.train.versions import known_labels
from mlops_assets.serving import shapes
from mlops_assets.serving.answers import CSV, JSON
from mlops_assets.serving.bodies.files import UNSAID
from mlops_assets.serving.bodies.query import see_parameters
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.serving.schema import SENT, answer
from mlops_assets.serving.service import Service, caller_of
from mlops_assets.storage.modes import for_others
from mlops_assets.storage.places import Place
from mlops_assets.workspace import Stores

MOST_TOLD = 100
"""Lines that a refusal names one by one."""

_CORRECTION = {
    "type": "object",
    "required": ["day", "file", "line", "label", "when"],
    "properties": {name: {"type": "integer" if name == "line" else "string"} for name in HEADER},
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            CSV: {"schema": {"type": "string", "description": f"A header and lines of {','.join(HEADER)}."}},
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


class _Together:
    """Takes in the files of corrections of a use case: for those who wait meanwhile, once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._asked = self._seen = 0
        self._taken: Taken | None = None

    def take_in(self, stores: Stores, folder: Place) -> Taken:
        """What came of all files, those that lie there now among them."""
        mine = self._asked = next(self._numbers)
        with self._lock:
            if self._taken is None or self._seen < mine:
                asked = self._asked  # whoever has asked by now has laid a file that is read now
                labels = known_labels(stores.use_case, stores.registry, stores.runs)
                self._taken, self._seen = take_in(stores.use_case, stores.lake, folder, labels), asked
            return self._taken


def router(service: Service) -> APIRouter:
    """The route that takes corrections."""
    routes = APIRouter(tags=["feedback"], dependencies=[Depends(see_parameters)])
    together = {name: _Together() for name in service.use_cases}
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
        stores = service.stores(use_case)  # an unknown name is told before the body is read
        body = await _body(request)
        kind = request.headers.get("content-type", UNSAID[0]).partition(";")[0].strip().lower()
        # no line of a CSV file begins so
        is_json = kind == JSON or (kind in UNSAID and body.lstrip()[:1] == b"{")
        told = await run_in_threadpool(
            _take, stores, together[use_case], body, caller_of(request).name, is_json=is_json
        )
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
    known = f"there is no such field; there are {', '.join(HEADER)}"
    unknown = [(f".{name}", known) for name in sorted(correction.keys() - HEADER)]
    given = {name: correction[name] for name in HEADER if correction.get(name) is not None}
    plain = [
        (f".{name}", "a text is expected" if name != "line" else "a whole number is expected")
        for name, value in given.items()
        if not isinstance(value, str) and not (name == "line" and type(value) is int)
    ]
    missing = [(f".{name}", "is missing") for name in HEADER if name not in given and name != "who"]
    return [*unknown, *plain, *missing]


def _take(stores: Stores, together: _Together, body: bytes, who: str, *, is_json: bool) -> dict[str, Any]:
    """Take in what was sent; see `send_feedback`."""
    content = as_file(_corrections(body)) if is_json else body
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
    return _hand_in(stores, together, signed.content, who)


def _by_others(others: Any, who: str) -> Problem:
    advice = f"leave `who` empty, which means {who!r}, or write {who + '/NAME'!r} for somebody you speak for"
    wrong = [Wrong(f"line {line}.who", f"is {name!r}, but {who!r} sends it: {advice}") for line, name in others]
    return Problem(422, f"{len(wrong)} corrections are by others than {who!r}: {advice}.", wrong[:MOST_TOLD])


def _hand_in(stores: Stores, together: _Together, content: bytes, who: str) -> dict[str, Any]:
    """Lay the file where all files of corrections lie, and take in all of them, as the command does."""
    use_case, folder = stores.use_case, stores.corrections
    with for_others(folder, stores.settings.home):
        file = hand_in(folder, "api", content)
    entries = outcomes(together.take_in(stores, folder), file.name)
    accepted = sum(bool(entry["counts"]) for entry in entries)
    return {
        "use_case": use_case.name,
        "who": who,
        "file": file.name,
        "sent_before": file.before,
        "accepted": accepted,
        "rejected": len(entries) - accepted,
        "entries": entries,
    }
