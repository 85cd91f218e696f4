"""docs/plugins.md is run as a user would: a package of theirs, a folder of use cases, commands; each message is produced."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_assets.work import code
from mlops_assets_tests.helpers.own_code import keep_own_code
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.shop import Done, Shop

PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- (file: \S+|keys|commands) -->\n```\w+\n(.*?)\n```", re.S)
BREAK = re.compile(r"^\| ([^`|]+) \| `(.+)` to `(.+)` \| `(.+)` \|$", re.M)


@dataclass(frozen=True)
class Section:
    """One kind of class: its example, the keys that name it, commands, and the ways to break it."""

    files: dict[str, str] = field(default_factory=dict)
    keys: str = ""
    commands: tuple[str, ...] = ()
    breaks: dict[str, tuple[str, str, str]] = field(default_factory=dict)


def sections() -> dict[str, Section]:
    """The sections of the page by their titles."""
    found = {}
    for text in PAGE.split("\n## ")[1:]:
        title, _, body = text.partition("\n")
        blocks = BLOCK.findall(body)
        found[title] = Section(
            {kind.removeprefix("file: "): f"{content}\n" for kind, content in blocks if kind.startswith("file: ")},
            "".join(content for kind, content in blocks if kind == "keys"),
            tuple(line for kind, content in blocks if kind == "commands" for line in content.splitlines()),
            {what: (right, wrong, said) for what, right, wrong, said in BREAK.findall(body)},
        )
    return found


SECTIONS = sections()
BASE = SECTIONS.pop("The use case of the examples")
EXAMPLES = {title: section for title, section in SECTIONS.items() if section.keys}
BREAKS = [(title, what) for title, section in EXAMPLES.items() for what in section.breaks]


def merged(base: Any, more: Any) -> Any:
    """Keys of the use case with further ones."""
    if isinstance(base, dict) and isinstance(more, dict):
        return {**base, **{key: merged(base.get(key), value) for key, value in more.items()}}
    return more


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """An empty folder with a package `shop` of the user's, and a home."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]
    with pytest.MonkeyPatch.context() as environment:
        keep_own_code(environment)
        code.forget()
        environment.syspath_prepend(tmp_path)
        environment.setattr(sys, "dont_write_bytecode", True)  # a changed file of the same second must be read again
        yield Shop(tmp_path / "home")
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]
    code.forget()


def place(folder: Path, section: Section, right: str = "", wrong: str = "") -> None:
    """Write the example of a section, with one text of it replaced."""
    keys, files = section.keys, {**BASE.files, **section.files}
    if right:
        holders = [name for name, text in files.items() if right in text]
        assert len(holders) + (right in keys) == 1, f"{right!r} stands in the example once"
        keys = keys.replace(right, wrong)
        files = {name: text.replace(right, wrong) for name, text in files.items()}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "shop" / "__init__.py").touch()
    path = folder / "use_cases" / "visits" / "defs.yaml"
    base = yaml.safe_load(path.read_text(encoding="utf-8"))
    attributes = merged(base["attributes"], yaml.safe_load(keys))
    path.write_text(yaml.safe_dump({**base, "attributes": attributes}, sort_keys=False, width=1000), encoding="utf-8")


def give(shop: Shop, section: Section) -> Done:
    """Give the commands of a section up to the first that fails; the last answer."""
    done = Done(0, "", "")
    for line in section.commands:
        if line.startswith("mlops-assets "):
            done = shop(*shlex.split(line)[1:])
        else:
            subprocess.run(
                ["/bin/sh", "-ec", line.replace("python ", f"{sys.executable} ")], cwd=shop.home.parent, check=True
            )
        if done.code:
            break
    return done


@pytest.mark.parametrize("title", EXAMPLES)
def test_the_example_works_as_it_is_written(shop: Shop, title: str) -> None:
    place(shop.home.parent, EXAMPLES[title])
    done = give(shop, EXAMPLES[title])
    assert done.code == 0, done.err
    assert "champion: version 1" in done.out


@pytest.mark.parametrize(("title", "what"), BREAKS, ids=[f"{title}: {what}" for title, what in BREAKS])
def test_what_is_wrong_is_told_as_the_page_says(shop: Shop, title: str, what: str) -> None:
    section = EXAMPLES[title]
    right, wrong, said = section.breaks[what]
    place(shop.home.parent, section, right, wrong)
    loaded = shop("status", "visits")
    key = re.match(r"([a-z_.]+): ", said)
    if key and not said.startswith("shop."):
        told = re.search(rf"defs\.yaml:(\d+): {re.escape(said)}", loaded.err)
        assert told, loaded.err
        lines = (shop.home.parent / "use_cases" / "visits" / "defs.yaml").read_text(encoding="utf-8").splitlines()
        assert key[1].rpartition(".")[2] in lines[int(told[1]) - 1]
    elif loaded.code:
        assert said in loaded.err
    else:
        assert said in give(shop, section).err


def test_every_kind_of_class_has_an_example_and_three_ways_to_break_it() -> None:
    kinds = set(re.findall(r"^\| \[([A-Z][a-z ]+)\]\(#", PAGE, re.M))
    assert kinds == set(SECTIONS)
    assert all(len(section.breaks) >= 3 for section in EXAMPLES.values())
