"""The one step in machine code: rows go down trees as in `trees`, at a third of its cost, with the same bits.

Where `descent.c` was not compiled for this machine, numpy does the step.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

from mlops_assets.work.compiled import find_function, library_of

SHA256 = "db1c7c74727a104cc1e6b8ba0cf40b0cb05407e38807aae275df410cf6ede405"
"""Of `descent.c`; changed by hand with it."""

LIBRARY = library_of(__file__, SHA256)

NODE = np.dtype([("threshold", np.float32), ("column", np.int32), ("right", np.int32), ("leaf", np.int32)])
"""A node as `descent.c` sees it."""

ROOM = 512 + 12
"""Rows that its working memory has: a block of them, and those that go down beside its last one."""


@cache
def compiled() -> Any | None:
    """The function of `descent.c`; None where it was not compiled for this machine."""
    array, number = ctypes.c_void_p, ctypes.c_int64
    arguments = [array, number, number, array, array, number, array, number, array, array]
    return find_function(LIBRARY, "mean_of_leaves", arguments)


def mean_of_leaves(
    function: Any, columns: np.ndarray, nodes: np.ndarray, roots: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """The mean of what the leaves say that rows come to.

    Parameters
    ----------
    function
        What `compiled` found.
    columns
        float32, one row a column, none of it NaN.
    nodes
        Of `NODE`: the nodes of all trees, each of which leads to a leaf.
    roots
        int32, the number of the first node of each tree.
    values
        float64, what each leaf says.

    Returns
    -------
    numpy.ndarray
        float64, a row a row.
    """
    # numbers that lie at no multiple of their size, as in a file that somebody made, are copied as well
    kinds = ((columns, np.float32), (nodes, NODE), (roots, np.int32), (values, np.float64))
    columns, nodes, roots, values = (np.require(array, kind, ("C", "A")) for array, kind in kinds)
    (width, rows), (_, outputs) = columns.shape, values.shape
    matrix, said = np.zeros((ROOM, width), np.float32), np.empty((rows, outputs))
    places = (array.ctypes.data for array in (columns, nodes, roots, values, matrix, said))
    at_columns, at_nodes, at_roots, at_values, at_matrix, at_said = places
    function(at_columns, rows, width, at_nodes, at_roots, len(roots), at_values, outputs, at_matrix, at_said)
    return said
