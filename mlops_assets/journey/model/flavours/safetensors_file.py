"""In: the bytes of a safetensors file by somebody. Out: its tensors by name, type, shape and place.

The form: eight bytes with the length of a header, the header in JSON, and the numbers of all tensors one after another.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_assets.journey.model.structure.parts import Malformed

LARGEST_HEADER = 16 << 20
"""Bytes that the header may have."""

MOST_TENSORS, MOST_AXES = 100_000, 8

WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
"""The types that are taken, and the bytes of an element."""

NOTES = "__metadata__"


@dataclass(frozen=True)
class Tensor:
    """A tensor in a file.

    Attributes
    ----------
    type
        One of `WIDTHS`.
    shape
        Its sizes.
    begin, end
        Where its bytes stand behind the header.
    """

    type: str
    shape: tuple[int, ...]
    begin: int
    end: int


def numbers_of(content: bytes) -> int:
    """Where the numbers of a file begin that `read_safetensors` has seen."""
    return 8 + int.from_bytes(content[:8], "little")


def notes_of(content: bytes) -> dict[str, str]:
    """What who made a file that `read_safetensors` has seen wrote into it."""
    notes: dict[str, str] = _parsed(content[8 : numbers_of(content)]).get(NOTES, {})
    return notes


def read_safetensors(content: bytes) -> dict[str, Tensor]:
    """See that a file is built as the library builds it, and what it holds.

    Parameters
    ----------
    content
        Its bytes.

    Raises
    ------
    Malformed
        If it is built otherwise: numbers of a tensor lie outside the file, in those of another one, or nowhere.
    """
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > len(content) - 8:
        raise Malformed("it is no safetensors file, or only the beginning of one")
    if length > LARGEST_HEADER:
        raise Malformed(f"it has a header of {length:,} bytes, {LARGEST_HEADER:,} are taken")
    header = _parsed(content[8 : 8 + length])
    notes = header.pop(NOTES, {})
    if not isinstance(notes, dict) or not all(isinstance(value, str) for value in notes.values()):
        raise Malformed("its notes are no texts")
    if len(header) > MOST_TENSORS:
        raise Malformed(f"it has {len(header):,} tensors, {MOST_TENSORS:,} are taken")
    tensors = {name: _tensor(name, told) for name, told in header.items()}
    _see_places(tensors, len(content) - 8 - length)
    return tensors


def _parsed(header: bytes) -> dict[str, Any]:
    try:
        # each key once: of two, one could be looked at and the other be loaded
        parsed = json.loads(header.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"its header cannot be read: {error}") from None
    if not isinstance(parsed, dict) or not header.startswith(b"{"):
        raise Malformed("its header is no table")
    return parsed


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it names something twice")
    return found


def _tensor(name: str, told: Any) -> Tensor:
    shown = f"its tensor {name[:100]!a}"
    if not isinstance(told, dict) or set(told) != {"dtype", "shape", "data_offsets"}:
        raise Malformed(f"{shown} is told otherwise than by dtype, shape and data_offsets")
    kind, shape, places = told["dtype"], told["shape"], told["data_offsets"]
    if not isinstance(kind, str) or kind not in WIDTHS:
        raise Malformed(f"{shown} is of the type {kind!a:.40}; taken are {', '.join(WIDTHS)}")
    if not _are_sizes(shape) or len(shape) > MOST_AXES:
        raise Malformed(f"{shown} has the shape {shape!a:.80}")
    if not _are_sizes(places) or len(places) != 2:
        raise Malformed(f"{shown} lies at {places!a:.80}")
    if places[1] - places[0] != (needed := math.prod(shape) * WIDTHS[kind]):
        raise Malformed(f"{shown} needs {needed:,} bytes by its shape, and has {places[1] - places[0]:,}")
    return Tensor(kind, tuple(shape), *places)


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(one) is int and 0 <= one < 1 << 63 for one in value)


def _see_places(tensors: Mapping[str, Tensor], size: int) -> None:
    """See that the tensors lie one behind the other, from the first byte to the last."""
    at = 0
    for name, tensor in sorted(tensors.items(), key=lambda pair: (pair[1].begin, pair[1].end)):
        if tensor.begin != at:
            what = "lies in another one" if tensor.begin < at else "lies behind a gap"
            raise Malformed(f"its tensor {name[:100]!a} {what}")
        at = tensor.end
    if at != size:
        raise Malformed(f"its tensors have {at:,} bytes, and the file has {size:,} for them")
