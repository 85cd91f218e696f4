"""What people write first: a pool of processes, and for each file read_csv, features, predict, to_csv."""

from __future__ import annotations

from multiprocessing import Pool

import pandas as pd
import pyarrow as pa

from benchmarks.peers.champion import keep, kept, predict
from benchmarks.peers.job import Job, name_of
from benchmarks.peers.pandas_features import features

TEXT = ("id", "cidade", "estado", "sexo", "data", "cidade_estabelecimento", "pais_estabelecimento")


def main(job: Job) -> None:
    """Score the day, a file at a time."""
    files = job.files()
    with Pool(job.workers, keep, (job,)) as pool:
        rows = sum(pool.imap_unordered(score, files, chunksize=50))
    job.finish(len(files), rows)


def score(path: str) -> int:
    """Score one file and write its predictions beside the others; the number of its rows."""
    job, model = kept()
    raw = pd.read_csv(
        path,
        sep=";",
        encoding="mac_roman",
        decimal=",",
        thousands=".",
        dtype=dict.fromkeys(TEXT, str),
        keep_default_na=False,
        na_values=["", "-", " -   "],
    )
    table = pa.Table.from_pandas(features(raw), preserve_index=False)
    labels, probabilities = predict(model, table)
    name = name_of(path)
    said = pd.DataFrame(
        {"file": name, "line": range(1, len(raw) + 1), "prediction": labels, "probability": probabilities}
    )
    said.to_csv(job.place(name), index=False)
    return len(said)


if __name__ == "__main__":
    main(Job.from_command_line())
