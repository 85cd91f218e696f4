"""Dagster's own webserver, for tests that look at its pages in a browser."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.services.s3 import free_port
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.stack import until

PATIENCE = 240
"""Seconds for which it may load definitions."""


@contextmanager
def webserver(folder: Path, *definitions: str, **variables: str) -> Iterator[str]:
    """Start it in a folder; its address.

    Parameters
    ----------
    folder
        Where it is started; its log goes there.
    definitions
        Arguments that say what is loaded.
    variables
        Of its environment.
    """
    port = free_port()
    command = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), *definitions]
    told = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=told, stdout=log, stderr=log, start_new_session=True)
    try:
        until(lambda: server.poll() is not None or _answers(port), "the webserver", PATIENCE)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _answers(port: int) -> bool:
    with socket.socket() as some:
        return some.connect_ex(("127.0.0.1", port)) == 0
