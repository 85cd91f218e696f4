"""JSON, one object a line. In: the bytes of a file. Out: its rows; objects within objects become `outer.inner`.

Lines with the keys of the first one, in its order and spacing, are cut by one pattern, which proves them to be flat
objects of JSON with each key once; only the distinct values are looked at. All other lines are parsed one by one.
Files whose lines are all alike are cut together (`alike`), at the comma and the quote between two values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlops_assets.journey.read.readers.alike import Form, Joined, Part, join_alike
from mlops_assets.journey.read.readers.formats import BadRow, FileRows, Raws
from mlops_assets.journey.read.readers.names import Names
from mlops_assets.journey.read.readers.pack import first_line
from mlops_assets.journey.read.readers.text import UTF8_BOM, as_utf8, line_feeds
from mlops_assets.journey.read.readers.values import BadValue, fit_text, written_number
from mlops_assets.plugins import FileRefused
from mlops_assets.use_case import UseCase

STRING = r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"'
NUMBER = r"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+"
VALUE = rf"(?:{STRING}|{NUMBER}|true|false|null)"
SPACE = r"[ \t]*+"
PAIR = rf"{SPACE}{STRING}{SPACE}:{SPACE}{VALUE}{SPACE}"
FLAT = re.compile(rf"{SPACE}\{{{PAIR}(?:,{PAIR})*+\}}{SPACE}")
WHOLE_VALUE = re.compile(VALUE)
KEYED = re.compile(rf"({STRING}){SPACE}:{SPACE}({VALUE})")

COMMA = re.compile(r"([ \t]*+)(,[ \t]*+\")")
SIGN = "\x1f"
"""What stands for the comma and the quote between two values; in a text of JSON it is an escape."""

MOST_TEMPLATES = 100
MOST_TEXTS = 200_000
"""Patterns of lines, and texts of values, that are remembered."""

DEEPEST = 32
"""Objects within objects that are looked into."""


class _Number(str):
    """A number as it was written: as a float, a long one would become another."""

    __slots__ = ()


class _Object(list[tuple[str, Any]]):
    """The keys and values of an object, as they stand there."""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no value of JSON")


DECODER = json.JSONDecoder(
    object_pairs_hook=_Object, parse_int=_Number, parse_float=_Number, parse_constant=_no_constant
)


@dataclass(frozen=True)
class _Template:
    """A pattern that takes lines of one form apart, and any other line whole, as its last group."""

    pattern: re.Pattern[str]
    keys: tuple[str, ...]
    headers: tuple[str, ...]
    between: tuple[str, ...]


class JsonLines:
    """Files with a JSON object in every line.

    Parameters
    ----------
    use_case
        Its `columns` are keys; `from: outer.inner` is a key within an object.
    """

    def __init__(self, use_case: UseCase) -> None:
        self._names = Names(use_case)
        self._complete = use_case.files.complete
        self._columns = use_case.columns
        self._decimal = use_case.files.decimal
        self._numbers = {name for name, column in use_case.columns.items() if column.type in ("number", "integer")}
        self._templates: dict[tuple[str, ...], _Template | None] = {}
        self._texts = {numeric: _Texts(self._decimal if numeric else ".") for numeric in (False, True)}
        self._proven = {numeric: texts.proven for numeric, texts in self._texts.items()}

    def read(self, data: bytes) -> FileRows:
        """The rows of a file; see `Format`."""
        body, whole, noticed = self._body(data)
        text = body.decode()
        first = next((line for line in text.split("\n", 50) if line.strip()), "")
        template = self._template(first)
        cut = template.pattern.findall(text) if template else [(line,) for line in text.split("\n")]
        *tokens, others = zip(*cut, strict=True)
        headers = template.headers if template else ()
        seen = set(template.keys) if template and not all(others) else set()
        columns: dict[str, list[str]] = {}
        for header, column in zip(headers, tokens, strict=True):
            name = self._names.columns[header]
            texts = self._texts[name in self._numbers]
            columns[name] = [texts[token] for token in column]
        bad = self._patch(columns, others, seen, whole=whole)
        bad |= self._unfit(columns)
        settled = self._names.settle(seen) if seen else self._names.settle(()) if not bad else None
        if bad:
            kept = [at for at in range(len(others)) if at not in bad]
            columns = {name: [column[at] for at in kept] for name, column in columns.items()}
        line = np.setdiff1d(np.arange(len(others), dtype=np.int32), np.array([*bad], np.int32)) + 1
        rows = FileRows({**columns}, line.astype(np.int32), body.count(b"\n") + 1, [*bad.values()], noticed)
        if settled is not None:
            rows.settled = settled
        return rows

    def join(self, contents: Mapping[int, bytes]) -> Iterator[Joined]:
        """The rows of files whose lines are all alike; see `Format`."""
        bodies: dict[int, bytes] = {}
        noticed: dict[int, list[tuple[str, int]]] = {}
        for number, data in contents.items():
            try:
                body, _, noticed[number] = self._body(data)
            except FileRefused:
                continue
            if SIGN.encode() not in body:
                bodies[number] = body + b"\n"
        for joined in join_alike(bodies, self._form):
            joined.noticed |= {number: noticed[number] for number in joined.rows}
            yield joined

    def _form(self, body: bytes) -> Form | None:
        """The form of lines like the first one, if they can be cut at their commas."""
        template = self._template(body[: body.index(b"\n")].decode())
        if template is None:
            return None
        try:
            settled = self._names.settle(template.keys)
        except FileRefused:
            return None
        first, *between, last = template.between
        # blanks, the comma with the quote, and what follows
        cuts = [COMMA.split(one, 1) for one in between]
        if len({comma for _, _, comma, _ in cuts}) > 1:
            return None
        behind = [*(blanks for _, blanks, _, _ in cuts), last]
        before = [first, *(rest for *_, rest in cuts)]
        columns = [self._names.columns.get(key) for key in template.keys]
        parts = [
            Part(ahead, after, self._proven[column in self._numbers], column)
            for ahead, after, column in zip(before, behind, columns, strict=True)
        ]
        return Form(tuple(parts), SIGN, settled, cuts[0][2] if cuts else "")

    def raws(self, data: bytes) -> Raws:
        """The lines of a file; see `Format`."""
        lines = self._body(data)[0].decode().split("\n")
        return lambda line: lines[line - 1]

    def start(self, data: bytes) -> str:
        """The beginning of a refused file as text."""
        return first_line(data, "utf-8")

    def write(self, rows: Sequence[Mapping[str, str]]) -> bytes:
        """A file of some rows; numbers and truth values of the contract are those of JSON where they can be."""
        return self.rebuild([self._line(row) for row in rows])

    def rebuild(self, raws: Sequence[str]) -> bytes:
        """A file of some lines."""
        wrong = next((raw for raw in raws if "\n" in raw), None)
        if wrong is not None:
            raise FileRefused("not_json", "the record runs over several lines; write it in one")
        try:
            return "".join(f"{raw}\n" for raw in raws).encode()
        except UnicodeEncodeError:
            raise FileRefused("text", "a value holds half of a surrogate pair, which no text may") from None

    def _line(self, row: Mapping[str, str]) -> str:
        keys = (json.dumps(self._columns[name].header(name), ensure_ascii=False) for name in row)
        values = (self._value(name, text) for name, text in row.items())
        return "{" + ", ".join(f"{key}: {value}" for key, value in zip(keys, values, strict=True)) + "}"

    def _value(self, name: str, text: str) -> str:
        """A text as a value of JSON; a number keeps its digits."""
        if not text:
            return "null"
        if "\0" in text:
            raise FileRefused("text", f"{name!r} holds NUL, which no text may")
        # with another decimal sign, a point is no decimal point
        plain = text if self._decimal == "." else text.replace(".", "?").replace(self._decimal, ".")
        if name in self._numbers and re.fullmatch(NUMBER, plain):
            return plain
        if self._columns[name].type == "boolean" and text in ("true", "false"):
            return text
        return json.dumps(text, ensure_ascii=False)

    def _body(self, data: bytes) -> tuple[bytes, bool, list[tuple[str, int]]]:
        """The lines in UTF-8, without the last line end; whether there was one; and what was noticed.

        Raises
        ------
        FileRefused
            If these are no lines of text in UTF-8.
        """
        body, strays = line_feeds(data.removeprefix(UTF8_BOM))
        noticed = [("stray_carriage_returns", strays)] if strays else []
        body = as_utf8(body, "utf-8")
        whole = body.endswith(b"\n")
        if not whole and self._complete == "line_end":
            raise FileRefused("truncated", "the last line has no line end, which the contract asks for: cut off?")
        if not whole and b"\n" in body:
            noticed.append(("no_final_line_end", 1))
        return body.removesuffix(b"\n"), whole, noticed

    def _template(self, first: str) -> _Template | None:
        """The pattern of lines that are like the first one; None if that is no flat object with other keys each."""
        if not FLAT.fullmatch(first):
            return None
        cuts = [0]
        keys = []
        for match in KEYED.finditer(first):
            keys.append(match[1])
            cuts += match.span(2)
        cuts.append(len(first))
        between = tuple(first[cuts[at] : cuts[at + 1]] for at in range(0, len(cuts), 2))
        if between not in self._templates and len(self._templates) < MOST_TEMPLATES:
            self._templates[between] = self._make(between, tuple(json.loads(key) for key in keys))
        return self._templates.get(between)

    def _make(self, between: tuple[str, ...], keys: tuple[str, ...]) -> _Template | None:
        headers = tuple(key for key in keys if key in self._names.columns)
        if len(set(keys)) < len(keys) or not headers:
            return None
        pattern = "^" + re.escape(between[0])
        for key, behind in zip(keys, between[1:], strict=True):
            pattern += (f"({VALUE})" if key in self._names.columns else VALUE) + re.escape(behind)
        return _Template(re.compile(rf"{pattern}$|^(.*)$", re.MULTILINE), keys, headers, between)

    def _patch(
        self, columns: dict[str, list[str]], others: Sequence[str], seen: set[str], *, whole: bool
    ) -> dict[int, BadRow]:
        """Put the lines in that the pattern left whole; by place, those that are no rows."""
        bad: dict[int, BadRow] = {}
        for at, line in enumerate(others):
            if not line or line.isspace():
                continue
            try:
                record = self._parse(line)
            except BadValue as error:
                if error.rule == "not_json" and not whole and at == len(others) - 1 and len(others) > 1:
                    message = (
                        "the last line stops in the middle of an object: cut off, or an object over several lines?"
                    )
                    raise FileRefused("truncated", message) from None
                bad[at] = BadRow(at + 1, error.rule, error.message)
                continue
            seen.update(record)
            for header, name in self._names.columns.items():
                if header in record:
                    columns.setdefault(name, [""] * len(others))[at] = record[header]
        return bad

    def _parse(self, line: str) -> dict[str, str]:
        """The text of every key of a line; of what the contract does not name, the key alone counts.

        Raises
        ------
        BadValue
            If it is no object, has a key twice, or an object or a list where a value should be.
        """
        try:
            value = DECODER.decode(line)
        except ValueError as error:
            raise BadValue("not_json", f"the line is no JSON: {error}") from None
        except RecursionError:
            raise BadValue("not_json", "the line has brackets within brackets, deeper than can be read") from None
        if not isinstance(value, _Object):
            raise BadValue("not_json", "the line is no JSON object")
        texts: dict[str, str] = {}
        self._flatten(value, "", texts, DEEPEST)
        return texts

    def _flatten(self, given: _Object, outer: str, texts: dict[str, str], deeper: int) -> None:
        own = set()
        for key, value in given:
            name = outer + key
            if name in own or name in texts:
                raise BadValue("duplicate_key", f"the key {name[:80]!r} stands there twice")
            own.add(name)
            wanted = self._names.columns.get(name)
            if isinstance(value, _Object) and wanted is None and deeper:
                self._flatten(value, name + ".", texts, deeper - 1)
            elif wanted is not None:
                texts[name] = self._text(wanted, name, value)
            else:
                texts[name] = ""

    def _text(self, column: str, key: str, value: Any) -> str:
        if isinstance(value, list):
            kind = "an object" if isinstance(value, _Object) else "a list"
            raise BadValue("nested", f"{key!r} is {kind}, expected a text, a number, a truth value or null")
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, _Number):
            return written_number(value, self._decimal) if column in self._numbers else str(value)
        return fit_text(key, value)

    def _unfit(self, columns: Mapping[str, list[str]]) -> dict[int, BadRow]:
        """By place, the rows with a value that no text may be, which only escapes can write."""
        bad: dict[int, BadRow] = {}
        if not any(texts.unfit for texts in self._texts.values()):
            return bad
        for name, column in columns.items():
            for at, text in enumerate(column):
                try:
                    fit_text(self._columns[name].header(name), text)
                except BadValue as error:
                    bad[at] = BadRow(at + 1, error.rule, error.message)
        return bad


class _Texts(dict[str, str]):
    """The text of a value by how JSON spells it; each spelling is looked at once."""

    def __init__(self, decimal: str) -> None:
        super().__init__()
        self._decimal = decimal
        self.unfit = False

    def __missing__(self, token: str) -> str:
        if len(self) > MOST_TEXTS:
            self.clear()
        text = self[token] = self._read(token)
        return text

    def proven(self, token: str) -> str | None:
        """The text of a value; None if it is none of JSON, or one that is told of where it stands."""
        if not token or (token not in self and not WHOLE_VALUE.fullmatch(token)):
            return None
        text = self[token]
        return None if self.unfit and not _is_fit(text) else text

    def _read(self, token: str) -> str:
        if token.startswith('"'):
            if "\\" not in token:
                return token[1:-1]
            text: str = json.loads(token)
            try:
                return fit_text("", text)
            except BadValue:
                self.unfit = True  # told where the row is known
                return text
        if token in ("", "null"):
            return ""
        return token if token in ("true", "false") else written_number(token, self._decimal)


def _is_fit(text: str) -> bool:
    try:
        return text == fit_text("", text)
    except BadValue:
        return False
