"""What a command needs and was not given is told at once, all of it."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from mlops_assets.cli.group import COMMANDS, cli
from mlops_assets_tests.helpers.shop import Shop


def needed(name: str) -> list[str]:
    """Each argument and option without which a command does nothing, as its help writes them."""
    context = click.Context(cli.commands[name])
    return [one.get_error_hint(context) for one in cli.commands[name].params if one.required]


@pytest.mark.parametrize("name", sorted(name for name in COMMANDS if needed(name)))
def test_every_command_names_all_that_it_lacks(tmp_path: Path, name: str) -> None:
    done = Shop(tmp_path / "home")(name)
    assert done.code == 2
    assert all(hint in done.err for hint in needed(name)), done.err
    assert f"Usage: mlops-assets {name} " in done.err


def test_what_was_given_is_not_named(tmp_path: Path) -> None:
    done = Shop(tmp_path / "home")("restore", "visits", "--day", "2026-01-01")
    assert done.code == 2
    assert done.err.splitlines()[-1] == "Error: Missing option '--as-published-on'."
    done = Shop(tmp_path / "home")("why", "--file", "a.csv")
    assert (
        done.err.splitlines()[-1]
        == "Error: Missing argument 'USE_CASE'. Missing option '--day'. Missing option '--line'."
    )


def test_a_value_that_is_wrong_is_told_first(tmp_path: Path) -> None:
    done = Shop(tmp_path / "home")("sample", "--day", "tomorrow")
    assert "'tomorrow' is not a day" in done.err
