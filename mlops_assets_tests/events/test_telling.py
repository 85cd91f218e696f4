"""A look tells every channel once, whoever looks, whatever fails, and wherever it is killed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mlops_assets.events.channels import Channel, NotTold, Unfit
from mlops_assets.events.facts import Runs
from mlops_assets.events.memory import HELD, KEPT, MOST_WAITING, PATIENCE, Memories, Memory
from mlops_assets.events.message import Message
from mlops_assets.events.telling import BUDGET, Look, look, try_channels
from mlops_assets.use_case import Told
from mlops_assets.workspace import Stores, Workspace
from mlops_assets_tests.helpers.homes import state_in
from mlops_assets_tests.helpers.stage import small


class Killed(BaseException):
    """The process ends where this is raised."""


@dataclass
class Street:
    """Channels that note what they are told, by their addresses, and a clock that stands still."""

    stores: Stores
    time: float = 1_000_000.0
    got: list[tuple[str, str]] = field(default_factory=list)
    down: set[str] = field(default_factory=set)
    unfit: set[str] = field(default_factory=set)
    slow: float = 0.0
    kills: bool = False
    meanwhile: list[Look] = field(default_factory=list)
    ask_others: bool = False

    def look(self) -> Look:
        return look(self.stores, Runs(), now=lambda: self.time, opens=self.open)

    def open(self, told: Told) -> Channel:
        street = self

        class Noted:
            def tell(self, message: Message, _name: str = "") -> str:
                street.time += street.slow
                if told.url in street.down:
                    raise NotTold("nobody is there")
                if message.sentence[:9] in street.unfit:
                    raise Unfit("it answered with 400")
                if street.ask_others:
                    street.ask_others = False
                    street.meanwhile.append(street.look())
                street.got.append((told.url, message.sentence))
                if street.kills:
                    raise Killed
                return "well"

        return Noted()

    def change(self, version: int) -> None:
        """Something that is told: another champion."""
        self.stores.history.append("promote", version, "ada", "it is better", "passed")

    def versions(self, url: str) -> list[str]:
        return [sentence.split()[1] for where, sentence in self.got if where == url]


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    told = {"oncall": Told(url="a://", severity="info"), "owner": Told(url="b://", severity="info")}
    with state_in(tmp_path):
        stores = Workspace.from_environment().of(small().model_copy(update={"told": told}))
        found = Street(stores)
        found.look()
        yield found


def test_each_channel_is_told_once_and_a_restart_changes_nothing(street: Street) -> None:
    street.change(1)
    assert street.look().told == 2
    again = Street(Workspace(street.stores.settings).of(street.stores.use_case))
    assert again.look().told == 0
    assert street.versions("a://") == street.versions("b://") == ["1"]


def test_a_look_without_news_writes_nothing(street: Street) -> None:
    street.change(1)
    street.look()
    before = Memories(street.stores.lake).newest()
    street.look()
    assert Memories(street.stores.lake).newest() == before


def test_two_daemons_do_not_tell_twice(street: Street) -> None:
    """The second looks in the midst of the telling of the first, and sees nothing that is its own to tell."""
    street.change(1)
    street.ask_others = True
    street.look()
    assert [other.told for other in street.meanwhile] == [0]
    assert street.versions("a://") == street.versions("b://") == ["1"]


def test_of_two_that_write_the_same_number_one_is_told_that_it_was_late(street: Street) -> None:
    memories = Memories(street.stores.lake)
    number, memory = memories.newest()
    assert memories.add(number, memory)
    assert not memories.add(number, memory)


def test_a_kill_between_telling_and_noting_tells_at_most_twice(street: Street) -> None:
    street.change(1)
    street.kills = True
    with pytest.raises(Killed):
        street.look()
    street.kills = False
    assert street.look().told == 0  # the other's hand is still on it
    street.time += HELD + 1
    assert street.look().told == 2
    assert street.look().told == 0
    assert sorted(street.versions("a://") + street.versions("b://")) == ["1", "1", "1"]


def test_a_channel_that_fails_keeps_no_other_from_its_news_and_is_tried_again_with_pauses(street: Street) -> None:
    street.down = {"a://"}
    street.change(1)
    done = street.look()
    assert (done.told, len(done.waiting)) == (1, 1)
    assert "oncall: nobody is there" in str(done)
    assert street.versions("b://") == ["1"]
    assert street.look().told == 0  # its pause is not over
    street.down = set()
    street.time += 31
    assert street.look().told == 1
    assert street.versions("a://") == ["1"]


def test_a_channel_that_is_back_hears_all_it_missed_in_order_each_once(street: Street) -> None:
    """Else somebody would hear that a day is well again, and a quarter of an hour later that it is red."""
    street.down = {"a://"}
    for version in (1, 2, 3):
        street.change(version)
        street.look()
        street.time += 600
    assert street.versions("a://") == []
    street.down = set()
    street.change(4)  # is told at once, and so is what has waited before it, whatever its pause
    assert street.look().told == 5
    assert street.look().waiting == ()
    assert street.versions("a://") == street.versions("b://") == ["1", "2", "3", "4"]


def test_a_message_that_a_channel_takes_for_wrong_keeps_back_no_other(street: Street) -> None:
    street.unfit = {"version 1"}
    street.change(1)
    street.change(2)
    assert street.look().told == 2
    assert street.versions("a://") == street.versions("b://") == ["2"]


def test_what_there_was_no_time_for_is_told_with_the_next_look(street: Street) -> None:
    street.slow = BUDGET + 1
    street.change(1)
    street.change(2)
    assert [street.look().told for _ in range(5)] == [1, 1, 1, 1, 0]
    assert street.versions("a://") == street.versions("b://") == ["1", "2"]


def test_what_no_channel_takes_for_a_day_is_given_up_and_stays_visible(street: Street) -> None:
    street.down = {"a://"}
    street.change(1)
    street.look()
    street.time += PATIENCE + 1
    done = street.look()
    assert done.waiting == ()
    (lost,) = done.lost
    assert (lost["channel"], lost["why"]) == ("oncall", "nobody is there")
    assert street.look().lost == done.lost


def test_a_channel_that_is_down_for_long_is_not_an_endless_list() -> None:
    memory = Memory()
    message = Message("shop", "team:ml", "red", "error", "c", "it is red")
    for _ in range(MOST_WAITING + 3):
        memory = memory.tell("oncall", message, 0.0)
    assert len(memory.waiting) == MOST_WAITING
    assert [lost["why"] for lost in memory.lost] == ["too much waits"] * 3


def test_a_channel_that_is_configured_no_more_is_not_waited_for(street: Street) -> None:
    street.down = {"a://"}
    street.change(1)
    street.look()
    told = {"owner": street.stores.use_case.told["owner"]}
    later = Street(
        street.stores.workspace.of(street.stores.use_case.model_copy(update={"told": told})), street.time + 60
    )
    assert later.look().waiting == ()


def test_a_channel_is_told_of_its_events_and_severities_alone(street: Street) -> None:
    told = {"oncall": Told(url="a://"), "owner": Told(url="b://", severity="info", events=("published",))}
    street.stores = street.stores.workspace.of(street.stores.use_case.model_copy(update={"told": told}))
    street.change(1)  # an info
    done = street.look()
    assert (len(done.news), done.told) == (1, 0)


def test_two_use_cases_share_a_channel_and_tell_each_its_own(street: Street) -> None:
    other = street.stores.use_case.model_copy(update={"name": "other"})
    second = replace(street, stores=street.stores.workspace.of(other))
    second.look()
    street.change(1)
    second.change(2)
    assert (street.look().told, second.look().told) == (2, 2)
    assert street.versions("a://") == ["1", "2"]


def test_old_documents_are_removed(street: Street) -> None:
    memories = Memories(street.stores.lake)
    for _ in range(KEPT + 5):
        number, memory = memories.newest()
        memories.add(number, memory)
    assert len([*street.stores.lake.told.glob("*.json")]) == KEPT + 1


def test_a_test_message_says_what_each_channel_answered(street: Street) -> None:
    street.down = {"b://"}
    assert try_channels(street.stores, street.open) == [("oncall", True, "well"), ("owner", False, "nobody is there")]
