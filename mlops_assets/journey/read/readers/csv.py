"""Packed reading of CSV files: many small files come in as bytes, one table of text columns goes out.

Files without double quotes are joined and parsed in one go: there, a line end is a row, so that the file and line of
every row are known by counting. So are files in which quotes stand only around whole fields. Others with quotes are
parsed one by one, because an open quote must never reach into the next file.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from mlops_assets.journey.read.readers.pack import RAW_LIMIT, TEXT, Pack, Refusal, show_start
from mlops_assets.use_case import FileFormat, UseCase

BLOCK = 1 << 20
"""Bytes that are parsed at a time: a shard in one block takes 1.4 times as long, for dictionaries leave the cache."""
UTF8_BOM = b"\xef\xbb\xbf"

csv.field_size_limit(1 << 30)  # a long field is no error of ours: the size of the file is already bounded


@dataclass(frozen=True)
class _Layout:
    """How the columns lie in files with one header."""

    names: tuple[str, ...]
    """A unique name for every field; contract columns have their contract name."""


@dataclass
class _Group:
    """Files with the same layout, to be parsed in one go."""

    quoted: bool
    files: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


class CsvReader:
    """Reads packs of files that follow the contract of a use case.

    Parameters
    ----------
    use_case
        Its `files` and `columns` say how the text is cut.
    """

    def __init__(self, use_case: UseCase) -> None:
        self._format = use_case.files
        self._sources = {column.header(name): name for name, column in use_case.columns.items()}
        self._optional = {name for name, c in use_case.columns.items() if c.optional_column or name == use_case.label}
        self._names = list(use_case.columns)
        self._delimiter = use_case.files.delimiter.encode()
        cut = re.escape(self._delimiter)
        # quotes around whole fields, with neither a line end nor another quote between them
        self._plain = re.compile(rb'(?:(?:"[^"\n]*+"|[^"\n%b]*+)[%b\n])*+' % (cut, cut))
        self._layouts: dict[tuple[bool, bytes], _Layout | tuple[str, str]] = {}

    def read(self, contents: Sequence[bytes | None], paths: Sequence[str] = ()) -> Pack:  # noqa: ARG002 - see Reader
        """Turn the bytes of files into columns of text.

        Parameters
        ----------
        contents
            One item a file; None for a file that is refused already.
        paths
            Not needed here.
        """
        groups: dict[tuple[_Layout, bool], _Group] = {}
        refusals: list[Refusal] = []
        pieces: list[Pack] = []
        for number, data in enumerate(contents):
            if data is None:
                continue
            ready = self._prepare(data)
            if isinstance(ready, tuple):
                rule, message = ready
                refusals.append(Refusal(number, None, rule, message, show_start(data, self._format.encoding)))
            elif ready.quoted and not (ready.whole and self._plain.fullmatch(ready.body)):
                pieces.append(self._parse_quoted(number, ready, len(contents)))
            else:
                group = groups.setdefault((ready.layout, ready.quoted), _Group(ready.quoted))
                group.files.append(number)
                group.bodies.append(ready.body)
                group.counts.append(ready.body.count(b"\n"))
        for (layout, _), group in groups.items():
            pieces.extend(self._parse_group(layout, group, len(contents)))
        pack = self._join(pieces, refusals, len(contents))
        pack.raw = _RawLines(contents, self._format)
        return pack

    def _prepare(self, data: bytes) -> _Ready | tuple[str, str]:
        """Cut off the header and look for what parsing cannot survive; a rule and message where the file is bad."""
        marked = data.startswith(UTF8_BOM)
        if marked:
            data = data[len(UTF8_BOM) :]
        if not data or data.isspace():
            return "empty_file", "the file is empty"
        if b"\0" in data:
            return "nul_bytes", "the file holds NUL bytes: it is binary, damaged or UTF-16"
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
            if b"\r" in data:  # the old Mac line end, or a stray one inside a line
                data = data.replace(b"\r", b" " if b"\n" in data else b"\n")
        header, _, body = (b"", b"", data) if self._format.header == "none" else data.partition(b"\n")
        layout = self._layouts.get((marked, header))
        if layout is None:
            layout = self._read_header(header.decode("utf-8" if marked else self._format.encoding, errors="replace"))
            if len(self._layouts) < 10_000:  # a bad file has a header of its own: do not collect them without bound
                self._layouts[marked, header] = layout
        if isinstance(layout, tuple):
            return layout
        if not body:
            return "no_rows", "the file has a header and no rows"
        quoted = self._format.quotes and b'"' in body
        whole = body.endswith(b"\n")
        if not whole:
            if not quoted and len(layout.names) > 1:
                fields = body.count(self._delimiter, body.rfind(b"\n") + 1) + 1
                if fields < len(layout.names):
                    return "truncated", f"the last line stops after {fields} of {len(layout.names)} fields: cut off?"
            body += b"\n"
        return self._decode(layout, body, quoted, marked, whole)

    def _decode(
        self, layout: _Layout, body: bytes, quoted: bool, marked: bool, whole: bool
    ) -> _Ready | tuple[str, str]:
        """Bring a body that is not ASCII to UTF-8."""
        if not body.isascii():
            encoding = "utf-8" if marked else self._format.encoding
            try:
                text = body.decode(encoding)
                body = body if encoding == "utf-8" else text.encode()
            except UnicodeDecodeError as error:
                return "encoding", f"byte {error.start} after the header is not {encoding}: another encoding?"
        return _Ready(layout, body, quoted, whole)

    def _read_header(self, text: str) -> _Layout | tuple[str, str]:
        """The layout a header announces, or the rule and message by which its files are refused."""
        if self._format.header != "names":
            return _Layout(tuple(self._names))
        quote = '"' if self._format.quotes else None
        try:
            style: Literal[0, 3] = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
            fields = next(
                csv.reader([text], delimiter=self._format.delimiter, quotechar=quote, quoting=style, strict=True)
            )
        except (csv.Error, StopIteration):
            return self._explain_unread(text) or ("header", f"the header cannot be read: {text[:100]!r}")
        names = [self._sources.get(name.strip(), "") for name in fields]
        found = [name for name in names if name]
        missing = [name for name in self._names if name not in found and name not in self._optional]
        if len(found) != len(set(found)):
            twice = next(name for name in found if found.count(name) > 1)
            return "header", f"the header names the column {self._source(twice)!r} twice"
        if missing:
            return self._explain_missing(text, missing)
        return _Layout(tuple(name or f"unused {place}" for place, name in enumerate(names)))

    def _explain_unread(self, text: str) -> tuple[str, str] | None:
        """Whether a first line is none at all, or its fields are parted by another sign."""
        if any(ord(char) < 32 and char != "\t" for char in text):
            return "binary", "the first line holds control characters: this is no text file"
        for other in ",;\t|":
            cells = {cell.strip(' "') for cell in text.split(other)}
            if self._format.delimiter not in text and len(cells & self._sources.keys()) > 1:
                return "delimiter", f"fields are parted by {other!r}, expected {self._format.delimiter!r}"
        return None

    def _explain_missing(self, text: str, missing: list[str]) -> tuple[str, str]:
        if other := self._explain_unread(text):
            return other
        listed = ", ".join(repr(self._source(name)) for name in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        return "missing_column", f"the header lacks {listed}{more}; it begins {text[:60]!r}"

    def _source(self, name: str) -> str:
        return next(source for source, column in self._sources.items() if column == name)

    def _parse_group(self, layout: _Layout, group: _Group, files: int) -> Iterator[Pack]:
        """Parse joined bodies; each line is a row, so that counting tells file and line."""
        counts = np.array(group.counts, np.int64)
        numbers = np.array(group.files, np.int32)
        file = np.repeat(numbers, counts)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        line = (np.arange(len(file)) - first + 1).astype(np.int32)
        blob = b"".join(group.bodies)
        if blob.startswith(UTF8_BOM):
            blob = UTF8_BOM + blob  # the parser takes one away
        ragged: list[tuple[int, int, str]] = []

        def skip(row: pacsv.InvalidRow) -> str:
            ragged.append((row.number - 1, row.actual_columns, row.text))
            return "skip"

        table = pacsv.read_csv(
            pa.BufferReader(blob),
            pacsv.ReadOptions(column_names=list(layout.names), use_threads=False, block_size=_block_size(group)),
            pacsv.ParseOptions(
                delimiter=self._format.delimiter,
                quote_char='"' if group.quoted else False,
                double_quote=False,
                ignore_empty_lines=False,
                invalid_row_handler=skip,
            ),
            pacsv.ConvertOptions(
                column_types=dict.fromkeys(layout.names, TEXT),
                include_columns=[name for name in self._names if name in layout.names],
                strings_can_be_null=False,
                check_utf8=False,
            ),
        )
        keep = np.ones(len(file), bool)
        keep[[at for at, _, _ in ragged]] = False
        if table.num_rows != int(keep.sum()):
            yield from self._parse_apart(layout, group, files)
            return
        refusals = [
            Refusal(
                int(file[at]), int(line[at]), "field_count", _count_message(found, len(layout.names)), text[:RAW_LIMIT]
            )
            for at, found, text in ragged
        ]
        lines = np.zeros(files, np.int64)
        lines[numbers] = counts
        columns = {name: _one_chunk(table.column(name)) for name in table.column_names}
        yield Pack(columns, file[keep], line[keep], lines, refusals)

    def _parse_apart(self, layout: _Layout, group: _Group, files: int) -> Iterator[Pack]:
        """The joined count did not add up: find the file that is to blame, and leave the others alone."""
        for number, body, count in zip(group.files, group.bodies, group.counts, strict=True):
            if group.quoted:
                yield self._parse_quoted(number, _Ready(layout, body, quoted=True, whole=True), files)
            elif len(group.files) == 1:
                yield _refused(number, files, "accounting", "the lines of the file and its parsed rows do not add up")
            else:
                yield from self._parse_group(layout, _Group(False, [number], [body], [count]), files)

    def _parse_quoted(self, number: int, ready: _Ready, files: int) -> Pack:
        """Parse one file with quotes; a record may span lines, and `line` counts records."""
        width = len(ready.layout.names)
        kept: list[list[str]] = []
        line: list[int] = []
        refusals: list[Refusal] = []
        records = csv.reader(
            io.StringIO(ready.body.decode(), newline=""), delimiter=self._format.delimiter, strict=True
        )
        count, begin, record = 0, 0, [""] * width
        raw_lines = ready.body.decode().split("\n")
        try:
            for count, record in enumerate(records, 1):
                if len(record) == width or not record:
                    kept.append(record or [""] * width)
                    line.append(count)
                else:
                    raw = "\n".join(raw_lines[begin : records.line_num])[:RAW_LIMIT]
                    refusals.append(Refusal(number, count, "field_count", _count_message(len(record), width), raw))
                begin = records.line_num
        except csv.Error as error:
            message = f"a double quote is not closed, or text follows a closing one (record {count + 1}): {error}"
            return _refused(number, files, "quote", message)
        if not ready.whole and 0 < len(record) < width:
            message = f"the last line stops after {len(record)} of {width} fields: cut off?"
            return _refused(number, files, "truncated", message)
        lines = np.zeros(files, np.int64)
        lines[number] = count
        columns = {
            name: pa.array([record[place] for record in kept], pa.string()).dictionary_encode()
            for place, name in enumerate(ready.layout.names)
            if name in self._names
        }
        return Pack(columns, np.full(len(kept), number, np.int32), np.array(line, np.int32), lines, refusals)

    def _join(self, pieces: list[Pack], refusals: list[Refusal], files: int) -> Pack:
        """Put the pieces together in the order of the files."""
        rows = sum(len(piece.file) for piece in pieces)
        columns: dict[str, pa.DictionaryArray] = {}
        for name in self._names:
            chunks = [piece.columns.get(name, _absent(len(piece.file))) for piece in pieces]
            columns[name] = _one_chunk(pa.chunked_array(chunks, TEXT))
        file = np.concatenate([np.zeros(0, np.int32), *(piece.file for piece in pieces)])
        line = np.concatenate([np.zeros(0, np.int32), *(piece.line for piece in pieces)])
        lines = np.sum([np.zeros(files, np.int64), *(piece.lines for piece in pieces)], axis=0)
        refusals.extend(refusal for piece in pieces for refusal in piece.refusals)
        if len(pieces) > 1 and rows:
            order = np.lexsort((line, file))
            columns = {name: column.take(pa.array(order)) for name, column in columns.items()}
            file, line = file[order], line[order]
        return Pack(columns, file, line, lines, refusals)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A file that can be parsed: UTF-8, a line feed at the end of every line."""

    layout: _Layout
    body: bytes
    quoted: bool
    whole: bool


def _raw_records(data: bytes, form: FileFormat) -> list[str]:
    """The header (empty if there is none) and the records of a file as they stood, without their line ends."""
    encoding = "utf-8" if data.startswith(UTF8_BOM) else form.encoding
    text = data.removeprefix(UTF8_BOM).decode(encoding, errors="replace").replace("\r\n", "\n")
    lines = text.split("\n" if "\n" in text else "\r")
    if form.header == "none":
        lines.insert(0, "")
    if not (form.quotes and any('"' in line for line in lines[1:])):
        return lines
    reader = csv.reader((line.replace("\r", " ") + "\n" for line in lines[1:]), delimiter=form.delimiter, strict=True)
    ends = [0, *(reader.line_num for _ in reader)]
    return [lines[0], *("\n".join(lines[1 + begin : 1 + end]) for begin, end in pairwise(ends))]


class _RawLines:
    """The lines of files as they stood; a file is split once, for they are asked for in the order of the files."""

    def __init__(self, contents: Sequence[bytes | None], form: FileFormat) -> None:
        self._contents = contents
        self._form = form
        self._file = -1
        self._lines: list[str] = []

    def __call__(self, file: int, line: int) -> str:
        if file != self._file:
            self._file, self._lines = file, _raw_records(self._contents[file] or b"", self._form)
        return self._lines[line]


def _block_size(group: _Group) -> int:
    """Bytes that are parsed at a time: what fits into a processor's cache, but never less than a line."""
    return max(BLOCK, max(map(len, group.bodies)) + len(UTF8_BOM) + 1)


def _one_chunk(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """One dictionary array; the dictionaries of the chunks are made one."""
    if column.num_chunks == 1:
        return column.chunk(0)
    if column.num_chunks == 0:
        return pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), pa.array([], pa.string()))
    return column.unify_dictionaries().combine_chunks()


def _absent(rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([""]))


def _refused(number: int, files: int, rule: str, message: str) -> Pack:
    nothing = np.zeros(0, np.int32)
    return Pack({}, nothing, nothing, np.zeros(files, np.int64), [Refusal(number, None, rule, message)])


def _count_message(found: int, expected: int) -> str:
    return f"the line has {found} fields, expected {expected}"
