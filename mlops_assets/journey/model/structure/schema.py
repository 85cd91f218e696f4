"""In: the schema of a skops archive and its members. Out: no change, or what in it must not even be constructed.

The objects are made before anybody can look at them. What is dear or dangerous already then is looked at here: how much
memory an array asks for, what a constructor written in C is given, and that a number stands for one object alone.
"""

from __future__ import annotations

import io
import json
import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import IO, Any
from zipfile import ZipFile

import numpy as np

from mlops_assets.journey.model.structure.parts import LARGEST_WIDTH, Malformed

NUMBER_TYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16")
FURTHER_TYPES = ("float32", "float64", "longdouble", "str_")

LOSSES = (
    *(f"sklearn._loss._loss.Cy{name}" for name in ("HalfBinomialLoss", "HalfMultinomialLoss", "ExponentialLoss")),
    *(f"sklearn._loss._loss.Cy{name}" for name in ("HalfSquaredError", "HuberLoss", "AbsoluteError")),
    *(f"sklearn._loss._loss.Cy{name}" for name in ("PinballLoss", "HalfPoissonLoss", "HalfGammaLoss")),
    *(f"sklearn.linear_model._sgd_fast.{name}" for name in ("Hinge", "SquaredHinge", "ModifiedHuber")),
    *(f"sklearn.linear_model._sgd_fast.{name}" for name in ("EpsilonInsensitive", "SquaredEpsilonInsensitive")),
)
"""What the loader of losses may make: it calls the constructor of whatever type is allowed."""

CLASSES = {
    "DictNode": ("builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"),
    "ListNode": ("builtins.list",),
    "TupleNode": ("builtins.tuple",),
    "SetNode": ("builtins.set", "builtins.frozenset"),
    "SliceNode": ("builtins.slice",),
    "JsonNode": ("builtins.str",),
    "NdArrayNode": ("numpy.ndarray", *(f"numpy.{name}" for name in (*NUMBER_TYPES, *FURTHER_TYPES))),
    "DTypeNode": ("numpy.dtype",),
    "TreeNode": ("sklearn.tree._tree.Tree",),
    "RandomStateNode": ("numpy.random.mtrand.RandomState", "numpy.random.RandomState"),
    "RandomGeneratorNode": ("numpy.random._generator.Generator",),
    "LossNode": LOSSES,
}
"""Loaders of skops that make one of a few types, and these."""

ANY_CLASS = ("ObjectNode", "TypeNode", "SparseMatrixNode")
"""Loaders whose types skops checks against the allow-list, and which call no constructor."""

POOLS = ("4", "8", "16")

TREE_LOADERS = ["TupleNode", "JsonNode", "NdArrayNode", "JsonNode"]
"""Those of the arguments of a tree: all of them, columns, classes, outputs."""

PLAIN_KINDS = "biufUS"
MOST_DIMENSIONS = 8
LARGEST_UNPACKED = 1 << 31
LENGTHS = {b"\x93NUMPY\x01\x00": 2, b"\x93NUMPY\x02\x00": 4}
"""How an array begins, and in how many bytes the length of its head is said then."""

LONGEST_HEAD = 10_000


@dataclass
class Named:
    """What the objects of a schema name.

    Attributes
    ----------
    members
        The members of the archive that they say their content is in.
    types
        The import paths of their types.
    """

    members: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)


def check_schema(schema: Mapping[str, Any], archive: ZipFile, trusted: Collection[str]) -> Named:
    """See that what an archive describes can be constructed.

    Parameters
    ----------
    schema
        What stands in `schema.json`.
    archive
        Has the members.
    trusted
        Import paths of types of one's own, for which any loader may be used.

    Returns
    -------
    Named
        What it names, so that nobody has to go through it again.

    Raises
    ------
    Malformed
        If it cannot.
    """
    walk = _Walk(archive, trusted)
    walk.count(schema)
    for node in walk.arguments:
        _see_tree_arguments(node, walk.times, archive)
    return walk.named


class _Walk:
    """The way through all objects of a schema; remembers what their numbers mean."""

    def __init__(self, archive: ZipFile, trusted: Collection[str]) -> None:
        self._archive, self._trusted = archive, trusted
        self._meaning: dict[Any, Any] = {}
        self._there = set(archive.namelist())
        self.named = Named()
        self.times: Counter[Any] = Counter()
        self.arguments: list[Any] = []

    def count(self, value: Any) -> int:
        """See to what a value describes; returns how many objects that is."""
        is_object = isinstance(value, dict)
        # most of what stands there is a text, and is passed by without a call
        parts = [one for one in (value.values() if is_object else value) if isinstance(one, (dict, list))]
        inside = sum(map(self.count, parts))
        if not is_object or "__loader__" not in value:
            return inside
        self._see(value, inside)
        return inside + 1

    def _see(self, node: dict[str, Any], inside: int) -> None:
        path = f"{node.get('__module__')}.{node.get('__class__')}"
        self.named.types.add(path)
        _see_loader(node["__loader__"], path, self._trusted)
        self._see_that_it_is_the_same(node, inside)
        if node["__loader__"] == "TreeNode":
            self.arguments.append(node["__reduce__"]["args"])
        if node["__loader__"] == "RandomGeneratorNode":
            _see_seed(node)
        if (name := node.get("file")) is not None and name not in self.named.members:
            if name not in self._there:
                raise Malformed(f"{name!r} is a part that is missing")
            self.named.members.add(name)
            _see_member(name, self._archive)

    def _see_that_it_is_the_same(self, node: Mapping[str, Any], inside: int) -> None:
        """See that a number means one object: the first of a number is taken for all, whatever the others say.

        Each must be written in full, as skops does: else a small file could name an object more often than anybody can
        look at it.
        """
        number, content = node.get("__id__"), node.get("content")
        says = (
            *(node.get(name) for name in ("__loader__", "__module__", "__class__", "type")),
            content if isinstance(content, str) else inside,
        )
        self.times[number] += 1
        if number is not None and self._meaning.setdefault(number, says) != says:
            raise Malformed(f"object {number} is two things at once")


def _see_loader(loader: Any, path: str, trusted: Collection[str]) -> None:
    if path in trusted or loader in ANY_CLASS or path in CLASSES.get(str(loader), ()):
        return
    if loader not in CLASSES:
        raise Malformed(
            f"it makes a {path} by {loader!r}, which no estimator needs. If you know what it does, name {path} in "
            "`training.trusted`"
        )
    raise Malformed(f"it makes a {path} by {loader}, expected {', '.join(CLASSES[loader])}")


def _see_seed(node: Mapping[str, Any]) -> None:
    """The seed of a generator is mixed as it is made, in time that grows with the square of its pool."""
    pool = node["content"]["seed_seq"]["content"].get("pool_size", {"__loader__": "JsonNode", "content": "4"})
    if pool["__loader__"] != "JsonNode" or pool["content"] not in POOLS:
        raise Malformed(f"a generator of random numbers has a pool of {pool.get('content')!r:.50}")


def _see_tree_arguments(node: Any, times: Mapping[Any, int], archive: ZipFile) -> None:
    """What the constructor of a tree is given: written in C, it believes every word."""
    try:
        columns, classes, outputs = node["content"]
        # what other loaders make of a node is said elsewhere in it
        if [each["__loader__"] for each in (node, columns, classes, outputs)] != TREE_LOADERS:
            raise ValueError
        facts = [json.loads(each["content"]) for each in (columns, outputs)]
        # the numbers are the same wherever they stand; the array and the whole stand here alone
        alone = all(times[each["__id__"]] == 1 for each in (node, classes))
        counts = np.load(io.BytesIO(archive.read(classes["file"])), allow_pickle=False)
    except (KeyError, TypeError, ValueError):
        raise Malformed("a tree is given what is no tree's") from None
    whole = all(type(fact) is int and 1 <= fact <= LARGEST_WIDTH for fact in facts)
    if not (whole and alone and facts[1] == 1 and counts.shape == (1,) and counts.dtype == np.intp):
        raise Malformed(f"a tree is given {facts[0]} columns, {facts[1]} outputs and the classes {counts.shape}")
    if not 1 <= counts[0] <= LARGEST_WIDTH:
        raise Malformed(f"a tree is given {counts[0]} classes")


def _see_member(name: str, archive: ZipFile) -> None:
    """See that an array is as long as it says, before memory is asked for."""
    if name.endswith(".npz"):
        _see_packed(name, archive.read(name))
    else:
        # what it says stands at its head: the rest is read once, when it is made
        with archive.open(name) as file:
            _see_array(name, file, archive.getinfo(name).file_size)


def _see_packed(name: str, content: bytes) -> None:
    """A sparse matrix, which scipy writes compressed: what it unfolds to is bounded."""
    with ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > LARGEST_UNPACKED:
            raise Malformed(f"{name} unfolds to more than {LARGEST_UNPACKED:,} bytes")
        for member in members:
            with archive.open(member) as file:
                _see_array(f"{name}/{member.filename}", file, member.file_size)


@lru_cache(maxsize=1000)
def _head(magic: bytes, length: bytes, said: bytes) -> tuple[tuple[int, ...], np.dtype]:
    """What the head of an array says; NumPy compiles it for that, and a forest has many of the same."""
    read = {2: np.lib.format.read_array_header_1_0, 4: np.lib.format.read_array_header_2_0}[LENGTHS[magic]]
    shape, _, dtype = read(io.BytesIO(length + said))
    return shape, dtype


def _see_array(name: str, file: IO[bytes], size: int) -> None:
    magic = file.read(8)
    width = LENGTHS.get(magic, 0)
    length = file.read(width)
    try:
        shape, dtype = _head(magic, length, file.read(min(int.from_bytes(length, "little"), LONGEST_HEAD)))
    except (KeyError, ValueError, SyntaxError) as error:
        raise Malformed(f"{name} is no array: {error}") from None
    if dtype.hasobject or (dtype.kind not in PLAIN_KINDS and not dtype.names):
        raise Malformed(f"{name} is an array of {dtype}, which no estimator has")
    if len(shape) > MOST_DIMENSIONS or any(length > LARGEST_WIDTH * 64 for length in shape):
        raise Malformed(f"{name} has the shape {shape}")
    stored = size - file.tell()
    count = math.prod(shape)
    # an empty text has no byte, so that any number of them would fit
    fits = count * dtype.itemsize == stored and (dtype.itemsize > 0 or count <= LARGEST_WIDTH)
    if not fits or (not dtype.itemsize and dtype.kind not in "US"):
        raise Malformed(f"{name} says the shape {shape} of {dtype}, and has {stored:,} bytes")
