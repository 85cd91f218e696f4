"""The benchmark of the API: what its client counts, what each server is asked, and that its page says what was measured."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import servers, serving
from benchmarks.load import LOST, ask, post
from mlops_assets_tests.helpers.served_home import behind_a_server, champions_in


async def moody(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers as its path says; `/gone` ends the connection without an answer."""
    more = scope["type"] == "http"
    while more:
        more = (await receive())["more_body"]
    if scope["path"] == "/gone":
        raise RuntimeError
    await send({"type": "http.response.start", "status": int(scope["path"][1:]), "headers": []})
    await send({"type": "http.response.body", "body": b"x" * 100_000})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with behind_a_server(moody) as port:
        yield port


def test_every_answer_is_counted_by_its_status(port: int) -> None:
    load = ask(port, [post(path, b"body", "text/csv") for path in ("/200", "/503")], clients=3, seconds=0.2)
    assert set(load.statuses) == {200, 503}
    assert load.good == len(load.latencies) > 0
    assert 0 < load.percentile(50) <= load.percentile(99)


def test_what_nobody_answers_is_no_answer() -> None:
    with behind_a_server(moody) as port:
        pass
    load = ask(port, [post("/200", b"", "text/csv")], clients=1, seconds=0.05)
    assert set(load.statuses) == {LOST}
    assert load.good == 0


def test_a_server_that_never_answers_is_left() -> None:
    # its kernel takes the connections, and nobody reads them
    with socket.create_server(("127.0.0.1", 0)) as silent:
        load = ask(silent.getsockname()[1], [post("/200", b"", "text/csv")], clients=2, seconds=0.05, patience=0.05)
    assert load.statuses == {LOST: 2}


def test_a_peer_that_cannot_be_measured_says_why_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "asked.npz", vectors=np.zeros((1, 1, 1)), files=np.array([b"id"], object))
    ends = servers.Way("ends", ("-c", "raise SystemExit(3)"), "/")
    cannot_be_had = servers.Way("cannot be had", (), "/", ("nothing==0.0",))
    monkeypatch.setitem(servers.WAYS, "ends", ends)
    monkeypatch.setitem(servers.WAYS, "cannot be had", cannot_be_had)
    monkeypatch.setattr(servers, "python_with", _refuse_packages)
    with pytest.raises(servers.NotMeasured, match="it ended before its first answer"):
        list(serving.measure("ends", 1, tmp_path, tmp_path))
    with pytest.raises(servers.NotMeasured, match="its packages could not be installed"):
        list(serving.measure("cannot be had", 1, tmp_path, tmp_path))


def _refuse_packages(packages: Sequence[str], _: Path) -> Path:
    if packages:
        raise subprocess.CalledProcessError(1, "uv")
    return Path(sys.executable)


def test_each_server_is_asked_for_the_same_rows_in_its_own_way() -> None:
    vectors = np.arange(12.0).reshape(2, 3, 2)
    assert serving.bodies("ours", [b"id\n1\n"], vectors)[0].endswith(b"\r\n\r\nid\n1\n")
    for way in serving.WAYS.keys() - {"ours"}:
        requests = serving.bodies(way, [], vectors)
        assert len(requests) == 2
        head, _, body = requests[1].partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert "11.0" in json.dumps(json.loads(body))


def test_what_an_answer_costs_is_a_section_with_a_line_for_each_server() -> None:
    found = [
        serving.Found("ours", 1, 1, 100, 0, 0.5, 10.0, 6.0, 9.0, 300 << 20, 0.4, 0.02),
        serving.Found("ours", 1, 64, 1000, 3, 1.0, 10.0, 60.0, 90.0, 300 << 20, 0.4, 0.02),
        serving.Found("ours", 2, 64, 2000, 0, 2.0, 10.0, 30.0, 40.0, 500 << 20, 0.4, 0.02),
        serving.Found("fastapi", 1, 64, 1000, 0, 2.5, 10.0, 70.0, 99.0, 200 << 20, 0.4, 0.02),
    ]
    about = {"rows": 50, "files": 200, "candidate": "vote", "seconds": 10.0}
    lines = serving.section(found, about, {"MLServer 1.7.1": "it ended before its first answer"}).splitlines()
    assert "| mlops-assets, from the raw file | 5.0 | 1.0 |" in lines
    assert "| mlops-assets, from the raw file, 2 processes |  | 1.0 |" in lines
    assert "| FastAPI 0.165.0 |  | 2.5 |" in lines
    assert "| mlops-assets, from the raw file | 64 | 1.0 | 100 | 60.0 | 90.0 | 300 | 3 | 0.4 | 0.02 |" in lines
    assert "- MLServer 1.7.1: not measured: it ended before its first answer." in lines


@pytest.mark.long
def test_our_server_is_measured(tmp_path: Path) -> None:
    with champions_in(tmp_path / "home", "transactions"):
        about = serving.hand_out(tmp_path / "home", tmp_path, files=3)
        found = list(serving.measure("ours", 1, tmp_path, tmp_path / "home", clients=[1, 4], seconds=1))
    assert about["files"] == 3
    assert [one.clients for one in found] == [1, 4]
    assert all(one.good and not one.other and one.cpu for one in found)
