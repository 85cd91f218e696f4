"""The reference of a version: what training saw, in random groups; and nothing else is taken for one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.version import ABOUT_FILE, REFERENCE_FILE, Version
from mlops_assets.journey.score.profile.reference import GROUPS, HEAD, no_reference, read_bins, read_reference
from mlops_assets.journey.train.candidates import fit
from mlops_assets.journey.train.profiling import group_rows
from mlops_assets.journey.train.training_set import build_training_set
from mlops_assets.use_case import Drift, UseCase
from mlops_assets_tests.helpers.days import draw_day
from mlops_assets_tests.helpers.models import TREE
from mlops_assets_tests.helpers.watched import ABOUT, told, watched_version


@pytest.fixture(scope="module")
def version(transactions: UseCase, tmp_path_factory: pytest.TempPathFactory) -> Version:
    folder = tmp_path_factory.mktemp("reference")
    data = build_training_set(transactions, draw_day(transactions, folder, files=210, rows=4))
    return watched_version(fit(transactions, TREE, data, data.load()), data, folder / "version")


def test_groups_are_whole_files_and_come_back_as_they_were_written(version: Version) -> None:
    reference = read_reference(version)
    assert reference is not None
    assert (len(reference.groups), reference.unit, sum(reference.units)) == (GROUPS, "file", 210)
    assert [int(group.rows_a_file.sum()) for group in reference.groups] == list(reference.units)
    assert read_bins(version) == reference.bins
    again = type(reference).from_table(reference.to_table())
    assert told(again.profile) == told(reference.profile)
    assert [*map(told, again.groups)] == [*map(told, reference.groups)]


def keys(files: int, accounts: int, rows: int) -> pa.Table:
    number = np.arange(rows)
    return pa.table(
        {
            "_day": ["2026-01-01"] * rows,
            "_file": [f"{one % files}.csv" for one in number],
            "_line": pa.array(number, pa.int32()),
            "_account": [str(one % accounts) for one in number],
        }
    )


def test_accounts_and_then_rows_are_the_units_where_a_day_has_too_few_files() -> None:
    assert group_rows(keys(20, 20, 400))[1] == "file", "rows of a file are alike, however few files there are"
    groups, unit, units = group_rows(keys(3, 200, 400))
    assert (unit, sum(units)) == ("account", 200)
    assert np.array_equal(groups[:200], groups[200:])  # the same accounts
    assert group_rows(keys(3, 5, 400))[1:] == ("row", group_rows(keys(3, 5, 400))[2])
    few, _, units = group_rows(keys(3, 5, 12))
    assert sum(units) == 12
    assert set(few) == set(range(len(units)))


def test_nothing_is_counted_where_nothing_is_watched(transactions: UseCase, tmp_path: Path) -> None:
    use_case = transactions.model_copy(update={"drift": Drift(watch=False)})
    data = build_training_set(use_case, draw_day(use_case, tmp_path, files=20, rows=4))
    assert data.profile == ""
    assert not (tmp_path / "lake" / "transactions" / "training_profiles").exists()
    unwatched = watched_version(fit(use_case, TREE, data, data.load()), data, tmp_path / "version")
    assert read_reference(unwatched) is None
    assert read_bins(unwatched) == {}
    assert "train again" in no_reference(unwatched).lower()


def head(change: Callable[[dict[str, Any]], object]) -> Callable[[pa.Table], pa.Table]:
    """Changes what stands beside the entries."""

    def changed(table: pa.Table) -> pa.Table:
        said = json.loads(table.schema.metadata[HEAD.encode()])
        change(said)
        return table.replace_schema_metadata({HEAD: json.dumps(said)})

    return changed


def with_column(name: str, values: Callable[[pa.Table], pa.Array]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.column_names.index(name), name, values(table))


def edges_of(said: dict[str, Any], edges: list[Any]) -> None:
    next(one for one in said["bins"] if one[2] == "number")[3] = edges


FORGED: dict[str, Callable[[pa.Table], pa.Table]] = {
    "no head": lambda table: table.replace_schema_metadata({}),
    "an edge that is no number": head(lambda said: edges_of(said, [0.0, float("nan")])),
    "edges that do not rise": head(lambda said: edges_of(said, [2.0, 1.0])),
    "an edge that is a text": head(lambda said: edges_of(said, ["1.0"])),
    "columns of elsewhere": head(lambda said: said["bins"][0].__setitem__(0, "passwords")),
    "a unit of nothing": head(lambda said: said["bins"][0].__setitem__(5, 0.0)),
    "more groups than there are": head(lambda said: said.update(units=[1] * (GROUPS + 1))),
    "fewer groups than entries tell": head(lambda said: said.update(units=[1])),
    "a key that nobody knows": head(lambda said: said.update(code="import os")),
    "another column": lambda table: table.rename_columns(["source", "column", "what", "key", "number", "x", "group"]),
    "another type": with_column("number", lambda table: table["number"].cast(pa.float64())),
    "less than nothing": with_column("number", lambda table: pa.array([-1] * len(table))),
    "a value that is none": with_column("value", lambda table: pa.array([float("nan")] * len(table))),
    "a cell that there is not": with_column("key", lambda table: pa.array(["99999999999"] * len(table))),
    "a cell that is no number": with_column("key", lambda table: pa.array(["x"] * len(table))),
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_one_is_refused(version: Version, tmp_path: Path, forged: str) -> None:
    buffer = BytesIO()
    pq.write_table(FORGED[forged](pq.read_table(version.folder / REFERENCE_FILE)), buffer)
    with pytest.raises(ModelRefused, match=f"{REFERENCE_FILE}: this is no reference"):
        read_reference(pinned(version, tmp_path, buffer.getvalue()))


def pinned(version: Version, folder: Path, content: bytes) -> Version:
    """The version with another reference, whose hash is the one that is registered."""
    about = replace(ABOUT, use_case="transactions", reference=hashlib.sha256(content).hexdigest())
    (folder / ABOUT_FILE).write_text(about.to_json(), encoding="utf-8")
    (folder / REFERENCE_FILE).write_bytes(content)
    registered = hashlib.sha256(about.to_json().encode()).hexdigest()
    return replace(version, folder=folder, about_sha256=registered, about=about.summary())


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all" * 100], ids=["empty", "short", "other"])
def test_what_is_no_parquet_is_refused(version: Version, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ModelRefused, match="this is no reference"):
        read_reference(pinned(version, tmp_path, content))


def test_a_huge_one_is_refused_before_it_is_read(version: Version, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("mlops_assets.journey.score.profile.reference.MOST_ENTRIES", 10)
    with pytest.raises(ModelRefused, match="allowed are 10"):
        read_reference(version)
    monkeypatch.setattr("mlops_assets.journey.model.version.LARGEST_REFERENCE", 100)
    with pytest.raises(ModelRefused, match="allowed are 100"):
        read_reference(version)


def test_one_that_was_changed_or_is_gone_is_refused(version: Version, tmp_path: Path) -> None:
    content = (version.folder / REFERENCE_FILE).read_bytes()
    changed = pinned(version, tmp_path, content)
    (tmp_path / REFERENCE_FILE).write_bytes(content[:-1] + b"x")
    with pytest.raises(ModelRefused, match="another SHA-256"):
        read_reference(changed)
    (tmp_path / REFERENCE_FILE).unlink()
    with pytest.raises(ModelRefused, match="cannot be read"):
        read_bins(changed)
