"""`mlops-assets serve` as it is run, in processes of its own, and many clients that ask it at once."""

from __future__ import annotations

import asyncio
import posixpath
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from deploy.services.s3 import free_port
from mlops_assets.journey.score.online import Sent
from mlops_assets_tests.helpers.online import Told
from mlops_assets_tests.helpers.stack import until

SECONDS = 120
"""For which an answer is waited for: what is seen is that it comes."""


@contextmanager
def serve(folder: Path, *names: str, workers: int = 2) -> Iterator[tuple[str, int]]:
    """The address of the API of the home that the environment names, and the process that keeps its workers."""
    port = free_port()
    command = [sys.executable, "-m", "mlops_assets.cli", "serve", *names, "--port", str(port)]
    out, err = folder / "out", folder / "err"
    with out.open("wb") as lines, err.open("wb") as told:
        process = subprocess.Popen([*command, "--workers", str(workers)], stdout=lines, stderr=told)

    def is_there() -> bool:
        assert process.poll() is None, err.read_text()
        return "The API is on" in err.read_text()

    try:
        until(is_there, "the API")
        yield f"http://127.0.0.1:{port}", process.pid
        process.terminate()
        assert process.wait(SECONDS) == 0
        assert "Traceback" not in err.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@asynccontextmanager
async def clients(url: str, number: int) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients, each with a connection of its own, which it keeps."""
    # made once: each would read the certificates of the machine
    verify = httpx.create_ssl_context(verify=False)
    made = [httpx.AsyncClient(base_url=url, timeout=SECONDS, verify=verify, trust_env=False) for _ in range(number)]
    try:
        yield made
    finally:
        for client in made:
            await client.aclose()


def as_form(files: Sequence[Sent]) -> list[tuple[str, tuple[str, bytes]]]:
    """Files as the parts of a form, each with the attachments that it names."""
    parts = {
        name: data
        for file in files
        for name, data in file.attached.items()
        if posixpath.basename(name).encode() in file.data
    }
    named = {file.name: file.data for file in files}
    return [("file", (name, data)) for name, data in {**named, **parts}.items()]


def told_of_json(file: dict[str, Any], classes: Sequence[str]) -> Told:
    """What an answer says of a file, in the form of `DirtyDay.in_batch`: decimals as the float32 that they are."""
    assert file["lines"] == file["rows"] + file["rejected"]
    rows = []
    for row in file["predictions"]:
        every = np.array([row["probabilities"][name] for name in classes], np.float32).tobytes()
        rows.append((row["line"], row["prediction"], np.float32(row["probability"]).tobytes(), every))
    return {
        "rejects": [(one["line"], one["rule"], one["message"], one["raw"]) for one in file["rejects"]],
        "rows": rows,
    }


def ask_over_http(
    url: str, path: str, files: Sequence[Sent], number: int, tell: Callable[[dict[str, Any]], Told]
) -> list[tuple[str, Told]]:
    """What so many clients are answered for files, one file a request."""
    waiting, told = iter(files), []

    async def ask(client: httpx.AsyncClient) -> None:
        for file in waiting:
            answer = await client.post(path, files=as_form([file]))
            # a file that is refused as a whole is told as any other
            assert answer.status_code in (200, 422), answer.text
            (said,) = answer.json()["files"]
            told.append((said["file"], tell(said)))

    async def all_ask() -> None:
        async with clients(url, number) as asking:
            await asyncio.gather(*map(ask, asking))

    asyncio.run(all_ask())
    return told
