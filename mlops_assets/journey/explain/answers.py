"""In: a row of a published day. Out: what was answered for it each time that the day was published."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import LakeError
from mlops_assets.journey.explain.row import Scored
from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.feedback.published import parts_among
from mlops_assets.journey.score.vectors import stored_schema
from mlops_assets.storage.catalog import Lake

SAID = ("prediction", "probability", "low", "high")
"""Columns of an answer: those of classes and of numbers."""

MOST = 20
"""Publications that are looked at, the newest."""


@dataclass(frozen=True)
class Answer:
    """What one publication says of a row.

    Attributes
    ----------
    publication, time
        Its number, and when it was made, in milliseconds since 1970.
    version
        The model that scored the day.
    run
        The run that published it.
    restored_from
        The publication that it brought back; None if it was made anew.
    prediction, probability
        The answer; None where it has none. A number has no probability.
    low, high
        The ends of the interval of a number; None of a class.
    problem
        Why not, or an empty text.
    """

    publication: int
    time: int
    version: int
    run: str
    restored_from: int | None
    prediction: str | float | None = None
    probability: float | None = None
    low: float | None = None
    high: float | None = None
    problem: str = ""


def answers_of(lake: Lake, day: str, file: str, line: int) -> list[Answer]:
    """What the newest publications of a day say of a row, the newest first.

    Parameters
    ----------
    lake
        The tables of the use case.
    day, file, line
        The row, as `predictions` names it.
    """
    publications = lake.predictions.publications().get(day, [])
    return [_answer(lake, day, file, line, one) for one in reversed(publications[-MOST:])]


def _answer(lake: Lake, day: str, file: str, line: int, published: Scored) -> Answer:
    told = published.accounting
    about = published.version, published.time, told.model_version, published.run, told.restored_from
    try:
        found = _find(lake, day, file, line, published)
    except LakeError:  # `clean` takes what was replaced long ago
        return Answer(*about, problem="its files were cleaned up, for it was replaced long ago")
    if not len(found):
        return Answer(*about, problem="it has no answer for this row")
    (row,) = found.slice(0, 1).to_pylist()
    return Answer(*about, **{name: row.get(name) for name in SAID})


def _find(lake: Lake, day: str, file: str, line: int, published: Scored) -> pa.Table:
    table = lake.predictions
    columns = ["file", "line", *(name for name in stored_schema(table).names if name in SAID)]
    paths = [part.path for part in table.parts_at(day, published)]
    tables = [
        read_rows(table.folder / path, columns)
        for path in parts_among(lake, day, sorted(paths), published.accounting.manifest, [file])
    ]
    found = [rows.filter(pc.and_(pc.equal(rows["file"], file), pc.equal(rows["line"], line))) for rows in tables]
    return next((rows for rows in found if len(rows)), pa.table({}))
