"""A rollout: all of it or back to what was there, killed at any moment and gone on with; no run is lost or doubled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.host import NotAllowed, Unwell
from deploy.rollout import STUCK, Busy, Memory, Release, Spoiled, State, begin, resume
from mlops_assets_tests.helpers.releases import NEW, NEXT, OLD


class Killed(BaseException):
    """The process of the rollout is gone."""


@dataclass
class Place:
    """A host in memory: runs belong to the image that is there; what is killed may or may not have been done before.

    `kill_at` is the number of the question at which the rollout is killed, `late` whether after it was done.
    """

    image: str = OLD.image
    sick: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    silent: bool = False
    at_work: dict[str, str] = field(default_factory=lambda: {"first": OLD.image, "second": OLD.image})
    queue: list[str] = field(default_factory=lambda: ["waiting"])
    instead_of: dict[str, int] = field(default_factory=dict)
    starts: bool = True
    told: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    ended: list[bool] = field(default_factory=list)
    patient: list[float] = field(default_factory=list)
    asked: int = 0
    kill_at: int = 0
    late: bool = False

    @contextmanager
    def _question(self) -> Iterator[None]:
        self.asked += 1
        if self.asked == self.kill_at and not self.late:
            raise Killed
        yield
        if self.asked == self.kill_at:
            raise Killed

    def current(self) -> str:
        return self.image

    def fetch(self, image: str) -> None:
        with self._question():
            if image in self.refused:
                raise NotAllowed("it is not signed")

    def see_stores(self, image: str) -> None:
        with self._question():
            if image in self.unfit:
                raise NotAllowed("what is stored was upgraded since")

    def pause(self) -> None:
        with self._question():
            self.starts = False

    def in_flight(self, seconds: float) -> list[str]:
        with self._question():
            self.patient.append(seconds)
            if self.silent:
                raise Unwell("nobody answers")
            return [*self.at_work]

    def end(self, runs: Sequence[str], *, at_once: bool) -> None:
        self.ended.append(at_once)
        with self._question():
            for run in runs:
                self.at_work.pop(run, None)

    def switch(self, image: str) -> None:
        with self._question():
            assert not self.starts, "the code is exchanged while runs are started"
            assert self.silent or set(self.at_work.values()) <= {image}, "a run goes on under other code"
            self.image, self.silent = image, False
            if image in self.full:
                raise OSError(28, "No space left on device")
            if image in self.sick:
                raise Unwell("the code is not loaded")

    def begin_again(self, runs: Sequence[str]) -> list[str]:
        with self._question():
            for run in runs:
                if run not in self.instead_of:
                    self.instead_of[run] = 1
                    self.queue.append(f"again {run}")
        return []

    def go_on(self) -> None:
        with self._question():
            self.starts = True
            self.at_work |= dict.fromkeys(self.queue, self.image)
            self.queue.clear()

    def tell(self, problem: str, errors: Sequence[str], what_to_do: str) -> None:
        self.told.append(problem)
        self.advice.append(what_to_do)
        assert [*errors] or what_to_do


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "rollout.json")


def test_a_release_comes_into_service_and_runs_in_flight_are_begun_again_by_it(memory: Memory) -> None:
    place = Place()
    assert begin(place, memory, NEW, 1800)
    assert place.image == NEW.image
    assert place.at_work == dict.fromkeys(["waiting", "again first", "again second"], NEW.image)
    assert place.patient == [1800, 0]
    assert place.ended == [False], "they were asked to end, and waited for"
    assert place.told == ["b is in service instead of the one before"]
    assert memory.read() == State(former=Release(OLD.image, "the one before"), new=NEW)


def test_a_release_that_is_not_well_gives_way_to_the_former_one(memory: Memory) -> None:
    place = Place()
    assert begin(place, memory, NEW, 0)
    sick = Place(NEW.image, sick=(NEXT.image,), at_work={"third": NEW.image})
    assert not begin(sick, memory, NEXT, 0)
    assert sick.image == NEW.image
    assert sick.starts
    assert sick.at_work == dict.fromkeys(["waiting", "again third"], NEW.image)
    assert sick.told == ["c is not well: b is back"]
    assert memory.read().way == ""
    assert begin(Place(NEW.image), memory, NEW, 0), "what is there already is there"


def test_what_is_not_signed_changes_nothing(memory: Memory) -> None:
    place = Place(refused=(NEW.image,))
    assert not begin(place, memory, NEW, 0)
    assert (place.image, place.starts, len(place.at_work)) == (OLD.image, True, 2)
    assert place.told == ["b is not deployed: it is not signed"]
    assert memory.read() == State()


def test_where_neither_is_well_nothing_starts_runs_and_none_is_lost_until_somebody_mends_it(memory: Memory) -> None:
    place = Place(sick=(OLD.image, NEW.image))
    assert not begin(place, memory, NEW, 0)
    assert not place.starts
    assert place.told == ["b is not well, and the one before does not come back"]
    assert memory.read().again == ("first", "second")
    place.sick = ()
    assert not resume(place, memory, 0), "the release is still not the one that was asked for"
    assert place.image == OLD.image
    assert sorted(place.at_work) == ["again first", "again second", "waiting"]
    assert resume(place, memory, 0), "there is nothing left to do"


def test_a_newer_release_takes_over_from_one_that_is_stuck_with_its_runs(memory: Memory) -> None:
    place = Place(sick=(OLD.image, NEW.image))
    begin(place, memory, NEW, 0)
    assert begin(place, memory, NEXT, 0)
    assert place.image == NEXT.image
    assert sorted(place.at_work) == ["again first", "again second", "waiting"]
    assert memory.read().former.image == OLD.image


STEPS = 8
"""Questions of a rollout after its image was fetched: its stores, pause, wait, end, switch, look, begin again, go on."""


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("sick", [False, True], ids=["well", "sick"])
@pytest.mark.parametrize("at", range(1, 2 * STEPS))
def test_a_rollout_that_is_killed_at_any_question_is_gone_on_with(
    memory: Memory, at: int, sick: bool, late: bool
) -> None:
    place = Place(sick=(NEW.image,) if sick else (), kill_at=at, late=late)
    try:
        begin(place, memory, NEW, 0)
    except Killed:
        resume(place, memory, 0)
    changed = memory.read().new.image != "" and not sick
    assert place.image == (NEW.image if changed else OLD.image)
    assert place.starts
    assert set(place.at_work.values()) == {place.image}
    known = sorted(run.rpartition(" ")[2] for run in [*place.at_work, *place.queue])
    assert known == ["first", "second", "waiting"], "a run is lost or doubled"


def test_there_is_one_rollout_at_a_time(memory: Memory) -> None:
    with memory.alone(), pytest.raises(Busy):
        begin(Place(), memory, NEW, 0)
    assert begin(Place(), memory, NEW, 0)


# -- what goes wrong beside the image --------------------------------------------------------------------------------------


def test_an_image_that_does_not_fit_what_is_stored_changes_nothing(memory: Memory) -> None:
    place = Place(unfit=(NEW.image,))
    assert not begin(place, memory, NEW, 0)
    assert (place.image, place.starts, len(place.at_work)) == (OLD.image, True, 2)
    assert place.told == ["b is not deployed: what is stored was upgraded since"]


def test_after_an_upgrade_the_former_image_does_not_come_back_and_what_to_do_is_told(memory: Memory) -> None:
    place = Place(sick=(NEW.image,), unfit=(OLD.image,))
    assert not begin(place, memory, NEW, 0)
    assert (place.image, place.starts) == (NEW.image, False), "the old code is kept from what it does not know"
    assert place.told == ["b is not well, and the one before does not come back"]
    assert "put its backup back first, or deploy a better version" in place.advice[0]
    assert begin(place, memory, NEXT, 0), "the better version"
    assert sorted(place.at_work) == ["again first", "again second", "waiting"]


def test_a_message_that_is_not_obeyed_leaves_no_killed_rollout_lying(memory: Memory) -> None:
    place = Place(refused=(NEXT.image,), kill_at=4)
    with pytest.raises(Killed):
        begin(place, memory, NEW, 0)
    assert not place.starts
    assert not begin(place, memory, NEXT, 0)
    assert (place.image, place.starts) == (NEW.image, True)
    assert place.told == ["c is not deployed: it is not signed", "b is in service instead of the one before"]


def test_a_webserver_that_cannot_be_asked_holds_no_release_up_and_its_runs_are_seen_after_the_switch(
    memory: Memory,
) -> None:
    place = Place(silent=True)
    assert begin(place, memory, NEW, 0)
    assert sorted(place.at_work) == ["again first", "again second", "waiting"]
    assert place.ended == [True], "they had no process any more"


def test_what_nobody_foresaw_is_told_and_may_be_gone_on_with(memory: Memory) -> None:
    place = Place(full=(NEW.image,))
    with pytest.raises(OSError, match="No space left"):
        begin(place, memory, NEW, 0)
    assert place.told == ["a rollout stopped: [Errno 28] No space left on device"]
    assert place.advice == [STUCK]
    place.full = ()
    assert resume(place, memory, 0)
    assert sorted(place.at_work) == ["again first", "again second", "waiting"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"way": "forward"', '{"former": {}, "new": 1}', "\udcff"])
def test_a_state_that_is_none_is_told_and_nothing_is_begun(memory: Memory, tmp_path: Path, text: str) -> None:
    (tmp_path / "rollout.json").write_bytes(text.encode(errors="surrogateescape"))
    place = Place()
    with pytest.raises(Spoiled, match=r"rollout.json is not as a rollout wrote it"):
        begin(place, memory, NEW, 0)
    assert (place.image, place.starts) == (OLD.image, True)
    assert place.told[0].startswith("a rollout stopped: ")
