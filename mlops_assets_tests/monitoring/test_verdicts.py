"""Verdicts: kept for one publication and one configuration, counted in a row, and what they propose."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace

import pytest

from mlops_assets.monitoring.kept import Judged, read_verdict, red_days
from mlops_assets.monitoring.kept import keep as keep_verdict
from mlops_assets.monitoring.lamp import DayVerdict, Lamp
from mlops_assets.monitoring.stopping import check_drift
from mlops_assets.monitoring.verdicts import NotWatched, Watcher, by_kind
from mlops_assets.monitoring.words import ADVICE
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import write_json
from mlops_assets.storage.integrity import read_json
from mlops_assets.use_case import Drift, UseCase
from mlops_assets.workspace import Stores, Workspace
from mlops_assets_tests.helpers.feedback import predicted
from mlops_assets_tests.helpers.toy import purchases, toy

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")
ROWS = purchases(5)


@pytest.fixture
def use_case() -> UseCase:
    return toy()


@pytest.fixture
def stores(settings: Settings, use_case: UseCase) -> Stores:
    return Workspace(settings).of(use_case)


@pytest.fixture
def lake(stores: Stores) -> Lake:
    """Three published days; version 2 scored the last two."""
    for day, version in zip(DAYS, (1, 2, 2), strict=True):
        predicted(stores.lake, ROWS, version=version, day=day)
    return stores.lake


def verdict(day: str, *, red: bool, since: str | None = None) -> DayVerdict:
    state = "red" if red else "green"
    numbers = 0.5, 0.01, 0.02
    since, advice = (since or day, ADVICE["nulls"]) if red else (None, "")
    said = "`city` is empty." if red else ""
    lamp = Lamp("rows.city", state, "nulls", *numbers, "rows", "city", said, advice, since)
    return DayVerdict(day, "the training rows", (lamp, Lamp("files", "green", "volume", math.inf, 0.25, 0.1)))


def keep(stores: Stores, day: str, *, red: bool) -> Judged:
    published = stores.lake.predictions.days()[day]
    judged = Judged(verdict(day, red=red), (), published.accounting.model_version, published.version)
    keep_verdict(stores.use_case, stores.lake, judged)
    return judged


def test_a_verdict_is_read_as_it_was_kept(stores: Stores, lake: Lake, use_case: UseCase) -> None:
    judged = keep(stores, DAYS[0], red=True)
    assert read_verdict(use_case, lake, DAYS[0]) == judged
    assert read_verdict(use_case, lake, DAYS[1]) is None


@pytest.mark.parametrize("change", [{"lamps": 7}, {"lamps": [{"state": "red"}]}, {"others": [1]}])
def test_one_that_says_something_else_says_nothing(
    change: dict[str, object], stores: Stores, lake: Lake, use_case: UseCase, caplog: pytest.LogCaptureFixture
) -> None:
    keep(stores, DAYS[0], red=True)
    path = lake.verdict(DAYS[0])
    write_json(path, read_json(path) | change)
    found = read_verdict(use_case, lake, DAYS[0])
    assert found is None
    assert "does not say what such a file says" in caplog.text


def test_a_day_of_400_red_lamps_is_kept_in_little(stores: Stores, lake: Lake, use_case: UseCase) -> None:
    figures = dict.fromkeys(("nulls", "unseen", "shift", "psi", "jensen_shannon", "total_variation"), 0.123456789)
    said = (
        "`var_100` of the model's input has moved by 2.50 standard deviations: its mean is 13.19 (-1.586 in training)."
    )
    common = {"effect": 2.123456789, "floor": 0.15, "band": 0.2987654321, "sentence": said, "figures": figures}
    every = [
        Lamp(f"{source}.var_{number}", state, "shift", source=source, column=f"var_{number}", bins=(1, 2, 3), **common)
        for source in ("rows", "model_input")
        for state, numbers in (("red", range(190)), ("green", range(190, 200)))
        for number in numbers
    ]
    published = lake.predictions.days()[DAYS[0]]
    judged = Judged(DayVerdict(DAYS[0], "the training rows", tuple(every)), (), 1, published.version)
    keep_verdict(use_case, lake, judged)
    assert lake.verdict(DAYS[0]).stat().st_size < 150_000
    kept = read_verdict(use_case, lake, DAYS[0])
    assert kept is not None
    assert kept.sentence == judged.sentence
    assert [lamp.name for lamp in kept.verdict.red_lamps] == [lamp.name for lamp in judged.verdict.red_lamps]
    assert kept.verdict.red_lamps[0].bins == (1, 2, 3)
    assert kept.verdict.red_lamps[0].advice, "what to do follows from the figure"


def test_it_holds_for_its_publication_and_its_configuration_alone(
    stores: Stores, lake: Lake, use_case: UseCase
) -> None:
    keep(stores, DAYS[0], red=True)
    assert read_verdict(use_case.model_copy(update={"drift": Drift(band=9.0)}), lake, DAYS[0]) is None
    predicted(lake, ROWS, version=3, day=DAYS[0])
    assert read_verdict(use_case, lake, DAYS[0]) is None


def test_red_days_in_a_row_are_those_of_one_version_that_nothing_was_learned_from(
    stores: Stores, lake: Lake, use_case: UseCase
) -> None:
    for day in DAYS:
        keep(stores, day, red=True)
    assert red_days(use_case, lake, 2) == [DAYS[2], DAYS[1]], "version 1 scored the day before"
    later = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)
    assert red_days(use_case, lake, 2, later) == []
    keep(stores, DAYS[1], red=False)
    assert red_days(use_case, lake, 2) == [DAYS[2]]
    predicted(lake, purchases(6), version=2, day=DAYS[2])
    assert red_days(use_case, lake, 2) == [], "what is published now was not judged"


def test_where_it_is_red_since_another_version_scores_the_version_before_is_proposed(
    stores: Stores, lake: Lake
) -> None:
    keep(stores, DAYS[0], red=False)
    watcher = Watcher(stores)
    begun = Judged(verdict(DAYS[2], red=True, since=DAYS[1]), version=2)
    said = watcher._proposal(begun)
    assert said.startswith(f"It is so since version 2 scores; version 1 was green on {DAYS[0]}: see `mlops-assets diff")
    assert watcher._proposal(replace(begun, verdict=verdict(DAYS[2], red=True))) == "", "it began later"
    assert watcher._proposal(replace(begun, verdict=verdict(DAYS[2], red=False))) == ""
    keep(stores, DAYS[0], red=True)
    assert watcher._proposal(begun) == "", "it was so before"


def test_a_day_that_is_not_published_is_told_with_the_command_that_does_it(stores: Stores, lake: Lake) -> None:
    with pytest.raises(NotWatched, match="2026-02-01 is not published: `mlops-assets run toy --from 2026-02-01"):
        Watcher(stores).judge("2026-02-01")


def test_a_day_that_was_kept_back_is_told_as_it_was_and_is_among_the_days(stores: Stores, lake: Lake) -> None:
    keep(stores, DAYS[0], red=True)
    watcher, back = Watcher(stores), "2026-01-04"
    watcher.keep_back(Judged(verdict(back, red=True), version=2))
    assert watcher.days() == [*DAYS, back]
    assert watcher.kept_back(DAYS[0]) is None, "it is published"
    kept = read_verdict(stores.use_case, lake, back)
    assert kept is not None
    assert kept.sentence == "`city` is empty."


def test_a_version_without_a_reference_holds_no_day_up(stores: Stores, use_case: UseCase) -> None:
    found = check_drift(use_case, Watcher(stores), None, "")
    assert found.passed
    assert "made before there were profiles" in found.found


def test_the_largest_effects_are_told_by_kind() -> None:
    lamps = verdict(DAYS[0], red=True).lamps
    further = replace(lamps[0], figures={"nulls": 0.5, "psi": 2.0, "jensen_shannon": 0.4})
    assert by_kind([further, lamps[0], Lamp("x", "grey", "shift", 9.0)]) == {"nulls": 0.5, "psi": 2.0}
    assert by_kind(lamps)["volume"] == math.inf
