"""In: what an estimator says. Out: the same answers, and how sure they are, which is right about as often as it says.

Numbers alone, learned from rows that were in no fit (`journey.train.calibration`). The likeliest class stays the same,
and so does a number.
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
        alone = np.flatnonzero(rest == 0)
        # where one class had all, nothing tells the others apart: each gets the same
        others[:, alone] = second[alone] = 1 / (width - 1)
        others[top[alone], alone], rest[alone] = 0, 1
        tied = second / (rest + second)  # the second one would be as likely
        after = np.maximum(np.interp(before, self.x, self.y), tied + SLOPE * (before - tied))
        others *= (1 - after) / rest
        return _joined(top, after, others)


Below = Annotated[float, Field(le=0, allow_inf_nan=False)]
Above = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class Interval:
    """Around each number an interval, which about a given share of the true numbers lies in, of small and large ones.

    Method: split conformal prediction, Vovk, Gammerman, Shafer (2005), 'Algorithmic learning in a random world', by
    signed errors, Linusson, Johansson, Löfström (2014), 'Signed-error conformal regression', and by groups of the
    predicted size, Boström, Johansson (2020), 'Mondrian conformal regressors': each end is the quantile of the errors
    of the group on rows that were in no fit, as if there were one row more. Of rows like these, at least as many true
    numbers lie inside as it says, in each group. The number itself is always inside.

    Attributes
    ----------
    edges
        Numbers from each of which on the next group begins, rising.
    below, above
        By group, what is added to a number for the ends, at most 0 and at least 0.
    coverage
        The share of the true numbers that is to lie inside.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    edges: Annotated[tuple[Finite, ...], Field(max_length=MOST_KNOTS)]
    below: Annotated[tuple[Below, ...], Field(min_length=1, max_length=MOST_KNOTS)]
    above: Annotated[tuple[Above, ...], Field(min_length=1, max_length=MOST_KNOTS)]
    coverage: Share
    kind: Literal["interval"] = "interval"

    def __post_init__(self) -> None:
        """See that there are ends for each group.

        Raises
        ------
        ValueError
            If there are not.
        """
        if not len(self.below) == len(self.above) == len(self.edges) + 1 or (np.diff(self.edges) <= 0).any():
            raise ValueError("its interval has no ends for each group")

    def apply(self, said: np.ndarray) -> np.ndarray:
        """The numbers as they are, and in two further columns the lower and upper end of the interval around each."""
        numbers = said[:, 0]
        group = np.searchsorted(self.edges, numbers, side="right")
        ends = (np.asarray(side)[group] for side in (self.below, self.above))
        return np.stack([numbers, *(numbers + end for end in ends)], axis=1)


Calibrator = Temperature | Isotonic | Interval

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
