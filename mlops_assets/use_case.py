"""The typed configuration of a use case: what `defs.yaml` may say, checked key by key."""

from __future__ import annotations

import codecs
import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, ValidationInfo, field_validator

from mlops_assets.errors import ConfigError, UsageError

Share = Annotated[float, Field(ge=0, le=1)]
Metric = Literal["accuracy", "macro_f1", "weighted_f1", "log_loss", "roc_auc"]


class Strict(BaseModel):
    """A part of the configuration; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class FileFormat(Strict):
    """How a raw file is written."""

    suffix: str = Field(".csv", description="End of the name of a data file; other files are refused.")
    delimiter: str = Field(",", min_length=1, max_length=1, description="Character between two fields.")
    encoding: str = Field("utf-8", description="Encoding of the text, by Python's name for it.")
    decimal: Literal[".", ","] = Field(".", description="Decimal sign of numbers.")
    thousands: Literal["", ".", ",", " "] = Field("", description="Sign between groups of three digits, if any.")
    quotes: bool = Field(True, description="Whether a field may stand between double quotes.")
    largest: int = Field(64 << 20, gt=0, description="Largest file in bytes; a larger one is refused.")

    @field_validator("encoding")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            known = codecs.lookup(name).name
            ascii_alike = bytes(range(128)).decode(known) == bytes(range(128)).decode("ascii")
        except LookupError:
            raise ValueError(f"Python knows no encoding {name!r}; examples: utf-8, latin-1, mac_roman") from None
        except UnicodeDecodeError:
            ascii_alike = False
        if not ascii_alike:
            raise ValueError(f"{name!r} does not hold ASCII as it is; examples: utf-8, latin-1, mac_roman")
        return known

    @field_validator("thousands")
    @classmethod
    def _differs(cls, thousands: str, info: ValidationInfo) -> str:
        if thousands and thousands == info.data.get("decimal"):
            raise ValueError(f"{thousands!r} is the decimal sign too; name another one")
        return thousands


class Column(Strict):
    """One column of the raw files: where it comes from, its type and what it may hold."""

    source: str | None = Field(None, alias="from", description="Name in the file's header, if it differs.")
    type: Literal["string", "integer", "number", "date", "timestamp", "boolean"] = Field(description="Type.")
    format: str = Field("", description="strptime format of a date or timestamp; ISO 8601 by default.")
    required: bool = Field(False, description="Whether an empty value makes the row a reject.")
    optional_column: bool = Field(False, description="Whether the file may lack the whole column.")
    constant: bool = Field(False, description="Whether a file must hold one value only; else it is refused.")
    missing: tuple[str, ...] = Field((), description="Texts that mean 'no value', besides the empty one.")
    min: float | dt.date | None = Field(None, description="Smallest value allowed.")
    max: float | dt.date | None = Field(None, description="Largest value allowed.")
    allowed: tuple[str, ...] = Field((), description="The only values allowed, if given.")
    about: str = Field("", description="What the column means.")

    @field_validator("min", "max")
    @classmethod
    def _bounds_the_type(cls, bound: float | dt.date | None, info: ValidationInfo) -> float | dt.date | None:
        kind = info.data.get("type")
        fits = {"integer": float, "number": float, "date": dt.date, "timestamp": dt.date}
        if bound is not None and kind is not None and not isinstance(bound, fits.get(kind, ())):
            raise ValueError(f"{bound} bounds no {kind}")
        if kind == "integer" and isinstance(bound, float) and not bound.is_integer():
            raise ValueError(f"{bound} bounds no integer; name a whole number")
        return bound

    def header(self, name: str) -> str:
        """Name in the header of a file; `name` is the column's own."""
        return name if self.source is None else self.source.strip()

    @property
    def strptime(self) -> str:
        """The format by which a date or timestamp of this column is read."""
        return self.format or ("%Y-%m-%d" if self.type == "date" else "%Y-%m-%d %H:%M:%S")


class Checks(Strict):
    """The conditions of a day; a day that fails one is not published."""

    reject_rate: Share = Field(0.2, description="Largest share of lines that may be rejected.")
    quarantine_rate: Share = Field(0.95, description="Largest share of files that may be refused.")
    unseen_share: dict[str, Share] = Field(
        default_factory=dict, description="Category column of the model: largest share of values it never saw."
    )


class Split(Strict):
    """How the labelled rows are divided into training and held-out rows."""

    by: Literal["time", "account", "random"] = Field("time", description="What keeps the two parts apart.")
    column: str = Field("day", description="With `time`: the date column that orders the rows.")
    held_out: Annotated[float, Field(gt=0, lt=1)] = Field(0.2, description="Share of rows that is held out.")
    starts: dt.date | None = Field(None, alias="from", description="With `time`: the first held-out date, instead.")


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
    """A model to try: a classifier, with the transformers that come before it."""

    prepare: tuple[Preparation, ...] = Field((), description="Transformers of columns.")
    others: Literal["pass", "drop"] = Field("pass", description="What happens to columns that `prepare` does not name.")
    then: tuple[Step, ...] = Field((), description="Transformers of everything, after `prepare`.")
    members: tuple[str, ...] = Field((), description="Candidates that an ensemble is made of, for its `estimators`.")
    search: dict[str, list[Any]] = Field(default_factory=dict, description="Argument: values to choose from, by folds.")


class Gate(Strict):
    """What a candidate must reach before it may become the champion."""

    floors: dict[Metric, float] = Field(default_factory=dict, description="Metric: least value.")
    margin: dict[Metric, float] = Field(default_factory=dict, description="Metric: least gain over the baseline.")
    tolerance: dict[Metric, float] = Field(
        default_factory=dict, description="Metric: largest loss against the present champion on the same rows."
    )
    rows_per_second: float = Field(0, ge=0, description="Least rows a second that one core must score.")
    changes: Share | None = Field(
        None, description="Largest share of the newest published day's predictions that may change; asks for a diff."
    )


class Training(Strict):
    """Which rows are learned from, which models are tried, and which one may serve."""

    window_days: int = Field(366, gt=0, description="How many days before the latest one are learned from.")
    most_rows: int = Field(300_000, gt=0, description="Most rows to learn from; above it, whole files are sampled.")
    split: Split = Field(default_factory=Split, description="How rows are held out.")
    folds: int = Field(3, ge=2, le=20, description="Folds inside the training part.")
    metric: Metric = Field("accuracy", description="The metric that ranks the candidates.")
    baseline: str = Field(description="The candidate that the others must beat.")
    candidates: dict[str, Candidate] = Field(min_length=1, description="The models to try, by name.")
    gate: Gate = Field(default_factory=Gate, description="What a champion must reach.")
    promotion: Literal["automatic", "manual"] = Field(
        "automatic", description="Whether a version that passes the gate becomes champion at once, or by `promote`."
    )
    refit: bool = Field(True, description="Whether the winner is fitted again on all labelled rows before it serves.")
    threshold: Share | None = Field(None, description="Binary only: probability from which the second class is said.")
    trusted: tuple[str, ...] = Field((), description="Further types that a stored model may hold (import paths).")

    @field_validator("candidates")
    @classmethod
    def _has_baseline(cls, candidates: dict[str, Candidate], info: ValidationInfo) -> dict[str, Candidate]:
        baseline = info.data.get("baseline")
        if baseline is not None and baseline not in candidates:
            raise ValueError(f"the baseline {baseline!r} is not among the candidates: {', '.join(candidates)}")
        for name, candidate in candidates.items():
            unknown = [member for member in candidate.members if member not in candidates or candidates[member].members]
            if unknown:
                raise ValueError(f"{name}.members: {unknown[0]!r} is not a candidate that an ensemble can be made of")
        return candidates


class Feedback(Strict):
    """How corrections by people are taken in, and which rows people are asked to label."""

    weight: int = Field(3, ge=1, le=100, description="How many times a corrected row counts in training.")
    most_a_day: int = Field(
        500, gt=0, description="Most corrections one source may send a day; if it sends more, none of them counts."
    )
    labels: tuple[str, ...] = Field((), description="Labels that may come in though no model knows them yet.")
    audit_rows: int = Field(50, ge=0, description="Rows of a day drawn at random, for people to label.")
    slices: tuple[str, ...] = Field((), description="Columns by whose values live metrics are shown, too.")


class Retraining(Strict):
    """What starts a training by itself; the gate still decides about its result."""

    schedule: str | None = Field(None, description="Cron expression in UTC, such as `0 4 * * 1`.")
    corrections: int | None = Field(None, gt=0, description="New accepted corrections that start a training.")
    drop: Share | None = Field(None, description="Fall of accuracy on audited rows, below evaluation, that starts one.")
    least_audited: int = Field(100, gt=0, description="Audited rows of the champion that `drop` needs to speak up.")
    hours_between: float = Field(24, ge=0, description="Least hours from one training to the next one that starts so.")

    @property
    def starts(self) -> bool:
        """Whether anything starts a training by itself."""
        return any(cause is not None for cause in (self.schedule, self.corrections, self.drop))

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, schedule: str | None) -> str | None:
        if schedule is not None and len(schedule.split()) != 5:
            raise ValueError(f"{schedule!r} is no cron expression of five fields; example: 0 4 * * 1")
        return schedule


class Import(Strict):
    """How one published table is cut into raw files of days: one file per key and calendar month."""

    key: tuple[str, ...] = Field(min_length=1, description="Columns whose values name a file.")
    date: str = Field(description="Date column; a month's file lies in the first day of the next month.")


class Scale(Strict):
    """The volume and deadline that a day is planned for."""

    files_a_shard: int = Field(5_000, gt=0, description="Files in one unit of work.")
    rows_a_day: int = Field(1_000_000, gt=0, description="Planned rows a day.")
    minutes: float = Field(30, gt=0, description="Minutes that scoring the planned rows may take.")
    workers: int = Field(2, gt=0, description="Processes that are planned for it.")
    engine: Literal["local", "spark"] = Field("local", description="What runs the shards; `MLOPS_ENGINE` overrules it.")


class Attributes(Strict):
    """What the `attributes` of a `defs.yaml` may say: files, checks and training of one use case."""

    description: str = Field(description="What is predicted, for whom.")
    owner: str = Field("team:ml", pattern=r"^(team:\w+|\S+@\S+)$", description="`team:name` or an e-mail address.")
    start: dt.date = Field(description="First day that may be predicted.")
    files: FileFormat = Field(default_factory=FileFormat, description="How the raw files are written.")
    columns: dict[str, Column] = Field(min_length=1, description="The contract: the columns of a raw file, by name.")
    account: str = Field(description="Column that says whom a row is about; `account_id` of the predictions.")
    label: str = Field(description="Column that is predicted; empty or absent in files to be scored.")
    checks: Checks = Field(default_factory=Checks, description="Conditions of a day.")
    training: Training = Field(description="Rows, candidates and gate.")
    scale: Scale = Field(default_factory=Scale, description="Volume and deadline.")
    value: str | None = Field(None, description="Number column that says what a row is worth, such as its amount.")
    challenger: PositiveInt | Literal["newest"] | None = Field(
        None, description="Version that scores every day beside the champion; its predictions are stored apart."
    )
    keep_days: int = Field(30, gt=0, description="Days for which replaced versions of a published day stay readable.")
    feedback: Feedback = Field(default_factory=Feedback, description="Corrections and audits.")
    retraining: Retraining = Field(default_factory=Retraining, description="What starts a training.")
    imports: Import | None = Field(None, alias="import", description="How `mlops-assets import` cuts a table.")
    sample: str | None = Field(None, description="Import path of a function that draws sample rows.")

    @field_validator("columns")
    @classmethod
    def _names_are_free(cls, columns: dict[str, Column]) -> dict[str, Column]:
        taken = {"day", "file", "line"} & columns.keys()
        if taken:
            raise ValueError(f"{', '.join(sorted(taken))}: these names belong to the platform; choose another")
        bad = [name for name in columns if not name.isidentifier()]
        if bad:
            raise ValueError(f"{bad[0]!r} is not a name SQL can use unquoted; rename it and say `from: {bad[0]!r}`")
        names = [column.header(name) for name, column in columns.items()]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} is the name of two columns in the file")
        return columns

    @field_validator("account", "label")
    @classmethod
    def _is_a_column(cls, name: str, info: ValidationInfo) -> str:
        columns = info.data.get("columns")
        if columns is not None and name not in columns:
            raise ValueError(f"{name!r} is not one of the columns: {', '.join(columns)}")
        return name

    @field_validator("value")
    @classmethod
    def _is_a_number(cls, name: str | None, info: ValidationInfo) -> str | None:
        columns = info.data.get("columns")
        numbers = [one for one, column in (columns or {}).items() if column.type in ("integer", "number")]
        if name is not None and columns is not None and name not in numbers:
            raise ValueError(f"{name!r} is not a number column; there are: {', '.join(numbers) or 'none'}")
        return name

    @field_validator("feedback")
    @classmethod
    def _slices_exist(cls, feedback: Feedback, info: ValidationInfo) -> Feedback:
        columns = info.data.get("columns")
        unknown = [name for name in feedback.slices if columns is not None and name not in columns]
        if unknown:
            raise ValueError(f"slices: {unknown[0]!r} is not one of the columns: {', '.join(columns or ())}")
        return feedback

    @field_validator("training")
    @classmethod
    def _split_column_exists(cls, training: Training, info: ValidationInfo) -> Training:
        columns = info.data.get("columns")
        name = training.split.column
        if columns is not None and name != "day" and getattr(columns.get(name), "type", None) != "date":
            raise ValueError(f"split.column: {name!r} is not a date column of this use case (nor `day`)")
        return training

    @field_validator("imports")
    @classmethod
    def _import_columns_exist(cls, imports: Import | None, info: ValidationInfo) -> Import | None:
        columns = info.data.get("columns")
        if imports is not None and columns is not None:
            unknown = {*imports.key, imports.date} - columns.keys()
            if unknown:
                raise ValueError(f"{sorted(unknown)[0]!r} is not one of the columns: {', '.join(columns)}")
            if columns[imports.date].type != "date":
                raise ValueError(f"date: {imports.date!r} is not a date column")
        return imports


class UseCase(Attributes):
    """One machine-learning use case: its configuration, its name and its feature SQL."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Name of the folder.")
    features_sql: str = Field(description="Text of features.sql.")

    @property
    def contract_fingerprint(self) -> str:
        """Hash of everything that decides how a raw file is read."""
        contract = {
            "files": self.files.model_dump(mode="json"),
            "columns": {
                name: column.model_dump(mode="json", exclude={"about"}) for name, column in self.columns.items()
            },
            "label": self.label,
        }
        return hashlib.sha256(json.dumps(contract).encode()).hexdigest()[:16]


class _Loader(yaml.SafeLoader):
    """Leaves a day that no calendar has a text, so that it is told by its key."""

    def construct_yaml_timestamp(self, node: yaml.ScalarNode) -> Any:
        try:
            return super().construct_yaml_timestamp(node)
        except ValueError:
            return node.value


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_yaml_timestamp)


def load_use_case(folder: Path) -> UseCase:
    """Read the use case in a folder.

    Parameters
    ----------
    folder
        Folder with `defs.yaml` and `features.sql`; its name is the use case's name.

    Raises
    ------
    ConfigError
        If a file is missing, is no YAML, or says something the model does not know; with file, line and key.
    """
    path = folder / "defs.yaml"
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        attributes = yaml.load(path.read_text(encoding="utf-8"), _Loader).get("attributes")  # noqa: S506 - a SafeLoader
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; a use case needs one.") from None
    except (yaml.YAMLError, AttributeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: this is not a YAML mapping with `type` and `attributes`: {error}") from None
    if not isinstance(attributes, dict):
        raise ConfigError(f"{path}: expected the key `attributes` with the settings of the use case.")
    try:
        return build_use_case(attributes, folder)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(path, root, problem) for problem in error.errors())) from None


def build_use_case(attributes: dict[str, Any], folder: Path) -> UseCase:
    """Make a use case of its attributes and of the folder it lies in.

    Raises
    ------
    ConfigError
        If the folder has no `features.sql`.
    pydantic.ValidationError
        If an attribute is wrong.
    """
    sql = folder / "features.sql"
    if not sql.is_file():
        raise ConfigError(f"{sql}: there is no such file; it must create the view `model_input`.")
    try:
        text = sql.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{sql}: this is not UTF-8: {error}") from None
    strange = {str(key): "" for key in attributes if key in ("name", "features_sql") or not isinstance(key, str)}
    if strange:
        Attributes.model_validate({**{k: v for k, v in attributes.items() if isinstance(k, str)}, **strange})
    return UseCase(**{**attributes, "name": folder.name, "features_sql": text})


def list_use_cases(folders: Sequence[Path]) -> dict[str, Path]:
    """The use cases in some folders: name and folder, sorted by name.

    Raises
    ------
    UsageError
        If a folder does not exist.
    ConfigError
        If two use cases have the same name.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"There is no folder {folder}; MLOPS_USE_CASES must name one that holds use cases.")
        for path in sorted(folder.glob("*/defs.yaml")):
            name = path.parent.name
            if name in found:
                raise ConfigError(f"{path}: there is another use case {name!r} in {found[name]}; rename this folder.")
            found[name] = path.parent
    return dict(sorted(found.items()))


def find_use_case(folders: Sequence[Path], name: str) -> UseCase:
    """Read the use case of that name.

    Raises
    ------
    UsageError
        If there is none; the message lists those that exist.
    """
    known = list_use_cases(folders)
    if name not in known:
        raise UsageError(f"There is no use case {name!r}; there are: {', '.join(known) or 'none'}.")
    return load_use_case(known[name])


def _explain(path: Path, root: yaml.Node | None, problem: Any) -> str:
    keys = tuple(
        key for key in problem["loc"] if not isinstance(key, str) or not key.startswith(("function-", "[key]"))
    )
    line = _line_of(root, ("attributes", *keys))
    where = ".".join(str(key) for key in keys) or "attributes"
    given = "" if problem["type"] in ("missing", "value_error") else f" (given: {problem['input']!r})"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "this key is not known here; is it misspelt?"
    return f"{path}:{line}: {where}: {message}{given}"


def _line_of(node: yaml.Node | None, keys: tuple[Any, ...]) -> int:
    """Line of the deepest node that the keys reach, counted from 1."""
    line = node.start_mark.line + 1 if node else 1
    for key in keys:
        child: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key_node, value in node.value:
                if key_node.value == str(key):
                    line, child = key_node.start_mark.line + 1, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            child = node.value[key]
            line = child.start_mark.line + 1
        if child is None:
            break
        node = child
    return line
