"""The drill: what it does to raw files, and, at length, what people see of each damage."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from benchmarks.drill.__main__ import BEGIN, END, main
from benchmarks.drill.damages import AMOUNT, CATEGORY, CITY, DAMAGES, GROWN, Files, accent
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import load_use_case

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"
DAY, FILES, ROWS = dt.date(2026, 1, 9), 40, 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The raw files of a day."""
    use_case = load_use_case(OWN_USE_CASES / "transactions")
    list(write_sample(use_case, tmp_path, DAY, FILES, ROWS, 0.0, 7))
    found = tmp_path / "transactions" / f"day={DAY}"
    accent(found)
    return found


def column(folder: Path, name: str) -> list[str]:
    files = Files(folder)
    return [row[files.places[name]].strip() for row in files.rows]


def amounts(folder: Path) -> np.ndarray:
    texts = [text.replace(".", "").replace(",", ".") for text in column(folder, AMOUNT)]
    return np.array([float(text) if text.strip("-") else np.nan for text in texts])


def share(values: list[str], of: str) -> float:
    return sum(value == of for value in values) / len(values)


def test_files_that_are_read_and_written_are_as_they_were(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    Files(folder).write()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_values_are_damaged_as_they_say(folder: Path) -> None:
    before = amounts(folder)
    DAMAGES["amounts times 100"](folder)
    assert np.allclose(amounts(folder), 100 * before, equal_nan=True)
    DAMAGES["decimal comma lost"](folder)
    assert np.allclose(amounts(folder), 10_000 * before, equal_nan=True), "two digits stood behind the comma"
    DAMAGES["a column emptied"](folder)
    assert set(column(folder, CITY)) == {""}
    DAMAGES["5 % of a new category"](folder)
    assert share(column(folder, CITY), "NOVA CIDADE") == pytest.approx(0.05, abs=0.01)


def test_a_mean_and_a_class_move_by_what_they_say(folder: Path) -> None:
    before, grown = amounts(folder), share(column(folder, CATEGORY), GROWN)
    DAMAGES["mean moved by 0.3 sigma"](folder)
    moved = np.nanmean(amounts(folder)) - np.nanmean(before)
    assert moved == pytest.approx(0.3 * np.nanstd(before), rel=0.01)
    DAMAGES["class prior moved by 10 points"](folder)
    assert share(column(folder, CATEGORY), GROWN) == pytest.approx(grown + 0.1, abs=0.005)


def test_files_are_broken_missing_and_repeated(folder: Path) -> None:
    DAMAGES["encoding broken"](folder)
    assert "SÃO PAULO" in b"".join(path.read_bytes() for path in folder.iterdir()).decode("utf-8")
    DAMAGES["half the files missing"](folder)
    assert len(list(folder.iterdir())) == FILES // 2
    DAMAGES["one account's file 1,000 times"](folder)
    assert len(list(folder.iterdir())) == FILES // 2 + 1_000


def test_the_page_has_a_place_for_what_the_drill_showed() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    shown = text[text.index(BEGIN) : text.index(END)]
    assert all(f"| {name} |" in shown for name in ("nothing", *DAMAGES))


@pytest.mark.long
def test_every_damage_is_red_and_told_once_by_the_commands_that_people_use() -> None:
    assert main([]) == 0
