"""The S3 server of the tests: the one that `S3_ENDPOINT_URL` names, else Ceph's radosgw, else moto, which is a mock."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import botocore.config

from deploy.services import s3 as radosgw
from mlops_assets.storage import s3
from mlops_assets.storage.places import S3Path

VARIABLES = (
    *("S3_ENDPOINT_URL", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    *("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "MLFLOW_S3_ENDPOINT_URL"),
)
"""What tells a client of a server; a test says all of it, or none."""


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes
    ----------
    environment
        What its clients are told.
    gateway
        Where it is ours to kill and start again: radosgw.
    """

    environment: dict[str, str] = field(repr=False)
    gateway: radosgw.S3Server | None = None
    is_real: bool = True

    def client(self) -> Any:
        """Amazon's own client, for what a user of the server does beside us."""
        told = self.environment
        return boto3.client(
            "s3",
            endpoint_url=told["S3_ENDPOINT_URL"],
            aws_access_key_id=told.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=told.get("AWS_SECRET_ACCESS_KEY"),
            region_name=told.get("AWS_DEFAULT_REGION", "us-east-1"),
            config=botocore.config.Config(request_checksum_calculation="when_required"),
        )


def which() -> str:
    """Which server the tests run against, for the head of their report."""
    if url := os.environ.get("S3_ENDPOINT_URL"):
        return f"S3: {url}"
    if radosgw.is_installed():
        return "S3: Ceph's radosgw"
    return "S3: WARNING: moto, a mock, for Ceph's radosgw is not installed (Debian: ceph-mon ceph-osd radosgw)"


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """The server, for a session of tests."""
    told = {name: value for name in VARIABLES if (value := os.environ.get(name))}
    if "S3_ENDPOINT_URL" in told:
        yield Server(told)
    elif radosgw.is_installed():
        with radosgw.s3_server(folder) as server:
            yield Server(server.environment, server)
    else:
        with _moto(folder) as url:
            keys = {"AWS_ACCESS_KEY_ID": "mock", "AWS_SECRET_ACCESS_KEY": "mock", "AWS_DEFAULT_REGION": "us-east-1"}
            yield Server({"S3_ENDPOINT_URL": url, **keys}, is_real=False)


@contextmanager
def _moto(folder: Path) -> Iterator[str]:
    port = radosgw.free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while not radosgw.answers(url):
            assert process.poll() is None, (folder / "moto.log").read_text()
            assert time.monotonic() < deadline, "moto does not come up"
            time.sleep(0.05)
        yield url
    finally:
        process.kill()
        process.wait()


@contextmanager
def new_bucket(server: Server) -> Iterator[S3Path]:
    """A bucket that is gone afterwards."""
    client, name = server.client(), f"mlops-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=name)
    try:
        yield S3Path(name)
    finally:
        s3.store.cache_clear()
        while found := client.list_objects_v2(Bucket=name).get("Contents"):
            client.delete_objects(Bucket=name, Delete={"Objects": [{"Key": one["Key"]} for one in found]})
        client.delete_bucket(Bucket=name)
