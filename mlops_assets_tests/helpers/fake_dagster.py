"""What stands for Dagster's webserver where no run is to be made: it keeps what it is asked to launch, and answers by it.

Its answers have the shape of the real ones; that the queries fit the real schema is a test of its own, and that both
sides fit is the round in `tools/test_dev.py`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from mlops_assets.serving.dagster import FAILURES, LAUNCH, RUN, RUNS


@dataclass
class FakeDagster:
    """Runs that were launched; a test says how they go on."""

    address: str = ""
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    refusal: dict[str, Any] | None = None
    lock: Any = field(default_factory=Lock)

    def end(self, run: str, status: str) -> None:
        self.runs[run] |= {"status": status, "endTime": 60.0}

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            return {
                "data": {LAUNCH: self._launch, RUNS: self._find, RUN: self._run, FAILURES: self._failures}[query](
                    variables
                )
            }

    def _launch(self, variables: dict[str, Any]) -> dict[str, Any]:
        if self.refusal:
            return {"launchRun": self.refusal}
        params, run = variables["params"], str(uuid.uuid4())
        times = {"creationTime": 1.0, "startTime": 2.0, "endTime": None}
        told = {"tags": params["executionMetadata"]["tags"], "config": params["runConfigData"]}
        self.runs[run] = {"runId": run, "jobName": params["selector"]["jobName"], "status": "STARTED", **times, **told}
        return {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": run}}}

    def _find(self, variables: dict[str, Any]) -> dict[str, Any]:
        wanted = variables["filter"]
        found = [
            run
            for run in reversed(self.runs.values())
            if all(tag in run["tags"] for tag in wanted["tags"])
            and run["status"] in wanted.get("statuses", [run["status"]])
        ]
        return {"runsOrError": {"__typename": "Runs", "results": found[: variables["limit"]]}}

    def _run(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(variables["id"])
        return {"runOrError": {"__typename": "Run", **run} if run else {"__typename": "RunNotFoundError"}}

    def _failures(self, variables: dict[str, Any]) -> dict[str, Any]:
        begin = int(variables["after"] or 0)
        page = {
            "events": self.events[begin : begin + 2],
            "cursor": str(begin + 2),
            "hasMore": begin + 2 < len(self.events),
        }
        return {"runOrError": {"eventConnection": page}}


@contextmanager
def fake_dagster() -> Iterator[FakeDagster]:
    fake = FakeDagster()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            body = json.dumps(fake.answer(asked["query"], asked["variables"])).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        fake.address = f"http://127.0.0.1:{server.server_address[1]}"
        yield fake
        server.shutdown()
