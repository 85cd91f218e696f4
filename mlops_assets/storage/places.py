"""Where things lie: a folder of this machine, or `s3://bucket/prefix` on any S3 server; one way to use both.

A place of this machine is a `pathlib.Path`. One on S3 is an `S3Path`, which answers to those of pathlib's names that
the project uses. What differs beyond names is a function here: to write whole, to create once, to read ranges, to
remove.
"""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from mlops_assets.errors import UsageError
from mlops_assets.storage import s3
from mlops_assets.storage.s3_file import S3File

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

Item = TypeVar("Item")
Result = TypeVar("Result")

SCHEME = "s3://"
# Amazon's rule for names of buckets
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

LEFT = re.compile(r"\..*\.?[0-9a-f]{32}\.tmp")
"""Name of a file that is being written, or that was when its process was killed."""

WHOLE = 16 << 20
"""Bytes at the end of an object that are read at once: more than most have, so that one request brings all of it."""

FOOTER = 64 << 10
"""Bytes at the end of a Parquet file that hold its footer, but for very wide ones."""

THREADS = 32
"""Requests that wait for a server side by side where many small objects are written."""


class Status(NamedTuple):
    """What is known of an object without reading it; named as in `os.stat_result`."""

    st_size: int
    st_mtime: float


def quoted(path: str) -> str:
    """A path as it stands in a URL of SQLite or S3, which ends at a `?` and a `#`, and where each `%20` is undone."""
    return path.replace("%", "%25").replace("?", "%3F").replace("#", "%23")


@dataclass(frozen=True, order=True, slots=True)
class S3Path:
    """A place on S3.

    Attributes
    ----------
    bucket
        The bucket.
    key
        The key within it, `/` between its parts; empty for the bucket itself.
    """

    bucket: str
    key: str = ""

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}".rstrip("/")

    def __truediv__(self, other: str) -> S3Path:
        return S3Path(self.bucket, f"{self.key}/{other}".strip("/"))

    @property
    def name(self) -> str:
        """The last part of the key."""
        return PurePosixPath(self.key).name

    @property
    def stem(self) -> str:
        """The last part of the key, without its ending."""
        return PurePosixPath(self.key).stem

    @property
    def parent(self) -> S3Path:
        """The place above."""
        return S3Path(self.bucket, self.key.rpartition("/")[0])

    def as_uri(self) -> str:
        """The place as an address; as it is, it would end at a `?` or a `#`, and all tables of a lake would be one."""
        return quoted(str(self))

    def exists(self) -> bool:
        """Whether there is an object, or any below it."""
        try:
            self.stat()
        except FileNotFoundError:
            # S3 has no folders: one is there as long as something lies below it
            return any(True for _ in self.files())
        return True

    def stat(self) -> Status:
        """Size and time of the object.

        Raises
        ------
        FileNotFoundError
            If there is none.
        """
        metadata = s3.head(self.bucket, self.key)
        return Status(metadata["size"], metadata["last_modified"].timestamp())

    def read_bytes(self) -> bytes:
        """What the object holds; errors as `stat`."""
        return s3.get(self.bucket, self.key)

    def read_text(self, encoding: str = "utf-8") -> str:
        """What the object holds, as text; errors as `stat`."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, data: bytes) -> int:
        """Put an object there, whole or not at all; its size."""
        s3.put(self.bucket, self.key, data)
        return len(data)

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: S3 has no folders."""

    def iterdir(self) -> Iterator[S3Path]:
        """The objects and folders below, one level deep."""
        prefixes, objects = s3.level(self.bucket, self.key)
        for key in sorted({*prefixes, *objects}):
            yield S3Path(self.bucket, key)

    def glob(self, pattern: str) -> Iterator[S3Path]:
        """The objects and folders below whose name is like a pattern; the pattern has one part."""
        return (path for path in self.iterdir() if fnmatchcase(path.name, pattern))

    def files(self) -> Iterator[tuple[S3Path, Status]]:
        """Every object below, however deep."""
        for batch in s3.listed(self.bucket, self.key):
            columns = (batch[name].to_pylist() for name in ("path", "size", "last_modified"))
            for key, size, modified in zip(*columns, strict=True):
                yield S3Path(self.bucket, key), Status(size, modified.timestamp())


Place = Path | S3Path


def parse_place(text: str) -> Place:
    """The place that a setting or an option names.

    Raises
    ------
    UsageError
        If it is neither a folder nor `s3://bucket/prefix`.
    """
    if not text.startswith(SCHEME):
        if "://" in text:
            raise UsageError(f"{text}: name a folder of this machine, or s3://bucket/prefix.")
        return Path(text).expanduser().absolute()
    bucket, _, key = text.removeprefix(SCHEME).rstrip("/").partition("/")
    if not BUCKET.fullmatch(bucket):
        raise UsageError(f"{text}: {bucket!r} is no name of a bucket; write s3://bucket/prefix.")
    # to S3 these are parts of a name like any other, to pathlib they are not
    if any(part in ("", ".", "..") for part in key.split("/")) and key:
        raise UsageError(f"{text}: the prefix has a part that is empty, '.' or '..'; write s3://bucket/prefix.")
    return S3Path(bucket, key)


def write_whole(place: Place, data: Buffer) -> int:
    """Write a document so that a reader sees the old one or the new one; its size.

    Raises
    ------
    OSError
        If it cannot be written to this machine's disk.
    S3Error
        If it cannot be written to S3.
    """
    size = memoryview(data).nbytes
    if isinstance(place, S3Path):
        s3.put(place.bucket, place.key, data)
        return size
    with unfinished(place) as started:
        started.write_bytes(data)
    return size


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Where to write a file of this machine, which is put in place when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # in the same folder, for a file cannot be moved from one disk to another at once
    started = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield started
        started.replace(path)
    finally:
        started.unlink(missing_ok=True)


def create(place: Place, data: bytes) -> None:
    """Write a document that was not there before, to stay; of two that do so at once, one is told.

    Raises
    ------
    FileExistsError
        If there is another already.
    """
    if isinstance(place, S3Path):
        try:
            s3.put(place.bucket, place.key, data, only_new=True)
        except FileExistsError:
            # the server has it, but its answer was lost and the request sent again: then it is this very document
            if place.read_bytes() != data:
                raise
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    # whole under another name first: a link fails where a rename would replace
    started = place.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with started.open("wb") as file:
            file.write(data)
            file.flush()
            # to stay, also when the machine goes down a moment later
            os.fsync(file.fileno())
        os.link(started, place)  # fails where the name is taken
    finally:
        started.unlink(missing_ok=True)


def readable(place: Place, ahead: int = WHOLE) -> Any:
    """What Arrow reads a file by.

    Parameters
    ----------
    place
        The file.
    ahead
        On S3, how much of its end comes with the first request; the rest comes by ranges as it is asked for.

    Raises
    ------
    FileNotFoundError
        On S3, if there is none.
    """
    return S3File(place.bucket, place.key, ahead) if isinstance(place, S3Path) else place


def by_age(folder: Place, name: str) -> list[Place]:
    """The files of a name in the folders below a folder, the oldest first."""
    if isinstance(folder, S3Path):
        # a listing has no levels: slashes tell which objects lie just one folder below
        depth = folder.key.count("/") + 2
        files = {path: status for path, status in folder.files() if path.name == name and path.key.count("/") == depth}
        return [*sorted(files, key=lambda path: files[path].st_mtime)]
    paths: list[Path] = sorted(folder.glob(f"*/{name}"), key=lambda path: path.stat().st_mtime_ns)
    return [*paths]


def newest(folder: Place, name: str) -> Place | None:
    """The newest of the files of a name in the folders below a folder, or None."""
    return next(reversed(by_age(folder, name)), None)


def sizes(folder: Place) -> dict[str, int]:
    """Bytes of each file that lies in a folder, by name; on S3 by one listing."""
    if isinstance(folder, S3Path):
        depth = len(f"{folder.key}/")
        return {path.key[depth:]: status.st_size for path, status in folder.files()}
    found = {}
    for path in folder.glob("*"):
        with suppress(FileNotFoundError):  # what another process is writing has a name of its own for a moment
            found[path.name] = path.stat().st_size
    return found


def below(folder: Place) -> Iterator[str]:
    """The files below a folder, however deep, as paths from there; what a killed process left is removed meanwhile."""
    if isinstance(folder, S3Path):
        first = len(f"{folder.key}/")
        yield from (path.key[first:] for path, _ in folder.files())
        return
    for path in folder.rglob("*"):
        if path.is_file() and not LEFT.fullmatch(path.name):
            yield path.relative_to(folder).as_posix()
        elif path.is_file() and path.stat().st_mtime < time.time() - 86_400:  # a younger one may be at work still
            path.unlink(missing_ok=True)


def remove(folder: Place, names: Iterable[str]) -> int:
    """Remove files below a folder that may be there; how many were named."""
    paths = [folder / name for name in names]
    if isinstance(folder, S3Path):
        s3.remove(folder.bucket, (path.key for path in paths if isinstance(path, S3Path)))
        return len(paths)
    for path in paths:
        if isinstance(path, Path):
            path.unlink(missing_ok=True)
    return len(paths)


def remove_tree(place: Place) -> None:
    """Remove a folder with all that is below it, if it is there."""
    if isinstance(place, S3Path):
        s3.remove(place.bucket, (path.key for path, _ in place.files()))
    else:
        shutil.rmtree(place, ignore_errors=True)


def remove_older(folder: Place, seconds: float) -> None:
    """Remove what lies in a folder and was not changed for some time."""
    before = time.time() - seconds
    if isinstance(folder, S3Path):
        s3.remove(folder.bucket, (path.key for path, status in folder.files() if status.st_mtime < before))
        return
    for left in folder.glob("*"):
        if left.stat().st_mtime < before:
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def work_folder(place: Place, home: Path) -> Iterator[Path]:
    """A folder of this machine to make files in: the place itself, or where that is on S3 one that is removed again."""
    if isinstance(place, Path):
        yield place
        return
    home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="work-", dir=home) as folder:
        yield Path(folder) / place.name


@contextmanager
def on_disk(places: Sequence[Place]) -> Iterator[list[Path]]:
    """Files for those who read nothing but files of this machine: those on S3 are copied to its disk meanwhile."""
    with TemporaryDirectory() as folder:
        paths: list[Path] = []
        for number, place in enumerate(places):
            path = Path(folder) / f"{number:05d}-{place.name}" if isinstance(place, S3Path) else place
            if isinstance(place, S3Path):
                path.write_bytes(place.read_bytes())
            paths.append(path)
        yield paths


def side_by_side(place: Place, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Do a small piece of work for each item, in order: in threads where it waits for a server, else one by one."""
    if isinstance(place, Path):
        yield from map(function, items)
        return
    waiting = iter(items)
    with ThreadPoolExecutor(THREADS) as threads:
        # in portions, for `map` of a pool takes all items at once
        while some := list(islice(waiting, 64 * THREADS)):
            yield from threads.map(function, some)
