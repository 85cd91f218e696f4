"""The way of public batch predictors: a YAML says how a file is read; one file in, predictions, one file out.

Each process has its half of the list. The features come from a function that the YAML names.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from multiprocessing import Pool
from pathlib import Path

import pandas as pd
import pyarrow as pa
import yaml

from benchmarks.peers.champion import load, predict
from benchmarks.peers.job import Job, name_of

CONFIGURATION = Path(__file__).with_suffix(".yaml")


def main(job: Job) -> None:
    """Score the day, a file at a time, each process its share of the files."""
    files = job.files()
    shares = [(job, files[number :: job.workers]) for number in range(job.workers)]
    with Pool(job.workers) as pool:
        rows = sum(pool.starmap(score, shares, chunksize=1))
    job.finish(len(files), rows)


def score(job: Job, files: Sequence[str]) -> int:
    """Score a list of files, one after the other; the number of their rows."""
    configuration = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
    features = _import(configuration["features"])
    model = load(job)
    rows = 0
    for path in files:
        data = pd.read_csv(path, **configuration["read"])
        labels, probabilities = predict(model, pa.Table.from_pandas(features(data), preserve_index=False))
        name = name_of(path)
        data = data.assign(file=name, line=range(1, len(data) + 1), prediction=labels, probability=probabilities)
        data.to_csv(job.place(name), **configuration["write"])
        rows += len(data)
    return rows


def _import(path: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    module, _, name = path.partition(":")
    function: Callable[[pd.DataFrame], pd.DataFrame] = getattr(importlib.import_module(module), name)
    return function


if __name__ == "__main__":
    main(Job.from_command_line())
