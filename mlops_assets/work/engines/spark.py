"""Shards on an Apache Spark cluster: the same functions, each shard a task; Spark repeats what its machines lose."""

from __future__ import annotations

import gc
import os
import pickle
import re
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from queue import Empty, SimpleQueue
from tempfile import TemporaryFile
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from mlops_assets.errors import ConfigError, MlopsError, ShardFailed
from mlops_assets.storage.modes import keep_private
from mlops_assets.work.engines.contact import PAGE, Contact
from mlops_assets.work.engines.local import ONE_THREAD, _environment
from mlops_assets.work.shards import Needs, Report

if TYPE_CHECKING:
    from pyspark import SparkConf, SparkContext

Task = TypeVar("Task")

AGAIN = "Finished shards are kept: run again"

_opening = threading.Lock()
"""A process has one session: two use cases that want it at once open it once."""


class SparkEngine:
    """Runs shards on a Spark cluster; the session is opened by the first `map` and closed with the engine.

    A session that the process already has is used as it is and stays open. Otherwise `spark-defaults.conf`, in the
    folder that `SPARK_CONF_DIR` names, may set what this module gives only a default; see `_settings`.

    Parameters
    ----------
    master
        Address of the cluster, such as `spark://host:7077`, or `local[2]`.
    workers
        Number of shards in work at once, each on a core, that a standalone cluster is asked for.
    patience
        Seconds to wait for a cluster that has no room for us, at the start or in the middle.
    """

    elsewhere = True

    def __init__(self, master: str, workers: int, patience: float = 120) -> None:
        self._master = master
        self._workers = workers
        self._patience = patience
        self._own: SparkContext | None = None

    def __enter__(self) -> SparkEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def start(self) -> None:
        """Nothing: a session holds machines of others, so it is opened when there is work."""

    def map(self, function: Callable[[Task], Report], tasks: Sequence[Task]) -> Iterator[Report]:
        """Reports in the order in which the shards finish.

        Where Spark takes a machine for lost that is not, a shard runs twice, even at the same time. Each run writes
        files under names of its own and renames them, when whole, to the same names: a reader sees the one or the
        other, and their rows are the same.

        Raises
        ------
        ConfigError
            If Spark cannot be started or reached.
        ShardFailed
            If Spark tried a shard as often as `spark.task.maxFailures` says, or has no room for it; what other
            shards finished is kept. An error that is meant for people comes as itself and is not tried again.
        """
        if not tasks:
            return
        context = self._open()
        from py4j.protocol import Py4JError  # type: ignore[import-untyped]

        try:
            yield from self._run(context, function, tasks)
        except (OSError, Py4JError) as error:  # those of shards come as ShardFailed: this is our line to Java
            self._close(died=True)
            raise ShardFailed(
                f"Spark's Java process on this machine ended ({error}); the kernel may have ended it for want of "
                f"memory. {AGAIN}."
            ) from None

    def _run(
        self, context: SparkContext, function: Callable[[Task], Report], tasks: Sequence[Task]
    ) -> Iterator[Report]:
        """Have one Spark job do all shards, and hand on what its tasks add to an accumulator.

        What a task adds arrives as it ends, and in an action Spark counts it once, however often the task ran.
        """
        inbox = _Inbox()
        # made here, where a mistake is told at once
        needs: Needs | None = getattr(tasks[0], "needs", None)
        contact = Contact.of(needs) if needs else None
        step = _Partition(pickle.dumps(function), contact, context.accumulator([], inbox))
        # a partition a shard: Spark repeats what a lost machine had, and no more
        shards = context.parallelize(tasks, len(tasks))
        group = uuid.uuid4().hex

        def work() -> None:
            try:
                context.setJobGroup(group, f"{len(tasks)} shards", interruptOnCancel=True)
                shards.foreachPartition(step)
                inbox.queue.put(ShardFailed(f"Spark lost the report of a shard. {AGAIN}."))  # read only if one is due
            except BaseException as error:
                inbox.queue.put(error)

        job = threading.Thread(target=work, name="spark-job", daemon=True)
        job.start()
        try:
            for _ in tasks:
                yield _report(self._next(context, inbox.queue))
        finally:
            while job.is_alive():  # the caller gave up; a job that is about to begin does not hear the first call
                context.cancelJobGroup(group)
                job.join(0.2)

    def _next(self, context: SparkContext, queue: SimpleQueue[Report | BaseException]) -> Report | BaseException:
        """Wait for a shard as long as the cluster has room for one."""
        seen = time.monotonic()
        while time.monotonic() - seen < self._patience:
            try:
                return queue.get(timeout=1)
            except Empty:
                # the driver is in this list too; on `local` there is nobody else
                if context.master.startswith("local") or context._jsc.sc().getExecutorMemoryStatus().size() > 1:
                    seen = time.monotonic()
        return ShardFailed(
            f"{context.master} had no room for us for {self._patience:g} s. Look at the web page of the master: its "
            "workers must be alive, with a free core and spark.executor.memory (512m unless set) free on one of them. "
            f"{AGAIN}."
        )

    def _open(self) -> SparkContext:
        try:
            from pyspark import SparkContext
        except ImportError:
            raise ConfigError("The engine spark needs pyspark: pip install 'mlops-assets[spark]'.") from None
        with _opening:
            if self._own is not None and (_ended(self._own) or self._own._jsc.sc().isStopped()):
                self._close()  # the cluster ended it; the next day may do better
            if SparkContext._active_spark_context is not None:
                return SparkContext._active_spark_context
            _probe(self._master)
            # tasks on this machine run this Python and its libraries, not the first one on the PATH
            defaults = {"PYSPARK_PYTHON": sys.executable, "SPARK_DRIVER_MEMORY": "512m"}
            with _environment({name: os.environ.get(name, value) for name, value in defaults.items()}):
                self._own = _start(self._master, self._workers)
            return self._own

    def _close(self, died: bool = False) -> None:
        own, self._own = self._own, None
        if own is None:
            return
        if died or _ended(own):
            process = own._gateway.proc
            own._jsc = None  # nobody is left to be told; the next context gets a new Java process
            type(own)._gateway = type(own)._jvm = None
            if process is not None:
                process.communicate()
        own.stop()


def _ended(context: SparkContext) -> bool:
    """Whether the Java process on this machine is gone."""
    process = context._gateway.proc
    return process is not None and process.poll() is not None


class _Inbox:
    """How an accumulator adds reports up: here they also go into a queue as they come."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[Report | BaseException] = SimpleQueue()

    def __reduce__(self) -> tuple[type[_Inbox], tuple[()]]:
        return _Inbox, ()  # a worker's copy has a queue of its own, which nobody reads

    def zero(self, _: list[Report | BaseException]) -> list[Report | BaseException]:
        return []

    def addInPlace(  # noqa: N802 - Spark's name
        self, kept: list[Report | BaseException], new: list[Report | BaseException]
    ) -> list[Report | BaseException]:
        for outcome in new:
            self.queue.put(outcome)
        kept += new
        return kept


class _Partition:
    """A function of shards as Spark runs it: an error meant for people comes back as a value, so is not tried again.

    Neither the function nor a task is unpacked before the contact is settled: a machine may have other modules.
    """

    def __init__(self, function: bytes, contact: Contact | None, reports: Any) -> None:
        self._function = function
        self._contact = contact
        self._reports = reports

    def __call__(self, tasks: Iterator[Any]) -> None:
        import pyarrow as pa

        keep_private()  # the umask of a cluster's machines is their own
        # Spark gives a task one core
        pa.set_cpu_count(1)
        try:
            if self._contact is not None:
                self._contact.settle()
            function: Callable[[Any], Report] = pickle.loads(self._function)
            for task in tasks:
                self._reports.add([function(task)])
                _spare(function)
        except MlopsError as error:
            self._reports.add([error])


@cache
def _spare(function: Callable[[Any], Report]) -> None:  # noqa: ARG001 - once for each: each loads libraries of its own
    """Keep the libraries out of the garbage collection that Spark has after every task: it takes half of 40 ms."""
    gc.collect()
    gc.freeze()


def _report(outcome: Report | BaseException) -> Report:
    if isinstance(outcome, Report):
        return outcome
    if hasattr(outcome, "java_exception") or type(outcome).__module__.startswith("pyspark."):
        reason = _reason(outcome)
        raise ShardFailed(f"Spark gave a shard up: {reason}. {AGAIN}.{_advice(reason)}")
    raise outcome


def _reason(error: BaseException) -> str:
    """What Spark says, without its stacks: the error at the end of a worker's traceback, or Java's message."""
    text = str(getattr(error, "java_exception", error))
    text = re.split(r"\n\s+at |\nDriver stacktrace:|\s+SQLSTATE: |\. Consider setting ", text)[0].strip()
    after_stack = re.split(r"\n {2}.*\n(?! )", text)
    line = after_stack[-1].splitlines()[0] if after_stack[1:] else text.splitlines()[-1]
    return re.sub(r"^[\w.]+: \[[A-Z_]+\] ", "", line.rpartition("Exception: ")[2]).rstrip(".")


def _cause(error: Any) -> str:
    """What Java says of why something does not start: its first cause tells most."""
    java = error.java_exception
    while java.getCause() is not None:
        java = java.getCause()
    return _reason(Exception(java.toString()))


def _advice(reason: str) -> str:
    """What helps against a reason, as a sentence; empty where nobody knows."""
    if re.search("No module named|Cannot run program|different version|pyspark.daemon", reason):
        return (
            " Each machine of the cluster needs this Python and mlops-assets[spark] in this release; PYSPARK_PYTHON "
            f"says where it lies on the workers ({PAGE})."
        )
    if re.search(r"modules/\w{64}\.zip", reason):
        return (
            " The use case's own modules reach workers as a ZIP file of .py files alone: what they need besides "
            "belongs into an installed package."
        )
    if re.search("exited unexpectedly|ExecutorLost|xit(ed|ing).* code|heartbeat", reason):
        return " If processes die for want of memory, give workers fewer cores, or set a smaller scale.files_a_shard."
    return ""


def _start(master: str, workers: int) -> SparkContext:
    """Open a context, in silence and with Ctrl-C left as it was."""
    from py4j.protocol import Py4JJavaError
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkRuntimeError
    from pyspark.java_gateway import launch_gateway

    if SparkContext._gateway is None:  # a Java process serves this one to its end, also when contexts come and go
        with TemporaryFile() as log:
            try:
                gateway = launch_gateway(popen_kwargs={"stdout": log, "stderr": log})
            except PySparkRuntimeError:
                log.seek(0)
                lines = log.read().decode(errors="replace").splitlines()
                reason = next((line for line in lines if line and not line.startswith("WARNING")), "it says nothing")
                raise ConfigError(
                    f"Spark's Java process does not start: {reason}. Spark 4 needs Java 17 or newer: install it, for "
                    "example openjdk-17-jre-headless, or name its folder in JAVA_HOME."
                ) from None
        SparkContext._ensure_initialized(gateway=gateway)
    before = signal.getsignal(signal.SIGINT)
    try:
        context = SparkContext(conf=_settings(SparkConf(), master, workers))
    except Py4JJavaError as error:
        raise ConfigError(
            f"Spark does not start on {master}: {_cause(error)}. Look at MLOPS_SPARK_MASTER and spark-defaults.conf."
        ) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)  # Spark's handler would outlive the context
    # its stacks would bury our one line; what failed comes as an error
    context.setLogLevel("OFF")
    return context


def _settings(conf: SparkConf, master: str, workers: int) -> SparkConf:
    """What must be, and defaults for what nobody has set: work is done in Python, so Java gets little memory."""
    conf.setMaster(master).setAppName("mlops_assets")
    conf.set("spark.ui.showConsoleProgress", "false")
    conf.set("spark.speculation", "false")  # a slow shard would be done twice, on machines that are busy
    defaults = {"spark.ui.enabled": "false", "spark.executor.memory": "512m", "spark.cores.max": str(workers)}
    # TCP between Java and Python waits for acknowledgements: 50 ms a shard instead of 25
    defaults["spark.python.unix.domain.socket.enabled"] = "true"
    defaults |= {f"spark.executorEnv.{name}": value for name, value in ONE_THREAD.items()}
    if re.match(r"local\b|spark://(127\.|localhost\b)", master):
        defaults |= dict.fromkeys(("spark.driver.host", "spark.driver.bindAddress"), "127.0.0.1")
    for name, value in defaults.items():
        conf.setIfMissing(name, value)
    return conf


def _probe(master: str) -> None:
    """Refuse a master that cannot be reached; Spark would try for a minute or for ever, and then say less."""
    if master == "yarn" and not ({"HADOOP_CONF_DIR", "YARN_CONF_DIR"} & os.environ.keys()):
        raise ConfigError("MLOPS_SPARK_MASTER=yarn: HADOOP_CONF_DIR must name the folder that says where YARN is.")
    if not master.startswith("spark://"):
        return
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except (OSError, ValueError) as error:
            why = error
        else:
            return
    raise ConfigError(f"No Spark master answers at {master} ({why}): start it, or correct MLOPS_SPARK_MASTER.")
