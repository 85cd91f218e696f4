"""scikit-learn's encoders of categories, looking values up by hash where scikit-learn sorts them anew for each batch.

They are fitted by scikit-learn itself and give the same output, which `test_encoders.py` compares; only `transform` is
faster: 3 to 6 times on 20,000 rows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse
from sklearn import base, preprocessing
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    import pandas as pd

DENSE = 1 << 20
"""Whole numbers below this are looked up in a table."""


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
        return OneHot(self)(X)

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
        return TargetMeans(self)(X)


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


class OneHot:
    """What a fitted `OneHotEncoder` does, with its tables made once: for few rows, they cost more than the rows.

    Parameters
    ----------
    encoder
        The encoder.
    """

    def __init__(self, encoder: OneHotEncoder) -> None:
        self._features = []
        offset = 0
        for categories, rare in zip(encoder.categories_, encoder.rare(), strict=True):
            common = categories[Positions(rare)(categories) < 0]
            # the rare ones share the column after the common ones
            self._features.append((offset, len(common), Positions(common), Positions(rare) if len(rare) else None))
            offset += len(common) + bool(len(rare))
        self._width = offset

    def __call__(self, X: np.ndarray) -> sparse.csr_matrix:  # noqa: N803 - scikit-learn's name
        """One column a category."""
        positions = np.empty(X.shape, np.int32)
        for number, (offset, shared, common, rare) in enumerate(self._features):
            codes = common(X[:, number])
            if rare is not None:
                codes[(codes < 0) & (rare(X[:, number]) >= 0)] = shared
            positions[:, number] = np.where(codes < 0, -1, codes + offset)
        seen = positions >= 0
        starts = np.concatenate([[0], np.cumsum(seen.sum(axis=1))]).astype(np.int32)
        columns = positions.ravel() if seen.all() else positions[seen]
        return sparse.csr_matrix((np.ones(len(columns)), columns, starts), shape=(len(X), self._width))


class TargetMeans:
    """What a fitted `TargetEncoder` does, with its tables made once.

    Parameters
    ----------
    encoder
        The encoder.
    """

    def __init__(self, encoder: TargetEncoder) -> None:
        width = len(encoder.classes_) if encoder.target_type_ == "multiclass" else 1
        means = np.reshape(encoder.target_mean_, (1, width))
        self._features = []
        for number, categories in enumerate(encoder.categories_):
            learned = np.stack(encoder.encodings_[number * width : (number + 1) * width], axis=1)
            self._features.append((Positions(categories), np.concatenate([learned, means])))  # -1 is the last row

    def __call__(self, X: np.ndarray) -> np.ndarray:  # noqa: N803 - scikit-learn's name
        """The means that were learned."""
        parts = [means[positions(X[:, number])] for number, (positions, means) in enumerate(self._features)]
        return np.concatenate(parts, axis=1)


class Positions:
    """Position of a value among known ones, -1 where it is none of them; NaN is a value like any other.

    Parameters
    ----------
    known
        The values.
    """

    def __init__(self, known: np.ndarray) -> None:
        self._table: np.ndarray | None = None
        if np.isfinite(known).all() and np.abs(known).max(initial=0) < DENSE and (known % 1 == 0).all():
            codes = known.astype(np.int64)
            self._low, self._high = codes.min(initial=0), codes.max(initial=0)
            # the last entry is for what is none of them
            self._table = np.full(self._high - self._low + 2, -1, np.int32)
            self._table[codes - self._low] = np.arange(len(codes))
        else:
            self._known = pa.array(np.asarray(known, np.float64) + 0.0)  # -0.0 has another hash than 0.0

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The position of each value, in an array that may be written to."""
        if self._table is not None:
            return self._of_codes(values, self._table)
        column = pa.array(np.ascontiguousarray(values, np.float64) + 0.0)
        codes: np.ndarray = pc.index_in(column, value_set=self._known).fill_null(-1).to_numpy()
        return codes.copy() if not codes.flags.writeable else codes

    def _of_codes(self, values: np.ndarray, table: np.ndarray) -> np.ndarray:
        """The same where all known values are small whole numbers, such as the codes of texts: by a table."""
        with np.errstate(invalid="ignore"):  # NaN becomes some number, which is not equal to it
            near = np.clip(values, self._low, self._high).astype(np.int64)
        return table[np.where(near == values, near - self._low, len(table) - 1)]
