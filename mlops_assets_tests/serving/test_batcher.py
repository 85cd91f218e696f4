"""The batcher: what waits goes together, in turn, within limits; what one request brings is no other's trouble."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mlops_assets.errors import MlopsError
from mlops_assets.journey.score.online import Answered, Loaded, Sent
from mlops_assets.serving.answering.batcher import Batcher, Busy, Stopping
from mlops_assets.serving.answering.lane import Call, Failed, Late
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.serving import Limits, Serving
from mlops_assets_tests.helpers.toy import toy

pytestmark = pytest.mark.anyio
DAY = "2026-01-31"
NONE = np.zeros(0)
FOR_EVER = 3600.0
HIDDEN = "hidden" * 2


def loaded(name: str = "toy", version: int = 1, seconds: float = FOR_EVER) -> Loaded:
    serving = Serving(limits=Limits(seconds=seconds))
    use_case: UseCase = toy().model_copy(update={"name": name, "serving": serving})
    return Loaded(use_case, version, None)  # type: ignore[arg-type] - no model is asked here


class Model:
    """Answers files by their names; its first call lasts until it is let go, where it is held."""

    def __init__(self, *, held: bool = False) -> None:
        self.calls: list[list[str]] = []
        self.asked = threading.Event()
        self.go = threading.Event()
        if not held:
            self.go.set()

    def __call__(self, _loaded: Loaded, files: Sequence[Sent], _day: str) -> list[Answered]:
        self.calls.append([file.name for file in files])
        self.asked.set()
        assert self.go.wait(60)
        for file in files:
            if file.data == b"refused":
                raise MlopsError(f"{file.name} cannot be answered")
            if file.data == b"mistake":
                raise KeyError(HIDDEN)
        return [Answered(file.name, 1, NONE, NONE, {"probability": NONE}, NONE) for file in files]


class Watched:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.refusals: list[str] = []

    def called(self, call: Call) -> None:
        self.calls.append(call)

    def refused(self, use_case: str, why: str) -> None:  # noqa: ARG002 - a Watch is told by these names
        self.refusals.append(why)


def some(*names: str, data: bytes = b"row\n") -> list[Sent]:
    return [Sent(name, data) for name in names]


async def names(asked: Any) -> list[str]:
    return [answered.name for answered in await asked]


async def under_way(batcher: Batcher, model: Model, of: Loaded) -> asyncio.Task[list[str]]:
    """A first request, which the thread is at work on."""
    first = asyncio.create_task(names(batcher.ask(of, some("first"), DAY)))
    assert await asyncio.to_thread(model.asked.wait, 60)
    return first


async def waiting(*asked: Any) -> list[asyncio.Task[list[str]]]:
    """Further requests, which wait."""
    tasks = [asyncio.create_task(names(one)) for one in asked]
    await asyncio.sleep(0)  # each runs until it waits
    return tasks


async def test_what_comes_while_a_call_is_under_way_is_answered_together_and_each_gets_its_own() -> None:
    model, of = Model(held=True), loaded()
    batcher = Batcher(answer=model)
    first = await under_way(batcher, model, of)
    tasks = await waiting(*(batcher.ask(of, some(f"{one}a", f"{one}b"), DAY) for one in "xyz"))
    model.go.set()
    assert await asyncio.gather(first, *tasks) == [["first"], ["xa", "xb"], ["ya", "yb"], ["za", "zb"]]
    assert model.calls == [["first"], ["xa", "xb", "ya", "yb", "za", "zb"]]


async def test_another_version_or_day_is_another_call() -> None:
    model, old, new = Model(held=True), loaded(), loaded(version=2)
    batcher = Batcher(answer=model)
    first = await under_way(batcher, model, old)
    asks = (old, DAY, "a"), (new, DAY, "b"), (old, "2026-02-01", "c"), (old, DAY, "d")
    tasks = await waiting(*(batcher.ask(of, some(name), day) for of, day, name in asks))
    model.go.set()
    await asyncio.gather(first, *tasks)
    assert model.calls[1:] == [["a", "d"], ["b"], ["c"]]


async def test_a_call_takes_no_more_than_its_limit_and_never_parts_a_request() -> None:
    model, of = Model(held=True), loaded()
    batcher = Batcher(answer=model, most_rows=8, most_files=3)
    first = await under_way(batcher, model, of)
    tasks = await waiting(
        batcher.ask(of, some("a", "b"), DAY),
        batcher.ask(of, some("c", "d"), DAY),
        batcher.ask(of, some("rows", data=b"\n" * 8), DAY),
        batcher.ask(of, some("picture", data=bytes(8 * 256)), DAY),
        batcher.ask(of, some(*"efghijkl"), DAY),
    )
    assert batcher.rows_waiting == 28
    model.go.set()
    await asyncio.gather(first, *tasks)
    assert model.calls[1:] == [["a", "b"], ["c", "d"], ["rows"], ["picture"], [*"efghijkl"]]
    assert batcher.rows_waiting == 0


class Held(Model):
    """Holds files that are called `large` alone, and counts how many of them are answered at the same time."""

    def __init__(self) -> None:
        super().__init__(held=True)
        self.at_once = self.most_at_once = 0

    def __call__(self, loaded: Loaded, files: Sequence[Sent], day: str) -> list[Answered]:
        if not files[0].name.startswith("large"):
            return [Answered(file.name, 1, NONE, NONE, {"probability": NONE}, NONE) for file in files]
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return super().__call__(loaded, files, day)
        finally:
            self.at_once -= 1


LARGE = b"\n" * 9
"""More rows than the eight that one call takes together in the tests below."""


async def test_small_requests_are_answered_while_a_large_one_is_computed_and_no_two_large_ones_are() -> None:
    model, of, watch = Held(), loaded(), Watched()
    batcher = Batcher(30, answer=model, watch=watch, most_rows=8)
    first, second, third = await waiting(*(batcher.ask(of, some(f"large{n}", data=LARGE), DAY) for n in range(3)))
    assert await asyncio.to_thread(model.asked.wait, 60)
    for name in "abc":  # each waits for nothing
        assert await names(batcher.ask(of, some(name), DAY)) == [name]
    assert batcher.rows_waiting == 18  # they count as all others do
    with pytest.raises(Busy):
        await batcher.ask(of, some("large", data=b"\n" * 13), DAY)
    second.cancel()
    await asyncio.wait([second])
    assert batcher.rows_waiting == 9
    assert [call.waiting for call in watch.calls] == [18, 18, 18]
    model.go.set()
    assert await asyncio.gather(first, third) == [["large0"], ["large2"]]
    assert model.calls == [["large0"], ["large2"]]
    assert model.most_at_once == 1


async def test_at_the_end_a_large_request_is_answered_too_and_in_its_time_alone() -> None:
    model = Held()
    batcher = Batcher(answer=model, most_rows=8)
    (large,) = await waiting(batcher.ask(loaded(), some("large", data=LARGE), DAY))
    with pytest.raises(Late):
        await batcher.ask(loaded(seconds=0.001), some("large late", data=LARGE), DAY)
    draining = asyncio.create_task(batcher.drain())
    await asyncio.sleep(0)
    with pytest.raises(Stopping):
        await batcher.ask(loaded(), some("a"), DAY)
    assert not draining.done()
    model.go.set()
    assert await large == ["large"]
    await draining
    assert model.calls == [["large"]]


async def test_use_cases_take_turns_and_so_do_the_days_of_one() -> None:
    model, busy, other = Model(held=True), loaded("busy"), loaded("other")
    batcher = Batcher(answer=model, most_files=1)
    first = await under_way(batcher, model, busy)
    asks = [(busy, DAY, "b1"), (busy, DAY, "b2"), (busy, "2026-02-01", "d1"), (other, DAY, "o1"), (other, DAY, "o2")]
    tasks = await waiting(*(batcher.ask(of, some(name), day) for of, day, name in asks))
    model.go.set()
    await asyncio.gather(first, *tasks)
    assert model.calls[1:] == [["b1"], ["o1"], ["d1"], ["o2"], ["b2"]]


async def test_beyond_the_rows_that_may_wait_nothing_is_taken_and_it_is_said_when_there_is_room() -> None:
    model, of, watch = Model(held=True), loaded(), Watched()
    batcher = Batcher(10, answer=model, watch=watch)
    first = await under_way(batcher, model, of)
    tasks = await waiting(batcher.ask(of, some("a", data=b"\n" * 9), DAY))
    with pytest.raises(Busy) as busy:
        await batcher.ask(of, some("b", "c"), DAY)
    assert busy.value.seconds == 1  # nothing was answered yet, by which one could tell
    batcher.pace = 0.5
    with pytest.raises(Busy, match="ask again in 9 s"):
        await batcher.ask(of, some("b", "c"), DAY)
    with pytest.raises(Busy, match="about 11 rows, and 10 may wait at all: send them in parts"):
        await batcher.ask(of, some("b", data=b"\n" * 11), DAY)
    assert watch.refusals == ["busy"] * 3
    model.go.set()
    await asyncio.gather(first, *tasks)
    assert await names(batcher.ask(of, some("b", "c"), DAY)) == ["b", "c"]


async def test_a_request_whose_time_is_over_is_told_so_and_never_computed() -> None:
    model, watch = Model(held=True), Watched()
    batcher = Batcher(answer=model, watch=watch)
    first = await under_way(batcher, model, loaded())
    with pytest.raises(Late, match=r"within 0.001 s \(`serving.limits.seconds`\)"):
        await batcher.ask(loaded(seconds=0.001), some("late"), DAY)
    assert batcher.rows_waiting == 0
    model.go.set()
    await first
    assert await names(batcher.ask(loaded(), some("next"), DAY)) == ["next"]
    assert model.calls == [["first"], ["next"]]
    assert watch.refusals == ["late"]


async def test_the_files_of_a_client_that_went_away_are_not_computed() -> None:
    model, of, watch = Model(held=True), loaded(), Watched()
    batcher = Batcher(answer=model, watch=watch)
    first = await under_way(batcher, model, of)
    gone, stays = await waiting(batcher.ask(of, some("gone"), DAY), batcher.ask(of, some("stays"), DAY))
    gone.cancel()
    await asyncio.wait([gone])
    assert batcher.rows_waiting == 1
    model.go.set()
    await asyncio.gather(first, stays)
    assert model.calls == [["first"], ["stays"]]
    assert watch.refusals == ["gone"]


async def test_requests_that_fail_together_are_answered_alone_and_one_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", HIDDEN)
    model, of, watch = Model(held=True), loaded(), Watched()
    batcher = Batcher(answer=model, watch=watch)
    first = await under_way(batcher, model, of)
    tasks = await waiting(
        batcher.ask(of, some("good"), DAY),
        batcher.ask(of, some("bad", data=b"refused"), DAY),
        batcher.ask(of, some("odd", data=b"mistake"), DAY),
        batcher.ask(of, some("fine"), DAY),
    )
    model.go.set()
    with caplog.at_level(logging.WARNING):
        good, bad, odd, fine = await asyncio.gather(*tasks, return_exceptions=True)
    assert (await first, good, fine) == (["first"], ["good"], ["fine"])
    assert (type(bad), str(bad)) == (MlopsError, "bad cannot be answered")
    assert type(odd) is Failed
    assert "KeyError" in caplog.text
    assert HIDDEN not in caplog.text
    assert [call.failed for call in watch.calls] == [False, True]


async def test_at_the_end_what_waits_is_answered_and_nothing_more_is_taken() -> None:
    model, of = Model(held=True), loaded()
    batcher = Batcher(answer=model)
    first = await under_way(batcher, model, of)
    tasks = await waiting(batcher.ask(of, some("a"), DAY))
    draining = asyncio.create_task(batcher.drain())
    await asyncio.sleep(0)
    with pytest.raises(Stopping):
        await batcher.ask(of, some("b"), DAY)
    model.go.set()
    assert await asyncio.gather(first, *tasks) == [["first"], ["a"]]
    await draining


async def test_a_single_client_waits_for_nobody() -> None:
    batcher = Batcher(answer=Model(), patience=FOR_EVER)
    for name in "abc":
        assert await names(batcher.ask(loaded(), some(name), DAY)) == [name]


async def test_those_who_are_answered_and_those_who_came_meanwhile_go_together_and_nobody_else_is_waited_for() -> None:
    model, of = Model(held=True), loaded()
    batcher = Batcher(answer=model, patience=FOR_EVER)
    first = await under_way(batcher, model, of)
    came = await waiting(*(batcher.ask(of, some(name), DAY) for name in "abc"))
    model.go.set()
    await first
    await asyncio.sleep(0)
    assert len(model.calls) == 1  # the one who was answered asks again
    again = await waiting(batcher.ask(of, some("d"), DAY))
    await asyncio.gather(*came, *again)
    assert model.calls[1:] == [["a", "b", "c", "d"]]
    # another use case needs the thread: nobody is waited for
    early = await waiting(batcher.ask(of, some("g"), DAY))
    late = await waiting(batcher.ask(loaded("other"), some("o"), DAY))
    await asyncio.gather(*early, *late)
    assert model.calls[2:] == [["g"], ["o"]]


async def test_who_counts_is_told_of_each_call() -> None:
    watch = Watched()
    batcher = Batcher(answer=Model(), watch=watch)
    await batcher.ask(loaded("shop"), some("a", "b", data=b"1\n2\n3\n"), DAY)
    (call,) = watch.calls
    assert (call.use_case, call.requests, call.files, call.rows, call.failed) == ("shop", 1, 2, 6, False)
    assert call.seconds >= 0
    assert len(call.waited) == 1
    assert batcher.pace > 0
