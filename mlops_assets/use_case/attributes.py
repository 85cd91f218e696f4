"""The keys of a `defs.yaml`, and the use case that they make."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, PositiveInt, ValidationInfo, field_validator, model_validator

from mlops_assets.errors.redaction import remember
from mlops_assets.use_case.clients import Client, Subprocess
from mlops_assets.use_case.drift import Drift
from mlops_assets.use_case.enrichments import Enrichment, check_enrichments
from mlops_assets.use_case.files import Checks, Column, FileFormat, Import
from mlops_assets.use_case.notices import ABSENT
from mlops_assets.use_case.partitions import Partitions
from mlops_assets.use_case.references import as_written, variables
from mlops_assets.use_case.scoring import Scoring
from mlops_assets.use_case.sensor import Sensor
from mlops_assets.use_case.serving import Serving
from mlops_assets.use_case.source import Origin, check_hours
from mlops_assets.use_case.strict import Problem, Strict, refuse
from mlops_assets.use_case.targets import Delivering, TargetName, shared, too_long, unkept
from mlops_assets.use_case.told import ChannelName, Deadline, Told, literal_secrets
from mlops_assets.use_case.training import Candidate, Feedback, Retraining, Training

P = TypeVar("P", Candidate, Delivering, Enrichment, Origin)
"""What has parameters."""


NUMBERS = ("integer", "number")
"""Types of a column of numbers."""


class Scale(Strict):
    """The volume and deadline that a day is planned for."""

    files_a_shard: int = Field(5_000, gt=0, description="Files in one unit of work.")
    rows_a_day: int = Field(1_000_000, gt=0, description="Planned rows a day.")
    minutes: float = Field(30, gt=0, description="Minutes that scoring the planned rows may take.")
    workers: int = Field(2, gt=0, description="Processes that are planned for it.")
    engine: Literal["auto", "local", "spark", "runs", "pipes"] = Field(
        "local", description="What runs the shards; `MLOPS_ENGINE` overrules it. `auto` is the cheapest in time."
    )
    ranges: int = Field(4, gt=0, le=100, description="Dagster runs that a step is spread over by the engine `runs`.")
    days_a_run: int = Field(
        0, ge=0, description="Days, hours or weeks that a run of a backfill does at most; 0 is all in one."
    )
    client: Client = Field(default_factory=Subprocess, description="Where the job of the engine `pipes` is started.")


class Attributes(Strict):
    """What the `attributes` of a `defs.yaml` may say: files, checks and training of one use case."""

    description: str = Field(description="What is predicted, for whom.")
    owner: str = Field("team:ml", pattern=r"^(team:\w+|\S+@\S+)$", description="`team:name` or an e-mail address.")
    start: dt.date = Field(description="First day that may be predicted.")
    partitions: Partitions = Field(default_factory=Partitions, description="Days, hours or weeks, and of which zone.")
    source: Origin | None = Field(None, description="Where the raw files come from, and whether links are followed.")
    files: FileFormat = Field(default_factory=FileFormat, description="How the raw files are written.")
    # before the keys that name columns: a validator sees the fields before its own alone
    columns: dict[str, Column] = Field(min_length=1, description="The contract: the columns of a raw file, by name.")
    account: str = Field(description="Column that says whom a row is about; `account_id` of the predictions.")
    label: str = Field(description="Column that is predicted; empty or absent in files to be scored.")
    enrichments: dict[str, Enrichment] = Field(
        default_factory=dict, description="Tables of further columns from elsewhere, by name."
    )
    checks: Checks = Field(default_factory=Checks, description="Conditions of a day.")
    training: Training = Field(description="Rows, candidates and gate.")
    scoring: Scoring = Field(default_factory=Scoring, description="What is stored of the answers.")
    scale: Scale = Field(default_factory=Scale, description="Volume and deadline.")
    value: str | None = Field(None, description="Number column that says what a row is worth, such as its amount.")
    challenger: PositiveInt | Literal["newest"] | None = Field(
        None, description="Version that scores every day beside the champion; its predictions are stored apart."
    )
    keep_days: int = Field(30, gt=0, description="Days for which replaced versions of a published day stay readable.")
    feedback: Feedback = Field(default_factory=Feedback, description="Corrections and audits.")
    retraining: Retraining = Field(default_factory=Retraining, description="What starts a training.")
    drift: Drift = Field(default_factory=Drift, description="How days are watched.")
    serving: Serving = Field(default_factory=Serving, description="How requests are answered.")
    sensor: Sensor | None = Field(None, description="Watches for new files; `sensor: {}` takes every default.")
    targets: dict[TargetName, Delivering] = Field(
        default_factory=dict,
        description="What takes the predictions of a day, or another table, once they are published, by name.",
    )
    deadline: str | None = Field(
        None, description="By when a day must be published: a time of the day after, and its zone; see below."
    )
    told: dict[ChannelName, Told] = Field(default_factory=dict, description="Who hears of what happens, by channel.")
    imports: Import | None = Field(None, alias="import", description="How `mlops-assets import` cuts a table.")
    sample: str | None = Field(None, description="Import path of a function that draws sample rows.")

    @field_validator("columns")
    @classmethod
    def _names_are_free(cls, columns: dict[str, Column]) -> dict[str, Column]:
        taken = {"day", "file", "line"} & columns.keys()
        if taken:
            raise ValueError(f"{', '.join(sorted(taken))}: these names belong to the platform; choose another")
        bad = next((name for name in columns if not name.isidentifier()), None)
        if bad is not None:
            raise ValueError(f"{bad!r} is not a name SQL can use unquoted; rename it and say `from: {bad!r}`")
        headers = Counter(column.header(name) for name, column in columns.items())
        twice = next((header for header, times in headers.items() if times > 1), None)
        if twice is not None:
            raise ValueError(f"{twice!r} is the name of two columns in the file")
        return columns

    @property
    def optional_columns(self) -> tuple[str, ...]:
        """The columns that a file may lack: those that say so, and the label, which files to be scored come without."""
        return tuple(name for name, column in self.columns.items() if column.optional_column or name == self.label)

    @field_validator("account", "label")
    @classmethod
    def _is_a_column(cls, name: str, info: ValidationInfo) -> str:
        columns = info.data.get("columns")
        # None where the columns are wrong themselves, which is told
        if columns is not None and name not in columns:
            raise ValueError(f"{name!r} is not one of the columns: {', '.join(columns)}")
        return name

    @field_validator("enrichments")
    @classmethod
    def _enrichments_fit(cls, enrichments: dict[str, Enrichment], info: ValidationInfo) -> dict[str, Enrichment]:
        columns = info.data.get("columns")
        if columns is None:
            return enrichments
        return check_enrichments(enrichments, {n: c.type for n, c in columns.items()}, info.data.get("label"))

    @model_validator(mode="after")
    def _have_places(self) -> Self:
        fixed = self.files.format == "fixed"
        wrong = next((name for name, column in self.columns.items() if (column.at is not None) != fixed), None)
        if wrong is not None and fixed:
            raise ValueError(f"columns.{wrong}.at: name the first and last place of the field, such as `at: [1, 10]`")
        if wrong is not None:
            raise ValueError(f"columns.{wrong}.at: only files of `format: fixed` have places")
        if self.source is not None and self.source.use == "sql" and self.files.format != "csv":
            raise ValueError(f"files.format: rows of a database are landed as CSV files, not as {self.files.format}")
        if self.source is not None and self.source.use == "sql" and self.files.compression != "none":
            raise ValueError("files.compression: rows of a database are landed as files that are not compressed")
        return self

    @model_validator(mode="after")
    def _can_be_absent(self) -> Self:
        for name in self.checks.noticed:
            column = name.removeprefix(ABSENT)
            if name != column and column not in self.optional_columns:
                allowed = ", ".join(ABSENT + each for each in self.optional_columns)
                raise ValueError(f"checks.noticed: {column!r} is no column that a file may lack; known: {allowed}")
        return self

    @field_validator("value")
    @classmethod
    def _is_a_number(cls, name: str | None, info: ValidationInfo) -> str | None:
        columns = info.data.get("columns")
        if name is None or columns is None:
            return name
        numbers = [number for number, column in columns.items() if column.type in NUMBERS]
        if name not in numbers:
            raise ValueError(f"{name!r} is not a number column; there are: {', '.join(numbers) or 'none'}")
        return name

    @field_validator("feedback")
    @classmethod
    def _slices_exist(cls, feedback: Feedback, info: ValidationInfo) -> Feedback:
        columns = info.data.get("columns")
        if columns is None:  # they are wrong themselves, which is told
            return feedback
        unknown = [name for name in feedback.slices if name not in columns]
        if unknown:
            raise ValueError(f"slices: {unknown[0]!r} is not one of the columns: {', '.join(columns)}")
        return feedback

    @field_validator("training")
    @classmethod
    def _split_column_exists(cls, training: Training, info: ValidationInfo) -> Training:
        columns = info.data.get("columns")
        name = training.split.column
        if columns is not None and name != "day" and getattr(columns.get(name), "type", None) != "date":
            raise ValueError(f"split.column: {name!r} is not a date column of this use case (nor `day`)")
        return training

    @field_validator("source")
    @classmethod
    def _asks_for_a_period(cls, source: Origin | None, info: ValidationInfo) -> Origin | None:
        partitions = info.data.get("partitions")
        if source is not None and partitions is not None:
            check_hours(source, partitions.every)
        return source

    @model_validator(mode="after")
    def _label_fits_the_task(self) -> Self:
        kind = self.columns[self.label].type
        if not self.training.says_numbers:
            return self
        problems: list[Problem] = []
        if kind not in NUMBERS:
            numbers = ", ".join(name for name, column in self.columns.items() if column.type in NUMBERS) or "none"
            why = f"{kind} {self.label!r} is no number, which `training.task: regression` learns; there are: {numbers}"
            problems.append((("label",), why, self.label))
        if self.scoring.most != 0:
            why = "a number has no probabilities: this is for `training.task: classification`"
            problems.append((("scoring", "probabilities"), why, self.scoring.probabilities))
        if self.feedback.labels:
            why = "a number is no label that a model must know first: this is for `training.task: classification`"
            problems.append((("feedback", "labels"), why, self.feedback.labels))
        refuse(problems)
        return self

    @field_validator("deadline")
    @classmethod
    def _is_a_time(cls, deadline: str | None, info: ValidationInfo) -> str | None:
        partitions = info.data.get("partitions")
        if deadline is not None and partitions is not None:  # None where they are wrong themselves
            Deadline.parse(deadline, partitions)
        return deadline

    @field_validator("partitions")
    @classmethod
    def _hours_can_be_told_apart(cls, partitions: Partitions, info: ValidationInfo) -> Partitions:
        if start := info.data.get("start"):
            partitions.check_changes(start)
        return partitions

    @field_validator("sensor", mode="before")
    @classmethod
    def _sensor_is_said(cls, sensor: object) -> object:
        if sensor is None:
            raise ValueError("there is nothing behind this key; say `sensor: {}` to watch with every default")
        return sensor

    @field_validator("imports")
    @classmethod
    def _import_columns_exist(cls, imports: Import | None, info: ValidationInfo) -> Import | None:
        columns = info.data.get("columns")
        if imports is None or columns is None:
            return imports
        unknown = {*imports.key, imports.date} - columns.keys()
        if unknown:
            raise ValueError(f"{sorted(unknown)[0]!r} is not one of the columns: {', '.join(columns)}")
        if columns[imports.date].type != "date":
            raise ValueError(f"date: {imports.date!r} is not a date column")
        return imports


class UseCase(Attributes):
    """One machine-learning use case: its configuration, its name and its feature SQL."""

    # it names assets, jobs and folders
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Name of the folder.")
    features_sql: str = Field(description="Text of features.sql.")
    folder: Path | None = Field(None, exclude=True, description="The folder; no part of a version's recipe.")
    drawn_from: str | None = Field(
        None, exclude=True, description="The first period of Dagster's pages, if not that of `start`."
    )
    written: Mapping[str, Any] = Field(
        default_factory=dict, exclude=True, repr=False, description="The attributes before the environment filled them."
    )

    @model_validator(mode="after")
    def _targets_can_have_it(self) -> Self:
        kept = self.scoring.most != 0
        wrong = [*too_long(self.name, self.targets), *shared(self.targets)]
        refuse([*wrong, *([] if kept else unkept(self.targets))])
        return self

    @model_validator(mode="after")
    def _addresses_are_of_the_environment(self) -> Self:
        refuse([*literal_secrets(self.at("told"))])
        return self

    def __getstate__(self) -> dict[Any, Any]:
        """Go to a worker process, by way of files under Spark, without the values that the driver alone needs."""

        def unfilled(part: P, *keys: str) -> P:
            parameters = as_written(part.parameters, self.at(*keys, "parameters"))
            return part.model_copy(update={"parameters": parameters})

        candidates = self.training.candidates.items()
        tried = {name: unfilled(candidate, "training", "candidates", name) for name, candidate in candidates}
        parts = {
            "source": self.source and unfilled(self.source, "source"),
            "enrichments": {name: unfilled(part, "enrichments", name) for name, part in self.enrichments.items()},
            "targets": {name: unfilled(part, "targets", name) for name, part in self.targets.items()},
            "folder": None,  # another machine has another disk, or none of it
            "told": {},  # whoever works on shards tells nobody
            "training": self.training.model_copy(update={"candidates": tried}),
        }
        state = super().__getstate__()
        return {**state, "__dict__": {**state["__dict__"], **parts}}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Come to a worker process, where the same values are secrets."""
        super().__setstate__(state)
        for variable in variables(self.written):
            remember(variable)

    def recipe(self) -> dict[str, Any]:
        """The whole configuration as it is stored: by the keys of a `defs.yaml`, references as they stand there."""
        written = dict(as_written(self.model_dump(mode="json", by_alias=True), self.written))
        # how days are cut into runs makes no version, and is in none of those of before
        return {**written, "scale": {name: part for name, part in written["scale"].items() if name != "days_a_run"}}

    def at(self, *keys: str) -> Any:
        """What is written at some keys, such as the parameters of a target; an empty mapping where it is nothing."""
        said: Any = self.written
        for key in keys:
            said = said.get(key) if isinstance(said, Mapping) else None
        return said or {}

    @property
    def first_day(self) -> str:
        """The first period that may be predicted: the one that `start` lies in."""
        return self.partitions.of_date(self.start)

    @property
    def due(self) -> Deadline | None:
        """By when its periods must be published."""
        return None if self.deadline is None else Deadline.parse(self.deadline, self.partitions)

    @property
    def follow_links(self) -> bool:
        """Whether links that lead out of the folder of the raw files are followed."""
        return self.source is not None and self.source.follow_links

    @property
    def keeps(self) -> bool:
        """Whether raw files are kept as they were read."""
        return self.source is not None and self.source.keep is not None

    @property
    def contract_fingerprint(self) -> str:
        """Hash of everything that decides how a raw file is read; of the environment, the names of variables alone."""
        contract: dict[str, Any] = {
            "files": self.files.reading(),
            "columns": {name: column.reading() for name, column in self.columns.items()},
            "label": self.label,
            "refused": [self.checks.file_rejects, self.checks.file_reject_rate],
        }
        # not where there is none: contracts from before there were sources keep their fingerprint
        if self.source is not None and self.source.use is not None:
            # a link that is followed or not is another entry of the listing; what is kept is read as ever
            source = self.source.model_dump(mode="json", exclude={"follow_links", "keep"})
            contract["source"] = as_written(source, self.at("source"))
        return hashlib.sha256(json.dumps(contract).encode()).hexdigest()[:16]
