"""Clients whose job is a process on this machine: a Python of its own, or the driver that `spark-submit` starts."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from mlops_assets.components.pipes import Client
from mlops_assets.errors import ConfigError
from mlops_assets.settings import PACKAGE, Settings
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.clients import SparkSubmit, Subprocess

PATIENCE = 30.0
"""Seconds that a job has to end with a run that is cancelled; it ends itself by force before."""


class Beside:
    """Starts a program with the words of the job behind its own; messages go through files of this machine.

    Parameters
    ----------
    program
        Its own words.
    environment
        What it is told besides.
    """

    def __init__(self, program: Sequence[str], environment: Mapping[str, str]) -> None:
        self._program = program
        self._environment = environment

    def run(
        self, context: dg.AssetExecutionContext, command: Sequence[str], environment: Mapping[str, str]
    ) -> dg.PipesClientCompletedInvocation:
        """Have a job done; see `Client`."""
        client = dg.PipesSubprocessClient(termination_timeout_seconds=PATIENCE)
        # nobody would hear a job that outlives the run that started it
        words = [*self._program, *command, "--with-parent"]
        return client.run(context=context, command=words, env={**environment, **self._environment})


def open_subprocess(_asked: Subprocess, _use_case: UseCase, _settings: Settings) -> Client:
    """The client of the kind `subprocess`."""
    return Beside([sys.executable, "-m", "mlops_assets.job"], {"PYTHONSAFEPATH": "1"})


def open_spark_submit(asked: SparkSubmit, use_case: UseCase, settings: Settings) -> Client:
    """The client of the kind `spark_submit`.

    Raises
    ------
    ConfigError
        If the program is not there.
    """
    # that of pip's pyspark lies beside the Python that runs this
    beside = Path(sys.executable).parent / asked.program
    program = shutil.which(asked.program) or (str(beside) if beside.exists() else "")
    if not program:
        raise ConfigError(
            f"{use_case.name}, scale.client.program: there is no {asked.program}. pip install 'mlops-assets[spark]' "
            "brings one; or name the path of yours."
        )
    master = asked.master or settings.spark_master
    python = {name: os.environ.get(name) or sys.executable for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON")}
    words = [program, "--master", master, "--name", f"mlops_assets {use_case.name}", *asked.options]
    return Beside([*words, str(PACKAGE / "job.py")], {"MLOPS_SPARK_MASTER": master, "PYTHONSAFEPATH": "1", **python})
