"""In: published predictions of some days. Out: the columns of them that somebody asks for, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from mlops_assets.errors import UsageError
from mlops_assets.journey.score.vectors import OF_CLASS, as_columns, as_maps, classes_of, stored_schema
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.catalog import PROBABILITIES
from mlops_assets.storage.tables import Published, Table
from mlops_assets.views.paging import Only


@dataclass(frozen=True)
class Wanted:
    """What somebody wants to see of predictions.

    Attributes
    ----------
    probabilities
        Whether those of all classes are wanted.
    chosen
        The columns in order, each as `COLUMN` or `NAME=COLUMN`; empty for all.
    apart
        Whether each class has a column of its own, `probability_CLASS`; otherwise one column has them by their names.
    """

    probabilities: bool = False
    chosen: Sequence[str] = ()
    apart: bool = True

    @property
    def vectors(self) -> bool:
        """Whether more is wanted than every day has."""
        named = (column for text in self.chosen for column in (text, text.partition("=")[2]))
        return self.probabilities or any(column.startswith(OF_CLASS) for column in named)


def read_predictions(
    use_case: str,
    table: Table[PredictionsAccounting],
    days: Mapping[str, Published[PredictionsAccounting]],
    wanted: Wanted,
    *,
    earlier: bool = False,
    only: Only | None = None,
) -> pa.RecordBatchReader:
    """Read predictions, a batch at a time.

    Parameters
    ----------
    use_case
        Name of the use case.
    table
        Its table.
    days
        The days, each with its publication.
    wanted
        What is wanted of them.
    earlier
        Whether they are read as these publications had them; as they are now otherwise.
    only
        Which rows are wanted; all by default.

    Raises
    ------
    NotKept
        If probabilities are wanted of a day that has none.
    UsageError
        If a column is wanted that there is not.
    """
    classes = {day: _classes(use_case, day, published, wanted) for day, published in days.items()}
    every = tuple(dict.fromkeys(name for names in classes.values() for name in names))
    usual = columns_of(table)
    if only is not None:
        see_columns(only, usual)
    stored = [*usual, PROBABILITIES.name] if wanted.vectors else [*usual]

    def batches() -> Iterator[pa.RecordBatch]:
        for day, published in days.items():
            reader = table.read_publication(day, published, stored) if earlier else table.read([day], stored)
            for batch in reader:
                rows = batch if only is None else batch.filter(only.mask(batch))
                yield shaped(rows, classes[day], every, wanted)

    first = next(iter(days))
    # of a day that is there: the types of its columns, read without its rows
    empty = pa.RecordBatch.from_pylist([], table.read([first], stored).schema)
    schema = shaped(empty, every, every, wanted).schema
    return pa.RecordBatchReader.from_batches(schema, batches())


def columns_of(table: Table[PredictionsAccounting]) -> list[str]:
    """The columns that every prediction of a use case has: a label and its probability, or a number and its ends."""
    return ["day", *stored_schema(table).names]


def see_columns(only: Only, columns: Sequence[str]) -> None:
    """See that rows can be chosen by what is asked for.

    Raises
    ------
    UsageError
        If they have no such column: a number has no probability; or if classes are asked for by their size.
    """
    if lacking := [name for name in only.columns if name not in columns]:
        raise UsageError(f"these predictions have no {lacking[0]}; they have {', '.join(columns)}.")
    if "prediction" in {*only.least, *only.most} and "probability" in columns:
        raise UsageError("these predictions are classes, which have no size: ask for a class, or by probability.")


def _classes(use_case: str, day: str, published: Published[PredictionsAccounting], wanted: Wanted) -> tuple[str, ...]:
    return classes_of(use_case, day, published.accounting) if wanted.vectors else ()


def shaped(batch: pa.RecordBatch, classes: Sequence[str], every: Sequence[str], wanted: Wanted) -> pa.RecordBatch:
    """The columns of a batch that are wanted, under the names that they shall have.

    Parameters
    ----------
    batch
        Rows of one day, as they are stored.
    classes
        The classes of that day.
    every
        Those of all days.
    wanted
        What is wanted.
    """
    columns = {name: batch[name] for name in batch.schema.names if name != PROBABILITIES.name}
    if wanted.vectors and (wanted.apart or wanted.chosen):
        theirs = as_columns(batch[PROBABILITIES.name], classes)
        # another day may have had another model, with further classes
        lacking = pa.nulls(len(batch), pa.float32())
        columns |= {OF_CLASS + name: theirs.get(OF_CLASS + name, lacking) for name in every}
    elif wanted.vectors:
        columns[PROBABILITIES.name] = as_maps(batch[PROBABILITIES.name], classes)
    if not wanted.chosen:
        return pa.RecordBatch.from_pydict(columns)
    chosen = _chosen(wanted.chosen, columns)
    return pa.RecordBatch.from_arrays([columns[column] for column in chosen.values()], [*chosen])


def _chosen(texts: Sequence[str], columns: Mapping[str, object]) -> dict[str, str]:
    """The names that columns shall have, each with its column."""
    chosen: dict[str, str] = {}
    for text in texts:
        name, sign, column = text.partition("=")
        # the name of a class may have any sign
        if not sign or text in columns:
            name, column = text, text
        if column not in columns:
            raise UsageError(f"--column: there is no column {column!r}; there are: {', '.join(columns)}.")
        if name in chosen:
            raise UsageError(f"--column: two columns would have the name {name!r}.")
        chosen[name] = column
    return chosen
