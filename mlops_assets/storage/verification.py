"""In: all that is stored of a use case. Out: which files are not as they were written, and how many were read."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mlops_assets.errors import LakeError
from mlops_assets.storage import log
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_part
from mlops_assets.storage.integrity import HASH, Damaged, is_sealed, read_json, read_stored, sha256, table_and_day
from mlops_assets.storage.parts import parts_told
from mlops_assets.storage.places import Place, below, side_by_side, sizes
from mlops_assets.storage.tables import Table

SEALED = ".parquet"
DOCUMENT = ".json"

_OF_A_MODEL = re.compile(r"/candidates/|/version/(serving/|judged/|about\.json$|reference\.parquet$)")


@dataclass(frozen=True)
class File:
    """A file that is to be looked at.

    Attributes
    ----------
    place
        Where it lies.
    size
        Its bytes; 0 if it is gone.
    sha256
        SHA-256 of the bytes that were published; empty if it is not known.
    """

    place: Place
    size: int
    sha256: str = ""


@dataclass(frozen=True)
class Finding:
    """A file that is not as it was written.

    Attributes
    ----------
    file
        Where it lies.
    table, day
        Its table, or the folder of documents that it lies in, and its day; empty if it has none.
    problem, remedy
        What is wrong with it, and what to do.
    """

    file: str
    table: str
    day: str
    problem: str
    remedy: str

    @classmethod
    def of(cls, error: LakeError, place: Place) -> Finding:
        """What an error tells of a file."""
        if isinstance(error, Damaged):
            return cls(str(error.place), error.table, error.day, error.problem, error.remedy)
        return cls(str(place), *table_and_day(place), str(error), "bring it back from a backup")


@dataclass(frozen=True)
class Verified:
    """What a look at everything found.

    Attributes
    ----------
    files, bytes
        What was read.
    unknown
        Files of which nobody knows how they were written: those of versions of the package that kept no hashes,
        and those for people, such as cards of models.
    seconds
        How long it took.
    findings
        The files that are not as they were written.
    """

    files: int
    bytes: int
    unknown: int
    seconds: float
    findings: Sequence[Finding]


def verify(
    lake: Lake, first: str = "", last: str = "9999", tell: Callable[[int, int, int], None] = lambda *_: None
) -> Verified:
    """Read what is stored of a use case, and compare it with what was written.

    Parameters
    ----------
    lake
        Its tables and documents.
    first, last
        The days to look at; with both left out, also the documents that belong to no day.
    tell
        Is told now and then how many bytes were read, of how many, and of how many files.
    """
    began = time.monotonic()
    findings: list[Finding] = []
    files = [*_parts(lake, first, last, findings), *_documents(lake, first, last)]
    whole, read, unknown = sum(file.size for file in files), 0, 0
    for file, (known, finding) in zip(files, side_by_side(lake.folder, _look_at, files), strict=True):
        read += file.size
        unknown += not known and finding is None
        findings += [finding] if finding is not None else []
        tell(read, whole, len(files))
    return Verified(len(files), read, unknown, time.monotonic() - began, findings)


def check_intact(lake: Lake, day: str, why: str) -> None:
    """See that no published part of a day is damaged; for those who publish less than what it was made from.

    Parameters
    ----------
    lake
        The tables of a use case.
    day
        The day.
    why
        Why a damaged part could not be made again.

    Raises
    ------
    LakeError
        If one is, or the log of a table.
    """
    damaged: list[Finding] = []
    files = [*_parts(lake, day, day, damaged)]
    damaged += [finding for _, finding in side_by_side(lake.folder, _look_at, files) if finding is not None]
    if damaged:
        first = damaged[0]
        more = f" (and {len(damaged) - 1} more, see `mlops-assets verify {lake.use_case} --day {day}`)"
        raise LakeError(
            f"{first.table} of {day}: the file {first.file} {first.problem}{more if len(damaged) > 1 else ''}, and it "
            f"cannot be made again: {why}. Bring either back from a backup, then run the day again. Nothing was "
            "published."
        )


def _parts(lake: Lake, first: str, last: str, findings: list[Finding]) -> Iterator[File]:
    """The published parts of all tables; what is wrong with a table's log becomes a finding."""
    for name in lake.tables():
        table = lake.table(name)
        try:
            files = [*_parts_of(table, first, last)]
        except LakeError as error:
            findings.append(Finding.of(error, table.folder / "_delta_log" / "-"))
        else:
            yield from files


def _parts_of(table: Table, first: str, last: str) -> Iterator[File]:  # type: ignore[type-arg]
    opened = table.open()
    if opened is None:
        return
    log.check(table.folder)
    commits = log.commits(table.folder, 0, opened.version())
    told = {part.path: part for commit in commits for part in parts_told(table.name, commit.info, commit.added)}
    for day in table.days():
        if not first <= day <= last:
            continue
        there = sizes(table.folder / f"day={day}")
        for path in sorted(table.parts(day)):
            sha256 = told[path].sha256 if path in told else ""
            yield File(table.folder / path, there.get(path.rpartition("/")[2], 0), sha256)


def _documents(lake: Lake, first: str, last: str) -> Iterator[File]:
    """The documents with a hash of their own: those of some days, or all."""
    everything = (first, last) == ("", "9999")
    tables = {*lake.tables(), "diffs"}
    for folder in lake.folder.glob("*"):
        if folder.name in tables:
            continue
        for path in below(folder):
            place = folder
            for step in path.split("/"):
                place = place / step
            _, day = table_and_day(place)
            wanted = first <= day <= last if day else everything
            # models have hashes elsewhere; who knows those looks at them
            if wanted and not (folder.name == "training" and _OF_A_MODEL.search(path)):
                yield File(place, place.stat().st_size)


def _look_at(file: File) -> tuple[bool, Finding | None]:
    """Whether it is known how a file was written, and what is wrong with it."""
    try:
        if not file.place.name.endswith((SEALED, DOCUMENT)):
            return False, None
        if file.place.name.endswith(DOCUMENT):
            return _look_at_document(file.place), None
        data = read_stored(file.place, sealed=bool(file.sha256))
        if file.sha256 and sha256(data) != file.sha256:
            raise Damaged(file.place, "is another file than the one that was published")
        if not is_sealed(data):
            read_part(file.place)  # at least it can be read
        return is_sealed(data), None
    except LakeError as error:
        return True, Finding.of(error, file.place)


def _look_at_document(place: Place) -> bool:
    read_json(place)
    return f'"{HASH}"'.encode() in place.read_bytes()
