"""In: the probabilities that a model gives every class. Out: a column of them, and the ways to read it.

A row of the column `probabilities` is a list in the order of the classes, which the accounting of the day names, and a
class whose probability is not kept is null. Values are rounded to 1/65,536, which halves their bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from mlops_assets.errors import LakeError, MlopsError
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.task import NUMBERS
from mlops_assets.journey.score.predict import Answers, Witnesses, nobody
from mlops_assets.storage.accounting import ChallengerAccounting, PredictionsAccounting
from mlops_assets.storage.catalog import PREDICTIONS, PROBABILITIES
from mlops_assets.storage.tables import Published, Table
from mlops_assets.use_case import Scoring, UseCase
from mlops_assets.work.shards import Report

STEPS = 65_536
"""Probabilities are kept as multiples of one through this: a power of two, so that a float32 holds each of them."""

OF_CLASS = "probability_"
"""What the column of one class begins with, where each class has one."""

Answered = PredictionsAccounting | ChallengerAccounting
"""What is told of a day of predictions."""


class NotKept(MlopsError):
    """Of a day the probabilities of the said classes alone are stored."""


class Vectors:
    """A witness that keeps the probabilities of a shard.

    Parameters
    ----------
    classes
        The classes of the model.
    rows
        Number of rows.
    most
        Of how many classes a row keeps the probability, the likeliest; None for all. Of equal ones the first is kept.
    """

    def __init__(self, classes: Sequence[str], rows: int, most: int | None) -> None:
        self.classes = tuple(classes)
        self.most = most
        self.values = np.full((rows, len(self.classes)), np.nan, np.float32)

    def see(
        self,
        batch: pa.Table,  # noqa: ARG002 - every witness is shown all
        matrix: np.ndarray,  # noqa: ARG002
        probabilities: np.ndarray,
        numbers: np.ndarray,  # noqa: ARG002
        positions: np.ndarray,
    ) -> None:
        """Keep the probabilities of a batch; see `predict.Witness`. Of numbers there are none."""
        if not self.classes:
            return
        kept = np.round(probabilities * STEPS) / STEPS
        if self.most is not None:
            others = np.argsort(-probabilities, axis=1, kind="stable")[:, self.most :]
            np.put_along_axis(kept, others, np.nan, axis=1)
        self.values[positions] = kept

    def column(self) -> pa.ListArray:
        """The column `probabilities` of the rows."""
        ends = np.arange(len(self.values) + 1, dtype=np.int32) * len(self.classes)
        return pa.ListArray.from_arrays(pa.array(ends), pa.array(self.values.reshape(-1), from_pandas=True))


def keepers(scoring: Scoring) -> Witnesses:
    """Who keeps the probabilities, one for each model; nobody, where the use case does not want them."""
    if scoring.most == 0:
        return nobody

    def keeper(model: Model, rows: int) -> Sequence[Vectors]:
        return (Vectors(model.classes, rows, scoring.most),)

    return keeper


def vectors_of(answers: Answers) -> Vectors | None:
    """The probabilities that were kept of what a model says."""
    return next((witness for witness in answers.witnesses if isinstance(witness, Vectors)), None)


def predictions_of(answers: Answers, rows: pa.Table, use_case: UseCase, version: int) -> pa.Table:
    """What a model says of rows, as rows of the table `predictions`."""
    account = rows[use_case.account]
    columns = [
        # no row, no dictionary to take over
        rows["file"].combine_chunks() if rows.num_rows else pa.array([], PREDICTIONS.field("file").type),
        rows["line"],
        account if pa.types.is_dictionary(account.type) else account.cast(pa.string()).dictionary_encode(),
        answers.predicted(),
        *answers.sure(),
        pa.array(np.full(rows.num_rows, version, np.int32)),
    ]
    table, vectors = pa.table(columns, schema=answers.model.task.schema), vectors_of(answers)
    return table if vectors is None else table.append_column(PROBABILITIES, vectors.column())


def schema_of(use_case: UseCase) -> pa.Schema:
    """The columns of the predictions of a use case."""
    if use_case.training.says_numbers:
        return NUMBERS
    return PREDICTIONS if use_case.scoring.most == 0 else PREDICTIONS.append(PROBABILITIES)


def stored_schema(table: Table[Any]) -> pa.Schema:
    """The columns that the predictions of a use case have in its lake, without lists of probabilities."""
    return NUMBERS if "low" in table.read_parts([]).schema.names else PREDICTIONS


def notes_of(answers: Sequence[Answers], *tables: Table[Any]) -> dict[str, Any]:
    """What a shard notes of the probabilities that it keeps: their classes, by table; nothing where it keeps none."""
    kept = zip(tables, map(vectors_of, answers), strict=False)
    classes = {table.name: vectors.classes for table, vectors in kept if vectors is not None}
    return {"classes": classes} if classes else {}


def classes_told(reports: Sequence[Report], table: Table[Any]) -> tuple[str, ...]:
    """The classes that the shards of a day noted for a table; none where they keep no probabilities."""
    told = (report.notes.get("classes", {}) for report in reports)
    return next((tuple(classes[table.name]) for classes in told if table.name in classes), ())


def classes_of(use_case: str, day: str, accounting: Answered) -> tuple[str, ...]:
    """The classes of a published day, in the order of its probabilities.

    Raises
    ------
    NotKept
        If the probabilities of the said classes alone are stored.
    """
    if accounting.classes:
        return tuple(accounting.classes)
    raise NotKept(
        f"Of {day} the probabilities of the said classes alone are stored: `scoring: {{probabilities: all}}` in the "
        f"defs.yaml of {use_case} keeps those of all classes, of each day that is run from then on; then "
        f"`mlops-assets run {use_case} --from {day} --to {day}`."
    )


def read_vectors(
    use_case: str,
    table: Table[PredictionsAccounting] | Table[ChallengerAccounting],
    day: str,
    columns: Sequence[str],
) -> tuple[tuple[str, ...], Iterator[tuple[pa.RecordBatch, np.ndarray]]]:
    """The probabilities of a published day, a batch of rows at a time.

    Parameters
    ----------
    use_case, day
        Name of the use case, and the day.
    table
        `predictions` or `challenger_predictions`.
    columns
        Further columns to read.

    Returns
    -------
    tuple
        The classes; and the batches, each with an array of one row a row and one column a class. What was not kept is
        NaN.

    Raises
    ------
    NotKept
        If the day has none.
    """
    published: Published[PredictionsAccounting] | Published[ChallengerAccounting] = table.days()[day]
    classes = classes_of(use_case, day, published.accounting)
    reader = table.read([day], [*columns, PROBABILITIES.name])
    return classes, ((batch, as_array(batch[PROBABILITIES.name], classes)) for batch in reader)


def as_array(column: pa.Array, classes: Sequence[str]) -> np.ndarray:
    """A column of probabilities as an array of one row a row and one column a class; what was not kept is NaN.

    Raises
    ------
    LakeError
        If it has not one value for each class in each row.
    """
    values = column.flatten().to_numpy(zero_copy_only=False)
    if column.null_count or len(values) != len(column) * len(classes):
        raise LakeError("the probabilities of a day are not those of its classes; run the day again.")
    return np.asarray(values, np.float32).reshape(len(column), len(classes))


def as_maps(column: pa.Array, classes: Sequence[str]) -> pa.MapArray:
    """A column of probabilities as one of maps: class and probability, of those that were kept."""
    values = as_array(column, classes)
    kept = ~np.isnan(values)
    ends = np.concatenate([[0], kept.sum(axis=1).cumsum()]).astype(np.int32)
    names = pa.DictionaryArray.from_arrays(
        pa.array(np.nonzero(kept)[1].astype(np.int32)), pa.array(classes, pa.string())
    )
    return pa.MapArray.from_arrays(pa.array(ends), names.cast(pa.string()), pa.array(values[kept]))


def as_columns(column: pa.Array, classes: Sequence[str]) -> dict[str, pa.Array]:
    """A column of probabilities as one column for each class, `probability_CLASS`."""
    values = as_array(column, classes)
    return {OF_CLASS + name: pa.array(values[:, number], from_pandas=True) for number, name in enumerate(classes)}
