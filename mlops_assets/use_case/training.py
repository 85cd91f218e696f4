"""Which rows are learned from, which models are tried, which may serve, and what people say of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator, model_validator

from mlops_assets.plugins import PluginError, check_plugin
from mlops_assets.plugins.estimators import CLASSIFIER, PART, REGRESSOR, TRANSFORMER, WrongArgument, check_estimator
from mlops_assets.plugins.metrics import MetricFunction
from mlops_assets.use_case.promotion import Promotion
from mlops_assets.use_case.strict import METRICS, Problem, Share, Strict, Task, refuse

INTERVAL = 0.9
"""Share of the true numbers that are to lie in the interval of a prediction, where it is not said."""

HALF_LIFE = 90.0
"""Days after which a row counts half, where rows are split by time and nothing else is said."""


def _said_off(value: object) -> object:
    # YAML makes False of `off`, and True, which is no number, of `on`
    return {False: "off", True: "on"}[value] if isinstance(value, bool) else value


Off = BeforeValidator(_said_off)
HalfLife = Annotated[Annotated[float, Field(gt=0, le=36_500)] | Literal["off"] | None, Off]

NETWORK = "mlops_assets.estimators.TorchClassifier"


class Split(Strict):
    """How the labelled rows are divided into training and held-out rows."""

    by: Literal["time", "account", "random"] = Field("time", description="What keeps the two parts apart.")
    column: str = Field("day", description="With `time`: the date column that orders the rows.")
    held_out: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="Share of rows that is held out to test; with `time` where there are too few months to do so."
    )
    starts: dt.date | None = Field(
        None, alias="from", description="With `time`: the first held-out date, instead of the last months."
    )


class Step(Strict):
    """A scikit-learn class with its arguments."""

    use: str = Field(description="Import path of the class.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="Its arguments.")


class Preparation(Step):
    """A transformer of some columns, or `drop` to leave them out."""

    columns: Literal["categories", "numbers", "all"] | tuple[str, ...] = Field(description="What it is applied to.")
    then: tuple[Step, ...] = Field((), description="Transformers of its result.")
    keep: bool = Field(False, description="Whether the columns are also passed on as they are.")


class Candidate(Step):
    """A model to try: a classifier or regressor, with the transformers that come before it."""

    prepare: tuple[Preparation, ...] = Field((), description="Transformers of columns.")
    others: Literal["pass", "drop"] = Field("pass", description="What happens to columns that `prepare` does not name.")
    then: tuple[Step, ...] = Field((), description="Transformers of everything, after `prepare`.")
    members: tuple[str, ...] = Field((), description="Candidates that an ensemble is made of, for its `estimators`.")
    search: dict[str, list[Any]] = Field(default_factory=dict, description="Argument: values to choose from, by folds.")


class Gate(Strict):
    """What a candidate must reach before it may become the champion."""

    floors: dict[str, float] = Field(default_factory=dict, description="Metric: least value.")
    margin: dict[str, float] = Field(default_factory=dict, description="Metric: least gain over the baseline.")
    tolerance: dict[str, float] = Field(
        default_factory=dict,
        description="Metric: largest loss against the present champion, on rows that neither has learned.",
    )
    compared_rows: int = Field(
        100,
        gt=0,
        description="Least held-out rows that neither candidate nor champion has learned, for `tolerance`; all that "
        "are held out where these are fewer. With less, a person decides.",
    )
    rows_per_second: float = Field(0, ge=0, description="Least rows that must be scored in a CPU second of one core.")
    changes: Share | None = Field(
        None, description="Largest share of the newest published day's predictions that may change; asks for a diff."
    )


class Training(Strict):
    """Which rows are learned from, which models are tried, and which one may serve."""

    task: Task = Field(
        "classification", description="What is learned: `classification`, one of a few labels; `regression`, a number."
    )
    window_days: int = Field(366, gt=0, description="How many days before the latest one are learned from.")
    refused_days: bool = Field(
        False,
        description="Whether days are learned from whose rows break a condition of `checks`, and so are not predicted.",
    )
    most_rows: int = Field(300_000, gt=0, description="Most rows to learn from; above it, whole files are sampled.")
    texts: tuple[str, ...] = Field((), description="Text columns that reach the model as text, not as categories.")
    split: Split = Field(default_factory=Split, description="How rows are held out.")
    folds: int = Field(3, ge=2, le=20, description="Folds that choose, where months do not; see `replay`.")
    replay: int = Field(
        3,
        ge=3,
        le=12,
        description="With a split by time: how many of the last months test, each a model of what was known as it "
        "began; as many before them choose.",
    )
    label_delay: int = Field(
        31, ge=0, le=366, description="With a split by time: days after which the label of a row is known."
    )
    half_life: HalfLife = Field(
        None,
        description="Days after which a row counts half in training, or `off`. [default: 90 with a split by time, "
        "else off]",
    )
    metrics: dict[str, str] = Field(
        default_factory=dict, description="Metrics of your own: name and import path of a function."
    )
    metric: str = Field("accuracy", description="The metric that ranks the candidates; `mae` for `regression`.")
    baseline: str = Field(description="The candidate that the others must beat.")
    candidates: dict[str, Candidate] = Field(min_length=1, description="The models to try, by name.")
    gate: Gate = Field(default_factory=Gate, description="What a champion must reach.")
    promotion: Promotion = Field(
        default_factory=Promotion, description="How a version becomes champion, and what follows."
    )
    refit: bool = Field(True, description="Whether the winner is fitted again on all labelled rows before it serves.")
    calibration: Annotated[Literal["auto", "off"], Off] = Field(
        "auto",
        description="Whether probabilities are made to be right as often as they say, where that helps; whether "
        "numbers get an interval.",
    )
    interval: Annotated[float, Field(ge=0.5, le=0.99)] | None = Field(
        None,
        description="Regression only: share of the true numbers that are to lie in the interval beside a prediction; "
        "`0.9` where it is not said.",
    )
    threshold: Share | None = Field(None, description="Binary only: probability from which the second class is said.")
    trusted: tuple[str, ...] = Field(
        (), description="Further types that a stored model may hold (import paths).", validate_default=True
    )

    @property
    def halves_in(self) -> float | None:
        """Days after which a row counts half; None where all count the same."""
        if self.half_life is None:
            return HALF_LIFE if self.split.by == "time" else None
        return None if self.half_life == "off" else float(self.half_life)

    @property
    def says_numbers(self) -> bool:
        """Whether a model says a number of a row, and no class."""
        return self.task == "regression"

    @property
    def right(self) -> str:
        """The metric that is the share of rows whose answer is right: the class, or the interval around a number."""
        return "coverage" if self.says_numbers else "accuracy"

    @model_validator(mode="before")
    @classmethod
    def _of_numbers_by_default(cls, given: Any) -> Any:
        """What is not said has other defaults for numbers than for classes, which the fields themselves have."""
        if not isinstance(given, Mapping) or given.get("task") != "regression":
            return given
        said = {name: value for name, value in given.items() if name != "interval" or value is not None}
        return {"metric": METRICS["regression"][0], "interval": INTERVAL, **said}

    @field_validator("threshold")
    @classmethod
    def _is_of_classes(cls, threshold: float | None, info: ValidationInfo) -> float | None:
        if threshold is not None and info.data.get("task") == "regression":
            raise ValueError("a number has no second class: a threshold is for `task: classification`")
        return threshold

    @field_validator("interval")
    @classmethod
    def _is_of_numbers(cls, interval: float | None, info: ValidationInfo) -> float | None:
        if interval is not None and info.data.get("task") == "classification":
            raise ValueError("a class has no interval, it has a probability: this is for `task: regression`")
        return interval

    @field_validator("metrics")
    @classmethod
    def _are_functions(cls, metrics: dict[str, str]) -> dict[str, str]:
        refuse([((name,), wrong, path) for name, path in metrics.items() if (wrong := _wrong_metric(name, path))])
        return metrics

    @field_validator("metric")
    @classmethod
    def _is_a_metric(cls, metric: str, info: ValidationInfo) -> str:
        refuse(_unknown_metrics({(): metric}, info))
        if metric == "coverage":
            raise ValueError("every model covers as much as its interval is made to: rank by an error, such as `mae`")
        return metric

    @field_validator("gate")
    @classmethod
    def _asks_for_metrics(cls, gate: Gate, info: ValidationInfo) -> Gate:
        asked = {"floors": gate.floors, "margin": gate.margin, "tolerance": gate.tolerance}
        refuse(_unknown_metrics({(part, name): name for part, some in asked.items() for name in some}, info))
        return gate

    @field_validator("candidates")
    @classmethod
    def _has_baseline(cls, candidates: dict[str, Candidate], info: ValidationInfo) -> dict[str, Candidate]:
        baseline = info.data.get("baseline")
        if baseline is not None and baseline not in candidates:
            raise ValueError(f"the baseline {baseline!r} is not among the candidates: {', '.join(candidates)}")
        _check_members(candidates)
        methods = REGRESSOR if info.data.get("task") == "regression" else CLASSIFIER
        problems = ((name, problem) for name, candidate in candidates.items() for problem in _wrong(candidate, methods))
        refuse([((name, *keys), wrong, given) for name, (keys, wrong, given) in problems])
        return candidates

    @field_validator("trusted")
    @classmethod
    def _names_networks(cls, trusted: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for name, candidate in info.data.get("candidates", {}).items():
            module = candidate.parameters.get("module")
            if candidate.use == NETWORK and module not in trusted:
                raise ValueError(
                    f"candidates.{name} is a network of {module!r}: name that class here, for it is code of yours"
                )
        return trusted


def _check_members(candidates: Mapping[str, Candidate]) -> None:
    """See that ensembles are made of candidates that are none themselves."""
    plain = {name for name, candidate in candidates.items() if not candidate.members}
    for name, candidate in candidates.items():
        unknown = [member for member in candidate.members if member not in plain]
        if unknown:
            raise ValueError(f"{name}.members: {unknown[0]!r} is not a candidate that an ensemble can be made of")


def _wrong_metric(name: str, path: str) -> str:
    """What is wrong with a metric of a user's own; empty if nothing is."""
    if any(name in metrics for metrics in METRICS.values()):
        return f"{name!r} is a metric that every evaluation has; choose another one"
    if not name.isidentifier():
        return f"{name!r} is no name of a metric; choose another one"
    try:
        check_plugin(path, MetricFunction)
    except ValueError as error:
        return str(error)
    return ""


def _wrong(candidate: Candidate, methods: Mapping[str, str]) -> Iterator[Problem]:
    """What is wrong with the classes of a candidate, by the keys that name them."""
    members = ("estimators",) if candidate.members else ()
    # `a__b` is the argument b of what the argument a holds
    searched = {name.partition("__")[0] for name in candidate.search}
    yield from _wrong_step((), candidate, methods, members, searched)
    for number, step in enumerate(candidate.prepare):
        if step.use != "drop":
            yield from _wrong_step(("prepare", number), step, TRANSFORMER)
        yield from _wrong_steps(("prepare", number, "then"), step.then)
    yield from _wrong_steps(("then",), candidate.then)
    for name, values in candidate.search.items():
        yield from _wrong_argument(("search", name), values)


def _wrong_steps(keys: tuple[str | int, ...], steps: Sequence[Step]) -> Iterator[Problem]:
    for number, step in enumerate(steps):
        yield from _wrong_step((*keys, number), step, TRANSFORMER)


def _wrong_step(
    keys: tuple[str | int, ...],
    step: Step,
    methods: Mapping[str, str],
    further: Collection[str] = (),
    named: Collection[str] = (),
) -> Iterator[Problem]:
    """What is wrong with one class and with those among its arguments."""
    if "{{" in step.use:  # a template, which is filled in later
        return
    try:
        check_estimator(step.use, methods, {*step.parameters, *further}, named)
    except WrongArgument as error:
        yield (*keys, *_where(error.name, step, further)), str(error), step.use
    except PluginError as error:
        yield (*keys, "use"), str(error), step.use
    for name, value in step.parameters.items():
        yield from _wrong_argument((*keys, "parameters", name), value)


def _wrong_argument(keys: tuple[str | int, ...], value: Any) -> Iterator[Problem]:
    """What is wrong with the classes within an argument, at any depth."""
    if isinstance(value, Mapping) and "use" in value:
        try:
            step = Step.model_validate(value)
        except ValidationError as error:
            for problem in error.errors():
                yield (*keys, *problem["loc"]), problem["msg"], problem["input"]
        else:
            yield from _wrong_step(keys, step, PART)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _wrong_argument((*keys, name if isinstance(name, int) else str(name)), item)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _wrong_argument((*keys, number), item)


def _where(argument: str, step: Step, members: Collection[str]) -> tuple[str, ...]:
    """The keys from which an argument of a step came."""
    if argument in members:
        return ("members",)
    return ("parameters", argument) if argument in step.parameters else ("search",)


def _unknown_metrics(asked: Mapping[tuple[str | int, ...], str], info: ValidationInfo) -> list[Problem]:
    """What is wrong with metrics that a configuration asks for, by the keys where it does."""
    if "metrics" not in info.data or "task" not in info.data:  # they are wrong themselves, which is told
        return []
    metrics = [*METRICS[info.data["task"]], *info.data["metrics"]]
    expected = f"Input should be {', '.join(map(repr, metrics[:-1]))} or {metrics[-1]!r}"
    return [(keys, f"{expected} (given: {name!r})", name) for keys, name in asked.items() if name not in metrics]


class Feedback(Strict):
    """How corrections by people are taken in, and which rows people are asked to label."""

    # a number of repeats: every estimator learns from a row that comes three times, few know `sample_weight`
    weight: int = Field(3, ge=1, le=100, description="How many times a corrected row counts in training.")
    most_a_day: int = Field(
        500, gt=0, description="Most corrections one source may send a day; if it sends more, none of them counts."
    )
    labels: tuple[str, ...] = Field((), description="Labels that may come in though no model knows them yet.")
    audit_rows: int = Field(50, ge=0, description="Rows of a day drawn at random, for people to label.")
    slices: tuple[str, ...] = Field((), description="Columns by whose values live metrics are shown, too.")


class Retraining(Strict):
    """What starts a training by itself; the gate still decides about its result."""

    schedule: str | None = Field(None, description="Cron expression by the clock of `partitions`, such as `0 4 * * 1`.")
    corrections: int | None = Field(None, gt=0, description="New accepted corrections that start a training.")
    drop: Share | None = Field(None, description="Fall of accuracy on audited rows, below evaluation, that starts one.")
    drift: int | None = Field(
        None,
        gt=0,
        description="Published days in a row with a red lamp of `drift` that start one; not learned from yet.",
    )
    labels: Literal["monthly"] | None = Field(
        None,
        description="`monthly`: a day with labels in a month that the last training had none of starts one, for then "
        "the labels of the month before are in.",
    )
    recipe: bool = Field(
        False, description="Whether a change of the recipe starts one: keys that decide a model, or `features.sql`."
    )
    least_audited: int = Field(100, gt=0, description="Audited rows of the champion that `drop` needs to speak up.")
    hours_between: float = Field(24, ge=0, description="Least hours from one training to the next one that starts so.")

    @property
    def starts(self) -> bool:
        """Whether anything starts a training by itself."""
        causes = (self.schedule, self.corrections, self.drop, self.drift, self.labels)
        return any(cause is not None for cause in causes) or self.recipe

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, schedule: str | None) -> str | None:
        if schedule is not None and len(schedule.split()) != 5:
            raise ValueError(f"{schedule!r} is no cron expression of five fields; example: 0 4 * * 1")
        return schedule
