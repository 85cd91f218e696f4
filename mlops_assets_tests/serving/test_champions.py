"""Champions: each loaded once, another one beside it, the old one where that cannot be, and who is told."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlops_assets.errors import ModelRefused, UsageError
from mlops_assets.events.facts import Runs, gather
from mlops_assets.events.memory import Memory
from mlops_assets.events.news import news
from mlops_assets.journey.score.online import Loaded, Sent, answer_files
from mlops_assets.serving.answering.batcher import Batcher
from mlops_assets.serving.answering.champions import Champions, NoChampion
from mlops_assets.serving.answering.versions import Ready, Wanted, read_version
from mlops_assets.storage.places import S3Path
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.served import NAME, SQL, TOY, a_file, model_of, plant, promote, workspace_in

DAY = "2026-01-31"
FILE = Sent("a.csv", a_file(1, 20, 45.5, 55, 80, 99))
OTHER_SQL = SQL.replace("amount", "no_such_column AS amount")
BAD_SQL, VERSIONS = 5, range(1, 7)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six versions, of which the fifth asks for a column that there is not; each has had its trial."""
    workspace = workspace_in(tmp_path_factory.mktemp("served") / "home")
    for number in VERSIONS:
        # models of the same bytes are tried once
        plant(workspace, number, model_of(number % 2, OTHER_SQL if number == BAD_SQL else SQL), f"reason {number}")
        workspace.registry.prove(workspace.registry.version(NAME, number))
    return workspace.settings.home


@pytest.fixture
def workspace(home: Path, tmp_path: Path) -> Workspace:
    """The same with a history of its own, in which the first version is champion."""
    shutil.copytree(home, tmp_path / "home")
    workspace = workspace_in(tmp_path / "home")
    promote(workspace, 1)
    return workspace


class Reading:
    """Reads versions, and keeps which."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def __call__(self, workspace: Workspace, use_case: UseCase, wanted: Wanted) -> Ready:
        self.numbers.append(wanted.number)
        return read_version(workspace, use_case, wanted)


@pytest.fixture
def reading() -> Reading:
    return Reading()


@pytest.fixture
def champions(workspace: Workspace, reading: Reading) -> Iterator[Champions]:
    champions = Champions(workspace, read=reading)
    champions.load([TOY])
    yield champions
    champions.stop()


def told(workspace: Workspace, *events: Callable[[], object]) -> list[str]:
    """What the owner is told after some events, by looks of whoever tells."""
    stores, memory, sentences = workspace.of(TOY), Memory(), []
    for event in (lambda: None, *events):
        event()
        now = dt.datetime.now(dt.UTC)
        memory, messages = news(TOY, memory, gather(stores, Runs(), now))
        sentences += [message.title for message in messages if message.event == "serving"]
    return sentences


# -- a change ----------------------------------------------------------------------------------------------------------


def test_a_champion_is_loaded_once_and_then_at_hand(champions: Champions, reading: Reading) -> None:
    assert champions.choose(TOY) is champions.choose(TOY) is champions.at_hand(TOY)
    assert champions.choose(TOY).version == 1
    champions.look_now()
    assert reading.numbers == [1]


def test_a_new_champion_takes_the_place_of_the_old_one_which_still_answers_what_it_was_asked(
    workspace: Workspace, champions: Champions, reading: Reading
) -> None:
    old = champions.choose(TOY)
    before = answer_files(old, [FILE], DAY)[0].sure["probability"]
    promote(workspace, 2)
    assert champions.choose(TOY) is old
    champions.look()
    new = champions.choose(TOY)
    assert (old.version, new.version, champions.troubles()) == (1, 2, {})
    assert (answer_files(old, [FILE], DAY)[0].sure["probability"] == before).all()
    assert (answer_files(new, [FILE], DAY)[0].sure["probability"] != before).any()
    # back again: it is still at hand
    promote(workspace, 1)
    champions.look()
    assert champions.choose(TOY) is old
    assert reading.numbers == [1, 2]


def test_a_thread_sees_a_change_by_itself(workspace: Workspace) -> None:
    seen = threading.Event()

    def read(workspace: Workspace, use_case: UseCase, wanted: Wanted) -> Ready:
        if wanted.number == 2:
            seen.set()
        return read_version(workspace, use_case, wanted)

    champions = Champions(workspace, read=read)
    champions.load([TOY])
    champions.start(0.001)
    promote(workspace, 2)
    assert seen.wait(60)
    champions.stop()
    assert champions.choose(TOY).version == 2


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_version_whose_folder_is_damaged_leaves_the_old_one_serving_and_is_told_once_and_when_it_is_over(
    workspace: Workspace, champions: Champions
) -> None:
    folder = plant(workspace, 7, model_of(0))
    model = next(path for path in (folder / "serving").iterdir() if path.suffix == ".skops")
    whole = model.read_bytes()

    def damage() -> None:
        model.write_bytes(whole[:-100])
        promote(workspace, 7)
        champions.look()

    def mend() -> None:
        model.write_bytes(whole)
        champions.look_now()

    sentences = told(workspace, damage, champions.look_now)
    assert sentences == ["[error] toy: the API answers with version 1, for it cannot load version 7, the champion."]
    assert champions.choose(TOY).version == 1
    trouble = champions.troubles()[NAME]
    assert "version 1 answers, for the champion cannot be had: serving: the model is not the one" in trouble
    assert str(workspace.settings.home) not in trouble
    mend()
    assert (champions.choose(TOY).version, champions.troubles()) == (7, {})


def test_that_the_champion_answers_again_is_told(workspace: Workspace, champions: Champions) -> None:
    promote(workspace, BAD_SQL)
    sentences = told(workspace, champions.look, lambda: promote(workspace, 2), champions.look)
    assert [sentence.partition(" ")[0] for sentence in sentences] == ["[error]", "[ok]"]
    assert sentences[1].endswith("the API answers with the champion.")


def test_a_process_that_ends_says_nothing_any_more(workspace: Workspace) -> None:
    champions = Champions(workspace)
    champions.load([TOY])
    promote(workspace, BAD_SQL)
    assert len(told(workspace, champions.look, champions.stop)) == 2


def test_a_history_that_is_broken_leaves_the_old_one_serving_and_is_told(
    workspace: Workspace, champions: Champions
) -> None:
    change = workspace.of(TOY).lake.change(2)
    assert isinstance(change, Path)

    def damage() -> None:
        change.write_bytes(b"{")
        champions.look()
        assert champions.choose(TOY).version == 1
        assert "the file 000002.json is damaged" in champions.troubles()[NAME]

    def mend() -> None:
        change.unlink()
        champions.look_now()
        assert champions.troubles() == {}

    assert told(workspace, damage, mend) == [
        "[error] toy: the API answers with version 1, for it cannot see who is champion.",
        "[ok] toy: the API answers with the champion.",
    ]
    promote(workspace, 2)
    champions.look_now()
    assert champions.choose(TOY).version == 2


def test_a_lake_that_is_gone_leaves_what_is_loaded_answering(workspace: Workspace, champions: Champions) -> None:
    lake = workspace.settings.lake
    assert isinstance(lake, Path)
    lake.rename(lake.with_name("elsewhere"))
    lake.write_text("no folder")
    champions.look_now()
    assert champions.choose(TOY).version == 1
    assert NAME in champions.troubles()
    lake.unlink()
    lake.with_name("elsewhere").rename(lake)
    champions.look_now()
    assert champions.troubles() == {}


def test_a_version_that_needs_what_the_configuration_lacks_is_no_champion(
    workspace: Workspace, champions: Champions
) -> None:
    promote(workspace, BAD_SQL)
    champions.look()
    trouble = champions.troubles()[NAME]
    assert "version 5 of toy does not go with the configuration of this process" in trouble
    assert "no_such_column" in trouble
    assert "start it again" in trouble
    with pytest.raises(ModelRefused, match="does not go with the configuration"):
        champions.choose(TOY, BAD_SQL)


def test_what_failed_is_tried_again_after_pauses_that_grow(workspace: Workspace, reading: Reading) -> None:
    now = [0.0]
    champions = Champions(workspace, read=reading, clock=lambda: now[0])
    champions.load([TOY])
    promote(workspace, BAD_SQL)
    for second in range(10):
        now[0] = float(second)
        champions.look()
    assert reading.numbers == [1, *[BAD_SQL] * 4]  # at 0, 1, 3 and 7 seconds
    promote(workspace, 2)
    champions.look()
    assert champions.choose(TOY).version == 2
    champions.stop()


def test_a_start_without_a_champion_that_can_be_loaded_serves_all_else(workspace: Workspace) -> None:
    promote(workspace, BAD_SQL)
    champions = Champions(workspace)
    other = TOY.model_copy(update={"name": "other"})
    champions.load([TOY, other])
    with pytest.raises(NoChampion, match="toy: no version answers, for the champion cannot be had"):
        champions.choose(TOY)
    assert champions.choose(TOY, 1).version == 1
    assert list(champions.troubles()) == [NAME]
    with pytest.raises(NoChampion, match="other has no champion, for nothing was trained yet: `mlops-assets run other"):
        champions.choose(other)
    champions.stop()


def test_without_a_champion_it_is_said_what_the_gate_said_of_the_newest_version(home: Path) -> None:
    champions = Champions(workspace_in(home))
    with pytest.raises(NoChampion) as said:
        champions.choose(TOY)
    assert "Its newest version is 6; reason 6." in str(said.value)
    assert "`mlops-assets promote toy 6 --override --why REASON`" in str(said.value)
    assert champions.troubles() == {}
    champions.stop()


def test_the_first_champion_answers_after_the_next_look(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "home")
    workspace = workspace_in(tmp_path / "home")
    champions = Champions(workspace)
    with pytest.raises(NoChampion):
        champions.choose(TOY)
    promote(workspace, 2)
    champions.look()
    assert champions.choose(TOY).version == champions.choose(TOY, as_of="9999-12-31").version == 2
    champions.stop()


# -- other versions ----------------------------------------------------------------------------------------------------


def test_a_version_by_its_number_is_read_once_for_all_who_ask_and_a_few_are_kept(
    workspace: Workspace, champions: Champions, reading: Reading
) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: champions.choose(TOY, 2), range(16)))
    assert len({id(loaded) for loaded in found}) == 1
    for number in (1, 3, 4, 6, 2):
        assert champions.choose(TOY, number).version == number
    assert reading.numbers == [1, 2, 3, 4, 6]
    few = Champions(workspace, read=reading, most_others=2)
    for number in (2, 3, 4, 3, 2):
        few.choose(TOY, number)
    assert reading.numbers[5:] == [1, 2, 3, 4, 2]
    few.stop()


def test_a_number_that_no_version_has_is_told_with_those_that_there_are(champions: Champions, reading: Reading) -> None:
    with pytest.raises(UsageError, match="There is no version 9 of toy; there are: 1, 2, 3, 4, 5, 6"):
        champions.choose(TOY, 9)
    assert reading.numbers == [1]


async def _found(champions: Champions) -> list[Loaded]:
    return [await champions.find(TOY), await champions.find(TOY, 3), await champions.find(TOY, as_of="2020-01-31")]


def test_the_event_loop_finds_what_is_not_at_hand_without_reading_it_itself(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "home")
    workspace = workspace_in(tmp_path / "home")
    for number, day in ((1, 10), (2, 20)):
        promote(workspace, number, when=dt.datetime(2020, 1, day, tzinfo=dt.UTC))
    threads = set()

    def read(workspace: Workspace, use_case: UseCase, wanted: Wanted) -> Ready:
        threads.add(threading.current_thread().name.rpartition("_")[0])
        return read_version(workspace, use_case, wanted)

    champions = Champions(workspace, read=read)
    assert [loaded.version for loaded in asyncio.run(_found(champions))] == [2, 3, 2]
    assert threads == {"versions"}
    assert champions.choose(TOY, as_of="2020-01-10").version == 1
    assert champions.at_hand(TOY, as_of="2020-01-19") is champions.choose(TOY, 1)
    with pytest.raises(
        NoChampion, match="toy had no champion at the end of 2020-01-09; its first one is of 2020-01-10"
    ):
        champions.choose(TOY, as_of="2020-01-09")
    champions.stop()


# -- under load --------------------------------------------------------------------------------------------------------


async def _under_load(workspace: Workspace, changes: int, clients: int) -> None:
    """Promote to and fro while clients ask, so that each champion answers some; each answers as it does alone."""
    champions, batcher = Champions(workspace), Batcher()
    await asyncio.to_thread(champions.load, [TOY])
    files = [Sent(f"{client}.csv", a_file(*(client + row / 7 for row in range(5)))) for client in range(clients)]
    alone = {number: answer_files(champions.choose(TOY, number), files, DAY) for number in (1, 2)}
    champions.start(0.01)
    answered_by = {number: threading.Event() for number in alone}
    over = asyncio.Event()

    async def client(number: int) -> int:
        asked = 0
        while not over.is_set() or asked == 0:
            loaded = await champions.find(TOY)
            (answered,) = await batcher.ask(loaded, [files[number]], DAY)
            said = alone[loaded.version][number]
            assert answered.name == said.name
            assert answered.probabilities.tobytes() == said.probabilities.tobytes()
            answered_by[loaded.version].set()
            asked += 1
        return asked

    def change() -> None:
        for turn in range(changes):
            promote(workspace, 2 - turn % 2)
            champions.look_now()
            answered_by[2 - turn % 2].clear()
            assert answered_by[2 - turn % 2].wait(60)

    tasks = [asyncio.create_task(client(number)) for number in range(clients)]
    await asyncio.to_thread(change)
    over.set()
    assert min(await asyncio.gather(*tasks)) > 0
    assert champions.troubles() == {}
    await batcher.drain()
    champions.stop()


def test_promotions_under_load_fail_no_request_and_mix_no_versions(workspace: Workspace) -> None:
    asyncio.run(_under_load(workspace, changes=6, clients=6))


def test_a_lake_on_s3_has_its_changes_seen_too(home: Path, tmp_path: Path, bucket: S3Path) -> None:
    shutil.copytree(home, tmp_path / "home")
    workspace = workspace_in(tmp_path / "home", bucket / "lake")
    for number in (1, 2):
        plant(workspace, number, model_of(number % 2))
    promote(workspace, 1)
    champions = Champions(workspace)
    champions.load([TOY])
    promote(workspace, 2)
    champions.look()
    assert champions.choose(TOY).version == 2
    champions.stop()
