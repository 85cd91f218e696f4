"""A verdict repeats: the same rows and the same YAML have the same champion, whatever else the machine does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlops_assets.journey.train.candidates import fit_candidates
from mlops_assets.journey.train.choice import Choice
from mlops_assets.journey.train.evaluation import Judged, evaluate
from mlops_assets.journey.train.gate import Verdict, decide
from mlops_assets.journey.train.scores import Score
from mlops_assets.journey.train.training_set import TrainingSet
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets_tests.helpers.toy import CANDIDATES, IMPUTER, built, purchases, toy

FOREST = {
    "use": "sklearn.ensemble.RandomForestClassifier",
    "parameters": {"n_estimators": 10, "n_jobs": 2},
    "then": [IMPUTER],
}


@contextmanager
def busy_machine() -> Iterator[None]:
    """A busy loop on every core."""
    loops = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def trained(use_case: UseCase, data: TrainingSet, folder: Path) -> tuple[Verdict, Judged]:
    judged = evaluate(use_case, data, fit_candidates(use_case, data, folder))
    return decide(use_case.training, use_case.scale, judged.scores, judged.choice, None), judged


def metrics(scores: list[Score]) -> dict[str, object]:
    return {score.name: (score.validation, score.folds) for score in scores}


@pytest.mark.parametrize("trainings", [1, pytest.param(10, marks=pytest.mark.long)])
def test_beside_a_busy_loop_on_every_core_the_champion_is_the_same(tmp_path: Path, trainings: int) -> None:
    use_case = toy(candidates={**CANDIDATES, "forest": FOREST}, split={"by": "random"}, folds=2)
    data = built(Lake(tmp_path, "toy"), use_case, purchases(300))
    _, judged = trained(use_case, data, tmp_path / "alone")
    scores = judged.scores
    speeds = {score.name: score.rows_per_second for score in scores}
    # well between both: only the faster one may serve, and on any clock a busy machine makes it the slower one
    asked = (speeds["forest"] * speeds["linear"]) ** 0.5
    gated = toy(
        candidates={**CANDIDATES, "forest": FOREST}, split={"by": "random"}, folds=2, gate={"rows_per_second": asked}
    )
    alone = decide(gated.training, gated.scale, scores, Choice(("forest", "linear")), None)
    assert alone.winner == "linear"
    with busy_machine():
        for number in range(trainings):
            again, busy = trained(gated, data, tmp_path / f"busy {number}")
            assert again.winner == "linear", again.reason
            assert metrics(busy.scores) == metrics(scores)
