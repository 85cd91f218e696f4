"""What the forms of the page bring: files, rows, and what is to be done with them.

A page carries small files that were sent to it in hidden fields, so that a table or an explanation of the same files is
had without choosing them again: nothing is kept between two requests, and any process of the server can answer.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_assets.journey.score.online import Sent
from mlops_assets.serving.bodies.multipart import Form
from mlops_assets.serving.bodies.query import Read, day, refuse, whole
from mlops_assets.serving.pages.trying.form import MOST_ROWS, rows_of
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.serving.requests import ID
from mlops_assets.use_case.partitions import Partitions

CARRIED = 1 << 20
"""Bytes of files that a page carries at most."""
MOST_FIELDS = 10_000
"""Fields of a form: a use case may have hundreds of columns."""
PLACE = re.compile(r"(\d{1,6}):(\d{1,9})")
"""A row of an answer: number of its file, and line."""

Parts = Sequence[tuple[str | None, bytes]]


@dataclass(frozen=True)
class Asked:
    """What somebody asks for.

    Attributes
    ----------
    does
        What the button says: empty for an answer, `csv`, `csv_all`, `add` or `remove` a row, `example`.
    version, as_of
        Version that answers, and day of the rows; None for the champion, and for today.
    request
        Id of the request that these files came with first; empty if they come with this one.
    why
        The row that is to be explained: number of its file, and line.
    rows
        Of the form.
    parts
        Files as they were sent, each with its name.
    """

    does: str = ""
    version: int | None = None
    as_of: str | None = None
    request: str = ""
    why: tuple[int, int] | None = None
    rows: Sequence[Mapping[str, str]] = ()
    parts: Parts = ()

    def carried(self, files: Sequence[Sent]) -> list[tuple[str, str]] | None:
        """What a page carries of the files that were answered, each with its name; None if they are too large.

        Parameters
        ----------
        files
            Of rows or an example: the files that they became.
        """
        parts = self.parts or [
            *((file.name, file.data) for file in files),
            *{name: (name, data) for file in files for name, data in file.attached.items()}.values(),
        ]
        if sum(len(data) for _, data in parts) > CARRIED:
            return None
        return [(name or "", base64.b64encode(data).decode("ascii")) for name, data in parts]


def asked_of(form: Form, partitions: Partitions) -> Asked:
    """What a form asks for; a day of a week stands for the week.

    Raises
    ------
    Problem
        400 or 422, with everything that is wrong.
    """
    said = {name: text for name, text in reversed(form.fields) if text}
    wrong: list[Wrong] = []
    rows = rows_of(form.fields)
    if len(rows) > MOST_ROWS:
        wrong.append(Wrong("rows", f"the form has {len(rows)} rows, allowed are {MOST_ROWS}: send a file"))
    version, as_of = _read(said, "version", whole, wrong), _read(said, "as_of", day, wrong)
    why = _read(said, "why", _place, wrong)
    refuse(wrong)
    return Asked(
        does=said.get("as", ""),
        version=version,
        as_of=as_of and partitions.holding(as_of),
        request=said["request"] if ID.fullmatch(said.get("request", "")) else "",
        why=why,
        rows=rows,
        # a browser sends a nameless empty file where none was chosen
        parts=_carried_by(form) or [(name, data) for name, data in form.files if name or data],
    )


def _carried_by(form: Form) -> Parts:
    """The files that a page carried."""
    names, texts = ([text for name, text in form.fields if name == field] for field in ("name", "data"))
    try:
        return [(name, base64.b64decode(text, validate=True)) for name, text in zip(names, texts, strict=True)]
    except (binascii.Error, ValueError):
        raise Problem(400, "What the page carried did not come back whole; choose the files again.") from None


def _place(text: str) -> tuple[int, int]:
    """A row of an answer."""
    if not (found := PLACE.fullmatch(text)):
        raise ValueError("expected FILE:LINE, such as 0:1")
    return int(found[1]), int(found[2])


def _read(said: dict[str, str], name: str, read: Read, wrong: list[Wrong]) -> Any:
    if name not in said:
        return None
    try:
        return read(said[name])
    except ValueError as error:
        wrong.append(Wrong(name, f"{error}, found {said[name][:100]!r}"))
        return None
