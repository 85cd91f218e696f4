"""In: rows and models. Out: what each model answers for every row. It knows no storage: whoever has rows may ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa

from mlops_assets.errors.redaction import redacted
from mlops_assets.journey.enrich.answers import NOTHING
from mlops_assets.journey.features.blame import Blamed, RowsFailed, leave_out
from mlops_assets.journey.features.shard import compute
from mlops_assets.journey.model.model import Model
from mlops_assets.use_case import UseCase


class Witness(Protocol):
    """Is shown what a model sees and says, beside the answers; a batch at a time, and in no order."""

    def see(
        self, batch: pa.Table, matrix: np.ndarray, probabilities: np.ndarray, numbers: np.ndarray, positions: np.ndarray
    ) -> None:
        """Take note of a batch; see `task` for what is said, decided and beside it.

        Parameters
        ----------
        batch
            The model's input.
        matrix
            The same, as the estimator sees it.
        probabilities
            What is said, one row a row: the probability of every class, or the number and its interval.
        numbers
            What is decided: numbers of classes, or the numbers.
        positions
            Which rows of the shard they are.
        """
        ...


Witnesses = Callable[[Model, int], Sequence[Witness]]
"""Who watches a model answer that many rows; asked again where it answers anew, so that no row is seen twice."""


def nobody(_model: Model, _rows: int) -> Sequence[Witness]:
    """No witnesses."""
    return ()


def together(*some: Witnesses) -> Witnesses:
    """All of them."""

    def witnesses(model: Model, rows: int) -> Sequence[Witness]:
        return [witness for each in some for witness in each(model, rows)]

    return witnesses


class Answers:
    """What one model says of the rows of a shard, in their order.

    Attributes
    ----------
    model
        The model.
    numbers
        What was decided: the number of the predicted class, or the predicted number.
    beside
        What stands beside it by its column: `probability` of that class, or `low` and `high` around that number.
    unseen
        How many values of each category were unseen in training.
    too_large
        How many numbers of each column were beyond what an estimator takes.
    witnesses
        Who watched.
    """

    def __init__(self, model: Model, rows: int, witnesses: Witnesses = nobody) -> None:
        self.model = model
        self.witnesses = witnesses(model, rows)
        # whole arrays, filled by positions: the batches of the SQL come in no order
        self.numbers = np.zeros(rows, model.task.answer)
        self.beside = {name: np.zeros(rows, kind) for name, kind in model.task.beside.items()}
        self.unseen: Counter[str] = Counter()
        self.too_large: Counter[str] = Counter()

    def add(self, batch: pa.Table, positions: np.ndarray) -> None:
        """Answer for a batch of the model's input, whose rows have these positions.

        Raises
        ------
        RowsFailed
            If the model fails on them.
        """
        matrix = self.model.matrix(batch, self.too_large)
        try:
            probabilities = self.model.probabilities(matrix)
        except (ValueError, ArithmeticError) as error:  # scikit-learn's words for a value that it does not take
            reason = f"{type(error).__name__}: {redacted(str(error)).partition(chr(10))[0]}"
            raise RowsFailed(f"the model fails: {reason}", "model", reason) from None
        numbers = self.model.decide(probabilities)
        self.numbers[positions] = numbers
        for name, values in self.model.task.sure(probabilities, numbers).items():
            self.beside[name][positions] = values
        self.unseen.update(self.model.unseen(batch, matrix))
        for witness in self.witnesses:
            witness.see(batch, matrix, probabilities, numbers, positions)

    def predicted(self) -> pa.Array:
        """The column `prediction`: labels, or numbers."""
        return self.model.task.column(self.numbers)

    def sure(self) -> list[pa.Array]:
        """The columns of `beside`; what is not known is null."""
        return [pa.array(values, from_pandas=True) for values in self.beside.values()]


@dataclass(frozen=True)
class Predicted:
    """What models say of the rows of a shard.

    Attributes
    ----------
    rows
        The rows that were answered for: all, without those on which SQL or a model fails.
    answers
        What each model says of them.
    left_out
        The others.
    """

    rows: pa.Table
    answers: list[Answers]
    left_out: list[Blamed] = field(default_factory=list)


def predict(
    models: Sequence[Model],
    rows: pa.Table,
    day: str,
    use_case: UseCase,
    stored: Callable[[str], pa.Table | None] = lambda _: None,
    enriched: Mapping[str, pa.Table] = NOTHING,
    witnesses: Witnesses = nobody,
) -> Predicted:
    """What each model says of every row; models with the same SQL share their features.

    A row on which the SQL or a model fails is left out of all if `checks.sql_rejects` allows it.

    Parameters
    ----------
    models
        The models; the SQL of each makes its input.
    rows
        Rows of one shard in the schema of `rows_schema`.
    day
        Their day.
    use_case
        The use case.
    stored
        The stored aggregates of these files by an SQL, if there are any.
    enriched
        The answers of enrichments for the keys of these rows, by name.
    witnesses
        Who watches each model.

    Raises
    ------
    RowsFailed
        If SQL or a model fail on rows that may not be left out; the first is named by file and line.
    """

    def run(some: pa.Table) -> list[Answers]:
        # by the views alone: stored aggregates are those of files with all their rows
        return answer(models, some, day, use_case, enriched=enriched, witnesses=witnesses)

    try:
        return Predicted(rows, answer(models, rows, day, use_case, stored, enriched, witnesses))
    except RowsFailed:
        kept, left_out = leave_out(rows, day, use_case, run)
        return Predicted(kept, run(kept), left_out)


def answer(
    models: Sequence[Model],
    rows: pa.Table,
    day: str,
    use_case: UseCase,
    stored: Callable[[str], pa.Table | None] = lambda _: None,
    enriched: Mapping[str, pa.Table] = NOTHING,
    witnesses: Witnesses = nobody,
) -> list[Answers]:
    """What each model says of every row; parameters and errors as of `predict`, but that no row is left out."""
    answers = [Answers(model, rows.num_rows, witnesses) for model in models]
    for sql in dict.fromkeys(model.sql for model in models):
        # SQL is half of the work: a challenger with the champion's SQL costs its own model alone
        sharing = [each for each in answers if each.model.sql == sql]
        for batch, positions in compute(rows, day, use_case, sql, stored(sql), enriched, coded=True):
            for each in sharing:
                each.add(batch, positions)
    return answers
