"""Bins: made from what training saw, and every value of a day falls into one, or is none, or is new."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.journey.score.profile.bins import (
    BEYOND_ASCII,
    LARGEST_TOTAL,
    MOST_BINS,
    MOST_VALUES,
    count_columns,
    count_numbers,
    make_bins,
    number_bins,
)
from mlops_assets.journey.score.profile.counts import MOST_NEW, TOP, Bins

DAY = "2026-03-10"


def of(values: list[object], kind: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, kind)})


def test_a_number_has_bins_of_equal_frequency_and_one_on_each_side_for_what_training_never_saw() -> None:
    values = np.random.default_rng(0).normal(size=5_000)
    bins = number_bins(values)
    counts = count_numbers(values, bins).bins
    assert bins.number == MOST_BINS + 2
    assert counts[0] == counts[-1] == 0
    assert counts[1:-1].min() > 0.9 * len(values) / MOST_BINS
    beyond = count_numbers(np.array([values.min() - 1, values.max() + 1, values.max()]), bins).bins
    assert (beyond[0], beyond[-1], beyond[-2]) == (1, 1, 1)


def test_a_value_that_fills_more_than_a_bin_has_one_of_its_own() -> None:
    values = np.concatenate([np.zeros(600), np.random.default_rng(0).exponential(size=400)])
    bins = number_bins(values)
    alone = count_numbers(np.zeros(5), bins).bins.argmax()
    assert count_numbers(np.array([0.0, 1e-300, -1e-300]), bins).bins[alone] == 1


def test_few_values_have_their_edges_between_them_and_a_constant_one_is_told_from_all_others() -> None:
    flags = number_bins(np.array([0.0, 1.0, 1.0]))
    assert count_numbers(np.array([0.0, 1.0, 1.0, -1.0, 2.0]), flags).bins.tolist() == [1, 1, 2, 1]
    constant = number_bins(np.full(10, 7.0))
    assert count_numbers(np.array([6.0, 7.0, 7.0, 8.0]), constant).bins.tolist() == [1, 2, 1]


def test_nothing_and_what_is_no_number_is_counted_apart_and_infinity_beyond_the_last_edge() -> None:
    bins = number_bins(np.array([1.0, 2.0, np.nan, np.inf]))
    found = count_numbers(np.array([np.nan, np.inf, -np.inf, 1.0]), bins)
    assert (found.nulls, found.bins[0], found.bins[-1], found.rows) == (1, 1, 1, 4)
    empty = number_bins(np.full(3, np.nan))
    assert count_numbers(np.array([np.nan, 5.0]), empty).spread.tolist() == [1, 0, 1]


@pytest.mark.parametrize("largest", [1e-9, 1.0, 12_345.67, 4.53e11, 1e300])
def test_sums_are_right_to_a_millionth_and_never_leave_their_64_bits(largest: float) -> None:
    values = np.random.default_rng(0).uniform(-largest, largest, 1_000)
    bins = number_bins(values)
    found = count_numbers(values, bins)
    assert found.total * bins.unit == pytest.approx(values.sum(), abs=1e-5 * largest * 1_000)
    assert count_numbers(np.full(1_000, 1e308), bins).total <= 1_000 * LARGEST_TOTAL
    assert LARGEST_TOTAL * 150_000_000 < 2**63


def test_one_value_that_is_wrong_by_many_digits_does_not_coarsen_the_sum() -> None:
    assert number_bins(np.append(np.arange(1_000.0), 1e15)).unit <= 0.001


def test_dates_are_days_before_the_day_of_their_row() -> None:
    day = dt.date.fromisoformat(DAY)
    dates = of([day, day - dt.timedelta(days=3), None], pa.date32())
    bins = make_bins(dates, DAY)
    counts = count_columns(dates, bins, DAY)["rows", "x"]
    assert (counts.lowest, counts.highest, counts.nulls) == (0, 3, 1)
    moved = of([day + dt.timedelta(days=30), day + dt.timedelta(days=27), None], pa.date32())
    later = np.array(["2026-04-09"] * 3, "datetime64[D]")
    assert count_columns(moved, bins, later)["rows", "x"].spread.tolist() == counts.spread.tolist()
    moments = of([dt.datetime(2026, 3, 9, 12), dt.datetime(2026, 3, 10, 18)], pa.timestamp("us"))
    told = count_columns(moments, make_bins(moments, DAY), DAY)["rows", "x"]
    assert (told.lowest, told.highest) == (-0.75, 0.5)


def test_a_category_has_its_values_by_falling_frequency_and_what_is_new_is_told() -> None:
    seen = of(["b", "a", "b", None, "c", "a", "b"])
    bins = make_bins(seen, DAY)
    assert bins["rows", "x"] == Bins("category", values=("b", "a", "c"))
    counts = count_columns(of(["a", "new", "new", None, "b", "other"]), bins, DAY)["rows", "x"]
    assert counts.spread.tolist() == [1, 1, 0, 0, 3, 1]
    assert counts.new == {"new": 2, "other": 1}
    many = count_columns(of([f"n{number:03}" for number in range(100)]), bins, DAY)["rows", "x"]
    assert (many.unseen, len(many.new)) == (100, MOST_NEW)


def test_rare_values_share_a_bin() -> None:
    values = [f"v{number:03}" for number in range(TOP + 10) for _ in range(100 - number)]
    bins = make_bins(of(values), DAY)
    found = count_columns(of(values), bins, DAY)["rows", "x"]
    assert found.bins.tolist() == [*range(100, 100 - TOP, -1), sum(range(100 - TOP, 100 - TOP - 10, -1))]


def test_a_text_of_too_many_values_is_counted_by_its_length_and_a_broken_encoding_shows() -> None:
    texts = [f"São Paulo {number}" for number in range(MOST_VALUES + 1)]
    bins = make_bins(of(texts), DAY)
    assert bins["rows", "x"].kind == "text"
    assert make_bins(of(texts[:5]), DAY, texts=["x"])["rows", "x"].kind == "text"
    whole = count_columns(of(texts), bins, DAY)["rows", "x" + BEYOND_ASCII]
    broken = count_columns(of([text.encode().decode("latin-1") for text in texts]), bins, DAY)
    lost = count_columns(of([text.replace("ã", "?") for text in texts]), bins, DAY)["rows", "x" + BEYOND_ASCII]
    assert whole.bins[0] == whole.bins[-1] == 0
    assert broken["rows", "x" + BEYOND_ASCII].bins[-1] > 0.9 * len(texts)
    assert lost.bins[0] == len(texts)
    empty = count_columns(of([None, "", "a"]), bins, DAY)["rows", "x"]
    assert (empty.nulls, empty.lowest, empty.highest, empty.total) == (1, 0, 1, 1)


def test_texts_in_dictionaries_of_several_chunks_and_columns_that_are_absent_are_counted_alike() -> None:
    parts = [pa.array(["b", "a"]).dictionary_encode(), pa.array(["c", None, "b"]).dictionary_encode()]
    table = pa.table({"x": pa.chunked_array(parts)})
    bins = make_bins(table, DAY)
    assert count_columns(table, bins, DAY)["rows", "x"].spread.tolist() == [2, 1, 1, 0, 0, 1]
    assert count_columns(pa.table({"y": [1, 2]}), bins, DAY)["rows", "x"].spread.tolist() == [0, 0, 0, 0, 0, 2]
    assert count_columns(table.slice(0, 0), bins, DAY)["rows", "x"].rows == 0
    booleans = of([True, False, True, None])
    assert count_columns(booleans, make_bins(booleans, DAY), DAY)["rows", "x"].spread.tolist() == [0, 1, 2, 0, 0, 1]
    assert make_bins(of([None], pa.string()), DAY)["rows", "x"].number == 1


def test_a_column_that_the_contract_has_made_another_since_is_counted_and_ends_no_day() -> None:
    numbers, texts = make_bins(of([1.0, 2.0, 3.0]), DAY), make_bins(of(["Roma", "Oslo"]), DAY)
    for values in (of(["1", "two"]), pa.table({"x": pa.array(["1", "two"]).dictionary_encode()})):
        counts = count_columns(values, numbers, DAY)["rows", "x"]
        assert (counts.nulls, counts.rows) == (2, 2)
    counts = count_columns(of([1.0, 2.0]), texts, DAY)["rows", "x"]
    assert (counts.unseen, counts.rows) == (2, 2)
    further = of([1.0]).append_column("y", pa.array(["new"]))
    assert count_columns(further, numbers, DAY).keys() == {("rows", "x")}
