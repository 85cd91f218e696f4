"""Where what is published of a day is delivered to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from mlops_assets.errors import UsageError
from mlops_assets.plugins.targets import Target
from mlops_assets.storage.places import parse_place
from mlops_assets.use_case.strict import Problem, SecretVariable, Strict, Variable, check_use

PREDICTIONS: Literal["predictions"] = "predictions"
"""The table that a target gets unless it says another."""

Delivered = Literal["predictions", "rows", "rejects", "features"]
"""The tables that can be delivered."""


def check_place(place: str) -> str:
    """A place, seen to be one.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        parse_place(place)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return place


class FilesTarget(Strict):
    """The rows of the input files with their predictions, or those of another table, as files."""

    place: str = Field(
        min_length=1,
        description="Folder, or `s3://bucket/prefix`; a day lies at `<place>/<use case>/day=YYYY-MM-DD/`, of a table "
        "other than `predictions` at `<place>/<use case>/<table>/day=YYYY-MM-DD/`.",
    )
    format: Literal["csv", "parquet"] = Field("csv", description="How they are written; CSV is UTF-8 with commas.")
    spreadsheet: bool = Field(
        False, description="In CSV, an apostrophe before texts that a spreadsheet would take for formulas."
    )
    one_file_a: Literal["file", "shard"] = Field(
        "file",
        description="One output for each input file, under its path; or one a shard, with a column `file`.",
    )

    @field_validator("place")
    @classmethod
    def _is_a_place(cls, place: str) -> str:
        return check_place(place)


LONGEST = 63
"""Bytes that PostgreSQL keeps of a name; it cuts off the others in silence."""


def check_name(name: str) -> str:
    """The name of a table or of a schema, seen to be one that a database keeps; it is quoted wherever it stands.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not name.strip() or not name.isprintable():
        raise ValueError(f"{name!r} is no name: it needs signs that can be seen, and no others but blanks")
    if (size := len(name.encode())) > LONGEST:
        raise ValueError(f"{name!r} has {size} bytes, and a database keeps {LONGEST} of a name")
    return name


Name = Annotated[str, AfterValidator(check_name)]

LEDGER = "mlops_assets_deliveries"
"""The table beside that of the predictions that says which publication of each day it holds."""

STAGE = "mlops_assets_stage"
"""The table of a connection's own in which a day waits to be compared with what is there."""


def check_free(table: str | None) -> str | None:
    """The name of a table, seen to be none of ours.

    Raises
    ------
    ValueError
        If it is.
    """
    if table is not None and table.lower() in (LEDGER, STAGE, DAYS_DONE):
        raise ValueError(f"{table!r} belongs to the platform; choose another name")
    return table


class SqlTarget(Strict):
    """A table of a database."""

    url_variable: Variable = Field(
        description="Environment variable with the URL of the database, `postgresql://...` or `sqlite:///...`."
    )
    table: Name | None = Field(
        None, description="Name of the table, made if absent; `<use case>_<table of the target>` by default."
    )
    db_schema: Name | None = Field(None, alias="schema", description="Its schema; that of the connection by default.")
    mode: Literal["replace", "upsert"] = Field(
        "replace", description="A day is deleted and written anew; or only rows that differ are touched, by their key."
    )

    @field_validator("table")
    @classmethod
    def _is_free(cls, table: str | None) -> str | None:
        return check_free(table)

    def table_of(self, use_case: str, table: str = PREDICTIONS) -> str:
        """Name of the table for what is delivered of a use case."""
        return self.table or f"{use_case}_{table}"


RedshiftName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$", max_length=127)]

ROLE = r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+"


class RedshiftTarget(Strict):
    """A table of Amazon Redshift."""

    url_variable: Variable = Field(
        description="Environment variable with the URL of the cluster or workgroup, "
        "`redshift://user:password@host:5439/database`."
    )
    place: str = Field(
        pattern="^s3://",
        description="`s3://bucket/prefix` in the region of the cluster, where files lie while it loads them.",
    )
    iam_role: str = Field(
        "default",
        pattern=f"^(default|{ROLE}(,{ROLE})*)$",
        description="ARN of the role by which the cluster reads `place`; `default` is the one that it has.",
    )
    table: RedshiftName | None = Field(
        None, description="Name of the table, made if absent; `<use case>_<table of the target>` by default."
    )
    db_schema: RedshiftName | None = Field(
        None, alias="schema", description="Its schema; that of the connection by default."
    )
    text_bytes: int = Field(
        65_535, ge=1, le=65_535, description="Bytes that a column of texts takes in a table that is made."
    )

    @field_validator("place")
    @classmethod
    def _is_a_place(cls, place: str) -> str:
        return check_place(place)

    @field_validator("table")
    @classmethod
    def _is_free(cls, table: str | None) -> str | None:
        return check_free(table)

    def table_of(self, use_case: str, table: str = PREDICTIONS) -> str:
        """Name of the table for what is delivered of a use case."""
        return self.table or f"{use_case}_{table}"


class KafkaEnd(Strict):
    """What tells that all rows of a day are there."""

    topic: str | None = Field(
        None, min_length=1, description="Where it is told, once; in each partition of the rows' own topic by default."
    )
    key: str | None = Field(None, min_length=1, description="Key of the message; the use case by default.")


class KafkaTopic(Strict):
    """A topic of Kafka."""

    servers: str = Field(min_length=1, description="Where to ask for the cluster: `host:port`, more of them by commas.")
    topic: str = Field(min_length=1, description="Name of the topic.")
    timeout: float = Field(60, gt=0, description="Seconds in which a message must be acknowledged.")
    options: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Further settings of librdkafka, such as `security.protocol`."
    )
    secrets: dict[str, SecretVariable] = Field(
        default_factory=dict, description="Setting of librdkafka: the environment variable that holds its value."
    )

    @field_validator("options")
    @classmethod
    def _holds_no_secret(cls, options: dict[str, Any]) -> dict[str, Any]:
        # what stands in a YAML lies in version control
        secret = [name for name in options if name.endswith(("password", "secret", "key", "key.pem"))]
        if secret:
            raise ValueError(f"{secret[0]} is a secret: name the environment variable that holds it under `secrets`")
        ours = [name for name in options if name in ("bootstrap.servers", "enable.idempotence", "acks")]
        if ours:
            raise ValueError(f"{ours[0]} is not for you to set: the guarantee hangs on it")
        return options


class KafkaTarget(KafkaTopic):
    """A topic of Kafka, and what tells that a day is whole."""

    end: KafkaEnd | None = Field(
        None, description="A message once all rows of a day are acknowledged; `{}` takes every default, none without."
    )


NOTICE = "notice"
"""What `use` says of a target that brings no rows, but that they can be read."""

DAYS_DONE = "mlops_days_done"
"""The table that has a row for each publication of each day."""


class NoticeTarget(Strict):
    """That a day is done, with its accounting, for other pipelines; at one place of the three."""

    url_variable: Variable | None = Field(
        None, description=f"Environment variable with the URL of a database: a row in its table `{DAYS_DONE}`."
    )
    db_schema: Name | None = Field(None, alias="schema", description="Schema of that table.")
    place: str | None = Field(
        None, description="Folder, or `s3://bucket/prefix`: an object `<place>/<use case>/day=YYYY-MM-DD.json`."
    )
    kafka: KafkaTopic | None = Field(
        None, description="Parameters of a target `kafka` without `end`: a message of its topic."
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(given is not None for given in (self.url_variable, self.place, self.kafka)) != 1:
            raise ValueError("name one of `url_variable`, `place` and `kafka`")
        if self.db_schema and not self.url_variable:
            raise ValueError("`schema` goes with `url_variable`")
        if self.place is not None:
            check_place(self.place)
        return self


TARGETS: dict[str, type[Strict]] = {
    "files": FilesTarget,
    "sql": SqlTarget,
    "redshift": RedshiftTarget,
    "kafka": KafkaTarget,
    NOTICE: NoticeTarget,
}
"""What `parameters` may say, by `use`; those of a class of your own are its arguments."""


class Delivering(Strict):
    """A target: what takes a table of a day once it is published."""

    # before `use`, whose validator looks at it and at them
    table: Delivered = Field(PREDICTIONS, description="What it gets: `predictions`, `rows`, `rejects` or `features`.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="What it needs; see below.")
    use: str = Field(
        description="`files`, `sql`, `redshift`, `kafka`, `notice`, or the import path of a class of your own."
    )
    probabilities: bool = Field(
        False, description="Whether it gets the probabilities of every class, too, which `scoring` must keep."
    )
    retries: int = Field(3, ge=0, le=20, description="How often a delivery to a target that is down is tried again.")
    pause: float = Field(30, ge=0, description="Seconds before the first retry; they double from one to the next.")

    @field_validator("use")
    @classmethod
    def _can_be_made(cls, use: str, info: ValidationInfo) -> str:
        if use not in TARGETS and "." not in use:
            raise ValueError(f"{use!r} is none of {', '.join(TARGETS)}, nor an import path")
        if use == NOTICE and info.data.get("table") != PREDICTIONS:
            raise ValueError("a notice brings no rows, so it has no `table`")
        return check_use(use, info.data.get("parameters", {}), TARGETS, Target)

    @model_validator(mode="after")
    def _has_probabilities(self) -> Self:
        if self.probabilities and self.table != PREDICTIONS:
            raise ValueError(f"probabilities are those of predictions, and this target gets {self.table}")
        return self


def too_long(use_case: str, targets: Mapping[str, Delivering]) -> Iterator[Problem]:
    """The targets whose table gets a name of the use case that no database would keep whole."""
    for name, target in targets.items():
        table = ""
        if target.use == "sql":
            table = SqlTarget.model_validate(target.parameters).table_of(use_case, target.table)
        if len(table) > LONGEST:
            message = (
                f"the table would be {table!r}, of {len(table)} signs, and a database takes {LONGEST}: name a `table`"
            )
            yield ("targets", name, "parameters"), message, target.parameters


def shared(targets: Mapping[str, Delivering]) -> Iterator[Problem]:
    """The targets whose rows would lie where those of another one do: what one wrote, the other takes for its own."""
    first: dict[tuple[str, ...], str] = {}
    for name, target in targets.items():
        given = TARGETS[target.use].model_validate(target.parameters) if target.use in TARGETS else None
        if isinstance(given, SqlTarget | RedshiftTarget):
            # a name of one's own, or that of the table that is delivered
            place = (given.url_variable, given.db_schema or "", (given.table or f" {target.table}").lower())
        elif isinstance(given, FilesTarget):
            place = (given.place.rstrip("/"), given.format, target.table)
        else:
            continue
        other = first.setdefault(place, name)
        if other != name:
            at = "place" if isinstance(given, FilesTarget) else "table"
            message = f"its rows would come to lie among those of the target {other}: name another {at}"
            yield ("targets", name, "parameters"), message, target.parameters


def unkept(targets: Mapping[str, Delivering]) -> Iterator[Problem]:
    """The targets that want probabilities, of a use case that keeps none."""
    for name, target in targets.items():
        if target.probabilities:
            message = "there are none to deliver: say `scoring: {probabilities: all}` or `{top: N}`, too"
            yield ("targets", name, "probabilities"), message, True


TargetName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
