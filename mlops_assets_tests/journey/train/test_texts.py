"""Text columns: a text reaches the estimator as text, beside numbers and categories, and all that is told of it is true."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.components import MlUseCase
from mlops_assets.errors import ConfigError, ModelRefused
from mlops_assets.journey.features.matrix import to_matrix
from mlops_assets.journey.model.archive import Known
from mlops_assets.journey.model.files import MEANING_FILE, hash_folder
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.pipeline import build_pipeline
from mlops_assets.use_case import Candidate, load_use_case
from mlops_assets_tests.helpers.shop import Shop

DAY, NEXT = "2026-01-01", "2026-01-02"
TFIDF = "sklearn.feature_extraction.text.TfidfVectorizer"
COLUMNS: dict[str, Known] = {"text": "text", "shop": ("north", "south"), "minutes": None}
BATCH = pa.table(
    {
        "text": ["where is my money", "the handle broke", None, "money back please"],
        "shop": ["south", "north", "west", None],
        "minutes": [1.0, float("inf"), None, 4.0],
    }
)

TICKETS = f"""\
type: mlops_assets.components.MlUseCase

attributes:
  description: What a customer of the shop writes about.
  start: 2026-01-01
  columns:
    customer: {{type: string, required: true}}
    minutes: {{type: number, min: 0}}
    shop: {{type: string}}
    text: {{type: string}}
    about: {{type: string, allowed: [money, repair]}}
  account: customer
  label: about
  training:
    texts: [text]
    split: {{by: account, held_out: 0.3}}
    folds: 2
    baseline: majority
    candidates:
      majority:
        use: sklearn.dummy.DummyClassifier
        parameters: {{strategy: prior}}
      linear:
        use: sklearn.linear_model.LogisticRegression
        prepare:
          - {{use: {TFIDF}, columns: [text]}}
          - {{use: sklearn.impute.SimpleImputer, columns: numbers, then: [{{use: sklearn.preprocessing.StandardScaler}}]}}
        search: {{C: [0.1, 10.0]}}
    gate:
      margin: {{accuracy: 0.1}}
"""
TICKETS_SQL = "CREATE VIEW model_input AS SELECT file, line, minutes, shop, text FROM rows;\n"


def place_tickets(folder: Path, yaml: str = TICKETS, sql: str = TICKETS_SQL) -> Path:
    """Write the use case `tickets` into a folder of use cases."""
    (folder / "tickets").mkdir(parents=True)
    (folder / "tickets" / "defs.yaml").write_text(yaml, encoding="utf-8")
    (folder / "tickets" / "features.sql").write_text(sql, encoding="utf-8")
    return folder


def write_tickets(shop: Shop, day: str, rows: int, seed: int) -> None:
    """Tickets whose words tell what they are about; the numbers tell nothing."""
    words = {"money": ["refund", "invoice", "paid", "price"], "repair": ["broke", "leaks", "handle", "noise"]}
    common = ["the", "my", "please", "and", "Straße", "hello"]
    random = np.random.default_rng(seed)
    folder = shop.home / "raw" / "tickets" / f"day={day}"
    folder.mkdir(parents=True)
    with (folder / "tickets.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["customer", "minutes", "shop", "text", "about"])
        for number in range(rows):
            about = ("money", "repair")[int(random.integers(2))]
            text = " ".join(random.permutation([*random.choice(words[about], 2), *random.choice(common, 4)]))
            line = [
                f"C{number}",
                round(float(random.uniform(0, 60)), 1),
                random.choice(["north", "south"]),
                text,
                about,
            ]
            writer.writerow(
                ["" if random.random() < 0.05 and place in (1, 3) else one for place, one in enumerate(line)]
            )


# -- the matrix -----------------------------------------------------------------------------------------------------------


def test_a_text_stays_a_text_and_a_missing_one_is_empty() -> None:
    assert Model(None, COLUMNS, (), "").matrix(BATCH)[:, 0].tolist() == [
        "where is my money",
        "the handle broke",
        "",
        "money back please",
    ]


def test_beside_a_text_categories_and_numbers_are_what_they_are_without_one() -> None:
    mixed = Model(None, COLUMNS, (), "").matrix(BATCH)
    alone = {name: known for name, known in COLUMNS.items() if name != "text"}
    np.testing.assert_array_equal(mixed[:, 1:].astype(np.float64), Model(None, alone, (), "").matrix(BATCH))
    assert mixed[:, 1].tolist() == [1, 0, -1, -1]


def test_without_a_text_the_matrix_is_one_of_numbers_column_by_column() -> None:
    matrix = to_matrix(BATCH, {"minutes": None, "shop": pa.array(["north"])})
    assert matrix.dtype == np.float64
    assert matrix.flags.f_contiguous


# -- the pipeline ---------------------------------------------------------------------------------------------------------


def seen(prepare: list[dict[str, Any]], **changes: Any) -> np.ndarray:
    """What the classifier gets of the batch."""
    candidate = Candidate.model_validate({"use": "sklearn.dummy.DummyClassifier", "prepare": prepare, **changes})
    pipeline = build_pipeline(candidate, COLUMNS)
    found = pipeline[:-1].fit_transform(Model(None, COLUMNS, (), "").matrix(BATCH))
    return np.asarray(found.todense() if hasattr(found, "todense") else found)


COUNT = {"use": "sklearn.feature_extraction.text.CountVectorizer", "columns": ["text"]}
FILL = {"use": "sklearn.impute.SimpleImputer", "parameters": {"strategy": "median"}, "columns": "numbers"}


def test_a_vectorizer_of_a_text_and_a_transformer_of_numbers_stand_side_by_side() -> None:
    found = seen([COUNT, FILL], others="drop")
    assert found.dtype == np.float64
    assert found[:, :-1].sum(axis=1).tolist() == [4, 3, 0, 3], "words"
    assert found[:, -1].tolist() == [1, 2.5, 2.5, 4]


def test_the_columns_that_no_preparation_names_reach_the_classifier_as_numbers() -> None:
    found = seen([COUNT])
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found[:, -2:], [[1, 1], [0, np.nan], [-1, np.nan], [-1, 4]])


def test_a_text_that_no_preparation_names_is_left_out() -> None:
    assert seen([FILL]).shape == (4, 2)


def test_all_columns_are_those_that_are_no_text() -> None:
    assert seen([{**FILL, "columns": "all"}]).shape == (4, 2)


def test_a_text_can_be_dropped() -> None:
    assert seen([{"use": "drop", "columns": ["text"]}]).shape == (4, 2)


# -- mistakes are told when the use case is loaded --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (
            "texts: [text]",
            "texts: [txt]",
            "training.texts: features.sql makes no column 'txt'; it makes minutes, shop, text",
        ),
        (
            "texts: [text]",
            "texts: [text, minutes]",
            "training.texts: features.sql makes a number of 'minutes'; a text is needed",
        ),
        (
            "columns: [text]",
            "columns: [shop, text]",
            "training.candidates.linear.prepare: 'text' is among `training.texts`, so it is prepared alone",
        ),
        (
            "  account: customer",
            "  checks: {unseen_share: {text: 0.1}}\n  account: customer",
            "checks.unseen_share: 'text' is among `training.texts`, and a text is no category",
        ),
    ],
    ids=["no such column", "a number", "prepared together", "a limit of unseen values"],
)
def test_a_mistake_about_a_text_is_told_by_its_key(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    place_tickets(tmp_path, TICKETS.replace(right, wrong))
    with pytest.raises(ConfigError) as error:
        MlUseCase(load_use_case(tmp_path / "tickets")).build_defs()
    assert f"tickets: {said}" in str(error.value)


# -- on disk --------------------------------------------------------------------------------------------------------------


def fitted(**parameters: Any) -> Model:
    """A model of words."""
    step = {"use": TFIDF, "parameters": parameters, "columns": ["text"]}
    candidate = Candidate.model_validate(
        {"use": "sklearn.linear_model.LogisticRegression", "prepare": [step], "others": "drop"}
    )
    model = Model(build_pipeline(candidate, COLUMNS), COLUMNS, ("money", "repair"), "")
    model.estimator.fit(model.matrix(BATCH), [0, 1, 1, 0])
    return model


@pytest.mark.parametrize(
    "parameters",
    [{}, {"min_df": 1, "max_features": 6}, {"analyzer": "char_wb", "ngram_range": [2, 3]}, {"stop_words": "english"}],
    ids=["as it is", "few words", "letters", "stop words"],
)
def test_a_model_of_words_is_stored_without_further_trust_and_is_the_same_bytes_each_time(
    tmp_path: Path, parameters: dict[str, Any]
) -> None:
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in parameters.items()}
    model = fitted(**given)
    sha256 = model.save(tmp_path / "one")
    assert fitted(**given).save(tmp_path / "two") == sha256
    loaded = Model.load(tmp_path / "one", sha256)
    assert loaded.columns == COLUMNS
    matrix = model.matrix(BATCH)
    np.testing.assert_array_equal(loaded.probabilities(loaded.matrix(BATCH)), model.probabilities(matrix))


def test_a_stored_model_may_not_know_another_word_for_a_column(tmp_path: Path) -> None:
    fitted().save(tmp_path)
    meaning = json.loads((tmp_path / MEANING_FILE).read_text())
    (tmp_path / MEANING_FILE).write_text(json.dumps({**meaning, "columns": {**meaning["columns"], "text": "texts"}}))
    with pytest.raises(ModelRefused, match="this is no stored model"):
        Model.load(tmp_path, hash_folder(tmp_path))


# -- the journey ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Office:
    """A home with the use case `tickets`, a champion and two published days."""

    shop: Shop

    def __call__(self, *arguments: str) -> str:
        done = self.shop(*arguments)
        assert done.code == 0, done.err
        return done.out

    def why(self, line: int) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(
            self("why", "tickets", "--day", NEXT, "--file", "tickets.csv", "--line", str(line), "--format", "json")
        )
        return told

    def predictions(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self("predictions", "tickets", "--day", NEXT, "--format", "json"))
        return rows


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    folder = tmp_path_factory.mktemp("office")
    place_tickets(folder / "use_cases")
    shop = Shop(folder / "home")
    write_tickets(shop, DAY, 300, seed=1)
    write_tickets(shop, NEXT, 60, seed=2)
    office = Office(shop)
    office("run", "tickets", "--train")
    return office


def test_the_champion_reads_the_words(office: Office) -> None:
    (champion,) = json.loads(office("history", "tickets", "--format", "json"))["versions"]
    assert champion["candidate"] == "linear"
    assert champion["passed"], champion["reason"]


def test_every_row_is_predicted_and_nearly_all_are_right(office: Office) -> None:
    rows = office.predictions()
    path = office.shop.home / "raw" / "tickets" / f"day={NEXT}" / "tickets.csv"
    with path.open(encoding="utf-8", newline="") as file:
        truth = [one["about"] for one in csv.DictReader(file)]
    said = [row["prediction"] for row in sorted(rows, key=lambda row: row["line"])]
    assert len(said) == 60
    assert np.mean([one == right for one, right in zip(said, truth, strict=True)]) > 0.9


def test_a_version_is_rebuilt_byte_by_byte(office: Office) -> None:
    assert "both models are the same, byte by byte" in office("rebuild", "tickets", "1")


def test_the_text_is_the_column_that_matters_most(office: Office) -> None:
    (folder,) = (office.shop.home / "mlflow" / "artifacts").rglob("card.md")
    card = folder.read_text()
    losses = [
        line.split("|") for line in card.split("### Importance")[1].split("## Cost")[0].splitlines() if "|" in line
    ]
    ranked = {cells[1].strip(): float(cells[2]) for cells in losses[2:]}
    assert next(iter(ranked)) == "text"
    assert ranked["text"] > 0.2 > abs(ranked["minutes"]) + abs(ranked["shop"])


def test_why_tells_the_words_that_the_answer_hangs_on(office: Office) -> None:
    told = office.why(1)
    assert told["agrees"]
    assert told["features"][0]["name"] == "text"
    strengths = {one["word"]: one["strength"] for one in told["words"]}
    text = next(one["value"] for one in told["features"] if one["name"] == "text")
    assert set(strengths) == {word.lower() for word in text.split()}
    assert next(iter(strengths)) in {"refund", "invoice", "paid", "price", "broke", "leaks", "handle", "noise"}
    shown = office("why", "tickets", "--day", NEXT, "--file", "tickets.csv", "--line", "1")
    assert "words of its texts" in shown


def test_taking_out_a_word_that_the_model_does_not_know_loses_nothing() -> None:
    from mlops_assets.journey.explain.strengths import word_strengths

    model = fitted()
    row = model.matrix(pa.table({"text": ["Money zebra money"], "shop": ["north"], "minutes": [1.0]}))[0]
    strengths = {one.word: one.strength for one in word_strengths(model, row, 0)}
    assert strengths["money"] > 0.05
    assert strengths["zebra"] == 0
