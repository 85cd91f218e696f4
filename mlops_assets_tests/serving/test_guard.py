"""The guard: by what name it is called, whose page asks, how it was sent, and how long it is."""

from __future__ import annotations

from typing import Any

import pytest

from mlops_assets.errors import UsageError
from mlops_assets.serving.entrance.guard import Guard, Site, hosts_from_environment
from mlops_assets_tests.helpers.asgi import HOST, JSON, OWN, ask, talk

FOREIGN = ("Origin", "http://evil.example")
QUERY = "/graphql?query=mutation{wipe}"


class Recorder:
    """An application that says yes to everybody, and keeps what it was asked."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", scope["type"] == "http"
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.bodies.append(body)
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        headers = [(b"Access-Control-Allow-Origin", b"*"), (b"referrer-policy", b"no-referrer")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"done"})


@pytest.fixture
def app() -> Recorder:
    return Recorder()


@pytest.fixture
def guard(app: Recorder) -> Guard:
    hosts = [Site("dagster.example", None), Site("pinned.example", 8443)]
    return Guard(app, hosts, posted=("/graphql",), most_bytes=100)


# -- by what name -------------------------------------------------------------------------------------------------------

OURS = (
    *("localhost", "LOCALHOST:3000", "localhost.", "localhost.:3000", "127.0.0.1", "127.0.0.1:1", "127.8.8.8:3000"),
    *("[::1]", "[::1]:3000", "[0:0:0:0:0:0:0:1]:80"),
    *("dagster.example", "Dagster.Example:9", "dagster.example.", "pinned.example:8443"),
)
FOREIGN_NAMES = (
    *("evil.example", "evil.example:3000", "localhost.evil.example", "evil-localhost", "127.0.0.1.evil.example"),
    *("0.0.0.0", "0.0.0.0:3000", "[::]:3000", "10.0.0.1", "dagster.example.evil.example", "sub.dagster.example"),
    *("pinned.example", "pinned.example:443", "2130706433", "127.1", "xn--localhost-9ib"),
)
NO_NAMES = (
    *(
        "",
        " ",
        "localhost,evil.example",
        "localhost evil.example",
        "evil.example@localhost",
        "localhost/",
        "localhost:",
    ),
    *(
        "localhost:x",
        "localhost:-1",
        "localhost:999999",
        "[::1",
        "::1",
        "*",
        "http://localhost",
        "localhost..",
        "loc\u00e0lhost",
    ),
)


@pytest.mark.parametrize("name", OURS)
def test_loopback_and_listed_names_are_answered(guard: Guard, name: str) -> None:
    assert ask(guard, "GET", "/", [("Host", name)]).status == 200


@pytest.mark.parametrize("name", FOREIGN_NAMES)
def test_another_name_is_refused_and_told_how_to_list_it(guard: Guard, app: Recorder, name: str) -> None:
    answer = ask(
        guard, "GET", "/", [("Host", name), ("X-Forwarded-Host", "localhost"), ("Forwarded", "host=localhost")]
    )
    assert answer.status == 403
    assert "MLOPS_ALLOWED_HOSTS" in answer.text
    assert app.bodies == []


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name_is_a_bad_request(guard: Guard, name: str) -> None:
    assert ask(guard, "GET", "/", [("Host", name.encode().decode("latin-1"))]).status == 400


@pytest.mark.parametrize("headers", [[], [HOST, HOST], [HOST, ("host", "evil.example")]])
def test_the_name_is_said_once(guard: Guard, headers: list[tuple[str, str]]) -> None:
    assert ask(guard, "GET", "/", headers).status == 400


@pytest.mark.parametrize("target", ["http://evil.example/", "*", ""])
def test_a_path_begins_with_a_slash(guard: Guard, target: str) -> None:
    assert ask(guard, "GET", target).status == 400


@pytest.mark.parametrize("sign", ["\n", "\r", "\0", "\x1f", "\x7f", "\n/", "/\n"])
def test_a_path_has_no_sign_that_a_router_may_overlook(guard: Guard, app: Recorder, sign: str) -> None:
    for path in (f"/graphql{sign}", f"/prefix/graphql{sign}", f"/{sign}graphql"):
        assert ask(guard, "GET", f"{path}?query=mutation%7Bwipe%7D").status == 400
    assert app.bodies == []


def test_names_are_listed_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_ALLOWED_HOSTS", " Dagster.Example , [::1]:3000,a:80,, ")
    assert hosts_from_environment() == (Site("dagster.example", None), Site("[::1]", 3000), Site("a", 80))
    monkeypatch.delenv("MLOPS_ALLOWED_HOSTS")
    assert hosts_from_environment() == ()


@pytest.mark.parametrize("entry", ["*", "*.example.com", "https://dagster.example", "a b", "a/b", "a:b"])
def test_an_entry_that_is_no_name_is_told(monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    monkeypatch.setenv("MLOPS_ALLOWED_HOSTS", f"dagster.example,{entry}")
    with pytest.raises(UsageError, match="there are no patterns"):
        hosts_from_environment()


# -- whose page ---------------------------------------------------------------------------------------------------------

FOREIGN_PAGES = (
    *("http://evil.example", "null", "", "http://127.0.0.1:14001", "http://localhost:3000", "https://127.0.0.1"),
    *("http://127.0.0.1:3000.evil.example", "http://evil.example:3000", "http://evil.example@127.0.0.1:3000"),
    *("ftp://127.0.0.1:3000", "chrome-extension://127.0.0.1:3000", "http://127.0.0.1:3000/x", "127.0.0.1:3000"),
)


@pytest.mark.parametrize("origin", FOREIGN_PAGES)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_page_of_another_site_is_refused(guard: Guard, app: Recorder, method: str, origin: str) -> None:
    assert ask(guard, method, "/graphql", [HOST, JSON, ("Origin", origin)], [b"{}"]).status == 403
    assert app.bodies == []


@pytest.mark.parametrize(
    "headers",
    [
        [HOST, OWN],
        [HOST, ("Origin", "HTTP://127.0.0.1:3000")],
        [HOST],  # a program
        [("Host", "dagster.example"), ("Origin", "https://dagster.example")],  # a proxy took off the TLS
        [("Host", "dagster.example:443"), ("Origin", "https://dagster.example")],
        [("Host", "[::1]:3000"), ("Origin", "http://[::1]:3000")],
        [HOST, OWN, ("Sec-Fetch-Site", "same-origin")],
    ],
)
def test_a_page_of_its_own_and_a_program_may_change_things(guard: Guard, app: Recorder, headers: Any) -> None:
    assert ask(guard, "POST", "/graphql", [*headers, JSON], [b"{", b"}"]).text == "done"
    assert app.bodies == [b"{}"]


@pytest.mark.parametrize("headers", [[OWN, FOREIGN], [FOREIGN, OWN], [OWN, OWN]])
def test_an_origin_is_said_once(guard: Guard, headers: Any) -> None:
    assert ask(guard, "POST", "/graphql", [HOST, JSON, *headers], [b"{}"]).status == 403


@pytest.mark.parametrize(
    ("method", "site", "mode", "dest", "status"),
    [
        ("POST", "cross-site", "cors", "empty", 403),
        ("POST", "same-site", "cors", "empty", 403),
        ("POST", "none", "navigate", "document", 403),
        ("POST", "cross-site", "navigate", "document", 403),
        ("GET", "cross-site", "no-cors", "image", 403),
        ("GET", "same-site", "no-cors", "script", 403),
        ("GET", "cross-site", "navigate", "iframe", 403),
        ("GET", "cross-site", "navigate", "document", 200),  # a link in a mail
        ("GET", "none", "navigate", "document", 200),
        ("GET", "same-origin", "cors", "empty", 200),
    ],
)
def test_what_a_browser_says_of_a_request_counts(
    guard: Guard, method: str, site: str, mode: str, dest: str, status: int
) -> None:
    said = [("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", dest)]
    assert ask(guard, method, "/runs", [HOST, JSON, *said], [b"{}"]).status == status


# -- how it was sent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/prefix/graphql"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_link_runs_nothing(guard: Guard, app: Recorder, method: str, path: str) -> None:
    for accept in ("*/*", "text/html", "image/avif,image/webp"):
        answer = ask(guard, method, f"{path}?query=mutation%7Bwipe%7D", [HOST, ("Accept", accept)])
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert app.bodies == []
    assert ask(guard, method, path).status == 200
    assert ask(guard, method, "/runs?query=x").status == 200


@pytest.mark.parametrize(
    "types",
    [
        [],
        ["text/plain"],
        ["text/plain; application/json"],
        ["text/plain;charset=application/json"],
        ["application/x-www-form-urlencoded"],
        ["multipart/form-data; boundary=application/json"],
        ["application/graphql"],
        ["application/jsonx"],
        ["application/json, text/plain"],
        ["application/json; charset=utf-16"],
        ["application/json; charset=utf-8; charset=utf-7"],
        ["application/json", "text/plain"],
        ["application/json", "application/json"],
        [""],
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_form_or_text_changes_nothing(guard: Guard, app: Recorder, method: str, types: list[str]) -> None:
    headers = [HOST, *(("Content-Type", one) for one in types)]
    answer = ask(guard, method, QUERY, headers, [b'{"query": "mutation{wipe}"}'])
    assert answer.status == 415
    assert "application/json" in answer.text
    assert app.bodies == []


@pytest.mark.parametrize("one", ["application/json", "Application/JSON", 'application/json; charset="UTF-8"'])
def test_json_in_utf_8_is_taken(guard: Guard, one: str) -> None:
    assert ask(guard, "POST", "/graphql", [HOST, ("Content-Type", one)], [b"{}"]).status == 200


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "get"])
def test_other_methods_are_refused(guard: Guard, method: str) -> None:
    assert ask(guard, method, "/").status == 405


# -- how long -----------------------------------------------------------------------------------------------------------


def test_a_body_is_bounded_whether_its_length_is_told_or_not(guard: Guard, app: Recorder) -> None:
    for length in ("101", "99999999999999999999", "-1", "x", "1e3"):
        assert ask(guard, "POST", "/x", [HOST, JSON, ("Content-Length", length)], [b""]).status == 413
    assert ask(guard, "POST", "/x", [HOST, JSON, ("Content-Length", "3")], [b"x" * 101]).status == 413
    assert ask(guard, "POST", "/x", [HOST, JSON], [b"x" * 50, b"y" * 50, b"z"]).status == 413
    assert app.bodies == []
    assert ask(guard, "POST", "/x", [HOST, JSON], [b"x" * 50, b"y" * 50]).status == 200
    assert app.bodies == [b"x" * 50 + b"y" * 50]


# -- answers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [[HOST], [("Host", "evil.example")]])
def test_no_other_page_can_use_an_answer(guard: Guard, headers: Any) -> None:
    said = ask(guard, "GET", "/", headers).headers
    assert not [name for name in said if "access-control" in name.lower()]
    assert said["x-frame-options"] == "SAMEORIGIN"
    assert said["content-security-policy"] == "frame-ancestors 'self'"
    assert said["x-content-type-options"] == "nosniff"
    assert said["cross-origin-resource-policy"] == "same-origin"


def test_what_the_application_says_of_itself_is_left(guard: Guard) -> None:
    assert ask(guard, "GET", "/").headers["referrer-policy"] == "no-referrer"


def test_a_refusal_is_plain_text_without_the_signs_of_whoever_asked(guard: Guard) -> None:
    answer = ask(guard, "POST", "/x", [HOST, JSON, ("Origin", "http://\x1b[31m<script>")], [b"{}"])
    assert answer.headers["content-type"].startswith("text/plain")
    assert "\x1b" not in answer.text


# -- websockets ---------------------------------------------------------------------------------------------------------


def test_a_websocket_is_opened_by_its_own_pages_and_programs(guard: Guard) -> None:
    for headers in (
        [HOST, OWN],
        [HOST],
        *([HOST, OWN, ("Sec-Fetch-Site", one)] for one in ("same-origin", "same-site")),
    ):
        assert talk(guard, "/graphql", headers)[0]["type"] == "websocket.accept"


@pytest.mark.parametrize(
    "headers",
    [
        [HOST, FOREIGN],
        [HOST, ("Origin", "null")],
        [HOST, ("Sec-Fetch-Site", "cross-site")],
        [("Host", "evil.example")],
        [],
    ],
)
def test_a_websocket_of_another_page_is_refused_before_it_is_opened(guard: Guard, app: Recorder, headers: Any) -> None:
    assert [one["type"] for one in talk(guard, "/graphql", headers)] == ["websocket.close"]
    told = talk(guard, "/graphql", headers, extensions=["websocket.http.response"])
    assert told[0]["type"] == "websocket.http.response.start"
    assert told[0]["status"] in (400, 403)
    assert app.bodies == []
