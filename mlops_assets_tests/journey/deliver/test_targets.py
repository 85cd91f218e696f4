"""Published days at their targets: files beside files, once for each publication, whatever fails on the way."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import pyarrow.parquet as pq
import pytest

from mlops_assets.errors import ConfigError
from mlops_assets.journey.deliver.delivery import Deliveries, deliver_day
from mlops_assets.journey.deliver.targets import open_target
from mlops_assets.journey.deliver.targets.files import DONE
from mlops_assets.plugins.targets import Delivery, TargetDown, TargetError
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.places import S3Path, below
from mlops_assets.use_case import Delivering, UseCase, load_use_case
from mlops_assets.views.status import collect, render
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.account_files import ROW
from mlops_assets_tests.helpers.stage import Stage, small
from mlops_assets_tests.helpers.visits import VISITS, place_visits

FIRST, LAST = "2026-01-01", "2026-01-02"


class Own:
    """A target of a user's own that notes what it is given; it fails as long as its list of errors lasts."""

    taken: ClassVar[list[tuple[str, str, int]]] = []
    errors: ClassVar[list[Exception]] = []

    def guarantee(self) -> str:
        return "at least once"

    def deliver(self, delivery: Delivery) -> Mapping[str, Any]:
        if Own.errors:
            raise Own.errors.pop(0)
        rows = sum(map(len, delivery.batches()))
        Own.taken.append((delivery.day, delivery.publication, rows))
        return {"queue": "own"}


OWN = f"{__name__}.Own"


def delivering(**targets: dict[str, Any]) -> UseCase:
    """The small use case with targets."""
    return small().model_copy(update={"targets": {name: Delivering(**given) for name, given in targets.items()}})


@pytest.fixture(autouse=True)
def nothing_taken() -> None:
    Own.taken.clear()
    Own.errors.clear()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Two published days; the second has a file in a folder of its own, with a broken line."""
    with Stage.of(small(), tmp_path_factory.mktemp("published") / "home") as stage:
        for day in (FIRST, LAST):
            stage.sample(day)
        (stage.folder(LAST) / "branch").mkdir()
        stage.deliver(LAST, "branch/extra.csv", [ROW, ROW.replace("4.12.2019", "31.02.2026"), ROW])
        stage.run(FIRST, LAST, train=True)
        yield stage


@pytest.fixture
def stage(published: Stage, tmp_path: Path) -> Iterator[Stage]:
    with published.copy(tmp_path / "home") as copy:
        yield copy


def deliver(stage: Stage, use_case: UseCase, day: str, name: str, *, again: bool = False) -> Any:
    """Deliver a day as the asset does."""
    with stage.settings() as settings:
        lake = Lake(settings.lake, use_case.name)
        return deliver_day(use_case, lake, day, name, open_target(use_case, name, settings), run="r", again=again)


# -- files --------------------------------------------------------------------------------------------------------------


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def outputs(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def test_each_input_file_has_an_output_with_its_rows_and_their_predictions(stage: Stage, tmp_path: Path) -> None:
    use_case = delivering(out={"use": "files", "parameters": {"place": str(tmp_path / "out")}})
    record = deliver(stage, use_case, LAST, "out")
    folder = tmp_path / "out" / use_case.name / f"day={LAST}"
    predictions = stage.published("predictions", LAST)
    found = outputs(folder)
    assert found.keys() == {one["file"] for one in predictions} | {DONE}
    said = {(one["file"], one["line"]): one for one in predictions}
    rows = {(r["file"], r["line"]): r for r in stage.published("rows", LAST)}
    for name in found.keys() - {DONE}:
        for line in csv_rows(found[name]):
            one, row = said.pop((name, int(line["line"]))), rows[name, int(line["line"])]
            assert line["prediction"] == one["prediction"]
            assert float(line["probability"]) == pytest.approx(one["probability"], abs=1e-6)
            assert line["model_version"] == "1"
            assert float(line["amount"]) == pytest.approx(row["amount"])
            assert line["merchant_city"] == (row["merchant_city"] or "")
    assert not said, "every prediction was delivered"
    assert [line["line"] for line in csv_rows(found["branch/extra.csv"])] == ["1", "3"], "a refused line has none"
    assert json.loads((folder / DONE).read_text())["publication"] == record.publication
    assert (record.rows, record.guarantee, record.told["files"]) == (len(predictions), "exactly once", len(found) - 1)


def test_one_file_a_shard_holds_the_rows_of_all_its_files(stage: Stage, tmp_path: Path) -> None:
    parameters = {"place": str(tmp_path / "out"), "format": "parquet", "one_file_a": "shard"}
    use_case = delivering(out={"use": "files", "parameters": parameters})
    deliver(stage, use_case, LAST, "out")
    (path,) = (tmp_path / "out" / use_case.name / f"day={LAST}").glob("*.parquet")
    rows = pq.ParquetFile(path).read().to_pylist()
    predictions = stage.published("predictions", LAST)
    assert [(r["file"], r["line"], r["prediction"]) for r in rows] == [
        (p["file"], p["line"], p["prediction"]) for p in predictions
    ]


def test_a_day_that_is_published_again_replaces_its_outputs_and_removes_those_of_files_that_are_gone(
    stage: Stage, tmp_path: Path
) -> None:
    use_case = delivering(out={"use": "files", "parameters": {"place": str(tmp_path / "out")}})
    deliver(stage, use_case, LAST, "out")
    folder = tmp_path / "out" / use_case.name / f"day={LAST}"
    (folder / "note.txt").write_text("of a person")
    (stage.folder(LAST) / "branch" / "extra.csv").unlink()
    stage.deliver(LAST, "late.csv", [ROW])
    stage.run(LAST)
    record = deliver(stage, use_case, LAST, "out")
    expected = {one["file"] for one in stage.published("predictions", LAST)}
    assert outputs(folder).keys() == {*expected, DONE, "note.txt"}
    assert "late.csv" in expected
    assert record.told["removed"] == 1


def test_a_column_with_the_name_of_an_output_column_is_kept_under_another(stage: Stage, tmp_path: Path) -> None:
    use_case = delivering(out={"use": "files", "parameters": {"place": str(tmp_path / "out")}})
    columns = {**use_case.columns, "account_id": use_case.columns["account_id"]}
    deliver(stage, use_case.model_copy(update={"columns": columns}), FIRST, "out")
    path = next((tmp_path / "out").rglob("*.csv"))
    assert {"input_account_id", "prediction"} <= csv_rows(path)[0].keys()


def test_outputs_are_never_written_among_the_raw_files(stage: Stage) -> None:
    use_case = delivering(out={"use": "files", "parameters": {"place": str(stage.home / "raw")}})
    before = outputs(stage.home / "raw")
    with pytest.raises(TargetError, match="the raw files lie there"):
        deliver(stage, use_case, FIRST, "out")
    assert outputs(stage.home / "raw") == before


def test_a_place_that_cannot_be_written_is_told_and_tried_again(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file in the way")
    use_case = delivering(out={"use": "files", "parameters": {"place": str(tmp_path / "out")}})
    with pytest.raises(TargetDown, match="Not a directory"):
        deliver(stage, use_case, FIRST, "out")
    (tmp_path / "out").unlink()
    assert deliver(stage, use_case, FIRST, "out").done


def test_on_s3_the_outputs_are_the_same_and_those_of_files_that_are_gone_go_too(
    stage: Stage, tmp_path: Path, bucket: S3Path
) -> None:
    on_disk = delivering(out={"use": "files", "parameters": {"place": str(tmp_path / "out")}})
    on_s3 = delivering(out={"use": "files", "parameters": {"place": str(bucket / "out")}})
    folder, there = (place / on_disk.name / f"day={LAST}" for place in (tmp_path / "out", bucket / "out"))
    (there / "gone.csv").write_bytes(b"of an earlier delivery")
    (there / "note.txt").write_bytes(b"of a person")
    deliver(stage, on_disk, LAST, "out")
    record = deliver(stage, on_s3, LAST, "out")
    expected = {name: path.read_bytes() for name, path in outputs(folder).items()}
    found = {name: (there / name).read_bytes() for name in below(there)}
    assert found.pop("note.txt") == b"of a person"
    assert found == expected
    assert (record.told["removed"], record.told["place"]) == (1, str(there))


def test_a_bucket_that_does_not_exist_is_told_and_tried_again(stage: Stage, bucket: S3Path) -> None:
    use_case = delivering(out={"use": "files", "parameters": {"place": "s3://there-is-no-such-bucket/out"}})
    with pytest.raises(TargetDown, match="no such bucket"):
        deliver(stage, use_case, FIRST, "out")


# -- once for each publication ------------------------------------------------------------------------------------------


def test_what_a_target_has_is_not_delivered_again_unless_asked(stage: Stage) -> None:
    use_case = delivering(own={"use": OWN})
    assert deliver(stage, use_case, FIRST, "own").done
    assert deliver(stage, use_case, FIRST, "own") is None
    stage.run(FIRST)  # nothing changed, so nothing was published
    assert deliver(stage, use_case, FIRST, "own") is None
    assert len(Own.taken) == 1
    deliver(stage, use_case, FIRST, "own", again=True)
    assert len(Own.taken) == 2


def test_another_configuration_of_a_target_is_delivered_to(stage: Stage, tmp_path: Path) -> None:
    for place in ("a", "b"):
        use_case = delivering(out={"use": "files", "parameters": {"place": str(tmp_path / place)}})
        assert deliver(stage, use_case, FIRST, "out").done
        assert (tmp_path / place).exists()


def test_a_delivery_that_was_broken_off_is_done_again(stage: Stage) -> None:
    use_case = delivering(own={"use": OWN})
    Own.errors.append(TargetDown("away"))
    with pytest.raises(TargetDown):
        deliver(stage, use_case, FIRST, "own")
    with stage.settings() as settings:
        assert "in part" in render(collect(Workspace(settings).of(use_case)))
    assert deliver(stage, use_case, FIRST, "own").done
    assert len(Own.taken) == 1


def test_two_deliveries_of_different_publications_at_once_end_with_another_try(stage: Stage) -> None:
    use_case = delivering(own={"use": OWN})
    with stage.settings() as settings:
        records = Deliveries(use_case, Lake(settings.lake, use_case.name), "own")

        class Overtaken(Own):
            def deliver(self, delivery: Delivery) -> Mapping[str, Any]:
                stage.deliver(FIRST, "late.csv", [ROW])
                stage.run(FIRST)
                assert deliver(stage, use_case, FIRST, "own").done
                return super().deliver(delivery)

        with pytest.raises(TargetDown, match="another run delivered"):
            deliver_day(use_case, Lake(settings.lake, use_case.name), FIRST, "own", Overtaken())
        assert not records.read(FIRST).done
    deliver(stage, use_case, FIRST, "own")
    older, newer = sorted({publication for _, publication, _ in Own.taken})
    assert [publication for _, publication, _ in Own.taken] == [newer, older, newer], "the newest lies there at the end"


# -- through Dagster ----------------------------------------------------------------------------------------------------


@pytest.fixture
def own(stage: Stage) -> Iterator[Stage]:
    """The two days in a use case that delivers to a target of a user's own."""
    with Stage.of(delivering(own={"use": OWN, "pause": 0, "retries": 2}), stage.home) as own:
        yield own


def test_the_daily_job_delivers_what_it_published(own: Stage) -> None:
    own.run(FIRST, LAST)
    assert [day for day, *_ in Own.taken] == [FIRST, LAST]
    shown = own.metadata("delivery_own", LAST)
    assert (shown["queue"], shown["guarantee"]) == ("own", "at least once")
    assert shown["dagster/row_count"] == len(own.published("predictions", LAST))
    assert own.check("delivery_own", "every_row_delivered").passed
    with own.settings() as settings:
        state = collect(Workspace(settings).of(own.use_case))
    assert [day["deliveries"]["own"]["delivered"] for day in state["days"]] == ["yes", "yes"]
    assert own.metadata("predictions", LAST)["dagster/row_count"], "what a day shows is told once"


def test_a_target_that_is_down_for_a_moment_is_tried_again(own: Stage) -> None:
    Own.errors[:] = [TargetDown("away"), TargetDown("still away")]
    own.run(FIRST)
    assert len(Own.taken) == 1


def test_a_target_that_is_down_leaves_the_published_day_and_is_delivered_to_later_alone(own: Stage) -> None:
    Own.errors[:] = [TargetDown("away")] * 3
    own.deliver(FIRST, "late.csv", [ROW])
    done = own.execute("daily", day=FIRST)
    assert not done.success
    assert [event.step_key.rpartition("__")[2] for event in done.all_events if event.is_step_failure] == [
        "delivery_own"
    ]
    failure = next(event for event in done.all_events if event.is_step_failure)
    said = failure.step_failure_data.user_failure_data.description
    assert f"{FIRST}: away" in said
    assert f"mlops-assets deliver transactions --from {FIRST} --to {FIRST} --target own" in said
    assert any(one["file"] == "late.csv" for one in own.published("predictions", FIRST))
    assert own.execute("daily", "delivery_own", day=FIRST).success
    assert len(Own.taken) == 1


def test_a_target_that_refuses_is_not_tried_again(own: Stage) -> None:
    Own.errors[:] = [TargetError("no such queue"), TargetDown("never reached")]
    assert not own.execute("daily", "delivery_own", day=FIRST).success
    assert len(Own.errors) == 1
    found = own.check("delivery_own", "every_row_delivered")
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN), "the run that failed is told already"


def test_an_error_of_a_class_of_ones_own_is_told_as_its_own(own: Stage) -> None:
    Own.errors[:] = [ZeroDivisionError("by zero")]
    done = own.execute("daily", "delivery_own", day=FIRST)
    failure = next(event for event in done.all_events if event.is_step_failure)
    assert (
        f"{OWN}.deliver failed: ZeroDivisionError: by zero" in failure.step_failure_data.user_failure_data.description
    )


def test_days_without_predictions_are_told(own: Stage) -> None:
    done = own.execute("daily", "delivery_own", day="2026-01-05")
    failure = next(event for event in done.all_events if event.is_step_failure)
    assert "No predictions of 2026-01-05 are published" in failure.step_failure_data.user_failure_data.description


# -- configuration ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("out: {use: files}", "targets.out.use: parameters.place: Field required"),
        ("out: {use: files, parameters: {place: /x, format: xls}}", "parameters.format: Input should be 'csv' or"),
        ("out: {use: fax}", "'fax' is none of files"),
        (f"out: {{use: {__name__}.Stage}}", "guarantee"),
        ("out: {use: files, parameters: {place: 's3://'}}", "parameters.place: s3://: '' is no name of a bucket"),
        ("Out: {use: files, parameters: {place: /x}}", "targets.Out"),
        ("out: {use: files, parameters: {place: /x}, retries: -1}", "targets.out.retries"),
    ],
)
def test_a_mistake_in_a_target_is_told_by_file_line_and_key(tmp_path: Path, target: str, said: str) -> None:
    folder = place_visits(tmp_path / "use_cases", f"{VISITS}  targets:\n    {target}\n") / "visits"
    with pytest.raises(ConfigError) as wrong:
        load_use_case(folder)
    assert said in str(wrong.value)
    lines = len(VISITS.splitlines())
    assert any(f"defs.yaml:{line}:" in str(wrong.value) for line in (lines + 1, lines + 2))
