"""What leaves the process on standard output and standard error: nothing that a terminal would obey."""

from __future__ import annotations

import codecs
import io
import logging
import sys
from typing import TYPE_CHECKING, Any, TextIO

from mlops_assets.work.printable import printable_lines

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]


class Printed(io.TextIOWrapper):
    """A stream that shows what cannot be seen, whoever writes into it, and takes what its encoding has not.

    It is the last line of defence: tables and messages name things by `printable` already, but errors of libraries and
    of the system carry names of files, too. Bytes, such as CSV, go beside it as they are, but for a terminal.
    """

    _shown: _Shown | None = None

    @property
    def buffer(self) -> Any:
        """Takes bytes: a file and a pipe get them exactly."""
        if not self.isatty():
            return super().buffer
        self._shown = self._shown or _Shown(self)
        return self._shown

    def write(self, text: str) -> int:
        """Write a text."""
        super().write(printable_lines(text))
        return len(text)


class _Shown(io.BufferedIOBase):
    """Bytes for a terminal, as the text that they are."""

    def __init__(self, text: Printed) -> None:
        self._text = text
        # a sign may be cut by the end of a piece
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def writable(self) -> bool:
        """Whether it can be written to."""
        return True

    def write(self, data: Buffer) -> int:
        """Write bytes of UTF-8."""
        content = bytes(data)
        self._text.write(self._decoder.decode(content))
        return len(content)

    def flush(self) -> None:
        """Send what was written."""
        self._text.flush()


class LogFormatter(logging.Formatter):
    """Time and message; further lines of a message are moved in, so that none looks like a message of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """One record as text."""
        return printable_lines(super().format(record)).replace("\n", "\n  ")


def guard_streams() -> None:
    """Put `Printed` before standard output and standard error, for the rest of the process."""
    sys.stdout, sys.stderr = _printed(sys.stdout), _printed(sys.stderr)


def _printed(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):  # there is none, or whoever embeds us has one of their own
        return stream
    # what is in the old one must not come behind what is written to the new one
    stream.flush()
    # click takes a terminal without a language for one that knows UTF-8, and so do we
    plain = codecs.lookup(stream.encoding).name == "ascii"
    return Printed(
        stream.buffer,
        encoding="utf-8" if plain else stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
