"""What leaves the process on standard output and standard error: nothing that a terminal would obey."""

from __future__ import annotations

import codecs
import io
import logging
import sys
from typing import TextIO

from mlops_assets.work.printable import printable_lines


class Printed(io.TextIOWrapper):
    """A stream that shows what cannot be seen, whoever writes into it, and takes what its encoding has not.

    It is the last line of defence: tables and messages name things by `printable` already, but errors of libraries and
    of the system carry names of files, too. Bytes, such as CSV, go beside it as they are.
    """

    def write(self, text: str) -> int:
        """Write a text."""
        super().write(printable_lines(text))
        return len(text)


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
