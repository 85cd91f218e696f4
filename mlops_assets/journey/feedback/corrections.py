"""In: files of corrections as people sent them. Out: those that count, and those that do not, each with its reason.

The files are the truth: all of them are read each time, and the same files give the same two tables.
"""

from __future__ import annotations

import csv
import datetime as dt
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import MlopsError
from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.feedback.audit import drawn_rows
from mlops_assets.journey.read.listing import shard_of_path
from mlops_assets.storage.files import open_part, read_part, write_table
from mlops_assets.storage.places import Place
from mlops_assets.storage.tables import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.work.shards import fingerprint_table, shard_number

HEADER = ("day", "file", "line", "label", "who", "when")
"""Columns that a file of corrections must have, in any order; further ones are passed over."""

RULES = {
    "malformed": "a field is missing or cannot be read, the header lacks a column, or the text is not UTF-8",
    "duplicate": "exactly this entry was sent before",
    "in_the_future": "its `when` is later than now",
    "flood": "its source sent more than `feedback.most_a_day` entries on that date; none of them counts",
    "unknown_label": "no model knows the label, and `feedback.labels` does not name it",
    "unknown_row": "no such row is published",
    "superseded": "the same person said something later about that row",
    "contradiction": "people disagree about that row; none of them counts until they agree",
}
"""Why an entry does not count, in the order in which it is asked."""

ACCEPTED = pa.schema(
    {
        "day": pa.string(),
        "file": pa.string(),
        "line": pa.int32(),
        "label": pa.string(),
        "who": pa.string(),
        "when": pa.string(),
        "source_file": pa.string(),
        "source_line": pa.int32(),
        "audited": pa.bool_(),
    }
)
REJECTED = pa.schema(
    {
        "source_file": pa.string(),
        "source_line": pa.int32(),
        "rule": pa.string(),
        "message": pa.string(),
        "raw": pa.string(),
    }
)

Row = tuple[str, int]
"""File and line of a row of a day."""


@dataclass(frozen=True)
class Entry:
    """One correction: what somebody says the label of a row is, and where it was written."""

    source_file: str
    source_line: int
    raw: str
    day: str
    file: str
    line: int
    label: str
    who: str
    when: dt.datetime

    @property
    def row(self) -> tuple[str, str, int]:
        """The row that it is about."""
        return self.day, self.file, self.line


@dataclass(frozen=True)
class Reject:
    """One line of a file of corrections that does not count, and why."""

    source_file: str
    source_line: int
    rule: str
    message: str
    raw: str


@dataclass(frozen=True)
class Taken:
    """What came of all files of corrections.

    Attributes
    ----------
    files, entries
        Number of files, and of lines in them that say something.
    unfilled
        Lines of an audit that have no label yet; they are no entries.
    accepted, rejected
        The entries that count and those that do not, in `ACCEPTED` and `REJECTED`.
    """

    files: int
    entries: int
    unfilled: int
    accepted: pa.Table
    rejected: pa.Table

    @property
    def rules(self) -> dict[str, int]:
        """Number of rejects by rule, in the order of `RULES`."""
        found = {one["values"]: one["counts"] for one in pc.value_counts(self.rejected["rule"]).to_pylist()}
        return {rule: found[rule] for rule in RULES if rule in found}


def take_in(
    use_case: UseCase, lake: Lake, folder: Place, labels: Collection[str], now: dt.datetime | None = None
) -> Taken:
    """Read every file of corrections, and store which entries count.

    Parameters
    ----------
    use_case
        The use case; `feedback` says what is too much, and which labels may be new.
    lake
        Its tables; entries must be about published rows. `accepted` and `rejected` are written to its `feedback`.
    folder
        Holds the files, `*.csv`; it may be missing.
    labels
        Labels that are known; see `versions.known_labels`.
    now
        The time; entries that are later are refused.

    Raises
    ------
    MlopsError
        If a file cannot be read.
    """
    paths = sorted(path for path in folder.glob("*.csv") if not path.name.startswith((".", "_")))
    entries, rejected, unfilled = [], [], 0
    for path in paths:
        for one in _read(path):
            if isinstance(one, Entry):
                entries.append(one)
            elif isinstance(one, Reject):
                rejected.append(one)
            else:
                unfilled += 1
    number = len(entries) + len(rejected)
    known = frozenset((*labels, *use_case.feedback.labels))
    steps: dict[str, Callable[[list[Entry]], dict[Entry, str]]] = {
        "duplicate": _duplicates,
        "in_the_future": partial(_in_the_future, now=now or dt.datetime.now(dt.UTC)),
        "flood": partial(_floods, most=use_case.feedback.most_a_day, drawn=partial(drawn_rows, lake)),
        "unknown_label": partial(_unknown_labels, known=known),
        "unknown_row": partial(_unknown_rows, lake=lake),
        "superseded": _superseded,
        "contradiction": _contradictions,
    }
    for rule, find in steps.items():
        bad = find(entries)
        rejected += [Reject(one.source_file, one.source_line, rule, why, one.raw) for one, why in bad.items()]
        entries = [one for one in entries if one not in bad]
    taken = Taken(len(paths), number, unfilled, _accepted_table(entries, lake), _rejected_table(rejected))
    write_table(place(lake, "accepted"), taken.accepted)
    write_table(place(lake, "rejected"), taken.rejected)
    return taken


def place(lake: Lake, name: str) -> Place:
    """Where `accepted` or `rejected` lies."""
    return lake.root / lake.use_case / "feedback" / f"{name}.parquet"


def read_accepted(lake: Lake) -> pa.Table:
    """The entries that counted when feedback was taken in last, in `ACCEPTED`."""
    path = place(lake, "accepted")
    return read_part(path) if path.exists() else ACCEPTED.empty_table()


def corrections(accepted: pa.Table) -> dict[str, dict[Row, str]]:
    """What people say of each row, by day; those who agree count as one."""
    found: dict[str, dict[Row, str]] = {}
    for one in accepted.select(["day", "file", "line", "label"]).to_pylist():
        found.setdefault(one["day"], {})[one["file"], one["line"]] = one["label"]
    return found


def keep(lake: Lake, accepted: pa.Table) -> str:
    """Store the entries that a training learns from under their fingerprint, which is returned."""
    mark = fingerprint_table(accepted)
    path = place(lake, f"learned/{mark}")
    if not path.exists():
        write_table(path, accepted)
    return mark


def read_kept(lake: Lake, mark: str) -> pa.Table:
    """The entries that a training learned from; none where it learned from none, or its file is gone."""
    path = place(lake, f"learned/{mark}")
    return read_part(path) if mark and path.exists() else ACCEPTED.empty_table()


def look_up(
    lake: Lake, name: str, day: str, wanted: Collection[Row], columns: Iterable[str] = ()
) -> dict[Row, dict[str, Any]]:
    """Some rows of a published day, reading only the parts that their files lie in.

    Parameters
    ----------
    lake
        The tables of the use case.
    name
        `rows` or `predictions`.
    day
        The day; nothing is found where it is not published.
    wanted
        File and line of the rows.
    columns
        What to read of them.

    Returns
    -------
    dict
        Of those rows that there are, the columns that there are.
    """
    table, files = lake.table(name), {file for file, _ in wanted}
    published = table.days().get(day)
    if published is None:
        return {}
    # the manifest that the day was read from tells how many shards it has; a file's shard follows from its path
    listings = lake.table("raw_files").publications().get(day, [])
    mark = published.accounting.get("manifest")
    shards = next((one.accounting["shards"] for one in listings if one.accounting["fingerprint"] == mark), None)
    numbers = None if shards is None else {shard_of_path(file, shards) for file in files}
    found: dict[Row, dict[str, Any]] = {}
    for part in sorted(table.parts(day)):
        if numbers is not None and shard_number(part) not in numbers:
            continue
        # a part may be older than a column of the contract
        there = [name for name in columns if name in open_part(table.folder / part).schema_arrow.names]
        rows = read_rows(table.folder / part, list(dict.fromkeys(["file", "line", *there])))
        rows = rows.filter(pc.is_in(rows["file"].cast(pa.string()), value_set=pa.array(sorted(files), pa.string())))
        for one in rows.to_pylist():
            row = one["file"], one["line"]
            if row in wanted:
                found[row] = one
    return found


# -- reading ----------------------------------------------------------------------------------------------------------


def _read(path: Place) -> Iterator[Entry | Reject | None]:
    """What each line of a file says; None for a line of an audit that nobody filled in."""
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise MlopsError(f"{path}: cannot be read: {error.strerror}. Give access, or move it away.") from None
    wrong, header = "", []
    try:
        header = _fields(lines[0])
        missing = [name for name in HEADER if name not in header]
        wrong = f"the header lacks {', '.join(missing)}; it must have {','.join(HEADER)}" if missing else ""
    except ValueError as error:
        wrong = f"the header is {error}"
    for number, line in enumerate(lines, 1):
        if (number == 1 and not wrong) or (number > 1 and not line.strip()):
            continue
        raw = line.decode(errors="replace").rstrip("\r")
        try:
            if wrong:
                raise ValueError(wrong)
            values = _fields(line)
            if len(values) != len(header):
                raise ValueError(f"{len(values)} fields, the header has {len(header)}")
            named = dict(zip(header, values, strict=True))
            yield _entry(path.name, number, raw, named) if any(map(named.get, ("label", "who", "when"))) else None
        except ValueError as error:
            yield Reject(path.name, number, "malformed", str(error), raw)


def _fields(line: bytes) -> list[str]:
    """The fields of one line; a quoted field cannot hold a line end, so that no quote can swallow other entries."""
    try:
        return [field.strip() for field in next(csv.reader([line.decode().strip()], strict=True), [])]
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"not readable as CSV: {error}") from None


def _entry(source: str, number: int, raw: str, values: Mapping[str, str]) -> Entry:
    """The entry that fields make.

    Raises
    ------
    ValueError
        If one of them is missing or is not what it must be.
    """
    missing = [name for name in HEADER if not values[name]]
    if missing:
        raise ValueError(f"no {', '.join(missing)}")
    day, line = values["day"], values["line"]
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", day) or not _is_day(day):
        raise ValueError(f"day {day!r} is not a day; write it like 2026-01-31")
    if not re.fullmatch(r"[1-9][0-9]{0,8}", line):
        raise ValueError(f"line {line!r} is not a line; the first data line of a file is 1")
    try:
        when = dt.datetime.fromisoformat(values["when"])
        when = when.replace(tzinfo=dt.UTC) if when.tzinfo is None else when.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"when {values['when']!r} is not a time; write it like 2026-01-31T14:05:00Z") from None
    return Entry(source, number, raw, day, values["file"], int(line), values["label"], values["who"], when)


def _is_day(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


# -- rules: each says of some entries why they do not count ----------------------------------------------------------


def _duplicates(entries: list[Entry]) -> dict[Entry, str]:
    first: dict[tuple[Any, ...], Entry] = {}
    bad = {}
    for one in entries:
        before = first.setdefault((*one.row, one.label, one.who, one.when), one)
        if before is not one:
            bad[one] = f"the same as {before.source_file}, line {before.source_line}"
    return bad


def _in_the_future(entries: list[Entry], now: dt.datetime) -> dict[Entry, str]:
    return {
        one: f"it is said to be from {_time(one.when)}, now it is {_time(now)}" for one in entries if one.when > now
    }


def _floods(entries: list[Entry], most: int, drawn: Callable[[str], set[Row]]) -> dict[Entry, str]:
    """Audited rows do not count: the platform has asked for them."""
    asked = {day: drawn(day) for day in {one.day for one in entries}}
    unasked = [one for one in entries if (one.file, one.line) not in asked[one.day]]
    sent = _grouped(unasked, lambda one: (one.who, one.when.date()))
    return {
        one: f"{who} sent {len(some)} entries on {date}, allowed are {most} (feedback.most_a_day)"
        for (who, date), some in sent.items()
        if len(some) > most
        for one in some
    }


def _unknown_labels(entries: list[Entry], known: frozenset[str]) -> dict[Entry, str]:
    names = sorted(known)
    listed = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "") or "none so far"
    return {
        one: f"no model knows the label {one.label!r}; known are: {listed}. A new one is named in feedback.labels"
        for one in entries
        if one.label not in known
    }


def _unknown_rows(entries: list[Entry], lake: Lake) -> dict[Entry, str]:
    bad, published = {}, lake.table("rows").days()
    for day, some in _grouped(entries, lambda one: one.day).items():
        there = look_up(lake, "rows", day, {(one.file, one.line) for one in some})
        for one in some:
            if day not in published:
                bad[one] = f"no rows of {day} are published"
            elif (one.file, one.line) not in there:
                bad[one] = f"no row {one.line} of {one.file!r} is published on {day}"
    return bad


def _superseded(entries: list[Entry]) -> dict[Entry, str]:
    said = _grouped(entries, lambda one: (one.row, one.who))
    latest = {key: max(one.when for one in some) for key, some in said.items()}
    return {
        one: f"{one.who} said something else or the same again at {_time(latest[key])}"
        for key, some in said.items()
        for one in some
        if one.when < latest[key]
    }


def _contradictions(entries: list[Entry]) -> dict[Entry, str]:
    bad = {}
    for some in _grouped(entries, lambda one: one.row).values():
        if len({one.label for one in some}) > 1:
            said = ", ".join(f"{one.who} says {one.label!r}" for one in some)
            bad.update(dict.fromkeys(some, f"{said}; a newer entry by one of them settles it"))
    return bad


def _grouped(entries: Iterable[Entry], key: Callable[[Entry], Any]) -> dict[Any, list[Entry]]:
    groups: dict[Any, list[Entry]] = defaultdict(list)
    for one in entries:
        groups[key(one)].append(one)
    return groups


# -- tables -----------------------------------------------------------------------------------------------------------


def _time(when: dt.datetime) -> str:
    return when.isoformat(timespec="milliseconds")


def _accepted_table(entries: list[Entry], lake: Lake) -> pa.Table:
    drawn = {day: drawn_rows(lake, day) for day in {one.day for one in entries}}
    records = [
        {**vars(one), "when": _time(one.when), "audited": (one.file, one.line) in drawn[one.day]} for one in entries
    ]
    ordered = [(name, "ascending") for name in ("day", "file", "line", "when", "who", "source_file", "source_line")]
    return pa.Table.from_pylist(records, ACCEPTED).sort_by(ordered)


def _rejected_table(rejected: list[Reject]) -> pa.Table:
    ordered = [("source_file", "ascending"), ("source_line", "ascending")]
    return pa.Table.from_pylist([vars(one) for one in rejected], REJECTED).sort_by(ordered)
