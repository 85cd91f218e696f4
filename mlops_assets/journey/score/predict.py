"""In: rows and models. Out: what each model answers for every row. It knows no storage: whoever has rows may ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from mlops_assets.journey.enrich.answers import NOTHING
from mlops_assets.journey.features.shard import compute
from mlops_assets.journey.model.model import Model
from mlops_assets.use_case import UseCase


class Answers:
    """What one model says of the rows of a shard, in their order.

    Attributes
    ----------
    model
        The model.
    numbers
        Numbers of the predicted classes.
    probabilities
        Probability of that class.
    unseen
        How many values of each category were unseen in training.
    """

    def __init__(self, model: Model, rows: int) -> None:
        self.model = model
        # whole arrays, filled by positions: the batches of the SQL come in no order
        self.numbers = np.zeros(rows, np.int32)
        self.probabilities = np.zeros(rows, np.float32)
        self.unseen: Counter[str] = Counter()

    def add(self, batch: pa.Table, positions: np.ndarray) -> None:
        """Answer for a batch of the model's input, whose rows have these positions."""
        matrix = self.model.matrix(batch)
        probabilities = self.model.probabilities(matrix)
        numbers = self.model.decide(probabilities)
        self.numbers[positions] = numbers
        self.probabilities[positions] = probabilities[np.arange(len(numbers)), numbers]
        self.unseen.update(self.model.unseen(batch, matrix))

    def labels(self) -> pa.DictionaryArray:
        """The predicted labels."""
        return pa.DictionaryArray.from_arrays(pa.array(self.numbers), pa.array(self.model.classes, pa.string()))


def predict(
    models: Sequence[Model],
    rows: pa.Table,
    day: str,
    use_case: UseCase,
    stored: Callable[[str], pa.Table | None] = lambda _: None,
    enriched: Mapping[str, pa.Table] = NOTHING,
) -> list[Answers]:
    """What each model says of every row; models with the same SQL share their features.

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
    """
    answers = [Answers(model, rows.num_rows) for model in models]
    for sql in dict.fromkeys(model.sql for model in models):
        # SQL is half of the work: a challenger with the champion's SQL costs its own model alone
        sharing = [answer for answer in answers if answer.model.sql == sql]
        for batch, positions in compute(rows, day, use_case, sql, stored(sql), enriched):
            for answer in sharing:
                answer.add(batch, positions)
    return answers
