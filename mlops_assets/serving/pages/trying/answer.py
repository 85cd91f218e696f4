"""In: what became of files. Out: the plain values that the page shows."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlops_assets.journey.explain.sent import Line, SentExplanation, lines_of
from mlops_assets.journey.score.online import Answered, Loaded, Sent
from mlops_assets.serving import answers
from mlops_assets.serving.bodies.pictures import TYPES, ending_of
from mlops_assets.use_case import UseCase
from mlops_assets.views import why
from mlops_assets.views.numbers import share

MOST_LINES = 100
"""Lines of a file that are shown; a table for download has all."""
LEAST = 0.001
"""Probabilities below it are counted, and not told each."""
MOST_FEATURES = 10
"""Features that are seen at once; the others are folded away."""


def shown(
    loaded: Loaded,
    files: Sequence[Sent],
    answered: Sequence[Answered],
    explanation: Mapping[str, Any] | None,
    *,
    with_pictures: bool,
) -> dict[str, Any]:
    """What the page tells of files that were answered.

    Parameters
    ----------
    loaded
        What answered.
    files, answered
        The files, and what became of each.
    explanation
        Why a row is as it is, which is shown beside that row.
    with_pictures
        Whether pictures are shown that came with the files.
    """
    told = answers.as_files([_beginning(one) for one in answered], loaded.model.classes, "all")
    found = []
    for number, (one, file, whole) in enumerate(zip(told, files, answered, strict=True)):
        lines = lines_of(loaded.use_case, file, {row["line"] for row in one["predictions"]})
        rows = [*_rows(one, number, lines, file if with_pictures else None, explanation), *_rejects(one)]
        rows.sort(key=lambda row: row["line"] or 0)
        found.append({**counts(whole), "shown": rows})
    return {"files": found, **_sums(found)}


def counts(one: Answered) -> dict[str, Any]:
    """How many lines of a file became what."""
    rejected = sum(refusal.line is not None for refusal in one.refusals)
    return {"file": one.name, "lines": one.lines, "rows": len(one.line), "rejected": rejected, "refused": one.refused}


def refused(files: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the page tells of files that were all refused, as the problem of the API has them."""
    found = [{**one, "refused": True, "shown": [*_rejects(one)]} for one in files]
    return {"files": found, **_sums(found)}


def _sums(files: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    sums = {name: sum(one[name] for one in files) for name in ("lines", "rows", "rejected")}
    return {**sums, "refused": sum(one["refused"] for one in files)}


def _beginning(one: Answered) -> Answered:
    """As many rows and rejects as are shown."""
    return Answered(
        one.name,
        one.lines,
        one.line[:MOST_LINES],
        one.numbers[:MOST_LINES],
        {name: values[:MOST_LINES] for name, values in one.sure.items()},
        one.probabilities[:MOST_LINES],
        one.refusals[:MOST_LINES],
    )


def _rows(
    told: Mapping[str, Any],
    number: int,
    lines: Mapping[int, Line],
    file: Sent | None,
    explanation: Mapping[str, Any] | None,
) -> Iterator[dict[str, Any]]:
    for row in told["predictions"]:
        line = lines.get(row["line"], Line(""))
        place = number, row["line"]
        yield {
            **row,
            "reject": None,
            "raw": line.raw,
            "picture": _picture(file, line.attached),
            "likely": likely(row["probabilities"]) if "probabilities" in row else None,
            "interval": row.get("interval"),
            "why": explanation if explanation and explanation["at"] == place else None,
            "at": f"{number}:{row['line']}",
        }


def _rejects(told: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for reject in told["rejects"]:
        yield {"line": reject["line"], "reject": reject, "raw": reject["raw"], "picture": None}


def likely(probabilities: Mapping[str, float]) -> dict[str, Any]:
    """Probabilities of classes, the highest first, and how many are too small to be told."""
    ordered = sorted(probabilities.items(), key=lambda item: -item[1])
    told = [(name, value) for name, value in ordered if value >= LEAST] or ordered[:1]
    return {"classes": told, "rest": len(ordered) - len(told), "all": len(ordered)}


def _picture(file: Sent | None, path: str) -> str:
    """A picture that came with a file, as an address that has all of it; empty if there is none."""
    data = file.attached.get(path, b"") if file and path else b""
    kind = TYPES.get(ending_of(data))
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}" if kind else ""


def explained(use_case: UseCase, explanation: SentExplanation, file: Sent) -> dict[str, Any]:
    """What the page tells of why a row is as it is."""
    told = why.content(explanation)
    of_numbers = use_case.training.says_numbers
    features = [
        {**feature, "value": why.shown(feature["value"]), "strength": why.strength(feature["strength"], of_numbers)}
        for feature in told["features"]
    ]
    line = lines_of(use_case, file, [explanation.line]).get(explanation.line, Line(""))
    return {
        **told,
        "cleaned": [{**column, "value": why.shown(column["value"])} for column in told["cleaned"]],
        "features": features[:MOST_FEATURES],
        "further": features[MOST_FEATURES:],
        "words": [{**word, "strength": why.strength(word["strength"], of_numbers)} for word in told["words"]],
        "enriched": [
            {**one, "values": {name: why.shown(value) for name, value in one["values"].items()}}
            for one in told["enriched"]
        ],
        "likely": likely(told["probabilities"]) if told["probabilities"] else None,
        "words_of": share,
        "picture": _picture(file, line.attached),
    }
