"""The Spark engine: shards on a real standalone cluster give what they give here, whatever dies in the middle."""

from __future__ import annotations

import datetime as dt
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

pytest.importorskip("pyspark")
if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
    pytest.skip("Spark needs Java", allow_module_level=True)

from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError

from mlops_assets.errors import ConfigError, ShardFailed
from mlops_assets.journey.enrich.day import enrich_day
from mlops_assets.journey.features.day import aggregate_day
from mlops_assets.journey.read.listing import list_day
from mlops_assets.journey.read.rows import read_day
from mlops_assets.journey.read.sources.folder import FolderSource
from mlops_assets.journey.score.day import Scorers, score_day
from mlops_assets.storage.catalog import Lake
from mlops_assets.tools.sampling import write_sample
from mlops_assets.work.engines.local import ONE_THREAD, LocalEngine
from mlops_assets.work.engines.spark import SparkEngine, _report
from mlops_assets.work.shards import Engine, Report, Watch
from mlops_assets_tests.helpers.day_driver import DAY, content, small_shards, train, version_of
from mlops_assets_tests.helpers.spark_cluster import QUICK, Cluster, end_java, executor_of, standalone
from mlops_assets_tests.helpers.spark_shards import (
    attempts,
    count_threads,
    die_on_two,
    fail_on_two,
    hold,
    hold_then,
    lose_the_disk,
    square,
    tell_umask,
)

TABLES = ("rows", "rejects", "features", "predictions", "profiles")


@pytest.fixture(scope="module", autouse=True)
def settings_of_spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Spark's own settings, as a person would make them: Java that starts with little work."""
    folder = tmp_path_factory.mktemp("conf")
    settings = {
        "spark.executor.extraJavaOptions": QUICK,
        "spark.task.maxFailures": "2",
        "spark.python.task.killTimeout": "200ms",
        "spark.python.unix.domain.socket.dir": str(folder),  # what is killed leaves its socket behind
    }
    (folder / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_CONF_DIR", str(folder))
        patch.setenv("SPARK_SUBMIT_OPTS", QUICK)
        patch.setenv("SPARK_LOCAL_DIRS", str(folder))
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        yield
    end_java()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A standalone cluster of two workers with a core each."""
    with standalone(tmp_path_factory.mktemp("cluster"), workers=2) as cluster:
        yield cluster


@pytest.fixture(scope="module", params=["local", "standalone"])
def engine(request: pytest.FixtureRequest) -> Iterator[SparkEngine]:
    """An engine in this process, and one on the cluster; pytest runs all tests of one before those of the other."""
    master = "local[2,2]" if request.param == "local" else request.getfixturevalue("cluster").master
    with SparkEngine(master, 2) as engine:
        yield engine


on_the_cluster = pytest.mark.parametrize("engine", ["standalone"], indirect=True)


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def spark_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "spark-job"]


# --- what cannot work is told at once


def test_pyspark_that_is_missing_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(ConfigError, match=r"pip install 'mlops-assets\[spark\]'"):
        list(SparkEngine("local[2]", 2).map(square, [1]))


@pytest.mark.parametrize("master", ["spark://127.0.0.1:{free}", "spark://127.0.0.1", "spark://127.0.0.1:{free},:"])
def test_a_master_that_does_not_answer_is_told_at_once(master: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"^No Spark master answers at spark://127.*correct MLOPS_SPARK_MASTER\.$"):
        list(SparkEngine(master.format(free=free), 2).map(square, [1]))
    assert time.monotonic() - began < 5


def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(ConfigError, match="Spark does not start on nonsense: Could not parse Master URL"):
        list(SparkEngine("nonsense", 2).map(square, [1]))


def test_yarn_without_a_word_where_it_is_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark would ask port 8032 of no address for ever."""
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=r"^MLOPS_SPARK_MASTER=yarn: HADOOP_CONF_DIR must name the folder"):
        list(SparkEngine("yarn", 2).map(square, [1]))


PYTHON = "Each machine of the cluster needs this Python and mlops-assets[spark] in this release; PYSPARK_PYTHON says"
STACK = """Job aborted: org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "worker.py", line 1, in main
    work()
{}
\tat org.apache.spark.Java(Java.scala:1)"""


@pytest.mark.parametrize(
    ("said", "reason", "advice"),
    [
        ("ModuleNotFoundError: No module named 'pydantic'", "No module named 'pydantic'", PYTHON),
        (
            "pyspark.errors.PySparkRuntimeError: [PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.12"
            " than that in driver.\nPlease check environment variables.\n",
            "Python in worker has different version: 3.12 than that in driver",
            PYTHON,
        ),
        (
            f"NotADirectoryError: [Errno 20] Not a directory: '/tmp/modules/{'0' * 64}.zip/own/prices.csv'",
            "own/prices.csv'",
            "ZIP file of .py files alone: what they need besides belongs into an installed package.",
        ),
        ("OSError: [Errno 5] Input/output error: '/lake'", "OSError: [Errno 5] Input/output error: '/lake'", ""),
    ],
    ids=["library", "python", "data file", "disk"],
)
def test_what_a_worker_lacks_is_told_with_what_to_do(said: str, reason: str, advice: str) -> None:
    with pytest.raises(ShardFailed) as error:
        _report(PySparkRuntimeError(STACK.format(said)))
    assert f"{reason}. Finished shards are kept: run again." in str(error.value)
    assert advice in str(error.value)
    assert "memory" not in str(error.value)


def test_java_that_is_missing_is_told_with_what_to_install(tmp_path: Path) -> None:
    work = "from mlops_assets.work.engines.spark import SparkEngine as E; list(E('local[2]', 2).map(print, [1]))"
    environment = os.environ | {"JAVA_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", work], env=environment, capture_output=True, text=True, check=False)
    said = done.stderr.splitlines()[-1]
    assert "ConfigError: Spark's Java process does not start: " in said
    assert "bin/java: No such file or directory. Spark 4 needs Java 17 or newer" in said


def test_no_shards_start_nothing() -> None:
    assert list(SparkEngine("nonsense", 2).map(square, [])) == []


# --- contexts come and go


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """What Ctrl-C did before; a Spark context changes it for good."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_session_that_the_process_had_is_used_and_stays(ctrl_c: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    settings = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.log.level": "OFF"}
    conf = SparkConf().setMaster("local[1]").setAppName("of the user").setAll(list(settings.items()))
    with SparkContext(conf=conf) as theirs:
        with SparkEngine("nonsense", 2) as engine:
            assert len(list(engine.map(square, range(3)))) == 3
        assert theirs.parallelize([1, 2]).sum() == 3


@pytest.mark.long
def test_when_java_dies_here_the_day_fails_and_the_next_one_works(tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    with SparkEngine("local[2]", 2) as engine:
        reports = engine.map(hold, [(shard, tmp_path) for shard in range(3)])
        next(reports)
        gateway = SparkContext._gateway
        assert gateway is not None
        gateway.proc.kill()
        with pytest.raises(ShardFailed, match=r"^Spark's Java process on this machine ended .* run again\.$"):
            list(reports)
        (tmp_path / "hold").unlink()
        assert len(list(engine.map(square, range(3)))) == 3
        SparkContext._gateway.proc.kill()
        SparkContext._gateway.proc.wait()
        assert len(list(engine.map(square, range(3)))) == 3


@pytest.mark.long
def test_a_cluster_without_room_is_told_in_the_end(tmp_path: Path) -> None:
    with standalone(tmp_path, workers=0) as cluster, SparkEngine(cluster.master, 2, patience=2) as engine:
        with pytest.raises(
            ShardFailed, match=f"^{cluster.master} had no room for us for 2 s. Look at the web page of the "
        ):
            list(engine.map(square, range(3)))
        assert spark_threads() == []


# --- shards


def test_shards_report_what_they_report_in_this_process(engine: SparkEngine) -> None:
    found = sorted(engine.map(square, range(9)), key=lambda report: report.shard)
    assert found == [square(task) for task in range(9)]


def test_reports_come_in_the_order_in_which_shards_finish(engine: SparkEngine, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    reports = engine.map(hold, [(shard, tmp_path) for shard in (1, 0)])
    assert next(reports).shard == 0
    (tmp_path / "hold").unlink()
    assert [report.shard for report in reports] == [1]


def test_libraries_have_one_thread_in_each_process(engine: SparkEngine) -> None:
    found = [report.counts for report in engine.map(count_threads, range(4))]
    assert found == [{**dict.fromkeys(ONE_THREAD, 1), "arrow": 1}] * 4


def test_shards_write_for_their_owner_alone(engine: SparkEngine) -> None:
    assert [report.counts for report in engine.map(tell_umask, range(2))] == [{"umask": 0o077}] * 2


def test_two_use_cases_at_once_share_a_session() -> None:
    """Each thread has a day of its own; the session is opened by one of them."""
    done: list[int] = []
    with SparkEngine("local[2]", 2) as engine:
        days = [threading.Thread(target=lambda: done.append(len([*engine.map(square, range(3))]))) for _ in range(2)]
        for day in days:
            day.start()
        for day in days:
            day.join()
    assert done == [3, 3]


def test_ctrl_c_is_left_as_it_was(engine: SparkEngine) -> None:
    before = signal.getsignal(signal.SIGINT)
    list(engine.map(square, [1]))
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_meant_for_people_comes_as_itself_after_one_attempt(engine: SparkEngine, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^defs\.yaml:3: wrong$"):
        list(engine.map(fail_on_two, [(shard, tmp_path) for shard in range(5)]))
    assert len(attempts(2, tmp_path)) == 1
    assert spark_threads() == []


@on_the_cluster
def test_another_error_is_tried_again_and_then_told_without_a_stack(engine: SparkEngine, tmp_path: Path) -> None:
    with pytest.raises(ShardFailed) as error:
        list(engine.map(lose_the_disk, [(0, tmp_path)]))
    told = "Spark gave a shard up: OSError: [Errno 5] Input/output error: '/lake'. Finished shards are kept: run again."
    assert str(error.value) == told
    assert len(attempts(0, tmp_path)) == 2  # as spark-defaults.conf says


@pytest.mark.parametrize("engine", ["local"], indirect=True)
def test_a_shard_that_kills_its_process_each_time_fails_with_advice(engine: SparkEngine, tmp_path: Path) -> None:
    with pytest.raises(ShardFailed) as error:
        list(engine.map(die_on_two, [(shard, tmp_path) for shard in range(3)]))
    assert str(error.value) == (
        "Spark gave a shard up: Python worker exited unexpectedly (crashed). Finished shards are kept: run again. If "
        "processes die for want of memory, give workers fewer cores, or set a smaller scale.files_a_shard."
    )
    assert len(attempts(2, tmp_path)) == 2
    assert len(list(engine.map(square, range(3)))) == 3


@on_the_cluster
def test_when_the_reader_stops_the_rest_is_not_done(engine: SparkEngine, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    reports = engine.map(hold, [(shard, tmp_path) for shard in range(9)])
    assert next(reports).shard == 0
    working = until(lambda: attempts(1, tmp_path))
    reports.close()  # type: ignore[attr-defined]
    assert spark_threads() == []
    until(lambda: not psutil.pid_exists(working[0]))  # Spark gives a shard a moment to end
    assert not (tmp_path / "hold").unlink()
    assert len(list(engine.map(square, range(3)))) == 3
    assert not any(attempts(shard, tmp_path) for shard in range(4, 9))


# --- whatever dies


@on_the_cluster
def test_a_shard_whose_process_dies_is_done_again(engine: SparkEngine, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    reports = engine.map(hold, [(shard, tmp_path) for shard in range(4)])
    next(reports)
    os.kill(until(lambda: attempts(1, tmp_path))[0], signal.SIGKILL)
    (tmp_path / "hold").unlink()
    assert {report.shard for report in reports} == {1, 2, 3}
    assert len(attempts(1, tmp_path)) == 2


@dataclass(frozen=True)
class Day:
    """A day of dirty files and a model for it, and what the local engine made of it."""

    home: Path
    lake: Path
    accounting: list[dict[str, Any]]

    def run(self, lake_folder: Path, engine: Engine, watch: Watch) -> list[dict[str, Any]]:
        """From raw files to predictions; the accounting of each step."""
        use_case = small_shards()
        lake = Lake(lake_folder, use_case.name)
        source = FolderSource(self.home / "raw" / use_case.name, use_case.files.suffix)
        version = version_of(self.home / "model", (self.home / "sha256").read_text())
        manifest = list_day(use_case, source, lake.table("raw_files"), DAY)
        read = read_day(use_case, source, lake, manifest, engine, watch)
        enrich_day(use_case, lake, "calendar", DAY)
        aggregated = aggregate_day(use_case, lake, DAY, engine, watch)
        scored = score_day(use_case, lake, DAY, Scorers(version), engine, watch, str(source.place(DAY)))
        assert not scored.problems
        return [
            {**done.accounting.to_json(), "shards": done.shards, "reused": done.reused}
            for done in (read, aggregated, scored)
        ]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    home = tmp_path_factory.mktemp("day")
    first = dt.date.fromisoformat(DAY)
    for _ in write_sample(small_shards(), home / "raw", first, files=40, rows=20, dirty=0.1, seed=1):
        pass
    train(home)
    with LocalEngine(1) as engine:
        accounting = Day(home, home / "lake", []).run(home / "lake", engine, lambda _: None)
    return Day(home, home / "lake", accounting)


def assert_same(day: Day, lake: Path, accounting: list[dict[str, Any]]) -> None:
    # a shard that was finished when its machine died is not done again: how many, is a matter of the moment
    assert [{**step, "reused": 0} for step in accounting] == day.accounting
    for table in TABLES:
        pd.testing.assert_frame_equal(content(lake, table), content(day.lake, table))
    published = [
        Lake(place, "transactions").table(name).days()[DAY].accounting for place in (lake, day.lake) for name in TABLES
    ]
    assert published[: len(TABLES)] == published[len(TABLES) :]


@on_the_cluster
def test_a_day_on_the_cluster_is_the_day_of_this_machine(engine: SparkEngine, day: Day, tmp_path: Path) -> None:
    reports: list[object] = []
    assert_same(day, tmp_path, day.run(tmp_path, engine, reports.append))
    assert len(reports) == 3 * day.accounting[0]["shards"] >= 3 * 4


@dataclass(frozen=True)
class Held:
    """An engine whose shards, but for one, wait while there is a file `hold`."""

    engine: SparkEngine
    folder: Path
    elsewhere = True

    def map(self, function: Callable[[Any], Report], tasks: Sequence[Any]) -> Iterator[Report]:
        return self.engine.map(hold_then, [(shard, self.folder, function, task) for shard, task in enumerate(tasks)])


@on_the_cluster
def test_a_day_in_which_an_executor_dies_is_the_same_day(engine: SparkEngine, day: Day, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    killed: list[psutil.Process] = []

    def kill(_: Report) -> None:
        if not killed:
            process = until(lambda: attempts(1, tmp_path))[0]
            killed.append(executor_of(process))
            killed[0].kill()
            (tmp_path / "hold").unlink()

    assert_same(day, tmp_path / "lake", day.run(tmp_path / "lake", Held(engine, tmp_path), kill))
    shards = day.accounting[0]["shards"]
    assert sum(len(attempts(shard, tmp_path)) for shard in range(shards)) > 3 * shards


@on_the_cluster
@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_a_day_in_which_anything_dies_at_any_moment_is_the_same_day(
    engine: SparkEngine, cluster: Cluster, day: Day, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)

    def processes() -> list[psutil.Process]:
        executors = [process for worker in cluster.workers for process in worker.children()]
        return executors + [process for executor in executors for process in executor.children(recursive=True)]

    def kill() -> None:
        time.sleep(chance.uniform(0, 1.0))
        with suppress(psutil.NoSuchProcess):  # one that was just about to end
            chance.choice(until(processes)).kill()

    list(engine.map(square, range(2)))  # so that the moment falls into the day
    killer = threading.Thread(target=kill)
    killer.start()
    accounting = day.run(tmp_path, engine, lambda _: None)
    killer.join()
    assert_same(day, tmp_path, accounting)
