"""What is kept beside published days: read whatever version wrote it, and written as it always was."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlops_assets.storage.accounting import (
    Accounting,
    ChallengerAccounting,
    DeliveryRecord,
    EnrichmentAccounting,
    FeaturesAccounting,
    ListingAccounting,
    PredictionsAccounting,
    ReadingAccounting,
    Stored,
    Unanswered,
)
from mlops_assets.storage.catalog import PREDICTIONS, Lake
from mlops_assets.storage.tables import write_part

WRITTEN: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "written_before.json").read_text())
"""What the code before these classes wrote: real commits of a day of `transactions`, and two documents of its form."""

KINDS: dict[str, type[Stored]] = {
    "raw_files": ListingAccounting,
    "rows": ReadingAccounting,
    "rejects": ReadingAccounting,
    "features": FeaturesAccounting,
    "predictions": PredictionsAccounting,
    "challenger_predictions": ChallengerAccounting,
    "enrichment_calendar": EnrichmentAccounting,
    "delivery": DeliveryRecord,
}
DAY = "2026-01-01"


@pytest.mark.parametrize("name", KINDS)
def test_what_was_written_before_is_read_whole_and_written_again_key_by_key(name: str) -> None:
    read = KINDS[name].from_json(WRITTEN[name])
    assert read.to_json() == WRITTEN[name]
    assert not read.further, "every key of today has an attribute"


@pytest.mark.parametrize("name", KINDS)
def test_a_key_that_is_not_known_is_kept(name: str) -> None:
    written = {**WRITTEN[name], "of_a_later_version": [1]}
    read = KINDS[name].from_json(written)
    assert (read.further, read.to_json()) == ({"of_a_later_version": [1]}, written)


@pytest.mark.parametrize("name", KINDS)
def test_a_key_that_was_not_written_yet_has_its_default(name: str) -> None:
    kind = KINDS[name]
    for lost in WRITTEN[name].keys() & {one.name for one in fields(kind)}:
        read = kind.from_json({key: value for key, value in WRITTEN[name].items() if key != lost})
        assert getattr(read, lost) == getattr(kind(), lost)
    assert kind.from_json({}) == kind()


def test_the_predictions_tell_of_categories_and_enrichments_by_name() -> None:
    read = PredictionsAccounting.from_json(
        {"enrichments": {"calendar": 4}, "calendar_last_known": 2, "calendar_missing": 1, "unseen_city": 3}
    )
    assert read.unanswered == {"calendar": Unanswered(last_known=2, missing=1)}
    assert read.unseen == {"city": 3}
    assert read.numbers().items() >= {"calendar_last_known": 2, "calendar_missing": 1, "unseen_city": 3}.items()


def test_an_enrichment_of_which_nothing_was_counted_left_no_row_unanswered() -> None:
    assert PredictionsAccounting.from_json({"enrichments": {"a": 1}}).unanswered == {"a": Unanswered(0, 0)}


def test_predictions_without_enrichments_do_not_mention_them() -> None:
    assert "enrichments" not in PredictionsAccounting(predictions=1).to_json()


def test_the_rows_of_a_day_that_are_restored_keep_what_a_later_version_said_of_them(tmp_path: Path) -> None:
    table = Lake(tmp_path, "toy").predictions
    later = PredictionsAccounting.from_json({"predictions": 0, "of_a_later_version": "kept"})
    for number, accounting in enumerate((later, PredictionsAccounting())):
        part = write_part(table, DAY, str(number), PREDICTIONS.empty_table())
        table.publish(DAY, [part], PREDICTIONS, accounting, table.parts(DAY))
    first = table.publications()[DAY][0]
    assert table.restore(DAY, first, PREDICTIONS)
    restored = table.days()[DAY].accounting
    assert (restored.further, restored.restored_from) == ({"of_a_later_version": "kept"}, first.version)


def test_a_restored_day_that_is_run_again_is_not_published_again(tmp_path: Path) -> None:
    table = Lake(tmp_path, "toy").predictions
    first, other = (write_part(table, DAY, name, PREDICTIONS.empty_table()) for name in ("first", "other"))
    told = PredictionsAccounting(model_version=1)
    for part in (first, other):
        table.publish(DAY, [part], PREDICTIONS, told, table.parts(DAY))
    assert table.restore(DAY, table.publications()[DAY][0], PREDICTIONS)
    assert not table.publish(DAY, [first], PREDICTIONS, told, table.parts(DAY))
    assert table.publish(DAY, [first], PREDICTIONS, replace(told, model_version=2), table.parts(DAY))


def test_what_is_published_is_written_flat_into_the_commit(tmp_path: Path) -> None:
    table = Lake(tmp_path, "toy").rows
    table.publish(DAY, [], pa.schema({"number": pa.int64()}), ReadingAccounting(files=2, files_read=2), set())
    assert Lake(tmp_path, "toy").rows.days()[DAY].accounting == ReadingAccounting(files=2, files_read=2)
    commit = json.loads((table.folder / "_delta_log" / "00000000000000000001.json").read_text().splitlines()[0])
    written = json.loads(commit["commitInfo"]["accounting"])
    assert written == {**dict.fromkeys(written, 0), "files": 2, "files_read": 2, "rules": {}, "manifest": ""}


@pytest.mark.parametrize(
    ("lost", "files_add_up", "lines_add_up"),
    [("files_read", False, True), ("files_refused", False, True), ("rows", True, False), ("rejected", True, False)],
)
def test_files_and_lines_add_up_or_not(lost: str, files_add_up: bool, lines_add_up: bool) -> None:
    whole = {"files": 3, "files_read": 2, "files_refused": 1, "lines": 9, "rows": 8, "rejected": 1}
    read = ReadingAccounting.from_json({**whole, lost: whole[lost] + 1})
    assert (read.files_add_up, read.lines_add_up) == (files_add_up, lines_add_up)


def test_an_accounting_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Accounting().restored_from = 1  # type: ignore[misc]


def test_rows_without_an_answer_are_those_that_are_missing_and_those_without_a_key() -> None:
    told = EnrichmentAccounting(rows=10, rows_last_known=3, rows_missing=1, rows_without_key=1)
    assert (told.unanswered, told.missing_share) == (Unanswered(last_known=3, missing=2), 0.2)
    assert EnrichmentAccounting().missing_share == 0


def test_what_was_noticed_is_written_flat_and_read_again() -> None:
    examples = {"no_final_line_end": ("a.csv", "b.csv")}
    read = ReadingAccounting(files=3, labelled=1, labels=("x",), noticed={"no_final_line_end": 2}, examples=examples)
    assert read.to_json()["noticed_no_final_line_end"] == 2
    assert ReadingAccounting.from_json(read.to_json()) == read
