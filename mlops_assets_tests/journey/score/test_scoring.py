"""Scoring: one prediction for every row of a day by one model version, or the day stays as it was."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.explain.comparison import compare_day
from mlops_assets.journey.features.day import aggregate_day
from mlops_assets.journey.features.shard import compute
from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.model.files import SQL_FILE
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.read.contract import rows_schema
from mlops_assets.journey.read.listing import list_day
from mlops_assets.journey.read.rows import read_day
from mlops_assets.journey.read.sources.folder import FolderSource
from mlops_assets.journey.score.day import ScoredDay, Scorers, score_day
from mlops_assets.journey.score.predict import predict
from mlops_assets.journey.score.vectors import predictions_of
from mlops_assets.journey.train.candidates import fit
from mlops_assets.journey.train.training_set import build_training_set
from mlops_assets.settings import Settings
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.catalog import PREDICTIONS, Lake
from mlops_assets.use_case import Checks, UseCase
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.work.progress import Progress
from mlops_assets.work.shards import Report, Watch
from mlops_assets_tests.helpers.account_files import ROW, WriteDay, account_file, changed
from mlops_assets_tests.helpers.days import DAY, draw_day, ignore, in_shards_of, read_raw
from mlops_assets_tests.helpers.models import TREE, as_version

GOOD = {f"{name}.csv": account_file([ROW, changed(valor="250,00"), changed(valor="9,99")]) for name in "abcdefgh"}
BROKEN = account_file([ROW, changed(data="yesterday")])

Deliver = Callable[..., None]
Task = TypeVar("Task")


@pytest.fixture(scope="module")
def learned(transactions: UseCase, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A small tree that was fitted on sample rows."""
    lake = draw_day(transactions, tmp_path_factory.mktemp("learned"), files=20, rows=20)
    training_set = build_training_set(transactions, lake)
    return fit(transactions, TREE, training_set, training_set.load())


@pytest.fixture(scope="module")
def version(learned: Model, tmp_path_factory: pytest.TempPathFactory) -> Version:
    return as_version(learned, tmp_path_factory.mktemp("version"))


@pytest.fixture
def use_case(transactions: UseCase) -> UseCase:
    """The flagship with two files a shard, strict about dirt, and with values that no model has seen let through."""
    checks = Checks(reject_rate=0.05, quarantine_rate=0.25)
    return in_shards_of(2, transactions).model_copy(update={"checks": checks})


@pytest.fixture
def lake(settings: Settings) -> Lake:
    return Lake(settings.lake, "transactions")


@pytest.fixture
def deliver(use_case: UseCase, settings: Settings, lake: Lake, write_day: WriteDay) -> Deliver:
    """Put files into the day, beside those that are there, and read it."""

    def write_and_read(files: dict[str, bytes]) -> None:
        write_day("transactions", DAY, files)
        read_raw(use_case, settings.raw, lake, DAY)

    return write_and_read


def score(use_case: UseCase, lake: Lake, version: Version) -> ScoredDay:
    return score_day(use_case, lake, DAY, Scorers(version), LocalEngine(1), ignore, "the folder of the day")


def published(lake: Lake) -> list[dict[str, object]]:
    """The predictions of the day in the order of files and lines."""
    table = lake.table("predictions").read_all([DAY])
    return table.sort_by([("file", "ascending"), ("line", "ascending")]).to_pylist()


def test_every_step_counts_all_files_of_a_day_those_that_were_refused_too(
    use_case: UseCase, lake: Lake, deliver: Deliver, version: Version, settings: Settings
) -> None:
    """So that no step is told to be at 105 %, or at its end at 95 %."""
    lenient = use_case.model_copy(update={"checks": Checks(reject_rate=1, quarantine_rate=1)})
    deliver({**GOOD, **{f"refused-{number}.csv": b"\0" * number for number in range(7)}, "bad.csv": BROKEN})
    published_rows = lake.rows.days()[DAY].accounting
    assert (published_rows.files, published_rows.files_refused) == (16, 7)
    engine = LocalEngine(1)

    def line(step: Callable[[Watch], object]) -> str:
        watch = Progress("toy", published_rows.files)
        step(watch)
        return watch.line()

    def read(watch: Watch) -> object:
        source = FolderSource(settings.raw / "transactions", use_case.files.suffix)
        manifest = list_day(use_case, source, lake.raw_files, DAY)
        return read_day(use_case, source, lake, manifest, engine, watch)

    def scored(watch: Watch) -> object:
        return score_day(lenient, lake, DAY, Scorers(version), engine, watch, "")

    steps: list[Callable[[Watch], object]] = [
        read,
        lambda watch: aggregate_day(lenient, lake, DAY, engine, watch),
        scored,
        scored,  # done by an earlier run
        lambda watch: compare_day(lenient, lake, DAY, version, version, engine, watch),
    ]
    for step in steps:
        assert line(step).startswith("toy: 100%, 16 of 16 files")
    assert lake.features.days()[DAY].accounting.files == 9, "the aggregates are those of files that were read"


# -- a good day -------------------------------------------------------------------------------------------------------


def test_every_row_gets_one_prediction_with_the_version_that_made_it(
    use_case: UseCase, lake: Lake, deliver: Deliver, version: Version, learned: Model
) -> None:
    deliver(GOOD)
    assert score(use_case, lake, version).problems == ""
    found = published(lake)
    assert [(row["file"], row["line"]) for row in found] == [(name, line) for name in GOOD for line in (1, 2, 3)]
    assert {row["account_id"] for row in found} == {"4,53E+11"}
    assert {row["model_version"] for row in found} == {1}
    assert {row["prediction"] for row in found} <= set(learned.classes)
    assert {row["day"] for row in found} == {DAY}


def test_a_row_that_was_rejected_gets_no_prediction_and_the_others_keep_their_lines(
    use_case: UseCase, lake: Lake, deliver: Deliver, version: Version
) -> None:
    deliver({**GOOD, "i.csv": account_file([changed(data="yesterday"), ROW])})
    score(use_case, lake, version)
    assert [row["line"] for row in published(lake) if row["file"] == "i.csv"] == [2]


def test_the_accounting_of_a_day_runs_from_its_files_to_its_predictions(
    use_case: UseCase, lake: Lake, deliver: Deliver, version: Version
) -> None:
    deliver(GOOD)
    told = score(use_case, lake, version)
    assert {
        name: told.numbers()[name] for name in ("files", "files_read", "lines", "rows", "predictions", "model_version")
    } == {
        "files": 8,
        "files_read": 8,
        "lines": 24,
        "rows": 24,
        "predictions": 24,
        "model_version": 1,
    }
    kept = lake.table("predictions").days()[DAY].accounting
    assert kept == told.accounting


def test_the_probability_is_that_of_the_predicted_class(
    use_case: UseCase, lake: Lake, deliver: Deliver, version: Version, learned: Model
) -> None:
    deliver(GOOD)
    score(use_case, lake, version)
    probabilities = learned.probabilities(features_of(use_case, lake, learned)[1])
    expected = probabilities.max(axis=1).astype(np.float32)
    assert [row["probability"] for row in published(lake)] == expected.tolist()


def features_of(use_case: UseCase, lake: Lake, model: Model) -> tuple[list[tuple[str, int]], np.ndarray]:
    """File and line of every row of the day in their order, and what the estimator sees of it."""
    keys: list[tuple[str, int]] = []
    matrices: list[np.ndarray] = []
    table = lake.table("rows")
    for path in sorted(table.parts(DAY)):
        rows = read_rows(table.folder / path)
        for batch, places in compute(rows, DAY, use_case, model.sql):
            some = rows.take(pa.array(places))
            keys += zip(some["file"].to_pylist(), some["line"].to_pylist(), strict=True)
            matrices.append(model.matrix(batch))
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return [keys[place] for place in order], np.concatenate(matrices)[order]


def test_a_hundred_thousand_predictions_are_those_of_plain_scikit_learn(
    transactions: UseCase, version: Version, learned: Model, tmp_path: Path
) -> None:
    use_case = in_shards_of(700, transactions)
    lake = draw_day(use_case, tmp_path, files=2_050, rows=50)
    aggregate_day(use_case, lake, DAY, LocalEngine(1), ignore)
    assert score(use_case, lake, version).problems == ""
    keys, matrix = features_of(use_case, lake, learned)
    said = np.array(learned.classes)[learned.estimator.predict(matrix)]
    found = published(lake)
    assert len(found) > 100_000
    assert [(row["file"], row["line"]) for row in found] == keys
    assert [row["prediction"] for row in found] == said.tolist()


class Elsewhere:
    """An engine as another machine would be: what comes and goes is pickled, and the last shard is done first."""

    elsewhere = False

    def map(self, function: Callable[[Task], Report], tasks: Sequence[Task]) -> Iterator[Report]:
        for packed in [pickle.dumps((function, task)) for task in reversed(tasks)]:
            unpacked, task = pickle.loads(packed)
            yield pickle.loads(pickle.dumps(unpacked(task)))


def test_where_and_in_which_order_shards_are_scored_does_not_change_what_is_published(
    use_case: UseCase, lake: Lake, deliver: Deliver, version: Version
) -> None:
    deliver(GOOD)
    score(use_case, lake, version)
    before = published(lake)
    shutil.rmtree(lake.table("predictions").folder)
    fresh = Lake(lake.root, "transactions")
    again = score_day(use_case, fresh, DAY, Scorers(version), Elsewhere(), ignore, "")
    assert (again.problems, again.reused) == ("", 0)
    assert published(fresh) == before


def test_the_label_of_a_row_does_not_change_its_prediction(
    use_case: UseCase, lake: Lake, deliver: Deliver, version: Version
) -> None:
    deliver({name: data.replace("SERVIÇO".encode("mac_roman"), b"FARMACIAS") for name, data in GOOD.items()})
    score(use_case, lake, version)
    before = published(lake)
    deliver({name: data.replace("SERVIÇO".encode("mac_roman"), b"") for name, data in GOOD.items()})
    again = score(use_case, lake, version)
    assert again.reused < again.shards
    assert published(lake) == before


def test_a_model_scores_by_its_own_sql_and_not_by_that_of_the_configuration(
    use_case: UseCase, lake: Lake, deliver: Deliver, version: Version
) -> None:
    deliver(GOOD)
    changed_since = use_case.model_copy(
        update={"features_sql": "CREATE VIEW model_input AS SELECT file, line, 1 AS nothing FROM rows"}
    )
    assert score(changed_since, lake, version).problems == ""
    assert len(published(lake)) == 24


def test_no_rows_get_no_predictions(transactions: UseCase, learned: Model) -> None:
    rows = rows_schema(transactions).empty_table()
    (answers,) = predict([learned], rows, DAY, transactions).answers
    found = predictions_of(answers, rows, transactions, 1)
    assert (found.schema, found.num_rows, sum(answers.unseen.values())) == (PREDICTIONS, 0, 0)


# -- again ------------------------------------------------------------------------------------------------------------


def test_a_rerun_reuses_every_shard_and_publishes_nothing_new(
    use_case: UseCase, lake: Lake, deliver: Deliver, version: Version
) -> None:
    deliver(GOOD)
    score(use_case, lake, version)
    before = lake.table("predictions").days()
    again = score(use_case, lake, version)
    assert (again.shards, again.reused) == (4, 4)
    assert lake.table("predictions").days() == before


def test_a_late_file_redoes_its_shard_alone(use_case: UseCase, lake: Lake, deliver: Deliver, version: Version) -> None:
    deliver(GOOD)
    score(use_case, lake, version)
    deliver({"late.csv": account_file()})
    again = score(use_case, lake, version)
    assert (again.shards, again.reused) == (4, 3)
    assert len(published(lake)) == 25


def test_another_version_replaces_the_day(
    use_case: UseCase, lake: Lake, deliver: Deliver, version: Version, learned: Model, tmp_path: Path
) -> None:
    deliver(GOOD)
    score(use_case, lake, version)
    again = score(use_case, lake, as_version(learned, tmp_path / "two", number=2))
    assert (again.accounting.model_version, again.reused) == (2, 0)
    assert [row["model_version"] for row in published(lake)] == [2] * 24


def test_the_older_version_comes_back_from_its_shards(
    use_case: UseCase, lake: Lake, deliver: Deliver, version: Version, learned: Model, tmp_path: Path
) -> None:
    deliver(GOOD)
    score(use_case, lake, version)
    score(use_case, lake, as_version(learned, tmp_path / "two", number=2))
    again = score(use_case, lake, version)
    assert again.reused == again.shards
    assert {row["model_version"] for row in published(lake)} == {1}


# -- days that are refused --------------------------------------------------------------------------------------------

LOOK = "look at `mlops-assets rejects`, mend or remove the files, run the day again"
BAD_DAYS: dict[str, tuple[dict[str, bytes], str, str]] = {
    "too many rejected lines": (dict.fromkeys(GOOD, BROKEN), "reject_rate", LOOK),
    "too many refused files": (dict.fromkeys(list(GOOD)[:3], b""), "quarantine_rate", LOOK),
    "no good row": (dict.fromkeys(GOOD, b""), "day_is_not_empty", "look in the folder of the day, then run the day"),
}


@pytest.mark.parametrize("case", BAD_DAYS)
def test_a_bad_day_is_refused_with_advice_and_the_old_predictions_stand(
    use_case: UseCase, lake: Lake, deliver: Deliver, version: Version, case: str
) -> None:
    files, check, advice = BAD_DAYS[case]
    deliver(GOOD)
    score(use_case, lake, version)
    before = lake.table("predictions").days(), published(lake)
    deliver(files)
    refused = score(use_case, lake, version)
    assert f"{check}: " in refused.problems
    assert advice in refused.problems
    assert (lake.table("predictions").days(), published(lake)) == before


def test_a_bad_day_that_was_never_published_stays_unpublished(
    use_case: UseCase, lake: Lake, deliver: Deliver, version: Version
) -> None:
    deliver({"a.csv": BROKEN})
    assert "reject_rate: 50.00% of lines rejected, allowed 5.00%" in score(use_case, lake, version).problems
    assert lake.table("predictions").days() == {}


def test_a_day_without_any_files_is_refused_as_empty(
    use_case: UseCase, lake: Lake, deliver: Deliver, version: Version
) -> None:
    deliver({})
    assert "day_is_not_empty: 0 rows of 0 files" in score(use_case, lake, version).problems


def test_a_day_that_was_never_read_is_refused(use_case: UseCase, lake: Lake, version: Version) -> None:
    assert "day_is_not_empty" in score(use_case, lake, version).problems
    assert lake.table("predictions").days() == {}


def test_rows_that_were_read_from_other_files_than_were_listed_last_are_refused(
    use_case: UseCase, lake: Lake, deliver: Deliver, version: Version, settings: Settings, write_day: WriteDay
) -> None:
    deliver(GOOD)
    score(use_case, lake, version)
    before = lake.table("predictions").days()
    write_day("transactions", DAY, {"late.csv": account_file()})
    list_day(use_case, FolderSource(settings.raw / "transactions", ".csv"), lake.table("raw_files"), DAY)
    problems = score(use_case, lake, version).problems
    assert problems.startswith("rows_are_current: files listed: ")
    assert "materialise raw_files and rows of this day again" in problems
    assert lake.table("predictions").days() == before


def test_a_day_of_categories_that_the_model_never_saw_is_refused(
    use_case: UseCase, lake: Lake, deliver: Deliver, version: Version, learned: Model
) -> None:
    categories = [name for name, known in learned.columns.items() if known is not None]
    strict = use_case.model_copy(update={"checks": Checks(unseen_share=dict.fromkeys(categories, 0.0))})
    deliver(dict.fromkeys(GOOD, account_file([changed(cidade_estabelecimento="NOWHERE")])))
    problems = score(strict, lake, version).problems
    assert problems.startswith("unseen_categories: ")
    assert "retrain" in problems
    assert lake.table("predictions").days() == {}


def test_a_day_is_not_scored_by_a_model_that_is_not_as_registered(
    use_case: UseCase, lake: Lake, deliver: Deliver, learned: Model, tmp_path: Path
) -> None:
    version = as_version(learned, tmp_path / "version")
    with (version.folder / "serving" / SQL_FILE).open("a") as file:
        file.write("-- one more line")
    deliver(GOOD)
    with pytest.raises(ModelRefused):
        score(use_case, lake, replace(version, version=3))
    assert lake.table("predictions").days() == {}


@pytest.mark.parametrize(("challenger", "told"), [(None, {}), (7, {"challenger_version": 7})])
def test_the_numbers_of_a_scored_day_name_its_challenger(challenger: int | None, told: dict[str, int]) -> None:
    numbers = ScoredDay(PredictionsAccounting(predictions=2), 1, 0, [], challenger).numbers()
    assert {name: value for name, value in numbers.items() if name == "challenger_version"} == told
    assert numbers.items() >= {"predictions": 2, "shards": 1, "reused": 0}.items()
