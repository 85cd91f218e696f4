"""Rows that a model has never seen the like of, under one that learned from drawn ones: red, and not published."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mlops_assets import running
from mlops_assets.monitoring.kept import read_verdict
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.use_case import Drift, load_use_case
from mlops_assets_tests.helpers.stage import Stage

pytestmark = pytest.mark.long
"""The same with an emptied column, of a use case that costs little, is in the suite: `components/test_drift`."""

REAL = Path(__file__).parents[3] / "shared" / "data" / "santander" / "unlabelled_250_rows.csv"
LEARNED, REAL_DAY = "2026-01-01", "2026-01-02"
VARIABLES = [f"var_{number}" for number in range(200)]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A model that learned from a day of drawn rows; red days are kept back."""
    whole = load_use_case(OWN_USE_CASES / "santander")
    candidates = {name: whole.training.candidates[name] for name in ("majority", "bayes")}
    training = whole.training.model_copy(update={"candidates": candidates})
    use_case = whole.model_copy(update={"training": training, "drift": Drift(stop=True)})
    with Stage.of(use_case, tmp_path_factory.mktemp("drawn") / "home") as stage:
        stage.sample(LEARNED, files=1, rows=2_000)
        stage.run(LEARNED, train=True)
        yield stage


def made_rows() -> list[list[str]]:
    """As many rows as the real ones, around other means than the drawn ones."""
    values = np.random.default_rng(1).normal(30, 10, (250, len(VARIABLES)))
    return [[f"made_{number}", *(f"{value:.4f}" for value in row)] for number, row in enumerate(values)]


def real_rows() -> list[list[str]]:
    if not REAL.exists():
        pytest.skip("the real rows are not there")
    with REAL.open(newline="") as lines:
        return [[row["ID_code"], *(row[name] for name in VARIABLES)] for row in csv.DictReader(lines)]


@pytest.mark.parametrize("rows", [made_rows, real_rows])
def test_a_day_of_other_rows_is_red_and_not_published(rows: object, drawn: Stage, tmp_path: Path) -> None:
    lines = [[row[0], "", *row[1:]] for row in rows()]  # type: ignore[operator]
    with drawn.copy(tmp_path / "home") as stage:
        stage.folder(REAL_DAY).mkdir(parents=True)
        with (stage.folder(REAL_DAY) / "customers.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["ID_code", "target", *VARIABLES], *lines])
        with pytest.raises(running.RunFailed, match=f"not published: {REAL_DAY}") as failed:
            stage.run(REAL_DAY)
        assert REAL_DAY not in stage.table("predictions").days()
        with stage.stores() as stores:
            kept = read_verdict(stores.use_case, stores.lake, REAL_DAY)
            assert stores.lake.verdict(REAL_DAY).stat().st_size < 150_000
    assert kept is not None
    red = {lamp.name for lamp in kept.verdict.red_lamps}
    assert sum(name.startswith("rows.var_") for name in red) > 100
    assert {"class_mix"} <= red
    assert kept.verdict.red_lamps[0].sentence in str(failed.value), "what is told of the run says what is red"
