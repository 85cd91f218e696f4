"""A standalone Spark cluster on loopback, from pip's pyspark: a master, and workers of one core each."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import psutil
import pyspark

from mlops_assets_tests.helpers.machines import TMP, Machine
from mlops_assets_tests.helpers.paths import ROOT

QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Java that starts with little work, and has little to do."""

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Cluster:
    """Address of the master, the processes of the workers, and the folders in which executors have their logs."""

    master: str
    workers: list[psutil.Process]
    places: Sequence[Path] = ()


@contextmanager
def standalone(folder: Path, workers: int) -> Iterator[Cluster]:
    """A cluster that ends with the context; its logs lie in `folder`."""
    with ExitStack() as stack:
        master = stack.enter_context(_daemon(folder / "master", "master.Master", "--host", "127.0.0.1", "--port", "0"))
        address = wait_for(folder / "master" / "log", r"Starting Spark master at (spark://\S+)", master)
        places = [folder / f"worker-{number}" for number in range(workers)]
        started = []
        for place in places:
            arguments = ("--host", "127.0.0.1", "-c", "1", "-m", "1g", "-d", str(place / "work"), address)
            started.append(stack.enter_context(_daemon(place, "worker.Worker", *arguments)))
        for place, process in zip(places, started, strict=True):
            wait_for(place / "log", r"(Successfully registered) with master", process)
        yield Cluster(address, [psutil.Process(process.pid) for process in started], places)


@contextmanager
def spread(folder: Path, driver: Machine, workers: Sequence[Machine], told: Mapping[str, str]) -> Iterator[Cluster]:
    """A cluster whose master is on the machine of the driver, and whose workers have one each; its logs lie here."""
    with ExitStack() as stack:
        arguments = ("--host", driver.address, "--port", "0")
        master = stack.enter_context(_daemon(folder / "master", "master.Master", *arguments, machine=driver, told=told))
        address = wait_for(folder / "master" / "log", r"Starting Spark master at (spark://\S+)", master)
        started = []
        for one in workers:
            arguments = ("--host", one.address, "-c", "1", "-m", "1g", "-d", f"{TMP}/work", address)
            daemon = _daemon(folder / one.name, "worker.Worker", *arguments, machine=one, told=told)
            started.append(stack.enter_context(daemon))
        for one, process in zip(workers, started, strict=True):
            wait_for(folder / one.name / "log", r"(Successfully registered) with master", process)
        yield Cluster(address, [psutil.Process(process.pid) for process in started])


@contextmanager
def _daemon(
    folder: Path, name: str, *arguments: str, machine: Machine | None = None, told: Mapping[str, str] = NOTHING
) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir()
    own = TMP if machine else str(folder)
    environment = os.environ | {
        "SPARK_LOCAL_DIRS": own,
        "SPARK_CONF_DIR": own,
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": QUICK,
        "PYTHONPATH": str(ROOT),
        "PYSPARK_PYTHON": sys.executable,
        **({"SPARK_LOCAL_IP": machine.address} if machine else {}),
        **told,
    }
    spark_class = str(Path(pyspark.__file__).parent / "bin" / "spark-class")
    command = [spark_class, f"org.apache.spark.deploy.{name}", "--webui-port", "0", *arguments]
    command = machine.command(command) if machine else command
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        yield process
    finally:
        started = [process, *psutil.Process(process.pid).children(recursive=True)]
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:  # a busy Java process can take its time to leave
            process.kill()
            process.wait(10)
        for child in psutil.wait_procs(started[1:], 10)[1]:
            child.kill()


def wait_for(log: Path, pattern: str, process: subprocess.Popen[bytes]) -> str:
    """The first group of a pattern, once a process has written it."""
    deadline = time.monotonic() + 240  # a machine that is busy takes its time
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(pattern, log.read_text(errors="replace")):
            return found.group(1)
        time.sleep(0.05)
    raise AssertionError(log.read_text(errors="replace"))


def executor_of(process: int) -> psutil.Process:
    """The Java process that the Python process of a shard belongs to."""
    return next(parent for parent in psutil.Process(process).parents() if "java" in parent.name())


def executors(cluster: Cluster) -> set[Path]:
    """The logs of all executors that there were: whoever started one had shards done there."""
    return {log for place in cluster.places for log in place.glob("work/app-*/*/stderr")}


def end_java() -> None:
    """End the Java process of this one, if there is one."""
    gateway = pyspark.SparkContext._gateway
    if gateway is not None:
        pyspark.SparkContext._gateway = pyspark.SparkContext._jvm = None
        gateway.shutdown()
        gateway.proc.communicate()  # it ends when its input does
