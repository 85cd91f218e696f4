"""The check of a whole stack: it fails at the first thing that does not work, and all services as processes pass it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy import smoke
from deploy.services.s3 import is_installed


class Api:
    """Answers like the API of a stack that works, but for what a test changes."""

    def __init__(self) -> None:
        self.key, self.api = "tulip", ""
        self.asked: list[str] = []
        self.commands: list[str] = []
        self.state, self.rows, self.status = "success", 300, 202

    def command(self, *words: str) -> None:
        self.commands.append(" ".join(words))

    def answer(self, path: str) -> tuple[int, Any]:
        self.asked.append(path)
        if path.startswith("/v1/runs/"):
            return 200, {"state": self.state, "failed": []}
        if "/predictions?" in path:
            return 200, {"rows": [{}] * self.rows}
        if path.endswith("/predictions"):
            return 200, {"files": [{"rows": 2, "predictions": [{}, {}]}]}
        return self.status, {"run": f"r{len(self.asked)}"}


@pytest.fixture
def api() -> Iterator[Api]:
    known = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            assert self.headers["Authorization"] == "Bearer tulip"
            status, said = known.answer(self.path)
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Nothing goes to the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        known.api = f"http://127.0.0.1:{server.server_port}"
        yield known
        server.shutdown()
        thread.join()


def test_a_stack_that_works_does_a_day_and_answers_a_file(api: Api) -> None:
    assert smoke.check(api)[1:] == ["300 predictions of 2026-01-31", "a file of two rows is answered"]
    base = "/v1/use-cases/loan_approval"
    started = [path for path in api.asked if not path.startswith("/v1/runs/")]
    day = f"{base}/days/2026-01-31"
    assert started[:4] == [f"{day}/run", f"{base}/train", f"{base}/promote", f"{day}/run"]
    assert started[4:] == [f"{day}/predictions?limit=1000", f"{base}/predictions"]
    assert api.commands == ["sample loan_approval --day 2026-01-31 --files 1 --rows 300"]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"state": "failure"}, "the run of days/2026-01-31/run is failure"),
        ({"state": "canceled"}, "is canceled"),
        ({"status": 503}, "the API answered with 503"),
        ({"rows": 0}, "0 predictions of 2026-01-31"),
    ],
    ids=["a run fails", "a run is ended", "no run is taken", "nothing is predicted"],
)
def test_the_first_thing_that_does_not_work_fails_it(api: Api, how: dict[str, Any], said: str) -> None:
    vars(api).update(how)
    with pytest.raises(smoke.Failed, match=said):
        smoke.check(api)


def test_an_api_that_is_not_there_fails_it(api: Api) -> None:
    api.api = "http://127.0.0.1:9"
    with pytest.raises(smoke.Failed, match="does not answer"):
        smoke.check(api)


@pytest.mark.parametrize("arguments", [[], ["--processes"], ["--help"], ["a", "b"]])
def test_it_starts_nothing_where_it_is_not_told_what(arguments: list[str]) -> None:
    assert smoke.main(arguments) == 2


@pytest.mark.long
@pytest.mark.skipif(not is_installed(), reason="the S3 server is not installed: ceph-mon, ceph-osd, radosgw")
def test_all_services_as_processes_pass_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main(["--processes", str(tmp_path / "stack")]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.splitlines()[-1] == "a file of two rows is answered"
