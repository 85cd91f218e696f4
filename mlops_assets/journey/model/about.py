"""What is known of a model version: all of it in its file `about.json`, the short of it in the registry itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from mlops_assets.plugins.stored import see_depth


@dataclass(frozen=True)
class Condition:
    """One condition of the gate: what was asked, what was found, whether it holds."""

    name: str
    asked: str
    found: str
    passed: bool


@dataclass(frozen=True)
class Summary:
    """What the registry tells of a version without looking at its files; the fields mean what they mean in `About`.

    An earlier release may have told less: what it did not tell has its default.
    """

    candidate: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    baseline_metrics: Mapping[str, float] = field(default_factory=dict)
    held_out: int = 0
    rows_per_second: float = 0.0
    passed: bool | None = None
    reason: str = ""
    training_set: str = ""
    rows: int = 0
    days: Sequence[str] = ()
    sql: str = ""
    contract: str = ""
    reference: str = ""
    made: str = ""
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what a release of today or of before wrote.

        Raises
        ------
        ValueError
            If it is not as any wrote it.
        """
        return cls(**_known(cls, _read(text)))

    def odd(self, other: Summary) -> list[str]:
        """The names of what is told here, and told otherwise there; of `ALWAYS`, also what is told there alone."""
        told = [
            attribute.name
            for attribute in fields(self)
            if attribute.name in ALWAYS or getattr(self, attribute.name) != _default(attribute)
        ]
        # as texts: a metric without a value, NaN, is not equal to itself
        return [name for name in told if json.dumps(getattr(self, name)) != json.dumps(getattr(other, name))]

    def to_json(self) -> str:
        """The text that the registry keeps."""
        return json.dumps(_told(self), default=str)


@dataclass(frozen=True)
class About:
    """All that is known of a version; what the model card shows, and `rebuild` needs.

    Attributes
    ----------
    use_case, candidate, parameters
        Names of the use case and of the candidate, and the arguments of its classifier.
    origin
        Where the model came from, if it was made elsewhere: its address, its run, who registered it.
    made
        When, in UTC.
    metrics, folds, classes, confusion, calibration, rows_per_second
        How it did on the rows that test, and in the rounds that chose; see `scores.Score`. Of numbers there are no
        classes, and in the place of the calibration is how predictions of different sizes fare.
    baseline_metrics, held_out
        How the baseline did on the same held-out rows, and how many these are; empty and 0 before it was kept.
    calibrated
        How its probabilities were made true: kind, out-of-fold rows, error on the held-out rows before and after it,
        why; empty before it was kept, and of a model from elsewhere. See `calibration.Calibration`.
    judging
        Which rows were learned, chose and tested, what chose it, bounds, months, ages, seeds; see `train.told`. Empty
        before candidates were chosen by other rows than those that test.
    thresholds
        What saying the second of two classes earlier or later would bring on the rows that test; see
        `thresholds.try_thresholds`.
    importance
        What the metric loses when a column is shuffled, the greatest loss first.
    cost
        Time and bytes, by what they are for.
    passed, reason, conditions
        The word of the gate, and what it asked and found.
    training_set, set, rows, days
        Fingerprint of the training set; all fields of the `TrainingSet`; its number of rows, its first and last day.
    sql, contract, code, libraries
        Fingerprints of what made it, and versions of the libraries.
    recipe
        The whole configuration of the use case.
    reference
        SHA-256 of the file `reference.parquet` beside it, by which its days are watched; empty before there was one.
    """

    use_case: str
    candidate: str
    origin: Mapping[str, str] | None
    parameters: Mapping[str, Any]
    made: str
    metrics: Mapping[str, float]
    folds: Sequence[float]
    classes: Mapping[str, Mapping[str, float]]
    confusion: Sequence[Sequence[int]]
    calibration: Sequence[Mapping[str, float]]
    importance: Mapping[str, float]
    rows_per_second: float
    cost: Mapping[str, float | None]
    passed: bool
    reason: str
    conditions: Sequence[Condition]
    training_set: str
    set: Mapping[str, Any]
    rows: int
    days: Sequence[str]
    sql: str
    contract: str
    code: str
    libraries: Mapping[str, str]
    recipe: Mapping[str, Any]
    baseline_metrics: Mapping[str, float] = field(default_factory=dict)
    held_out: int = 0
    reference: str = ""
    calibrated: Mapping[str, Any] = field(default_factory=dict)
    judging: Mapping[str, Any] = field(default_factory=dict)
    thresholds: Sequence[Mapping[str, float]] = ()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what a release of today or of before wrote.

        Raises
        ------
        ValueError
            If it is no JSON, or lacks what every release has written.
        """
        written = _read(text)
        written.setdefault("origin", None)  # models from elsewhere came later than the file
        # an older file may lack a fact; better told here than as a TypeError
        asked = [attribute for attribute in fields(cls) if attribute.default_factory is MISSING is attribute.default]
        absent = [attribute.name for attribute in asked if attribute.name not in written]
        if absent:
            raise ValueError(f"it does not say {', '.join(absent)}")
        values = _known(cls, written)
        labels, origin = values["set"].get("classes"), values["origin"]
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise ValueError("'set.classes': it tells no labels")
        if origin and "model" not in origin:
            raise ValueError("'origin.model': it does not tell which model of elsewhere it is")
        names = [attribute.name for attribute in fields(Condition)]
        values["conditions"] = [Condition(**{name: one[name] for name in names}) for one in values["conditions"]]
        return cls(**values)

    def to_json(self) -> str:
        """The text of the file; its SHA-256 is registered, so keys and their order stay as they are."""
        return json.dumps(_told(self), indent=1, ensure_ascii=False, default=str)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that it learned from, or was judged by."""
        return tuple(self.set["classes"])

    @property
    def says_numbers(self) -> bool:
        """Whether it says a number of a row, and no class."""
        return not self.labels

    @property
    def bounds(self) -> Mapping[str, tuple[float, float]]:
        """Within which bounds the metrics that decide something are true, 95 %; none before they were told."""
        return {name: (low, high) for name, (low, high) in self.judging.get("intervals", {}).items()}

    def summary(self) -> Summary:
        """The short of it."""
        return Summary(**{attribute.name: getattr(self, attribute.name) for attribute in fields(Summary)})


ALWAYS = ("reference",)
"""What every release told in both places or in none: who empties it in one would switch off what it is for."""

LATER = ("baseline_metrics", "held_out", "reference", "calibrated", "made", "judging", "thresholds", "bounds")
"""What earlier releases did not tell: left out where it is not known, so that what they wrote stays the same bytes."""


MOST_DIGITS = 300
"""Digits of a whole number: one of some more is no `float`, and could not be shown as a metric."""


def _told(known: Summary | About) -> dict[str, Any]:
    return {name: value for name, value in asdict(known).items() if value or name not in LATER}


def _read(text: str | bytes) -> dict[str, Any]:
    """What a text of JSON says.

    Raises
    ------
    ValueError
        If it is no JSON object, or nested deeper than any that was written here.
    """
    try:
        written = json.loads(text, parse_int=_whole)
        json.dumps(written, ensure_ascii=False).encode()  # half a sign is no text, and could not be shown
    except RecursionError:
        raise ValueError("its values are nested too deep") from None
    if not isinstance(written, dict):
        raise ValueError("it is no JSON object")
    see_depth({name: written.get(name) for name in ("parameters", "set", "recipe")})
    return written


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"it has a number of {len(digits):,} digits")
    return int(digits)


def _known(kind: type[Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """What a dataclass has a field for, in the form that it must have; a later release may have told more."""
    known = {attribute.name: written[attribute.name] for attribute in fields(kind) if attribute.name in written}
    try:
        # looked at alone: what was written shall be written again as it was. As JSON, and strictly: else a text would
        # do for a number, which cannot be shown as one
        _FORMS[kind].validate_json(json.dumps(known), strict=True)
    except ValidationError as error:
        problem = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, problem['loc']))!a}: {problem['msg']}") from None
    return known


_FORMS: Mapping[type[Any], TypeAdapter[Any]] = {Summary: TypeAdapter(Summary), About: TypeAdapter(About)}


def _default(attribute: Field[Any]) -> Any:
    return attribute.default if attribute.default_factory is MISSING else attribute.default_factory()
