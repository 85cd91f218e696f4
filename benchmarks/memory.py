"""What a process of the API holds: ready, after a request to each use case, under load, and when it is idle again.

`python -m benchmarks.memory --home HOME` serves all use cases of a home that have champions, in one process and in
two, and puts a section into `docs/benchmarks.md`. Their raw files are what is asked.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.load import ask, post
from benchmarks.sections import put_section
from benchmarks.starts import PAGE
from benchmarks.tables import markdown

NAME = "memory"
KINDS = {".csv": "text/csv", ".txt": "text/plain", ".png": "image/png"}
"""What is asked of raw files: pictures alone, without the records that refer to them."""
CLIENTS, FILES, PATIENCE = 64, 200, 300
PAGES = ("docs", "openapi.json", "metrics", "v1/use-cases")
IDLE = 12.0
"""Seconds after which what is free was given back."""
ABOUT = """\
`python -m benchmarks.memory --home HOME` writes this section: {served} use cases with a champion, each asked once, then
by {clients} connections for {seconds:g} s each. Resident memory of a process (RSS) counts what it shares with others,
such as libraries; its share (PSS) divides that by those who share it. The largest process is told; bar: 400 MiB."""


@dataclass(frozen=True)
class Held:
    """MiB of the largest process at a moment: resident, and its share."""

    when: str
    processes: int
    resident: int
    share: int


def held(when: str, processes: Sequence[psutil.Process]) -> Held:
    """What the largest of some processes holds."""
    infos = [process.memory_full_info() for process in processes]
    return Held(when, len(infos), max(one.rss for one in infos) >> 20, max(one.pss for one in infos) >> 20)


def requests_of(raw: Path, name: str) -> list[bytes]:
    """Requests of raw files of a use case."""
    paths = [path for path in sorted((raw / name).rglob("*")) if path.suffix in KINDS and "feedback" not in path.parts]
    target = f"/v1/use-cases/{name}/predictions"
    made = []
    for path in paths[:FILES]:
        request = post(target, path.read_bytes(), KINDS[path.suffix])
        made.append(request.replace(b"\r\n\r\n", f"\r\nX-File-Name: {path.name}\r\n\r\n".encode(), 1))
    return made


def measure(home: Path, workers: int, seconds: float) -> Iterator[Held]:
    """What the processes of the API hold, moment by moment.

    Parameters
    ----------
    home
        A home with champions and raw files.
    workers
        Processes.
    seconds
        How long each use case is asked.
    """
    with serving(home, home / "raw", workers) as (port, served, processes):
        yield held(f"ready, {len(served)} champions", processes)
        asked = {name: requests_of(home / "raw", name) for name in served}
        for requests in asked.values():
            ask(port, requests[:1], 2 * workers, 0.3)
        yield held("each use case asked once", processes)
        for requests in asked.values():
            ask(port, requests, CLIENTS, seconds)
        yield held(f"after {CLIENTS} connections", processes)
        for path in PAGES * 2 * workers:
            get(port, path)
        yield held("after pages", processes)
        time.sleep(IDLE)
        yield held("idle again", processes)


@contextmanager
def serving(home: Path, raw: Path, workers: int, *names: str) -> Iterator[tuple[int, list[str], list[psutil.Process]]]:
    """A server of a home: its port, the use cases that it answers, and the processes that do.

    Parameters
    ----------
    home, raw
        A home with champions, and its raw files.
    workers
        Processes.
    names
        The use cases to serve; all by default.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--port", str(port), "--workers", str(workers)]
    command = [sys.executable, "-m", "mlops_assets.cli", "serve", *names, *options]
    environment = {**os.environ, "MLOPS_HOME": str(home), "MLOPS_RAW": str(raw)}
    with TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            served = _served(port)
            yield port, served, _answering(psutil.Process(server.pid), workers)
        finally:
            server.terminate()
            server.wait(60)


def get(port: int, path: str) -> bytes:
    """What a server answers under a path; an error where that is not 200."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=300) as answer:
        content: bytes = answer.read()
        return content


def _served(port: int) -> list[str]:
    """The use cases that are answered, once the server is ready."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return [*json.loads(get(port, "ready"))["versions"]]
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def _answering(server: psutil.Process, workers: int) -> list[psutil.Process]:
    """The processes that answer: the largest, for what looks after them imports little."""
    every = [server, *server.children(recursive=True)]
    return sorted(every, key=lambda process: process.memory_info().rss)[-workers:]


def main() -> None:
    """Measure, print, and write the section of the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="A home with champions and raw files.")
    parser.add_argument("--seconds", type=float, default=5.0, help="For which each use case is asked.")
    given = parser.parse_args()
    found: list[Held] = []
    for workers in (1, 2):
        for one in measure(given.home.absolute(), workers, given.seconds):
            print(one, flush=True)
            found.append(one)
    lines = [[one.when, str(one.processes), str(one.resident), str(one.share)] for one in found]
    served = found[0].when.split()[1]
    about = ABOUT.format(served=served, clients=CLIENTS, seconds=given.seconds)
    table = markdown(("moment", "processes", "RSS, MiB", "PSS, MiB"), lines)
    put_section(NAME, f"## What a process of the API holds\n\n{about}\n\n{table}", PAGE)


if __name__ == "__main__":
    main()
