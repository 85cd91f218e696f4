"""In: what was guessed of a table. Out: the text of `defs.yaml` and of `features.sql`."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import Any

import yaml

from mlops_assets.errors import UsageError
from mlops_assets.tools.drafting.columns import Guess, unique
from mlops_assets.tools.drafting.dialect import Dialect
from mlops_assets.use_case import FileFormat

USED = ("number", "amount", "category", "boolean", "date", "timestamp")
"""Roles of the columns that a model gets."""

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
    classes
        Rows of each class.
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
    """

    name: str
    table: str
    columns: dict[str, Guess]
    label: str
    account: str
    classes: tuple[int, ...]
    dialect: Dialect
    files: FileFormat
    date: str | None
    split: str
    days: int
    aggregates: bool
    moving: list[str]
    start: dt.date

    @property
    def used(self) -> list[Guess]:
        """The columns that the model gets."""
        return [one for one in self.columns.values() if one.name != self.label and one.role in USED]


def write_yaml(plan: Plan, checks: list[str]) -> str:
    """The text of `defs.yaml`."""
    metric, margin = _gate(plan)
    keys = {one.name: f"{_flow(one.name)}:" for one in plan.columns.values()}  # `no` is no name in YAML
    width = max(map(len, keys.values()))
    columns = "\n".join(f"    {keys[one.name]:{width}} {_flow(_column(one))}" for one in plan.columns.values())
    told = "\n".join(f"# - {_line(check)}" for check in checks)
    kinds = {"number" if one.role != "category" else "category" for one in plan.used}
    files = {
        name: getattr(plan.files, name)
        for name, info in FileFormat.model_fields.items()
        if getattr(plan.files, name) != info.default
    }
    split = {"by": plan.split, **({"column": plan.date} if plan.split == "time" else {}), "held_out": HELD_OUT}
    window = max(366, plan.days + 62)
    lines = [
        f"# Guessed from {_line(plan.table)} by `mlops-assets new`. Check by hand:",
        told,
        "type: mlops_assets.components.ml_use_case.MlUseCase",
        "",
        "attributes:",
        f"  description: {_flow(f'Predicts {plan.label}.')}",
        f"  start: {plan.start}",
        *(["", f"  files: {_flow(files)}"] if files else []),
        "",
        "  # A bound is ten times wider than what was seen: it stops what is absurd, not what is new.",
        "  columns:",
        columns,
        "",
        f"  account: {_flow(plan.account)}",
        f"  label: {_flow(plan.label)}",
        *(["", f"  import: {_flow({'key': [plan.account], 'date': plan.date})}"] if plan.aggregates else []),
        "",
        "  training:",
        f"    window_days: {window}",
        f"    split: {_flow(split)}",
        f"    metric: {metric}",
        "    baseline: majority",
        "    candidates:",
        "      majority:",
        "        use: sklearn.dummy.DummyClassifier",
        "        parameters: {strategy: prior}",
        "      linear:",
        "        use: sklearn.linear_model.LogisticRegression",
        "        parameters: {max_iter: 1000}",
        "        prepare:",
        *([*_IMPUTE, "            then: [{use: sklearn.preprocessing.StandardScaler}]"] if "number" in kinds else []),
        *(_ONE_HOT if "category" in kinds else []),
        "      forest:",
        "        use: sklearn.ensemble.ExtraTreesClassifier",
        "        parameters: {n_estimators: 100, min_samples_leaf: 2, random_state: 0}",
        *(["        prepare:", *_IMPUTE] if "number" in kinds else []),
        "    gate:",
        f"      margin: {{{metric}: {margin}}}  # gain over the baseline; less could be an accident in so few rows",
    ]
    return "\n".join(lines) + "\n"


def _gate(plan: Plan) -> tuple[str, float]:
    """The metric that ranks, and the margin over the baseline that is hardly an accident in the held-out rows."""
    counts = sorted(plan.classes)
    rows = sum(counts)
    if len(counts) == 2:
        metric, error = "roc_auc", math.sqrt((rows + 1) / (12 * counts[0] * counts[1] * HELD_OUT))
    else:
        share = counts[-1] / rows
        metric, error = "accuracy", math.sqrt(share * (1 - share) / (rows * HELD_OUT))
    return metric, round(min(max(0.02, SURE * error), 0.3), 2)


_IMPUTE = [
    "          - use: sklearn.impute.SimpleImputer",
    "            parameters: {strategy: median, keep_empty_features: true}",
    "            columns: numbers",
]
_ONE_HOT = [
    "          - use: mlops_assets.encoders.OneHotEncoder",
    "            parameters: {min_frequency: 5}",
    "            columns: categories",
]


def write_sql(plan: Plan) -> str:
    """The text of `features.sql`.

    Raises
    ------
    UsageError
        If no column is left for the model.
    """
    if not plan.used:
        raise UsageError(
            "No column is left to learn from: all but the label are keys, texts, constant or empty. Name the account "
            "with --account if it was taken wrongly."
        )
    taken = {"file", "line", *plan.columns}
    numbers = plan.moving[:AGGREGATED]
    means = {name: unique(f"{name}_mean", taken) for name in numbers}
    away = {name: unique(f"{name}_deviation", taken) for name in numbers}
    size = unique("rows_of_file", taken)
    fields = [field for one in plan.used for field in _fields(one, plan, taken)]
    left = [one for one in plan.columns.values() if one not in plan.used and one.name != plan.label]
    lines = [f"-- What the model sees of each row. Left out: {', '.join(one.name for one in left) or 'nothing'}."]
    if plan.aggregates:
        sums = [f"count(*) AS {size}", *(f"avg({name}) AS {means[name]}" for name in numbers)]
        lines += [
            f"-- `mlops-assets import` makes a file of each {plan.account} and month: its usual values.",
            "CREATE VIEW file_features AS",
            "SELECT",
            _list(["file", *sums]),
            "FROM rows",
            "GROUP BY file;",
            "",
        ]
        fields += [f"f.{size}", *(f"r.{name} - f.{means[name]} AS {away[name]}" for name in numbers)]
    end = "FROM rows AS r JOIN file_features AS f USING (file);" if plan.aggregates else "FROM rows AS r;"
    lines += ["CREATE VIEW model_input AS", "SELECT", _list(["r.file", "r.line", *fields]), end]
    return "\n".join(lines) + "\n"


def _fields(one: Guess, plan: Plan, taken: set[str]) -> list[str]:
    """What the model gets of a column."""
    if one.role in ("date", "timestamp"):
        parts = {"month": "month", "weekday": "dayofweek", **({"hour": "hour"} if one.role == "timestamp" else {})}
        return [f"{call}(r.{one.name}) AS {unique(f'{one.name}_{part}', taken)}" for part, call in parts.items()]
    if one.role == "amount":
        text = f"regexp_replace(r.{one.name}, '[^0-9,. +-]', '', 'g')"
        if plan.files.thousands:
            text = f"replace({text}, '{plan.files.thousands}', '')"
        if plan.files.decimal != ".":
            text = f"replace({text}, '{plan.files.decimal}', '.')"
        return [f"try_cast(trim({text}) AS DOUBLE) AS {one.name}"]
    return [f"r.{one.name}"]


def _list(items: list[str]) -> str:
    return "\n".join(f"    {item}," for item in items).removesuffix(",")


def _column(one: Guess) -> dict[str, Any]:
    source = {"from": one.source} if one.source is not None and one.source != one.name else {}
    said = {key: list(value) if isinstance(value, tuple) else value for key, value in one.settings.items()}
    return {**source, **said, "about": one.about}


def _flow(value: Any) -> str:
    """YAML on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf"))
    return text.removesuffix("\n").removesuffix("\n...")


def _line(text: str) -> str:
    """A text that stays within a comment."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
