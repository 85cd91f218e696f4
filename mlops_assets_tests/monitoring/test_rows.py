"""A red lamp said as rows: how many, whose, three of them, since when."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlops_assets.journey.score.day import Scorers, score_day
from mlops_assets.journey.score.profile.bins import BEYOND_ASCII, count_columns, make_bins
from mlops_assets.journey.score.profile.reference import Reference, read_reference
from mlops_assets.journey.train.candidates import fit
from mlops_assets.journey.train.training_set import build_training_set
from mlops_assets.monitoring.lamp import Lamp
from mlops_assets.monitoring.rows import evidence, places
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets_tests.helpers.days import DAY, draw_day, ignore, in_shards_of
from mlops_assets_tests.helpers.models import TREE
from mlops_assets_tests.helpers.watched import watched_version


@pytest.fixture(scope="module")
def lake(transactions: UseCase, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A day of 12 files in three shards."""
    return draw_day(in_shards_of(5, transactions), tmp_path_factory.mktemp("rows"), files=12, rows=20)


@pytest.fixture(scope="module")
def rows(lake: Lake) -> pa.Table:
    return lake.rows.read_all([DAY])


@pytest.fixture(scope="module")
def reference(rows: pa.Table) -> Reference:
    """Bins that half of the rows made, so that the others have something new."""
    bins = make_bins(rows.slice(0, len(rows) // 2), DAY, (), ["file", "line", "day"])
    return Reference(bins, (), (), (), "file", (DAY, DAY))


def lamp_of(column: str, *bins: int) -> Lamp:
    return Lamp(
        f"rows.{column}",
        "red",
        "psi",
        source="rows",
        column=column,
        bins=bins,
        sentence="It is so.",
        since="2025-12-30",
    )


def test_every_value_is_looked_for_in_the_bin_that_it_was_counted_in(rows: pa.Table, reference: Reference) -> None:
    counts = count_columns(rows, reference.bins, DAY)
    for (source, column), bins in reference.bins.items():
        found = places(rows[column.removesuffix(BEYOND_ASCII)], column, bins, DAY)
        spread = counts[source, column].spread
        assert np.bincount(found, minlength=len(spread)).tolist() == spread.tolist(), column


def test_files_accounts_values_and_three_rows_are_named(
    transactions: UseCase, lake: Lake, rows: pa.Table, reference: Reference
) -> None:
    place = reference.bins["rows", "home_state"].values.index("RJ")
    found = evidence(lake, transactions, DAY, lamp_of("home_state", place), reference)
    behind = rows.filter(pc.equal(rows["home_state"].cast(pa.string()), "RJ"))
    counted = Counter(behind["file"].to_pylist())
    assert (found.rows, found.files) == (len(behind), len(counted))
    assert list(found.most_files.values()) == sorted(counted.values(), reverse=True)[:5]
    assert all(counted[name] == number for name, number in found.most_files.items())
    assert found.most_values == {"RJ": len(behind)}
    assert sum(found.most_accounts.values()) <= len(behind)
    assert [example["home_state"] for example in found.examples] == ["RJ"] * 3
    most = next(iter(found.most_files))
    assert found.sentence == (
        f"It is so; {found.rows} rows in {found.files} files, most in `{most}` ({found.most_files[most]}); "
        "since 2025-12-30."
    )


def test_a_process_looks_for_the_rows_of_a_lamp_once_and_for_those_of_another_anew(
    transactions: UseCase, lake: Lake, reference: Reference
) -> None:
    first, second = (lamp_of("home_state", reference.bins["rows", "home_state"].values.index(s)) for s in ("RJ", "SP"))
    found = evidence(lake, transactions, DAY, first, reference)
    assert evidence(lake, transactions, DAY, first, reference) is found
    assert [*evidence(lake, transactions, DAY, second, reference).most_values] == ["SP"]


def test_of_a_lamp_of_volume_the_accounts_are_named_that_carry_the_day(
    transactions: UseCase, lake: Lake, rows: pa.Table, reference: Reference
) -> None:
    found = evidence(
        lake, transactions, DAY, Lamp("files", "red", "volume", source="files", sentence="Few."), reference
    )
    assert (found.rows, found.files) == (len(rows), 12)
    assert len(found.most_accounts) == 5


def test_a_column_that_only_sql_makes_has_its_sentence_alone(
    transactions: UseCase, lake: Lake, reference: Reference
) -> None:
    lamp = Lamp("model_input.cents", "red", "psi", source="model_input", column="cents", sentence="It moved.")
    assert evidence(lake, transactions, DAY, lamp, reference).sentence == "It moved."


def test_answers_are_said_as_rows_too(transactions: UseCase, tmp_path: Path) -> None:
    use_case = in_shards_of(5, transactions)
    lake = draw_day(use_case, tmp_path, files=12, rows=20)
    data = build_training_set(use_case, lake)
    version = watched_version(fit(use_case, TREE, data, data.load()), data, tmp_path / "version")
    score_day(use_case, lake, DAY, Scorers(version), LocalEngine(1), ignore, "the folder")
    said = lake.predictions.read_all([DAY])
    reference = read_reference(version)
    assert reference is not None
    place = reference.classes.index(said["prediction"][0].as_py())
    mix = Lamp("class_mix", "red", "class_mix", source="predictions", bins=(place,), sentence="Other.")
    sure = Lamp(
        "confidence", "red", "confidence", source="predictions", figures={"now": 0.2, "then": 0.5}, sentence="Unsure."
    )
    expected = pc.sum(pc.equal(said["prediction"].cast(pa.string()), reference.classes[place])).as_py()
    assert evidence(lake, use_case, DAY, mix, reference).rows == expected
    assert evidence(lake, use_case, DAY, sure, reference).rows == pc.sum(pc.less(said["probability"], 0.5)).as_py()
