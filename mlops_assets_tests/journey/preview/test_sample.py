"""A day that nothing like was ever run of: a few files, drawn evenly, tell how long it takes and how sure that is."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from mlops_assets.journey.preview.sample import BYTES, FILES, NothingTold, Sampled, Trial, sample_day, seconds_a_byte
from mlops_assets.journey.read.listing import look_at_day
from mlops_assets.journey.read.sources import FolderSource, Source
from mlops_assets.storage.catalog import MANIFEST, Lake
from mlops_assets.use_case import UseCase
from mlops_assets_tests.helpers.account_files import ROW, account_file
from mlops_assets_tests.helpers.stage import small

DAY = "2026-01-01"
LINES = 3


class Counting(FolderSource):
    """A folder that keeps which files were read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, ".csv")
        self.read_files: list[str] = []

    def read_listed(self, day: str, entries: pa.Table, largest: int) -> Sequence[bytes | None]:
        self.read_files += entries["path"].to_pylist()
        return super().read_listed(day, entries, largest)


@pytest.fixture
def use_case() -> UseCase:
    return small()


@pytest.fixture
def no_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files, which must be empty afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def delivered(root: Path, files: int) -> Counting:
    """A source with so many files of a few lines each."""
    folder = root / "raw" / "transactions" / f"day={DAY}"
    folder.mkdir(parents=True)
    data = account_file([ROW] * LINES)
    for number in range(files):
        (folder / f"{number:05}.csv").write_bytes(data)
    return Counting(folder.parent)


def entries_of(use_case: UseCase, source: Source, root: Path) -> pa.Table:
    return look_at_day(use_case, source, Lake(root / "lake", use_case.name).raw_files, DAY).manifest


def sampled(use_case: UseCase, source: Counting, root: Path) -> Sampled:
    found = sample_day(use_case, source, DAY, entries_of(use_case, source, root), lambda: None)
    assert found is not None
    return found


@pytest.mark.usefixtures("no_traces")
def test_two_hundred_files_from_all_over_the_day_are_read(use_case: UseCase, tmp_path: Path) -> None:
    source = delivered(tmp_path, 650)
    found = sampled(use_case, source, tmp_path)
    assert found.files == FILES == 200
    drawn = sorted({*source.read_files})
    assert len(drawn) == FILES
    entries = entries_of(use_case, source, tmp_path)["path"].to_pylist()
    places = sorted(entries.index(path) for path in drawn)
    assert places[0] == 0
    assert places[-1] == 649
    assert {after - before for before, after in itertools.pairwise(places)} == {3, 4}
    assert found.uncertainty is not None
    assert not (tmp_path / "lake").exists()


@pytest.mark.usefixtures("no_traces")
def test_of_fewer_files_all_are_read(use_case: UseCase, tmp_path: Path) -> None:
    source = delivered(tmp_path, 40)
    found = sampled(use_case, source, tmp_path)
    assert (found.files, len({*source.read_files})) == (40, 40)
    size = len(account_file([ROW] * LINES))
    assert found.paces["rows"].rows_a_byte == pytest.approx(LINES / size)
    assert found.paces.keys() == {"rows", "features"}, "nobody would score"
    assert all(pace.seconds_a_row > 0 and pace.stored_a_row > 0 for pace in found.paces.values())


def test_of_a_handful_it_is_not_told_how_sure_the_estimate_is(use_case: UseCase, tmp_path: Path) -> None:
    assert sampled(use_case, delivered(tmp_path, 5), tmp_path).uncertainty is None


@pytest.mark.usefixtures("no_traces")
def test_no_further_shard_is_begun_when_the_time_is_over(use_case: UseCase, tmp_path: Path) -> None:
    source = delivered(tmp_path, 200)
    times = iter(range(0, 10_000, 15))
    entries = entries_of(use_case, source, tmp_path)
    found = sample_day(use_case, source, DAY, entries, lambda: None, lambda: float(next(times)))
    assert found is not None
    assert 0 < found.files < 100, "fifteen seconds a look, and twenty are allowed"


def test_files_that_would_fill_the_memory_are_not_read(use_case: UseCase, tmp_path: Path) -> None:
    source = delivered(tmp_path, 1)
    large = [["a.csv"], [BYTES + 1], [0], [""], [""], [0]]
    with pytest.raises(NothingTold, match="its files are larger than the 64 MB that are read"):
        sample_day(use_case, source, DAY, pa.table(large, schema=MANIFEST), lambda: None)
    assert source.read_files == []


@pytest.mark.usefixtures("no_traces")
def test_a_day_that_cannot_be_read_is_told_and_after_three_of_them_no_other_is_tried(
    use_case: UseCase, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = delivered(tmp_path, 3)
    entries = entries_of(use_case, source, tmp_path)
    for path in (tmp_path / "raw" / "transactions" / f"day={DAY}").iterdir():
        path.write_bytes(b"")
    trial = Trial(use_case, source, None, lambda version: version)
    assert [trial.of(DAY, entries) for _ in range(5)] == [None] * 5
    assert len(caplog.messages) == 3
    assert caplog.messages[0].startswith(f"transactions {DAY}: a few of its files were tried, which ended so: ")
    assert "changed after the day was listed" in caplog.messages[0]


def test_a_day_of_many_more_files_tells_more_than_one_of_a_handful(use_case: UseCase, tmp_path: Path) -> None:
    source = delivered(tmp_path, 24)
    entries = entries_of(use_case, source, tmp_path)
    trial = Trial(use_case, source, None, lambda version: version)
    found = [trial.of(DAY, entries.slice(0, files)) for files in (2, 3, 8, 24, 1)]
    assert [one and one.files for one in found] == [2, 2, 8, 24, 24]


def test_a_day_without_a_good_row_tells_nothing(use_case: UseCase, tmp_path: Path) -> None:
    source = delivered(tmp_path, 0)
    (tmp_path / "raw" / "transactions" / f"day={DAY}" / "a.csv").write_bytes(b"\x00")
    with pytest.raises(NothingTold, match="none of them has a good row"):
        sample_day(use_case, source, DAY, entries_of(use_case, source, tmp_path), lambda: None)


# -- the straight line ---------------------------------------------------------------------------------------------------


def test_what_a_call_costs_is_not_laid_on_the_bytes() -> None:
    # a call 0.5 s, a byte 0.01 s
    assert seconds_a_byte([10, 20, 100, 200], [0.6, 0.7, 1.5, 2.5]) == (pytest.approx(0.01), pytest.approx(0, abs=1e-9))


def test_the_more_the_shards_differ_the_less_sure_is_the_line() -> None:
    # deviations from the mean 2.5: -1.5, -0.5, 0.5, 1.5, squared 5 in all; those of the seconds 2, so the slope is
    # (1.5 x 1 + 0.5 x 1 + 0.5 x 1 + 1.5 x 1) / 5 = 0.8; left over 0.2, -0.6, 0.6, -0.2, squared 0.8 in all
    slope, error = seconds_a_byte([1, 2, 3, 4], [1.0, 1.0, 3.0, 3.0])
    assert (slope, error) == (pytest.approx(0.8), pytest.approx((0.8 / 2 / 5) ** 0.5))


@pytest.mark.parametrize("seconds", [[4.0, 3.0, 2.0, 1.0], [1.0], [0.5, 0.5]], ids=["falling", "one", "two"])
def test_where_a_line_tells_nothing_all_is_laid_on_the_bytes(seconds: list[float]) -> None:
    sizes = list(range(10, 10 * len(seconds) + 1, 10))
    assert seconds_a_byte(sizes, seconds) == (pytest.approx(sum(seconds) / sum(sizes)), 0.0)
