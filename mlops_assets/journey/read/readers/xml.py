"""XML. In: the bytes of a file. Out: a row for each element of the record's name; values by their path below it.

Expat reads it, told to refuse what makes XML dangerous: a document type, and with it every entity of the file's own,
and elements within elements without end. Prefixes of namespaces are left out of names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from mlops_assets.journey.read.readers import alike_xml
from mlops_assets.journey.read.readers.alike import Form, Joined, join_alike
from mlops_assets.journey.read.readers.formats import BadRow, FileRows, Raws
from mlops_assets.journey.read.readers.names import Names
from mlops_assets.journey.read.readers.pack import first_line
from mlops_assets.journey.read.readers.text import UTF16_MARKS
from mlops_assets.plugins import FileRefused
from mlops_assets.use_case import UseCase

DEEPEST = 64
"""Elements within elements that a file may have."""

TAG = re.compile(rb"""<(?:[^'">]|"[^"]*"|'[^']*')*+>""")
HIDDEN = re.compile(rb"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>", re.DOTALL)
"""What may hold tags that are none."""

DECLARED = re.compile(rb"""^(?:\xef\xbb\xbf)?<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")

CUT_OFF = frozenset(
    expat.errors.codes[message]
    for message in (
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
    )
)
UNREAD = frozenset(
    expat.errors.codes[message]
    for message in (expat.errors.XML_ERROR_UNKNOWN_ENCODING, expat.errors.XML_ERROR_INCORRECT_ENCODING)
)


class XmlRecords:
    """XML files.

    Parameters
    ----------
    use_case
        `files.record` names the element that is a record; its `columns` are paths below it: `amount`,
        `merchant/city`, `@id`, `merchant/@code`.
    """

    def __init__(self, use_case: UseCase) -> None:
        self._names = Names(use_case)
        self._columns = use_case.columns
        self._record = use_case.files.record
        name = re.escape(self._record.encode())
        self._tags = re.compile(rb"<(?:[^\s<>/:!?'\"]+:)?%b(?=[\s/>])" % name)

    def read(self, data: bytes) -> FileRows:
        """The rows of a file; see `Format`."""
        found = self._flat(data) or self._parse(data)
        # of an end, as of a comment, none is left; so the parser is not asked how many there are
        count = len(self._tags.findall(HIDDEN.sub(b"", data)))
        settled = self._names.settle(found.seen) if found.records or found.bad else None
        line = np.array([number for number, _ in found.records], np.int32)
        columns = {
            name: [record.get(header, "") for _, record in found.records]
            for header, name in self._names.columns.items()
            if header in found.seen
        }
        rows = FileRows({**columns}, line, count, found.bad)
        if settled is not None:
            rows.settled = settled
        return rows

    def join(self, contents: Mapping[int, bytes]) -> Iterator[Joined]:
        """The rows of files whose records are all alike; see `Format`."""
        bodies: dict[int, bytes] = {}
        sound: dict[bytes, bool] = {}  # the same program writes the same around its records
        for number, data in contents.items():
            parts = alike_xml.split(data, self._record) if _is_utf8(data) else None
            if parts is None:
                continue
            if parts.around not in sound:
                sound[parts.around] = self._one(parts.around) is not None
            if sound[parts.around]:
                bodies[number] = parts.body
        yield from join_alike(bodies, self._form)

    def _form(self, body: bytes) -> Form | None:
        """The form of records like the first one, if that is of plain elements."""
        line = body[: body.index(b"\n")]
        parts = alike_xml.parts_of(line.decode(), self._names.columns)
        found = self._one(line.replace(alike_xml.NEWLINE, b"\n").strip())
        if parts is None or found is None:
            return None
        try:
            return Form(parts, alike_xml.SIGN, self._names.settle(found.seen))
        except FileRefused:
            return None

    def _one(self, data: bytes) -> _Found | None:
        """What is found in a file of a single record; None if it is none, or anything is wrong with it."""
        try:
            found = self._parse(data)
        except FileRefused:
            return None
        return found if len(found.records) == 1 and not found.bad else None

    def raws(self, data: bytes) -> Raws:
        """The elements of a file as they stand there; see `Format`."""
        places = self._parse(data).places
        declared = DECLARED.match(data)
        encoding = declared[1].decode() if declared else "utf-8"

        def raw(line: int) -> str:
            start, last = places[line - 1]
            tag = TAG.match(data, start)
            if tag is None or not tag[0].endswith(b"/>"):
                tag = TAG.match(data, last)
            return data[start : tag.end() if tag else last].decode(encoding, errors="replace")

        return raw

    def start(self, data: bytes) -> str:
        """The beginning of a refused file as text."""
        return first_line(data, "utf-8")

    def write(self, rows: Sequence[Mapping[str, str]]) -> bytes:
        """A file of some rows, each an element; what has no value is an empty one."""
        return self.rebuild(["".join(self._element(row)) for row in rows])

    def rebuild(self, raws: Sequence[str]) -> bytes:
        """A file of some elements."""
        text = "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', "<records>", *raws, "</records>", ""])
        try:
            return text.encode()
        except UnicodeEncodeError:
            raise FileRefused("text", "a value holds half of a surrogate pair, which no text may") from None

    def _element(self, row: Mapping[str, str]) -> Iterator[str]:
        tree: dict[str, Any] = {}
        for name, column in self._columns.items():
            if name not in row:
                continue
            text = row[name]
            if any(ord(sign) < 32 and sign not in "\t\n" for sign in text):
                raise FileRefused("text", f"{name!r} holds a control character, which no XML may")
            *outer, last = column.header(name).split("/")
            branch = tree
            for part in outer:
                branch = branch.setdefault(part, {})
            branch[last] = text
        yield from _spell(self._record, tree)

    def _flat(self, data: bytes) -> _Found | None:
        """All records of a file, if each is a flat list of elements; three times as fast as by callbacks.

        None for any other file, also for what is none: what is wrong with it, `_parse` says.
        """
        # what expat must be told to refuse, ElementTree cannot be told
        if b"<!DOCTYPE" in data or b"\0" in data or data.startswith(UTF16_MARKS):
            return None
        try:
            level = [ElementTree.fromstring(data)]  # noqa: S314 - without a document type, there is nothing to fear
        except (ElementTree.ParseError, LookupError, ValueError):
            return None
        for _ in range(DEEPEST):
            records = [element for element in level if element.tag == self._record]
            level = [below for element in level if element.tag != self._record for below in element]
            if records:
                return None if level else self._taken(records)
        return None

    def _taken(self, records: Sequence[ElementTree.Element]) -> _Found | None:
        """The values of records, if these are flat."""
        found = _Found(self._names, self._record)
        for number, element in enumerate(records, 1):
            values = {part.tag: part.text or "" for part in element}
            # a path, an attribute, or what stands there twice
            if len(values) < len(element) or element.keys() or any(len(part) or part.keys() for part in element):
                return None
            found.seen.update(values)
            found.records.append((number, values))
        return None if self._record in found.seen else found

    def _parse(self, data: bytes) -> _Found:
        """All records of a file.

        Raises
        ------
        FileRefused
            If it is no XML, or XML that is not read.
        """
        found = _Found(self._names, self._record)
        parse(found.parser, data)
        return found


class _Found:
    """What a parser finds, told by its callbacks."""

    def __init__(self, names: Names, record: str) -> None:
        self.records: list[tuple[int, dict[str, str]]] = []
        self.bad: list[BadRow] = []
        self.places: list[tuple[int, int]] = []
        self.seen: set[str] = set()
        self._wanted = names.columns
        self._record = record
        self._depth = 0
        self._path: list[str] = []  # the paths of the elements that are open, of the record first
        self._values: dict[str, str] = {}
        self._text: list[str] | None = None
        self._nil = False
        self._wrong: tuple[str, str] | None = None
        self._begin = 0
        self._locals: dict[str, str] = {}
        self.parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        name = _local(tag)
        if not self._path:
            if self._depth > DEEPEST:
                raise FileRefused("not_xml", f"elements lie within elements, deeper than {DEEPEST}")
            if name != self._record:
                return
            self._begin = self.parser.CurrentByteIndex
            self._values, self._wrong, path, prefix = {}, None, "", ""
        else:
            path, prefix = self._enter(name)
        self._path.append(path)
        self._nil = False
        for attribute, text in attributes.items():
            key = _local(attribute)
            if key == "nil" and text.strip() in ("true", "1"):
                self._nil = True
            if not attribute.startswith("xmlns"):
                self._take(f"{prefix}@{key}", text)
        self._text = [] if path in self._wanted else None

    def _enter(self, name: str) -> tuple[str, str]:
        """The path of an element within a record, and what those below it begin with."""
        if name == self._record:
            raise FileRefused("not_xml", f"a record {name!r} lies within another one")
        if self._depth > DEEPEST:
            raise FileRefused("not_xml", f"elements lie within elements, deeper than {DEEPEST}")
        outer = self._path[-1]
        if outer in self._wanted and self._wrong is None:
            self._wrong = "nested", f"{outer!r} holds the element {name!r}, expected a text"
        path = f"{outer}/{name}" if outer else name
        return path, f"{path}/"

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _end(self, _tag: str) -> None:
        self._depth -= 1
        if not self._path:
            return
        path = self._path.pop()
        if self._path:
            self._take(path, "" if self._text is None or self._nil else "".join(self._text))
            self._text = None
            self._nil = False
            return
        number = len(self.places) + 1
        self.places.append((self._begin, self.parser.CurrentByteIndex))
        if self._wrong:
            self.bad.append(BadRow(number, *self._wrong))
        else:
            self.records.append((number, self._values))

    def _take(self, name: str, text: str) -> None:
        self.seen.add(name)
        if name not in self._wanted:
            return
        if name in self._values and self._wrong is None:
            self._wrong = "duplicate_key", f"{name!r} stands there twice"
        self._values[name] = text


def _is_utf8(data: bytes) -> bool:
    declared = DECLARED.match(data)
    try:
        return b"\0" not in data and (not declared or declared[1].lower() == b"utf-8") and data.decode() != ""
    except UnicodeDecodeError:
        return False


def _local(name: str) -> str:
    return name.rpartition(":")[2] if ":" in name else name


def parse(parser: expat.XMLParserType, data: bytes) -> None:
    """Hand a file to a parser, which tells what it finds by its callbacks.

    Parameters
    ----------
    parser
        The parser; what it calls may raise.
    data
        The whole file.

    Raises
    ------
    FileRefused
        If it is no XML, or in an encoding that is not read.
    """
    if not data.strip():
        raise FileRefused("empty_file", "the file is empty")
    if data.startswith(UTF16_MARKS):
        raise FileRefused("encoding", "the file begins like UTF-16; save it in UTF-8")
    if b"\0" in data:
        raise FileRefused("nul_bytes", "the file holds NUL bytes: it is binary, damaged or UTF-16")
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise _refused(error) from None
    except LookupError as error:  # Python's, of an encoding that it is asked for
        raise FileRefused("encoding", f"the file says that it is in an encoding that nobody knows: {error}") from None
    except ValueError as error:  # of an encoding of several bytes a letter
        raise FileRefused("encoding", f"the file is in an encoding that is not read: {error}; use UTF-8") from None


def _refuse_doctype(*_: object) -> None:
    raise FileRefused("document_type", "the file has a document type (DTD), which may define entities: it is not read")


def _refused(error: expat.ExpatError) -> FileRefused:
    where = f"line {error.lineno}, column {error.offset + 1}"
    what = expat.errors.messages.get(error.code, str(error))
    if error.code in CUT_OFF:
        return FileRefused("truncated", f"the file stops in the middle of an element ({where}): cut off?")
    if error.code in UNREAD:
        return FileRefused("encoding", f"the file is in an encoding that is not read ({what}); use UTF-8")
    return FileRefused("not_xml", f"the file is no XML: {what}, {where}")


def _spell(name: str, tree: Mapping[str, Any]) -> Iterator[str]:
    attributes = (f" {key[1:]}={quoteattr(text)}" for key, text in tree.items() if key.startswith("@"))
    yield f"<{name}{''.join(attributes)}>"
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _spell(key, value)
        elif not key.startswith("@"):
            yield f"<{key}>{escape(value)}</{key}>"
    yield f"</{name}>"
