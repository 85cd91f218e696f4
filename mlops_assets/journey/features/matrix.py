"""In: columns as Arrow has them. Out: the matrix of numbers and texts that an estimator sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from mlops_assets.journey.features.crosses import BETWEEN, Pairs, positions

LARGEST: Final = float(np.finfo(np.float32).max)
"""Largest number that an estimator takes: trees see float32, and scikit-learn refuses a matrix that does not fit."""

TEXT: Final = "text"
"""Stands for the known values of a column that reaches the estimator as text; see `training.texts`."""


def as_text(column: pa.ChunkedArray) -> pa.Array:
    """Labels and accounts as text; a boolean is `0` or `1`, a dictionary becomes plain strings."""
    plain = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    return pa.concat_arrays([pa.array([], pa.string()), *plain.cast(pa.string()).chunks])


def to_matrix(
    batch: pa.Table,
    vocabularies: Mapping[str, pa.Array | Literal["text"] | None],
    too_large: Counter[str] | None = None,
    pairs: dict[tuple[str, str], Pairs] | None = None,
) -> np.ndarray:
    """What an estimator sees: numbers, and the texts as they are.

    Parameters
    ----------
    batch
        Columns of `model_input`; of a cross its parts, where SQL has made no text of it.
    vocabularies
        For each column of the model, in order: the values that a category knows, `TEXT` for a text, or None for a
        number. A value of a category becomes its position in the vocabulary; an unknown one, or none, becomes -1.
    too_large
        Takes up, by column, how many numbers were infinite or beyond `LARGEST`.
    pairs
        Takes up how crosses with these vocabularies are found, for whoever asks again.

    Returns
    -------
    np.ndarray
        One row per row and one column per column of the model. It is float64 if there is no text, else of objects:
        floats, and `str` where a column is a text. A number that is missing, or beyond `LARGEST`, is NaN; a missing
        text is empty.
    """
    matrix = np.empty((batch.num_rows, len(vocabularies)), order="F")  # written and read a column at a time
    texts = {
        position: batch[name]
        for position, (name, vocabulary) in enumerate(vocabularies.items())
        if isinstance(vocabulary, str)
    }
    for position, (name, vocabulary) in enumerate(vocabularies.items()):
        column = batch[name]
        if position in texts:  # these come last, once it is known that the matrix is one of objects
            continue
        if vocabulary is not None:
            matrix[:, position] = _codes(name, batch, vocabulary, pairs)
        else:
            # unsafe: an integer beyond 2**53 is rounded, as every estimator would
            numbers = matrix[:, position]
            numbers[:] = column.cast(pa.float64(), safe=False).to_numpy()
            _empty_too_large(name, numbers, too_large)
    if not texts:
        return matrix
    # one of objects, which every scikit-learn class takes: a DataFrame would bring names of columns into the estimators
    mixed = matrix.astype(object, order="F")
    for position, column in texts.items():
        mixed[:, position] = column.cast(pa.string()).fill_null("").to_pylist()
    return mixed


def _codes(name: str, batch: pa.Table, vocabulary: pa.Array, pairs: dict[tuple[str, str], Pairs] | None) -> np.ndarray:
    """The position of each value of a category, -1 for what is unknown or none."""
    values = batch[name].combine_chunks()
    between = (batch.schema.field(name).metadata or {}).get(BETWEEN)
    if between is None:
        return positions(values, vocabulary)
    key, known = (name, between.decode()), {} if pairs is None else pairs
    if key not in known:
        known[key] = Pairs(vocabulary, key[1])
    return known[key].codes(values)


def _empty_too_large(name: str, numbers: np.ndarray, counts: Counter[str] | None) -> None:
    """Make NaN of what no estimator takes: infinity, to which DuckDB divides by zero, and what is beyond float32."""
    too_large = np.abs(numbers) > LARGEST
    if too_large.any():
        numbers[too_large] = np.nan
        if counts is not None:
            counts[name] += int(too_large.sum())
