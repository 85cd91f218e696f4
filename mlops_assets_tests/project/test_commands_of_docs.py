"""Commands, messages and YAML of the documents are what the code takes and says; the first hour is run as it stands."""

from __future__ import annotations

import os
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from mlops_assets.cli import cli
from mlops_assets.use_case import Attributes
from mlops_assets_tests.helpers.documents import DOCUMENTS, blocks, commands
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.readme import shown
from mlops_assets_tests.helpers.served_home import champions_in
from mlops_assets_tests.helpers.shop import Done, Shop

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
HOUR = (ROOT / "docs" / "first_hour.md").read_text(encoding="utf-8")
BLOCK_OF_HOUR = re.compile(r"<!-- test: (\w+) -->\n```sh\n(.*?)\n```", re.S)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_a_command_of_a_document_is_one_that_the_command_line_takes(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = []
    for command, *arguments in commands(document):
        try:
            with cli.commands[command].make_context(command, arguments):
                pass
        except click.exceptions.Exit:  # `--help`
            pass
        except (click.ClickException, KeyError) as error:
            wrong.append((command, *arguments, str(error)))
    assert wrong == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_commands_stand_as_in_a_shell_that_knows_them(document: Path) -> None:
    """One way in all documents; cron has no such shell."""
    text = document.read_text(encoding="utf-8").replace(". .venv/bin/activate", "")
    assert [line for line in text.splitlines() if ".venv/bin/" in line and " * * * " not in line] == []


def merged(base: Any, more: Any) -> Any:
    if isinstance(base, dict) and isinstance(more, dict):
        return {**base, **{key: merged(base.get(key), value) for key, value in more.items()}}
    return more


def attributes(block: Any) -> dict[str, Any]:
    """A use case with what a block shows of it: all, keys of it, or candidates."""
    whole = yaml.safe_load(shown("defs.yaml"))["attributes"]
    if "attributes" in block:
        return dict(block["attributes"])
    return dict(merged(whole, {"training": block} if set(block) == {"candidates"} else block))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_yaml_of_a_document_is_what_the_schema_takes(document: Path) -> None:
    """Keys of a use case. Not here: clients of `scale.client` and classes of one's own, whose pages have tests; Kubernetes."""
    shown_blocks = [yaml.safe_load(text) for text in blocks(document.read_text(encoding="utf-8"), "yaml")]
    for block in shown_blocks:
        if isinstance(block, dict) and "apiVersion" not in block and document.name != "plugins.md":
            Attributes.model_validate(attributes(block))


@cache
def texts_of_the_code() -> str:
    """The code, with texts that go on in the next line joined."""
    files = [*(ROOT / "mlops_assets").rglob("*.py"), *(ROOT / "deploy").rglob("*.py")]
    return re.sub(r'"\n\s*f?"', "", "\n".join(path.read_text(encoding="utf-8") for path in files))


def rows_of_runbook() -> list[list[str]]:
    rows = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in RUNBOOK.splitlines() if line.startswith("| ")]
    return [row for row in rows if row[0] != "symptom"]


def test_a_message_of_the_runbook_is_one_that_the_code_says() -> None:
    said = [span for row in rows_of_runbook() for span in re.findall(r"`([^`]+)`", row[0])]
    assert len(said) > 15
    # a word in capitals, and what dots stand for, is filled in when it is said
    parts = [
        part.strip(" :,") for span in said for part in re.split(r"\.\.\.|\b(?:DAY|NAME|MLOPS_DATABASE_URL)\b", span)
    ]
    system = {os.strerror(28)}
    code = texts_of_the_code()
    assert [part for part in parts if part and part not in code and part not in system] == []


def test_every_row_of_the_runbook_says_where_to_look_and_what_to_do() -> None:
    rows = rows_of_runbook()
    assert [row for row in rows if len(row) != 3 or not all(row)] == []
    assert [row for row in rows if "`" not in row[1] + row[2]] == []


def first_hour(shop: Shop, page: str) -> dict[str, Done]:
    """How each command of the page ends; its table of one's own is that of new_use_case.md, which a test of `new` runs."""
    (shop.home.parent / "use_cases").mkdir(exist_ok=True)
    lines = [line for kind, block in BLOCK_OF_HOUR.findall(page) if kind == "hour" for line in block.splitlines()]
    return {line: shop(*shlex.split(line)[1:]) for line in dict.fromkeys(lines)}


@pytest.mark.long
def test_the_first_hour_goes_as_it_is_written(tmp_path: Path) -> None:
    done = first_hour(Shop(tmp_path / "home"), HOUR)
    assert {line: one.err for line, one in done.items() if one.code} == {}
    told = " ".join(one.out for one in done.values())
    assert {"predictions.csv", "profile.html"} <= {path.name for path in tmp_path.iterdir()}
    for line in blocks(HOUR, "text")[0].splitlines():
        assert line == "..." or line.partition("...")[0].rstrip() in told, line


def test_the_first_hour_goes_as_it_is_written_by_a_champion_that_is_there(tmp_path: Path) -> None:
    """Of fewer files, and without the training, which takes longer than all else, and what compares days with its rows."""
    small = HOUR.replace("--files 40", "--files 3").replace(" --train\n", "\n")
    small = small.replace("mlops-assets drift transactions --day 2026-01-03\n", "")
    with champions_in(tmp_path / "home", "transactions"):
        pass
    done = first_hour(Shop(tmp_path / "home"), small)
    assert {line: one.err for line, one in done.items() if one.code} == {}
    assert {"predictions.csv", "profile.html"} <= {path.name for path in tmp_path.iterdir()}
