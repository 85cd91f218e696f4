"""How a job on a platform of others hears of its run, and the run of the job: through S3.

What is said lies below one prefix, so that a policy can name it, and is removed when it was heard.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.components.requests import Job
from mlops_assets.errors import ConfigError
from mlops_assets.errors.aws import told_of_aws
from mlops_assets.settings import Settings
from mlops_assets.storage import s3
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.places import S3Path, parse_place
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.platforms import Elsewhere
from mlops_assets.use_case.references import variables

if TYPE_CHECKING:
    from dagster_aws.pipes import PipesS3ContextInjector, PipesS3MessageReader

HANDED_ON = (
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "MLOPS_S3_PATIENCE",
    "MLOPS_WORKERS",
    "MLFLOW_TRACKING_URI",
)
"""Variables of this process that a job has, too, unless they hold a password; places come besides."""

SECRETS = ("MLOPS_DATABASE_URL", "MLFLOW_TRACKING_URI")
"""Variables that a job has if this process has them, and that may hold a password."""

Connect = Callable[[str], Any]
"""Makes boto3's client of a service."""


@dataclass(frozen=True)
class Messages:
    """Where a job says how it goes.

    Attributes
    ----------
    place
        The prefix in S3.
    s3
        boto3's client.
    interval
        Seconds between two looks for more.
    """

    place: S3Path
    s3: Any
    interval: float = 10

    def reader(self) -> PipesS3MessageReader:
        """Hears what a job says, its log included."""
        from botocore.exceptions import BotoCoreError
        from dagster_aws.pipes import PipesS3MessageReader

        place, store = self.place, self.s3

        class Reader(PipesS3MessageReader):
            """dagster-aws's; it takes in a chunk at a time, and none after a network that failed once."""

            @contextmanager
            def get_params(self) -> Iterator[Any]:
                with super().get_params() as params:
                    prefix = f"{place.key}/{params['key_prefix']}"  # its own names begin at the top of the bucket
                    try:
                        yield {**params, "key_prefix": prefix}
                    finally:
                        remove(store, place.bucket, f"{prefix}/")

            def download_messages(self, cursor: Any, params: Any) -> tuple[Any, str] | None:
                """All that was said since: a job that says much is heard to its last word, which tells how it went."""
                chunks = []
                while (found := super().download_messages(cursor, params)) is not None:
                    cursor, chunk = found
                    chunks.append(chunk)
                return (cursor, "\n".join(chunks)) if chunks else None

            def download_messages_chunk(self, index: int, params: Any) -> str | None:
                try:
                    return super().download_messages_chunk(index, params)
                except BotoCoreError:
                    return None  # the next look may do better

            def messages_are_readable(self, params: Any) -> bool:
                try:
                    return super().messages_are_readable(params)
                except BotoCoreError:
                    return False

        return Reader(bucket=place.bucket, client=store, interval=self.interval, include_stdio_in_messages=True)

    def context_injector(self) -> PipesS3ContextInjector:
        """Tells a job of its run."""
        from dagster_aws.pipes import PipesS3ContextInjector

        place, store = self.place, self.s3

        class Injector(PipesS3ContextInjector):
            """dagster-aws's; it leaves what it told if the step fails."""

            @contextmanager
            def inject_context(self, context: Any) -> Iterator[Any]:
                key = f"{place.key}/{uuid.uuid4().hex}/context.json"
                store.put_object(Bucket=place.bucket, Key=key, Body=json.dumps(context).encode())
                try:
                    yield {"bucket": place.bucket, "key": key}
                finally:
                    remove(store, place.bucket, key)

        return Injector(bucket=place.bucket, client=store)


def remove(store: Any, bucket: str, prefix: str) -> None:
    """Remove what was said; that it stays is no reason to call a day that was done a red one.

    Parameters
    ----------
    store
        boto3's client of S3.
    bucket, prefix
        Where it lies.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", ()):
                store.delete_object(Bucket=bucket, Key=found["Key"])
    except (BotoCoreError, ClientError) as error:
        dg.get_dagster_logger().warning(f"s3://{bucket}/{prefix} could not be removed: {told_of_aws('S3', error)}")


def messages_of(asked: Elsewhere, use_case: UseCase, settings: Settings, connect: Connect) -> Messages:
    """Where the job says how it goes: in the use case's part of the lake, unless it is said otherwise.

    Raises
    ------
    ConfigError
        If that is no place in S3, or dagster-aws is missing.
    """
    try:
        import_module("dagster_aws.pipes")
    except ImportError:
        raise ConfigError(
            "A job elsewhere needs dagster-aws, to hear of it: pip install 'mlops-assets[aws]' brings it."
        ) from None
    place = parse_place(asked.messages) if asked.messages else Lake(settings.lake, use_case.name).heard
    if not isinstance(place, S3Path):
        raise ConfigError(
            f"{use_case.name}: a job elsewhere needs the lake where it can reach it, and says there how it goes: set "
            "MLOPS_LAKE to `s3://bucket/prefix`, or name `scale.client.messages`."
        )
    return Messages(place, connect("s3"))


def job_of(context: dg.AssetExecutionContext, command: Sequence[str], environment: Mapping[str, str]) -> Job:
    """The job of a step, named by the first of the runs that are tries of the same.

    Its environment has what this process was told of the world, too, as far as it is no secret.
    """
    run = context.run
    told = {name: os.environ[name] for name in HANDED_ON if os.environ.get(name) and not _has_password(name)}
    if (server := s3.endpoint()) and not _names_who(server):
        told["S3_ENDPOINT_URL"] = server
    first = run.root_run_id or run.run_id
    return Job(command, {**told, **environment}, first, f"{run.run_id} {context.op_execution_context.retry_number}")


def _has_password(name: str) -> bool:
    return _names_who(os.environ.get(name, ""))


def _names_who(address: str) -> bool:
    return "@" in address


def check_needs(use_case: UseCase, settings: Settings, secrets: Collection[str]) -> None:
    """See that a job elsewhere can have what it needs, before one is paid for.

    Parameters
    ----------
    use_case, settings
        What the job is for.
    secrets
        The variables that the platform brings.

    Raises
    ------
    ConfigError
        If places are folders of this machine, or a variable that holds a secret is brought by nobody.
    """
    here = [
        name for name, place in (("MLOPS_RAW", settings.raw), ("MLOPS_LAKE", settings.lake)) if isinstance(place, Path)
    ]
    if settings.sqlite_file is not None:
        here.append("MLOPS_DATABASE_URL or MLFLOW_TRACKING_URI")
    if here:
        raise ConfigError(
            f"{use_case.name}: a job elsewhere cannot reach this machine: set {', '.join(here)} to what both can."
        )
    wanted = {name for name in SECRETS if _has_password(name)} | variables(use_case.written)
    missing = sorted(wanted - {*secrets})
    if missing:
        raise ConfigError(
            f"{use_case.name}: the job needs {', '.join(missing)}: name under `scale.client.secrets` where the "
            "platform keeps it, as a request is no place for a secret."
        )


def connector(region: str | None) -> Connect:
    """What makes boto3's clients: of AWS, and for S3 of the server that the lake lies on."""

    def connect(service: str) -> Any:
        import boto3
        from botocore.config import Config

        server = s3.endpoint() if service == "s3" else None
        place = region or os.environ.get("AWS_REGION")
        # a job of hours is not ended for a platform that does not answer for a minute
        patient = Config(retries={"mode": "standard", "max_attempts": 10})
        return boto3.client(service, region_name=place, endpoint_url=server, config=patient)

    return connect
