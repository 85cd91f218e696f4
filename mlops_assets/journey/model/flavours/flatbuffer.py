"""A table of a flatbuffer, read where it lies and never beyond its bytes: https://flatbuffers.dev/internals/."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from mlops_assets.journey.model.structure.parts import Malformed


class Table:
    """A table in some bytes.

    Parameters
    ----------
    content
        All bytes of the flatbuffer.
    at
        Where the table begins.
    slots
        How many fields its schema has; one with more of them is of another schema.
    """

    def __init__(self, content: bytes, at: int, slots: int) -> None:
        self._content, self._at = content, at
        vtable = at - self._number("<i", at)
        size, length = self._number("<H", vtable), self._number("<H", vtable + 2)
        if size % 2 or not 4 <= size <= 4 + 2 * slots or length < 4 or at + length > len(content):
            raise Malformed(f"byte {at:,}: a table of {size} and {length} bytes, which its schema does not have")
        self._places = [self._number("<H", vtable + 4 + 2 * slot) for slot in range((size - 4) // 2)]
        if any(place >= length for place in self._places):
            raise Malformed(f"byte {at:,}: a field that lies outside its table")

    @classmethod
    def root(cls, content: bytes, slots: int) -> Table:
        """The table that everything hangs on."""
        (at,) = struct.unpack_from("<I", content) if len(content) >= 4 else (0,)
        return cls(content, at, slots)

    def has(self, slot: int) -> bool:
        """Whether a field is there; else it has its default."""
        return slot < len(self._places) and self._places[slot] > 0

    def number(self, slot: int, form: str, default: float) -> float:
        """A field that is a number, in a form of `struct`."""
        value: float = self._number(form, self._at + self._places[slot]) if self.has(slot) else default
        return value

    def table(self, slot: int, slots: int) -> Table:
        """A field that is another table, which must be there."""
        if not self.has(slot):
            raise Malformed(f"byte {self._at:,}: a table is missing")
        return Table(self._content, self._leads_to(slot), slots)

    def tables(self, slot: int, slots: int) -> list[Table]:
        """A field that is a list of tables."""
        places = self.array(slot, "<u4")
        start = self._leads_to(slot) + 4 if self.has(slot) else 0
        return [Table(self._content, start + 4 * n + int(place), slots) for n, place in enumerate(places)]

    def text(self, slot: int) -> bytes:
        """A field that is a text."""
        return self.array(slot, "u1").tobytes()

    def length(self, slot: int) -> int:
        """How long a list is, whatever is in it; 0 where there is none."""
        return int(self._number("<I", self._leads_to(slot))) if self.has(slot) else 0

    def array(self, slot: int, form: str) -> np.ndarray:
        """A field that is a list of numbers, in a form of NumPy."""
        dtype, count = np.dtype(form), self.length(slot)
        if not count:
            return np.zeros(0, dtype)
        start = self._leads_to(slot) + 4
        if start + count * dtype.itemsize > len(self._content):
            raise Malformed(f"byte {start:,}: a list of {count:,}, which its bytes do not hold")
        return np.frombuffer(self._content, dtype, count, start)

    def without(self, slot: int) -> bytes:
        """All bytes, in which a field of this table is not there."""
        if not self.has(slot):
            return self._content
        place = self._at - int(self._number("<i", self._at)) + 4 + 2 * slot
        return self._content[:place] + bytes(2) + self._content[place + 2 :]

    def _leads_to(self, slot: int) -> int:
        place: int = self._at + self._places[slot]
        offset: int = self._number("<I", place)
        return offset + place

    def _number(self, form: str, at: int) -> Any:
        if at < 0 or at + struct.calcsize(form) > len(self._content):
            raise Malformed(f"it leads to byte {at:,}, and has {len(self._content):,}")
        return struct.unpack_from(form, self._content, at)[0]
