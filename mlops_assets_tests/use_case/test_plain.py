"""The files of a stranger's use case cannot hang or fill the process that only looks at it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from mlops_assets.errors import ConfigError
from mlops_assets.use_case import load_use_case
from mlops_assets.use_case.plain import LARGEST

DEFS, SQL = "defs.yaml", "features.sql"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the two files of a use case."""
    (tmp_path / DEFS).write_text("attributes: {}\n")
    (tmp_path / SQL).write_text("CREATE VIEW model_input AS SELECT file, line FROM rows")
    return tmp_path


def laughs(lines: int) -> str:
    """Lists of ten times the list before."""
    more = [f"x{number}: &x{number} [{', '.join([f'*x{number - 1}'] * 10)}]" for number in range(1, lines)]
    return "\n".join(["x0: &x0 [ha, ha]", *more, f"attributes: {{description: *x{lines - 1}}}"])


def chain(lines: int) -> str:
    """Each line is a list of the line before."""
    return "\n".join(["x0: &x0 [ha]", *(f"x{n}: &x{n} [*x{n - 1}]" for n in range(1, lines)), "attributes: {}"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (laughs(9), "with its aliases it stands for"),
        ("attributes: &a {description: *a}", "defs.yaml:1: an alias stands within what it stands for."),
        (f"attributes: {'[' * 5_000}{']' * 5_000}", "it is nested too deeply."),
        (f"attributes:\n  x: {'[' * 60}{']' * 60}", "defs.yaml:2: it is nested too deeply."),
        (chain(60), "it is nested too deeply."),
        (f"attributes: {{description: {'a' * LARGEST}}}", f"allowed are {LARGEST:,}."),
        (f"attributes:\n  keep_days: {'1' * 5_000}", "defs.yaml:2: a number of 5,000 signs; allowed are 100."),
        (f"attributes:\n  keep_days: 0x{'f' * 9_998}", "defs.yaml:2: a number of 10,000 signs; allowed are 100."),
        (f"attributes:\n  keep_days: 1{':1' * 100_000}", "defs.yaml:2: a number of 200,001 signs; allowed are 100."),
        (f"attributes:\n  keep_days: 1{':1' * 1_000}.5", "defs.yaml:2: a number of 2,003 signs; allowed are 100."),
        ("attributes:\n  keep_days: !!int soon", "line 2, column 14"),
        ("attributes:\n  keep_days: !!bool soon", "line 2, column 14"),
    ],
    ids=["laughs", "itself", "deep", "less deep", "deep by aliases", "long", *"dhst", "no number", "no boolean"],
)
def test_yaml_that_is_more_than_it_looks_is_refused(folder: Path, text: str, said: str) -> None:
    (folder / DEFS).write_text(text)
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_use_case(folder)


@pytest.mark.parametrize("name", [DEFS, SQL])
def test_a_pipe_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(ConfigError, match=f"{name}: it is no plain file"):
        load_use_case(folder)


def test_aliases_may_be_used(folder: Path) -> None:
    (folder / DEFS).write_text("x: &x {type: string}\nattributes: {columns: {a: *x, b: *x}}\n")
    with pytest.raises(ConfigError, match="Field required"):
        load_use_case(folder)
