"""In: two answers to the same rows. Out: how many went from which class to which, by slice, in numbers that add up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.features.matrix import as_text
from mlops_assets.use_case import UseCase

MOST_VALUES = 200
"""Values of a slice that are counted by name in a shard, those of most rows; the rest are one."""

OTHERS = "(others)"
SAME = "as it was"
"""The class of a number that is no other than before."""

MOVED = 0.01
"""By what part of the larger of both a number is another one: two trainings never say the same to the last digit."""

NOTHING = "(none)"
"""The class of a row that only one side has, and the value of a slice where a row has none."""


@dataclass(frozen=True)
class Flow:
    """Rows that had one answer and have another, or the same.

    Attributes
    ----------
    column, value
        The slice; both are empty for all rows.
    before, after
        The answers; `(none)` of rows that only one side has.
    rows
        How many.
    cents
        Sum of the absolute `value` over them, in hundredths; 0 where the use case names no such column.
    labelled, right_before, right_after
        Those with a label, and how many of them each answer has right.
    """

    column: str
    value: str
    before: str
    after: str
    rows: int
    cents: int = 0
    labelled: int = 0
    right_before: int = 0
    right_after: int = 0

    @property
    def changed(self) -> bool:
        """Whether the answer is another one."""
        return self.before != self.after

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it is of."""
        return self.column, self.value, self.before, self.after

    def plus(self, other: Flow) -> Flow:
        """Both together; they are of the same."""
        counts = {name: getattr(self, name) + getattr(other, name) for name in COUNTS}
        return replace(self, **counts)


COUNTS = tuple(field.name for field in fields(Flow))[4:]


def add_flows(*several: Iterable[Flow]) -> tuple[Flow, ...]:
    """The sum of flows, those of most rows first."""
    total: dict[tuple[str, str, str, str], Flow] = {}
    for one in (flow for some in several for flow in some):
        total[one.key] = total[one.key].plus(one) if one.key in total else one
    return tuple(sorted(total.values(), key=lambda flow: (flow.column, -flow.rows, flow.key)))


def count_flows(before: pa.Array, after: pa.Array, rows: pa.Table, use_case: UseCase) -> tuple[Flow, ...]:
    """The flows of some rows, over all of them and by each slice of `feedback.slices`.

    Parameters
    ----------
    before, after
        The two answers of each row, as texts; null where a side has none.
    rows
        The rows, with label, slices and `value`, in the same order.
    use_case
        The use case.
    """
    if use_case.training.says_numbers:
        before, after, label = *_directions(before, after), pa.nulls(len(rows), pa.string())
    else:
        label = as_text(rows[use_case.label])
    before, after = (pc.fill_null(pc.cast(one, pa.string()), NOTHING) for one in (before, after))
    columns = {
        "before": before,
        "after": after,
        "rows": pa.array(np.ones(len(rows), dtype=np.int64)),
        "worth": _worth(rows, use_case),
        "labelled": pc.cast(pc.is_valid(label), pa.int64()),
        "right_before": pc.cast(pc.fill_null(pc.equal(before, label), False), pa.int64()),
        "right_after": pc.cast(pc.fill_null(pc.equal(after, label), False), pa.int64()),
    }
    counted = list(_group(pa.table(columns), "", None))
    for name in use_case.feedback.slices:
        if name in rows.column_names:
            counted += _group(pa.table(columns), name, _few(as_text(rows[name])))
    return add_flows(counted)


def _directions(before: pa.Array, after: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Numbers as classes: each row was `as it was`, and is that, or `higher` or `lower` by more than `MOVED`.

    Null where a side has none.
    """
    old, new = pc.cast(before, pa.float64()), pc.cast(after, pa.float64())
    difference, least = pc.subtract(new, old), pc.multiply(MOVED, pc.max_element_wise(pc.abs(old), pc.abs(new)))
    beyond = pc.if_else(pc.greater(difference, 0), "higher", "lower")
    moved = pc.if_else(pc.greater(pc.abs(difference), least), beyond, SAME)
    there = [pc.if_else(pc.is_valid(side), SAME, None) for side in (before, after)]
    return there[0], pc.coalesce(moved, there[1])


def _worth(rows: pa.Table, use_case: UseCase) -> pa.Array:
    """The absolute `value` of each row; 0 where it has none."""
    if use_case.value is None:
        return pa.array(np.zeros(len(rows)))
    values = rows[use_case.value].cast(pa.float64()).to_numpy()
    return pa.array(np.abs(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)))


def _few(values: pa.Array) -> pa.Array:
    """Values of a slice, the rare ones as one: a column of a million values would make a million slices."""
    values = pc.fill_null(values, NOTHING)
    counts = sorted(pc.value_counts(values).to_pylist(), key=lambda one: (-one["counts"], one["values"]))
    if len(counts) <= MOST_VALUES:
        return values
    kept = pa.array([one["values"] for one in counts[:MOST_VALUES]], pa.string())
    return pc.if_else(pc.is_in(values, kept), values, OTHERS)


def _group(columns: pa.Table, column: str, values: pa.Array | None) -> Iterable[Flow]:
    keys = ["before", "after"]
    if values is not None:
        columns, keys = columns.append_column("value", values), [*keys, "value"]
    summed = ["rows", "worth", *COUNTS[2:]]
    # one thread: a sum of floats must not depend on who was faster
    grouped = pa.TableGroupBy(columns, keys, use_threads=False).aggregate([(name, "sum") for name in summed])
    for one in grouped.to_pylist():
        counts = {name: one[f"{name}_sum"] for name in COUNTS if name != "cents"}
        # cents are whole numbers: their sum is the same in whatever order the shards finish
        cents = int(np.rint(100 * one["worth_sum"]))
        yield Flow(column, one.get("value", ""), one["before"], one["after"], cents=cents, **counts)


def as_lists(flows: Iterable[Flow]) -> list[list[Any]]:
    """Flows as they stand in a document."""
    return [list(astuple(flow)) for flow in flows]


def from_lists(written: Sequence[Sequence[Any]]) -> tuple[Flow, ...]:
    """Flows out of a document."""
    return tuple(Flow(*one) for one in written)


def totals(flows: Iterable[Flow]) -> dict[str, int]:
    """Sums over flows: rows and cents of all, of those that change, and what of the labelled ones is right."""
    total = dict.fromkeys((*COUNTS, "changed", "changed_cents"), 0)
    for flow in flows:
        for name in COUNTS:
            total[name] += getattr(flow, name)
        if flow.changed:
            total["changed"] += flow.rows
            total["changed_cents"] += flow.cents
    return total


def by_class(flows: Iterable[Flow]) -> list[dict[str, Any]]:
    """For each class how many rows and cents it had and has, and how many came and went; the largest first."""
    found: dict[str, dict[str, Any]] = {}

    def of(name: str) -> dict[str, Any]:
        zero: Mapping[str, int] = dict.fromkeys(("before", "after", "came", "went", "cents_before", "cents_after"), 0)
        return found.setdefault(name, {"class": name, **zero})

    for flow in flows:
        had, has = of(flow.before), of(flow.after)
        had["before"] += flow.rows
        had["cents_before"] += flow.cents
        has["after"] += flow.rows
        has["cents_after"] += flow.cents
        if flow.changed:
            had["went"] += flow.rows
            has["came"] += flow.rows
    return sorted(found.values(), key=lambda one: (-max(one["before"], one["after"]), one["class"]))


def plain(flow: Flow) -> dict[str, Any]:
    """A flow by the names of its parts."""
    return asdict(flow)
