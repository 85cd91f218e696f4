"""The doors of the API: each request has an id; what may not come in is told why, before anything is done for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request

from mlops_assets.journey.score.online import Answered, Loaded
from mlops_assets.serving.entrance.doors import Doors, Entrance
from mlops_assets.serving.entrance.guard import Site
from mlops_assets.serving.entrance.keys import Keys, new_key
from mlops_assets.serving.requests import Requests, note_answered
from mlops_assets.serving.service import caller_of, id_of

READER, READS = new_key("reader", frozenset({"read"}))
SHOP, ASKS = new_key("shop", frozenset({"predict"}), 3)
FORM = "multipart/form-data; boundary=x"


def with_key(key: str) -> dict[str, str]:
    return {"X-Api-Key": key}


class Asked:
    """An application behind the doors, and what came of asking it."""

    def __init__(self, entrance: Entrance) -> None:
        self.done: list[tuple[str, int]] = []
        self.lines: list[dict[str, Any]] = []
        app, routes = FastAPI(openapi_url=None, redirect_slashes=False), APIRouter()

        @routes.api_route("/v1/{name}/predictions", methods=["GET", "POST"])
        async def predict(name: str, request: Request) -> dict[str, str]:
            self.done.append((caller_of(request).name, len(await request.body())))
            file = SimpleNamespace(line=[1, 2, 3, 4, 5], refusals=[SimpleNamespace(rule="missing")] * 2)
            loaded = SimpleNamespace(use_case=SimpleNamespace(name=name), version=3)
            note_answered(request, cast("Loaded", loaded), [cast("Answered", file)])
            return {"id": id_of(request)}

        @routes.get("/health")
        async def health(request: Request) -> str:
            return caller_of(request).name

        app.include_router(routes)
        app.add_middleware(Doors, entrance=entrance)
        app.add_middleware(Requests, tell=lambda line: self.lines.append(json.loads(line)), routes=routes.routes)
        self.app = app

    def __call__(self, method: str, path: str, base: str = "http://localhost", **more: Any) -> httpx.Response:
        return self.all([(method, path, base, more)])[0]

    def all(self, asked: Sequence[tuple[str, str, str, dict[str, Any]]]) -> list[httpx.Response]:
        async def ask() -> list[httpx.Response]:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app)) as client:
                return await asyncio.gather(
                    *(client.request(method, base + path, **more) for method, path, base, more in asked)
                )

        return asyncio.run(ask())


PATH = "/v1/topics/predictions"


@pytest.fixture
def asked() -> Asked:
    return Asked(Entrance([Site("api.example", None)], most_bytes=100, most_held=150))


@pytest.fixture
def keyed() -> Asked:
    return Asked(Entrance(keys=Keys([READS, ASKS])))


# -- an id --------------------------------------------------------------------------------------------------------------


def test_an_id_of_the_client_is_kept_and_else_one_is_given(asked: Asked) -> None:
    answer = asked("POST", PATH, headers={"X-Request-Id": "order-4711:2"})
    assert answer.headers["x-request-id"] == answer.json()["id"] == "order-4711:2"
    given = {asked("POST", PATH).headers["x-request-id"] for _ in range(3)}
    assert {len(one) for one in given} == {32}
    assert len(given) == 3


@pytest.mark.parametrize("sent", ["", "a b", "-a", "a" * 129, 'a"}', "é".encode("latin-1")])
def test_what_is_no_id_is_replaced(asked: Asked, sent: str | bytes) -> None:
    assert len(asked("POST", PATH, headers={"X-Request-Id": sent}).headers["x-request-id"]) == 32


def test_a_line_tells_of_a_request_and_nothing_of_its_rows_or_keys(keyed: Asked) -> None:
    keyed("POST", PATH, headers=with_key(SHOP), content=b"secret row")
    keyed("GET", "/elsewhere?name=Ada", headers=with_key(SHOP[:-1]))
    first, second = keyed.lines
    assert first.keys() - {"time", "ms"} == {
        *("request", "caller", "method", "route", "status", "use_case", "version", "rows", "rejected")
    }
    assert (first["caller"], first["route"], first["rows"], first["rejected"], first["version"]) == (
        *("shop", "/v1/{name}/predictions", 5, 2, 3),
    )
    assert (second["route"], second["status"], second["caller"]) == ("unmatched", 401, "unknown")
    said = json.dumps(keyed.lines)
    assert "secret" not in said
    assert "Ada" not in said
    assert SHOP[:-1] not in said


# -- by what name, and whose page ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["http://evil.example", "http://0.0.0.0:8000", "http://localhost.evil.example"])
def test_by_another_name_nothing_is_answered(asked: Asked, base: str) -> None:
    answer = asked("GET", "/health", base)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert "MLOPS_ALLOWED_HOSTS" in answer.json()["detail"]
    assert asked("GET", "/health", "http://api.example:99").status_code == 200


@pytest.mark.parametrize("content_type", ["application/json", "text/csv", FORM, "text/plain", "application/zip"])
@pytest.mark.parametrize(
    "page",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
    ],
)
def test_a_page_of_another_site_sends_no_file(asked: Asked, content_type: str, page: dict[str, str]) -> None:
    answer = asked("POST", PATH, headers={"Content-Type": content_type, **page}, content=b"x")
    assert answer.status_code == 403
    assert asked.done == []


def test_its_own_pages_and_programs_send_files_of_any_type(asked: Asked) -> None:
    own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    for headers in (own, {}, {"Content-Type": FORM}):
        assert asked("POST", PATH, headers=headers, content=b"x").status_code == 200


def test_no_page_elsewhere_may_read_an_answer(asked: Asked) -> None:
    for answer in (asked("GET", "/health"), asked("OPTIONS", "/health", headers={"Origin": "http://evil.example"})):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"


# -- who ----------------------------------------------------------------------------------------------------------------


def test_without_keys_it_is_somebody_of_this_machine(asked: Asked) -> None:
    asked("POST", PATH, headers=with_key("none"))
    assert asked.done == [("local", 0)]


def test_with_keys_a_route_knows_who_asks(keyed: Asked) -> None:
    assert keyed("POST", PATH, headers={"Authorization": f"Bearer {SHOP}"}).status_code == 200
    assert keyed.done == [("shop", 0)]


def test_without_a_key_or_its_right_nothing_is_done(keyed: Asked) -> None:
    answers = [
        keyed("POST", PATH),
        keyed("POST", PATH, headers=with_key("guess")),
        keyed("POST", PATH, headers={"X-Api-Key": READER}),
        keyed("GET", PATH, headers={"X-Api-Key": SHOP}),
        keyed("GET", "/metrics"),
        keyed("GET", "/docs"),
        keyed("GET", "/nowhere"),
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 403, 403, 401, 401, 401]
    assert all(answer.headers["www-authenticate"].startswith("Bearer") for answer in answers)
    assert all(answer.json()["request"] == answer.headers["x-request-id"] for answer in answers)
    assert keyed.done == []


def test_what_watches_processes_needs_no_key(keyed: Asked) -> None:
    assert keyed("GET", "/health").status_code == 200


def test_who_was_refused_is_told_with_the_route(keyed: Asked) -> None:
    keyed("GET", PATH, headers=with_key(SHOP))
    for _ in range(4):
        keyed("POST", PATH, headers=with_key(SHOP))
    refused = [(line["caller"], line["route"], line["status"]) for line in keyed.lines if line["status"] != 200]
    assert refused == [("shop", "/v1/{name}/predictions", 403), ("shop", "/v1/{name}/predictions", 429)]


def test_a_slash_at_the_end_makes_no_other_path_and_no_other_right(keyed: Asked) -> None:
    assert keyed("POST", f"{PATH}/", headers=with_key(SHOP)).status_code == 200
    assert keyed("GET", f"{PATH}/", headers=with_key(SHOP)).status_code == 403
    assert keyed("GET", f"{PATH}//", headers=with_key(READER)).status_code == 404


def test_beyond_its_rate_a_caller_is_told_when_to_ask_again(keyed: Asked) -> None:
    answers = keyed.all([("POST", PATH, "http://localhost", {"headers": {"X-Api-Key": SHOP}})] * 5)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 429, 429]
    assert {answer.headers.get("retry-after") for answer in answers} == {None, "1"}


# -- how much -----------------------------------------------------------------------------------------------------------


async def in_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(0)  # meanwhile the others send theirs
        yield piece


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_read_up_to_its_bound(asked: Asked, chunked: bool) -> None:
    for size, status in ((100, 200), (101, 413), (5000, 413)):
        body = in_pieces(*[b"x"] * size) if chunked else b"x" * size
        answer = asked("POST", PATH, content=body)
        assert answer.status_code == status
        assert answer.headers.get("connection") == (None if status == 200 else "close")
    assert asked.done == [("local", 100)]


def test_a_length_of_thousands_of_digits_is_too_long(asked: Asked) -> None:
    answer = asked("POST", "/v1/topics/predictions", content=b"abc", headers={"Content-Length": "0" * 5000 + "3"})
    assert answer.status_code == 413


def test_bodies_that_are_held_at_once_are_bounded_together_and_let_go(asked: Asked) -> None:
    for _ in range(3):
        bodies = [in_pieces(*[b"x" * 30] * 3) for _ in range(4)]
        answers = asked.all([("POST", PATH, "http://localhost", {"content": body}) for body in bodies])
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {200, 503}
        assert {answer.headers.get("retry-after") for answer in answers} == {None, "1"}
        assert asked("POST", PATH, content=b"x" * 100).status_code == 200


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    asked = Asked(Entrance(seconds=0.05))

    async def never() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.Event().wait()
        yield b"b"

    answer = asked("POST", PATH, content=never())
    assert (answer.status_code, answer.headers["connection"]) == (408, "close")
    assert asked.done == []
