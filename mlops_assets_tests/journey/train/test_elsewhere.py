"""A model that was logged in a notebook goes through the same gate as a trained one, or is refused with the way out."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlops_assets import notebook, running
from mlops_assets.cli import cli
from mlops_assets.encoders import OnFrame
from mlops_assets.errors import ConfigError, MlopsError, ModelRefused, UsageError
from mlops_assets.journey.features.sql import describe
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.score.profile.reference import read_reference
from mlops_assets.journey.train.contest import hold_contest
from mlops_assets.journey.train.external import as_model, read_logged
from mlops_assets.journey.train.records import Evaluation
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import UseCase, find_use_case
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.asked_api import Api
from mlops_assets_tests.helpers.homes import give_stores
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.visits import place_visits

DAYS = ("2026-01-01", "2026-01-02")
LABELS = ("no", "yes")
X = pd.DataFrame({"minutes": [1.0, 2.0, 3.0, 4.0], "channel": ["web", "shop", "", "web"]})
Y = pd.Series(["no", "no", "yes", "yes"])


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home in which the use case `visits` was trained on two sample days and predicted them."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLOPS_RAW", "MLOPS_LAKE", "MLFLOW_TRACKING_URI", "DAGSTER_HOME", "USE_CASE"):
            patch.delenv(name, raising=False)
        patch.setenv("MLOPS_HOME", str(home))
        patch.setenv("MLOPS_WORKERS", "1")
        patch.setenv("MLOPS_USER", "ann")
        patch.setenv("MLOPS_USE_CASES", str(place_visits(home / "cases")))
        found = Settings.from_environment()
        case = find_use_case(found.use_cases, "visits")
        for day in DAYS:
            list(write_sample(case, found.raw, dt.date.fromisoformat(day), 2, 60, 0.0, seed=7))
        give_stores(home, "mlflow")
        with dg.DagsterInstance.ephemeral() as instance:
            running.run_use_case(running.load_definitions(case), instance, case, DAYS, train=True)
        yield found
        mlflow.set_tracking_uri(None)


@pytest.fixture
def visits(settings: Settings) -> UseCase:
    return find_use_case(settings.use_cases, "visits")


@pytest.fixture(scope="module")
def own(settings: Settings) -> tuple[Any, str]:
    """A model fitted on the training set in the way of a notebook, and its address in MLflow."""
    data = notebook.load_training_set("visits")
    model = classifier().fit(data.train.X, data.train.y)
    return model, notebook.log_model("visits", model, data, C=3)


def classifier() -> Any:
    """A pipeline of somebody's."""
    prepare = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["channel"]), (StandardScaler(), ["minutes"])
    )
    return make_pipeline(prepare, LogisticRegression(C=3))


def run(*arguments: str) -> Result:
    log = logging.getLogger("mlops_assets")
    try:
        return CliRunner().invoke(cli, [*arguments])
    finally:
        log.handlers.clear()  # the command shows progress where its errors went
        log.propagate = True


def test_a_training_set_is_found_by_its_fingerprint(settings: Settings, visits: UseCase) -> None:
    newest = notebook.load_training_set("visits")
    # of an export with one input for all columns, nobody could tell that they are in another order
    assert list(newest.train.X) == list(describe(visits).model) == ["minutes", "channel"]
    data = notebook.load_training_set("visits", newest.fingerprint[:8])
    assert data.fingerprint == newest.fingerprint
    assert set(data.train.X.columns) == {"minutes", "channel"}
    assert (data.train.X.dtypes["minutes"], data.train.X.dtypes["channel"]) == (np.float64, object)
    assert len(data.train.X) == len(data.train.y) == len(data.train.keys) > len(data.held_out.y) > 20
    assert set(data.train.y) == set(data.classes) == set(LABELS)
    assert set(data.train.keys["account"]).isdisjoint(data.held_out.keys["account"])
    with pytest.raises(UsageError, match=f"visits has no training set 0xyz; there are: {newest.fingerprint}"):
        notebook.load_training_set("visits", "0xyz")


def test_a_logged_model_becomes_a_version_that_scores_as_it_did_in_the_notebook(
    settings: Settings, visits: UseCase, own: tuple[Any, str]
) -> None:
    model, uri = own
    done = run("register", "visits", uri)
    assert done.exit_code == 0, done.output
    assert f"{uri} is version 2 of visits: {uri} passes: accuracy" in done.output
    assert "Against the champion of before, version 1, on 2026-01-02:" in done.output
    assert "It is champion of visits now." in done.output
    registry = Registry(settings)
    version = registry.version("visits", 2)
    details = version.details()
    data = notebook.load_training_set("visits")
    assert details.origin == {
        "model": uri,
        "run": uri.split("/")[1],
        "training set it says": data.fingerprint,
        "registered by": "ann",
    }
    right = float((model.predict(data.held_out.X) == data.held_out.y).mean())
    assert details.metrics["accuracy"] == pytest.approx(right, abs=1e-4)
    assert read_reference(version) is not None, "its days are watched as those of any version"
    assert {"diff.json", "diff.html", "card.md", "card.html"} <= {path.name for path in version.folder.iterdir()}
    with dg.DagsterInstance.ephemeral() as instance:
        running.run_use_case(running.load_definitions(visits), instance, visits, (DAYS[0], DAYS[0]), train=False)
    lake = Lake(settings.lake, "visits")
    said = lake.table("predictions").read_all([DAYS[0]]).to_pandas()
    rows = lake.table("rows").read_all([DAYS[0]]).to_pandas()
    frame = rows[["minutes", "channel"]].astype({"minutes": float, "channel": object})
    assert said["model_version"].unique().tolist() == [2]
    assert said["prediction"].tolist() == model.predict(frame.fillna({"channel": ""})).tolist()
    why = run("why", "visits", "--day", DAYS[0], "--file", said["file"][0], "--line", "1")
    assert why.exit_code == 0, why.output


def test_an_onnx_file_goes_the_same_way_without_pickle_or_mlflow(
    settings: Settings, visits: UseCase, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    exported = subprocess.run(
        [sys.executable, "-W", "ignore", ROOT / "examples" / "export_onnx.py", "visits", tmp_path / "m.onnx"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert exported.returncode == 0, exported.stderr
    before = Registry(settings).champion("visits")
    try:
        done = run("register", "visits", str(tmp_path / "m.onnx"))
        assert done.exit_code == 0, done.output
        assert "m.onnx is version " in done.output
        number = int(done.output.split("is version ")[1].split(" ")[0])
        details = Registry(settings).version("visits", number).details()
        data = notebook.load_training_set("visits")
        assert details.origin == {"model": "m.onnx", "training set it says": data.fingerprint, "registered by": "ann"}
        session = onnxruntime.InferenceSession((tmp_path / "m.onnx").read_bytes())
        given = {name: data.held_out.X[[name]].to_numpy() for name in data.held_out.X}
        said = session.run(["label"], {**given, "minutes": given["minutes"].astype(np.float32)})[0]
        right = float((said == data.held_out.y.to_numpy()).mean())
        assert details.metrics["accuracy"] == pytest.approx(right, abs=1e-4)
        assert run("register", "visits", str(tmp_path / "m.onnx")).output.count(
            f"m.onnx is version {number} of visits already"
        )
        with dg.DagsterInstance.ephemeral() as instance:
            running.run_use_case(running.load_definitions(visits), instance, visits, (DAYS[1], DAYS[1]), train=False)
        published = Lake(settings.lake, "visits").table("predictions").read_all([DAYS[1]]).to_pandas()
        assert published["model_version"].unique().tolist() == [number]
        why = run("why", "visits", "--day", DAYS[1], "--file", published["file"][0], "--line", "1")
        assert why.exit_code == 0, why.output
    finally:
        assert before is not None
        run("promote", "visits", str(before.version), "--why", "as before")


def test_a_model_that_is_registered_twice_stays_the_version_that_it_is(
    settings: Settings, own: tuple[Any, str]
) -> None:
    before = Registry(settings).known("visits")
    done = run("register", "visits", own[1])
    assert done.exit_code == 0, done.output
    assert f"{own[1]} is version 2 of visits already: {own[1]} passes: accuracy" in done.output
    assert Registry(settings).known("visits") == before


def test_its_card_says_where_it_came_from_and_it_cannot_be_made_again(
    settings: Settings, visits: UseCase, own: tuple[Any, str]
) -> None:
    registry = Registry(settings)
    number = next(n for n, one in registry.known("visits").items() if one.candidate == own[1])
    text = run("card", "visits", str(number)).output
    assert "It was made elsewhere, and how cannot be seen from here." in text
    assert "mlops-assets rebuild" not in text
    assert "It is not calibrated here" in text
    assert f"champion: version {number}, {own[1]}, made elsewhere\n" in run("status", "visits").output
    api = Api.of(Workspace(settings), visits)
    page = api.get(f"/pages/visits/models/{number}").text
    assert "of which nobody here knows whether it learned from them" in page
    assert "not known: made elsewhere" in api.get("/pages/visits/models/diff", before=1, after=number).text
    done = run("rebuild", "visits", str(number))
    assert isinstance(done.exception, MlopsError)
    assert f"was made elsewhere, from {own[1]}" in str(done.exception)


def test_a_model_that_learned_nothing_is_a_version_that_the_gate_refused(settings: Settings) -> None:
    data = notebook.load_training_set("visits")
    shuffled = data.train.y.sample(frac=1, random_state=0).reset_index(drop=True)
    uri = notebook.log_model("visits", classifier().fit(data.train.X, shuffled), data)
    before = Registry(settings).champion("visits")
    done = run("register", "visits", uri)
    assert done.exit_code == 0
    assert "refused: the best candidate" in done.output
    assert "It is not champion." in done.output
    after = Registry(settings).champion("visits")
    assert before is not None
    assert after is not None
    assert before.version == after.version


def test_where_promotion_is_by_hand_it_waits(settings: Settings, own: tuple[Any, str]) -> None:
    path = settings.use_cases[1] / "visits" / "defs.yaml"
    text = path.read_text()
    path.write_text(text.replace("  training:\n", "  training:\n    promotion: manual\n"))
    try:
        done = run("register", "visits", own[1])
    finally:
        path.write_text(text)
    assert "It is not champion: promotion is by hand. `mlops-assets promote visits" in done.output


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/nobody/1", "MLflow's store has no such model"),
        ("runs:/0123/model", "MLflow's store has no such model"),
        ("models:/name", "name the model as MLflow does"),
        ("/tmp/model", "name the model as MLflow does"),
    ],
)
def test_an_address_without_a_model_is_wrong_usage(settings: Settings, uri: str, message: str) -> None:
    done = run("register", "visits", uri)
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)


def test_without_a_training_there_is_nothing_to_judge_by(settings: Settings, own: tuple[Any, str]) -> None:
    done = run("register", "loan_approval", own[1])
    assert isinstance(done.exception, UsageError)
    assert "loan_approval was never trained" in str(done.exception)


def saved(folder: Path, model: Any = None, inputs: pd.DataFrame = X, labels: Any = Y, **options: Any) -> Path:
    """A model in a folder as MLflow writes it."""
    fitted = model if model is not None else classifier().fit(X, labels)
    given = {"signature": infer_signature(inputs, labels), "skops_trusted_types": notebook.TRUSTED_TYPES, **options}
    mlflow.sklearn.save_model(fitted, folder, pip_requirements=[], **given)
    return folder


def described(folder: Path, **changes: Any) -> Path:
    """A model whose description was changed."""
    path = folder / "MLmodel"
    known = yaml.safe_load(path.read_text())
    known["flavors"]["sklearn"] |= changes
    path.write_text(yaml.safe_dump(known))
    return folder


def take(use_case: UseCase, folder: Path) -> Any:
    return as_model(use_case, read_logged("runs:/1/model", folder), LABELS)


def test_classes_are_compared_as_labels_are_written(visits: UseCase, tmp_path: Path) -> None:
    model = as_model(visits, read_logged("runs:/1/model", saved(tmp_path / "m", labels=pd.Series([0, 0, 1, 1]))), "01")
    assert model.classes == ("0", "1")
    assert isinstance(model.estimator, OnFrame)
    assert model.estimator.classes_.tolist() == [0, 1]


def test_a_model_that_does_not_fit_the_contract_is_refused_with_what_differs(visits: UseCase, tmp_path: Path) -> None:
    wrong = {
        "no signature that names its columns": {"signature": None},
        "makes no column 'Minutes', 'age'; it makes minutes, channel": {
            "inputs": X.rename(columns={"minutes": "Minutes"}).assign(age=1.0)
        },
        "'channel' is text and the model takes double; 'minutes' is a number and the model takes string": {
            "inputs": X.rename(columns={"minutes": "channel", "channel": "minutes"})
        },
        "classes that are no labels of visits: maybe; labels are no, yes": {
            "labels": pd.Series(["no", "maybe", "yes", "yes"])
        },
    }
    for number, (message, options) in enumerate(wrong.items()):
        with pytest.raises(ModelRefused, match=message):
            take(visits, saved(tmp_path / str(number), **options))


@pytest.mark.parametrize("form", ["cloudpickle", "pickle"])
def test_a_pickle_is_refused_and_never_loaded(visits: UseCase, tmp_path: Path, form: str) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    folder = described(saved(tmp_path / "m"), serialization_format=form, pickled_model="model.pkl")
    (folder / "model.pkl").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(
        ModelRefused, match=rf'stored as {form}.*Here only skops is taken: .*serialization_format="skops"'
    ):
        take(visits, folder)
    described(folder, serialization_format="skops")
    with pytest.raises(ModelRefused, match="it cannot be loaded"):
        take(visits, folder)
    assert not (tmp_path / "ran").exists()


def test_a_pyfunc_is_refused(visits: UseCase, tmp_path: Path) -> None:
    folder = saved(tmp_path / "m")
    known = yaml.safe_load((folder / "MLmodel").read_text())
    del known["flavors"]["sklearn"]
    (folder / "MLmodel").write_text(yaml.safe_dump(known))
    with pytest.raises(ModelRefused, match="its flavours, python_function, run code of their own"):
        take(visits, folder)


def test_a_type_that_nobody_trusts_is_refused_until_the_use_case_names_it(visits: UseCase, tmp_path: Path) -> None:
    types = ["sklearn.neighbors._kd_tree.KDTree", "sklearn.metrics._dist_metrics.EuclideanDistance64"]
    near = make_pipeline(
        make_column_transformer((StandardScaler(), ["minutes"])), KNeighborsClassifier(1, algorithm="kd_tree")
    )
    near.fit(X[["minutes"]], Y)
    folder = saved(tmp_path / "m", near, X[["minutes"]], skops_trusted_types=[*notebook.TRUSTED_TYPES, *types])
    with pytest.raises(ModelRefused, match=r"add them to `training\.trusted` of visits"):
        take(visits, folder)
    trusting = visits.model_copy(update={"training": visits.training.model_copy(update={"trusted": tuple(types)})})
    assert list(take(trusting, folder).columns) == ["minutes"]


def test_a_model_without_probabilities_is_refused(visits: UseCase, tmp_path: Path) -> None:
    ridge = make_pipeline(make_column_transformer((StandardScaler(), ["minutes"])), Ridge()).fit(
        X, [1.0, 2.0, 3.0, 4.0]
    )
    with pytest.raises(ModelRefused, match="no classifier that gives probabilities"):
        take(visits, saved(tmp_path / "m", ridge))


def test_what_lies_elsewhere_is_not_read(visits: UseCase, tmp_path: Path) -> None:
    folder = saved(tmp_path / "m")
    with pytest.raises(ModelRefused, match="which is not beside it"):
        take(visits, described(folder, pickled_model="../other/model.skops"))
    (folder / "link.skops").symlink_to(folder / "model.skops")
    with pytest.raises(ModelRefused, match="it is a link"):
        take(visits, described(folder, pickled_model="link.skops"))
    (folder / "MLmodel").write_text("flavors: [")
    with pytest.raises(ModelRefused, match="its file MLmodel cannot be read"):
        take(visits, folder)
    (folder / "MLmodel").unlink()
    with pytest.raises(ModelRefused, match="MLmodel: cannot be read"):
        take(visits, folder)


LAUGHS = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in pairwise("abcdefghijklmnopqrstuvwxyz"))
MERGES = "a: &a {k: v}\n" + "".join(
    f"{b}: &{b} {{<<: [*{a}, *{a}]}}\n" for a, b in pairwise("abcdefghijklmnopqrstuvwxyz")
)


@pytest.mark.parametrize(
    ("description", "said"),
    [
        (f"{LAUGHS}flavors: {{sklearn: {{serialization_format: *z}}}}", "refers from one part to another"),
        (f"{MERGES}flavors: {{sklearn: {{}}}}", "refers from one part to another"),
        ("flavors: " + "[" * 10_000, "cannot be read"),
        ("flavors: {sklearn: {x: " + "[" * 100 + "]" * 100 + "}}", "nested more than 50 deep"),
        ("flavors: {x: 2026-99-99}", "cannot be read"),
        ("flavors: {x: " + "9" * 5_000 + "}", "cannot be read"),
        ("flavors: {[1]: 2}", "cannot be read"),
        ("flavors: {x: !!python/object/apply:os.system [exit]}", "cannot be read"),
        ("flavors: {1: 2}", "run code of their own"),
        ("flavors: {sklearn: {serialization_format: [skops]}}", "it is stored as None"),
        ("flavors: {sklearn: {serialization_format: skops, pickled_model: [m]}}", "which is not beside it"),
    ],
    ids=[
        *("references", "merged references", "deep", "rather deep", "a day that is none", "a huge number"),
        *("a list as a key", "a call", "a number as a flavour", "a list as a format", "a list as a file"),
    ],
)
def test_a_description_that_mlflow_did_not_write_is_refused(
    visits: UseCase, tmp_path: Path, description: str, said: str
) -> None:
    folder = saved(tmp_path / "m")
    signature = yaml.safe_dump({"signature": yaml.safe_load((folder / "MLmodel").read_text())["signature"]})
    (folder / "MLmodel").write_text(f"{signature}\n{description}")
    with pytest.raises(ModelRefused, match=said):
        take(visits, folder)


@pytest.mark.parametrize("inputs", [5, "[", "[" * 100_000, "{}", ["minutes"], '[{"name": 1}]', '["minutes"]'])
def test_a_signature_that_is_none_is_refused(visits: UseCase, tmp_path: Path, inputs: Any) -> None:
    folder = saved(tmp_path / "m")
    known = yaml.safe_load((folder / "MLmodel").read_text())
    (folder / "MLmodel").write_text(yaml.safe_dump({**known, "signature": {"inputs": inputs}}))
    with pytest.raises(ModelRefused, match="no signature that names its columns"):
        take(visits, folder)


def test_a_training_set_that_a_run_says_it_learned_from_leads_nowhere_else(
    settings: Settings, visits: UseCase, own: tuple[Any, str]
) -> None:
    stores = Workspace(settings).of(visits)
    newest = stores.runs.newest(Evaluation)
    assert newest is not None
    contest = hold_contest(visits, stores.registry, stores.lake, newest.training_set, {}, "../../../secret")
    assert contest is not None
    assert "'../../../secret' is no fingerprint of a training set" in contest.problem


NOTEBOOKS = ROOT / "notebooks"
SHOWS = {
    "own_model": ["rows to learn from", "get another answer"],
    "candidates": ["get another answer"],  # own_model made a second version
    "data": ["rows"],
    "features": ["CREATE VIEW model_input"],
    "errors": ["rows are right", "the label is"],
    "drift": ["threshold"],
}
"""What a run of each notebook prints, in the order in which they are run."""


def test_a_run_of_every_notebook_is_looked_at() -> None:
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == {*SHOWS}


@pytest.mark.parametrize("name", SHOWS)
def test_the_code_of_a_notebook_runs_from_its_first_cell_to_its_last(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """A small version of the next one: without Jupyter, whose start takes most of the time."""
    monkeypatch.setenv("USE_CASE", "visits")
    book, names = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text()), {"__name__": "__main__"}
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    shown = capsys.readouterr().out
    assert [text for text in SHOWS[name] if text not in shown] == []
    if name == "own_model":
        *_, newest = Registry(settings).known("visits").values()
        assert newest.candidate.startswith("runs:/")


def test_frames_of_polars_hold_what_those_of_pandas_hold(settings: Settings) -> None:
    for load in (
        *(partial(notebook.load_day, "visits", what) for what in ("rows", "features", "predictions", "judged")),
        *(partial(one, "visits") for one in (notebook.load_days, notebook.load_profile, notebook.load_drift)),
        *(partial(one, "visits") for one in (notebook.load_training_rows, notebook.load_training_sets)),
        *(partial(one, "visits") for one in (notebook.load_candidates, notebook.load_versions)),
    ):
        pandas, polars = load(), load(frame="polars")
        assert list(pandas) == polars.columns
        assert len(pandas) == len(polars) > 0
    judged = notebook.load_day("visits", "judged", DAYS[0])
    rows = notebook.load_day("visits", "rows", DAYS[0])
    assert judged["label"].tolist() == rows["returned"].tolist()
    assert judged["right"].tolist() == (judged["prediction"] == judged["label"]).tolist()


def test_sql_is_tried_on_a_day_without_the_label_and_what_is_wrong_with_it_is_told(settings: Settings) -> None:
    tried = "CREATE VIEW model_input AS SELECT file, line, 2 * minutes AS twice FROM rows"
    features, rows = (notebook.load_day("visits", what, sql=sql) for what, sql in (("features", tried), ("rows", None)))
    assert list(features) == ["day", "file", "line", "twice"]
    assert features["twice"].fillna(-1).tolist() == (2 * rows["minutes"]).fillna(-1).tolist()
    for sql, said in (
        (tried.replace("minutes", "returned"), "returned"),  # the label is not among the columns
        (tried.replace("file, ", ""), "must have the column `file`"),
        (tried + " WHERE line > 3", "lost"),
        ("COPY rows TO 'rows.csv'", "features.sql"),
        ("", "features.sql"),
    ):
        with pytest.raises(ConfigError, match=said):
            notebook.load_day("visits", "features", sql=sql)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (partial(notebook.load_day, "visit", "rows"), "There is no use case 'visit'; there are: .*visits"),
        (partial(notebook.load_day, "visits", "row"), "say 'features' or one of 'rows', 'predictions', 'judged'"),
        (
            partial(notebook.load_day, "visits", "rows", "2019-01-01"),
            r"rows of 2019-01-01 are not published .*: 20\d\d-",
        ),
        (partial(notebook.load_day, "visits", "rows", "2026-01-01T05"), "is no day; write it like"),
        (partial(notebook.load_day, "visits", "rows", sql="x"), "sql= is for 'features'"),
        (partial(notebook.load_day, "visits", "rows", shards=0), "at least one is read"),
        (partial(notebook.load_day, "visits", "rows", shards="2"), "shards='2': expected a whole number"),
        (partial(notebook.load_day, "visits", "features", sql=Path("gone.sql")), "gone.sql: .* No such file"),
        (partial(notebook.why, "visits", DAYS[0], "a.csv", "first"), "line='first': expected a whole number"),
        (partial(notebook.diff, "visits", candidate="2"), "a version='2': expected a whole number"),
        (partial(notebook.load_day, "visits", "rows", frame="dask"), "say 'pandas' or 'polars'"),
        (partial(notebook.load_drift, "visits", against="sunday"), "is none of training"),
        (partial(notebook.diff, "visits", candidate=99), "There is no version 99"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(settings: Settings, asked: Callable[[], object], said: str) -> None:
    with pytest.raises(MlopsError, match=said):
        asked()


def test_a_champion_is_compared_with_another_version_that_is_named(settings: Settings) -> None:
    champion = Registry(settings).champion("visits")
    assert champion is not None
    with pytest.raises(MlopsError, match=f"Version {champion.version} is the champion, and would be compared with its"):
        notebook.diff("visits", candidate=champion.version)


def test_a_moment_of_pandas_is_its_day_and_a_version_may_be_compared_with_itself_if_both_are_named(
    settings: Settings,
) -> None:
    """Which shows that answers repeat."""
    rows = notebook.load_day("visits", "rows", pd.Timestamp(DAYS[0]))
    assert set(rows["day"]) == {DAYS[0]}
    assert notebook.diff("visits", DAYS[0], candidate=1, against=1).sentence.startswith("0 of ")


def test_a_column_of_the_sql_with_the_name_of_a_key_hides_no_key(settings: Settings) -> None:
    tried = "CREATE VIEW model_input AS SELECT file, line, minutes AS day FROM rows"
    features = notebook.load_day("visits", "features", DAYS[0], sql=tried)
    assert list(features) == ["_day", "file", "line", "day"]
    assert set(features["_day"]) == {DAYS[0]}


@pytest.mark.long
@pytest.mark.parametrize("name", SHOWS)
def test_a_notebook_runs_in_jupyter(settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Jupyter's own
        import nbformat
        from nbclient import NotebookClient

        book = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        monkeypatch.setenv("USE_CASE", "visits")
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
        loop = asyncio.new_event_loop()
        try:
            client = NotebookClient(book, timeout=120, kernel_name="python3")
            loop.run_until_complete(client.async_execute())
        finally:
            loop.close()
    shown = [out.get("text") or str(out["data"]) for cell in book.cells for out in cell.get("outputs", [])]
    assert [text for text in SHOWS[name] if text not in "".join(shown)] == []
