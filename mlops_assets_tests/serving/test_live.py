"""The API as it is run: two processes behind a port and 64 clients, beside a published day and a hundred promotions."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_assets.journey.score.online import Loaded, Sent, answer_files
from mlops_assets.serving.answers import as_files
from mlops_assets.use_case import Checks, Scoring, UseCase
from mlops_assets.workspace import Stores
from mlops_assets_tests.helpers.days import DAY, in_shards_of
from mlops_assets_tests.helpers.live import as_form, ask_over_http, clients, serve, told_of_json
from mlops_assets_tests.helpers.one_row import of_amounts
from mlops_assets_tests.helpers.online import DirtyDay, differences
from mlops_assets_tests.helpers.served_home import champions_in, crown

CLIENTS = 64
RINGS, TRANSACTIONS = "compound_rings", "transactions"


def published_however_dirty(use_case: UseCase) -> UseCase:
    """The same answer for each file, and a day that is published with all probabilities."""
    checks: Checks = use_case.checks.model_copy(update={"reject_rate": 1, "quarantine_rate": 1})
    update = {"checks": checks, "scoring": Scoring(probabilities="all")}
    return in_shards_of(1_000, use_case).model_copy(update=update)


# -- to the bit ---------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_files_are_answered_over_http_to_the_bit_as_their_day_is_published(tmp_path: Path) -> None:
    with champions_in(tmp_path / "home", RINGS, TRANSACTIONS) as workspace, serve(tmp_path) as (url, _):
        for name, files, rows in ((TRANSACTIONS, 2_000, 20), (RINGS, 500, 2)):
            assert compare(workspace.find(name), tmp_path / name, url, files, rows) == {}


def compare(stores: Stores, folder: Path, url: str, files: int, rows: int) -> dict[str, list[str]]:
    """How the answers for the files of a dirty day differ from what is published of it."""
    champion = stores.champion()
    assert champion is not None
    version = stores.registry.prove(champion, stores.use_case.training.trusted)
    day = DirtyDay(published_however_dirty(stores.use_case), folder)
    day.draw(files, rows)
    batch = day.in_batch(version)
    # a request may be smaller than a file of a day
    sent = [file for file in day.sent if len(file.data) < stores.use_case.serving.limits.bytes]
    classes = version.serving(stores.use_case.training.trusted).classes
    query = f"version={version.version}&as_of={DAY}&probabilities=all"
    path = f"/v1/use-cases/{stores.use_case.name}/predictions?{query}"
    told = ask_over_http(url, path, sent, CLIENTS, partial(told_of_json, classes=classes))
    return differences({file.name: batch[file.name] for file in sent}, told)


# -- promotions ---------------------------------------------------------------------------------------------------------


class Load:
    """Clients that ask without end; each of their answers is that of the one version that it names.

    Parameters
    ----------
    path
        Where they ask.
    files
        What each of them sends.
    expected
        What each version says of that, by its number.

    Attributes
    ----------
    answers
        Number of answers.
    seen
        Seconds after the last change in which each client had an answer of the new champion.
    """

    def __init__(self, path: str, files: list[list[Sent]], expected: dict[int, list[Any]]) -> None:
        self.answers = 0
        self.seen: dict[int, float] = {}
        self._path, self._files, self._expected = path, files, expected
        self._champion, self._since, self._all_saw = 0, 0.0, asyncio.Event()

    def await_champion(self, number: int) -> None:
        """Take note of who is champion now; 0 while that is about to change."""
        self._champion, self._since = number, time.monotonic()
        self.seen.clear()
        self._all_saw.clear()

    async def ask(self, number: int, client: httpx.AsyncClient) -> None:
        """Ask until cancelled, as one of the clients."""
        while True:
            champion, has_seen = self._champion, number in self.seen
            answer = await client.post(self._path, files=as_form(self._files[number]))
            assert answer.status_code == 200, answer.text
            said = answer.json()
            assert said["files"] == self._expected[said["version"]][number]
            self.answers += 1
            if champion == self._champion != 0:  # of others nobody knows whether they began before a change
                self._take(number, said["version"], has_seen)

    def _take(self, number: int, version: int, has_seen: bool) -> None:
        # its connection is kept, so that one process answers it: there is no way back
        assert version == self._champion or not has_seen
        if version == self._champion:
            self.seen.setdefault(number, time.monotonic() - self._since)
        if len(self.seen) == len(self._files):
            self._all_saw.set()

    async def all_saw(self, asking: asyncio.Future[Any]) -> None:
        """Wait until every client had an answer of the champion; what fails meanwhile is raised."""
        saw = asyncio.create_task(self._all_saw.wait())
        await asyncio.wait({asking, saw}, return_when=asyncio.FIRST_COMPLETED)
        if asking.done():
            asking.result()


async def under_load(url: str, stores: Stores, changes: int) -> tuple[int, list[float], list[float]]:
    """Promote and roll back while clients ask, each time until all have an answer of the new champion.

    Gives the number of answers, and for each change the seconds from its return until the first client had such an
    answer, and until the last one had.
    """
    registry, name = stores.registry, stores.use_case.name
    files = [some_files(number) for number in range(CLIENTS)]
    expected = {number: what_is_said(stores, number, files) for number in (1, 2)}
    assert not any(one == other for one, other in zip(*expected.values(), strict=True))
    load, first, last = Load(f"/v1/use-cases/{name}/predictions", files, expected), [], []

    def change(turn: int) -> None:
        if turn % 2:
            registry.roll_back(name, "somebody", "fro")
        else:
            registry.promote(registry.version(name, 2), "somebody", "to")

    load.await_champion(1)
    async with clients(url, CLIENTS) as asking:
        tasks = asyncio.gather(*(load.ask(number, client) for number, client in enumerate(asking)))
        await load.all_saw(tasks)
        for turn in range(changes):
            load.await_champion(0)
            await asyncio.to_thread(change, turn)
            load.await_champion(2 - turn % 2)
            await load.all_saw(tasks)
            first.append(min(load.seen.values()))
            last.append(max(load.seen.values()))
        tasks.cancel()
        await asyncio.gather(tasks, return_exceptions=True)
    return load.answers, first, last


def some_files(number: int) -> list[Sent]:
    """Two files that only one client sends."""
    amounts = [f"{number * 7 + row},{number % 90 + 10}" for row in range(12)]
    return [Sent(f"{number}-{part}.csv", of_amounts(*amounts[part::2])) for part in range(2)]


def what_is_said(stores: Stores, number: int, files: list[list[Sent]]) -> list[Any]:
    """What a version says of the files of each client, as JSON has it."""
    use_case, registry = stores.use_case, stores.registry
    trusted = use_case.training.trusted
    model = registry.prove(registry.version(use_case.name, number), trusted).serving(trusted)
    today = dt.datetime.now(dt.UTC).date().isoformat()
    answered = [answer_files(Loaded(use_case, number, model), some, today) for some in files]
    return [as_files(some, model.classes, None) for some in answered]


@pytest.mark.long
def test_a_hundred_promotions_and_rollbacks_fail_no_request_of_64_clients(tmp_path: Path) -> None:
    with champions_in(tmp_path / "home", TRANSACTIONS) as workspace:
        stores = workspace.find(TRANSACTIONS)
        crown(stores, tmp_path / "second", seed=8)
        stores.registry.roll_back(TRANSACTIONS, "somebody", "to begin with")
        with serve(tmp_path, TRANSACTIONS) as (url, _):
            answers, _, last = asyncio.run(under_load(url, stores, 100))
    assert len(last) == 100
    assert answers >= 100 * CLIENTS
