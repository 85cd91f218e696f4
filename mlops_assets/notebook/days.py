"""In: a use case and a day. Out: its rows, what the model sees of them, its predictions and what is odd, as frames."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import MlopsError, UsageError, cannot_be_used
from mlops_assets.journey.enrich.answers import find_answers, needed, read_answers
from mlops_assets.journey.features.blame import Blamed, tell_left_out
from mlops_assets.journey.features.matrix import as_text
from mlops_assets.journey.features.shard import compute_good
from mlops_assets.journey.features.sql import describe, read_rows
from mlops_assets.journey.score.vectors import stored_schema
from mlops_assets.monitoring.verdicts import Watcher
from mlops_assets.notebook.finding import choose_shards, find, find_day
from mlops_assets.notebook.frames import Frame, Library, frame_of, frame_of_records, plain_table, see_library
from mlops_assets.storage.parts import Part
from mlops_assets.storage.tables import Published, Table
from mlops_assets.use_case.drift import read_against
from mlops_assets.views import drift as drift_views
from mlops_assets.views import profiles, status
from mlops_assets.views.numbers import plain
from mlops_assets.work.shards import shard_number
from mlops_assets.workspace import Stores

What = Literal["rows", "features", "predictions", "judged"]
"""What is read of a day."""

DAYS = ("day", "files", "rows", "rejected", "labelled", "predictions", "model_version", "published", "current")
LAMPS = ("day", "lamp", "state", "says", "figure", "effect", "threshold", "since", "do")
COLUMNS = ("column", "type", "used_as", "missing", "distinct", "smallest", "mean", "largest", "association", "alone")


def load_days(use_case: str, *, frame: Library = "pandas") -> Frame:
    """Load a line for each day that has files or is published, as `mlops-assets status` shows them.

    Parameters
    ----------
    use_case
        Name of the use case.
    frame
        `pandas` or `polars`.
    """
    see_library(frame)
    days = status.collect(find(use_case))["days"]
    return frame_of_records(({name: day[name] for name in DAYS} for day in days), frame, DAYS)


def features_sql(use_case: str) -> str:
    """The text of `features.sql` as it is now, to be changed and tried by `load_day(..., "features", sql=...)`."""
    return find(use_case).use_case.features_sql


def load_day(
    use_case: str,
    what: What,
    day: str | dt.date | None = None,
    *,
    shards: int | None = None,
    sql: str | Path | None = None,
    frame: Library = "pandas",
) -> Frame:
    """Load what is published of a day; each line has `day`, `file` and `line`, by which frames are joined.

    Where `features.sql` makes a column `day`, that of the key is `_day`.

    Parameters
    ----------
    use_case
        Name of the use case.
    what
        `rows`: the good rows, typed by the contract. `features`: what `features.sql` makes of them, computed now, from
        the rows and the answers of enrichments that are stored. `predictions`: what is published. `judged`: the
        predictions beside the `label` of their row, and whether each is `right`; of numbers whether the label lies in
        the interval, and by how much the prediction is too large, `error`. Corrections of people are not among them.
    day
        Day, hour or week, as the use case has them; the newest published one if it is None.
    shards
        Read so many shards of the day, drawn by the hash of the files' paths; all if it is None.
    sql
        Of `features`: another text in the place of `features.sql`, or the file that holds it. Nothing is stored.
    frame
        `pandas` or `polars`.

    Raises
    ------
    UsageError
        If there is no such use case or day, or the day is too large to be read by accident: say `shards`.
    MlopsError
        If the day is not published, or the SQL fails.
    """
    see_library(frame)
    if sql is not None and what != "features":
        raise UsageError(f"sql= is for 'features', and not for {what!r}.")
    stores = find(use_case)
    if what == "features":
        return frame_of(_features(stores, day, shards, _text(stores, sql)), frame)
    if what not in STORED:
        raise UsageError(f"load_day(..., {what!r}): say 'features' or one of {', '.join(map(repr, STORED))}.")
    return frame_of(STORED[what](stores, day, shards), frame)


def _text(stores: Stores, sql: str | Path | None) -> str:
    """The SQL that is meant."""
    if not isinstance(sql, Path):
        return stores.use_case.features_sql if sql is None else sql
    try:
        return sql.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(cannot_be_used(sql, getattr(error, "strerror", None) or str(error))) from None


def load_profile(use_case: str, day: str | dt.date | None = None, *, frame: Library = "pandas") -> Frame:
    """Load a line for each column of the contract: its use, its values, what it tells of the label.

    Parameters
    ----------
    use_case
        Name of the use case.
    day
        A day whose rows are published; the newest one if it is None.
    frame
        `pandas` or `polars`.

    Returns
    -------
    pandas.DataFrame or polars.DataFrame
        `column`, `type`, `used_as`, shares of `missing` values, number of `distinct` ones; `smallest`, `mean` and
        `largest` of numbers and dates, as texts; `association`, Cramer's V with the label; `alone`, the accuracy with
        which the column alone tells the label; `odd`, what is suspicious of it. More is said by `mlops-assets profile`.
    """
    see_library(frame)
    stores = find(use_case)
    chosen = find_day(stores, stores.lake.rows, day)
    told = profiles.content(profiles.profile_day(stores, chosen))
    return frame_of_records((_column(one, told["looked_at"]) for one in told["columns"]), frame, (*COLUMNS, "odd"))


def load_drift(
    use_case: str,
    days: str | dt.date | Sequence[str] | None = None,
    *,
    against: str | None = None,
    frame: Library = "pandas",
) -> Frame:
    """Load a line for each lamp of some days: how far they are from what they are compared with, and what to do.

    Parameters
    ----------
    use_case
        Name of the use case.
    days
        One published day or several; the newest one if it is None.
    against
        `training`, `trailing`, `last-week` or a day; as `drift.against` of the use case says if it is None.
    frame
        `pandas` or `polars`.
    """
    see_library(frame)
    stores = find(use_case)
    table = stores.lake.predictions
    several = [days] if days is None or isinstance(days, (str, dt.date)) else [*days]
    chosen = [find_day(stores, table, day) for day in several]
    try:
        asked = None if against is None else read_against(against)
    except ValueError as error:
        raise UsageError(f"against={against!r}: {error}.") from None
    watcher = Watcher(stores)
    verdicts = [watcher.judge(day, asked) for day in chosen]
    lines = ({"day": one.day, **line} for one in verdicts for line in drift_views.records(one.lamps))
    # a lamp that cannot be judged has no effect, and a column of numbers no empty text
    return frame_of_records(({name: _none(value) for name, value in line.items()} for line in lines), frame, LAMPS)


def _none(value: Any) -> Any:
    return None if value == "" else value


def _column(told: dict[str, Any], rows: int) -> dict[str, Any]:
    line = {name: told[name] for name in ("column", "type", "used_as")}
    seen = told["seen"]
    if seen is None:
        return line
    ends = {name: _written(seen[name]) for name in ("smallest", "mean", "largest")}
    counted = {"missing": seen["missing"] / max(1, rows), "distinct": seen["distinct"], **ends}
    alone = seen["alone"]["accuracy"] if seen["alone"] else None
    odd = ", ".join(seen["suspicions"])
    return {**line, **counted, "association": seen["association"], "alone": alone, "odd": odd}


def _written(value: float | str | None) -> str | None:
    """A number or a date as text, for a column of a frame holds one or the other."""
    return value if value is None or isinstance(value, str) else plain(value)


def _rows(stores: Stores, day: str | dt.date | None, shards: int | None) -> pa.Table:
    contract = stores.use_case.columns

    def columns() -> list[str]:
        # one of the contract that came later is not stored yet
        there = set(stores.lake.rows.read_parts([]).schema.names)
        return ["file", "line", *(name for name in contract if name in there)]

    return _stored(stores, stores.lake.rows, day, shards, columns)


def _predictions(stores: Stores, day: str | dt.date | None, shards: int | None) -> pa.Table:
    table = stores.lake.predictions
    return _stored(stores, table, day, shards, lambda: stored_schema(table).names)


def _stored(
    stores: Stores, table: Table[Any], day: str | dt.date | None, shards: int | None, columns: Callable[[], list[str]]
) -> pa.Table:
    """What is published of a day; which columns are read is asked once there is one."""
    chosen = find_day(stores, table, day)
    parts = _parts(stores, table, chosen, table.days()[chosen], shards)
    return table.read_parts(parts, ["day", *columns()]).read_all()


def _judged(stores: Stores, day: str | dt.date | None, shards: int | None) -> pa.Table:
    use_case, lake = stores.use_case, stores.lake
    chosen = find_day(stores, lake.predictions, day)
    predicted = plain_table(_predictions(stores, chosen, shards))
    made_of = lake.predictions.days()[chosen].accounting.rows_version
    # by the rows that were predicted: the day may have been read again since
    publications = {one.version: one for one in lake.rows.publications().get(chosen, [])}
    rows = publications.get(made_of or -1) or lake.rows.days().get(chosen)
    if rows is None:
        raise MlopsError(f"{use_case.name}: the rows of {chosen} are not published any more, so nobody has its labels.")
    parts = _parts(stores, lake.rows, chosen, rows, shards)
    read = lake.rows.read_parts(parts, ["file", "line", use_case.label]).read_all()
    numbers = use_case.training.says_numbers
    label = read[use_case.label].cast(pa.float64()) if numbers else as_text(read[use_case.label])
    labels = plain_table(pa.table({"file": read["file"], "line": read["line"], "label": label}))
    joined = predicted.join(labels, ["file", "line"], join_type="left outer").sort_by(
        [("file", "ascending"), ("line", "ascending")]
    )
    if numbers:
        within = pc.and_(*(pc.less_equal(joined[a], joined[b]) for a, b in (("low", "label"), ("label", "high"))))
        far = pc.subtract(joined["prediction"], joined["label"])
        return joined.append_column("right", within).append_column("error", far)
    return joined.append_column("right", pc.equal(joined["prediction"], joined["label"]))


def _features(stores: Stores, day: str | dt.date | None, shards: int | None, sql: str) -> pa.Table:
    use_case, lake = stores.use_case, stores.lake
    chosen = find_day(stores, lake.rows, day)
    published = lake.rows.days()[chosen]
    describe(use_case.model_copy(update={"features_sql": sql}))  # on no rows: what is wrong with the SQL itself
    answers = find_answers(use_case, lake, chosen, published, needed(use_case, sql))
    blamed: list[Blamed] = []
    made, rows = [], 0
    for part in _parts(stores, lake.rows, chosen, published, shards):
        read = read_rows(lake.rows.folder / part.path)
        rows += read.num_rows
        if read.num_rows:
            batches = compute_good(read, chosen, use_case, sql, read_answers(lake, answers.of(part.path)), blamed)
            made += [_named(batch, positions, read, chosen) for batch, positions in batches]
    if told := tell_left_out(use_case, blamed, rows):
        warnings.warn(f"{use_case.name}, {chosen}:{told}", stacklevel=3)
    if not made:
        raise MlopsError(f"{use_case.name}: no row of {chosen} was read, so there are no features.")
    return pa.concat_tables(made, promote_options="permissive")


def _named(batch: pa.Table, positions: np.ndarray, rows: pa.Table, day: str) -> pa.Table:
    """What the SQL made, under the names of files and in the order of the rows."""
    order = np.argsort(positions)
    keys = {
        "_day" if "day" in batch.column_names else "day": pa.array([day] * len(order)),
        **{name: rows[name].take(positions[order]) for name in ("file", "line")},
    }
    made = batch.take(order)
    features = {name: made[name] for name in made.column_names if name not in ("file", "line")}
    return plain_table(pa.table({**keys, **features}))


def _parts(stores: Stores, table: Table[Any], day: str, published: Published[Any], shards: int | None) -> list[Part]:
    """The parts that are read, in the order of the shards."""
    every = sorted(table.parts_at(day, published), key=lambda part: part.path)
    numbers = [shard_number(part.path) for part in every]
    chosen = choose_shards(stores.use_case.name, day, sum(part.rows for part in every), numbers, shards)
    return [part for part, number in zip(every, numbers, strict=True) if number in chosen]


STORED: Mapping[str, Callable[[Stores, str | dt.date | None, int | None], pa.Table]] = {
    "rows": _rows,
    "predictions": _predictions,
    "judged": _judged,
}
"""What is read of a day as it is stored."""
