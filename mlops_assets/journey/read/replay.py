"""In: lines that a person has mended. Out: raw files of their days with the mended lines, and where each came from.

The lines of a raw file are put into a file of their own beside it, `NAME.replayed-MARK.csv`, under its header and in
its encoding. The mark is a hash of what it holds and of which lines those
were, so that the same lines are never there twice.
"""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.journey.read.listing import find_manifest, shard_of, shard_of_path
from mlops_assets.journey.read.mended import Line, Mended
from mlops_assets.journey.read.readers import open_format, open_reader
from mlops_assets.journey.read.readers.pack import RAW_LIMIT
from mlops_assets.journey.read.readers.packing import packed, unpack
from mlops_assets.journey.read.readers.text import UTF8_BOM
from mlops_assets.journey.read.rows import check_rows
from mlops_assets.journey.read.sources import Entry, FolderSource, S3Source, Source, SourceError
from mlops_assets.journey.read.sources.kept import with_kept
from mlops_assets.plugins import FileRefused
from mlops_assets.storage import places
from mlops_assets.storage.catalog import REJECTS, Lake
from mlops_assets.storage.files import write_json
from mlops_assets.storage.integrity import read_json
from mlops_assets.storage.places import Place
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.partitions import folder_of
from mlops_assets.work.shards import fingerprint

REPLAYED = re.compile(r"\.replayed-([0-9a-f]{16})")

SHOWN = 10
"""Lines that are named when they cannot be replayed."""


class ReplayRefused(MlopsError):
    """Mended lines that cannot become rows of their day; nothing was written."""


@dataclass(frozen=True)
class Origin:
    """Where a line of a replayed file came from.

    Attributes
    ----------
    file, line
        The raw file, and the data line in it that was rejected.
    rule, message, raw
        Why, and how the line stood there.
    """

    file: str
    line: int
    rule: str
    message: str
    raw: str


@dataclass(frozen=True)
class ReplayedFile:
    """A raw file of mended lines.

    Attributes
    ----------
    day, file
        Where it lies.
    mark
        Fingerprint of what it holds.
    data
        Its bytes.
    origins
        Where each of its data lines came from, in their order.
    """

    day: str
    file: str
    mark: str
    data: bytes
    origins: tuple[Origin, ...]


@dataclass(frozen=True)
class Replay:
    """What became of the rejects in a file.

    Attributes
    ----------
    written
        The raw files that were written.
    before
        Lines that had been replayed before.
    untouched
        Lines whose text is as it was: they were left alone.
    whole
        Files that were refused as a whole: they are mended where they lie.
    """

    written: tuple[ReplayedFile, ...]
    before: int
    untouched: tuple[Line, ...]
    whole: tuple[str, ...]


def replay(
    use_case: UseCase, source: Source, lake: Lake, mended: Sequence[Mended], whole: Sequence[str] = ()
) -> Replay:
    """Put mended lines into their days, all of them or none; lines that are there already are not put there again.

    Parameters
    ----------
    use_case
        The use case.
    source
        Where its raw files lie: a folder or S3.
    lake
        Its tables, which know the rejects.
    mended
        The lines.
    whole
        What was refused as a whole and stands beside them.

    Raises
    ------
    UsageError
        If the use case has no files that lines can be put into.
    ReplayRefused
        If a line is no reject now, or would be rejected again.
    """
    writable = _writable(use_case, source)
    problems: list[str] = []
    untouched: list[Line] = []
    files: list[ReplayedFile] = []
    before = 0
    for day, lines in _by(mended, lambda one: one.at.day).items():
        rejects, done = _rejects(lake, day), replayed(source, lake, day)
        todo = [one for one in lines if one.at not in done]
        before += len(lines) - len(todo)
        changed = []
        for one in todo:
            problem = _problem(one, rejects.get(one.at))
            if problem:
                problems.append(f"{one.at}: {problem}")
            elif one.raw == rejects[one.at]["raw"].rstrip("\r\n"):
                untouched.append(one.at)
            else:
                changed.append(one)
        for file, some in _by(changed, lambda one: one.at.file).items():
            try:
                files.append(_replayed_file(use_case, source, lake, day, file, some, rejects))
            except ReplayRefused as error:
                problems.append(str(error))
    if problems:
        more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        listed = "\n  ".join(problems[:SHOWN])
        raise ReplayRefused(f"Nothing was replayed, for of the mended lines some cannot become rows:\n  {listed}{more}")
    for made in files:
        _write(writable, lake, made)
    _withdraw_doubles(writable, lake, files)
    return Replay(tuple(files), before, tuple(untouched), tuple(whole))


def _by(mended: Iterable[Mended], key: Any) -> dict[str, list[Mended]]:
    groups: dict[str, list[Mended]] = defaultdict(list)
    for one in sorted(mended, key=lambda one: one.at):
        groups[key(one)].append(one)
    return groups


def _writable(use_case: UseCase, source: Source) -> FolderSource | S3Source:
    """The source, if lines can be put beside its files."""
    name = use_case.name
    if use_case.files.reader:
        reader = f"{name} reads its files by {use_case.files.reader}, and its records cannot be put into files"
        raise UsageError(f"{reader}: mend the files where they lie, and run the day again.")
    if isinstance(source, FolderSource | S3Source):
        return source
    raise UsageError(
        f"The raw files of {name} are brought by its source, which nothing can be put into: mend what it brings, and "
        "run the day again."
    )


def _rejects(lake: Lake, day: str) -> dict[Line, dict[str, Any]]:
    """The rejected lines of a day as they are published."""
    if day not in lake.rejects.days():
        return {}
    table = lake.rejects.read_all([day], REJECTS.names)
    lines = table.filter(pc.is_valid(table["line"])).to_pylist()
    return {Line(day, one["file"], one["line"]): one for one in lines}


def _problem(one: Mended, reject: Mapping[str, Any] | None) -> str:
    """Why a line cannot be replayed as it stands there, or an empty text."""
    if reject is None:
        return "is not among the rejects of that day (any more); write them anew with `mlops-assets rejects`"
    if one.rule != reject["rule"]:  # not the message, which a replacement of a whole sheet may reach
        return f"is rejected for another reason now ({reject['message']}); write the rejects anew and mend those"
    if len(reject["raw"]) >= RAW_LIMIT and one.raw != reject["raw"]:
        return f"is longer than the {RAW_LIMIT} characters that are kept of a reject; mend it in its raw file"
    return ""


def _replayed_file(
    use_case: UseCase,
    source: Source,
    lake: Lake,
    day: str,
    file: str,
    mended: Sequence[Mended],
    rejects: Mapping[Line, Mapping[str, Any]],
) -> ReplayedFile:
    """The raw file that mended lines of one file make, each of which was read as a row.

    Raises
    ------
    ReplayRefused
        If the file they are from is not what was read, or one of them would be rejected again.
    """
    original = _read_original(use_case, with_kept(use_case, source, lake), lake, day, file)
    parts = _parts(use_case, mended, original, f"{day}, {file}")
    _check_lines(use_case, mended, [packed(parts(at, at + 1), use_case.files) for at in range(len(mended))])
    data = packed(parts(0, len(mended)), use_case.files)
    # the lines, too: two that are the same text may come one after the other
    mark = fingerprint(day, file, [one.at.line for one in mended], data)
    suffix = use_case.files.suffix
    origins = (Origin(**rejects[one.at]) for one in mended)
    return ReplayedFile(day, f"{file.removesuffix(suffix)}.replayed-{mark}{suffix}", mark, data, tuple(origins))


def _parts(use_case: UseCase, mended: Sequence[Mended], original: bytes, where: str) -> Callable[[int, int], bytes]:
    """Makes a file of some of the mended lines, by their places; ReplayRefused if one cannot be written so."""
    form = open_format(use_case)
    if form is not None:
        raws = [one.raw for one in mended]
        try:
            form.rebuild(raws)
        except FileRefused as error:
            raise ReplayRefused(f"{where}: {error.message}") from None
        return lambda first, last: form.rebuild(raws[first:last])
    marked = original.startswith(UTF8_BOM)
    encoding = "utf-8" if marked else use_case.files.encoding
    first, feed, _ = original.partition(b"\n" if b"\n" in original else b"\r")
    end = b"\r\n" if first.endswith(b"\r") else feed or b"\n"
    # with its mark, and with the columns in the order in which they stand there
    header = first + feed if use_case.files.header != "none" else UTF8_BOM if marked else b""
    try:
        # a quoted field may run over several lines, whose ends a spreadsheet may have changed
        texts = (one.raw.replace("\r\n", "\n").split("\n") for one in mended)
        lines = [end.join(part.encode(encoding) for part in [*text, ""]) for text in texts]
    except UnicodeEncodeError as error:
        text = error.object[error.start : error.end]
        raise ReplayRefused(f"{where}: {text!r} cannot be written in {encoding}, which the file is in") from None
    return lambda first, last: header + b"".join(lines[first:last])


def _read_original(use_case: UseCase, source: Source, lake: Lake, day: str, file: str) -> bytes:
    entry = _entry(lake, day, file)
    if entry is None:
        raise ReplayRefused(
            f"{day}, {file}: is not among the files of the day as it was listed last; run the day again"
        )
    try:
        return unpack(source.read(day, entry), use_case.files)
    except (SourceError, OSError, FileRefused) as error:
        raise ReplayRefused(f"{day}, {file}: {error} Then write the rejects anew") from None


def _entry(lake: Lake, day: str, file: str) -> Entry | None:
    """A file as it was listed last."""
    manifest = find_manifest(lake.raw_files, day)
    if manifest is None or not manifest.path.exists():
        return None
    entries = shard_of(manifest.path, shard_of_path(file, manifest.shards)).drop_columns(["shard"])
    found = entries.filter(pc.equal(entries["path"], file)).to_pylist()
    return Entry(**found[0]) if found else None


def _check_lines(use_case: UseCase, mended: Sequence[Mended], contents: Sequence[bytes]) -> None:
    """See that each line, read alone under its header, is one row; together they are read as in a day."""
    pack = open_reader(use_case).read(contents, [str(number) for number in range(len(contents))])
    _, refusals = check_rows(use_case, [str(number) for number in range(len(contents))], pack)
    wrong = {refusal.file: refusal.message for refusal in (*refusals, *pack.refusals)}
    wrong |= {at: f"is {lines} lines now" for at, lines in enumerate(pack.lines.tolist()) if lines > 1}
    if wrong:
        raise ReplayRefused("\n  ".join(f"{mended[at].at}: {message}" for at, message in sorted(wrong.items())))


def _write(source: FolderSource | S3Source, lake: Lake, made: ReplayedFile) -> None:
    # where the lines came from is known before they are there; without its file, the document says nothing
    write_json(lake.replay(made.day, made.mark), {"file": made.file, "lines": [asdict(one) for one in made.origins]})
    place = source.root / folder_of(made.day) / made.file
    try:
        places.write_whole(place, made.data)
        if isinstance(place, Path):  # whoever may read the file may read its lines
            shutil.copymode(f"{source.root}/{folder_of(made.day)}/{made.origins[0].file}", place)
    except OSError as error:
        raise MlopsError(
            f"{place}: cannot be written: {error.strerror}. Make room or give access, then replay again."
        ) from None


def _withdraw_doubles(source: FolderSource | S3Source, lake: Lake, files: Sequence[ReplayedFile]) -> None:
    """Take back what another replay put there at the same time, too.

    Each looks after it has written, so that of two that share a line at least the later one sees the other.

    Raises
    ------
    ReplayRefused
        If there was another.
    """
    doubles = []
    for day in {made.day for made in files}:
        ours = {made.file: {Line(day, one.file, one.line) for one in made.origins} for made in files if made.day == day}
        theirs = {at for at, others in _replayed(source, lake, day).items() if others - ours.keys()}
        doubles += [(day, file) for file, lines in ours.items() if lines & theirs]
    for day, file in doubles:
        places.remove(source.root / folder_of(day), [file])
    if doubles:
        named = "\n  ".join(f"{day}, {file}" for day, file in sorted(doubles)[:SHOWN])
        raise ReplayRefused(
            f"Another replay put some of these lines into their days at the same time. {len(doubles)} files were taken "
            f"back; replay again what is missing:\n  {named}"
        )


def replayed(source: Source, lake: Lake, day: str) -> dict[Line, str]:
    """The rejected lines of a day that were mended and put beside it, with the file that they stand in now."""
    return {at: max(files) for at, files in _replayed(source, lake, day).items()}


def _replayed(source: Source, lake: Lake, day: str) -> dict[Line, set[str]]:
    found: dict[Line, set[str]] = defaultdict(set)
    documents: Iterable[Place] = lake.replays.glob(f"{day}-*.json")
    for place in documents:
        if _day_of(place) != day:  # 2026-04-04T23-* is the beginning of 2026-04-04T23-0400-*, too
            continue
        document = read_json(place)
        # a replay that was killed has no file, nor has one that was taken back
        if source.has(day, document["file"]):
            for one in document["lines"]:
                found[Line(day, one["file"], one["line"])].add(document["file"])
    return found


def open_rejects(source: Source, lake: Lake, day: str = "") -> dict[str, int]:
    """By day on which some were replayed, the rejected lines of which no replay has made a row.

    Parameters
    ----------
    source
        Where the raw files lie.
    lake
        The tables of the use case.
    day
        The only day that is looked at; all of them by default.
    """
    days = {_day_of(place) for place in lake.replays.glob(f"{day}*.json")}
    return {day: _open_rejects(source, lake, day) for day in days & lake.rejects.days().keys()}


def _day_of(place: Place) -> str:
    """The day of a document `<day>-<mark>.json`."""
    return place.name.rpartition("-")[0]


def _open_rejects(source: Source, lake: Lake, day: str) -> int:
    done, rejects = replayed(source, lake, day), _rejects(lake, day)
    refused = {at.file for at in rejects} | _refused_files(lake, day)
    read = {file for file in {*done.values()} if file not in refused and _entry(lake, day, file) is not None}
    return sum(done.get(at) not in read for at in rejects)


def _refused_files(lake: Lake, day: str) -> set[str]:
    table: pa.Table = lake.rejects.read_all([day])
    return set(table.filter(pc.is_null(table["line"]))["file"].to_pylist())


def origin_of(lake: Lake, day: str, file: str, line: int) -> Origin | None:
    """Where a line came from, if its file holds mended ones; None for any other."""
    found = REPLAYED.findall(file)
    place = lake.replay(day, found[-1]) if found else None
    if place is None or not place.exists():
        return None
    document = read_json(place)
    return Origin(**document["lines"][line - 1]) if document["file"] == file else None
