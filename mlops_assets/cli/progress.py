"""How far a long command is, in one line of a terminal, by what the steps say of themselves."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
from types import TracebackType
from typing import Self

from mlops_assets.cli.printing import LogFormatter
from mlops_assets.work.printable import cut, printable

STEP = re.compile(r"\S+ (raw_files|rows|predictions|drift) \d{4}-\d\d-\d\d")
"""What is said once of a day; with a champion, a day says all four."""

STEPS = 4
WIDTH = 24
CLEAR = "\r\x1b[2K"


class Bar(logging.Handler):
    """A bar of standard error and the last word of the steps; where that is no terminal, a line for each use case.

    Warnings and errors stay, on lines of their own.

    Parameters
    ----------
    use_cases
        How many are done.
    days
        How many days each of them does.
    """

    def __init__(self, use_cases: int, days: int) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(LogFormatter())
        self._use_cases, self._each = use_cases, STEPS * days
        self._done = self._steps = 0
        self._terminal = sys.stderr.isatty()
        self._logger = logging.getLogger("mlops_assets")

    def __enter__(self) -> Self:
        self._before = self._logger.level, self._logger.propagate, [*self._logger.handlers]
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False
        self._logger.handlers = [self]
        self._show("sample files")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._logger.level, self._logger.propagate, self._logger.handlers = self._before
        if self._terminal:
            self._write(CLEAR)

    def emit(self, record: logging.LogRecord) -> None:
        """Show where the work is.

        Parameters
        ----------
        record
            What a step says.
        """
        said = record.getMessage()
        if record.levelno >= logging.WARNING:
            self._write(f"{CLEAR if self._terminal else ''}{self.format(record)}\n")
        elif STEP.match(said):
            self._steps = min(self._steps + 1, self._each - 1)
        self._show(said)

    def ready(self) -> None:
        """Note that a use case is done, whatever its steps said: without a champion they say less."""
        self._done += 1
        self._steps = 0
        if not self._terminal:
            self._write(f"{self._done} of {self._use_cases} use cases done\n")

    def _show(self, said: str) -> None:
        if not self._terminal:
            return
        share = (self._done + self._steps / self._each) / max(1, self._use_cases)
        full = int(share * WIDTH)
        line = f"[{'#' * full}{'.' * (WIDTH - full)}] {share:4.0%}  {printable(said)}"
        self._write(CLEAR + cut(line, shutil.get_terminal_size().columns - 1))

    def _write(self, text: str) -> None:
        """Past the guard of the stream, which would show the signs that move the cursor; the texts are printable."""
        try:
            sys.stderr.flush()
            os.write(sys.stderr.fileno(), text.encode("utf-8", "backslashreplace"))
        except (OSError, ValueError):  # nobody looks, or it is kept by whoever embeds us
            sys.stderr.write(text.replace(CLEAR, ""))
