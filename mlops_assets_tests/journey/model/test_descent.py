"""The step in C: the bits of the step in numpy, wherever rows go; and where nobody compiled it, numpy does it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.journey.model.scorer import descent
from mlops_assets.journey.model.scorer.trees import Trees
from mlops_assets_tests.helpers.compiling import compiled_now, source_of


@pytest.fixture(scope="module", autouse=True)
def _compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The step as it is compiled now, whatever lies in the checkout."""
    with compiled_now(descent, tmp_path_factory.mktemp("descent")):
        yield


def grown(random: np.random.Generator, trees: int, depth: int, width: int, outputs: int) -> Trees:
    """Trees of any shape: a branch may end early, and a tree may be a leaf alone."""
    left: list[int] = []
    roots = []
    for _ in range(trees):
        roots.append(len(left))
        left.append(-1)
        level = [len(left) - 1]
        for _ in range(depth):
            split = [node for node in level if random.random() < 0.7]
            level = []
            for node in split:
                left[node] = len(left)
                level += [len(left), len(left) + 1]
                left += [-1, -1]
    children = np.array(left, np.int32)
    leaf = children < 0
    thresholds = random.choice(np.array([-1e38, -1, -0.0, 0.0, 1e-45, 0.5, 1, 3.4e38], np.float32), len(leaf))
    return Trees(
        children,
        np.where(leaf, 0, random.integers(0, width, len(leaf))).astype(np.int32),
        np.where(leaf, 0, thresholds).astype(np.float32),
        ~leaf & (random.random(len(leaf)) < 0.5),
        random.random((int(leaf.sum()), outputs)),
        np.array(roots, np.int32),
        takes_missing=True,
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    trees=st.integers(1, 7),
    depth=st.integers(0, 14),
    width=st.integers(1, 5),
    rows=st.sampled_from([1, 2, 11, 12, 13, 511, 512, 513, 1100]),
    outputs=st.integers(1, 4),
)
def test_both_steps_say_the_same_bits(seed: int, trees: int, depth: int, width: int, rows: int, outputs: int) -> None:
    random = np.random.default_rng(seed)
    forest = grown(random, trees, depth, width, outputs)
    odd = np.array([-np.inf, -3.4e38, -1, -0.0, 0.0, 1e-45, 0.5, 1, 2, 3.4e38, np.inf], np.float32)
    columns = random.choice(odd, (width, rows))
    missing = np.flatnonzero(random.random(width) < 0.4)
    columns = np.concatenate([columns, np.where(columns[missing] == np.inf, np.float32(-np.inf), columns[missing])])
    said = forest.ask(columns, missing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(descent, "compiled", lambda: None)
        assert forest.ask(columns, missing).tobytes() == said.tobytes()


def test_no_number_leads_out_of_a_tree() -> None:
    forest = grown(np.random.default_rng(1), 3, 6, 2, 2)
    least, most = forest.values.min(), forest.values.max()
    said = forest.ask(np.full((2, 40), np.nan, np.float32), np.array([], np.int64))
    assert ((least <= said) & (said <= most)).all()


def test_columns_and_tables_may_lie_in_memory_as_they_like() -> None:
    random = np.random.default_rng(2)
    forest = grown(random, 4, 8, 3, 5)
    columns = random.normal(size=(100, 3)).astype(np.float32)
    turned = replace(forest, values=np.asfortranarray(forest.values))
    none = np.array([], np.int64)
    assert turned.ask(columns.T, none).tobytes() == forest.ask(np.ascontiguousarray(columns.T), none).tobytes()


def test_numbers_that_lie_at_no_multiple_of_their_size_are_moved_first() -> None:
    """Who makes a file of a scorer decides where they lie; machine code may count on it."""
    forest = grown(np.random.default_rng(3), 2, 4, 2, 3)
    values = np.frombuffer(b"-" + forest.values.tobytes(), offset=1).reshape(forest.values.shape)
    assert not values.flags.aligned
    columns, none = np.zeros((2, 9), np.float32), np.array([], np.int64)
    asked: list[tuple[int, ...]] = []
    descent.mean_of_leaves(lambda *given: asked.append(given), columns, forest._nodes, forest.roots, values)
    assert all(address % 8 == 0 for address in (asked[0][place] for place in (0, 3, 4, 6, 8, 9)))
    assert replace(forest, values=values).ask(columns, none).tobytes() == forest.ask(columns, none).tobytes()


def test_room_and_nodes_are_those_of_the_source() -> None:
    source = source_of(descent).read_text()
    told = {name: int(source.partition(f"{name} = ")[2].split(",")[0].split()[0]) for name in ("TOGETHER", "BLOCK")}
    assert sum(told.values()) == descent.ROOM
    assert descent.NODE.itemsize == 4 * ctypes.sizeof(ctypes.c_int32)
