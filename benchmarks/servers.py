"""Servers of models that are measured: what to install, how each is started, what its processes take."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.environments import python_with
from benchmarks.load import ask
from benchmarks.starts import ROOT

USE_CASE = "transactions"
PATIENCE = 180
"""Seconds for a server to answer for the first time."""


class NotMeasured(Exception):
    """A server cannot be measured; the message says why, for the page: details are in the terminal."""


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


MODEL = ("joblib==1.6.0", "numpy==2.4.6", "scikit-learn==1.9.1", "pyarrow==25.0.1")
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
        try:
            python = python_with(way.packages, folder / "venvs" / f"serving_{name}")
        except (OSError, subprocess.CalledProcessError) as error:
            raise NotMeasured("its packages could not be installed") from error
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
        """Wait until it answers.

        Raises
        ------
        NotMeasured
            It ended, or was not ready in time.
        """
        until = time.monotonic() + PATIENCE
        while not (load := ask(self.port, [request], 1, 0.1, patience=10)).good:
            if self.process.poll() is not None:
                raise NotMeasured("it ended before its first answer")
            if time.monotonic() > until:
                told = ", ".join(str(status or "nothing") for status in load.statuses)
                raise NotMeasured(f"it did not answer 200 within {PATIENCE} seconds, but: {told}")

    def said(self) -> str:
        """The end of what it wrote, for the terminal."""
        return self.log.read_text(errors="replace")[-3000:]

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
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
