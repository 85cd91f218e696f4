"""In: the body of `multipart/form-data`, as it comes in. Out: its files, in memory; nothing is written to a disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from mlops_assets.serving.bodies.query import MOST_TOLD, refuse
from mlops_assets.serving.problems import Problem, Wrong

FIELD = "file"
"""The field that files come in, any number of them."""

MOST_HEADERS, LONGEST_HEADER = 8, 4_096
"""Headers that a part may have, and bytes of one."""


@dataclass(frozen=True)
class Form:
    """What a body brings.

    Attributes
    ----------
    files
        Its files, each with its name; None where it was sent without one.
    fields
        Its other fields, by name, with their texts.
    """

    files: list[tuple[str | None, bytes]] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)


class _Parts:
    """What the parser finds, gathered.

    Parameters
    ----------
    boundary
        What parts the parts.
    most
        Parts that there may be.
    known
        Whether there may be other fields than the one of files, as the form of a page has them.
    """

    def __init__(self, boundary: bytes, most: int, *, known: bool) -> None:
        self.found = Form()
        self.wrong: list[Wrong] = []
        self.ended = False
        self._most = most
        self._known = known
        self._count = 0
        self._field = FIELD
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self._file: str | None = None
        self._data: list[bytes] = []
        self.parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._look,
                "on_part_data": self._add,
                "on_part_end": self._keep,
                "on_end": self._end,
            },
            max_header_count=MOST_HEADERS,
            max_header_size=LONGEST_HEADER,
        )

    def _begin(self) -> None:
        self._count += 1
        if self._count > self._most:
            raise Problem(413, f"The request has more than {self._most:,} parts (`serving.limits.files`); send fewer.")
        self._headers, self._data = {}, []

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _look(self) -> None:
        """See what a part is, before any of its data is kept."""
        said = self._headers.get(b"content-disposition", b"").decode("latin-1")
        kind, options = parse_options_header(said)
        name = self._field = options.get(b"name", b"").decode(errors="replace")
        where = f"parts[{self._count - 1}]"
        self._file = None
        if kind != b"form-data":
            self._tell(where, "it has no header `Content-Disposition: form-data`")
        elif name != FIELD and not self._known:
            self._tell(
                where, f"there is no field {name[:100]!r}; files come in the field {FIELD!r}, any number of them"
            )
        if b"content-transfer-encoding" in self._headers:
            self._tell(where, "it has a `Content-Transfer-Encoding`, which is for mail; send the bytes as they are")
        if b"filename" in options:
            self._file = self._decode(where, options[b"filename"])

    def _decode(self, where: str, name: bytes) -> str | None:
        try:
            return name.decode()
        except UnicodeDecodeError:
            self._tell(where, "the name of its file is not UTF-8")
            return None

    def _tell(self, where: str, message: str) -> None:
        if len(self.wrong) <= MOST_TOLD:
            self.wrong.append(Wrong(where, message))

    def _add(self, data: bytes, start: int, end: int) -> None:
        if not self.wrong:
            self._data.append(data[start:end])

    def _keep(self) -> None:
        data, self._data = b"".join(self._data), []
        if self._field == FIELD:
            self.found.files.append((self._file, data))
            return
        try:
            self.found.fields.append((self._field, data.decode()))
        except UnicodeDecodeError:
            self._tell(f"parts[{self._count - 1}]", "it is not UTF-8")

    def _end(self) -> None:
        self.ended = True


async def read_parts(content_type: str, chunks: AsyncIterator[bytes], most: int, *, known: bool = False) -> Form:
    """The files of a body, and its other fields.

    Parameters
    ----------
    content_type
        The header, which names the boundary.
    chunks
        The body, as it comes in; whoever gives it counts its bytes.
    most
        Parts that there may be.
    known
        Whether there may be other fields than the one of files.

    Raises
    ------
    Problem
        400, if it is no such body, with where; 413, of more parts; 422, of fields that there are not, with all of them.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise Problem(400, "Content-Type: multipart/form-data lacks its `boundary`; let the client library write it.")
    read = 0
    try:
        parts = _Parts(boundary, most, known=known)
        async for chunk in chunks:
            parts.parser.write(chunk)
            read += len(chunk)
    except FormParserError as error:
        at = read + max(getattr(error, "offset", 0), 0)
        raise Problem(400, f"The body is no multipart/form-data: at byte {at}: {error}.") from None
    if not parts.ended:
        raise Problem(400, f"The body ends at byte {read}, before its closing boundary: was it cut off?")
    refuse(parts.wrong)
    return parts.found
