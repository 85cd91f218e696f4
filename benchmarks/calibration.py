"""How true the probabilities of candidates are on rows that came later, before and after calibration.

`python -m benchmarks.calibration USE_CASE [DATE DATE ...]`, after `mlops-assets run USE_CASE` has read the days of
`MLOPS_RAW`. Before the first date lies what is learned; up to the second one, what is held out, and both are what the
serving model has learned and is calibrated by. `judged` is asked of all rows from the first date on, `serving` of those
from the second one on. Then the same from the second date on. Without dates, rows are held out as the use case says;
`random` in the place of a date holds out half of them at random.

Columns: rows asked; kind of the calibration; expected calibration error of the answers before and after it, and as it
would be by chance if the probabilities were true; log loss before and after.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.candidates import as_fitted, fit, fit_candidates
from mlops_assets.journey.train.evaluation import evaluate, load_candidate
from mlops_assets.journey.train.folds import ask_for
from mlops_assets.journey.train.metrics import chance_error, expected_error, measure
from mlops_assets.journey.train.training_set import build_training_set
from mlops_assets.storage.files import write_table
from mlops_assets.use_case import Split, UseCase
from mlops_assets.workspace import Stores, Workspace

LINE = "{:11} {:11} {:8} {:>6} {:12} {:>7} {:>7} {:>7} {:>8} {:>8}"


def held_out_from(use_case: UseCase, date: str) -> UseCase:
    """The use case with the rows from a date on held out, or half of them at random."""
    column = use_case.training.split.column
    random, time = {"by": "random", "held_out": 0.5}, {"by": "time", "column": column, "from": date}
    split = Split.model_validate(random if date == "random" else time)
    return use_case.model_copy(update={"training": use_case.training.model_copy(update={"split": split})})


def measured(stores: Stores, first: str | None, second: str | None) -> Iterator[list[object]]:
    """The lines of the models that learned what lies before a date, and of those that learned up to a second one."""
    use_case = held_out_from(stores.use_case, first) if first else stores.use_case
    data = build_training_set(use_case, stores.lake)
    rows = data.load()
    late = np.array(rows["_order"].to_pylist()) >= second if second else np.zeros(len(rows), bool)
    early, held_out = rows.filter(pa.array(~late)), rows.filter(rows["_held_out"])
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_table(folder / "early.parquet", early)
        data = replace(data, path=str(folder / "early.parquet"))
        fitted = fit_candidates(use_case, data, folder)
        scores = {score.name: score for score in evaluate(use_case, data, fitted)}
        for one in fitted:
            yield [
                first or "held out",
                one.name,
                "judged",
                *errors(load_candidate(use_case, one, scores[one.name]), held_out),
            ]
            calibrated = scores[one.name].calibrated
            if second and calibrated:
                chosen = as_fitted(use_case, one.name, one.parameters, "this training")
                serving = replace(fit(use_case, chosen, data, early), calibrator=calibrated.serving)
                yield [second, one.name, "serving", *errors(serving, rows.filter(pa.array(late)))]


def errors(model: Model, rows: pa.Table) -> Iterator[object]:
    """The numbers of a line."""
    said = ask_for(replace(model, calibrator=None), rows)
    found = []
    for probabilities in (said.probabilities, model.calibrated(said.probabilities)):
        answers = model.decide(probabilities)
        sure = probabilities[np.arange(len(answers)), answers]
        loss = measure(said.truth, probabilities, answers, names={"log_loss"})["log_loss"]
        found.append((expected_error(answers == said.truth, sure), chance_error(sure), loss))
    (before, _, loss_before), (after, chance, loss_after) = found
    yield len(said.truth)
    yield model.calibrator.kind if model.calibrator else "off"
    yield from (f"{value:.3f}" for value in (before, after, chance, loss_before, loss_after))


if __name__ == "__main__":
    name, *dates = sys.argv[1:]
    columns = ["from", "candidate", "model", "rows", "calibration", "ECE", "after", "chance", "log loss", "after"]
    print(LINE.format(*columns))
    for pair in zip_longest(dates or [None], dates[1:]):
        for line in measured(Workspace.from_environment().find(name), *pair):
            print(LINE.format(*line), flush=True)
