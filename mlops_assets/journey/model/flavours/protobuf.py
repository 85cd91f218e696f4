"""In: the bytes of a protobuf message by somebody. Out: its fields; what can be read in two ways is refused.

Readers of protobuf are lenient, and each in its own way: a field that comes twice is merged or replaced, one of another
type is passed over, a number that does not fit is cut off. What was checked here must be what the library reads that
runs it. So there is one form, that in which all libraries write: known fields alone, each at one place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlops_assets.journey.model.structure.parts import Malformed

DEEPEST = 40
"""How many messages may lie within one another."""

MOST = 4_000_000
"""Most messages and texts in a file."""

LARGEST_LIST = 64 << 20
"""Bytes that a list of numbers outside tensors may have."""

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
"""How the bytes of a field end: the wire types of protobuf, but for groups, which nobody writes any more."""

WIRES = {"int": VARINT, "float": FOUR, "double": EIGHT}
TYPES: Mapping[str, np.dtype[Any]] = {"float": np.dtype("<f4"), "double": np.dtype("<f8")}

Schema = Mapping[str, Mapping[int, tuple[str, str, bool]]]
"""By message, the fields by number: name, what it holds, and whether it is a list.

It holds `int`, `float`, `double`, `bytes`, `content` (bytes that are not copied) or the message of that name.
"""


@dataclass(frozen=True)
class Message:
    """A message that was read.

    Attributes
    ----------
    kind
        Its name in the schema.
    fields
        What it has, by name: numbers as an array, all others as a list.
    """

    kind: str
    fields: Mapping[str, Any]

    def __contains__(self, name: str) -> bool:
        """Whether it has such a field."""
        return name in self.fields

    def all(self, name: str) -> Sequence[Any]:
        """The values of a list; none, if it has no such field."""
        values: Sequence[Any] = self.fields.get(name, ())
        return values

    def one(self, name: str, default: Any = None) -> Any:
        """The value of a field."""
        values = self.fields.get(name)
        return default if values is None else values[0]

    def whole(self, name: str, default: int = 0) -> int:
        """The value of a field that is a whole number."""
        return int(self.one(name, default))

    def text(self, name: str) -> str:
        """The value of a field that is a text; empty, if there is none."""
        return as_text(self.one(name, b""))


def as_text(value: bytes) -> str:
    """Bytes of a message as text.

    Raises
    ------
    Malformed
        If they are none.
    """
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Malformed("it has a name that is no text") from None


def read_message(content: bytes, kind: str, schema: Schema) -> Message:
    """Read a message.

    Parameters
    ----------
    content
        Its bytes.
    kind
        Its name in the schema.
    schema
        The messages that it may consist of.

    Raises
    ------
    Malformed
        If it is built otherwise.
    """
    return _Reader(schema).message(kind, memoryview(content), 0)


class _Reader:
    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.left = MOST

    def message(self, kind: str, content: memoryview, depth: int) -> Message:
        if depth > DEEPEST:
            raise Malformed(f"its parts are nested more than {DEEPEST} deep")
        known, fields, at = self.schema[kind], dict[str, Any](), 0
        while at < len(content):
            began = at
            key, at = _varint(content, at)
            field = known.get(key >> 3)
            if field is None:
                raise Malformed(f"{kind} has a field {key >> 3}, which is not known")
            name, holds, is_list = field
            if name in fields:
                raise Malformed(f"{kind} has the field {name} at two places")
            fields[name], at = self._field(content, began, at, holds, depth)
            if len(fields[name]) > 1 and not is_list:
                raise Malformed(f"{kind} has the field {name} twice")
        return Message(kind, fields)

    def _field(self, content: memoryview, began: int, at: int, holds: str, depth: int) -> tuple[Any, int]:
        """All values of a field, which come one after another, and where they end."""
        key = bytes(content[began:at])
        wire = key[0] & 7
        if wire == BYTES and holds in WIRES:
            size, at = _size(content, at)
            return _packed(content[at : at + size], holds), at + size
        if wire != WIRES.get(holds, BYTES):
            raise Malformed(f"a field is written as another type than {holds}")
        if holds == "int":
            return _unpacked(content, began, key[0]) if len(key) == 1 else _single(content, at)
        if holds in TYPES:
            return _spaced(content, began, key, TYPES[holds])
        return self._pieces(content, began, key, holds, depth)

    def _pieces(self, content: memoryview, at: int, key: bytes, holds: str, depth: int) -> tuple[list[Any], int]:
        values: list[Any] = []
        while content[at : at + len(key)] == key:
            size, start = _size(content, at + len(key))
            at = start + size
            self.left -= 1
            if self.left < 0:
                raise Malformed(f"it has more than {MOST:,} parts")
            piece = content[start:at]
            if holds in ("bytes", "content"):
                values.append(piece if holds == "content" else bytes(piece))
            else:
                values.append(self.message(holds, piece, depth + 1))
        return values, at


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """A whole number of seven bits a byte, and where it ends."""
    value = 0
    for place in range(10):
        if at + place >= len(content):
            raise Malformed("it ends in the middle of a number")
        byte = content[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            if place and not byte:
                raise Malformed("it has a number that is longer than it need be")
            return value, at + place + 1
    raise Malformed("it has a number that does not end")


def _size(content: memoryview, at: int) -> tuple[int, int]:
    size, at = _varint(content, at)
    if size > len(content) - at:
        raise Malformed("it ends in the middle of a part")
    return size, at


def _single(content: memoryview, at: int) -> tuple[np.ndarray, int]:
    _, end = _varint(content, at)
    return _numbers(content[at:end]), end


def _packed(content: memoryview, holds: str) -> np.ndarray:
    """Numbers that stand one after another."""
    if holds == "int":
        return _numbers(content)
    if len(content) % TYPES[holds].itemsize:
        raise Malformed("it ends in the middle of a number")
    return np.frombuffer(content, TYPES[holds])


def _spaced(content: memoryview, at: int, key: bytes, dtype: np.dtype[Any]) -> tuple[np.ndarray, int]:
    """Numbers of a fixed size, each with its key before it."""
    width = len(key) + dtype.itemsize
    rest = np.frombuffer(content[at:], np.uint8)
    rows = rest[: len(rest) // width * width].reshape(-1, width)
    ours = (rows[:, : len(key)] == np.frombuffer(key, np.uint8)).all(axis=1)
    count = len(rows) if ours.all() else int(ours.argmin())
    if not count:
        raise Malformed("it ends in the middle of a number")
    values = np.ascontiguousarray(rows[:count, len(key) :]).view(dtype).reshape(-1)
    return values, at + count * width


def _unpacked(content: memoryview, at: int, key: int) -> tuple[np.ndarray, int]:
    """Whole numbers, each with its key of one byte before it: a row of numbers, of which every other is the key."""
    window = 256
    while True:
        raw = np.frombuffer(content[at : at + window], np.uint8)
        ends = np.flatnonzero(raw < 0x80)
        starts = np.concatenate([[0], ends + 1])[: len(ends)]
        other = np.flatnonzero((raw[ends[::2]] != key) | (starts[::2] != ends[::2]))
        if len(other) or window >= len(content) - at:
            break
        window *= 2  # so that all in all it is read twice, however long it is
        if window > LARGEST_LIST:
            raise Malformed(f"it has a list of numbers of more than {LARGEST_LIST:,} bytes")
    pairs = int(other[0]) if len(other) else len(ends) // 2
    if not pairs:
        raise Malformed("it ends in the middle of a number")
    return _decoded(raw, starts[1 : 2 * pairs : 2], ends[1 : 2 * pairs : 2]), at + int(ends[2 * pairs - 1]) + 1


def _numbers(content: memoryview) -> np.ndarray:
    if len(content) > LARGEST_LIST:
        raise Malformed(f"it has a list of numbers of {len(content):,} bytes; {LARGEST_LIST:,} are taken")
    raw = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    if len(raw) and (not len(ends) or ends[-1] != len(raw) - 1):
        raise Malformed("it ends in the middle of a number")
    return _decoded(raw, np.concatenate([[0], ends + 1])[: len(ends)], ends)


def _decoded(raw: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The whole numbers between these places of the bytes; what goes beyond 64 bits is cut off, as protobuf does."""
    lengths = ends - starts + 1
    if len(lengths) and lengths.max() > 10:
        raise Malformed("it has a number that does not end")
    if ((lengths > 1) & (raw[ends] == 0)).any():
        raise Malformed("it has a number that is longer than it need be")
    values = np.zeros(len(starts), np.uint64)
    for place in range(int(lengths.max(initial=0))):
        has = lengths > place
        values[has] |= (raw[starts[has] + place] & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * place)
    return values.view(np.int64)
