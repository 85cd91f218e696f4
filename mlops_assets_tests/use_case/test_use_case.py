"""What `defs.yaml` may say, and how a mistake in it is told: file, line, key, and what was expected."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from mlops_assets.errors import ConfigError, UsageError
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.use_case import Column, UseCase, find_use_case, list_use_cases, load_use_case

YAML = """\
type: mlops_assets.components.ml_use_case.MlUseCase

attributes:
  description: Whether a plant flowers.
  start: 2026-01-01
  files: {delimiter: ";", encoding: latin-1}
  columns:
    plant: {type: string, required: true}
    planted: {type: date, format: "%d.%m.%Y"}
    height:
      from: " height in cm "
      type: number
      min: 0
      max: 300
    flowers: {type: string, allowed: ["no", "yes"]}
  account: plant
  label: flowers
  checks:
    reject_rate: 0.1
  import: {key: [plant], date: planted}
  training:
    split: {by: time, column: planted}
    baseline: majority
    candidates:
      majority: {use: sklearn.dummy.DummyClassifier, parameters: {strategy: prior}}
      forest:
        use: sklearn.ensemble.RandomForestClassifier
    gate:
      floors: {accuracy: 0.5}
"""


def write(folder: Path, text: str = YAML, name: str = "garden") -> Path:
    """A use case in a folder of its own."""
    path = folder / name
    path.mkdir()
    (path / "defs.yaml").write_text(text, encoding="utf-8")
    (path / "features.sql").write_text("CREATE VIEW model_input AS SELECT * FROM rows;", encoding="utf-8")
    return path


def mistake(folder: Path, text: str, name: str = "garden") -> str:
    """What is said about a text; the path of the file, which every line begins with, is left out."""
    path = write(folder, text, name)
    with pytest.raises(ConfigError) as error:
        load_use_case(path)
    lines = str(error.value).splitlines()
    assert all(line.startswith(f"{path / 'defs.yaml'}:") for line in lines)
    return "\n".join(line.removeprefix(f"{path / 'defs.yaml'}:") for line in lines)


# -- what is right -----------------------------------------------------------------------------------------------------


def test_a_use_case_is_its_folder_name_its_yaml_and_its_sql(tmp_path: Path) -> None:
    case = load_use_case(write(tmp_path))
    assert (case.name, case.account, case.label) == ("garden", "plant", "flowers")
    assert case.start == dt.date(2026, 1, 1)
    assert case.features_sql == "CREATE VIEW model_input AS SELECT * FROM rows;"
    assert list(case.training.candidates) == ["majority", "forest"]


@pytest.mark.parametrize("name", list_use_cases([OWN_USE_CASES]))
def test_the_use_cases_of_the_package_are_right(name: str) -> None:
    assert load_use_case(OWN_USE_CASES / name).name == name


def test_a_column_is_known_by_its_name_in_the_file_without_blanks(tmp_path: Path) -> None:
    columns = load_use_case(write(tmp_path)).columns
    assert columns["height"].header("height") == "height in cm"
    assert columns["plant"].header("plant") == "plant"


@pytest.mark.parametrize(
    ("column", "form"),
    [
        (Column(type="date"), "%Y-%m-%d"),
        (Column(type="timestamp"), "%Y-%m-%d %H:%M:%S"),
        (Column(type="date", format="%d.%m.%Y"), "%d.%m.%Y"),
    ],
)
def test_dates_are_iso_8601_unless_a_format_is_given(column: Column, form: str) -> None:
    assert column.strptime == form


def test_an_encoding_may_be_named_in_any_way_that_python_knows(tmp_path: Path) -> None:
    assert load_use_case(write(tmp_path)).files.encoding == "iso8859-1"


# -- what is wrong -----------------------------------------------------------------------------------------------------

MISTAKES = {
    "unknown key": ("reject_rate: 0.1", "rejects: 0.1", "checks.rejects: this key is not known here"),
    "unknown key of a column": ("max: 300", "maxi: 300", "columns.height.maxi: this key is not known here"),
    "unknown key at the top": ("label: flowers", "labels: flowers", "labels: this key is not known here"),
    "wrong type": ("reject_rate: 0.1", "reject_rate: little", "checks.reject_rate: Input should be a valid number"),
    "out of range": (
        "reject_rate: 0.1",
        "reject_rate: 10",
        "checks.reject_rate: Input should be less than or equal to 1",
    ),
    "unknown column type": ("type: number", "type: float", "columns.height.type: Input should be 'string', 'integer'"),
    "bound that is none": ("max: 300", "max: high", "columns.height.max"),
    "no date": ("start: 2026-01-01", "start: soon", "start: Input should be a valid date"),
    "a day that no calendar has": ("start: 2026-01-01", "start: 2026-02-30", "start: "),
    "zone of a date": (
        "type: date, ",
        "type: date, zone: as written, ",
        "columns.planted.zone: only a timestamp whose",
    ),
    "currency that is a number": ('delimiter: ";"', 'currency: ["5"]', "files.currency: '5' may be part of a number"),
    "currency without a sign": ('delimiter: ";"', 'currency: [""]', "files.currency: '' may be part of a number"),
    "unknown negative": ('delimiter: ";"', "negative: [red]", "files.negative.0: Input should be 'minus behind'"),
    "unknown encoding": ("latin-1", "latin-99", "files.encoding: Python knows no encoding 'latin-99'; examples: utf-8"),
    "encoding of no text": ("latin-1", "hex", "files.encoding: "),
    "encoding that is no ASCII": ("latin-1", "utf-16", "files.encoding: "),
    "two delimiters": ('delimiter: ";"', 'delimiter: ";;"', "files.delimiter: String should have at most 1 character"),
    "one sign for two things": ("latin-1}", 'latin-1, thousands: "."}', "files"),
    "label that is no column": (
        "label: flowers",
        "label: fruit",
        "label: 'fruit' is not one of the columns: plant, planted, height, flowers",
    ),
    "account that is no column": (
        "account: plant",
        "account: tree",
        "account: 'tree' is not one of the columns: plant",
    ),
    "column of the platform": ("plant: {", "day: {", "columns: day: these names belong to the platform"),
    "column that SQL cannot name": ("plant: {", "the plant: {", "columns: 'the plant' is not a name SQL can use"),
    "two columns of one name": ('from: " height in cm "', "from: ' plant '", "columns: 'plant'"),
    "half a bound of an integer": ("type: number\n      min: 0", "type: integer\n      min: 0.5", "columns.height"),
    "number bound of a date": ("planted: {", "planted: {min: 3, ", "columns.planted"),
    "number bound of a text": ("plant: {", "plant: {min: 3, ", "columns.plant"),
    "date bound of a number": ("max: 300", "max: 2026-01-01", "columns.height"),
    "unknown baseline": (
        "baseline: majority",
        "baseline: best",
        "training.candidates: the baseline 'best' is not among the candidates: majority, forest",
    ),
    "unknown member": (
        "use: sklearn.ensemble.RandomForestClassifier",
        "{use: sklearn.ensemble.VotingClassifier, members: [tree]}",
        "training.candidates: forest.members: 'tree' is not a candidate",
    ),
    "unknown metric": ("accuracy: 0.5", "precision: 0.5", "training.gate.floors.precision"),
    "split by a column that is no date": ("column: planted", "column: height", "split.column: 'height' is not a date"),
    "import by an unknown key": ("key: [plant]", "key: [tree]", "import: 'tree' is not one of the columns"),
    "import by a column that is no date": ("date: planted", "date: height", "import: date: 'height' is not a date"),
    "owner that is nobody": ("start: 2026", "owner: somebody\n  start: 2026", "owner: String should match pattern"),
    "name that is given by the folder": (
        "start: 2026",
        "name: other\n  start: 2026",
        "name: this key is not known here",
    ),
    "key that is no text": ("start: 2026", "on: 1\n  start: 2026", "this key is not known here"),
}


@pytest.mark.parametrize(("right", "wrong", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_key_and_what_was_expected(
    tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    assert YAML.count(right) == 1
    assert message in mistake(tmp_path, YAML.replace(right, wrong))


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("start: 2026-01-01", "start: soon", "5: start: "),
        ("max: 300", "maxi: 300", "14: columns.height.maxi: "),
        ("label: flowers", "label: fruit", "17: label: "),
        ("reject_rate: 0.1", "reject_rate: 10", "19: checks.reject_rate: "),
        ("key: [plant]", "key: []", "20: import.key: "),
        ("by: time", "by: luck", "22: training.split.by: "),
        ("{strategy: prior}", "[prior]", "25: training.candidates.majority.parameters: "),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    assert mistake(tmp_path, YAML.replace(right, wrong)).startswith(said)


def test_a_wrong_value_is_shown(tmp_path: Path) -> None:
    assert mistake(tmp_path, YAML.replace("0.1", "little")).endswith("(given: 'little')")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("  label: flowers\n", "3: label: Field required"),
        ("    baseline: majority\n", "21: training.baseline: Field required"),
        ("        use: sklearn.ensemble.RandomForestClassifier\n", "26: training.candidates.forest"),
    ],
)
def test_a_key_that_is_missing_is_told_where_it_belongs(tmp_path: Path, line: str, said: str) -> None:
    assert mistake(tmp_path, YAML.replace(line, "")).startswith(said)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = YAML.replace("max: 300", "maxi: 300").replace("0.1", "little").replace("time", "luck")
    assert [line.split(":")[0] for line in mistake(tmp_path, text).splitlines()] == ["14", "19", "22"]


@pytest.mark.parametrize("name", ["Garden", "2024", "my-garden", "a b"])
def test_a_folder_name_that_cannot_name_assets_is_a_mistake(tmp_path: Path, name: str) -> None:
    assert "name: String should match pattern" in mistake(tmp_path, YAML, name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a\n- b\n",
        "attributes",
        "attributes:\n",
        "attributes: 3\n",
        "type: x\n",
        "a: [\n",
        "a: b: c\n",
        "\t- x\n",
        "a: !x 1\n",
    ],
)
def test_a_text_that_is_no_use_case_is_told_as_such(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match="`attributes`") as error:
        load_use_case(path)
    assert str(error.value).startswith(f"{path / 'defs.yaml'}: ")


def test_a_file_that_is_not_utf_8_is_told_as_such(tmp_path: Path) -> None:
    path = write(tmp_path)
    (path / "defs.yaml").write_bytes(YAML.replace("plant f", "plänt f").encode("latin-1"))
    with pytest.raises(ConfigError, match=r"defs\.yaml: .*utf-8"):
        load_use_case(path)


@pytest.mark.parametrize(
    ("missing", "message"),
    [("defs.yaml", "a use case needs one"), ("features.sql", "it must create the view `model_input`")],
)
def test_a_file_that_is_missing_is_named(tmp_path: Path, missing: str, message: str) -> None:
    path = write(tmp_path)
    (path / missing).unlink()
    with pytest.raises(ConfigError) as error:
        load_use_case(path)
    assert str(error.value) == f"{path / missing}: there is no such file; {message}."


def test_sql_that_is_not_utf_8_is_told_as_such(tmp_path: Path) -> None:
    path = write(tmp_path)
    (path / "features.sql").write_bytes("-- Größe".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"features\.sql: "):
        load_use_case(path)


# -- which there are ---------------------------------------------------------------------------------------------------


def test_use_cases_are_the_folders_with_a_defs_yaml(tmp_path: Path) -> None:
    for name in ("zoo", "garden"):
        write(tmp_path, name=name)
    (tmp_path / "notes").mkdir()
    assert list(list_use_cases([tmp_path])) == ["garden", "zoo"]


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "a b", "über", ".old"])
def test_the_name_of_a_use_case_is_plain(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "defs.yaml").touch()
    with pytest.raises(ConfigError) as told:
        list_use_cases([tmp_path])
    assert f"{name!r} is no name of a use case: letters, digits and _ alone" in str(told.value)


def test_a_use_case_is_found_by_its_name_in_any_of_the_folders(tmp_path: Path) -> None:
    write(tmp_path)
    assert find_use_case([OWN_USE_CASES, tmp_path], "garden").name == "garden"


@pytest.mark.parametrize(("folders", "known"), [(1, "garden"), (0, "none")])
def test_a_name_that_no_use_case_has_is_a_wrong_usage_that_lists_the_names(
    tmp_path: Path, folders: int, known: str
) -> None:
    write(tmp_path)
    with pytest.raises(UsageError, match=f"There is no use case 'gardn'; there are: {known}."):
        find_use_case([tmp_path] * folders, "gardn")


# -- what decides how a file is read -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("max: 300", "max: 301", False),
        ('allowed: ["no", "yes"]', "required: true", False),
        ('delimiter: ";"', 'delimiter: ","', False),
        ("label: flowers", "label: height", False),
        ("max: 300", "max: 300\n      about: How tall it is.", True),
        ("description: Whether a plant flowers.", "description: Another.", True),
        ("baseline: majority", "baseline: forest", True),
        ("reject_rate: 0.1", "reject_rate: 0.2", True),
    ],
)
def test_the_contract_is_another_when_files_would_be_read_otherwise(
    tmp_path: Path, before: str, after: str, same: bool
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    old, new = load_use_case(write(first)), load_use_case(write(second, YAML.replace(before, after)))
    assert (old.contract_fingerprint == new.contract_fingerprint) is same


def test_a_changed_copy_of_a_use_case_has_a_contract_of_its_own(transactions: UseCase) -> None:
    before = transactions.contract_fingerprint
    small = transactions.files.model_copy(update={"largest": 1})
    assert transactions.model_copy(update={"files": small}).contract_fingerprint != before
