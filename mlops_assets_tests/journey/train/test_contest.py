"""The champion beside candidates: only rows that neither has learned count, and where there are too few nobody wins."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.train.candidates import fit_candidates
from mlops_assets.journey.train.contest import Contest, hold_contest
from mlops_assets.journey.train.evaluation import evaluate, judge_elsewhere, load_candidate
from mlops_assets.journey.train.gate import decide
from mlops_assets.journey.train.training_set import CONTENT, ROW, TrainingSet, build_training_set
from mlops_assets.journey.train.versions import make_version
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_part, write_table
from mlops_assets.use_case import UseCase
from mlops_assets_tests.helpers.homes import give_stores
from mlops_assets_tests.helpers.toy import purchases, put, toy

# MLflow's own tables use what SQLAlchemy 2.1 calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

GATE = {"tolerance": {"accuracy": 0.02}, "compared_rows": 40}
EARLY = toy(gate=GATE)
"""Learned by the champion: all but the latest dates."""
LATER = toy(gate=GATE, split={"by": "random", "held_out": 0.5})
"""Learned by the candidates: half of all rows, so that most held-out ones were learned by the champion."""
ROWS = purchases(300)


class Home:
    """A lake and a registry with a champion that was trained on `ROWS`."""

    def __init__(self, home: Path) -> None:
        self.home, self.lake = home, Lake(home / "lake", "toy")
        self.registry = Registry(
            Settings(
                home=home,
                raw=home / "raw",
                lake=home / "lake",
                tracking_uri=f"sqlite:///{home / 'mlflow' / 'mlflow.db'}",
                artifacts=home / "mlflow" / "artifacts",
                use_cases=(),
                workers=1,
            )
        )

    def train(self, use_case: UseCase, origin: dict[str, str] | None = None) -> TrainingSet:
        """Make the candidate `linear` the champion, whatever the gate says."""
        data = build_training_set(use_case, self.lake)
        fitted = fit_candidates(use_case, data, self.home / "candidates")
        judged = evaluate(use_case, data, fitted)
        verdict = decide(use_case.training, use_case.scale, judged.scores, judged.choice, None)
        (linear,) = (one for one in fitted if one.name == "linear")
        (score,) = (one for one in judged.scores if one.name == "linear")
        about = make_version(use_case, data, linear, score, verdict, self.home / "version", origin)
        run = self.registry.client().create_run(self.registry.experiment("toy")).info.run_id
        version = self.registry.register("toy", run, self.home / "version", about)
        self.registry.promote(version, "somebody", "a test")
        return data

    def contest(self, use_case: UseCase, learned: str | None = "its own") -> tuple[Contest, TrainingSet]:
        """The candidate `linear` of today beside the champion."""
        data = build_training_set(use_case, self.lake)
        (_, linear) = fit_candidates(use_case, data, self.home / "candidates")
        _, asked = judge_elsewhere(use_case, data, load_candidate(use_case, linear), "linear")
        mark = data.fingerprint if learned == "its own" else learned
        found = hold_contest(use_case, self.registry, self.lake, data, {"linear": asked}, mark)
        assert found is not None
        return found, data


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a champion."""
    home = tmp_path_factory.mktemp("contest") / "home"
    give_stores(home, "mlflow")
    put(Lake(home / "lake", "toy"), EARLY, ROWS)
    Home(home).train(EARLY)
    return home


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Home:
    """A copy of it; MLflow's store names the artifacts of the first one, which nobody changes."""
    shutil.copytree(trained, tmp_path / "home")
    return Home(tmp_path / "home")


def keys(rows: pa.Table) -> set[tuple[Any, ...]]:
    return {tuple(row.values()) for row in rows.select(ROW).to_pylist()}


def test_rows_that_the_champion_learned_do_not_count(home: Home) -> None:
    found, data = home.contest(LATER)
    rows = data.load()
    before = build_training_set(EARLY, home.lake).load()
    neither = keys(rows.filter(rows["_held_out"])) & keys(before.filter(before["_held_out"]))
    assert found.problem.startswith(f"{len(neither)} of {data.held_out} held-out rows are known to neither, 40 are")
    few = toy(gate={**GATE, "compared_rows": 10}, split={"by": "random", "held_out": 0.5})
    found, _ = home.contest(few)
    assert (found.version, found.rows, found.problem) == (1, len(neither), "")
    assert found.rows < data.held_out / 2
    assert found.champion.keys() == found.candidates["linear"].keys() > {"accuracy"}


def test_copies_of_what_the_champion_learned_do_not_count_wherever_they_lie(home: Home) -> None:
    copies = [{**row, "file": f"again-{row['file']}"} for row in ROWS]
    put(home.lake, LATER, [*copies, *purchases(100, first=300)], "2027-06-01")  # the first day is out of the window
    found, data = home.contest(toy(gate={**GATE, "compared_rows": 10}, split={"by": "random", "held_out": 0.5}))
    assert set(data.load()["_day"].to_pylist()) == {"2027-06-01"}
    held_out = data.load().filter(data.load()["_held_out"])
    new = [name for name in held_out["_file"].to_pylist() if not name.startswith("again-")]
    assert len(new) <= found.rows < len(held_out) / 2


def test_on_rows_that_all_are_new_the_whole_of_them_is_compared(home: Home) -> None:
    found, data = home.contest(EARLY)
    assert (found.rows, found.problem) == (data.held_out, "")
    assert found.champion == found.candidates["linear"], "the same rows make the same model"


def test_where_fewer_rows_are_held_out_than_are_asked_all_of_them_are_enough(home: Home) -> None:
    found, data = home.contest(toy(gate={**GATE, "compared_rows": 10_000}))
    assert (found.rows, found.problem) == (data.held_out, "")


@pytest.mark.parametrize(("fuel", "food"), [(100, 300), (6, 1_200)], ids=["frequent", "rare"])
def test_a_frequent_class_must_be_among_the_rows_and_a_rare_one_is_named(home: Home, fuel: int, food: int) -> None:
    known = [{**row, "file": f"again-{row['file']}"} for row in ROWS[:220] if row["kind"] == "FUEL"][:fuel]
    new = [{**row, "kind": "FOOD"} for row in purchases(food, first=300)]
    put(home.lake, LATER, [*known, *new], "2027-06-01")
    found, _ = home.contest(LATER)
    if fuel > 6:
        assert found.problem.startswith("of the class 'FUEL', 0 of ")
    else:
        assert (found.problem, found.unjudged) == ("", ("FUEL",))


def gone(home: Home) -> tuple[UseCase, str]:
    for path in (home.home / "lake" / "toy" / "training_sets").iterdir():
        path.unlink()
    return LATER, "what champion 1 has learned is not known any more: "


def of_an_earlier_release(home: Home) -> tuple[UseCase, str]:
    (path,) = (home.home / "lake" / "toy" / "training_sets").iterdir()
    rows = read_part(path).drop_columns([CONTENT])
    path.unlink()
    write_table(path, rows)
    return LATER, "an earlier release stored the training set of champion 1"


def other_sql(home: Home) -> tuple[UseCase, str]:
    sql = EARLY.features_sql.replace("amount, city", "amount + 1 AS amount, city")
    return EARLY.model_copy(update={"features_sql": sql}), "features.sql was changed since it was trained"


def from_elsewhere(home: Home) -> tuple[UseCase, str]:
    home.train(EARLY, {"model": "runs:/x/model", "training set it says": ""})
    return LATER, "nobody knows what champion 2 has learned"


@pytest.mark.parametrize("change", [gone, of_an_earlier_release, other_sql, from_elsewhere])
def test_where_it_is_not_known_what_the_champion_learned_nothing_is_compared(
    home: Home, change: Callable[[Home], tuple[UseCase, str]]
) -> None:
    use_case, problem = change(home)
    found, _ = home.contest(use_case)
    assert found.problem.startswith(problem)
    assert not found.lost


def test_a_champion_from_elsewhere_that_says_what_it_learned_is_compared(home: Home) -> None:
    data = home.train(EARLY, {"model": "runs:/x/model"})
    home.train(EARLY, {"model": "runs:/x/model", "training set it says": data.fingerprint})
    assert home.contest(EARLY)[0].problem == ""


def test_a_candidate_of_which_nobody_knows_what_it_learned_is_not_compared(home: Home) -> None:
    assert home.contest(EARLY, learned=None)[0].problem.startswith("nobody knows what the candidate has learned")


def test_a_champion_that_cannot_be_loaded_keeps_nobody_out(home: Home) -> None:
    home.registry.client().set_model_version_tag("toy", "1", "judged_sha256", "0")
    (copy,) = (home.home / "lake" / "toy" / "versions").glob("000001.json")
    copy.unlink()
    found, _ = home.contest(EARLY)
    assert found.lost
    assert replace(found, problem="") == Contest(1, lost=True)


# -- months after the champion's last row -------------------------------------------------------------------------------


@pytest.fixture
def older(home: Home) -> Home:
    """A home whose champion has learned six months, and to which two more have come."""
    put(home.lake, EARLY, purchases(540), "2026-07-01")
    home.train(EARLY)
    put(home.lake, EARLY, purchases(180, first=540), "2026-09-01")
    return home


def replayed(home: Home, use_case: UseCase) -> tuple[Contest, TrainingSet]:
    """The candidate `linear` by its replay beside the champion."""
    data = build_training_set(use_case, home.lake)
    judged = evaluate(use_case, data, fit_candidates(use_case, data, home.home / "again"))
    found = hold_contest(use_case, home.registry, home.lake, data, judged.tested, data.fingerprint)
    assert found is not None
    return found, data


def test_what_serves_is_asked_of_the_months_after_its_last_row_beside_the_replay_of_the_candidate(older: Home) -> None:
    found, data = replayed(older, EARLY)
    later = [date for date in data.load()["_order"].to_pylist() if date > "2026-06-29"]
    assert (found.problem, found.model, found.rows) == ("", "serving", len(later))
    gap = found.differences["linear"]["accuracy"]
    assert gap.value == pytest.approx(found.candidates["linear"]["accuracy"] - found.champion["accuracy"], abs=1e-4)
    assert gap.low <= gap.value <= gap.high


def test_where_too_few_rows_came_after_it_the_judged_models_are_compared(older: Home) -> None:
    found, data = replayed(older, toy(gate={**GATE, "compared_rows": 200}))
    assert (found.problem, found.model) == ("", "judged")
    assert found.rows > 200
    assert found.rows <= data.held_out
