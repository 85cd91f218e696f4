"""Spark on machines that share nothing but S3: what is published is to the bit what one machine publishes."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("pyspark")
if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
    pytest.skip("Spark needs Java", allow_module_level=True)

from mlops_assets.storage.places import S3Path
from mlops_assets.tools.sampling import write_sample
from mlops_assets_tests.helpers.cluster_driver import OWN
from mlops_assets_tests.helpers.day_driver import DAY, small_shards, train
from mlops_assets_tests.helpers.faulty import FaultyServer, faulty_server
from mlops_assets_tests.helpers.machines import TMP, Machine, machines, see_nothing_of
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.s3_server import Server, new_bucket
from mlops_assets_tests.helpers.spark_cluster import QUICK, Cluster, spread

pytestmark = pytest.mark.long
WORKERS = ("worker-1", "worker-2", "worker-3")


@dataclass
class Installation:
    """A cluster of machines, a driver, and a bucket that they all reach by a proxy."""

    home: Path
    bucket: S3Path
    s3: FaultyServer
    machines: Mapping[str, Machine]
    cluster: Cluster
    environment: dict[str, str] = field(repr=False)

    @contextmanager
    def driver(self, master: str, lake: str, **told: str) -> Iterator[subprocess.Popen[str]]:
        """A driver that runs the day."""
        model, sha256 = self.home / "model", (self.home / "sha256").read_text()
        command = [sys.executable, "-m", "mlops_assets_tests.helpers.cluster_driver", master]
        command += [str(self.bucket / lake), str(model), sha256]
        environment = self.environment | told
        command = self.machines["driver"].command(command)
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                with suppress(psutil.NoSuchProcess):  # it is done
                    for one in [*psutil.Process(process.pid).children(recursive=True), process]:
                        one.kill()

    def run(self, master: str, lake: str, **told: str) -> dict[str, Any]:
        """What a driver tells of the day."""
        with self.driver(master, lake, **told) as driver:
            return said(driver)

    def here(self, lake: str) -> dict[str, Any]:
        """The day by the local engine."""
        return self.run("here", lake)


def said(driver: subprocess.Popen[str]) -> dict[str, Any]:
    assert driver.stdout is not None
    lines = driver.stdout.read().splitlines()
    assert driver.wait() == 0, lines
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def the_same(day: Mapping[str, Any]) -> dict[str, Any]:
    """What must not depend on where shards were done."""
    return {name: day[name] for name in ("accounting", "published", "parts", "shards")}


@pytest.fixture(scope="module")
def installation(s3_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    home = tmp_path_factory.mktemp("home")
    assert str(home).startswith(TMP)  # which no worker sees
    for name, text in OWN.items():
        (home / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "own" / name).write_text(text)
    for _ in write_sample(
        small_shards(), home / "raw", dt.date.fromisoformat(DAY), files=120, rows=20, dirty=0.1, seed=1
    ):
        pass
    train(home)
    names = ("driver", *WORKERS)
    with (
        machines(names, dict.fromkeys(WORKERS, "64m")) as (address, found),
        faulty_server(s3_server.environment["S3_ENDPOINT_URL"], address) as s3,
        new_bucket(s3_server) as bucket,
    ):
        for path in (home / "raw").rglob("*.csv"):
            key = f"raw/{path.relative_to(home / 'raw').as_posix()}"
            s3_server.client().put_object(Bucket=bucket.bucket, Key=key, Body=path.read_bytes())
        shutil.rmtree(home / "raw")
        told = {**s3_server.environment, "S3_ENDPOINT_URL": s3.url}
        conf = home / "conf"
        conf.mkdir()
        settings = {"spark.executor.extraJavaOptions": QUICK, "spark.driver.bindAddress": found["driver"].address}
        (conf / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        of_the_driver = {
            "MLOPS_HOME": str(home),
            "MLOPS_RAW": str(bucket / "raw"),
            "PYTHONPATH": f"{ROOT}:{home / 'own'}",
            "SPARK_CONF_DIR": str(conf),
            "SPARK_LOCAL_DIRS": str(home),
            "SPARK_LOCAL_IP": found["driver"].address,
            "SPARK_SUBMIT_OPTS": QUICK,
        }
        with spread(home, found["driver"], [found[name] for name in WORKERS], told) as cluster:
            yield Installation(home, bucket, s3, found, cluster, os.environ | told | of_the_driver)


@pytest.fixture(scope="module")
def alone(installation: Installation) -> dict[str, Any]:
    """The day by one machine, in a lake of its own."""
    return the_same(installation.here("alone"))


def test_the_workers_have_no_folder_of_the_driver(installation: Installation) -> None:
    assert all(see_nothing_of(installation.machines[name], installation.home) for name in WORKERS)
    assert not see_nothing_of(installation.machines["driver"], installation.home)


def test_a_day_is_that_of_one_machine_and_a_local_run_afterwards_does_nothing(
    installation: Installation, alone: dict[str, Any]
) -> None:
    day = installation.run(installation.cluster.master, "spread")
    assert the_same(day) == alone
    assert day["reused"] == 0
    again = installation.here("spread")
    assert the_same(again) == alone
    assert again["reused"] == again["shards"]
    kept = [installation.machines[name].run("sh", "-c", f"ls {TMP}/mlops_assets-*/*") for name in WORKERS]
    assert all(".zip" in one and (installation.home / "sha256").read_text() in one for one in kept)


def test_a_day_in_which_an_executor_dies_is_the_same(installation: Installation, alone: dict[str, Any]) -> None:
    with installation.driver(installation.cluster.master, "executor") as driver:
        assert driver.stdout is not None
        driver.stdout.readline()
        executors = [one for worker in installation.cluster.workers for one in worker.children(recursive=True)]
        next(one for one in executors if "java" in one.name()).kill()
        assert the_same(said(driver)) == alone


def test_a_driver_that_is_killed_is_resumed_by_one_machine(installation: Installation, alone: dict[str, Any]) -> None:
    with installation.driver(installation.cluster.master, "driver") as driver:
        assert driver.stdout is not None
        begun = [driver.stdout.readline() for _ in range(15)]  # all of the first step, and some of the second
        driver.kill()
    assert all(begun)
    day = installation.here("driver")
    assert the_same(day) == alone
    assert day["reused"] >= len(begun)


def test_a_day_on_a_machine_whose_disk_is_full_is_the_same(installation: Installation, alone: dict[str, Any]) -> None:
    full = installation.machines["worker-3"]
    full.run("sh", "-c", f"rm -rf {TMP}/mlops_assets-*; cat /dev/zero > {TMP}/full 2>/dev/null || true")
    try:
        assert the_same(installation.run(installation.cluster.master, "full")) == alone
    finally:
        full.run("rm", f"{TMP}/full")


def test_a_day_in_which_s3_asks_for_fewer_requests_is_the_same(
    installation: Installation, alone: dict[str, Any]
) -> None:
    with installation.driver(installation.cluster.master, "slow") as driver:
        assert driver.stdout is not None
        driver.stdout.readline()
        installation.s3.fail((503, "SlowDown"), 100)
        assert the_same(said(driver)) == alone


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        ("S3_ENDPOINT_URL=", "it is not told of the server; the driver has S3_ENDPOINT_URL, which it lacks"),
        ("AWS_SECRET_ACCESS_KEY=wrong", "access is denied: these credentials must be allowed to list, read and write"),
    ],
    ids=["server", "secret"],
)
def test_a_worker_that_cannot_read_the_lake_is_named_with_what_it_lacks(
    installation: Installation, lacking: str, told: str
) -> None:
    defaults = installation.home / "conf" / "spark-defaults.conf"
    before = defaults.read_text()
    try:
        defaults.write_text(f"{before}spark.executorEnv.{lacking}\n")
        day = installation.run(installation.cluster.master, "untold")
    finally:
        defaults.write_text(before)
    assert "The worker on worker-" in day["error"]
    assert told in day["error"]


def test_a_worker_with_other_code_is_refused(installation: Installation, s3_server: Server) -> None:
    for name in WORKERS:
        copied = f"cp -r {ROOT}/mlops_assets {TMP}/ && echo 'OTHER = 1' >> {TMP}/mlops_assets/journey/read/rows.py"
        installation.machines[name].run("sh", "-c", copied)
    defaults = installation.home / "conf" / "spark-defaults.conf"
    before = defaults.read_text()
    try:
        defaults.write_text(f"{before}spark.executorEnv.PYTHONPATH {TMP}\n")
        day = installation.run(installation.cluster.master, "other")
    finally:
        defaults.write_text(before)
    assert "has other code (" in day["error"]
    assert "they differ in mlops_assets.journey.read.rows. Install the same release" in day["error"]
    listed = s3_server.client().list_objects_v2(Bucket=installation.bucket.bucket, Prefix="other/transactions/")
    assert {one["Key"].split("/")[2] for one in listed["Contents"]} == {"raw_files"}
