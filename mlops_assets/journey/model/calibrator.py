"""In: what an estimator says. Out: the same answers, with probabilities that are right about as often as they say.

Numbers alone, learned from rows that were in no fit (`journey.train.calibration`). The likeliest class stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass
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

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrate rows of probabilities, one column a class."""
        # of the largest 1 is left, so that nothing overflows, and a sum is never 0
        scaled = (probabilities / probabilities.max(axis=1, keepdims=True)) ** (1 / self.temperature)
        return _with_answers_of(probabilities, scaled / scaled.sum(axis=1, keepdims=True))


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

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrate rows of probabilities, one column a class."""
        width = probabilities.shape[1]
        if width < 2:
            return probabilities
        rows, top = np.arange(len(probabilities)), probabilities.argmax(axis=1)
        before, others = probabilities[rows, top], probabilities.copy()
        others[rows, top] = 0
        second, rest = others.max(axis=1), others.sum(axis=1)
        # where one class had all, nothing tells the others apart: each gets the same
        others[rest == 0] = 1 / (width - 1)
        second[rest == 0], rest[rest == 0] = 1 / (width - 1), 1
        tied = second / (rest + second)  # the second one would be as likely
        after = np.maximum(np.interp(before, self.x, self.y), tied + SLOPE * (before - tied))
        scaled = others * ((1 - after) / rest)[:, None]
        scaled[rows, top] = after
        return _with_answers_of(probabilities, scaled)


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


def _with_answers_of(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The calibrated probabilities; where rounding made two classes alike, the one that was said stays first."""
    said = before.argmax(axis=1)
    rows = np.flatnonzero(after.argmax(axis=1) != said)
    after[rows, said[rows]] = np.nextafter(after[rows].max(axis=1), 1.0)
    return after
