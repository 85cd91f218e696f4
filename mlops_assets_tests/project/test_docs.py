"""What README and docs say of commands, settings, keys and rules is what the code has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from pydantic import BaseModel

from mlops_assets import settings as settings_module
from mlops_assets import use_case
from mlops_assets.cli import cli
from mlops_assets.journey.feedback.rules import RULES as FEEDBACK_RULES
from mlops_assets.journey.read.contract import RULES, RULES_OF_FILES
from mlops_assets.journey.score.checks import ENRICHMENT_CHECKS, ROW_CHECKS, SCORE_CHECKS
from mlops_assets.journey.train.metrics import HIGHER_IS_BETTER
from mlops_assets.monitoring.stopping import STOP_CHECK
from mlops_assets.serving.entrance import guard, keys
from mlops_assets.storage import s3
from mlops_assets.use_case.clients import CLIENTS
from mlops_assets.use_case.notices import NOTICES
from mlops_assets.use_case.platforms import Cluster
from mlops_assets.use_case.source import PARAMETERS
from mlops_assets.use_case.targets import TARGETS
from mlops_assets_tests.helpers.browser import KEPT, SHOWN
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.readme import README, shown
from mlops_assets_tests.helpers.shop import Shop

REFERENCE = ROOT / "docs" / "reference"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
SECURITY = (ROOT / "docs" / "security.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
SECTIONS = {
    "attributes": use_case.Attributes,
    "partitions": use_case.Partitions,
    "source": use_case.Origin,
    "files": use_case.FileFormat,
    "columns.NAME": use_case.Column,
    "enrichments.NAME": use_case.Enrichment,
    "enrichments.NAME.parameters of table": use_case.TableParameters,
    "enrichments.NAME.parameters of sql": use_case.SqlParameters,
    "enrichments.NAME.parameters of http": use_case.HttpParameters,
    "checks": use_case.Checks,
    "training": use_case.Training,
    "training.split": use_case.Split,
    "training.candidates.NAME": use_case.Candidate,
    "training.candidates.NAME.prepare": use_case.Preparation,
    "training.gate": use_case.Gate,
    "training.promotion": use_case.Promotion,
    "scale": use_case.Scale,
    **{f"scale.client: {kind}": form for kind, form in CLIENTS.items()},
    "scale.client.cluster of emr": Cluster,
    "feedback": use_case.Feedback,
    "retraining": use_case.Retraining,
    "drift": use_case.Drift,
    "drift.floors": use_case.Floors,
    "drift.columns.NAME": use_case.ColumnFloors,
    "drift.days": use_case.DriftDays,
    "sensor": use_case.Sensor,
    "sensor.messages": use_case.Messages,
    "serving": use_case.Serving,
    "serving.limits": use_case.Limits,
    **{f"source.parameters: {name}": parameters for name, parameters in PARAMETERS.items()},
    "targets.NAME": use_case.Delivering,
    **{f"targets.NAME.parameters: {name}": parameters for name, parameters in TARGETS.items()},
    "told.NAME": use_case.Told,
    "import": use_case.Import,
}


def first_cells(text: str) -> set[str]:
    """The code in the first cell of every line of a table."""
    return set(re.findall(r"^\| `([^`]+)`", text, re.M))


def section(text: str, title: str) -> str:
    """What stands under a heading, up to the next one."""
    return re.split(r"^#+ ", text.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.M)[0]


def test_the_readme_is_short_and_begins_with_two_commands() -> None:
    assert len(README.splitlines()) <= 150
    assert section(README, "Two commands").index("    make demo\n    make dev\n") < 200
    assert len(re.findall(r"!\[", README)) == 1


def test_every_command_has_a_line() -> None:
    assert first_cells((REFERENCE / "cli.md").read_text()) == set(cli.commands)


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_for_itself_and_for_each_option(name: str) -> None:
    command = cli.commands[name]
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_every_setting_has_a_line() -> None:
    sources = [Path(module.__file__ or "").read_text() for module in (settings_module, s3, guard, keys)]
    read = set(re.findall(r'"((?:MLOPS|DAGSTER)_[A-Z0-9_]+|MLFLOW_TRACKING_URI|S3_ENDPOINT_URL)"', "".join(sources)))
    assert first_cells((REFERENCE / "settings.md").read_text()) == read


def test_every_asset_of_the_flagship_has_a_line() -> None:
    journey = ["raw_files", "rows", "rejects", "enrichment_calendar", "features", "model_input"]
    training = ["training_set", "candidates", "evaluation", "model_version", "champion"]
    people = ["drift", "audit_sample", "feedback", "live_metrics", "scored_days"]
    assert first_cells(section((REFERENCE / "assets.md").read_text(), "The asset graph")) == {
        *journey,
        *training,
        "predictions",
        *people,
    }


@pytest.mark.parametrize("title", SECTIONS)
def test_every_key_of_the_configuration_is_documented_with_its_meaning(title: str) -> None:
    model: type[BaseModel] = SECTIONS[title]
    text = section(CONFIGURATION, title)
    for name, field in model.model_fields.items():
        assert f"| `{field.alias or name}` |" in text
        assert f"| {field.description} |" in text
    assert first_cells(text) == {field.alias or name for name, field in model.model_fields.items()}


def test_conditions_rules_and_metrics_are_documented() -> None:
    assert first_cells(section(CONFIGURATION, "Conditions of a day")) == {
        *ROW_CHECKS,
        *SCORE_CHECKS,
        STOP_CHECK,
        *ENRICHMENT_CHECKS,
    }
    assert first_cells(section(CONFIGURATION, "Rules of rejects")) == {*RULES, *RULES_OF_FILES}
    noticed = section(CONFIGURATION, "What is noticed")
    assert all(f"| `{name}` | {notice.unit} | {notice.meaning} |" in noticed for name, notice in NOTICES.items())
    assert first_cells(noticed) == {*NOTICES}
    assert all(f"`{metric}`" in CONFIGURATION for metric in HIGHER_IS_BETTER)


def test_rules_of_feedback_are_documented() -> None:
    assert first_cells(section(OPERATIONS, "Corrections and audits")) == {*FEEDBACK_RULES}


def test_targets_that_the_documents_name_exist() -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    documents = [
        README,
        (ROOT / "CONTRIBUTING.md").read_text(),
        *(p.read_text() for p in (ROOT / "docs").rglob("*.md")),
    ]
    named = {target for text in documents for target in re.findall(r"(?:^ {4}|`)make ([a-z-]+)", text, re.M)}
    assert named <= known


def test_files_that_the_threat_model_names_exist() -> None:
    named = set(re.findall(r"`([\w./-]+\.(?:py|json|toml|yaml))`", SECURITY)) - {"defs.yaml"}
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_the_threat_model_has_a_row_for_each_port_of_the_stack() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    told = [str(port) for one in services for port in (*one.get("ports", ()), *one.get("expose", ()))]
    ports = {found[-1] for text in told if (found := re.findall(r"\d{4,5}", text))}
    assert len(ports) == 8
    assert set(re.findall(r"^\| [^|]*, (\d{4,5}) \|", SECURITY, re.M)) == ports


@pytest.mark.parametrize(
    "document", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: p.name
)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_pictures_of_pages_are_small_and_say_what_they_show() -> None:
    kept = sorted(KEPT.iterdir())
    assert {one.stem for one in kept} == {*SHOWN}
    assert [one.name for one in kept if one.stat().st_size >= 150_000] == []
    texts = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("pages.md", "index.md")]
    shown = re.findall(r"!\[([^\]]*)\]\(pictures/([^)]+)\)", "".join(texts))
    assert {name: bool(said) for said, name in shown} == {one.name: True for one in kept}


@pytest.fixture
def churn(tmp_path: Path) -> Path:
    """A folder with the use case by hand."""
    folder = tmp_path / "use_cases" / "churn"
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(shown("defs.yaml"))
    (folder / "features.sql").write_text(shown("features.sql"))
    return tmp_path


def test_the_use_case_by_hand_works_as_it_is_written(churn: Path) -> None:
    first, *commands = shown("commands").splitlines()
    assert first == "export MLOPS_USE_CASES=$PWD/use_cases"  # as a shop has it
    assert [command.split()[0] for command in commands] == ["mlops-assets"] * 3
    done = [Shop(churn / "home")(*command.split()[1:]) for command in commands]
    assert [one.code for one in done] == [0, 0, 0], done
    assert "champion: version 1, forest" in done[1].out
    assert "customer" not in "".join(one.err for one in done)
    assert {path.name for path in churn.iterdir()} == {"use_cases", "home"}


@pytest.mark.long
def test_the_use_case_by_hand_works_in_a_shell(churn: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "DAGSTER_"))}
    environment |= {"MLOPS_HOME": str(churn / "home"), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/sh", "-e"],
        input=shown("commands"),
        env=environment,
        cwd=churn,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "champion: version 1, forest" in done.stdout
    assert "customer" not in done.stderr
    assert {path.name for path in churn.iterdir()} == {"use_cases", "home"}
