"""In: a file that was sent, and a model. Out: all that led to the answer for one of its rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np

from mlops_assets.journey.enrich.at_once import Enrich
from mlops_assets.journey.explain.again import (
    Cleaned,
    Enriched,
    Feature,
    answer_again,
    enriched_of,
    features_of,
    probabilities_of,
    words_of,
)
from mlops_assets.journey.explain.strengths import Word
from mlops_assets.journey.features.shard import compute
from mlops_assets.journey.read.readers import open_reader
from mlops_assets.journey.read.rows import check_rows
from mlops_assets.journey.score.online import Loaded, Sent, attached_to, unasked
from mlops_assets.journey.score.predict import predict
from mlops_assets.plugins import NotAttached, Noticed, RawFile, RecordReader, load_plugin
from mlops_assets.use_case import UseCase


@dataclass(frozen=True)
class SentExplanation:
    """Why a row that was sent got its category.

    Attributes
    ----------
    file, line
        Which row.
    raw
        Its line in the file.
    cleaned
        Every column of the contract.
    enriched
        What every enrichment said.
    features
        Every column of the model's input, the strongest first.
    compared_with
        Other rows of the file from which a feature gets its other values; without any, no feature has a strength.
    words
        The words of its texts that matter most, the strongest first; empty if the model sees no text.
    version
        The model.
    threshold
        Binary only: probability from which the second class is said; None for the likelier class.
    prediction, probability
        What was answered; a number has no probability.
    probabilities
        Of every class, the highest first; none of a number.
    interval
        The ends of the interval around a number; None of a class.
    """

    file: str
    line: int
    raw: str
    cleaned: tuple[Cleaned, ...]
    enriched: tuple[Enriched, ...]
    features: tuple[Feature, ...]
    compared_with: int
    words: tuple[Word, ...]
    version: int
    threshold: float | None
    prediction: str | float
    probability: float | None
    probabilities: Mapping[str, float]
    interval: tuple[float, float] | None = None


def explain_sent(loaded: Loaded, file: Sent, line: int, day: str, enrich: Enrich = unasked) -> SentExplanation:
    """Tell why a row of a file that was sent got its category.

    The other values of a feature are those of the other rows of its file, which the request has, and which belong
    together: a strength says what is particular about this row among them.

    Parameters
    ----------
    loaded
        The model that answered.
    file
        The file.
    line
        A line of it that has a prediction.
    day
        The day that its rows are taken to be of.
    enrich
        Is asked with rows for the answers of enrichments: anew, so that an explanation tells what they say now.
    """
    use_case, model = loaded.use_case, loaded.model
    pack = open_reader(use_case, partial(attached_to, [file], use_case.files.largest)).read([file.data], [file.name])
    rows, _ = check_rows(use_case, [file.name], pack)
    enriched = enrich(rows)
    # without the rows on which SQL or the model fails, which are no part of the answer
    rows = predict([model], rows.combine_chunks(), day, use_case, enriched=enriched).rows
    position = int(np.flatnonzero(rows["line"].to_numpy() == line)[0])
    again = answer_again(model, rows, position, compute(rows, day, use_case, model.sql, None, enriched))
    stored = rows.slice(position, 1).to_pylist()[0]
    at = int(np.flatnonzero(pack.line == line)[0])
    texts = {name: column[at].as_py() for name, column in pack.columns.items()}
    return SentExplanation(
        file=file.name,
        line=line,
        raw=pack.raw(0, line),
        cleaned=tuple(Cleaned(name, texts.get(name), stored[name]) for name in use_case.columns if name in stored),
        enriched=tuple(enriched_of(stored, name, table) for name, table in enriched.items()),
        features=features_of(model, again),
        compared_with=len(again.others),
        words=words_of(model, again),
        version=loaded.version,
        threshold=model.threshold if len(model.classes) == 2 else None,
        prediction=again.prediction,
        probability=again.probability,
        probabilities=probabilities_of(model, again),
        interval=again.interval,
    )


@dataclass(frozen=True)
class Line:
    """A line of a file that was sent, for people.

    Attributes
    ----------
    raw
        Its text; of a record, as its reader shows it.
    attached
        The path of the one attachment that it refers to; empty if there is none, or are several.
    """

    raw: str
    attached: str = ""


def lines_of(use_case: UseCase, file: Sent, lines: Collection[int]) -> dict[int, Line]:
    """What stands in some lines of a file, beside what was answered for them.

    Parameters
    ----------
    use_case
        Says how it is read.
    file
        The file, which was read before.
    lines
        The lines that are asked for.
    """
    if not lines:
        return {}
    if use_case.files.reader:
        return {line: told for line, told in _records_of(use_case.files.reader, file).items() if line in lines}
    pack = open_reader(use_case, partial(attached_to, [file], use_case.files.largest)).read([file.data], [file.name])
    return {line: Line(pack.raw(0, line)) for line in lines}


def columns_of(use_case: UseCase, file: Sent) -> dict[str, str]:
    """The columns of the first row of a file, as texts.

    Parameters
    ----------
    use_case
        Says how it is read.
    file
        A file that has a row.
    """
    pack = open_reader(use_case, partial(attached_to, [file], use_case.files.largest)).read([file.data], [file.name])
    return {name: column[0].as_py() for name, column in pack.columns.items()}


def _records_of(reader: str, file: Sent) -> dict[int, Line]:
    """Every record of a file, with what it asks for; it gets none of it, for measuring pictures again takes long."""
    asked: list[str] = []

    def note(path: str) -> bytes:
        asked.append(path)
        raise NotAttached(path)

    found: dict[int, Line] = {}
    with suppress(Exception):  # the user's own code, which may go no further where it gets nothing
        for record in load_plugin(reader, RecordReader).read(RawFile(file.name, file.data, note)):
            if not isinstance(record, Noticed):
                found[len(found) + 1] = Line(record.raw, asked[0] if len(asked) == 1 else "")
                asked.clear()
    return found
