"""In: what was guessed of a table. Out: the text of `defs.yaml` and of `features.sql`."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from mlops_assets.errors import UsageError
from mlops_assets.tools.drafting.candidates import Kinds, write_candidates
from mlops_assets.tools.drafting.columns import Guess, unique
from mlops_assets.tools.drafting.dates import gaps
from mlops_assets.tools.drafting.dialect import Dialect
from mlops_assets.use_case import FileFormat
from mlops_assets.work.printable import printable, printable_lines

USED = ("number", "amount", "category", "boolean", "date", "timestamp", "prose")
"""Roles of the columns that a model gets."""

PARTS: dict[str, dict[str, str]] = {
    "date": {"month": "month", "weekday": "dayofweek"},
    "timestamp": {"month": "month", "weekday": "dayofweek", "hour": "hour"},
}
"""What a model gets of a date: ends of names, and DuckDB's functions."""

AGGREGATED = 10
"""Most number columns that are aggregated over a file."""

HELD_OUT = 0.25
"""Share of the rows that a draft holds out."""

SURE = 2.5
"""How many standard errors of the baseline the gate asks for: fewer rows need a larger gain to be no accident."""


@dataclass(frozen=True)
class Plan:
    """All that the two files say.

    Attributes
    ----------
    name, table
        Names of the use case and of the file that it was made of.
    columns
        The columns in their order.
    label, account
        Names of two of them.
    rows
        Rows that have a label.
    classes
        Rows of each class; none where the label is a number.
    dialect, files
        How the table is written.
    date
        The date column by which rows are held out, if there is one.
    split
        `time`, `account` or `random`.
    days
        Days from the first to the last date.
    aggregates
        Whether a file will be one account's month, which is worth aggregating.
    moving
        The number columns that differ within an account.
    start
        First day that may be predicted.
    source
        What `source` says, where rows come from a database.
    missed
        Where the label is a number: what its median misses, in the mean, and the standard deviation of that.
    """

    name: str
    table: str
    columns: dict[str, Guess]
    label: str
    account: str
    rows: int
    classes: tuple[int, ...]
    dialect: Dialect
    files: FileFormat
    date: str | None
    split: str
    days: int
    aggregates: bool
    moving: list[str]
    start: dt.date
    source: Mapping[str, Any] = field(default_factory=dict)
    missed: tuple[float, float] = (0.0, 0.0)

    @property
    def used(self) -> list[Guess]:
        """The columns that the model gets."""
        return [guess for guess in self.columns.values() if guess.name != self.label and guess.role in USED]


def write_yaml(plan: Plan, checks: list[str]) -> str:
    """The text of `defs.yaml`."""
    changed = {name: value for name, value in plan.files if value != FileFormat.model_fields[name].default}
    lines = [
        f"# Guessed from {printable(plan.table)} by `mlops-assets new`. Check by hand:",
        *(f"# - {printable(check)}" for check in checks),
        "type: mlops_assets.components.ml_use_case.MlUseCase",
        "",
        "attributes:",
        f"  description: {_flow(f'Predicts {plan.label}.')}",
        "  owner: team:ml  # who answers for it, on every page of Dagster: team:NAME or an e-mail address",
        f"  start: {plan.start}",
        *(["", f"  source: {_flow(dict(plan.source))}"] if plan.source else []),
        *(["", f"  files: {_flow(changed)}"] if changed else []),
        "",
        "  # A bound is ten times wider than what was seen: it stops what is absurd, not what is new.",
        "  columns:",
        *_columns(plan),
        "",
        f"  account: {_flow(plan.account)}",
        f"  label: {_flow(plan.label)}",
        *(["", f"  import: {_flow({'key': [plan.account], 'date': plan.date})}"] if plan.aggregates else []),
        "",
        *_training(plan),
    ]
    return "\n".join(lines) + "\n"


def _columns(plan: Plan) -> list[str]:
    keys = {name: f"{_flow(name)}:" for name in plan.columns}  # quoted where need be: `no` is no name in YAML
    width = max(map(len, keys.values()))
    return [f"    {keys[name]:{width}} {_flow(_column(guess))}" for name, guess in plan.columns.items()]


def _training(plan: Plan) -> list[str]:
    metric, margin = _gate(plan)
    column = {"column": plan.date} if plan.split == "time" else {}
    texts = [guess.name for guess in plan.used if guess.role == "prose"]
    words = any(guess.role == "category" for guess in plan.used)
    numbers = any(guess.role not in ("category", "prose") for guess in plan.used)
    kinds = Kinds(numbers=numbers, words=words, texts=tuple(_flow(text) for text in texts))
    return [
        "  training:",
        *([] if plan.classes else ["    task: regression"]),
        f"    window_days: {max(366, plan.days + 62)}",
        f"    split: {_flow({'by': plan.split, **column, 'held_out': HELD_OUT})}",
        *([f"    texts: {_flow(texts)}"] if texts else []),
        f"    metric: {metric}",
        *write_candidates(kinds, len(plan.classes), plan.rows),
        "    gate:",
        f"      margin: {{{metric}: {margin}}}  # gain over the baseline; less could be an accident in so few rows",
    ]


def _gate(plan: Plan) -> tuple[str, float]:
    """The metric that ranks, and the margin over the baseline that is hardly an accident in the held-out rows."""
    if not plan.classes:
        # the standard error of a mean error
        mean, deviation = plan.missed
        error = deviation / math.sqrt(plan.rows * HELD_OUT)
        return "mae", float(f"{min(max(0.02 * mean, SURE * error), 0.3 * mean):.2g}")
    counts = sorted(plan.classes)
    rows = sum(counts)
    if len(counts) == 2:
        # the standard error of the area for answers by chance, as of Mann and Whitney's U
        metric, error = "roc_auc", math.sqrt((rows + 1) / (12 * counts[0] * counts[1] * HELD_OUT))
    else:
        share = counts[-1] / rows
        # the standard error of a share
        metric, error = "accuracy", math.sqrt(share * (1 - share) / (rows * HELD_OUT))
    return metric, round(min(max(0.02, SURE * error), 0.3), 2)


def write_sql(plan: Plan) -> str:
    """The text of `features.sql`.

    Raises
    ------
    UsageError
        If no column is left for the model.
    """
    left_out = [guess for guess in plan.columns.values() if guess not in plan.used and guess.name != plan.label]
    if not plan.used:
        shown = ", ".join(f"{guess.name} ({guess.role})" for guess in left_out[:20])
        raise UsageError(
            f"No column is left to learn from: all but the label are keys, texts, constant or empty: {shown}. Name the "
            "account with --account if it was taken wrongly."
        )
    taken = {"file", "line", *plan.columns}
    view, aggregates = _aggregates(plan, taken) if plan.aggregates else ([], [])
    fields = [field for guess in plan.used for field in _fields(guess, plan, taken)]
    fields += gaps([guess for guess in plan.used if guess.role in PARTS], plan.date, lambda name: unique(name, taken))
    lines = [
        f"-- What the model sees of each row. Left out: {', '.join(guess.name for guess in left_out) or 'nothing'}.",
        *view,
        "CREATE VIEW model_input AS",
        "SELECT",
        _list(["r.file", "r.line", *fields, *aggregates]),
        "FROM rows AS r JOIN file_features AS f USING (file);" if plan.aggregates else "FROM rows AS r;",
    ]
    return "\n".join(lines) + "\n"


def _aggregates(plan: Plan, taken: set[str]) -> tuple[list[str], list[str]]:
    """The lines of a view with a row a file, and the fields by which a row is compared with its file."""
    numbers = plan.moving[:AGGREGATED]
    means = {name: unique(f"{name}_mean", taken) for name in numbers}
    deviations = {name: unique(f"{name}_deviation", taken) for name in numbers}
    size = unique("rows_of_file", taken)
    view = [
        f"-- `mlops-assets import` makes a file of each {plan.account} and month: its usual values.",
        "CREATE VIEW file_features AS",
        "SELECT",
        _list(["file", f"count(*) AS {size}", *(f"avg({name}) AS {mean}" for name, mean in means.items())]),
        "FROM rows",
        "GROUP BY file;",
        "",
    ]
    return view, [f"f.{size}", *(f"r.{name} - f.{means[name]} AS {deviations[name]}" for name in numbers)]


def _fields(guess: Guess, plan: Plan, taken: set[str]) -> list[str]:
    """What the model gets of a column."""
    name = guess.name
    if guess.role == "amount":
        return [f"try_cast(trim({_digits(name, plan.files)}) AS DOUBLE) AS {name}"]
    if guess.role in PARTS:
        return [f"{call}(r.{name}) AS {unique(f'{name}_{part}', taken)}" for part, call in PARTS[guess.role].items()]
    return [f"r.{name}"]


def _digits(name: str, files: FileFormat) -> str:
    """SQL that takes the sign off an amount and writes the rest as SQL reads numbers."""
    text = f"regexp_replace(r.{name}, '[^0-9,. +-]', '', 'g')"
    if files.thousands:
        text = f"replace({text}, '{files.thousands}', '')"
    return f"replace({text}, '{files.decimal}', '.')" if files.decimal != "." else text


def _list(items: list[str]) -> str:
    return "\n".join(f"    {item}," for item in items).removesuffix(",")


def _column(guess: Guess) -> dict[str, Any]:
    """What the contract says of a column."""
    source = {} if guess.source in (None, guess.name) else {"from": guess.source}
    return {**source, **guess.settings, "about": guess.about}


def _flow(value: Any) -> str:
    """YAML on one line."""
    text = _dumped(value, letters=True)
    if printable_lines(text) != text:  # there is a sign that cannot be seen: all are escaped, and read back the same
        text = _dumped(value, letters=False)
    # PyYAML ends a bare word with the mark of a document's end
    return text.removesuffix("\n").removesuffix("\n...")


def _dumped(value: Any, *, letters: bool) -> str:
    form: dict[str, Any] = {"default_flow_style": True, "sort_keys": False, "width": float("inf")}
    return str(yaml.safe_dump(value, allow_unicode=letters, **form))
