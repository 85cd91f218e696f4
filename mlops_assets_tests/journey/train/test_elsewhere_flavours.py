"""A boosted model that was logged by MLflow's flavour of its library is taken without its library reading a byte of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.models import infer_signature

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.task import Numbers
from mlops_assets.journey.train.external import as_model, read_logged
from mlops_assets.plugins import import_object
from mlops_assets.use_case import UseCase, find_use_case
from mlops_assets_tests.helpers.visits import place_visits

LABELS = ("no", "yes")
X = pd.DataFrame({"minutes": np.arange(80, dtype=float)})
Y = (X["minutes"] > 40).astype(int)
X.loc[::9, "minutes"] = np.nan
XGB: dict[str, Any] = {"n_estimators": 4, "max_depth": 2, "n_jobs": 1}
CALM = {"iterations": 4, "logging_level": "Silent", "allow_writing_files": False}


@pytest.fixture
def visits(tmp_path: Path) -> UseCase:
    return find_use_case([place_visits(tmp_path / "cases")], "visits")


def logged(folder: Path, flavour: str, model: Any, **told: Any) -> Path:
    """A model as `mlflow.<flavour>.log_model` stores it."""
    save = import_object(f"mlflow.{flavour}.save_model")
    save(model, str(folder), signature=infer_signature(X), pip_requirements=[], **told)
    return folder


def described(folder: Path, **changes: Any) -> Path:
    path = folder / "MLmodel"
    known = yaml.safe_load(path.read_text())
    for name, value in changes.items():
        if name in known["flavors"]:
            known["flavors"][name] |= value
        else:
            known[name] = value
    path.write_text(yaml.safe_dump(known))
    return folder


def take(visits: UseCase, folder: Path) -> Model:
    return as_model(visits, read_logged("runs:/1/model", folder), LABELS)


def boosted() -> Any:
    return import_object("xgboost.XGBClassifier")(**XGB).fit(X, Y)


CLASSES = {"classes": ["no", "yes"]}


@pytest.mark.parametrize("flavour", ["xgboost", "lightgbm", "catboost"])
def test_it_answers_as_where_it_was_logged(
    flavour: str, visits: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if flavour == "xgboost":
        model = import_object("xgboost.XGBClassifier")(early_stopping_rounds=1, **{**XGB, "n_estimators": 30})
        model.fit(X, Y, eval_set=[(X[:8], 1 - Y[:8])], verbose=False)
        assert len(model.get_booster().get_dump()) > model.best_iteration + 1
        told, logs = model.predict_proba(X), model
    elif flavour == "lightgbm":
        model = import_object("lightgbm.LGBMClassifier")(n_estimators=4, min_child_samples=5, verbosity=-1).fit(X, Y)
        told, logs = model.predict_proba(X), model.booster_
    else:
        logs = import_object("catboost.CatBoostClassifier")(**CALM).fit(X, np.array(LABELS)[Y])
        told = logs.predict_proba(X)
    metadata = {} if flavour == "catboost" else {"metadata": CLASSES}  # that tells its labels itself
    folder = logged(tmp_path / "m", flavour, logs, **metadata)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, flavour, None)
        taken = take(visits, folder)
        sha256 = taken.save(tmp_path / "model")
    again = Model.load(tmp_path / "model", sha256)
    said = again.probabilities(again.matrix(_rows()))
    np.testing.assert_allclose(said, told, atol=2e-7)


def _rows() -> Any:
    import pyarrow as pa

    return pa.table({"minutes": pa.array(X["minutes"], from_pandas=True)})


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, r"labels of visits: 0, 1; labels are no, yes. Log it with metadata=\{'classes'"),
        ({"metadata": {"classes": ["yes"]}}, "it says 2 classes, and tells other labels"),
        ({"metadata": {"classes": ["yes", "yes"]}}, "it says 2 classes, and tells other labels"),
        ({"metadata": {"classes": "no"}}, "tells other labels"),
        ({"metadata": CLASSES, "xgboost": {"model_format": "json"}}, "log it with model_format='ubj'"),
        ({"metadata": CLASSES, "xgboost": {"data": "../model.ubj"}}, "which is not beside it"),
        ({"metadata": CLASSES, "xgboost": {"data": ["model.ubj"]}}, "which is not beside it|cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused(told: dict[str, Any], said: str, visits: UseCase, tmp_path: Path) -> None:
    folder = described(logged(tmp_path / "m", "xgboost", boosted()), **told)
    with pytest.raises(ModelRefused, match=said):
        take(visits, folder)


def test_a_file_that_is_cut_or_a_link_is_refused(visits: UseCase, tmp_path: Path) -> None:
    folder = logged(tmp_path / "m", "xgboost", boosted(), metadata=CLASSES)
    content = (folder / "model.ubj").read_bytes()
    (folder / "model.ubj").write_bytes(content[:-5])
    with pytest.raises(ModelRefused, match=r"model\.ubj: byte .* it says a length"):
        take(visits, folder)
    (folder / "model.ubj").unlink()
    (folder / "model.ubj").symlink_to("/etc/passwd")
    with pytest.raises(ModelRefused, match="it is a link"):
        take(visits, folder)


def test_what_mlflow_pickles_is_refused_with_the_way_out(visits: UseCase, tmp_path: Path) -> None:
    folder = logged(tmp_path / "m", "lightgbm", _booster(), metadata=CLASSES)
    described(folder, lightgbm={"model_class": "lightgbm.sklearn.LGBMClassifier", "data": "model.pkl"})
    with pytest.raises(ModelRefused, match=r"stores as a pickle; log its booster: mlflow\.lightgbm\.log_model"):
        take(visits, folder)


def _booster() -> Any:
    return import_object("lightgbm.LGBMClassifier")(n_estimators=2, verbosity=-1).fit(X, Y).booster_


def test_a_regressor_is_no_classifier(visits: UseCase, tmp_path: Path) -> None:
    for name, one in regressors().items():
        with pytest.raises(ModelRefused, match="it is a regressor, and what is asked for is a classifier"):
            take(visits, logged(tmp_path / name, name, one))


def regressors() -> dict[str, Any]:
    boosted = import_object("lightgbm.LGBMRegressor")(n_estimators=3, min_child_samples=5, verbosity=-1).fit(X, Y)
    return {
        "xgboost": import_object("xgboost.XGBRegressor")(**XGB).fit(X, Y),
        "lightgbm": boosted.booster_,
        "catboost": import_object("catboost.CatBoostRegressor")(**CALM, loss_function="Poisson").fit(X, Y),
    }


def test_a_regressor_is_taken_where_numbers_are_predicted(visits: UseCase, tmp_path: Path) -> None:
    numbers = visits.model_copy(update={"training": visits.training.model_copy(update={"task": "regression"})})
    for name, one in regressors().items():
        model = as_model(numbers, read_logged("runs:/1/model", logged(tmp_path / name, name, one)), ())
        again = Model.load(tmp_path / f"{name} stored", model.save(tmp_path / f"{name} stored"))
        said = again.decide(again.probabilities(again.matrix(_rows())))
        np.testing.assert_allclose(said, one.predict(X), atol=2e-6)
        assert again.task == Numbers()
    with pytest.raises(ModelRefused, match="it is a classifier, and what is asked for is a regressor"):
        as_model(numbers, read_logged("runs:/1/model", logged(tmp_path / "c", "xgboost", boosted())), ())


def test_a_model_takes_numbers(visits: UseCase, tmp_path: Path) -> None:
    folder = logged(tmp_path / "m", "xgboost", boosted(), metadata=CLASSES)
    known = yaml.safe_load((folder / "MLmodel").read_text())
    known["signature"]["inputs"] = '[{"name": "channel", "type": "string"}]'
    (folder / "MLmodel").write_text(yaml.safe_dump(known))
    with pytest.raises(ModelRefused, match="a model of xgboost takes numbers, and 'channel' is text"):
        take(visits, folder)
