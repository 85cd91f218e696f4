"""Whether the parts of a scorer fit together, seen before anything of it is asked.

NumPy follows no index beyond an array, but a tree could be endless, and what does not fit would say anything.
"""

from __future__ import annotations

import numpy as np

from mlops_assets.journey.model.scorer.links import IDENTITY, LINKS, SIGMOID
from mlops_assets.journey.model.scorer.steps import (
    Block,
    Coded,
    Forest,
    Gathered,
    Head,
    Impute,
    Linear,
    Numbers,
    Scale,
    Scorer,
    Vote,
)
from mlops_assets.journey.model.scorer.trees import DEEPEST, Trees
from mlops_assets.journey.model.structure.parts import LARGEST_WIDTH, Part


def check_scorer(scorer: Scorer, columns: int, classes: int) -> None:
    """See that a scorer fits together.

    Parameters
    ----------
    scorer
        The scorer.
    columns, classes
        How many its model has; no classes of one that says numbers.

    Raises
    ------
    Malformed
        If it does not.
    """
    part = _part(scorer, "scorer")
    part.whole("width", 1)
    part.need(scorer.width == columns, f"it takes {scorer.width} columns, its model has {columns}")
    outputs = 1
    if classes:
        known = part.array("classes", None, kinds="i", within=(0, classes))
        part.need(len(known) and (np.diff(known) > 0).all(), "its classes are not in order, or one comes twice")
        outputs = len(known)
    else:
        part.need(scorer.classes is None, "it says classes, its model has numbers")
    for number, lookup in enumerate(scorer.lookups):
        one = _part(lookup, f"lookups[{number}]")
        one.whole("column", 0, columns - 1)
        one.array("known", None, finite=False)
        one.need(lookup.known.dtype == np.float64 and len(lookup.known), "known are no float64, or none")
    _Check(scorer).head(scorer.head, outputs, classes > 0)


def _part(thing: object, where: str) -> Part:
    return Part(None, thing, where, None)


class _Check:
    def __init__(self, scorer: Scorer) -> None:
        self._columns = scorer.width
        self._known = [len(one.known) for one in scorer.lookups]

    def head(self, head: Head, outputs: int, says_classes: bool) -> None:
        """See to what says something, and that it says so many numbers of a row."""
        part = _part(head, type(head).__name__.lower())
        if isinstance(head, Vote):
            part.need(head.members, "it has no members")
            part.choice("numbers", (not says_classes,))
            if head.weights is not None:
                weights = part.array("weights", len(head.members))
                part.need((weights >= 0).all() and weights.sum() > 0, "weights are none")
            for member in head.members:
                self.head(member, outputs, says_classes)
            return
        part.need(head.blocks, "it has no blocks")
        if isinstance(head, Forest):
            self._forest(head, outputs)
            return
        sums = 1 if says_classes and outputs == 2 else outputs
        part.choice("link", LINKS)
        fits = (head.link == IDENTITY) is not says_classes and (head.link == SIGMOID) is (says_classes and outputs == 2)
        part.need(fits, f"what it makes of its sums is {head.link}, and it says {outputs} numbers")
        part.array("intercept", sums)
        part.need(head.intercept.dtype == np.float64, "intercept is no float64")
        if isinstance(head, Linear):
            width = self._blocks(head.blocks, np.float64)
            self._elementwise(head.then, width)
            part.choice("turned", (False, True))
            part.array("coefficients", *((width, sums) if head.turned else (sums, width)))
        else:
            self._gathered(head, part, sums)

    def _gathered(self, head: Gathered, part: Part, sums: int) -> None:
        numbers = [block for block in head.blocks if isinstance(block, Numbers)]
        part.need(len(head.weights) == len(numbers), "weights are not those of its numbers")
        self._blocks(head.blocks, np.float64)
        for block in head.blocks:
            if isinstance(block, Coded):
                part.need(block.width == sums, f"a table makes {block.width} sums of {sums}")
        for block, weights in zip(numbers, head.weights, strict=True):
            part.see_array(weights, "weights", self._width(block), sums)

    def _forest(self, head: Forest, outputs: int) -> None:
        width = self._blocks(head.blocks, np.float32)
        check_trees(head.trees, width, outputs)

    def _width(self, block: Block) -> int:
        return self._columns if isinstance(block, Numbers) and block.columns is None else block.width

    def _blocks(self, blocks: tuple[Block, ...], tables: type) -> int:
        """See to blocks; returns how many columns they make together."""
        for number, block in enumerate(blocks):
            part = _part(block, f"blocks[{number}]")
            if isinstance(block, Coded):
                part.whole("lookup", 0, len(self._known) - 1)
                table = part.array("table", self._known[block.lookup] + 1, None)
                part.need(table.dtype == tables and table.shape[1], f"table is of {table.dtype} {table.shape}")
                continue
            if block.columns is not None:
                part.array("columns", None, kinds="i", within=(0, self._columns))
                part.need(len(block.columns), "columns are none")
            self._elementwise(block.then, self._width(block))
        return sum(map(self._width, blocks))

    def _elementwise(self, then: tuple[Impute | Scale, ...], width: int) -> None:
        for step in then:
            part = _part(step, type(step).__name__.lower())
            for name, value in vars(step).items():
                if value is not None:
                    part.array(name, width)


def check_trees(trees: Trees, width: int, outputs: int) -> None:
    """See to the nodes of all trees: each way down comes to a leaf.

    Parameters
    ----------
    trees
        The trees.
    width
        How many columns they are handed.
    outputs
        How many numbers a leaf says.

    Raises
    ------
    Malformed
        If one does not.
    """
    part = _part(trees, "trees")
    left = part.array("left", None, kinds="i")
    count = len(left)
    part.need(0 < count <= LARGEST_WIDTH, f"{count} nodes")
    roots = part.array("roots", None, kinds="i", within=(0, count)).astype(np.int64)
    part.need(len(roots) and roots[0] == 0 and (np.diff(roots) > 0).all(), "roots are not in order")
    part.array("column", count, kinds="i", within=(0, width))
    threshold = part.array("threshold", count, finite=False)
    part.need(threshold.dtype == np.float32 and not np.isnan(threshold).any(), "a threshold is no float32")
    part.array("missing_left", count, kinds="b")
    part.choice("takes_missing", (False, True))
    inner = np.flatnonzero(left >= 0)
    part.need((left >= -1).all(), "a node is the child of none")
    part.array("values", count - len(inner), outputs)
    part.need(trees.values.dtype == np.float64, "values are no float64")
    # children stand behind their parent, in the same tree, and each node but a root is a child once: no way is endless
    children = left[inner].astype(np.int64)
    ends = np.append(roots[1:], count)[np.searchsorted(roots, inner, side="right") - 1]
    part.need(((children > inner) & (children + 1 < ends)).all(), "a node has a child that is none of its own")
    parents = np.bincount(np.concatenate([children, children + 1]), minlength=count)
    parents[roots] += 1
    part.need((parents == 1).all(), "a node has two parents, or none")
    part.need(trees.depth <= DEEPEST, f"a tree is deeper than {DEEPEST}")
