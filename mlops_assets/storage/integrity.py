"""Whether a stored file is as it was written: each Parquet file carries a seal, which is looked at before it is read.

Parquet's own checksums cover the data of pages, not their headers, the statistics or the footer, and what is garbled
there may be read as other rows. The seal is a hash of all bytes of the file, but for its own, and of its name, so that
files cannot take one another's place. It lies in the footer, where readers that do not know it pass over it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from mlops_assets.errors import LakeError
from mlops_assets.storage.places import Place

KEY = "SHA-256 of this file without these digits, and of its name in the lake"
BLANK = "0" * 64
"""What the footer says under `KEY` until the file is sealed: as long as a seal."""

_BEFORE = KEY.encode() + b"\x18\x40"
"""What stands before a seal: the key and, in the footer's encoding, that 64 characters follow."""

# so long that of a file that had a seal some trace of it is left, however it was damaged
_TRACES = [KEY[at : at + 8].encode() for at in range(0, len(KEY) - 7, 8)]
_TAIL = 16 << 10

HASH = "hash_of_all_else"
"""Key of a document under which the hash of what it says otherwise stands."""

_HASH_TRACES = (b"hash_of", b"all_else")

_DAY = re.compile(r"day=([^/]+?)(?:\.[a-z]+)?$")
_DAY_AND_MARK = re.compile(r"(\d{4}-\d\d-\d\d)-[0-9a-f]+\.json")

DOCUMENTS = {
    "training_sets": "train again, which stores it anew: `mlops-assets run {use_case} --train`",
    "training_profiles": "train again, which stores it anew: `mlops-assets run {use_case} --train`",
    "training": "delete it, or train again: `mlops-assets run {use_case} --train`",
    "challenges": "delete it, and it is computed again when it is asked for",
    "profiles_of_days": "delete it, and it is added up again when it is asked for",
    "verdicts": "delete it, and look at the day again: `mlops-assets run {use_case}` of that day judges it",
    "told": "delete it: what was told since the one before it is told once more",
    "deliveries": "delete it and deliver that day again: `mlops-assets deliver {use_case}`",
    "replays": "delete it and replay the same mended lines again: `mlops-assets replay {use_case} FILE`",
    "code": "delete it, and it is written again by the next run of that code",
    "versions": "delete it, MLflow has the same",
    "audit": "bring it back from a backup, or delete it and run the day again, which draws the same rows",
    "feedback": "delete it and take the corrections in again: `mlops-assets feedback {use_case}`",
}
"""What to do about a damaged document, by its folder."""

BACKUP = "bring it back from a backup"


class Damaged(LakeError):
    """A stored file is not as it was written, or is gone.

    Parameters
    ----------
    place
        The file.
    problem
        What is wrong with it, as the end of a sentence about it.
    remedy
        What to do; by default what its place tells.
    """

    def __init__(self, place: Place, problem: str, remedy: str = "") -> None:
        super().__init__(place, problem, remedy)  # as they came, to reach another process
        self.place = place
        self.problem = problem
        self.table, self.day = table_and_day(place)
        self.remedy = remedy or remedy_of(place)

    def told(self) -> tuple[str, str, Place, str]:
        """Table, day, file and problem, for those who know what to do themselves."""
        return self.table, self.day, self.place, self.problem

    def __str__(self) -> str:
        subject = f"{self.table} of {self.day}: " if self.day else ""
        return f"{subject}the file {self.place} {self.problem}; {self.remedy}."


class Gone(Damaged):
    """A stored file is not there any more."""


def sha256(data: bytes | memoryview) -> str:
    """SHA-256 of the bytes of a file, as it is kept in the commit that publishes it."""
    return hashlib.sha256(data).hexdigest()


def seal(place: Place, file: BytesIO) -> None:
    """Seal a Parquet file that lies in memory and says `BLANK` under `KEY`.

    Parameters
    ----------
    place
        Where it will lie.
    file
        The file.
    """
    data = file.getbuffer()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    start = footer + bytes(data[footer:]).rindex(_BEFORE) + len(_BEFORE)
    data[start : start + len(BLANK)] = _seal_of(place, data, start).encode()


def read_stored(place: Place, *, sealed: bool = False) -> bytes:
    """The bytes of a stored file, if they are those that were written.

    Parameters
    ----------
    place
        The file.
    sealed
        Whether it must be sealed; files of earlier versions of the package are not.

    Raises
    ------
    Damaged
        If they are not, or there is no such file.
    """
    try:
        data = place.read_bytes()
    except FileNotFoundError:
        raise Gone(place, "is gone") from None
    except OSError as error:
        raise Damaged(place, f"cannot be read ({error.strerror or error})") from None
    start = data.rfind(_BEFORE) + len(_BEFORE)
    if start < len(_BEFORE):
        if sealed or any(trace in data[-_TAIL:] for trace in _TRACES):
            raise Damaged(place, "is damaged: its seal is broken")
        return data
    if data[start : start + len(BLANK)] != _seal_of(place, memoryview(data), start).encode():
        raise Damaged(place, "is damaged: its bytes are not those that were written")
    return data


def is_sealed(data: bytes) -> bool:
    """Whether a file is of a version of the package that seals files."""
    return _BEFORE in data


def _seal_of(place: Place, data: memoryview, start: int) -> str:
    """The hash of a file and its name, without the seal itself."""
    digest = hashlib.sha256(_name(place).encode() + b"\0")
    digest.update(data[:start])
    digest.update(data[start + len(BLANK) :])
    return digest.hexdigest()


def _name(place: Place) -> str:
    """The name of a file within its lake: a lake may be moved, a file within it may not."""
    parts = str(place).split("/")
    return "/".join(parts[-3:] if _DAY.fullmatch(parts[-2]) else parts[-2:])


@contextmanager
def telling(place: Place) -> Iterator[None]:
    """What Arrow finds wrong with a file that has no seal becomes an error for people."""
    try:
        yield
    except FileNotFoundError:
        raise Gone(place, "is gone") from None
    except Exception as error:
        # by its name, for Arrow takes a second, and every command reads a document
        if not isinstance(error, (OSError, ValueError)) and type(error).__module__ != "pyarrow.lib":
            raise
        raise Damaged(place, f"is damaged: {' '.join(str(error).split())[:200]}") from None


@contextmanager
def understanding(place: Place) -> Iterator[None]:
    """What a file says otherwise than it should becomes an error for people: its hash may fit all the same.

    Parameters
    ----------
    place
        The file whose words are taken in.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, MemoryError):
        raise Damaged(place, "does not say what such a file says") from None


def document(content: Mapping[str, Any]) -> bytes:
    """The bytes of a small document, with a hash of what it says for `read_json`."""
    # as a reader gets it back: a number that is a key becomes a text, which is sorted differently
    said = json.loads(_text({key: value for key, value in content.items() if key != HASH}))
    # sorted, so that the same content is the same bytes
    return (_text({**said, HASH: sha256(_text(said).encode())}) + "\n").encode()


def read_json(path: Place) -> dict[str, Any]:
    """What a small document says; those of earlier versions have no hash to compare it with.

    Raises
    ------
    Damaged
        If it is not as it was written, or gone.
    """
    try:
        return _read_json(path)
    except RecursionError:
        raise Damaged(path, "is damaged: its values are nested too deep") from None


def _read_json(path: Place) -> dict[str, Any]:
    with telling(path):
        written = path.read_bytes()
        content: dict[str, Any] = json.loads(written)
        if not isinstance(content, dict):
            raise Damaged(path, "is damaged: it is no document")
    # byte by byte, for a changed blank says the same; a trace of the key tells that there was one
    hashed = content.pop(HASH, None) or any(trace in written for trace in _HASH_TRACES)
    if hashed and written != document(content):
        raise Damaged(path, "is damaged: its bytes are not those that were written")
    return content


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True, default=str)


def table_and_day(place: Place) -> tuple[str, str]:
    """The table, or the folder of documents, that a file lies in, and its day; empty if it has none."""
    parts = str(place).split("/")
    if day := _DAY.fullmatch(parts[-2]):
        return parts[-3], day[1]
    if parts[-2] == "_delta_log":
        return parts[-3], ""
    day = _DAY.fullmatch(parts[-1]) or _DAY_AND_MARK.fullmatch(parts[-1])
    return parts[-2], day[1] if day else ""


def remedy_of(place: Place) -> str:
    """What to do about a stored file that is damaged or gone."""
    parts = str(place).split("/")
    if day := _DAY.fullmatch(parts[-2]):
        if parts[-4] == "diffs":
            return "run the same command again"
        again = f"`mlops-assets run {parts[-4]} --from {day[1]} --to {day[1]}`"
        return f"{again} makes the day again from its raw files, or else says what cannot be made"
    for at in (-2, -3):
        if parts[at] in DOCUMENTS:
            return DOCUMENTS[parts[at]].format(use_case=parts[at - 1])
    return BACKUP
