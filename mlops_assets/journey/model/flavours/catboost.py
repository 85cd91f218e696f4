"""CatBoost: gradient-boosted symmetric trees, stored as cbm, its own form for models: https://catboost.ai/."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np

from mlops_assets.journey.model.flavours.catboost_trees import check_model, cleared
from mlops_assets.journey.model.flavours.flavour import Flavour, Shape, Taken, of_classes
from mlops_assets.journey.model.structure.parts import Malformed

NAMES = ("CatBoostClassifier", "CatBoostRegressor")

CLASSIFIERS = ("Logloss", "CrossEntropy", "MultiClass")
LINKS = {
    **dict.fromkeys(("RMSE", "MAE", "Quantile", "Huber", "MAPE", "LogCosh", "Lq", "Expectile"), "identity"),
    **dict.fromkeys(("Poisson", "Tweedie"), "exponential"),
}
"""What a model may have been fitted to; of a regressor, also what makes its answer of the sum over its trees."""

PLAIN = {"thread_count": 1, "random_seed": 0, "logging_level": "Silent", "allow_writing_files": False}


class CatBoost(Flavour):
    """Boosted trees of CatBoost."""

    name, suffix, module, distributions = "catboost", "cbm", "catboost", ("catboost",)
    owns = tuple(f"catboost.core.{name}" for name in NAMES)
    defaults: ClassVar = {f"catboost.{name}": PLAIN for name in NAMES}
    largest = 256 << 20

    def save(self, estimator: Any) -> tuple[bytes, Shape]:
        """The trees alone: what CatBoost keeps beside them has a date, and another id for every fit."""
        loss = str(estimator.get_all_params()["loss_function"]).partition(":")[0]
        if estimator._estimator_type != "classifier":
            shape = Shape("regressor", estimator.n_features_in_, None, {"link": LINKS.get(loss, loss)})
        elif loss in CLASSIFIERS:
            shape = Shape("classifier", estimator.n_features_in_, np.asarray(estimator.classes_))
        else:
            raise Malformed(f"it was fitted to {loss}; stored are {', '.join(CLASSIFIERS)}")
        with TemporaryDirectory() as folder:
            file = Path(folder) / "model.cbm"
            estimator.save_model(str(file), format="cbm")
            copy = self.library().CatBoost()
            copy.load_model(str(file), format="cbm")
            told = copy.get_metadata()
            for key in list(told):
                del told[key]
            copy.save_model(str(file), format="cbm")
            content = file.read_bytes()
        self.check(content, shape)
        return content, shape

    def check(self, content: bytes, shape: Shape) -> None:
        """See that every tree is one, and made for these columns and classes."""
        links = {"link": "identity"}, {"link": "exponential"}
        if shape.facts not in (links if shape.kind == "regressor" else ({},)):
            raise Malformed(f"what it says is made by {shape.facts!r:.80}, which is not known here")
        check_model(content, shape)

    def logged_file(self, told: Mapping[str, Any]) -> str:
        """The file of `mlflow.catboost.log_model`."""
        if told.get("save_format") != "cbm":
            raise ValueError(f"it is stored as {told.get('save_format')!a:.80}; log it with format='cbm'")
        return str(told.get("data"))

    def taken(self, content: bytes, told: Mapping[str, Any], features: int) -> Taken:
        """The trees alone, and the labels that stand beside them."""
        if told.get("model_type") not in NAMES:
            raise ValueError(f"it is a {told.get('model_type')!a:.80}; taken are {', '.join(NAMES)}")
        said = cleared(content)
        shape = of_classes(said.classes, features)
        if told["model_type"] != NAMES[0]:
            shape = Shape("regressor", features, None, {"link": LINKS.get(said.loss, said.loss)})
        self.check(said.content, shape)
        return Taken(said.content, shape, said.labels)

    def load(self, content: bytes, shape: Shape) -> Model:
        """The model."""
        library = self.library()
        model = library.CatBoost()
        model.load_model(blob=content)
        # cleared of its parameters, it would say to standard error what it takes itself for
        loss = ("Logloss" if shape.outputs == 2 else "MultiClass") if shape.kind == "classifier" else "RMSE"
        model.get_metadata()["params"] = json.dumps({"loss_function": {"type": loss, "params": {}}})
        return Model(library, model, shape)


class Model:
    """A model of CatBoost that can be asked.

    Parameters
    ----------
    library
        CatBoost.
    model
        What it loaded.
    shape
        What it takes and says.
    """

    def __init__(self, library: Any, model: Any, shape: Shape) -> None:
        self._library, self._model, self._shape = library, model, shape

    def predict(self, matrix: Any) -> np.ndarray:
        """What it says of some rows."""
        said = self._model.predict(_dense(matrix), prediction_type="RawFormulaVal", thread_count=1)
        raw = np.asarray(said, np.float64)
        if self._shape.kind == "regressor":
            return np.exp(raw) if self._shape.facts["link"] == "exponential" else raw
        if raw.ndim == 1:
            raw = np.column_stack([np.zeros(len(raw)), raw])
        odds = np.exp(raw - raw.max(axis=1, keepdims=True))
        probabilities: np.ndarray = odds / odds.sum(axis=1, keepdims=True)
        return probabilities

    def contributions(self, matrix: Any) -> np.ndarray:
        """TreeSHAP: how much of the sum over all trees each column brings, in logarithms of odds."""
        rows = self._library.Pool(_dense(matrix), thread_count=1)
        model, (scale, bias) = self._model, self._model.get_scale_and_bias()
        # it explains no model whose sum was scaled afterwards, and of such a sum each part is scaled alike
        if scale != 1:
            model = model.copy()
            model.set_scale_and_bias(1.0, bias)
        said = model.get_feature_importance(rows, type="ShapValues", thread_count=1)
        brought: np.ndarray = np.asarray(said, np.float64) * scale
        return brought.reshape(len(brought), -1, self._shape.features + 1)[:, :, :-1]


def _dense(matrix: Any) -> np.ndarray:
    # of a sparse matrix it takes what is not stored for 0, as everywhere but in XGBoost
    return np.ascontiguousarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)
