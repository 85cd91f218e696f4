"""What a page of another site can have a browser send, and what a program can send to look like one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
EVIL = "http://evil.example"
REFUSED = {400, 403, 405, 415}


@dataclass(frozen=True)
class Request:
    """A request; its `Host` is the server's own if the headers have none."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def attacks(query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Request]:
    """The ways to have a query of GraphQL run that a server must refuse, by name."""
    text = json.dumps({"query": query, "variables": variables or {}}).encode()
    link = f"/graphql?query={quote(query)}&variables={quote(json.dumps(variables or {}))}"
    part = b'--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n' + text + b"\r\n--x--\r\n"
    kind = "Content-Type"
    as_json = (kind, "application/json")
    return {
        "link": Request("GET", link),
        "image": Request("GET", link, (("Accept", "image/avif,*/*"), ("Sec-Fetch-Site", "cross-site"))),
        "head": Request("HEAD", link),
        "link with an end of line": Request("GET", link.replace("/graphql", "/graphql%0A", 1)),
        "form": Request("POST", link, ((kind, FORM),), b"a=b"),
        "form of json": Request("POST", "/graphql", ((kind, FORM),), text),
        "text": Request("POST", link, ((kind, "text/plain"),), text),
        "text that names json": Request("POST", "/graphql", ((kind, "text/plain; application/json"),), text),
        "multipart": Request("POST", link, ((kind, MULTIPART),), part),
        "no type": Request("POST", link),
        "graphql": Request("POST", "/graphql", ((kind, "application/graphql"),), query.encode()),
        "foreign page": Request("POST", "/graphql", (as_json, ("Origin", EVIL)), text),
        "hidden page": Request("POST", "/graphql", (as_json, ("Origin", "null")), text),
        "neighbour": Request("POST", "/graphql", (as_json, ("Origin", "http://127.0.0.1:1")), text),
        "foreign name": Request("POST", "/graphql", (("Host", "evil.example:3000"), as_json), text),
        "rebound page": Request("POST", "/graphql", (("Host", "evil.example"), ("Origin", EVIL), as_json), text),
    }


def send(port: int, request: Request) -> tuple[int, bytes]:
    """Send a request to a server of this machine, headers as they are."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        usual = {"Host": f"127.0.0.1:{port}", "Content-Length": str(len(request.body))}
        for name, value in (usual | dict(request.headers)).items():
            connection.putheader(name, value)
        connection.endheaders(request.body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def post(port: int, query: str, variables: Mapping[str, Any] | None = None) -> Any:
    """What Dagster's own page is answered."""
    headers = (("Content-Type", "application/json"), ("Origin", f"http://127.0.0.1:{port}"))
    body = json.dumps({"query": query, "variables": variables or {}}).encode()
    status, text = send(port, Request("POST", "/graphql", headers, body))
    assert status == 200, text
    return json.loads(text)["data"]
