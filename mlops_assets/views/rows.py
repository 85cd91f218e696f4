"""In: one row of a published day. Out: all that is told of it, from the raw line to what people said, as plain values.

What cannot be told any more, such as why, because the model or the raw file is gone, hides nothing else.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mlops_assets.errors import MlopsError
from mlops_assets.errors.redaction import without_paths
from mlops_assets.journey.explain.answers import answers_of
from mlops_assets.journey.explain.attached import attachments_of_row, read_attachment
from mlops_assets.journey.explain.row import Row, Scored, find_row
from mlops_assets.journey.explain.why import Explanation, explain_row, published_of
from mlops_assets.journey.feedback.said import said_of
from mlops_assets.journey.read.readers.pack import RAW_LIMIT
from mlops_assets.plugins import NotAttached
from mlops_assets.storage.catalog import PROBABILITIES
from mlops_assets.use_case import UseCase
from mlops_assets.views.why import advice
from mlops_assets.workspace import Stores

LEAST = 0.0005
"""Strengths and probabilities below it are not drawn; the tables have all."""
RAW_LINES, RAW_SIGNS = 200, 20_000
"""Lines and signs of a raw line that are shown, of which many readers keep less: that of a text file is the file."""


def row_record(stores: Stores, day: str, file: str, line: int) -> dict[str, Any]:
    """All that is told of a row.

    Parameters
    ----------
    stores
        What there is of the use case.
    day, file, line
        The row, as `predictions` names it.

    Raises
    ------
    NotPredicted
        If the day is not published, or the line has no prediction.
    UsageError
        If the day has no such file or line.
    LakeError
        If what the day was made of was cleaned up since.
    """
    use_case, lake = stores.use_case, stores.lake
    published = published_of(lake, day)
    row = find_row(lake, day, published, file, line)
    file = row.entry["path"]
    explanation, problem = _explain(stores, day, published, row)
    return {
        "use_case": use_case.name,
        "day": day,
        "file": file,
        "line": line,
        "account": row.prediction["account_id"],
        "prediction": row.prediction["prediction"],
        **{name: row.prediction.get(name) for name in ("probability", "low", "high")},
        "version": row.prediction["model_version"],
        "publication": published.version,
        "published": _moment(published.time),
        **_neighbours(row),
        "label": text_of(row.stored().get(use_case.label)),
        "columns": _columns(use_case, row, explanation),
        "pictures": attachments_of_row(use_case, row),
        "why": _why(use_case, explanation) if explanation else None,
        "why_not": problem,
        "probabilities": dict(explanation.probabilities) if explanation else _kept(row, published),
        "answers": [{**asdict(answer), "time": _moment(answer.time)} for answer in answers_of(lake, day, file, line)],
        "said": [asdict(said) for said in said_of(use_case, lake, stores.corrections, day, (file, line))],
    }


def attached_to_row(stores: Stores, day: str, file: str, line: int, column: str | None = None) -> bytes:
    """The file that a column of a row names, such as its picture, as it was when the day was read.

    Parameters
    ----------
    stores
        What there is of the use case.
    day, file, line
        The row, as `predictions` names it.
    column
        The column; the first one that names a file if None.

    Raises
    ------
    NotPredicted, UsageError, LakeError
        As of `row_record`.
    NotAttached
        If the column names no such file, or it cannot be had.
    SourceError
        If it is gone, or was changed since.
    """
    published = published_of(stores.lake, day)
    row = find_row(stores.lake, day, published, file, line)
    named = attachments_of_row(stores.use_case, row)
    path = next(iter(named.values()), None) if column is None else named.get(column)
    if path is None:
        raise NotAttached(f"the row names no file in {'any column' if column is None else repr(column)}")
    return read_attachment(stores.use_case, stores.source, stores.lake, day, published, path)


def _explain(stores: Stores, day: str, published: Scored, row: Row) -> tuple[Explanation | None, str]:
    """Why a row got its category; or why that cannot be told."""
    try:
        explanation = explain_row(
            stores.use_case, stores.source, stores.lake, stores.proven_version, day, published, row
        )
    except MlopsError as error:
        return None, without_paths(str(error))
    return explanation, ""


def _neighbours(row: Row) -> dict[str, int | None]:
    """The rows of its file before and behind it, and how many it has."""
    lines = row.lines
    at = lines.index(row.line)
    after = lines[at + 1] if at + 1 < len(lines) else None
    return {"before": lines[at - 1] if at else None, "after": after, "rows_of_file": len(lines)}


def _columns(use_case: UseCase, row: Row, explanation: Explanation | None) -> list[dict[str, Any]]:
    """Every column of the contract: what it means, its text in the file and its value."""
    stored = row.stored()
    raw = {one.column: (one.raw, one.differs) for one in explanation.cleaned} if explanation else {}
    return [
        {
            "name": name,
            "about": column.about,
            "raw": raw.get(name, (None, False))[0],
            "value": text_of(stored[name]),
            "differs": raw.get(name, (None, False))[1],
        }
        for name, column in use_case.columns.items()
        if name in stored
    ]


def _why(use_case: UseCase, explanation: Explanation) -> dict[str, Any]:
    raw = explanation.raw or ""
    lines = raw[:RAW_SIGNS].split("\n")
    about = {name: column.about for name, column in use_case.columns.items()}
    features = [
        {**asdict(one), "value": text_of(one.value), "about": about.get(one.name, "")} for one in explanation.features
    ]
    return {
        "raw": lines[:RAW_LINES],
        "raw_is_cut": len(raw) > RAW_SIGNS or len(lines) > RAW_LINES or len(raw) == RAW_LIMIT,
        "raw_problem": without_paths(explanation.raw_problem),
        "features": features,
        "words": [asdict(one) for one in explanation.words],
        "enriched": [
            {**asdict(one), "values": {name: text_of(value) for name, value in one.values.items()}}
            for one in explanation.enriched
        ],
        "threshold": explanation.threshold,
        "candidate": explanation.candidate,
        "champion": explanation.champion,
        "origin": explanation.origin,
        "agrees": explanation.agrees,
        "advice": "" if explanation.agrees else without_paths(advice(explanation)),
        "recomputed": explanation.recomputed,
        "recomputed_probability": explanation.recomputed_probability,
    }


def strengths(
    told: Mapping[str, float], most: int = 12, least: float = LEAST
) -> tuple[dict[str, float], dict[str, float]]:
    """What speaks for an answer and what against it, the strongest first.

    Parameters
    ----------
    told
        By name, how much of the probability of the answer hangs on it; less than 0 where it speaks against it.
    most
        Most of each.
    least
        What is weaker is left out.

    Examples
    --------
    >>> strengths({"city": -0.25, "age": 0.1, "sex": 0.5, "limit": 0.0})
    ({'sex': 0.5, 'age': 0.1}, {'city': 0.25})
    """
    ordered = sorted(told.items(), key=lambda pair: -abs(pair[1]))
    speaking = [(name, value) for name, value in ordered if value and value >= least]
    against = [(name, -value) for name, value in ordered if value and value <= -least]
    return dict(speaking[:most]), dict(against[:most])


def _kept(row: Row, published: Scored) -> dict[str, float]:
    """The probabilities that are stored of a row, the highest first; that of the answer where no more are kept."""
    values = row.prediction.get(PROBABILITIES.name) or ()
    kept = zip(published.accounting.classes, values, strict=False)
    told = {name: value for name, value in kept if value is not None}
    return dict(sorted(told.items(), key=lambda pair: -pair[1]))


def text_of(value: object) -> str | None:
    """A value as people read it; None where there is none."""
    if value is None:
        return None
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _moment(milliseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
