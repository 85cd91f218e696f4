"""In: the bytes of a table that is no CSV. Out: its columns by name, and a part of it that can be read alone."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from xml.parsers import expat

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.journey.read.readers.parquet import leaves_of
from mlops_assets.journey.read.readers.xml import parse
from mlops_assets.plugins import FileRefused

RECORDS = 5_000
"""Records by which the columns are found."""

ROWS = 50_000
"""Rows of a Parquet file that are looked at."""


@dataclass(frozen=True)
class Shape:
    """What a table looks like.

    Attributes
    ----------
    data
        A part of it that is a file by itself.
    whole
        Whether that is all of it.
    names
        The names of its columns.
    files
        What else `files` of a contract must say.
    remarks
        What to tell of it.
    """

    data: bytes
    whole: bool
    names: tuple[str, ...]
    files: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def _jsonl(data: bytes, most: int) -> Shape:
    whole = len(data) <= most
    if not whole:
        data = data[: data.rfind(b"\n") + 1]
    names: dict[str, None] = {}
    nested: set[str] = set()
    for line in islice(filter(None, data.removeprefix(b"\xef\xbb\xbf").splitlines()), RECORDS):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue  # a reject, if not all are
        if isinstance(record, dict):
            for name, value in _flat(record):
                (nested.add(name) if isinstance(value, list) else names.setdefault(name))
    if not names:
        raise FileRefused("not_json", "no line is a JSON object; expected one in every line")
    lists = sorted(nested - names.keys())
    remarks = [f"lists are left out: {', '.join(lists[:5])}"] if lists else []
    return Shape(data, whole, tuple(name for name in names if name not in nested), {}, remarks)


def _flat(record: dict[str, Any], outer: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, dict) and outer.count(".") < 8:
            yield from _flat(value, f"{outer}{key}.")
        else:
            yield outer + key, value


def _parquet(data: bytes, _most: int) -> Shape:
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            leaves = leaves_of(file.schema_arrow)
            names = tuple(name for name, kind in leaves if not _is_nested(kind))
            rows = file.metadata.num_rows
            if rows > ROWS:
                batch = next(file.iter_batches(ROWS, use_threads=False))
                sink = io.BytesIO()
                pq.write_table(pa.Table.from_batches([batch]), sink)
                data = sink.getvalue()
    except (pa.ArrowException, OSError, ValueError, KeyError, StopIteration) as error:
        what = (str(error).splitlines() or ["?"])[0][:200]
        raise FileRefused("not_parquet", f"cannot be read as Parquet: {what}") from None
    left = [name for name, kind in leaves if _is_nested(kind)]
    remarks = [f"columns without a text are left out: {', '.join(left[:5])}"] if left else []
    return Shape(data, rows <= ROWS, names, {}, remarks)


def _is_nested(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_nested(kind) or types.is_fixed_size_binary(kind) or types.is_duration(kind))


def _xml(data: bytes, _most: int) -> Shape:
    found = _Elements()
    parse(found.parser, data)
    record = found.record()
    if not record:
        raise FileRefused("not_xml", "no element comes several times with others, or attributes, in it: no records")
    return Shape(data, True, tuple(found.names[record]), {"record": record}, [f"<{record}> was taken for a record"])


class _Elements:
    """The elements of a file that may be records, each with the paths below it."""

    def __init__(self) -> None:
        self.names: dict[str, dict[str, None]] = {}
        self._times: Counter[str] = Counter()
        self._depths: dict[str, int] = {}
        self._open: list[tuple[str, bool]] = []
        self._leaf = False
        self.parser = expat.ParserCreate()
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    def record(self) -> str:
        """The element that comes the most often and holds values; of several, the outermost."""
        held = [name for name, below in self.names.items() if below and self._times[name] > 1]
        return max(held, key=lambda name: (self._times[name], -self._depths[name]), default="")

    def _refuse(self, *_: object) -> None:
        raise FileRefused("document_type", "the file has a document type (DTD), and is not read")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._open) > 64:
            raise FileRefused("not_xml", "elements lie within elements, deeper than 64")
        name = tag.rpartition(":")[2]
        self._times[name] += 1
        self._depths.setdefault(name, len(self._open))
        self._open.append((name, False))
        self._leaf = True
        for attribute in attributes:
            if not attribute.startswith("xmlns"):
                self._found("@" + attribute.rpartition(":")[2], len(self._open))

    def _end(self, _tag: str) -> None:
        name, _ = self._open.pop()
        if self._leaf and self._open:
            self._found(name, len(self._open))
        self._leaf = False

    def _found(self, last: str, depth: int) -> None:
        """A value below each of the elements that are open, the last one's parents."""
        path = last
        for name, _ in reversed(self._open[max(0, depth - 8) : depth]):
            below = self.names.setdefault(name, {})
            if len(below) < 1_000:
                below.setdefault(path)
            path = f"{name}/{path}"


SHAPES: dict[str, Callable[[bytes, int], Shape]] = {"jsonl": _jsonl, "parquet": _parquet, "xml": _xml}
"""How each format is looked at."""
