"""Shards: the unit of work, of commit and of resume. A finished shard is a file whose name is its fingerprint."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_finished, read_report, write_json
from mlops_assets.storage.integrity import Damaged, Gone, read_json, read_stored
from mlops_assets.storage.parts import Part
from mlops_assets.storage.places import Place
from mlops_assets.storage.tables import A, Table, write_part
from mlops_assets.work.code import Code, code_of, differences

if TYPE_CHECKING:
    from mlops_assets.use_case import UseCase

Task = TypeVar("Task")
Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger("mlops_assets.daily")

NO_RECORD = "code of which no record was kept"


@dataclass(frozen=True)
class Report:
    """What a finished shard tells.

    Attributes
    ----------
    day, shard
        Which shard it is.
    counts
        Numbers to be added up over the shards of a day.
    rules
        Refusals by rule.
    parts
        The files it wrote.
    notes
        What else it tells of its files, as JSON has it.
    reused
        Whether an earlier run had done it.
    repaired
        Whether it was done again because a file of it was damaged.
    """

    day: str
    shard: int
    counts: dict[str, int]
    parts: tuple[Part, ...]
    rules: dict[str, int] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    reused: bool = False
    repaired: bool = False


@dataclass(frozen=True)
class Needs:
    """What a machine needs for the shards of a step; a task tells it as `needs`.

    Attributes
    ----------
    roots
        The modules whose code makes the result; see `code_of`.
    places
        What it must be able to read.
    """

    roots: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()


class DayTask(ABC):
    """A shard of a step of a day: an engine may ask where it is kept once it is done, and what decides its content.

    Attributes
    ----------
    step
        The table that the step makes, and that its shards are known by.
    use_case, lake, day
        What of, and where.
    """

    step: ClassVar[str]
    use_case: UseCase
    lake: Place
    day: str

    @abstractmethod
    def known_by(self) -> tuple[int, str]:
        """Its number, and the fingerprint of all that its content depends on."""

    @property
    @abstractmethod
    def needs(self) -> Needs:
        """What a machine needs for it."""

    def code(self) -> str:
        """Fingerprint of the code that does it."""
        return code_of(*self.needs.roots).fingerprint

    def models(self) -> tuple[int, ...]:
        """The numbers of the versions that score it, the champion's first; none where nothing is scored."""
        return ()

    def place(self) -> Place:
        """The file whose being there tells that it is done."""
        return Lake(self.lake, self.use_case.name).table(self.step).place(self.day, _stem(*self.known_by()))


class Engine(Protocol):
    """Maps a function over tasks; `local.LocalEngine` is one.

    Attributes
    ----------
    elsewhere
        Whether other machines do the shards, which have no disk of this one.
    """

    elsewhere: bool

    def start(self) -> None:
        """Get ready in the background, if that takes time; work for several shards is about to come."""
        ...

    def map(self, function: Callable[[Task], Report], tasks: Sequence[Task]) -> Iterator[Report]:
        """Reports in the order in which shards finish; function, tasks and reports can be pickled."""
        ...


class Spread(Protocol):
    """Has work that is no shard done by this process and, beside it, by others of this machine."""

    def __call__(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """What a function makes of each item, in any order; function, items and results can be pickled."""
        ...


class Watch(Protocol):
    """Is told as shards finish; see `progress.Progress`."""

    def __call__(self, report: Report) -> None:
        """Take note of one finished shard."""
        ...


def fingerprint(*parts: object) -> str:
    """Hash of what a shard depends on, as 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        # with its length: else ("ab", "c") and ("a", "bc") would have one fingerprint
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()[:16]


def fingerprint_table(table: pa.Table) -> str:
    """Hash of the rows of a table, as 16 hexadecimal digits; how they lie in memory or in dictionaries is no matter."""
    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        # dictionaries depend on the order in which values came, which says nothing of the rows
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        digest.update(f"{name} {kind} {len(column)} {column.null_count};".encode())
        whole = column.cast(kind).combine_chunks()
        for start in range(0, len(whole), 65_536):
            part = whole.slice(start, 65_536)
            # where nulls stand, for the values come without them
            digest.update(part.is_null().to_numpy(zero_copy_only=False).tobytes() if column.null_count else b"")
            digest.update(_content(part, kind))
    return digest.hexdigest()[:16]


def _content(part: pa.Array, kind: pa.DataType) -> bytes:
    """The values of an array one after the other; texts with their lengths."""
    if pa.types.is_string(kind):
        whole = pc.fill_null(part, "")
        lengths: bytes = pc.binary_length(whole).to_numpy().tobytes()
        joined: str = pc.binary_join(pa.ListArray.from_arrays([0, len(whole)], whole), "")[0].as_py()
        return lengths + joined.encode()
    # values, not Arrow's buffers, which also hold what lies behind the end of a slice
    content: bytes = part.drop_null().to_numpy(zero_copy_only=False).tobytes()
    return content


def shard_count(files: int, files_a_shard: int, before: int | None) -> int:
    """How many shards a day has.

    As many as it takes for each to hold `files_a_shard`. A day that was read before keeps its number until it has
    doubled, so that late files touch only the shards they fall into.
    """
    # no power of two: shards of 3,100 files instead of 5,000 cost a tenth more
    wanted = max(1, math.ceil(files / files_a_shard))
    # a change of the number moves nearly every file into another shard, and all of them are read again
    if before and wanted <= 2 * before:
        return before
    return wanted


@dataclass(frozen=True)
class Made:
    """What the work on a shard brought.

    Attributes
    ----------
    tables
        Rows to write, by table; the one that the shard is known by must be among them.
    counts, rules, notes
        See `Report`.
    """

    tables: Mapping[Table[Any], pa.Table]
    counts: dict[str, int]
    rules: dict[str, int] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


def finish(table: Table[Any], day: str, shard: int, mark: str, make: Callable[[], Made], code: str = "") -> Report:
    """Do a shard, unless a file with its fingerprint tells that it was done.

    Parameters
    ----------
    table
        The table that the shard is known by: its file is written last and carries the report.
    day, shard
        Which shard.
    mark
        Fingerprint of all that the result depends on.
    make
        Does the work.
    code
        Fingerprint of the code that does it; see `keep_code`.
    """
    # the name says what it was made of: a ledger beside the files could disagree with them after a crash
    stem = _stem(shard, mark)
    path = table.place(day, stem)
    try:
        return _finished(table, day, shard, path)
    except Gone:
        repaired = False
    except Damaged as error:
        log.warning("%s of %s: the file %s %s; it is made again.", *error.told())
        repaired = True
    began = time.perf_counter()
    made = make()
    others = (write_part(t, day, stem, rows) for t, rows in made.tables.items() if t is not table and rows.num_rows)
    parts = tuple(others)
    rows = made.tables[table]
    # nothing that differs from run to run: should two runs do the same shard, either may publish it and the other
    # replace the file, and a file that is made again must have the hash that its commit tells
    footer = {
        "counts": made.counts,
        "rules": made.rules,
        **({"notes": made.notes} if made.notes else {}),
        "own_rows": rows.num_rows,
        "others": [asdict(part) for part in parts],
        "code": code,
    }
    # last: where this file is, the others are
    own = write_part(table, day, stem, rows, footer)
    # never 0, which is what a shard says that was not timed
    own = replace(own, seconds=max(0.001, round(time.perf_counter() - began, 3)))
    return Report(day, shard, made.counts, (own, *parts), made.rules, made.notes, repaired=repaired)


def _stem(shard: int, mark: str) -> str:
    """The name of the files of a shard, without their ending."""
    return f"{shard:05d}-{mark}"


def _finished(table: Table[Any], day: str, shard: int, path: Place) -> Report:
    """What a shard told that an earlier run had done.

    Raises
    ------
    Damaged
        If one of its files is not as it was written, or gone.
    """
    report, written = read_finished(path)
    others = tuple(Part(**part) for part in report["others"])
    # they are looked at as well, for files can be damaged or cleaned up one by one
    for part in others:
        read_stored(table.folder.parent / part.table / part.path, sealed=True)
    own = Part(table.name, f"day={day}/{path.name}", written.size, report["own_rows"], written.sha256)
    told = report["counts"], (own, *others), report["rules"], report.get("notes", {})
    return Report(day, shard, *told, reused=True)


def files_of(part: Place) -> int:
    """How many raw files the shard of a part of `rows` has, refused ones included: every later step counts the same."""
    report = read_report(part)
    return int(report["counts"].get("files", 0)) if report else 0


def keep_code(lake: Lake, code: Code) -> None:
    """Keep what a fingerprint of code stands for, so that one can tell later what has changed since."""
    path = lake.code(code.fingerprint)
    # once: a fingerprint stands for the same code for ever
    if not path.exists():
        write_json(path, asdict(code))


def changed_code(lake: Lake, part: Place, now: Code) -> tuple[str, ...]:
    """How the code that made a shard differs from that of today, one entry a module or library; empty if it does not.

    Parameters
    ----------
    lake
        Keeps the code of earlier times.
    part
        The file that the shard is known by; None is known of one that is gone or damaged.
    now
        The code that would make it today.
    """
    report = read_report(part)
    made_by = now.fingerprint if report is None else report.get("code", "")
    if made_by == now.fingerprint:
        return ()
    path = lake.code(made_by)
    if not made_by or not path.exists():
        return (NO_RECORD,)
    return differences(Code(**read_json(path)), now)


def run_shards(engine: Engine, function: Callable[[Task], Report], tasks: Sequence[Task], watch: Watch) -> list[Report]:
    """Have an engine do the shards of a day, telling of each as it finishes; the reports of all."""
    reports = []
    for report in engine.map(function, tasks):
        reports.append(report)
        watch(report)
    return reports


def add_up(reports: Iterable[Report]) -> tuple[dict[str, int], dict[str, int]]:
    """Sums of the counts and of the rules over reports."""
    counts: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    for report in reports:
        counts.update(report.counts)
        rules.update(report.rules)
    return dict(counts), dict(rules.most_common())


@dataclass(frozen=True)
class DayDone(Generic[A]):
    """A day whose shards are all done, by this run or by earlier ones.

    Attributes
    ----------
    accounting
        What is told of the day.
    shards, reused, repaired
        Number of shards, of those that an earlier run had done, and of those whose files were damaged.
    """

    accounting: A
    shards: int
    reused: int
    repaired: int = field(default=0, kw_only=True)

    @classmethod
    def of(cls, accounting: A, reports: Sequence[Report]) -> DayDone[A]:
        """The day of these reports."""
        reused, repaired = (sum(getattr(report, name) for report in reports) for name in ("reused", "repaired"))
        return cls(accounting, len(reports), reused, repaired=repaired)

    def numbers(self) -> dict[str, int]:
        """All its numbers, for a page."""
        return {**self.accounting.numbers(), "shards": self.shards, "reused": self.reused}

    def __str__(self) -> str:
        done = f"{self.shards} shards done"
        if self.reused:
            done = f"{self.shards - self.reused} of {self.shards} shards done anew"
        return f"{done}, {self.repaired} of them because files were damaged" if self.repaired else done


def shard_number(path: str) -> int:
    """The shard that a part belongs to."""
    return int(path.rpartition("/")[2].split("-")[0])


def parts_of(reports: Iterable[Report], table: Table[Any]) -> list[Part]:
    """The parts that reports wrote for one table."""
    return [part for report in reports for part in report.parts if part.table == table.name]
