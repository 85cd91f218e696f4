"""In: what an estimator says. Out: the same answers, with probabilities that are right about as often as they say.

Numbers alone, learned from rows that were in no fit (`journey.train.calibration`). The likeliest class stays the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce, wraps
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

STRICT = ConfigDict(extra="forbid", strict=True)
"""As a model is stored, so it must be read: who forges one shall find no way but the one that is checked."""

MOST_KNOTS = 1000
LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.01, 100.0

SLOPE = 1e-3
"""What remains of a difference where a probability may fall no further: rows keep their order, so no area has ties."""

BLOCK = 2000
"""Rows at a time, so that what is computed of them stays near: of 20,000 at once, each costs three times as much."""


def _by_blocks(apply: Callable[[Any, np.ndarray], np.ndarray]) -> Callable[[Any, np.ndarray], np.ndarray]:
    """The same for any number of rows, a block at a time."""

    @wraps(apply)
    def of_all(calibrator: Any, probabilities: np.ndarray) -> np.ndarray:
        after = np.empty(probabilities.shape)
        for start in range(0, len(probabilities), BLOCK):
            block = slice(start, start + BLOCK)
            after[block] = apply(calibrator, probabilities[block])
        return after

    return of_all


@dataclass(frozen=True)
class Temperature:
    """All probabilities are drawn together (above 1) or apart (below 1), and brought back to the sum 1.

    Method: temperature scaling, Guo, Pleiss, Sun, Weinberger (2017), 'On calibration of modern neural networks'; with
    the logarithm of a probability in the place of the logit. What has probability 0 keeps it.

    Attributes
    ----------
    temperature
        Each probability is raised to the power of its inverse.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    temperature: Annotated[float, Field(ge=LEAST_TEMPERATURE, le=MOST_TEMPERATURE, allow_inf_nan=False)]
    kind: Literal["temperature"] = "temperature"

    @_by_blocks
    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrate rows of probabilities, one column a class."""
        top, sure, others = _split(probabilities)
        with np.errstate(divide="ignore"):  # what has probability 0 keeps it
            np.log(others, out=others)
        # of the largest 1 is left, so that nothing overflows, and a sum is never 0
        others -= np.log(sure)
        others *= 1 / self.temperature
        np.exp(others, out=others)
        total = 1 + reduce(np.add, others)
        others *= 1 / total
        return _joined(top, 1 / total, others)


@dataclass(frozen=True)
class Isotonic:
    """The probability of the likeliest class becomes another one by a rising curve; the other classes share the rest.

    Method: isotonic regression, Zadrozny and Elkan (2002), of the likeliest class alone; as straight lines between the
    middles of its steps, for steps would give many rows the same probability. The likeliest class stays so: it never
    falls to what the second one would have.

    Attributes
    ----------
    x, y
        Knots of the curve: the probability before, rising, and after, not falling.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    x: Annotated[tuple[Share, ...], Field(min_length=1, max_length=MOST_KNOTS)]
    y: Annotated[tuple[Share, ...], Field(min_length=1, max_length=MOST_KNOTS)]
    kind: Literal["isotonic"] = "isotonic"

    def __post_init__(self) -> None:
        """See that it is a curve.

        Raises
        ------
        ValueError
            If it is none.
        """
        if len(self.x) != len(self.y) or (np.diff(self.x) <= 0).any() or (np.diff(self.y) < 0).any():
            raise ValueError("its calibration is no rising curve")

    @_by_blocks
    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrate rows of probabilities, one column a class."""
        width = probabilities.shape[1]
        if width < 2:
            return probabilities
        top, before, others = _split(probabilities)
        second, rest = others.max(axis=0), reduce(np.add, others)
        alone = np.flatnonzero(rest < np.finfo(np.float64).tiny)
        # where one class had all, or what rounding left of it, nothing tells the others apart: each gets the same
        others[:, alone] = second[alone] = 1 / (width - 1)
        others[top[alone], alone], rest[alone] = 0, 1
        tied = second / (rest + second)  # the second one would be as likely
        after = np.maximum(np.interp(before, self.x, self.y), tied + SLOPE * (before - tied))
        others *= (1 - after) / rest
        return _joined(top, after, others)


Calibrator = Temperature | Isotonic

_FORM: TypeAdapter[Calibrator] = TypeAdapter(Annotated[Calibrator, Field(discriminator="kind")])


def read_calibrator(written: Any) -> Calibrator:
    """Make one of what `dataclasses.asdict` told of it, as JSON gives it back.

    Raises
    ------
    ValueError
        If it tells of none.
    """
    return _FORM.validate_python(written, strict=False)


def _split(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The likeliest class of each row, its probability, and those of the others: one row a class, with 0 for that one.

    Over whole columns NumPy is several times as fast as over rows of a few classes. Sums are made with `reduce`, class
    by class, so that a row has the same bits alone and among others.
    """
    top, rows = probabilities.argmax(axis=1), np.arange(len(probabilities))
    others = probabilities.T.copy(order="C")
    sure = others[top, rows]
    others[top, rows] = 0
    return top, sure, others


def _joined(top: np.ndarray, sure: np.ndarray, others: np.ndarray) -> np.ndarray:
    """What `_split` took apart; where rounding made another class as likely as the answer, the answer stays first."""
    others[top, np.arange(len(top))] = np.maximum(sure, np.nextafter(others.max(axis=0), 1.0))
    return others.T
