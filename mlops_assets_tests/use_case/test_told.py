"""Channels and deadlines in a configuration: what is wrong with one is told by its key, and no address is shown."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_assets.errors import ConfigError
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.use_case import Deadline, UseCase, load_use_case


def configured(folder: Path, **keys: Any) -> UseCase:
    """The flagship with more keys."""
    own = OWN_USE_CASES / "transactions"
    written = yaml.safe_load((own / "defs.yaml").read_text())
    written["attributes"] |= keys
    folder.mkdir(exist_ok=True)
    (folder / "defs.yaml").write_text(yaml.safe_dump(written))
    (folder / "features.sql").write_text((own / "features.sql").read_text())
    return load_use_case(folder)


def told(**channel: Any) -> dict[str, Any]:
    return {"told": {"oncall": {"url": "{{ env.ONCALL_URL }}", **channel}}}


def test_a_channel_has_its_address_from_the_environment_and_is_stored_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONCALL_URL", "https://hooks.example.com/rosebud")
    use_case = configured(tmp_path / "shop", **told(events=["late", "red"], **{"from": "error"}))
    channel = use_case.told["oncall"]
    assert channel.url == "https://hooks.example.com/rosebud"
    assert channel.wants("late", "error")
    assert not channel.wants("late", "warning")
    assert not channel.wants("champion", "error")
    for shown in (use_case.recipe(), use_case, pickle.dumps(use_case)):
        assert "rosebud" not in str(shown)


def test_an_empty_variable_is_a_channel_that_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONCALL_URL", "")
    assert not configured(tmp_path / "shop", **told()).told["oncall"].wants("red", "error")


@pytest.mark.parametrize("url", ["https://hooks.example.com/rosebud", "mailto://me:rosebud@{{ env.ONCALL_URL }}"])
def test_an_address_that_is_written_down_is_refused_and_not_shown(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONCALL_URL", "example.com")
    with pytest.raises(ConfigError, match=r"told.oncall.url: an address is a secret") as error:
        configured(tmp_path / "shop", **told(url=url))
    assert "rosebud" not in str(error.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (told(**{"from": "bad"}), "told.oncall.from"),
        (told(events=["fire"]), "told.oncall.events.0"),
        (told(event=["red"]), "told.oncall.event: this key is not known here"),
        ({"deadline": "6:30"}, "deadline: write a time and a zone"),
        ({"deadline": "24:00 UTC"}, "deadline: write a time and a zone"),
        ({"deadline": "06:30 America/Sao_Paolo"}, "is it America/Sao_Paulo"),
        ({"deadline": "06:30 ../../etc/passwd"}, "there is no time zone"),
    ],
)
def test_a_mistake_is_told_by_its_key(
    keys: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONCALL_URL", "https://example.com/rosebud")
    with pytest.raises(ConfigError) as error:
        configured(tmp_path / "shop", **keys)
    assert message in str(error.value)


def test_what_is_no_address_is_told_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONCALL_URL", "rosebud")
    with pytest.raises(ConfigError, match=r"told.oncall.url: this is no address") as error:
        configured(tmp_path / "shop", **told())
    assert "rosebud" not in str(error.value)


def test_an_address_of_apprise_needs_apprise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONCALL_URL", "ntfy://rosebud")
    assert configured(tmp_path / "shop", **told()).told["oncall"].url == "ntfy://rosebud"
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"pip install 'mlops-assets\[apprise\]'"):
        configured(tmp_path / "shop", **told())


@pytest.mark.parametrize(
    ("deadline", "day", "moment"),
    [
        ("06:30 America/Sao_Paulo", "2026-01-31", "2026-02-01T09:30"),
        # the clock leaps from 02:00 to 03:00: half an hour after the leap
        ("02:30 America/New_York", "2026-03-07", "2026-03-08T07:30"),
        # it comes twice: the first
        ("01:30 America/New_York", "2026-10-31", "2026-11-01T05:30"),
        ("00:00 Pacific/Kiritimati", "2026-01-31", "2026-01-31T10:00"),
    ],
)
def test_a_deadline_is_a_moment_of_the_day_after_by_the_clock_of_its_zone(deadline: str, day: str, moment: str) -> None:
    assert Deadline.parse(deadline).of(day).isoformat() == f"{moment}:00+00:00"


# -- a secret that signs --------------------------------------------------------------------------------------------------


def test_a_secret_comes_from_the_environment_and_is_stored_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONCALL_URL", "https://hooks.example.com/x")
    monkeypatch.setenv("ONCALL_SECRET", "rosebud" * 5)
    use_case = configured(tmp_path / "shop", **told(secret="{{ env.ONCALL_SECRET }}"))
    assert use_case.told["oncall"].secret == "rosebud" * 5
    for shown in (use_case.recipe(), use_case, pickle.dumps(use_case)):
        assert "rosebud" not in str(shown)


@pytest.mark.parametrize(
    ("url", "known", "written", "message"),
    [
        ("https://x.example", "", "{{ env.ONCALL_SECRET }}", "told.oncall.secret: a secret has at least 24 signs"),
        ("https://x.example", "short", "{{ env.ONCALL_SECRET }}", "told.oncall.secret: a secret has at least 24 signs"),
        ("https://x.example", "r" * 32, "rosebud" * 5, "told.oncall.secret: a secret stands in the environment"),
        ("ntfy://x.example/y", "r" * 32, "{{ env.ONCALL_SECRET }}", "told.oncall.secret: apprise signs nothing"),
    ],
    ids=["empty", "short", "written down", "apprise"],
)
def test_a_secret_that_signs_nothing_is_told_by_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, known: str, written: str, message: str
) -> None:
    monkeypatch.setenv("ONCALL_URL", url)
    monkeypatch.setenv("ONCALL_SECRET", known)
    with pytest.raises(ConfigError, match=message) as error:
        configured(tmp_path / "shop", **told(secret=written))
    assert "rosebud" not in str(error.value)
