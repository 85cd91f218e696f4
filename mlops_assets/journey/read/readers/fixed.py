"""Columns by their place in the line. In: the bytes of a file. Out: its rows; every line is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from mlops_assets.journey.read.readers.alike import Joined, once_each
from mlops_assets.journey.read.readers.formats import BadRow, FileRows, Raws
from mlops_assets.journey.read.readers.pack import first_line
from mlops_assets.journey.read.readers.text import Noticed, as_utf8, decide_encoding, line_feeds
from mlops_assets.plugins import FileRefused
from mlops_assets.use_case import UseCase


class FixedWidth:
    """Files whose fields lie at the same places in every line, counted in characters.

    Parameters
    ----------
    use_case
        Its `columns` say `at` which places.
    """

    def __init__(self, use_case: UseCase) -> None:
        self._format = use_case.files
        ends = {name: column.at or (1,) for name, column in use_case.columns.items()}
        self._places = {name: slice(at[0] - 1, at[1] if len(at) > 1 else None) for name, at in ends.items()}
        # a field up to the end of the line may be of any length, also of none
        self._least = max(at[1] if len(at) > 1 else at[0] - 1 for at in ends.values())
        self._most = None if any(len(at) == 1 for at in ends.values()) else self._least

    def read(self, data: bytes) -> FileRows:
        """The rows of a file; see `Format`."""
        body, whole, noticed = self._body(data)
        lines = body.decode().split("\n")
        bad: list[BadRow] = []
        for number, line in enumerate(lines, 1):
            # blank lines are told as such
            if len(line) != self._least and line and (why := self._wrong(line)):
                bad.append(BadRow(number, "line_length", why))
        if bad and bad[-1].line == len(lines) and not whole and len(lines[-1]) < self._least:
            raise FileRefused("truncated", f"the last line stops after {len(lines[-1])} of {self._least} characters")
        numbers = np.arange(1, len(lines) + 1, dtype=np.int32)
        if bad:
            numbers = np.setdiff1d(numbers, np.array([one.line for one in bad], np.int32))
            lines = [lines[number - 1] for number in numbers.tolist()]
        columns = {name: [line[place].strip(" ") for line in lines] for name, place in self._places.items()}
        return FileRows({**columns}, numbers, body.count(b"\n") + 1, bad, noticed)

    def join(self, contents: Mapping[int, bytes]) -> Iterator[Joined]:
        """The rows of files all of whose lines have the length of their fields; see `Format`."""
        if self._most is None:
            return
        # letters of one size lie at places of bytes, too
        same_size: dict[str, dict[int, bytes]] = {"latin-1": {}, "utf-32-le": {}}
        noticed: dict[int, Noticed] = {}
        for number, data in contents.items():
            try:
                body, _, noticed[number] = self._body(data)
            except FileRefused:
                continue
            text = body.decode() + "\n"
            lines = text.count("\n")
            if text[self._least :: self._least + 1] == "\n" * lines and len(text) == lines * (self._least + 1):
                try:
                    same_size["latin-1"][number] = text.encode("latin-1")
                except UnicodeEncodeError:
                    same_size["utf-32-le"][number] = text.encode("utf-32-le")
        for coding, bodies in same_size.items():
            if bodies:
                joined = self._cut(bodies, coding)
                joined.noticed |= {number: noticed[number] for number in bodies}
                yield joined

    def _cut(self, bodies: Mapping[int, bytes], coding: str) -> Joined:
        size = len(" ".encode(coding))
        width = (self._least + 1) * size
        places = np.frombuffer(b"".join(bodies.values()), np.uint8).reshape(-1, width)
        columns = {}
        for name, place in self._places.items():
            field = np.ascontiguousarray(places[:, place.start * size : place.stop * size])
            buffers = [None, pa.py_buffer(field)]
            found = pa.Array.from_buffers(pa.binary(field.shape[1]), len(field), buffers).dictionary_encode()
            texts = [spelt.decode(coding).strip(" ") for spelt in found.dictionary.to_pylist()]
            columns[name] = once_each(pa.DictionaryArray.from_arrays(found.indices, pa.array(texts, pa.string())))
        return Joined({number: len(body) // width for number, body in bodies.items()}, columns)

    def raws(self, data: bytes) -> Raws:
        """The lines of a file; see `Format`."""
        lines = self._body(data)[0].decode().split("\n")
        return lambda line: lines[line - 1]

    def start(self, data: bytes) -> str:
        """The beginning of a refused file as text."""
        return first_line(data, self._format.encoding)

    def write(self, rows: Sequence[Mapping[str, str]]) -> bytes:
        """A file of some rows, each field filled up with blanks."""
        return self.rebuild([self._line(row) for row in rows])

    def rebuild(self, raws: Sequence[str]) -> bytes:
        """A file of some lines."""
        wrong = next((raw for raw in raws if "\n" in raw or "\r" in raw), None)
        if wrong is not None:
            raise FileRefused("line_length", "the record runs over several lines; write it in one")
        header = [" " * self._least] if self._format.header == "ignored" else []
        try:
            return "".join(f"{line}\n" for line in [*header, *raws]).encode(self._format.encoding)
        except UnicodeEncodeError as error:
            text = error.object[error.start : error.end]
            message = f"{text!r} is not in {self._format.encoding}, which files are written in"
            raise FileRefused("encoding", message) from None

    def _line(self, row: Mapping[str, str]) -> str:
        line = [" "] * self._least
        behind = ""
        for name, text in row.items():
            place = self._places[name]
            if "\n" in text or "\r" in text or "\0" in text:
                raise FileRefused("text", f"{name!r} holds a line end or NUL, which no field may")
            if place.stop is None:
                behind = text
                continue
            width = place.stop - place.start
            if len(text) > width:
                raise FileRefused("line_length", f"{name!r} is {text[:80]!r}, but has {width} places")
            line[place] = text.ljust(width)
        return "".join(line) + behind

    def _wrong(self, line: str) -> str:
        """What is wrong with the length of a line that is not as long as its fields; empty if nothing is."""
        if len(line) < self._least:
            return f"the line has {len(line)} characters, expected {self._least}"
        if self._most is not None and line[self._most :].strip():
            return f"behind its last field, character {self._most}, the line has {line[self._most :][:80]!r}"
        return ""

    def _body(self, data: bytes) -> tuple[bytes, bool, Noticed]:
        """The lines after the header in UTF-8, without the last line end; whether there was one; what was noticed.

        Raises
        ------
        FileRefused
            If these are no lines of text in the encoding of the contract.
        """
        data, encoding, noticed = decide_encoding(data, self._format)
        data, strays = line_feeds(data)
        if strays:
            noticed += (("stray_carriage_returns", strays),)
        body = data if self._format.header == "none" else data.partition(b"\n")[2]
        if not body:
            raise FileRefused("no_rows", "the file has a header and no rows")
        whole = body.endswith(b"\n")
        if not whole and self._format.complete == "line_end":
            raise FileRefused("truncated", "the last line has no line end, which the contract asks for: cut off?")
        if not whole and b"\n" in data:
            noticed += (("no_final_line_end", 1),)
        body = body.removesuffix(b"\n")
        return (body if body.isascii() else as_utf8(body, encoding)), whole, noticed
