"""A mistake in a use case is told by file, line and key, with what was expected; at load, and by Dagster."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.components import MlUseCase
from mlops_assets.definitions import definitions_of, defs
from mlops_assets.errors import ConfigError
from mlops_assets.settings import Settings
from mlops_assets.use_case import Origin, UseCase, load_use_case
from mlops_assets_tests.helpers.visits import VISITS, VISITS_SQL, place_visits


def config_error(folder: Path) -> str:
    """What loading the use case `visits` in a folder and drawing its graph says."""
    with pytest.raises(ConfigError) as error:
        MlUseCase(load_use_case(folder / "visits")).build_defs()
    return str(error.value)


def line_of(text: str, part: str) -> int:
    """Number of the first line that holds a text, from 1."""
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


@dataclass(frozen=True)
class Mistake:
    """What is put in the place of what, the key that is blamed, what is said, and what stands on the line that is told.

    `by_dagster` is what Dagster says where it has words of its own.
    """

    right: str
    wrong: str
    key: str
    said: str
    at: str = ""
    by_dagster: str = ""

    def line(self, text: str) -> int:
        return line_of(text, self.at or self.wrong.splitlines()[0])


METRICS = "'accuracy', 'macro_f1', 'weighted_f1', 'log_loss' or 'roc_auc'"
MISTAKES = {
    "a misspelt key": Mistake(
        "folds: 2",
        "fold: 2",
        "training.fold",
        "this key is not known here; is it misspelt?",
        by_dagster="Extra inputs are not permitted",
    ),
    "an unknown choice": Mistake("folds: 2", "metric: acuracy", "training.metric", f"Input should be {METRICS}"),
    "an unknown choice inside a flow": Mistake(
        "{by: account, held_out: 0.3}",
        "{by: person, held_out: 0.3}",
        "training.split.by",
        "Input should be 'time', 'account' or 'random'",
    ),
    "a number that is too large": Mistake(
        "held_out: 0.3", "held_out: 30", "training.split.held_out", "Input should be less than 1"
    ),
    "a text where a number should be": Mistake(
        "folds: 2", "folds: some", "training.folds", "Input should be a valid integer, unable to parse string"
    ),
    "a day that is none": Mistake(
        "start: 2026-01-01", "start: January", "start", "Input should be a valid date or datetime"
    ),
    "an unknown type of a column": Mistake(
        "minutes: {type: number,",
        "minutes: {type: decimal,",
        "columns.minutes.type",
        "Input should be 'string', 'integer', 'number', 'date', 'timestamp' or 'boolean'",
    ),
    "a name that the platform needs": Mistake(
        "minutes: {type: number, min: 0",
        "line: {type: number, min: 0",
        "columns",
        "line: these names belong to the platform; choose another",
        at="columns:",
    ),
    "a label that is no column": Mistake(
        "label: returned",
        "label: came_back",
        "label",
        "'came_back' is not one of the columns: visitor, minutes, channel, returned",
    ),
    "a baseline that is no candidate": Mistake(
        "baseline: majority",
        "baseline: largest",
        "training.candidates",
        "the baseline 'largest' is not among the candidates: majority, linear",
        at="candidates:",
    ),
    "an unknown encoding": Mistake(
        "  account: visitor",
        "  files: {encoding: mac_romano}\n  account: visitor",
        "files.encoding",
        "Python knows no encoding 'mac_romano'; examples: utf-8, latin-1, mac_roman",
    ),
    "a sensor of which nothing is said": Mistake(
        "  account: visitor",
        "  sensor:\n  account: visitor",
        "sensor",
        "there is nothing behind this key; say `sensor: {}` to watch with every default",
    ),
    "a mark that would be a data file": Mistake(
        "  account: visitor",
        "  sensor: {marker: DONE}\n  account: visitor",
        "sensor.marker",
        "String should match pattern '^[._][^/]*$'",
    ),
    "a table that the platform needs": Mistake(
        "  account: visitor",
        "  targets: {db: {use: sql, parameters: {url_variable: U, table: mlops_assets_stage}}}\n  account: visitor",
        "targets.db.use",
        "parameters.table: 'mlops_assets_stage' belongs to the platform; choose another name",
        at="targets:",
    ),
    "a network that nobody trusts": Mistake(
        "        use: sklearn.linear_model.LogisticRegression\n        parameters: {max_iter: 500}",
        "        use: mlops_assets.estimators.TorchClassifier\n        parameters: {module: net.Net}",
        "training.trusted",
        "candidates.linear is a network of 'net.Net': name that class here, for it is code of yours",
        at="training:",
    ),
    "a metric that the gate does not know": Mistake(
        "margin: {accuracy: 0.1}",
        "margin: {accuracies: 0.1}",
        "training.gate.margin.accuracies",
        f"Input should be {METRICS}",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_by_file_line_key_and_what_was_expected(tmp_path: Path, mistake: Mistake) -> None:
    text = VISITS.replace(mistake.right, mistake.wrong)
    place_visits(tmp_path, text)
    where = f"{tmp_path / 'visits' / 'defs.yaml'}:{mistake.line(text)}: {mistake.key}: "
    assert config_error(tmp_path).startswith(where + mistake.said)


def test_a_mistake_shows_what_was_given(tmp_path: Path) -> None:
    place_visits(tmp_path, VISITS.replace("folds: 2", "metric: acuracy"))
    assert config_error(tmp_path).endswith("(given: 'acuracy')")


def test_a_key_that_is_missing_is_told_by_the_line_of_its_parent(tmp_path: Path) -> None:
    place_visits(tmp_path, VISITS.replace("    baseline: majority\n", ""))
    line = line_of(VISITS, "training:")
    assert f"defs.yaml:{line}: training.baseline: Field required" in config_error(tmp_path)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{}", "say `use`, or `follow_links` or `keep` for files in a folder"),
        ("{parameters: {a: 1}, follow_links: true}", "parameters: they are those of `use`, which is missing"),
        (
            "{use: sql, follow_links: true, parameters: {url_variable: U, query: 'SELECT :day'}}",
            "follow_links: the files of 'sql' do not lie in a folder of yours",
        ),
    ],
)
def test_a_source_says_one_thing(tmp_path: Path, source: str, problem: str) -> None:
    place_visits(tmp_path, f"{VISITS}  source: {source}\n")
    assert config_error(tmp_path).split(" (given")[0].endswith(f"source: {problem}")


def test_links_change_nothing_that_is_stored_of_a_file_that_was_read(transactions: UseCase) -> None:
    linked = transactions.model_copy(update={"source": Origin(follow_links=True)})
    assert linked.contract_fingerprint == transactions.contract_fingerprint


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    place_visits(tmp_path, VISITS.replace("folds: 2", "folds: 1").replace("label: returned", "lable: returned"))
    keys = [line.split(": ")[1] for line in config_error(tmp_path).splitlines()]
    assert sorted(keys) == ["label", "lable", "training.folds"]


def test_a_use_case_whose_name_makes_a_table_of_more_signs_than_a_database_keeps_must_name_one(tmp_path: Path) -> None:
    folder = place_visits(tmp_path, VISITS + "  targets: {db: {use: sql, parameters: {url_variable: U}}}\n")
    named = (folder / "visits").rename(folder / ("v" * 52))
    line = len(VISITS.splitlines()) + 1
    with pytest.raises(ConfigError) as wrong:
        load_use_case(named)
    assert str(wrong.value) == (
        f"{named / 'defs.yaml'}:{line}: targets.db.parameters: the table would be '{named.name}_predictions', of 64 "
        "signs, and a database takes 63: name a `table`"
    )
    load_use_case(named.rename(folder / ("v" * 51)))


def test_a_file_that_is_no_yaml_is_told_by_its_line(tmp_path: Path) -> None:
    place_visits(tmp_path, VISITS.replace("[web, shop]", "[web, shop"))
    said = config_error(tmp_path)
    assert said.startswith(f"{tmp_path / 'visits' / 'defs.yaml'}: this is not a YAML mapping")
    assert f"line {line_of(VISITS, '[web, shop]')}" in said


def test_a_file_without_attributes_says_what_is_missing(tmp_path: Path) -> None:
    place_visits(tmp_path, "type: mlops_assets.components.MlUseCase\n")
    assert config_error(tmp_path).endswith(
        "defs.yaml: expected the key `attributes` with the settings of the use case."
    )


def test_a_folder_without_sql_says_what_is_missing(tmp_path: Path) -> None:
    place_visits(tmp_path)
    (tmp_path / "visits" / "features.sql").unlink()
    assert config_error(tmp_path).endswith(
        "features.sql: there is no such file; it must create the view `model_input`."
    )


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (VISITS_SQL.replace("minutes", "hours"), 'Referenced column "hours" not found'),
        (VISITS_SQL.replace("SELECT", "SELCT"), 'syntax error at or near "SELCT"'),
        (VISITS_SQL.replace("channel", "returned"), 'Referenced column "returned" not found'),
        (VISITS_SQL.replace("model_input", "input"), "no statement creates the view `model_input`"),
        (VISITS_SQL.replace("line, ", ""), "`model_input` must have the column `line`"),
        ("DROP TABLE rows;", "only `CREATE VIEW` is allowed, this is: DROP TABLE rows"),
    ],
    ids=["unknown column", "syntax", "the label", "no model_input", "no line", "no view"],
)
def test_a_mistake_in_the_sql_is_told_by_file_and_reason(tmp_path: Path, sql: str, said: str) -> None:
    place_visits(tmp_path, sql=sql)
    found = config_error(tmp_path)
    assert "features.sql" in found
    assert said in found


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("columns: numbers}", "columns: [minuets]}"),
        ("  account: visitor", "  checks: {unseen_share: {minuets: 0.1}}\n  account: visitor"),
    ],
    ids=["prepare", "unseen_share"],
)
def test_a_feature_that_the_sql_does_not_make_is_told_at_load_beside_those_that_it_makes(
    tmp_path: Path, right: str, wrong: str
) -> None:
    place_visits(tmp_path, VISITS.replace(right, wrong))
    said = config_error(tmp_path)
    assert "'minuets'" in said
    assert "minutes, channel" in said


# -- the same through Dagster -------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster project of one's own with the use case `visits`."""
    package = tmp_path / "my_project"
    place_visits(package / "defs")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.dg]\ndirectory_type = "project"\n\n[tool.dg.project]\nroot_module = "my_project"\n'
    )
    for folder in (package, package / "defs"):
        (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("my_project")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_dagster_tells_a_mistake_by_file_line_key_and_what_was_expected(project: Path, mistake: Mistake) -> None:
    path = project / "my_project" / "defs" / "visits" / "defs.yaml"
    text = VISITS.replace(mistake.right, mistake.wrong)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Exception) as error:  # noqa: PT011 - Dagster's own, of many classes
        dg.load_from_defs_folder(path_within_project=project)
    told = "".join(traceback.format_exception(error.value))
    assert f"attributes.{mistake.key}" in told
    assert f"{path}:{mistake.line(text)}" in told
    assert (mistake.by_dagster or mistake.said) in told


@pytest.mark.long
def test_dg_check_defs_shows_file_line_and_key_and_exits_with_1(project: Path) -> None:
    package = project / "my_project"
    (package / "definitions.py").write_text(
        "from pathlib import Path\nimport dagster as dg\n"
        "defs = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)\n"
    )
    path = package / "defs" / "visits" / "defs.yaml"
    path.write_text(VISITS.replace("folds: 2", "metric: acuracy"), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("dg")), "check", "defs", "--no-check-yaml"]
    environment = {**os.environ, "PYTHONPATH": str(project), "MLOPS_HOME": str(project / "home")}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert f"attributes.training.metric at {path}:{line_of(VISITS, 'folds: 2')}" in said
    assert METRICS in said


def test_a_mistake_in_a_folder_of_use_cases_is_told_when_the_code_location_loads(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_visits(tmp_path / "use_cases", VISITS.replace("folds: 2", "folds: 1"))
    monkeypatch.setenv("MLOPS_USE_CASES", str(tmp_path / "use_cases"))
    with pytest.raises(ConfigError, match=r"visits/defs\.yaml:15: training\.folds: .* greater than or equal to 2"):
        defs()


BY_VARIABLE = VISITS + '  targets: {shop: {use: files, parameters: {place: "/data/{{ env.TEAM }}"}}}\n'


def test_a_text_may_refer_to_an_environment_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place_visits(tmp_path, BY_VARIABLE)
    monkeypatch.setenv("TEAM", "blue")
    assert load_use_case(tmp_path / "visits").targets["shop"].parameters == {"place": "/data/blue"}
    monkeypatch.delenv("TEAM")
    line = line_of(BY_VARIABLE, "TEAM")
    said = rf"defs\.yaml:{line}: targets\.shop\.parameters\.place: the environment variable TEAM is not set"
    with pytest.raises(ConfigError, match=said):
        load_use_case(tmp_path / "visits")


MISUSED = {
    "training.folds": VISITS.replace("folds: 2", 'folds: "{{ env.ROSE }}"'),
    "targets.shop.use": VISITS
    + '  targets: {shop: {use: files, parameters: {place: "{{ env.ROSE }}", format: "{{ env.ROSE }}"}}}\n',
    "account": VISITS.replace("account: visitor", 'account: "{{ env.ROSE }}"'),
}
"""A variable where its value cannot be, by the key."""


@pytest.mark.parametrize("key", MISUSED)
def test_a_mistake_quotes_a_reference_and_not_its_value(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_visits(tmp_path, MISUSED[key])
    monkeypatch.setenv("ROSE", "sftp://rosebud-7c41-of-the-shop-that-is-a-secret")
    with pytest.raises(ConfigError, match=rf"defs\.yaml:\d+: {key}: ") as error:
        load_use_case(tmp_path / "visits")
    assert "rosebud" not in str(error.value)


SHOWN = {
    "description": re.sub("  description: .*", '  description: "For {{ env.ROSE }}"', VISITS),
    "columns.parameters.from": VISITS.replace(
        "  columns:\n", '  columns:\n    parameters: {type: string, from: "{{ env.ROSE }}"}\n'
    ),
    "columns.more.allowed.1": VISITS.replace(
        "  columns:\n", '  columns:\n    more: {type: string, allowed: [web, "{{ env.ROSE }}"]}\n'
    ),
    "enrichments.parameters.keys.0": VISITS
    + '  enrichments: {parameters: {use: table, keys: ["{{ env.ROSE }}"], columns: {a: string}}}\n',
}
"""A variable where its value would come into tables, messages and pages, by the key."""


@pytest.mark.parametrize("key", SHOWN)
def test_no_variable_is_filled_in_where_it_would_be_shown(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_visits(tmp_path, SHOWN[key])
    monkeypatch.setenv("ROSE", "rosebud-7c41")
    line = line_of(SHOWN[key], "env.ROSE")
    with pytest.raises(ConfigError, match=rf"defs\.yaml:{line}: {key}: \{{\{{ env\.ROSE }}}} stands where .* shown"):
        load_use_case(tmp_path / "visits")


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")
def test_a_mistake_that_dagster_tells_quotes_no_value_either(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project / "my_project" / "defs" / "visits" / "defs.yaml"
    path.write_text(MISUSED["targets.shop.use"].replace(', format: "{{ env.ROSE }}"', ""), encoding="utf-8")
    monkeypatch.setenv("ROSE", "sftp://rosebud-7c41-of-the-shop-that-is-a-secret")
    with pytest.raises(Exception) as error:  # noqa: PT011 - Dagster's own, of many classes
        dg.load_from_defs_folder(path_within_project=project)
    told = "".join(traceback.format_exception(error.value))
    assert f"defs.yaml:{line_of(MISUSED['targets.shop.use'], 'targets')}: targets.shop.use: " in told
    assert "rosebud" not in told


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")
def test_dagster_fills_in_environment_variables_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project / "my_project" / "defs" / "visits" / "defs.yaml"
    path.write_text(BY_VARIABLE, encoding="utf-8")
    monkeypatch.setenv("TEAM", "blue")
    found = dg.Definitions.merge(dg.load_from_defs_folder(path_within_project=project), definitions_of())
    graph = found.resolve_asset_graph()
    assert graph.has(dg.AssetKey(["visits", "predictions"]))
    monkeypatch.delenv("TEAM")
    with pytest.raises(Exception) as error:  # noqa: PT011 - Dagster's own, of many classes
        dg.load_from_defs_folder(path_within_project=project)
    told = "".join(traceback.format_exception(error.value))
    assert "targets.shop.parameters.place: the environment variable TEAM is not set" in told
