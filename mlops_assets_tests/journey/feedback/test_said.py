"""What people have said of one row: what counts and what does not, with their reasons."""

from __future__ import annotations

from pathlib import Path

from mlops_assets.journey.feedback.corrections import take_in
from mlops_assets.journey.feedback.handing import as_file
from mlops_assets.journey.feedback.said import said_of
from mlops_assets.storage.catalog import Lake
from mlops_assets_tests.helpers.feedback import EARLY, LABELS, LATE, NOW
from mlops_assets_tests.helpers.toy import DAY, purchases, put, toy

ODD = 'a,"b".csv'


def test_all_that_was_said_is_told_the_newest_first_with_its_reason(tmp_path: Path) -> None:
    lake, use_case = Lake(tmp_path / "lake", "toy"), toy()
    put(lake, use_case, [{**row, "file": ODD} if row["file"] == "000.csv" else row for row in purchases(40)])
    folder = tmp_path / "raw" / "toy" / "feedback"
    folder.mkdir(parents=True)
    said = {"day": DAY, "file": ODD, "line": 1}
    first = [
        {**said, "label": "FUEL", "who": "ann", "when": LATE, "why": 'I was, "there"'},
        {**said, "label": "SHOES", "who": "bob", "when": EARLY, "why": "a guess"},
        {**said, "label": "FUEL", "who": "bob", "when": EARLY, "line": 2},
    ]
    (folder / "with.csv").write_bytes(as_file(first))
    (folder / "without.csv").write_bytes(as_file([{**said, "label": "FUEL", "who": "eve", "when": EARLY}]))
    take_in(use_case, lake, folder, LABELS, NOW)
    told = said_of(use_case, lake, folder, DAY, (ODD, 1))
    assert [(one.who, one.label, one.why, one.rule) for one in told] == [
        ("ann", "FUEL", 'I was, "there"', ""),
        ("eve", "FUEL", "", ""),
        ("bob", "SHOES", "a guess", "unknown_label"),
    ]
    assert "no model knows" in told[2].message
    (folder / "with.csv").unlink()
    assert [(one.who, one.why) for one in said_of(use_case, lake, folder, DAY, (ODD, 1))] == [("ann", ""), ("eve", "")]
    assert said_of(use_case, lake, folder, "2020-01-01", (ODD, 1)) == []


def test_corrections_without_reasons_are_the_file_that_they_were_before_there_were_reasons() -> None:
    one = {"day": DAY, "file": "000.csv", "line": 1, "label": "FUEL", "when": EARLY}
    assert as_file([one]).splitlines()[0] == b"day,file,line,label,who,when"
    assert as_file([{**one, "why": "so"}]).splitlines()[0] == b"day,file,line,label,who,when,why"
