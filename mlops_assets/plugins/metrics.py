"""What a function must look like that measures predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np


class MetricFunction(Protocol):
    """A metric of a user's own; larger is better."""

    def __call__(self, labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> float:
        """The value of a metric; NaN where there is none for these rows, such as an area with one class only.

        Parameters
        ----------
        labels
            The true label of every row: as text, or with `task: regression` as float64.
        probabilities
            One row a row, one column a class; with `task: regression` one column with the predicted numbers.
        classes
            The classes by column; none with `task: regression`.
        """
        ...
