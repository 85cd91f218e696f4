"""What the schema of the API allows, and much that it does not, is answered as the schema says, and never by 5xx.

Requests are made of the schema by schemathesis. The suite sends a few to each path; `make test-long` goes on for
`SCHEMA_MINUTES`, against a loaded server, too. A 503 with `Retry-After` is what a server says that has too much to do: it
is counted, must be told by the schema like all else, and is allowed of the loaded server alone.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from benchmarks import load
from mlops_assets.serving.entrance.keys import Key, new_key
from mlops_assets_tests.helpers.served_home import Api, served, served_home

MINUTES = float(os.environ.get("SCHEMA_MINUTES", "30"))
"""For how long the long test goes on."""
FEW = 3
"""Requests of a kind that the suite sends to each path."""
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
PREDICTS = ("/predictions", "/infer", "/predict/")
UNLIKE = [
    hypothesis.HealthCheck.too_slow,
    hypothesis.HealthCheck.filter_too_much,
    hypothesis.HealthCheck.data_too_large,
]


def keys() -> tuple[str, list[Key]]:
    """A key that may read and predict: what it may not do is looked at, and not done."""
    token, key = new_key("tester", frozenset({"read", "predict"}))
    return token, [key]


def operations(api: Api, headers: Mapping[str, str]) -> Iterator[Any]:
    schema = schemathesis.openapi.from_url(f"{api.url}/openapi.json", headers=dict(headers))
    for found in schema.get_all_operations():
        yield found.ok()


def changes(operation: Any) -> bool:
    """Whether it changes something, such as what is champion."""
    return operation.method.upper() not in ("GET", "HEAD") and not operation.path.endswith(PREDICTS)


def ask(api: Api, operation: Any, headers: Mapping[str, str], number: int, seen: Counter[str], *, busy: bool) -> None:
    """Send requests of both kinds to a path: what its schema allows, and what it does not."""

    def send(case: Any) -> None:
        answer = case.call(base_url=api.url, headers=dict(headers), session=session, timeout=120)
        seen[f"{answer.status_code}"] += 1
        late = answer.status_code == 503 and "retry-after" in answer.headers
        assert answer.status_code < 500 or (busy and late), (case.as_curl_command(), answer.text)
        case.validate_response(answer, checks=CHECKS)

    with requests.Session() as session:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            limited = hypothesis.settings(max_examples=number, suppress_health_check=UNLIKE, derandomize=not busy)
            # a path that takes nothing has no request that its schema does not allow
            with suppress(hypothesis.errors.Unsatisfiable):
                limited(hypothesis.given(case=operation.as_strategy(mode))(send))()


def test_an_open_server_answers_as_its_schema_says() -> None:
    seen: Counter[str] = Counter()
    with served_home() as workspace, served(workspace) as api:
        for operation in operations(api, {}):
            if not changes(operation):
                ask(api, operation, {}, FEW, seen, busy=False)
    assert {"200", "422"} <= seen.keys()


@pytest.mark.parametrize("sent", [True, False])
def test_a_server_with_keys_answers_as_its_schema_says(sent: bool) -> None:
    token, known = keys()
    seen: Counter[str] = Counter()
    with served_home() as workspace, served(workspace, "topics", keys=known) as api:
        headers = {"Authorization": f"Bearer {token}"}
        for operation in operations(api, headers):
            ask(api, operation, headers if sent else {}, 2, seen, busy=False)
    assert "401" in seen  # that of a wrong key is among what the schema does not allow
    assert ("422" in seen) is sent


@pytest.mark.long
def test_a_loaded_server_answers_as_its_schema_says() -> None:
    token, known = keys()
    headers = {"Authorization": f"Bearer {token}"}
    until = time.monotonic() + MINUTES * 60
    seen: Counter[str] = Counter()
    with served_home() as workspace, served(workspace, keys=known) as api:
        file = next((workspace.settings.raw / "transactions").rglob("*.csv")).read_bytes()
        request = load.post("/v1/use-cases/transactions/predictions", file, "text/csv")
        request = request.replace(b"\r\n\r\n", f"\r\nAuthorization: Bearer {token}\r\n\r\n".encode(), 1)
        busy: list[load.Load] = []
        client = threading.Thread(target=lambda: busy.append(load.ask(api.port, [request], 16, MINUTES * 60)))
        client.start()
        while time.monotonic() < until:
            for operation in operations(api, headers):
                ask(api, operation, headers, 20, seen, busy=True)
        client.join()
    assert busy[0].statuses.keys() <= {200, 503}
    assert busy[0].good
    assert {"200", "422"} <= seen.keys()
