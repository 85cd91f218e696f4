"""XGBoost: gradient-boosted trees, stored as UBJ, its own form for models: https://xgboost.readthedocs.io/."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from mlops_assets.journey.model.flavours.flavour import Flavour, Shape, Taken, of_classes
from mlops_assets.journey.model.flavours.ubj import read_ubj, write_ubj
from mlops_assets.journey.model.flavours.xgboost_trees import check_model, classes_of, cleared

NAMES = ("XGBClassifier", "XGBRFClassifier", "XGBRegressor", "XGBRFRegressor")
OWN = f"{__name__}_classes"


class XGBoost(Flavour):
    """Boosted trees and forests of XGBoost."""

    name, suffix, module, distributions = "xgboost", "ubj", "xgboost", ("xgboost-cpu", "xgboost")
    owns = tuple(f"xgboost.sklearn.{name}" for name in NAMES)
    instead: ClassVar = {f"xgboost.{name}": f"{OWN}.{name}" for name in NAMES[:2]}
    defaults: ClassVar = {f"xgboost.{name}": {"n_jobs": 1, "random_state": 0, "verbosity": 0} for name in NAMES}
    largest = 256 << 20

    def save(self, estimator: Any) -> tuple[bytes, Shape]:
        """The trees alone, without what XGBoost keeps beside them."""
        booster = estimator.get_booster()
        if (best := booster.attr("best_iteration")) is not None:
            booster = booster[: int(best) + 1]
        booster = booster.copy()
        booster.feature_names = booster.feature_types = None
        booster.set_attr(**dict.fromkeys(booster.attributes()))
        if getattr(estimator, "objective", None) == "multi:softmax":
            booster.set_param({"objective": "multi:softprob"})
        classes = getattr(estimator, "classes_", None)
        shape = Shape("classifier" if classes is not None else "regressor", booster.num_features(), classes)
        content = bytes(booster.save_raw("ubj"))
        self.check(content, shape)
        return content, shape

    def check(self, content: bytes, shape: Shape) -> None:
        """See that every tree is one, and made for these columns and classes."""
        check_model(read_ubj(content), shape)

    def logged_file(self, told: Mapping[str, Any]) -> str:
        """The file of `mlflow.xgboost.log_model`, in its default form."""
        if told.get("model_format") != "ubj":
            raise ValueError(f"it is stored as {told.get('model_format')!a:.80}; log it with model_format='ubj'")
        return str(told.get("data"))

    def taken(self, content: bytes, told: Mapping[str, Any], features: int) -> Taken:
        """The trees alone."""
        del told
        model = cleared(read_ubj(content))
        count = classes_of(model)
        content = write_ubj(model)
        shape = of_classes(count, features)
        self.check(content, shape)
        return Taken(content, shape)

    def load(self, content: bytes, shape: Shape) -> Booster:
        """The booster, for one thread."""
        library = self.library()
        booster = library.Booster({"nthread": 1, "verbosity": 0})
        booster.load_model(bytearray(content))
        booster.set_param({"nthread": 1, "verbosity": 0})
        return Booster(library, booster, shape, b"leaf_weights" not in content)


class Booster:
    """A booster of XGBoost that can be asked.

    Parameters
    ----------
    library
        XGBoost.
    booster
        What it loaded.
    shape
        What it takes and says.
    adds_up
        Whether its leaves hold a number each: only of these XGBoost tells what each column brings.
    """

    def __init__(self, library: Any, booster: Any, shape: Shape, adds_up: bool) -> None:
        self._library, self._booster, self._shape, self._adds_up = library, booster, shape, adds_up

    def predict(self, matrix: Any) -> np.ndarray:
        """What it says of some rows."""
        said = np.asarray(self._booster.inplace_predict(matrix, validate_features=False), np.float64)
        if self._shape.kind == "regressor":
            return said.reshape(len(said))
        return said if said.ndim == 2 else np.column_stack([1 - said, said])

    def contributions(self, matrix: Any) -> np.ndarray | None:
        """TreeSHAP: how much of the sum over all trees each column brings, in logarithms of odds."""
        if not self._adds_up:
            return None
        rows = self._library.DMatrix(matrix, nthread=1)
        said = np.asarray(self._booster.predict(rows, pred_contribs=True, validate_features=False), np.float64)
        return said.reshape(len(said), -1, self._shape.features + 1)[:, :, :-1]
