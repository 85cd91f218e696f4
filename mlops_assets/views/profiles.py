"""What the rows of a day, or of a table that is no use case yet, look like: for a terminal, and as JSON."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mlops_assets.errors import MlopsError
from mlops_assets.journey.score.profile.counts import Bins, Counts
from mlops_assets.journey.score.profile.reference import read_reference
from mlops_assets.monitoring.days import WatchedDay, day_profile
from mlops_assets.monitoring.overview import Overview, Seen, look, thin
from mlops_assets.monitoring.suspicions import suspected
from mlops_assets.storage.parts import Part
from mlops_assets.use_case import Column, UseCase, date_of
from mlops_assets.views import output
from mlops_assets.views.numbers import percent
from mlops_assets.views.status import left_out
from mlops_assets.work.printable import LONGEST, printable
from mlops_assets.workspace import Stores

log = logging.getLogger("mlops_assets.profile")

PARTS = 40
"""Shards of a day that are read; of more of them every so manieth, which are files drawn by the hash of their path."""

BATCH = 8_192
"""Rows that are read at a time: a text may be long."""


@dataclass(frozen=True)
class Profiled:
    """All that is shown of some rows.

    Attributes
    ----------
    title
        Whose rows they are: use case and day, or the file.
    use_case
        Its contract is the data dictionary.
    label
        The column that is predicted; None where nobody said so.
    overview
        What was seen; None where there are no rows.
    rows
        How many rows there are, of which some were looked at.
    how
        Which ones those are, in words.
    facts
        What became of files and lines.
    rejects
        Refused lines and files by rule.
    uses
        What each column is for.
    remarks
        Further lines, such as what to do next.
    arrivals
        Which files and accounts came; None where no prediction of them was counted.
    """

    title: str
    use_case: UseCase
    label: str | None
    overview: Overview | None
    rows: int
    how: str
    facts: Sequence[str]
    rejects: Mapping[str, int]
    uses: Mapping[str, str]
    remarks: Sequence[str] = field(default=())
    arrivals: Mapping[str, int | None] | None = None


def profile_day(stores: Stores, day: str | None) -> Profiled:
    """Look at the published rows of a day.

    Parameters
    ----------
    stores
        Of the use case.
    day
        The day, by default the newest one; before any is published there is the data dictionary alone.

    Raises
    ------
    MlopsError
        If that day is not published.
    """
    use_case, days = stores.use_case, stores.lake.rows.days()
    chosen = day or next(reversed(days), None)
    unseen = set(left_out(use_case))
    uses = {name: "not in features.sql" if name in unseen else "" for name in use_case.columns}
    uses |= {use_case.account: "account", use_case.label: "label"}
    if chosen is None:
        none = f"No day is published yet: `mlops-assets run {use_case.name}`."
        return Profiled(use_case.name, use_case, use_case.label, None, 0, none, (), {}, uses)
    if chosen not in days:
        raise MlopsError(
            f"The rows of {chosen} are not published: {next(iter(days), 'no day')} to {next(reversed(days), '')} are. "
            f"`mlops-assets status {use_case.name}` tells more."
        )
    told = days[chosen].accounting
    parts = [part for part in stores.lake.rows.parts_at(chosen, days[chosen]) if part.rows]
    some = parts[:: -(-len(parts) // PARTS) or 1]
    table, step = thin(_read(stores, some, f"{use_case.name} profile {chosen}"))
    how = _sampled(told.rows, len(table) if table else 0, step, len(some), len(parts))
    watched = _watched(stores, chosen)
    facts = (
        f"{told.files:,} files: {told.files_read:,} read, {told.files_refused:,} refused",
        f"{told.lines:,} lines: {told.rows:,} rows, {told.rejected:,} rejected",
        *([f"predicted: {watched.came}"] if watched else []),
    )
    overview = None
    if table is not None and len(table):
        overview = look(use_case, table, chosen, use_case.label, _training(stores))
    title = f"{use_case.name}, {chosen}"
    arrivals = watched.arrivals if watched else None
    return Profiled(title, use_case, use_case.label, overview, told.rows, how, facts, told.rules, uses, (), arrivals)


def _watched(stores: Stores, day: str) -> WatchedDay | None:
    """What was counted of the predictions of a day; None where nothing is known."""
    try:
        return day_profile(stores.lake, day)
    except MlopsError as error:  # the rows themselves can be looked at all the same
        log.warning("%s: shown without which accounts came: %s", stores.use_case.name, error)
        return None


def _training(stores: Stores) -> dict[str, tuple[Bins, Counts]]:
    """How the rows that the champion learned from were counted; nothing where none is known."""
    try:
        champion = stores.champion()
        reference = read_reference(champion) if champion else None
    except MlopsError as error:  # the rows themselves can be looked at all the same
        log.warning("%s: shown without what the champion learned from: %s", stores.use_case.name, error)
        return {}
    if reference is None:
        return {}
    counts = reference.profile.columns
    return {name: (how, counts[source, name]) for (source, name), how in reference.bins.items() if source == "rows"}


def _read(stores: Stores, parts: Sequence[Part], what: str) -> Iterator[pa.RecordBatch]:
    said = time.monotonic()
    for number, part in enumerate(parts, 1):
        yield from stores.lake.rows.read_parts([part], [*stores.use_case.columns], BATCH)
        if time.monotonic() - said > 5:
            said = time.monotonic()
            log.info("%s: %d of %d shards read", what, number, len(parts))


def _sampled(rows: int, looked: int, step: int, shards: int, whole: int) -> str:
    """Which rows were looked at."""
    if looked == rows:
        return f"All {rows:,} rows were looked at."
    places = "" if shards == whole else f" of {shards} of {whole} shards"
    every = "all rows" if step == 1 else f"one row in {step}"
    return f"{looked:,} of {rows:,} rows were looked at: {every}{places}. All shares and counts are of those."


def text(profiled: Profiled) -> str:
    """It for a terminal."""
    seen = profiled.overview
    lines = [printable(profiled.title), profiled.how, *map(printable, profiled.facts)]
    if profiled.rejects:
        lines.append(f"rejected: {', '.join(f'{rule} {number:,}' for rule, number in profiled.rejects.items())}")
    parts = ["\n".join(lines)]
    if seen is not None and profiled.label:
        numbers = profiled.use_case.training.says_numbers
        parts.append(f"Label {profiled.label}: {_classes(seen, 'groups by size' if numbers else 'classes')}")
    parts.append(output.text_table([HEADS, *_lines(profiled)], LONGEST).rstrip())
    if seen is not None:
        found = [f"  - {printable(each.sentence)}" for each in seen.suspicions]
        parts.append("\n".join(["Look at:", *found]) if found else "Nothing odd was found.")
    return "\n\n".join([*parts, *profiled.remarks])


HEADS = ("column", "type", "used as", "missing", "values", "from to, or most frequent", "label V", "alone")


def _classes(seen: Overview, what: str) -> str:
    rows = sum(seen.classes.values())
    if not rows:
        return "no row has one"
    shares = [f"{printable(name)} {percent(number / rows)}" for name, number in [*seen.classes.items()][:5]]
    rest = f", and {len(seen.classes) - 5} more" if len(seen.classes) > 5 else ""
    return f"{len(seen.classes)} {what} in {rows:,} rows ({', '.join(shares)}{rest}); {seen.unlabelled:,} have none"


def _lines(profiled: Profiled) -> Iterator[list[str]]:
    seen = profiled.overview
    for name, column in profiled.use_case.columns.items():
        start = [name, kind_of(column), profiled.uses.get(name, "")]
        values = seen.columns.get(name) if seen else None
        if values is None:
            yield [*start, *[""] * 5]
            continue
        v = "" if values.association is None else f"{values.association:.2f}"
        alone = "" if values.told is None else percent(values.told.accuracy, 0)
        spread = span(values, profiled.overview.day if profiled.overview else "")
        yield [*start, percent(values.missing), f"{values.distinct:,}", spread, v, alone]


def kind_of(column: Column) -> str:
    """Type of a column, with its format and unit if it has any."""
    return " ".join(filter(None, [column.type, column.format, column.unit and f"in {column.unit}"]))


def span(seen: Seen, day: str) -> str:
    """The most frequent values of a column, or its smallest and largest one; nothing where they may name people."""
    if seen.kind == "category":
        return ", ".join(f"{value} {percent(share, 0)}" for value, share, _ in top(seen)[:3])
    if seen.hidden or seen.counts.lowest is None or seen.counts.highest is None:
        return ""
    if seen.kind == "text":
        return f"{seen.counts.lowest:.0f} to {seen.counts.highest:.0f} signs"
    ends = (
        (seen.counts.highest, seen.counts.lowest) if seen.kind == "date" else (seen.counts.lowest, seen.counts.highest)
    )
    return " to ".join(written(end, seen, day) for end in ends)


def written(number: float, seen: Seen, day: str) -> str:
    """A number as people write it; a date as one."""
    if seen.kind != "date":
        return f"{number:.15g}" if number.is_integer() else f"{number:.6g}"
    try:
        moment = dt.datetime.combine(date_of(day), dt.time()) - dt.timedelta(days=number)
    except OverflowError:
        return f"{number:,.0f} days before"
    return moment.date().isoformat()


def top(seen: Seen) -> list[tuple[str, float, float | None]]:
    """Values that may be listed, the most frequent first: value, share of the rows, share in training."""
    if seen.hidden or seen.kind != "category":
        return []
    listed = seen.bins.values[: seen.bins.number - 1]
    shares = seen.counts.bins / max(1, seen.counts.rows)
    training = [None] * len(listed) if seen.training is None else seen.training.tolist()
    return [(value, float(shares[at]), training[at]) for at, value in enumerate(listed)]


def as_json(profiled: Profiled) -> str:
    """All of it as JSON; see `content`."""
    return output.to_json(content(profiled), 1)


def content(profiled: Profiled) -> dict[str, Any]:
    """All of it as plain values."""
    seen = profiled.overview
    return {
        "of": profiled.title,
        "day": seen and seen.day,
        "rows": profiled.rows,
        "looked_at": seen.rows if seen else 0,
        "rejects": dict(profiled.rejects),
        "arrivals": profiled.arrivals,
        "label": profiled.label,
        "classes": dict(seen.classes) if seen else {},
        "unlabelled": seen.unlabelled if seen else 0,
        "columns": [_column(profiled, name) for name in profiled.use_case.columns],
        "suspicions": [vars(suspicion) for suspicion in (seen.suspicions if seen else ())],
    }


def _column(profiled: Profiled, name: str) -> dict[str, Any]:
    """What the contract says of a column, and what was seen of it; null where nothing was."""
    column, overview = profiled.use_case.columns[name], profiled.overview
    seen = overview.columns.get(name) if overview else None
    dictionary = {
        "column": name,
        "from": column.header(name),
        **{key: getattr(column, key) for key in ("type", "format", "unit", "required", "about")},
        "missing_marks": list(column.missing),
        **dict(zip(("min", "max"), column.bounds, strict=True)),
        "allowed": list(column.allowed),
        "used_as": profiled.uses.get(name, ""),
    }
    if seen is None or overview is None:
        return {**dictionary, "seen": None}
    told = seen.told and {"accuracy": seen.told.accuracy, "majority": seen.told.majority, "auc": seen.told.auc}
    return {
        **dictionary,
        "seen": {
            "missing": seen.counts.nulls,
            "missing_in_training": seen.training_missing,
            "distinct": seen.distinct,
            "masked": seen.hidden,
            "examples": list(seen.examples),
            "counted_as": seen.kind,
            **_numbers(seen, overview.day),
            "bins": _bins(seen, overview.day),
            "association": seen.association,
            "alone": told,
            "suspicions": [suspicion.kind for suspicion in suspected(overview.suspicions, name)],
        },
    }


def _numbers(seen: Seen, day: str) -> dict[str, Any]:
    if seen.kind == "category" or seen.hidden:
        return {"smallest": None, "largest": None, "mean": None}
    ends = [None if end is None else _end(end, seen, day) for end in (seen.counts.lowest, seen.counts.highest)]
    ends = ends[::-1] if seen.kind == "date" else ends
    return {"smallest": ends[0], "largest": ends[1], "mean": None if seen.mean is None else _end(seen.mean, seen, day)}


def _end(number: float, seen: Seen, day: str) -> float | str:
    return written(number, seen, day) if seen.kind == "date" else number


def _bins(seen: Seen, day: str) -> list[dict[str, Any]]:
    """Rows by value, or from one edge to the next; nothing of a column whose values may name people."""
    if seen.hidden and seen.kind != "text":
        return []
    training = [None] * seen.bins.number if seen.training is None else seen.training.tolist()
    counted = [{"rows": int(rows), "training": share} for rows, share in zip(seen.counts.bins, training, strict=True)]
    if seen.kind == "category":
        names = [*seen.bins.values[: seen.bins.number - 1], None]
        return [{"value": name, **entry} for name, entry in zip(names, counted, strict=True) if name or entry["rows"]]
    edges = [None, *(_end(edge, seen, day) for edge in seen.bins.edges), None]
    found = [{"from": edges[at], "to": edges[at + 1], **entry} for at, entry in enumerate(counted)]
    if seen.kind == "date":  # counted by days before the day: the later, the smaller
        found = [{**entry, "from": entry["to"], "to": entry["from"]} for entry in reversed(found)]
    return [entry for entry in found if entry["rows"] or None not in (entry["from"], entry["to"])]
