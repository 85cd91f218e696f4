"""Monitoring: how well published predictions do, by day, version and slice; who scored which day; the challenger."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.components import MlUseCase
from mlops_assets.journey.feedback.audit import draw_audit
from mlops_assets.journey.feedback.audited import count_rows, wilson
from mlops_assets.journey.feedback.corrections import take_in
from mlops_assets.journey.feedback.files import HEADER
from mlops_assets.journey.feedback.live import compare_challenger, live_metrics, scored_days
from mlops_assets.journey.score.day import CHALLENGER
from mlops_assets.storage.accounting import ChallengerAccounting
from mlops_assets.storage.catalog import PREDICTIONS, Lake
from mlops_assets.storage.tables import write_part
from mlops_assets.use_case import Feedback, UseCase
from mlops_assets_tests.helpers.feedback import LABELS, NOW, about, predicted
from mlops_assets_tests.helpers.stage import Stage, small
from mlops_assets_tests.helpers.toy import DAY, purchases, put, toy

FIRST, LAST = "2026-01-01", "2026-01-02"
ROWS = purchases(60)


@pytest.fixture
def use_case() -> UseCase:
    return toy().model_copy(update={"feedback": Feedback(audit_rows=20, slices=("city",))})


@pytest.fixture
def lake(use_case: UseCase, tmp_path: Path) -> Lake:
    """A day of 60 rows, all predicted to be FOOD, which half of them are; its audit is drawn."""
    lake = Lake(tmp_path / "lake", "toy")
    put(lake, use_case, ROWS)
    predicted(lake, ROWS)
    draw_audit(use_case, lake, DAY)
    return lake


def drawn_rows(use_case: UseCase, lake: Lake) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows that were drawn, and the others."""
    drawn = {(one["file"], one["line"]) for one in draw_audit(use_case, lake, DAY).to_pylist()}
    sides = [[row for row in ROWS if ((row["file"], row["line"]) in drawn) is side] for side in (True, False)]
    return sides[0], sides[1]


def say(use_case: UseCase, lake: Lake, folder: Path, entries: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "all.csv").write_text("\n".join([",".join(HEADER), *entries]))
    take_in(use_case, lake, folder, LABELS, NOW)


# -- live metrics -------------------------------------------------------------------------------------------------------


def test_audited_accuracy_and_the_share_right_among_corrections_are_shown_apart(
    use_case: UseCase, lake: Lake, tmp_path: Path
) -> None:
    drawn, others = drawn_rows(use_case, lake)
    wrong = [row for row in others if row["kind"] == "FUEL"]
    say(use_case, lake, tmp_path / "f", [about(row, row["kind"]) for row in (*drawn[:15], *wrong[:10])])
    found = [one for one in live_metrics(use_case, count_rows(use_case, lake)) if one["slice"] == "all"]
    right = sum(row["kind"] == "FOOD" for row in drawn[:15])
    low, high = wilson(right, 15)
    assert found == [
        {
            "day": DAY,
            "model_version": 1,
            "age": None,
            "slice": "all",
            "drawn": 20,
            "audited": 15,
            "right_audited": right,
            "accuracy": right / 15,
            "low": low,
            "high": high,
            "corrections": 10,
            "right_corrected": 0.0,
        }
    ]


def test_the_slices_of_a_day_add_up_to_the_day(use_case: UseCase, lake: Lake, tmp_path: Path) -> None:
    say(use_case, lake, tmp_path / "f", [about(row, row["kind"]) for row in ROWS])
    whole, *slices = live_metrics(use_case, count_rows(use_case, lake))
    assert {one["slice"] for one in slices} == {f"city=C{number}" for number in range(4)}
    for name in ("drawn", "audited", "right_audited", "corrections"):
        assert sum(one[name] for one in slices) == whole[name]
    assert (whole["audited"], whole["corrections"]) == (20, 40)


def test_two_people_who_agree_are_one_correction_and_what_is_unknown_stays_so(
    use_case: UseCase, lake: Lake, tmp_path: Path
) -> None:
    _, others = drawn_rows(use_case, lake)
    say(use_case, lake, tmp_path / "f", [about(others[0], "FUEL", who) for who in ("ann", "bob")])
    one = live_metrics(use_case, count_rows(use_case, lake))[0]
    assert (one["corrections"], one["audited"], one["drawn"]) == (1, 0, 20)
    assert (one["accuracy"], one["low"], one["high"]) == (None, None, None)


def test_without_feedback_or_predictions_there_are_no_live_metrics(
    use_case: UseCase, lake: Lake, tmp_path: Path
) -> None:
    assert live_metrics(use_case, count_rows(use_case, lake)) == []
    other = Lake(tmp_path / "other", "toy")
    put(other, use_case, ROWS)
    say(use_case, other, tmp_path / "f", [about(ROWS[0], "FUEL")])
    assert live_metrics(use_case, count_rows(use_case, other)) == []


@given(st.integers(1, 500).flatmap(lambda number: st.tuples(st.integers(0, number), st.just(number))))
def test_the_interval_holds_the_share_and_lies_between_0_and_1(case: tuple[int, int]) -> None:
    low, high = wilson(*case)
    assert 0 <= low <= case[0] / case[1] <= high <= 1


# -- who scored what ----------------------------------------------------------------------------------------------------


def test_every_publication_of_a_day_is_told_and_the_newest_stands(lake: Lake) -> None:
    predicted(lake, ROWS, version=2)
    found = [(one["day"], one["model_version"], one["choice"], one["run"], one["stands"]) for one in scored_days(lake)]
    assert found == [(DAY, 1, "current", "run", False), (DAY, 2, "current", "run", True)]


def challenged(lake: Lake, version: int = 1) -> None:
    """Publish what the challenger says: FUEL for every second row of those that the champion calls FOOD."""
    table, schema = lake.table(CHALLENGER), PREDICTIONS
    records = lake.table("predictions").read_all([DAY]).drop_columns(["day"]).to_pylist()
    records = [{**one, "prediction": ("FOOD", "FUEL")[n % 2], "model_version": 7} for n, one in enumerate(records)]
    part = write_part(table, DAY, f"00000-v{version}", pa.Table.from_pylist(records, schema))
    table.publish(
        DAY, [part], schema, ChallengerAccounting(predictions=len(records), model_version=7), table.parts(DAY)
    )


def test_the_challenger_is_compared_on_days_that_both_scored_in_one_run(use_case: UseCase, tmp_path: Path) -> None:
    lake = Lake(tmp_path, "toy")
    rows = sorted(ROWS, key=lambda row: (row["file"], row["line"]))
    unlabelled = [{**row, "kind": None if number < 10 else row["kind"]} for number, row in enumerate(rows)]
    put(lake, use_case, unlabelled)
    predicted(lake, rows)
    assert compare_challenger(use_case, lake) == []
    table = lake.table("predictions")
    empty = write_part(table, DAY, "00001-v1", PREDICTIONS.empty_table())  # a shard without rows: of the champion alone
    whole = table.days()[DAY].accounting
    table.publish(DAY, [*table.written(DAY).values(), empty], PREDICTIONS, whole, table.parts(DAY))
    challenged(lake)
    (one,) = compare_challenger(use_case, lake)
    known = [(number, row["kind"]) for number, row in enumerate(unlabelled) if row["kind"]]
    assert one == {
        "day": DAY,
        "champion": 1,
        "challenger": 7,
        "rows": 60,
        "differ": 0.5,
        "labelled": 50,
        "champion_right": sum(kind == "FOOD" for _, kind in known) / 50,
        "challenger_right": sum(kind == ("FOOD", "FUEL")[number % 2] for number, kind in known) / 50,
    }
    assert compare_challenger(use_case, lake) == [one], "as it was found before"
    predicted(lake, rows, version=2)
    assert compare_challenger(use_case, lake) == [], "the challenger did not score that publication"


# -- through Dagster ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Two days, trained and predicted; an audit that was handed back, two further corrections and a bad one."""
    with Stage.of(small(), tmp_path_factory.mktemp("monitored") / "home") as stage:
        for day in (FIRST, LAST):
            stage.sample(day)
        stage.run(FIRST, LAST, train=True)
        truth = {(row["file"], row["line"]): row["category"] for row in stage.published("rows", LAST)}
        drawn = draw_audit(stage.use_case, Lake(stage.home / "lake", "transactions"), LAST).to_pylist()
        when = "2026-01-03T10:00:00Z"
        entries = [f"{LAST},{one['file']},{one['line']},{truth[one['file'], one['line']]},ann,{when}" for one in drawn]
        audited = {(one["file"], one["line"]) for one in drawn}
        others = [row for row in truth if row not in audited][:2]
        entries += [f"{LAST},{file},{line},{truth[file, line]},bob,{when}" for file, line in others]
        entries.append(f"{LAST},none.csv,1,{truth[others[0]]},bob,{when}")
        folder = stage.home / "raw" / "transactions" / "feedback"
        folder.mkdir()
        (folder / "all.csv").write_text("\n".join([",".join(HEADER), *entries]), encoding="utf-8")
        assert stage.execute("monitoring").success
        yield stage


def test_the_audit_of_each_day_is_drawn_as_it_is_published(monitored: Stage) -> None:
    assert monitored.materialised("audit_sample") == {FIRST, LAST}
    assert monitored.metadata("audit_sample", LAST)["drawn"] == 50


def test_the_feedback_tells_what_counts_and_shows_the_rejects(monitored: Stage) -> None:
    shown = monitored.metadata("feedback")
    assert (shown["entries"], shown["accepted"], shown["audited"], shown["rejected"]) == (53, 52, 50, 1)
    assert "| unknown_row | 1 |" in shown["by_rule"]
    assert "no row 1 of 'none.csv' is published on 2026-01-02" in shown["first_rejects"]


def test_live_metrics_are_tables_and_a_picture(monitored: Stage) -> None:
    shown = monitored.metadata("live_metrics")
    head, _, line = shown["by_day"].splitlines()
    assert head.startswith(
        "| day | model_version | age | slice | drawn | audited | right_audited | accuracy | low | high |"
    )
    assert line.startswith(f"| {LAST} | 1 | 0 | all | 50 | 50 |")
    assert "| age | days it learned from | 1 | 50 |" in shown["by_age"]
    assert "merchant_country=" in shown["by_slice"]
    found = re.fullmatch(r"!\[live accuracy\]\(data:image/png;base64,(.*)\)", shown["picture"])
    assert found is not None
    assert base64.b64decode(found.group(1)).startswith(b"\x89PNG")


def test_a_fall_of_accuracy_is_a_check_and_waits_for_enough_rows(monitored: Stage) -> None:
    found = monitored.check("live_metrics", "degradation")
    assert found.passed
    assert found.description == monitored.metadata("live_metrics")["verdict"]
    assert found.description.startswith("Version 1 has 0 audited rows of the 100 that are needed")


def test_scored_days_tell_version_choice_and_run_and_who_was_champion(monitored: Stage) -> None:
    shown = monitored.metadata("scored_days")
    assert shown["publications"] == 2
    assert f"| {LAST} | 1 | current |" in shown["days"]
    assert "| promote | 1 |" in shown["champions"]


def test_a_training_learns_from_the_feedback_and_says_so(monitored: Stage, tmp_path: Path) -> None:
    with monitored.copy(tmp_path / "home") as stage:
        assert stage.execute("training", "training_set").success
        shown = stage.metadata("training_set")
        assert 0 < shown["corrected"] <= 52
        assert shown["feedback"]


def test_the_challenger_is_compared_where_one_is_named() -> None:
    key = dg.AssetKey(["transactions", "challenger_comparison"])
    drawn = {}
    for challenger in (1, None):
        assets = MlUseCase(small().model_copy(update={"challenger": challenger})).build_defs().assets or ()
        drawn[challenger] = next((one for one in assets if key in getattr(one, "keys", ())), None)
    assert drawn[None] is None
    assert isinstance(drawn[1], dg.AssetsDefinition)
    assert {parent.path[-1] for parent in drawn[1].asset_deps[key]} == {"predictions", CHALLENGER}
