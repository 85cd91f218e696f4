"""A forest: rows go down its trees over flat arrays, compiled (`descent`) or by numpy, a level at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlops_assets.journey.model.scorer import descent

BLOCK = 512
"""Rows that go down together: what a level needs of them stays near."""

DEEPEST = 60
"""Levels of a tree: of deeper ones, most rows wait for a few."""

PLAIN_LEVELS = 10
"""Levels that all rows go down; below them, only those that have not come to a leaf."""

STRIDE = 4
"""Levels after which it is looked for rows that have come to a leaf."""


@dataclass(frozen=True)
class Trees:
    """The trees of a forest, one after the other; of each its nodes, level by level.

    Attributes
    ----------
    left
        By node, the number of its left child among all nodes; the right child follows it. -1 of a leaf.
    column
        By node, which column is asked for; 0 of a leaf.
    threshold
        By node, as float32: rows with at most this go left.
    missing_left
        By node, whether rows go left in which the column is missing.
    values
        What the leaves say, a row a leaf, in their order.
    roots
        Number of the first node of each tree.
    takes_missing
        Whether it was fitted to take rows with a missing number.
    """

    left: np.ndarray
    column: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    values: np.ndarray
    roots: np.ndarray
    takes_missing: bool

    @cached_property
    def _right(self) -> np.ndarray:
        # of a leaf the next node, from which the comparison that always holds leads back
        return np.where(self.left < 0, np.arange(len(self.left)), self.left).astype(np.int64) + 1

    @cached_property
    def _threshold(self) -> np.ndarray:
        # a missing number stands as plus or minus infinity, which passes no threshold but that of a leaf, or all
        largest = np.minimum(self.threshold, np.finfo(np.float32).max)
        return np.where(self.left < 0, np.float32(np.inf), largest)

    @cached_property
    def _says(self) -> np.ndarray:
        says = np.zeros((len(self.left), self.values.shape[1]))
        says[self.left < 0] = self.values
        return says

    @cached_property
    def depth(self) -> int:
        """Levels below the roots; no more than one above `DEEPEST` are counted."""
        depth, level = 0, self.roots
        while depth <= DEEPEST and len(level := self.left[level][self.left[level] >= 0]):
            level, depth = np.concatenate([level, level + 1]), depth + 1
        return depth

    @cached_property
    def _nodes(self) -> np.ndarray:
        """The nodes as `descent` takes them, but for their columns, which hang on what is missing."""
        nodes = np.empty(len(self.left), descent.NODE)
        leaf = self.left < 0
        nodes["threshold"], nodes["right"] = self._threshold, self._right
        nodes["leaf"] = np.where(leaf, np.cumsum(leaf) - 1, -1)
        return nodes

    def ask(self, columns: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """The mean of what the trees say of some rows.

        Parameters
        ----------
        columns
            float32, one row a column; a missing number is infinity.
        missing
            The numbers of the columns that stand in `columns` once more behind the others, in this order, where a
            missing number is minus infinity.
        """
        twin = np.arange(len(columns) - len(missing))
        twin[missing] = len(twin) + np.arange(len(missing))
        column = np.where(self.missing_left, twin[self.column], self.column).astype(np.int64)
        if (function := descent.compiled()) is not None:
            nodes = self._nodes.copy()
            nodes["column"] = column
            return descent.mean_of_leaves(function, columns, nodes, self.roots.astype(np.int32), self.values)
        return self._mean_of_leaves(np.ascontiguousarray(columns.T), column)

    def _mean_of_leaves(self, matrix: np.ndarray, column: np.ndarray) -> np.ndarray:
        said = np.zeros((len(matrix), self.values.shape[1]))
        for start in range(0, len(matrix), BLOCK):
            part = slice(start, start + BLOCK)
            self._add(self._leaves(matrix[part], column), said[part])
        said /= len(self.roots)
        return said

    def _leaves(self, matrix: np.ndarray, column: np.ndarray) -> np.ndarray:
        """The leaves that rows come to, a row a tree."""
        rows, width = matrix.shape
        trees = len(self.roots)
        nodes = np.repeat(self.roots.astype(np.int64), rows)
        flat = matrix.reshape(-1)
        begins = np.tile(np.arange(0, rows * width, width), trees)
        self._descend(flat, begins, nodes, column, min(self.depth, PLAIN_LEVELS))
        for _ in range(PLAIN_LEVELS, self.depth, STRIDE):
            on = np.flatnonzero(self.left[nodes] >= 0)
            some = nodes[on]
            self._descend(flat, begins[on], some, column, STRIDE)
            nodes[on] = some
        return nodes.reshape(trees, rows)

    def _add(self, leaves: np.ndarray, said: np.ndarray) -> None:
        """Add what leaves say, one tree after the other, in the order in which scikit-learn adds them up."""
        leaf = np.empty(said.shape)
        for of_tree in leaves:
            np.take(self._says, of_tree, axis=0, out=leaf, mode="clip")
            said += leaf

    def _descend(
        self, flat: np.ndarray, begins: np.ndarray, nodes: np.ndarray, column: np.ndarray, levels: int
    ) -> None:
        """Replace nodes by those that their rows come to some levels below."""
        places, value = np.empty(len(nodes), np.int64), np.empty(len(nodes), np.float32)
        threshold, goes_left = np.empty(len(nodes), np.float32), np.empty(len(nodes), bool)
        for _ in range(levels):
            np.take(column, nodes, out=places, mode="clip")
            np.add(places, begins, out=places)
            np.take(flat, places, out=value, mode="clip")
            np.take(self._threshold, nodes, out=threshold, mode="clip")
            np.less_equal(value, threshold, out=goes_left)
            np.take(self._right, nodes, out=places, mode="clip")
            np.subtract(places, goes_left, out=nodes)
