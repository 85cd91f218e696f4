"""In: a file that was sent, and a model. Out: all that led to the answer for one of its rows."""

from __future__ import annotations

from collections.abc import Mapping
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
        What was answered.
    probabilities
        Of every class, the highest first.
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
    prediction: str
    probability: float
    probabilities: Mapping[str, float]


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
        prediction=model.classes[again.predicted],
        probability=again.probability,
        probabilities=probabilities_of(model, again),
    )
