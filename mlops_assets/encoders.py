"""scikit-learn's encoders of categories, looking values up by hash where scikit-learn sorts them anew for each batch.

They are fitted by scikit-learn itself and give the same output, which `test_encoders.py` compares; only `transform` is
faster: 3 to 6 times on 20,000 rows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn import base, preprocessing
from sklearn.utils.validation import check_is_fitted

from mlops_assets.work.lookups import Positions

if TYPE_CHECKING:
    import pandas as pd


class OneHotEncoder(preprocessing.OneHotEncoder):  # type: ignore[misc]
    """`sklearn.preprocessing.OneHotEncoder` for numbers, with `handle_unknown="ignore"` and sparse output.

    Parameters
    ----------
    min_frequency, max_categories
        As in scikit-learn: rarer categories share one column.
    """

    def __init__(self, min_frequency: float | None = None, max_categories: int | None = None) -> None:
        super().__init__(handle_unknown="ignore", min_frequency=min_frequency, max_categories=max_categories)

    def transform(self, X: np.ndarray) -> sparse.csr_matrix:  # noqa: N803 - scikit-learn's name
        """One column a category; a value that was not seen has 0 in all of them.

        Parameters
        ----------
        X
            Numbers, one column a feature.

        Returns
        -------
        scipy.sparse.csr_matrix
            float64, as scikit-learn gives it.
        """
        check_is_fitted(self)
        features, width = self.columns()
        columns = np.empty(X.shape, np.int32)
        for number, (categories, places) in enumerate(zip(self.categories_, features, strict=True)):
            columns[:, number] = places[Positions(categories)(X[:, number])]
        seen = columns >= 0
        starts = np.concatenate([[0], np.cumsum(seen.sum(axis=1))]).astype(np.int32)
        chosen = columns.ravel() if seen.all() else columns[seen]
        return sparse.csr_matrix((np.ones(len(chosen)), chosen, starts), shape=(len(X), width))

    def columns(self) -> tuple[list[np.ndarray], int]:
        """For each feature the column of each of its categories, and -1 for all others; and how many columns there are.

        Rare categories share the column after the common ones.
        """
        features, offset = [], 0
        for categories, rare in zip(self.categories_, self.rare(), strict=True):
            common = Positions(rare)(categories) < 0
            places = np.full(len(categories) + 1, -1, np.int32)
            places[:-1] = np.where(common, offset + np.cumsum(common) - 1, offset + common.sum())
            features.append(places)
            offset += int(common.sum()) + bool(len(rare))
        return features, offset

    def rare(self) -> list[np.ndarray]:
        """The categories of each feature that share a column."""
        grouped = self.min_frequency is not None or self.max_categories is not None
        rare = self.infrequent_categories_ if grouped else [None] * len(self.categories_)
        return [np.zeros(0) if group is None else group for group in rare]


class TargetEncoder(preprocessing.TargetEncoder):  # type: ignore[misc]
    """`sklearn.preprocessing.TargetEncoder` for numbers: a category becomes the mean of the target in training."""

    def transform(self, X: np.ndarray) -> np.ndarray:  # noqa: N803 - scikit-learn's name
        """The means that were learned; a value that was not seen gets the mean of all rows.

        Parameters
        ----------
        X
            Numbers, one column a feature.

        Returns
        -------
        np.ndarray
            float64; with more than two classes one column for each feature and class.
        """
        check_is_fitted(self)
        known = zip(self.categories_, self.means(), strict=True)
        parts = [means[Positions(categories)(X[:, number])] for number, (categories, means) in enumerate(known)]
        return np.concatenate(parts, axis=1)

    def means(self) -> list[np.ndarray]:
        """For each feature the means of each of its categories, one column a class, and last those of all others."""
        width = len(self.classes_) if self.target_type_ == "multiclass" else 1
        rest = np.reshape(self.target_mean_, (1, width))
        learned = (self.encodings_[first : first + width] for first in range(0, len(self.encodings_), width))
        return [np.concatenate([np.stack(columns, axis=1), rest]) for columns in learned]


class AsNumbers(base.TransformerMixin, base.BaseEstimator):  # type: ignore[misc]
    """Makes numbers of the number columns of a matrix that holds texts as well, and thus is one of objects."""

    def fit(self, X: np.ndarray, y: object = None) -> AsNumbers:  # noqa: ARG002, N803 - scikit-learn's names
        """Learns nothing but how many columns there are."""
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:  # noqa: N803 - scikit-learn's name
        """The same numbers as float64."""
        return np.asarray(X, np.float64)


class OnFrame(base.ClassifierMixin, base.BaseEstimator):  # type: ignore[misc]
    """Lets a classifier that was fitted on a pandas DataFrame elsewhere take the matrix of a `Model`.

    Parameters
    ----------
    estimator
        The fitted classifier.
    columns
        The columns of the matrix, which are those of its DataFrame, in this order.
    texts
        Those of them that are of text; all others are float64.
    classes
        The class number of each of its classes, in its order.
    """

    def __init__(
        self, estimator: Any, columns: tuple[str, ...], texts: tuple[str, ...], classes: tuple[int, ...]
    ) -> None:
        self.estimator = estimator
        self.columns = columns
        self.texts = texts
        self.classes = classes

    @property
    def classes_(self) -> np.ndarray:
        """The class numbers, in the order of the probabilities."""
        return np.array(self.classes, np.int64)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:  # noqa: N803 - scikit-learn's name
        """What the classifier says of the rows."""
        probabilities: np.ndarray = self.estimator.predict_proba(as_frame(X, self.columns, self.texts))
        return probabilities


class NumbersOnFrame(base.RegressorMixin, base.BaseEstimator):  # type: ignore[misc]
    """As `OnFrame`, of a regressor.

    Parameters
    ----------
    estimator
        The fitted regressor.
    columns, texts
        As of `OnFrame`.
    """

    def __init__(self, estimator: Any, columns: tuple[str, ...], texts: tuple[str, ...]) -> None:
        self.estimator = estimator
        self.columns = columns
        self.texts = texts

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803 - scikit-learn's name
        """What the regressor says of the rows."""
        numbers: np.ndarray = self.estimator.predict(as_frame(X, self.columns, self.texts))
        return numbers


def as_frame(matrix: np.ndarray, columns: Sequence[str], texts: Collection[str]) -> pd.DataFrame:
    """A matrix as a DataFrame: texts are `str`, a missing one is empty; numbers are float64, a missing one is NaN."""
    import pandas as pd

    return pd.DataFrame(
        {
            name: matrix[:, position].astype(object if name in texts else np.float64)
            for position, name in enumerate(columns)
        }
    )
