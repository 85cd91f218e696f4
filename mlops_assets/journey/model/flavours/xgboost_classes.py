"""The classifiers of XGBoost, for labels of which some may be missing: they themselves take 0, 1, 2 alone.

The training rows of a fold may lack a rare class. scikit-learn's classifiers number what they see themselves.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import xgboost


class _Numbering:
    """Numbers the labels that it sees, and says them again."""

    _seen: np.ndarray | None = None

    def fit(self, X: Any, y: Any, *, sample_weight: Any = None, **further: Any) -> Self:  # noqa: N803 - scikit-learn's
        """Learn of rows, their labels, and what each counts: who weighs rows looks for an argument of that name."""
        self._seen = None  # while it learns, its classes are the numbers
        seen, numbers = np.unique(np.asarray(y), return_inverse=True)
        super().fit(X, numbers, sample_weight=sample_weight, **further)  # type: ignore[misc]
        self._seen = seen
        return self

    @property
    def classes_(self) -> np.ndarray:
        """The labels that it has seen, in order."""
        numbers: np.ndarray = super().classes_  # type: ignore[misc]
        return numbers if self._seen is None else self._seen

    def predict(self, X: Any, **further: Any) -> np.ndarray:  # noqa: N803 - scikit-learn's name
        """The likeliest label of every row."""
        return self.classes_[self.predict_proba(X, **further).argmax(axis=1)]  # type: ignore[attr-defined]


class XGBClassifier(_Numbering, xgboost.XGBClassifier):  # type: ignore[misc]
    """`xgboost.XGBClassifier`; its arguments are those of XGBoost's."""


class XGBRFClassifier(_Numbering, xgboost.XGBRFClassifier):  # type: ignore[misc]
    """`xgboost.XGBRFClassifier`; its arguments are those of XGBoost's."""
