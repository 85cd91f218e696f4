"""A request that was kept is, with the day that it became part of, what was answered: to the bit, enrichments included."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops_assets.journey.score.online import Answered, Loaded, Sent
from mlops_assets.serving.answering.enriching import Enriching
from mlops_assets.serving.keeping.stored import JournalStore
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.serving import Serving
from mlops_assets.views.answered import answered_days, compare, render
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.shops import asking, deliver, lines, write_use_case
from mlops_assets_tests.helpers.stage import Stage
from mlops_assets_tests.helpers.weather_service import WeatherService

FIRST, SECOND = "2026-01-01", "2026-01-02"
DIRTY = "shop,city,date,amount,busy\ns,Rio,2026-01-02,1.5,\ns,Rio,no date,2.5,\ns,,2026-01-02,,\n"


@pytest.fixture(scope="module")
def service() -> Iterator[WeatherService]:
    with WeatherService.open() as one:
        yield one


@pytest.fixture(scope="module")
def use_case(tmp_path_factory: pytest.TempPathFactory, service: WeatherService) -> UseCase:
    shops = asking(write_use_case(tmp_path_factory.mktemp("use_cases")), parameters={"url": service.url}, batch=100)
    checks = shops.checks.model_copy(update={"reject_rate": 1.0, "quarantine_rate": 1.0})
    # answers may take their time here: what is compared are values
    serving = Serving(store=True, enrich_seconds=30)
    return shops.model_copy(update={"serving": serving, "checks": checks})


@pytest.fixture(scope="module")
def stage(use_case: UseCase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage.of(use_case, tmp_path_factory.mktemp("kept") / "home") as one:
        deliver(one.home / "raw", FIRST, files=30)
        one.run(FIRST, train=True)
        yield one


def loaded(stage: Stage, workspace: Workspace) -> Loaded:
    version = workspace.of(stage.use_case).champion()
    assert version is not None
    proven = workspace.registry.prove(version, stage.use_case.training.trusted)
    return Loaded(stage.use_case, proven.version, proven.serving(stage.use_case.training.trusted))


def as_published(answers: list[tuple[str, Answered]], model: Any) -> set[tuple[str, int, str, bytes]]:
    """Each prediction with the bits of its probability."""
    return {
        (path, int(line), model.classes[number], np.float32(probability).tobytes())
        for path, one in answers
        for line, number, probability in zip(one.line, one.numbers, one.sure["probability"], strict=True)
    }


def test_the_day_says_what_was_answered(stage: Stage, service: WeatherService) -> None:
    with stage.settings() as settings:
        workspace = Workspace(settings)
        model = loaded(stage, workspace)
        answer, store = (
            Enriching(workspace, {stage.use_case.name: stage.use_case}),
            JournalStore(workspace, [stage.use_case]),
        )
        sent = [Sent(f"shop{number}.csv", lines(SECOND, number).encode()) for number in range(4)]
        sent += [Sent("dirty.csv", DIRTY.encode()), Sent("broken.csv", b"neither\n")]
        answered = []
        for number, file in enumerate(sent):
            answers = answer(model, [file], SECOND)
            asyncio.run(store.keep(stage.use_case, f"r{number}", model, SECOND, "somebody", [file], answers))
            answered.append((f"api/r{number}/{file.name}", answers[0]))
        store.close()
    assert service.asked()[SECOND, "Rio", SECOND] == 1
    stage.run(SECOND)
    published = {
        (one["file"], one["line"], one["prediction"], np.float32(one["probability"]).tobytes())
        for one in stage.published("predictions", SECOND)
    }
    assert published == as_published(answered, model.model)
    assert len(published) == 4 * 8 + 2
    rejected = {(one["file"], one["line"], one["rule"]) for one in stage.published("rejects", SECOND)}
    assert rejected == {(path, one.line, one.rule) for path, told in answered for one in told.refusals}
    with stage.stores() as stores:
        told = compare(stores.lake, SECOND)
        assert answered_days(stores.lake, "", "") == answered_days(stores.lake, SECOND, SECOND) == {SECOND: told}
        assert answered_days(stores.lake, "2026-01-03", "") == {}
    assert (told.requests, told.predictions, told.same, told.differing, told.unpublished) == (6, 34, 34, 0, 0)
    assert render({SECOND: told}) == (
        f"\n{SECOND}: 34 predictions were answered to 6 kept requests; "
        "the day says the same of 34, otherwise of 0, nothing of 0"
    )


def test_what_was_answered_is_compared_with_what_the_day_says(stage: Stage, tmp_path: Path) -> None:
    with stage.copy(tmp_path / "home") as other, other.settings() as settings:
        workspace = Workspace(settings)
        model, store = loaded(stage, workspace), JournalStore(workspace, [other.use_case])
        file = Sent("late.csv", lines(FIRST, 1).encode())
        answers = Enriching(workspace, {other.use_case.name: other.use_case})(model, [file], FIRST)
        asyncio.run(store.keep(other.use_case, "r1", model, FIRST, "somebody", [file], answers))
        store.close()
        told = compare(workspace.of(other.use_case).lake, FIRST)
    assert (told.requests, told.predictions, told.same, told.differing, told.unpublished) == (1, 8, 0, 0, 8)
