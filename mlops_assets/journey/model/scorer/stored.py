"""In: a scorer. Out: the bytes of its file, and back, after its structure was checked.

The file is one of safetensors: its numbers, and in its notes a description in JSON of what they are part of. Nothing of
it is code, and no index in it is followed before it was seen to lead to where something is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from mlops_assets.journey.model.files import SCORER_FILE
from mlops_assets.journey.model.flavours.safetensors_file import Tensor, notes_of, numbers_of, read_safetensors
from mlops_assets.journey.model.scorer import steps, trees
from mlops_assets.journey.model.scorer.rules import check_scorer
from mlops_assets.journey.model.scorer.steps import Scorer
from mlops_assets.journey.model.structure.parts import Malformed

NOTE = "scorer"
ALIGNED = 8

TYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "BOOL": "|b1"}
"""The types of the numbers of a scorer, by their names in the file."""

PARTS = {
    kind.__name__: kind
    for kind in (
        Scorer,
        steps.Lookup,
        steps.Numbers,
        steps.Coded,
        steps.Impute,
        steps.Scale,
        steps.Forest,
        steps.Linear,
        steps.Gathered,
        steps.Vote,
        trees.Trees,
    )
}
"""What a scorer is made of, by name."""

MOST_DEPTH = 12
"""Parts in each other that a file may describe."""

MOST_PARTS = 100_000


def as_bytes(scorer: Scorer) -> bytes:
    """A scorer as the bytes of its file: the same scorer is always the same bytes."""
    arrays: list[np.ndarray] = []
    described = _described(scorer, arrays)
    # wide numbers first, so that all lie at multiples of their size
    order = sorted(range(len(arrays)), key=lambda number: (-arrays[number].itemsize, number))
    names = {np.dtype(code): name for name, code in TYPES.items()}
    header: dict[str, Any] = {"__metadata__": {NOTE: json.dumps(described)}}
    at = 0
    for number in order:
        array = arrays[number]
        told = {"dtype": names[array.dtype], "shape": array.shape, "data_offsets": (at, at + array.nbytes)}
        header[str(number)], at = told, at + array.nbytes
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % ALIGNED)
    return b"".join([len(head).to_bytes(8, "little"), head, *(arrays[number].tobytes() for number in order)])


def _described(part: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(part, np.ndarray):
        if part.dtype not in map(np.dtype, TYPES.values()):
            raise Malformed(f"numbers of the type {part.dtype}, known are {', '.join(TYPES)}")
        arrays.append(np.ascontiguousarray(part))
        return {"array": len(arrays) - 1}
    if isinstance(part, tuple):
        return [_described(one, arrays) for one in part]
    if is_dataclass(part):
        told = {one.name: _described(getattr(part, one.name), arrays) for one in fields(part)}
        return {"part": type(part).__name__, **told}
    return part


def read_scorer(content: bytes, columns: int, classes: int) -> Scorer:
    """The scorer in the bytes of a file that somebody may have forged.

    Parameters
    ----------
    content
        The bytes.
    columns, classes
        How many the model has; no classes of one that says numbers.

    Raises
    ------
    Malformed
        If it is built otherwise than `as_bytes` builds it, or an index leads to where nothing is.
    """
    tensors = read_safetensors(content)
    try:
        described = json.loads(notes_of(content)[NOTE])
    except (KeyError, ValueError, RecursionError) as error:
        raise Malformed(f"{SCORER_FILE}: it does not say what it is: {error!r:.100}") from None
    reader = _Reader(content, tensors)
    scorer: Scorer = reader.made(described, Scorer, 0)
    if reader.left:
        raise Malformed(f"{SCORER_FILE}: it has numbers that nothing refers to")
    check_scorer(scorer, columns, classes)
    return scorer


class _Reader:
    """Makes the parts that a file describes, each of the types that its place allows."""

    def __init__(self, content: bytes, tensors: Mapping[str, Tensor]) -> None:
        self._content, self._tensors = content, tensors
        self._begin = numbers_of(content)
        self._count = 0
        self.left = set(tensors)

    def made(self, told: Any, expected: Any, depth: int) -> Any:
        """What stands in a place where something of a type is expected."""
        self._count += 1
        if depth > MOST_DEPTH or self._count > MOST_PARTS:
            raise Malformed(f"{SCORER_FILE}: too many parts, or too many in each other")
        allowed = get_args(expected) if get_origin(expected) in (Union, UnionType) else (expected,)
        if isinstance(told, dict):
            return self._object(told, allowed, depth)
        for kind in allowed:
            if get_origin(kind) is tuple and isinstance(told, list):
                return tuple(self.made(one, get_args(kind)[0], depth + 1) for one in told)
            if type(told) is kind:
                return told
        raise Malformed(f"{SCORER_FILE}: {told!a:.80} stands where something else belongs")

    def _object(self, told: dict[str, Any], allowed: tuple[Any, ...], depth: int) -> Any:
        if np.ndarray in allowed and set(told) == {"array"}:
            return self._array(told["array"])
        name = told.get("part")
        kind: Callable[..., Any] | None = PARTS.get(name) if isinstance(name, str) else None
        if kind is None or kind not in allowed:
            raise Malformed(f"{SCORER_FILE}: a part {name!a:.80} stands where something else belongs")
        types = get_type_hints(kind)
        if set(told) != {"part", *types}:
            raise Malformed(f"{SCORER_FILE}: a part {name!a:.80} is not told by {', '.join(types)}")
        return kind(**{key: self.made(told[key], types[key], depth + 1) for key in types})

    def _array(self, number: Any) -> np.ndarray:
        name = str(number)
        # each once: what is long stands there no more often than its bytes do
        if type(number) is not int or name not in self.left:
            raise Malformed(f"{SCORER_FILE}: there are no numbers {number!a:.50}, or they are asked for twice")
        self.left.remove(name)
        tensor = self._tensors[name]
        if tensor.type not in TYPES:
            raise Malformed(f"{SCORER_FILE}: numbers of the type {tensor.type}, known are {', '.join(TYPES)}")
        dtype = np.dtype(TYPES[tensor.type])
        count = (tensor.end - tensor.begin) // dtype.itemsize
        values = np.frombuffer(self._content, dtype, count, self._begin + tensor.begin)
        if tensor.type == "BOOL" and (values.view(np.uint8) > 1).any():
            raise Malformed(f"{SCORER_FILE}: what is neither true nor false")
        return values.reshape(tensor.shape)
