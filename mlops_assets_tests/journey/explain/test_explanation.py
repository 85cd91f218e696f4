"""Why: the numbers of an explanation are those of the daily job, and what cannot be explained is told plainly."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.tree import DecisionTreeClassifier

from mlops_assets.errors import LakeError, ModelRefused, UsageError
from mlops_assets.journey.explain.row import NotPredicted, Scored
from mlops_assets.journey.explain.strengths import occlusion
from mlops_assets.journey.explain.why import Cleaned, Explanation, explain
from mlops_assets.journey.features.day import aggregate_day
from mlops_assets.journey.model.files import SQL_FILE
from mlops_assets.journey.model.history import History
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.read.sources.folder import FolderSource
from mlops_assets.journey.score.day import Scorers, score_day
from mlops_assets.journey.train.candidates import fit
from mlops_assets.journey.train.training_set import build_training_set
from mlops_assets.storage.catalog import PREDICTIONS, Lake
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.source import Origin
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets_tests.helpers.account_files import ROW, account_file, changed
from mlops_assets_tests.helpers.days import DAY, ignore, in_shards_of, read_raw
from mlops_assets_tests.helpers.models import TREE, as_version

BROKEN = changed(data="31.02.2026")
ODD = changed(cidade_estabelecimento="NOWHERE ", valor="1.250,50")


@dataclass(frozen=True)
class Bank:
    """A place with one published day."""

    use_case: UseCase
    folder: Path
    versions: dict[int, Version]

    @property
    def lake(self) -> Lake:
        return Lake(self.folder / "lake", self.use_case.name)

    def raw(self, file: str) -> Path:
        return self.folder / "raw" / self.use_case.name / f"day={DAY}" / file

    def read(self) -> None:
        read_raw(self.use_case, self.folder / "raw", self.lake, DAY)
        aggregate_day(self.use_case, self.lake, DAY, LocalEngine(1), ignore)

    def score(self, number: int, run: str = "run") -> None:
        scorers = Scorers(self.versions[number], str(number), run=run)
        done = score_day(self.use_case, self.lake, DAY, scorers, LocalEngine(1), ignore, "")
        assert not done.problems

    def why(self, file: str, line: int, day: str = DAY, then: Scored | None = None) -> Explanation:
        source = FolderSource(self.folder / "raw" / self.use_case.name, ".csv")
        return explain(self.use_case, source, self.lake, self.versions.__getitem__, day, file, line, then)

    def published(self) -> list[dict[str, object]]:
        return self.lake.table("predictions").read_all([DAY]).to_pylist()


def open_bank(use_case: UseCase, folder: Path) -> Bank:
    """Six sample files and two dirty ones, scored by a tree that was fitted on them."""
    use_case = in_shards_of(3, use_case)
    bank = Bank(use_case, folder, {})
    list(write_sample(use_case, folder / "raw", dt.date.fromisoformat(DAY), 6, 10, 0, 7))
    bank.raw("dirty.csv").write_bytes(account_file([ROW, BROKEN, ODD]))
    bank.raw("empty.csv").write_bytes(b"")
    bank.read()
    training_set = build_training_set(use_case, bank.lake)
    model = fit(use_case, TREE, training_set, training_set.load().filter(pa.compute.field("_file") != "dirty.csv"))
    bank.versions[1] = as_version(model, folder / "version 1")
    bank.versions[2] = as_version(by_amount(), folder / "version 2", number=2)
    bank.score(1)
    return bank


def by_amount() -> Model:
    """A model that sees three features and uses one."""
    matrix = np.random.default_rng(0).uniform(0, 500, (200, 3))
    sql = "CREATE VIEW model_input AS SELECT file, line, age, amount, limit_total FROM rows"
    estimator = DecisionTreeClassifier(max_depth=1).fit(matrix, (matrix[:, 1] > 100).astype(int))
    return Model(estimator, {"age": None, "amount": None, "limit_total": None}, ("cheap", "dear"), sql)


@pytest.fixture(scope="module")
def bank(transactions: UseCase, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return open_bank(transactions, tmp_path_factory.mktemp("bank"))


@pytest.fixture
def own_bank(transactions: UseCase, tmp_path: Path) -> Bank:
    """One that a test may change."""
    return open_bank(transactions, tmp_path)


# -- what it tells ------------------------------------------------------------------------------------------------------


def test_every_row_of_a_day_is_recomputed_to_the_bit(bank: Bank) -> None:
    rows = bank.published()
    assert len(rows) > 30
    for row in rows:
        told = bank.why(str(row["file"]), int(str(row["line"])))
        assert told.agrees
        assert (told.prediction, told.probability) == (row["prediction"], row["probability"])
        assert np.float32(max(told.probabilities.values())) == np.float32(told.probability)
        assert next(iter(told.probabilities)) == told.prediction
        assert sum(told.probabilities.values()) == pytest.approx(1)


def test_a_row_is_told_from_its_raw_line_to_its_run(bank: Bank) -> None:
    told = bank.why("dirty.csv", 3)
    assert (told.raw, told.raw_problem) == (ODD, "")
    cleaned = {one.column: (one.raw, one.value) for one in told.cleaned if one.differs}
    assert cleaned["merchant_city"] == ("NOWHERE ", "NOWHERE")
    assert cleaned["amount"] == ("1.250,50", 1250.5)
    assert cleaned["date"] == ("4.12.2019", dt.date(2019, 12, 4))
    assert cleaned.keys().isdisjoint({"age", "sex", "account_id"})
    assert [one.name for one in told.features if one.unseen and one.value == "NOWHERE"] == ["city"]
    assert (told.version, told.choice, told.run, told.restored_by, told.champion) == (1, "1", "run", "", ())


def test_a_raw_text_that_says_the_same_is_not_marked() -> None:
    same = [Cleaned("a", "31", 31.0), Cleaned("a", "31", 31), Cleaned("a", "", None), Cleaned("a", "x", "x")]
    assert not any(one.differs for one in [*same, Cleaned("a", None, 5)])
    assert all(one.differs for one in [Cleaned("a", "31,0", 31.0), Cleaned("a", " x", "x"), Cleaned("a", "NA", None)])


def test_the_history_says_when_the_version_was_made_champion(own_bank: Bank) -> None:
    history = History(own_bank.lake.root, own_bank.use_case.name)
    one, _, again = (history.append("promote", version, "me", "", "").when for version in (1, 2, 1))
    assert own_bank.why("dirty.csv", 1).champion == (one, again)


# -- strengths ----------------------------------------------------------------------------------------------------------


def test_the_strongest_feature_is_the_one_that_the_model_uses(own_bank: Bank) -> None:
    own_bank.score(2)
    told = own_bank.why("dirty.csv", 3)
    assert (told.version, told.prediction, told.features[0].name) == (2, "dear", "amount")
    assert told.features[0].strength > 0.1
    assert [one.strength for one in told.features[1:]] == [0, 0]


def test_a_strength_is_the_mean_fall_of_the_probability() -> None:
    others = np.array([[0.0, 50.0, 0.0], [0.0, 400.0, 0.0], [0.0, 20.0, 0.0], [9.0, 300.0, 9.0]])
    row = np.array([1.0, 200.0, 3.0])
    assert occlusion(by_amount(), row, others, predicted=1).tolist() == [0, 0.5, 0]
    assert occlusion(by_amount(), row, others, predicted=0).tolist() == [0, -0.5, 0]
    assert occlusion(by_amount(), row, others[:0], predicted=1).tolist() == [0, 0, 0]


def test_the_same_row_is_always_explained_alike(bank: Bank) -> None:
    assert bank.why("dirty.csv", 1) == bank.why("dirty.csv", 1)


# -- what has changed since ---------------------------------------------------------------------------------------------


def remove(path: Path) -> None:
    path.unlink()


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + ROW.encode("mac_roman") + b"\r\n")


@pytest.mark.parametrize(("change", "said"), [(remove, "vanished"), (append, "changed after")])
def test_a_raw_file_that_is_not_what_was_read_is_not_shown(
    own_bank: Bank, change: Callable[[Path], None], said: str
) -> None:
    before = own_bank.why("dirty.csv", 3)
    change(own_bank.raw("dirty.csv"))
    told = own_bank.why("dirty.csv", 3)
    assert told.raw is None
    assert said in told.raw_problem
    assert [(one.column, one.value) for one in told.cleaned] == [(one.column, one.value) for one in before.cleaned]
    assert told.agrees


def test_a_raw_file_that_was_kept_is_shown_and_a_day_explained_as_it_was(transactions: UseCase, tmp_path: Path) -> None:
    bank = open_bank(transactions.model_copy(update={"source": Origin(keep="versions")}), tmp_path)
    before = bank.why("dirty.csv", 3)
    bank.raw("dirty.csv").unlink()
    assert bank.why("dirty.csv", 3) == before, "the source has it no longer"
    bank.raw("dirty.csv").write_bytes(account_file([changed(valor="1,00")] * 3))
    bank.read()
    bank.score(2)
    now = bank.why("dirty.csv", 3)
    (first, _) = bank.lake.predictions.publications()[DAY]
    then = bank.why("dirty.csv", 3, then=first)
    assert (now.version, then.version) == (2, 1)
    assert (then.raw, then.prediction, then.agrees) == (before.raw, before.prediction, True)
    assert now.raw != then.raw


def test_rows_that_were_read_again_do_not_hide_those_that_were_scored(own_bank: Bank) -> None:
    own_bank.raw("dirty.csv").write_bytes(account_file([changed(valor="1,00"), ROW, ROW]))
    own_bank.read()
    told = own_bank.why("dirty.csv", 3)
    assert told.agrees
    assert {one.column: one.value for one in told.cleaned}["amount"] == 1250.5


def test_a_restored_day_names_the_run_that_made_it_and_the_one_that_restored_it(own_bank: Bank) -> None:
    own_bank.score(2, run="another run")
    table = own_bank.lake.table("predictions")
    table.restore(DAY, table.publications()[DAY][0], PREDICTIONS, run="restorer")
    told = own_bank.why("dirty.csv", 1)
    assert (told.version, told.run, told.restored_by, told.agrees) == (1, "run", "restorer", True)


def test_a_published_answer_that_the_model_does_not_give_is_noticed(own_bank: Bank) -> None:
    table = own_bank.lake.table("predictions")
    for path in table.parts(DAY):
        part = pq.read_table(table.folder / path, partitioning=None).replace_schema_metadata(None)
        nearly = np.nextafter(part["probability"].to_numpy(), np.float32(0))
        place = part.column_names.index("probability")
        pq.write_table(part.set_column(place, "probability", pa.array(nearly)), table.folder / path)
    told = own_bank.why("dirty.csv", 1)
    assert not told.agrees
    assert told.prediction == told.recomputed
    assert told.changed == {}
    own_bank.score(1)  # makes the files again, which have no seal
    assert own_bank.why("dirty.csv", 1).agrees


# -- what cannot be explained -------------------------------------------------------------------------------------------

NONE = {
    "a day that is not published": (
        ("dirty.csv", 1, "2026-02-01"),
        NotPredicted,
        "2026-02-01 is not published: published are 2026-01-01 to",
    ),
    "a file with a slip of the pen": (("drity.csv", 1), UsageError, r"no file drity\.csv. Did you mean dirty\.csv"),
    "a file like no other": (("???", 1), UsageError, r"no file \?\?\?. It has 8 others"),
    "a line that was rejected": (
        ("dirty.csv", 2),
        NotPredicted,
        r"Line 2 of dirty\.csv was rejected: type: 'data' is '31\.02\.2026'",
    ),
    "a line after the last": (("dirty.csv", 4), UsageError, r"has no line 4: .* the last is 3"),
    "a file that was refused": (
        ("empty.csv", 1),
        NotPredicted,
        r"empty\.csv was refused as a whole: empty_file: the file is empty",
    ),
}


@pytest.mark.parametrize("case", NONE)
def test_what_has_no_prediction_is_told_with_the_reason(bank: Bank, case: str) -> None:
    row, error, said = NONE[case]
    with pytest.raises(error, match=said):
        bank.why(*row)


def test_before_the_first_day_nothing_is_published(transactions: UseCase, tmp_path: Path) -> None:
    with pytest.raises(NotPredicted, match="no day is published yet"):
        Bank(transactions, tmp_path, {}).why("a.csv", 1)


def test_a_day_whose_list_of_files_was_cleaned_up_is_told(own_bank: Bank) -> None:
    for path in own_bank.lake.table("raw_files").folder.glob("day=*/manifest-*"):
        path.unlink()
    with pytest.raises(LakeError, match="was cleaned up since"):
        own_bank.why("dirty.csv", 1)


def test_a_model_that_was_tampered_with_explains_nothing(own_bank: Bank) -> None:
    with (own_bank.versions[2].folder / "serving" / SQL_FILE).open("a") as file:
        file.write("-- more")
    own_bank.versions[1] = own_bank.versions[2]
    with pytest.raises(ModelRefused):
        own_bank.why("dirty.csv", 1)
