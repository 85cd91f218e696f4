"""What goes wrong, whoever finds it, is answered as a problem of RFC 9457, with everything that a caller can mend."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from mlops_assets.errors import ConfigError, LakeError, PublishConflict, UsageError
from mlops_assets.serving import failures
from mlops_assets.serving.answering.batcher import Busy
from mlops_assets.serving.answering.champions import NoChampion
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.serving.requests import Requests
from mlops_assets_tests.helpers.asgi_client import Client


class Order(BaseModel):
    """A body with a type."""

    number: int
    names: list[str]


PLANTED = "-".join(["planted", "where", "it", "leaks"])
RAISED: dict[str, Exception] = {
    "champion": NoChampion("topics has no champion: the gate let none through."),
    "busy": Busy(7),
    "usage": UsageError("There is no version 9 in /srv/home/lake/topics; there are: 1."),
    "conflict": PublishConflict("Another run published the day."),
    "lake": LakeError("/srv/home/lake/topics/rows: cannot be read"),
    "config": ConfigError("/srv/defs.yaml, line 3: no such key"),
    "problem": Problem(418, "No coffee.", [Wrong("query.milk", "expected none")], {"X-Pot": "1"}, {"pot": 3}),
    "http": HTTPException(406, "Ask for JSON.", {"X-Kind": "json"}),
    "unforeseen": ZeroDivisionError(f"{PLANTED}: /srv/home/x"),
}


@pytest.fixture(scope="module")
def client() -> Client:
    app, routes = FastAPI(openapi_url=None), APIRouter()

    @routes.get("/raise/{what}")
    async def fail(what: str) -> None:
        raise RAISED[what]

    @routes.post("/orders/{number}")
    async def order(number: int, order: Order, day: int) -> None:
        """Take an order."""

    @routes.get("/orders/{number}")
    async def ordered(number: int) -> None:
        """Show an order."""

    @routes.get("/broken")
    async def broken() -> Response:
        async def pieces() -> Any:
            yield b"begun"
            raise ZeroDivisionError

        return StreamingResponse(pieces())

    app.include_router(routes)
    failures.install(app, routes.routes)
    app.add_middleware(Requests)
    return Client(app)


@pytest.mark.parametrize(
    ("what", "status", "detail"),
    [
        ("champion", 409, "topics has no champion: the gate let none through."),
        ("busy", 503, "Too many rows wait; ask again in 7 s."),
        ("usage", 422, "There is no version 9 in topics; there are: 1."),
        ("conflict", 409, "Another run published the day."),
        ("lake", 503, "What this needs cannot be used just now."),
        ("config", 503, "What this needs cannot be used just now."),
        ("problem", 418, "No coffee."),
        ("http", 406, "Ask for JSON."),
        ("unforeseen", 500, "This was not expected."),
    ],
)
def test_an_error_has_its_status_and_says_what_a_caller_may_know(
    client: Client, what: str, status: int, detail: str
) -> None:
    answer = client.get(f"/raise/{what}", headers={"X-Request-Id": "one"})
    found = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert found.keys() >= {"type", "title", "status", "detail", "request"}
    assert (found["status"], found["request"]) == (status, "one")
    assert found["detail"].startswith(detail)
    assert "/srv" not in answer.text
    assert "planted" not in answer.text
    assert "Traceback" not in answer.text


def test_headers_and_members_of_a_problem_are_kept(client: Client) -> None:
    answer = client.get("/raise/problem")
    assert answer.headers["x-pot"] == "1"
    assert answer.json()["pot"] == 3
    assert answer.json()["errors"] == [{"where": "query.milk", "message": "expected none"}]
    assert client.get("/raise/busy").headers["retry-after"] == "7"
    assert client.get("/raise/http").headers["x-kind"] == "json"


def test_what_nobody_foresaw_is_in_the_log_with_the_id_and_without_secrets(
    client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_SECRET", PLANTED)
    with caplog.at_level(logging.ERROR):
        for what in ("unforeseen", "lake"):
            client.get(f"/raise/{what}", headers={"X-Request-Id": f"id-{what}"})
        client.get("/raise/usage", headers={"X-Request-Id": "id-usage"})
    said = [record.getMessage() for record in caplog.records]
    assert said == ["request id-unforeseen failed", "request id-lake failed"]
    assert caplog.records[0].exc_info is not None


def test_every_field_is_told_at_once_and_no_value_repeated(client: Client) -> None:
    answer = client.post("/orders/first?day=monday", json={"names": ["a", 2, {"deep": "planted"}]})
    assert answer.status_code == 422
    places = [one["where"] for one in answer.json()["errors"]]
    assert places == ["path.number", "query.day", "body.number", "body.names[1]", "body.names[2]"]
    assert "planted" not in answer.text
    assert "monday" not in answer.text


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000, b"1", b""])
def test_a_body_that_is_no_json_is_a_problem_too(client: Client, body: bytes) -> None:
    answer = client.post("/orders/1?day=1", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert json.loads(answer.text)["detail"]


def test_what_the_framework_refuses_says_what_there_is(client: Client) -> None:
    missing, method = client.get("/nowhere"), client.request("PUT", "/orders/1")
    assert (missing.status_code, missing.json()["title"]) == (404, "Not Found")
    assert "/openapi.json" in missing.json()["detail"]
    assert (method.status_code, method.headers["allow"]) == (405, "GET, POST")
    assert client.request("HEAD", "/nowhere").status_code == 404


def test_an_answer_that_has_begun_is_cut_off_rather_than_ended_as_if_whole(client: Client) -> None:
    with pytest.raises(ZeroDivisionError):
        client.get("/broken")
