"""What a scorer is made of: the columns of a row as blocks, and what is said of them.

A block is some columns of what the last step of a pipeline sees: numbers of the matrix, or for each value of one column
a row of a table. Each way to say something adds them up as scikit-learn does, in its order, so that the bits are its.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlops_assets.journey.model.scorer.links import IDENTITY, SOFTMAX, blocks, linked, softmax
from mlops_assets.journey.model.scorer.trees import Trees
from mlops_assets.work.lookups import Positions


class Asked(Exception):
    """These rows are for the estimator to judge: it has words for what it does not take."""


@dataclass(frozen=True)
class Impute:
    """Puts a number in the place of a missing one.

    Attributes
    ----------
    fill
        By column, the number.
    """

    fill: np.ndarray

    def __call__(self, matrix: np.ndarray) -> np.ndarray:
        """The same rows without missing numbers."""
        # copied as it lies in memory: on that hangs how a product of matrices adds up
        filled = np.array(matrix)
        np.copyto(filled, self.fill, where=np.isnan(filled))
        return filled


@dataclass(frozen=True)
class Scale:
    """Takes a mean away and divides.

    Attributes
    ----------
    mean, scale
        By column; None where there is nothing to take away, or to divide by.
    """

    mean: np.ndarray | None
    scale: np.ndarray | None

    def __call__(self, matrix: np.ndarray) -> np.ndarray:
        """The same rows, scaled."""
        matrix = matrix if self.mean is None else matrix - self.mean
        return matrix if self.scale is None else matrix / self.scale


@dataclass(frozen=True)
class Numbers:
    """Columns of the matrix.

    Attributes
    ----------
    columns
        Which; None for all of them as they lie.
    then
        What becomes of them, one after the other.
    """

    columns: np.ndarray | None
    then: tuple[Impute | Scale, ...]

    @property
    def width(self) -> int:
        """How many columns; 0 where it takes all of them."""
        return 0 if self.columns is None else len(self.columns)

    def of(self, rows: Rows) -> np.ndarray:
        """These columns of some rows."""
        matrix = rows.matrix if self.columns is None else rows.matrix[:, self.columns.tolist()]
        for step in self.then:
            matrix = step(matrix)
        return matrix


@dataclass(frozen=True)
class Coded:
    """A row of a table for each value of a column.

    Attributes
    ----------
    lookup
        Which lookup of the scorer finds the row.
    table
        A row for each known value, and last that of all others.
    """

    lookup: int
    table: np.ndarray

    @property
    def width(self) -> int:
        """How many columns."""
        return int(self.table.shape[1])

    def of(self, rows: Rows) -> np.ndarray:
        """These columns of some rows."""
        return self.table.take(rows.places(self.lookup), axis=0)


Block = Numbers | Coded


@dataclass(frozen=True)
class Lookup:
    """Where the values of a column stand among known ones.

    Attributes
    ----------
    column
        The column of the matrix.
    known
        The known values.
    """

    column: int
    known: np.ndarray


class Rows:
    """Some rows, with what was looked up of them: each once, whoever asks.

    Parameters
    ----------
    matrix
        What a model sees of them.
    lookups
        The column of each lookup, and how it finds.
    """

    def __init__(self, matrix: np.ndarray, lookups: Sequence[tuple[int, Positions]]) -> None:
        self.matrix = matrix
        self._lookups = lookups
        self._places: dict[int, np.ndarray] = {}

    def places(self, lookup: int) -> np.ndarray:
        """The row of a table for each row: of what is not known the last one."""
        if lookup not in self._places:
            column, positions = self._lookups[lookup]
            self._places[lookup] = positions(self.matrix[:, column])
        return self._places[lookup]


@dataclass(frozen=True)
class Forest:
    """What trees say of blocks side by side.

    Attributes
    ----------
    blocks
        The blocks; their tables are float32, as trees see numbers.
    trees
        The trees.
    """

    blocks: tuple[Block, ...]
    trees: Trees

    def __call__(self, rows: Rows) -> np.ndarray:
        """The mean of what they say."""
        parts = [block.of(rows) for block in self.blocks]
        width = sum(part.shape[1] for part in parts)
        columns = np.empty((width, len(rows.matrix)), np.float32)
        at, missing = 0, []
        for part in parts:
            inside = columns[at : at + part.shape[1]]
            with np.errstate(over="ignore"):
                inside[:] = part.T
            if part.dtype == np.float64:  # tables are float32, and were looked at when they were made
                if np.isinf(inside).any():
                    raise Asked
                missing += [at + number for number in np.flatnonzero(np.isnan(inside).any(axis=1))]
            at += part.shape[1]
        return self._ask(columns, np.array(missing, np.int64))

    def _ask(self, columns: np.ndarray, missing: np.ndarray) -> np.ndarray:
        if len(missing):
            if not self.trees.takes_missing:
                raise Asked
            columns = np.concatenate([columns, columns[missing]])
            for part, stands in ((columns[: -len(missing)], np.inf), (columns[-len(missing) :], -np.inf)):
                np.copyto(part, np.float32(stands), where=np.isnan(part))
        return self.trees.ask(columns, missing)


@dataclass(frozen=True)
class Linear:
    """Sums of columns times coefficients, as a product of matrices.

    Attributes
    ----------
    blocks
        The blocks; one alone is taken as it lies.
    then
        What becomes of the columns side by side.
    coefficients
        By output and column of the blocks; or, where they are `turned`, by column and output.
    turned
        Whether they lie so in memory: on that hangs how a product of matrices adds up.
    intercept
        What is added, by output.
    link
        What makes answers of the sums, one of `LINKS`.
    """

    blocks: tuple[Block, ...]
    then: tuple[Impute | Scale, ...]
    coefficients: np.ndarray
    turned: bool
    intercept: np.ndarray
    link: str

    def __call__(self, rows: Rows) -> np.ndarray:
        """The answers."""
        parts = [block.of(rows) for block in self.blocks]
        matrix = parts[0] if len(parts) == 1 else np.hstack(parts)
        for step in self.then:
            matrix = step(matrix)
        if not np.isfinite(matrix).all():
            raise Asked
        coefficients = self.coefficients if self.turned else self.coefficients.T
        if self.link == IDENTITY:  # a vector, as it is of a regressor: a matrix of one column adds up in another order
            numbers: np.ndarray = matrix @ coefficients[:, 0] + self.intercept
            return numbers[:, None]
        return linked(self.link, matrix @ coefficients + self.intercept)


@dataclass(frozen=True)
class Gathered:
    """The same where the matrix would be sparse: rows of the coefficients are added up, block by block.

    Attributes
    ----------
    blocks
        The blocks, of which the table of one that is coded has the coefficients themselves.
    weights
        For each block of numbers the coefficients of its columns, one row a column.
    intercept, link
        As of `Linear`.
    """

    blocks: tuple[Block, ...]
    weights: tuple[np.ndarray, ...]
    intercept: np.ndarray
    link: str

    def __call__(self, rows: Rows) -> np.ndarray:
        """The answers."""
        terms = self._terms(rows)
        said = np.empty((len(rows.matrix), len(self.intercept)))
        for part in blocks(len(said)):
            sums = self._sums(terms, part)
            said[part] = softmax(sums) if self.link == SOFTMAX else sums
        return said if self.link == SOFTMAX else linked(self.link, said)

    def _terms(self, rows: Rows) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each block a vector of places and a table, or of each of its columns a vector of numbers and a row."""
        terms: list[tuple[np.ndarray, np.ndarray]] = []
        weights = iter(self.weights)
        for block in self.blocks:
            if isinstance(block, Coded):
                terms.append((rows.places(block.lookup), block.table))
                continue
            numbers = block.of(rows)
            if not np.isfinite(numbers).all():
                raise Asked
            terms += [(numbers[:, column], row) for column, row in enumerate(next(weights))]
        return terms

    def _sums(self, terms: Sequence[tuple[np.ndarray, np.ndarray]], part: slice) -> np.ndarray:
        sums = np.zeros((part.stop - part.start, len(self.intercept)))
        for values, table in terms:
            # as the term lies in memory: rows are taken whole, while NumPy multiplies long columns, not rows of a few
            if table.ndim == 2:
                sums = np.ascontiguousarray(sums)
                sums += table.take(values[part], axis=0, mode="clip")
            else:
                sums = np.asfortranarray(sums)
                sums += np.multiply(values[part, None], table, order="F")
        sums += self.intercept
        return sums


@dataclass(frozen=True)
class Vote:
    """The mean of what members say.

    Attributes
    ----------
    members
        The members.
    weights
        What each counts; all alike, if it is None.
    numbers
        Whether they say numbers, and not probabilities.
    """

    members: tuple[Head, ...]
    weights: np.ndarray | None
    numbers: bool

    def __call__(self, rows: Rows) -> np.ndarray:
        """The mean."""
        each = (member(rows) for member in self.members)
        if self.numbers:  # of which scikit-learn has a column a member
            said = np.asarray([*each])
            return np.average(said[:, :, 0].T, axis=1, weights=self.weights)[:, None]
        if self.weights is not None:
            return np.average(np.asarray([*each]), axis=0, weights=self.weights)
        # as `np.average` adds them up, without a copy of each
        total = next(each)
        for one in each:
            total += one
        total /= len(self.members)
        return total


Head = Forest | Linear | Gathered | Vote
"""What says something of rows."""


@dataclass(frozen=True)
class Scorer:
    """What an estimator says, by arrays alone.

    Attributes
    ----------
    width
        How many columns of the matrix it takes.
    classes
        The class numbers in the order of its probabilities; None if it says numbers.
    lookups
        What is looked up.
    head
        What says something of it.
    """

    width: int
    classes: np.ndarray | None
    lookups: tuple[Lookup, ...]
    head: Head

    def __post_init__(self) -> None:
        """Make what finds values, once."""
        # a table has a row more, for all that is not known
        found = [(one.column, Positions(one.known, len(one.known))) for one in self.lookups]
        object.__setattr__(self, "_found", found)

    @property
    def classes_(self) -> np.ndarray:
        """The class numbers, by scikit-learn's name."""
        return np.asarray(self.classes)

    def fits(self, columns: int, labels: int) -> bool:
        """Whether it is one for a model of so many columns and labels; of none if that says numbers."""
        known = 0 if self.classes is None else int(self.classes.max()) + 1
        return self.width == columns and known <= labels and bool(known) == bool(labels)

    def ask(self, matrix: np.ndarray) -> np.ndarray:
        """What `predict_proba` of the estimator says of some rows, or its `predict` if it says numbers.

        Raises
        ------
        Asked
            If these are rows for the estimator: texts, infinities, none at all, or a missing number that it does not
            take.
        """
        if matrix.dtype != np.float64 or not len(matrix) or matrix.shape[1] != self.width or np.isinf(matrix).any():
            raise Asked
        found: list[tuple[int, Positions]] = vars(self)["_found"]
        said = self.head(Rows(matrix, found))
        return said if self.classes is not None else said[:, 0]
