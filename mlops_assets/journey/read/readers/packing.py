"""In: files packed by gzip or zstd. Out: what another reader makes of their content; bombs are refused."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from mlops_assets.journey.read.readers.pack import Pack, Reader, Refusal
from mlops_assets.plugins import FileRefused
from mlops_assets.use_case import FileFormat

MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
"""What files of each kind begin with."""

MOST_RATIO = 200
"""Bytes that one packed byte may become: text of tables becomes 3 to 30 times as long."""

SMALL = 1 << 20
"""Bytes up to which nobody asks for the ratio: a file of one line, a thousand times, is no bomb."""

PIECE = 1 << 18
FIRST_WINDOW = 1 << 12
"""Bytes that are looked at first of a member: zlib copies what lies behind its end, and a file may have a million."""

USUAL_RATIO = 8
"""What a packed byte is taken for where shards are cut by size."""


class Unpacking:
    """Reads packs of files that are packed.

    Parameters
    ----------
    reader
        Reads what is in them.
    form
        Says how they are packed, and how large a file may be.
    """

    def __init__(self, reader: Reader, form: FileFormat) -> None:
        self._reader = reader
        self._form = form

    def read(self, contents: Sequence[bytes | None], paths: Sequence[str] = ()) -> Pack:
        """Turn the bytes of packed files into columns of text; see `Reader`."""
        unpacked: list[bytes | None] = []
        refusals: list[Refusal] = []
        for number, data in enumerate(contents):
            try:
                unpacked.append(None if data is None else unpack(data, self._form))
            except FileRefused as error:
                unpacked.append(None)
                refusals.append(Refusal(number, None, error.rule, error.message))
        pack = self._reader.read(unpacked, paths)
        pack.refusals.extend(refusals)
        return pack


def unpack(data: bytes, form: FileFormat) -> bytes:
    """What a packed file holds.

    Parameters
    ----------
    data
        Its bytes, of one member or of several, one after the other.
    form
        Says how it is packed, and how large a file may be.

    Raises
    ------
    FileRefused
        If it is packed in another way, damaged, cut off, has something behind its end, or would become too large.
    """
    if form.compression == "none":
        return data
    if not data:
        raise FileRefused("empty_file", "the file is empty")
    if not data.startswith(MAGIC[form.compression]):
        raise FileRefused("compression", f"the file does not begin like {form.compression}: is it packed at all?")
    most = form.largest if form.largest <= SMALL else min(form.largest, max(SMALL, MOST_RATIO * len(data)))
    whole = io.BytesIO()
    for piece in (_gunzip if form.compression == "gzip" else _unzstd)(data):
        whole.write(piece)
        if whole.tell() > most:
            raise _too_large(len(data), most, form)
    return whole.getvalue()


def _too_large(packed: int, most: int, form: FileFormat) -> FileRefused:
    if most == form.largest:
        return FileRefused("too_large", f"{packed:,} bytes, which are more than {most:,} unpacked (`files.largest`)")
    message = f"{packed:,} bytes, which are more than {MOST_RATIO} times as many unpacked: a bomb?"
    return FileRefused("compression", message)


def _gunzip(data: bytes) -> Iterator[bytes]:
    whole, at = memoryview(data), 0
    while at < len(data):
        # what tapes are filled up with says nothing
        if not data.startswith(MAGIC["gzip"], at):
            if data[at:].strip(b"\0"):
                raise FileRefused("compression", f"{len(data) - at:,} bytes follow the end of what is packed")
            return
        stream, window = zlib.decompressobj(wbits=31), FIRST_WINDOW
        try:
            while not stream.eof:
                given = whole[at : at + window]
                piece = stream.decompress(given, PIECE)
                if not (piece or given or stream.eof):
                    raise FileRefused("truncated", "the file stops in the middle of what is packed: cut off?")
                yield piece
                at += len(given) - len(stream.unconsumed_tail) - len(stream.unused_data)
                window = min(2 * window, PIECE)
        except zlib.error as error:
            raise FileRefused("compression", f"the file is damaged: {error}") from None


def _unzstd(data: bytes) -> Iterator[bytes]:
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        while piece := _read(stream.read):
            yield piece


def _read(read: Callable[[int], bytes]) -> bytes:
    try:
        return read(PIECE)
    except (OSError, pa.ArrowException) as error:
        message = str(error).splitlines()[0]
        if "Truncated" in message:
            raise FileRefused("truncated", "the file stops in the middle of what is packed: cut off?") from None
        raise FileRefused("compression", f"the file is damaged: {message}") from None


def unpack_start(data: bytes, compression: str, most: int) -> bytes:
    """The first bytes of what a packed file holds, at most about so many.

    Parameters
    ----------
    data
        Its bytes.
    compression
        `gzip` or `zstd`.
    most
        Bytes that are enough.

    Raises
    ------
    FileRefused
        If it is damaged before there are as many.
    """
    whole = io.BytesIO()
    for piece in (_gunzip if compression == "gzip" else _unzstd)(data):
        whole.write(piece)
        if whole.tell() > most:
            break
    return whole.getvalue()


def packed(data: bytes, form: FileFormat) -> bytes:
    """Bytes as a file of the format holds them; the same bytes give the same file."""
    if form.compression == "gzip":
        # without a time, of which the same rows would be other bytes
        stream = zlib.compressobj(wbits=31)
        return stream.compress(data) + stream.flush()
    if form.compression == "zstd":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as out:
            out.write(data)
        return bytes(sink.getvalue())
    return data
