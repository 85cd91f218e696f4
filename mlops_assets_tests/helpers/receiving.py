"""The example of a receiver as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mlops_assets_tests.helpers.paths import ROOT


@contextmanager
def receiving(secret: str) -> Iterator[tuple[str, Iterator[str]]]:
    """The address of `examples/receiver.py`, and the lines that it prints."""
    command = [sys.executable, str(ROOT / "examples" / "receiver.py"), "0"]
    given = {**os.environ, "RECEIVER_SECRET": secret}
    with subprocess.Popen(
        command, env=given, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        lines = (line.strip() for line in process.stdout)
        try:
            yield f"http://127.0.0.1:{next(lines)}/", lines
        finally:
            process.kill()
