"""In: the bytes of a ZIP file. Out: the files in it, in memory; one that would fill that is stopped on the way."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator

from mlops_assets.serving.bodies.query import refuse
from mlops_assets.serving.problems import Problem, Wrong

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
"""What a ZIP file begins with; the second is one without members."""

END, END_BYTES, LONGEST_COMMENT = b"PK\x05\x06", 22, 65_535
"""The record that ends a ZIP file, and the comment that may follow it."""

ZIP64 = b"PK\x06\x07"
"""What stands before that record in a file of the form Zip64."""

LISTED = b"PK\x01\x02"
"""What each member of the list begins with, which lies before that record."""

PIECE = 1 << 16
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Ways of packing that are taken: others ask for memory by what the file itself says."""


def is_zip(data: bytes) -> bool:
    """Whether bytes begin as a ZIP file does."""
    return data.startswith(MAGIC)


def unpack(name: str, data: bytes, most_files: int, most_bytes: int) -> list[tuple[str, bytes]]:
    """The files of a ZIP file; folders, and names that begin with `.` or `_`, are no data, as in a day's folder.

    A ZIP file within it is a file like any other: it is not opened.

    Parameters
    ----------
    name
        Its own name, for people.
    data
        Its bytes.
    most_files, most_bytes
        Files that it may hold, and bytes that they may have together once they are unpacked.

    Raises
    ------
    Problem
        422, if it is damaged, or holds what is not taken, with all of it; 413, if it holds more than it may.
    """
    _see_the_end(name, data, most_files)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            members = [member for member in packed.infolist() if not member.is_dir() and not _is_hidden(member)]
            _see_members(name, members, most_files)
            return [*_unpacked(name, packed, members, most_bytes)]
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, struct.error, NotImplementedError) as error:
        raise Problem(422, f"The ZIP file {name!r} is damaged: {str(error)[:200]}.") from None


def _see_the_end(name: str, data: bytes, most_files: int) -> None:
    """Look at what the last record says, before the list of members is read, which is as long as its writer wants."""
    at = data.rfind(END, -END_BYTES - LONGEST_COMMENT)
    if at < 0 or len(data) < at + END_BYTES:
        raise Problem(422, f"The ZIP file {name!r} has no end: was it cut off?")
    if data[max(0, at - 20) : at].startswith(ZIP64):
        raise Problem(
            422, f"The ZIP file {name!r} is in the form Zip64, for what is larger than taken here; send less."
        )
    (size,) = struct.unpack("<I", data[at + 12 : at + 16])
    # folders and names that are no data take places in the list, too
    if data.count(LISTED, max(0, at - size), at) > 4 * most_files + 100:
        raise Problem(413, _too_many(name, most_files))


def _too_many(name: str, most: int) -> str:
    return f"With the ZIP file {name!r} the request has more than {most:,} files (`serving.limits.files`); send fewer."


def _is_hidden(member: zipfile.ZipInfo) -> bool:
    return any(part.startswith((".", "_")) for part in member.filename.split("/") if part not in (".", ".."))


def _see_members(name: str, members: list[zipfile.ZipInfo], most_files: int) -> None:
    if len(members) > most_files:
        raise Problem(413, _too_many(name, most_files))
    times = Counter(member.filename for member in members)
    wrong = []
    for member in members:
        where = f"{name[:100]}/{member.filename[:200]}"
        if member.flag_bits & 1:
            wrong.append(Wrong(where, "it is encrypted; send it unencrypted, over TLS"))
        elif member.compress_type not in METHODS:
            wrong.append(Wrong(where, "it is packed in a way that is not taken; use `deflate`"))
        elif times.pop(member.filename, 1) > 1:
            wrong.append(Wrong(where, "two files in the ZIP file have this name"))
    refuse(wrong)


def _unpacked(
    name: str, packed: zipfile.ZipFile, members: list[zipfile.ZipInfo], most_bytes: int
) -> Iterator[tuple[str, bytes]]:
    left = most_bytes
    for member in members:
        pieces = []
        with packed.open(member) as file:
            # counted as it comes: what the file says of its sizes may be anything
            while piece := file.read(PIECE):
                left -= len(piece)
                if left < 0:
                    allowed = f"{most_bytes:,} bytes (`serving.limits.bytes`)"
                    raise Problem(413, f"The ZIP file {name!r} unpacks to more than {allowed}; send less at a time.")
                pieces.append(piece)
        yield member.filename, b"".join(pieces)
