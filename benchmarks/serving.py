"""What an answer costs: the API on raw files, beside servers of models that are handed ready-made vectors.

`python -m benchmarks.serving` trains a champion, starts each server in turn, keeps it busy, and puts a section into
`docs/benchmarks.md`. The peers live in virtual environments of their own, each with its model as its guide says. A peer
is handed what ours computes: the vectors of the rows. It reads no file, checks no row, and computes no features.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks import machine
from benchmarks.environments import python_with
from benchmarks.load import ask, post
from benchmarks.sections import put_section
from benchmarks.starts import PAGE, ROOT
from benchmarks.tables import markdown, mib, short

USE_CASE = "transactions"
NAME = "serving"
CLIENTS = (1, 16, 64, 128)
FILES, ROWS = 200, 50
"""Different files that are asked for in turns, and rows of each."""
SECONDS = 20.0
PATIENCE = 180
"""Seconds for a server to answer for the first time."""

ABOUT = """\
`make bench-serving` writes this section. A request of ours is a raw CSV file of {rows} rows, {files} different ones in
turns; the answer has a prediction and a probability for each row. The peers are handed the vectors that ours computes
of these rows, ready-made, and answer from the same estimator (`{candidate}`). Each server is alone on the machine with
its client, which keeps 1 to 128 connections busy for {seconds:.0f} seconds, after a quarter of that to warm up. CPU is
that of all processes of the server, user and system, for each request that was answered 200; the last column counts all
others. Ratios say more than milliseconds where a machine does other work, too; what is said of waiting also holds what
the client itself takes of the same cores."""


@dataclass(frozen=True)
class Way:
    """A server: title, how it is started, what to install for it, and what it is asked.

    Attributes
    ----------
    title
        For people.
    command
        Behind its Python; `{folder}`, `{port}` and `{processes}` stand for what they are.
    path
        What is asked.
    packages
        What to install, with versions; nothing for ours.
    """

    title: str
    command: Sequence[str]
    path: str
    packages: Sequence[str] = ()


MODEL = ("joblib==1.5.3", "numpy==2.4.6", "scikit-learn==1.9.1", "pyarrow==25.0.1")
PEERS = str(ROOT / "benchmarks" / "peers" / "serving")
GIVEN = ("{folder}", "{port}", "{processes}")
BENTOML = ("-m", "bentoml", "serve", "by_bentoml:Classifier", "--working-dir", PEERS, "--host", "127.0.0.1")
WAYS = {
    "ours": Way(
        "mlops-assets, from the raw file",
        ("-m", "mlops_assets.cli", "serve", USE_CASE, "--port", "{port}", "--workers", "{processes}"),
        f"/v1/use-cases/{USE_CASE}/predictions",
    ),
    "fastapi": Way(
        "FastAPI 0.165.0",
        (f"{PEERS}/by_fastapi.py", *GIVEN),
        "/predict",
        ("fastapi==0.165.0", "uvicorn[standard]==0.54.0", *MODEL),
    ),
    "bentoml": Way("BentoML 1.4.40", (*BENTOML, "--port", "{port}"), "/predict", ("bentoml==1.4.40", *MODEL)),
    "mlserver": Way(
        "MLServer 1.7.1",
        (f"{PEERS}/by_mlserver.py", *GIVEN),
        "/v2/models/classifier/infer",
        ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", *MODEL),
    ),
    "litserve": Way("LitServe 0.2.19", (f"{PEERS}/by_litserve.py", *GIVEN), "/predict", ("litserve==0.2.19", *MODEL)),
    "mlflow": Way("MLflow 3.17.2", (f"{PEERS}/by_mlflow.py", *GIVEN), "/invocations", ("mlflow==3.17.2", *MODEL)),
}


@dataclass(frozen=True)
class Found:
    """What a server does under a load.

    Attributes
    ----------
    way, processes, clients
        Which server, in how many processes, asked by how many.
    good, other
        Requests that were answered 200, and in another way or not at all.
    cpu
        CPU seconds of the server.
    seconds
        How long the load lasted.
    middle, slowest
        Milliseconds within which 50 and 99 of 100 answers came.
    memory
        Bytes of all its processes.
    """

    way: str
    processes: int
    clients: int
    good: int
    other: int
    cpu: float
    seconds: float
    middle: float
    slowest: float
    memory: int

    @property
    def each(self) -> float:
        """CPU milliseconds a request that was answered."""
        return self.cpu / self.good * 1000 if self.good else float("nan")


def bodies(way: str, files: Sequence[bytes], vectors: np.ndarray) -> list[bytes]:
    """What a server is asked, as whole requests: `vectors` has the rows of each file behind another."""
    if way == "ours":
        return [post(WAYS[way].path, data, "text/csv") for data in files]
    made = []
    for one in vectors:
        matrix, shape = one.tolist(), [*one.shape]
        tensor = {"name": "x", "shape": shape, "datatype": "FP64", "data": one.ravel().tolist()}
        content: dict[str, object] = {
            "mlserver": {"inputs": [tensor], "outputs": [{"name": "predict_proba"}]},
            "mlflow": {"inputs": matrix},
        }.get(way, {"vectors": matrix})
        made.append(post(WAYS[way].path, json.dumps(content).encode(), "application/json"))
    return made


class _Seen:
    """Keeps what the model sees of a file."""

    def __init__(self) -> None:
        self.matrices: list[np.ndarray] = []

    def see(self, _: object, matrix: np.ndarray, *__: object) -> None:
        """Take note of a batch."""
        # a peer's JSON has no NaN
        self.matrices.append(np.nan_to_num(matrix))


def hand_out(home: Path, folder: Path, files: int = FILES) -> dict[str, object]:
    """Write the files that are asked for, their vectors, and the estimator of the champion.

    Parameters
    ----------
    home
        A home whose use case has a champion.
    folder
        Where they are put.
    files
        How many.

    Returns
    -------
    dict
        What the page says of them.
    """
    import joblib

    from mlops_assets.journey.read.readers import open_reader
    from mlops_assets.journey.read.rows import check_rows
    from mlops_assets.journey.score.predict import predict
    from mlops_assets.tools.sampling import write_sample
    from mlops_assets.workspace import Workspace

    os.environ["MLOPS_HOME"] = str(home)
    stores = Workspace.from_environment().find(USE_CASE)
    use_case, champion = stores.use_case, stores.champion()
    if champion is None:
        raise SystemExit(f"{USE_CASE} has no champion there; train one first: mlops-assets demo")
    model = stores.registry.prove(champion).serving()
    day = dt.date(2026, 1, 31)
    # twice the rows and more files than are wanted, so that there are enough with as many rows as are asked for
    list(write_sample(use_case, folder / "raw", day, 2 * files, 2 * ROWS, 0.0, 11, labelled=False))
    lines = [path.read_bytes().splitlines(keepends=True) for path in sorted((folder / "raw").rglob("*.csv"))]
    data = [b"".join(file[: ROWS + 1]) for file in lines if len(file) > ROWS][:files]
    seen = _Seen()
    for one in data:
        pack = open_reader(use_case, lambda *_: b"").read([one], ["file.csv"])
        rows, refused = check_rows(use_case, ["file.csv"], pack)
        assert not refused, refused
        predict([model], rows.combine_chunks(), day.isoformat(), use_case, witnesses=lambda *_: (seen,))
    np.savez(folder / "asked.npz", vectors=np.stack(seen.matrices), files=np.array(data, object))
    joblib.dump(model.estimator, folder / "model.joblib")
    return {"rows": ROWS, "files": len(data), "candidate": champion.about.candidate}


class Server:
    """A server that runs, and what its processes take.

    Parameters
    ----------
    name, processes
        Which one of `WAYS`, and in how many processes.
    folder, home
        The work folder, and the home of the champion.
    """

    def __init__(self, name: str, processes: int, folder: Path, home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        way = WAYS[name]
        python = python_with(way.packages, folder / "venvs" / f"serving_{name}")
        known = {"folder": str(folder), "port": str(self.port), "processes": str(processes)}
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        told = {"BENCH_FOLDER": str(folder), "BENCH_PROCESSES": str(processes), "MLOPS_HOME": str(home)}
        quiet = {"DO_NOT_TRACK": "1", "BENTOML_DO_NOT_TRACK": "True", "MLFLOW_DISABLE_TELEMETRY": "true"}
        # the peers' models have encoders of ours
        paths = {"PYTHONPATH": f"{ROOT}:{PEERS}" if way.packages else ""}
        self.log = folder / f"serving_{name}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(python), *(part.format(**known) for part in way.command)],
                env={**os.environ, **threads, **told, **quiet, **paths},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, request: bytes) -> None:
        """Wait until it answers."""
        until = time.monotonic() + PATIENCE
        while not ask(self.port, [request], 1, 0.1).good:
            if self.process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"no answer: {self.log.read_text(errors='replace')[-3000:]}")

    def _tree(self) -> list[psutil.Process]:
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def cpu(self) -> float:
        """CPU seconds of all its processes so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self._tree())

    def memory(self) -> int:
        """Bytes of all its processes; what they share counts once."""
        return sum(process.memory_full_info().pss for process in self._tree())

    def end(self) -> None:
        """End it, whatever it does."""
        os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def measure(
    name: str, processes: int, folder: Path, home: Path, clients: Sequence[int] = CLIENTS, seconds: float = SECONDS
) -> Iterator[Found]:
    """What a server does, asked by more and more clients.

    Parameters
    ----------
    name, processes
        Which one of `WAYS`, and in how many processes.
    folder, home
        The work folder with what `hand_out` wrote, and the home of the champion.
    clients
        How many of them, one load each.
    seconds
        For how long each load lasts.
    """
    with np.load(folder / "asked.npz", allow_pickle=True) as asked:
        requests = bodies(name, asked["files"].tolist(), asked["vectors"])
    server = Server(name, processes, folder, home)
    try:
        server.wait(requests[0])
        for number in clients:
            ask(server.port, requests, number, seconds / 4)
            before = server.cpu()
            load = ask(server.port, requests, number, seconds)
            cpu, other = server.cpu() - before, load.statuses.total() - load.good
            waits = load.percentile(50), load.percentile(99)
            yield Found(name, processes, number, load.good, other, cpu, load.seconds, *waits, server.memory())
    finally:
        server.end()


def section(found: Sequence[Found], about: Mapping[str, object]) -> str:
    """The section of the page: CPU by clients, and everything that was measured."""
    numbers = sorted({one.clients for one in found})
    cells = {(one.way, one.processes, one.clients): one for one in found}
    servers = list(dict.fromkeys((one.way, one.processes) for one in found))
    short_lines = [
        [
            _title(*server),
            *(short(cells[*server, number].each) if (*server, number) in cells else "" for number in numbers),
        ]
        for server in servers
    ]
    head = ("CPU ms a request", *(f"{number} client{'s' * (number > 1)}" for number in numbers))
    all_head = ("server", "clients", "CPU ms", "requests/s", "50 % within ms", "99 % within ms", "MiB", "not 200")
    all_lines = [
        [
            _title(one.way, one.processes),
            str(one.clients),
            short(one.each),
            f"{one.good / one.seconds:,.0f}",
            f"{one.middle:.1f}",
            f"{one.slowest:.1f}",
            mib(one.memory),
            str(one.other),
        ]
        for one in found
    ]
    tables = f"{markdown(head, short_lines)}\n\n{markdown(all_head, all_lines)}"
    return f"## What an answer costs\n\n{ABOUT.format(**about)}\n\n{tables}"


def _title(way: str, processes: int) -> str:
    return WAYS[way].title + (f", {processes} processes" if processes > 1 else "")


def main() -> None:
    """Measure, print, and write the section of the page."""
    from benchmarks.champion import train
    from mlops_assets.settings import OWN_USE_CASES
    from mlops_assets.use_case import find_use_case

    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / ".mlops" / "bench", help="Work folder.")
    parser.add_argument("--home", type=Path, help="A home with a champion; one is trained by default.")
    parser.add_argument("--only", default=",".join(WAYS), help="Some of the servers; the page then stays as it is.")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="Of each load.")
    given = parser.parse_args()
    folder = given.folder.absolute() / "serving"
    folder.mkdir(parents=True, exist_ok=True)
    home = given.home
    if home is None:
        use_case = find_use_case((OWN_USE_CASES,), USE_CASE)
        home = train(use_case, given.folder.absolute(), dt.date(2026, 1, 31), days=3, files=200).home
    about = {**hand_out(home, folder), "seconds": given.seconds}
    found = []
    for name in given.only.split(","):
        for processes in (1, 2) if name == "ours" else (1,):
            for one in measure(name, processes, folder, home, seconds=given.seconds):
                print(f"{json.dumps(asdict(one))} {one.each:.2f} ms", flush=True)
                found.append(one)
    if given.only == parser.get_default("only"):
        cores = machine.describe([0])["processor"]
        put_section(NAME, f"{section(found, about)}\n\nOn {os.cpu_count()} cores of {cores}.", PAGE)


if __name__ == "__main__":
    main()
