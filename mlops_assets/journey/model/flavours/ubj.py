"""In: bytes in Universal Binary JSON, as XGBoost writes it. Out: what stands there; bounded, and read in one way alone.

Format: https://ubjson.org/type-reference/. Whoever reads it elsewhere takes the last of two values of a name, or
believes a count before it has seen what is counted; such a file is none here.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from mlops_assets.journey.model.structure.parts import Malformed

MOST_DEPTH = 16
"""Values in each other."""

MOST_VALUES = 20_000_000
"""Tables, lists and values in lists without a type, of which each takes far more memory than bytes in the file."""

LONGEST_NAME = 1_000

NUMBERS = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}
"""The types of numbers, as they lie in the file."""

WORDS = {b"T": True, b"F": False, b"Z": None}


def read_ubj(content: bytes) -> Any:
    """The value that bytes hold: tables, lists, texts, numbers; a list with a type is an array.

    Raises
    ------
    Malformed
        If it is cut, goes on after its end, names something twice, is nested deeper or larger than any model is.
    """
    reader = _Reader(content)
    value = reader.value(reader.take(1), 0)
    if reader.at != len(content):
        raise Malformed(f"it goes on after its end, at byte {reader.at:,} of {len(content):,}")
    return value


def write_ubj(value: Any) -> bytes:
    """A value that `read_ubj` made, as bytes again.

    Parameters
    ----------
    value
        Tables, lists, texts, whole and other numbers, arrays.
    """
    if isinstance(value, dict):
        return b"{" + b"".join(_name(name) + write_ubj(one) for name, one in value.items()) + b"}"
    if isinstance(value, np.ndarray):
        kind = value.dtype.newbyteorder(">")
        marker = next(key for key, known in NUMBERS.items() if np.dtype(known) == kind)
        return b"[$" + marker + b"#" + _length(value.size) + value.astype(kind).tobytes()
    if isinstance(value, list):
        return b"[#" + _length(len(value)) + b"".join(map(write_ubj, value))
    if isinstance(value, str):
        return b"S" + _name(value)
    return b"D" + struct.pack(">d", value) if isinstance(value, float) else b"L" + struct.pack(">q", value)


def _length(number: int) -> bytes:
    return b"L" + struct.pack(">q", number)


def _name(text: str) -> bytes:
    return _length(len(text.encode())) + text.encode()


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content, self.at, self._values = content, 0, 0

    def take(self, count: int) -> bytes:
        taken = self._content[self.at : self.at + count]
        if len(taken) < count or count < 0:
            raise Malformed(f"it ends at byte {len(self._content):,}, in the middle of a value")
        self.at += count
        return taken

    def value(self, marker: bytes, depth: int) -> Any:
        self._values += 1
        if depth > MOST_DEPTH or self._values > MOST_VALUES:
            raise Malformed(f"it holds more than {MOST_VALUES:,} values, or more than {MOST_DEPTH} in each other")
        if marker in NUMBERS:
            kind = np.dtype(NUMBERS[marker])
            return np.frombuffer(self.take(kind.itemsize), kind)[0].item()
        if marker in WORDS:
            return WORDS[marker]
        if marker == b"S":
            return self._text(len(self._content))
        if marker == b"{":
            return self._table(depth)
        if marker == b"[":
            return self._list(depth)
        raise Malformed(f"byte {self.at - 1:,} is {marker!r}, which begins no value")

    def _count(self) -> int:
        if self.take(1) != b"L":
            raise Malformed(f"byte {self.at - 1:,}: a length is expected")
        (count,) = struct.unpack(">q", self.take(8))
        if not 0 <= count <= len(self._content) - self.at:
            raise Malformed(
                f"byte {self.at:,}: it says a length of {count:,}, and {len(self._content):,} bytes are there"
            )
        return int(count)

    def _text(self, longest: int) -> str:
        count = self._count()
        if count > longest:
            raise Malformed(f"byte {self.at:,}: a name of {count:,} bytes")
        try:
            return self.take(count).decode()
        except UnicodeDecodeError:
            raise Malformed(f"byte {self.at:,}: a text that is none") from None

    def _table(self, depth: int) -> dict[str, Any]:
        table: dict[str, Any] = {}
        while (marker := self.take(1)) != b"}":
            self.at -= len(marker)
            name = self._text(LONGEST_NAME)
            if name in table:
                raise Malformed(f"it says {name!r:.80} twice")
            table[name] = self.value(self.take(1), depth + 1)
        return table

    def _list(self, depth: int) -> Any:
        marker = self.take(1)
        if marker == b"$":
            kind = self.take(1)
            if kind not in NUMBERS or self.take(1) != b"#":
                raise Malformed(f"byte {self.at:,}: a list of {kind!r}, which are no numbers")
            dtype, count = np.dtype(NUMBERS[kind]), self._count()
            return np.frombuffer(self.take(count * dtype.itemsize), dtype).astype(dtype.newbyteorder("="))
        if marker != b"#":
            raise Malformed(f"byte {self.at:,}: a list that does not say how long it is")
        return [self.value(self.take(1), depth + 1) for _ in range(self._count())]
