"""What stands in the archive of a model where an estimator of a flavour was; that is a file beside it."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn import base

from mlops_assets.journey.model.flavours.flavour import Asked, Kind, Shape


class Flavoured(base.BaseEstimator):  # type: ignore[misc]
    """An estimator of a flavour: once its file is loaded, it answers as the one that was fitted did.

    Parameters
    ----------
    flavour
        Name of the flavour.
    file
        Name of its file; empty of an estimator that was never fitted, such as the template in an ensemble.

    Attributes
    ----------
    kind, n_features_in_, classes_, facts
        Its `Shape`; only of one that was fitted.
    """

    def __init__(self, flavour: str = "", file: str = "") -> None:
        self.flavour = flavour
        self.file = file

    @classmethod
    def of(cls, flavour: str, shape: Shape, content: bytes, asked: Asked | None = None) -> Flavoured:
        """One that is not stored yet: the next `save` of the model gives its file a name.

        Parameters
        ----------
        flavour
            Name of the flavour.
        shape
            What it takes and says.
        content
            The bytes of its file, which `Flavour.check` has seen.
        asked
            What `Flavour.load` made of them.
        """
        made = cls(flavour)
        made.kind, made.n_features_in_, made.facts = shape.kind, shape.features, dict(shape.facts)
        if shape.classes is not None:
            made.classes_ = shape.classes
        return made.filled(content, asked)

    def filled(self, content: bytes, asked: Asked | None) -> Flavoured:
        """Take what its file holds; returns itself."""
        self._content, self._asked = content, asked
        return self

    kind: Kind
    n_features_in_: int
    facts: dict[str, Any]

    @property
    def is_fitted(self) -> bool:
        """Whether it stands for an estimator that was fitted."""
        return "n_features_in_" in vars(self)

    @property
    def shape(self) -> Shape:
        """What it takes and says."""
        return Shape(self.kind, self.n_features_in_, vars(self).get("classes_"), self.facts)

    @property
    def content(self) -> bytes:
        """The bytes of its file."""
        content: bytes = self._content
        return content

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803 - scikit-learn's name
        """A stored estimator learns nothing; but scikit-learn asks nobody who has no such method."""
        del X, y
        raise ValueError(f"an estimator that was stored as {self.flavour} is not fitted again")

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803 - scikit-learn's name
        """Probability of every class, one row a row."""
        return self._ask(X)

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803 - scikit-learn's name
        """The likeliest class of every row, or a regressor's number."""
        said = self._ask(X)
        return said if self.kind == "regressor" else self.shape.classes[said.argmax(axis=1)]  # type: ignore[index]

    def contributions(self, X: Any) -> np.ndarray | None:  # noqa: N803 - scikit-learn's name
        """How much of its answers each column brings; see `Asked.contributions`."""
        return self._loaded().contributions(self._as_matrix(X))

    def _ask(self, given: Any) -> np.ndarray:
        return self._loaded().predict(self._as_matrix(given))

    def _loaded(self) -> Asked:
        asked: Asked | None = vars(self).get("_asked")
        if asked is None:
            raise ValueError(f"an estimator that was stored as {self.flavour} is not loaded")
        return asked

    def _as_matrix(self, given: Any) -> Any:
        # of a matrix that is shorter or wider, a library written in C would read what lies beside it
        matrix = given.tocsr() if sparse.issparse(given) else np.asarray(given, self._dtype(given))
        if matrix.ndim != 2 or matrix.shape[1] != self.n_features_in_:
            raise ValueError(f"it takes {self.n_features_in_} columns and is handed {matrix.shape}")
        return matrix

    def _dtype(self, given: Any) -> type:
        from mlops_assets.journey.model.flavours import FLAVOURS

        holds_texts = isinstance(given, np.ndarray) and given.dtype.hasobject
        return object if holds_texts and FLAVOURS[self.flavour].takes_texts else np.float64

    def __sklearn_is_fitted__(self) -> bool:
        return self.is_fitted

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = vars(self).get("kind", "classifier")
        tags.input_tags.allow_nan = tags.input_tags.sparse = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        # what is loaded of its file is in its file
        return {name: value for name, value in super().__getstate__().items() if name not in ("_content", "_asked")}
