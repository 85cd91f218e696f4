"""What we use of Dagster that it may change without notice: all of it is imported here, and each says what for.

A new version of Dagster that breaks us breaks here. Ruff's TID251 keeps other modules from such imports.
"""

from traceback import TracebackException

from dagster import Failure

# A result of a check that is told of a day by itself says which materialisation it looked at.
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as LookedAt,
)

# A step of many days tells each day by an event of its own, with the fingerprint of its data under this tag.
from dagster._core.definitions.data_version import DATA_VERSION_TAG

# The executor whose runs are seen by a file is the in-process one otherwise, with its configuration.
from dagster._core.definitions.executor_definition import IN_PROC_CONFIG

# What `execute_in_process` does, for a run that belongs to a code location: the job as it is, the run, where the job is
# found again, and the name that Dagster gives to the definitions of one.
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME

# The other half of that: this key marks what the step returns at its end as no
# further materialisation: without it, the last day would be shown as made twice.
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

# A launcher that notices lost processes is a subclass of the default one, and answers run monitoring in its terms.
# And what a step raises that failed is wrapped into one of Dagster's, which adds nothing that people can use.
from dagster._core.errors import DagsterExecutionStepExecutionError, DagsterUserCodeUnreachableError

# An event of a run that speaks of no asset: a range tells each shard that it has done by one.
from dagster._core.events import EngineEventData
from dagster._core.execution.api import execute_run
from dagster._core.executor.in_process import InProcessExecutor

# `DagsterInstance` has no public way to be opened on a home with some settings overruled, here where output goes.
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

# The queue from which the daemon takes runs: only it takes a run that another run asks for, without a workspace.
from dagster._core.run_coordinator import QueuedRunCoordinator

# The event log of a home without a database, whose connections are kept.
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    SQLITE_BUSY_TIMEOUT_SECONDS,
    SqliteEventLogStorage,
)
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

# Tags that Dagster gives to runs: which days they work on, why they were asked for, whether they are tried again.
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    BACKFILL_ID_TAG,
    GRPC_INFO_TAG,
    MAX_RETRIES_TAG,
    PARTITION_NAME_TAG,
    PRIORITY_TAG,
    RETRY_ON_ASSET_OR_OP_FAILURE_TAG,
    RUN_KEY_TAG,
    WILL_RETRY_TAG,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import ConfigurableClassData, deserialize_value

# What a step failed with, as the events of its run have it. What Dagster stores and shows of an error, in whatever
# process it came up, is made by one method of this class.
from dagster_shared.error import SerializableErrorInfo
from dagster_shared.record import copy

from mlops_assets.errors import MlopsError
from mlops_assets.errors.redaction import redact_logs, redacted

NO_COMPUTE_LOGS = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
"""The manager of compute logs that keeps none: a process a step would copy the output, and be torn down at Ctrl-C."""

__all__ = [
    "ASSET_PARTITION_RANGE_END_TAG",
    "ASSET_PARTITION_RANGE_START_TAG",
    "BACKFILL_ID_TAG",
    "DATA_VERSION_TAG",
    "GRPC_INFO_TAG",
    "IN_PROC_CONFIG",
    "MAX_RETRIES_TAG",
    "NO_COMPUTE_LOGS",
    "PARTITION_NAME_TAG",
    "PRIORITY_TAG",
    "RETRY_ON_ASSET_OR_OP_FAILURE_TAG",
    "RUN_KEY_TAG",
    "SINGLETON_REPOSITORY_NAME",
    "SQLITE_BUSY_TIMEOUT_SECONDS",
    "SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION",
    "WILL_RETRY_TAG",
    "CanCancelExecutionRequest",
    "CanCancelExecutionResult",
    "CheckRunHealthResult",
    "ConfigurableClassData",
    "DagsterSqliteStorage",
    "DagsterUserCodeUnreachableError",
    "DefaultRunLauncher",
    "EngineEventData",
    "InMemoryJob",
    "InProcessExecutor",
    "InstanceRef",
    "LoadableTargetOrigin",
    "LookedAt",
    "ManagedGrpcPythonEnvCodeLocationOrigin",
    "QueuedRunCoordinator",
    "RemoteJobOrigin",
    "RemoteRepositoryOrigin",
    "SerializableErrorInfo",
    "SqliteEventLogStorage",
    "WorkerStatus",
    "copy",
    "deserialize_value",
    "execute_run",
]


def _is_for_people(trace: TracebackException | None) -> bool:
    """Whether an error, or what Dagster raised it from, says all that a person needs: then no line of code helps."""
    if trace is None or trace.exc_type is None:
        return False
    if issubclass(trace.exc_type, MlopsError | Failure):
        return True
    return trace.exc_type is DagsterExecutionStepExecutionError and _is_for_people(trace.__cause__)


def _hide_secrets() -> None:
    """Let Dagster store and show no secret of the environment with an error, and no code with one for people.

    It takes the texts of an exception and of all that led to it. Most are ours and hold none; but a library may put the
    address that it asked into its own, and nobody would see it before it lies in the event log.
    """
    make = SerializableErrorInfo.from_traceback.__func__  # type: ignore[attr-defined]
    if getattr(make, "redacts", False):
        return

    def from_traceback(cls: type[SerializableErrorInfo], trace: TracebackException) -> SerializableErrorInfo:
        made: SerializableErrorInfo = make(cls, trace)  # which asks this method again for what led to the error
        if _is_for_people(trace):
            return made._replace(message=redacted(made.message), stack=[])
        return made._replace(message=redacted(made.message), stack=[redacted(frame) for frame in made.stack])

    from_traceback.redacts = True  # type: ignore[attr-defined]
    SerializableErrorInfo.from_traceback = classmethod(from_traceback)  # type: ignore[method-assign, assignment]


_hide_secrets()
redact_logs()
