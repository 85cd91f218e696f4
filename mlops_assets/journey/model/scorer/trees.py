"""A forest: rows go down all trees in lock-step, a level at a time, over flat arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

BLOCK = 512
"""Rows that go down together: what a level needs of them stays near."""

DEEPEST = 60
"""Levels of a tree: of deeper ones, most rows wait for a few."""

PLAIN_LEVELS = 10
"""Levels that all rows go down; below them, only those that have not come to a leaf."""

TOP = 5
"""Levels that many rows go down by comparing whole columns; they make the bits of one byte."""

MANY = 4000
"""Rows from which on that pays."""

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
    def _tops(self) -> list[tuple[list[np.ndarray], np.ndarray]]:
        """Of each tree the nodes of its first `TOP` levels, as if none was a leaf, and the nodes below these."""
        tops = []
        for root in self.roots:
            levels, level = [], np.array([root])
            for _ in range(TOP):
                levels.append(level)
                left = self.left[level]
                # whoever is at a leaf stays, left or right
                level = np.stack([np.where(left < 0, level, left + 1), np.where(left < 0, level, left)], axis=1).ravel()
            tops.append((levels, level.astype(np.int64)))
        return tops

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
        rows = columns.shape[1]
        matrix = np.ascontiguousarray(columns.T)
        nodes = np.empty((len(self.roots), rows), np.int64)
        above = 0
        if rows >= MANY and self.depth >= TOP:
            above = TOP
            for number, top in enumerate(self._tops):
                nodes[number] = self._below_top(columns, column, *top)
        else:
            nodes[:] = self.roots[:, None]
        said = np.zeros((rows, self.values.shape[1]))
        for start in range(0, rows, BLOCK):
            part = slice(start, min(start + BLOCK, rows))
            self._add(matrix[part], column, nodes[:, part].reshape(-1), self.depth - above, said[part])
        said /= len(self.roots)
        return said

    def _below_top(
        self, columns: np.ndarray, column: np.ndarray, levels: list[np.ndarray], below: np.ndarray
    ) -> np.ndarray:
        """The node of each row below the first levels of a tree.

        Each of their nodes is compared for all rows at once, and the comparisons that do not count are left out by
        logic alone: that is several times as fast as to look up for each row which node is its next.
        """
        place = np.zeros(columns.shape[1], np.uint8)
        went: list[np.ndarray] = []
        for level in levels:
            goes_left = [columns[column[node]] <= self._threshold[node] for node in level.tolist()]
            for left in went:
                # the first half is right of a node above, the second one left of it: what holds where the row went
                half = len(goes_left) // 2
                pairs = zip(goes_left[:half], goes_left[half:], strict=True)
                goes_left = [right ^ (left & (right ^ other)) for right, other in pairs]
            went += goes_left
            place <<= 1
            place |= went[-1].view(np.uint8)
        return below.take(place)

    def _add(self, matrix: np.ndarray, column: np.ndarray, nodes: np.ndarray, levels: int, said: np.ndarray) -> None:
        rows, width = matrix.shape
        trees = len(self.roots)
        flat = matrix.reshape(-1)
        begins = np.tile(np.arange(0, rows * width, width), trees)
        self._descend(flat, begins, nodes, column, min(levels, PLAIN_LEVELS))
        for _ in range(PLAIN_LEVELS, levels, STRIDE):
            on = np.flatnonzero(self.left[nodes] >= 0)
            some = nodes[on]
            self._descend(flat, begins[on], some, column, STRIDE)
            nodes[on] = some
        leaf = np.empty(said.shape)
        for of_tree in nodes.reshape(trees, rows):
            # one tree after the other, in the order in which scikit-learn adds them up
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
