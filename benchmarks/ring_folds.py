"""How well the candidates of `compound_rings` do on labelled pictures, by repeated folds.

`python -m benchmarks.ring_folds FOLDER`, where the folder holds `compounds.json` and the pictures that it names. They
go through the reader, the contract and the SQL of the use case, as in the daily job.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from mlops_assets.journey.features.matrix import to_matrix
from mlops_assets.journey.features.shard import compute
from mlops_assets.journey.read.readers import open_reader
from mlops_assets.journey.read.rows import check_rows
from mlops_assets.journey.train.pipeline import build_pipeline
from mlops_assets.plugins import NotAttached
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.use_case import load_use_case

FOLDS, REPEATS = 5, 20


def pictures(folder: Path) -> tuple[pa.Table, np.ndarray, np.ndarray, Counter[str]]:
    """The good rows, what the model sees of them, their labels, and the number of rejects by rule."""

    def attached(_: int, path: str) -> bytes:
        try:
            return (folder / path).read_bytes()
        except OSError as error:
            raise NotAttached(str(error)) from None

    use_case = load_use_case(OWN_USE_CASES / "compound_rings")
    paths = ["compounds.json"]
    pack = open_reader(use_case, attached).read([(folder / paths[0]).read_bytes()], paths)
    rows, refusals = check_rows(use_case, paths, pack)
    batch = pa.concat_tables(part for part, _ in compute(rows, "2026-01-01", use_case, use_case.features_sql))
    names = [name for name in batch.column_names if name not in ("file", "line")]
    matrix = to_matrix(batch, dict.fromkeys(names))
    labels = np.array(rows["num_rings"].to_pylist())[batch["line"].to_numpy().argsort().argsort()]
    return batch, matrix, labels, Counter(one.rule for one in (*pack.refusals, *refusals))


def accuracies(folder: Path, repeats: int = REPEATS) -> Iterator[tuple[str, np.ndarray]]:
    """For each candidate, and for the bare count of faces, the accuracy of each repetition of the folds."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    batch, matrix, labels, _ = pictures(folder)
    use_case = load_use_case(OWN_USE_CASES / "compound_rings")
    names = dict.fromkeys(name for name in batch.column_names if name not in ("file", "line"))
    counted = batch["rings"].to_numpy() == labels.astype(float)
    yield "the count of faces, as it is", np.repeat(counted.mean(), repeats)
    for name, candidate in use_case.training.candidates.items():
        model = build_pipeline(candidate, names)
        found = []
        for seed in range(repeats):
            folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The least populated class")  # one compound alone has one ring
                found.append(np.mean(cross_val_predict(model, matrix, labels, cv=folds) == labels))
        yield name, np.array(found)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    _, _, answers, rejects = pictures(place)
    print(
        f"{len(answers)} good rows, by label {dict(sorted(Counter(answers.tolist()).items()))}; rejects {dict(rejects)}"
    )
    for name, values in accuracies(place):
        spread = f"{values.min():.3f} to {values.max():.3f} over {len(values)} repetitions of {FOLDS} folds"
        print(f"{name:30} accuracy {values.mean():.3f}, {spread}")
