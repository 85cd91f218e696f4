"""Requests to be kept, and a process that keeps them until a test kills it.

Usage: python -m mlops_assets_tests.helpers.keeping HOME durable|soon CLIENTS; it says each request that it has answered.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from mlops_assets.journey.read.readers.pack import Refusal
from mlops_assets.journey.score.online import Answered, Loaded, Sent
from mlops_assets.serving.keeping.stored import JournalStore, Store
from mlops_assets.settings import OWN_USE_CASES, Settings
from mlops_assets.use_case import UseCase, load_use_case
from mlops_assets.use_case.serving import Serving
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.account_files import account_file
from mlops_assets_tests.helpers.homes import state_in

DAY = "2026-03-01"
CLASSES = ("food", "travel")


def transactions() -> UseCase:
    """The flagship, which nobody watches for new files."""
    return load_use_case(OWN_USE_CASES / "transactions").model_copy(update={"sensor": None})


def keeping(use_case: UseCase, **serving: Any) -> UseCase:
    """The use case with its requests kept."""
    return use_case.model_copy(update={"serving": Serving(store=True, **serving)})


def workspace_in(home: Path, **settings: Any) -> Workspace:
    """The installation of a home."""
    with state_in(home):
        return Workspace(replace(Settings.from_environment(), **settings))


def answered(name: str, refusals: Sequence[Refusal] = (), lines: int = 1) -> Answered:
    """An answer of so many lines."""
    every = np.arange(1, lines + 1, dtype=np.int32)
    some = np.full((lines, 2), 0.5, np.float32)
    numbers = np.zeros(lines, np.int32)
    return Answered(
        name,
        lines + len(refusals),
        every,
        numbers,
        {"probability": np.full(lines, 0.1, np.float32)},
        some,
        tuple(refusals),
    )


async def keep(store: Store, use_case: UseCase, files: Sequence[Sent], request: str = "r1", **more: Any) -> None:
    """Keep a request as the route for predictions does."""
    model: Any = SimpleNamespace(classes=CLASSES)
    answers = more.pop("answers", None) or [answered(file.name) for file in files]
    day = more.pop("day", DAY)
    await store.keep(use_case, request, Loaded(use_case, 3, model), day, "somebody", files, answers)


async def _clients(store: JournalStore, use_case: UseCase, clients: int) -> None:
    data = account_file()

    async def client() -> None:
        while True:
            request = uuid.uuid4().hex
            await keep(store, use_case, [Sent("a.csv", data), Sent("a.csv", data)], request)
            print(request, flush=True)  # noqa: T201 - the test reads it

    await asyncio.gather(*(client() for _ in range(clients)))


if __name__ == "__main__":
    _home, _how, _number = sys.argv[1:]
    _use_case = keeping(transactions(), durable=_how == "durable", keep_days=100_000)
    _store = JournalStore(workspace_in(Path(_home)), [_use_case], land_seconds=0.02)
    _store.start()
    asyncio.run(_clients(_store, _use_case, int(_number)))
