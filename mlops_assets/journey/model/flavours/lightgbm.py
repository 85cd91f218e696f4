"""LightGBM: gradient-boosted trees, stored as text, its own form for models: https://lightgbm.readthedocs.io/."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from mlops_assets.journey.model.flavours.flavour import Flavour, Shape, Taken, of_classes
from mlops_assets.journey.model.flavours.lightgbm_text import check_text, classes_of, trees_alone

NAMES = ("LGBMClassifier", "LGBMRegressor")

PLAIN = {
    "n_jobs": 1,
    "random_state": 0,
    "verbosity": -1,
    # else it tries out at every fit which way is the faster one, and the sums differ by that
    "deterministic": True,
    "force_row_wise": True,
}


class LightGBM(Flavour):
    """Boosted trees and forests of LightGBM."""

    name, suffix, module, distributions = "lightgbm", "txt", "lightgbm", ("lightgbm",)
    owns = tuple(f"lightgbm.sklearn.{name}" for name in NAMES)
    defaults: ClassVar = {f"lightgbm.{name}": PLAIN for name in NAMES}
    largest = 256 << 20

    def save(self, estimator: Any) -> tuple[bytes, Shape]:
        """The trees alone, without what LightGBM writes after them."""
        booster = estimator.booster_
        classes = getattr(estimator, "classes_", None)
        shape = Shape("regressor" if classes is None else "classifier", booster.num_feature(), classes)
        content = trees_alone(booster.model_to_string()).encode()
        self.check(content, shape)
        return content, shape

    def check(self, content: bytes, shape: Shape) -> None:
        """See that every tree is one, and made for these columns and classes."""
        check_text(content, shape)

    def logged_file(self, told: Mapping[str, Any]) -> str:
        """The file of `mlflow.lightgbm.log_model`, of a booster."""
        if told.get("model_class") != "lightgbm.basic.Booster":
            raise ValueError(
                f"it is a {told.get('model_class')!a:.80}, which MLflow stores as a pickle; log its booster: "
                "mlflow.lightgbm.log_model(model.booster_, ...)"
            )
        return str(told.get("data"))

    def taken(self, content: bytes, told: Mapping[str, Any], features: int) -> Taken:
        """The trees alone."""
        del told
        text = trees_alone(content.decode())
        count, content = classes_of(text), text.encode()
        shape = of_classes(count, features)
        self.check(content, shape)
        return Taken(content, shape)

    def load(self, content: bytes, shape: Shape) -> Booster:
        """The booster."""
        booster = self.library().Booster(model_str=content.decode())
        return Booster(booster, shape)


class Booster:
    """A booster of LightGBM that can be asked.

    Parameters
    ----------
    booster
        What LightGBM loaded.
    shape
        What it takes and says.
    """

    def __init__(self, booster: Any, shape: Shape) -> None:
        self._booster, self._shape = booster, shape

    def predict(self, matrix: Any) -> np.ndarray:
        """What it says of some rows."""
        said = np.asarray(self._booster.predict(matrix, num_threads=1), np.float64)
        if self._shape.kind == "classifier" and said.ndim == 1:
            return np.column_stack([1 - said, said])
        return said

    def contributions(self, matrix: Any) -> np.ndarray:
        """TreeSHAP: how much of the sum over all trees each column brings, in logarithms of odds."""
        said = self._booster.predict(matrix, num_threads=1, pred_contrib=True)
        said = np.asarray(said.toarray() if hasattr(said, "toarray") else said, np.float64)
        return said.reshape(len(said), -1, self._shape.features + 1)[:, :, :-1]
