"""What was answered for a row each time that its day was published."""

from __future__ import annotations

from mlops_assets.journey.explain.answers import answers_of
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets_tests.helpers.feedback import predicted
from mlops_assets_tests.helpers.toy import DAY, purchases


def test_each_publication_says_what_it_answered_and_by_which_version(settings: Settings) -> None:
    lake, rows = Lake(settings.lake, "toy"), purchases(20)
    predicted(lake, rows[:10], version=1)
    predicted(lake, rows, version=2)
    predicted(lake, [], version=3)
    empty, newest, oldest = answers_of(lake, DAY, "000.csv", 2)
    assert (newest.version, newest.prediction, newest.probability, newest.problem) == (2, "FOOD", 0.5, "")
    assert (oldest.version, oldest.prediction) == (1, None), "the row came later"
    assert (empty.version, empty.problem) == (3, "it has no answer for this row")


def test_a_publication_whose_files_were_cleaned_up_says_so(settings: Settings) -> None:
    lake, rows = Lake(settings.lake, "toy"), purchases(10)
    predicted(lake, rows, version=1)
    predicted(lake, rows, version=2)
    (lake.predictions.folder / f"day={DAY}" / "00000-v1.parquet").unlink()
    newest, oldest = answers_of(lake, DAY, "000.csv", 1)
    assert (newest.prediction, oldest.prediction) == ("FOOD", None)
    assert "cleaned up" in oldest.problem
    assert answers_of(lake, "2020-01-01", "000.csv", 1) == []
