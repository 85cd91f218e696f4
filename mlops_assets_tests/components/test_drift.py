"""Drift through Dagster: what the asset shows of a day, a red day that is kept back, and one that is accepted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets import running
from mlops_assets.components.drift import CHECKS, drift_assets
from mlops_assets.components.telling import lamps_of, look_now
from mlops_assets.journey.feedback.live import scored_days
from mlops_assets.monitoring.kept import read_verdict, red_days
from mlops_assets.monitoring.verdicts import NotWatched, Watcher
from mlops_assets.use_case import Drift, Retraining, Told
from mlops_assets.use_case.drift import Floors
from mlops_assets.views import drift as views
from mlops_assets_tests.helpers.receiver import webhook
from mlops_assets_tests.helpers.stage import Stage, small

FIRST, LAST, DAMAGED, GOOD = "2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"
FILES = 48


def empty_cities(stage: Stage, day: str) -> None:
    """Empty the column of the merchant's city in every file of a day."""
    for path in stage.folder(day).iterdir():
        head, *lines = path.read_bytes().split(b"\r\n")
        place = [name.strip() for name in head.split(b";")].index(b"cidade_estabelecimento")
        rows = [line.split(b";") for line in lines if line]
        mended = [b";".join([*cells[:place], b"", *cells[place + 1 :]]) for cells in rows]
        path.unlink()  # in a copy, it is a link to a file of the original
        path.write_bytes(b"\r\n".join([head, *mended, b""]))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Two days, trained and predicted, whose red days are kept back; the files of a third lie there, damaged."""
    use_case = small().model_copy(update={"drift": Drift(stop=True), "retraining": Retraining(drift=1)})
    with Stage.of(use_case, tmp_path_factory.mktemp("watched") / "home") as stage:
        for day in (FIRST, LAST, DAMAGED):
            stage.sample(day, files=FILES)
        empty_cities(stage, DAMAGED)
        stage.run(FIRST, LAST, train=True)
        yield stage


@pytest.fixture
def stage(watched: Stage, tmp_path: Path) -> Iterator[Stage]:
    """A copy that a test may change."""
    with watched.copy(tmp_path / "home") as copy:
        yield copy


def run(stage: Stage, day: str, why: str = "") -> None:
    """As `mlops-assets run --from DAY --to DAY --accept-drift WHY`."""
    with stage.stores():
        running.run_use_case(
            stage.definitions, stage.instance, stage.use_case, (day, day), train=False, accept_drift=why
        )


def test_a_quiet_day_is_shown_with_numbers_that_plot_and_a_picture(watched: Stage) -> None:
    shown = watched.metadata("drift", LAST)
    assert shown["verdict"].startswith("All ")
    assert (shown["red_lamps"], shown["model_version"]) == (0, 1)
    assert {"effect/nulls", "effect/unseen", "effect/shift", "effect/psi", "effect/class_mix"} <= shown.keys()
    shares = [value for name, value in shown.items() if name.startswith("share/")]
    assert 0.5 < sum(shares) < 1.01, "they have four digits"
    assert shown["picture"].startswith(f"![{LAST} beside the training rows](data:image/png;base64,")
    assert "| the training rows |" in shown["compared"]
    assert shown["came/files"] == FILES
    assert shown["came"].startswith(f"{FILES} files with rows of {shown['came/accounts']} accounts, ")
    assert shown["came/late_files"] == 0
    for name in CHECKS:
        found = watched.check("drift", name)
        assert (found.passed, found.description) == (True, "usual on 2 days")
        if name != "deliveries_are_usual":  # of the first two days nobody knows what is usual
            assert found.metadata["effect"].value <= found.metadata["threshold"].value, "green days plot, too"
    sure = watched.check("drift", "answers_are_sure")
    assert sure.metadata["effect"].value < 0.05 <= sure.metadata["threshold"].value, "how far it fell, and may fall"
    assert watched.check("predictions", "drift").passed


def test_each_day_has_a_result_of_its_own_of_each_check(watched: Stage) -> None:
    check = dg.AssetCheckKey(dg.AssetKey(["transactions", "drift"]), "columns_are_usual")
    history = watched.instance.event_log_storage.get_asset_check_execution_history(check, limit=10)
    said = {record.partition: record.event.dagster_event.event_specific_data.description for record in history}
    assert said == {FIRST: "usual on 1 day", LAST: "usual on 1 day", None: "usual on 2 days"}


def test_a_red_day_is_kept_back_and_the_message_says_what_is_red_and_what_to_do(stage: Stage) -> None:
    with pytest.raises(running.RunFailed) as failed:
        run(stage, DAMAGED)
    said = str(failed.value)
    assert f"{DAMAGED}: drift: `merchant_city` is empty in 100 % of rows" in said
    assert f"mlops-assets drift transactions --day {DAMAGED}" in said
    assert f'mlops-assets run transactions --from {DAMAGED} --to {DAMAGED} --accept-drift "WHY"' in said
    assert DAMAGED not in stage.table("predictions").days()
    assert "is empty in 100 % of rows" in str(stage.check("predictions", "drift").metadata["days"].value)
    with stage.stores() as stores:
        kept = read_verdict(stores.use_case, stores.lake, DAMAGED)
    assert kept is not None, "what kept it back can be looked at"
    assert (kept.publication, kept.verdict.red_lamps[0].name) == (None, "rows.merchant_city")


def test_a_day_that_is_accepted_is_published_with_the_reason_and_asks_for_a_training(stage: Stage) -> None:
    run(stage, DAMAGED, "the sender has no cities today")
    accounting = stage.table("predictions").days()[DAMAGED].accounting
    assert accounting.accepted_drift == "the sender has no cities today"
    found = stage.check("predictions", "drift")
    assert found.passed
    assert "Published nevertheless: the sender has no cities today" in str(found.description)
    columns = stage.check("drift", "columns_are_usual")
    assert (columns.passed, columns.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert columns.description.startswith(f"{DAMAGED}: `merchant_city` is empty in 100 % of rows")
    assert columns.metadata["effect"].value > columns.metadata["threshold"].value
    assert "| rows.merchant_city | red |" in str(columns.metadata["red"].value)
    with stage.stores() as stores:
        assert red_days(stores.use_case, stores.lake, 1) == [DAMAGED]
        assert scored_days(stores.lake)[-1]["accepted_drift"] == "the sender has no cities today"


def test_of_a_range_the_days_that_are_published_are_judged_though_another_is_kept_back(stage: Stage) -> None:
    stage.sample(GOOD, files=FILES)
    assert not stage.execute("daily", days=(DAMAGED, GOOD)).success
    with stage.stores() as stores:
        kept = read_verdict(stores.use_case, stores.lake, GOOD)
    assert kept is not None
    assert not kept.verdict.red
    assert stage.metadata("drift", GOOD)["verdict"] == kept.sentence


def test_a_day_that_no_run_has_judged_is_judged_by_the_next_one(stage: Stage) -> None:
    with stage.stores() as stores:
        stores.lake.verdict(LAST).unlink()
        stage.sample(GOOD, files=FILES)
        run(stage, GOOD)
        assert read_verdict(stores.use_case, stores.lake, LAST) is not None
    assert stage.check("drift", "answers_are_usual").description == "usual on 2 days"


def test_the_lamp_of_the_estimate_is_a_warning_and_keeps_no_day_back(stage: Stage) -> None:
    """The model is surer than it was judged to be by so little that less is a fall."""
    floors = Floors(confidence=0.0, class_mix=1.0, nulls=1.0, unseen=1.0, psi=100.0, shift=100.0, volume=100.0)
    timid = stage.use_case.model_copy(update={"drift": Drift(stop=True, floors=floors, answers_band=1_000.0)})
    empty_cities(stage, LAST)
    with Stage.of(timid, stage.home) as unsure:
        unsure.execute("daily", days=(FIRST, LAST))
        sure, told = unsure.check("drift", "answers_are_sure"), unsure.metadata("drift", LAST)
        assert sure.severity == dg.AssetCheckSeverity.WARN
        assert sure.passed == ("less sure than it was" not in str(told["estimate"]))
        assert LAST in unsure.table("predictions").days()


def test_a_red_day_is_told_once_with_its_first_sentence_and_when_it_is_over(stage: Stage) -> None:
    with webhook() as receiver:
        told = {"oncall": Told(url=receiver.url)}
        use_case = stage.use_case.model_copy(update={"drift": Drift(), "told": told})
        with Stage.of(use_case, stage.home) as noticed, noticed.stores() as stores:
            look_now(stores, noticed.instance)
            run(noticed, DAMAGED)
            look_now(stores, noticed.instance)
            look_now(stores, noticed.instance)
            (alert,) = receiver.got
            assert alert["event"] == "lamp"
            assert alert["problem"].startswith(f"{DAMAGED}: `merchant_city` is empty in 100 % of rows (")
            assert f"See `mlops-assets drift transactions --day {DAMAGED}`." in alert["what_to_do"]
            receiver.got.clear()
            noticed.sample(GOOD, files=FILES // 2)
            run(noticed, GOOD)
            look_now(stores, noticed.instance)
            new, over = receiver.got
            assert new["problem"].startswith(f"{GOOD}: ")
            assert new["problem"].endswith(" are usual). 1 more is red."), "files and rows"
            assert (over["over"], over["problem"]) == (True, f"{GOOD}: rows.merchant_city is green again.")


def test_a_day_that_was_kept_back_is_told_as_red_and_not_by_its_lamps_as_well(stage: Stage) -> None:
    with stage.stores() as stores:
        with pytest.raises(running.RunFailed):
            run(stage, DAMAGED)
        assert not [lamp for lamp in lamps_of(stores, LAST) if lamp.red], "the newest that is published"
        run(stage, DAMAGED, "it is so today")
        red = [lamp for lamp in lamps_of(stores, DAMAGED) if lamp.red]
    assert red
    assert all(lamp.follows for lamp in red), "who accepted it knows"


def test_a_day_that_cannot_be_judged_stays_published_and_says_why(stage: Stage) -> None:
    with stage.stores() as stores:
        total, parts = stores.lake.profile(LAST), stores.lake.profiles
    total.unlink()
    part = parts.folder / min(parts.parts(LAST))
    part.unlink()  # in a copy, it is a link to a file of the original
    part.write_bytes(b"nothing")
    assert stage.execute("daily", "drift", day=LAST).success
    (said,) = stage.skipped("drift")
    assert said.startswith("Not judged: ")
    assert "1 not judged: Not judged: " in stage.check("drift", "columns_are_usual").description
    for path in [*(parts.folder / part for part in parts.parts(LAST))]:
        path.unlink()
    assert stage.execute("daily", "drift", day=LAST).success
    assert f"{LAST} was scored before its use case was watched" in stage.skipped("drift")[0]
    with stage.stores() as stores:
        judged, dark = Watcher(stores).explain_all([FIRST, LAST])
        with pytest.raises(NotWatched, match=f"{LAST} was scored before"):
            Watcher(stores).explain_all([LAST])
    shown = views.text([judged, dark])
    assert shown.startswith("None of 2 days is red; 1 cannot be judged.\n")
    assert f"\n{LAST}: {LAST} was scored before its use case was watched" in shown


def test_a_use_case_that_is_not_watched_has_no_such_asset() -> None:
    assert drift_assets(small().model_copy(update={"drift": Drift(watch=False)})) == []
