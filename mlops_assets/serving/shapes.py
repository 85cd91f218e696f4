"""The shapes of answers, for the schema and for clients that are made of it; answers are not checked by them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

Links = dict[str, str]
Shares = dict[str, float]
Number = float | None  # JSON has no value for NaN, such as a metric of a class without rows, and says null


class Prediction(BaseModel):
    """What the model says of a row."""

    line: int = Field(ge=1)
    prediction: str | float
    probability: float | None = Field(None, ge=0, le=1, description="A float32, as the shortest decimal that is it.")
    probabilities: Shares | None = None
    interval: list[float] | None = Field(None, description="Of a number: both ends; null where the model has none.")


class Reject(BaseModel):
    """A line without a prediction, or a whole file."""

    line: int | None = Field(description="null: the whole file.")
    rule: str
    message: str
    raw: str


class File(BaseModel):
    """What became of a file."""

    file: str
    lines: int = Field(ge=0, description="`rows` and `rejected`; 0 of a file that is refused as a whole.")
    rows: int = Field(ge=0)
    rejected: int = Field(ge=0)
    predictions: list[Prediction]
    rejects: list[Reject]


class Predictions(BaseModel):
    """What became of each file of a request."""

    request: str
    use_case: str
    version: int = Field(ge=1)
    files: list[File]
    why: dict[str, Any] | None = Field(None, description="Of the row that is explained.")


class UseCaseLinks(BaseModel):
    """A use case, and where the rest of it lies."""

    name: str
    description: str
    links: Links


class UseCaseSummary(UseCaseLinks):
    """A few words about a use case."""

    owner: str
    champion: int | None = None
    why_none: str | None = None
    newest_day: str | None = None
    error: str | None = Field(None, description="Why no more is known; what follows the owner is then left out.")


class UseCases(BaseModel):
    """All use cases."""

    use_cases: list[UseCaseSummary]


class Start(BaseModel):
    """Where everything is."""

    name: str
    version: str
    use_cases: list[UseCaseLinks]
    links: Links


class ContractColumn(BaseModel):
    """A column of the files."""

    name: str
    header: str
    type: str
    at: list[int] | None = Field(description="Of fixed width: its first place, from 1, and its last.")
    format: str
    zone: str
    required: bool
    optional_column: bool
    constant: bool
    missing: list[str]
    min: float | str | None
    max: float | str | None
    allowed: list[str]
    unit: str
    about: str


class Contract(BaseModel):
    """How the files are written, and what each of their columns may hold."""

    files: dict[str, Any]
    columns: list[ContractColumn]
    account: str | None
    label: str


class UseCaseDetails(UseCaseSummary):
    """A use case with its contract, its classes and its limits."""

    contract: Contract
    task: Literal["classification", "regression"]
    classes: list[str]
    limits: Shares


class Change(BaseModel):
    """A change of the champion."""

    number: int
    when: str
    who: str
    action: str
    version: int
    before: int | None
    why: str
    verdict: str
    sha256: str
    judged_sha256: str
    about_sha256: str
    retro_score: str


class DeployedVersion(Change):
    """The champion, and since when it is."""

    use_case: str
    links: Links


class Refusal(BaseModel):
    """That somebody decided against a version."""

    when: str
    who: str
    why: str


class KnownVersion(BaseModel):
    """What lists and cards tell of a version."""

    version: int
    candidate: str
    made: str
    reason: str
    metrics: dict[str, Number]
    baseline_metrics: dict[str, Number]
    held_out: int
    training_set: str
    rows: int
    days: list[str]


class Version(KnownVersion):
    """What is short of a version."""

    rows_per_second: float
    passed: bool | None
    sql: str
    contract: str
    reference: str
    refused: Refusal | None
    bounds: dict[str, list[Number]] = {}
    links: Links


class Versions(BaseModel):
    """The versions of a use case, and who was champion when."""

    use_case: str
    champion: int | None
    waiting: int | None
    changes: list[Change]
    versions: list[Version]
    retro_scores: list[dict[str, Any]]


class Condition(BaseModel):
    """What the gate asked."""

    name: str
    asked: str
    found: str
    passed: bool


class Card(KnownVersion):
    """The card of a version."""

    use_case: str
    champion: bool
    origin: dict[str, str] | None
    passed: bool
    conditions: list[Condition]
    folds: list[Number]
    classes: dict[str, dict[str, Number]]
    confusion: list[list[int]]
    calibration: list[dict[str, Number]]
    calibrated: dict[str, Any]
    importance: dict[str, Number]
    cost: dict[str, Number]
    libraries: dict[str, str]


class Day(BaseModel):
    """A day in a list; null is what is not known of it yet."""

    day: str
    state: Literal["done", "red", "late", "missing"]
    why: list[str]
    files: int | None
    files_read: int | None
    files_refused: int | None
    lines: int | None
    rows: int | None
    rejected: int | None
    labelled: int | None
    predictions: int | None
    without_prediction: int | None
    model_version: int | None
    publication: int | None
    published: str | None
    links: Links


class Page(BaseModel):
    """Part of a list."""

    use_case: str
    next: str | None = Field(description="`cursor` of the next page; null: this is the last one.")


class DayList(Page):
    """Days, the newest first."""

    days: list[Day]


class Check(BaseModel):
    """A condition of a day."""

    name: str
    passed: bool
    found: str
    advice: str
    warns: bool


class DayDetails(Day):
    """All that is known of a day."""

    use_case: str
    current: bool | None
    run: str | None
    checks: list[Check]
    drift: dict[str, Any] | None
    rejected_by_rule: dict[str, int]
    read: dict[str, Any] | None
    accounting: dict[str, Any] | None
    deliveries: dict[str, dict[str, Any]]


class PublishedPrediction(BaseModel):
    """A row that is published."""

    day: str
    file: str
    line: int
    account_id: str | None
    prediction: str | float
    probability: float | None = None
    low: Number = None
    high: Number = None
    model_version: int
    probabilities: Shares | None = None


class PublishedPredictions(Page):
    """Published predictions of a day."""

    day: str
    publication: int
    model_version: int
    rows: list[PublishedPrediction]


class PublishedReject(BaseModel):
    """A line or a file of a day that was refused."""

    day: str
    file: str
    line: int | None
    rule: str
    message: str
    raw: str | None


class PublishedRejects(Page):
    """Refused lines and files of a day."""

    day: str
    publication: int
    rows: list[PublishedReject]


class Entry(BaseModel):
    """What became of a correction."""

    line: int | str
    counts: bool
    rule: str | None = None
    message: str | None = None


class Feedback(BaseModel):
    """What became of corrections."""

    use_case: str
    who: str
    file: str
    sent_before: bool
    accepted: int
    rejected: int
    entries: list[Entry]


class Started(BaseModel):
    """A run that was started."""

    run: str
    job: str
    link: str


class Refused(Refusal):
    """That somebody decided against a version, when and why."""

    use_case: str
    version: int


class Span(BaseModel):
    """Days from the first to the last."""

    first: str = Field(alias="from")
    last: str = Field(alias="to")


class Refreshed(BaseModel):
    """That the history is looked at, and which version answers until then."""

    use_case: str
    version: int | None


class FailedStep(BaseModel):
    """A step of a run that failed."""

    step: str
    said: str


class Run(Started):
    """How a run stands."""

    use_case: str
    days: Span | None
    who: str | None
    state: str
    created: str | None
    started: str | None
    ended: str | None
    failed: list[FailedStep]


class Ready(BaseModel):
    """Whether the process can answer, with which versions."""

    status: Literal["ready", "not ready", "ending"]
    versions: dict[str, int]
    without: dict[str, str]
    troubles: dict[str, str]
