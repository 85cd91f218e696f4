"""The lines of CSV files as they stood, for those who want to see a reject."""

from __future__ import annotations

from collections.abc import Sequence

from mlops_assets.journey.read.readers.quoted import cut_records
from mlops_assets.journey.read.readers.text import decide_encoding
from mlops_assets.use_case import FileFormat


def _raw_records(data: bytes, form: FileFormat) -> dict[int, str]:
    """The records of a file as they stood, by their first line, without their line ends."""
    body, encoding, _ = decide_encoding(data, form)
    text = body.decode(encoding, errors="replace").replace("\r\n", "\n")
    lines = text.split("\n" if "\n" in text else "\r")
    if form.header != "none":
        del lines[0]
    if not (form.quotes and form.line_breaks_in_fields and '"' in text):
        return dict(enumerate(lines, 1))
    # a stray \r was read as a blank, see `line_feeds`
    cuts = cut_records([line.replace("\r", " ") for line in lines], form.delimiter)
    return {cut.begin + 1: "\n".join(lines[cut.begin : cut.end]) for cut in cuts}


class RawLines:
    """The lines of files as they stood; a file is split once, for they are asked for in the order of the files.

    Parameters
    ----------
    contents
        The files; None for one that was refused at once.
    form
        What the contract says of them.
    """

    def __init__(self, contents: Sequence[bytes | None], form: FileFormat) -> None:
        self._contents = contents
        self._form = form
        self._file = -1
        self._lines: dict[int, str] = {}

    def __call__(self, file: int, line: int) -> str:
        """The line of a file, by their numbers; of a record that spans lines, all of them."""
        if file != self._file:
            self._file, self._lines = file, _raw_records(self._contents[file] or b"", self._form)
        return self._lines[line]
