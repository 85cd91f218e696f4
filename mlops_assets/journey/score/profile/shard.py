"""In: the rows of a shard, and a model that answers for them. Out: their profile, as rows of the table `profiles`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from mlops_assets.journey.features.matrix import as_text
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.score.profile.bins import (
    BEYOND_ASCII,
    Days,
    count_columns,
    count_numbers,
    text_numbers,
    whole,
)
from mlops_assets.journey.score.profile.counts import (
    ANSWER,
    FILE_SIZES,
    MILLION,
    STEPS,
    TOP,
    Bins,
    Column,
    Counts,
    Profile,
    Said,
)
from mlops_assets.storage.catalog import PROFILES

ACCOUNTS, REFERENCE = "accounts", "reference"
"""Sources of entries that a shard tells beside its profile: a hash of each of its accounts, and by whose bins it was
counted."""


class Counting:
    """Counts what a model sees and says; a `Witness`.

    Parameters
    ----------
    model
        The model.
    bins
        How the columns of its input are counted, among others.
    """

    def __init__(self, model: Model, bins: Mapping[Column, Bins]) -> None:
        self._model = model
        self._bins = {name: each for name, each in bins.items() if name[0] == "model_input"}
        self._counts = {name: Counts(np.zeros(each.number, np.int64)) for name, each in self._bins.items()}
        self._said = no_answers(len(model.classes)) if model.classes else None
        self._answers = bins.get(ANSWER)
        if self._answers is not None:
            self._counts[ANSWER] = Counts(np.zeros(self._answers.number, np.int64))

    def see(
        self, batch: pa.Table, matrix: np.ndarray, probabilities: np.ndarray, numbers: np.ndarray, positions: np.ndarray
    ) -> None:
        """Count a batch; see `Witness`."""
        del positions  # counts have no order
        self.see_input(batch, matrix)
        if self._said is not None:
            self._said += count_answers(probabilities, numbers)
        if self._answers is not None:
            self._counts[ANSWER] += count_numbers(numbers, self._answers)

    def see_input(self, batch: pa.Table, matrix: np.ndarray) -> None:
        """Count a batch of the model's input; see `Witness`."""
        places = {name: place for place, name in enumerate(self._model.columns)}
        for column, bins in self._bins.items():
            name = column[1].removesuffix(BEYOND_ASCII)
            if bins.kind == "category":
                counts = _count_codes(batch[name], matrix[:, places[name]], bins)
            elif isinstance(self._model.columns[name], str):
                lengths, shares = text_numbers(whole(batch[name]))
                counts = count_numbers(lengths if name == column[1] else shares, bins)
            else:
                counts = count_numbers(matrix[:, places[name]].astype(np.float64, copy=False), bins)
            self._counts[column] += counts

    def told(self) -> tuple[dict[Column, Counts], Said | None]:
        """What was counted of all batches."""
        return self._counts, self._said


def _count_codes(values: pa.ChunkedArray, codes: np.ndarray, bins: Bins) -> Counts:
    """Counts of a category by the codes that the estimator sees, which follow the order of the bins.

    Its new values are not told: they come from columns of the rows, of which they are.
    """
    places = np.minimum(codes, TOP).astype(np.int64)
    # the first is for what is no value that training knew, or none at all
    tally = np.bincount(places + 1, minlength=bins.number + 1)
    return Counts(tally[1:], values.null_count, int(tally[0]) - values.null_count)


def no_answers(classes: int) -> Said:
    """Counts of the answers of a model of so many classes to no row."""
    shapes = (classes,), (classes, classes), (classes,), (classes, STEPS)
    return Said(*(np.zeros(shape, np.int64) for shape in shapes))


def count_answers(probabilities: np.ndarray, numbers: np.ndarray) -> Said:
    """Count answers of a model with K classes.

    Parameters
    ----------
    probabilities
        Probability of every class, of shape `(rows, K)`; counted as float32, which is how they are stored.
    numbers
        Numbers of the classes that are said, of shape `(rows,)`.
    """
    from scipy.sparse import csc_matrix  # comes with the models, and nobody else shall wait for it

    rows, classes = probabilities.shape
    stored = probabilities.astype(np.float32).astype(np.float64)
    said = stored[np.arange(rows), numbers]
    stored *= MILLION
    # floats that are whole numbers: their sums are exact below 2**53, in any order
    millionths = np.rint(stored, out=stored)
    by_class = csc_matrix((np.ones(rows), numbers, np.arange(rows + 1)), shape=(classes, rows))
    steps = np.minimum((said * STEPS).astype(np.int64), STEPS - 1)
    squares = np.bincount(numbers, weights=np.rint(said * said * MILLION), minlength=classes)
    return Said(
        rows=np.bincount(numbers, minlength=classes),
        probabilities=(by_class @ millionths).astype(np.int64),
        squares=squares.astype(np.int64),
        confidence=np.bincount(numbers * STEPS + steps, minlength=classes * STEPS).reshape(classes, STEPS),
    )


def profile_shard(rows: pa.Table, day: Days, bins: Mapping[Column, Bins], counting: Counting) -> Profile:
    """The profile of the rows of a shard.

    Parameters
    ----------
    rows
        The rows that were answered for, in the schema of `rows_schema`.
    day
        Their day.
    bins
        How columns are counted.
    counting
        Has watched the model answer for them.
    """
    of_rows = {name: each for name, each in bins.items() if name[0] == "rows"}
    of_input, said = counting.told()
    return Profile({**count_columns(rows, of_rows, day), **of_input}, said, rows_a_file(rows))


def rows_a_file(rows: pa.Table) -> np.ndarray:
    """Files by their number of rows; see `Profile`."""
    if not len(rows):
        return np.zeros(FILE_SIZES, np.int64)
    times = np.bincount(rows["file"].combine_chunks().indices.to_numpy())
    return count_sizes(times[times > 0])


def count_sizes(rows: np.ndarray) -> np.ndarray:
    """Numbers of rows by powers of two, int64 of shape `(FILE_SIZES,)`."""
    # exact, as a logarithm is not: a number is m * 2**e with m of at least 1/2
    return np.bincount(np.minimum(np.frexp(rows.astype(np.float64))[1] - 1, FILE_SIZES - 1), minlength=FILE_SIZES)


def entries(profile: Profile, accounts: pa.ChunkedArray, reference: str) -> pa.Table:
    """The rows of the table `profiles` that a shard writes.

    Parameters
    ----------
    profile
        What was counted.
    accounts
        The account of every row.
    reference
        SHA-256 of the reference by whose bins it was counted.
    """
    hashes = hash_accounts(accounts)
    beside = [
        entry_table(REFERENCE, reference, np.ones(1, np.int64)),
        entry_table(ACCOUNTS, "", hashes),
    ]
    return pa.concat_tables([profile.to_table(), *beside])


def entry_table(source: str, key: str, numbers: np.ndarray) -> pa.Table:
    """Rows of `profiles` that differ in their number alone."""
    told = {"source": source, "column": "", "what": source, "key": key, "number": pa.array(numbers), "value": None}
    arrays = [
        value if isinstance(value, pa.Array) else pa.repeat(pa.scalar(value, each.type), len(numbers))
        for value, each in zip(told.values(), PROFILES, strict=True)
    ]
    return pa.table(arrays, schema=PROFILES)


def hash_accounts(accounts: pa.ChunkedArray) -> np.ndarray:
    """64 bits of BLAKE2b of each distinct account, int64 of shape `(accounts,)`, rising.

    Of 3 million accounts, two have the same with a chance of one in four million.
    """
    names = as_text(pa.chunked_array([accounts.unify_dictionaries().combine_chunks().unique()])).drop_null()
    hashes = [hashlib.blake2b(name, digest_size=8).digest() for name in names.cast(pa.binary()).to_pylist()]
    return np.unique(np.frombuffer(b"".join(hashes), np.int64))
