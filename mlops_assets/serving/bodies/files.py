"""In: a request that brings files, in any of the ways in which it may. Out: each file as a day would have it.

Everything is bounded by `serving.limits` of the use case, and counted while it comes in or is unpacked: a body of any
size takes no more memory than is allowed. Nothing is written to a disk.
"""

from __future__ import annotations

import asyncio
import mimetypes
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request

from mlops_assets.journey.score.online import Sent, file_around
from mlops_assets.serving.bodies import json_rows
from mlops_assets.serving.bodies.multipart import Form, read_parts
from mlops_assets.serving.bodies.pictures import count_pixels, ending_of
from mlops_assets.serving.bodies.query import refuse
from mlops_assets.serving.bodies.zips import is_zip, unpack
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.use_case import Limits, UseCase

FILE_NAME = "x-file-name"
"""The header that names a file which is the whole body."""

MULTIPART, JSON = "multipart/form-data", "application/json"
RAW = (
    "application/octet-stream",
    "application/x-www-form-urlencoded",  # what curl says of `--data-binary` unless it is told otherwise
    "application/zip",
    "text/csv",
    "text/plain",
)
"""What a body may be called that is one file, whatever its bytes are."""

UNSAID = RAW[:2]
"""What it is called where nobody has said what it is."""

ROWS = re.compile(rb'\s*\{\s*"files"\s*:')
"""What rows of JSON begin with, and no file."""

LONGEST_NAME = 255
"""Bytes that one part of a name may have, as on most disks."""

LARGE = 1 << 18
"""Bytes from which on a body is taken apart in a thread: meanwhile others are answered."""

Named = tuple[str, bytes]


async def read_files(request: Request, use_case: UseCase) -> list[Sent]:
    """The files of a request.

    Parameters
    ----------
    request
        The request; its body is read.
    use_case
        Its contract says what a file is, `serving.limits` how much may come.

    Returns
    -------
    list
        The files in their order, of whatever name: what a day refuses is refused here, too.

    Raises
    ------
    Problem
        400, 408, 413, 415 or 422, with everything that is wrong.
    """
    kind = _kind(request, use_case)
    limits = use_case.serving.limits
    chunks = _bounded(request, limits)
    async with _in_time(limits):
        if kind == MULTIPART:
            parts = (await read_parts(request.headers["content-type"], chunks, limits.files)).files
        else:
            parts = [(_file_name(request), b"".join([chunk async for chunk in chunks]))]

    def taken() -> list[Sent]:
        is_json = kind == JSON or (kind in UNSAID and ROWS.match(parts[0][1]) is not None)
        if is_json and FILE_NAME not in request.headers:
            return _of_rows(parts[0][1], use_case)
        return files_of(parts, use_case)

    large = sum(len(data) for _, data in parts) > LARGE
    return await asyncio.to_thread(taken) if large else taken()


async def read_form(request: Request, limits: Limits, most_fields: int) -> Form:
    """The form of a page, with the files that it brings.

    Parameters
    ----------
    request
        The request; its body is read.
    limits
        How much may come.
    most_fields
        Fields that there may be beside files.

    Raises
    ------
    Problem
        400, 408, 413 or 415.
    """
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != MULTIPART:
        raise Problem(415, f"This form is sent as {MULTIPART}.")
    async with _in_time(limits):
        return await read_parts(kind, _bounded(request, limits), limits.files + most_fields, known=True)


async def read_whole(request: Request, limits: Limits) -> bytes:
    """A body as it was sent.

    Parameters
    ----------
    request
        The request.
    limits
        How much may come.

    Raises
    ------
    Problem
        400, 408 or 413.
    """
    async with _in_time(limits):
        return b"".join([chunk async for chunk in _bounded(request, limits)])


@asynccontextmanager
async def _in_time(limits: Limits) -> AsyncIterator[None]:
    """See that a body comes, and in time."""
    try:
        async with asyncio.timeout(limits.seconds):
            yield
    except TimeoutError:
        said = f"The body did not come within {limits.seconds:g} seconds (`serving.limits.seconds`)."
        raise Problem(408, said) from None
    except ClientDisconnect:
        raise Problem(400, "The connection ended before the body did.") from None


def raw_types(use_case: UseCase) -> list[str]:
    """The types that a body may have which is one file: the plain ones, and those of the files of the use case."""
    endings = (use_case.files.suffix, *use_case.files.attachments)
    own = [kind for ending in endings if (kind := mimetypes.guess_type(f"file{ending}")[0])]
    return [kind for kind in dict.fromkeys([*RAW, *own]) if kind != JSON]


def _kind(request: Request, use_case: UseCase) -> str:
    """What the body is: `MULTIPART`, `JSON` or another type, of one file."""
    if (packed := request.headers.get("content-encoding", "identity")) != "identity":
        raise Problem(
            415, f"Content-Encoding: {packed[:50]!r} is not taken; send the bytes as they are, or a ZIP file."
        )
    kind = request.headers.get("content-type", RAW[0]).partition(";")[0].strip().lower()
    known = [MULTIPART, JSON, *raw_types(use_case)]
    if kind not in known:
        raise Problem(415, f"Content-Type: {kind[:100]!r} is not taken; there are: {', '.join(known)}.")
    return kind


async def _bounded(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    """The body as it comes in, as far as it may go."""
    said = f"The body has more than {limits.bytes:,} bytes (`serving.limits.bytes`); send less at a time."
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared[:20]) > limits.bytes:
        raise Problem(413, said)
    left = limits.bytes
    async for chunk in request.stream():
        left -= len(chunk)
        if left < 0:
            raise Problem(413, said)
        if chunk:
            yield chunk


def _file_name(request: Request) -> str | None:
    said = request.headers.get(FILE_NAME)
    if said is None:
        return None
    try:
        if not said.isascii():
            raise UnicodeError
        return unquote(said, errors="strict")
    except UnicodeError:
        message = "it is not UTF-8 in percent signs, such as caf%C3%A9.csv"
        raise Problem(422, "The name of the file cannot be read.", [Wrong("header.X-File-Name", message)]) from None


def _of_rows(data: bytes, use_case: UseCase) -> list[Sent]:
    """Rows as files that hold them."""
    limits = use_case.serving.limits
    named = json_rows.read_rows(data, use_case)
    _see_names([name for name, _ in named], limits)
    _see_rows(sum(len(rows) for _, rows in named), limits)
    return json_rows.as_files(named, use_case)


def files_of(parts: Sequence[tuple[str | None, bytes]], use_case: UseCase) -> list[Sent]:
    """Files out of what was sent: ZIP files are unpacked, and what records refer to is laid beside them.

    Parameters
    ----------
    parts
        What was sent, each with its name, if it has one.
    use_case
        As for `read_files`.

    Raises
    ------
    Problem
        413 or 422, with everything that is wrong.
    """
    limits = use_case.serving.limits
    files = [*_unzipped(parts, use_case)]
    _see_names([name for name, _ in files], limits)
    beside = [(name, data) for name, data in files if name.endswith(use_case.files.attachments)]
    data_files = [(name, data) for name, data in files if not name.endswith(use_case.files.attachments)]
    _see_pictures(beside, use_case)
    if not data_files:
        return _around(beside, use_case)
    _see_rows(sum(_lines(data) for _, data in data_files), limits)
    attached = dict(beside)
    if len(attached) < len(beside):
        names = [name for name, _ in beside]
        refuse([Wrong(f"files[{name}]", "two files have this name") for name in attached if names.count(name) > 1])
    return [Sent(name, data, attached) for name, data in data_files]


def _unzipped(parts: Sequence[tuple[str | None, bytes]], use_case: UseCase) -> list[Named]:
    limits = use_case.serving.limits
    files: list[Named] = []
    left = limits.bytes
    for name, data in parts:
        named = _default_name(data, use_case) if name is None else name
        # a use case whose own files are ZIP files has a reader for them
        if is_zip(data) and not named.endswith((use_case.files.suffix, *use_case.files.attachments)):
            within = unpack(named, data, limits.files - len(files), left)
            left -= sum(len(content) for _, content in within)
            files += within
        else:
            files.append((named, data))
    return files


def _default_name(data: bytes, use_case: UseCase) -> str:
    """A name for bytes that were sent without one."""
    if is_zip(data):
        return "file.zip"
    ending = ending_of(data)
    return f"file{ending if ending and ending in use_case.files.attachments else use_case.files.suffix}"


def _see_names(names: Sequence[str], limits: Limits) -> None:
    if not names:
        raise Problem(422, "The request has no file.", [Wrong("files", "expected one file or more")])
    if len(names) > limits.files:
        found = f"The request has {len(names):,} files, allowed are {limits.files:,} (`serving.limits.files`)"
        raise Problem(413, f"{found}; send fewer at a time.")
    wrong = [(at, _wrong_name(name)) for at, name in enumerate(names)]
    refuse([Wrong(f"files[{at}].name", message) for at, message in wrong if message])


def _wrong_name(name: str) -> str:
    """What is wrong with the name of a file; empty if nothing is."""
    if any(sign < " " or sign == "\x7f" or "\ud800" <= sign <= "\udfff" for sign in name):
        return "it holds characters that cannot be seen"
    for part in name.split("/"):
        if part in ("", ".", ".."):
            return "expected a name, or a path within a folder such as a/b.csv, not one that leads elsewhere"
        # as in the folder of a day, where such a file would be passed over
        if part.startswith((".", "_")):
            return "names that begin with . or _ are no data"
        if len(part.encode()) > LONGEST_NAME:
            return f"expected at most {LONGEST_NAME} bytes"
    return ""


def _see_rows(rows: int, limits: Limits) -> None:
    if rows > limits.rows:
        found = f"The request has {rows:,} lines, allowed are {limits.rows:,} (`serving.limits.rows`)"
        raise Problem(413, f"{found}; send fewer at a time.")


def _lines(data: bytes) -> int:
    """Lines, before anything is parsed; some programs end them with a carriage return alone."""
    return data.count(b"\n") or data.count(b"\r")


def _see_pictures(beside: Sequence[Named], use_case: UseCase) -> None:
    for name, data in beside:
        pixels = count_pixels(data)
        if pixels > use_case.serving.limits.pixels:
            allowed = f"{use_case.serving.limits.pixels:,} (`serving.limits.pixels`)"
            raise Problem(413, f"The picture {name!r} has {pixels:,} pixels, allowed are {allowed}.")


def _around(pictures: Sequence[Named], use_case: UseCase) -> list[Sent]:
    """Pictures that came without the records that refer to them: a record is made around each, where one can be."""
    files = [file_around(use_case, name, data) for name, data in pictures]
    ending = use_case.files.suffix
    message = f"no record can be made around it alone: send the file ({ending}) whose records refer to it, too"
    refuse([Wrong(f"files[{at}]", message) for at, file in enumerate(files) if file is None])
    return [file for file in files if file is not None]
