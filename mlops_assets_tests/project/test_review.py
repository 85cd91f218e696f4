"""A change of recipes is tried out for whoever reviews it: which use cases, by which keys, how both do on equal rows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from deploy import review
from deploy.repository import changed_use_cases, find_base, take_out
from deploy.review import MOST, Sample, Side, hand_over, joined, main
from mlops_assets.errors import ConfigError
from mlops_assets_tests.helpers.paths import ROOT

KIND = "type: mlops_assets.components.ml_use_case.MlUseCase"
RECIPE = f"""\
{KIND}
attributes:
  description: Kind of a purchase.
  start: 2026-01-01
  columns:
    account: {{type: string}}
    amount: {{type: number, required: true, min: 0, max: 100}}
    kind: {{type: string, allowed: [FOOD, FUEL]}}
  account: account
  label: kind
  training:
    split: {{by: random}}
    folds: 2
    baseline: majority
    candidates:
      majority: {{use: sklearn.dummy.DummyClassifier}}
      tree: {{use: sklearn.tree.DecisionTreeClassifier, parameters: {{max_depth: 3}}}}
"""
SQL = "CREATE VIEW model_input AS SELECT file, line, amount FROM rows"
SAMPLE = Sample(days=1, files=20, rows=30)


class Repository:
    """A repository with use cases in the folder `cases`; its first commit is `main`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("toy", "same", "gone"):
            self.write(name)
        (root / "README.md").write_text("Use cases.\n")
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit()

    def git(self, *command: str) -> None:
        subprocess.run(["git", "-C", str(self.root), *command], check=True)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("-c", "user.name=ann", "-c", "user.email=ann@example.org", "commit", "--quiet", "--message=one")

    def write(self, name: str, recipe: str = RECIPE, sql: str = SQL) -> None:
        folder = self.root / "cases" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "defs.yaml").write_text(recipe)
        (folder / "features.sql").write_text(sql)

    def take_away(self, name: str) -> None:
        for path in (self.root / "cases" / name).iterdir():
            path.unlink()
        (self.root / "cases" / name).rmdir()

    def sides(self, scratch: Path) -> tuple[Side, Side]:
        take_out(self.root, "main", scratch / "files")
        roots = (("base", scratch / "files"), ("proposed", self.root))
        before, after = (Side(name, root, "cases", scratch / name, scratch / "raw") for name, root in roots)
        return before, after


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    (tmp_path / "repository").mkdir()
    return Repository(tmp_path / "repository")


def test_the_use_cases_are_those_in_whose_folders_something_differs(repository: Repository) -> None:
    assert changed_use_cases(repository.root, "main", "cases") == []
    repository.write("toy", sql=f"{SQL}\n")
    repository.take_away("gone")
    (repository.root / "README.md").write_text("Other words.\n")
    (repository.root / "cases" / "notes.md").write_text("No use case.\n")
    repository.write("fresh")  # which git does not know yet
    assert changed_use_cases(repository.root, "main", "cases") == ["fresh", "gone", "toy"]


def test_what_came_to_the_base_since_is_no_part_of_a_proposal(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "proposal")
    repository.write("toy", sql=f"{SQL}\n")
    repository.commit()
    repository.git("checkout", "--quiet", "main")
    repository.write("same", sql=f"{SQL}\n")
    repository.commit()
    repository.git("checkout", "--quiet", "proposal")
    assert changed_use_cases(repository.root, find_base(repository.root, "main"), "cases") == ["toy"]


@pytest.mark.parametrize(
    ("root", "arguments", "said"),
    [
        ("", ["--base=origin/main"], "there is no commit 'origin/main' here: fetch it"),
        ("", ["--base=--all"], "there is no commit '--all' here"),
        ("", ["--base=main", "--use-cases=/"], "is not in the repository"),
        ("/", [], "git rev-parse: fatal: not a git repository"),
    ],
    ids=["no base", "an option", "elsewhere", "no repository"],
)
def test_what_cannot_be_compared_is_told_in_one_line(
    repository: Repository, root: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", root or str(repository.root), *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("review: ")
    assert said in line


def test_where_nothing_changed_that_decides_nothing_is_trained(repository: Repository, tmp_path: Path) -> None:
    repository.write("toy", recipe=f"# why\n{RECIPE.replace('Kind of a purchase', 'Other words')}", sql=f"-- x\n{SQL}")
    repository.take_away("gone")
    before, after = repository.sides(tmp_path / "scratch")
    said = [*review._of_one(before, after, "toy", SAMPLE), *review._of_one(before, after, "gone", SAMPLE)]
    assert said == [
        "### toy",
        "Nothing changed that decides a model: no training follows.",
        "### gone",
        "It has no `defs.yaml` any more: no use case, and nothing is trained.",
    ]
    assert not (tmp_path / "scratch" / "raw").exists()


def test_a_yaml_that_is_wrong_is_told_by_its_key(repository: Repository, tmp_path: Path) -> None:
    repository.write("toy", recipe=RECIPE.replace("folds: 2", "folds: many"))
    with pytest.raises(ConfigError, match=r"defs.yaml:13: training.folds"):
        [*review._of_one(*repository.sides(tmp_path / "scratch"), "toy", SAMPLE)]


def test_a_comment_calls_nobody_and_links_nowhere_whatever_names_it_has(repository: Repository, tmp_path: Path) -> None:
    hostile = "`@team` | [x](https://evil.example) <!-- @all ![](//evil.example/p.png)"
    repository.write("toy", recipe=RECIPE.replace("max_depth: 3", f"class_weight: {{'{hostile}': 1}}"))
    before, after = repository.sides(tmp_path / "scratch")
    said = [
        *islice(review._of_one(before, after, "toy", SAMPLE), 2),  # what follows is learned
        *review._of_one(before, after, hostile.replace("/", ""), SAMPLE),
        review._quoted(f"```\n{hostile}\x1b[31m\x1b[2J" + "x" * 9999),
    ]
    assert said[1].startswith("Changed: training.candidates.tree.parameters.class_weight.")
    code = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
    shown = code.sub("", re.sub(r"\\[^\w\s]", "", "\n\n".join(said)))
    assert not re.search(r"@|://|\]\(|<!--", shown)
    assert "\x1b" not in said[-1]
    assert len(said[-1]) < 1000


def test_of_a_comment_that_is_too_long_whole_parts_are_left_out() -> None:
    text = joined(["first", "```\n" + "\u00e9" * (MOST // 2) + "\n```"])
    assert text == "first\n\nCut here: there is more than a comment may hold.\n"


def test_a_workflow_gets_the_comment_whatever_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        monkeypatch.setenv(name, str(tmp_path / name))
    hand_over("one\nEOF\nother=2\n")
    assert (tmp_path / "GITHUB_STEP_SUMMARY").read_text() == "one\nEOF\nother=2\n"
    first, *text, end = (tmp_path / "GITHUB_OUTPUT").read_text().splitlines()
    assert first == f"comment<<{end}"
    assert text == ["one", "EOF", "other=2", ""]
    assert len(end) == 32


def run(root: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """The script as a process, as the workflow starts it."""
    command = [sys.executable, "-m", "deploy.review", "--root", str(root), "--base", "main", "--use-cases", "cases"]
    size = ("--days", "1", "--files", "20", "-o", str(root / "comment.md"))
    given = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([*command, *size, *more], cwd=ROOT, env=given, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_both_recipes_learn_and_are_compared_on_equal_rows(repository: Repository) -> None:
    """Of one, the SQL changed, so that no training could compare it with its champion; the other is new."""
    repository.write("toy", sql=SQL.replace("amount FROM", "-amount AS other FROM"))
    repository.write("fresh")
    repository.git("add", "--all")
    done = run(repository.root)
    said = (repository.root / "comment.md").read_text()
    assert done.returncode == 0, done.stderr
    assert said.startswith("**Definitions**: all of them load.")
    assert "Changed: features.sql." in said
    assert "rows that both held out" in said
    assert "| accuracy | 0." in said
    assert "There is no such use case to compare with." in said
    assert str(repository.root) not in said


@pytest.mark.long
def test_what_does_not_load_is_told_and_ends_with_one(repository: Repository) -> None:
    repository.write("toy", recipe=RECIPE.replace("folds: 2", "folds: many"))
    done = run(repository.root)
    said = (repository.root / "comment.md").read_text()
    assert done.returncode == 1
    assert "**Definitions**: they do not load." in said
    assert "training.folds" in said
    assert str(repository.root) not in said
