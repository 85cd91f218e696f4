"""Packed reading of CSV files: many small files come in as bytes, one table of text columns goes out.

Files without double quotes are joined and parsed in one go: there, a line end is a row, so that the file and line of
every row are known by counting. So are files in which quotes stand only around whole fields. Others with quotes are
parsed one by one (`quoted`), because an open quote must never reach into the next file. Lines are counted in the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from mlops_assets.journey.read.readers.header import Headers, Layout
from mlops_assets.journey.read.readers.joined import Group, PlainFiles, decoded, line_feeds_only, one_chunk
from mlops_assets.journey.read.readers.pack import RAW_LIMIT, TEXT, Pack, Refusal, first_line
from mlops_assets.journey.read.readers.quoted import Cut, cut_lines, cut_records, is_closed
from mlops_assets.journey.read.readers.ragged import RULE, count_message, refuse_ragged
from mlops_assets.journey.read.readers.raw_lines import RawLines
from mlops_assets.journey.read.readers.text import UTF8_BOM, Noticed, as_utf8, decide_encoding, kept_in, line_feeds
from mlops_assets.plugins import FileRefused
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.notices import ABSENT, MISNAMED

STRAY = ("quote", "a double quote is not closed in the line")


class _ManyRagged(Exception):
    """So many lines of joined files have another number of fields that some file may be refused for them."""


class CsvReader:
    """Reads packs of files that follow the contract of a use case.

    Parameters
    ----------
    use_case
        Its `files` and `columns` say how the text is cut.
    """

    def __init__(self, use_case: UseCase) -> None:
        self._format = use_case.files
        self._checks = use_case.checks
        self._headers = Headers(use_case)
        self._names = list(use_case.columns)
        self._plain_files = PlainFiles(use_case.files)
        self._kept_in = kept_in(use_case.files.encoding)
        self._delimiter = use_case.files.delimiter.encode()
        self._skips_quotes = use_case.files.quotes and use_case.files.header == "ignored"
        cut = re.escape(self._delimiter)
        # quotes around whole fields, with neither a line end nor another quote between them
        self._plain = re.compile(rb'(?:(?:"[^"\n]*+"|[^"\n%b]*+)[%b\n])*+' % (cut, cut))

    def read(self, contents: Sequence[bytes | None], paths: Sequence[str] = ()) -> Pack:
        """Turn the bytes of files into columns of text.

        Parameters
        ----------
        contents
            One item a file; None for a file that is refused already.
        paths
            What the files are called where something is noticed; by default they have their number.
        """
        # what has one layout, and quotes or none, can be parsed in one go
        groups: dict[tuple[Layout, bool, str], Group] = {}

        def group_of(layout: Layout, quoted: bool, encoding: str) -> Group:
            key = layout, quoted, encoding
            if key not in groups:
                groups[key] = Group(encoding)
            return groups[key]

        told: dict[int, _Ready] = {}
        refusals: list[Refusal] = []
        pieces: list[Pack] = []

        def prepare(number: int) -> _Ready | None:
            return self._try_to_prepare(number, contents[number] or b"", told, refusals)

        for number, data in enumerate(contents):
            if data is None:
                continue
            if plain := self._plain_files.body(data):
                group_of(plain.layout, False, self._kept_in).add(number, plain.body)
            elif ready := prepare(number):
                if self._can_be_joined(ready):
                    group_of(ready.layout, ready.quoted, ready.encoding).add(number, ready.body)
                else:
                    pieces.append(self._parse_quoted(number, ready, len(contents)))
        for (layout, quoted, _), group in groups.items():
            even = group.without_strays(prepare)
            pieces.extend(self._parse_group(layout, quoted, even, len(contents), self._checks.file_rejects))
        pack = self._join(pieces, refusals, len(contents))
        pack.raw = RawLines(contents, self._format)
        _notice(pack, told, paths or [str(number) for number in range(len(contents))])
        return pack

    def _try_to_prepare(
        self, number: int, data: bytes, told: dict[int, _Ready], refusals: list[Refusal]
    ) -> _Ready | None:
        """A file that can be parsed, or none and why not."""
        try:
            ready = self._prepare(data)
        except FileRefused as error:
            start = first_line(data, self._format.encoding)
            refusals.append(Refusal(number, None, error.rule, error.message, start))
            return None
        if ready.noticed or ready.layout.absent:
            told[number] = ready
        elif self._format.header != "none":
            self._plain_files.learn(data, ready.layout)
        return ready

    def _can_be_joined(self, ready: _Ready) -> bool:
        """Whether each line of a file is a record for certain."""
        return not ready.quoted or (ready.whole and self._plain.fullmatch(ready.body) is not None)

    def _prepare(self, data: bytes) -> _Ready:
        """Cut off the header and look for what parsing cannot survive.

        Raises
        ------
        FileRefused
            If the file is bad.
        """
        form = self._format
        data, encoding, noticed = decide_encoding(data, form)
        data, strays = line_feeds(data)
        if strays:
            noticed += (("stray_carriage_returns", strays),)
        header, _, body = (b"", b"", data) if form.header == "none" else data.partition(b"\n")
        if self._skips_quotes and b'"' in header and not is_closed(header.decode("latin-1"), form.delimiter):
            raise FileRefused("header", "the first line leaves a double quote open: is it one line?")
        layout = self._headers.layout(header, encoding)
        if not body:
            raise FileRefused("no_rows", "the file has a header and no rows")
        if strays and len(layout.names) == 1:
            raise FileRefused("line_ends", "CR ends some of the lines, and some not: in one column, nobody can tell")
        quoted = form.quotes and b'"' in body
        whole = body.endswith(b"\n")
        if not whole:
            self._check_last_line(layout, body, quoted)
            if b"\n" in data:
                noticed += (("no_final_line_end", 1),)
            body += b"\n"  # joined with others, its last line must not run into the next file
        kept = self._kept_in if body.isascii() else kept_in(encoding)
        if kept == "utf-8" and not body.isascii():
            body = as_utf8(body, encoding)
        return _Ready(layout, body, quoted, whole, noticed, kept)

    def _check_last_line(self, layout: Layout, body: bytes, quoted: bool) -> None:
        """See that a line without an end has all fields; with quotes or in one column, this is no place to tell.

        It may still be cut within its last field, which only a contract can refuse.
        """
        if self._format.complete == "line_end":
            raise FileRefused("truncated", "the last line has no line end, which the contract asks for: cut off?")
        if quoted or len(layout.names) == 1:
            return
        fields = body.count(self._delimiter, body.rfind(b"\n") + 1) + 1
        # a file cut off in transfer may lack thousands of rows, and aggregates over half a file mislead every row of it
        if fields < len(layout.names):
            raise FileRefused("truncated", _cut_message(fields, len(layout.names)))

    def _parse_group(
        self, layout: Layout, quoted: bool, group: Group, files: int, most: int | None = None
    ) -> Iterator[Pack]:
        """Parse joined bodies; each line is a row, so that counting tells file and line."""
        try:
            table, encoding, ragged = self._parse_joined(layout, quoted, group, most)
        except _ManyRagged:
            others, refusals = self._refuse_ragged(layout, quoted, group)
            yield _refused(files, *refusals)
            if others.files:
                yield from self._parse_group(layout, quoted, others, files)
            return
        counts, numbers = group.counts, np.array(group.files, np.int32)
        file = np.repeat(numbers, counts)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        line = (np.arange(len(file)) - first + 1).astype(np.int32)
        keep = np.ones(len(file), bool)
        keep[[row for row, _, _ in ragged]] = False
        # parser and count disagree: file and line of every row behind that place would be wrong
        if table.num_rows != int(keep.sum()):
            yield from self._parse_apart(layout, quoted, group, files)
            return
        width = len(layout.names)
        refusals = [
            Refusal(int(file[row]), int(line[row]), RULE, count_message(fields, width), text[:RAW_LIMIT])
            for row, fields, text in ragged
        ]
        lines = np.zeros(files, np.int64)
        lines[numbers] = counts
        columns = {name: decoded(one_chunk(table.column(name)), encoding) for name in table.column_names}
        yield Pack(columns, file[keep], line[keep], lines, refusals)

    def _refuse_ragged(self, layout: Layout, quoted: bool, group: Group) -> tuple[Group, list[Refusal]]:
        """The files of a group without those that are refused for lines with another number of fields, and these."""
        others, refusals = Group(group.encoding), []
        group = group.in_utf8()
        for number, body in zip(group.files, group.bodies, strict=True):
            lines = line_feeds_only(body)
            refusal = refuse_ragged(number, lines, len(layout.names), self._delimiter, quoted, self._checks)
            if refusal is None:
                others.add(number, body)
            else:
                refusals.append(refusal)
        return others, refusals

    def _parse_joined(
        self, layout: Layout, quoted: bool, group: Group, most: int | None
    ) -> tuple[pa.Table, str, list[tuple[int, int, str]]]:
        """The rows of all bodies, in which encoding, and those with another number of fields: row, number, text.

        Raises
        ------
        _ManyRagged
            If these are more than `most`.
        """
        if not group.is_utf8:
            # the parser tells the text of a line with other fields in UTF-8 alone
            with suppress(pa.ArrowInvalid):
                return self._parse(layout, quoted, group, None), group.encoding, []
            group = group.in_utf8()
        ragged: list[tuple[int, int, str]] = []

        def skip(row: pacsv.InvalidRow) -> str:
            ragged.append((row.number - 1, row.actual_columns, row.text))
            return "error" if most is not None and len(ragged) > most else "skip"

        try:
            return self._parse(layout, quoted, group, skip), "utf-8", ragged
        except pa.ArrowInvalid:
            if most is not None and len(ragged) > most:
                raise _ManyRagged from None
            raise

    def _parse(
        self, layout: Layout, quoted: bool, group: Group, ragged: Callable[[pacsv.InvalidRow], str] | None
    ) -> pa.Table:
        """The rows of all bodies; `ragged` decides on lines with another number of fields."""
        blob = group.blob
        if blob.startswith(UTF8_BOM):
            blob = UTF8_BOM + blob  # the parser takes one away
        parsing = pacsv.ParseOptions(
            delimiter=self._format.delimiter,
            quote_char='"' if quoted else False,
            # quotes within a field are not plain: such files never come here
            double_quote=False,
            # blank lines are lines: rejected by a rule of their own, so that line numbers are those of an editor
            ignore_empty_lines=False,
            invalid_row_handler=ragged,
        )
        converting = pacsv.ConvertOptions(
            column_types=dict.fromkeys(layout.names, TEXT),
            include_columns=[name for name in self._names if name in layout.names],
            strings_can_be_null=False,
            check_utf8=False,  # it was looked at, or its distinct texts are decoded later
        )
        # one thread: there is a process for each core already
        reading = pacsv.ReadOptions(column_names=[*layout.names], use_threads=False, block_size=group.block)
        return pacsv.read_csv(pa.BufferReader(blob), reading, parsing, converting)

    def _parse_apart(self, layout: Layout, quoted: bool, group: Group, files: int) -> Iterator[Pack]:
        """The joined count did not add up: find the file that is to blame, and leave the others alone."""
        for number, body in zip(group.files, group.bodies, strict=True):
            if quoted:
                yield self._parse_quoted(
                    number, _Ready(layout, line_feeds_only(body), True, True, encoding=group.encoding), files
                )
            elif len(group.files) == 1:
                problem = "the lines of the file and its parsed rows do not add up"
                yield _refused(files, Refusal(number, None, "accounting", problem))
            else:
                yield from self._parse_group(layout, quoted, Group(group.encoding, [number], [body]), files)

    def _parse_quoted(self, number: int, ready: _Ready, files: int) -> Pack:
        """Parse one file with quotes; `line` is the first one of a record that spans several."""
        width = len(ready.layout.names)
        rows: list[list[str]] = []
        line: list[int] = []
        refusals: list[Refusal] = []
        texts = ready.body.decode(ready.encoding).split("\n")[:-1]
        last, within = [""] * width, 0
        try:
            for cut in self._cut(texts, width):
                last, within = cut.fields, within + cut.end - cut.begin - 1
                # a blank line is a record without fields
                if len(last) in (0, width) and not cut.stray:
                    rows.append(last or [""] * width)
                    line.append(cut.begin + 1)
                else:
                    raw = "\n".join(texts[cut.begin : cut.end])[:RAW_LIMIT]
                    broken = STRAY if cut.stray else (RULE, count_message(len(last), width))
                    refusals.append(Refusal(number, cut.begin + 1, *broken, raw))
        except FileRefused as error:
            return _refused(files, Refusal(number, None, error.rule, error.message))
        if not ready.whole and 0 < len(last) < width:
            return _refused(files, Refusal(number, None, "truncated", _cut_message(len(last), width)))
        lines, swallowed = np.zeros((2, files), np.int64)
        lines[number], swallowed[number] = ready.body.count(b"\n"), within
        file = np.full(len(rows), number, np.int32)
        columns = self._columns(ready.layout, rows)
        return Pack(columns, file, np.array(line, np.int32), lines, refusals, swallowed=swallowed)

    def _cut(self, lines: list[str], width: int) -> Iterator[Cut]:
        if self._format.line_breaks_in_fields:
            return cut_records(lines, self._format.delimiter)
        return cut_lines(lines, self._format.delimiter, width)

    def _columns(self, layout: Layout, rows: list[list[str]]) -> dict[str, pa.DictionaryArray]:
        """The columns of the contract in some rows."""
        positions = {name: position for position, name in enumerate(layout.names) if name in self._names}
        return {
            name: pa.array([row[position] for row in rows], pa.string()).dictionary_encode()
            for name, position in positions.items()
        }

    def _join(self, pieces: list[Pack], refusals: list[Refusal], files: int) -> Pack:
        """Put the pieces together in the order of the files."""
        columns = {name: _join_column(name, pieces) for name in self._names}
        file = np.concatenate([np.zeros(0, np.int32), *(piece.file for piece in pieces)])
        line = np.concatenate([np.zeros(0, np.int32), *(piece.line for piece in pieces)])
        lines = np.sum([np.zeros(files, np.int64), *(piece.lines for piece in pieces)], axis=0)
        refusals.extend(chain.from_iterable(piece.refusals for piece in pieces))
        if len(pieces) > 1 and len(file):
            # they come a layout at a time, after those with quotes
            order = np.lexsort((line, file))
            columns = {name: column.take(pa.array(order)) for name, column in columns.items()}
            file, line = file[order], line[order]
        swallowed = np.sum([np.zeros(files, np.int64), *(piece.swallowed for piece in pieces)], axis=0)
        return Pack(columns, file, line, lines, refusals, swallowed=swallowed)


def _notice(pack: Pack, told: Mapping[int, _Ready], paths: Sequence[str]) -> None:
    """Count what was noticed of the files that were read."""
    refused = {refusal.file for refusal in pack.refusals if refusal.line is None} if told else ()
    for number, ready in told.items():
        if number in refused:
            continue
        for name, times in ready.noticed:
            pack.notice(name, paths[number], times)
        for name in ready.layout.absent:
            pack.notice(ABSENT + name, paths[number])
        if ready.layout.misnamed:
            pack.notice(MISNAMED, f"{paths[number]} has {ready.layout.misnamed}")


def _join_column(name: str, pieces: list[Pack]) -> pa.DictionaryArray:
    chunks = [piece.columns.get(name, _absent(len(piece.file))) for piece in pieces]
    return one_chunk(pa.chunked_array(chunks, TEXT))


# a tuple, not a dataclass: a microsecond less a file
class _Ready(NamedTuple):
    """A file that can be parsed: UTF-8, a line feed at the end of every line."""

    layout: Layout
    body: bytes
    quoted: bool
    whole: bool
    noticed: Noticed = ()
    encoding: str = "utf-8"


def _absent(rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([""]))


def _refused(files: int, *refusals: Refusal) -> Pack:
    nothing = np.zeros(0, np.int32)
    return Pack({}, nothing, nothing, np.zeros(files, np.int64), [*refusals])


def _cut_message(fields: int, expected: int) -> str:
    return f"the last line stops after {fields} of {expected} fields: cut off?"
