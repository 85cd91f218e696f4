"""What the schema of the API allows, and much that it does not, is answered as the schema says, and never by 5xx.

Requests are made of the schema by schemathesis. The suite sends a few to each path; `make test-long` goes on for
`SCHEMA_MINUTES`, against a loaded server without Dagster. A 503 with `Retry-After` is what a server says that has too much
to do or lacks what it needs: it must be told by the schema like all else, and is allowed of that server alone.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
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
from mlops_assets.serving.entrance.callers import RIGHTS
from mlops_assets.serving.entrance.keys import new_key
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.fake_dagster import fake_dagster
from mlops_assets_tests.helpers.served_home import Api, copied_home, served, served_home

MINUTES = float(os.environ.get("SCHEMA_MINUTES", "30"))
"""For how long the long test goes on."""
FEW = 2
"""Requests of a kind that the suite sends to each path."""
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
UNLIKE = [
    hypothesis.HealthCheck.too_slow,
    hypothesis.HealthCheck.filter_too_much,
    hypothesis.HealthCheck.data_too_large,
]


OPEN = {"Problem"}
"""Has further members where there is more to say, as its RFC allows."""

Headers = Mapping[str, str]


def operations(api: Api, headers: Headers = {}) -> Iterator[Any]:  # noqa: B006 - it is read alone
    """Every path of the schema, in which answers have no member that it does not tell."""
    content = requests.get(f"{api.url}/openapi.json", headers=dict(headers), timeout=120).json()
    for name, shape in content["components"]["schemas"].items():
        if name not in OPEN and "properties" in shape:
            shape.setdefault("additionalProperties", False)
    for found in schemathesis.openapi.from_dict(content).get_all_operations():
        yield found.ok()


def ask(api: Api, operation: Any, headers: Headers, number: int, seen: Counter[str], *, busy: bool) -> None:
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


def test_every_answer_is_told_with_its_fields() -> None:
    with served_home() as workspace, served(workspace) as api:
        for operation in operations(api):
            for status, told in operation.definition.raw["responses"].items():
                assert status != "default", operation.label
                for kind, form in told.get("content", {}).items():  # what leads elsewhere has none
                    assert form["schema"].get("type") == "string" or "$ref" in form["schema"], (operation.label, kind)


@pytest.mark.parametrize(
    ("served_ones", "few"),
    [(["transactions"], FEW), pytest.param(["topics", "transactions"], 10, marks=pytest.mark.long)],
)
def test_an_open_server_answers_as_its_schema_says(tmp_path: Path, served_ones: list[str], few: int) -> None:
    seen: Counter[str] = Counter()
    with fake_dagster() as dagster, copied_home(tmp_path, dagster.address) as workspace:
        with served(workspace, *served_ones) as api:
            for operation in operations(api):
                ask(api, operation, {}, few, seen, busy=False)
        assert dagster.runs
    assert {"200", "202", "422"} <= seen.keys()


@pytest.mark.parametrize("sent", [True, False])
def test_a_server_with_keys_answers_as_its_schema_says(sent: bool) -> None:
    token, key = new_key("tester", frozenset({"read", "predict"}))  # what it may not do is looked at, and not done
    seen: Counter[str] = Counter()
    with fake_dagster() as dagster, served_home() as found:
        workspace = Workspace(replace(found.settings, dagster_url=dagster.address))
        with served(workspace, "topics", keys=[key]) as api:
            headers = {"Authorization": f"Bearer {token}"}
            for operation in operations(api, headers):
                ask(api, operation, headers if sent else {}, 1, seen, busy=False)
    assert "401" in seen  # that of a wrong key is among what the schema does not allow
    assert {"403" in seen, "422" in seen} == {sent}


@pytest.mark.long
def test_a_loaded_server_answers_as_its_schema_says(tmp_path: Path) -> None:
    token, key = new_key("tester", frozenset(RIGHTS))
    headers = {"Authorization": f"Bearer {token}"}
    until = time.monotonic() + MINUTES * 60
    seen: Counter[str] = Counter()
    with copied_home(tmp_path, "http://127.0.0.1:9") as workspace, served(workspace, keys=[key]) as api:
        file = next((workspace.settings.raw / "transactions").rglob("*.csv")).read_bytes()
        request = load.post("/v1/use-cases/transactions/predictions", file, "text/csv")
        request = request.replace(b"\r\n\r\n", f"\r\nAuthorization: Bearer {token}\r\n\r\n".encode(), 1)
        every = [*operations(api, headers)]  # once: of a server that is at its limit it would take most of the time
        busy: list[load.Load] = []
        client = threading.Thread(target=lambda: busy.append(load.ask(api.port, [request], 16, MINUTES * 60)))
        client.start()
        while time.monotonic() < until:
            for operation in every:
                ask(api, operation, headers, 20, seen, busy=True)
                ask(api, operation, {}, 1, seen, busy=True)
        client.join()
    sys.stdout.write(f"{seen.total()} requests by the schema: {dict(seen)}; beside: {dict(busy[0].statuses)}\n")
    assert busy[0].statuses.keys() <= {200, 503}
    assert busy[0].good
    assert {"200", "401", "422"} <= seen.keys()
