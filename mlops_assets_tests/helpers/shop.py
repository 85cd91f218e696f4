"""A home in which commands are given, in this process."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import click
import pytest

from mlops_assets import cli
from mlops_assets_tests.helpers.homes import give_stores, measured_briefly
from mlops_assets_tests.helpers.left_behind import nothing_left


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Shop:
    """A home in which commands are given."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the environment of a command has to say."""
        use_cases = str(self.home.parent / "use_cases")
        return {"MLOPS_HOME": str(self.home), "MLOPS_WORKERS": "1", "MLOPS_USE_CASES": use_cases}

    def __call__(self, *arguments: str, **environment: str) -> Done:
        """Run a command in this process, as the installed script does."""
        if "--train" in arguments:
            give_stores(self.home, "mlflow", "dagster")
        return self.give(cli.cli, arguments, environment)

    def give(self, command: click.Command, arguments: Sequence[str], environment: Mapping[str, str]) -> Done:
        """Run any command of ours in this process."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with (
            _process({**self.environment, **environment}, ["mlops-assets", *arguments], self.home.parent),
            measured_briefly() if "--train" in arguments else nullcontext(),
            redirect_stdout(out),
            redirect_stderr(err),
            pytest.raises(SystemExit) as end,
        ):
            cli.main(command)
        texts = [stream.buffer.getvalue().decode() for stream in (out, err)]
        return Done(end.value.code if isinstance(end.value.code, int) else 0, *texts)

    def day(self, day: str) -> Path:
        """The folder of a day's raw files."""
        return self.home / "raw" / "visits" / f"day={day}"


@contextmanager
def _process(environment: Mapping[str, str], arguments: list[str], folder: Path) -> Iterator[None]:
    """Arguments, environment, folder and loggers of a process of its own; all as before when it ends."""
    # a command sets variables, such as secrets
    with nothing_left(), patch.dict(os.environ), pytest.MonkeyPatch.context() as process:
        for name in [name for name in os.environ if name.startswith(("MLOPS_", "MLFLOW_", "DAGSTER_"))]:
            del os.environ[name]
        os.environ.update(environment)
        process.setattr(sys, "argv", arguments)
        process.chdir(folder)
        yield
