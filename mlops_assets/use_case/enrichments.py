"""Columns that do not stand in the raw files: whom to ask for them, how, and what holds where no answer comes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from mlops_assets.plugins.enrichments import Fetcher
from mlops_assets.use_case.strict import SecretVariable, Share, Strict, Variable, check_use

ColumnType = Literal["string", "integer", "number", "date", "timestamp", "boolean"]
TAKEN = frozenset({"rows", "arrow_rows", "file_features", "model_input"})
"""Names that SQL has for other things."""


class Validity(Strict):
    """Columns that say when a record holds; without them it always does."""

    at: str | None = Field(None, description="Key that holds the date to look a record up for; the day by default.")
    valid_from: str | None = Field(None, description="Column of records: first date on which one holds.")
    valid_to: str | None = Field(None, description="Column of records: last date on which one holds; empty: for ever.")
    known_from: str | None = Field(None, description="Column of records: first date on which one was known.")


class TableParameters(Validity):
    """Records in a file."""

    file: str = Field(description="CSV or Parquet file: beside `defs.yaml`, a whole path, or `s3://bucket/key`.")


class SqlParameters(Validity):
    """Records that a query finds."""

    query: str = Field(
        description="The query; `:day` is the day, and after `IN` the name of a key, such as `:city`, those asked for."
    )
    url_variable: Variable = Field(description="Environment variable with SQLAlchemy's URL of the database.")
    most_rows: int = Field(1_000_000, gt=0, description="Most records that it may find.")


class HttpParameters(Strict):
    """A service that answers in JSON."""

    url: str = Field(pattern=r"^(https?://[^@]+|\{\{.*)$", description="Where it is; no user or password in it.")
    method: Literal["POST", "GET"] = Field("POST", description="How it is asked.")
    timeout: float = Field(10, gt=0, description="Seconds for one answer to be whole.")
    largest: int = Field(8 << 20, gt=0, description="Largest answer in bytes; a larger one is refused.")
    headers: dict[str, str] = Field(default_factory=dict, description="Header: its value.")
    secret_headers: dict[str, SecretVariable] = Field(
        default_factory=dict, description="Header: the environment variable that holds its value."
    )


PARAMETERS: dict[str, type[Strict]] = {"table": TableParameters, "sql": SqlParameters, "http": HttpParameters}
"""What `parameters` may say, by `use`; those of a class of your own are its arguments."""


class Enrichment(Strict):
    """A table of further columns for `features.sql`, asked for once a day for the keys of the day's rows."""

    # first, for a validator sees the fields before its own alone, and that of `use` looks at these
    parameters: dict[str, Any] = Field(default_factory=dict, description="What it needs; see below.")
    use: str = Field(description="`table`, `sql`, `http`, or the import path of a class of your own.")
    keys: tuple[str, ...] = Field(min_length=1, description="Columns of the rows that it is asked by.")
    columns: dict[str, ColumnType] = Field(min_length=1, description="Columns that it answers with, and their types.")
    missing: Literal["empty", "last_known", "stop"] = Field(
        "empty", description="What holds where no answer comes: nothing, the last known one, or the day is stopped."
    )
    max_age_days: int = Field(7, gt=0, description="With `last_known`: how many days back it is looked for.")
    most_missing: Share = Field(1, description="Largest share of rows that may be without any answer.")
    ask_within_days: int | None = Field(
        None, ge=0, description="Days after a day in which it may be asked for; unset for one that knows the past."
    )
    most_keys: int = Field(
        1_000_000, gt=0, description="Most distinct keys of a day; with more, nobody is asked and the day stops."
    )
    batch: int | None = Field(None, gt=0, description="Keys in one request: 1,000 by default, with `table` all.")
    at_once: int = Field(1, ge=1, le=64, description="Requests at a time.")
    a_second: float | None = Field(None, gt=0, description="Most requests a second.")
    retries: int = Field(3, ge=0, le=20, description="How often a request that failed is tried again.")
    pause: float = Field(0.5, gt=0, description="Seconds before the first retry; they double, and are drawn at random.")
    give_up_after: int = Field(5, gt=0, description="Failures in a row after which it is left alone for a while.")
    cool_down: float = Field(30, gt=0, description="Seconds of that while; if it then fails again, no more is asked.")
    minutes: float = Field(10, gt=0, description="Minutes after which no more is asked for a day.")

    @property
    def own(self) -> str | None:
        """The import path of a class of one's own; None for a kind that we bring."""
        return None if self.use in PARAMETERS else self.use

    @field_validator("columns")
    @classmethod
    def _names_are_free(cls, columns: dict[str, ColumnType], info: ValidationInfo) -> dict[str, ColumnType]:
        taken = {"day", "file", "line", *info.data.get("keys", ())} & columns.keys()
        if taken:
            raise ValueError(f"{sorted(taken)[0]!r} is a key, or belongs to the platform; choose another name")
        # names that begin with _ are the training set's own
        bad = [name for name in columns if not name.isidentifier() or name.startswith("_")]
        if bad:
            raise ValueError(f"{bad[0]!r} is not a name SQL can use unquoted, or begins with _")
        return columns

    @field_validator("use")
    @classmethod
    def _can_be_asked(cls, use: str, info: ValidationInfo) -> str:
        if use not in PARAMETERS and "." not in use:
            raise ValueError(f"{use!r} is neither one of {', '.join(PARAMETERS)} nor an import path of a class")
        return check_use(use, info.data.get("parameters", {}), PARAMETERS, Fetcher)

    @field_validator("keys")
    @classmethod
    def _keys_differ(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(keys)) < len(keys):
            raise ValueError("a key stands there twice")
        return keys


def check_enrichments(
    enrichments: dict[str, Enrichment], types: dict[str, str], label: str | None
) -> dict[str, Enrichment]:
    """Whether names and keys fit the columns of the use case.

    Parameters
    ----------
    enrichments
        What the configuration says.
    types
        Columns of the contract with their types.
    label
        Column that is predicted.
    """
    for name, enrichment in enrichments.items():
        _check_name(name)
        _check_columns(name, enrichment, types)
        for key in enrichment.keys:
            _check_key(name, key, types, label)
        if enrichment.use in ("table", "sql"):
            _check_date(name, enrichment, types)
    return enrichments


def _check_name(name: str) -> None:
    # SQL takes names in any case for the same
    plain = name.isidentifier() and name == name.lower()
    if not plain or name.startswith("_") or name in TAKEN:
        raise ValueError(f"{name!r} is no name for a table in SQL; take another, in lower case")


def _check_columns(name: str, enrichment: Enrichment, types: dict[str, str]) -> None:
    if {f"{name}_status", f"{name}_day"} & {*enrichment.columns, *enrichment.keys}:
        raise ValueError(f"{name}: {name}_status and {name}_day tell how an answer came; rename the column")
    both = sorted(enrichment.columns.keys() & types.keys())
    if both:
        raise ValueError(f"{name}.columns: {both[0]!r} is a column of the rows; choose another name")


def _check_key(name: str, key: str, types: dict[str, str], label: str | None) -> None:
    if key not in types:
        raise ValueError(f"{name}.keys: {key!r} is not one of the columns: {', '.join(types)}")
    if key == label:
        raise ValueError(f"{name}.keys: {key!r} cannot be a key: it is what is predicted")
    if types[key] == "number":
        raise ValueError(f"{name}.keys: {key!r} cannot be a key: numbers with decimals are not equal reliably")


def _check_date(name: str, enrichment: Enrichment, types: dict[str, str]) -> None:
    """See that the date for which records are looked up is one."""
    at = enrichment.parameters.get("at")
    dates = [key for key in enrichment.keys if types[key] in ("date", "timestamp")]
    if at is not None and at not in dates:
        raise ValueError(f"{name}.parameters.at: {at!r} is not a date among the keys: {', '.join(enrichment.keys)}")
