"""In: what became of files. Out: the answer to a request, as JSON or CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson

from mlops_assets.journey.read.readers.pack import Refusal
from mlops_assets.journey.score.online import Answered
from mlops_assets.journey.score.vectors import OF_CLASS
from mlops_assets.serving.bodies.query import MOST_TOLD
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.work.spreadsheets import mark

TOP = 3
"""Likeliest classes that are told where `probabilities=top` is asked for."""

JSON, CSV = "application/json", "text/csv"

COLUMNS = ("file", "line", "prediction")
"""Columns of the table, which the predictions of a day have, too; behind them `probability`, or `low` and `high`."""


def as_files(answered: Sequence[Answered], classes: Sequence[str], probabilities: str | None) -> list[dict[str, Any]]:
    """What became of each file; its lines are its rows and its rejected lines.

    A file that is refused as a whole has no lines, as in the accounting of a day, and one reject without a line.

    Parameters
    ----------
    answered
        The files.
    classes
        Names of the classes, by number; none where numbers are said.
    probabilities
        Whose probabilities are told besides: `top`, `all` or None; of numbers none are.
    """
    return [_file(one, classes, probabilities) for one in answered]


def _file(one: Answered, classes: Sequence[str], probabilities: str | None) -> dict[str, Any]:
    lines, said = one.line.tolist(), one.said(classes)
    predictions = [
        {"line": line, "prediction": prediction, **sure}
        for line, prediction, sure in zip(lines, said, _beside(one), strict=True)
    ]
    if probabilities and predictions and classes:
        for row, vector in zip(predictions, _vectors(one.probabilities, classes, probabilities), strict=True):
            row["probabilities"] = vector
    return {
        "file": one.name,
        "lines": one.lines,
        "rows": len(predictions),
        "rejected": _rejected(one),
        "predictions": predictions,
        "rejects": [_reject(refusal) for refusal in one.refusals],
    }


def _beside(one: Answered) -> Iterator[dict[str, Any]]:
    """How sure each answer is: `probability`, or `interval` with both its ends, null where there is none."""
    if "probability" in one.sure:
        yield from ({"probability": value} for value in shortest(one.sure["probability"]))
        return
    for low, high in zip(*(one.sure[name].tolist() for name in ("low", "high")), strict=True):
        yield {"interval": None if math.isnan(low) else [low, high]}


def shortest(values: np.ndarray) -> list[Any]:
    """Numbers as the shortest decimals that are these numbers, as Parquet readers show float32; None of NaN."""
    # through text: 0.1 as a float32 is 0.10000000149011612 as a float64, three times as long and no truer
    numbers: list[Any] = orjson.loads(orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY))
    return numbers


def _vectors(values: np.ndarray, classes: Sequence[str], wanted: str) -> list[dict[str, Any]]:
    """The probabilities of each row by class, the likeliest first where not all are wanted."""
    told = shortest(values)
    if wanted == "all":
        return [dict(zip(classes, row, strict=True)) for row in told]
    # stable: of equal ones the first is told, as `scoring.probabilities` keeps it
    likeliest = np.argsort(-values, axis=1, kind="stable")[:, :TOP].tolist()
    return [{classes[at]: row[at] for at in best} for row, best in zip(told, likeliest, strict=True)]


def _rejected(one: Answered) -> int:
    return sum(refusal.line is not None for refusal in one.refusals)


def _reject(refusal: Refusal) -> dict[str, Any]:
    return {"line": refusal.line, "rule": refusal.rule, "message": refusal.message, "raw": refusal.raw}


def see_one_answered(answered: Sequence[Answered], told: dict[str, Any]) -> None:
    """See that a request has a file that was read.

    Parameters
    ----------
    answered
        Its files.
    told
        What else is told of them.

    Raises
    ------
    Problem
        422, where every file is refused; its member `files` has them as an answer has.
    """
    if any(not one.refused for one in answered):
        return
    count = "The file is" if len(answered) == 1 else f"All {len(answered)} files are"
    wrong = [
        Wrong(f"files[{at}]", f"{one.name}: {refusal.rule}: {refusal.message}")
        for at, one in enumerate(answered[:MOST_TOLD])
        for refusal in one.refusals
    ]
    files = [_file(one, (), None) for one in answered]
    raise Problem(422, f"{count} refused; see `errors`.", wrong, further={**told, "files": files})


def write(
    form: str, told: dict[str, Any], answered: Sequence[Answered], classes: Sequence[str], probabilities: str | None
) -> bytes:
    """The answer.

    Parameters
    ----------
    form
        `JSON` or `CSV`; a table has predictions alone.
    told
        What is told of the request as a whole.
    answered, classes, probabilities
        As of `as_files`.
    """
    if form == CSV:
        return to_csv(answered, classes, probabilities)
    said = {**told, "files": as_files(answered, classes, probabilities)}
    if "why" in told:  # the long one comes last
        said["why"] = said.pop("why")
    # what JSON has no value for, such as a decimal of a column that is explained, is a text
    return orjson.dumps(said, default=str)


def to_csv(
    answered: Sequence[Answered], classes: Sequence[str], probabilities: str | None, *, spreadsheet: bool = False
) -> bytes:
    """The predictions of all files as one table.

    Parameters
    ----------
    answered, classes, probabilities
        As of `as_files`; each class has a column of its own, empty where its probability is not told.
    spreadsheet
        Whether texts get an apostrophe where a spreadsheet would take them for a formula.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    named = classes if probabilities else ()
    written = mark if spreadsheet else str
    beside = [*answered[0].sure] if answered else ["probability"]
    table.writerow([*COLUMNS, *beside, *(written(OF_CLASS + name) for name in named)])
    for one in answered:
        if not len(one.line):
            continue
        sure = zip(*(shortest(one.sure[name]) for name in beside), strict=True)
        vectors = (
            _vectors(one.probabilities, classes, probabilities) if probabilities and classes else [{}] * len(one.line)
        )
        for line, said, ends, vector in zip(one.line.tolist(), one.said(classes), sure, vectors, strict=True):
            # a number is one in a spreadsheet, too; orjson says null where there is no interval
            row = (
                written(one.name),
                line,
                written(said) if classes else said,
                *("" if end is None else end for end in ends),
            )
            table.writerow([*row, *(vector.get(name, "") for name in named)])
    return text.getvalue().encode()


def count_rejected(answered: Sequence[Answered]) -> int:
    """Lines that have no prediction, and files that were refused as a whole."""
    return sum(len(one.refusals) for one in answered)
