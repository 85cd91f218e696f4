"""Shard functions that tests send to Spark; apart, so that its workers import no more than they need."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlops_assets.errors import ConfigError
from mlops_assets.work.engines.local import ONE_THREAD
from mlops_assets.work.shards import Report

DAY = "2026-01-01"


def square(task: int) -> Report:
    return Report(DAY, task, {"square": task**2}, ())


def count_threads(task: int) -> Report:
    return Report(DAY, task, {**{name: int(os.environ[name]) for name in ONE_THREAD}, "arrow": pa.cpu_count()}, ())


def tell_umask(task: int) -> Report:
    umask = os.umask(0)
    os.umask(umask)
    return Report(DAY, task, {"umask": umask}, ())


def hold_then(task: tuple[int, Path, Callable[[Any], Report], Any]) -> Report:
    """As `hold`, and then do a shard of a real step."""
    shard, folder, function, its_task = task
    hold((shard, folder))
    return function(its_task)


def hold(task: tuple[int, Path]) -> Report:
    """Note the process that works on a shard; wait while there is a file `hold` and its number is not 0."""
    shard, folder = task
    note_attempt(shard, folder)
    deadline = time.monotonic() + 60
    while shard and (folder / "hold").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return Report(DAY, shard, {}, ())


def fail_on_two(task: tuple[int, Path]) -> Report:
    shard, folder = task
    note_attempt(shard, folder)
    if shard == 2:
        raise ConfigError("defs.yaml:3: wrong")
    return Report(DAY, shard, {}, ())


def die_on_two(task: tuple[int, Path]) -> Report:
    shard, folder = task
    note_attempt(shard, folder)
    if shard == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return Report(DAY, shard, {}, ())


def lose_the_disk(task: tuple[int, Path]) -> Report:
    note_attempt(*task)
    raise OSError(5, "Input/output error", "/lake")


def note_attempt(shard: int, folder: Path) -> None:
    """Write `shard-SHARD-UNIQUE` with the process id, whole or not at all."""
    unfinished = folder / uuid.uuid4().hex
    unfinished.write_text(str(os.getpid()))
    unfinished.rename(folder / f"shard-{shard}-{unfinished.name}")


def attempts(shard: int, folder: Path) -> list[int]:
    """The processes that worked on a shard."""
    return [int(path.read_text()) for path in folder.glob(f"shard-{shard}-*")]
