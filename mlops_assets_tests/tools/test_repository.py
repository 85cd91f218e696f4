"""`mlops-assets init`: a repository in which commands work as they are given, by the package as it is installed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from mlops_assets import __version__
from mlops_assets.errors import ConfigError, UsageError
from mlops_assets.settings import PACKAGE, Settings
from mlops_assets.storage.project import KEYS, find_project, other_version
from mlops_assets.tools.repository import ACTIONS, FILES, _move, project_name
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.shop import Done, Shop

PLAIN = "Größe (2) a&b"
ODD = "Größe (2) $x `y` a&b"
UNSET = {"MLOPS_HOME": "", "MLOPS_USE_CASES": "", "DAGSTER_HOME": ""}


def init(place: Path, *arguments: str) -> Done:
    """The command, given in a folder."""
    return Shop(place / "home")("init", *arguments, **UNSET)


def inside(repository: Path, *arguments: str) -> Done:
    """A command, given in a repository, with nothing in the environment that says where things are."""
    return Shop(repository / ".mlops")(*arguments, **UNSET)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in a folder with an odd name."""
    place = tmp_path_factory.mktemp("init")
    done = init(place, ODD, "--use-case", "returns")
    assert (done.code, done.err) == (0, "")
    assert "mlops-assets demo" in done.out
    return place / ODD


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as people install it."""
    return Path(
        next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("dist")), versions=["standard"]))
    )


# -- what is made ---------------------------------------------------------------------------------------------------------


def test_a_repository_has_all_that_is_needed_to_work_in_it(made: Path) -> None:
    files = {path.relative_to(made).as_posix(): path.read_text() for path in made.rglob("*") if path.is_file()}
    assert set(files) == {
        ".github/workflows/check.yml",
        ".gitignore",
        "README.md",
        "compose.yaml",
        "dagster.yaml",
        "pyproject.toml",
        "tests/test_use_cases.py",
        "use_cases/returns/defs.yaml",
        "use_cases/returns/features.sql",
        "workspace.yaml",
    }
    assert [name for name, text in files.items() if "%{" in text] == []
    project = tomllib.loads(files["pyproject.toml"])
    assert project["project"]["name"] == "grosse-2-x-y-a-b"
    assert project["project"]["dependencies"] == [f"mlops-assets=={__version__}"]
    assert [path.name for path in made.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.long
def test_what_others_read_of_it_is_as_they_want_it(made: Path) -> None:
    tools = (
        ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"),
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", ".github/workflows/check.yml"),
        ("zizmor", "--offline", "--quiet", ".github"),
        ("ruff", "check", "--line-length", "120", "tests"),
        ("ruff", "format", "--check", "--line-length", "120", "tests"),
    )
    for name, *arguments in tools:
        command = [Path(sys.executable).with_name(name), *arguments]
        done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_its_pages_are_for_this_machine_and_its_actions_are_ours(made: Path) -> None:
    service = yaml.safe_load((made / "compose.yaml").read_text())["services"]["dagster"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    ours = (ROOT / ".github" / "workflows" / "check.yml").read_text()
    assert [action for action in ACTIONS.values() if action not in ours] == []


def test_commands_work_in_it_without_a_word_on_where_things_are(made: Path) -> None:
    (made / "use_cases" / "deeper").mkdir()
    first = date_of(made)
    for arguments in (["sample", "returns", "--day", first, "--files", "3"], ["run", "returns", "--train"]):
        done = inside(made, *arguments)
        assert done.code == 0, done.err
    assert "champion: version 1, " in done.out
    told = Shop(made / "use_cases" / "deeper")("status", **UNSET).out
    assert re.search(r"^returns .* yes +version 1 +none$", told, re.M)
    assert len(told.splitlines()) == 3  # none of those that come with the package
    assert {path.name for path in (made / ".mlops").iterdir()} >= {"lake", "mlflow", "dagster", "raw"}
    assert not (made / "use_cases" / ".mlops").exists()


def date_of(made: Path) -> str:
    """The first day of its use case."""
    return str(yaml.safe_load((made / "use_cases" / "returns" / "defs.yaml").read_text())["attributes"]["start"])


def test_the_commands_of_the_documentation_work_as_they_are_written(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "new_use_case.md").read_text()
    block = re.search(r"<!-- test: repository -->\n```sh\n(.*?)```", text, re.S)
    assert block
    first, change, *commands = block[1].splitlines()
    assert (first.split()[0], change) == ("mlops-assets", "cd my-project")
    assert init(tmp_path, *first.split()[2:]).code == 0
    done = [inside(tmp_path / "my-project", *command.split()[1:]) for command in commands]
    assert [one.code for one in done] == [0] * len(commands), done
    keys = re.findall(
        r"^\| `(\w+)` \| .* \| `([^`]+)` \|$", text.split("| key of `[tool.mlops-assets]`")[1].split("\n\n")[0], re.M
    )
    assert dict(keys) == {key: str(value).lower() for key, value in KEYS.items()}


# -- what is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["full"], "full has notes.txt in it, and stays as it is"),
        (["file"], "file: this is no folder"),
        (["link"], "link: this is no folder"),
        (["file/below"], "cannot be read or written"),
        (["new", "--use-case", "transactions"], "there is one of that name in mlops-assets"),
        (["new", "--use-case", "class"], "no word of Python"),
        (["new", "--use-case", "../x"], "no name for a use case"),
        (["new", "--use-case", "Größe"], "no name for a use case"),
        (["new", "--image", "a b\nc"], "no name of an image"),
        (["n" * 300], "File name too long"),
    ],
)
def test_what_cannot_be_made_is_told_and_leaves_nothing(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    done = init(tmp_path, *arguments)
    assert done.code == 2
    assert said in done.err
    assert {path.name for path in tmp_path.rglob("*")} == {"full", "notes.txt", "file", "link"}


def test_an_empty_folder_is_taken_and_stays_the_one_in_which_a_shell_stands(tmp_path: Path) -> None:
    before = tmp_path.stat().st_ino
    assert init(tmp_path, ".").code == 0
    assert (tmp_path / "pyproject.toml").exists()
    assert tmp_path.stat().st_ino == before


def test_what_comes_into_a_folder_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    made, place = tmp_path / "made", tmp_path / "place"
    for folder in (made, place):
        (folder / "tests").mkdir(parents=True)
        for name in ("README.md", "pyproject.toml"):
            (folder / name).write_text(folder.name)
    (place / "README.md").unlink()
    with pytest.raises(FileExistsError):
        _move(made, place)
    assert sorted(path.name for path in place.iterdir()) == ["pyproject.toml", "tests"]
    assert (place / "pyproject.toml").read_text() == "place"
    assert sorted(path.name for path in made.iterdir()) == ["README.md", "pyproject.toml", "tests"]


def test_a_repository_without_a_use_case_and_one_that_asks_for_another_version_are_told(tmp_path: Path) -> None:
    write(tmp_path, "[tool.mlops-assets]\n")
    (tmp_path / "use_cases").mkdir()
    done = inside(tmp_path, "status")
    assert (done.code, done.out) == (2, "")
    assert "There is no use case in " in done.err
    assert "Warning" not in done.err
    write(tmp_path, '[project]\ndependencies = ["mlops_assets[s3] == 9.9"]\n[tool.mlops-assets]\n')
    assert f"asks for mlops-assets 9.9, and this is {__version__}" in " ".join(inside(tmp_path, "status").err.split())
    assert other_version(__version__) == ""  # of where the tests are run


@settings_of_hypothesis(max_examples=30)
@given(st.text(max_size=80))
def test_any_folder_has_a_name_that_packages_may_have(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", project_name(name))
    assert project_name(name) != "mlops-assets"


# -- how a repository is found ----------------------------------------------------------------------------------------------


def write(folder: Path, table: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(table)
    return folder


def test_the_nearest_repository_is_worked_in_and_the_environment_has_the_last_word(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer = write(tmp_path / "outer", "[tool.mlops-assets]\n")
    inner = write(outer / "inner", '[tool.mlops-assets]\nuse_cases = "cases"\nhome = "state"\nexamples = true\n')
    write(inner / "member", "[tool.other]\n")
    monkeypatch.delenv("MLOPS_HOME")
    monkeypatch.chdir(inner / "member")
    found = Settings.from_environment()
    assert (found.home, found.use_cases) == (inner / "state", (PACKAGE / "defs", inner / "cases"))
    monkeypatch.setenv("MLOPS_PROJECT", str(outer))
    found = Settings.from_environment()
    assert (found.home, found.use_cases) == (outer / ".mlops", (outer / "use_cases",))
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLOPS_USE_CASES", str(tmp_path / "mine"))
    found = Settings.from_environment()
    assert (found.home, found.use_cases) == (tmp_path / "home", (tmp_path / "mine",))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[tool.mlops-assets]\nuse_case = 'x'\n", "tool.mlops-assets.use_case: this key is not known here"),
        ("[tool.mlops-assets]\nuse_cases = 7\n", "tool.mlops-assets.use_cases: expected a folder"),
        ("[tool.mlops-assets]\nhome = ''\n", "tool.mlops-assets.home: expected a folder"),
        ("[tool.mlops-assets]\nexamples = 'no'\n", "tool.mlops-assets.examples: expected true or false"),
        ("tool.mlops-assets = 7\n", "tool.mlops-assets: expected a table"),
        ("[tool.mlops-assets\n", "this is no TOML"),
    ],
)
def test_a_mistake_in_the_table_is_told_by_file_and_key(tmp_path: Path, table: str, said: str) -> None:
    write(tmp_path, table)
    with pytest.raises(ConfigError, match=re.escape(said)) as told:
        find_project(str(tmp_path))
    assert str(tmp_path / "pyproject.toml") in str(told.value)


def test_a_folder_that_is_named_must_be_a_repository(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no table \[tool\.mlops-assets\]"):
        find_project(str(tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file to somebody else is for root alone")
def test_code_of_somebody_else_is_not_run_because_one_happens_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(write(tmp_path, "[tool.mlops-assets]\n") / "pyproject.toml", 4711, -1)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="belongs to another account"):
        find_project("")
    assert find_project(str(tmp_path)) is not None  # named, it is meant


# -- the wheel --------------------------------------------------------------------------------------------------------------


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    done = subprocess.run(
        ["git", "ls-files", "-z", "mlops_assets"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    tracked = {name for name in done.stdout.split("\0") if name}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed >= tracked
    # compiled when the wheel was built: such a wheel is for machines of one kind
    assert bool(packed - tracked) != wheel.name.endswith("-py3-none-any.whl")
    assert {name for name in packed if name.endswith(".template")} == {
        path.relative_to(ROOT).as_posix() for path in FILES.rglob("*.template")
    }


def test_an_installed_package_shows_dagster_the_use_cases_of_a_repository_or_its_own(
    wheel: Path, made: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    script = (
        "import os, sys, mlops_assets.definitions as d\n"
        "from mlops_assets.settings import Settings, PACKAGE\n"
        "print(PACKAGE, (PACKAGE / 'dagster.yaml').exists())\n"
        "for folder in sys.argv[1:]:\n"
        "    os.chdir(folder)\n"
        "    graph = d.defs().resolve_asset_graph()\n"
        "    print(Settings.from_environment().home, *sorted({key.path[0] for key in graph.get_all_asset_keys()}))"
    )
    environment = outside(tmp_path) | {"PYTHONPATH": str(tmp_path / "installed")}
    command = [sys.executable, "-W", "ignore", "-c", script, str(made), str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{tmp_path / 'installed' / 'mlops_assets'} True",
        f"{made / '.mlops'} returns",
        f"{tmp_path / 'person' / '.mlops'} compound_rings loan_approval santander topics transactions",
    ]


def outside(folder: Path) -> dict[str, str]:
    """The environment of a person who has set nothing of ours, and has a home folder in some folder."""
    known = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "MLFLOW_", "DAGSTER_"))
    }
    return known | {"HOME": str(folder / "person")}


@pytest.mark.long
def test_a_newcomer_follows_the_readme_of_a_new_repository_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    environment = outside(tmp_path) | {"PIP_FIND_LINKS": str(wheel.parent)}

    def shell(folder: Path, script: str) -> str:
        command = ["/bin/sh", "-ec", script.replace("python3", sys.executable)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    install = "python3 -m venv first; first/bin/pip install --quiet mlops-assets"
    # Python's own `activate` of before 3.11.11 takes no dollar and no backtick
    shell(tmp_path, f"{install}; first/bin/mlops-assets init {shlex.quote(PLAIN)}")
    folder = tmp_path / PLAIN
    readme = (folder / "README.md").read_text()
    sections = re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", readme, re.M)
    blocks = {title: "".join(re.findall(r"^    (.*\n)", text, re.M)) for title, text in sections}
    assert [*blocks] == ["Set up", "Look", "Test", "Make it yours", "In a container"]
    assert "mlops-assets dev\n" in blocks["Look"]  # which waits for Ctrl-C
    blocks["Look"] = blocks["Look"].replace("mlops-assets dev\n", "")
    said = shell(folder, "".join(blocks[title] for title in [*blocks][:4]))
    assert "3 passed" in said
    assert (folder / "predictions.csv").read_text().count("\n") > 1000
