"""Requests on the disk of this machine, one behind the other, until they lie where raw files lie.

A process appends to a folder of its own below `<home>/serving/journal`, to one segment at a time. It holds a lock on
that folder as long as it lives, so that whoever comes later knows which journals were left by a kill.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import queue
import shutil
import struct
import threading
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from mlops_assets.journey.score.online import Sent

HEAD = struct.Struct("<QI16s")
"""Before each record: how long it is, a checksum of that number, and the hash of all its bytes."""

COUNT = struct.Struct("<I")
LOCK = "lock"
SEGMENT = ".segment"
DAMAGED = ".damaged"


PROBE = 1 << 16


class NotKept(Exception):
    """A request could not be written; nobody may be told that it was answered."""


@dataclass(frozen=True)
class Kept:
    """A request with its answer.

    Attributes
    ----------
    told
        `request`, `use_case`, `version`, `day`, `caller`, `when`, and `answers`, one item a file.
    files
        The files as they were sent.
    """

    told: Mapping[str, Any]
    files: Sequence[Sent]

    def write(self) -> bytes:
        """The bytes of its record: what is told of it, then the bytes of the files."""
        blobs, names = [], []
        for file in self.files:
            names.append([file.name, len(file.data), [[path, len(data)] for path, data in file.attached.items()]])
            blobs += [file.data, *file.attached.values()]
        told = orjson.dumps({**self.told, "files": names}, option=orjson.OPT_SERIALIZE_NUMPY)
        return b"".join([COUNT.pack(len(told)), told, *blobs])

    @classmethod
    def read(cls, record: bytes) -> Kept:
        """The request of a record."""
        (size,) = COUNT.unpack_from(record)
        at = COUNT.size + size
        told = orjson.loads(record[COUNT.size : at])
        files = []
        for name, length, attached in told.pop("files"):
            data, at = record[at : at + length], at + length
            beside = {}
            for path, more in attached:
                beside[path], at = record[at : at + more], at + more
            files.append(Sent(name, data, beside))
        return cls(told, files)


@dataclass
class Segment:
    """What was read of a segment.

    Attributes
    ----------
    damaged
        Whether a record is not as it was written. One that merely ends too early was being written when its process
        was killed: nobody was told of it.
    """

    path: Path
    damaged: bool = field(default=False, init=False)

    def requests(self) -> Iterator[Kept]:
        """The requests in it, in their order."""
        with self.path.open("rb") as file:
            left = self.path.stat().st_size
            while len(head := file.read(HEAD.size)) == HEAD.size:
                length, checksum, mark = HEAD.unpack(head)
                if checksum != _checksum(length):  # nothing behind it can be found
                    self.damaged = True
                    return
                left -= HEAD.size + length
                if left < 0:
                    return
                record = file.read(length)
                if _mark(record) == mark:
                    yield Kept.read(record)
                else:
                    self.damaged = True


def _head(record: bytes) -> bytes:
    return HEAD.pack(len(record), _checksum(len(record)), _mark(record))


def _checksum(length: int) -> int:
    return zlib.crc32(length.to_bytes(8, "little"))


def _mark(record: bytes) -> bytes:
    return hashlib.blake2b(record, digest_size=16).digest()


@dataclass(frozen=True)
class _Waiting:
    record: bytes
    durable: bool
    written: Future[None] = field(default_factory=Future)


class Journal:
    """The journal of this process: a thread writes whatever waits, and syncs once for all of it.

    Parameters
    ----------
    root
        Folder of all journals.

    Attributes
    ----------
    trouble
        What kept the last request from being written; empty if it was written.
    """

    def __init__(self, root: Path) -> None:
        self.trouble = ""
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._is_stopped = False
        self._lock = threading.Lock()
        self._open: int | None = None
        self._size = self._number = 0
        self._unsynced = False
        self._held: int | None
        self.folder, self._held = _own_folder(root)
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def append(self, record: bytes, *, durable: bool) -> Future[None]:
        """Write a record; done when it is written, and with `durable` when it is safe on the disk.

        Fails with NotKept if it cannot be.
        """
        waiting = _Waiting(record, durable)
        with self._gate:
            if self._is_stopped:
                waiting.written.set_exception(NotKept("this server is about to end"))
            else:
                self._waiting.put(waiting)
        return waiting.written

    def rotate(self) -> list[Path]:
        """Begin a new segment; those that are finished, the oldest first."""
        with self._lock:
            self._leave()
            return sorted(self.folder.glob(f"*{SEGMENT}"))

    def sync(self) -> None:
        """Make safe on the disk what was written and is not yet."""
        with self._lock:
            handle = os.dup(self._open) if self._open is not None and self._unsynced else None
            self._unsynced = False
        if handle is not None:
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def try_again(self) -> None:
        """See whether requests can be kept again: where nobody sends any for that trouble, nothing else would tell."""
        probe = self.folder / "probe"
        try:
            with probe.open("wb") as file:
                file.write(bytes(PROBE))
                file.flush()
                os.fsync(file.fileno())
            self.trouble = ""
        except OSError as error:
            self.trouble = why_not(error)
        finally:
            with suppress(OSError):
                probe.unlink()

    @property
    def size(self) -> int:
        """Bytes of the segment that is written."""
        return self._size

    def stop(self) -> None:
        """Write what waits, and take nothing more."""
        with self._gate:
            self._is_stopped = True
            self._waiting.put(None)
        self._thread.join()

    def close(self) -> None:
        """Let go of the folder; it is removed if nothing is left in it."""
        with self._lock:
            self._leave()
            held, self._held = self._held, None
        if held is None:  # for the second time
            return
        if not any(self.folder.glob(f"*{SEGMENT}*")):
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(held)

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            together, last = [first], False
            with suppress(queue.Empty):
                while not last:
                    another = self._waiting.get_nowait()
                    last = another is None
                    together += [another] if another is not None else []
            # who does not wait any more was told nothing, and need not be written
            wanted = [one for one in together if one.written.set_running_or_notify_cancel()]
            self._write(wanted)
            if last:
                return

    def _write(self, together: Sequence[_Waiting]) -> None:
        data = b"".join(piece for one in together for piece in (_head(one.record), one.record))
        try:
            with self._lock:
                self._append(data, sync=any(one.durable for one in together))
        except OSError as error:
            self.trouble = why_not(error)
            for one in together:
                one.written.set_exception(NotKept(self.trouble))
        else:
            self.trouble = ""
            for one in together:
                one.written.set_result(None)

    def _append(self, data: bytes, *, sync: bool) -> None:
        if self._open is None:
            self._begin()
        assert self._open is not None  # noqa: S101
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._open, rest) :]
            if sync:
                os.fsync(self._open)
        except OSError:
            # none of these was told to anybody; what follows must not stand behind half a record
            with suppress(OSError):
                os.ftruncate(self._open, self._size)
            self._leave()
            raise
        self._size += len(data)
        self._unsynced = not sync

    def _begin(self) -> None:
        self._number += 1
        path = self.folder / f"{self._number:06d}{SEGMENT}"
        self._open = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        for folder in (self.folder, self.folder.parent):  # the name, too, must outlive a machine that goes down
            _sync_folder(folder)

    def _leave(self) -> None:
        if self._open is not None:
            with suppress(OSError):
                os.fsync(self._open)
            os.close(self._open)
        self._open, self._size, self._unsynced = None, 0, False


def why_not(error: OSError) -> str:
    """What keeps requests from being written, for people."""
    return f"requests cannot be kept: {error.strerror}; make room, or give access"


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _own_folder(root: Path) -> tuple[Path, int]:
    """A folder of this process, and its lock; nobody ever sees it without."""
    name = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
    hidden = root / f".{name}"
    hidden.mkdir(parents=True, mode=0o700)
    held = os.open(hidden / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    return hidden.rename(root / name), held


@contextmanager
def left_behind(root: Path) -> Iterator[list[Path]]:
    """The folders of processes that are gone, held as long as the context lasts so that nobody else takes them up."""
    held = {}
    folders = [one for one in sorted(root.glob("*")) if not one.name.startswith(".")] if root.exists() else []
    try:
        for folder in folders:
            handle = _held(folder)
            if handle is not None:
                held[folder] = handle
        yield [*held]
    finally:
        for handle in held.values():
            os.close(handle)


def _held(folder: Path) -> int | None:
    """The lock of a folder, if nobody holds it and the folder is there."""
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # another one has just finished with it
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), (folder / LOCK).stat()):
            return handle
    except OSError:  # it is held, or gone meanwhile
        pass
    os.close(handle)
    return None
