"""The house: its rooms are those of the table in docs/architecture.md, and there are few enough to know them all."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from mlops_assets_tests.helpers.paths import ROOT

PACKAGE = ROOT / "mlops_assets"
TESTS = ROOT / "mlops_assets_tests"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")


def names(folder: Path) -> set[str]:
    """Modules and packages of a folder."""
    found = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    return found - {"__init__"}


def first_column(text: str, heading: str) -> list[str]:
    """The names in the first column of the table under a heading; a row may hold several."""
    rows = text.partition(heading)[2].strip().splitlines()[1:]
    table = itertools.takewhile(lambda row: row.startswith("|"), rows)
    return [name for row in table for name in re.findall(r"`(\w+)`", row.split("|")[1])]


def test_every_room_of_the_package_is_in_the_table_once_and_there_are_at_most_twenty_five() -> None:
    listed = first_column(ARCHITECTURE, "| room | what it knows |")
    beside = {"defs", "sources"}  # named in the sentence below the table
    assert len(listed) == len(set(listed))
    assert names(PACKAGE) == set(listed) | beside
    assert len(names(PACKAGE)) <= 25


def test_every_room_of_the_journey_is_in_its_table_once_and_there_are_at_most_ten() -> None:
    listed = first_column(ARCHITECTURE, "| room of `journey` | from | to |")
    assert sorted(listed) == sorted(names(PACKAGE / "journey"))
    assert len(listed) <= 10


def test_tests_lie_in_folders_as_the_rooms() -> None:
    """Three folders are no room: what tests share, what is tested of a use case, and what of the project around it."""
    rooms = names(PACKAGE) | {"helpers", "project", "conftest"}
    assert names(TESTS) <= rooms
    assert names(TESTS / "journey") <= names(PACKAGE / "journey")


def test_tests_share_what_lies_in_helpers_alone() -> None:
    """A file of tests that another imports could not be changed or left out without a look at the other."""
    shared = re.compile(r"^\s*(?:from|import) mlops_assets_tests\.(?!helpers\b).*", re.M)
    found = {path.name: shared.findall(path.read_text(encoding="utf-8")) for path in TESTS.rglob("*.py")}
    assert {name: imports for name, imports in found.items() if imports} == {}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_can_be_held_at_once(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_the_glossary_is_in_order_and_has_a_word_once() -> None:
    words = [row.split("|")[1].strip() for row in GLOSSARY.splitlines() if row.startswith("| ")][1:]
    assert words == sorted(words, key=str.lower)
    assert len(words) == len(set(words))
