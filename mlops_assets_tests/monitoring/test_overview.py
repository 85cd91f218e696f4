"""What there is to see in rows: how columns are spread, what is odd, and what may not be shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.journey.score.profile.bins import count_columns, make_bins
from mlops_assets.monitoring.overview import Overview, look, mask, thin
from mlops_assets.use_case import Candidate, Column, Training, UseCase

DAY = "2026-01-10"
ROWS = 400
LABEL = np.arange(ROWS) % 2


def case(texts: tuple[str, ...] = (), **kinds: str) -> UseCase:
    """A use case with these columns beside `who` and `label`."""
    columns = {name: Column.model_validate({"type": kind}) for name, kind in kinds.items()}
    training = Training(baseline="a", candidates={"a": Candidate(use="sklearn.dummy.DummyClassifier")}, texts=texts)
    both = {"who": Column(type="string"), "label": Column(type="string"), **columns}
    return UseCase(
        name="case",
        description="",
        start="2026-01-01",
        columns=both,
        account="who",
        label="label",
        training=training,
        features_sql="",
    )


def see(values: list[Any] | np.ndarray | pa.Array, kind: str, label: np.ndarray = LABEL, **more: Any) -> Overview:
    """Look at one column `x`."""
    rows = len(values)
    column = values if isinstance(values, pa.Array) else pa.array(values)
    who, said = pa.array([f"w{n % 9}" for n in range(rows)]), pa.array([f"c{n}" for n in label[:rows]])
    return look(case(x=kind, **more), pa.table({"who": who, "label": said, "x": column}), DAY, "label")


def test_rows_are_counted_by_the_code_of_the_daily_profile() -> None:
    values = pa.array(["a", "b", "a", None] * 100)
    table = pa.table({"x": values})
    expected = count_columns(table, make_bins(table, DAY), DAY)["rows", "x"]
    seen = see(values, "string").columns["x"]
    assert (seen.counts.bins.tolist(), seen.counts.nulls) == (expected.bins.tolist(), expected.nulls)
    assert (seen.distinct, seen.missing, seen.kind) == (2, 0.25, "category")


def test_bars_of_a_number_are_of_equal_width_and_hold_every_row() -> None:
    seen = see(np.random.default_rng(0).normal(size=ROWS), "number").columns["x"]
    widths = np.diff(seen.bins.edges)
    assert np.allclose(widths, widths[0])
    assert seen.counts.bins.sum() == ROWS


def test_one_wild_value_does_not_make_one_bar_of_all_others() -> None:
    values = np.append(np.linspace(0, 1, ROWS - 1), 1e12)
    seen = see(values, "number").columns["x"]
    assert seen.bins.edges[-1] < 2
    assert seen.counts.highest == 1e12


def test_what_determines_the_label_is_suspected_with_its_number() -> None:
    [suspicion] = see([f"v{n * 5 % 7}" for n in LABEL], "string").suspicions
    assert (suspicion.column, suspicion.kind, suspicion.number) == ("x", "determines", 1.0)
    assert "x alone tells label right in 100.0% of rows that it was not fitted on" in suspicion.sentence


def test_so_is_a_number_and_one_that_is_filled_in_with_the_label() -> None:
    assert [one.kind for one in see(LABEL * 3.5 + 1, "number").suspicions] == ["determines"]
    late = [float(n) if label else None for n, label in enumerate(LABEL)]
    assert {one.kind for one in see(late, "number").suspicions} == {"determines", "missing"}


@pytest.mark.parametrize(
    ("values", "kind"),
    [([f"id {n}" for n in range(ROWS)], "string"), ([*range(1_000, 1_000 + ROWS)], "integer")],
)
def test_what_names_rows_is_an_identifier_and_does_not_determine_the_label(values: list[Any], kind: str) -> None:
    seen = see(values, kind)
    assert [one.kind for one in seen.suspicions] == ["identifier"]
    assert seen.columns["x"].hidden


def test_amounts_that_are_all_different_and_texts_of_many_words_are_no_identifiers() -> None:
    incomes = np.random.default_rng(0).permutation(100_000)[:ROWS]
    assert see(incomes, "integer").suspicions == ()
    assert see([f"the film number {n} was a great one" for n in range(ROWS)], "string").suspicions == ()


def test_noise_is_not_suspected() -> None:
    random = np.random.default_rng(0)
    for rows in (30, 100, ROWS):
        label = random.integers(0, 3, rows)
        assert see(random.normal(size=rows), "number", label).suspicions == ()
        assert see([f"v{n}" for n in random.integers(0, rows // 2, rows)], "string", label).suspicions == ()


def test_a_label_of_one_class_or_without_a_value_is_told_nothing_of() -> None:
    one = see(np.arange(ROWS) / 3, "number", np.zeros(ROWS, int))
    assert (one.classes, one.columns["x"].association, one.suspicions) == ({"c0": ROWS}, None, ())
    table = pa.table({"who": ["a"] * 3, "label": pa.nulls(3, pa.string()), "x": [1.0, 2.0, 3.0]})
    none = look(case(x="number"), table, DAY, "label")
    assert (none.classes, none.unlabelled, none.columns["x"].told) == ({}, 3, None)


def test_values_that_may_name_people_are_hidden_and_of_examples_the_form_is_left() -> None:
    names = [f"Ana Silva {n}" for n in range(60)] * 3
    seen = see(names, "string").columns["x"]
    assert (seen.hidden, seen.examples) == (True, ("Aaa Aaaaa 9",))
    assert see(["red", "green"] * 50, "string").columns["x"].examples == ("red", "green")
    assert see([1.5] * 50, "number").columns["who"].hidden
    assert mask("\u00c9va_7 \u65e5") == "Aaa_9 a"


def test_of_a_few_rows_a_text_is_hidden_unless_it_comes_back() -> None:
    assert see(["Ana", "Bo", "Cy"], "string").columns["x"].hidden
    assert see(["Ana"], "string").columns["x"].hidden is False
    assert not see(["yes", "no", "yes", "no"], "string").columns["x"].hidden


@pytest.mark.parametrize(
    ("values", "kind", "shown"),
    [
        (pa.array([True, False, None] * 20), "boolean", "category"),
        (pa.array([None] * 60, pa.float64()), "number", "number"),
        (pa.array([None] * 60, pa.string()), "string", "category"),
        (pa.array(np.datetime64("2026-01-01") + np.arange(60)), "date", "date"),
        (pa.array([1e308, -1e308, 0.0] * 20), "number", "number"),
        (pa.array(["", " ", "a"] * 20).dictionary_encode(), "string", "category"),
    ],
)
def test_every_type_can_be_looked_at(values: pa.Array, kind: str, shown: str) -> None:
    seen = see(values, kind).columns["x"]
    assert seen.kind == shown
    assert seen.counts.rows == 60


def test_a_text_of_the_model_is_counted_by_its_length() -> None:
    table = pa.table({"who": ["a"] * 40, "label": ["c"] * 40, "x": ["one", "three"] * 20})
    seen = look(case(("x",), x="string"), table, DAY, "label").columns["x"]
    assert (seen.kind, seen.counts.lowest, seen.counts.highest) == ("text", 3, 5)


def test_beside_each_bin_stands_its_share_in_training() -> None:
    random = np.random.default_rng(0)
    learned = pa.table(
        {"x": random.normal(size=20_000), "k": random.choice(["a", "b", "c"], 20_000, p=[0.5, 0.3, 0.2])}
    )
    bins = make_bins(learned, DAY)
    counts = count_columns(learned, bins, DAY)
    training = {name: (bins["rows", name], counts["rows", name]) for name in ("x", "k")}
    rows = pa.table({"who": ["w"] * 500, "label": ["c"] * 500, "x": random.normal(1, size=500), "k": ["c", "a"] * 250})
    seen = look(case(x="number", k="string"), rows, DAY, "label", training).columns
    assert seen["x"].training is not None
    assert seen["x"].training.sum() == pytest.approx(1)
    inside = np.searchsorted(seen["x"].bins.edges, 0.5)
    assert seen["x"].training[:inside].sum() == pytest.approx(0.69, abs=0.1)
    assert seen["k"].training is not None
    assert dict(zip(seen["k"].bins.values, seen["k"].training, strict=False)) == pytest.approx(
        {"a": 0.5, "c": 0.2}, abs=0.02
    )


def test_of_many_rows_every_so_manieth_is_kept_in_its_order() -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        for first in range(0, 10_000, 70):
            yield pa.record_batch({"n": pa.array(np.arange(first, min(first + 70, 10_000)))})

    kept, step = thin(batches(), 300)
    assert kept is not None
    assert (step, kept["n"].to_pylist()) == (64, [*range(0, 10_000, 64)])
    assert thin([])[0] is None
    whole, one = thin(batches())
    assert whole is not None
    assert (len(whole), one) == (10_000, 1)


def test_long_texts_are_bounded_by_their_bytes() -> None:
    kept, step = thin((pa.record_batch({"x": ["t" * 1_000] * 50}) for _ in range(20)), most_bytes=100_000)
    assert kept is not None
    assert kept.nbytes <= 100_000
    assert len(kept) == -(-1_000 // step)
