"""Somebody labels while the server is killed: what was said once stands once, whatever the browser was answered."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from threading import Timer
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from deploy.services.s3 import free_port
from mlops_assets.journey.feedback.audit import draw_audit
from mlops_assets.journey.feedback.corrections import read_accepted
from mlops_assets.serving.together import Together
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.workspace import Stores, Workspace
from mlops_assets_tests.helpers.asgi import HOST, ask
from mlops_assets_tests.helpers.asked_api import Api
from mlops_assets_tests.helpers.feedback import predicted
from mlops_assets_tests.helpers.served_home import YESTERDAY, champions_in, publish
from mlops_assets_tests.helpers.stack import until
from mlops_assets_tests.helpers.toy import DAY, purchases, put, toy

KILLS = 12
TIMEOUT = 60.0


class Killed(BaseException):
    """A process that ends here."""


def counted(stores: Stores) -> dict[tuple[str, int], list[str]]:
    """What counts of each row."""
    found: dict[tuple[str, int], list[str]] = {}
    for one in read_accepted(stores.lake).to_pylist():
        found.setdefault((one["file"], one["line"]), []).append(one["label"])
    return found


def filled_in(page: str, label: str) -> dict[str, str]:
    """The form of the row that a page asks about, and what somebody chose."""
    inside = page.split('id="label"', 1)[1].split("</form>", 1)[0]
    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', inside)
    return {**{name: html.unescape(value) for name, value in hidden}, "do": "label", "label": label}


# -- at the two places where it matters ---------------------------------------------------------------------------------


@pytest.fixture
def stores(settings: Settings) -> Stores:
    lake = Lake(settings.lake, "toy")
    feedback = toy().feedback.model_copy(update={"labels": ("FOOD", "FUEL"), "audit_rows": 4})
    use_case = toy().model_copy(update={"feedback": feedback})
    put(lake, use_case, purchases(20))
    predicted(lake, purchases(20))
    draw_audit(use_case, lake, DAY)
    return Workspace(settings).of(use_case)


@pytest.mark.parametrize("place", ["before it is taken in", "after it was taken in"])
def test_what_was_said_before_a_kill_counts_once_also_if_it_is_sent_again(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    api, take_in = Api.of(stores.workspace, stores.use_case), Together.take_in

    def send(form: dict[str, str]) -> int:
        headers = [HOST, ("Cookie", f"mlops_form={form['token']}")]
        headers += [("Content-Type", "application/x-www-form-urlencoded")]
        return ask(api.app, "POST", "/pages/toy/label", headers, [urlencode(form).encode()]).status

    def die(self: Together, of: Stores) -> Any:
        if place.startswith("after"):
            take_in(self, of)
        raise Killed

    form = filled_in(api.get("/pages/toy/label", day=DAY).text, "FUEL")
    monkeypatch.setattr(Together, "take_in", die)
    with pytest.raises(Killed):
        send(form)
    monkeypatch.undo()
    assert len([*Path(str(stores.corrections)).glob("*.csv")]) == 1, "it lay on the disk first"
    api = Api.of(stores.workspace, stores.use_case)
    second = filled_in(api.get("/pages/toy/label", day=DAY, row=2).text, "FOOD")
    assert send(second) == 303
    row = form["file"], int(form["line"])
    assert counted(stores)[row] == ["FUEL"], "with the next entry of anybody"
    assert send(form) == 303
    assert {*map(tuple, counted(stores).values())} == {("FUEL",), ("FOOD",)}


# -- anywhere -----------------------------------------------------------------------------------------------------------


@contextmanager
def server(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`mlops-assets serve` in a process that may be killed."""
    command = [sys.executable, "-m", "mlops_assets.cli", "serve", "transactions", "--port", f"{port}", "--workers", "1"]
    with (folder / "err").open("wb") as told:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=told)
    try:
        until(lambda: "The API is on" in (folder / "err").read_text(), "the API")
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.long
def test_fifty_rows_are_labelled_while_the_server_is_killed_again_and_again(tmp_path: Path) -> None:
    with champions_in(tmp_path / "home", "transactions") as workspace:
        stores, random, port = workspace.find("transactions"), Random(7), free_port()
        publish(stores)
        draw_audit(stores.use_case, stores.lake, YESTERDAY.isoformat())
        said: dict[tuple[str, int], str] = {}
        for kill in range(KILLS + 1):
            with server(tmp_path, port) as process:
                timer = Timer(random.uniform(0.3, 2), process.kill)
                if kill < KILLS:
                    timer.start()
                label_until_killed(f"http://127.0.0.1:{port}/pages/transactions/label", said, random)
                timer.cancel()
        found = counted(stores)
        assert {row: labels for row, labels in found.items() if len(labels) != 1} == {}, "nothing counts twice"
        assert {row: found.get(row) for row, label in said.items() if found.get(row) != [label]} == {}
        assert len(found) == len(said) == stores.use_case.feedback.audit_rows


def label_until_killed(address: str, said: dict[tuple[str, int], str], random: Random) -> None:
    """Label what is left; `said` has what was meant last of each row that somebody has pressed the button for."""
    try:
        with httpx.Client(timeout=TIMEOUT, trust_env=False, verify=False) as person:  # plain HTTP
            while 'id="label"' in (page := person.get(address).text):
                classes = re.findall(r'type="radio" name="label"[^>]* value="([^"]*)"', page)
                form = filled_in(page, html.unescape(random.choice(classes)))
                said[form["file"], int(form["line"])] = form["label"]
                person.post(address, data=form)
    except httpx.TransportError:
        return
