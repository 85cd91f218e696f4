"""Our own way: one command, through Dagster, from the listing of the raw files to the published predictions.

It does more than its peers: every line is accounted for, rejects are kept, rows and features are published too.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pyarrow as pa

from benchmarks.peers.job import COLUMNS, Job, name_of
from mlops_assets.storage.catalog import Lake

USE_CASE = "transactions"
SETTINGS = (
    "MLOPS_LAKE",
    "MLOPS_USE_CASES",
    "MLOPS_ENGINE",
    "MLOPS_SPARK_MASTER",
    "MLFLOW_TRACKING_URI",
    "DAGSTER_HOME",
)
"""Settings that would lead a run to another place."""


def environment(home: str, raw: str, workers: int) -> dict[str, str]:
    """The environment of a run that keeps all its state in `home`."""
    own = {"MLOPS_HOME": home, "MLOPS_RAW": raw, "MLOPS_WORKERS": str(workers)}
    return {**{name: value for name, value in os.environ.items() if name not in SETTINGS}, **own}


def command() -> str:
    """Path of `mlops-assets`."""
    return str(Path(sys.executable).with_name("mlops-assets"))


def main(job: Job) -> None:
    """Become the command; `job.out` is a home with a champion and without the day."""
    raw = str(Path(job.raw).parents[1])
    arguments = [command(), "run", USE_CASE, "--from", job.day, "--to", job.day]
    os.execve(command(), arguments, environment(job.out, raw, job.workers))


def outcome(job: Job) -> dict[str, float]:
    """Files and rows that were predicted, and the seconds from the start of raw_files to the published predictions."""
    accounting = _lake(job).predictions.days()[job.day].accounting
    return {"files": accounting.files, "rows": accounting.predictions, "journey": _journey(Path(job.out))}


def _journey(home: Path) -> float:
    """Seconds between the start of the first step and the end of the last one."""
    told = _told(home).values()
    return max(end for _, end in told) - min(start for start, _ in told)


def steps(home: Path) -> dict[str, float]:
    """Seconds of each step of the newest run."""
    return {step: end - start for step, (start, end) in _told(home).items()}


def _told(home: Path) -> dict[str, tuple[float, float]]:
    """When each step of the newest run began and ended, as Dagster noted them."""
    from dagster import DagsterInstance

    with DagsterInstance.from_config(str(home / "dagster")) as instance:
        newest = instance.get_run_records(limit=1)[0].dagster_run.run_id
        noted = instance.get_run_step_stats(newest)
    return {step.step_key: (step.start_time, step.end_time) for step in noted if step.start_time and step.end_time}


def predictions(job: Job) -> pa.Table:
    """The published predictions, in the columns of the other ways."""
    found = _lake(job).predictions.read_all([job.day], list(COLUMNS))
    names = pa.array([name_of(path) for path in found["file"].to_pylist()])
    return found.set_column(found.column_names.index("file"), "file", names)


def _lake(job: Job) -> Lake:
    return Lake(Path(job.out) / "lake", USE_CASE)


if __name__ == "__main__":
    main(Job.from_command_line())
