"""What a stranger will see: whole trainings as of the first days of months, each asked of the months that came after.

`python -m benchmarks.replay USE_CASE MONTH [MONTH ...]`, such as `transactions 2019-11 2019-12 2020-01`, after
`mlops-assets run USE_CASE` has read the days of `MLOPS_RAW`. For each month, everything is learned that is dated before
its first day: candidates are fitted, chosen, tested and calibrated as in any training, and what would serve is asked of
that month, of which it knows all labels before, and of the later ones. Nothing is chosen by the rows that are asked.

Columns: up to when rows were learned; the candidate that was chosen; the figure of its card with its bounds; the month
asked; rows; the ranking metric, and that of the baseline; expected calibration error of the answers, and what it would
be by chance; log loss.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.candidates import as_fitted, fit, fit_candidates
from mlops_assets.journey.train.evaluation import Judged, evaluate
from mlops_assets.journey.train.folds import Said, ask_for, joined
from mlops_assets.journey.train.metrics import chance_error, expected_error
from mlops_assets.journey.train.origins import find_origins, order_of
from mlops_assets.journey.train.scores import decided, figures
from mlops_assets.journey.train.splitting import hold_out, number_folds
from mlops_assets.journey.train.training_set import TrainingSet, build_training_set
from mlops_assets.storage.files import write_table
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Stores, Workspace

LINE = "{:11} {:10} {:24} {:8} {:>5} {:>8} {:>8} {:>6} {:>6} {:>8}"


def as_of(use_case: UseCase, data: TrainingSet, moment: str, folder: Path) -> TrainingSet:
    """The training set of the rows before a date, split as a training of that day would."""
    rows = data.load()
    rows = rows.filter(pa.array(order_of(rows) < moment)).drop_columns(["_held_out", "_fold"])
    origins = find_origins(order_of(rows), use_case.training)
    held_out, boundary = hold_out(rows, use_case.training.split, use_case.name, origins)
    fold = number_folds(rows, use_case.training, held_out, origins)
    rows = rows.append_column("_held_out", pa.array(held_out)).append_column("_fold", pa.array(fold))
    path = folder / "rows.parquet"
    write_table(path, rows)
    return replace(
        data, path=str(path), rows=len(rows), held_out=int(held_out.sum()), boundary=boundary, origins=origins
    )


def measured(stores: Stores, months: Sequence[str]) -> Iterator[list[object]]:
    """The lines of each training, and of what it says of each month from its own on; at last those of each age."""
    use_case = stores.use_case
    data = build_training_set(use_case, stores.lake)
    rows, aged = data.load(), dict[int, list[tuple[Said, Said]]]()
    starts = [*(f"{month}-01" for month in months), "9999"]
    for number, moment in enumerate(starts[:-1]):
        with TemporaryDirectory() as name:
            then = as_of(use_case, data, moment, Path(name))
            fitted = fit_candidates(use_case, then, Path(name) / "candidates")
            judged = evaluate(use_case, then, fitted)
            parameters = {one.name: one.parameters for one in fitted}
            winner, baseline = (serving(use_case, then, judged, parameters, best) for best in (True, False))
        best = judged.scores[0]
        bounds = best.tested.intervals[use_case.training.metric] if best.tested else ""
        for age, (month, first, until) in enumerate(
            zip(months[number:], starts[number:], starts[number + 1 :], strict=False)
        ):
            order = order_of(rows)
            asked = rows.filter(pa.array((order >= first) & (order < until)))
            pair = ask_for(winner, asked), ask_for(baseline, asked)
            aged.setdefault(age, []).append(pair)
            yield [moment, best.name, str(bounds), month, *numbers(use_case, then, *pair)]
    for age, pairs in aged.items():
        together = joined([mine for mine, _ in pairs]), joined([theirs for _, theirs in pairs])
        yield ["all", "", "", f"+{age} mo.", *numbers(use_case, data, *together)]


def serving(
    use_case: UseCase, data: TrainingSet, judged: Judged, parameters: dict[str, dict[str, object]], chosen: bool
) -> Model:
    """What would serve: the chosen candidate, or the baseline, fitted on all rows and calibrated."""
    name = judged.scores[0].name if chosen else use_case.training.baseline
    score = next(score for score in judged.scores if score.name == name)
    candidate = as_fitted(use_case, name, parameters[name], "this training")
    model = fit(use_case, candidate, data, data.load())
    return replace(model, calibrator=score.calibrated.serving if score.calibrated else None)


def numbers(use_case: UseCase, data: TrainingSet, mine: Said, base: Said) -> Iterator[object]:
    """The numbers of a line."""
    training, metric = use_case.training, use_case.training.metric
    answers = decided(training, mine.probabilities)
    sure = mine.probabilities[np.arange(len(answers)), answers]
    found = figures(training, data.classes, mine, metric, "log_loss")
    yield len(mine.truth)
    yield f"{found[metric]:.3f}"
    yield f"{figures(training, data.classes, base, metric)[metric]:.3f}"
    yield f"{expected_error(answers == mine.truth, sure):.3f}"
    yield f"{chance_error(sure):.3f}"
    yield f"{found['log_loss']:.3f}"


if __name__ == "__main__":
    use_case, *asked = sys.argv[1:]
    metric = Workspace.from_environment().find(use_case).use_case.training.metric
    print(
        LINE.format(
            "learned to", "candidate", "on its card", "asked", "rows", metric, "baseline", "ECE", "chance", "log loss"
        )
    )
    for line in measured(Workspace.from_environment().find(use_case), asked):
        print(LINE.format(*map(str, line)), flush=True)
